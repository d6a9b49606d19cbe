"""Hours and days at which a route holds, where the subscriber is or in a zone of their own.

Offsets of zones are looked up once in a quarter of an hour, the shortest time between two changes that a zone can make;
a zone is loaded when the first message asks for it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from routing.facts import Facts

SUBSCRIBER = 'subscriber'
DAYS = ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')
DAY_MINUTES = 1_440
WEEK_MINUTES = 7 * DAY_MINUTES
MINUTE_MS = 60_000
QUARTER_MS = 15 * MINUTE_MS
MAX_ZONES = 1_000
_WEEK = (1 << WEEK_MINUTES) - 1
_THURSDAY = 3 * DAY_MINUTES  # 1 January 1970
_HOURS = re.compile(r'([01]?\d|2[0-4]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)')
_offsets: dict[str, tuple[int, int]] = {}  # by zone: the quarter of an hour, and the offset in minutes that holds in it


def offset_minutes(zone: str, now_ms: int) -> int:
    """Return how far a zone is ahead of UTC, in minutes; a zone that is not known is UTC."""
    quarter = now_ms // QUARTER_MS
    known = _offsets.get(zone)
    if known is not None and known[0] == quarter:
        return known[1]
    if len(_offsets) >= MAX_ZONES:
        _offsets.clear()
    found = _look_up(zone, quarter * QUARTER_MS / 1_000)
    _offsets[zone] = quarter, found
    return found


def _look_up(zone: str, at_s: float) -> int:
    if not zone:
        return 0
    try:
        offset = datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
        return 0
    return 0 if offset is None else int(offset.total_seconds()) // 60


def is_zone(zone: str) -> bool:
    """Return whether the time zone database knows a name such as Europe/Moscow."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def parse_hours(text: str) -> tuple[int, int]:
    """Return first and last minute of `09:00-18:00`, the last excluded; beyond midnight
    where it ends before it begins.

    Raises ValueError, whose text says what is wrong.
    """
    match = _HOURS.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'`{text}` is no span of time')
    hours, minutes, last_hours, last_minutes = map(int, match.groups())
    first, last = hours * 60 + minutes, last_hours * 60 + last_minutes
    if first >= DAY_MINUTES or last > DAY_MINUTES:
        raise ValueError(f'`{text}` goes beyond 24:00')
    if first == last:
        raise ValueError(f'`{text}` is empty')
    return first, last if last > first else last + DAY_MINUTES


def parse_days(text: str) -> tuple[int, ...]:
    """Return the days of `mon` or `fri-mon`, Monday is 0. Raises ValueError, whose text says what is wrong."""
    names = [name.strip().lower() for name in text.split('-')]
    if len(names) > 2 or any(name not in DAYS for name in names):
        raise ValueError(f'`{text}` is no day')
    first, last = DAYS.index(names[0]), DAYS.index(names[-1])
    return tuple(day % 7 for day in range(first, last + 1 + (7 if last < first else 0)))


class Window:
    """Hours on some days of the week. A span that goes beyond midnight belongs to the day on which it begins."""

    __slots__ = ('_edges', '_written', 'key', 'minutes', 'reads_place', 'zone')

    reads_text: ClassVar[bool] = False

    def __init__(self, hours: Iterable[str] = (), days: Iterable[str] = (), zone: str = 'UTC') -> None:
        """Without hours it is the whole day, without days every day; `zone` is a name, or `subscriber`.

        Raises ValueError, whose text says what is wrong.
        """
        hours, days = tuple(hours), tuple(days)
        self.key = 'time' if hours else 'days'
        self.zone = zone
        self.reads_place = zone == SUBSCRIBER
        self._written = ' '.join((*hours, *days))
        spans = [parse_hours(one) for one in hours] or [(0, DAY_MINUTES)]
        on = {day for one in days for day in parse_days(one)} or set(range(7))
        self.minutes = 0
        for day in on:
            for first, last in spans:
                self.minutes |= _span(day * DAY_MINUTES + first, last - first)
        self._edges = _edges(self.minutes)

    def holds(self, facts: Facts) -> bool:
        """Return whether it is open at the time of the message."""
        return bool(bisect_right(self._edges, self._minute(facts)) & 1)

    def _minute(self, facts: Facts) -> int:
        zone = self.zone if self.zone != SUBSCRIBER else facts.place.zone
        return (facts.now_ms // MINUTE_MS + offset_minutes(zone, facts.now_ms) + _THURSDAY) % WEEK_MINUTES

    def tell(self, facts: Facts, holds: bool) -> str:
        """Return day and time there, and the hours."""
        minute = self._minute(facts)
        zone = self.zone if self.zone != SUBSCRIBER else facts.place.zone or 'UTC'
        day, minute = divmod(minute, DAY_MINUTES)
        now = f'{DAYS[day]} {minute // 60:02}:{minute % 60:02} {zone}'
        return f'{self.key} {now} is {"" if holds else "not "}within {self._written}'


def _span(first: int, length: int) -> int:
    """Return a week, a bit a minute, with so many minutes from the first one on; what goes beyond it begins it."""
    bits = ((1 << length) - 1) << first
    return (bits | bits >> WEEK_MINUTES) & _WEEK


def _edges(minutes: int) -> list[int]:
    """Return where a week opens and closes in turn: open minutes have an odd number of edges at or before them."""
    changes = (minutes ^ minutes << 1) & _WEEK
    found: list[int] = []
    while changes:
        lowest = changes & -changes
        found.append(lowest.bit_length() - 1)
        changes ^= lowest
    return found
