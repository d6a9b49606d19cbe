"""`smsc mnp`: imports of ported numbers, and what is known of one.

An import needs nothing but the data folder: a server that runs sees the new base within a second or two. It stands in
the audit where there is a store to write that to; the base itself always says which files it was made of, and when.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from domain.errors import StoreUnavailable
from routing.mnp import MnpAbout, MnpBase, MnpBaseError, current_base
from smsc.clock import wall_ms
from smsc.commands.audit import who
from smsc.commands.numbers import digits_of
from smsc.commands.running import ask_store, config_option, load, load_leniently, run_work
from smsc.config.schema import Configuration
from smsc.control import socket_path
from smsc.mnp import folder_of
from smsc.mnp.importing import Tell, apply_delta, import_base
from smsc.mnp.portings import MnpImportError, PortingFile, reading_for
from storage.audit import record

STEPS = 1_000  # of a progress bar


@click.group()
def mnp() -> None:
    """Ported numbers: import bases and deltas, look numbers up."""


@mnp.command('import')
@config_option
@click.argument('file', type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option('--delta', is_flag=True, help='Additions, changes and returns to the base in use.')
@click.option('--returns', is_flag=True, help='A delta of returns only, whatever its columns say.')
@click.option('--country-code', default='', help='The country of numbers written without it, as 7.')
@click.option('--national-digits', default=0, type=click.IntRange(0, 14), help='Digits of its numbers (7 and 1: 10).')
@click.option('--number', default='', help='The heading of the numbers, where it is not found.')
@click.option('--operator', default='', help='The heading of the operators, where it is not found.')
@click.option('--skip-bad', is_flag=True, help='Leave lines out that are wrong; else the first ends the import.')
@click.option('--force', is_flag=True, help='Also where the new base has less than half the numbers of the one in use.')
def import_(path: Path, file: Path, delta: bool, returns: bool, force: bool, **options: Any) -> None:
    """Import FILE: CSV, plain or gzip, columns number and operator found by headings, or first and second."""
    configuration = load(path)
    delta = delta or returns
    gc.disable()  # there are no cycles here, and looking for them takes a tenth of the time
    try:
        code, digits = options.pop('country_code'), options.pop('national_digits')
        portings = PortingFile(file, reading_for(code, digits, is_delta=delta, returns=returns, **options))
        about = _import(folder_of(configuration.data), file, portings, delta, force)
    except MnpImportError as error:
        raise click.ClickException(str(error)) from error
    for line in portings.bad_lines:
        click.echo(line, err=True)
    if portings.bad:
        click.echo(f'{portings.bad:,} lines were left out', err=True)
    done = _delta_line(about) if delta else f'{about.rows:,} numbers from {file}'
    click.echo(f'{done}; a server that runs uses it within two seconds')
    _audit(configuration, f'mnp import {file.name}', done)


def _import(folder: Path, file: Path, portings: PortingFile, delta: bool, force: bool) -> MnpAbout:
    with _bar('applying' if delta else 'importing') as tell:
        if delta:
            return apply_delta(folder, portings, file.name, wall_ms(), tell)
        return import_base(folder, portings, file.name, wall_ms(), tell, force)


@contextmanager
def _bar(label: str) -> Iterator[Tell]:
    with click.progressbar(length=STEPS, label=label) as bar:
        shown = 0

        def tell(share: float) -> None:
            nonlocal shown
            steps = int(min(share, 1.0) * STEPS)
            if steps > shown:
                bar.update(steps - shown)
                shown = steps

        yield tell
        tell(1.0)


def _audit(configuration: Configuration, what: str, details: str) -> None:
    """Write an import into the audit, if the store is there without being started for it."""
    if not (configuration.store.postgres or socket_path(configuration.data).exists()):
        return

    async def write(arguments: dict[str, Any]) -> None:
        connection = await asyncpg.connect(**arguments)
        try:
            await record(connection, who(), what, details)
        finally:
            await connection.close()

    try:
        run_work(ask_store(configuration, write))
    except (OSError, asyncpg.PostgresError, StoreUnavailable, click.ClickException) as error:
        click.echo(f'imported, but not written into the audit: {error}', err=True)


@mnp.command()
@config_option
@click.argument('number')
def show(path: Path, number: str) -> None:
    """Say which operator NUMBER is with; exit status 1 for one that is in no base."""
    configuration = load_leniently(path)
    digits = digits_of(configuration, number)
    base = _open(configuration)
    operator = base.find(int(digits))
    services = [str(one) for one in configuration.mnp.services if not one.prefixes or digits.startswith(one.prefixes)]
    base.close()
    if operator:
        click.echo(f'{digits}: {operator}')
        return
    then = f'asked at {", ".join(services)}' if services else 'the number plan decides'
    click.echo(f'{digits}: in no base; {then}')
    raise SystemExit(1)


@mnp.command()
@config_option
@click.option('--json', 'as_json', is_flag=True, help='Print it as JSON.')
def status(path: Path, as_json: bool) -> None:
    """Show the base in use: numbers, date, size, the latest delta."""
    configuration = load_leniently(path)
    base = _open(configuration)
    about = base.about
    base.close()
    if about is None:
        raise click.ClickException('no base of ported numbers; import one with: smsc mnp import FILE')
    size_octets = _size(folder_of(configuration.data))
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(about), 'size_octets': size_octets}).decode())
        return
    click.echo(f'numbers   {about.rows:,}')
    click.echo(f'base      {about.source}, {_date(about.imported_at_ms)}')
    click.echo(f'size      {size_octets / 1e6:,.1f} MB')
    click.echo(f'delta     {_delta_line(about) if about.delta else "none since"}')


def _open(configuration: Configuration) -> MnpBase:
    base = MnpBase(folder_of(configuration.data), configuration.mnp.operators)
    if base.problem:
        raise click.ClickException(base.problem)
    return base


def _size(folder: Path) -> int:
    try:
        path = current_base(folder)
        return (path / 'data.mdb').stat().st_size if path is not None else 0
    except (OSError, MnpBaseError):
        return 0


def _delta_line(about: MnpAbout) -> str:
    delta = about.delta
    assert delta is not None
    return (
        f'{delta.source}, {_date(delta.at_ms)}: {delta.added:,} added, {delta.changed:,} changed, '
        f'{delta.returned:,} returned; {about.rows:,} numbers now'
    )


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime('%Y-%m-%d %H:%M:%S UTC')
