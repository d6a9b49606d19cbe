"""The shipped table of the world: what the script makes of phonenumbers, which tells countries apart as that does."""

import functools
import gzip
import itertools
import random
import re

import phonenumbers
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from routing.facts import NOWHERE, Place
from smsc.plan import digit_patterns, world
from smsc.plan.base import world_octets
from smsc.plan.sources import load_plan


def test_the_shipped_table_is_what_the_script_makes():
    made = '\n'.join(world.lines()) + '\n'
    assert gzip.decompress(world_octets()).decode() == made, (
        'make it anew: python -m smsc.plan.world routing/data/world.csv.gz'
    )


@pytest.fixture(scope='module')
def shipped_plan(tmp_path_factory):
    return load_plan(tmp_path_factory.mktemp('data'))


@pytest.mark.parametrize(
    ('number', 'place'),
    [
        (79161234567, Place('RU')),
        (77011234567, Place('KZ', 'kcell-activ', '', 'Asia/Almaty')),
        (74951234567, Place('RU', '', '', 'Europe/Moscow')),
        (12425551234, Place('BS', 'batelco', '', 'America/Nassau')),
        (14165551234, Place('CA', '', '', 'America/Toronto')),
        (447781123456, Place('GG', 'sure', '', 'Europe/Guernsey')),
        (3906698123456, Place('VA', '', '', 'Europe/Vatican')),
        (390612345678, Place('IT', '', '', 'Europe/Rome')),
        (998901234567, Place('UZ', 'beeline', '', 'Asia/Tashkent')),
        (881612345678, Place('', 'iridium-satellite')),
        (19995551234, NOWHERE),
        (999123456789, NOWHERE),
    ],
)
def test_numbers_of_the_world_belong_where_they_do(shipped_plan, number, place):
    assert shipped_plan.find(number) == place


def test_countries_that_share_a_calling_code_are_told_apart_as_phonenumbers_does(shipped_plan):
    drawn = random.Random(7)
    compared = 0
    shared = [code for code, regions in COUNTRY_CODE_TO_REGION_CODE.items() if len(regions) > 1]
    for _ in range(6_000):
        code = drawn.choice(shared)
        rest = drawn.choice('123456789') + ''.join(drawn.choices('0123456789', k=drawn.choice([7, 8, 9])))
        number = phonenumbers.PhoneNumber(code, int(rest))
        region = phonenumbers.region_code_for_number(number)
        if region:
            compared += 1
            assert shipped_plan.find(int(f'{code}{rest}')).country == region, (code, rest)
    assert compared > 500


@pytest.mark.parametrize(
    'pattern', ['1[2-46]?3{1,3}', '(?:1|23?)4\\d', '(?:12?|2(?:1|3{2}))?[13]', '\\d{2}', '1?2?3?', '1']
)
def test_digits_are_followed_through_a_pattern_as_it_matches_them(pattern):
    numbers = [''.join(digits) for length in range(6) for digits in itertools.product('1234', repeat=length)]
    for number in numbers:
        follows = functools.reduce(digit_patterns.after, number, digit_patterns.parse(pattern))
        assert digit_patterns.may_end(follows) == bool(re.fullmatch(pattern, number)), number
        if follows == digit_patterns.NONE:
            assert not any(re.fullmatch(pattern, longer) for longer in numbers if longer.startswith(number))


@pytest.mark.parametrize('pattern', ['1+', '1.', '(1)', 'x'])
def test_a_pattern_that_is_not_understood_is_an_error(pattern):
    with pytest.raises(ValueError, match='not understood'):
        digit_patterns.parse(pattern)
