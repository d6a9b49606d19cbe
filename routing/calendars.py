"""Which days are working days, weekends and holidays in a country.

A day is written `2027-05-10`, or `05-09` for every year. A day of one year outranks one of every year, and that the
days of the week: so a Saturday can be made a working day, and a Monday a holiday.
"""

import enum
import re
from collections.abc import Iterable, Iterator
from datetime import date

import msgspec

MAX_DATES = 20_000
_DATE = re.compile(r'(?:(\d{4})-)?(\d{2})-(\d{2})')
_LEAP_YEAR = 2024  # has every day that a date without a year may name
WORKING = 'working'
SATURDAY_SUNDAY = frozenset({5, 6})


class DayKind(enum.IntEnum):
    """What a day is."""

    WORKING = 0
    WEEKEND = 1
    HOLIDAY = 2


class Day(msgspec.Struct, frozen=True):
    """A date as it is written; `year` 0 is every year."""

    year: int
    month: int
    day: int


class Calendar:
    """The days of one country. `weekend` are days of the week, Monday is 0."""

    def __init__(
        self,
        weekend: Iterable[int] = SATURDAY_SUNDAY,
        holidays: Iterable[Day] = (),
        working: Iterable[Day] = (),
    ) -> None:
        self._weekend = frozenset(weekend)
        self._kinds = dict.fromkeys(holidays, DayKind.HOLIDAY) | dict.fromkeys(working, DayKind.WORKING)

    def kind(self, day: date) -> DayKind:
        """Return what a day is."""
        for year in (day.year, 0):
            kind = self._kinds.get(Day(year, day.month, day.day))
            if kind is not None:
                return kind
        return DayKind.WEEKEND if day.weekday() in self._weekend else DayKind.WORKING


def parse_day(text: str) -> Day:
    """Return the day of `2027-05-10` or `05-09`. Raises ValueError, whose text says what is wrong."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'`{text:.40}` is no date')
    year, month, day = int(match[1] or 0), int(match[2]), int(match[3])
    try:
        date(year or _LEAP_YEAR, month, day)
    except ValueError as error:
        raise ValueError(f'there is no day {text:.40}') from error
    return Day(year, month, day)


def parse_dates(lines: Iterable[str]) -> Iterator[tuple[int, Day, bool]]:
    """Yield (line, day, whether it is a working day) of a file: a date a line, with `working` behind it or not.

    What follows `#` is a remark. Raises ValueError, whose text begins with the line.
    """
    for number, line in enumerate(lines, 1):
        words = line.partition('#')[0].split()
        if not words:
            continue
        if len(words) > 2 or words[1:] not in ([], [WORKING]):
            raise ValueError(f'line {number}: `{line.strip():.40}` is no date')
        try:
            day = parse_day(words[0])
        except ValueError as error:
            raise ValueError(f'line {number}: {error}') from error
        if number > MAX_DATES:
            raise ValueError(f'line {number}: has more than {MAX_DATES} lines')
        yield number, day, len(words) > 1
