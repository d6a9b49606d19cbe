"""What can be configured of sending windows, and of the calendars that say what days are."""

from typing import Annotated, Literal

from smsc.config.kinds import OneOrMore, Part, Status, described

DayOfWeek = Literal['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']


class WindowsConfig(Part, frozen=True):
    """When messages may be sent, where the subscriber is. Hours such as `09:00-21:00`, `22:00-02:00` or `closed`."""

    name: str = ''
    working_days: Annotated[OneOrMore | None, described('hours such as "09:00-21:00"; none = all day')] = None
    weekends: Annotated[OneOrMore | None, described('hours such as "10:00-20:00"; none = as on working days')] = None
    holidays: Annotated[
        OneOrMore | None, described('hours of days that `calendars` call holidays; none = as on weekends')
    ] = None
    outside: Annotated[
        Literal['wait', 'reject'],
        described('messages outside of them: they wait for the opening, or are refused with `status`'),
    ] = 'wait'
    status: Annotated[Status, described('answer to a message outside of them, with `reject`')] = 'ESME_RSUBMITFAIL'
    validity: Annotated[
        Literal['asked', 'opening'],
        described(
            'a validity_period that a waiting message came with: `asked` holds as asked, and what ends before the'
            ' opening is ESME_RINVEXPIRY; `opening` counts it from there, as `validity_h` always does',
            wire='C20',
        ),
    ] = 'asked'


class SendingWindowsConfig(Part, frozen=True):
    """Sending windows of all accounts, by category. Where the account has some too, both must be open."""

    categories: Annotated[
        dict[str, WindowsConfig], described('hours in which messages of a traffic category may be sent, by category')
    ] = {}
    exempt_categories: Annotated[
        tuple[str, ...], described("categories that accounts' own `windows` do not hold for")
    ] = ()
    zone: Annotated[
        str, described('time zone of numbers whose own is not known, such as Europe/Moscow', min_length=1)
    ] = 'UTC'


class CalendarConfig(Part, frozen=True):
    """What the days of a country are. Dates are `2027-05-10`, or `05-09` for every year."""

    name: str = ''
    weekend: Annotated[tuple[DayOfWeek, ...], described('days of the weekend')] = ('sat', 'sun')
    holidays: Annotated[tuple[str, ...], described('dates of holidays')] = ()
    working: Annotated[tuple[str, ...], described('dates of weekends that are working days')] = ()
    file: Annotated[
        str | None,
        described('more of them: a text file, a date a line, `working` behind those of working days, `#` remarks'),
    ] = None
