"""The index gives the answer of a plain scan, whatever the rules are, and keeps nothing of the numbers that come by."""

import random
import tracemalloc
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from routing.index import Conditions, Index
from routing.patterns import Pattern

# Few words over few characters: rules collide, overlap and hide each other.
words = st.text('12', max_size=4)
some = st.one_of(words, words.map('{}*'.format), words.map('~^{}'.format), words.map('~{}$'.format))
patterns = st.lists(st.lists(some, min_size=1, max_size=3).map(Pattern), max_size=2).map(tuple)
rules = st.builds(Conditions, patterns, patterns, patterns, patterns)
messages = st.tuples(words, words, words, words)


def scan(every: list[Conditions], message: tuple[str, str, str, str]) -> int:
    """What the index must find, from the definition."""
    for position, rule in enumerate(every):
        asked = (rule.peer, rule.source_addr, rule.destination, rule.text)
        if all(pattern.matches(value) for part, value in zip(asked, message, strict=True) for pattern in part):
            return position
    return -1


@given(st.lists(rules, max_size=12), st.lists(messages, min_size=1, max_size=12))
def test_the_answer_is_that_of_a_scan_from_the_top(every, some_messages):
    index = Index(every)
    for message in some_messages * 2:
        peer, source_addr, destination, text = message
        assert index.find(peer, source_addr, destination, partial(str, text)) == scan(every, message)


@given(st.lists(rules, max_size=12), messages)
def test_the_text_is_read_only_where_a_scan_reads_it(every, message):
    peer, source_addr, destination, text = message
    found = scan(every, message)
    reached = every[: found + 1] if found >= 0 else every
    asks = any(
        rule.text and scan([Conditions(rule.peer, rule.source_addr, rule.destination)], message) == 0
        for rule in reached
    )
    calls = 0

    def read() -> str:
        nonlocal calls
        calls += 1
        return str(text)

    Index(every).find(peer, source_addr, destination, read)
    assert calls == asks


class Counting(Pattern):
    """A pattern that counts the comparisons of all."""

    compared = 0

    def matches(self, value: str) -> bool:
        Counting.compared += 1
        return super().matches(value)


def number_plan(size: int) -> list[Conditions]:
    """Prefixes of 4 to 8 digits, each for one of several accounts, and a rule for everything else."""
    rng = random.Random(1)
    plan = [
        Conditions(
            peer=(Counting([f'account{rng.randrange(5)}']),),
            destination=(Counting([f'7{rng.randrange(10 ** rng.randint(3, 7))}*']),),
        )
        for _ in range(size)
    ]
    return [*plan, Conditions()]


def test_among_ten_thousand_rules_few_are_compared():
    every = number_plan(10_000)
    index = Index(every)
    rng = random.Random(2)
    for _ in range(100):
        peer, destination = f'account{rng.randrange(6)}', f'7{rng.randrange(10**10):010}'
        expected = scan(every, (peer, '', destination, ''))
        Counting.compared = 0
        assert index.find(peer, '', destination, str) == expected
        assert Counting.compared < 20


def test_numbers_and_names_that_come_by_leave_nothing_behind():
    index = Index(number_plan(500))
    rng = random.Random(3)

    def flood(messages: int) -> None:
        for _ in range(messages):
            index.find(f'account{rng.randrange(5)}', rng.randbytes(8).hex(), f'7{rng.randrange(10**12):012}', str)
            index.find(rng.randbytes(8).hex(), rng.randbytes(8).hex(), rng.randbytes(10).hex(), str)

    flood(5_000)
    tracemalloc.start()
    try:
        flood(10_000)
        grown_octets, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown_octets < 50_000
