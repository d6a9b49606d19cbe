"""The table of the wire contract: `bin/test --wire` prints, line by line, how many tests show it and how they went.

A test names its lines with `@pytest.mark.wire('A1', 'B6')`. The lines themselves, `w.A1 M text`, are read from
../shared/wire.md beside the checkout. Without that file the table holds the lines that tests name. A name that the
file does not have ends the run before the first test: it is misspelt, or the contract changed.
"""

import re
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest

CONTRACT = Path(__file__).parents[2] / 'shared' / 'wire.md'

LINE = re.compile(r'^w\.([A-Z]+)(\d+) ([MSP]) (.+)$', re.MULTILINE)

LEVELS = {'M': 'must', 'S': 'should', 'P': 'policy', '?': 'of unknown level'}

PROPERTY = 'wire'  # of a test's reports: the lines that it shows

outcomes_key = pytest.StashKey['Outcomes']()


class WireLine(msgspec.Struct, frozen=True):
    """One line of the contract; `level` is M (must), S (should), P (policy) or ? (the contract is not at hand)."""

    name: str
    level: str
    text: str


class Outcomes(msgspec.Struct):
    """What became of the tests of each line: node ids by line, and the outcome of each node id."""

    tests: dict[str, set[str]] = {}
    results: dict[str, str] = {}

    def of(self, name: str) -> str:
        """`fail` when any of its tests failed, else `not run`, `pass` or `skipped`; `no test` when it has none."""
        results = {self.results.get(test, 'not run') for test in self.tests.get(name, ())}
        return next((result for result in ('fail', 'not run', 'pass', 'skipped') if result in results), 'no test')


def parse_contract(text: str) -> list[WireLine]:
    """The lines of a contract in their order."""
    return [WireLine(letter + number, level, words) for letter, number, level, words in LINE.findall(text)]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --wire."""
    parser.addoption(
        '--wire', action='store_true', help='print which lines of the wire contract have a test, and how it went'
    )


def pytest_configure(config: pytest.Config) -> None:
    """Starts with no outcomes."""
    outcomes = config.stash[outcomes_key] = Outcomes()
    config.pluginmanager.register(Reports(outcomes), 'wire reports')


class Reports:
    """Notes how tests went; where several processes run them, their reports come to the one that prints the table."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes how a test went: a failure of its set-up or of what comes after it is a failure too."""
        results = self._outcomes.results
        for name, lines in report.user_properties:
            if name == PROPERTY:
                for line in str(lines).split():
                    self._outcomes.tests.setdefault(line, set()).add(report.nodeid)
        if report.failed:
            results[report.nodeid] = 'fail'
        elif report.skipped:
            results[report.nodeid] = 'skipped'
        elif report.when == 'call' and results.get(report.nodeid) != 'fail':
            results[report.nodeid] = 'pass'


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Notes which lines each test names.

    Raises:
        UsageError: a test names a line that the contract does not have.
    """
    known = {line.name for line in contract()}
    tests = config.stash[outcomes_key].tests
    for item in items:
        names = [name for marker in item.iter_markers('wire') for name in marker.args]
        for name in names:
            if known and name not in known:
                raise pytest.UsageError(f'{item.nodeid}: the wire contract has no line {name!r}')
            tests.setdefault(name, set()).add(item.nodeid)
        if names:
            item.user_properties.append((PROPERTY, ' '.join(names)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the table when --wire asks for it."""
    if not config.getoption('--wire'):
        return
    outcomes = config.stash[outcomes_key]
    lines = contract() or [WireLine(name, '?', '') for name in sorted(outcomes.tests, key=natural_order)]
    terminalreporter.section('wire contract')
    for row in table(lines, outcomes, max(80, shutil.get_terminal_size((120, 0)).columns)):
        terminalreporter.write_line(row)


def contract() -> list[WireLine]:
    """The lines of the contract, or none where it is not beside the checkout."""
    return parse_contract(CONTRACT.read_text(encoding='utf-8')) if CONTRACT.exists() else []


def natural_order(name: str) -> tuple[str, int]:
    """A2 before A10."""
    return name.rstrip('0123456789'), int(name.lstrip('ABCDEFGHIJKLMNOPQRSTUVWXYZ') or 0)


def table(lines: list[WireLine], outcomes: Outcomes, width: int) -> list[str]:
    """The table's rows, and one row a level that sums it up; a row has at most `width` characters."""
    rows = [f'{"line":5} {"level":5} {"tests":>5}  {"result":8} text']
    results: dict[str, Counter[str]] = {}
    for line in lines:
        result = outcomes.of(line.name)
        results.setdefault(line.level, Counter())[result] += 1
        count = len(outcomes.tests.get(line.name, ()))
        rows.append(f'{line.name:5} {line.level:5} {count:5}  {result:8} {line.text}'[:width].rstrip())
    for level, counts in results.items():
        without = f', {counts["no test"]} without a test' if counts['no test'] else ''
        rows.append(f'{counts.total()} lines {LEVELS[level]}: {counts["pass"]} pass, {counts["fail"]} fail{without}')
    return rows
