"""The time format of SMPP (3.4 section 7.1.1): schedule_delivery_time, validity_period, final_date.

Sixteen characters, `YYMMDDhhmmsstnnp`. With `+` or `-` at the end it is an absolute time: tenths of a second in `t` and
in `nn` the quarters of an hour by which it is ahead of UTC (`+`) or behind it (`-`). With `R` it is a span from now.
An empty parameter means "now" or "the default" and is the caller's business. Nothing here reads a clock.
"""

import re
from datetime import UTC, datetime, timedelta

_PATTERN = re.compile(rb'(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([+\-R])', re.ASCII)
_QUARTER = timedelta(minutes=15)
_MAX_QUARTERS = 48
_CENTURY = 2000
# Up to here a span is told in days alone, which peers that know no calendar understand too.
_PLAIN_DAYS = timedelta(days=31)


class TimeFormatError(ValueError):
    """Octets that are not a time of SMPP, or a span that the format cannot hold."""


def parse(octets: bytes, now: datetime) -> datetime:
    """Reads an absolute or relative time as an aware UTC datetime; years are 2000 to 2099.

    Months and years of a relative time follow the calendar: a month after 31 January is the last day of February.
    Raises TimeFormatError for bad syntax and for dates that do not exist. `now` is aware; a past result is no error.
    """
    found = _PATTERN.fullmatch(octets)
    if found is None:
        raise TimeFormatError('not of the form YYMMDDhhmmsstnn and +, - or R')
    year, month, day, hour, minute, second, tenths, quarters = map(int, found.groups()[:8])
    direction = found[9]
    if direction == b'R':
        span = timedelta(days=day, hours=hour, minutes=minute, seconds=second)
        return _months_later(now.astimezone(UTC), year * 12 + month) + span
    if quarters > _MAX_QUARTERS:
        raise TimeFormatError('more than 48 quarters of an hour from UTC')
    try:
        moment = datetime(_CENTURY + year, month, day, hour, minute, second, tenths * 100_000, UTC)
    except ValueError as error:
        raise TimeFormatError(str(error)) from None
    return moment - quarters * _QUARTER if direction == b'+' else moment + quarters * _QUARTER


def format_absolute(moment: datetime) -> bytes:
    """Writes an aware datetime as an absolute time in UTC, cut to tenths of a second.

    Raises TimeFormatError outside the years 2000 to 2099.
    """
    moment = moment.astimezone(UTC)
    if not 0 <= moment.year - _CENTURY <= 99:
        raise TimeFormatError(f'year {moment.year} does not fit two digits')
    return f'{moment:%y%m%d%H%M%S}{moment.microsecond // 100_000}00+'.encode()


def format_relative(moment: datetime, now: datetime) -> bytes:
    """Writes the span from `now` to a later `moment`, cut to seconds; `parse` with the same `now` gives it back.

    Raises TimeFormatError when `moment` is earlier, or a hundred years later.
    """
    now = now.astimezone(UTC)
    span = moment - now
    if span < timedelta(0):
        raise TimeFormatError('a relative time does not lead into the past')
    months = 0
    if span > _PLAIN_DAYS:
        months = (moment.year - now.year) * 12 + moment.month - now.month
        if _months_later(now, months) > moment:
            months -= 1
        span = moment - _months_later(now, months)
    if months >= 1200:
        raise TimeFormatError('a hundred years and more do not fit two digits')
    hours, seconds = divmod(span.seconds, 3600)
    years, months = divmod(months, 12)
    return b'%02d%02d%02d%02d%02d%02d000R' % (years, months, span.days, hours, *divmod(seconds, 60))


def _months_later(moment: datetime, months: int) -> datetime:
    """The same day of a later month, or that month's last day."""
    if not months:
        return moment
    index = moment.year * 12 + moment.month - 1 + months
    first = moment.replace(year=index // 12, month=index % 12 + 1, day=1)
    following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return first.replace(day=min(moment.day, (following - timedelta(days=1)).day))
