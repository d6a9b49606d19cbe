"""Files of numbers for stop-lists: a number or prefix a line, or CSV with a column of them; plain or gzip.

Numbers come out as E.164 digits: `+`, a leading `00`, spaces, dashes and brackets are left out; a dot is not, as it
would make another number of 79161234567.0. A prefix ends with `*`. CSV is divided by `;`, `,` or tabs; its column is
found by the heading, and is the first one where there is none. Numbers in national form (`8916...`) become E.164 digits
by the rules of `numbers`, as those of messages do; with `+` a number is never taken for one.

A column `until`, as `smsc stop-list export` writes it, says when entries end.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from routing.numbers import WORLD_PREFIX, Normaliser, NumberRules

MAX_DIGITS = 15  # E.164 section 6.2.1
MAX_LINE = 10_000
PAGE = 10_000
SHOWN_BAD = 20
HEADINGS = ('number', 'msisdn', 'phone', 'destination', 'subscriber', 'номер', 'телефон', 'абонент')

UNTIL = 'until'
MINUTE_MS = 60_000
MAX_ENDS = 100_000  # different ones in a file; a server holds 200 octets for each
_DAY = 10  # characters of a date without a time

_SEPARATORS = str.maketrans('', '', ' -()\u00a0\u2011\u2013')
_GZIP = b'\x1f\x8b'
_SAMPLE_OCTETS = 1 << 16

AS_WRITTEN = Normaliser(NumberRules())

Entry = tuple[bool, int]
"""(prefix, number), as in storage.stop_lists."""

Ending = tuple[bool, int, int | None]
"""The same with its end, Unix milliseconds; None without one of its own."""


class NumbersFileError(Exception):
    """A file of numbers cannot be used; the text says where, why and what to do."""


def parse_entry(text: str, normaliser: Normaliser = AS_WRITTEN) -> Entry:
    """Return a number or a prefix (`7900*`) as people write it. Raises ValueError, which says why."""
    text = text.strip()
    prefix = text.endswith('*')
    digits = (text[:-1] if prefix else text).translate(_SEPARATORS)
    digits = normaliser.normalise_prefix(digits) if prefix else normaliser.normalise(digits, 0)
    digits = digits.removeprefix(WORLD_PREFIX)
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError('is no number' if digits or not prefix else 'would be all numbers')
    if len(digits) > MAX_DIGITS:
        raise ValueError(f'has more than {MAX_DIGITS} digits')
    if digits.startswith('0'):
        raise ValueError('begins with 0: write it with the country code')
    return prefix, int(digits)


def parse_until(text: str) -> int:
    """Return the end of an entry in Unix milliseconds: `2027-02-15 10:30`, in UTC without an offset.

    A day counts to its end. Raises ValueError, which says why.
    """
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        moment += timedelta(days=len(text) <= _DAY)
        return whole_minutes(int(moment.timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise ValueError('is no time; write 2027-02-15 10:30 or 2027-02-15') from error


def whole_minutes(at_ms: int) -> int:
    """Return a moment as lists know it, which do not end within minutes: the next full one."""
    return -(-at_ms // MINUTE_MS) * MINUTE_MS


def is_rewritten(text: str, entry: Entry) -> bool:
    """Return whether an entry has other digits than the text it was parsed from, `00` aside."""
    digits = text.strip().removesuffix('*').translate(_SEPARATORS).removeprefix('+')
    return digits.removeprefix(WORLD_PREFIX) != str(entry[1])


def for_import(text: str, normaliser: Normaliser) -> str:
    """Return the digits of an entry, with `+` where `parse_entry` would make other ones of them."""
    try:
        entry = parse_entry(text, normaliser)
    except ValueError:
        return f'+{text}'
    return f'+{text}' if is_rewritten(text, entry) else text


class NumbersFile:
    """One file, read page by page; `read` counts its entries, `bad` has (line, what is wrong) of its first mistakes.

    `with_end` counts the entries with an `until` of their own, `over` those whose end has passed, which are left out;
    `rewritten` are those that stand in the file in national form.
    """

    def __init__(
        self,
        path: Path,
        column: str | None = None,
        skip_bad: bool = False,
        normaliser: Normaliser = AS_WRITTEN,
        now_ms: int = 0,
    ) -> None:
        """`column` names the column of a CSV file; with `skip_bad` mistakes are counted and left out.

        What ended before `now_ms`, Unix milliseconds, is left out, too.
        """
        self._path = path
        self._column = column
        self._skip_bad = skip_bad
        self.read = 0
        self.bad: list[tuple[int, str]] = []
        self.bad_count = 0
        self.with_end = self.over = 0
        self.rewritten = 0
        self._normaliser = normaliser
        self._now_ms = now_ms
        self._until = -1
        self._ends: dict[str, int] = {}

    def pages(self, on_progress: Callable[[int], None] = lambda octets: None) -> Iterator[list[Ending]]:
        """Yield the entries; `on_progress` is told how many octets of the file were read so far.

        Raises NumbersFileError, for mistakes in lines only when the whole file was read, so that it names them all.
        """
        try:
            with self._path.open('rb') as file, _text_of(file) as text:
                for page in self._read(text):
                    on_progress(file.tell())
                    yield page
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, 'strerror', None) or str(error)
            raise NumbersFileError(f'{self._path}: cannot be read: {reason}') from error
        if self.bad and not self._skip_bad:
            lines = '\n'.join(f'{self._path}:{line}: {what}' for line, what in self.bad)
            more = f'\nand {self.bad_count - len(self.bad)} more' if self.bad_count > len(self.bad) else ''
            raise NumbersFileError(
                f'{lines}{more}\nnothing was changed; mend the file, or leave such lines out: --skip-bad'
            )
        if not self.read:
            raise NumbersFileError(f'{self._path}: holds no number; nothing was changed, get the file again')

    def _read(self, text: io.TextIOWrapper) -> Iterator[list[Ending]]:
        lines = self._lines(text)
        line, first = next(lines, (1, ''))
        delimiter = max(';,\t', key=first.count)
        names = next(csv.reader([first], delimiter=delimiter), [])
        place, has_heading = self._place(names)
        page: list[Ending] = []
        if not has_heading:
            self._take(page, first, delimiter, place, line)
        for line, one in lines:
            self._take(page, one, delimiter, place, line)
            if len(page) >= PAGE:
                yield page
                page = []
        yield page

    def _lines(self, text: io.TextIOWrapper) -> Iterator[tuple[int, str]]:
        """Yield each line with its number; one that is too long is not read whole: it may be a packed gigabyte."""
        line = 0
        while one := text.readline(MAX_LINE + 1):
            line += 1
            if len(one) > MAX_LINE:
                raise NumbersFileError(
                    f'{self._path}:{line}: is longer than {MAX_LINE} characters; write a number a line'
                )
            yield line, one

    def _place(self, names: list[str]) -> tuple[int, bool]:
        """Return which column the numbers are in, and whether the first line is a heading."""
        found = [name.strip().lower() for name in names]
        self._until = found.index(UNTIL) if UNTIL in found else -1
        if self._column is not None:
            if self._column.lower() not in found:
                raise NumbersFileError(
                    f'{self._path}:1: there is no column {self._column}; the heading has: {", ".join(found)[:200]}'
                )
            return found.index(self._column.lower()), True
        for place, name in enumerate(found):
            if any(word in name for word in HEADINGS):
                return place, True
        return 0, False

    def _take(self, page: list[Ending], text: str, delimiter: str, place: int, line: int) -> None:
        """Take a line in. It is CSV by itself: a quote without its end swallows nothing of those behind it."""
        try:
            if '"' in text:
                values = next(csv.reader([text], delimiter=delimiter, strict=True), [])
            else:
                values = text.strip('\r\n').split(delimiter)  # a third of the time
            text = values[place] if place < len(values) else ''
            if not any(values):
                return
            entry = parse_entry(text, self._normaliser)
            until = self._until_of(values, line) if self._until >= 0 else None
            if until is None or until > self._now_ms:
                page.append((*entry, until))
            else:
                self.over += 1
        except csv.Error as error:
            self._note_bad(line, f'{text.strip()!r:.40} has a quote out of place ({error})')
        except ValueError as error:
            self._note_bad(line, f'{text!r:.40} {error}')
        else:
            self.read += 1
            self.rewritten += is_rewritten(text, entry)

    def _until_of(self, values: list[str], line: int) -> int | None:
        """Return the end that a line gives its entry, None for none. Raises ValueError."""
        text = values[self._until].strip() if self._until < len(values) else ''
        if not text:
            return None
        until = self._ends.get(text)
        if until is None:
            try:
                until = self._ends[text] = parse_until(text)
            except ValueError as error:
                raise ValueError(f'has an `until`, {text!r:.40}, that {error}') from error
            if len(self._ends) > MAX_ENDS:
                raise NumbersFileError(
                    f'{self._path}:{line}: has more than {MAX_ENDS} different `until`; write days without hours'
                )
        self.with_end += until > self._now_ms
        return until

    def _note_bad(self, line: int, what: str) -> None:
        self.bad_count += 1
        if len(self.bad) < SHOWN_BAD:
            self.bad.append((line, what))


def _text_of(file: io.BufferedReader) -> io.TextIOWrapper:
    """Return a file as text, unpacked: UTF-8, or else CP1251, in which numbers look the same."""
    packed = file.peek(2)[:2] == _GZIP
    plain = io.BufferedReader(gzip.GzipFile(fileobj=file), _SAMPLE_OCTETS) if packed else file
    sample = plain.peek(_SAMPLE_OCTETS)
    try:
        sample[: sample.rfind(b'\n') + 1].decode('utf-8')
    except UnicodeDecodeError:
        return io.TextIOWrapper(plain, 'cp1251', 'replace', newline='')
    return io.TextIOWrapper(plain, 'utf-8-sig', 'replace', newline='')
