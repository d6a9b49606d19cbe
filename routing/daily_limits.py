"""How many messages a subscriber may get in a day of his own time: from one account, or from all of them together.

A message counts when it is let pass; of a concatenated message one part does, the first that is judged. A start counts
anew what the store has of today.
"""

from collections.abc import Callable
from typing import ClassVar

import msgspec

from routing.day_counts import DayCounts
from routing.facts import Facts
from routing.steps import Verdict
from routing.windows import QUARTER_MS, offset_minutes

MINUTE_MS = 60_000
DAY_MINUTES = 1_440
DAY_MS = MINUTE_MS * DAY_MINUTES


class LocalDays:
    """Which day it is where a subscriber is. Remembered for a quarter of an hour: no day begins in between."""

    __slots__ = ('_default', 'from_ms', 'known', 'until_ms')

    def __init__(self, default_zone: str = 'UTC') -> None:
        """`default_zone` is for subscribers whose zone is not known."""
        self._default = default_zone
        self.known: dict[str, int] = {}
        """Days by zone, which hold from `from_ms` to before `until_ms`."""
        self.from_ms = self.until_ms = 0

    def of(self, zone: str, now_ms: int) -> int:
        """Return the day, in days since 1970."""
        if not self.from_ms <= now_ms < self.until_ms:
            self.known.clear()
            self.from_ms = now_ms // QUARTER_MS * QUARTER_MS
            self.until_ms = self.from_ms + QUARTER_MS
        day = self.known.get(zone)
        if day is None:
            day = self.known[zone] = self.look_up(zone, now_ms)
        return day

    def look_up(self, zone: str, now_ms: int) -> int:
        """Return the same, remembering nothing."""
        return (now_ms // MINUTE_MS + offset_minutes(zone or self._default, now_ms)) // DAY_MINUTES


class DailyLimit(msgspec.Struct, frozen=True):
    """One limit: at most `messages` a day of these categories (none: of all), as counted in `counts`.

    One that only counts, for the limits of others, has 0 `messages`. `whose` is for people.
    """

    counts: DayCounts
    messages: int
    status: int = 0
    categories: frozenset[str] = frozenset()
    whose: str = 'this account'

    def concerns(self, facts: Facts) -> bool:
        """Return whether the message counts."""
        return not self.categories or facts.category in self.categories


Take = tuple[Callable[[int, int, int], bool], int, DailyLimit]
"""`DayCounts.take` of the table of a limit, how many messages it lets pass, and the limit."""


class DailyLimitStep:
    """Refuses messages to subscribers who got enough of them today."""

    name: ClassVar[str] = 'daily_limits'

    def __init__(self, limits: tuple[DailyLimit, ...], days: LocalDays) -> None:
        self.limits = limits
        self._days = days
        self._takes: dict[str, tuple[tuple[Take, ...], tuple[DayCounts, ...]]] = {}  # by category

    def judge(self, facts: Facts) -> Verdict | None:
        """Refuse a message too many; count one that is none."""
        number = facts.number
        if not number:
            return None
        days, zone, now_ms = self._days, facts.place.zone, facts.now_ms
        day = days.known.get(zone) if days.from_ms <= now_ms < days.until_ms else None
        if day is None:
            day = days.of(zone, now_ms)
        category = facts.category
        takes, counts = self._takes.get(category) or self._takes_of(category)
        for take, messages, limit in takes:
            if not take(number, day, messages):
                _give_back(counts[: counts.index(limit.counts)], number, day)
                limit.counts.refused += 1
                return _verdict(limit)
        facts.counted, facts.counted_on = counts, day
        return None

    def _takes_of(self, category: str) -> tuple[tuple[Take, ...], tuple[DayCounts, ...]]:
        """Return how messages of a category count, in order, and in what; configurations name all categories."""
        concerned = [limit for limit in self.limits if not limit.categories or category in limit.categories]
        takes = tuple([(one.counts.take, one.messages, one) for one in concerned])
        found = self._takes[category] = takes, tuple([limit.counts for limit in concerned])
        return found

    def peek(self, facts: Facts) -> Verdict | None:
        """Say whether it is one too many."""
        for limit, count in self._counted(facts):
            if count >= limit.messages > 0:
                return _verdict(limit)
        return None

    def tell(self, facts: Facts) -> str:
        """Say how many the subscriber got."""
        zone = facts.place.zone or 'the default zone'
        counted = [
            f'{count} of {limit.messages} from {limit.whose}{_of(limit)}'
            for limit, count in self._counted(facts)
            if limit.messages
        ]
        return f'got today ({zone}): {"; ".join(counted)}' if counted else 'no limit concerns it'

    def forget(self, facts: Facts) -> None:
        """Count the message no more."""
        _give_back(facts.counted, facts.number, facts.counted_on)
        facts.counted = ()

    def recall(self, facts: Facts, now_ms: int) -> None:
        """Count a message that was accepted before a restart, if that is today. No limit stops it any more."""
        zone, number = facts.place.zone, facts.number
        day = self._days.of(zone, now_ms)
        if not number or self._days.look_up(zone, facts.now_ms) != day:
            return
        for limit in self.limits:
            if limit.concerns(facts):
                limit.counts.take(number, day, 0)

    def hear(self, facts: Facts) -> None:
        """Count a message that another node has accepted, on the day `counted_on` (0 = it counts in nothing)."""
        day, number = facts.counted_on, facts.number
        if number and abs(day - facts.now_ms // DAY_MS) <= 1:  # as far as zones go
            for limit in self.limits:
                if limit.concerns(facts):
                    limit.counts.take(number, day, 0)

    def _counted(self, facts: Facts) -> list[tuple[DailyLimit, int]]:
        if not facts.number:
            return []
        number, day = facts.number, self._days.of(facts.place.zone, facts.now_ms)
        return [(limit, limit.counts.count(number, day)) for limit in self.limits if limit.concerns(facts)]


def _give_back(counted: tuple[DayCounts, ...], number: int, day: int) -> None:
    for counts in counted:
        counts.give_back(number, day)


def _verdict(limit: DailyLimit) -> Verdict:
    return Verdict(limit.status, f'the subscriber got {limit.messages} today from {limit.whose}{_of(limit)}')


def _of(limit: DailyLimit) -> str:
    return f' ({", ".join(sorted(limit.categories))})' if limit.categories else ''
