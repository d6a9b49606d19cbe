"""Scenario `decisions`: what deciding about a message costs, in microseconds of CPU.

python -m perf.decisions [--whole] [--ported 10000000] [--stopped 1000000] [--folder FOLDER] [--json]

The route table alone, and with `--whole` everything between a submit_sm and its way (perf.whole_decision). Messages are
drawn from a fixed seed, new ones for each round, a hundred at a time: as many as a read of a socket brings, and as warm
in the processor's caches. The best of several rounds counts, as with `timeit`: what is slower was disturbed. A folder
that is named keeps the base of ported numbers for the next time.
"""

import argparse
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import msgspec

from pdu.codec import decode
from perf.report import format_table, show
from routing.conditions import Condition, Unless, Words
from routing.facts import Facts, Place
from routing.table import Action, RouteTable, Rule
from routing.windows import Window

MESSAGES = 2_000
READ = 100
REPEATS = 50
SEED = 1
NOW_MS = 1_800_000_000_000
SENDERS = 50
COUNTRIES = 30
OPERATORS = 100
ACCOUNTS = 20
TO = Action(upstreams=('mts', 'aggregator'))


class Case(msgspec.Struct):
    """One thing to time: `decide` is called with each of the messages that `draw` makes, or with all of a read."""

    name: str
    decide: Callable[[Any], object]
    draw: Callable[[random.Random, int], Sequence[Any]]
    takes_all: bool = False


class Figure(msgspec.Struct, frozen=True):
    """What `--json` prints of a case."""

    name: str
    us: float


def measure(case: Case, count: int = MESSAGES, repeats: int = REPEATS) -> Figure:
    """Return the CPU time of one decision; the first round is not counted."""
    rng = random.Random(SEED)
    best = float('inf')
    for number in range(repeats + 1):
        took_s = sum(_time(case, case.draw(rng, min(READ, count - at))) for at in range(0, count, READ))
        best = min(best, took_s) if number else best
    return Figure(case.name, round(best / count * 1e6, 2))


def _time(case: Case, messages: Sequence[Any]) -> float:
    decide = case.decide
    began = process_time()
    if case.takes_all:
        decide(messages)
    else:
        for message in messages:
            decide(message)
    return process_time() - began


# Messages and rules


def drawn_messages(rng: random.Random, count: int) -> list[Facts]:
    """Return messages of several accounts to Russian and other numbers, no two of them alike."""
    return [_message(rng) for _ in range(count)]


def _message(rng: random.Random) -> Facts:
    number = rng.choice((79_000_000_000, 375_290_000_000, 77_000_000_000)) + rng.randrange(1_000_000_000)
    operator = f'operator{rng.randrange(OPERATORS)}'
    return Facts(
        f'account{rng.randrange(ACCOUNTS)}',
        f'Sender{rng.randrange(SENDERS)}',
        str(number),
        number,
        lambda: 'Your code is 1234',
        NOW_MS + rng.randrange(60_000),
        category=rng.choice(('advertising', 'service', 'codes')),
        operator=operator,
        place=Place(f'C{rng.randrange(COUNTRIES)}', operator, 'Moscow', 'Europe/Moscow'),
    )


def ten_rules() -> list[Rule]:
    """Return rules such as an operator writes: some conditions of each kind, the last rule takes what is left."""
    return [
        _rule('satellite', Words('destination', ['881*', '882*'])),
        _rule('own', Words('account', ['account1']), Words('destination', ['7900*'])),
        _rule('to operator', Words('operator', ['operator1', 'operator2']), Words('country', ['C1'])),
        _rule('advertising', Words('category', ['advertising']), Words('country', ['C2', 'C3'])),
        _rule('senders', Words('source_addr', ['Sender1', 'Sender2'])),
        _rule('office hours', Words('account', ['account2']), Window(['09:00-18:00'], ['mon-fri'], 'subscriber')),
        _rule('prefix', Words('destination', ['37529*'])),
        _rule('but', Words('destination', ['77*']), Unless([Words('operator', ['operator3'])])),
        Rule('split', (Words('destination', ['79*']),), Action(shares=(('mts', 70), ('aggregator', 30)))),
        _rule('rest'),
    ]


def many_rules(rng: random.Random, count: int) -> list[Rule]:
    """Return a number plan as rules: prefixes of 4 to 8 digits, operators and countries, many for one account."""
    return [*(_drawn_rule(rng, number) for number in range(count - 1)), _rule('rest')]


def _drawn_rule(rng: random.Random, number: int) -> Rule:
    conditions: list[Condition] = []
    if rng.random() < 0.5:
        conditions.append(Words('account', [f'account{rng.randrange(ACCOUNTS)}']))
    kind = rng.random()
    if kind < 0.6:
        start = rng.choice(('79', '3752', '77'))
        conditions.append(Words('destination', [f'{start}{rng.randrange(10 ** rng.randint(2, 5))}*']))
    elif kind < 0.9:
        conditions.append(Words('operator', [f'operator{rng.randrange(OPERATORS * 20)}']))
        conditions.append(Words('country', [f'C{rng.randrange(COUNTRIES)}']))
    else:
        conditions.append(Words('country', [f'C{rng.randrange(COUNTRIES)}']))
        conditions.append(Words('source_addr', [f'Sender{rng.randrange(SENDERS * 20)}']))
    return _rule(f'rule {number}', *conditions)


def _rule(name: str, *conditions: Condition) -> Rule:
    return Rule(name, conditions, TO)


def table_cases() -> list[Case]:
    """Return the route table alone."""
    rules = many_rules(random.Random(SEED), 10_000)
    return [
        Case('routes, 10 rules', RouteTable(ten_rules()).decide, drawn_messages),
        Case('routes, 10,000 rules', RouteTable(rules).decide, drawn_messages),
    ]


def whole_cases(folder: Path, ported: int, stopped: int) -> list[Case]:
    """Return the whole decision."""
    from perf.whole_decision import Size, WholeDecision, drawn_octets

    cases = [Case('to compare: decode a submit_sm', decode, drawn_octets)]
    for routes in (10, 10_000):
        whole = WholeDecision(folder, Size(routes, ported, stopped))
        cases.append(Case(f'whole decision, {routes:,} rules', whole.decide, whole.messages, True))
    return cases


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.decisions', description='What deciding about a message costs.')
    parser.add_argument('--whole', action='store_true', help='also the whole decision')
    parser.add_argument('--ported', type=int, default=10_000_000, help='ported numbers (10,000,000)')
    parser.add_argument('--stopped', type=int, default=1_000_000, help='numbers on the stop-list (1,000,000)')
    parser.add_argument('--folder', type=Path, help='where the base of ported numbers is, or is to be')
    parser.add_argument('--messages', type=int, default=MESSAGES, help=f'of each round ({MESSAGES:,})')
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        cases = table_cases()
        if arguments.whole:
            cases += whole_cases(arguments.folder or Path(made), arguments.ported, arguments.stopped)
        figures = [measure(case, arguments.messages) for case in cases]
    show(figures, format_table(('', 'us'), [(figure.name, figure.us) for figure in figures]), arguments.json)


if __name__ == '__main__':
    main()
