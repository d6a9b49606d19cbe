"""Turns of an event loop: of all that peers sent in bulk, one slice is dealt with between two looks at the sockets.

So that a thousand peers that send as fast as they can delay a well-behaved one by the time of one slice, not by that of
a thousand. Those that wait are served in turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary


class Turns:
    """Who waits for a turn; each is in the queue once and says itself whether it has more."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._next: asyncio.Handle | None = None

    def wait(self, take: Callable[[], None]) -> None:
        """Have `take` called at its turn, once; it must not raise."""
        self._waiting.append(take)
        self._schedule()

    def _schedule(self) -> None:
        if self._next is None and self._waiting:
            self._next = self._loop.call_soon(self._give)

    def _give(self) -> None:
        self._next = None
        try:
            self._waiting.popleft()()
        finally:
            self._schedule()


_OF_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """Return the turns of a loop: there is one such queue for all its connections."""
    turns = _OF_LOOPS.get(loop)
    if turns is None:
        turns = _OF_LOOPS[loop] = Turns(loop)
    return turns
