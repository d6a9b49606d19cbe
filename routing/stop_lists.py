"""Stop-lists in memory: numbers and prefixes that get no messages, a million of them in some 12 octets each.

Nearly every message goes to a number that is on no list at all, so one sieve (routing.sieve) stands before all lists
together. Only what passes it, or begins like a prefix, is looked for. The lists are kept as
sorted blocks, so that one entry comes or goes without moving the others. The truth is in the store (`smsc.stop_lists`).
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import methodcaller
from typing import ClassVar

import msgspec

from routing.facts import Facts
from routing.sieve import BITS, note
from routing.steps import Verdict

GLOBAL = 'global'
"""The list that holds for every account."""

MAX_DIGITS = 15  # of a number, E.164 section 6.2.1
BLOCK = 2_048
SIEVE_OCTETS = 1 << 22
SIEVE_MASK = SIEVE_OCTETS - 1
FEW_PREFIXES = 50  # up to which looking at each of them is quickest


class Mark(msgspec.Struct, frozen=True):
    """When and why entries came onto a list, and until when: Unix milliseconds, `until_ms` 0 for good."""

    since_ms: int
    until_ms: int = 0
    note: str = ''

    def __str__(self) -> str:
        return _shown(self)  # many entries share a mark


class Listed(msgspec.Struct, frozen=True):
    """What was found: the list, its entry (`79161234567`, or `7900*`) and the mark of that."""

    name: str
    entry: str
    mark: Mark

    def __str__(self) -> str:
        return f'stop-list {self.name}: {self.entry} {self.mark}'


class StopList:
    """One list. Entries are digits as numbers; `prefixes` are digits as text. Each has the id of its mark."""

    __slots__ = ('_firsts', '_marks', '_numbers', 'prefixes')

    def __init__(self) -> None:
        self.prefixes: dict[str, int] = {}
        self._firsts = array('Q')
        self._numbers: list[array[int]] = []
        self._marks: list[array[int]] = []

    def __len__(self) -> int:
        return len(self.prefixes) + sum(map(len, self._numbers))

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers in order, without the prefixes."""
        for block in self._numbers:
            yield from block

    def mark_of(self, number: int) -> int | None:
        """Return the id of the mark of a number, None when it is not on the list."""
        place = bisect_right(self._firsts, number) - 1
        if place < 0:
            return None
        block = self._numbers[place]
        at = bisect_left(block, number)
        return self._marks[place][at] if at < len(block) and block[at] == number else None

    def add(self, number: int, mark: int) -> None:
        """Put a number on the list; the mark of one that is there already becomes this one."""
        place = max(0, bisect_right(self._firsts, number) - 1)
        if not self._numbers:
            self._insert_block(0, array('Q'), array('I'), number)
        block, marks = self._numbers[place], self._marks[place]
        at = bisect_left(block, number)
        if at < len(block) and block[at] == number:
            marks[at] = mark
            return
        block.insert(at, number)
        marks.insert(at, mark)
        self._firsts[place] = block[0]
        if len(block) > 2 * BLOCK:  # rising numbers, as they are loaded, leave full blocks behind
            cut = len(block) - 1 if at == len(block) - 1 else BLOCK
            self._insert_block(place + 1, block[cut:], marks[cut:], block[cut])
            del block[cut:]
            del marks[cut:]

    def extend(self, numbers: Sequence[int], marks: Sequence[int]) -> None:
        """Put rising numbers, all of them above those on the list, with their marks behind them. Much faster."""
        for at in range(0, len(numbers), BLOCK):
            block = array('Q', numbers[at : at + BLOCK])
            self._insert_block(len(self._numbers), block, array('I', marks[at : at + BLOCK]), block[0])

    def _insert_block(self, place: int, numbers: 'array[int]', marks: 'array[int]', first: int) -> None:
        self._firsts.insert(place, first)
        self._numbers.insert(place, numbers)
        self._marks.insert(place, marks)

    def discard(self, number: int) -> None:
        """Take a number off the list, if it is there."""
        place = bisect_right(self._firsts, number) - 1
        if place < 0:
            return
        block = self._numbers[place]
        at = bisect_left(block, number)
        if at == len(block) or block[at] != number:
            return
        del block[at]
        del self._marks[place][at]
        if not block:  # else its first may have been above: nothing is looked for in the wrong block by that
            del self._firsts[place], self._numbers[place], self._marks[place]

    def size_octets(self) -> int:
        """Return what the numbers take in memory."""
        arrays = [self._firsts, *self._numbers, *self._marks]
        return sum(one.__sizeof__() for one in arrays)


class StopLists:
    """All lists of a node. `begins` tells whether a destination may begin like a prefix on any of them, as the sieve
    does of numbers; None without prefixes.
    """

    def __init__(self) -> None:
        self.lists: dict[str, StopList] = {}
        self.marks: dict[int, Mark] = {}
        self.hits: dict[str, int] = defaultdict(int)
        self.sieve = bytearray(SIEVE_OCTETS)
        self.begins: Callable[[str], bool] | None = None
        self.is_empty = True
        """No list has had an entry yet: nobody need look."""
        self.on_filled: Callable[[], None] = _nobody_looks
        self._lengths: tuple[int, ...] = ()
        self._heads: frozenset[str] = frozenset()

    def add(self, name: str, numbers: Iterable[tuple[int, int]], prefixes: Iterable[tuple[str, int]] = ()) -> None:
        """Put entries on a list, each with the id of its mark, which is in `marks` already."""
        found = self.lists.setdefault(name, StopList())
        put, noted = found.add, []
        for number, mark in numbers:
            put(number, mark)
            noted.append(number)
        note(self.sieve, noted)
        before = len(found.prefixes)
        found.prefixes.update(prefixes)
        if len(found.prefixes) > before:
            self._note_prefixes()
        self._note_filled(found)

    def discard(self, name: str, numbers: Iterable[int], prefixes: Iterable[str] = ()) -> None:
        """Take entries off a list. The sieve keeps their bits: they cost later look-ups a little, until a restart."""
        found = self.lists.get(name)
        if found is None:
            return
        for number in numbers:
            found.discard(number)
        before = len(found.prefixes)
        for prefix in prefixes:
            found.prefixes.pop(prefix, None)
        if len(found.prefixes) < before:
            self._note_prefixes()

    def put(self, name: str, one: StopList) -> None:
        """Have a list, or have another one in the place of what it was. The sieve lets its numbers pass already."""
        self.lists[name] = one
        self._note_prefixes()
        self._note_filled(one)

    def let_pass(self, numbers: Iterable[int]) -> None:
        """Let the sieve pass numbers of a list that is to be `put`: by pages, as a million take a third of a second."""
        note(self.sieve, numbers)

    def _note_filled(self, one: StopList) -> None:
        if self.is_empty and len(one):
            self.is_empty = False
            self.on_filled()

    def _note_prefixes(self) -> None:
        self._heads = frozenset(prefix for one in self.lists.values() for prefix in one.prefixes)
        self._lengths = tuple(sorted(set(map(len, self._heads))))
        if not self._heads:
            self.begins = None
        elif len(self._heads) <= FEW_PREFIXES:
            self.begins = methodcaller('startswith', tuple(self._heads))
        else:
            self.begins = self._begins

    def _begins(self, destination: str) -> bool:
        return any(destination[:length] in self._heads for length in self._lengths)

    def find(self, names: Iterable[str], destination: str, number: int, now_ms: int) -> Listed | None:
        """Return the entry of a destination on the first of these lists that has one in force.

        `number` is the destination as a number, 0 for none.
        """
        for name in names:
            found = self.lists.get(name)
            if found is None:
                continue
            mark = self._in_force(found.mark_of(number), now_ms)
            if mark is not None:
                return Listed(name, str(number), mark)
            for length in self._lengths if found.prefixes else ():
                mark = self._in_force(found.prefixes.get(destination[:length]), now_ms)
                if mark is not None:
                    return Listed(name, f'{destination[:length]}*', mark)
        return None

    def _in_force(self, mark_id: int | None, now_ms: int) -> Mark | None:
        """Return the mark that holds now; entries of a mark that is known no more ended with it."""
        if mark_id is None:
            return None
        mark = self.marks.get(mark_id)
        return mark if mark is not None and (not mark.until_ms or mark.until_ms > now_ms) else None


class StopListStep:
    """Refuses what goes to a number on one of an account's lists; messages of exempt categories go on."""

    name: ClassVar[str] = 'stop_lists'

    def __init__(self, lists: StopLists, names: Iterable[str], exempt: Collection[str], status: int) -> None:
        """`names` are looked at in their order; `status` is the command_status of refusals."""
        self._lists = lists
        self._sieve = lists.sieve
        self._names = tuple(names)
        self._exempt = frozenset(exempt)
        self._status = status

    @property
    def is_idle(self) -> bool:
        """No list has entries."""
        return self._lists.is_empty

    def judge(self, facts: Facts) -> Verdict | None:
        """Decide; nothing is remembered but that a list was hit."""
        number = facts.number
        if self._sieve[number >> 3 & SIEVE_MASK] & BITS[number & 7]:
            return self._judge(facts, 1)
        begins = self._lists.begins
        if begins is not None and begins(facts.destination):
            return self._judge(facts, 1)
        return None

    def peek(self, facts: Facts) -> Verdict | None:
        """Decide."""
        return self._judge(facts, 0)

    def _judge(self, facts: Facts, hits: int) -> Verdict | None:
        found = None if facts.category in self._exempt else self._find(facts)
        if found is None:
            return None
        self._lists.hits[found.name] += hits
        return Verdict(self._status, str(found))

    def _find(self, facts: Facts) -> Listed | None:
        return self._lists.find(self._names, facts.destination, facts.number, facts.now_ms)

    def tell(self, facts: Facts) -> str:
        """Return on which list the destination is, or which were looked at."""
        found = self._find(facts)
        if found is None:
            return f'{facts.destination} is on none of: {", ".join(self._names) or "no lists"}'
        exempt = f'; category {facts.category} is exempt' if facts.category in self._exempt else ''
        return f'{found}{exempt}'

    def forget(self, facts: Facts) -> None:
        """Nothing was remembered."""


def _nobody_looks() -> None:
    pass


@lru_cache(1_000)
def _shown(mark: Mark) -> str:
    until = f' until {_moment(mark.until_ms)}' if mark.until_ms else ''
    note = f' ({mark.note})' if mark.note else ''
    return f'since {_moment(mark.since_ms)}{until}{note}'


def _moment(at_ms: int) -> str:
    return f'{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}'
