"""Reads a published range table into ranges, line by line: every line is checked, names become codes and zones.

Files are UTF-8, with or without BOM, or CP1251. Mistakes name file and line; with `skip_bad` they are counted and left
out. Nothing is written here.
"""

import functools
import zoneinfo
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from routing.facts import Place
from routing.plan import PlanError, Range, range_of
from smsc.plan.base import known_countries
from smsc.plan.layouts import Layout, Registry, Row, cells_of, layout_of
from smsc.plan.names import Names, code_of
from smsc.text_encoding import CP1251, NOT_UTF8, SURROGATES, UTF8, is_text, is_utf8

MAX_LINE_OCTETS = 10_000
SAMPLE_OCTETS = 1 << 16
MAX_RANGES = 5_000_000
MAX_NAME = 200
MAX_SHOWN = 20
KNOWN_HEADINGS = (
    '`АВС/ DEF;От;До;Емкость;Оператор;Регион`, or `prefix` or `from,to` beside country,operator,region,zone'
)
Advance = Callable[[int], object]


class Reading(msgspec.Struct):
    """What a file says; `unknown_operators` and `unknown_regions` are names that no table has, with their lines."""

    ranges: list[Range]
    is_registry: bool
    skipped: list[str]
    skipped_count: int = 0
    unknown_operators: Counter[str] = msgspec.field(default_factory=Counter)
    unknown_regions: Counter[str] = msgspec.field(default_factory=Counter)


class RangeReader:
    """Reads files by the same tables of names; `country` is that of lines that name none."""

    def __init__(self, operators: Names, zones: Names, country: str = '', skip_bad: bool = False) -> None:
        self.country = country
        self.skip_bad = skip_bad
        self._operators = operators
        self._zones = zones
        self._countries = known_countries()
        self._codes: dict[tuple[str, str], tuple[str, bool]] = {}
        self._regions: dict[tuple[str, str], tuple[str, str]] = {}
        self._places: dict[tuple[str, str, str, str], Place] = {}
        if country and country not in self._countries:
            raise PlanError(f'{country} is no country; write two letters such as RU (ISO 3166)')

    def read(self, path: Path, advance: Advance = lambda octets: None) -> Reading:
        """Return the ranges of a file; `advance` is told of octets read. Raises PlanError with its mistakes."""
        try:
            with path.open('rb') as file:
                return self._read(decoded(file, path, advance), path)
        except OSError as error:
            raise PlanError(f'{path} cannot be read: {error.strerror}') from error

    def _read(self, lines: Iterator[tuple[int, str]], path: Path) -> Reading:
        number, heading = next(lines, (1, ''))
        found = layout_of(heading)
        if found is None:
            raise PlanError(f'{path}:{number}: is no known heading; the first line is to be {KNOWN_HEADINGS}')
        layout, delimiter = found
        if layout.country and self.country not in ('', layout.country):
            raise PlanError(f'{path}:{number}: is a table of {layout.country}; leave out --country {self.country}')
        reading = Reading([], isinstance(layout, Registry), [])
        for number, line in lines:
            try:
                if not (line.isascii() or is_text(line)):
                    raise ValueError(NOT_UTF8)
                reading.ranges.append(self._range(layout.row(cells_of(line, delimiter)), layout, reading))
            except ValueError as error:
                self._note_bad(reading, f'{path}:{number}: {error}')
            if len(reading.ranges) > MAX_RANGES:
                raise PlanError(f'{path}:{number}: is beyond {MAX_RANGES} lines; import it in parts with --name')
        if reading.skipped_count and not self.skip_bad:
            raise PlanError('\n'.join(reading.skipped) + '\nmend these lines, or leave them out with --skip-bad')
        if not reading.ranges:
            raise PlanError(f'{path}: holds no range; nothing was changed')
        return reading

    def _note_bad(self, reading: Reading, problem: str) -> None:
        reading.skipped_count += 1
        if len(reading.skipped) < MAX_SHOWN:
            reading.skipped.append(problem)
        elif not self.skip_bad:
            raise PlanError(
                '\n'.join(reading.skipped) + '\nand more; mend these lines, or leave them out with --skip-bad'
            )

    def _range(self, row: Row, layout: Layout, reading: Reading) -> Range:
        """Return the range of a line. Raises ValueError with what is wrong in it."""
        country = row.country.upper() or self.country
        if country and country not in self._countries:
            raise ValueError(f'has {row.country!r:.30} as country; write two letters such as RU (ISO 3166)')
        for name in (row.operator, row.region):
            if len(name) > MAX_NAME or not name.isprintable():
                raise ValueError(f'has a name that is no name: {name!r:.60}; write up to {MAX_NAME} letters')
        if row.zone and row.zone not in _known_zones():
            raise ValueError(f'has {row.zone!r:.40} as zone; write an IANA time zone such as Europe/Moscow')
        code, is_known = self._operator(country, row.operator)
        region, zone = self._region(country, row.region)
        if not is_known:
            reading.unknown_operators[row.operator] += 1
        if region and not (row.zone or zone) and layout.country:
            reading.unknown_regions[row.region] += 1
        key = country, code, region, row.zone or zone
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place(*key)
        return range_of(row.first, row.last, place)

    def _operator(self, country: str, name: str) -> tuple[str, bool]:
        """Return the code of an operator, and whether it is that of a table or what was written, not made of a name."""
        found = self._codes.get((country, name))
        if found is None:
            code, made = self._operators.find(country, name), code_of(name)
            found = self._codes[country, name] = code or made, bool(code) or made == name
        return found

    def _region(self, country: str, text: str) -> tuple[str, str]:
        """Return the name of a region, the last part of what is written, and its zone."""
        found = self._regions.get((country, text))
        if found is None:
            name = ' '.join(text.rpartition('|')[2].split())
            found = self._regions[country, text] = name, self._zones.find(country, text)
        return found


@functools.cache
def _known_zones() -> set[str]:
    return zoneinfo.available_timezones()


def decoded(file: BinaryIO, path: Path, advance: Advance) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not blank. The first that is not ASCII, with those that come
    after it, tells in what encoding a file is; in UTF-8 a line that is none has lone surrogates.
    """
    encoding, number = '', 0
    while octets := file.readline(MAX_LINE_OCTETS + 1):
        number += 1
        advance(len(octets))
        if len(octets) > MAX_LINE_OCTETS:
            raise PlanError(f'{path}:{number}: is longer than {MAX_LINE_OCTETS} octets; is this a CSV file?')
        if not encoding and not octets.isascii():
            encoding = UTF8 if octets.startswith(BOM_UTF8) or is_utf8(octets + _ahead(file)) else CP1251
        line = octets.decode(encoding, SURROGATES if encoding == UTF8 else 'replace') if encoding else octets.decode()
        line = line.removeprefix('\ufeff').strip('\r\n')
        if line.strip() and not line.startswith('#'):
            yield number, line


def _ahead(file: BinaryIO) -> bytes:
    """Return whole lines that are to be read next."""
    place = file.tell()
    octets = file.read(SAMPLE_OCTETS)
    file.seek(place)
    return octets[: octets.rfind(b'\n') + 1]
