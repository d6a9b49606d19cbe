"""The segments of messages that were split: which of them operators have taken, and what became of each."""

from storage import statements as sql
from storage.connection import Connection, StoreConnection
from storage.rows import PartOutcome, Segment

Known = dict[int, list[tuple[int, int, int]]]
"""(part, state, error) of the segments whose outcome is known, by message id."""


class Parts:
    """The segments of split messages in PostgreSQL, on a connection of their own."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    async def record(self, outcomes: list[PartOutcome]) -> Known:
        """Commit what became of segments; return all that is known of their messages. A first outcome stays."""
        ids = list({outcome.message.id for outcome in outcomes})

        async def insert(connection: Connection, doubtful: bool) -> Known:
            await connection.execute(
                sql.RECORD_PARTS,
                [outcome.message.id for outcome in outcomes],
                [outcome.part for outcome in outcomes],
                [outcome.state for outcome in outcomes],
                [outcome.error for outcome in outcomes],
            )
            return await self._known(connection, ids)

        return await self._connection.run(insert)

    async def known(self, ids: list[int]) -> Known:
        """Return what became of segments of messages, by their ids."""
        return await self._connection.run(lambda connection, doubtful: self._known(connection, ids))

    @staticmethod
    async def _known(connection: Connection, ids: list[int]) -> Known:
        known: Known = {}
        for row in await connection.fetch(sql.PART_OUTCOMES, ids, min(ids), max(ids)):
            known.setdefault(row['message_id'], []).append((row['part'], row['state'], row['error']))
        return known

    async def taken(self, ids: list[int]) -> dict[int, list[Segment]]:
        """Return the segments that operators have taken of messages, by their ids."""

        async def fetch(connection: Connection, doubtful: bool) -> dict[int, list[Segment]]:
            found: dict[int, list[Segment]] = {}
            for row in await connection.fetch(sql.PARTS_TAKEN, ids, min(ids), max(ids)):
                found.setdefault(row['message_id'], []).append(Segment(**row))
            return found

        return await self._connection.run(fetch)
