"""What accounts submitted lately, as a start reads it back for those who remember it in memory.

Reading is in pages, oldest first, on a connection that nothing waits for.
"""

import uuid
from collections.abc import AsyncIterator, Collection

import asyncpg
import msgspec

from domain.message import Asked, Kind, Message
from pdu.codec import decode
from pdu.pdus import SubmitSm
from storage.connection import Connection, StoreConnection
from storage.statements import statement

PAGE = 500  # some milliseconds of decoding, in which nothing else goes on
_BOUNDARY, _RECENT, _PARTS = statement('recent_boundary'), statement('recent'), statement('recent_parts')
_HELD = statement('recent_held')


class RecentMessage(msgspec.Struct, frozen=True, gc=False):
    """A message that was accepted, with the traffic category it had, and the sender its ESME wrote if that is not its
    PDU's; `held` when it is a part that waits for others, to be judged with them.
    """

    id: int
    account: str
    category: str
    pdu: SubmitSm
    asked_source_addr: str | None = None
    held: bool = False


class RecentPart(msgspec.Struct, frozen=True, gc=False):
    """A message that went to an upstream, and may be a part that its ESME made; `asked` as in `domain.message.Message`.

    `upstream` is the one it went to, or was to go to.
    """

    id: int
    account: str
    upstream: str
    route: str
    priority: int
    category: str
    pdu: SubmitSm
    asked: Asked | None


class RecentMessages:
    """Reads them."""

    def __init__(self, reading: StoreConnection) -> None:
        self._reading = reading

    async def pages(
        self, accounts: Collection[str], above: int, up_to: int, most: int
    ) -> AsyncIterator[list[RecentMessage]]:
        """Yield the last `most` messages of these accounts with ids above one and up to another, oldest first."""
        names = list(accounts)
        above = max(above, await self._boundary(names, above, up_to, most))
        while page := await self._page(names, above, up_to):
            above = page[-1].id
            yield page

    async def parts(self, above: int, up_to: int, most: int) -> list[RecentPart]:
        """Return the last `most` parts with ids above one and up to another, oldest first."""
        found: list[RecentPart] = []
        below = up_to + 1
        while len(found) < most and (page := await self._page_of_parts(above, below)):
            found += page
            below = page[-1].id
        return found[most - 1 :: -1] if len(found) > most else found[::-1]

    async def hash_key(self) -> bytes:
        """Return the secret that all nodes on this store make their hashes of messages with, 16 octets."""

        async def fetch(connection: Connection, doubtful: bool) -> bytes:
            await connection.execute('insert into cluster_key default values on conflict do nothing')
            key: uuid.UUID = await connection.fetchval('select key from cluster_key')
            return key.bytes

        return await self._reading.run(fetch)

    async def held(self, ids: Collection[int], give_up_s: float) -> dict[int, Message]:
        """Return those of these messages by id that are parts which wait for others. Raises StoreUnavailable."""

        async def fetch(connection: Connection, doubtful: bool) -> dict[int, Message]:
            return {row['id']: _held_of(row) for row in await connection.fetch(_HELD, list(ids))}

        return await self._reading.run(fetch, give_up_s)

    async def _page_of_parts(self, above: int, below: int) -> list[RecentPart]:
        async def fetch(connection: Connection, doubtful: bool) -> list[RecentPart]:
            return [_part_of(row) for row in await connection.fetch(_PARTS, above, below, PAGE)]

        return await self._reading.run(fetch)

    async def _boundary(self, accounts: list[str], above: int, up_to: int, most: int) -> int:
        async def fetch(connection: Connection, doubtful: bool) -> int:
            return await connection.fetchval(_BOUNDARY, above, up_to, accounts, most) or 0

        return await self._reading.run(fetch)

    async def _page(self, accounts: list[str], above: int, up_to: int) -> list[RecentMessage]:
        async def fetch(connection: Connection, doubtful: bool) -> list[RecentMessage]:
            found = []
            for row in await connection.fetch(_RECENT, above, up_to, accounts, PAGE):
                pdu = decode(row['pdu'])
                assert isinstance(pdu, SubmitSm)
                sender = _sender_asked(row['asked'])
                found.append(RecentMessage(row['id'], row['account'], row['category'], pdu, sender, row['held']))
            return found

        return await self._reading.run(fetch)


def _part_of(row: asyncpg.Record) -> RecentPart:
    pdu = decode(row['pdu'])
    assert isinstance(pdu, SubmitSm)
    asked = msgspec.json.decode(row['asked'], type=Asked) if row['asked'] else None
    return RecentPart(
        row['id'], row['account'], row['upstream'], row['route'], row['priority'], row['category'], pdu, asked
    )


def _held_of(row: asyncpg.Record) -> Message:
    pdu = decode(row['pdu'])
    assert isinstance(pdu, SubmitSm)
    message = Message(row['id'], Kind.MT, row['account'], '', pdu, 0, 0)
    message.asked = msgspec.json.decode(row['asked'], type=Asked) if row['asked'] else None
    return message


def _sender_asked(asked: str) -> str | None:
    return msgspec.json.decode(asked, type=Asked).source_addr.decode('latin-1') if asked else None
