"""Taking a dead node's work over: what it had on disk changes its number, what only its memory knew is read.

Every step asks whether the node is still the taker's: it may have come back and begun a new epoch.
"""

import msgspec

from domain.errors import TakenBack
from domain.message import Message
from storage import statements as sql
from storage.connection import Connection, StoreConnection
from storage.membership import end_connections
from storage.rows import message_of


class Moved(msgspec.Struct, frozen=True):
    """What came to a lane of an outbox; `first_due_at` is in Unix milliseconds."""

    outbox: str
    priority: int
    account: str
    messages: int
    first_due_at: int


class Takeover:
    """The work of one dead node, on its way to another."""

    def __init__(self, connection: StoreConnection, taker: int, node: int) -> None:
        self.node = node
        self.taker = taker
        self.epoch = 0
        self._connection = connection

    async def claim(self, epoch: int, beat: int) -> bool:
        """Try to become the one who takes over; `epoch` and `beat` as they were seen to stand still."""

        async def update(connection: Connection, doubtful: bool) -> int:
            return await connection.fetchval(sql.CLAIM_NODE, self.node, epoch, beat, self.taker) or 0

        self.epoch = await self._connection.run(update)
        return bool(self.epoch)

    async def end_connections(self) -> None:
        """End what the dead node may still have running in the server."""

        async def end(connection: Connection, doubtful: bool) -> None:
            await end_connections(connection, self.node)

        await self._connection.run(end)

    async def mark_read(self) -> None:
        """Commit that what it had read from the lanes of upstreams may have reached them."""

        async def update(connection: Connection, doubtful: bool) -> None:
            async with connection.transaction():
                await self._lock(connection)
                await connection.execute(sql.MARK_READ, self.node)

        await self._connection.run(update)

    async def take_waiting(self, limit: int) -> list[Moved]:
        """Take up to `limit` of what it had on disk; return how much came to which lane, nothing at the end."""

        async def update(connection: Connection, doubtful: bool) -> list[Moved]:
            async with connection.transaction():
                await self._lock(connection)
                return [Moved(*row) for row in await connection.fetch(sql.TAKE_WAITING, self.node, self.taker, limit)]

        return await self._connection.run(update)

    async def unfinished(self, limit: int) -> list[tuple[Message, bool]]:
        """Return a page of what only its memory knew, in order of ids, each with whether an operator has taken all of
        it.
        """

        async def fetch(connection: Connection, doubtful: bool) -> list[tuple[Message, bool]]:
            low_water = await self._lock(connection)
            return await read_unfinished(connection, self.node, low_water - 1, None, limit)

        return await self._connection.run(fetch)

    async def raise_low_water(self, above_id: int) -> None:
        """Commit that everything up to `above_id` is taken over."""

        async def update(connection: Connection, doubtful: bool) -> None:
            async with connection.transaction():
                await self._lock(connection)
                await connection.execute('update node set low_water = $2 where node = $1', self.node, above_id + 1)

        await self._connection.run(update)

    async def finish(self) -> None:
        """Commit that all of it is taken over."""

        async def update(connection: Connection, doubtful: bool) -> None:
            async with connection.transaction():
                await self._lock(connection)
                await connection.execute('update receipt_due set node = $2 where node = $1', self.node, self.taker)
                await connection.execute('update node set is_taken = true where node = $1', self.node)

        await self._connection.run(update)

    async def _lock(self, connection: Connection) -> int:
        """Keep the node from coming back until the transaction ends; return its low-water mark. Raises TakenBack."""
        low_water: int | None = await connection.fetchval(
            'select low_water from node where node = $1 and epoch = $2 for share', self.node, self.epoch
        )
        if low_water is None:
            raise TakenBack(self.node)
        return low_water


async def read_unfinished(
    connection: Connection, node: int, above: int, up_to: int | None, limit: int
) -> list[tuple[Message, bool]]:
    """Return a page of the unfinished messages of a node that are not on disk, each with whether it was taken whole."""
    rows = await connection.fetch(sql.UNFINISHED, above, up_to if up_to is not None else (1 << 63) - 1, limit, node)
    if not rows:
        return []
    taken = await connection.fetch(
        'select message_id from segment where message_id between $1 and $2'
        ' group by message_id having count(distinct part) >= max(parts)',
        rows[0]['id'],
        rows[-1]['id'],
    )
    sent = {row[0] for row in taken}
    return [(message_of(row), row['id'] in sent) for row in rows]
