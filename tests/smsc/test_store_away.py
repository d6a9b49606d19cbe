"""The store goes away and comes back: refusals at once, nothing acknowledged that is not stored, nothing lost."""

import asyncio
import time

import pytest

from pdu import pdus
from pdu.status import CommandStatus
from tests.product.peers import operator_receipt, submit
from tests.product.running import everywhere_bound, upstream
from tests.product.waiting import until, until_async


@pytest.fixture
async def running(breaking, product, start_smsc, databases, bind):
    """A product whose store can be cut off, one scripted operator, and an ESME."""
    smsc = await start_smsc()
    found = await product(dsn=lambda name: databases.dsn(name, breaking.folder), upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    yield found, smsc, await bind(found)
    if breaking._server is None:
        await breaking.restore()


async def away(product, proxy):
    await proxy.cut()
    await until(lambda: not product.node.core.store.health.available)


async def back(product, proxy):
    await proxy.restore()
    await until(lambda: product.node.core.store.health.available)


@pytest.mark.wire('C34')
async def test_while_the_store_is_away_submits_are_refused_at_once_and_binds_stay(running, breaking):
    product, smsc, esme = running
    await away(product, breaking)
    began = time.monotonic()
    answers = await esme.ask_all(submit() for _ in range(20))
    assert {answer.command_status for answer in answers} == {CommandStatus.ESME_RSYSERR}
    assert time.monotonic() - began < 1
    await back(product, breaking)
    await esme.submit_all(submit() for _ in range(20))
    assert len(await smsc.submitted(20)) == 20
    assert (await product.ledger()).accepted == 20


@pytest.mark.wire('C34', 'C3')
async def test_a_commit_in_doubt_is_looked_up_and_answered_once(running, breaking):
    product, smsc, esme = running
    breaking.lose = b'COPY '  # what says that it is committed
    numbers = esme.number(*(submit(b'%d' % number) for number in range(20)))

    async def committed():
        return (await product.ledger()).accepted == 20

    await until_async(committed)
    await breaking.cut()
    await until(lambda: not product.node.core.store.health.available)
    assert not [pdu for pdu in await esme.settled() if isinstance(pdu, pdus.SubmitSmResp)]
    await breaking.restore()
    answers = [await esme.take(pdus.SubmitSmResp, number) for number in numbers]
    assert {answer.command_status for answer in answers} == {0}
    await smsc.submitted(20)
    assert sorted(pdu.short_message for pdu in smsc.submits) == sorted(b'%d' % number for number in range(20))
    assert (await product.ledger()).accepted == 20


@pytest.mark.wire('C3', 'C34')
async def test_a_submit_that_could_not_be_stored_in_time_is_refused_and_never_sent(monkeypatch, running, breaking):
    monkeypatch.setattr('smsc.ingress.ACCEPT_GIVE_UP_S', 0.5)
    product, smsc, esme = running
    await breaking.cut()
    (answer,) = await esme.ask_all([submit(b'refused')])
    assert answer.command_status == CommandStatus.ESME_RSYSERR
    await back(product, breaking)
    await esme.submit(b'accepted')
    await smsc.submitted(1)
    assert [pdu.short_message for pdu in smsc.submits] == [b'accepted']
    book = await product.ledger()
    assert book.adds_up
    assert book.waiting == 1


@pytest.mark.wire('F18')
async def test_while_the_store_is_away_receipts_are_not_acknowledged(running, breaking):
    product, smsc, esme = running
    message_id = await esme.submit()
    await smsc.submitted(1)
    await until(lambda: product.node.core.sending.load == 0)
    await away(product, breaking)
    assert await smsc.deliver_receipt(smsc.given[0]) == CommandStatus.ESME_RX_T_APPN
    await back(product, breaking)
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == message_id
    await product.settle(DELIVERED=1)


@pytest.mark.wire('F18')
async def test_a_receipt_whose_commit_is_in_doubt_is_answered_when_that_is_settled(running, breaking):
    product, smsc, esme = running
    message_id = await esme.submit()
    await smsc.submitted(1)
    await until(lambda: product.node.core.sending.load == 0)
    breaking.lose = b'UPDATE '  # what says that it is committed
    peer = smsc.receiving[-1]
    (number,) = peer.number(operator_receipt(smsc.given[0]))
    await product.settle(DELIVERED=1)
    assert not [pdu for pdu in await peer.settled() if isinstance(pdu, pdus.DeliverSmResp)]
    await breaking.cut()
    await breaking.restore()
    assert (await peer.take(pdus.DeliverSmResp, number)).command_status == 0
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == message_id


async def test_traffic_over_many_breaks_is_complete_and_the_ledger_adds_up(running, breaking, bind):
    product, smsc, esme = running
    smsc.script = lambda pdu: b'op-' + pdu.short_message
    accepted = {}

    async def feed():
        for number in range(300):
            while (response := await esme.ask(submit(b'%04d' % number))).command_status:
                assert response.command_status == CommandStatus.ESME_RSYSERR
                await until(lambda: product.node.core.store.health.available)
            accepted[response.message_id.decode()] = b'%04d' % number

    feeding = asyncio.create_task(feed())
    for _ in range(6):
        await smsc.submitted(min(290, len(smsc.submits) + 10))
        await breaking.cut()
        await breaking.restore()
    await feeding
    wanted = sorted(accepted.values())
    await until(lambda: {pdu.short_message for pdu in smsc.submits} >= set(wanted))
    assert sorted({pdu.short_message for pdu in smsc.submits}) == wanted
    await until(lambda: product.node.core.store.health.available)
    for text in wanted:
        while await smsc.deliver_receipt(b'op-' + text):
            pass
    receipts = await esme.receipts(len(accepted))
    assert sorted(receipt.id.decode() for receipt in receipts) == sorted(accepted)
    book = await product.ledger()
    assert book.adds_up
    assert book.final['DELIVERED'] == len(accepted)


async def test_ready_says_that_the_store_is_away(running, breaking):
    product, _smsc, _esme = running
    assert (await product.get('/health/ready'))[0] == 200
    await away(product, breaking)
    status, body = await product.get('/health/ready')
    assert (status, 'store is away' in body) == (503, True)
    assert (await product.get('/health/live'))[0] == 200
    assert await product.metric('smsc_store_available') == 0
    await back(product, breaking)
    assert (await product.get('/health/ready'))[0] == 200
    assert await product.metric('smsc_store_available') == 1
