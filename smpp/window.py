"""The window of one session: our requests that wait for a response, and the slots they hold. Pure; time is an argument.

A slot is reserved before a message is taken from its queue. It is free again when its owner calls `release`, which
may be later than the response: whoever must make the outcome durable first keeps the slot until then, so that what a
crash can repeat is bounded by the window.
"""

from collections import deque
from typing import Any

SPAN_S = 1.0
LATE_BOUND = 10_000  # expired requests that are remembered


class Window:
    """Slots for `size` outstanding requests, and the requests by sequence_number in the order they were sent."""

    __slots__ = ('_before_wrap', '_first', '_last', '_late_bound', '_spans', 'late', 'pending', 'reserved', 'size')

    def __init__(self, size: int, late_bound: int = LATE_BOUND) -> None:
        self.size = size
        self._late_bound = late_bound
        self.reserved = 0
        self.pending: dict[int, Any] = {}
        self.late: dict[int, Any] = {}  # expired, so that a late response is known; the last `late_bound` of them
        self._spans: deque[tuple[float, int, int]] = deque()  # (deadline, first, last sequence_number), oldest first
        self._first = self._last = 0  # added since the last mark_sent
        self._before_wrap: tuple[int, int] | None = None  # and before them, when the numbers wrapped meanwhile

    @property
    def free(self) -> int:
        """How many slots may be reserved now."""
        return self.size - self.reserved

    def reserve(self, wanted: int) -> int:
        """Take up to `wanted` slots; return how many were taken."""
        taken = min(wanted, self.size - self.reserved)
        if taken <= 0:
            return 0
        self.reserved += taken
        return taken

    def release(self, count: int = 1) -> None:
        """Give back slots whose requests are done with, or that were reserved for nothing."""
        self.reserved -= count

    def add(self, sequence_number: int, context: Any) -> None:
        """Note a request as sent; sequence numbers rise until they wrap."""
        self.pending[sequence_number] = context
        if not self._first:
            self._first = sequence_number
        elif sequence_number < self._last:  # wrapped: a span never crosses the wrap
            self._before_wrap = self._first, self._last
            self._first = sequence_number
        self._last = sequence_number

    def mark_sent(self, deadline: float) -> None:
        """Give the requests added since the last call the `deadline` (monotonic seconds) for their response.

        Requests of the same second share a span, so there are never more spans than the response time has seconds.
        """
        first = self._first
        if not first:
            return
        self._first = 0
        spans = self._spans
        if self._before_wrap is not None:
            spans.append((deadline + SPAN_S, *self._before_wrap))
            self._before_wrap = None
        if spans and deadline <= spans[-1][0] and first > spans[-1][2]:
            spans[-1] = (spans[-1][0], spans[-1][1], self._last)
        else:
            spans.append((deadline + SPAN_S, first, self._last))

    def expire(self, now: float) -> list[Any]:
        """Drop the requests whose deadline passed up to a second ago; return their contexts, oldest first.

        Their slots stay reserved until they are released. They stand in `late` until their responses come after all.
        """
        expired: list[Any] = []
        spans, pending, late = self._spans, self.pending, self.late
        while spans and spans[0][0] <= now:
            _, first, last = spans.popleft()
            while pending:
                sequence_number = next(iter(pending))
                if not first <= sequence_number <= last:
                    break
                context = late[sequence_number] = pending.pop(sequence_number)
                expired.append(context)
        while len(late) > self._late_bound:
            del late[next(iter(late))]
        return expired

    def drop_all(self) -> list[Any]:
        """Forget everything outstanding (the connection is gone); return the contexts, oldest first."""
        lost = list(self.pending.values())
        self.pending.clear()
        self.late.clear()
        self._spans.clear()
        self._first = self._last = 0
        self._before_wrap = None
        return lost
