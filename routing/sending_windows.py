"""When messages may be sent: by account and by category, on working days, weekends and holidays, where the number is.

Both windows of a message hold: that of its account and that of its category; it may be sent when both are open. The
account's does not hold for exempt categories. What days are is said by the calendar of the number's country, what time
it is by the number's zone.

No message costs datetime work: for each zone and country there is a timetable of opening and closing times, two months
long, made when the first message asks and again every few weeks.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal

import msgspec

from routing.calendars import Calendar, DayKind
from routing.facts import Place
from routing.windows import DAY_MINUTES, MINUTE_MS, offset_minutes, parse_hours

DAY_MS = DAY_MINUTES * MINUTE_MS
MAX_TIMETABLES = 1_000
AHEAD_D = 70  # what a timetable covers: the 30 days that a message may be scheduled ahead, and the next opening then
FRESH_D = 25  # how long it is used
_EPOCH = date(1970, 1, 1)
CLOSED = 'closed'
Span = tuple[int, int]
"""First minute of the day and last, excluded; beyond 1,440 it ends on the next day."""


class Interval(msgspec.Struct, frozen=True):
    """A time in which messages may be sent: from `opens_at` on, before `closes_at`, in Unix milliseconds."""

    opens_at: int
    closes_at: int


class Hours:
    """The hours of each kind of day. Empty hours of a kind: nothing is sent on such days."""

    __slots__ = ('_spans', 'key')

    def __init__(self, working: Sequence[str], weekend: Sequence[str], holiday: Sequence[str]) -> None:
        """Take texts such as `09:00-21:00`, or `closed`. Raises ValueError, whose text says what is wrong."""
        self._spans = {
            DayKind.WORKING: _spans(working),
            DayKind.WEEKEND: _spans(weekend),
            DayKind.HOLIDAY: _spans(holiday),
        }
        self.key = tuple(self._spans.values())

    def on(self, kind: DayKind) -> tuple[Span, ...]:
        """Return the hours of a day."""
        return self._spans[kind]

    def all(self) -> tuple[Span, ...]:
        """Return the hours of all days."""
        return tuple(span for spans in self._spans.values() for span in spans)


def _spans(texts: Sequence[str]) -> tuple[Span, ...]:
    if any(text.strip().lower() == CLOSED for text in texts):
        if len(texts) > 1:
            raise ValueError(f'`{CLOSED}` stands beside hours')
        return ()
    return tuple(parse_hours(text) for text in texts) or ((0, DAY_MINUTES),)


class SendingWindow(msgspec.Struct, frozen=True):
    """What one account, or one category, is held to. `hours` of several are those that all of them have.

    `outside` says what becomes of a message outside of them, `status` how it is refused. `validity` says what becomes
    of a validity that was asked for when a message must wait: it holds as asked, or counts from the opening. Windows of
    a configuration that have the same hours have the same `number`.
    """

    name: str
    hours: tuple[Hours, ...]
    outside: Literal['wait', 'reject'] = 'wait'
    status: int = 0
    validity: Literal['asked', 'opening'] = 'asked'
    number: int = 0

    def together(self, other: 'SendingWindow') -> 'SendingWindow':
        """Return what is held to both: the stricter of each."""
        return SendingWindow(
            f'{self.name} and {other.name}',
            self.hours + other.hours,
            'reject' if 'reject' in (self.outside, other.outside) else 'wait',
            self.status if self.outside == 'reject' else other.status,
            'opening' if self.validity == other.validity == 'opening' else 'asked',
        )


class Timetable:
    """The openings of one window in one zone and country."""

    def __init__(self, hours: Sequence[Hours], calendar: Calendar, zone: str, now_ms: int) -> None:
        self.from_ms = now_ms // DAY_MS * DAY_MS - DAY_MS
        self.fresh_until = self.from_ms + FRESH_D * DAY_MS
        until_ms = self.from_ms + AHEAD_D * DAY_MS
        offsets = list(_offsets(zone, self.from_ms, until_ms))
        found = _all(_openings(hours[0], calendar, offsets, until_ms))
        for more in hours[1:]:
            found = _common(found, _all(_openings(more, calendar, offsets, until_ms)))
        self._intervals = [Interval(opens, closes) for opens, closes in found]
        self._closings = [interval.closes_at for interval in self._intervals]

    def at(self, at_ms: int) -> Interval | None:
        """Return the opening that holds at a time, or the next one; None when there is none to be seen."""
        place = bisect_right(self._closings, at_ms)
        return self._intervals[place] if place < len(self._intervals) else None


def _offsets(zone: str, from_ms: int, until_ms: int) -> Iterable[tuple[int, int]]:
    """Yield (from when on, minutes ahead of UTC) of a zone, for each change of it."""
    at_ms, offset = from_ms, offset_minutes(zone, from_ms)
    yield at_ms, offset
    while at_ms < until_ms:
        next_ms = at_ms + DAY_MS
        changed = offset_minutes(zone, next_ms)
        if changed != offset:
            before, after = at_ms // MINUTE_MS, next_ms // MINUTE_MS
            while after - before > 1:
                middle = (before + after) // 2
                if offset_minutes(zone, middle * MINUTE_MS) == offset:
                    before = middle
                else:
                    after = middle
            offset = changed
            yield after * MINUTE_MS, offset
        at_ms = next_ms


def _openings(
    hours: Hours, calendar: Calendar, offsets: Sequence[tuple[int, int]], until_ms: int
) -> Iterable[tuple[int, int]]:
    """Yield (opens, closes) of each span of each day, in pieces where the zone changes; not in order."""
    ends = [from_ms for from_ms, _ in offsets[1:]] + [until_ms]
    for (from_ms, offset), end_ms in zip(offsets, ends, strict=True):
        first = (from_ms // MINUTE_MS + offset) // DAY_MINUTES - 1  # the day before may last into this one
        last = (end_ms // MINUTE_MS + offset) // DAY_MINUTES
        for number in range(first, last + 1):
            midnight_ms = (number * DAY_MINUTES - offset) * MINUTE_MS
            for begin, end in hours.on(calendar.kind(_EPOCH + timedelta(days=number))):
                opens = max(from_ms, midnight_ms + begin * MINUTE_MS)
                closes = min(end_ms, midnight_ms + end * MINUTE_MS)
                if opens < closes:
                    yield opens, closes


def _all(pieces: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return pieces in order, those that touch or overlap as one."""
    joined: list[tuple[int, int]] = []
    for opens, closes in sorted(pieces):
        if joined and opens <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], closes)
        else:
            joined.append((opens, closes))
    return joined


def _common(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what is in both of two lists in order."""
    found: list[tuple[int, int]] = []
    place = 0
    for opens, closes in some:
        while place and others[place - 1][1] > opens:
            place -= 1
        while place < len(others) and others[place][0] < closes:
            begin, end = max(opens, others[place][0]), min(closes, others[place][1])
            if begin < end:
                found.append((begin, end))
            place += 1
    return found


class SendingWindows:
    """All windows of one configuration."""

    def __init__(
        self,
        find_place: Callable[[int], Place],
        accounts: Mapping[str, SendingWindow],
        categories: Mapping[str, SendingWindow],
        exempt: Iterable[str] = (),
        calendars: Mapping[str, Calendar] | None = None,
        zone: str = 'UTC',
    ) -> None:
        """`zone` is that of numbers whose own is not known; `calendars` are by country."""
        self.are_set = bool(accounts or categories)
        """Whether there are any; without, nobody need ask."""
        self.find_place = find_place
        self._accounts = dict(accounts)
        self._categories = dict(categories)
        self._exempt = frozenset(exempt)
        self._calendars = dict(calendars or {})
        self._any_calendar = Calendar()
        self._zone = zone
        self._windows: dict[tuple[str, str], SendingWindow | None] = {}
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._timetables: dict[tuple[int, str, str], Timetable] = {}

    def of(self, account: str, category: str) -> SendingWindow | None:
        """Return what messages of an account and a category are held to, None for nothing."""
        key = account, category
        if key not in self._windows:
            if len(self._windows) >= MAX_TIMETABLES:
                self._windows.clear()
            mine = None if category in self._exempt else self._accounts.get(account)
            of_category = self._categories.get(category)
            both = mine.together(of_category) if mine and of_category else mine or of_category
            self._windows[key] = None if both is None else self._numbered(both)
        return self._windows[key]

    def _numbered(self, window: SendingWindow) -> SendingWindow:
        key = tuple(hours.key for hours in window.hours)
        return msgspec.structs.replace(window, number=self._numbers.setdefault(key, len(self._numbers)))

    def zone_of(self, place: Place) -> str:
        """Return the time zone of a number."""
        return place.zone or self._zone

    def opening(self, window: SendingWindow, place: Place, at_ms: int, now_ms: int) -> Interval | None:
        """Return the opening of a window (of `of`) that holds at a time, or the next one; None when none is in sight.

        `at_ms` may be up to 30 days after `now_ms`.
        """
        zone = place.zone or self._zone
        key = window.number, zone, place.country
        timetable = self._timetables.get(key)
        if timetable is None or not timetable.from_ms <= now_ms < timetable.fresh_until:
            if len(self._timetables) >= MAX_TIMETABLES:
                self._timetables.clear()
            calendar = self._calendars.get(place.country, self._any_calendar)
            timetable = self._timetables[key] = Timetable(window.hours, calendar, zone, now_ms)
        return timetable.at(at_ms)
