"""Working days, weekends and holidays."""

from datetime import date

import pytest

from routing.calendars import Calendar, DayKind, parse_dates, parse_day

MONDAY, FRIDAY, SATURDAY = date(2027, 5, 10), date(2027, 5, 14), date(2027, 5, 15)


def test_a_week_has_its_weekend():
    calendar = Calendar()
    assert calendar.kind(MONDAY) is DayKind.WORKING
    assert calendar.kind(SATURDAY) is DayKind.WEEKEND


def test_a_country_may_have_another_weekend():
    calendar = Calendar(weekend=(4, 5))
    assert calendar.kind(FRIDAY) is DayKind.WEEKEND
    assert calendar.kind(date(2027, 5, 16)) is DayKind.WORKING


def test_a_date_outranks_the_day_of_the_week_and_that_of_one_year_that_of_every_year():
    holidays = [parse_day('2027-05-10'), parse_day('05-14')]
    calendar = Calendar(holidays=holidays, working=[parse_day('2027-05-15'), parse_day('2028-05-14')])
    assert calendar.kind(MONDAY) is DayKind.HOLIDAY
    assert calendar.kind(SATURDAY) is DayKind.WORKING
    assert calendar.kind(FRIDAY) is DayKind.HOLIDAY
    assert calendar.kind(date(2028, 5, 14)) is DayKind.WORKING
    assert calendar.kind(date(2028, 5, 10)) is DayKind.WORKING


def test_a_leap_day_may_be_a_holiday_of_every_year():
    assert Calendar(holidays=[parse_day('02-29')]).kind(date(2028, 2, 29)) is DayKind.HOLIDAY


@pytest.mark.parametrize('text', ['', '2027', '2027-13-01', '2027-02-29', '02-30', '1.5.2027', '2027-5-1', '+1-01-01'])
def test_what_is_no_date_is_told(text):
    with pytest.raises(ValueError, match=r'date|no day'):
        parse_day(text)


def test_a_file_has_a_date_a_line():
    lines = ['# 2027', '2027-01-01  # new year', '', '2027-02-20 working', '05-09']
    found = list(parse_dates(lines))
    assert [(line, works) for line, _, works in found] == [(2, False), (4, True), (5, False)]


@pytest.mark.parametrize('line', ['2027-01-01 holiday', 'working', '2027-01-01 working 2027-01-02', '2027-01-32'])
def test_a_file_with_anything_else_says_in_which_line(line):
    with pytest.raises(ValueError, match='line 2: '):
        list(parse_dates(['2027-01-01', line]))
