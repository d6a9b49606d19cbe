"""Rates: a whole burst at once, no more, and the configured rate in the long run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc.limits import Rate

START = 1000.0


@pytest.mark.wire('C5')
@pytest.mark.parametrize('limit', [1, 7, 1000])
def test_a_burst_of_the_limit_passes_whole_and_the_next_does_not(limit):
    rate = Rate(limit, limit, START)
    assert sum(rate.take(1, START) for _ in range(limit)) == limit
    assert rate.take(1, START) == 0
    assert rate.take(1, START + 1.01 / limit) == 1


@pytest.mark.wire('C5')
@pytest.mark.parametrize('limit', [3, 50, 1000])
def test_the_long_run_is_the_rate_however_often_is_asked(limit):
    rate = Rate(limit, limit, START)
    rate.take(limit, START)
    steps = 20 * limit * 7
    passed = sum(rate.take(1, START + step / limit / 7) for step in range(1, steps + 1))
    assert passed == pytest.approx(20 * limit, rel=0.02)


def test_a_pause_saves_up_no_more_than_the_burst():
    rate = Rate(10, 5, START)
    assert rate.take(100, START + 3600) == 5


def test_a_rate_of_0_lets_everything_pass():
    assert Rate(0, 0, START).take(1_000_000, START) == 1_000_000


def test_a_lower_rate_takes_effect_at_once_and_forgets_nothing_that_was_used():
    rate = Rate(100, 100, START)
    assert rate.take(95, START) == 95
    rate.change(10, 10)
    assert rate.take(100, START) == 5
    assert rate.take(100, START + 0.5) == 5


@pytest.mark.wire('C5')
def test_a_rate_that_was_without_limit_begins_with_a_whole_burst():
    rate = Rate(0, 0, START)
    rate.change(50, 50)
    assert rate.take(100, START) == 50


@pytest.mark.wire('F4')
@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 30)), max_size=100))
def test_no_second_holds_more_than_rate_and_burst(steps):
    rate = Rate(20, 2, START)
    now, taken = START, []
    for wait, wanted in steps:
        now += wait
        taken.append((now, rate.take(wanted, now)))
    for since, _ in taken:
        assert sum(count for at, count in taken if since <= at < since + 1) <= 22
