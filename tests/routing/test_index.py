"""The index gives the answer of a plain scan, whatever the rules are, and keeps nothing of the numbers that come by."""

import timeit

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
        assert index.find(peer, source_addr, destination, lambda text=text: text) == scan(every, message)


@given(st.lists(rules, max_size=12), messages)
def test_the_text_is_read_only_where_a_scan_reads_it(every, message):
    peer, source_addr, destination, text = message
    found = scan(every, message)
    reached = every[: found + 1] if found >= 0 else every
    asks = any(
        rule.text and scan([Conditions(rule.peer, rule.source_addr, rule.destination)], message) == 0
        for rule in reached
    )
    calls = []
    Index(every).find(peer, source_addr, destination, lambda: calls.append(text) or text)
    assert len(calls) == asks


def test_ten_thousand_routes_cost_about_as_much_as_ten():
    def cost(count: int) -> float:
        every = [Conditions(destination=(Pattern([f'{10_000 + number}*']),)) for number in range(count)]
        index = Index([*every, Conditions()])
        last = f'{10_000 + count - 1}555'
        assert index.find('a', 's', last, str) == count - 1
        return min(timeit.repeat(lambda: index.find('a', 's', last, str), number=200, repeat=20))

    assert cost(10_000) < 20 * cost(10)


def test_numbers_that_come_by_leave_nothing_behind():
    every = [Conditions(destination=(Pattern([f'{number}*']),)) for number in range(100)]
    index = Index([*every, Conditions()])
    group = index._general
    for number in range(5_000):
        index.find('a', 's', f'{number}', str)
        index.find(f'account{number}', 's', '+', str)
    assert len(group._lists) <= len(every)
    assert len(index._named) == 0
