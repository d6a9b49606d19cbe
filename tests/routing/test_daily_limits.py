"""How many messages a subscriber gets in a day: whose count, when the day begins, what is given back."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from routing import day_counts
from routing.daily_limits import DailyLimit, DailyLimitStep, LocalDays
from routing.day_counts import DayCounts, Room, SubscriberDays
from routing.facts import Facts, Place
from tests.routing.messages import message

MOSCOW = 'Europe/Moscow'
NUMBER = 79161234567
STATUS = 0x45


def at(text: str, zone: str = MOSCOW) -> int:
    """Unix milliseconds of a local time such as 2026-03-01 23:59:59."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


NOON = at('2026-03-01 12:00:00')


def to(number: int = NUMBER, now_ms: int = NOON, zone: str = MOSCOW, **more: Any) -> Facts:
    facts = message(destination=str(number), now_ms=now_ms, place=Place(zone=zone), **more)
    facts.number = number
    return facts


def limited(messages: int = 2, categories: tuple[str, ...] = (), days: SubscriberDays | None = None) -> DailyLimitStep:
    """The step of one account with a limit of its own."""
    kinds = frozenset(categories)
    counts = (days or SubscriberDays()).of('bank', kinds)
    return DailyLimitStep((DailyLimit(counts, messages, STATUS, kinds),), LocalDays('UTC'))


def passed(step: DailyLimitStep, *messages: Facts) -> list[bool]:
    return [step.judge(facts) is None for facts in messages]


def test_a_subscriber_gets_so_many_a_day_and_no_more():
    step = limited(2)
    assert passed(step, to(), to(), to(), to(NUMBER + 1)) == [True, True, False, True]
    verdict = step.judge(to())
    assert verdict is not None
    assert (verdict.status, verdict.action) == (STATUS, 'refuse')
    assert verdict.reason == 'the subscriber got 2 today from this account'


def test_the_day_begins_at_the_subscribers_midnight():
    step = limited(1)
    assert passed(step, to(now_ms=at('2026-03-01 23:59:59')), to(now_ms=at('2026-03-01 23:59:59'))) == [True, False]
    assert passed(step, to(now_ms=at('2026-03-02 00:00:00')), to(now_ms=at('2026-03-02 23:59:59'))) == [True, False]


def test_zones_have_midnights_of_their_own():
    step = limited(1)
    midnight = at('2026-03-02 00:00:00', 'Asia/Vladivostok')
    zones = {NUMBER: 'Asia/Vladivostok', NUMBER + 1: MOSCOW}
    for number, zone in zones.items():
        assert passed(step, to(number, midnight - 1_000, zone), to(number, midnight - 1_000, zone)) == [True, False]
    assert passed(step, to(NUMBER, midnight, zones[NUMBER])) == [True]
    assert passed(step, to(NUMBER + 1, midnight, zones[NUMBER + 1])) == [False]


@pytest.mark.parametrize(
    ('zone', 'day'),
    [
        ('Europe/Berlin', '2026-03-29'),  # 23 hours
        ('Europe/Berlin', '2026-10-25'),  # 25 hours
        ('Australia/Lord_Howe', '2026-04-05'),  # half an hour
        ('Asia/Kathmandu', '2026-05-01'),  # 5:45 ahead
        ('America/Santiago', '2026-09-06'),  # begins at 01:00
    ],
)
def test_a_day_is_right_where_clocks_change(zone, day):
    days = LocalDays()
    first = at(f'{day} 00:00:00', zone)
    for now_ms in range(first - 3 * 3_600_000, first + 27 * 3_600_000, 7 * 60_000):
        local = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(zone)).date()
        assert days.of(zone, now_ms) == (local - datetime(1970, 1, 1).date()).days  # noqa: DTZ001


def test_an_unknown_place_has_the_default_zone():
    counts = SubscriberDays().of('bank', frozenset())
    step = DailyLimitStep((DailyLimit(counts, 1, STATUS),), LocalDays('Asia/Vladivostok'))
    midnight = at('2026-03-02 00:00:00', 'Asia/Vladivostok')
    assert passed(step, to(now_ms=midnight - 1, zone=''), to(now_ms=midnight, zone='')) == [True, True]
    assert passed(step, to(now_ms=midnight, zone='')) == [False]


def test_only_its_categories_count():
    step = limited(1, ('advertising', 'news'))
    assert passed(step, to(category='authorization'), to(category='authorization'), to()) == [True, True, True]
    assert passed(step, to(category='advertising'), to(category='news')) == [True, False]
    assert passed(step, to(category='authorization')) == [True]


def test_accounts_count_for_themselves_or_together():
    days = SubscriberDays()
    together = days.of('', frozenset())
    steps = [
        DailyLimitStep(
            (
                DailyLimit(days.of(account, frozenset()), 2, STATUS),
                DailyLimit(together, 3, STATUS, whose='all accounts'),
            ),
            LocalDays(),
        )
        for account in ('bank', 'shop')
    ]
    assert passed(steps[0], to(), to(), to()) == [True, True, False]
    assert passed(steps[1], to(), to()) == [True, False]
    verdict = steps[1].judge(to())
    assert verdict is not None
    assert verdict.reason == 'the subscriber got 3 today from all accounts'


def test_what_another_limit_refuses_does_not_count():
    days = SubscriberDays()
    own, together = days.of('bank', frozenset()), days.of('', frozenset())
    step = DailyLimitStep((DailyLimit(own, 5, STATUS), DailyLimit(together, 1, STATUS)), LocalDays())
    assert passed(step, to(), to(), to()) == [True, False, False]
    assert own.count(NUMBER, LocalDays().of(MOSCOW, NOON)) == 1


def test_an_account_without_a_limit_counts_for_the_others():
    counts = SubscriberDays().of('', frozenset())
    free = DailyLimitStep((DailyLimit(counts, 0),), LocalDays())
    strict = DailyLimitStep((DailyLimit(counts, 2, STATUS),), LocalDays())
    assert passed(free, *[to()] * 300) == [True] * 300
    assert passed(strict, to()) == [False]


def test_what_was_not_accepted_is_given_back():
    step = limited(1)
    first = to()
    assert passed(step, first) == [True]
    step.forget(first)
    step.forget(first)
    assert passed(step, to(), to()) == [True, False]


def test_what_was_never_counted_is_not_given_back():
    """A later step made the message one of a category that has a limit."""
    step = limited(1, ('advertising',))
    assert passed(step, to(category='advertising')) == [True]
    other = to(category='service')
    assert passed(step, other) == [True]
    other.category = 'advertising'
    step.forget(other)
    assert passed(step, to(category='advertising')) == [False]


def test_what_was_counted_is_given_back_whatever_it_is_by_then():
    step = limited(1, ('advertising',))
    first = to(category='advertising')
    assert passed(step, first) == [True]
    first.category, first.place = 'service', Place(zone='Asia/Vladivostok')
    step.forget(first)
    assert passed(step, to(category='advertising')) == [True]


def test_to_look_leaves_nothing_behind():
    step = limited(1)
    assert step.peek(to()) is None
    assert step.peek(to()) is None
    assert step.tell(to()) == 'got today (Europe/Moscow): 0 of 1 from this account'
    step.judge(to())
    assert step.peek(to()) == step.judge(to())
    assert step.tell(to(category='news')) == 'got today (Europe/Moscow): 1 of 1 from this account'
    assert limited(1, ('news',)).tell(to()) == 'no limit concerns it'


def test_a_destination_that_is_no_number_has_no_limit():
    step = limited(1)
    assert passed(step, to(0), to(0)) == [True, True]


def test_a_restart_counts_what_was_accepted_today():
    step = limited(2)
    for now_ms in (at('2026-02-28 23:59:59'), at('2026-03-01 00:00:00'), NOON):
        step.recall(to(now_ms=now_ms), NOON)
    assert passed(step, to()) == [False]
    assert step.tell(to()) == 'got today (Europe/Moscow): 2 of 2 from this account'


def test_what_is_counted_behind_the_traffic_adds_to_it():
    step = limited(3)
    step.judge(to())
    step.recall(to(now_ms=NOON - 1), NOON)
    assert passed(step, to(), to()) == [True, False]


def test_days_that_ended_are_forgotten():
    room = Room(1_000)
    counts = DayCounts(room)
    for day in (100, 101):
        for number in range(300):
            assert counts.take(number, day, 1)
    assert (len(counts), room.left) == (600, 400)
    for number in range(300):
        assert counts.take(number, 102, 1)
    assert (len(counts), room.left) == (600, 400)
    assert counts.take(0, 100, 1)  # a day long gone
    assert (len(counts), room.left) == (600, 400)
    assert counts.count(1, 100) == 0
    assert counts.count(1, 101) == 1


def test_beyond_the_bound_messages_pass_uncounted():
    days = SubscriberDays(bound=2)
    step = limited(1, days=days)
    assert passed(step, *[to(NUMBER + index) for index in (0, 1, 2, 2)]) == [True] * 4
    assert passed(step, to(NUMBER)) == [False]
    assert days.room.uncounted == 2


def test_a_limit_that_goes_leaves_its_room():
    days = SubscriberDays(bound=2)
    limited(1, days=days).judge(to())
    days.keep([])
    assert days.room.left == 2
    assert dict(days) == {}


def test_a_subscriber_takes_less_than_100_octets():
    import sys

    counts = DayCounts(Room(day_counts.SUBSCRIBERS_BOUND))
    for number in range(200_000):
        counts.take(79_000_000_000 + number * 977, 100, 5)
    pieces = counts._days[100]
    octets = sum(sys.getsizeof(piece) + sum(sys.getsizeof(number) for number in piece) for piece in pieces)
    assert octets / len(counts) < 100
