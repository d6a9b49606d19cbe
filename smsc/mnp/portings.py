"""Files of ported numbers, as registries and operators publish them: CSV, plain or gzip, with headings or without.

A file is read in pieces, however long it is. Columns are found by their headings, without headings
the first is the number, the second the operator and the third, of a delta, what is done. Pieces without a flaw, which
are nearly all, are converted column by column; others line by line, so that what is wrong is told with its line.
"""

import csv
import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from routing.mnp import MAX_NAME
from smsc.text_encoding import CP1251, NOT_UTF8, SURROGATES, UTF8, is_text, is_utf8

PIECE_OCTETS = 1 << 16  # what fits the caches of a processor: a megabyte takes twice as long
MAX_LINE_OCTETS = 1 << 16
MIN_DIGITS = 7
MAX_DIGITS = 15
SHOWN_BAD_LINES = 20
DELIMITERS = ';,\t'
NUMBER_HEADINGS = ('number', 'msisdn', 'phone', 'phonenumber', 'portednumber', 'subscriber', 'номер', 'номертелефона')
OPERATOR_HEADINGS = (
    'ownerid', 'operatorcode', 'operator', 'operatorid', 'recipient', 'recipientid', 'owner',
    'кодоператора', 'оператор', 'mnc',
)  # fmt: skip
ACTION_HEADINGS = ('action', 'type', 'operation', 'changetype', 'действие', 'операция')
ADDITIONS = frozenset({'add', 'port', 'ported', 'new', 'change', 'update', 'insert', 'a', 'i', 'u', '+', '1'})
RETURNS = frozenset({'del', 'delete', 'return', 'returned', 'remove', 'd', 'r', '-', '0'})
_NO_NUMBER = (0, 1, 0)
NATIONAL_DIGITS = {'1': 10, '7': 10}


class MnpImportError(Exception):
    """A file cannot be imported; the text says file, line, what is wrong and what to do. Nothing was changed."""


class Reading(msgspec.Struct, frozen=True):
    """How a file is to be read.

    With a `country_code`, numbers of `national_digits` digits are completed by it; all others must begin with it.
    `number` and `operator` are headings where the usual ones are not there. `returns` says that every line is a return.
    """

    country_code: str = ''
    national_digits: int = 0
    number: str = ''
    operator: str = ''
    skip_bad: bool = False
    is_delta: bool = False
    returns: bool = False


class Piece(msgspec.Struct):
    """Lines of a file: numbers, and the operators of them; in a delta '' for a number that was returned."""

    numbers: list[int]
    operators: list[str]


class _Columns(msgspec.Struct, frozen=True):
    """Where things stand in a line; -1 = nowhere."""

    delimiter: str
    number: int
    operator: int
    action: int


class PortingFile:
    """One file. `bad` counts the lines that were left out, `bad_lines` tells the first of them."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.bad = 0
        self.bad_lines: list[str] = []
        self._path = path
        self._reading = reading
        self._line = 1
        self._encoding = ''  # not known yet
        self._has_strays = False
        self._has_quotes = False
        self._columns: _Columns | None = None

    def pieces(self, tell: Callable[[float], None] = lambda share: None) -> Iterator[Piece]:
        """Yield the whole file; `tell` is given how much of it was read, from 0 to 1.

        Raises MnpImportError at the first line that is wrong, or only for the file as a whole where such are skipped.
        """
        for lines in self._lines(tell):
            if self._columns is None and not (lines := self._begin(lines)):
                continue
            piece = self._convert_all(lines) or self._convert_each(lines)
            self._line += len(lines)
            if piece.numbers:
                yield piece

    def _lines(self, tell: Callable[[float], None]) -> Iterator[list[str]]:
        """Yield lists of lines without their ends."""
        try:
            with self._path.open('rb') as raw:
                rest, size = b'', max(self._path.stat().st_size, 1)
                stream = self._unpacked(raw)
                while octets := stream.read(PIECE_OCTETS):
                    octets = rest + octets
                    end = octets.rfind(b'\n') + 1
                    rest = octets[end:]
                    if len(rest) > MAX_LINE_OCTETS:
                        self._fail(f'a line of more than {MAX_LINE_OCTETS >> 10} KB', 'this is no list of numbers')
                    if end:
                        yield self._split_lines(octets[: end - 1])
                    tell(raw.tell() / size)
                if rest:
                    yield self._split_lines(rest)
        except (OSError, EOFError, zlib.error) as error:
            reason = (isinstance(error, OSError) and error.strerror) or 'is damaged or cut short'
            raise MnpImportError(f'{self._path}: {reason}; nothing was changed, get the file again') from error

    def _unpacked(self, raw: BinaryIO) -> BinaryIO:
        magic = raw.read(4)
        raw.seek(0)
        if magic.startswith(b'PK\x03\x04'):
            raise MnpImportError(f'{self._path}: is a zip archive; unpack it first')
        return gzip.GzipFile(fileobj=raw) if magic.startswith(b'\x1f\x8b') else raw  # type: ignore[return-value]

    def _split_lines(self, octets: bytes) -> list[str]:
        text = self._decode(octets).replace('\r', '')
        self._has_quotes = '"' in text
        return text.split('\n')

    def _decode(self, octets: bytes) -> str:
        """Return a piece as text. The first one that is not ASCII tells in what encoding the file is."""
        if octets.startswith(BOM_UTF8) and not self._encoding:
            octets, self._encoding = octets[len(BOM_UTF8) :], UTF8
        self._has_strays = False
        if octets.isascii():
            return octets.decode('ascii')
        if not self._encoding:
            self._encoding = UTF8 if is_utf8(octets) else CP1251
        if self._encoding == CP1251:
            return octets.decode(CP1251, 'replace')
        text = octets.decode(UTF8, SURROGATES)
        self._has_strays = not is_text(text)
        return text

    def _begin(self, lines: list[str]) -> list[str]:
        """Find the columns by the first line that is not empty; return the lines below the headings."""
        for at, line in enumerate(lines):
            if not line.strip():
                continue
            self._line += at
            self._columns = self._find_columns(line)
            if self._is_data(line, self._columns.delimiter):
                return lines[at:]
            self._line += 1
            return lines[at + 1 :]
        self._line += len(lines)
        return []

    def _find_columns(self, line: str) -> _Columns:
        delimiter = max(DELIMITERS, key=line.count)
        reading = self._reading
        if self._is_data(line, delimiter):
            if reading.number or reading.operator:
                self._fail('the file has no headings', 'leave out the names of columns')
            return _Columns(delimiter, 0, 1, 2 if reading.is_delta else -1)
        headings = [_plain(heading) for heading in line.split(delimiter)]
        number = _find(headings, (_plain(reading.number),) if reading.number else NUMBER_HEADINGS)
        operator = _find(headings, (_plain(reading.operator),) if reading.operator else OPERATOR_HEADINGS)
        action = _find(headings, ACTION_HEADINGS) if reading.is_delta else -1
        needs_operator = not reading.returns
        if number < 0 or (needs_operator and operator < 0):
            what = 'numbers' if number < 0 else 'operators'
            option = '--number' if number < 0 else '--operator'
            shown = line.strip()[:200].encode(UTF8, 'replace').decode()
            self._fail(f'no column of {what} among the headings: {shown}', f'name it: {option} HEADING')
        return _Columns(delimiter, number, operator, action)

    @staticmethod
    def _is_data(line: str, delimiter: str) -> bool:
        """Return whether a first line has a number in it, so that it is no heading."""
        fields = (field.strip(' "\r').removeprefix('+') for field in line.split(delimiter))
        return any(field.isdecimal() and len(field) >= MIN_DIGITS for field in fields)

    def _convert_all(self, lines: list[str]) -> Piece | None:
        """Return all lines at once, None when something is not as in most lines: then each is looked at."""
        columns = self._columns
        assert columns is not None
        if columns.action >= 0 or self._reading.returns or self._has_strays:
            return None
        try:
            rows = self._split(lines, columns)
            texts = [row[columns.number] for row in rows]
            operators = [row[columns.operator] for row in rows]
        except (csv.Error, IndexError):
            return None
        lengths = set(map(len, texts))
        all_digits = ''.join(texts)
        if len(rows) != len(lines) or len(lengths) != 1 or not (all_digits.isdecimal() and all_digits.isascii()):
            return None
        if any(not name.strip() or len(name) > MAX_NAME or not name.isprintable() for name in set(operators)):
            return None
        offset, lowest, end = self._range(lengths.pop())
        if not end:
            return None
        numbers = list(map(int, texts))
        if not (lowest <= min(numbers) + offset and max(numbers) + offset < end):
            return None
        return Piece([number + offset for number in numbers] if offset else numbers, operators)

    def _split(self, lines: list[str], columns: _Columns) -> list[list[str]]:
        """Return the fields of lines, at least those that are needed."""
        if self._has_quotes:
            return list(csv.reader(lines, delimiter=columns.delimiter))
        splits = max(columns.number, columns.operator) + 1
        return [line.split(columns.delimiter, splits) for line in lines]  # a third of the time

    def _range(self, digits: int) -> tuple[int, int, int]:
        """Return what completes a number of so many digits, the lowest that it makes then, and the end of them."""
        code, national = self._reading.country_code, self._reading.national_digits
        if not code:
            is_number = MIN_DIGITS <= digits <= MAX_DIGITS
            return (0, int('1' + '0' * (digits - 1)), int('1' + '0' * digits)) if is_number else _NO_NUMBER
        lowest, end = int(code + '0' * national), int(code + '9' * national) + 1
        if digits == national:
            return lowest, lowest, end
        return (0, lowest, end) if digits == len(code) + national else _NO_NUMBER

    def _convert_each(self, lines: list[str]) -> Piece:
        piece = Piece([], [])
        for at, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                number, operator = self._convert(line)
            except ValueError as error:
                self._note(self._line + at, str(error))
                continue
            piece.numbers.append(number)
            piece.operators.append(operator)
        return piece

    def _convert(self, line: str) -> tuple[int, str]:
        """Return the number and the operator of one line. Raises ValueError with the reason."""
        columns = self._columns
        assert columns is not None
        if self._has_strays and not is_text(line):
            raise ValueError(NOT_UTF8)
        try:
            row = next(csv.reader([line], delimiter=columns.delimiter, strict=True))
        except csv.Error as error:
            raise ValueError(f'a quote without its end ({error})') from error
        number = self._number(row[columns.number].strip() if columns.number < len(row) else '')
        operator = row[columns.operator].strip() if 0 <= columns.operator < len(row) else ''
        if self._reading.is_delta and self._is_return(row, columns, operator):
            return number, ''
        if not operator:
            raise ValueError('no operator')
        if len(operator) > MAX_NAME or not operator.isprintable():
            raise ValueError(f'{operator[:20]!r} is no name of an operator')
        return number, operator

    def _number(self, text: str) -> int:
        digits = text.removeprefix('+')
        if digits.isdecimal() and digits.isascii() and len(digits) <= MAX_DIGITS:
            offset, lowest, end = self._range(len(digits))
            number = int(digits) + offset
            if lowest <= number < end and not (offset and text.startswith('+')):
                return number
        code, national = self._reading.country_code, self._reading.national_digits
        wanted = f'{code} and {national} digits, or those alone' if code else 'the country code and the number, digits'
        raise ValueError(f'{text[:20]!r} is no number ({wanted})')

    def _is_return(self, row: list[str], columns: _Columns, operator: str) -> bool:
        if self._reading.returns:
            return True
        action = row[columns.action].strip().lower() if 0 <= columns.action < len(row) else ''
        if action and action not in ADDITIONS and action not in RETURNS:
            raise ValueError(f'{action[:20]!r} is no action (add or port, del or return)')
        return action in RETURNS or (not operator and not action)

    def _note(self, line: int, reason: str) -> None:
        """Raises MnpImportError unless wrong lines are left out."""
        text = f'{self._path}:{line}: {reason}'
        if not self._reading.skip_bad:
            raise MnpImportError(f'{text}; nothing was changed, mend the line or leave such lines out with --skip-bad')
        self.bad += 1
        if self.bad <= SHOWN_BAD_LINES:
            self.bad_lines.append(text)

    def _fail(self, reason: str, remedy: str) -> None:
        raise MnpImportError(f'{self._path}:{self._line}: {reason}; {remedy}')


def _plain(heading: str) -> str:
    """Return a heading as headings are compared: small letters and digits."""
    return ''.join(character for character in heading.lower() if character.isalnum())


def _find(headings: list[str], wanted: tuple[str, ...]) -> int:
    """Return the column of the first of some headings that is there, -1 without one."""
    return next((headings.index(one) for one in wanted if one in headings), -1)


def reading_for(country_code: str, national_digits: int, **options: object) -> Reading:
    """Return how to read a file. Raises MnpImportError for a country code without the length of its numbers."""
    country_code = country_code.removeprefix('+')
    if not country_code:
        return msgspec.convert(options, Reading)
    if not country_code.isdecimal() or not 0 < len(country_code) <= 3:
        raise MnpImportError(f'{country_code} is no country code; write one such as 7')
    digits = national_digits or NATIONAL_DIGITS.get(country_code, 0)
    if not digits:
        raise MnpImportError(f'how long are numbers of +{country_code}? add --national-digits N')
    if len(country_code) + digits > MAX_DIGITS:
        raise MnpImportError(f'numbers have up to {MAX_DIGITS} digits, country code included')
    return msgspec.convert({'country_code': country_code, 'national_digits': digits, **options}, Reading)
