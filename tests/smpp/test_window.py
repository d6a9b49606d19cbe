"""The window: slots taken and given back, requests that get no response in time, also where the numbers wrap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.session import MAX_SEQUENCE_NUMBER
from smpp.window import LATE_BOUND, SPAN_S, Window

START = 1000.0
TIMEOUT_S = 60.0


def send(window: Window, numbers, now: float) -> None:
    for number in numbers:
        window.add(number, f'request {number}')
    window.mark_sent(now + TIMEOUT_S)


def contexts(numbers):
    return [f'request {number}' for number in numbers]


@pytest.mark.wire('F3')
def test_no_more_slots_are_given_than_there_are():
    window = Window(10)
    assert [window.reserve(4) for _ in range(4)] == [4, 4, 2, 0]
    window.release(3)
    assert (window.free, window.reserve(9)) == (3, 3)


def test_a_response_alone_frees_no_slot():
    window = Window(1)
    window.reserve(1)
    send(window, [1], START)
    assert window.pending.pop(1) == 'request 1'
    assert window.free == 0
    window.release()
    assert window.free == 1


def test_a_window_made_smaller_gives_nothing_until_enough_is_released():
    window = Window(10)
    window.reserve(10)
    window.size = 4
    assert window.reserve(1) == 0
    window.release(6)
    assert window.reserve(1) == 0
    window.release(1)
    assert window.reserve(5) == 1


@pytest.mark.wire('F8')
def test_requests_expire_at_their_time_oldest_first_and_keep_their_slots():
    window = Window(10)
    window.reserve(5)
    send(window, [1, 2], START)
    send(window, [3], START + 10)
    assert window.expire(START + TIMEOUT_S - 0.1) == []
    assert window.expire(START + TIMEOUT_S + SPAN_S) == contexts([1, 2])
    assert window.expire(START + TIMEOUT_S + SPAN_S) == []
    assert window.expire(START + 10 + TIMEOUT_S + SPAN_S) == contexts([3])
    assert window.reserved == 5


def test_what_was_answered_does_not_expire():
    window = Window(10)
    send(window, range(1, 6), START)
    for number in (1, 3, 5):
        del window.pending[number]
    assert window.expire(START + 2 * TIMEOUT_S) == contexts([2, 4])


def test_what_has_not_been_sent_does_not_expire():
    window = Window(10)
    send(window, [1], START)
    window.add(2, 'request 2')
    assert window.expire(START + 2 * TIMEOUT_S) == contexts([1])
    window.mark_sent(START + 3 * TIMEOUT_S)
    assert window.expire(START + 2 * TIMEOUT_S) == []
    assert window.expire(START + 4 * TIMEOUT_S) == contexts([2])


@pytest.mark.wire('A20')
def test_requests_sent_over_the_wrap_expire_at_their_time_and_not_before():
    window = Window(10)
    numbers = [MAX_SEQUENCE_NUMBER - 1, MAX_SEQUENCE_NUMBER, 1, 2]
    send(window, numbers, START)
    assert window.expire(START + TIMEOUT_S - 1) == []
    assert window.expire(START + TIMEOUT_S + SPAN_S) == contexts(numbers)


def test_requests_sent_over_the_wrap_do_not_expire_with_those_sent_long_before():
    window = Window(10)
    send(window, [MAX_SEQUENCE_NUMBER - 1], START)
    send(window, [MAX_SEQUENCE_NUMBER, 1], START + 50)
    assert window.expire(START + TIMEOUT_S + SPAN_S) == contexts([MAX_SEQUENCE_NUMBER - 1])
    assert window.expire(START + 50 + TIMEOUT_S + SPAN_S) == contexts([MAX_SEQUENCE_NUMBER, 1])


def test_all_can_be_dropped_and_the_window_used_again():
    window = Window(10)
    send(window, [1, 2], START)
    assert window.drop_all() == contexts([1, 2])
    send(window, [3], START + 1)
    assert window.expire(START + TIMEOUT_S) == []
    assert window.expire(START + 2 * TIMEOUT_S) == contexts([3])


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 5), st.integers(0, 3)), max_size=40),
    st.integers(MAX_SEQUENCE_NUMBER - 40, MAX_SEQUENCE_NUMBER),
)
def test_nothing_expires_early_twice_or_never(steps, number):
    """Each step sends some requests, answers some of the oldest, and lets some time pass."""
    window = Window(1000)
    now, sent_at, ended = START, {}, []
    for sends, wait, answers in steps:
        for _ in range(sends):
            number = number % MAX_SEQUENCE_NUMBER + 1
            window.add(number, number)
            sent_at[number] = now
        if sends:
            window.mark_sent(now + 7)
        ended += [window.pending.pop(answered) for answered in list(window.pending)[:answers]]
        now += wait
        for expired in window.expire(now):
            assert now - sent_at[expired] >= 7
            ended.append(expired)
        assert all(now - sent_at[pending] < 7 + 2 * SPAN_S for pending in window.pending)
    ended += window.expire(now + 100)
    assert sorted(ended) == sorted(sent_at)


@pytest.mark.wire('F8')
def test_what_expired_is_known_for_a_while_and_then_forgotten_the_oldest_first():
    window = Window(3 * LATE_BOUND)
    numbers = range(1, LATE_BOUND + 101)
    send(window, numbers, START)
    assert len(window.expire(START + TIMEOUT_S + SPAN_S)) == len(numbers)
    assert list(window.late.values()) == contexts(numbers[100:])
    window.drop_all()
    assert window.late == {}
