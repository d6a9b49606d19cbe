"""The parts that an ESME makes of a message, judged as one (wire.md G2): held, joined, handed back, remembered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.message import Message
from pdu import alphabets, national
from pdu.national import Language
from pdu.pdus import SubmitSm
from pdu.segments import Concatenation, concatenated, sar_tlvs
from pdu.tlvs import Tag, make
from smsc.joined_parts import PART_OCTETS, Joiner, Parts, PartsKey, joined_text, parts_key
from smsc.text import payload_of
from smsc.wire_forms import part_of
from tests.domain.messages import mt_message

WAIT_S = 10.0
KEEP_S = 60.0


def submit(body: bytes, **fields: Any) -> Message:
    found = mt_message()
    found.pdu = SubmitSm(source_addr=b'Shop', destination_addr=b'79161234567', short_message=body, **fields)
    return found


def udh_parts(bodies: list[bytes], reference: int = 7, wide: bool = False, **fields: Any) -> list[Message]:
    return [submit(octets, esm_class=0x40, **fields) for octets in concatenated(bodies, reference, wide)]


def sar_parts(bodies: list[bytes], reference: int = 7, **fields: Any) -> list[Message]:
    tlvs = [sar_tlvs(Concatenation(reference, len(bodies), number)) for number in range(1, len(bodies) + 1)]
    return [submit(body, tlvs=tlv, **fields) for body, tlv in zip(bodies, tlvs, strict=True)]


def place(message: Message, account: str = 'shop') -> tuple[PartsKey, int]:
    assert isinstance(message.pdu, SubmitSm)
    part = part_of(message.pdu)
    assert part is not None
    return parts_key(account, message.pdu, part), part.sequence


def add(joiner: Joiner[Any], message: Message, now: float = 0.0, account: str = 'shop') -> list[Parts]:
    key, number = place(message, account)
    return joiner.add(key, number, message, now, WAIT_S)


def add_all(joiner: Joiner[Any], messages: list[Message], now: float = 0.0) -> list[Parts]:
    return [parts for message in messages for parts in add(joiner, message, now)]


def together(messages: list[Message]) -> Parts:
    """Parts as the joiner hands them back."""
    places = [place(message) for message in messages]
    return Parts(places[0][0], messages, [number for _, number in places])


# What is held


@pytest.mark.wire('G2')
@pytest.mark.parametrize('made', [udh_parts, sar_parts])
def test_parts_are_handed_back_together_when_the_last_one_comes(made):
    joiner: Joiner[str] = Joiner()
    one, two, three = made([b'one', b'two', b'three'])
    assert add_all(joiner, [three, one]) == []
    assert len(joiner) == 1
    (parts,) = add(joiner, two)
    assert parts.complete
    assert [message.id for message in parts.messages] == [one.id, two.id, three.id]
    assert parts.numbers == [1, 2, 3]
    assert len(joiner) == 0


def test_parts_of_other_messages_are_held_apart():
    joiner: Joiner[str] = Joiner()
    first, others = udh_parts([b'a', b'b'], 7)[0], udh_parts([b'c', b'd'], 8)
    assert add(joiner, first) == []
    assert add(joiner, first, account='bank') == []
    (parts,) = add_all(joiner, others)
    assert [message.id for message in parts.messages] == [message.id for message in others]
    assert len(joiner) == 2


def test_what_is_not_complete_in_time_is_handed_back_as_it_is():
    joiner: Joiner[str] = Joiner()
    one, _, three = udh_parts([b'one', b'two', b'three'])
    add(joiner, three, 0)
    add(joiner, one, 9)
    assert joiner.tick(9.9) == []
    (parts,) = joiner.tick(10)
    assert not parts.complete
    assert [message.id for message in parts.messages] == [one.id, three.id]
    assert parts.numbers == [1, 3]
    assert joiner.tick(1_000) == []
    assert joiner.incomplete == 1


def test_each_message_has_its_own_time():
    joiner: Joiner[str] = Joiner()
    firsts = [udh_parts([b'a', b'b'], reference)[0] for reference in range(5)]
    for at, message in enumerate(firsts):
        add(joiner, message, at)
    assert [[message.id for message in parts.messages] for parts in joiner.tick(12)] == [[m.id] for m in firsts[:3]]
    assert [[message.id for message in parts.messages] for parts in joiner.tick(14)] == [[m.id] for m in firsts[3:]]


def test_a_message_of_one_part_is_not_held():
    joiner: Joiner[str] = Joiner()
    (only,) = udh_parts([b'alone'])
    (parts,) = add(joiner, only)
    assert parts.complete


@pytest.mark.parametrize(('number', 'total'), [(0, 2), (3, 2), (1, 0)])
def test_numbers_that_make_no_sense_are_handed_back_at_once(number, total):
    joiner: Joiner[str] = Joiner()
    message = submit(bytes([5, 0, 3, 7, total, number]) + b'x', esm_class=0x40)
    (parts,) = add(joiner, message)
    assert parts.messages == [message]
    assert len(joiner) == 0


def test_a_copy_of_a_part_goes_on_behind_it():
    joiner: Joiner[str] = Joiner()
    one, two = udh_parts([b'one ', b'two'])
    again = submit(payload_of(one.pdu), esm_class=0x40)
    assert add_all(joiner, [one, again]) == []
    (parts,) = add(joiner, two)
    assert [message.id for message in parts.messages] == [one.id, again.id, two.id]
    assert joined_text(parts, 'gsm') == 'one two'


def test_other_octets_under_a_number_begin_a_new_message():
    joiner: Joiner[str] = Joiner()
    old = udh_parts([b'old', b'text'])[0]
    new = udh_parts([b'new', b'text'])
    add(joiner, old)
    (given_up,) = add(joiner, new[0], 1)
    assert [message.id for message in given_up.messages] == [old.id]
    (parts,) = add(joiner, new[1], 2)
    assert [message.id for message in parts.messages] == [message.id for message in new]


def test_without_room_a_message_is_decided_on_what_there_is():
    joiner: Joiner[str] = Joiner(octets_share=3 * (PART_OCTETS + 100))
    held = [udh_parts([b'a', b'b'], reference)[0] for reference in range(3)]
    assert add_all(joiner, held) == []
    too_many = udh_parts([b'a', b'b'], 9)[0]
    (alone,) = add(joiner, too_many)
    assert alone.messages == [too_many]
    assert joiner.crowded == 1
    assert add(joiner, too_many, account='bank') == []  # others have room
    assert len(joiner.tick(WAIT_S)) == 4
    assert add(joiner, too_many) == []  # there is room again


def test_all_accounts_together_have_a_bound():
    joiner: Joiner[str] = Joiner(octets_bound=2 * (PART_OCTETS + 100))
    message = udh_parts([b'a', b'b'])[0]
    handed_back = [add(joiner, message, account=f'account {number}') for number in range(4)]
    assert [len(parts) for parts in handed_back] == [0, 0, 1, 1]


def test_a_message_that_grows_beyond_all_measure_is_not_held_on():
    joiner: Joiner[str] = Joiner()
    large = [
        submit(b'', tlvs=(*sar_tlvs(Concatenation(7, 9, number)), (int(Tag.MESSAGE_PAYLOAD), b'x' * 40_000)))
        for number in (1, 2)
    ]
    assert add(joiner, large[0]) == []
    (parts,) = add(joiner, large[1])
    assert [message.id for message in parts.messages] == [message.id for message in large]


def test_a_message_that_is_cancelled_is_held_no_more():
    joiner: Joiner[str] = Joiner()
    one, two = udh_parts([b'one', b'two'])
    add(joiner, one)
    assert joiner.discard(one, place(one)[0])
    assert not joiner.discard(one, place(one)[0])
    assert len(joiner) == 0
    assert add(joiner, two) == []
    assert joiner.release(place(two)[0]) == Parts(place(two)[0], [two], [2])
    assert joiner.release(place(two)[0]) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.booleans()), max_size=40))
def test_every_part_is_handed_back_once(coming):
    """Whatever comes, in whatever order: nothing is lost, nothing is told twice."""
    joiner: Joiner[str] = Joiner(octets_share=4 * PART_OCTETS)
    added: list[int] = []
    handed_back: list[int] = []
    for now, (reference, number, other) in enumerate(coming):
        message = udh_parts([b'other' if other else b'same'] * 3, reference)[number - 1]
        added.append(message.id)
        for parts in [*add(joiner, message, now), *joiner.tick(now)]:
            handed_back += [message.id for message in parts.messages]
            assert parts.numbers == sorted(parts.numbers)
    handed_back += [message.id for parts in joiner.tick(1_000) for message in parts.messages]
    assert sorted(handed_back) == sorted(added)
    assert joiner._octets == 0
    assert joiner._account_octets == {}


# Their text


def cut(octets: bytes, size: int) -> list[bytes]:
    return [octets[at : at + size] for at in range(0, len(octets), size)]


@pytest.mark.parametrize('made', [udh_parts, sar_parts])
def test_the_text_is_that_of_all_parts(made):
    parts = together(made([b'Your code is 12', b'34, tell nobody']))
    assert joined_text(parts, 'gsm') == 'Your code is 1234, tell nobody'


def test_characters_that_were_cut_in_two_are_whole():
    emoji = '😀' * 3
    assert joined_text(together(udh_parts(cut(emoji.encode('utf-16-be'), 6), data_coding=8)), 'gsm') == emoji
    euros = '€€€'
    octets = alphabets.encode(euros, alphabets.Alphabet.GSM)
    assert joined_text(together(udh_parts(cut(octets, 3), wide=True)), 'gsm') == euros
    assert joined_text(together(sar_parts(cut('жук'.encode(), 3))), 'utf8') == 'жук'


def test_national_tables_are_heeded():
    found = national.encode('Şişli ağaç', (Language.TURKISH,))
    assert found is not None
    (name, value), *_ = found.elements
    header = bytes([5 + 2 + len(value), 0, 3, 7, 2])
    messages = [
        submit(header + bytes([number, name, len(value)]) + value + body, esm_class=0x40)
        for number, body in enumerate(cut(found.septets, 6), 1)
    ]
    assert joined_text(together(messages), 'gsm') == 'Şişli ağaç'


def test_parts_in_different_alphabets_are_read_one_by_one():
    plain, wide = udh_parts([b'code ', 'ж'.encode('utf-16-be')])
    wide.pdu.data_coding = 8
    assert joined_text(together([plain, wide]), 'gsm') == 'code ж'


def test_what_is_missing_is_missing_in_the_text():
    one, _, three = udh_parts([b'one', b'two', b'three'])
    assert joined_text(together([one, three]), 'gsm') == 'onethree'


# Decisions that hold for parts to come


@pytest.mark.wire('G2')
def test_a_decision_holds_for_the_other_parts():
    joiner: Joiner[str] = Joiner()
    one, two, three = udh_parts([b'one', b'two', b'three'])
    assert joiner.decision(*place(one), one, 0) is None
    joiner.remember(together([one]), 'mts', 0, KEEP_S)
    assert joiner.decision(*place(three), three, 1) == 'mts'
    assert joiner.decision(*place(two), two, 2) == 'mts'
    assert joiner.decision(*place(one), one, 3) == 'mts'  # a copy
    (other,) = udh_parts([b'one', b'two', b'three'], 8)[:1]
    assert joiner.decision(*place(other), other, 4) is None


def test_a_reference_that_is_used_again_is_decided_anew():
    joiner: Joiner[str] = Joiner()
    old, new = udh_parts([b'old', b'text']), udh_parts([b'new', b'other'])
    joiner.remember(together(old[:1]), 'mts', 0, KEEP_S)
    assert joiner.decision(*place(old[1]), old[1], 0) == 'mts'
    assert joiner.decision(*place(new[0]), new[0], 1) is None
    assert joiner.decision(*place(new[1]), new[1], 1) is None
    joiner.remember(together(new[:1]), 'beeline', 1, KEEP_S)
    assert joiner.decision(*place(new[1]), new[1], 2) == 'beeline'


def test_a_decision_ends_with_its_time_or_with_a_reload_once_all_parts_have_taken_it():
    joiner: Joiner[str] = Joiner()
    one, two = udh_parts([b'one', b'two'])
    joiner.remember(together([one]), 'mts', 0, KEEP_S)
    assert joiner.decision(*place(two), two, KEEP_S) is None
    joiner.remember(together([one]), 'mts', 0, KEEP_S)
    joiner.forget_decisions()
    assert joiner.decision(*place(two), two, 1) == 'mts'  # the others of its message went there
    joiner.forget_decisions()
    assert joiner.decision(*place(one), one, 1) is None


def test_a_decision_about_a_part_that_was_not_accepted_holds_for_no_other():
    joiner: Joiner[str] = Joiner()
    one, two = udh_parts([b'one', b'two'])
    joiner.remember(together([one]), 'mts', 0, KEEP_S)
    joiner.forget_decision(place(one)[0])
    assert joiner.decision(*place(two), two, 1) is None


def test_decisions_are_bounded():
    joiner: Joiner[int] = Joiner(decisions_bound=10)
    firsts = [udh_parts([b'a', b'b'], reference)[0] for reference in range(50)]
    for number, message in enumerate(firsts):
        joiner.remember(together([message]), number, 0, KEEP_S)
    known = [joiner.decision(*place(message), message, 1) for message in firsts]
    assert known == [None] * 40 + list(range(40, 50))


def test_user_message_reference_of_a_copy_may_differ():
    joiner: Joiner[str] = Joiner()
    one, two = udh_parts([b'one', b'two'])
    again = submit(payload_of(one.pdu), esm_class=0x40, tlvs=(make(Tag.USER_MESSAGE_REFERENCE, 9),))
    (parts,) = add_all(joiner, [one, again, two])
    assert joined_text(parts, 'gsm') == 'onetwo'
