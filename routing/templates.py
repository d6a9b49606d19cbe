r"""Text templates: literal text with placeholders, as operators write them.

    %w        one word: letters, digits and `_`, inside it `-` or an apostrophe; or a number, date or time
              such as 1234,50, 12.05.2026 or 10:30
    %w{1,5}   so many words with a space between; %w{5} exactly five; %w+ is %w{1,20}
    %d        1 to 20 digits; %d{4}, %d{1,10} so many
    %a        1 to 50 letters; %a{2,10} so many
    %url      an address such as https://example.com/page or example.com
    %any      0 to 100 characters, whatever they are; %any{0,300} so many
    %%        a percent sign; also `%` alone where neither an ASCII letter nor `%` follows

Everything else is literal. A run of white space is one space, at the ends of a text it is nothing; letters are
compared in Unicode's composed form, without their case unless a list says otherwise. A placeholder that may be empty
takes the space before it with it when it is.
"""

import functools
import re
import unicodedata
from enum import Enum

import msgspec

from routing.look_alikes import fold_letters
from routing.normal_forms import normalise

MAX_TEMPLATE_CHARACTERS = 2_000
MAX_PLACEHOLDERS = 50
ENDLESS = 1 << 30


class TemplateError(ValueError):
    """A template that is none; the text says what to write instead."""


class Kind(Enum):
    """What a placeholder stands for."""

    WORDS = 'w'
    DIGITS = 'd'
    LETTERS = 'a'
    ADDRESS = 'url'
    ANY = 'any'


_BOUNDS = {  # without braces; the most that braces may ask for
    Kind.WORDS: ((1, 1), 30),
    Kind.DIGITS: ((1, 20), 100),
    Kind.LETTERS: ((1, 50), 100),
    Kind.ADDRESS: ((1, 1), 1),
    Kind.ANY: ((0, 100), 1_000),
}
MANY_WORDS = (1, 20)
_PLACEHOLDER = re.compile(
    r'%(?:(?P<kind>url|any|[wda])(?P<plus>\+)?(?:\{(?P<least>\d{1,4})(?:,(?P<most>\d{1,4}))?\})?(?P<glued>(?<=[a-z])[A-Za-z])?'
    r'|(?P<other>[A-Za-z{]\w*)|%)'
)
_MARKS = ''.join(  # of scripts whose letters carry marks also in the composed form
    chr(code)
    for first, last in ((0x300, 0x1FFF), (0xA800, 0xABFF))
    for code in range(first, last)
    if unicodedata.category(chr(code)).startswith('M')
)
_MARK_SET = frozenset(_MARKS)
WORD = re.compile(rf"[\w{_MARKS}]+(?:(?:[-'’]|(?<=[0-9])[.,:](?=[0-9]))[\w{_MARKS}]+)*")
DIGITS = re.compile('[0-9]+')
LETTERS = re.compile(rf'(?:[^\W\d_]|[{_MARKS}])+')
_INSIDE = "-'’.,:"  # what a word may hold between two letters or digits
HOST = re.compile(r'(?i:https?://)?(?:[\w-]{1,63}\.){1,10}[\w-]{2,63}(?::[0-9]{1,5})?')
_ADDRESS = re.compile(HOST.pattern + '(?:[/?#][^ ]*)?')


class Placeholder(msgspec.Struct, frozen=True):
    """A placeholder; `spaced` = it may be empty, and has the space before it."""

    kind: Kind
    least: int
    most: int
    spaced: bool = False

    @property
    def shortest(self) -> int:
        """The fewest characters it takes."""
        if self.spaced:
            return 0
        return {Kind.WORDS: max(0, 2 * self.least - 1), Kind.ADDRESS: 4}.get(self.kind, self.least)

    @property
    def longest(self) -> int:
        """The most characters it takes."""
        return ENDLESS if self.kind in (Kind.WORDS, Kind.ADDRESS) else self.most + self.spaced


class Folding(msgspec.Struct, frozen=True):
    """What differences between texts and templates do not count."""

    ignore_case: bool = True
    look_alikes: bool = False

    def fold(self, text: str) -> str:
        """Return what is compared of a text."""
        return self.fold_literal(' '.join(text.split()))

    def fold_literal(self, text: str) -> str:
        """Return the same, with white space as it is."""
        if not text.isascii():
            text = normalise('NFC', text)
            if self.look_alikes:
                return fold_letters(text)
        return text.casefold() if self.ignore_case or self.look_alikes else text


class Piece(msgspec.Struct, frozen=True):
    """A placeholder and the literal text behind it.

    `sole` is there when the place that the placeholder begins at says where it must end: it is what matches so far.
    """

    placeholder: Placeholder
    literal: str
    sole: re.Pattern[str] | None


class Pieces(msgspec.Struct, frozen=True):
    """A template as it is compared: text that it begins with, then the others."""

    first: str
    rest: tuple[Piece, ...]
    words: frozenset[str]
    """Words, as spaces divide them, that are in every text that matches."""

    @property
    def last(self) -> str:
        """The text that it ends with."""
        return self.rest[-1].literal if self.rest else self.first

    @property
    def shortest(self) -> int:
        """The fewest characters of a text that matches, with the space before it."""
        return len(self.first) + sum(piece.placeholder.shortest + len(piece.literal) for piece in self.rest)

    @property
    def longest(self) -> int:
        """The most characters of a text that matches, with the space before it."""
        return len(self.first) + sum(piece.placeholder.longest + len(piece.literal) for piece in self.rest)


def parse(source: str, folding: Folding) -> Pieces:
    """Return the pieces of a template. Raises TemplateError."""
    source = normalise('NFC', ' '.join(source.split()))
    if not source:
        raise TemplateError('is empty; write a text, with placeholders such as %w and %d')
    if len(source) > MAX_TEMPLATE_CHARACTERS:
        raise TemplateError(f'has more than {MAX_TEMPLATE_CHARACTERS} characters; shorten it')
    if '\0' in source:
        raise TemplateError('holds the character NUL; take it out')
    literals = [' ']  # one space before every template and every text: an empty placeholder takes it along
    placeholders: list[Placeholder] = []
    place = 0
    for match in _PLACEHOLDER.finditer(source):
        literals[-1] += source[place : match.start()]
        place = match.end()
        if match['kind'] is None and match['other'] is None:
            literals[-1] += '%'
            continue
        placeholders.append(_placeholder(match))
        literals.append('')
    literals[-1] += source[place:]
    if len(placeholders) > MAX_PLACEHOLDERS:
        raise TemplateError(f'has more than {MAX_PLACEHOLDERS} placeholders; use %any or %w{{1,5}}')
    return _pieces([folding.fold_literal(literal) for literal in literals], placeholders)


def _placeholder(match: re.Match[str]) -> Placeholder:
    if match['kind'] is None:
        known = ', '.join(f'%{kind.value}' for kind in Kind)
        raise TemplateError(f'{match[0][:20]} is no placeholder; write one of {known}, or %% for a percent sign')
    kind = Kind(match['kind'])
    if match['glued']:
        raise TemplateError(
            f'{match[0]}... is not clear; write %{kind.value}{{1,10}} before a letter, or %% for a percent sign'
        )
    (least, most), limit = _BOUNDS[kind]
    if match['plus']:
        if kind is not Kind.WORDS or match['least']:
            raise TemplateError(f'{match[0]} is no placeholder; write %w+, or say how many as in %{kind.value}{{1,10}}')
        least, most = MANY_WORDS
    elif match['least']:
        least = int(match['least'])
        most = int(match['most'] or least)
    if not least <= most <= limit or not most or (kind is Kind.ADDRESS and match['least']):
        raise TemplateError(f'{match[0]} asks for too many or none; write {{n,m}} with n <= m <= {limit}')
    return Placeholder(kind, least, most)


def _pieces(literals: list[str], placeholders: list[Placeholder]) -> Pieces:
    words = frozenset(word for word in '\0'.join(literals).split(' ') if word and '\0' not in word)
    for number, placeholder in enumerate(placeholders):
        behind = literals[number + 1]
        ends = number + 1 == len(placeholders) and not behind
        if placeholder.least == 0 and literals[number].endswith(' ') and (behind.startswith(' ') or ends):
            literals[number] = literals[number][:-1]
            placeholders[number] = msgspec.structs.replace(placeholder, spaced=True)
    rest = [
        Piece(placeholder, literal, _sole(placeholder, literal, final=number == len(placeholders)))
        for number, (placeholder, literal) in enumerate(zip(placeholders, literals[1:], strict=True), 1)
    ]
    return Pieces(literals[0], tuple(rest), words)


def _sole(placeholder: Placeholder, literal: str, *, final: bool) -> re.Pattern[str] | None:
    """Return what a placeholder takes when there is one place at most where the text behind it can begin."""
    kind, one, two = placeholder.kind, literal[:1], literal[1:2]
    ends = final and not literal
    if not placeholder.least or kind is Kind.ANY or not (one or final):
        return None
    if kind is Kind.ADDRESS:
        return _ADDRESS if ends or one == ' ' else None
    if kind is Kind.WORDS and not ends:
        if one in _INSIDE and not (final and not two) and (not two or is_of_word(two)):
            return None  # it might be inside the word
        if one == ' ' and placeholder.least < placeholder.most and (not two or is_of_word(two)):
            return None  # it might be between two of the words
    return None if one and is_of_word(one) else _whole(kind, placeholder.least, placeholder.most)


@functools.cache
def _whole(kind: Kind, least: int, most: int) -> re.Pattern[str]:
    """Return what matches as many words, or a whole run of so many digits or letters; kinds and bounds are few."""
    if kind is Kind.WORDS:
        return re.compile(f'(?>{WORD.pattern})(?: (?>{WORD.pattern})){{{least - 1},{most - 1}}}+')
    run = DIGITS.pattern if kind is Kind.DIGITS else LETTERS.pattern
    run = run.removesuffix('+')
    return re.compile(f'{run}{{{least},{most}}}+(?!{run})')


def is_of_word(one: str) -> bool:
    """Return whether a character can stand anywhere in a word."""
    return one.isalnum() or one == '_' or one in _MARK_SET
