"""Things that are due a fixed time after they came, with one timer for all of them.

The caller adds whole batches, so the cost is per read of a socket and not per message.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar('T')


class Delay(Generic[T]):
    """Calls `release` with each thing `delay_s` seconds after `add`, in the order they were added."""

    def __init__(self, delay_s: float, release: Callable[[T], None]) -> None:
        self.delay_s = delay_s
        self._release = release
        self._waiting: deque[tuple[float, T]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, thing: T) -> None:
        """Takes a thing that is due in `delay_s`."""
        due = self._loop.time() + self.delay_s
        self._waiting.append((due, thing))
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._handle_timer)

    def clear(self) -> None:
        """Forgets everything that waits."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _handle_timer(self) -> None:
        waiting, now = self._waiting, self._loop.time()
        # The clock of a loop may stand a tick behind the timer that it has fired.
        limit = now + 0.001
        while waiting and waiting[0][0] <= limit:
            self._release(waiting.popleft()[1])
        self._timer = self._loop.call_at(waiting[0][0], self._handle_timer) if waiting else None
