"""Absolute and relative times of SMPP."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdu.times import TimeFormatError, format_absolute, format_relative, parse

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.wire('C19', 'C20')
@pytest.mark.parametrize(
    ('octets', 'moment'),
    [
        (b'261121093000000+', datetime(2026, 11, 21, 9, 30, tzinfo=UTC)),
        (b'261121093000700+', datetime(2026, 11, 21, 9, 30, 0, 700_000, UTC)),
        # Three hours ahead of UTC, five and three quarters ahead, nine and a half behind.
        (b'261121093000012+', datetime(2026, 11, 21, 6, 30, tzinfo=UTC)),
        (b'261121093000023+', datetime(2026, 11, 21, 3, 45, tzinfo=UTC)),
        (b'261121093000038-', datetime(2026, 11, 21, 19, 0, tzinfo=UTC)),
        (b'280229000000000+', datetime(2028, 2, 29, tzinfo=UTC)),
        (b'261231235959004-', datetime(2027, 1, 1, 0, 59, 59, tzinfo=UTC)),
        (b'000101000000000+', datetime(2000, 1, 1, tzinfo=UTC)),
    ],
)
def test_absolute_times(octets, moment):
    assert parse(octets, NOW) == moment
    assert parse(octets, NOW).tzinfo is UTC


@pytest.mark.wire('C19', 'C20')
@pytest.mark.parametrize(
    ('octets', 'now', 'moment'),
    [
        # The example of SMPP 5.0 section 4.7.23.5: 2 years, 6 months, 10 days, 23 hours, 34 minutes, 29 seconds.
        (b'020610233429000R', datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 7, 11, 23, 34, 29, tzinfo=UTC)),
        (b'000000000000000R', NOW, NOW),
        (b'000000010000000R', NOW, NOW + timedelta(hours=1)),
        (b'000099000000000R', NOW, NOW + timedelta(days=99)),
        (b'000100000000000R', NOW, datetime(2026, 2, 28, 12, 0, tzinfo=UTC)),
        (b'020100000000000R', NOW, datetime(2028, 2, 29, 12, 0, tzinfo=UTC)),
        (b'001100000000000R', NOW, datetime(2026, 12, 31, 12, 0, tzinfo=UTC)),
        (b'010000000000000R', datetime(2028, 2, 29, tzinfo=UTC), datetime(2029, 2, 28, tzinfo=UTC)),
        # Tenths and offset mean nothing here.
        (b'000000000001912R', NOW, NOW + timedelta(seconds=1)),
    ],
)
def test_relative_times(octets, now, moment):
    assert parse(octets, now) == moment


@pytest.mark.wire('C19', 'C20')
@pytest.mark.parametrize(
    'octets',
    [
        b'',
        b'261121093000000',
        b'261121093000000*',
        b'261121093000000+\0',
        b'2611210930000000+',
        b' 61121093000000+',
        b'26112109300000\xb2+',
        b'261321093000000+',
        b'260229093000000+',
        b'261121243000000+',
        b'261121096000000+',
        b'261121093060000+',
        b'261121093000049+',
        b'260001093000000+',
    ],
)
def test_bad_times_are_refused(octets):
    with pytest.raises(TimeFormatError):
        parse(octets, NOW)


def test_absolute_times_are_written_in_utc():
    moment = datetime(2026, 11, 21, 12, 30, 5, 678_901, timezone(timedelta(hours=3)))
    assert format_absolute(moment) == b'261121093005600+'


@pytest.mark.parametrize(
    ('span', 'octets'),
    [
        (timedelta(0), b'000000000000000R'),
        (timedelta(hours=48, seconds=5.9), b'000002000005000R'),
        (timedelta(days=31), b'000031000000000R'),
        # From 31 January: a month is 28 February, so 4 days more.
        (timedelta(days=32), b'000104000000000R'),
        (timedelta(days=365), b'010000000000000R'),
    ],
)
def test_relative_times_are_written_from_now(span, octets):
    assert format_relative(NOW + span, NOW) == octets


def test_times_that_do_not_fit_are_refused():
    for moment in (datetime(1999, 12, 31, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)):
        with pytest.raises(TimeFormatError):
            format_absolute(moment)
    for moment in (NOW - timedelta(seconds=1), NOW.replace(year=2126)):
        with pytest.raises(TimeFormatError):
            format_relative(moment, NOW)


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.wire('C21')
@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=14_000)))
def test_what_is_written_is_read_back(now, span):
    now = now.replace(microsecond=0)
    moment = now + span - timedelta(microseconds=span.microseconds)
    assert parse(format_relative(moment, now), now) == moment
    assert parse(format_absolute(moment), now) == moment
