"""Parts of MO messages put together (wire.md D16): any order, copies, references used again, bounds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.message import Message
from pdu.pdus import DeliverSm
from pdu.segments import concatenated, parse_udh
from pdu.tlvs import Tag, find, make
from smsc import assembly
from smsc.assembly import Assembler, MoPart, Step, join, read_part
from smsc.text import payload_of
from tests.domain.messages import mo_message

WAIT_S = 60.0


def udh_part(reference: int, total: int, sequence: int, body: bytes, wide: bool = False, **fields) -> DeliverSm:
    return DeliverSm(
        source_addr=b'79160000001',
        destination_addr=b'1234',
        esm_class=0x40,
        short_message=concatenated([body] * total, reference, wide)[sequence - 1],
        **fields,
    )


def sar(reference: int, total: int, sequence: int) -> tuple[tuple[int, bytes], ...]:
    return (
        make(Tag.SAR_MSG_REF_NUM, reference),
        make(Tag.SAR_TOTAL_SEGMENTS, total),
        make(Tag.SAR_SEGMENT_SEQNUM, sequence),
    )


def sar_part(reference: int, total: int, sequence: int, body: bytes, **fields) -> DeliverSm:
    return DeliverSm(
        source_addr=b'79160000001',
        destination_addr=b'1234',
        short_message=body,
        tlvs=sar(reference, total, sequence),
        **fields,
    )


def message_of(pdu: DeliverSm) -> Message:
    message = mo_message()
    message.pdu = pdu
    return message


def read(pdu: DeliverSm, account: str = 'bank', alphabet: str = 'gsm') -> MoPart:
    part = read_part(account, pdu, alphabet)
    assert part is not None
    return part


def parts_of(bodies: list[bytes], reference: int = 7, account: str = 'bank') -> list[tuple[MoPart, Message]]:
    """The parts of a message as the assembler takes them."""
    found = []
    for sequence, body in enumerate(bodies, 1):
        pdu = udh_part(reference, len(bodies), sequence, body)
        found.append((read(pdu, account), message_of(pdu)))
    return found


def pdus_of(messages: list[Message]) -> list[DeliverSm]:
    return [message.pdu for message in messages if isinstance(message.pdu, DeliverSm)]


def joined_octets(messages: list[Message]) -> bytes:
    pdu = join(pdus_of(messages))
    return payload_of(pdu)


# Which message a part belongs to


@pytest.mark.wire('D7')
@pytest.mark.parametrize('wide', [False, True])
@pytest.mark.parametrize('around', [b'', b'\x05\x04\x0b\x84\x23\xf0'])
def test_both_headers_are_read_with_other_elements_before_or_after(wide, around):
    element = b'\x08\x04\x01\x02\x03\x02' if wide else b'\x00\x03\x02\x03\x02'
    for elements in (element + around, around + element):
        pdu = DeliverSm(esm_class=0x40, short_message=bytes([len(elements)]) + elements + b'two')
        part = read(pdu)
        assert (part.whole.reference, part.whole.total, part.sequence) == (0x0102 if wide else 2, 3, 2)
        assert part.body == b'two'


@pytest.mark.wire('D10')
def test_the_header_wins_over_the_tlvs():
    pdu = udh_part(5, 2, 1, b'one', tlvs=sar(900, 3, 3))
    part = read(pdu)
    assert (part.whole.reference, part.whole.total, part.sequence) == (5, 2, 1)


@pytest.mark.wire('D11')
@pytest.mark.parametrize(('total', 'sequence'), [(3, 0), (3, 4), (0, 0), (0, 1), (255, 0)])
def test_numbers_that_make_no_sense_make_no_part(total, sequence):
    header = b'\x05\x00\x03\x09' + bytes([total, sequence])
    assert read_part('bank', DeliverSm(esm_class=0x40, short_message=header + b'text'), 'gsm') is None
    assert read_part('bank', DeliverSm(short_message=b'text', tlvs=sar(9, total, sequence)), 'gsm') is None


@pytest.mark.parametrize('octets', [b'', b'\x05', b'\x20text', b'\x05\x00\x09\x01\x02\x01text'])
def test_a_header_that_does_not_add_up_makes_no_part(octets):
    pdu = DeliverSm(esm_class=0x40, short_message=octets, tlvs=sar(9, 2, 1))
    assert read_part('bank', pdu, 'gsm') is None


def test_a_message_in_both_places_is_no_part():
    payload = make(Tag.MESSAGE_PAYLOAD, b'other')
    assert read_part('bank', DeliverSm(short_message=b'one', tlvs=(*sar(9, 2, 1), payload)), 'gsm') is None


@pytest.mark.parametrize(
    'other',
    [
        {'account': 'shop'},
        {'source_addr': b'7'},
        {'destination_addr': b'7'},
        {'reference': 8},
        {'total': 4},
        {'data_coding': 8},
        {'alphabet': 'latin1'},
        {'wide': True},
        {'national': ((0x25, b'\x01'),)},
    ],
)
def test_parts_that_differ_in_more_than_their_number_are_not_put_together(other):
    def part(
        sequence: int, account='bank', alphabet='gsm', reference=7, total=2, wide=False, national=(), **fields: Any
    ) -> tuple[MoPart, Message]:
        pdu = udh_part(reference, total, sequence, b'x', wide)
        extra = b''.join(bytes([identifier, len(value)]) + value for identifier, value in national)
        octets = pdu.short_message
        pdu.short_message = bytes([octets[0] + len(extra)]) + octets[1 : octets[0] + 1] + extra + b'x'
        for name, value in fields.items():
            setattr(pdu, name, value)
        return read(pdu, account, alphabet), message_of(pdu)

    assembler = Assembler()
    assert not assembler.add(*part(1), 0.0, WAIT_S).complete
    assert not assembler.add(*part(2, **other), 0.0, WAIT_S).complete
    assert len(assembler) == 2
    assert assembler.add(*part(2), 0.0, WAIT_S).complete


# Gathering

bodies = st.lists(st.binary(min_size=1, max_size=134), min_size=2, max_size=8)


@given(bodies, st.data())
def test_any_order_and_any_copies_give_the_message_once(bodies, data):
    """Any but those of all parts once more, which would be a second message."""
    parts = parts_of(bodies)
    arrivals = data.draw(st.permutations(list(range(len(parts))) + data.draw(st.lists(st.integers(0, len(parts) - 2)))))
    assembler, complete, repeated = Assembler(), [], 0
    for number in arrivals:
        part, message = parts[number]
        step = assembler.add(part, message, 0.0, WAIT_S)
        assert not step.incomplete
        assert not step.passed
        complete += [step.complete] if step.complete else []
        repeated += len(step.repeated)
    for step in assembler.expire(WAIT_S):
        assert not step.incomplete
        repeated += len(step.repeated)
    assert len(complete) == 1
    assert joined_octets(complete[0]) == b''.join(bodies)
    assert repeated == len(arrivals) - len(parts)
    assert len(assembler) == 0
    assert assembler.octets == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 3), st.binary(max_size=2), st.floats(0, 40)),
        min_size=1,
        max_size=60,
    )
)
def test_every_part_leaves_exactly_once_whatever_comes(arrivals):
    """References used again, copies, gaps: each part is joined, passed on, or a copy of an equal one that was not."""
    assembler, now = Assembler(), 0.0
    handed: list[Message] = []
    given_in: list[Message] = []
    known: list[bytes] = []

    def take(step):
        handed.extend([*step.complete, *step.incomplete, *step.passed, *step.repeated])
        known.extend(message.pdu.short_message for message in [*step.complete, *step.incomplete, *step.passed])
        for message in step.repeated:
            assert message.pdu.short_message in known

    for reference, sequence, body, pause in arrivals:
        now += pause
        for step in assembler.expire(now):
            take(step)
        pdu = udh_part(reference, 3, sequence, body)
        message = message_of(pdu)
        given_in.append(message)
        take(assembler.add(read(pdu), message, now, WAIT_S))
    for step in assembler.expire(now + WAIT_S):
        take(step)
    assert sorted(map(id, handed)) == sorted(map(id, given_in))
    assert len(assembler) == 0
    assert assembler.octets == 0


def test_what_misses_a_part_comes_back_in_order_when_its_time_is_up():
    assembler = Assembler()
    (one, two, three) = parts_of([b'1', b'2', b'3'])
    assembler.add(*three, 0.0, WAIT_S)
    assembler.add(*one, 50.0, WAIT_S)
    assert assembler.expire(59.9) == []
    assert assembler.expire(60.0) == [Step(incomplete=[one[1], three[1]])]
    assert assembler.add(*two, 61.0, WAIT_S).passed == [two[1]]  # late: nothing to wait for
    assert assembler.add(*two, 62.0, WAIT_S) == Step()
    assert assembler.expire(122.0) == [Step(repeated=[two[1]])]


def test_a_late_copy_is_known_for_a_while():
    assembler = Assembler()
    (one, two) = parts_of([b'1', b'2'])
    assembler.add(*one, 0.0, WAIT_S)
    assert assembler.add(*two, 1.0, WAIT_S).complete
    assert assembler.add(*one, 60.0, WAIT_S) == Step()
    assert assembler.expire(120.0) == [Step(repeated=[one[1]])]
    assert assembler.add(*one, 120.0, WAIT_S) == Step()
    assert assembler.expire(180.0) == [Step(incomplete=[one[1]])]


def test_a_reference_used_again_at_once_begins_another_message():
    assembler = Assembler()
    first, second = parts_of([b'a1', b'a2']), parts_of([b'b1', b'b2'])
    steps = [assembler.add(*part, 0.0, WAIT_S) for part in (*first, *second)]
    assert not any(step.repeated for step in steps)
    assert [joined_octets(step.complete) for step in steps if step.complete] == [b'a1a2', b'b1b2']


def test_a_reference_used_again_before_the_message_is_complete_hands_that_back():
    assembler = Assembler()
    first, second = parts_of([b'a1', b'a2']), parts_of([b'b1', b'b2'])
    assembler.add(*first[0], 0.0, WAIT_S)
    assert assembler.add(*second[0], 1.0, WAIT_S).incomplete == [first[0][1]]
    assert joined_octets(assembler.add(*second[1], 2.0, WAIT_S).complete) == b'b1b2'


@pytest.mark.wire('D16')
def test_two_messages_under_one_reference_that_begin_alike_both_come_whole():
    assembler = Assembler()
    first, second = parts_of([b'same', b'a2']), parts_of([b'same', b'b2'])
    steps = [assembler.add(*part, 0.0, WAIT_S) for part in (*first, *second)]
    assert [joined_octets(step.complete) for step in steps if step.complete] == [b'samea2', b'sameb2']
    assert not [step for step in steps if step.repeated or step.incomplete or step.passed]
    assert len(assembler) == assembler.octets == 0


@pytest.mark.wire('D16')
@pytest.mark.parametrize('order', [(0, 2, 1, 3), (0, 2, 3, 1), (2, 0, 1, 3)])
def test_two_messages_that_begin_alike_come_whole_though_their_parts_are_mixed(order):
    assembler = Assembler()
    arrivals = [*parts_of([b'same', b'a2']), *parts_of([b'same', b'b2'])]
    steps: list[Any] = []
    for number in order:
        part, message = arrivals[number][:2]
        steps.append(assembler.add(part, message, 0.0, WAIT_S))
    assert sorted(joined_octets(step.complete) for step in steps if step.complete) == [b'samea2', b'sameb2']
    assert len(assembler) == assembler.octets == 0


@pytest.mark.wire('D16')
def test_the_same_message_again_after_the_first_was_complete_is_a_second_one():
    assembler = Assembler()
    for _ in range(3):
        one, two = parts_of([b'1', b'2'])
        assert assembler.add(*two, 0.0, WAIT_S) == Step()
        assert assembler.add(*one, 0.0, WAIT_S).complete == [one[1], two[1]]
    assert len(assembler) == assembler.octets == 0


@pytest.mark.wire('D16')
def test_every_part_twice_is_one_message():
    assembler = Assembler()
    parts = [part for part in parts_of([b'1', b'2', b'3']) for _ in range(2)]
    steps = [assembler.add(*part, 0.0, WAIT_S) for part in parts]
    assert [joined_octets(step.complete) for step in steps if step.complete] == [b'123']
    (step,) = assembler.expire(WAIT_S)
    assert (len(step.repeated), step.incomplete) == (3, [])
    assert len(assembler) == assembler.octets == 0


def test_a_copy_from_before_does_not_keep_the_same_message_from_coming_again():
    assembler = Assembler()
    one, two = parts_of([b'1', b'2'])
    for part in (one, one, two):
        assembler.add(*part, 0.0, WAIT_S)
    again = parts_of([b'1', b'2'])
    assert assembler.add(*again[0], 1.0, WAIT_S) == Step()
    assert assembler.add(*again[1], 1.0, WAIT_S).complete == [message for _, message in again]
    assert assembler.expire(61.0) == [Step(repeated=[one[1]])]
    assert assembler.octets == 0


def test_a_copy_gives_way_to_what_the_next_message_really_begins_with():
    assembler = Assembler()
    first, second = parts_of([b'a1', b'a2']), parts_of([b'b1', b'b2'])
    copy = parts_of([b'a1', b'a2'])[0]
    for part in (*first, copy):
        assembler.add(*part, 0.0, WAIT_S)
    assert assembler.add(*second[0], 0.0, WAIT_S).repeated == [copy[1]]
    assert joined_octets(assembler.add(*second[1], 0.0, WAIT_S).complete) == b'b1b2'
    assert len(assembler) == assembler.octets == 0


def test_a_late_copy_does_not_tear_the_message_that_gathers_now():
    assembler = Assembler()
    first, second = parts_of([b'a1', b'a2']), parts_of([b'b1', b'b2'])
    for part in (*first, second[0]):
        assembler.add(*part, 0.0, WAIT_S)
    assert assembler.add(*first[0], 0.0, WAIT_S) == Step()
    assert joined_octets(assembler.add(*second[1], 0.0, WAIT_S).complete) == b'b1b2'
    assert assembler.expire(WAIT_S) == [Step(repeated=[first[0][1]])]
    assert assembler.octets == 0


def test_with_a_part_missing_the_presumed_copies_go_on_with_the_rest():
    assembler = Assembler()
    first, second = parts_of([b'same', b'a2', b'a3']), parts_of([b'same', b'b2', b'b3'])
    for part in (*first, *second[:2]):
        assembler.add(*part, 0.0, WAIT_S)
    assert assembler.expire(WAIT_S) == [Step(incomplete=[second[0][1], second[1][1]])]
    assert assembler.octets == 0


def test_copies_beside_a_message_are_bounded(monkeypatch):
    monkeypatch.setattr(assembly, 'COPIES_BOUND', 3)
    assembler = Assembler()
    one = parts_of([b'1', b'2'])[0]
    assert sum(len(assembler.add(*one, 0.0, WAIT_S).repeated) for _ in range(10)) == 6
    (step,) = assembler.expire(WAIT_S)
    assert (len(step.incomplete), len(step.repeated), assembler.octets) == (1, 3, 0)


# Bounds


def test_an_account_beyond_its_share_hands_back_its_oldest_and_no_other_does(monkeypatch):
    monkeypatch.setattr(assembly, 'MESSAGES_SHARE', 2)
    assembler = Assembler()
    other = parts_of([b'1', b'2'], account='shop')
    assembler.add(*other[0], 0.0, WAIT_S)
    firsts = [parts_of([b'1', b'2'], reference)[0] for reference in range(4)]
    room = [assembler.add(*part, 0.0, WAIT_S).room for part in firsts]
    assert room == [[], [], [Step(incomplete=[firsts[0][1]])], [Step(incomplete=[firsts[1][1]])]]
    assert assembler.add(*parts_of([b'1', b'2'], 3)[1], 0.0, WAIT_S).room == []
    assert assembler.add(*other[1], 0.0, WAIT_S).complete == [message for _, message in other]


def test_beyond_the_bound_the_account_with_most_hands_back_its_oldest(monkeypatch):
    monkeypatch.setattr(assembly, 'MESSAGES_BOUND', 3)
    monkeypatch.setattr(assembly, 'MARKS_BOUND', 5)
    assembler = Assembler()
    firsts = [parts_of([b'1', b'2'], reference)[0] for reference in range(3)]
    for part in firsts:
        assert assembler.add(*part, 0.0, WAIT_S) == Step()
    assert assembler.add(*parts_of([b'1', b'2'], account='shop')[0], 0.0, WAIT_S).room == [
        Step(incomplete=[firsts[0][1]])
    ]
    assert len(assembler) == 3
    for reference in (1, 2):
        assert assembler.add(*parts_of([b'1', b'2'], reference)[1], 0.0, WAIT_S).complete
    assert len(assembler._done) == 3
    assert assembler.add(*parts_of([b'1', b'2'], account='shop')[1], 0.0, WAIT_S).complete
    assert len(assembler._done) == 2
    assert assembler.expire(WAIT_S) == []
    assert (len(assembler._done), assembler._marks) == (0, 0)


def test_large_parts_are_bounded_together_and_each_message_by_what_a_pdu_holds(monkeypatch):
    assembler = Assembler()
    large = make(Tag.MESSAGE_PAYLOAD, bytes(40_000))

    def part(reference: int, sequence: int) -> tuple[MoPart, Message]:
        pdu = DeliverSm(tlvs=(*sar(reference, 3, sequence), large))
        return read(pdu), message_of(pdu)

    one, two, three = part(1, 1), part(1, 2), part(1, 3)
    assembler.add(*one, 0.0, WAIT_S)
    assert assembler.add(*two, 0.0, WAIT_S).incomplete == [one[1], two[1]]
    assert assembler.add(*three, 0.0, WAIT_S).passed == [three[1]]
    for bound in ('OCTETS_SHARE', 'OCTETS_BOUND'):
        with monkeypatch.context() as patch:
            patch.setattr(assembly, bound, 50_000)
            first = part(2, 1)
            assert assembler.add(*first, 0.0, WAIT_S) == Step()
            assert assembler.add(*part(3, 1), 0.0, WAIT_S).room == [Step(incomplete=[first[1]])]
            assert len(assembler.expire(2 * WAIT_S)) == 1


# The message they make


@pytest.mark.parametrize(('sizes', 'in_payload'), [((134, 120), False), ((134, 121), True), ((134,) * 255, True)])
def test_up_to_254_octets_are_a_short_message_and_more_a_payload(sizes, in_payload):
    bodies = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    pdu = join(pdus_of([message for _, message in parts_of(bodies)]))
    assert pdu.esm_class == 0
    assert pdu.short_message == (b'' if in_payload else b''.join(bodies))
    assert find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) == (b''.join(bodies) if in_payload else None)


def test_other_elements_stay_once_and_those_of_concatenation_go():
    port = b'\x05\x04\x0b\x84\x23\xf0'
    parts = [
        DeliverSm(esm_class=0x43, short_message=b'\x0b\x00\x03\x01\x02' + bytes([number]) + port + b'body')
        for number in (1, 2)
    ]
    pdu = join(parts)
    assert pdu.esm_class == 0x43
    assert pdu.short_message == b'\x06' + port + b'bodybody'
    assert parse_udh(pdu.short_message) is None


def test_sar_tlvs_go_and_others_stay():
    vendor = (0x1400, b'vendor')
    parts = [sar_part(900, 2, number, b'body') for number in (1, 2)]
    parts[0].tlvs = (vendor, *parts[0].tlvs, make(Tag.MORE_MESSAGES_TO_SEND, 1))
    pdu = join(parts)
    assert pdu.tlvs == (vendor,)
    assert pdu.short_message == b'bodybody'


def test_parts_in_the_payload_are_joined_too():
    parts = []
    for number in (1, 2):
        pdu = udh_part(3, 2, number, b'text')
        pdu.tlvs = (make(Tag.MESSAGE_PAYLOAD, pdu.short_message),)
        pdu.short_message = b''
        parts.append(pdu)
    assert read(parts[1]).body == b'text'
    assert join(parts).short_message == b'texttext'
