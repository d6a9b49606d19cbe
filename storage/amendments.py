"""What query_sm, cancel_sm and replace_sm ask of PostgreSQL: messages by id or by address, and their replacement."""

from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

import asyncpg
import msgspec

from domain.errors import Refused
from domain.ids import TIME_SHIFT
from domain.message import Kind, Message
from pdu.status import CommandStatus
from storage import statements as sql
from storage.connection import Connection, StoreConnection
from storage.questions import MAX_ID, Questions
from storage.rows import OF_UPSTREAMS, Waiting, waiting_message_of

SHARED_SPAN = 60_000 << TIME_SHIFT  # of ids: the messages of one submit_multi are accepted within a minute
_DIGEST_OCTETS = 8

InsertWaiting = Callable[[Connection, list[Waiting]], Awaitable[None]]
PayMore = Callable[[Connection, str, int], Awaitable[bool]]


def search_key(account: str, source_addr: bytes, destination_addr: bytes) -> int:
    """Return what the addresses of a message are looked up by, the same in every run: 1 to 2**63 - 1.

    Different addresses may have the same one: compare what is found.
    """
    digest = blake2b(b'\0'.join((account.encode(), source_addr, destination_addr)), digest_size=_DIGEST_OCTETS)
    return int.from_bytes(digest.digest(), 'big') & MAX_ID or 1


def search_of(entry: Waiting) -> int:
    """Return the `search` of a row of table `waiting`: 0 for what does not wait for an operator."""
    if not entry.outbox.startswith(OF_UPSTREAMS) or entry.message.kind != Kind.MT:
        return 0
    pdu = entry.message.pdu
    asked = entry.message.asked or pdu  # the sender that its ESME knows, not one that was put in
    return search_key(entry.message.account, asked.source_addr, pdu.destination_addr)


class QueuedRow(msgspec.Struct, frozen=True):
    """A message that waits on disk for an upstream; `begun` when an operator has taken a segment of it."""

    message: Message
    outbox: str
    due_at: int
    begun: bool


class Amending:
    """The messages in PostgreSQL as their ESMEs ask for them and change them."""

    def __init__(
        self, node: int, asking: StoreConnection, waiting: StoreConnection, insert: InsertWaiting, pay_more: PayMore
    ) -> None:
        """Questions go by `asking`; `waiting` is the connection of all that happens to table `waiting`.

        `pay_more` takes from an account's credit what a message is worth more than before; False if it cannot.
        """
        self._node = node
        self._questions = Questions(asking)
        self._waiting = waiting
        self._insert = insert
        self._pay_more = pay_more

    async def find(self, message_id: int, account: str) -> list[Message]:
        """Return an account's MT messages that go by an id, oldest first: several where submit_multi gave it.

        The same messages may be given to others who ask: they are not to be changed.
        """
        return await self._questions.ask((message_id, account, min(message_id + SHARED_SPAN, MAX_ID)))

    async def close(self) -> None:
        """Ask no more."""
        await self._questions.close()

    async def waiting_of(self, ids: Sequence[int]) -> list[QueuedRow]:
        """Return those of these messages that wait on disk for an upstream and are not final."""

        async def fetch(connection: Connection, doubtful: bool) -> list[QueuedRow]:
            rows = await connection.fetch(sql.QUEUED_BY_ID, self._node, list(ids), min(ids), max(ids))
            return list(map(_queued_row, rows))

        return await self._waiting.run(fetch)

    async def waiting_alike(self, search: int, below_id: int, limit: int) -> list[QueuedRow]:
        """Return a page of what waits on disk under a `search_key`, ids below `below_id`, newest first."""

        async def fetch(connection: Connection, doubtful: bool) -> list[QueuedRow]:
            rows = await connection.fetch(sql.QUEUED_ALIKE, self._node, search, below_id, limit)
            return list(map(_queued_row, rows))

        return await self._waiting.run(fetch)

    async def replace(self, changes: Sequence[tuple[Message, Waiting | None]]) -> frozenset[int]:
        """Commit that queued messages are now these, and where each waits if that is new: all of it or nothing.

        `octets` of their PDUs go into the store. Returns the ids of those that changed; the others are final. Raises
        Refused when an account's credit does not pay for what its messages have grown by.
        """

        async def update(connection: Connection, doubtful: bool) -> frozenset[int] | None:
            try:
                async with connection.transaction():
                    rows = [await self._replace(connection, message, place) for message, place in changes]
                    await self._pay(connection, [row for row in rows if row is not None])
                    return frozenset([row['id'] for row in rows if row is not None])
            except _CreditExhausted:
                return None

        changed = await self._waiting.run(update)
        if changed is None:
            raise Refused(CommandStatus.ESME_RREPLACEFAIL, 'no credit for more segments')
        return changed

    async def _pay(self, connection: Connection, rows: list[asyncpg.Record]) -> None:
        """Let accounts pay for what messages have grown by; last, as whoever holds a credit waits for no message."""
        amounts: dict[str, int] = {}
        for row in rows:
            if row['more'] and row['charge'] > 0:
                amounts[row['account']] = amounts.get(row['account'], 0) + row['more']
        for account, more in sorted(amounts.items()):
            if more and not await self._pay_more(connection, account, more):
                raise _CreditExhausted

    async def _replace(
        self, connection: Connection, message: Message, waiting: Waiting | None
    ) -> asyncpg.Record | None:
        row = await connection.fetchrow(
            sql.REPLACE_MESSAGE,
            message.id,
            message.pdu.octets,
            message.priority,
            message.route,
            message.expires_at,
            message.notice,
            message.segments,
            message.reference,
        )
        if row is None:
            return None
        message.charge, message.price, message.cost = row['charge'], row['price'], row['cost']
        if waiting is not None:
            await connection.execute(sql.DELETE_WAITING, [message.id], '')
            await self._insert(connection, [waiting])
        elif message.stored_wait:
            await connection.execute(
                'update waiting set expires_at = $2, priority = $3 where message_id = $1',
                message.id,
                message.expires_at,
                message.priority,
            )
        return row


class _CreditExhausted(Exception):
    """The transaction is to be rolled back."""


def _queued_row(row: asyncpg.Record) -> QueuedRow:
    return QueuedRow(waiting_message_of(row), row['outbox'], row['due_at'], row['begun'])
