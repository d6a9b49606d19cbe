"""What people ask the store: the ledger (architecture.md promise 5) and one message's story. Reads only."""

from typing import Any

import asyncpg
import msgspec

from domain.message import Kind, Notice
from pdu.receipt_text import MessageState
from storage.statements import statement

ON_DISK, WITH_OPERATOR, IN_MEMORY, NOWHERE = 1, 2, 3, 4


class CreditLine(msgspec.Struct, frozen=True):
    """An account's credit, in micro-units: what was `entered` by hand, what was `charged` and not given back."""

    account: str
    balance: int
    entered: int
    charged: int

    @property
    def adds_up(self) -> bool:
        """balance = entered - charged."""
        return self.balance == self.entered - self.charged


class Ledger(msgspec.Struct, frozen=True):
    """How many messages were accepted, what became of them, where the others are, and what accounts paid for them."""

    accepted: int
    final: dict[str, int]
    waiting: int
    on_disk: int
    with_operator: int
    in_memory: int
    nowhere: int
    receipts: dict[str, int]
    credit: list[CreditLine] = []

    @property
    def adds_up(self) -> bool:
        """accepted = final + waiting, every waiting message is somewhere, and every credit adds up."""
        if not all(line.adds_up for line in self.credit):
            return False
        places = self.on_disk + self.with_operator + self.in_memory
        return self.accepted == sum(self.final.values()) + self.waiting and self.waiting == places and not self.nowhere


class Story(msgspec.Struct, frozen=True):
    """All the store knows of one message; `parts` are (upstream, upstream_message_id, part). Times in Unix ms."""

    id: int
    kind: Kind
    account: str
    upstream: str
    route: str
    source_addr: str
    destination_addr: str
    priority: int
    expires_at: int
    notice: Notice
    state: MessageState
    error: int
    done_at: int
    repeated: bool
    waits_in: str | None
    waits_until: int | None
    parts: list[tuple[str, str, int]]
    segments: int = 1
    country: str = ''
    operator: str = ''
    category: str = ''
    price: int = 0
    cost: int = 0
    charge: int = 0
    decision: str = ''
    next_upstream: str = ''  # that got it when one before had not delivered it


async def read_ledger(connect_arguments: dict[str, Any]) -> Ledger:
    """Count everything, in one snapshot. Takes about a second a million messages."""
    connection = await asyncpg.connect(**connect_arguments)
    try:
        async with connection.transaction(isolation='repeatable_read', readonly=True):
            accepted = await connection.fetchval(
                'select (select count(*) from message) + (select coalesce(sum(messages), 0) from dropped)'
            )
            rows = await connection.fetch(statement('ledger'))
            credit = [CreditLine(*row) for row in await connection.fetch(statement('credit_proof'))]
    finally:
        await connection.close()
    final: dict[str, int] = {}
    receipts: dict[str, int] = {}
    places = dict.fromkeys((ON_DISK, WITH_OPERATOR, IN_MEMORY, NOWHERE), 0)
    waiting = 0
    for row in rows:
        if row['place']:
            places[row['place']] += row['messages']
            continue
        if row['state'] == MessageState.ENROUTE:
            waiting += row['messages']
        else:
            name = MessageState(row['state']).name
            final[name] = final.get(name, 0) + row['messages']
        if row['notice'] != Notice.NONE:
            name = Notice(row['notice']).name
            receipts[name] = receipts.get(name, 0) + row['messages']
    return Ledger(
        accepted=int(accepted),
        final=final,
        waiting=waiting,
        on_disk=places[ON_DISK],
        with_operator=places[WITH_OPERATOR],
        in_memory=places[IN_MEMORY],
        nowhere=places[NOWHERE],
        receipts=receipts,
        credit=credit,
    )


async def read_story(connect_arguments: dict[str, Any], message_id: int) -> Story | None:
    """Return what is known of a message, None when there is none with this id."""
    connection = await asyncpg.connect(**connect_arguments)
    try:
        row = await connection.fetchrow(statement('story'), message_id)
        parts = await connection.fetch(
            'select upstream, upstream_message_id, part from segment where message_id = $1 order by part', message_id
        )
    finally:
        await connection.close()
    if row is None:
        return None
    values = dict(row)
    values |= {'kind': Kind(row['kind']), 'notice': Notice(row['notice']), 'state': MessageState(row['state'])}
    return Story(**values, parts=[tuple(part) for part in parts])
