"""Unicode's normal forms of texts from outside, in time that is linear in them.

Normalising sorts the marks behind a letter, and CPython does it by insertion: a payload of 64 KB that is nothing but
marks would take seconds. No language needs more than 30 of them in a row, so longer runs are broken, as in the
stream-safe text format (Unicode Standard Annex 15, section 13).
"""

import re
import unicodedata
from typing import Literal

MAX_MARKS = 30  # in a row
SHORT = 160  # characters, whose marks are sorted in 50 us at worst: nobody looks for runs
_JOINER = '\u034f'  # COMBINING GRAPHEME JOINER: no letter, no mark that is sorted
_ODD = '\u0f73\u0f75\u0f81\uff9e\uff9f'  # no marks themselves, and yet nothing else once they are decomposed
_ASTRAL = '\U00010000-\U0010ffff'


def _marks(first: int, last: int) -> str:
    """Return the marks that are sorted, as ranges in a class of a regular expression."""
    ranges: list[list[int]] = []
    for code in range(first, last):
        if unicodedata.combining(chr(code)):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return ''.join([f'{chr(low)}-{chr(high)}' for low, high in ranges])


_PLAIN = _marks(0x300, 0x10000) + _ODD
_PERHAPS = re.compile(f'[{_PLAIN}{_ASTRAL}][{_PLAIN}{_ASTRAL}]{{{MAX_MARKS}}}')  # ten times as fast as the exact one
_RUN = re.compile(f'[{_PLAIN}{_marks(0x10000, 0x1F000)}]{{{MAX_MARKS}}}')


def normalise(form: Literal['NFC', 'NFKD'], text: str) -> str:
    """Return a text in one of the normal forms; behind 30 marks in a row stands a COMBINING GRAPHEME JOINER."""
    if len(text) > SHORT and _PERHAPS.search(text) is not None:
        text = _RUN.sub(rf'\g<0>{_JOINER}', text)
    return unicodedata.normalize(form, text)
