"""Long messages through the product: what the operator gets in segments, what becomes of them, and the one receipt."""

import asyncio
from typing import Any

import pytest

from pdu import pdus
from pdu.segments import parse_udh
from pdu.status import CommandStatus
from pdu.tlvs import Tag, find
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async

TEXT = 'Уважаемый клиент! Ваш счёт пополнен на 1 000 рублей. ' * 6  # 318 characters: 5 segments of UCS-2
OCTETS = TEXT.encode('utf-16-be')
LONG: dict[str, Any] = {'short_message': b'', 'data_coding': 8, 'tlvs': ((int(Tag.MESSAGE_PAYLOAD), OCTETS),)}


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with one scripted operator, which may be configured, and an ESME."""

    async def start(accounts=None, count=1, **changes):
        smsc = await start_smsc()
        accounts = {'bank': account(**accounts or {})}
        found = await product(accounts=accounts, upstreams={'mts': upstream(smsc.port, links=count, **changes)})
        await everywhere_bound(smsc, count)
        return found, smsc, await bind(found)

    return start


def parts_of(submits) -> list[tuple[int, int, int, bytes]]:
    """(reference, total, sequence, octets) of segments with a user data header."""
    found = []
    for pdu in submits:
        part = parse_udh(pdu.short_message)
        assert part is not None
        found.append((part.reference, part.total, part.sequence, pdu.short_message[1 + pdu.short_message[0] :]))
    return found


def sequence_of(pdu) -> int:
    return parts_of([pdu])[0][2]


def text_of(submits):
    """What a handset shows of segments, in whatever order they came."""
    return b''.join(octets for *_, octets in sorted(parts_of(submits), key=lambda part: part[2])).decode('utf-16-be')


@pytest.mark.wire('C14', 'D8', 'E15')
async def test_a_long_text_goes_out_in_segments_and_has_one_receipt(running):
    product, smsc, esme = await running()
    message_id = await esme.submit(**LONG)
    submits = await smsc.submitted(5)
    assert [part[1:3] for part in parts_of(submits)] == [(5, sequence) for sequence in range(1, 6)]
    assert len({part[0] for part in parts_of(submits)}) == 1
    assert all(pdu.esm_class == 0x40 and find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) is None for pdu in submits)
    assert text_of(submits) == TEXT
    for given in smsc.given[1:]:
        await smsc.deliver_receipt(given)
    assert not esme.delivered
    await smsc.deliver_receipt(smsc.given[0])
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.state, receipt.submitted) == (message_id, 2, b'005')
    await product.settle(DELIVERED=1)


@pytest.mark.wire('E15')
async def test_the_receipt_tells_the_worst_of_the_segments(running):
    product, smsc, esme = await running()
    await esme.submit(**LONG)
    await smsc.submitted(5)
    for given, state in zip(smsc.given, ('DELIVRD', 'EXPIRED', 'UNDELIV', 'DELIVRD', 'DELIVRD'), strict=True):
        await smsc.deliver_receipt(given, state, error=b'017' if state == 'UNDELIV' else b'000')
    (receipt,) = await esme.receipts(1)
    assert (receipt.raw_state, receipt.error) == (b'UNDELIV', b'017')
    await smsc.deliver_receipt(smsc.given[1], 'DELIVRD')  # a second word on a segment changes nothing
    assert len(esme.delivered) == 1
    await product.settle(UNDELIVERABLE=1)


@pytest.mark.wire('E15', 'E11')
async def test_receipts_of_segments_survive_a_restart(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    message_id = await esme.submit(**LONG)
    await smsc.submitted(5)
    for given in smsc.given[:3]:
        await smsc.deliver_receipt(given)
    await found.stop()
    await found.start()
    esme = await bind(found)
    for given in smsc.given[3:]:
        await smsc.deliver_receipt(given)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.state, receipt.submitted) == (message_id, 2, b'005')
    await found.settle(DELIVERED=1)
    assert len(smsc.submits) == 5


async def test_after_a_kill_only_the_segments_without_a_committed_response_go_again(spawned, start_smsc, bind):
    smsc = await start_smsc()
    smsc.script = lambda pdu: smsc.next_id() if sequence_of(pdu) < 4 else None
    found = await spawned(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    message_id = await esme.submit(**LONG)
    await smsc.submitted(5)

    async def three_committed():
        return len((await found.story(message_id)).parts) == 3

    await until_async(three_committed)
    found.stop_now(9)
    smsc.script = lambda pdu: smsc.next_id()
    await found.start()
    await smsc.submitted(7)
    before, again = parts_of(smsc.submits[:5]), parts_of(smsc.submits[5:])
    assert sorted(part[2] for part in again) == [4, 5]
    assert {part[0] for part in again} == {part[0] for part in before}
    esme = await bind(found)
    for given in smsc.given:
        await smsc.deliver_receipt(given)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.state) == (message_id, 2)
    await found.settle(DELIVERED=1)
    assert len(smsc.submits) == 7


async def test_after_a_restart_a_segment_that_was_refused_for_good_is_not_sent_again(product, start_smsc, bind):
    smsc = await start_smsc()
    smsc.script = lambda pdu: CommandStatus.ESME_RINVDSTADR if sequence_of(pdu) == 2 else smsc.next_id()
    found = await product(upstreams={'mts': upstream(smsc.port)}, queues={'memory': 100})
    await everywhere_bound(smsc)
    esme = await bind(found)
    message_id = await esme.submit(**LONG)
    await smsc.submitted(5)

    async def all_committed():
        story = await found.story(message_id)
        return len(story.parts) == 4

    await until_async(all_committed)
    await found.stop()
    await found.start()
    await found.links_bound('mts')
    esme = await bind(found)
    for given in smsc.given:
        await smsc.deliver_receipt(given)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state, receipt.error) == (message_id, b'UNDELIV', b'011')
    assert len(smsc.submits) == 5
    await found.settle(UNDELIVERABLE=1)


@pytest.mark.wire('D15', 'F23')
async def test_all_segments_of_a_message_leave_on_one_link(running):
    _product, smsc, esme = await running(count=3, window=4)
    by_text: dict[bytes, list[Any]] = {}
    plain = smsc.respond

    def note(peer, pdu, answer):
        by_text.setdefault(pdu.destination_addr, []).append((id(peer), sequence_of(pdu)))
        plain(peer, pdu, answer)

    smsc.respond = note
    await esme.submit_all(submit(**LONG, destination_addr=b'7916%07d' % number) for number in range(20))
    await smsc.submitted(100)
    assert len(by_text) == 20
    for sent in by_text.values():
        assert len({link for link, _ in sent}) == 1
        assert [sequence for _, sequence in sent] == [1, 2, 3, 4, 5]
    assert len({sent[0][0] for sent in by_text.values()}) > 1


@pytest.mark.wire('D8', 'D15', 'F23')
async def test_parts_that_an_esme_made_leave_on_one_link_in_order(running):
    _product, smsc, esme = await running(count=3)
    by_reference: dict[int, list[Any]] = {}
    plain = smsc.respond

    def note(peer, pdu, answer):
        by_reference.setdefault(parts_of([pdu])[0][0], []).append((id(peer), pdu.short_message))
        plain(peer, pdu, answer)

    smsc.respond = note
    parts = {
        reference: [b'\x05\x00\x03%c\x04%c' % (reference, sequence) + b'text' for sequence in range(1, 5)]
        for reference in range(10)
    }
    for sequence in range(4):  # the parts of all messages mixed
        await esme.submit_all(submit(parts[reference][sequence], esm_class=0x40) for reference in parts)
    await smsc.submitted(40)
    for reference, sent in by_reference.items():
        assert len({link for link, _ in sent}) == 1
        assert [octets for _, octets in sent] == parts[reference]


@pytest.mark.wire('F9', 'D15')
async def test_when_the_link_dies_the_rest_of_a_message_goes_by_another(running):
    product, smsc, esme = await running(window=2)
    answered: list[Any] = []

    def script(pdu):
        if len(answered) == 1:  # the first segment was taken; of those after it nobody knows
            smsc.bound[0].writer.transport.abort()
            smsc.bound.clear()
            answered.append(pdu)
            return None
        answered.append(pdu)
        return smsc.next_id()

    smsc.script = script
    await esme.submit(**LONG)
    await until(lambda: {part[2] for part in parts_of(smsc.submits)} == {1, 2, 3, 4, 5} and len(smsc.given) >= 5)
    assert [part[2] for part in parts_of(smsc.submits)].count(1) == 1
    assert len({part[0] for part in parts_of(smsc.submits)}) == 1
    for given in smsc.given:
        await smsc.deliver_receipt(given)
    (receipt,) = await esme.receipts(1)
    assert receipt.state == 2
    await product.settle(DELIVERED=1)


@pytest.mark.wire('F5')
async def test_a_throttled_segment_goes_again_before_those_after_it(running):
    product, smsc, esme = await running(window=1)
    refusals = [None, CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RTHROTTLED]
    smsc.script = lambda pdu: (refusals.pop(0) if refusals else None) or smsc.next_id()
    await esme.submit(**LONG)
    submits = await smsc.submitted(7)
    assert [part[2] for part in parts_of(submits)] == [1, 2, 2, 2, 3, 4, 5]
    for given in smsc.given:
        await smsc.deliver_receipt(given)
    await product.settle(DELIVERED=1)


@pytest.mark.wire('F7')
async def test_a_segment_refused_for_now_goes_again_alone(running):
    product, smsc, esme = await running()
    refusals = {2: CommandStatus.ESME_RSYSERR}
    smsc.script = lambda pdu: refusals.pop(sequence_of(pdu), None) or smsc.next_id()
    await esme.submit(**LONG)
    submits = await smsc.submitted(6)
    assert sorted(part[2] for part in parts_of(submits)) == [1, 2, 2, 3, 4, 5]
    for given in smsc.given:
        await smsc.deliver_receipt(given)
    await product.settle(DELIVERED=1)


@pytest.mark.wire('F7')
async def test_a_message_none_of_which_is_taken_goes_to_the_next_upstream_as_a_whole(product, start_smsc, bind):
    first, second = await start_smsc(), await start_smsc()
    first.script = lambda pdu: CommandStatus.ESME_RSYSERR
    found = await product(upstreams={'mts': upstream(first.port), 'tele2': upstream(second.port)})
    await everywhere_bound(first)
    await everywhere_bound(second)
    esme = await bind(found)
    await esme.submit(**LONG)
    assert text_of(await second.submitted(5)) == TEXT
    for given in second.given:
        await second.deliver_receipt(given)
    await found.settle(DELIVERED=1)


@pytest.mark.wire('F6', 'E17')
async def test_a_segment_refused_for_good_ends_the_message_when_the_others_have_ended(running):
    product, smsc, esme = await running(window=2)
    smsc.script = lambda pdu: CommandStatus.ESME_RINVDSTADR if sequence_of(pdu) == 2 else smsc.next_id()
    await esme.submit(**LONG)
    await until(lambda: len(smsc.given) >= 1)
    for given in smsc.given:
        await smsc.deliver_receipt(given)
    (receipt,) = await esme.receipts(1)
    assert (receipt.raw_state, receipt.error) == (b'UNDELIV', b'011')
    await product.settle(UNDELIVERABLE=1)


async def test_without_a_receipt_asked_for_a_message_ends_when_all_of_it_is_taken(running):
    product, smsc, esme = await running()
    await esme.submit(**LONG, registered_delivery=0)
    await smsc.submitted(5)
    await product.settle(ACCEPTED=1)


@pytest.mark.wire('C21', 'E17')
async def test_segments_that_are_not_sent_in_time_are_never_sent(running):
    product, smsc, esme = await running(window=1)
    smsc.script = lambda pdu: None
    await esme.submit(**LONG, validity_period=b'000000000002000R')
    await smsc.submitted(1)
    peer, pdu = smsc.bound[0], smsc.submits[0]
    await asyncio.sleep(2.1)  # the validity of the message: nothing else can end it
    smsc.respond(peer, pdu, smsc.next_id())
    await smsc.deliver_receipt(smsc.given[0])
    (receipt,) = await esme.receipts(1)
    assert receipt.raw_state == b'EXPIRED'
    assert len(smsc.submits) == 1
    await product.settle(EXPIRED=1)


@pytest.mark.wire('D9', 'D10')
@pytest.mark.parametrize(('form', 'segments'), [('udh', 5), ('udh16', 5), ('sar', 5), ('payload', 1), ('as_is', 1)])
async def test_each_upstream_gets_long_messages_in_its_form(running, form, segments):
    _product, smsc, esme = await running(long_messages=form)
    await esme.submit(**LONG)
    submits = await smsc.submitted(segments)
    if form in ('payload', 'as_is'):
        assert find(submits[0].tlvs, Tag.MESSAGE_PAYLOAD) == OCTETS
    elif form == 'sar':
        numbers = [find(pdu.tlvs, Tag.SAR_SEGMENT_SEQNUM) for pdu in submits]
        assert numbers == [bytes([number]) for number in range(1, 6)]
        assert len({find(pdu.tlvs, Tag.SAR_MSG_REF_NUM) for pdu in submits}) == 1
        assert b''.join(pdu.short_message for pdu in submits) == OCTETS
    else:
        assert {pdu.short_message[:3] for pdu in submits} == {b'\5\0\3' if form == 'udh' else b'\6\x08\4'}
        assert text_of(submits) == TEXT


@pytest.mark.wire('D12')
async def test_many_long_messages_to_one_number_never_share_a_reference(running):
    _product, smsc, esme = await running(accounts={'window': 2000})
    await esme.submit_all(submit(**LONG, registered_delivery=0) for _ in range(256))
    references = {part[0] for part in parts_of(await smsc.submitted(256 * 5))}
    assert len(references) == 256


@pytest.mark.wire('D13')
async def test_a_message_of_more_segments_than_allowed_is_refused_whole(running):
    _product, smsc, esme = await running(accounts={'max_parts': 4})
    response = await esme.ask(submit(**LONG))
    assert (response.command_status, response.message_id) == (CommandStatus.ESME_RINVMSGLEN, b'')
    await esme.submit()
    assert len(await smsc.submitted(1)) == 1


@pytest.mark.wire('D13', 'C14')
async def test_64_kb_go_where_messages_stay_whole_and_are_refused_where_they_cannot(running, bind):
    payload: dict[str, Any] = {
        'short_message': b'',
        'data_coding': 4,
        'tlvs': ((int(Tag.MESSAGE_PAYLOAD), bytes(64_000)),),
    }
    _product, smsc, esme = await running(long_messages='payload')
    await esme.submit(**payload)
    (sent,) = await smsc.submitted(1)
    assert find(sent.tlvs, Tag.MESSAGE_PAYLOAD) == bytes(64_000)


@pytest.mark.wire('C6', 'C5')
async def test_segments_count_in_the_rate_and_a_message_is_taken_whole_or_not_at_all(running):
    _product, smsc, esme = await running(accounts={'rate_per_s': 8})
    responses = await esme.ask_all(submit(**LONG) for _ in range(2))
    assert [response.command_status for response in responses] == [0, CommandStatus.ESME_RTHROTTLED]
    assert len(await smsc.submitted(5)) == 5


@pytest.mark.wire('C6')
async def test_the_first_part_an_esme_sends_pays_for_all_of_them(running):
    _product, _smsc, esme = await running(accounts={'rate_per_s': 5})
    parts = [submit(b'\x05\x00\x03\x07\x04%ctext' % number, esm_class=0x40) for number in range(1, 5)]
    other = [submit(b'\x05\x00\x03\x08\x04%ctext' % number, esm_class=0x40) for number in range(1, 5)]
    responses = await esme.ask_all([parts[0], other[0], submit(), *parts[1:]])
    statuses = [response.command_status for response in responses]
    assert statuses == [0, CommandStatus.ESME_RTHROTTLED, 0, 0, 0, 0]


@pytest.mark.wire('C6', 'C4')
async def test_segments_count_in_the_window(running):
    _product, _smsc, esme = await running(accounts={'window': 7})
    responses = await esme.ask_all([submit(), submit(**LONG), submit(**LONG), submit(), submit()])
    throttled = CommandStatus.ESME_RTHROTTLED
    assert [response.command_status for response in responses] == [0, 0, throttled, 0, throttled]
    assert (await esme.ask(submit(**LONG))).command_status == 0


@pytest.mark.wire('D11')
@pytest.mark.parametrize(('sequence', 'total'), [(0, 2), (3, 2), (1, 0), (255, 255)])
async def test_odd_numbers_of_parts_pass_or_are_refused_as_configured(running, sequence, total):
    octets = b'\x05\x00\x03\x07%c%ctext' % (total, sequence)
    _product, smsc, esme = await running()
    await esme.submit(octets, esm_class=0x40)
    assert (await smsc.submitted(1))[0].short_message == octets


@pytest.mark.wire('D11')
async def test_odd_numbers_of_parts_are_refused_where_that_is_configured(running):
    _product, _smsc, esme = await running(accounts={'bad_parts': 'refuse'})
    in_header = submit(b'\x05\x00\x03\x07\x02\x03text', esm_class=0x40)
    in_tlvs = submit(
        tlvs=(
            (int(Tag.SAR_MSG_REF_NUM), b'\0\7'),
            (int(Tag.SAR_TOTAL_SEGMENTS), b'\2'),
            (int(Tag.SAR_SEGMENT_SEQNUM), b'\0'),
        )
    )
    responses = await esme.ask_all([in_header, in_tlvs])
    assert [response.command_status for response in responses] == [
        CommandStatus.ESME_RINVESMCLASS,
        CommandStatus.ESME_RINVOPTPARAMVAL,
    ]


@pytest.mark.wire('F8')
async def test_a_late_answer_to_the_only_segment_that_waits_leaves_nothing_behind(product, start_smsc, bind):
    smsc = await start_smsc()
    smsc.script = lambda pdu: smsc.next_id() if sequence_of(pdu) != 2 else None
    found = await product(
        upstreams={'mts': upstream(smsc.port, response_timeout_s=0.4, retry={'first_s': 30, 'last_s': 30})}
    )
    await everywhere_bound(smsc)
    esme = await bind(found)
    await esme.submit(**LONG)
    mts = found.node.core.upstreams['mts']
    first = next(pdu for pdu in await smsc.submitted(5) if sequence_of(pdu) == 2)
    await until(lambda: mts.unknown.count == 1)
    smsc.script = lambda pdu: CommandStatus.ESME_RSYSERR  # what goes again is refused for now, and rests
    await until(lambda: mts.long_messages.waiting == 1)
    part = next(iter(mts.long_messages._stranded.values()), [None])[0]
    assert part is not None
    assert mts.long_messages.take_back(part)
    mts.tick(found.node.core.loop.time())
    assert mts.long_messages.waiting == 0
    mts.answering.handle(None, [(part, pdus.SubmitSmResp(first.sequence_number, 0, smsc.next_id()))])
    for given in smsc.given:
        await smsc.deliver_receipt(given)
    await found.settle(DELIVERED=1)
