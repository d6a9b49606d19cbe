"""What accounts submitted lately, as a start reads it back for those who remember it in memory.

Reading is in pages, oldest first, on a connection that nothing waits for.
"""

from collections.abc import AsyncIterator, Collection

import msgspec

from pdu.codec import decode
from pdu.pdus import SubmitSm
from storage.connection import Connection, StoreConnection
from storage.statements import statement

PAGE = 500  # some milliseconds of decoding, in which nothing else goes on
_BOUNDARY, _RECENT = statement('recent_boundary'), statement('recent')


class RecentMessage(msgspec.Struct, frozen=True, gc=False):
    """A message that was accepted, with the traffic category it had."""

    id: int
    account: str
    category: str
    pdu: SubmitSm


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
                found.append(RecentMessage(row['id'], row['account'], row['category'], pdu))
            return found

        return await self._reading.run(fetch)
