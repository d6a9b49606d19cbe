"""`smsc store`: how large the store is, by day and table, and what retention drops when."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from smsc.commands.running import ask_store, config_option, load_leniently, run_work
from smsc.views import table
from storage.sizes import DaySize, StoreSize, read_sizes


@click.command()
@config_option
@click.option('--json', 'as_json', is_flag=True, help='Print it as JSON.')
def store(path: Path, as_json: bool) -> None:
    """Show rows and octets of the store by day and table, and when each day is dropped."""
    configuration = load_leniently(path)
    keep_d = configuration.retention.messages_d
    sizes = run_work(ask_store(configuration, lambda arguments: read_sizes(arguments, keep_d, datetime.now(UTC))))
    if as_json:
        click.echo(msgspec.json.encode(sizes).decode())
        return
    click.echo('\n'.join(_page(sizes, keep_d)))


def _page(sizes: StoreSize, keep_d: int) -> Iterator[str]:
    yield table(
        ('DAY', 'MESSAGES', 'MB', 'OCTETS A MESSAGE', 'DROPPED'),
        [
            (
                day.day,
                day.messages,
                f'{day.size_octets / 1e6:.1f}',
                day.size_octets // day.messages if day.messages else '-',
                _dropped(day),
            )
            for day in sizes.days
        ],
    )
    yield ''
    yield table(
        ('TABLE', 'ROWS', 'MB'),
        [(t.table, t.rows if t.rows >= 0 else '-', f'{t.size_octets / 1e6:.1f}') for t in sizes.others],
    )
    yield ''
    yield f'{sizes.database_octets / 1e6:.1f} MB in all; finished days are kept {keep_d} days (retention.messages_d)'
    yield 'messages and rows are estimates of PostgreSQL'


def _dropped(day: DaySize) -> str:
    if not day.is_due:
        return f'from {day.drop_at}'
    return 'waits: it has unfinished messages or receipts' if day.unfinished else 'within ten minutes of a running node'
