"""Regular expressions over digits, as the metadata of phonenumbers writes them, followed digit by digit.

What is needed to tell from the first digits of a number which patterns it can still match; only for making the shipped
table. Understood: digits, `\\d`, `[2-57]`, groups, `|`, `?` and `{n}`, `{n,m}`. A pattern becomes a tree of tuples, and
a digit turns it into the tree of what may follow (its derivative).
"""

from functools import cache
from typing import Any

Pattern = tuple[Any, ...]
NONE: Pattern = ('none',)
END: Pattern = ('end',)


@cache
def parse(text: str) -> Pattern:
    """Return the tree of a pattern that is to match a whole number. Raises ValueError for what is not understood."""
    pattern, rest = _alternatives(text)
    if rest:
        raise ValueError(f'{rest!r} in {text!r} is not understood')
    return pattern


@cache
def after(pattern: Pattern, digit: str) -> Pattern:
    """Return what may follow a digit; NONE if it cannot stand there."""
    match pattern:
        case ('digit', digits):
            return END if digit in digits else NONE
        case ('sequence', first, second):
            follows = sequence(after(first, digit), second)
            return either(follows, after(second, digit)) if may_end(first) else follows
        case ('either', *choices):
            return either(*(after(choice, digit) for choice in choices))
    return NONE


@cache
def may_end(pattern: Pattern) -> bool:
    """Return whether nothing need follow."""
    match pattern:
        case ('end',):
            return True
        case ('sequence', first, second):
            return may_end(first) and may_end(second)
        case ('either', *choices):
            return any(map(may_end, choices))
    return False


def sequence(first: Pattern, second: Pattern) -> Pattern:
    """Return one pattern after another."""
    if NONE in (first, second):
        return NONE
    if first == END:
        return second
    return first if second == END else ('sequence', first, second)


def either(*choices: Pattern) -> Pattern:
    """Return any of some patterns, written the same way whatever their order."""
    flat: set[Pattern] = set()
    for choice in choices:
        flat.update(choice[1:] if choice[0] == 'either' else [choice])
    flat.discard(NONE)
    if not flat:
        return NONE
    return flat.pop() if len(flat) == 1 else ('either', *sorted(flat, key=repr))


def _alternatives(text: str) -> tuple[Pattern, str]:
    choices = []
    while True:
        choice, text = _sequence(text)
        choices.append(choice)
        if not text.startswith('|'):
            return either(*choices), text
        text = text[1:]


def _sequence(text: str) -> tuple[Pattern, str]:
    pattern = END
    while text and text[0] not in '|)':
        item, text = _item(text)
        (least, most), text = _count(text)
        for number in range(most):
            pattern = sequence(pattern, item if number < least else either(item, END))
    return pattern, text


def _item(text: str) -> tuple[Pattern, str]:
    if text.startswith('(?:'):
        inside, text = _alternatives(text[3:])
        return inside, text.removeprefix(')')
    if text.startswith('\\d'):
        return ('digit', '0123456789'), text[2:]
    if text.startswith('['):
        members, _, text = text[1:].partition(']')
        return ('digit', _members(members)), text
    if text[0].isdecimal():
        return ('digit', text[0]), text[1:]
    raise ValueError(f'{text!r} is not understood')


def _members(text: str) -> str:
    digits: set[str] = set()
    while text:
        if text[1:2] == '-':
            digits.update(map(str, range(int(text[0]), int(text[2]) + 1)))
            text = text[3:]
        else:
            digits.add(text[0])
            text = text[1:]
    return ''.join(sorted(digits))


def _count(text: str) -> tuple[tuple[int, int], str]:
    if text.startswith('?'):
        return (0, 1), text[1:]
    if not text.startswith('{'):
        return (1, 1), text
    inside, _, text = text[1:].partition('}')
    least, comma, most = inside.partition(',')
    return (int(least), int(most) if comma else int(least)), text
