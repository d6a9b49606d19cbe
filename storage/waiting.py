"""Outboxes on disk: what waits in the table `waiting`, by lane, and how far lanes have been read."""

import asyncio
from collections.abc import Sequence
from typing import Any

from storage import statements as sql
from storage.amendments import search_of
from storage.connection import Connection, StoreConnection
from storage.rows import OF_UPSTREAMS, Depth, Expired, Fetched, Stretch, Waiting, waiting_message_of
from storage.takeover import Moved

READ_AT_ONCE = 400  # rows, some 3 ms; a page of 3,000 waits for as many turns of a busy loop as it has of these
MOST_ATTEMPTS = 32_767  # a smallint; every back-off has come to its end long before
_COLUMNS = (
    *('node', 'outbox', 'priority', 'due_at', 'expires_at'),
    *('account', 'message_id', 'attempts', 'search'),
)


class WaitingRecords:
    """The rows of one node. Every method but `insert` is one transaction; `Store` says how a lost one is repeated."""

    def __init__(self, node: int, connection: StoreConnection, sweep: StoreConnection, upkeep: StoreConnection) -> None:
        """`sweep` is for what reads a whole table, `upkeep` for what is small and rare."""
        self._node = node
        self._connection = connection
        self._sweep = sweep
        self._upkeep = upkeep

    async def put(self, entries: list[Waiting]) -> None:
        """Commit that messages wait on disk; the entry one had before is replaced."""

        columns = list(map(list, zip(*map(self._row, entries), strict=True)))

        async def replace(connection: Connection, doubtful: bool) -> None:
            await connection.execute(sql.PUT_WAITING, *columns)

        await self._connection.run(replace)

    async def insert(self, connection: Connection, entries: list[Waiting]) -> None:
        """Put messages on disk that have no entry there, in a transaction of the caller's."""
        if entries:
            rows = list(map(self._row, entries))
            await connection.copy_records_to_table('waiting', records=rows, columns=_COLUMNS)

    def _row(self, entry: Waiting) -> tuple[Any, ...]:
        message = entry.message
        return (
            self._node if entry.node is None else entry.node,
            entry.outbox,
            message.priority,
            entry.due_at,
            entry.expires_at,
            message.account,
            message.id,
            min(message.attempts, MOST_ATTEMPTS),
            search_of(entry),
        )

    async def fetch(self, outbox: str, stretches: Sequence[Stretch], due_by: int) -> list[list[Fetched]]:
        """Return what of these lanes of an outbox is due, each in its order; rows stay until their message has left.

        How far the lanes of an upstream were read is committed first: `mark_read` asks for it after a crash.
        """
        lanes = [(of.priority, of.account, *of.after, of.limit) for of in stretches]
        columns = list(map(list, zip(*lanes, strict=True)))

        async def fetch(connection: Connection, doubtful: bool) -> list[list[Fetched]]:
            pages: list[list[Fetched]] = [[] for _ in stretches]
            rows = await connection.fetch(sql.FETCH_WAITING, self._node, outbox, *columns, due_by)
            for number, row in enumerate(rows, 1):
                pages[row['lane'] - 1].append(Fetched(row['seq'], row['due_at'], waiting_message_of(row)))
                if number % READ_AT_ONCE == 0:
                    await asyncio.sleep(0)  # others have their turn: to decode a page takes as long as many responses
            if outbox.startswith(OF_UPSTREAMS):
                await self._note_read(connection, outbox, stretches, pages)
            return pages

        return await self._connection.run(fetch)

    async def _note_read(
        self, connection: Connection, outbox: str, stretches: Sequence[Stretch], pages: list[list[Fetched]]
    ) -> None:
        read = [(of, page[-1]) for of, page in zip(stretches, pages, strict=True) if page]
        if read:
            places = [(of.priority, of.account, last.due_at, last.seq) for of, last in read]
            await connection.execute(sql.NOTE_READ, self._node, outbox, *map(list, zip(*places, strict=True)))

    async def give(
        self, lane: tuple[str, int, str], node: int, now_ms: int, keep: list[int], limit: int
    ) -> list[Moved]:
        """Give up to `limit` of what is due in a lane (outbox, priority, account) to a node; return what.

        The messages in `keep` stay.
        """

        async def update(connection: Connection, doubtful: bool) -> list[Moved]:
            rows = await connection.fetch(sql.GIVE_WAITING, self._node, node, *lane, now_ms, keep, limit)
            return [Moved(*row) for row in rows]

        return await self._connection.run(update)

    async def count(self, now_ms: int) -> list[Depth]:
        """Return how much each lane on disk holds, and how much of it is due."""

        async def look(connection: Connection, doubtful: bool) -> list[Depth]:
            return [Depth(*row) for row in await connection.fetch(sql.COUNT_WAITING, self._node, now_ms)]

        return await self._sweep.run(look)

    async def lanes_with_more(self, lanes: list[tuple[str, int, str, int, int]]) -> list[tuple[str, int, str]]:
        """Return (outbox, priority, account) of those lanes (the same, due_at, seq) that hold rows after that place."""

        async def fetch(connection: Connection, doubtful: bool) -> list[tuple[str, int, str]]:
            rows = await connection.fetch(sql.LANES_WITH_MORE, self._node, *zip(*lanes, strict=True))
            return [tuple(row) for row in rows]

        return await self._connection.run(fetch)

    async def lanes(self) -> list[tuple[str, int, str]]:
        """Return all lanes (outbox, priority, account) that hold rows, in this order."""

        async def fetch(connection: Connection, doubtful: bool) -> list[tuple[str, int, str]]:
            return [tuple(row) for row in await connection.fetch(sql.LANES_ON_DISK, self._node)]

        return await self._connection.run(fetch)

    async def expired(self, now_ms: int, after: tuple[int, int], limit: int) -> list[Expired]:
        """Return a page of what ran out of time on disk after the place `after` (`Expired.place`), oldest first."""

        async def fetch(connection: Connection, doubtful: bool) -> list[Expired]:
            rows = await connection.fetch(sql.EXPIRED_WAITING, self._node, now_ms, *after, limit)
            return [Expired(row['outbox'], (row['waits_until'], row['id']), waiting_message_of(row)) for row in rows]

        return await self._connection.run(fetch)

    async def mark_read(self) -> None:
        """Commit that what the run before had read from the lanes of upstreams may have reached them before."""

        async def update(connection: Connection, doubtful: bool) -> None:
            await connection.execute(sql.MARK_READ, self._node)

        await self._sweep.run(update)

    async def forget_read(self) -> None:
        """Commit that nothing on disk is on its way: every submit has been accounted for, as after a clean stop."""

        async def delete(connection: Connection, doubtful: bool) -> None:
            await connection.execute('delete from lane_read where node = $1', self._node)

        await self._upkeep.run(delete)
