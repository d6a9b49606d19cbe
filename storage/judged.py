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
                    rows = await connection.fetch(_RECORD, *_columns([one.message for one in judged]))
                    recorded = {row['id'] for row in rows}  # the others have ended, at the price that they had
                    unpaid = await self._pay(connection, [one for one in judged if one.message.id in recorded])
                    if unpaid:
                        await connection.execute(_RECORD, *_columns(unpaid))

        await self._connection.run(write)

    async def _is_done(self, connection: Connection, judged: list[Judged]) -> bool:
        """Return whether a commit that was in doubt is through: all of it is, or nothing."""
        message = judged[0].message
        row = await connection.fetchrow('select route, decision from message where id = $1', message.id)
        return row is not None and (row['route'], row['decision']) == (message.route, message.decision)

    async def _pay(self, connection: Connection, judged: list[Judged]) -> list[Message]:
        """Let accounts pay the differences; return the messages that keep their old price.

        After the messages are locked and for all accounts at once, as by all who lock several: else they would stop
        each other.
        """
        owing: dict[str, list[Judged]] = {}
        for one in judged:
            if _more(one) and one.message.charge & CHARGED and one.message.charge > 0:
                owing.setdefault(one.message.account, []).append(one)
        if not owing:
            return []
        sums = {account: sum(map(_more, some)) for account, some in owing.items()}
        paid = await self._credit.pay_differences(connection, sums)
        unpaid: list[Message] = []
        for account in sorted(owing.keys() - paid):
            unpaid += await self._pay_one_by_one(connection, owing[account])
        return unpaid

    async def _pay_one_by_one(self, connection: Connection, owing: list[Judged]) -> list[Message]:
        """Let an account that does not bear the sum pay for what it can, what it gets back first; return the others."""
        unpaid = []
        for one in sorted(owing, key=lambda one: _more(one) > 0):
            one.paid = await self._credit.pay_more(connection, one.message.account, _more(one))
            if not one.paid:
                one.message.price = one.accepted_price
                unpaid.append(one.message)
        return unpaid


def _more(one: Judged) -> int:
    """Return what a message is worth more than when it was accepted."""
    return one.message.price - one.accepted_price


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
