"""Conditions of routes: what a rule asks of a message.

Each is made once per configuration. It tells whether it holds, and for people why (`smsc route`). A condition that
reads the text is asked last: decoding costs more than all the others.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import ClassVar, Protocol

from pdu.tlvs import find
from routing.facts import Facts
from routing.patterns import Pattern

MAX_VALUE_SHOWN = 60
NO_LIMIT = 1 << 63

Holds = Callable[[Facts], bool]


class Condition(Protocol):
    """One condition of one rule."""

    @property
    def key(self) -> str:
        """Return its name, as written in `when`."""

    @property
    def reads_text(self) -> bool:
        """Return whether it asks for the text."""

    @property
    def reads_place(self) -> bool:
        """Return whether it asks where the number belongs."""

    def holds(self, facts: Facts) -> bool:
        """Return whether a message meets it."""

    def tell(self, facts: Facts, holds: bool) -> str:
        """Return why it holds, or does not, in words; `holds` is what `holds(facts)` returned."""


def keyword_of(facts: Facts) -> str:
    """Return the first word of the text, in the form in which keywords are compared."""
    words = facts.text().split(None, 1)
    return words[0].casefold() if words else ''


_READERS: dict[str, Callable[[Facts], str]] = {
    'account': attrgetter('account'),
    'upstream': attrgetter('account'),
    'source_addr': attrgetter('source_addr'),
    'destination': attrgetter('destination'),
    'operator': attrgetter('operator'),
    'country': attrgetter('place.country'),
    'region': attrgetter('place.region'),
    'category': attrgetter('category'),
    'text': Facts.text,
    'keyword': keyword_of,
}
_MEMBERSHIPS: dict[Callable[[Facts], str], Callable[[frozenset[str]], Holds]] = {  # half of what a reader costs
    _READERS['operator']: lambda words: lambda facts: facts.operator in words,
    _READERS['country']: lambda words: lambda facts: facts.place.country in words,
    _READERS['category']: lambda words: lambda facts: facts.category in words,
    _READERS['source_addr']: lambda words: lambda facts: facts.source_addr in words,
}
_TEXTS = frozenset({'text', 'keyword'})
_PLACES = frozenset({'operator', 'country', 'region'})
_FORMS: dict[str, Callable[[str], str]] = {'country': str.upper, 'keyword': str.casefold}
WORD_KEYS = tuple(_READERS)


class Words:
    """A part of the message that is text itself: account, destination, country ...

    For MO messages `upstream` stands in the place of the account.
    """

    __slots__ = ('_read', 'holds', 'key', 'pattern', 'reads_place', 'reads_text')

    holds: Holds
    """Return whether one of the patterns matches."""

    def __init__(self, key: str, patterns: Iterable[str]) -> None:
        """`key` is one of WORD_KEYS. Raises re2.error for an expression that is none."""
        form = _FORMS.get(key)
        if form is not None:
            patterns = [one if one.startswith('~') else form(one) for one in patterns]
        self.key = key
        self.pattern = Pattern(patterns)
        self.reads_text = key in _TEXTS
        self.reads_place = key in _PLACES
        self._read = _READERS[key]
        self.holds = _comparison(self._read, self.pattern)

    def tell(self, facts: Facts, holds: bool) -> str:
        """Return what was compared with what; a text itself is not shown."""
        if self.key == 'text':
            return f'text {self.pattern.tell(holds)}'
        value = self._read(facts)
        return f'{self.key} {value[:MAX_VALUE_SHOWN]!s} {self.pattern.tell(holds)}' if value else f'{self.key} unknown'


def _comparison(read: Callable[[Facts], str], pattern: Pattern) -> Holds:
    """Return the cheapest function that compares a part of a message with a pattern."""
    exact, prefixes = pattern.exact, pattern.prefixes
    if pattern.words_only:
        return _MEMBERSHIPS[read](exact) if read in _MEMBERSHIPS else lambda facts: read(facts) in exact
    if pattern.plain and not exact:
        return lambda facts: read(facts).startswith(prefixes)
    matches = pattern.matches
    return lambda facts: matches(read(facts))


Range = tuple[int, int]


def parse_ranges(wanted: Iterable[int | str]) -> tuple[Range, ...]:
    """Return the first and last numbers of `3`, `2-5`, `>1`, `>=2`, `<4` and `<=3`.

    Raises ValueError, whose text says which is none of these.
    """
    return tuple(_parse_range(str(one)) for one in wanted)


def _parse_range(text: str) -> Range:
    compact = text.replace(' ', '')
    sign = compact[: len(compact) - len(compact.lstrip('<>='))]
    if sign:
        number = _parse_number(compact.removeprefix(sign), text)
        spans = {'>': (number + 1, NO_LIMIT), '>=': (number, NO_LIMIT), '<': (0, number - 1), '<=': (0, number)}
        if sign not in spans or spans[sign][1] < 0:
            raise ValueError(f'`{text}` is no number or range')
        return spans[sign]
    first, dash, last = compact.partition('-')
    low = _parse_number(first, text)
    high = _parse_number(last, text) if dash else low
    if high < low:
        raise ValueError(f'`{text}` ends before it begins')
    return low, high


def _parse_number(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 9):
        raise ValueError(f'`{text}` is no number or range')
    return int(digits)


def _priority_of(facts: Facts) -> int:
    return facts.priority or 0


_AMOUNTS: dict[str, Callable[[Facts], int]] = {'priority': _priority_of, 'parts': attrgetter('segments')}
AMOUNT_KEYS = tuple(_AMOUNTS)


class Amount:
    """A number: the priority so far (none is 0), or how many segments the whole message takes."""

    __slots__ = ('_read', '_written', 'holds', 'key', 'ranges')

    reads_text: ClassVar[bool] = False
    reads_place: ClassVar[bool] = False

    holds: Holds
    """Return whether the number is in one of the ranges."""

    def __init__(self, key: str, wanted: Iterable[int | str]) -> None:
        """`key` is one of AMOUNT_KEYS. Raises ValueError for what `parse_ranges` does not understand."""
        wanted = tuple(wanted)
        self.key = key
        self.ranges = parse_ranges(wanted)
        self._written = ', '.join(str(one) for one in wanted)
        self._read = _AMOUNTS[key]
        self.holds = _within(self._read, self.ranges)

    def tell(self, facts: Facts, holds: bool) -> str:
        """Return the number and the ranges."""
        return f'{self.key} {self._read(facts)} is {"" if holds else "not "}{self._written}'


def _within(read: Callable[[Facts], int], ranges: tuple[Range, ...]) -> Holds:
    """Return the cheapest function that compares a number of a message with ranges."""
    if len(ranges) == 1:
        ((lowest, highest),) = ranges
        if highest >= NO_LIMIT:
            return lambda facts: read(facts) >= lowest
        return lambda facts: lowest <= read(facts) <= highest

    def holds(facts: Facts) -> bool:
        value = read(facts)
        return any(low <= value <= high for low, high in ranges)

    return holds


class HasTlv:
    """A TLV that is there, with a value that is wanted: a number, text, or any."""

    __slots__ = ('_number', '_pattern', '_tag', 'key', 'wanted')

    reads_text: ClassVar[bool] = False
    reads_place: ClassVar[bool] = False

    def __init__(self, tag: int, wanted: int | str | None) -> None:
        """`wanted` is the value as a number (big-endian), or a pattern of its octets as Latin-1 text; None is any.

        Octets of value 0 that end a text are no part of it. Raises re2.error for an expression that is none.
        """
        self.key = 'tlv'
        self.wanted = tag, wanted
        self._tag = tag
        self._number = wanted if isinstance(wanted, int) else None
        self._pattern = Pattern([wanted]) if isinstance(wanted, str) else None

    def holds(self, facts: Facts) -> bool:
        """Return whether the first TLV of this tag has the value."""
        value = find(facts.tlvs, self._tag) if facts.tlvs else None
        if value is None:
            return False
        if self._number is not None:
            return int.from_bytes(value) == self._number
        return self._pattern is None or self._pattern.matches(value.rstrip(b'\0').decode('latin-1'))

    def tell(self, facts: Facts, holds: bool) -> str:
        """Return the value there is, in hexadecimal, and the one wanted."""
        value = find(facts.tlvs, self._tag)
        if value is None:
            return f'tlv 0x{self._tag:04X} is not there'
        shown = f'tlv 0x{self._tag:04X} is {value.hex()[:MAX_VALUE_SHOWN] or "empty"}'
        return shown if holds else f'{shown}, not {self.wanted[1]}'


class Unless:
    """What `unless` says: not all of several conditions hold."""

    __slots__ = ('conditions', 'reads_place', 'reads_text')

    key: ClassVar[str] = 'unless'

    def __init__(self, conditions: Iterable[Condition]) -> None:
        self.conditions = text_last(conditions)
        self.reads_text = any(condition.reads_text for condition in self.conditions)
        self.reads_place = any(condition.reads_place for condition in self.conditions)

    def holds(self, facts: Facts) -> bool:
        """Return whether one of them does not hold."""
        for condition in self.conditions:  # noqa: SIM110 - a generator costs more than the comparison
            if not condition.holds(facts):
                return True
        return False

    def tell(self, facts: Facts, holds: bool) -> str:
        """Return which of them does not hold; if all do, all."""
        if holds:
            failed = next(condition for condition in self.conditions if not condition.holds(facts))
            return failed.tell(facts, False)
        return f'unless: {", ".join(condition.tell(facts, True) for condition in self.conditions)}'


def text_last(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return conditions in their order, but first those that do not read the text."""
    return tuple(sorted(conditions, key=lambda condition: condition.reads_text))
