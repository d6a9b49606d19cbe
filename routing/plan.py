"""The number plan: which country, operator, region and time zone a number belongs to, by prefixes and ranges.

Pure and in memory. Numbers have 7 to 15 digits, so each is compared as if it had all 15: `7916` becomes the range from
791600000000000 to 791699999999999. Ranges may lie within and across each other; they are flattened once, when the plan
is made, and a look-up is one search in a sorted array.
"""

from array import array
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec

from routing.facts import NOWHERE, Place

MAX_DIGITS = 15  # E.164
MIN_DIGITS = 7  # below it is a short code, which no country owns by its first digits
KEYS = 10**MAX_DIGITS
HEAD_DIGITS = 5
BUCKET = 10 ** (MAX_DIGITS - HEAD_DIGITS)
COMMON_DIGITS = 11  # what most numbers have, +7 and +1 among them
_COMMON_BUCKET = 10 ** (COMMON_DIGITS - HEAD_DIGITS)
_COMMON_SCALE = 10 ** (MAX_DIGITS - COMMON_DIGITS)
FINE = 100  # into how many parts a head is divided whose numbers have several places: most have one at seven digits
_COMMON_FINE = _COMMON_BUCKET // FINE
_COMMON_LOW, _COMMON_HIGH = 10 ** (COMMON_DIGITS - 1) // _COMMON_FINE, 10**COMMON_DIGITS // _COMMON_FINE
_FINE_KEYS = BUCKET // FINE
MAX_DEPTH = 1_000
_POWERS = tuple(10**digits for digits in range(MAX_DIGITS + 1))
# What makes a number of so many digits one of 15; numbers that are none become 0, which is nowhere.
_SCALES = (0,) * MIN_DIGITS + tuple(10 ** (MAX_DIGITS - digits) for digits in range(MIN_DIGITS, MAX_DIGITS + 1)) + (0,)


class PlanError(Exception):
    """A plan cannot be made or read; the text says why and what to do."""


class Range(msgspec.Struct, frozen=True, gc=False):
    """Numbers from `first` to `last`, both included, as 15 digits; `last` >= `first`."""

    first: int
    last: int
    place: Place


def range_of(first: str, last: str, place: Place) -> Range:
    """Return the range of two numbers of equal length, or of a prefix given twice. Digits only, at most 15."""
    scale = 10 ** (MAX_DIGITS - len(first))
    return Range(int(first) * scale, (int(last) + 1) * scale - 1, place)


class Segments(msgspec.Struct, frozen=True):
    """Ranges without overlaps: `places[i]` holds from `starts[i]` to before `starts[i + 1]`; the first start is 0."""

    starts: 'array[int]'
    places: list[Place]


def flatten(layers: Iterable[Sequence[Range]]) -> Segments:
    """Return what holds at each number: a later layer before an earlier, then the narrower range, then the later.

    What a range does not say (no operator, no zone) is taken from the next one around it of the same country. Raises
    PlanError where ranges lie more than 1,000 deep.
    """
    ranked = [one for layer in layers for one in sorted(layer, key=lambda one: one.first - one.last)]
    edges = [(one.first, rank) for rank, one in enumerate(ranked)]
    edges += [(one.last + 1, ~rank) for rank, one in enumerate(ranked)]
    edges.sort()
    starts, places = array('q', [0]), [NOWHERE]
    active: list[int] = []  # ranks; the highest decides
    known: dict[tuple[Place, Place], Place] = {}
    for number, (key, rank) in enumerate(edges):
        if rank >= 0:
            insort(active, rank)
            if len(active) > MAX_DEPTH:
                raise PlanError(f'more than {MAX_DEPTH} ranges lie around {key}; take the needless ones out')
        else:
            del active[bisect_right(active, ~rank) - 1]
        if number + 1 < len(edges) and edges[number + 1][0] == key:
            continue
        place = _seen_from_inside(active, ranked, known)
        if starts[-1] == key:
            places[-1] = place
        elif place != places[-1]:
            starts.append(key)
            places.append(place)
    return Segments(starts, places)


def _seen_from_inside(active: list[int], ranked: list[Range], known: dict[tuple[Place, Place], Place]) -> Place:
    """Return the place of the innermost range, filled in from those around it."""
    place = NOWHERE
    for rank in reversed(active):
        if place.zone and place.operator and place.region and place.country:
            break
        pair = place, ranked[rank].place
        filled = known.get(pair)
        if filled is None:
            filled = known[pair] = filled_in(*pair)
        place = filled
    return place


def filled_in(narrow: Place, wide: Place) -> Place:
    """Return `narrow` with what it does not know from `wide`; places of two countries have nothing in common."""
    if narrow.country and narrow.country != wide.country:
        return narrow
    return Place(
        narrow.country or wide.country,
        narrow.operator or wide.operator,
        narrow.region or wide.region,
        narrow.zone or wide.zone,
    )


class NumberPlan:
    """Finds the place of a number."""

    def __init__(self, segments: Segments) -> None:
        # How many stretches have begun at each change of the first five digits: what is left to search is short.
        begun = [0] * (KEYS // BUCKET + 1)
        for start in segments.starts:
            begun[-(-start // BUCKET)] += 1
        self._buckets = array('I', accumulate(begun))
        self._starts, self._places = segments.starts, segments.places
        self._whole = self._find_whole()
        self._fine: dict[int, list[Place | None]] = {}  # of heads that are not whole, once they were asked for

    def _find_whole(self) -> list[Place | None]:
        """Return the place of all numbers that begin with the same digits, where it is one."""
        starts = self._starts
        whole: list[Place | None] = [None] * (KEYS // BUCKET)
        for start, end, place in zip(starts, [*starts[1:], KEYS], self._places, strict=True):
            first, after = -(-start // BUCKET), end // BUCKET
            if first < after:
                whole[first:after] = [place] * (after - first)
        return whole

    @classmethod
    def of(cls, *layers: Sequence[Range]) -> 'NumberPlan':
        """Return the plan of some ranges; `flatten` says what holds where they overlap."""
        return cls(flatten(layers))

    def take_over(self, other: 'NumberPlan') -> None:
        """Answer as another plan from now on: whoever holds this one sees the other with the next number.

        Both cost nothing but this: another thread may have made the other.
        """
        self._buckets, self._starts, self._places = other._buckets, other._starts, other._places
        self._whole, self._fine = other._whole, other._fine

    def __len__(self) -> int:
        """Return the number of stretches in which all numbers have one place."""
        return len(self._starts)

    def operators(self) -> frozenset[str]:
        """Return all operators that numbers belong to."""
        return frozenset(place.operator for place in self._places) - {''}

    def find(self, number: int) -> Place:
        """Return where a number in E.164 digits belongs; NOWHERE for what is no number of 7 to 15 digits."""
        part = number // _COMMON_FINE  # seven digits: Python divides the larger number slowly
        if _COMMON_LOW <= part < _COMMON_HIGH:
            head = part // FINE
            place: Place | None = self._whole[head]
            if place is None:
                fine = self._fine.get(head) or self._divide(head)
                place = fine[part % FINE]
                if place is None:
                    return self._search(number * _COMMON_SCALE)
            return place
        return self._search(number * _SCALES[bisect_right(_POWERS, number)])

    def _divide(self, head: int) -> list[Place | None]:
        """Return the places of the parts of a head, None for those that have several, and remember them."""
        starts = self._starts
        fine: list[Place | None] = []
        for first in range(head * BUCKET, (head + 1) * BUCKET, _FINE_KEYS):
            after = bisect_right(starts, first)
            is_whole = after == len(starts) or starts[after] >= first + _FINE_KEYS
            fine.append(self._places[after - 1] if is_whole else None)
        self._fine[head] = fine
        return fine

    def _search(self, key: int) -> Place:
        """Return where a number of 15 digits belongs."""
        buckets = self._buckets
        bucket = key // BUCKET
        return self._places[bisect_right(self._starts, key, buckets[bucket] - 1, buckets[bucket + 1]) - 1]

    def segment(self, number: int) -> tuple[str, str]:
        """Return the first and the last number, as digits, of the stretch around a number in which all have its place.

        They have as many digits as the number, which has 7 to 15.
        """
        digits = len(str(number))
        scale = _SCALES[digits]
        after = bisect_right(self._starts, number * scale)
        end = self._starts[after] if after < len(self._starts) else KEYS
        first = -(-self._starts[after - 1] // scale)
        last = max(number, end // scale - 1)
        return str(min(first, number)).zfill(digits), str(last)
