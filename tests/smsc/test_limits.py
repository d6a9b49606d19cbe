"""Rates: a whole burst at once, no more, and the configured rate in the long run."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc.limits import AdaptiveRate, Rate

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


@pytest.mark.wire('C6')
def test_what_was_let_pass_beyond_the_burst_is_paid_for_before_anything_passes():
    rate = Rate(10, 10, START)
    assert rate.take_whole(30, START)
    assert [rate.take(1, START + seconds) for seconds in (0, 1, 1.9)] == [0, 0, 0]
    assert not rate.take_whole(1, START + 1.95)
    assert rate.take(5, START + 2.35) == 3


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


def pass_for(rate, seconds, start, demand_per_s=1000):
    """What passes a rate while more is wanted, asked a hundred times a second."""
    steps = int(seconds * 100)
    return sum(rate.take(demand_per_s // 100, start + (step + 1) / 100) for step in range(steps))


@pytest.mark.wire('F5')
@pytest.mark.parametrize('configured', [0, 500])
def test_throttling_lowers_the_rate_below_what_was_accepted_and_time_restores_it(configured):
    rate = AdaptiveRate(configured, START)
    offered = pass_for(rate, 1, START, 400)
    rate.lower(offered - 200, START + 1)
    assert rate.is_lowered
    assert pass_for(rate, 1, START + 1) == pytest.approx(140, abs=5)
    after = [pass_for(rate, 1, START + second) for second in range(2, 20)]
    assert after == sorted(after)
    assert all(later <= earlier * 1.3 + 5 for earlier, later in pairwise(after) if earlier < 450)
    assert not rate.is_lowered
    assert after[-1] == pytest.approx(configured or 1000, rel=0.05)


@pytest.mark.wire('F5')
def test_the_refusals_of_one_burst_lower_the_rate_once():
    rate = AdaptiveRate(100, START)
    pass_for(rate, 1, START)
    for number in range(20):
        rate.lower(1, START + 1 + number / 100)
    assert rate.rate_per_s == pytest.approx(70, rel=0.05)
    rate.lower(1, START + 2)
    assert rate.rate_per_s < 50


@pytest.mark.wire('F5')
def test_a_peer_that_refuses_everything_still_gets_one_a_second():
    rate = AdaptiveRate(100, START)
    for second in range(20):
        rate.lower(100, START + second)
    assert rate.rate_per_s == 1
    assert pass_for(rate, 3, START + 19.1) >= 2


@pytest.mark.wire('F24')
def test_congestion_lowers_at_80_and_stops_at_100():
    rate = AdaptiveRate(100, START)
    pass_for(rate, 1, START)
    rate.heed(79, START + 1)
    assert not rate.is_lowered
    rate.heed(80, START + 1)
    assert rate.is_lowered
    rate.heed(100, START + 1.1)
    assert rate.take(10, START + 2) == 0
    assert rate.take(10, START + 2.2) > 0


def test_another_configured_rate_holds_at_once_and_the_same_one_leaves_it_lowered():
    rate = AdaptiveRate(100, START)
    rate.lower(50, START + 1)
    lowered = rate.rate_per_s
    rate.configure(100)
    assert rate.rate_per_s == lowered
    rate.configure(30)
    assert (rate.rate_per_s, rate.is_lowered) == (30, False)


@pytest.mark.wire('F4')
@pytest.mark.parametrize('limit', [1, 7, 100, 500, 2000])
def test_no_second_holds_more_than_the_limit_of_an_upstream(limit):
    rate = AdaptiveRate(limit, START)
    taken = [rate.take(10 * limit, START + step / 1000) for step in range(3000)]
    assert max(sum(taken[start : start + 1000]) for start in range(0, 2000, 10)) <= limit
    assert sum(taken) >= 0.97 * 3 * limit - 1


@pytest.mark.wire('F4')
def test_a_share_of_nothing_lets_nothing_pass_and_one_that_grows_makes_no_tokens():
    for rate in (Rate(100, 100, START), AdaptiveRate(100, START)):
        rate.hold(0)
        assert rate.take(10, START + 5) == 0
        assert not rate.take_whole(1, START + 5)
        rate.hold(50)
        assert rate.take(100, START + 5) == 0
        assert rate.take(1, START + 6) == 1


def test_a_lowered_rate_stays_low_when_its_share_changes_and_never_exceeds_that():
    rate = AdaptiveRate(100, START)
    rate.hold(80)
    rate.lower(50, START + 1)
    lowered = rate.rate_per_s
    rate.hold(90)
    assert (rate.rate_per_s, rate.is_lowered) == (lowered, True)
    rate.hold(1)
    rate.lower(5, START + 5)
    assert rate.rate_per_s <= 1


def test_a_limit_that_changes_leaves_the_share_and_is_never_exceeded_by_it():
    rate = Rate(0, 0, START)
    rate.hold(30)
    assert rate.take(1000, START) == 1000
    rate.configure(100)
    assert rate.rate_per_s == 30
    rate.configure(10)
    assert rate.rate_per_s == 10
    rate.configure(0)
    assert rate.take(1000, START) == 1000
