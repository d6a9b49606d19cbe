"""Price lists and credit terms from the configuration: entries of YAML and of CSV files become routing.prices.

A file has a heading that names its columns: `price`, and any of `country`, `operator`, `category`; divided by commas
or semicolons, then with decimal commas too. All its mistakes are found, each with its line.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from domain.charges import charge_when_accepted, charge_when_delivered
from domain.money import parse_micros
from pdu.receipt_text import MessageState
from routing.prices import Charging, Entry, Key, PriceList
from smsc.config.account_schema import AccountConfig
from smsc.config.prices_schema import PriceListConfig
from smsc.config.problems import Problem
from smsc.config.schema import Configuration
from storage.credit import Terms
from storage.ledger import Story

MAX_FILE_OCTETS = 16 << 20
MAX_ENTRIES = 200_000
MAX_MISTAKES = 100
COLUMNS = ('price', 'country', 'operator', 'category')
COUNTRY_LETTERS = 2


class PriceFile:
    """One CSV file: `entries` with the line of each, and `problems`."""

    def __init__(self, key: str, path: Path) -> None:
        """`key` is that of the configuration which names the file."""
        self.entries: list[tuple[int, Entry]] = []
        self.problems: list[Problem] = []
        self._key = key
        self._path = path

    def read(self) -> None:
        """Read it all. Nothing is raised; a file that cannot be read is a problem."""
        try:
            if self._path.stat().st_size > MAX_FILE_OCTETS:
                self._note(0, f'is longer than {MAX_FILE_OCTETS >> 20} MB', 'name the file of a price list')
                return
            text = self._path.read_text(encoding='utf-8-sig')
        except OSError as error:
            self._note(0, f'cannot be read: {error.strerror}', 'name a file that is there, or take the key out')
        except UnicodeDecodeError:
            self._note(0, 'is not UTF-8', 'save it as CSV in UTF-8')
        else:
            self._parse(text.splitlines())

    def _parse(self, lines: list[str]) -> None:
        semicolons = bool(lines) and ';' in lines[0]
        rows = csv.reader(lines, delimiter=';' if semicolons else ',')
        try:
            heading = [name.strip().lower() for name in next(rows, [])]
            if 'price' not in heading or set(heading) - set(COLUMNS):
                self._note(1, f'has the heading {",".join(heading)!r:.80}', f'name columns of {", ".join(COLUMNS)}')
                return
            for row in rows:
                if any(cell.strip() for cell in row):
                    self._add(rows.line_num, dict(zip(heading, row, strict=False)), semicolons)
                if len(self.problems) >= MAX_MISTAKES or len(self.entries) > MAX_ENTRIES:
                    break
        except csv.Error as error:
            self._note(rows.line_num, f'is no CSV: {error}', 'write one entry a line')
        if len(self.entries) > MAX_ENTRIES:
            self._note(rows.line_num, f'has more than {MAX_ENTRIES} entries', 'leave out what the default covers')

    def _add(self, line: int, row: Mapping[str, str], decimal_commas: bool) -> None:
        price = row['price'].strip()
        try:
            micros = price_of(price.replace(',', '.') if decimal_commas else price)
        except ValueError as error:
            self._note(line, f'price {price!r:.40} {error}', 'write a number such as 1.25')
            return
        entry = entry_of(micros, row.get('country', ''), row.get('operator', ''), row.get('category', ''))
        if entry.country and not is_country(entry.country):
            self._note(line, f'{entry.country!r:.40} is no country', 'write an ISO 3166 code such as RU')
            return
        self.entries.append((line, entry))

    def _note(self, line: int, message: str, remedy: str) -> None:
        self.problems.append(Problem(str(self._path), line, self._key, message, remedy))


def price_of(text: object) -> int:
    """Return a price as micro-units. Raises ValueError with what is wrong."""
    micros = parse_micros(str(text))
    if micros < 0:
        raise ValueError('is below 0')
    return micros


def entry_of(price: int, country: str, operator: str, category: str) -> Entry:
    """Return an entry, its words as look-ups have them."""
    return Entry(price, country.strip().upper(), operator.strip(), category.strip())


def is_country(code: str) -> bool:
    """Return whether a text looks like an ISO 3166 code of two letters."""
    return len(code) == COUNTRY_LETTERS and code.isascii() and code.isalpha()


def check_list(key: str, config: PriceListConfig) -> Iterator[tuple[str, str, str] | Problem]:
    """Yield the mistakes of a price list: (key, message, remedy), or Problems of its file."""
    seen: dict[Key, str] = {}
    for number, one in enumerate(config.entries):
        path = f'{key}.entries[{number}]'
        try:
            entry = entry_of(price_of(one.price), one.country, one.operator, one.category)
        except ValueError as error:
            yield f'{path}.price', str(error), 'write a number such as 1.25'
            continue
        if entry.country and not is_country(entry.country):
            yield f'{path}.country', f'{entry.country} is no country', 'write an ISO 3166 code such as RU'
        if entry.key in seen:
            yield path, f'fits the same as {seen[entry.key]}', 'keep one'
        seen[entry.key] = f'entries[{number}]'
    if config.default is not None:
        try:
            price_of(config.default)
        except ValueError as error:
            yield f'{key}.default', str(error), 'write a number such as 1.25'
    if config.file is not None:
        yield from _check_file(f'{key}.file', Path(config.file), seen)
    elif not config.entries and config.default is None:
        yield key, 'has no price', 'add `default: ...`, `entries: ...` or `file: ...`'


def _check_file(key: str, path: Path, seen: dict[Key, str]) -> Iterator[Problem]:
    file = PriceFile(key, path)
    file.read()
    yield from file.problems
    for line, entry in file.entries:
        if entry.key in seen:
            yield Problem(str(path), line, key, f'fits the same as {seen[entry.key]}', 'keep one')
        seen[entry.key] = f'line {line}'


def build_list(config: PriceListConfig) -> PriceList:
    """Return a price list that was checked. Its file may have changed since: what is wrong in it now is left out."""
    entries = [entry_of(price_of(one.price), one.country, one.operator, one.category) for one in config.entries]
    if config.file is not None:
        file = PriceFile('', Path(config.file))
        file.read()
        entries += [entry for _, entry in file.entries]
    return PriceList(entries, None if config.default is None else price_of(config.default), config.currency)


def build_charging(configuration: Configuration) -> Charging:
    """Return the price lists of a checked configuration. Reads files: not in the event loop when they are large."""
    lists = {name: build_list(config) for name, config in configuration.prices.items()}
    accounts = {name: lists[config.prices] for name, config in configuration.accounts.items() if config.prices in lists}
    upstreams = {
        name: lists[config.prices] for name, config in configuration.upstreams.items() if config.prices in lists
    }
    return Charging(accounts, upstreams, frozenset(credit_terms(configuration)))


def currencies_of(configuration: Configuration, story: Story) -> tuple[str, str]:
    """Return in what a message was paid for, and in what it cost: '' where today's configuration does not say."""
    account = configuration.accounts.get(story.account)
    upstream = configuration.upstreams.get(story.parts[0][0] if story.parts else story.upstream)
    lists = [configuration.prices.get((owner and owner.prices) or '') for owner in (account, upstream)]
    paid_in, cost_in = (prices.currency if prices else '' for prices in lists)
    return paid_in, cost_in


def credit_terms(configuration: Configuration) -> dict[str, Terms]:
    """Return how accounts pay, of those that have credit."""
    return {name: terms for name, config in configuration.accounts.items() if (terms := terms_of(config)) is not None}


def terms_of(config: AccountConfig) -> Terms | None:
    """Return how one account pays, None without credit."""
    if config.credit == 'none':
        return None
    if config.charge == 'delivered':
        charge = charge_when_delivered()
    else:
        charge = charge_when_accepted(MessageState[state] for state in config.given_back)
    return Terms(charge) if config.credit == 'prepaid' else Terms(charge, None)
