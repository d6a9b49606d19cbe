"""When an upstream counts as failing, and when it is back: without a clock, `now` is an argument."""

from smsc.availability import Availability, Circuit, ResponseTimes
from smsc.config.upstream_schema import AvailabilityConfig

CONFIG = AvailabilityConfig(
    error_rate_percent=50,
    window_s=30,
    at_least=20,
    throttled_s=10,
    throttled_messages=1_000,
    probe_every_s=5,
    probes=3,
)


def watched(**changes):
    """An upstream whose answers are watched since 0."""
    values = {name: getattr(CONFIG, name) for name in CONFIG.__struct_fields__}
    return Availability(AvailabilityConfig(**values | changes), 0.0)


def answers(upstream, now, good=0, failed=0, throttled=0, waiting=0):
    """So many answers come, and are judged at `now`; returns the circuit."""
    upstream.good += good
    upstream.failed += failed
    upstream.throttled += throttled
    upstream.tick(now, waiting)
    return upstream.circuit


def test_half_of_the_answers_failing_opens_the_circuit_and_less_does_not():
    upstream = watched()
    assert answers(upstream, 1, good=11, failed=9) is Circuit.CLOSED
    assert answers(upstream, 2, failed=2) is Circuit.OPEN
    assert upstream.reason == '11 of the last 22 submits failed'


def test_few_answers_are_not_judged():
    upstream = watched()
    assert answers(upstream, 1, failed=19) is Circuit.CLOSED
    assert answers(upstream, 2, failed=1) is Circuit.OPEN


def test_failures_are_forgotten_with_the_window():
    upstream = watched()
    answers(upstream, 1, failed=19)
    for now in range(2, 40):
        assert answers(upstream, now) is Circuit.CLOSED
    assert answers(upstream, 40, failed=5) is Circuit.CLOSED


def test_one_that_is_not_watched_stays_available():
    upstream = watched(watched=False)
    assert answers(upstream, 1, failed=1_000) is Circuit.CLOSED


def test_probes_close_the_circuit_once_all_of_them_are_taken():
    upstream = watched()
    answers(upstream, 1, failed=20)
    assert not upstream.take_probe()
    assert answers(upstream, 5.9, good=50) is Circuit.OPEN  # answers to submits of before
    assert answers(upstream, 6) is Circuit.PROBING
    assert [upstream.take_probe() for _ in range(4)] == [True, True, True, False]
    assert answers(upstream, 6.5, good=2) is Circuit.PROBING
    assert answers(upstream, 7, good=1) is Circuit.CLOSED
    assert answers(upstream, 7.5, failed=10) is Circuit.CLOSED  # what was before is forgotten


def test_a_probe_that_fails_opens_it_again_until_the_next_probes():
    upstream = watched()
    answers(upstream, 1, failed=20)
    answers(upstream, 6)
    assert upstream.take_probe()
    assert answers(upstream, 7, good=2, failed=1) is Circuit.OPEN
    assert not upstream.take_probe()
    assert answers(upstream, 11.9) is Circuit.OPEN
    assert answers(upstream, 12) is Circuit.PROBING
    assert upstream.take_probe()


def test_probes_that_nobody_answers_are_followed_by_others():
    upstream = watched()
    answers(upstream, 1, failed=20)
    answers(upstream, 6)
    assert [upstream.take_probe() for _ in range(3)] == [True] * 3
    assert not upstream.take_probe()
    assert answers(upstream, 11) is Circuit.PROBING
    assert upstream.take_probe()


def test_throttling_everything_for_long_counts_as_failing_and_something_taken_does_not():
    upstream = watched()
    for now in range(10):
        assert answers(upstream, now, throttled=5) is Circuit.CLOSED
    assert answers(upstream, 10, throttled=5) is Circuit.OPEN
    other = watched()
    for now in range(30):
        assert answers(other, now, throttled=5, good=1) is Circuit.CLOSED
    assert not other.busy


def test_one_that_throttles_long_ago_and_now_has_not_throttled_all_the_time():
    upstream = watched()
    answers(upstream, 0, throttled=1)
    assert answers(upstream, 60, throttled=1) is Circuit.CLOSED


def test_one_that_throttles_while_much_waits_is_busy_until_half_of_it_has_gone():
    upstream = watched()
    for now in range(11):
        answers(upstream, now, throttled=1, good=10, waiting=1_000)
    assert upstream.busy
    assert upstream.circuit is Circuit.CLOSED
    answers(upstream, 11, throttled=1, good=10, waiting=600)
    assert upstream.busy
    answers(upstream, 12, throttled=1, good=10, waiting=499)
    assert not upstream.busy


def test_one_that_throttles_no_more_is_busy_no_more():
    upstream = watched()
    for now in range(11):
        answers(upstream, now, throttled=1, good=10, waiting=2_000)
    for now in range(11, 18):
        answers(upstream, now, good=10, waiting=2_000)
    assert not upstream.busy


def test_slow_responses_open_the_circuit_and_a_slow_probe_keeps_it_open():
    upstream = watched()
    for slow in (False, True, True):
        upstream.note_sample(slow)
    assert answers(upstream, 1, good=3) is Circuit.OPEN
    assert 'longer than 10000 ms' in upstream.reason
    answers(upstream, 6)
    upstream.note_sample(True)
    assert answers(upstream, 8) is Circuit.OPEN


def test_other_rules_begin_anew():
    upstream = watched()
    answers(upstream, 1, failed=20)
    upstream.configure(upstream.config, 2.0)
    assert upstream.circuit is Circuit.OPEN
    upstream.configure(AvailabilityConfig(at_least=100), 3.0)
    assert upstream.circuit is Circuit.CLOSED


def test_the_newest_request_of_each_session_is_timed():
    times = ResponseTimes()
    first: dict[int, str] = {1: 'a', 2: 'b'}
    second: dict[int, str] = {}
    assert times.look([first, second], 0.0, 1.0) == []
    del first[1]
    assert times.look([first, second], 0.5, 1.0) == []
    del first[2]
    assert times.look([first, second], 0.9, 1.0) == [False, False]
    second[7] = 'c'
    times.look([first, second], 1.0, 1.0)
    assert times.look([], 1.9, 1.0) == []
    assert times.look([], 2.0, 1.0) == [True]
