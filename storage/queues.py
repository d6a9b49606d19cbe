"""What people ask and change of queues on disk: how deep they are, their lanes page by page, the record of the work."""

from typing import Any

import asyncpg
import msgspec

from domain.message import Message
from storage.audit import bounded
from storage.connection import Connection, StoreConnection
from storage.rows import waiting_message_of
from storage.statements import statement

COUNTED = 1_000_000  # of each lane; beyond it there are 'more than' so many
LANES = 10_000
TIMEOUT_S = 30.0
GIVE_UP_S = 10.0
_DEPTHS = statement('queue_depths')
_PAGE = statement('queue_page')
_BEGUN = statement('queue_begun')
_COUNT_AT_REST = statement('count_at_rest')


class DepthOnDisk(msgspec.Struct, frozen=True):
    """What one lane of one node has on disk, also what memory holds of it: `due`, and `later`.

    Neither is counted beyond COUNTED, and is COUNTED + 1 then. `head_id` is of the first message in line.
    """

    node: int
    outbox: str
    priority: int
    account: str
    due: int
    later: int
    head_id: int


class LaneRow(msgspec.Struct, frozen=True):
    """A message that waits on disk, with its place in its lane; `begun` when an operator has taken a segment of it."""

    seq: int
    due_at: int
    begun: bool
    message: Message


async def read_depths(
    connect_arguments: dict[str, Any],
    now_ms: int,
    outbox: str | None = None,
    account: str | None = None,
    priority: int | None = None,
) -> list[DepthOnDisk]:
    """Return the lanes on disk of all nodes, LANES at most; None stands for all of them.

    On a connection of its own, with asyncpg's arguments. Raises asyncpg's errors, QueryCanceledError after TIMEOUT_S.
    """
    connection = await asyncpg.connect(**connect_arguments)
    try:
        await connection.execute(f'set statement_timeout = {int(TIMEOUT_S * 1000)}')
        rows = await connection.fetch(_DEPTHS, now_ms, COUNTED + 1, outbox, account, priority, LANES)
    finally:
        await connection.close()
    return [DepthOnDisk(*row) for row in rows]


class QueuesOnDisk:
    """The same of a running server; `waiting` is the connection of all that happens to table `waiting`."""

    def __init__(self, node: int, waiting: StoreConnection, upkeep: StoreConnection) -> None:
        self._node = node
        self._waiting = waiting
        self._upkeep = upkeep

    async def page(
        self, outbox: str, lane: tuple[int, str], after: tuple[int, int], limit: int, give_up_s: float = GIVE_UP_S
    ) -> list[LaneRow]:
        """Return up to `limit` messages of a lane (priority, account) after a place (due_at, seq), due or not.

        Raises StoreUnavailable after `give_up_s` seconds.
        """

        async def fetch(connection: Connection, doubtful: bool) -> list[LaneRow]:
            rows = await connection.fetch(_PAGE, self._node, outbox, *lane, *after, limit)
            begun = await _begun(connection, [row['id'] for row in rows])
            return [LaneRow(row['seq'], row['due_at'], row['id'] in begun, waiting_message_of(row)) for row in rows]

        return await self._waiting.run(fetch, give_up_s)

    async def count_at_rest(self, in_memory: list[int], limit: int) -> dict[str, int] | None:
        """Return by account how many messages wait on disk for upstreams, without those that memory holds.

        None when there are `limit` of them or more.
        """

        async def fetch(connection: Connection, doubtful: bool) -> dict[str, int]:
            rows = await connection.fetch(_COUNT_AT_REST, self._node, in_memory, limit)
            return {row[0]: row[1] for row in rows}

        counts = await self._waiting.run(fetch)
        return counts if sum(counts.values()) < limit else None

    async def begin_record(self, who: str, what: str) -> int:
        """Commit to the audit that somebody begins work on a queue; return the number of the entry."""

        async def insert(connection: Connection, doubtful: bool) -> int:
            seq: int = await connection.fetchval(
                "insert into audit (who, what, details) values ($1, $2, 'begun') returning seq",
                bounded(who),
                bounded(what),
            )
            return seq

        return await self._upkeep.run(insert, GIVE_UP_S)

    async def note_record(self, seq: int, details: str) -> None:
        """Commit how far that work has come."""

        async def update(connection: Connection, doubtful: bool) -> None:
            await connection.execute(
                "update audit set details = $2 where seq = $1 and what like 'queue %'", seq, bounded(details)
            )

        await self._upkeep.run(update, GIVE_UP_S)


async def _begun(connection: Connection, ids: list[int]) -> set[int]:
    if not ids:
        return set()
    return {row['message_id'] for row in await connection.fetch(_BEGUN, ids, min(ids), max(ids))}
