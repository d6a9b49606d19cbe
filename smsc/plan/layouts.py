"""Layouts of published range tables: what the columns are, found by their heading, and what a line of them says.

Two are known. The registry of the Russian numbering plan: `АВС/ DEF;От;До;Емкость;Оператор;Регион;...`, as published
for ABC-3xx, ABC-4xx, ABC-8xx and DEF-9xx. And any table with a `prefix`, or with `from` and `to`, beside `country`,
`operator`, `region` and `zone` or some of them.
"""

import csv
from typing import Protocol

import msgspec

from routing.plan import MAX_DIGITS

RUSSIA = 'RU'
RUSSIAN_CODE = '7'
AREA_DIGITS = 3
LOCAL_DIGITS = 7
DELIMITERS = ';,\t'

# Cyrillic letters that look Latin: nobody can tell by a heading which of them it is written with.
_ALIKE = str.maketrans('авекморстух', 'abekmopctyx')


class Row(msgspec.Struct, frozen=True):
    """A line as it is written: numbers of equal length, first <= last, and names; '' = not said."""

    first: str
    last: str
    country: str = ''
    operator: str = ''
    region: str = ''
    zone: str = ''


class Layout(Protocol):
    """How to read the lines of one file."""

    country: str
    """That of all lines; '' where each may have its own."""

    def row(self, cells: list[str]) -> Row:
        """Return what a line says. Raises ValueError with what is wrong and what to write."""


class Columns:
    """Where each column is."""

    def __init__(self, headings: list[str]) -> None:
        self.count = len(headings)
        self._places: dict[str, int] = {}
        for place, heading in enumerate(headings):
            field = _FIELDS.get(_plain(heading))
            if field is not None:
                self._places.setdefault(field, place)

    def has(self, *fields: str) -> bool:
        """Return whether all of these are there."""
        return all(field in self._places for field in fields)

    def cell(self, cells: list[str], field: str) -> str:
        """Return what a line has in a column, without space around it; '' for a column that is missing."""
        place = self._places.get(field, self.count)
        return cells[place].strip() if place < len(cells) else ''

    def check(self, cells: list[str]) -> None:
        """Raise ValueError for a line with more columns than the heading."""
        if any(cell.strip() for cell in cells[self.count :]):
            raise ValueError(f'has {len(cells)} columns, the heading {self.count}; put text with delimiters in quotes')


class Registry:
    """The registry of the Russian numbering plan."""

    country = RUSSIA

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def row(self, cells: list[str]) -> Row:
        """Return what a line says; its capacity, where there is one, must be that of its numbers."""
        columns = self._columns
        columns.check(cells)
        area = columns.cell(cells, 'area')
        if len(area) != AREA_DIGITS or not _is_digits(area):
            raise ValueError(f'has {area!r:.30} as ABC/DEF; write {AREA_DIGITS} digits')
        first, last = (self._local(cells, field) for field in ('from', 'to'))
        if first > last:
            raise ValueError(f'begins at {first}, after its end at {last}; write the smaller one first')
        capacity = columns.cell(cells, 'capacity')
        if capacity and (not _is_digits(capacity) or int(capacity[:9]) != int(last) - int(first) + 1):
            wanted = int(last) - int(first) + 1
            raise ValueError(
                f'has the capacity {capacity!r:.30}, its numbers are {wanted}; write which of them is right'
            )
        operator, region = columns.cell(cells, 'operator'), columns.cell(cells, 'region')
        if not operator:
            raise ValueError('has no operator; write its name')
        return Row(f'{RUSSIAN_CODE}{area}{first}', f'{RUSSIAN_CODE}{area}{last}', RUSSIA, operator, region)

    def _local(self, cells: list[str], field: str) -> str:
        text = self._columns.cell(cells, field)
        if not _is_digits(text) or len(text) > LOCAL_DIGITS:
            raise ValueError(f'has {text!r:.30} as the number to begin or end with; write {LOCAL_DIGITS} digits')
        return text.zfill(LOCAL_DIGITS)  # spreadsheets take leading zeros away


class Ranges:
    """A table of prefixes or ranges."""

    country = ''

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def row(self, cells: list[str]) -> Row:
        """Return what a line says."""
        columns = self._columns
        columns.check(cells)
        first, last = self._numbers(cells)
        for number in (first, last):
            if not _is_digits(number) or len(number) > MAX_DIGITS:
                raise ValueError(
                    f'has {number!r:.30} as a number; write up to {MAX_DIGITS} digits with the calling code'
                )
        if first[0] == '0':
            raise ValueError(f'begins with 0: {first}; write numbers with the calling code')
        if len(first) != len(last) or first > last:
            raise ValueError(f'has no range from {first} to {last}; write two numbers of one length, the smaller first')
        said = (columns.cell(cells, field) for field in ('country', 'operator', 'region', 'zone'))
        return Row(first, last, *said)

    def _numbers(self, cells: list[str]) -> tuple[str, str]:
        columns = self._columns
        prefix = columns.cell(cells, 'prefix').removeprefix('+')
        if prefix:
            return prefix, prefix
        return columns.cell(cells, 'from').removeprefix('+'), columns.cell(cells, 'to').removeprefix('+')


def layout_of(line: str) -> tuple[Layout, str] | None:
    """Return the layout and the delimiter that a heading announces, or None if it is no known heading."""
    for delimiter in DELIMITERS:
        columns = Columns(cells_of(line, delimiter))
        if columns.has('area', 'from', 'to', 'operator'):
            return Registry(columns), delimiter
        if columns.has('prefix') or columns.has('from', 'to'):
            return Ranges(columns), delimiter
    return None


def cells_of(line: str, delimiter: str) -> list[str]:
    """Return the cells of one line; one whose quotes are not those of CSV (`"Рога" ООО;...`) is parted as it stands."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return line.split(delimiter)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _plain(heading: str) -> str:
    return ''.join(heading.casefold().replace('ё', 'е').replace('_', '').split()).translate(_ALIKE)


_FIELDS = {
    _plain(heading): field
    for field, headings in {
        'area': ('АВС/ DEF', 'ABC', 'DEF', 'код'),
        'from': ('От', 'from', 'first', 'start'),
        'to': ('До', 'to', 'last', 'end'),
        'capacity': ('Емкость', 'capacity'),
        'prefix': ('prefix', 'префикс'),
        'country': ('country', 'страна'),
        'operator': ('Оператор', 'operator'),
        'region': ('Регион', 'region'),
        'zone': ('zone', 'time zone', 'часовой пояс'),
    }.items()
    for heading in headings
}
