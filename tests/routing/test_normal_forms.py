"""Texts of nothing but marks are normalised in time that is linear in them, ordinary ones as Unicode has it."""

import sys
import unicodedata
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routing.look_alikes import fold_name
from routing.normal_forms import MAX_MARKS, normalise
from routing.templates import Folding

FORMS: tuple[Literal['NFC', 'NFKD'], ...] = ('NFC', 'NFKD')
MARKS = '\u0301\u0315\u0327\u0f73\u0344\U0001d165'


def longest_row(text: str) -> int:
    """How many marks stand in a row once a text is decomposed: what they are sorted by grows with its square."""
    longest = row = 0
    for one in unicodedata.normalize('NFKD', text):
        row = row + 1 if unicodedata.combining(one) else 0
        longest = max(longest, row)
    return longest


def has_short_rows(text: str) -> bool:
    return longest_row(text) < MAX_MARKS


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(
    'marks', ['\u0315\u0327', '\u0f73', '\u0f75\u0f81', '\uff9e\uff9f', '\u0344', '\U0001d165\U0001e944']
)
def test_no_run_of_marks_is_sorted_as_a_whole(form, marks):
    """A payload of 64 KB of them took the whole node two seconds."""
    text = normalise(form, 'a' + marks[0] * 500 + marks[-1] * 500)
    assert longest_row(text) <= 3 * MAX_MARKS  # one may stand for three


def test_every_mark_there_is_makes_a_run():
    """Whatever begins with a mark when it is decomposed."""
    for code in range(sys.maxunicode + 1):
        decomposed = '' if 0xD800 <= code < 0xE000 else unicodedata.normalize('NFKD', chr(code))
        if decomposed and unicodedata.combining(decomposed[0]):
            assert '\u034f' in normalise('NFC', chr(code) * 200), hex(code)


@example('каждыи\u0306 ' * 100)
@example('\U0001f600' * 200)
@example('e\u0301\u0327' * 200)
@given(st.text(st.sampled_from('aеи ' + MARKS)).map(lambda text: f'{text} ' * 40).filter(has_short_rows))
def test_other_texts_are_what_unicode_says(text):
    for form in FORMS:
        assert normalise(form, text) == unicodedata.normalize(form, text)


def test_texts_and_names_are_folded_so():
    marks = '\u0315' * 200 + '\u0327' * 200
    assert longest_row(Folding().fold(f'a{marks}')) <= MAX_MARKS
    assert fold_name(f'S{marks}berbank') == fold_name('Sberbank')


def test_what_compares_texts_leaves_normalising_to_it(monkeypatch):
    """It is the one way of them all."""
    import routing.look_alikes
    import routing.templates

    asked = []

    def note(form, text):
        asked.append(form)
        return text

    monkeypatch.setattr(routing.look_alikes, 'normalise', note)
    monkeypatch.setattr(routing.templates, 'normalise', note)
    Folding().fold('код')
    fold_name('код')
    assert asked == ['NFC', 'NFKD']
