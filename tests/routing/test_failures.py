"""Numbers that fail for good, often enough in a row."""

from routing.failures import Failures

MINUTE_MS = 60_000
DAY_MS = 86_400_000
NOW_MS = 1_800_000_000_000
NUMBER = 79161234567


def failing(counted: Failures, *days: float) -> list[bool]:
    return [counted.note_failure(NUMBER, NOW_MS + int(day * DAY_MS)) for day in days]


def test_enough_failures_in_a_row_are_enough():
    assert failing(Failures(3, 7 * DAY_MS, 100), 0, 1, 7) == [False, False, True]


def test_a_delivery_ends_the_row():
    counted = Failures(3, 7 * DAY_MS, 100)
    failing(counted, 0, 1)
    counted.note_delivery(NUMBER)
    assert failing(counted, 2, 3, 4) == [False, False, True]


def test_failures_too_far_apart_are_not_enough():
    assert failing(Failures(2, 7 * DAY_MS, 100), 0, 7.01, 14.02, 15) == [False, False, False, True]


def test_the_parts_of_one_message_are_one_failure():
    counted = Failures(2, 7 * DAY_MS, 100)
    assert not any(counted.note_failure(NUMBER, NOW_MS + part) for part in range(5))
    assert counted.note_failure(NUMBER, NOW_MS + MINUTE_MS)


def test_one_failure_may_be_enough():
    assert failing(Failures(1, DAY_MS, 100), 0) == [True]


def test_who_was_listed_begins_anew():
    assert failing(Failures(2, DAY_MS, 100), 0, 0.1, 0.2, 0.3) == [False, True, False, True]


def test_memory_is_bounded_and_those_that_failed_last_are_remembered():
    counted = Failures(2, 7 * DAY_MS, 10)
    for number in range(100):
        counted.note_failure(number, NOW_MS)
    counted.note_failure(90, NOW_MS)  # it is the latest now
    for number in range(200, 209):
        counted.note_failure(number, NOW_MS)
    assert (len(counted), counted.forgotten) == (10, 99)
    assert counted.note_failure(90, NOW_MS + MINUTE_MS)
    assert not counted.note_failure(99, NOW_MS + MINUTE_MS)


def test_a_clock_that_goes_back_breaks_nothing():
    counted = Failures(3, 7 * DAY_MS, 100)
    assert failing(counted, 1, 0) == [False, False]
    assert len(counted) == 1
