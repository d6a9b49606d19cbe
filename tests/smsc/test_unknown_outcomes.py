"""Submits whose outcome nobody knows, for the link died or no response came in time, and what becomes of them."""

import asyncio

import pytest

from pdu import pdus
from pdu.status import CommandStatus
from pdu.tlvs import Tag
from tests.product.peers import submit
from tests.product.running import everywhere_bound, upstream
from tests.product.waiting import until


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with these settings for its upstream, its scripted operator, and an ESME."""

    async def start(**settings):
        smsc = await start_smsc()
        found = await product(upstreams={'mts': upstream(smsc.port, **settings)})
        await everywhere_bound(smsc)
        return found, smsc, await bind(found)

    return start


def answering(smsc, count):
    """Lets an operator answer so many submits, and then none."""
    smsc.script = lambda pdu: smsc.next_id() if len(smsc.submits) <= count else None


@pytest.mark.wire('F8', 'F9')
async def test_what_was_in_flight_when_the_link_died_fails_where_that_is_configured(running):
    product, smsc, esme = await running(unknown_outcome='fail')
    answering(smsc, 10)
    ids = await esme.submit_all(submit(b'%03d' % number) for number in range(30))
    await smsc.submitted(30)
    await until(lambda: product.node.core.upstreams['mts'].answers[0] == 10)
    smsc.bound.pop().writer.transport.abort()
    smsc.receiving.clear()
    receipts = await esme.receipts(20)
    assert sorted(receipt.id.decode() for receipt in receipts) == sorted(ids[10:])
    assert {receipt.raw_state for receipt in receipts} == {b'UNDELIV'}
    await everywhere_bound(smsc)
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    await esme.receipts(30)
    await product.settle(DELIVERED=10, UNDELIVERABLE=20)
    assert len(smsc.submits) == 30


@pytest.mark.wire('F8', 'F9')
async def test_what_was_in_flight_when_the_link_died_ends_as_unknown_when_it_is_held_in_vain(running):
    product, smsc, esme = await running(unknown_outcome='hold')
    answering(smsc, 0)
    message_id = await esme.submit(validity_period=b'000000000002000R')
    await smsc.submitted(1)
    smsc.bound.pop().writer.transport.abort()
    smsc.receiving.clear()
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'UNKNOWN')
    await product.settle(UNKNOWN=1)
    assert len(smsc.submits) == 1


@pytest.mark.wire('F8')
async def test_what_is_held_is_settled_by_a_late_response_and_not_sent_again(running):
    product, smsc, esme = await running(unknown_outcome='hold', response_timeout_s=0.3)
    answering(smsc, 0)
    message_id = await esme.submit()
    (sent,) = await smsc.submitted(1)
    await until(lambda: product.node.core.upstreams['mts'].unknown.count == 1)
    smsc.respond(smsc.bound[0], sent, smsc.next_id())
    await smsc.bound[0].settled()
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'DELIVRD')
    await product.settle(DELIVERED=1)
    assert len(smsc.submits) == 1


@pytest.mark.wire('F8')
async def test_a_late_response_keeps_what_waits_to_be_sent_again_from_that(running):
    product, smsc, esme = await running(window=1, response_timeout_s=1)
    answering(smsc, 0)
    ids = [await esme.submit(text) for text in (b'first', b'second')]
    await smsc.submitted(2)
    first, second = smsc.submits
    assert (first.short_message, second.short_message) == (b'first', b'second')
    await until(lambda: product.node.core.upstreams['mts'].feed.outbox.in_memory == 1)  # the mark is committed
    smsc.respond(smsc.bound[0], first, smsc.next_id())
    smsc.respond(smsc.bound[0], second, smsc.next_id())
    await smsc.bound[0].settled()
    for given in smsc.given:
        assert await smsc.deliver_receipt(given) == 0
    receipts = await esme.receipts(2)
    assert sorted(receipt.id.decode() for receipt in receipts) == sorted(ids)
    await product.settle(DELIVERED=2)
    assert len(smsc.submits) == 2


@pytest.fixture
async def impatient(running, monkeypatch):
    """The same, and no response comes in time; after so many submits the product pauses: `await impatient(2)`."""
    monkeypatch.setattr('smsc.upkeep.TICK_S', 0.05)

    async def start(submits):
        product, smsc, esme = await running(response_timeout_s=0.2)

        def pause(pdu):
            if len(smsc.submits) == submits:
                product.node.core.upstreams['mts'].feed.pause(3_600)

        smsc.script = pause
        return product, smsc, esme

    return start


async def waits_to_be_sent_once_more(product, smsc, esme):
    """A message was sent twice and answered once, late; it waits for a third time in memory. Returns its id."""
    up = product.node.core.upstreams['mts']
    message_id = await esme.submit()
    first, _ = await smsc.submitted(2)
    smsc.respond(smsc.bound[0], first, smsc.next_id())
    await until(lambda: up.sent and up.feed.outbox.in_memory == 1)
    return message_id


def let_go(product):
    up = product.node.core.upstreams['mts']
    up.feed.paused_until = 0
    up.feed.pump()


@pytest.mark.wire('F8')
async def test_a_late_receipt_keeps_what_waits_to_be_sent_again_from_that(impatient, monkeypatch):
    product, smsc, esme = await impatient(2)
    message_id = await waits_to_be_sent_once_more(product, smsc, esme)
    store, gate = product.node.core.store, asyncio.Event()
    finish = store.finish

    async def slow(outcomes):
        await gate.wait()
        return await finish(outcomes)

    monkeypatch.setattr(store, 'finish', slow)
    delivering = asyncio.create_task(smsc.deliver_receipt(smsc.given[0]))
    await until(lambda: product.node.core.finishing.load)  # known, and not committed
    let_go(product)
    assert product.node.core.upstreams['mts'].feed.outbox.in_memory == 0
    gate.set()
    assert await delivering == 0
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'DELIVRD')
    await product.settle(DELIVERED=1)
    assert len(smsc.submits) == 2
    await until(lambda: product.node.core.account('bank').waiting == 0)


@pytest.mark.wire('F8')
@pytest.mark.parametrize(
    ('known', 'said', 'state'),
    [(True, 'DELIVRD', 'DELIVERED'), (False, 'UNDELIV', 'UNDELIVERABLE')],
    ids=['in memory', 'in the store'],
)
async def test_a_late_receipt_keeps_what_was_on_disk_and_is_to_be_sent_again_from_that(impatient, known, said, state):
    product, smsc, esme = await impatient(2)
    message_id = await waits_to_be_sent_once_more(product, smsc, esme)
    up = product.node.core.upstreams['mts']
    (message,) = up.feed.outbox.go_offline()
    up.feed.outbox.put(message)
    await product.node.core.shelf.drain()
    up.feed.outbox.go_online()  # what it reads is another object than what the answer was for
    await until(lambda: up.feed.outbox.in_memory == 1)
    if not known:
        up.sent.clear()
    assert await smsc.deliver_receipt(smsc.given[0], said) == 0
    let_go(product)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.state.name) == (message_id, state)
    await product.settle(**{state: 1})
    smsc.script = lambda pdu: smsc.next_id()
    await esme.submit(b'another')
    assert [pdu.short_message for pdu in (await smsc.submitted(3))[2:]] == [b'another']
    await until(lambda: product.node.core.account('bank').waiting == 0)


@pytest.mark.wire('F8')
async def test_a_late_receipt_keeps_a_segment_that_waits_to_be_sent_again_from_that(impatient):
    product, smsc, esme = await impatient(6)
    up = product.node.core.upstreams['mts']
    message_id = await esme.submit(b'', tlvs=((int(Tag.MESSAGE_PAYLOAD), b'code' * 100),))
    sent = await smsc.submitted(6)
    for pdu in sent[:2]:
        smsc.respond(smsc.bound[0], pdu, smsc.next_id())
    await until(lambda: len(up.sent) == 2 and len(up.long_messages.unsent()) == 3)
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    assert [part.number for part in up.long_messages.unsent()] == [3]
    smsc.script = lambda pdu: smsc.next_id()
    let_go(product)
    await until(lambda: len(smsc.given) == 3)
    assert await smsc.deliver_receipt(smsc.given[-1]) == 0
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'DELIVRD')
    await product.settle(DELIVERED=1)
    assert len(smsc.submits) == 7
    await until(lambda: product.node.core.account('bank').waiting == 0)


@pytest.mark.wire('F9', 'C31')
async def test_what_may_have_been_sent_cannot_be_cancelled_while_it_waits_to_be_sent_again(running):
    product, smsc, esme = await running(window=1, response_timeout_s=1)
    answering(smsc, 0)
    ids = [await esme.submit(text) for text in (b'first', b'second', b'third')]
    (first, *_) = await smsc.submitted(2)
    await until(lambda: product.node.core.upstreams['mts'].feed.outbox.in_memory == 2)
    statuses = {}
    for message_id in (ids[0], ids[2]):
        cancel = pdus.CancelSm(message_id=message_id.encode(), source_addr=first.source_addr)
        statuses[message_id] = (await esme.ask(cancel)).command_status
    assert statuses == {ids[0]: CommandStatus.ESME_RCANCELFAIL, ids[2]: 0}
    smsc.script = lambda pdu: smsc.next_id()


@pytest.mark.wire('F8')
async def test_a_late_response_while_the_mark_is_being_committed_stops_the_message(running, monkeypatch):
    product, smsc, esme = await running(response_timeout_s=0.5)
    answering(smsc, 0)
    store, gate = product.node.core.store, asyncio.Event()
    mark = store.mark_repeated

    async def slow(ids):
        await gate.wait()
        await mark(ids)

    monkeypatch.setattr(store, 'mark_repeated', slow)
    await esme.submit()
    (sent,) = await smsc.submitted(1)
    upstream = product.node.core.upstreams['mts']
    await until(lambda: upstream.unknown.count == 1)
    smsc.respond(smsc.bound[0], sent, smsc.next_id())
    await until(lambda: upstream.unknown.late == 1)
    smsc.script = lambda pdu: smsc.next_id()
    gate.set()
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    await esme.receipts(1)
    await product.settle(DELIVERED=1)
    assert len(smsc.submits) == 1
