"""smpplib (blocking, the most used one in Python) as an ESME of the product."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.gsm

from tests.peers.texts import (
    CYRILLIC,
    GSM,
    GSM_OCTETS,
    LONG_CYRILLIC,
    NUMBER,
    SENDER,
    UCS2,
    UDHI,
    joined,
    ucs2_parts,
)
from tests.product.peers import mo
from tests.product.running import PASSWORD
from tests.product.waiting import TIMEOUT_S

LONG_GSM = 'long ' * 60
TIMES = 5


class Client:
    """An smpplib ESME. All of it blocks, so a test runs it in a thread."""

    def __init__(self, port: int) -> None:
        self.responses: list[Any] = []
        self.delivered: list[Any] = []
        self._client = smpplib.client.Client('127.0.0.1', port, timeout=TIMEOUT_S, allow_unknown_opt_params=True)
        self._client.set_message_sent_handler(lambda pdu: self.responses.append(pdu))  # noqa: PLW0108 - it names its argument
        self._client.set_message_received_handler(lambda pdu: self.delivered.append(pdu))  # noqa: PLW0108

    def exchange(self, texts: list[str], more: int = 0) -> int:
        """Binds, submits, reads until every receipt and `more` MO messages are there, unbinds. Returns how many
        parts the texts had.
        """
        self._client.connect()
        self._client.bind_transceiver(system_id='bank', password=PASSWORD)
        parts = sum(self._submit(text) for text in texts)
        while len(self.delivered) < parts + more:
            self._client.read_once()
        self._client.unbind()
        self._client.disconnect()
        return parts

    def _submit(self, text: str) -> int:
        parts, data_coding, esm_class = smpplib.gsm.make_parts(text)
        for part in parts:
            self._client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
                source_addr=SENDER,
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                destination_addr=NUMBER,
                short_message=part,
                data_coding=data_coding,
                esm_class=esm_class,
                registered_delivery=True,
            )
        return len(parts)

    def receipts_match(self) -> bool:
        """Whether each message has its receipt, and was delivered."""
        ids = Counter(response.message_id for response in self.responses)
        said = [pdu.short_message.split() for pdu in self.delivered]
        delivered = all(b'stat:DELIVRD' in words for words in said)
        return delivered and ids == Counter(words[0].removeprefix(b'id:') for words in said)


async def test_its_texts_get_responses_and_receipts(simulated):
    product, operator = simulated
    client = Client(product.port)
    texts = [GSM, CYRILLIC, LONG_GSM, LONG_CYRILLIC] * TIMES
    async with asyncio.timeout(2 * TIMEOUT_S):
        parts = await asyncio.to_thread(client.exchange, texts)
    assert parts == (1 + 1 + 2 + len(ucs2_parts(LONG_CYRILLIC, 0))) * TIMES
    assert {response.status for response in client.responses} == {0}
    assert client.receipts_match()
    assert operator.counters.accepted == parts
    await product.settle(DELIVERED=parts)


@pytest.mark.wire('D8')
async def test_its_long_cyrillic_text_arrives_in_parts_that_join_to_the_same(scripted):
    product, smsc = scripted
    client = Client(product.port)
    exchange = asyncio.create_task(asyncio.to_thread(client.exchange, [LONG_CYRILLIC]))
    parts = len(ucs2_parts(LONG_CYRILLIC, 0))
    sent = await smsc.submitted(parts)
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    async with asyncio.timeout(TIMEOUT_S):
        assert await exchange == parts
    assert joined(sent) == LONG_CYRILLIC
    assert {(pdu.source_addr, pdu.destination_addr) for pdu in sent} == {(SENDER.encode(), NUMBER.encode())}
    assert client.receipts_match()


async def test_it_gets_mo_messages(scripted):
    product, smsc = scripted
    parts = ucs2_parts(LONG_CYRILLIC, 3)
    client = Client(product.port)
    exchange = asyncio.create_task(asyncio.to_thread(client.exchange, [], 2 + len(parts)))
    assert await smsc.deliver(mo(GSM_OCTETS)) == 0
    assert await smsc.deliver(mo(CYRILLIC.encode('utf-16-be'), data_coding=UCS2)) == 0
    for part in parts:
        assert await smsc.deliver(mo(part, data_coding=UCS2, esm_class=UDHI)) == 0
    async with asyncio.timeout(TIMEOUT_S):
        await exchange
    gsm, cyrillic, *rest = (pdu.short_message for pdu in client.delivered)
    assert (gsm, cyrillic.decode('utf-16-be'), rest) == (GSM_OCTETS, CYRILLIC, parts)
    await product.settle(DELIVERED=2 + len(parts))
