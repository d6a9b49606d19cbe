"""`smsc stop-list`: what is on the stop-lists, and their changes, which a running server takes up at once."""

import sys
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from routing.stop_lists import GLOBAL
from smsc import views
from smsc.clock import wall_ms
from smsc.commands.audit import who
from smsc.commands.numbers import entries_of, normaliser_for
from smsc.commands.running import ask_store, config_option, load_leniently, run_work
from smsc.config.policy_checks import is_list_name
from smsc.config.schema import Configuration
from smsc.control import ask
from smsc.stop_list_file import Ending, NumbersFile, NumbersFileError, for_import, whole_minutes
from storage import stop_lists as stored
from storage.connection import Connection

T = TypeVar('T')


def _checked(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_list_name(value):
        raise click.BadParameter('use up to 64 letters, digits, `.`, `_` and `-`')
    return value


list_option = click.option(
    '--list', 'name', required=True, callback=_checked, help='The list; `global` is of all accounts.'
)
note_option = click.option('--note', default='', help='Why; shown with what is refused.')
days_option = click.option('--days', type=click.IntRange(1, 3_650), help='For how many days; without it, for good.')


@click.group('stop-list')
def stop_list() -> None:
    """Numbers and prefixes that get no messages, on lists with names."""


@stop_list.command('import')
@config_option
@click.argument('file', type=click.Path(path_type=Path, dir_okay=False, exists=True))
@list_option
@click.option('--replace', is_flag=True, help='Take everything else off the list.')
@click.option('--force', is_flag=True, help='With --replace: also where less than half of the list is left.')
@click.option('--column', help='The column of a CSV file; without it, it is found by the heading.')
@click.option('--skip-bad', is_flag=True, help='Leave out lines that are no numbers.')
@note_option
@days_option
def import_file(
    path: Path,
    file: Path,
    name: str,
    replace: bool,
    force: bool,
    column: str | None,
    skip_bad: bool,
    note: str,
    days: int | None,
) -> None:
    """Put the numbers of FILE on a list: a number or prefix (7900*) a line, or CSV; plain or gzip. All or nothing.

    A column `until` says when entries end, in UTC: 2027-02-15 10:30, or a whole day.
    """
    configuration = load_leniently(path)
    numbers = NumbersFile(file, column, skip_bad, normaliser_for(configuration), wall_ms())
    with click.progressbar(length=max(1, file.stat().st_size), label=f'reading {file.name}', file=sys.stderr) as bar:

        def pages() -> Iterable[list[Ending]]:
            return numbers.pages(lambda octets: bar.update(octets - bar.pos))

        async def change(connection: Connection) -> tuple[int, int]:
            return await stored.put(connection, name, pages(), _change(note, days), replace, force)

        came, went = _in_store(configuration, change)
    for line, what in numbers.bad:
        click.echo(f'{file}:{line}: left out: {what}', err=True)
    if numbers.with_end:
        others = f'the others in {days} days' if days else 'the others stay for good'
        click.echo(f'{file}: {numbers.with_end} entries end by their own `until`, {others}', err=True)
    if numbers.over:
        click.echo(f'{file}: {numbers.over} entries left out: their `until` has passed', err=True)
    if numbers.rewritten:
        click.echo(f'{file}: {numbers.rewritten} numbers rewritten from national form', err=True)
    off = f', {went} taken off' if replace else ''
    left_out = f'; {numbers.bad_count} bad lines left out' if numbers.bad_count else ''
    click.echo(f'{name}: {numbers.read} numbers read, {came} of them new or changed{off}{left_out}')
    _take_up(configuration, name)


@stop_list.command()
@config_option
@click.argument('numbers', nargs=-1, required=True)
@list_option
@note_option
@days_option
def add(path: Path, numbers: tuple[str, ...], name: str, note: str, days: int | None) -> None:
    """Put NUMBERS on a list; 7900* stands for all that begin with 7900."""
    configuration = load_leniently(path)
    entries = entries_of(configuration, numbers)
    came, _ = _in_store(configuration, lambda c: stored.put(c, name, [entries], _change(note, days)))
    click.echo(f'{name}: {came} put on, {len(entries) - came} there already')
    _take_up(configuration, name)


@stop_list.command()
@config_option
@click.argument('numbers', nargs=-1, required=True)
@click.option('--list', 'name', callback=_checked, help='The list; without it, all lists they are on.')
@note_option
def remove(path: Path, numbers: tuple[str, ...], name: str | None, note: str) -> None:
    """Take NUMBERS off a list, or off all."""
    configuration = load_leniently(path)
    entries = entries_of(configuration, numbers)

    async def change(connection: Connection) -> dict[str, int]:
        names = [name] if name else [counted.name for counted in await stored.lists(connection)]
        return {one: await stored.take(connection, one, entries, _change(note, None)) for one in names}

    went = {one: count for one, count in _in_store(configuration, change).items() if count}
    for one, count in went.items():
        click.echo(f'{one}: {count} taken off')
    if not went:
        raise click.ClickException(f'nothing of that is on {f"list {name}" if name else "any list"}')
    _take_up(configuration)


@stop_list.command()
@config_option
@click.argument('number')
def show(path: Path, number: str) -> None:
    """Tell on which lists NUMBER is: since when, until when, why, and who put it there."""
    configuration = load_leniently(path)
    _, digits = entries_of(configuration, (number,))[0]
    found = _in_store(configuration, lambda c: stored.show(c, str(digits)))
    now_ms = wall_ms()
    if not found:
        click.echo(f'{digits} is on no list')
        return
    click.echo(
        views.table(
            ('LIST', 'ENTRY', 'STANDS', 'SINCE', 'UNTIL', 'BY', 'NOTE'),
            [
                (
                    one.name,
                    stored.shown(one.prefix, one.number),
                    'taken off' if one.removed else 'ran out' if 0 < one.until_ms <= now_ms else 'on it',
                    _moment(one.since_ms),
                    _moment(one.until_ms) if one.until_ms else '-',
                    one.who,
                    one.note,
                )
                for one in found
            ],
        )
    )


@stop_list.command()
@config_option
def lists(path: Path) -> None:
    """Count what is on each list, and tell whom it holds for."""
    configuration = load_leniently(path)
    found = _in_store(configuration, stored.lists)
    rows = [
        (
            one.name,
            one.numbers,
            one.prefixes,
            _moment(one.changed_ms) if one.changed_ms else '-',
            ', '.join(_accounts(configuration, one.name)) or 'nobody',
        )
        for one in found
    ]
    click.echo(views.table(('LIST', 'NUMBERS', 'PREFIXES', 'CHANGED', 'HOLDS FOR'), rows) if rows else 'no lists yet')


@stop_list.command()
@config_option
@list_option
@click.option('--output', type=click.File('w', encoding='utf-8', lazy=True), default='-', help='Default stdout.')
def export(path: Path, name: str, output: Any) -> None:
    """Write a list as CSV. Of that, `import` reads numbers and `until`; `since` and `note` are for people."""
    configuration = load_leniently(path)
    normaliser = normaliser_for(configuration)

    async def write(connection: Connection) -> None:
        heading = 'number;since;until;note\n'
        async for page in stored.entries_of(connection, name):
            _write(output, heading)
            heading = ''
            for prefix, number, since_ms, until_ms, note in page:
                until = _moment(whole_minutes(until_ms)) if until_ms else ''
                quoted = '"' + ' '.join(note.split()).replace('"', '""') + '"' if note else ''
                entry = for_import(stored.shown(prefix, number), normaliser)
                _write(output, f'{entry};{_moment(since_ms)};{until};{quoted}\n')
        _write(output, heading)  # of a list with nothing on it

    _in_store(configuration, write)


def _write(output: Any, text: str) -> None:
    try:
        output.write(text)
    except OSError as error:
        raise click.ClickException(f'{output.name}: cannot be written: {error.strerror}') from error


def _in_store(configuration: Configuration, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do work on a connection to the store, whether the server runs or not."""

    async def connected(arguments: dict[str, Any]) -> T:
        async with stored.opened(arguments) as connection:
            return await work(connection)

    try:
        return cast(T, run_work(ask_store(configuration, connected)))
    except (NumbersFileError, stored.StopListError) as error:
        raise click.ClickException(str(error)) from error


def _take_up(configuration: Configuration, name: str | None = None) -> None:
    """Let the running server look at the lists."""
    try:
        run_work(ask(configuration.data, 'stop_lists'))
    except click.ClickException as error:
        click.echo(f'stored; not in force in a server here yet: {error.message}', err=True)
    if name is not None and not (configuration.is_partial or _accounts(configuration, name)):
        click.echo(f'no account has this list: add `stop_lists: [{name}]` to those it is to hold for', err=True)


def _accounts(configuration: Configuration, name: str) -> list[str]:
    """Return whom a list holds for."""
    automatic = configuration.stop_lists.automatic
    if name == GLOBAL or (automatic is not None and name == automatic.list):
        ignoring = [one.name for one in configuration.accounts.values() if name in one.ignores_stop_lists]
        return ['all but ' + ', '.join(ignoring) if ignoring else 'all']
    return [one.name for one in configuration.accounts.values() if name in one.stop_lists]


def _change(note: str, days: int | None) -> stored.Change:
    now_ms = wall_ms()
    until_ms = whole_minutes(now_ms + days * stored.DAY_MS) if days else 0
    return stored.Change(who(), now_ms, note, until_ms, by_hand=True)


def _moment(at_ms: int) -> str:
    return f'{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}'
