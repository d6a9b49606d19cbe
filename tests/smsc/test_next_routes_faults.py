"""Next routes and faults: kills, reloads, upstreams that are down or off, long messages half-way (wire.md G4)."""

import asyncio
import signal

import pytest

from pdu.pdus import BindReceiver, BindTransmitter
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from pdu.tlvs import Tag
from tests.product.running import everywhere_bound, upstream
from tests.product.waiting import until, until_async

LONG = {'tlvs': ((int(Tag.MESSAGE_PAYLOAD), b'code' * 100),)}
REFUSED, THROTTLED = int(CommandStatus.ESME_RINVDSTADR), int(CommandStatus.ESME_RTHROTTLED)
OWN = {'name': 'codes', 'when': {'text': '~code'}, 'failover': ['mts']}
REST = {'name': 'rest', 'failover': ['mts', 'tele2']}


def codes(*upstreams):
    """The route of messages with a code, which these upstreams get when mts does not deliver them."""
    return OWN | {'on_failure': {'upstreams': list(upstreams)}}


@pytest.fixture
async def two(product, start_smsc):
    """A product, the operators mts and tele2: `await two(tele2={...})`; what is no upstream is the configuration's."""

    async def start(make=product, mts=None, tele2=None, **tree):
        operators = [await start_smsc() for _ in range(2)]
        settings = zip(('mts', 'tele2'), operators, (mts or {}, tele2 or {}), strict=True)
        upstreams = {name: upstream(smsc.port, **more) for name, smsc, more in settings}
        found = await make(**({'routes': [codes('tele2'), REST]} | tree), upstreams=upstreams)
        for smsc in operators:
            await everywhere_bound(smsc)
        return found, *operators

    return start


async def fail(smsc):
    """The last message that an operator took gets a bad receipt, which is acknowledged."""
    assert await smsc.deliver_receipt(smsc.given[-1], 'UNDELIV') == 0


async def waits_for(found, name, smsc):
    """The links of an upstream are gone, and one message waits for it on disk: returns its outbox."""
    await smsc.stop()
    outbox = found.node.core.upstreams[name].feed.outbox
    await until(lambda: outbox.offline)
    return outbox


async def settled(found, esme, message_id, state):
    """The one message of the ledger ended so, and the ESME hears of it once."""
    await found.settle(**{state: 1})
    assert [(receipt.id.decode(), receipt.state.name) for receipt in await esme.receipts(1)] == [(message_id, state)]
    await until(lambda: found.node.core.account('bank').waiting == 0)


# Long messages that both operators get, each in its own form


async def deliver_all(smsc, esme, message_id):
    """The operator delivers the three segments that it took last; the ESME hears of the message."""
    await until(lambda: len(smsc.given) == 3)
    for given in list(smsc.given):
        await smsc.deliver_receipt(given)
    assert [(receipt.id.decode(), receipt.state.name) for receipt in await esme.receipts(1)] == [
        (message_id, 'DELIVERED')
    ]


@pytest.mark.wire('G4')
async def test_a_kill_while_the_next_one_has_segments_does_not_end_it_with_what_the_first_took(two, spawned, bind):
    found, mts, tele2 = await two(spawned, mts={'long_messages': 'payload'})
    esme = await bind(found)
    tele2.script = lambda pdu: None
    message_id = await esme.submit(b'', **LONG)
    await mts.submitted(1)
    await fail(mts)
    await tele2.submitted(3)
    await found.stop(signal.SIGKILL)
    tele2.script = lambda pdu: tele2.next_id()
    await found.start()
    await deliver_all(tele2, await bind(found), message_id)
    await found.settle(DELIVERED=1)
    assert (len(mts.submits), len(tele2.submits)) == (1, 6)


@pytest.mark.wire('G4')
async def test_a_link_lost_before_does_not_end_it_with_what_the_first_took(two, bind):
    found, mts, tele2 = await two(mts={'long_messages': 'payload'})
    esme = await bind(found)
    mts.script = lambda pdu: None
    message_id = await esme.submit(b'', **LONG)
    await mts.submitted(1)
    mts.script = lambda pdu: mts.next_id()
    await mts.receiving[0].reset()
    await mts.submitted(2)
    await until(lambda: mts.given)
    await fail(mts)
    await deliver_all(tele2, esme, message_id)
    await found.settle(DELIVERED=1)
    assert (len(mts.submits), len(tele2.submits)) == (2, 3)


@pytest.mark.wire('G4')
@pytest.mark.parametrize('answer', ['taken', THROTTLED, int(CommandStatus.ESME_RSYSERR), 'link lost'])
async def test_a_late_delivrd_keeps_the_segments_back_that_the_next_one_has_not_got(two, bind, answer):
    found, mts, tele2 = await two(mts={'long_messages': 'payload'}, tele2={'window': 1})
    esme = await bind(found)
    tele2.script = lambda pdu: None
    message_id = await esme.submit(b'', **LONG)
    await mts.submitted(1)
    await fail(mts)
    await tele2.submitted(1)
    assert await mts.deliver_receipt(mts.given[0], 'DELIVRD') == 0
    await settled(found, esme, message_id, 'DELIVERED')
    tele2.script = lambda pdu: tele2.next_id()
    if answer == 'link lost':
        await tele2.receiving[0].reset()
    else:
        tele2.respond(tele2.receiving[0], tele2.submits[0], tele2.next_id() if answer == 'taken' else answer)
    await esme.submit(b'another code')
    await mts.submitted(2)
    await fail(mts)
    await tele2.submitted(2)
    assert [pdu.short_message for pdu in tele2.submits[1:]] == [b'another code']
    await until(lambda: found.node.core.account('bank').waiting == 0)
    assert not found.node.core.upstreams['tele2'].long_messages.waiting
    assert len(esme.delivered) == 1


@pytest.mark.wire('G4', 'E1')
async def test_a_receipt_stays_on_disk_for_its_esme_when_the_next_one_throttles_what_was_delivered(two, bind):
    found, mts, tele2 = await two()
    esme = await bind(found, bind=BindTransmitter)
    tele2.script = lambda pdu: None
    message_id = await esme.submit(b'code')
    await mts.submitted(1)
    await fail(mts)
    await tele2.submitted(1)
    assert await mts.deliver_receipt(mts.given[0], 'DELIVRD') == 0
    await found.settle(DELIVERED=1)
    tele2.script = lambda pdu: tele2.next_id()
    tele2.respond(tele2.receiving[0], tele2.submits[0], THROTTLED)
    await esme.submit(b'another code')
    await mts.submitted(2)
    await fail(mts)
    assert [pdu.short_message for pdu in await tele2.submitted(2)] == [b'code', b'another code']
    await found.node.core.shelf.drain()
    esme = await bind(found, bind=BindReceiver)
    assert [receipt.id.decode() for receipt in await esme.receipts(1)] == [message_id]


# Upstreams that are away


@pytest.mark.wire('G4')
@pytest.mark.parametrize('how', ['reload', 'restart'])
async def test_a_message_whose_next_upstream_is_removed_ends_and_is_not_for_the_first_again(two, bind, how):
    found, mts, tele2 = await two(routes=[codes('tele2')])
    esme = await bind(found)
    outbox = await waits_for(found, 'tele2', tele2)
    message_id = await esme.submit(b'code')
    await mts.submitted(1)
    await fail(mts)
    await until(lambda: outbox.depth == 1)
    found.write(upstreams={'tele2': None}, routes=[OWN])
    if how == 'reload':
        await found.reload()
    else:
        await found.stop()
        await found.start()
        await found.links_bound('mts')
        esme = await bind(found)
    await settled(found, esme, message_id, 'UNDELIVERABLE')
    assert len(mts.submits) == 1


@pytest.mark.wire('G4', 'G7')
async def test_a_message_ends_whose_next_upstream_is_removed_while_it_is_on_its_way_there(two, bind, monkeypatch):
    monkeypatch.setattr('smsc.upkeep.MISSING_POLL_S', 3_600)  # which would wait for such messages, too
    found, mts, _ = await two(routes=[codes('tele2')])
    esme = await bind(found)
    core, gate = found.node.core, asyncio.Event()
    alone, catch_up = core.shelf.alone, core.next_routes.stage.catch_up

    async def later(work):
        await gate.wait()
        return await alone(work)

    def awaited():
        gate.set()
        return catch_up()

    monkeypatch.setattr(core.shelf, 'alone', later)
    monkeypatch.setattr(core.next_routes.stage, 'catch_up', awaited)
    message_id = await esme.submit(b'code')
    await mts.submitted(1)
    failing = asyncio.create_task(fail(mts))
    await until(lambda: core.next_routes.stage.load)
    found.write(upstreams={'tele2': None}, routes=[OWN])
    await found.reload()
    gate.set()
    await failing
    await settled(found, esme, message_id, 'UNDELIVERABLE')
    assert len(mts.submits) == 1


@pytest.mark.wire('G4')
async def test_what_was_refused_for_good_is_not_for_that_operator_again_while_the_next_one_is_down(two, bind):
    """Another route has both: what waits for the one may go by the other."""
    found, mts, tele2 = await two()
    esme = await bind(found)
    outbox = await waits_for(found, 'tele2', tele2)
    mts.script = lambda pdu: REFUSED
    message_id = await esme.submit(b'code')
    await until(lambda: outbox.depth == 1)
    failover = found.node.core.failover
    await until(lambda: any(place > (0, 0) for place in failover._places.get('tele2', {}).values()))
    assert outbox.depth == 1
    assert (await found.story(message_id)).next_upstream == 'tele2'
    await tele2.start()
    await tele2.submitted(1)
    assert await tele2.deliver_receipt(tele2.given[-1]) == 0
    await settled(found, esme, message_id, 'DELIVERED')
    assert len(mts.submits) == 1
    assert await found.metric('smsc_next_routes_total') == 1


@pytest.mark.wire('G4')
async def test_what_waited_on_disk_and_is_refused_then_another_gets_at_once(two, bind):
    found, mts, tele2 = await two()
    esme = await bind(found)
    outbox = await waits_for(found, 'mts', mts)
    message_id = await esme.submit(b'code')
    await until(lambda: outbox.depth == 1)
    mts.script = lambda pdu: REFUSED
    await mts.start()
    await tele2.submitted(1)
    assert await tele2.deliver_receipt(tele2.given[-1]) == 0
    await settled(found, esme, message_id, 'DELIVERED')
    assert len(mts.submits) == 1


@pytest.mark.wire('G4')
@pytest.mark.parametrize(('refused', 'cost'), [(True, 150_000), (False, 250_000)])
async def test_what_the_first_refuses_costs_nothing_by_it_and_what_it_took_does(two, bind, refused, cost):
    prices = {name: {'currency': 'RUB', 'default': price} for name, price in (('low', '0.1'), ('high', '0.15'))}
    found, mts, tele2 = await two(prices=prices, mts={'prices': 'low'}, tele2={'prices': 'high'})
    esme = await bind(found)
    mts.script = lambda pdu: REFUSED if refused else mts.next_id()
    message_id = await esme.submit(b'code')
    await mts.submitted(1)
    if not refused:
        await fail(mts)
    await tele2.submitted(1)
    assert await tele2.deliver_receipt(tele2.given[-1]) == 0
    await settled(found, esme, message_id, 'DELIVERED')

    async def costs():
        return (await found.story(message_id)).cost == cost

    await until_async(costs)  # the receipt may have overtaken what is committed of the answer to the submit


@pytest.mark.wire('G4')
async def test_a_kill_after_a_refusal_does_not_ask_that_operator_again(two, spawned, bind):
    found, mts, tele2 = await two(spawned)
    tele2.script = lambda pdu: None
    mts.script = lambda pdu: REFUSED
    message_id = await (await bind(found)).submit(b'code')
    await tele2.submitted(1)
    await found.stop(signal.SIGKILL)
    tele2.script = lambda pdu: tele2.next_id()
    await found.start()
    await tele2.submitted(2)
    esme = await bind(found)
    await tele2.deliver_receipt(tele2.given[-1])
    assert [receipt.id.decode() for receipt in await esme.receipts(1)] == [message_id]
    await found.settle(DELIVERED=1)
    assert len(mts.submits) == 1


@pytest.mark.wire('G4')
@pytest.mark.parametrize('others', [(), ('beeline',)])
async def test_a_next_upstream_that_is_switched_off_is_passed_over(two, bind, start_smsc, others):
    found, mts, tele2 = await two()
    beeline = await start_smsc()
    found.write(upstreams={'beeline': upstream(beeline.port)}, routes=[codes('tele2', *others), REST])
    await found.reload()
    await everywhere_bound(beeline)
    await found.node.switchboard.handle({'kind': 'upstream', 'name': 'tele2', 'off': True, 'who': 'test'})
    esme = await bind(found)
    message_id = await esme.submit(b'code')
    await mts.submitted(1)
    await fail(mts)
    if others:
        await beeline.submitted(1)
        await fail(beeline)
    await settled(found, esme, message_id, 'UNDELIVERABLE')
    assert not tele2.submits


# The same outcome, known twice


@pytest.mark.wire('G4', 'F8')
async def test_a_failure_of_what_was_sent_once_more_and_is_unanswered_holds_no_other_message(two, bind):
    found, mts, tele2 = await two(mts={'response_timeout_s': 0.2})
    esme = await bind(found)
    mts.script = lambda pdu: None if pdu.short_message == b'code' else mts.next_id()
    message_id = await esme.submit(b'code')
    first = (await mts.submitted(2))[0]
    mts.respond(mts.receiving[0], first, mts.next_id())
    await until(lambda: found.node.core.upstreams['mts'].unknown.late)
    assert await mts.deliver_receipt(mts.given[0], 'UNDELIV') == CommandStatus.ESME_RX_T_APPN
    await esme.submit(b'another code')
    await until(lambda: len(mts.given) == 2)
    await fail(mts)
    assert [pdu.short_message for pdu in await tele2.submitted(1)] == [b'another code']
    mts.script = lambda pdu: mts.next_id()
    await until(lambda: len(mts.given) == 3)
    await until(lambda: found.node.core.live[int(message_id)].segment_stored)
    assert await mts.deliver_receipt(mts.given[0], 'UNDELIV') == 0
    assert [pdu.short_message for pdu in await tele2.submitted(2)] == [b'another code', b'code']


@pytest.mark.wire('G4')
async def test_a_failure_that_is_known_twice_before_the_first_is_committed_sends_it_on_once(two, bind):
    found, mts, tele2 = await two()
    esme = await bind(found)
    message_id = await esme.submit(b'code')
    await mts.submitted(1)
    core = found.node.core
    message = core.live[int(message_id)]
    await until(lambda: message.segment_stored)
    for _ in range(2):
        assert not message.next_upstream
        assert core.next_routes.handle_outcome('mts', message, MessageState.UNDELIVERABLE, 0)
        await until(lambda: not core.next_routes.stage.items or not message.segment_stored)
        message.segment_stored = False  # lets the second one wait until tele2 has taken the message
    await tele2.submitted(1)
    await until(lambda: message.next_upstream and not core.shelf.loaded)
    message.segment_stored = True
    await core.next_routes.stage.drain()
    await esme.submit(b'another code')
    await mts.submitted(2)
    await fail(mts)
    assert [pdu.short_message for pdu in await tele2.submitted(2)] == [b'code', b'another code']
