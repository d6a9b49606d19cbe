"""The number plan finds what a scan of all ranges would, whatever they are and wherever they overlap."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.facts import NOWHERE, Place
from routing.plan import KEYS, MAX_DEPTH, NumberPlan, PlanError, Range, filled_in, range_of
from tests.examples import examples

MTS = Place('RU', 'mts', 'Moscow', 'Europe/Moscow')


def scan(layers: list[list[Range]], key: int) -> Place:
    """What the plan must find, from the definition: the innermost range, filled in by those around it."""
    around = [
        (-depth, one.last - one.first, -order, one.place)
        for depth, layer in enumerate(layers)
        for order, one in enumerate(layer)
        if one.first <= key <= one.last
    ]
    place = NOWHERE
    for *_, wider in sorted(around, key=lambda one: one[:3]):
        place = filled_in(place, wider)
    return place


words = st.sampled_from(['', 'a', 'b'])
places = st.builds(Place, st.sampled_from(['', 'RU', 'KZ']), words, words, words)
prefixes = st.builds(
    lambda digits, place: range_of(digits, digits, place), st.text('127', min_size=1, max_size=6), places
)


@st.composite
def spans(draw):
    """Ranges of numbers that begin alike, so that they lie within and across each other."""
    length = draw(st.integers(3, 8))
    beginning = draw(st.sampled_from(['12', '77']))
    ends = sorted(draw(st.tuples(*[st.integers(0, 10 ** (length - 2) - 1)] * 2)))
    first, last = (f'{beginning}{end:0{length - 2}}' for end in ends)
    return range_of(first, last, draw(places))


layers_of_ranges = st.lists(st.lists(prefixes | spans(), max_size=8), max_size=3)
some_numbers = st.builds(
    int, st.from_regex('[1-9][0-9]{6,14}', fullmatch=True) | st.from_regex('(12|77)[127]{6}', fullmatch=True)
)


def key_of(number: int) -> int:
    return int(str(number).ljust(15, '0'))


@settings(max_examples=examples(100))
@given(layers_of_ranges, st.lists(some_numbers, min_size=1, max_size=20))
def test_the_answer_is_that_of_a_scan_of_all_ranges(layers, numbers):
    plan = NumberPlan.of(*layers)
    edges = [edge for layer in layers for one in layer for edge in (one.first - 1, one.first, one.last, one.last + 1)]
    whole = [edge for edge in edges if KEYS // 10 <= edge < KEYS]
    for number in [*numbers, *whole, *(edge // 10**4 for edge in whole)]:  # most numbers have eleven digits
        assert plan.find(number) == scan(layers, key_of(number)), number


@given(layers_of_ranges, some_numbers)
def test_a_stretch_has_one_place_and_holds_its_number(layers, number):
    plan = NumberPlan.of(*layers)
    first, last = map(int, plan.segment(number))
    assert first <= number <= last
    if first < 10**6:
        return
    for other in (first, (first + last) // 2, last):
        assert plan.find(other) == plan.find(number)


def test_the_most_specific_range_wins_and_what_it_leaves_open_comes_from_around_it():
    plan = NumberPlan.of(
        [
            range_of('7', '7', Place('RU', zone='Europe/Moscow')),
            range_of('79160000000', '79169999999', Place('', 'mts')),
            range_of('79161230000', '79161239999', Place('RU', 'megafon', zone='Asia/Omsk')),
        ]
    )
    assert plan.find(79161000000) == Place('RU', 'mts', '', 'Europe/Moscow')
    assert plan.find(79161234567) == Place('RU', 'megafon', '', 'Asia/Omsk')
    assert plan.find(79171234567) == Place('RU', '', '', 'Europe/Moscow')
    assert plan.segment(79161234567) == ('79161230000', '79161239999')


def test_an_import_decides_before_the_table_of_the_world_however_narrow_that_is():
    world = [range_of('79161234', '79161234', Place('RU', 'beeline'))]
    assert NumberPlan.of(world, [range_of('7916', '7916', MTS)]).find(79161234567) == MTS


def test_places_of_two_countries_have_nothing_in_common():
    plan = NumberPlan.of([range_of('7', '7', MTS), range_of('77', '77', Place('KZ'))])
    assert plan.find(77011234567) == Place('KZ')


def test_of_two_equal_ranges_the_later_wins():
    assert (
        NumberPlan.of([range_of('7916', '7916', Place('RU', 'old')), range_of('7916', '7916', MTS)]).find(79161234567)
        == MTS
    )


@pytest.mark.parametrize('number', [0, 7, 112, 999_999, 10**15, 10**20 + 7])
def test_what_is_no_number_of_seven_to_fifteen_digits_is_nowhere(number):
    everywhere = NumberPlan.of([range_of(digit, digit, MTS) for digit in '123456789'])
    assert everywhere.find(number) == NOWHERE
    assert everywhere.find(1_000_000) == everywhere.find(10**15 - 1) == MTS


def test_a_plan_of_nothing_knows_nothing():
    assert NumberPlan.of().find(79161234567) == NOWHERE


def test_who_holds_a_plan_sees_the_one_it_took_over():
    plan = NumberPlan.of()
    find = plan.find
    plan.take_over(NumberPlan.of([range_of('7916', '7916', MTS)]))
    assert find(79161234567) == MTS
    plan.take_over(NumberPlan.of([range_of('7916123', '7916123', filled_in(Place('RU', 'tele2'), MTS))]))
    assert [find(79161234567).operator, find(79161244567)] == ['tele2', NOWHERE]
    plan.take_over(NumberPlan.of([range_of('7916124', '7916124', MTS)]))
    assert [find(79161234567), find(79161244567)] == [NOWHERE, MTS]


def test_ranges_that_lie_too_deep_are_refused():
    deep = [range_of(f'7{number:07}', f'7{9_999_999 - number:07}', MTS) for number in range(MAX_DEPTH + 1)]
    with pytest.raises(PlanError, match='1000 ranges'):
        NumberPlan.of(deep)


def test_equal_places_take_no_space_of_their_own():
    neighbours = [range_of(f'7{number:04}', f'7{number:04}', MTS) for number in range(10_000)]
    assert len(NumberPlan.of(neighbours)) == 3
