"""Sending windows and calendars from their configuration; and what of that cannot be meant."""

from collections.abc import Callable, Iterator
from pathlib import Path

from routing.calendars import Calendar, Day, parse_dates, parse_day
from routing.facts import Place
from routing.sending_windows import Hours, SendingWindow, SendingWindows
from routing.windows import DAYS, is_zone
from smsc.config.kinds import OneOrMore, Status, status_value
from smsc.config.schema import Configuration
from smsc.config.windows_schema import CalendarConfig, WindowsConfig

MAX_FILE_OCTETS = 1 << 20
COUNTRY_LETTERS = 2
HOURS_REMEDY = 'write hours such as 09:00-21:00, a list of them, or closed'
DATE_REMEDY = 'write 2027-05-10, or 05-09 for every year'
Mistake = tuple[str, str, str]
"""(key, what is wrong, remedy)"""


def build_windows(configuration: Configuration, find_place: Callable[[int], Place]) -> SendingWindows:
    """Return the windows of a checked configuration; `find_place` is the number plan."""
    accounts = configuration.accounts.items()
    return SendingWindows(
        find_place,
        {name: _window(f'account {name}', one.windows) for name, one in accounts if one.windows is not None},
        {name: _window(f'category {name}', one) for name, one in configuration.windows.categories.items()},
        configuration.windows.exempt_categories,
        {country: calendar_of(one) for country, one in configuration.calendars.items()},
        configuration.windows.zone,
    )


def _window(name: str, config: WindowsConfig) -> SendingWindow:
    return SendingWindow(name, (hours_of(config),), config.outside, status_value(config.status), config.validity)


def hours_of(config: WindowsConfig) -> Hours:
    """Return the hours of each kind of day. Raises ValueError."""
    working = _texts(config.working_days)
    weekend = working if config.weekends is None else _texts(config.weekends)
    return Hours(working, weekend, weekend if config.holidays is None else _texts(config.holidays))


def _texts(hours: OneOrMore | None) -> list[str]:
    return [hours] if isinstance(hours, str) else hours or []


def calendar_of(config: CalendarConfig) -> Calendar:
    """Return the calendar of a country. Raises ValueError or OSError for what cannot be used."""
    holidays, working = [parse_day(day) for day in config.holidays], [parse_day(day) for day in config.working]
    for day, works in _dates_of(config):
        (working if works else holidays).append(day)
    return Calendar([DAYS.index(day) for day in config.weekend], holidays, working)


def _dates_of(config: CalendarConfig) -> Iterator[tuple[Day, bool]]:
    if config.file is None:
        return
    with Path(config.file).open('rb') as file:
        octets = file.read(MAX_FILE_OCTETS + 1)
    if len(octets) > MAX_FILE_OCTETS:
        raise ValueError(f'is larger than {MAX_FILE_OCTETS >> 20} MB')
    for _, day, works in parse_dates(octets.decode('utf-8-sig').splitlines()):
        yield day, works


# Checks


def statuses_of_windows(configuration: Configuration) -> Iterator[tuple[str, Status]]:
    """Yield every command_status among these keys."""
    for key, config in _all(configuration):
        yield f'{key}.status', config.status


def mistakes_of_windows(configuration: Configuration) -> Iterator[Mistake]:
    """Yield every mistake among these keys."""
    for key, config in _all(configuration):
        yield from _window_mistakes(key, config)
    windows = configuration.windows
    if not is_zone(windows.zone):
        yield 'windows.zone', f'there is no time zone {windows.zone:.80}', 'write one such as Europe/Moscow'
    for category in windows.exempt_categories:
        if category in windows.categories:
            message = f'`{category:.80}` is exempt, and has windows under `categories`'
            yield 'windows.exempt_categories', message, 'keep one; windows of a category hold in any case'
    for country, calendar in configuration.calendars.items():
        yield from _calendar_mistakes(f'calendars.{country}', country, calendar)


def _all(configuration: Configuration) -> Iterator[tuple[str, WindowsConfig]]:
    for name, config in configuration.windows.categories.items():
        yield f'windows.categories.{name}', config
    for name, account in configuration.accounts.items():
        if account.windows is not None:
            yield f'accounts.{name}.windows', account.windows


def _window_mistakes(key: str, config: WindowsConfig) -> Iterator[Mistake]:
    good = True
    for name in ('working_days', 'weekends', 'holidays'):
        try:
            Hours(_texts(getattr(config, name)), (), ())
        except ValueError as error:
            good = False
            yield f'{key}.{name}', str(error), HOURS_REMEDY
    if good:
        hours = hours_of(config)
        if not hours.all():
            yield key, 'is closed on every day', 'write hours, or take it out'


def _calendar_mistakes(key: str, country: str, config: CalendarConfig) -> Iterator[Mistake]:
    if not (len(country) == COUNTRY_LETTERS and country.isascii() and country.isalpha() and country.isupper()):
        yield key, 'is no country', 'write its two letters of ISO 3166 such as RU'
    for name in ('holidays', 'working'):
        for day in getattr(config, name):
            try:
                parse_day(day)
            except ValueError as error:
                yield f'{key}.{name}', str(error), DATE_REMEDY
    try:
        list(_dates_of(config))
    except OSError as error:
        yield f'{key}.file', f'{config.file} cannot be read: {error.strerror}', 'write the path of a text file'
    except UnicodeDecodeError:
        yield f'{key}.file', f'{config.file} is not in UTF-8', 'save it as UTF-8'
    except ValueError as error:
        yield f'{key}.file', f'{config.file}, {error}', DATE_REMEDY
