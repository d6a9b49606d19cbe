"""Receipts whose message is not in memory: the message behind a segment, and receipts parked until one is known."""

from collections.abc import Sequence

from storage import statements as sql
from storage.connection import Connection, StoreConnection
from storage.rows import Located, ParkedReceipt, message_of


class ReceiptRecords:
    """What the store knows for receipts, on connections of their own."""

    def __init__(self, find: StoreConnection, unpark: StoreConnection, sweep: StoreConnection) -> None:
        self._find = find
        self._unpark = unpark
        self._sweep = sweep

    async def find(self, keys: Sequence[tuple[str, str]]) -> list[Located | None]:
        """Return the message behind each (upstream, upstream_message_id), None where there is none."""

        async def find(connection: Connection, doubtful: bool) -> list[Located | None]:
            rows = await connection.fetch(
                sql.FIND_BY_SEGMENT, [key[0] for key in keys], [key[1] for key in keys], list(range(len(keys)))
            )
            found: list[Located | None] = [None] * len(keys)
            for row in rows:
                message = message_of(row)
                message.upstream, message.upstream_message_id = keys[row['place']]
                message.segment_stored = True
                found[row['place']] = Located(message, row['part'], row['parts'])
            return found

        return await self._find.run(find)

    async def park(self, receipts: list[ParkedReceipt]) -> None:
        """Commit receipts that no message is known for."""
        rows = [(r.upstream, r.upstream_message_id, r.received_at, r.state, r.error) for r in receipts]

        async def insert(connection: Connection, doubtful: bool) -> None:
            await connection.executemany(
                'insert into parked_receipt (upstream, upstream_message_id, received_at, state, error)'
                ' values ($1, $2, $3, $4, $5)',
                rows,
            )

        await self._find.run(insert)

    async def take_parked(self, since_ms: int, limit: int) -> list[ParkedReceipt]:
        """Return parked receipts that came after `since_ms`, oldest first."""

        async def select(connection: Connection, doubtful: bool) -> list[ParkedReceipt]:
            rows = await connection.fetch(
                'select upstream, upstream_message_id, received_at, state, error, seq from parked_receipt'
                ' where received_at >= $1 order by seq limit $2',
                since_ms,
                limit,
            )
            return [ParkedReceipt(*row) for row in rows]

        return await self._find.run(select)

    async def drop_parked(self, keys: Sequence[tuple[str, str]]) -> None:
        """Forget parked receipts whose message was found."""

        async def delete(connection: Connection, doubtful: bool) -> None:
            await connection.execute(
                'delete from parked_receipt p using unnest($1::text[], $2::text[]) as u(upstream, id)'
                ' where p.upstream = u.upstream and p.upstream_message_id = u.id',
                [key[0] for key in keys],
                [key[1] for key in keys],
            )

        await self._unpark.run(delete)

    async def drop_old_parked(self, before_ms: int) -> None:
        """Forget parked receipts that came before `before_ms` (Unix milliseconds): their message is not ours."""

        async def delete(connection: Connection, doubtful: bool) -> None:
            await connection.execute('delete from parked_receipt where received_at < $1', before_ms)

        await self._sweep.run(delete)
