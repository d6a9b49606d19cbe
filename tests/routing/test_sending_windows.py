"""When messages may be sent: openings by kind of day, where the subscriber is, over changes of its clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.calendars import Calendar, parse_day
from routing.facts import Place
from routing.sending_windows import Hours, SendingWindow, SendingWindows
from routing.windows import Window
from tests.routing.messages import message

MOSCOW = Place('RU', '', '', 'Europe/Moscow')
BERLIN = Place('DE', '', '', 'Europe/Berlin')
DAY, WEEKEND = ['09:00-21:00'], ['10:00-20:00']
WINDOW = SendingWindow('account shop', (Hours(DAY, WEEKEND, ['closed']),))


def ms(text, zone='UTC'):
    """A time there."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1_000)


def there(at_ms, zone):
    return datetime.fromtimestamp(at_ms / 1_000, ZoneInfo(zone)).strftime('%m-%d %H:%M')


def windows(window=WINDOW, calendars=None, **others):
    return SendingWindows(lambda number: MOSCOW, {'shop': window}, others, (), calendars)


def opening(found, place, text, zone=None):
    """The opening at a time there, as text there."""
    zone = zone or place.zone
    now_ms = ms(text, zone)
    window = found.of('shop', '')
    interval = found.opening(window, place, now_ms, now_ms)
    return there(interval.opens_at, zone), there(interval.closes_at, zone)


@pytest.mark.parametrize(
    ('now', 'expected'),
    [
        ('2027-05-13 12:00', ('05-13 09:00', '05-13 21:00')),
        ('2027-05-13 08:59', ('05-13 09:00', '05-13 21:00')),
        ('2027-05-13 20:59:59', ('05-13 09:00', '05-13 21:00')),
        ('2027-05-13 21:00', ('05-14 09:00', '05-14 21:00')),
        ('2027-05-14 21:00', ('05-15 10:00', '05-15 20:00')),
        ('2027-05-16 20:00', ('05-18 09:00', '05-18 21:00')),
    ],
    ids=['open', 'before', 'the last second', 'closed', 'a weekend comes', 'a holiday is skipped'],
)
def test_working_days_weekends_and_holidays_have_hours_of_their_own(now, expected):
    found = windows(calendars={'RU': Calendar(holidays=[parse_day('2027-05-17')])})
    assert opening(found, MOSCOW, now) == expected


def test_holidays_are_those_of_the_numbers_country():
    found = windows(calendars={'RU': Calendar(holidays=[parse_day('2027-05-13')])})
    assert opening(found, BERLIN, '2027-05-13 12:00') == ('05-13 09:00', '05-13 21:00')
    assert opening(found, MOSCOW, '2027-05-13 12:00') == ('05-14 09:00', '05-14 21:00')


def test_a_saturday_may_be_a_working_day():
    found = windows(calendars={'RU': Calendar(working=[parse_day('2027-05-15')])})
    assert opening(found, MOSCOW, '2027-05-15 09:30') == ('05-15 09:00', '05-15 21:00')


def test_hours_are_those_where_the_number_is():
    kamchatka = Place('RU', '', '', 'Asia/Kamchatka')
    now_ms = ms('2027-05-13 12:30', 'Europe/Moscow')  # 21:30 there
    found = windows()
    interval = found.opening(found.of('shop', ''), kamchatka, now_ms, now_ms)
    assert there(interval.opens_at, 'Asia/Kamchatka') == '05-14 09:00'


def test_a_number_without_a_zone_has_that_of_the_configuration():
    found = SendingWindows(lambda number: Place(), {'shop': WINDOW}, {}, zone='Europe/Moscow')
    assert opening(found, Place(), '2027-05-13 08:00', 'Europe/Moscow') == ('05-13 09:00', '05-13 21:00')


@pytest.mark.parametrize(
    ('day', 'hours'),
    [('2027-03-28', 11), ('2027-10-31', 13), ('2027-10-30', 12)],
    ids=['an hour is left out', 'an hour comes twice', 'neither'],
)
def test_a_window_over_a_change_of_the_clock_is_as_long_as_its_hours_are(day, hours):
    window = SendingWindow('account shop', (Hours(['00:00-12:00'], ['00:00-12:00'], []),))
    found = windows(window)
    now_ms = ms(f'{day} 00:30', 'Europe/Berlin')
    interval = found.opening(found.of('shop', ''), BERLIN, now_ms, now_ms)
    assert (there(interval.opens_at, 'Europe/Berlin'), there(interval.closes_at, 'Europe/Berlin')) == (
        f'{day[5:]} 00:00',
        f'{day[5:]} 12:00',
    )
    assert interval.closes_at - interval.opens_at == hours * 3_600_000


def test_hours_beyond_midnight_belong_to_the_day_on_which_they_begin():
    window = SendingWindow('account shop', (Hours(['22:00-02:00'], ['closed'], []),))
    assert opening(windows(window), MOSCOW, '2027-05-15 01:00') == ('05-14 22:00', '05-15 02:00')
    assert opening(windows(window), MOSCOW, '2027-05-16 01:00') == ('05-17 22:00', '05-18 02:00')


def test_spans_that_touch_are_one_opening():
    window = SendingWindow('account shop', (Hours(['20:00-24:00', '00:00-08:00'], [], []),))
    assert opening(windows(window), MOSCOW, '2027-05-13 23:00') == ('05-13 20:00', '05-14 08:00')


def test_of_an_account_and_a_category_both_windows_hold():
    advertising = SendingWindow('category advertising', (Hours(['11:00-23:00'], ['closed'], []),), 'reject', 69)
    found = windows(advertising=advertising)
    both = found.of('shop', 'advertising')
    assert (both.outside, both.status) == ('reject', 69)
    now_ms = ms('2027-05-14 10:00', 'Europe/Moscow')
    interval = found.opening(both, MOSCOW, now_ms, now_ms)
    assert there(interval.opens_at, 'Europe/Moscow') == '05-14 11:00'
    assert there(interval.closes_at, 'Europe/Moscow') == '05-14 21:00'
    assert found.opening(both, MOSCOW, interval.closes_at, now_ms).opens_at == ms('2027-05-17 11:00', 'Europe/Moscow')


def test_windows_that_are_never_both_open_have_no_opening():
    night = SendingWindow('category night', (Hours(['22:00-06:00'], [], ['closed']),))
    found = windows(SendingWindow('account shop', (Hours(['09:00-21:00'], ['closed'], []),)), night=night)
    now_ms = ms('2027-05-13 12:00')
    assert found.opening(found.of('shop', 'night'), MOSCOW, now_ms, now_ms) is None


def test_windows_with_other_hours_are_not_taken_for_each_other():
    found = SendingWindows(
        lambda number: MOSCOW,
        {'shop': WINDOW, 'bank': SendingWindow('account bank', (Hours(['10:00-11:00'], [], []),))},
        {},
    )
    now_ms = ms('2027-05-13 12:00', 'Europe/Moscow')

    def opens_at(account):
        window = found.of(account, '')
        assert window is not None
        opening = found.opening(window, MOSCOW, now_ms, now_ms)
        assert opening is not None
        return there(opening.opens_at, 'Europe/Moscow')

    openings = [opens_at(account) for account in ('shop', 'bank', 'shop')]
    assert openings == ['05-13 09:00', '05-14 10:00', '05-13 09:00']


def test_exempt_categories_are_not_held_to_the_accounts_window():
    found = SendingWindows(lambda number: MOSCOW, {'shop': WINDOW}, {}, ['authorization'])
    assert found.of('shop', 'authorization') is None
    assert found.of('shop', 'advertising') == WINDOW
    assert found.of('bank', 'advertising') is None


def test_a_timetable_goes_on_for_as_long_as_anybody_asks():
    found = windows()
    for days in (0, 30, 24, 26, 400, 60, 0):
        now = datetime(2027, 5, 13, 12, tzinfo=UTC) + timedelta(days=days)
        now_ms = int(now.timestamp() * 1_000)
        at_ms = now_ms + 30 * 86_400_000  # as far ahead as a message may be scheduled
        for time_ms in (now_ms, at_ms):
            interval = found.opening(found.of('shop', ''), MOSCOW, time_ms, now_ms)
            assert interval.closes_at > time_ms
            assert interval.opens_at - time_ms < 3 * 86_400_000


MINUTES = st.integers(0, 1_439)


def _text(minute):
    return f'{minute // 60:02}:{minute % 60:02}'


@given(
    st.lists(st.tuples(MINUTES, MINUTES).filter(lambda span: span[0] != span[1]), min_size=1, max_size=3),
    st.integers(1_798_000_000, 1_830_000_000),
    st.integers(0, 30 * 86_400),
    st.sampled_from(
        ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Asia/Tehran', 'UTC']
    ),
)
@settings(max_examples=60)
def test_a_window_is_open_when_the_same_hours_of_a_route_hold(spans, now_s, later_s, zone):
    hours = [f'{_text(first)}-{_text(last)}' for first, last in spans]
    found = windows(SendingWindow('account shop', (Hours(hours, hours, hours),)))
    place, at_ms = Place('XX', '', '', zone), (now_s + later_s) * 1_000
    interval = found.opening(found.of('shop', ''), place, at_ms, now_s * 1_000)
    rule = Window(hours, [], zone)
    assert (interval.opens_at <= at_ms) is rule.holds(message(now_ms=at_ms))
    assert interval.closes_at > at_ms
    assert rule.holds(message(now_ms=max(at_ms, interval.opens_at)))
    assert rule.holds(message(now_ms=interval.closes_at - 1))
    if interval.closes_at - interval.opens_at < 7 * 86_400_000:  # else it is always open, as far as the timetable goes
        assert not rule.holds(message(now_ms=interval.closes_at))


@pytest.mark.parametrize('hours', [['closed', '09:00-10:00'], ['9-10'], ['25:00-26:00'], ['09:00-09:00']], ids=str)
def test_hours_that_are_none_are_told(hours):
    with pytest.raises(ValueError, match='`'):
        Hours(hours, (), ())
