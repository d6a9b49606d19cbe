"""What operators do and how they are to be met: windows, statuses, ids, receipts of every kind (wire.md F)."""

import asyncpg
import pytest
from structlog.testing import capture_logs

from pdu import pdus
from pdu.codec import encode
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from pdu.tlvs import Tag, integer, make
from tests.product.peers import mo, operator_receipt, receipt_of, submit
from tests.product.running import everywhere_bound, free_port, upstream
from tests.product.waiting import until, until_async

FINAL = {
    b'DELIVRD': MessageState.DELIVERED,
    b'EXPIRED': MessageState.EXPIRED,
    b'DELETED': MessageState.DELETED,
    b'UNDELIV': MessageState.UNDELIVERABLE,
    b'UNKNOWN': MessageState.UNKNOWN,
    b'REJECTD': MessageState.REJECTED,
    b'SKIPPED': MessageState.SKIPPED,
}


async def one(product, start_smsc, bind, tree=None, **settings):
    """A product with one scripted operator, and an ESME."""
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, **settings)}, **tree or {})
    await everywhere_bound(smsc)
    return found, smsc, await bind(found)


@pytest.mark.wire('F3')
@pytest.mark.parametrize('window', [1, 7])
async def test_no_bind_ever_has_more_unanswered_submits_than_its_window(product, bind, start_operator, window):
    port = free_port()
    operator = await start_operator(port, response_delay_ms=5)
    found = await product(upstreams={'mts': upstream(port, window=window, links=2)})
    await found.links_bound('mts', 2)
    esme = await bind(found)
    await esme.submit_all(submit() for _ in range(30 * window))
    await esme.receipts(30 * window)
    assert operator.counters.max_outstanding == window


@pytest.mark.wire('F11', 'F18')
async def test_a_response_is_not_held_up_by_the_receipts_in_front_of_it(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind, window=1)
    smsc.script = lambda pdu: None
    await esme.submit_all(submit() for _ in range(2))
    (sent,) = await smsc.submitted(1)
    link = smsc.bound[0]
    # Nothing can be stored about these receipts, so none of them may be acknowledged.
    database = await asyncpg.connect(**found.arguments)
    try:
        async with database.transaction():
            await database.execute('lock table parked_receipt')
            numbers = range(1000, 1300)
            flood = [encode(numbered(operator_receipt(b'unknown-%d' % number), number)) for number in numbers]
            link.send_octets(b''.join(flood) + encode(pdus.SubmitSmResp(sent.sequence_number, 0, b'1')))
            await smsc.submitted(2)
            assert not [pdu for pdu in await link.settled() if isinstance(pdu, pdus.DeliverSmResp)]
    finally:
        await database.close()
    answers = [await link.take(pdus.DeliverSmResp, number) for number in numbers]
    assert {answer.command_status for answer in answers} == {0}


def numbered(pdu, sequence_number):
    pdu.sequence_number = sequence_number
    return pdu


@pytest.mark.wire('F10')
async def test_responses_may_come_in_any_order(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    smsc.script = lambda pdu: None
    texts = [b'%02d' % number for number in range(20)]
    ids = await esme.submit_all(submit(text) for text in texts)
    sent = await smsc.submitted(20)
    for pdu in reversed(sent):
        smsc.respond(smsc.bound[0], pdu, b'id-' + pdu.short_message)
    for text in texts:
        await smsc.deliver_receipt(b'id-' + text)
    assert [receipt.id.decode() for receipt in await esme.receipts(20)] == ids


@pytest.mark.wire('A15')
async def test_a_status_that_nobody_knows_fails_its_message_and_nothing_else(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    statuses = [0x22, 0x100, 0x400, 0x4FF, 0xDEADBEEF, 0xFFFFFFFF]
    answers = list(statuses)
    smsc.script = lambda pdu: answers.pop(0) if answers else smsc.next_id()
    ids = await esme.submit_all(submit() for _ in statuses)
    receipts = await esme.receipts(len(statuses))
    assert {receipt.id.decode() for receipt in receipts} == set(ids)
    assert {receipt.raw_state for receipt in receipts} == {b'UNDELIV'}
    assert [(await found.story(message_id)).error for message_id in ids] == statuses
    await esme.submit()
    await smsc.submitted(len(statuses) + 1)
    assert len(smsc.binds) == 1


@pytest.mark.wire('A15', 'F7')
async def test_a_status_of_a_vendor_means_what_the_table_says(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind, errors={'temporary': [0x4FF]})
    answers = [0x4FF, 0x4FF]
    smsc.script = lambda pdu: answers.pop() if answers else smsc.next_id()
    await esme.submit()
    await smsc.submitted(3)
    await smsc.deliver_receipt(smsc.given[0])
    (receipt,) = await esme.receipts(1)
    assert receipt.raw_state == b'DELIVRD'


@pytest.mark.wire('A16')
async def test_a_refusal_may_have_a_body_or_none(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    smsc.script = lambda pdu: None
    for count, body in enumerate([b'', b'\0', b'some-id\0'], 1):
        await esme.submit()
        sent = (await smsc.submitted(count))[-1]
        header = (16 + len(body), 0x80000004, int(CommandStatus.ESME_RINVDSTADR), sent.sequence_number)
        smsc.bound[0].send_octets(b''.join(number.to_bytes(4, 'big') for number in header) + body)
        receipt = (await esme.receipts(count))[-1]
        assert (receipt.raw_state, receipt.error) == (b'UNDELIV', b'011')
    assert len(smsc.binds) == 1


@pytest.mark.wire('E5')
async def test_every_final_state_comes_through_from_words_and_from_tlvs(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    words = [*FINAL, *FINAL]
    ids = await esme.submit_all(submit() for _ in words)
    await smsc.submitted(len(words))
    for number, (word, given) in enumerate(zip(words, list(smsc.given), strict=True)):
        if number < len(FINAL):
            receipt = operator_receipt(b'', short_message=b'id:%b stat:%b' % (given, word))
        else:
            tlvs = (make(Tag.RECEIPTED_MESSAGE_ID, given), make(Tag.MESSAGE_STATE, int(FINAL[word])))
            receipt = operator_receipt(b'', short_message=b'', tlvs=tlvs)
        assert await smsc.deliver(receipt) == 0
    await esme.receipts(len(words))
    states = {receipt_of(pdu).id.decode(): told_by(pdu) for pdu in esme.delivered}
    assert [states[message_id] for message_id in ids] == [(word, FINAL[word]) for word in words]
    await found.settle(**{state.name: 2 for state in FINAL.values()})


def told_by(pdu):
    """The word in a receipt's text, and its message_state."""
    return pdu.short_message.partition(b' stat:')[2].partition(b' ')[0], integer(pdu.tlvs, Tag.MESSAGE_STATE)


@pytest.mark.wire('E5')
async def test_a_word_that_nobody_knows_is_an_unknown_state(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    await esme.submit()
    await smsc.submitted(1)
    text = operator_receipt(smsc.given[0]).short_message.replace(b'DELIVRD', b'BURNT')
    assert await smsc.deliver(operator_receipt(b'', short_message=text)) == 0
    (receipt,) = await esme.receipts(1)
    assert receipt.raw_state == b'UNKNOWN'
    await found.settle(UNKNOWN=1)


@pytest.mark.wire('F13')
async def test_the_form_of_an_operators_ids_is_learned_from_its_receipts(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    ids = await esme.submit_all(submit(destination_addr=b'7916000%04d' % number) for number in range(8))
    await smsc.submitted(8)
    with capture_logs() as logs:
        for number, given in enumerate(smsc.given):
            if number == 4:  # a reload does not make it forget
                found.write(upstreams={'mts': {'window': 50}})
                await found.reload()
            # The operator writes the numbers in international form, too.
            assert await smsc.deliver(operator_receipt(b'%X' % int(given), source_addr=b'+7916000%04d' % number)) == 0
        receipts = await esme.receipts(8)
    assert [receipt.id.decode() for receipt in receipts] == ids
    assert [(log['upstream'], log['form']) for log in logs if log['event'] == 'upstream.id_form_learned'] == [
        ('mts', 'hex')
    ]


@pytest.mark.wire('F13')
async def test_an_id_that_would_fit_in_another_form_does_not_end_the_message_to_another_number(
    product, start_smsc, bind
):
    found, smsc, esme = await one(product, start_smsc, bind)
    await esme.submit()
    await smsc.submitted(1)
    other = operator_receipt(b'%X' % int(smsc.given[0]), source_addr=b'79160000000')
    assert await smsc.deliver(other) == 0
    assert await found.metric('smsc_dlr_orphans_total') == 1
    assert (await found.ledger()).waiting == 1
    assert await smsc.deliver_receipt(b'%X' % int(smsc.given[0])) == 0
    assert len(await esme.receipts(1)) == 1


@pytest.mark.wire('F13')
async def test_a_form_is_found_out_for_messages_of_an_earlier_run(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    ids = await esme.submit_all(submit() for _ in range(5))
    await smsc.submitted(5)
    await found.stop()
    await found.start()
    esme = await bind(found)
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(b'%x' % int(given)) == 0
    assert sorted(receipt.id.decode() for receipt in await esme.receipts(5)) == sorted(ids)


@pytest.mark.wire('F12', 'F13')
async def test_receipts_of_digits_only_that_came_too_soon_are_matched_once_the_form_is_learned(
    product, start_smsc, bind
):
    found, smsc, esme = await one(product, start_smsc, bind)
    given = [b'%d' % number for number in (0x12345678, 0xAB000001, 0xAB000002, 0xAB000003)]
    left = list(given)
    smsc.script = lambda pdu: left.pop(0)
    ids = await esme.submit_all(submit() for _ in given)
    await smsc.submitted(4)
    for message_id in given:
        assert await smsc.deliver_receipt(b'%x' % int(message_id)) == 0
    assert sorted(receipt.id.decode() for receipt in await esme.receipts(4)) == sorted(ids)

    async def nothing_parked():
        return (await found.status()).parked_receipts == 0

    await until_async(nothing_parked)


@pytest.mark.wire('F15')
async def test_a_receipt_of_an_id_used_twice_ends_the_newest_message(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    smsc.script = lambda pdu: b'42'
    older = await esme.submit(b'older')
    await smsc.submitted(1)
    newer = await esme.submit(b'newer')
    await smsc.submitted(2)

    async def both_taken():
        return [bool((await found.story(message_id)).parts) for message_id in (older, newer)] == [True, True]

    await until_async(both_taken)
    await found.stop()
    await found.start()
    esme = await bind(found)
    assert await smsc.deliver_receipt(b'42') == 0
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == newer
    assert (await found.ledger()).waiting == 1


@pytest.mark.wire('F16')
async def test_receipts_in_data_sm_are_acknowledged_as_such(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    message_id = await esme.submit()
    await smsc.submitted(1)
    receipt = operator_receipt(smsc.given[0])
    response = await smsc.receiving[-1].ask(
        pdus.DataSm(
            source_addr=receipt.source_addr,
            destination_addr=receipt.destination_addr,
            esm_class=4,
            tlvs=(make(Tag.MESSAGE_PAYLOAD, receipt.short_message),),
        )
    )
    assert (type(response), response.command_status) == (pdus.DataSmResp, 0)
    (told,) = await esme.receipts(1)
    assert told.id.decode() == message_id


@pytest.mark.wire('F16', 'F20')
async def test_receipts_without_an_esm_class_are_receipts_where_that_is_stated(product, start_smsc, bind):
    tree = {'mo': [{'name': 'all', 'account': 'bank'}]}
    _found, smsc, esme = await one(product, start_smsc, bind, tree, receipts_by_text=True)
    message_id = await esme.submit()
    await smsc.submitted(1)
    assert await smsc.deliver(mo(b'id:is a nice stat:us')) == 0
    assert await smsc.deliver(mo(b'id:7 is my number')) == 0
    assert await smsc.deliver_receipt(smsc.given[0], esm_class=0) == 0
    await until(lambda: len(esme.delivered) == 3)
    by_class = {pdu.esm_class: pdu.short_message for pdu in esme.delivered}
    assert message_id.encode() in by_class[4]
    assert sorted(pdu.short_message for pdu in esme.delivered if not pdu.esm_class) == [
        b'id:7 is my number',
        b'id:is a nice stat:us',
    ]


@pytest.mark.wire('F17')
async def test_receipts_of_unknown_messages_are_kept_over_a_restart_and_matched_later(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    assert await smsc.deliver_receipt(b'777') == 0
    await found.stop()
    await found.start()
    await everywhere_bound(smsc)
    assert (await found.status()).parked_receipts == 1
    smsc.script = lambda pdu: b'777'
    esme = await bind(found)
    message_id = await esme.submit()
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == message_id
    await found.settle(DELIVERED=1)


@pytest.mark.wire('F17')
async def test_where_unknown_receipts_are_refused_the_operator_keeps_them(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind, unknown_receipts='refuse')
    assert await smsc.deliver_receipt(b'777') == CommandStatus.ESME_RX_T_APPN
    assert await found.metric('smsc_dlr_orphans_total') == 1
    assert (await found.status()).parked_receipts == 0
    smsc.script = lambda pdu: b'777'
    await esme.submit()
    await smsc.submitted(1)
    assert await smsc.deliver_receipt(b'777') == 0
    assert len(await esme.receipts(1)) == 1


@pytest.mark.wire('E8')
async def test_receipts_that_contradict_the_first_final_one_change_nothing(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    message_id = await esme.submit()
    await smsc.submitted(1)
    assert await smsc.deliver_receipt(smsc.given[0], 'UNDELIV', error=b'034') == 0
    for state in ('DELIVRD', 'EXPIRED', 'ENROUTE', 'UNDELIV'):
        assert await smsc.deliver_receipt(smsc.given[0], state) == 0
    await esme.receipts(1)
    await esme.settled()
    assert [pdu.short_message.count(b'UNDELIV') for pdu in esme.delivered] == [1]
    assert (await found.story(message_id)).state == MessageState.UNDELIVERABLE
    assert await found.metric('smsc_dlr_repeated_total') == 3
