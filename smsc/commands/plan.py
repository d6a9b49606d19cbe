"""`smsc plan`: the number plan, imported from published tables, looked at, and taken out again.

The files in the data folder are changed here; a running server is told to load them, one that starts does so anyway.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from routing.facts import Place
from routing.plan import MAX_DIGITS, MIN_DIGITS, PlanError, Range
from smsc.clock import wall_ms
from smsc.commands.audit import who
from smsc.commands.numbers import digits_of
from smsc.commands.running import ask_store, config_option, load, load_leniently, run_work
from smsc.config.schema import Configuration
from smsc.control import ask, socket_path
from smsc.plan.base import WORLD, world_origin, world_ranges
from smsc.plan.names import Names, load_names, shipped_operators, shipped_zones
from smsc.plan.reading import RangeReader, Reading
from smsc.plan.sources import (
    Source,
    check_name,
    keep_sources,
    load_plan,
    ranges_around,
    read_sources,
    remove_source,
)
from storage.audit import record

MAX_SHOWN = 20
STEP_OCTETS = 1 << 18


@click.group()
def plan() -> None:
    """The number plan: which country, operator, region and time zone a number belongs to."""


@plan.command('import')
@config_option
@click.argument('files', nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option('--country', default='', help='Country of lines that name none, such as RU.')
@click.option('--name', default='', help='Name of the source; default ru-9xx and the like, the country, or the file.')
@click.option('--all-names', is_flag=True, help=f'List all names that are in no table, not the first {MAX_SHOWN}.')
@click.option('--skip-bad', is_flag=True, help='Leave lines with mistakes out instead of importing nothing.')
def import_command(
    path: Path, files: tuple[Path, ...], country: str, name: str, all_names: bool, skip_bad: bool
) -> None:
    """Import tables of ranges: the registry of Russia as published, or prefix | from,to with country, operator ...

    A second import of the same source replaces the first. A mistake in a file changes nothing.
    """
    configuration = load(path)
    if name and len(files) > 1:
        raise click.UsageError('--name is for one file: a second one would replace the first')
    with _mistakes_shown():
        if name:
            check_name(name)
        reader = RangeReader(*_names(configuration), country.upper(), skip_bad)
        readings = [_read(reader, file) for file in files]
        sources = [
            Source(name or _name_of(reading, file, country), file.name, wall_ms(), len(reading.ranges))
            for file, reading in zip(files, readings, strict=True)
        ]
        if len({source.name for source in sources}) < len(sources):
            raise PlanError('two of these files have one name as sources; import them one by one, with --name')
        keep_sources(configuration.data, zip(sources, (reading.ranges for reading in readings), strict=True))
    for source, reading in zip(sources, readings, strict=True):
        _tell(reading, source, None if all_names else MAX_SHOWN)
    changes = [(f'plan: imported {source.name}', f'{source.file}, {source.ranges} ranges') for source in sources]
    _publish(configuration, changes)


@plan.command()
@config_option
@click.argument('number')
def show(path: Path, number: str) -> None:
    """Show where NUMBER (E.164 digits) belongs, and the ranges that say so."""
    configuration = load_leniently(path)
    digits = digits_of(configuration, number)
    if not MIN_DIGITS <= len(digits) <= MAX_DIGITS:
        raise click.UsageError(
            f'{number} is no number; write {MIN_DIGITS} to {MAX_DIGITS} digits with the calling code'
        )
    with _mistakes_shown():
        found = load_plan(configuration.data)
        place, (first, last) = found.find(int(digits)), found.segment(int(digits))
        click.echo(f'{digits}: {_said(place) or "not known"}')
        click.echo(f'the same from {first} to {last}')
        for name, one in _around(configuration, digits):
            ends = ' to '.join(str(key).zfill(MAX_DIGITS)[: len(digits)] for key in (one.first, one.last))
            click.echo(f'  {name}: {ends}: {_said(one.place) or "nothing"}')


@plan.command('list')
@config_option
def list_command(path: Path) -> None:
    """List what the plan is made of; what stands further down decides before what stands above."""
    configuration = load_leniently(path)
    with _mistakes_shown():
        click.echo(f'{WORLD}: {len(world_ranges())} prefixes, shipped ({world_origin()})')
        for source in read_sources(configuration.data):
            at = datetime.fromtimestamp(source.imported_ms / 1000, UTC).strftime('%Y-%m-%d %H:%M:%S')
            click.echo(f'{source.name}: {source.ranges} ranges of {source.file}, imported {at} UTC')


@plan.command()
@config_option
@click.argument('source')
def remove(path: Path, source: str) -> None:
    """Take SOURCE out of the plan; `smsc plan list` shows their names."""
    configuration = load(path)
    with _mistakes_shown():
        removed = remove_source(configuration.data, source)
    click.echo(f'{removed.name}: removed, with {removed.ranges} ranges')
    _publish(configuration, [(f'plan: removed {removed.name}', f'{removed.ranges} ranges')])


# Import


def _names(configuration: Configuration) -> tuple[Names, Names]:
    """Return the tables of operators and of zones."""
    numbers = configuration.numbers
    operators = load_names(Path(numbers.operators), 'code') if numbers.operators else shipped_operators()
    zones = load_names(Path(numbers.zones), 'zone') if numbers.zones else shipped_zones()
    return Names(operators), Names(zones)


def _read(reader: RangeReader, file: Path) -> Reading:
    """Read a file with a progress bar, which moves every few thousand lines."""
    with click.progressbar(length=file.stat().st_size, label=file.name) as bar:
        waiting = 0

        def advance(octets: int) -> None:
            nonlocal waiting
            waiting += octets
            if waiting >= STEP_OCTETS:
                bar.update(waiting)
                waiting = 0

        reading = reader.read(file, advance)
        bar.update(waiting)
    return reading


def _name_of(reading: Reading, file: Path, country: str) -> str:
    """Return the name under which the next issue of the same table replaces this one."""
    if not reading.is_registry:
        return country.lower() or file.stem.lower()
    leading = {str(one.first)[1] for one in reading.ranges}
    return f'ru-{leading.pop()}xx' if len(leading) == 1 else 'ru'


def _tell(reading: Reading, source: Source, shown: int | None) -> None:
    click.echo(f'{source.name}: {source.ranges} ranges of {source.file}')
    if reading.skipped_count:
        click.echo(f'{reading.skipped_count} lines left out:')
        _show(reading.skipped, reading.skipped_count)
    _tell_unknown('operators in no table; each got a code made of its name', reading.unknown_operators, shown)
    _tell_unknown('regions without a time zone', reading.unknown_regions, shown)


def _tell_unknown(what: str, names: Counter[str], shown: int | None) -> None:
    if names:
        click.echo(f'{len(names)} {what}:')
        _show([f'{name}: {count} ranges' for name, count in names.most_common(shown)], len(names))


def _show(lines: list[str], count: int) -> None:
    for line in lines:
        click.echo(f'  {line}')
    if count > len(lines):
        click.echo(f'  ... and {count - len(lines)} more')


# The server and the audit


def _publish(configuration: Configuration, changes: list[tuple[str, str]]) -> None:
    """Have the running server answer by the new plan, and write down who changed it.

    The files are changed by now: what fails here is told, with what to do about it.
    """
    if socket_path(configuration.data).exists():
        try:
            run_work(ask(configuration.data, 'plan'))
            click.echo('the running server answers by it')
        except click.ClickException as error:
            click.echo(f'a server that runs has the old plan until it starts again: {error.message}', err=True)
    if not configuration.store.postgres and not (configuration.data / 'postgres').exists():
        return  # the store begins with the first start, and so does what is written down
    try:
        run_work(ask_store(configuration, lambda arguments: _record(arguments, changes)))
    except (click.ClickException, asyncpg.PostgresError, OSError) as error:
        reason = error.message if isinstance(error, click.ClickException) else str(error)
        click.echo(f'the change is not in `smsc audit`: {reason}', err=True)


async def _record(arguments: dict[str, Any], changes: list[tuple[str, str]]) -> None:
    connection = await asyncpg.connect(**arguments)
    try:
        async with connection.transaction():
            for what, details in changes:
                await record(connection, who(), what, details)
    finally:
        await connection.close()


# Showing


def _around(configuration: Configuration, digits: str) -> Iterator[tuple[str, Range]]:
    """Yield the ranges that hold a number, the one that decides first."""
    key = int(digits.ljust(MAX_DIGITS, '0'))
    yield from ((source.name, one) for source, one in ranges_around(configuration.data, key))
    inside = [one for one in world_ranges() if one.first <= key <= one.last]
    yield from ((WORLD, one) for one in sorted(inside, key=lambda one: one.last - one.first))


def _said(place: Place) -> str:
    return ', '.join(f'{name} {value}' for name, value in msgspec.structs.asdict(place).items() if value)


@contextmanager
def _mistakes_shown() -> Iterator[None]:
    try:
        yield
    except PlanError as error:
        raise click.ClickException(str(error)) from error
