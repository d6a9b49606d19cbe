"""Stop-lists in PostgreSQL, as commands change them and as servers follow them.

Every change is one transaction that gives its list a new version and locks it until the commit, so versions are
committed in their order: whoever has read up to one has missed nothing before it. Entries are (prefix, number): with
`prefix`, `number` is only how numbers begin. Entries that were taken off stay for a day as `removed`: a server
that has not looked for longer reads its lists anew.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec

from domain.errors import StoreUnavailable
from storage.audit import record
from storage.connection import Connection, StoreConnection
from storage.migrations import migrate
from storage.statements import MIGRATIONS, statement

Entry = tuple[bool, int]
"""(prefix, number): `(False, 79161234567)`, or `(True, 7900)` for all numbers that begin with 7900."""

Ending = tuple[bool, int, int | None]
"""The same with its end, Unix milliseconds, 0 for good; None for that of the change."""

LOCK_TIMEOUT_MS = 2_000
"""How long a server waits for a list that a command is writing; it goes on without, and comes again."""

PAGE = 2_000  # rows that are dealt with at a time, so that others have their turn
DAY_MS = 86_400_000
MAX_NOTE = 200

_PUT, _TAKE, _TAKE_OTHERS = statement('stop_put'), statement('stop_take'), statement('stop_take_others')
_MARKS = statement('stop_marks')
_EXPIRE, _EXPIRED_LISTS = statement('stop_expire'), statement('stop_expired_lists')
_CHANGES, _LOAD, _SHOW, _LISTS = (statement(f'stop_{name}') for name in ('changes', 'load', 'show', 'lists'))
_PURGE, _PURGE_MARKS = statement('stop_purge'), statement('stop_purge_marks')
_SIZES = """
    select (select count(*) from stop_entry where list = $1 and not removed),
        (select count(*) from (select distinct prefix, number from stop_incoming) incoming)
"""
_INCOMING = """
    create temporary table stop_incoming (prefix boolean, number bigint, until bigint) on commit drop;
    create temporary table stop_incoming_mark (until bigint, mark integer) on commit drop
"""
_BROUGHT = 'drop table stop_incoming, stop_incoming_mark'
_COLUMNS = ('prefix', 'number', 'until')
_NEW_VERSION = """
    insert into stop_list (name, version) values ($1, 1)
    on conflict (name) do update set version = stop_list.version + 1 returning id, version
"""


class Change(msgspec.Struct, frozen=True):
    """Who changes a list, when and why; `until_ms` 0 for good. Times are Unix milliseconds. What is done `by_hand` goes
    into the audit, in the same transaction, if it changes anything.
    """

    who: str
    now_ms: int
    note: str = ''
    until_ms: int = 0
    by_hand: bool = False


class StopListError(Exception):
    """A change by hand that is refused, or a list that is not there; the text says why and what to do."""


class StoredMark(msgspec.Struct, frozen=True):
    """When and why entries came onto a list."""

    id: int
    since_ms: int
    until_ms: int
    note: str


class Shown(msgspec.Struct, frozen=True):
    """Where a number stands; when `removed`, the rest tells of its removal."""

    name: str
    prefix: bool
    number: int
    removed: bool
    since_ms: int
    until_ms: int
    note: str
    who: str


class Counted(msgspec.Struct, frozen=True):
    """A list, and how much it holds; `changed_ms` None when it never held anything."""

    name: str
    numbers: int
    prefixes: int
    changed_ms: int | None


@asynccontextmanager
async def opened(connect_arguments: dict[str, Any]) -> AsyncIterator[Connection]:
    """Connect for a command; the tables are made if no server has done so yet."""
    connection = await asyncpg.connect(**connect_arguments)
    try:
        await migrate(connection, MIGRATIONS)
        yield connection
    finally:
        await connection.close()


async def put(
    connection: Connection,
    name: str,
    pages: Iterable[Sequence[Entry | Ending]],
    change: Change,
    replace: bool = False,
    force: bool = False,
) -> tuple[int, int]:
    """Put entries on a list, which is made if there is none; with `replace` all others are taken off.

    Entries may have ends of their own, else they have that of the change.

    Returns how many were put on, or changed, and how many were taken off. Entries that are on the list already with the
    same note and end stay as they are, and since when. All of it happens or nothing, in a transaction that the caller
    may have open. Raises StopListError where `replace` would leave less than half of what is on the list, without
    `force`: a file that was cut short looks like that.
    """
    async with connection.transaction():
        await _bring(connection, pages)
        list_id, version = await connection.fetchrow(_NEW_VERSION, name)  # type: ignore[misc]
        if replace and not force:
            await _check_shrinking(connection, name, list_id)
        note, who = change.note[:MAX_NOTE], change.who[:MAX_NOTE]
        await connection.execute(_MARKS, change.now_ms, change.until_ms, note, who)
        came = _count(await connection.execute(_PUT, list_id, version, note, change.until_ms))
        went = 0
        if replace:
            went = _count(await connection.execute(_TAKE_OTHERS, list_id, await _mark(connection, change), version))
        await connection.execute(_BROUGHT)
        if came or went:
            what = f'{came} put on' + (f', {went} taken off' if replace else '')
            await _audit(connection, name, what, change, change.note)
        return came, went


async def take(connection: Connection, name: str, entries: Sequence[Entry], change: Change) -> int:
    """Take entries off a list; return how many were on it."""
    async with connection.transaction():
        if not await connection.fetchval('select true from stop_list where name = $1', name):
            return 0
        await _bring(connection, [entries])
        list_id, version = await connection.fetchrow(_NEW_VERSION, name)  # type: ignore[misc]
        mark = await _mark(connection, change)
        went = _count(await connection.execute(_TAKE, list_id, mark, version))
        await connection.execute(_BROUGHT)
        if went:
            some = ', '.join(shown(*entry) for entry in entries[:10]) + (', ...' if len(entries) > 10 else '')
            await _audit(connection, name, f'{went} taken off', change, f'{some} {change.note}'.strip())
        return went


async def _bring(connection: Connection, pages: Iterable[Sequence[Entry | Ending]]) -> None:
    await connection.execute(_INCOMING)
    for page in pages:
        if page:
            columns = _COLUMNS[: len(page[0])]
            await connection.copy_records_to_table('stop_incoming', records=page, columns=columns)


async def _check_shrinking(connection: Connection, name: str, list_id: int) -> None:
    before, after = await connection.fetchrow(_SIZES, list_id)  # type: ignore[misc]
    if 2 * after < before:
        raise StopListError(
            f'{name} has {before} entries, and would have {after}: is the file whole? Nothing was changed; '
            'if the list is to shrink like that, give --force'
        )


async def _audit(connection: Connection, name: str, what: str, change: Change, details: str) -> None:
    if change.by_hand:
        await record(connection, change.who, f'stop-list {name}: {what}', details)


async def _mark(connection: Connection, change: Change) -> int:
    found = await connection.fetchval(
        'insert into stop_mark (since, until, note, who) values ($1, $2, $3, $4) returning id',
        change.now_ms,
        change.until_ms,
        change.note[:MAX_NOTE],
        change.who[:MAX_NOTE],
    )
    return int(found)


def _count(status: str) -> int:
    return int(status.rpartition(' ')[2])


async def show(connection: Connection, digits: str) -> list[Shown]:
    """Return where a number stands, by lists."""
    rows = await connection.fetch(_SHOW, int(digits), [int(digits[:length]) for length in range(1, len(digits) + 1)])
    return [Shown(*row) for row in rows]


async def lists(connection: Connection) -> list[Counted]:
    """Return all lists."""
    return [Counted(*row) for row in await connection.fetch(_LISTS)]


async def entries_of(connection: Connection, name: str) -> AsyncIterator[list[tuple[Any, ...]]]:
    """Yield pages of (prefix, number, since, until, note) of a list, in order. Raises StopListError without it."""
    async with connection.transaction():
        if not await connection.fetchval('select true from stop_list where name = $1', name):
            names = [row['name'] for row in await connection.fetch('select name from stop_list order by name limit 20')]
            raise StopListError(f'there is no list {name}; there are: {", ".join(names) or "none yet"}')
        cursor = await connection.cursor(
            'select prefix, number, since, until, note from stop_entry join stop_mark on stop_mark.id = mark'
            ' where list = (select id from stop_list where name = $1) and not removed order by prefix, number',
            name,
        )
        while rows := await cursor.fetch(PAGE):
            yield [tuple(row) for row in rows]


def shown(prefix: bool, number: int) -> str:
    """Return an entry as people write it."""
    return f'{number}*' if prefix else str(number)


class StopListRecords:
    """Stop-lists as a server follows them, on a connection of its own."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    async def versions(self) -> dict[str, int]:
        """Return the version of each list."""

        async def fetch(connection: Connection, doubtful: bool) -> dict[str, int]:
            return {
                row['name']: row['version'] for row in await connection.fetch('select name, version from stop_list')
            }

        return await self._connection.run(fetch)

    async def read(self, name: str, begin: Callable[[], None], take_page: Callable[[list[Any]], Any]) -> None:
        """Give a whole list to `take_page`, in pages of (prefix, number, mark), its numbers in order.

        `begin` is called before the first page, and again when a broken connection makes it begin anew.
        """
        await self._connection.run(lambda c, doubtful: _read(c, begin, take_page, _LOAD, name))

    async def changes(self, name: str, above: int, up_to: int, take_page: Callable[[list[Any]], Any]) -> None:
        """Give what changed between two versions to `take_page`, in pages of (prefix, number, mark, removed,
        since, until, note), where the last three are of the mark.

        A page may come twice.
        """
        await self._connection.run(lambda c, doubtful: _read(c, _nothing, take_page, _CHANGES, name, above, up_to))

    async def marks(self, ids: list[int]) -> list[StoredMark]:
        """Return these marks."""

        async def fetch(connection: Connection, doubtful: bool) -> list[StoredMark]:
            rows = await connection.fetch(
                'select id, since, until, note from stop_mark where id = any($1::integer[])', ids
            )
            return [StoredMark(*row) for row in rows]

        return await self._connection.run(fetch)

    async def put(self, name: str, numbers: Sequence[int], change: Change) -> int:
        """Put numbers on a list; return how many are new on it. After a doubtful commit they count as there.

        Raises StoreUnavailable while a command is writing that list.
        """
        entries = [(False, number) for number in numbers]

        async def insert(connection: Connection, doubtful: bool) -> int:
            async with _brief(connection):
                return (await put(connection, name, [entries], change))[0]

        return await self._connection.run(insert)

    async def expire(self, now_ms: int) -> int:
        """Take off what ran out, and forget what was taken off a day ago; return how many ran out.

        Raises StoreUnavailable as `put` does.
        """

        async def clean(connection: Connection, doubtful: bool) -> int:
            async with _brief(connection):
                await connection.execute(_PURGE, now_ms - DAY_MS)
                await connection.execute(_PURGE_MARKS, now_ms - 2 * DAY_MS)
                names = [row['name'] for row in await connection.fetch(_EXPIRED_LISTS, now_ms)]
                return sum([await _expire(connection, name, now_ms) for name in names])

        return await self._connection.run(clean)


@asynccontextmanager
async def _brief(connection: Connection) -> AsyncIterator[None]:
    """Do not wait for a list that a command is writing: that may take minutes, and says nothing about the store."""
    await connection.execute(f'set lock_timeout = {LOCK_TIMEOUT_MS}')
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise StoreUnavailable('a command is writing a stop-list; it is tried again later') from error


async def _expire(connection: Connection, name: str, now_ms: int) -> int:
    async with connection.transaction():
        list_id, version = await connection.fetchrow(_NEW_VERSION, name)  # type: ignore[misc]
        mark = await _mark(connection, Change('smsc', now_ms, 'ran out'))
        return _count(await connection.execute(_EXPIRE, list_id, mark, version, now_ms))


async def _read(
    connection: Connection,
    begin: Callable[[], None],
    take_page: Callable[[list[Any]], Any],
    query: str,
    name: str,
    *arguments: int,
) -> None:
    begin()
    async with connection.transaction():
        list_id = await connection.fetchval('select id from stop_list where name = $1', name)
        cursor = await connection.cursor(query, list_id, *arguments)
        while rows := await cursor.fetch(PAGE):
            take_page(rows)


def _nothing() -> None:
    """Nothing to begin anew."""
