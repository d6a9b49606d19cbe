"""The index gives the answer of a plain scan, whatever the rules are, and keeps nothing of the numbers that come by."""

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing import index as index_module
from routing.conditions import Condition, Words
from routing.facts import Facts, Place
from routing.index import Index
from tests.examples import examples
from tests.routing.drawn import conjunctions, messages
from tests.routing.messages import message

Rules = list[tuple[Condition, ...]]


def scan(every: Rules, facts: Facts) -> int:
    """What the index must find, from the definition."""
    for position, rule in enumerate(every):
        if all(condition.holds(facts) for condition in rule):
            return position
    return -1


def both(every: Rules) -> list[Index]:
    """Indexes that keep the rules of all accounts with those of each, and apart, as they do where there are many."""
    before, index_module.MAX_COPIES = index_module.MAX_COPIES, 0
    try:
        apart = Index(every)
    finally:
        index_module.MAX_COPIES = before
    return [apart, Index(every)]


@pytest.mark.wire('G1')
@settings(max_examples=examples(80))
@given(st.lists(conjunctions, max_size=12), st.lists(messages, min_size=1, max_size=12))
def test_the_answer_is_that_of_a_scan_from_the_top(every, some_messages):
    for index in both(every):
        for facts in some_messages * 2:
            assert index.find(facts) == scan(every, facts)


@given(
    st.lists(conjunctions, max_size=12),
    st.lists(messages, min_size=1, max_size=6),
    st.lists(st.frozensets(st.integers(0, 11)), min_size=1, max_size=3),
)
def test_a_rule_that_is_off_never_matches_and_comes_back(every, some_messages, switched):
    index = Index(every)
    for off in [*switched, frozenset()]:
        index.set_off(off)
        left = [position for position in range(len(every)) if position not in off]
        for facts in some_messages:
            found = scan([every[position] for position in left], facts)
            assert index.find(facts) == (left[found] if found >= 0 else -1)


@given(st.lists(conjunctions, max_size=12), messages)
def test_the_text_is_read_only_where_a_scan_reads_it(every, facts):
    found = scan(every, facts)
    reached = every[: found + 1] if found >= 0 else every

    def is_left(rule: tuple[Condition, ...]) -> bool:
        return all(condition.holds(facts) for condition in rule if not condition.reads_text)

    asks = any(condition.reads_text for rule in reached if is_left(rule) for condition in rule)
    calls = 0

    def read() -> str:
        nonlocal calls
        calls += 1
        return ''

    facts.known_text, facts.read_text = None, read
    Index(every).find(facts)
    assert calls <= asks


def test_a_memo_that_is_full_is_done_without(monkeypatch):
    monkeypatch.setattr(index_module, 'MAX_MEMO', 50)
    every: Rules = [(Words('destination', [f'{number}*']),) for number in range(10, 60)]
    index = Index(every)
    for _ in range(3):
        for number in range(10, 60):
            assert index.find(message(destination=f'{number}0')) == number - 10


class Counting(Words):
    """A condition that counts the comparisons of all."""

    compared = 0

    def __init__(self, key: str, patterns: list[str]) -> None:
        super().__init__(key, patterns)
        compare = self.holds

        def holds(facts: Facts) -> bool:
            Counting.compared += 1
            return compare(facts)

        self.holds = holds


def number_plan(size: int) -> Rules:
    """Prefixes of 4 to 8 digits, each for one of several accounts, and a rule for everything else."""
    rng = random.Random(1)
    plan: Rules = [
        (
            Counting('account', [f'account{rng.randrange(5)}']),
            Counting('destination', [f'7{rng.randrange(10 ** rng.randint(3, 7))}*']),
        )
        for _ in range(size)
    ]
    return [*plan, ()]


def operators(size: int) -> Rules:
    """Operators of many countries, each for one of several accounts and senders."""
    rng = random.Random(1)
    return [
        (
            Counting('account', [f'account{rng.randrange(5)}']),
            Counting('country', [f'C{rng.randrange(50)}', f'C{rng.randrange(50)}']),
            Counting('operator', [f'operator{rng.randrange(1_000)}']),
            Counting('source_addr', [f'sender{rng.randrange(10)}']),
        )
        for _ in range(size)
    ]


def drawn(rng: random.Random) -> Facts:
    return message(
        f'account{rng.randrange(6)}',
        f'sender{rng.randrange(12)}',
        f'7{rng.randrange(10**10):010}',
        operator=f'operator{rng.randrange(1_100)}',
        place=Place(country=f'C{rng.randrange(60)}'),
    )


@pytest.mark.parametrize('rules', [number_plan, operators])
def test_among_ten_thousand_rules_few_are_compared(rules):
    every = rules(10_000)
    index = Index(every)
    rng = random.Random(2)
    for _ in range(30):
        facts = drawn(rng)
        expected = scan(every, facts)
        Counting.compared = 0
        assert index.find(facts) == expected
        assert Counting.compared < 20


def test_numbers_and_names_that_come_by_leave_nothing_behind():
    index = Index(number_plan(100) + operators(100))
    rng = random.Random(3)

    def flood(messages: int) -> None:
        for _ in range(messages):
            index.find(message(f'account{rng.randrange(5)}', rng.randbytes(8).hex(), f'7{rng.randrange(10**12):012}'))
            account, source_addr, destination, operator, country = (rng.randbytes(8).hex() for _ in range(5))
            index.find(message(account, source_addr, destination, operator=operator, place=Place(country)))

    flood(5_000)
    tracemalloc.start()
    try:
        flood(5_000)
        grown_octets, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown_octets < 50_000
