"""Stop-lists in memory: what is on them is found, whatever came and went before."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing import stop_lists
from routing.facts import Facts
from routing.stop_lists import Mark, StopList, StopLists, StopListStep
from tests.examples import examples

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
REFUSED = 0x0B
NUMBER = 79161234567


def facts(destination: str = str(NUMBER), category: str = '', now_ms: int = NOW_MS) -> Facts:
    return Facts('bank', 'MyBank', destination, int(destination), str, now_ms, category=category)


def filled(**lists: list[str]) -> StopLists:
    """Lists of entries as people write them, all with one mark."""
    found = StopLists()
    found.marks[1] = Mark(NOW_MS, 0, 'asked for it')
    for name, entries in lists.items():
        numbers = [(int(one), 1) for one in entries if not one.endswith('*')]
        found.add(name, numbers, [(one[:-1], 1) for one in entries if one.endswith('*')])
    return found


def step(lists: StopLists, *names: str, exempt: tuple[str, ...] = ()) -> StopListStep:
    return StopListStep(lists, names, exempt, REFUSED)


def test_a_number_on_a_list_is_refused_with_the_list_the_day_and_the_reason():
    verdict = step(filled(**{'global': [str(NUMBER)]}), 'global').judge(facts())
    assert verdict is not None
    assert (verdict.action, verdict.status) == ('refuse', REFUSED)
    assert verdict.reason == 'stop-list global: 79161234567 since 2027-01-15 08:00 (asked for it)'


@pytest.mark.parametrize('destination', ['79161234566', '7916123456', '791612345670', '9161234567'])
def test_other_numbers_go_on(destination):
    assert step(filled(**{'global': [str(NUMBER)]}), 'global').judge(facts(destination)) is None


def test_a_prefix_holds_for_all_that_begin_with_it_and_a_number_only_for_itself():
    checked = step(filled(own=['7900*', '7916']), 'own')
    verdict = checked.judge(facts('79001234567'))
    assert verdict is not None
    assert verdict.reason.startswith('stop-list own: 7900* ')
    assert checked.judge(facts('7900')) is not None
    assert checked.judge(facts('7901234567')) is None
    assert checked.judge(facts()) is None


def test_a_list_holds_for_those_who_have_it():
    lists = filled(one=[str(NUMBER)], other=['7900*'])
    assert step(lists, 'other').judge(facts()) is None
    assert step(lists, 'one').judge(facts('79001234567')) is None
    assert step(lists, 'no-such-list').judge(facts()) is None
    assert step(lists, 'other', 'one').judge(facts()) is not None


def test_exempt_categories_go_on_and_the_explanation_says_so():
    checked = step(filled(**{'global': [str(NUMBER)]}), 'global', exempt=('authorization',))
    assert checked.judge(facts(category='authorization')) is None
    assert checked.judge(facts(category='advertising')) is not None
    assert checked.tell(facts(category='authorization')).endswith('; category authorization is exempt')


def test_an_entry_ends_with_its_time():
    lists = StopLists()
    lists.marks[7] = Mark(NOW_MS, NOW_MS + HOUR_MS, '3 failures in a row')
    lists.add('automatic', [(NUMBER, 7)])
    checked = step(lists, 'automatic')
    assert checked.judge(facts(now_ms=NOW_MS + HOUR_MS - 1)) is not None
    assert checked.judge(facts(now_ms=NOW_MS + HOUR_MS)) is None


def test_the_explanation_says_where_a_number_is_or_where_it_was_looked_for():
    checked = step(filled(**{'global': [str(NUMBER)]}), 'global', 'own')
    assert checked.peek(facts()) is not None
    assert checked.tell(facts()) == 'stop-list global: 79161234567 since 2027-01-15 08:00 (asked for it)'
    assert checked.peek(facts('79160000000')) is None
    assert checked.tell(facts('79160000000')) == '79160000000 is on none of: global, own'


def test_refusals_are_counted_by_list_and_explanations_are_not():
    lists = filled(**{'global': [str(NUMBER)]})
    checked = step(lists, 'global')
    checked.peek(facts())
    checked.judge(facts())
    checked.judge(facts())
    assert dict(lists.hits) == {'global': 2}


def test_a_destination_without_a_number_goes_on():
    lists = filled(**{'global': ['33554432']})  # shares its place in the sieve with 0
    assert step(lists, 'global').judge(Facts('bank', 'MyBank', '', 0, str, NOW_MS)) is None


entries = st.one_of(
    st.integers(1, 10**15 - 1),
    st.integers(79160000000, 79160000300),  # so that blocks fill up, and the same come and go
)
changes = st.lists(st.tuples(st.booleans(), st.booleans(), entries), max_size=200)


@settings(max_examples=examples(120), deadline=None)
@given(
    loaded=st.sets(entries, max_size=100),
    changes=changes,
    asked=st.lists(entries, max_size=50),
    few_prefixes=st.sampled_from([0, 50]),
)
def test_lists_hold_what_a_plain_set_and_a_scan_of_prefixes_hold(loaded, changes, asked, few_prefixes):
    whole = stop_lists.BLOCK, stop_lists.FEW_PREFIXES
    stop_lists.BLOCK, stop_lists.FEW_PREFIXES = 4, few_prefixes
    try:
        lists, one = StopLists(), StopList()
        lists.marks[1] = Mark(NOW_MS)
        one.extend(sorted(loaded), [1] * len(loaded))
        lists.let_pass(loaded)
        lists.put('own', one)
        numbers = set(loaded)
        prefixes: set[str] = set()
        for comes, is_prefix, entry in changes:
            if is_prefix:
                entry = int(str(entry)[:6])
                (prefixes.add if comes else prefixes.discard)(str(entry))
                (lists.add('own', [], [(str(entry), 1)]) if comes else lists.discard('own', [], [str(entry)]))
            else:
                (numbers.add if comes else numbers.discard)(entry)
                (lists.add('own', [(entry, 1)]) if comes else lists.discard('own', [entry]))
        assert list(one) == sorted(numbers)
        assert len(one) == len(numbers) + len(prefixes)
        checked = step(lists, 'own')
        for number in [*asked, *loaded, *(entry for _, _, entry in changes)]:
            expected = number in numbers or any(str(number).startswith(prefix) for prefix in prefixes)
            assert (checked.judge(facts(str(number))) is not None) == expected
            assert (checked.peek(facts(str(number))) is not None) == expected
    finally:
        stop_lists.BLOCK, stop_lists.FEW_PREFIXES = whole


def test_a_hundred_thousand_numbers_take_little_memory():
    one = StopList()
    one.extend(range(79160000000, 79160100000), [1] * 100_000)
    assert one.size_octets() < 1_300_000
    for number in range(79170000000, 79170020000):
        one.add(number, 1)
    assert one.size_octets() < 1_700_000
    assert one.mark_of(79170019999) == 1


def test_a_long_list_is_swapped_in_without_going_through_its_numbers():
    """A million of them would keep the server busy for a third of a second: they come page by page, before."""

    class Unread(StopList):
        def __iter__(self):
            raise AssertionError('all numbers were gone through')

    lists, one = filled(), Unread()
    one.extend([NUMBER], [1])
    lists.let_pass([NUMBER])
    lists.put('own', one)
    assert step(lists, 'own').judge(facts()) is not None
