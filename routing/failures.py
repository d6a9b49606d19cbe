"""Numbers whose messages keep failing for good, counted until they have failed often enough to be put on a stop-list.

Only numbers that failed are held, and of those the ones that did most recently: a number that is forgotten needs all
its failures anew, as after a restart. Nothing is put on a list too early by that.
"""

from collections.abc import Iterable
from itertools import islice

MINUTE_MS = 60_000
APART_MIN = 1
"""Failures of one minute count as one: they are parts of one message, or attempts at it."""

_MINUTES = 26  # bits of a time in minutes: until 2097
_MASK = (1 << _MINUTES) - 1


class Failures:
    """Failures in a row, by number. One number takes some 130 octets."""

    def __init__(self, failures: int, within_ms: int, bound: int) -> None:
        """`failures` in a row, the first and the last of them at most `within_ms` apart, are enough."""
        self.failures = failures
        self.within_min = max(1, within_ms // MINUTE_MS)
        self.bound = bound
        self.forgotten = 0
        self._failed: dict[int, int] = {}  # number -> count, minute of the first, minute of the last; packed

    def __len__(self) -> int:
        return len(self._failed)

    def note_failure(self, number: int, now_ms: int) -> bool:
        """Count a failure for good; return whether these are enough now, after which the number begins anew."""
        now = now_ms // MINUTE_MS & _MASK
        known = self._failed.pop(number, 0)
        count, first, last = known >> 2 * _MINUTES, known >> _MINUTES & _MASK, known & _MASK
        if not count or now - first > self.within_min:
            count, first, last = 0, now, now - APART_MIN
        if abs(now - last) >= APART_MIN:
            count, last = count + 1, now
        if count >= self.failures:
            return True
        self._failed[number] = count << 2 * _MINUTES | first << _MINUTES | last
        if len(self._failed) > self.bound:
            del self._failed[next(iter(self._failed))]
            self.forgotten += 1
        return False

    def newest(self, most: int) -> list[tuple[int, int]]:
        """Return the numbers that failed last, at most so many, oldest first, each with its failures for `learn`."""
        return list(islice(self._failed.items(), max(0, len(self._failed) - most), None))

    def learn(self, counted: Iterable[tuple[int, int]]) -> None:
        """Go on with what another node has counted, where nothing is known here."""
        for number, packed in counted:
            if number > 0 and 0 < packed >> 2 * _MINUTES < self.failures and len(self._failed) < self.bound:
                self._failed.setdefault(number, packed)

    def note_delivery(self, number: int) -> bool:
        """The number takes messages: what failed before does not count. Return whether anything had."""
        return self._failed.pop(number, None) is not None
