"""`smsc backup FILE` while the server runs, `smsc restore FILE` into an empty store."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from smsc.commands.audit import who
from smsc.commands.running import ask_store, config_option, load, load_leniently, run_work
from storage.backup import BackupError, Restoring, read_backup, restore_backup, take_backup

FILE = click.argument('file', type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@config_option
@FILE
def backup(path: Path, file: Path) -> None:
    """Write the whole store to the new FILE: one moment of it, while the server runs."""
    configuration = load_leniently(path)
    started = time.monotonic()
    try:
        made = run_work(ask_store(configuration, lambda arguments: take_backup(arguments, file, _showing('written'))))
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    seconds = time.monotonic() - started
    click.echo(f'{file}: {made.size_octets:,} octets in {seconds:.1f} s, schema {made.schema}, taken {made.taken}')


@click.command()
@config_option
@click.option('--look', is_flag=True, help='Only show what FILE is, and restore nothing.')
@click.option('--upstreams-off', is_flag=True, help='Leave all upstreams switched off, so that nothing is sent yet.')
@FILE
def restore(path: Path, file: Path, look: bool, upstreams_off: bool) -> None:
    """Put a backup into an empty store; every node must be stopped."""
    configuration = load(path)
    try:
        found = run_work(read_backup(file))
        click.echo(f'{file}: {found.size_octets:,} octets, schema {found.schema}, taken {found.taken}')
        if look:
            return
        restoring = Restoring(file, who(), tuple(configuration.upstreams) if upstreams_off else ())
        marked = run_work(
            ask_store(configuration, lambda arguments: restore_backup(arguments, restoring, _showing('read')))
        )
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f'restored. {marked:,} unfinished messages may have been sent since the backup; they are marked as possibly'
        ' repeated, and go out at the next start. Look with smsc ledger, then start with smsc run'
    )


def _showing(what: str) -> Callable[[int], None]:
    """Show progress on a terminal, and nothing in a log."""

    def show(octets: int) -> None:
        if sys.stderr.isatty():
            click.echo(f'\r{octets / 1e6:,.0f} MB {what} ', err=True, nl=False)

    return show
