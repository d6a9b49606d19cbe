"""Partitions of `message`, `segment` and `part_outcome`: one a day (UTC), made ahead, dropped by age when nothing in
them is unfinished.
"""

from datetime import UTC, datetime

import asyncpg

from domain.ids import first_id
from storage.connection import Connection

AHEAD_D = 3
DAY_MS = 86_400_000
LOCK_TIMEOUT_MS = 100
_FILLFACTOR = {'message': 60, 'segment': 100, 'part_outcome': 100}
_TALLY = """
insert into dropped (kind, state, notice, messages)
select kind, state, notice, count(*) from {name} group by 1, 2, 3
on conflict (kind, state, notice) do update set messages = dropped.messages + excluded.messages
"""
_SPENT = """
insert into credit_spent (account, amount)
select account, sum(price) from {name} where charge > 0 group by 1
on conflict (account) do update set amount = credit_spent.amount + excluded.amount
"""


def day_start_ms(at_ms: int) -> int:
    """Return the start of the UTC day that holds `at_ms` (Unix milliseconds)."""
    return at_ms // DAY_MS * DAY_MS


async def ensure(connection: Connection, from_ms: int, days: int = AHEAD_D) -> None:
    """Make the partitions for the day of `from_ms` (Unix milliseconds) and `days` more; those that exist stay."""
    for index in range(days + 1):
        start_ms = day_start_ms(from_ms) + index * DAY_MS
        for table in _FILLFACTOR:
            await _create(connection, table, start_ms)


async def _create(connection: Connection, table: str, start_ms: int) -> None:
    """Make one partition: attached, as that waits for no reader and holds up no writer of the others."""
    name = _name(table, start_ms)
    if await connection.fetchval('select to_regclass($1) is not null', name):
        return
    try:
        async with connection.transaction():
            await connection.execute(
                f'create table {name} (like {table} including all) with (fillfactor = {_FILLFACTOR[table]})'
            )
            await connection.execute(
                f'alter table {table} attach partition {name}'
                f' for values from ({first_id(start_ms)}) to ({first_id(start_ms + DAY_MS)})'
            )
    except (asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        pass  # another node was faster


def _name(table: str, start_ms: int) -> str:
    return f'{table}_{datetime.fromtimestamp(start_ms / 1000, UTC):%Y%m%d}'


async def existing_days(connection: Connection) -> list[int]:
    """Return the starts (Unix milliseconds) of the days that have a partition, oldest first."""
    rows = await connection.fetch(
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'message'::regclass"
    )
    days = [datetime.strptime(row['name'].rpartition('_')[2], '%Y%m%d').replace(tzinfo=UTC) for row in rows]
    return sorted(int(day.timestamp() * 1000) for day in days)


async def drop_settled(connection: Connection, now_ms: int, keep_d: int) -> list[str]:
    """Drop the days that ended more than `keep_d` days ago and hold nothing unfinished; return their names.

    What is dropped is added to the ledger's table in the same transaction. A day with a message that is not final, or a
    receipt that is still due, stays: the sweeper gives those an end first. Traffic waits behind whoever waits for a
    table's lock, so a reader in the way puts the drop off.
    """
    dropped: list[str] = []
    for start_ms in await existing_days(connection):
        if start_ms + DAY_MS + keep_d * DAY_MS > now_ms:
            break
        try:
            if not await _drop_if_settled(connection, start_ms):
                continue
        except asyncpg.LockNotAvailableError:  # somebody reads the whole table: another time
            break
        dropped.append(f'{datetime.fromtimestamp(start_ms / 1000, UTC):%Y-%m-%d}')
    return dropped


async def unfinished_in(connection: Connection, start_ms: int) -> bool:
    """Return whether a day holds a message that is not final, or a receipt that is still due. Reads the whole day."""
    name = _name('message', start_ms)
    found: bool = await connection.fetchval(f'select exists (select from {name} where state = 1 or notice = 2)')
    return found


async def _drop_if_settled(connection: Connection, start_ms: int) -> bool:
    """Drop one day; return whether it was settled. Raises LockNotAvailableError when a reader is in the way."""
    name = _name('message', start_ms)
    async with connection.transaction():
        await connection.execute('set local enable_seqscan = on')
        if await unfinished_in(connection, start_ms):
            return False
        await connection.execute(_TALLY.format(name=name))
        await connection.execute(_SPENT.format(name=name))
        await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_MS}ms'")
        names = ', '.join(_name(table, start_ms) for table in _FILLFACTOR)
        await connection.execute(f'drop table if exists {names}')
    return True
