"""aiosmpplib (asyncio) as an ESME of the product."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosmpplib
import pytest
from aiosmpplib.protocol import DeliverSm, SubmitSm, SubmitSmResp
from aiosmpplib.state import NPI, TON, PhoneNumber

from tests.peers.texts import (
    CYRILLIC,
    GSM,
    GSM_OCTETS,
    LONG_CYRILLIC,
    NUMBER,
    SENDER,
    SUBSCRIBER,
    UCS2,
    UDHI,
    joined,
    ucs2_parts,
)
from tests.product.peers import mo
from tests.product.running import PASSWORD
from tests.product.waiting import until

MANY = 50


class Hook(aiosmpplib.AbstractHook):
    """Keeps what aiosmpplib receives."""

    def __init__(self):
        self.responses, self.receipts, self.mo, self.errors = [], [], [], []

    async def sending(self, smpp_message, pdu, client_id):
        pass

    async def received(self, smpp_message, pdu, client_id):
        if isinstance(smpp_message, SubmitSmResp):
            self.responses.append(smpp_message)
        elif isinstance(smpp_message, DeliverSm):
            (self.receipts if smpp_message.is_receipt() else self.mo).append(smpp_message)

    async def send_error(self, smpp_message, error, client_id):
        self.errors.append(error)


@asynccontextmanager
async def running(product) -> AsyncIterator[tuple[aiosmpplib.ESME, Hook]]:
    """An ESME until the end of the block, and what it receives."""
    hook, before = Hook(), asyncio.all_tasks()
    esme = aiosmpplib.ESME('127.0.0.1', product.port, 'bank', PASSWORD, hook=hook, log_level=logging.ERROR)
    task = asyncio.create_task(esme.start())
    try:
        yield esme, hook
    finally:
        writer = esme._writer
        await esme.stop()
        await task
        if writer is not None:  # it only says that it writes no more
            writer.close()
            await writer.wait_closed()
        left = asyncio.all_tasks() - before  # and it leaves a timer running
        for timer in left:
            timer.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    assert hook.errors == []


def text_for(text: str, **more) -> SubmitSm:
    """A message in aiosmpplib's own form."""
    source = PhoneNumber(SENDER, ton=TON.ALPHANUMERIC, npi=NPI.UNKNOWN)
    return SubmitSm(short_message=text, source=source, destination=PhoneNumber(NUMBER), log_id=text, **more)


async def test_its_texts_get_responses_and_receipts(simulated):
    product, _operator = simulated
    async with running(product) as (esme, hook):
        for text in [GSM, CYRILLIC] * MANY:
            await esme.broker.enqueue(text_for(text))
        await until(lambda: len(hook.receipts) == 2 * MANY)
    assert {int(response.command_status) for response in hook.responses} == {0}
    told = [receipt.parse_receipt() for receipt in hook.receipts]
    assert {receipt['stat'] for receipt in told} == {'DELIVRD'}
    assert sorted(receipt['id'] for receipt in told) == sorted(response.message_id for response in hook.responses)
    await product.settle(DELIVERED=2 * MANY)


@pytest.mark.wire('D8')
async def test_the_parts_of_its_long_text_join_to_the_same(scripted):
    product, smsc = scripted
    parts = len(ucs2_parts(LONG_CYRILLIC, 0))
    async with running(product) as (esme, hook):
        await esme.broker.enqueue(text_for(LONG_CYRILLIC, esm_class=UDHI, auto_message_payload=False))
        sent = await smsc.submitted(parts)
        for given in list(smsc.given):
            assert await smsc.deliver_receipt(given) == 0
        await until(lambda: hook.receipts)  # it makes one of the receipts of all parts
    assert joined(sent) == LONG_CYRILLIC
    assert {pdu.destination_addr for pdu in sent} == {NUMBER.encode()}
    assert [receipt.parse_receipt()['stat'] for receipt in hook.receipts] == ['DELIVRD']
    await product.settle(DELIVERED=parts)


async def test_its_long_text_in_a_payload_arrives_in_parts(scripted):
    product, smsc = scripted
    async with running(product) as (esme, hook):
        await esme.broker.enqueue(text_for(LONG_CYRILLIC))
        sent = await smsc.submitted(len(ucs2_parts(LONG_CYRILLIC, 0)))
        await until(lambda: hook.responses)
    assert joined(sent) == LONG_CYRILLIC


async def test_it_gets_mo_messages(scripted):
    product, smsc = scripted
    async with running(product) as (_esme, hook):
        assert await smsc.deliver(mo(GSM_OCTETS)) == 0
        assert await smsc.deliver(mo(CYRILLIC.encode('utf-16-be'), data_coding=UCS2)) == 0
        await until(lambda: len(hook.mo) == 2)
    assert [message.short_message for message in hook.mo] == [GSM, CYRILLIC]
    assert {message.source.number for message in hook.mo} == {SUBSCRIBER}
    await product.settle(DELIVERED=2)
