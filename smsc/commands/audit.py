"""`smsc audit`: what people changed by hand, and in whose name a command changes something."""

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from smsc.commands.running import ask_store, config_option, load_leniently, run_work
from storage.audit import Entry, read_audit


def who() -> str:
    """Return whom the audit names for what this command changes: the person at the terminal, also behind sudo."""
    name = os.environ.get('SUDO_USER') or os.environ.get('LOGNAME') or ''
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):  # no such user in this container
            name = f'uid {os.getuid()}'
    return name


@click.command()
@config_option
@click.option('--last', type=click.IntRange(1, 100_000), default=20, show_default=True, help='How many entries.')
@click.option('--json', 'as_json', is_flag=True, help='Print it as JSON.')
@click.argument('about', required=False, default='')
def audit(path: Path, last: int, as_json: bool, about: str) -> None:
    """List what was changed by hand, the newest last; ABOUT finds a word in the change or the name."""
    configuration = load_leniently(path)
    entries = run_work(ask_store(configuration, lambda arguments: read_audit(arguments, last, about)))
    if as_json:
        click.echo(msgspec.json.encode(entries).decode())
        return
    for entry in entries:
        click.echo(_line(entry))
    if not entries:
        click.echo('nothing was changed by hand' + (f' that says {about}' if about else ''))


def _line(entry: Entry) -> str:
    at = datetime.fromtimestamp(entry.at / 1000, UTC).strftime('%Y-%m-%d %H:%M:%S')
    details = f': {entry.details}' if entry.details else ''
    return f'{at} UTC  {entry.who}  {entry.what}{details}'
