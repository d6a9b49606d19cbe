"""Messages that one operator does not deliver, and another one gets: one message_id, one final receipt (wire.md G4)."""

import signal

import asyncpg
import pytest

from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from tests.product.peers import operator_receipt, receipt_of
from tests.product.running import everywhere_bound, upstream
from tests.product.waiting import until, until_async

REFUSED = int(CommandStatus.ESME_RINVDSTADR)
SOON_S = 0.3


def route(*upstreams, **on_failure):
    """A route by mts whose messages these upstreams get when it does not deliver them."""
    return {'name': 'codes', 'failover': ['mts'], 'on_failure': {'upstreams': list(upstreams)} | on_failure}


@pytest.fixture
async def three(monkeypatch, product, start_smsc, bind):
    """A product whose route has one operator, and two more for what that does not deliver: `await three(after_s=1)`."""

    monkeypatch.setattr('smsc.upkeep.MISSING_POLL_S', 0.1)

    async def start(upstreams=('tele2',), make=product, **on_failure):
        smscs = {name: await start_smsc() for name in ('mts', 'tele2', 'beeline')}
        found = await make(
            upstreams={name: upstream(smsc.port) for name, smsc in smscs.items()},
            routes=[route(*upstreams, **on_failure)],
        )
        for smsc in smscs.values():
            await everywhere_bound(smsc)
        return found, *smscs.values(), await bind(found)

    return start


async def said(smsc, esme, state, receipts=1):
    """The last message of an operator gets a receipt; returns all that the ESME has, once it has so many."""
    assert await smsc.deliver_receipt(smsc.given[-1], state) == 0
    return [(receipt.id.decode(), receipt.state.name) for receipt in await esme.receipts(receipts)]


@pytest.mark.wire('G4', 'G3')
@pytest.mark.parametrize(('then', 'state'), [('DELIVRD', 'DELIVERED'), ('EXPIRED', 'EXPIRED')])
async def test_what_one_operator_does_not_deliver_another_gets_and_the_esme_hears_of_that_alone(three, then, state):
    found, mts, tele2, _, esme = await three()
    message_id = await esme.submit(b'your code is 4711')
    await mts.submitted(1)
    assert await said(mts, esme, 'UNDELIV', 0) == []
    (again,) = await tele2.submitted(1)
    assert again.short_message == b'your code is 4711'
    assert await said(tele2, esme, then) == [(message_id, state)]
    await found.settle(**{state: 1})
    assert await mts.deliver_receipt(mts.given[-1], 'DELIVRD') == 0  # too late
    assert await esme.settled() == []
    assert len(esme.delivered) == 1
    assert len(mts.submits) == 1
    assert await found.metric('smsc_next_routes_total') == 1
    assert (await found.story(message_id)).next_upstream == 'tele2'


@pytest.mark.wire('G4')
async def test_each_of_several_is_tried_once_in_their_order(three):
    found, mts, tele2, beeline, esme = await three(upstreams=('tele2', 'beeline'))
    message_id = await esme.submit()
    for smsc in (mts, tele2):
        await smsc.submitted(1)
        assert await said(smsc, esme, 'REJECTD', 0) == []
    await beeline.submitted(1)
    assert await said(beeline, esme, 'UNDELIV') == [(message_id, 'UNDELIVERABLE')]
    await found.settle(UNDELIVERABLE=1)
    assert [len(smsc.submits) for smsc in (mts, tele2, beeline)] == [1, 1, 1]


@pytest.mark.wire('G4')
async def test_a_receipt_that_comes_again_and_again_sends_the_message_on_once(three):
    found, mts, tele2, _, esme = await three()
    await esme.submit()
    await mts.submitted(1)
    responses = await mts.receiving[0].ask_all(operator_receipt(mts.given[0], 'UNDELIV') for _ in range(5))
    assert {response.command_status for response in responses} == {0}
    await tele2.submitted(1)
    assert await mts.deliver_receipt(mts.given[0], 'REJECTD') == 0
    assert await said(tele2, esme, 'DELIVRD')
    await found.settle(DELIVERED=1)
    assert len(tele2.submits) == 1


@pytest.mark.wire('G4')
async def test_a_next_one_that_is_away_is_passed_over_and_what_follows_it_ends_the_message(three):
    found, mts, tele2, beeline, esme = await three(upstreams=('tele2', 'beeline'))
    second = found.node.core.upstreams['tele2']
    second.feed.pause(3_600)
    message_id = await esme.submit()
    await mts.submitted(1)
    assert await said(mts, esme, 'UNDELIV', 0) == []
    await until(lambda: second.feed.outbox.in_memory)
    await tele2.stop()
    await beeline.submitted(1)
    assert await said(beeline, esme, 'EXPIRED') == [(message_id, 'EXPIRED')]
    await found.settle(EXPIRED=1)


@pytest.mark.wire('G4')
async def test_a_late_delivrd_of_the_first_ends_it_at_once_and_the_second_is_recorded_only(three):
    found, mts, tele2, _, esme = await three(after_s=SOON_S)
    message_id = await esme.submit()
    await mts.submitted(1)
    await tele2.submitted(1)  # no receipt has come
    assert await said(mts, esme, 'DELIVRD') == [(message_id, 'DELIVERED')]
    await found.settle(DELIVERED=1)
    assert await tele2.deliver_receipt(tele2.given[-1], 'UNDELIV') == 0
    await until_async(lambda: is_repeated(found, 1))
    assert await esme.settled() == []
    assert len(esme.delivered) == 1


async def is_repeated(found, count):
    """So many receipts were recorded and not passed on."""
    return await found.metric('smsc_dlr_repeated_total') == count


@pytest.mark.wire('G4')
async def test_a_late_failure_of_the_first_does_not_end_what_the_second_has(three):
    found, mts, tele2, _, esme = await three(after_s=SOON_S)
    message_id = await esme.submit()
    await tele2.submitted(1)
    assert await said(mts, esme, 'UNDELIV', 0) == []
    await until_async(lambda: is_repeated(found, 1))
    assert await said(tele2, esme, 'DELIVRD') == [(message_id, 'DELIVERED')]
    await found.settle(DELIVERED=1)
    assert len(tele2.submits) == 1


@pytest.mark.wire('G4')
@pytest.mark.parametrize('in_memory', [True, False])
async def test_what_was_delivered_after_all_is_not_sent_by_the_second(three, in_memory):
    found, mts, tele2, _, esme = await three(after_s=SOON_S)
    second = found.node.core.upstreams['tele2']
    if in_memory:
        second.feed.pause(3_600)
    else:
        await tele2.stop()
        await found.links_bound('tele2', 0)
    message_id = await esme.submit()
    await until(lambda: second.feed.outbox.depth == 1 and bool(second.feed.outbox.in_memory) is in_memory)
    assert await said(mts, esme, 'DELIVRD') == [(message_id, 'DELIVERED')]
    await found.settle(DELIVERED=1)
    if in_memory:
        second.feed.paused_until = 0
        second.feed.pump()
    else:
        await tele2.start()
        await found.links_bound('tele2')
    await esme.submit(b'another')
    await mts.submitted(2)
    assert await said(mts, esme, 'UNDELIV', 1)
    assert [pdu.short_message for pdu in await tele2.submitted(1)] == [b'another']
    await until(lambda: found.node.core.account('bank').waiting == 0)


@pytest.mark.wire('G4')
async def test_what_an_operator_refuses_for_good_another_gets(three):
    _found, mts, tele2, _, esme = await three(errors=[REFUSED])
    answers = [REFUSED, int(CommandStatus.ESME_RINVSRCADR)]
    mts.script = lambda pdu: answers.pop(0)
    message_id = await esme.submit(b'first')
    await tele2.submitted(1)
    assert await said(tele2, esme, 'DELIVRD') == [(message_id, 'DELIVERED')]
    await esme.submit(b'second')  # refused for another reason
    await esme.receipts(2)
    assert receipt_of(esme.delivered[1]).state == MessageState.UNDELIVERABLE
    assert len(tele2.submits) == 1


async def test_other_states_and_messages_without_time_end(three):
    found, mts, tele2, _, esme = await three(states=['EXPIRED'])
    await esme.submit()
    await mts.submitted(1)
    assert await said(mts, esme, 'UNDELIV', 1)
    await esme.submit(validity_period=b'000000000002000R')
    await mts.submitted(2)
    found.node.core.live[max(found.node.core.live)].expires_at = 0
    assert await said(mts, esme, 'EXPIRED', 2)
    assert not tele2.submits


async def test_a_message_without_a_receipt_ends_when_it_is_taken(three):
    found, _mts, tele2, _, esme = await three(after_s=SOON_S)
    message_id = await esme.submit(registered_delivery=0)
    await found.settle(ACCEPTED=1)
    assert not await expects(found, message_id)
    assert not tele2.submits


async def expects(found, message_id):
    """The store knows that the receipt of a message is waited for so long only."""
    connection = await asyncpg.connect(**found.arguments)
    try:
        return await connection.fetchval('select 1 from receipt_due where message_id = $1', int(message_id)) is not None
    finally:
        await connection.close()


@pytest.mark.wire('G4')
async def test_a_kill_loses_no_next_route(three, spawned, bind):
    """One message is on its way to the second operator, another waits for its receipt."""
    found, mts, tele2, _, esme = await three(make=spawned, after_s=1.5)
    tele2.script = lambda pdu: None
    first = await esme.submit(b'first')
    await mts.submitted(1)
    assert await mts.deliver_receipt(mts.given[0], 'UNDELIV') == 0
    await tele2.submitted(1)
    second = await esme.submit(b'second')
    await mts.submitted(2)
    await until_async(lambda: expects(found, second))
    await found.stop(signal.SIGKILL)
    tele2.script = lambda pdu: tele2.next_id()
    await found.start()
    await found.links_bound('tele2')
    sent = await tele2.submitted(3)
    assert sorted(pdu.short_message for pdu in sent[1:]) == [b'first', b'second']
    esme = await bind(found)
    for given in list(tele2.given):
        await tele2.deliver_receipt(given)
    receipts = await esme.receipts(2)
    assert sorted((receipt.id.decode(), receipt.state.name) for receipt in receipts) == sorted(
        [(first, 'DELIVERED'), (second, 'DELIVERED')]
    )
    await found.settle(DELIVERED=2)
    assert len(mts.submits) == 2
