"""Sending windows and calendars in a configuration: what is written down holds, mistakes are named."""

from datetime import date
from pathlib import Path

import pytest

from routing.calendars import DayKind
from routing.facts import Place
from smsc.config import ConfigurationError, diff, load
from smsc.config.windows import build_windows, calendar_of

ACCOUNT = 'accounts:\n  shop:\n    password: x\n'


def loaded(folder: Path, text: str):
    (folder / 'smsc.yaml').write_text(text, encoding='utf-8')
    return load(folder / 'smsc.yaml', {})


@pytest.mark.parametrize(
    ('text', 'mistake'),
    [
        (
            ACCOUNT + '    windows:\n      weekends: 9 to 5',
            'smsc.yaml:5: accounts.shop.windows.weekends: `9 to 5` is no span of time; write hours such as 09:00-21:00',
        ),
        (
            'windows:\n  categories:\n    ads: {working_days: closed}',
            'smsc.yaml:3: windows.categories.ads: is closed on every day; ',
        ),
        (
            'windows:\n  categories:\n    ads:\n      status: ESME_NONE',
            'smsc.yaml:4: windows.categories.ads.status: there is no command_status ESME_NONE; ',
        ),
        (
            'windows:\n  categories: {ads: {}}\n  exempt_categories: [ads]',
            'smsc.yaml:3: windows.exempt_categories: `ads` is exempt, and has windows under `categories`; ',
        ),
        ('windows: {zone: Moscow}', 'smsc.yaml:1: windows.zone: there is no time zone Moscow; '),
        ('calendars:\n  Russia: {}', 'smsc.yaml:2: calendars.Russia: is no country; write its two letters'),
        ('calendars:\n  RU: {working: [31.12]}', 'smsc.yaml:2: calendars.RU.working: expected'),
        ('calendars:\n  RU: {holidays: [13-01]}', 'smsc.yaml:2: calendars.RU.holidays: there is no day 13-01; '),
        ('calendars:\n  RU: {file: none.txt}', 'smsc.yaml:2: calendars.RU.file: none.txt cannot be read: No such file'),
        ('calendars:\n  RU: {file: ru.txt}', 'smsc.yaml:2: calendars.RU.file: ru.txt, line 2: `soon` is no date; '),
    ],
)
def test_a_mistake_is_named(tmp_path, text, mistake):
    (tmp_path / 'ru.txt').write_text('2027-01-01\nsoon\n')
    with pytest.raises(ConfigurationError) as raised:
        loaded(tmp_path, text)
    lines = str(raised.value).replace(f'{tmp_path}/', '').splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(mistake)


def test_dates_of_the_yaml_and_of_the_file_are_one_calendar(tmp_path):
    (tmp_path / 'ru.txt').write_text('\ufeff2027-05-12 working\r\n2027-05-11 # by the government\r\n', encoding='utf-8')
    text = 'calendars:\n  RU: {holidays: [2027-05-10, "05-12"], weekend: [fri], file: ru.txt}\n'
    calendar = calendar_of(loaded(tmp_path, text).calendars['RU'])
    kinds = [calendar.kind(date(2027, 5, day)) for day in range(10, 16)]
    holiday, weekend, working = DayKind.HOLIDAY, DayKind.WEEKEND, DayKind.WORKING
    assert kinds == [holiday, holiday, working, working, weekend, working]


def test_a_file_that_has_changed_is_a_change_of_the_configuration(tmp_path):
    (tmp_path / 'ru.txt').write_text('2027-01-01\n')
    before = loaded(tmp_path, 'calendars: {RU: {file: ru.txt}}')
    (tmp_path / 'ru.txt').write_text('2027-01-01\n2027-01-02\n')
    assert diff(before, loaded(tmp_path, 'calendars: {RU: {file: ru.txt}}'))


def test_kinds_of_days_without_hours_have_those_of_the_kind_before(tmp_path):
    text = ACCOUNT + '    windows: {working_days: 09:00-21:00, weekends: [10:00-12:00, 14:00-16:00]}\n'
    windows = build_windows(loaded(tmp_path, text), lambda number: Place())
    window = windows.of('shop', '')
    assert window is not None
    (hours,) = window.hours
    assert hours.on(DayKind.WORKING) == ((540, 1_260),)
    assert hours.on(DayKind.HOLIDAY) == hours.on(DayKind.WEEKEND) == ((600, 720), (840, 960))
    assert windows.of('bank', '') is None
