"""What is decided about messages after they were accepted: parts that were held until all of them were there."""

import msgspec

from domain.charges import CHARGED, NOT_CHARGED
from domain.message import Message
from storage.connection import Connection, StoreConnection
from storage.credit import Credit
from storage.statements import statement

_RECORD = statement('record_judged')


class Judged(msgspec.Struct, gc=False):
    """A message with its way, and the price that it was accepted with; `paid` turns False when no credit bears more.

    Parts of one message have the same `first_id`, the id of one of them: all of them are paid for, or none.
    """

    message: Message
    accepted_price: int
    first_id: int = 0
    paid: bool = True


class JudgedRecords:
    """Writes them."""

    def __init__(self, connection: StoreConnection, credit: Credit) -> None:
        self._connection = connection
        self._credit = credit

    async def record(self, judged: list[Judged]) -> None:
        """Commit ways and prices; those whose difference in price their credit does not bear keep the old one.

        They go nowhere then. What was free when it was accepted, and is not any more, is charged from now on.
        """

        async def write(connection: Connection, doubtful: bool) -> None:
            async with connection.transaction():
                if not (doubtful and await self._is_done(connection, judged)):
                    self._charge(judged)
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

    def _charge(self, judged: list[Judged]) -> None:
        """Put the terms of their accounts on messages that were worth nothing when they were accepted."""
        for one in judged:
            message = one.message
            terms = self._credit.terms.get(message.account)
            if terms is not None and message.charge == NOT_CHARGED and message.price > one.accepted_price:
                message.charge = terms.charge

    async def _pay(self, connection: Connection, judged: list[Judged]) -> list[Message]:
        """Let accounts pay the differences; return the messages that keep their old price.

        After the messages are locked and for all accounts at once, as by all who lock several: else they would stop
        each other.
        """
        owing: dict[str, list[Judged]] = {}
        for one in judged:
            owing.setdefault(one.message.account, []).append(one)
        sums = {account: sum(map(_more, some)) for account, some in owing.items() if any(map(_more, some))}
        if not sums:
            return []
        paid = await self._credit.pay_differences(connection, sums)
        unpaid: list[Message] = []
        for account in sorted(sums.keys() - paid):
            unpaid += await self._pay_one_by_one(connection, account, owing[account])
        return unpaid

    async def _pay_one_by_one(self, connection: Connection, account: str, owing: list[Judged]) -> list[Message]:
        """Let an account that does not bear the sum pay for what it can, what it gets back first; return the others.

        Parts of one message are paid for as one: nobody can read some of them.
        """
        wholes: dict[int, list[Judged]] = {}
        for one in owing:
            wholes.setdefault(one.first_id or one.message.id, []).append(one)
        unpaid = []
        for parts in sorted(wholes.values(), key=lambda parts: sum(map(_more, parts)) > 0):
            more = sum(map(_more, parts))
            if more and not await self._credit.pay_more(connection, account, more):
                for one in parts:
                    _keep_old(one)
                    unpaid.append(one.message)
        return unpaid


def _more(one: Judged) -> int:
    """Return what a message is to be paid more for than when it was accepted."""
    charge = one.message.charge
    return one.message.price - one.accepted_price if charge & CHARGED and charge > 0 else 0


def _keep_old(one: Judged) -> None:
    """A message is not paid for: it keeps its price and has no upstream, so that no start sends it."""
    one.paid = False
    one.message.price, one.message.cost, one.message.upstream = one.accepted_price, 0, ''
    if not one.accepted_price:
        one.message.charge = NOT_CHARGED


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
        [message.charge for message in messages],
    )
