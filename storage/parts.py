"""The segments of messages that were split: which of them operators have taken, and what became of each."""

import msgspec

from storage import statements as sql
from storage.connection import Connection, StoreConnection
from storage.rows import PartOutcome, Segment

Known = dict[int, list[tuple[int, int, int]]]
"""(part, state, error) of the segments whose outcome is known, by message id."""


class Begun(msgspec.Struct, frozen=True):
    """What the store knows of messages that were begun: segments taken, and outcomes, by message id."""

    taken: dict[int, list[Segment]]
    known: Known


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
            return await _known(connection, ids)

        return await self._connection.run(insert)

    async def begun(self, ids: list[int]) -> Begun:
        """Return what is known of the segments of messages."""

        async def fetch(connection: Connection, doubtful: bool) -> Begun:
            found: dict[int, list[Segment]] = {}
            for row in await connection.fetch(sql.PARTS_TAKEN, ids, min(ids), max(ids)):
                found.setdefault(row['message_id'], []).append(Segment(**row))
            return Begun(found, await _known(connection, ids))

        return await self._connection.run(fetch)


async def _known(connection: Connection, ids: list[int]) -> Known:
    known: Known = {}
    for row in await connection.fetch(sql.PART_OUTCOMES, ids, min(ids), max(ids)):
        known.setdefault(row['message_id'], []).append((row['part'], row['state'], row['error']))
    return known
