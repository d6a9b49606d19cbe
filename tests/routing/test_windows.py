"""Hours and days, where the subscriber is."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.facts import Place
from routing.windows import DAYS, Window, is_zone
from tests.routing.messages import message


def at(time: str, zone: str = ''):
    """Return a message at a time in UTC to a subscriber in a zone."""
    now = datetime.fromisoformat(time).replace(tzinfo=UTC)
    return message(now_ms=int(now.timestamp() * 1_000), place=Place(zone=zone))


@pytest.mark.parametrize(
    ('hours', 'days', 'time', 'holds'),
    [
        (['09:00-18:00'], [], '2026-11-20 08:59:59.999', False),
        (['09:00-18:00'], [], '2026-11-20 09:00', True),
        (['9:00 - 18:00'], [], '2026-11-20 17:59', True),
        (['09:00-18:00'], [], '2026-11-20 18:00', False),
        (['00:00-24:00'], [], '2026-11-20 23:59', True),
        (['09:00-10:00', '20:00-21:00'], [], '2026-11-20 20:30', True),
        (['09:00-10:00', '20:00-21:00'], [], '2026-11-20 15:00', False),
        ([], ['mon-fri'], '2026-11-20 23:59', True),
        ([], ['mon-fri'], '2026-11-21 00:00', False),
        ([], ['sat', 'Sun'], '2026-11-22 12:00', True),
        ([], ['fri-mon'], '2026-11-23 12:00', True),
        ([], ['fri-mon'], '2026-11-24 12:00', False),
        (['22:00-06:00'], ['fri'], '2026-11-21 05:59', True),
        (['22:00-06:00'], ['fri'], '2026-11-21 22:30', False),
        (['22:00-06:00'], ['sun'], '2026-11-23 05:59', True),
        (['22:00-06:00'], ['sun'], '2026-11-23 06:00', False),
    ],
)
def test_a_window_is_open_in_its_hours_on_its_days(hours, days, time, holds):
    assert Window(hours, days).holds(at(time)) is holds


def test_a_zone_has_hours_of_its_own():
    window = Window(['09:00-18:00'], ['fri'], 'Asia/Kamchatka')
    assert window.holds(at('2026-11-19 21:00'))
    assert not window.holds(at('2026-11-20 09:00'))


def test_the_hours_are_those_where_the_subscriber_is():
    window = Window(['09:00-18:00'], [], 'subscriber')
    assert window.holds(at('2026-11-20 06:30', 'Europe/Moscow'))
    assert not window.holds(at('2026-11-20 06:30', 'Europe/London'))


@pytest.mark.parametrize('zone', ['', 'Nowhere/Never', '../etc/passwd'])
def test_a_subscriber_whose_zone_is_not_known_has_utc(zone):
    window = Window(['09:00-18:00'], [], 'subscriber')
    assert window.holds(at('2026-11-20 09:30', zone))
    assert not window.holds(at('2026-11-20 08:30', zone))


def test_summer_time_begins_at_its_minute():
    window = Window(['03:00-04:00'], [], 'Europe/Berlin')
    assert not window.holds(at('2026-03-29 00:59'))  # 01:59, and a minute later 03:00
    assert window.holds(at('2026-03-29 01:00'))


@given(
    st.integers(1_577_836_800, 1_893_456_000),
    st.sampled_from(('Asia/Kathmandu', 'America/St_Johns', 'Australia/Lord_Howe', 'Europe/London', 'UTC')),
    st.integers(0, 1_439),
    st.integers(0, 1_439),
    st.integers(0, 6),
)
def test_a_window_agrees_with_the_calendar(now_s, zone, first, last, day):
    there = datetime.fromtimestamp(now_s, ZoneInfo(zone))
    minute = there.hour * 60 + there.minute
    if first == last:
        return
    if first < last:
        expected = there.weekday() == day and first <= minute < last
    else:
        expected = (there.weekday() == day and minute >= first) or ((there.weekday() - 1) % 7 == day and minute < last)
    hours = f'{first // 60:02}:{first % 60:02}-{last // 60:02}:{last % 60:02}'
    assert Window([hours], [DAYS[day]], zone).holds(message(now_ms=now_s * 1_000)) is expected


@pytest.mark.parametrize(
    'hours', ['9-18', '09:00', '25:00-26:00', '24:00-01:00', '24:30-25:00', '09:00-09:00', '', 'noon']
)
def test_what_is_no_span_of_time_is_an_error(hours):
    with pytest.raises(ValueError, match='`'):
        Window([hours])


@pytest.mark.parametrize('days', ['', 'holidays', 'mon-', 'mon-tue-wed', 'monday'])
def test_what_is_no_day_is_an_error(days):
    with pytest.raises(ValueError, match='is no day'):
        Window([], [days])


def test_only_names_of_zones_are_zones():
    assert is_zone('Europe/Moscow')
    assert not is_zone('Europe/Nowhere')
    assert not is_zone('../../etc/passwd')
