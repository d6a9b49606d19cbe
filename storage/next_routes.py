"""What the store knows of messages that another upstream gets when one has not delivered them.

`message.next_upstream` says which one has it now: the state of a message's way over its upstreams is that and nothing
else. It changes in the transaction that puts the message on disk for that upstream, so that a crash finds it there.
"""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec

from domain.message import Message
from storage import statements as sql
from storage.connection import Connection, StoreConnection
from storage.rows import Waiting, message_of

InsertWaiting = Callable[[Connection, list[Waiting]], Awaitable[None]]


class Expected(msgspec.Struct, frozen=True):
    """A receipt that `upstream` is expected to send by `due_at`, Unix milliseconds."""

    message_id: int
    upstream: str
    due_at: int


class Missing(msgspec.Struct, frozen=True):
    """A receipt that has not come in time; `message` is None when it is final by now."""

    message_id: int
    upstream: str
    message: Message | None


class Next(msgspec.Struct, frozen=True):
    """A message that `upstream` gets; `before` got it the last time, '' where it has had none but its route's own.

    One that the route's own has `refused` has cost nothing yet.
    """

    waiting: Waiting
    upstream: str
    before: str
    refused: bool = False


class NextRoutes:
    """Begins those ways; `waiting` is the connection of all that happens to table `waiting`."""

    def __init__(self, node: int, waiting: StoreConnection, sweep: StoreConnection, insert: InsertWaiting) -> None:
        self._node = node
        self._waiting = waiting
        self._sweep = sweep
        self._insert = insert

    async def begin(self, entries: list[Next]) -> set[int]:
        """Commit that messages wait on disk for their next upstream; return the ids of those that do.

        The others are final, or another upstream has them already. Nothing is expected of the one before any more.
        """
        ids = [entry.waiting.message.id for entry in entries]
        span = min(ids), max(ids)

        async def update(connection: Connection, doubtful: bool) -> set[int]:
            async with connection.transaction():
                rows = await connection.fetch(
                    sql.BEGIN_NEXT,
                    ids,
                    *span,
                    [entry.upstream for entry in entries],
                    [entry.before for entry in entries],
                    doubtful,
                    [entry.refused for entry in entries],
                )
                begun = {row['id'] for row in rows}
                await connection.execute('delete from receipt_due where message_id = any($1::bigint[])', list(begun))
                await connection.execute(sql.DELETE_WAITING, list(begun), '')
                first = {entry.waiting.message.id: entry.waiting for entry in reversed(entries)}
                await self._insert(connection, [waiting for number, waiting in first.items() if number in begun])
            return begun

        return await self._waiting.run(update)

    async def expect(self, connection: Connection, expected: Sequence[Expected]) -> None:
        """Write when receipts are due, in the transaction that the caller has open."""
        await connection.execute(
            sql.EXPECT_RECEIPTS,
            [entry.message_id for entry in expected],
            self._node,
            [entry.upstream for entry in expected],
            [entry.due_at for entry in expected],
        )

    async def missing(self, now_ms: int, limit: int) -> list[Missing]:
        """Return receipts that are due, the oldest first; they are so until `begin` or `forget`."""

        async def fetch(connection: Connection, doubtful: bool) -> list[Missing]:
            rows = await connection.fetch(sql.RECEIPTS_DUE, self._node, now_ms, limit)
            return [Missing(row['message_id'], row['sent_by'], _taken_message_of(row)) for row in rows]

        return await self._sweep.run(fetch)

    async def forget(self, ids: list[int], due_by: int) -> None:
        """Expect nothing more of these that was due by `due_by`, Unix milliseconds."""

        async def delete(connection: Connection, doubtful: bool) -> None:
            await connection.execute(
                'delete from receipt_due where message_id = any($1::bigint[]) and due_at <= $2', ids, due_by
            )

        await self._sweep.run(delete)


def _taken_message_of(row: asyncpg.Record) -> Message | None:
    if row['id'] is None:
        return None
    message = message_of(row)
    message.segment_stored = True
    return message
