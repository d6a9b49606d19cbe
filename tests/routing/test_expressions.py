"""Expressions find words in any alphabet, in time that is linear in the text."""

import re

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.expressions import MARK, Expression
from tests.examples import examples


@pytest.mark.parametrize(
    ('expression', 'text', 'found'),
    [
        (r'(?i)\b(код|code)\b', 'Ваш КОД: 1234', True),
        (r'(?i)\b(код|code)\b', 'your Code 1234', True),
        (r'\b(код|code)\b', 'кодовое слово, codes', False),
        (r'\bкод\b: \d{4}$', 'ваш код: 1234', True),
        (r'\b(\bкод\b|\bпин\b)\b', 'ваш пин', True),
        (r'^\w+ код', 'Ваш код', True),
        (r'^[\w-]+$', 'ро-стов', True),
        (r'^\W+$', 'да', False),
        (r'^[^\w]+$', '«»', True),
        (r'код[\s\S]{3}$', 'код 12', True),
        (r'код[\s\S]{4}$', 'код 12', False),
        (r'^.{6}$', 'код 12', True),
        (r'\b\Qкод.\E', 'код.', True),
        (r'\b\Qкод.\E', 'кода', False),
        (r'\b\p{Cyrillic}+\b', 'x да y', True),
        (r'\b[[:alpha:]]+ \x{43A}', 'code к', True),
        (r'^\w\PL{2}\w$', 'к 1к', True),
        (r'^\w\PL{3}\w$', 'к 1к', False),
        (r'(?s)\bкод\b.1', 'код\n1', True),
        (r'\bкод\b.1', 'код\n1', False),
        (r'(?P<word>\bкод\b) (?i:A){2,3}', 'код aaa', True),
    ],
)
def test_an_expression_is_found(expression, text, found):
    assert Expression(expression).is_in(text) is found


# What means the same to RE2 and to the standard library, whose words are those of any alphabet.
ATOMS = st.sampled_from(
    [
        'к',
        'о',
        'c',
        '1',
        ' ',
        ':',
        '.',
        r'\b',
        r'\b',
        r'\w',
        r'\W',
        r'\S',
        '[кc ]',
        '[^к]',
        r'[\w:]',
        r'[^\w]',
        '',
    ]
)
QUANTIFIERS = st.sampled_from(['', '', '', '*', '+', '?', '{2}'])


@st.composite
def expressions(draw):
    def sequence(depth):
        pieces = []
        for _ in range(draw(st.integers(0, 5))):
            if depth and draw(st.integers(0, 3)) == 0:
                pieces.append(f'({sequence(depth - 1)}|{sequence(depth - 1)}){draw(st.sampled_from(["", "?"]))}')
                continue
            atom = draw(ATOMS)
            pieces.append(atom + (draw(QUANTIFIERS) if atom not in ('', r'\b') else ''))
        return ''.join(pieces)

    # One boundary asked for three times in a row is more than anybody means.
    expression = draw(st.sampled_from(['', '(?i)', '^'])) + sequence(2) + draw(st.sampled_from(['', '', '$']))
    return expression if expression.count(r'\b') < 3 else expression.replace(r'\b', '', expression.count(r'\b') - 2)


@settings(max_examples=examples(200))
@given(expressions(), st.text('коКc1_ :😀', max_size=8))
def test_an_expression_finds_what_the_standard_library_finds(expression, text):
    assert Expression(expression).is_in(text) == (re.search(expression, text) is not None)


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_no_text_raises(text):
    for expression in (r'(?i)\bкод\b', '.{3}', '[^a]$'):
        Expression(expression).is_in(text)


@pytest.mark.parametrize('text', ['\ud800', f'{MARK}код{MARK}', '\x00'])
def test_odd_characters_are_only_characters(text):
    assert Expression(r'.').is_in(text)
    assert not Expression(r'\bкот\b').is_in(text)


@pytest.mark.parametrize('expression', ['^(a+)+$', r'^(\w+\s?)*\bконец\b', r'\b(к+)+\b$'])
def test_time_is_linear_in_the_text(expression):
    assert not Expression(expression).is_in('aк' * 30_000 + '!')


@pytest.mark.parametrize('expression', ['(', 'a(?=b)', '[a', r'\b(', '*'])
def test_a_broken_expression_raises(expression):
    with pytest.raises(re2.error):
        Expression(expression)


def test_what_stands_behind_10000_characters_is_not_looked_at():
    assert Expression(r'\bкод\b').is_in('а' * 9_990 + ' код')
    assert not Expression(r'\bкод\b').is_in('а' * 10_000 + ' код')
    assert not Expression('код').is_in(' ' * 10_000 + 'код')


@pytest.mark.parametrize(
    ('expression', 'costly'),
    [
        (r'\bкод\b.*\d{4}', False),
        (r'(?i)\b(пароль|код)\w{0,20}\s+\d{4,8}', False),
        (r'(\w+\s){5,20}http', False),
        (r'(\w+\s?){1,50}\bкод\b', True),
    ],
)
def test_an_expression_knows_whether_it_costs_much(expression, costly):
    assert Expression(expression).is_costly is costly
