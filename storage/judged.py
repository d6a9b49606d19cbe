"""What is decided about messages after they were accepted: parts that were held until all of them were there."""

import msgspec

from domain.charges import CHARGED
from domain.message import Message
from storage.connection import Connection, StoreConnection
from storage.credit import Credit
from storage.statements import statement

_RECORD = statement('record_judged')


class Judged(msgspec.Struct, gc=False):
    """A message with its way, and the price that it was accepted with; `paid` turns False when no credit bears more."""

    message: Message
    accepted_price: int
    paid: bool = True


class JudgedRecords:
    """Writes them."""

    def __init__(self, connection: StoreConnection, credit: Credit) -> None:
        self._connection = connection
        self._credit = credit

    async def record(self, judged: list[Judged]) -> None:
        """Commit ways and prices; those whose difference in price their credit does not bear keep the old one."""

        async def write(connection: Connection, doubtful: bool) -> None:
            async with connection.transaction():
                if not (doubtful and await self._is_done(connection, judged)):
                    for one in judged:
                        await self._pay(connection, one)
                    await connection.execute(_RECORD, *_columns([one.message for one in judged]))

        await self._connection.run(write)

    async def _is_done(self, connection: Connection, judged: list[Judged]) -> bool:
        """Return whether a commit that was in doubt is through: all of it is, or nothing."""
        message = judged[0].message
        row = await connection.fetchrow('select route, decision from message where id = $1', message.id)
        return row is not None and (row['route'], row['decision']) == (message.route, message.decision)

    async def _pay(self, connection: Connection, one: Judged) -> None:
        message = one.message
        more = message.price - one.accepted_price
        if not (more and message.charge & CHARGED and message.charge > 0):
            return
        one.paid = await self._credit.pay_more(connection, message.account, more)
        if not one.paid:
            message.price = one.accepted_price


def _columns(messages: list[Message]) -> tuple[object, ...]:
    ids = [message.id for message in messages]
    return (
        ids,
        min(ids),
        max(ids),
        [message.route for message in messages],
        [message.upstream for message in messages],
        [message.priority for message in messages],
        [message.country for message in messages],
        [message.operator for message in messages],
        [message.category for message in messages],
        [message.price for message in messages],
        [message.cost for message in messages],
        [message.decision for message in messages],
    )
