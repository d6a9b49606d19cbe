"""The file of registered senders: which senders operators know, and whose they are.

CSV, divided by `;`, `,` or tabs, in UTF-8, with a heading that names its columns: `sender`, `operator`, and `account`,
which may be missing, as may be its value: then a sender is for all accounts. A mistake is an error: nothing is taken.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

MAX_SENDER = 20  # characters of source_addr, SMPP 3.4 section 5.2.8
MAX_LINES = 1_000_000
COLUMNS = ('sender', 'operator')

Registered = tuple[str, str, str]
"""(sender, operator, account), account '' for all."""


class SendersFileError(Exception):
    """A file of registered senders cannot be used: which line of it (0 = the file), why, and what to do."""

    def __init__(self, path: Path, line: int, message: str, remedy: str) -> None:
        super().__init__(f'{path}{f":{line}" if line else ""}: {message}; {remedy}')
        self.line = line
        self.message = message
        self.remedy = remedy


def read_registered(path: Path) -> list[Registered]:
    """Return what a file registers. Raises SendersFileError."""
    try:
        with path.open(encoding='utf-8-sig', newline='') as file:
            return list(_read(path, file))
    except OSError as error:
        raise SendersFileError(path, 0, f'cannot be read: {error.strerror}', 'write the path of a CSV file') from error
    except UnicodeDecodeError as error:
        raise SendersFileError(path, 0, 'is not in UTF-8', 'save it as UTF-8') from error
    except csv.Error as error:
        raise SendersFileError(path, 0, f'is no CSV: {error}', 'write lines such as MyBank;mts') from error


def _read(path: Path, lines: Iterator[str]) -> Iterator[Registered]:
    heading = next(lines, '')
    delimiter = max(';,\t', key=heading.count)
    names = [name.strip().lower() for name in next(csv.reader([heading], delimiter=delimiter), [])]
    if not all(name in names for name in COLUMNS):
        raise SendersFileError(
            path, 1, 'its heading names no sender and operator', 'begin it with sender;operator;account'
        )
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for values in reader:
        line = reader.line_num + 1
        if line > MAX_LINES:
            raise SendersFileError(path, line, f'has more than {MAX_LINES} lines', 'leave out what is of no use')
        if not any(values):
            continue
        row = dict(zip(names, map(str.strip, values), strict=False))
        sender, operator = row.get('sender', ''), row.get('operator', '')
        if not sender or not operator:
            raise SendersFileError(path, line, 'has no sender or no operator', 'write both, such as MyBank;mts')
        if len(sender) > MAX_SENDER:
            remedy = f'a sender has at most {MAX_SENDER} characters'
            raise SendersFileError(path, line, f'its sender is too long: {sender!r:.40}', remedy)
        yield sender, operator, row.get('account', '')
