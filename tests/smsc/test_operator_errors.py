"""What an operator's refusals, silence and disappearance do to messages."""

from datetime import UTC, datetime

import pytest

from pdu import pdus
from pdu.status import CommandStatus
from pdu.times import parse
from tests.product.peers import receipt_of, submit
from tests.product.running import everywhere_bound, free_port, upstream
from tests.product.waiting import until


async def two(product, start_smsc, bind, **tree):
    """A product whose only route has two scripted operators, and an ESME."""
    first, second = await start_smsc(), await start_smsc()
    found = await product(upstreams={'mts': upstream(first.port), 'tele2': upstream(second.port)}, **tree)
    await everywhere_bound(first)
    await everywhere_bound(second)
    return found, first, second, await bind(found)


async def one(product, start_smsc, bind, smpp=None, **settings):
    """A product with one scripted operator, and an ESME."""
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, **settings)}, smpp=smpp or {})
    await everywhere_bound(smsc)
    return found, smsc, await bind(found)


def answering(smsc, *answers):
    """Lets an operator give these answers, then ids."""
    left = list(answers)
    smsc.script = lambda pdu: left.pop(0) if left else smsc.next_id()


@pytest.mark.wire('F5', 'F7')
@pytest.mark.parametrize('status', [CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RMSGQFUL])
async def test_what_is_throttled_goes_again_to_the_same_operator_in_order(product, start_smsc, bind, status):
    found, first, second, esme = await two(product, start_smsc, bind)
    refused: list[bytes] = []

    def script(pdu):
        if len(refused) < 3:
            refused.append(pdu.short_message)
            return int(status)
        return first.next_id()

    first.script = script
    texts = [b'%03d' % number for number in range(20)]
    await esme.submit_all(submit(text) for text in texts)
    await until(lambda: len(first.given) == 20)
    assert second.submits == []
    # Those that were refused come again in their old order.
    again = [pdu.short_message for pdu in first.submits if pdu.short_message in refused]
    assert [text for text in again if again.count(text) > 1][-len(refused) :] == sorted(refused)
    assert sorted({pdu.short_message for pdu in first.submits}) == texts
    book = await found.ledger()
    assert (book.final, book.waiting) == ({}, 20)


@pytest.mark.wire('F5')
async def test_throttling_slows_the_rate_and_lets_it_recover(product, bind, start_operator):
    port = free_port()
    operator = await start_operator(port, rate_per_s=200)
    found = await product(upstreams={'mts': upstream(port, errors={'throttle': [0x58]})})
    esme = await bind(found)
    await esme.submit_all(submit() for _ in range(400))
    await esme.receipts(400)
    assert operator.counters.accepted == 400
    assert operator.counters.throttled < 2000  # tens of thousands, were they sent again at once
    await found.settle(DELIVERED=400)


@pytest.mark.wire('F7', 'G3')
async def test_a_temporary_error_sends_the_message_to_the_next_operator_of_the_route(product, start_smsc, bind):
    found, first, second, esme = await two(product, start_smsc, bind)
    first.script = lambda pdu: int(CommandStatus.ESME_RSYSERR)
    message_id = await esme.submit()
    await second.submitted(1)
    await second.deliver_receipt(second.given[0])
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == message_id
    assert len(first.submits) == 1
    assert [upstream for upstream, _, _ in (await found.story(message_id)).parts] == ['tele2']


@pytest.mark.wire('F7')
async def test_a_temporary_error_of_the_only_operator_is_tried_again_later(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    answering(smsc, 0x08, 0x64, 0x08)
    await esme.submit()
    sent = await smsc.submitted(4)
    assert {pdu.short_message for pdu in sent} == {b'your code is 4711'}
    await smsc.deliver_receipt(smsc.given[0])
    await esme.receipts(1)
    await found.settle(DELIVERED=1)


@pytest.mark.wire('F6', 'E17')
@pytest.mark.parametrize('status', [0x01, 0x0A, 0x0B, 0x48, 0x51, 0x61, 0x45, 0x22, 0x4FF])
async def test_a_permanent_error_ends_the_message_with_a_receipt_that_says_why(product, start_smsc, bind, status):
    found, first, second, esme = await two(product, start_smsc, bind)
    answering(first, status)
    message_id = await esme.submit()
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'UNDELIV')
    story = await found.story(message_id)
    assert story.error == status
    assert receipt.error == b'%03d' % status if status < 1000 else b'999'
    assert (len(first.submits), len(second.submits)) == (1, 0)
    await found.settle(UNDELIVERABLE=1)


async def test_an_operators_own_table_says_what_its_errors_mean(product, start_smsc, bind):
    first, second = await start_smsc(), await start_smsc()
    errors = {'throttle': [0x400], 'temporary': [0x45], 'permanent': ['ESME_RSYSERR']}
    found = await product(upstreams={'mts': upstream(first.port, errors=errors), 'tele2': upstream(second.port)})
    await everywhere_bound(first)
    await everywhere_bound(second)
    esme = await bind(found)
    answering(first, 0x400, 0x45)
    await esme.submit()
    await second.submitted(1)
    assert len(first.submits) == 2
    answering(first, 0x08)
    await esme.submit()
    (receipt,) = await esme.receipts(1)
    assert (receipt.raw_state, receipt.error) == (b'UNDELIV', b'008')


@pytest.mark.wire('F21', 'A8')
async def test_a_generic_nack_to_a_submit_fails_that_message_and_keeps_the_link(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    smsc.script = lambda pdu: None
    await esme.submit()
    (sent,) = await smsc.submitted(1)
    smsc.bound[0].send(pdus.GenericNack(sent.sequence_number, 0x03))
    (receipt,) = await esme.receipts(1)
    assert (receipt.raw_state, receipt.error) == (b'UNDELIV', b'003')
    smsc.script = lambda pdu: smsc.next_id()
    await esme.submit()
    await smsc.submitted(2)
    assert len(smsc.binds) == 1


@pytest.mark.wire('G3')
async def test_messages_go_the_second_way_while_the_first_is_down_and_return_with_it(product, start_smsc, bind):
    found, first, second, esme = await two(product, start_smsc, bind)
    await esme.submit()
    await first.submitted(1)
    await first.stop()
    await found.links_bound('mts', 0)
    await esme.submit()
    await second.submitted(1)
    await first.start()
    await everywhere_bound(first)
    await found.links_bound('mts')
    await esme.submit()
    await first.submitted(2)
    assert len(second.submits) == 1


@pytest.mark.wire('F9', 'G3')
async def test_a_link_that_dies_with_messages_in_flight_loses_none(product, start_smsc, bind):
    found, first, second, esme = await two(product, start_smsc, bind)
    answered = []

    def script(pdu):
        answered.append(pdu)
        return first.next_id() if len(answered) <= 10 else None

    first.script = script
    ids = await esme.submit_all(submit(b'%03d' % number) for number in range(30))
    await first.submitted(30)
    await until(lambda: found.node.core.upstreams['mts'].answers[0] == 10)
    await first.stop()
    # The others may have arrived: they are sent again, and marked.
    await second.submitted(20)
    assert sorted(pdu.short_message for pdu in second.submits) == [b'%03d' % number for number in range(10, 30)]
    stories = [await found.story(message_id) for message_id in ids]
    assert [story.repeated for story in stories] == [False] * 10 + [True] * 20
    assert await found.metric('smsc_unknown_outcomes_total', upstream='mts') == 20


@pytest.mark.wire('F8')
async def test_without_a_response_in_time_the_message_is_marked_and_sent_again(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind, response_timeout_s=0.5)
    answering(smsc, None)
    message_id = await esme.submit()
    await smsc.submitted(2)
    await smsc.deliver_receipt(smsc.given[0])
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == message_id
    assert (await found.story(message_id)).repeated
    await found.settle(DELIVERED=1)


@pytest.mark.wire('A18')
async def test_a_response_that_comes_too_late_or_twice_is_dropped(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    await esme.submit()
    (sent,) = await smsc.submitted(1)
    smsc.respond(smsc.bound[0], sent, 0x0B)
    smsc.respond(smsc.bound[0], sent, b'another')
    smsc.bound[0].send(pdus.SubmitSmResp(4711, 0, b'nobody'))
    await smsc.bound[0].settled()
    await smsc.deliver_receipt(smsc.given[0])
    (receipt,) = await esme.receipts(1)
    assert receipt.raw_state == b'DELIVRD'
    assert len(smsc.binds) == 1


@pytest.mark.wire('F10')
async def test_responses_in_any_order_find_their_messages(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    smsc.script = lambda pdu: None
    ids = await esme.submit_all(submit(b'%03d' % number) for number in range(20))
    sent = await smsc.submitted(20)
    for pdu in reversed(list(sent)):
        smsc.respond(smsc.bound[0], pdu, b'op-' + pdu.short_message)
    for number in range(20):
        await smsc.deliver_receipt(b'op-%03d' % number)
    receipts = await esme.receipts(20)
    assert [receipt.id.decode() for receipt in receipts] == ids
    assert [receipt.text for receipt in receipts] == [b'%03d' % number for number in range(20)]


@pytest.mark.wire('F1')
@pytest.mark.parametrize(
    ('kind', 'binds'),
    [
        ('transceiver', {pdus.BindTransceiver}),
        ('transmitter+receiver', {pdus.BindTransmitter, pdus.BindReceiver}),
    ],
)
async def test_links_bind_as_configured(product, start_smsc, bind, kind, binds):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, bind=kind, links=2, system_type='SMPP')})
    await everywhere_bound(smsc, 2 * len(binds))
    assert {type(request) for request in smsc.binds} == binds
    assert {(request.system_id, request.system_type) for request in smsc.binds} == {(b'proxy', b'SMPP')}
    assert {request.interface_version for request in smsc.binds} == {0x34}
    esme = await bind(found)
    await esme.submit_all(submit() for _ in range(10))
    await smsc.submitted(10)
    for given in list(smsc.given):
        await smsc.deliver_receipt(given)
    await esme.receipts(10)


@pytest.mark.wire('F23')
async def test_several_links_share_the_messages(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, links=3, window=10)})
    await everywhere_bound(smsc, 3)
    esme = await bind(found)
    by_link = dict.fromkeys(smsc.bound, 0)
    smsc.script = lambda pdu: None
    respond = smsc.respond

    def count(peer, pdu, answer):
        by_link[peer] += 1
        respond(peer, pdu, answer)

    smsc.respond = count
    for _ in range(15):
        await esme.submit()
    await smsc.submitted(15)
    assert list(by_link.values()) == [5, 5, 5]


@pytest.mark.wire('F2')
async def test_a_refused_password_waits_long_and_raises_the_alarm(product, start_smsc):
    smsc = await start_smsc()
    smsc.bind_status = int(CommandStatus.ESME_RINVPASWD)
    found = await product(upstreams={'mts': upstream(smsc.port, reconnect={'first_s': 0.01, 'refused_s': 3600})})
    await until(lambda: smsc.binds)
    status = await found.status()
    while not status.upstreams[0].links[0].refusals:
        status = await found.status()
    assert 'ESME_RINVPASWD' in status.upstreams[0].links[0].last_error
    assert await found.metric('smsc_link_refusals', upstream='mts') == 1
    link = found.node.core.upstreams['mts'].links[0]
    assert link._delay_s(1) >= 3600 * 0.9
    assert len(smsc.binds) == 1


@pytest.mark.wire('F22')
async def test_an_operator_that_does_not_answer_enquire_link_is_left(product, start_smsc, bind):
    first, second = await start_smsc(), await start_smsc()
    found = await product(
        upstreams={
            'mts': upstream(first.port, enquire_link_s=0.2, response_timeout_s=0.5, reconnect={'refused_s': 3600}),
            'tele2': upstream(second.port),
        }
    )
    await everywhere_bound(first)
    await everywhere_bound(second)
    esme = await bind(found)
    first.bound[0].send = lambda *requests: None
    first.bind_status = int(CommandStatus.ESME_RBINDFAIL)
    await esme.submit(b'before')
    await first.submitted(1)
    await second.submitted(1)
    await esme.submit(b'after')
    await second.submitted(2)
    assert [pdu.short_message for pdu in second.submits] == [b'before', b'after']


@pytest.mark.wire('F21')
async def test_an_operator_that_unbinds_gets_its_answer_and_a_new_bind(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    response = await smsc.bound[0].ask(pdus.Unbind())
    assert isinstance(response, pdus.UnbindResp)
    await smsc.bound[0].close()
    await everywhere_bound(smsc, 2)
    await esme.submit()
    await smsc.submitted(1)


@pytest.mark.wire('C21')
async def test_the_operator_is_told_what_is_left_of_the_validity(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    await esme.submit(validity_period=b'000000001000000R')
    (sent,) = await smsc.submitted(1)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    left = parse(sent.validity_period, now) - now
    assert 9 * 60 < left.total_seconds() <= 10 * 60
    assert sent.schedule_delivery_time == b''


async def test_the_receipt_of_a_failure_shows_the_addresses_swapped(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    answering(smsc, 0x0B)
    await esme.submit(source_addr_ton=1, source_addr_npi=1, source_addr=b'74951112233')
    await esme.receipts(1)
    pdu = esme.delivered[0]
    assert (pdu.source_addr, pdu.destination_addr) == (b'79161234567', b'74951112233')
    assert receipt_of(pdu).delivered == b'000'
