"""How large the store is, by day and table, and when each day may be dropped. Reads only the catalogue, so it costs
nothing on a full store: rows are the planner's estimates.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from storage.partitions import unfinished_in
from storage.statements import statement


class TableSize(msgspec.Struct, frozen=True):
    """A table, or a day's part of one; `rows` is an estimate, -1 before PostgreSQL has counted."""

    table: str
    rows: int
    size_octets: int


class DaySize(msgspec.Struct, frozen=True):
    """One day (UTC). It is dropped at the first look after `drop_at`, unless something in it is `unfinished` (which is
    looked at only when its time has come).
    """

    day: str
    tables: list[TableSize]
    drop_at: str
    is_due: bool
    unfinished: bool

    @property
    def messages(self) -> int:
        """Estimated."""
        return next((max(0, table.rows) for table in self.tables if table.table == 'message'), 0)

    @property
    def size_octets(self) -> int:
        """With indexes."""
        return sum(table.size_octets for table in self.tables)


class StoreSize(msgspec.Struct, frozen=True):
    """The whole store."""

    database_octets: int
    days: list[DaySize]
    others: list[TableSize]


async def read_sizes(connect_arguments: dict[str, Any], keep_d: int, now: datetime) -> StoreSize:
    """Return the sizes; `keep_d` is how many days are kept, `now` an aware time."""
    connection = await asyncpg.connect(**connect_arguments)
    try:
        tables: dict[str, list[TableSize]] = {}
        for row in await connection.fetch(statement('days')):
            table = TableSize(row['table_name'], row['rows'], row['size_octets'])
            tables.setdefault(row['day'], []).append(table)
        days: list[DaySize] = []
        for name, parts in tables.items():
            start = datetime.strptime(name, '%Y%m%d').replace(tzinfo=UTC)
            drop_at = start + timedelta(days=1 + keep_d)
            is_due = drop_at <= now
            unfinished = is_due and await unfinished_in(connection, int(start.timestamp() * 1000))
            days.append(DaySize(f'{start:%Y-%m-%d}', parts, f'{drop_at:%Y-%m-%d}', is_due, unfinished))
        others = [
            TableSize(row['table_name'], row['rows'], row['size_octets'])
            for row in await connection.fetch(statement('other_sizes'))
        ]
        octets = await connection.fetchval('select pg_database_size(current_database())')
    finally:
        await connection.close()
    return StoreSize(octets, days, others)
