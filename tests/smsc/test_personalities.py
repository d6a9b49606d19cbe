"""Every kind of operator that the simulator knows, against the product: nothing lost, nothing crossed, one receipt.

The operators of a family work at a time, each an upstream with an account of its own, and all give the same ids.
"""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from perf.operator.personalities import FAMILIES
from tests.product.peers import receipt_of, submit
from tests.product.running import account, free_port, upstream
from tests.product.waiting import until

MESSAGES = 40
LINES = {
    'ids': ['F13', 'F14'],
    'order': ['F10', 'F12', 'F14', 'E6', 'E8'],
    'words': ['F16'],
    'PDUs': ['A9', 'A11', 'A14', 'A15', 'A16', 'F7', 'F16', 'F19', 'F21'],
    'trouble': ['F5', 'F7', 'F9'],
}
SETTINGS: dict[str, dict[str, Any]] = {
    'disconnecting': {'window': 5},  # fewer than it takes before it cuts, or no response ever gets through
    'late-responses': {'response_timeout_s': 0.5},
    'missing-responses': {'response_timeout_s': 0.3},
    'deaf-for-a-while': {'response_timeout_s': 0.4, 'enquire_link_s': 0.2},
}
"""What the product is told beside what the operator asks for; short times, so that no test waits for long."""
STATES = {b'DELIVRD': 'DELIVERED', b'UNDELIV': 'UNDELIVERABLE'}


class Traffic:
    """The messages of one account through its operator."""

    def __init__(self, name, operator, esme, number):
        self.name, self.operator, self.esme = name, operator, esme
        self.destinations = [b'79%02d%07d' % (number, message) for message in range(MESSAGES)]
        self.ids = []

    async def run(self):
        """Submits everything and waits for as many receipts."""
        self.ids = await self.esme.submit_all(submit(destination_addr=number) for number in self.destinations)
        await self.esme.receipts(MESSAGES)
        await until(self.nothing_owed)
        await self.esme.settled()

    def nothing_owed(self):
        """Whether the operator has had an answer to every receipt it sent."""
        counters = self.operator.counters
        answered = counters.receipts_acked + counters.misshapen + counters.receipts_retried
        return self.operator.waiting == 0 and answered >= counters.receipts_sent

    def check(self):
        """Each message has its own receipt, once, and says what the operator said."""
        receipts = [receipt_of(pdu) for pdu in self.esme.delivered]
        assert len(receipts) == MESSAGES
        told = {
            receipt.id.decode(): pdu.source_addr for receipt, pdu in zip(receipts, self.esme.delivered, strict=True)
        }
        assert told == dict(zip(self.ids, self.destinations, strict=True))
        self.words = Counter(receipt.raw_state for receipt in receipts)
        assert self.words[b'UNDELIV'] == self.failures()
        assert self.operator.counters.bad_responses == 0
        assert self.operator.counters.receipts_refused == 0

    def failures(self):
        """How many messages the operator has failed for good."""
        told = self.operator
        if self.name in ('failing', 'disconnecting', 'deaf-for-a-while'):
            return told.behaviour.undelivered
        return {'statuses-nobody-knows': told.counters.refused, 'generic_nack': told.counters.nacked}.get(self.name, 0)


@pytest.mark.parametrize('family', [pytest.param(name, marks=pytest.mark.wire(*LINES[name])) for name in FAMILIES])
async def test_every_message_ends_once_and_its_receipt_is_its_own(product, bind, start_operator, family):
    ports, upstreams, operators = {}, {}, {}
    for name, personality in FAMILIES[family].items():
        ports[name] = free_port()
        operators[name] = await start_operator(ports[name], **msgspec.structs.asdict(personality.operator))
        operators[name].behaviour.next_id = 100_000_000_000_000  # all of them give the same ids
        upstreams[name] = upstream(ports[name], **personality.upstream, **SETTINGS.get(name, {}))
    found = await product(
        upstreams=upstreams,
        accounts={f'esme{number}': account() for number in range(len(upstreams))},
        routes=[
            {'name': name, 'when': {'account': f'esme{number}'}, 'failover': [name]}
            for number, name in enumerate(upstreams)
        ],
    )
    traffic = [
        Traffic(name, operators[name], await bind(found, f'esme{number}'), number)
        for number, name in enumerate(upstreams)
    ]
    async with asyncio.timeout(60):
        ended = await asyncio.gather(*(one.run() for one in traffic), return_exceptions=True)
    broken = {one.name: error for one, error in zip(traffic, ended, strict=True) if error is not None}
    for one in traffic:
        try:
            one.check()
        except AssertionError as error:
            broken.setdefault(one.name, error)
    assert not broken
    words = sum((one.words for one in traffic), Counter())
    book = await found.settle(**{STATES[word]: count for word, count in words.items()})
    assert (book.accepted, book.waiting) == (MESSAGES * len(traffic), 0)
