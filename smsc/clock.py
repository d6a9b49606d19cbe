"""The wall clock, read where traffic enters; everything below gets the time as an argument.

It is a steady clock that was set by the system's once and follows it slowly: a step of the system's clock, of an hour
say, is followed by 5 % of the time that passes. So no validity ends, no schedule is due and no retry begins early
because of it, and time never goes back (docs/decisions/0010-time.md). Times that an ESME states absolutely are by the
system's clock: `ahead_ms` translates.
"""

import time
from collections.abc import Callable

import msgspec
import structlog

NS_PER_MS = 1_000_000
SECOND_NS = 1_000_000_000
STEP_NS = SECOND_NS  # a difference that no clock runs up by itself between two looks
FOLLOW = 20  # a difference shrinks by one part in so many of the time that passes
ADOPT_NS = 86_400 * SECOND_NS  # ahead of us by more than that, the system's clock had not been set before
ADOPT_AFTER_NS = 60 * SECOND_NS  # if it stays so

_STEADY = getattr(time, 'CLOCK_BOOTTIME', time.CLOCK_MONOTONIC)  # the first is Linux's

log = structlog.get_logger()


def _steady_ns() -> int:
    """Return time that nobody sets, and that passes while the machine sleeps."""
    return time.clock_gettime_ns(_STEADY)


class Sources(msgspec.Struct, frozen=True):
    """Where time comes from, both in nanoseconds."""

    system_ns: Callable[[], int] = time.time_ns
    steady_ns: Callable[[], int] = _steady_ns


class Clock:
    """Wall time of one process; `follow` is to be called about twice a second."""

    def __init__(self, sources: Sources = Sources()) -> None:  # noqa: B008 - it is frozen
        self.use(sources)

    def use(self, sources: Sources) -> None:
        """Take the time from these from now on, whatever it was."""
        self.sources = sources
        self._steady_ns = sources.steady_ns
        self._looked_at = self._steady_ns()
        self._offset = sources.system_ns() - self._looked_at
        self._is_far = False
        self._far_since = 0

    def wall_ms(self) -> int:
        """Return the time now, in Unix milliseconds; it only rises."""
        return (self._steady_ns() + self._offset) // NS_PER_MS

    def ahead_ms(self) -> int:
        """Return how far `wall_ms` is ahead of the system's clock; below 0 it is behind."""
        return self._ahead_ns() // NS_PER_MS

    def _ahead_ns(self) -> int:
        return self._steady_ns() + self._offset - self.sources.system_ns()

    def rise_to(self, at_ms: int) -> None:
        """Begin no earlier than what was written before this start, by a clock that was set back since.

        What is more than a day ahead was written by a clock that was wrong.
        """
        missing = at_ms * NS_PER_MS - self._steady_ns() - self._offset
        if 0 < missing <= ADOPT_NS:
            self._offset += missing

    def follow(self) -> None:
        """Get nearer to the system's clock, and notice when somebody has set that."""
        now = self._steady_ns()
        passed, self._looked_at = now - self._looked_at, now
        ahead = self._ahead_ns()
        self._notice(ahead, now)
        if ahead < -ADOPT_NS and now - self._far_since >= ADOPT_AFTER_NS:
            log.warning('clock.adopted', ahead_ms=ahead // NS_PER_MS)
            self._offset -= ahead
            return
        most = passed // FOLLOW
        self._offset -= max(-most, min(most, ahead))

    def _notice(self, ahead: int, now: int) -> None:
        """Log the begin and the end of a difference."""
        is_far = abs(ahead) >= STEP_NS
        if is_far and not self._is_far:
            self._far_since = now
            log.warning('clock.step', ahead_ms=ahead // NS_PER_MS, followed_in_s=abs(ahead) * FOLLOW // SECOND_NS)
        elif self._is_far and not is_far:
            log.info('clock.followed')
        self._is_far = is_far


CLOCK = Clock()
wall_ms = CLOCK.wall_ms
