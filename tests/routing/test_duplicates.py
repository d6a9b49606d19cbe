"""Messages that say the same again (wire.md C33): what is the same, for how long, and what is forgotten."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import first_id
from pdu.segments import Concatenation
from pdu.tlvs import Tag, make
from routing.duplicates import Duplicates, DuplicateStep, SeenMessages
from routing.facts import Facts
from routing.steps import Verdict
from tests.routing.messages import message

NOW_MS = 1_790_000_000_000
WITHIN_MS = 60_000


def sent(at_s: float = 0, number: int = 0, user_data: bytes = b'hello', **more: Any) -> Facts:
    """The facts of a message that comes `at_s` seconds after the first, `number` tells those of one moment apart."""
    at_ms = NOW_MS + int(at_s * 1000)
    return message(now_ms=at_ms, message_id=first_id(at_ms) + number, user_data=user_data, **more)


def a_step(bound: int = 1_000, **more: Any) -> DuplicateStep:
    return DuplicateStep(SeenMessages(WITHIN_MS, bound), **more)


def reference(number: int) -> Any:
    return (make(Tag.USER_MESSAGE_REFERENCE, number),)


@pytest.mark.wire('C33')
def test_the_same_message_is_answered_with_the_id_of_the_first():
    step = a_step()
    first = sent()
    assert step.judge(first) is None
    for at_s in (1, 30, 59.9):
        verdict = step.judge(sent(at_s))
        assert verdict is not None
        assert (verdict.action, verdict.status, verdict.message_id) == ('repeat', 0, first.message_id)


def test_what_repeats_a_message_does_not_make_its_time_longer():
    step = a_step()
    step.judge(sent())
    assert step.judge(sent(59)) is not None
    second = sent(60)
    assert step.judge(second) is None
    verdict = step.judge(sent(61))
    assert verdict is not None
    assert verdict.message_id == second.message_id


@pytest.mark.parametrize(
    'other',
    [
        {'destination': '79161234568'},
        {'source_addr': 'Other'},
        {'user_data': b'hello!'},
        {'data_coding': 8},
        {'tlvs': reference(2)},
        {'tlvs': ()},
    ],
)
@pytest.mark.wire('C33')
def test_what_differs_is_no_duplicate(other):
    step = a_step()
    assert step.judge(sent(tlvs=reference(1))) is None
    assert step.judge(sent(1, **{'tlvs': reference(1)} | other)) is None
    assert step.judge(sent(2, tlvs=reference(1))) is not None


@pytest.mark.parametrize(
    ('by', 'other'),
    [
        (('destination', 'text'), {'source_addr': 'Other', 'tlvs': reference(2)}),
        (('user_message_reference',), {'destination': '1', 'user_data': b'2', 'data_coding': 8, 'source_addr': '3'}),
        (('destination', 'source_addr'), {'user_data': b'other', 'tlvs': ()}),
    ],
)
def test_only_what_is_asked_for_must_be_the_same(by, other):
    step = a_step(by=by)
    step.judge(sent(tlvs=reference(1)))
    assert step.judge(sent(1, **{'tlvs': reference(1)} | other)) is not None


@pytest.mark.parametrize('by', [('destination', 'text', 'source_addr', 'user_message_reference'), ('destination',)])
def test_parts_of_a_message_are_not_duplicates_of_one_another(by):
    step = a_step(by=by)
    parts = [Concatenation(7, 3, sequence, wide=True) for sequence in (1, 2, 3)]
    assert [step.judge(sent(0, number, part=part)) for number, part in enumerate(parts)] == [None, None, None]
    assert step.judge(sent(1, part=parts[1])) is not None
    assert step.judge(sent(1, part=Concatenation(8, 3, 2, wide=True))) is None


def test_duplicates_can_be_refused_or_dropped():
    for answer in ('refuse', 'drop'):
        step = a_step(answer=answer, status=0x45)
        first = sent()
        step.judge(first)
        verdict = step.judge(sent(12))
        assert verdict == Verdict(0x45, f'the same as {first.message_id}, 12 s before', answer)


def test_what_was_not_accepted_may_come_again():
    step = a_step()
    first = sent()
    step.judge(first)
    step.forget(first)
    assert step.judge(sent(1)) is None


@pytest.mark.wire('C33')
@pytest.mark.parametrize('changed', [{'source_addr': 'Put in'}, {'tlvs': reference(2)}, {'destination': '1'}])
def test_what_was_not_accepted_may_come_again_whatever_later_steps_made_of_it(changed):
    step = a_step()
    first = sent()
    step.judge(first)
    for name, value in changed.items():
        setattr(first, name, value)
    step.forget(first)
    assert step.judge(sent(1)) is None


@pytest.mark.parametrize('by', [('destination', 'text', 'source_addr', 'user_message_reference'), ('source_addr',)])
def test_the_sender_is_the_one_asked_for_whatever_was_put_in(by):
    step = a_step(by=by)
    for facts, put_in in ((sent(source_addr=''), 'MyBank'), (sent(source_addr='Other'), 'MyBank')):
        facts.put_in(put_in)
        assert step.judge(facts) is None
    assert step.judge(sent(source_addr='')) is not None
    assert step.judge(sent(source_addr='Other')) is not None


def test_to_forget_a_repetition_leaves_the_first():
    step = a_step()
    first = sent()
    step.judge(first)
    second = sent(1)
    step.judge(second)
    step.forget(second)
    verdict = step.judge(sent(2))
    assert verdict is not None
    assert verdict.message_id == first.message_id


def test_to_look_leaves_nothing_behind():
    step = a_step()
    assert step.peek(sent()) is None
    assert step.judge(message(now_ms=NOW_MS, user_data=b'hello')) is None  # that of `smsc route` has no id
    assert step.tell(sent()) == 'nothing like it in the last 60 s, 0 messages remembered'
    first = sent()
    assert step.judge(first) is None
    assert step.peek(sent(1)) == step.judge(sent(1))
    assert step.tell(sent(5)) == f'the same as {first.message_id}, 5 s ago; 60 s count'


def test_the_oldest_make_room_and_are_counted():
    step = a_step(bound=100)
    for number in range(1_000):
        step.judge(sent(0, number, b'%d' % number))
    assert len(step.seen) <= 100
    assert step.seen.forgotten >= 900 - 100
    assert step.judge(sent(1, user_data=b'999')) is not None
    assert step.judge(sent(1, user_data=b'0')) is None


def test_nothing_is_forgotten_early_without_need():
    step = a_step(bound=1_000)
    for second in range(400):
        step.judge(sent(second, user_data=b'%d' % second))
        if second >= 59:
            assert step.peek(sent(second, user_data=b'%d' % (second - 59))) is not None
    assert step.seen.forgotten == 0
    assert len(step.seen) <= 121


def test_a_reload_changes_the_time_and_keeps_what_was_seen():
    duplicates = Duplicates()
    DuplicateStep(duplicates.of('bank', 60_000, 100)).judge(sent())
    assert DuplicateStep(duplicates.of('bank', 30_000, 100)).peek(sent(20)) is not None
    assert DuplicateStep(duplicates.of('bank', 10_000, 100)).peek(sent(20)) is None
    duplicates.keep(['shop'])
    assert DuplicateStep(duplicates.of('bank', 60_000, 100)).peek(sent(20)) is None


def test_a_shorter_time_is_kept_from_the_reload_on():
    duplicates = Duplicates()
    step = DuplicateStep(duplicates.of('bank', 3_600_000, 1_000))
    step.judge(sent(0))
    duplicates.of('bank', 10_000, 1_000)
    for second in range(1, 100):
        step.judge(sent(second, user_data=b'%d' % second))
    assert len(step.seen) <= 21


def test_what_is_read_back_after_a_restart_counts_as_seen():
    step = a_step()
    first = sent()
    step.recall(first)
    step.recall(sent(3))
    verdict = step.judge(sent(5))
    assert verdict is not None
    assert verdict.message_id == first.message_id


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=60))
def test_a_duplicate_is_what_a_plain_list_says(coming):
    """Whatever comes when, the answer is that of a list of all messages."""
    step = a_step(bound=10_000)
    accepted: list[tuple[int, float, int]] = []
    at_s = 0
    for number, (text, pause_s) in enumerate(coming):
        at_s += pause_s
        facts = sent(at_s, number, b'%d' % text)
        known = [one for one in accepted if one[0] == text and one[1] > at_s - 60]
        verdict = step.judge(facts)
        if known:
            assert verdict is not None
            assert verdict.message_id == known[0][2]
        else:
            assert verdict is None
            accepted.append((text, at_s, facts.message_id))
