"""Moves messages from an outbox to the windows of the connections that read it, as fast as windows and rate allow.

A slot of a window is reserved before a message leaves its outbox. `send` puts one message into a session, or returns
False when it went elsewhere (expired, cannot be encoded); then the slot is free again.

What belongs to one connection, as the segments of one message do, can be `held` for it: it goes first, in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from domain.message import Message, Part
from smpp.aio.connection import Connection
from smpp.states import State
from smsc.clock import wall_ms
from smsc.cluster.fence import OPEN, Fence
from smsc.limits import EachRate, Rate
from smsc.outbox import Outbox

CHUNK = 50  # messages to one connection before the next is looked at
STARVED_S = 0.002  # until a limit is looked at again: what comes beside a queue waits so long for its turn
Held = Message | Part


class Feed:
    """One outbox and its readers."""

    def __init__(
        self,
        outbox: Outbox,
        states: frozenset[State],
        send: Callable[[Connection, Message, int], bool],
        loop: asyncio.AbstractEventLoop,
        readers: 'dict[Connection, Feed]',
        fence: Fence = OPEN,
    ) -> None:
        """`states` are those in which a session may be sent to; `readers` tells whose reader a connection is."""
        self._fence = fence
        self.outbox = outbox
        self.connections: list[Connection] = []
        self.rate = Rate(0, 0, loop.time())
        self.link_rates: EachRate | None = None
        self.paused_until = 0.0
        self.off = False  # by hand: what begins to wait here stays on disk
        self.on_hold = False  # likewise, though it is as available as before
        self.idle_since = loop.time()
        self.held: dict[Connection, deque[Held]] = {}
        self.held_count = 0
        self.send_held: Callable[[Connection, Held, int], bool] = self._send_message
        self.on_stranded: Callable[[Iterable[Held]], None] = self._put_back
        self._readers = readers
        self._closed = False
        self._states = states
        self._send = send
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def online(self) -> bool:
        """Somebody reads, and may."""
        return bool(self.connections) and not self.off

    @property
    def outstanding(self) -> int:
        """Slots of all windows in use."""
        return sum(connection.session.window.reserved for connection in self.connections)

    def hold(self, connection: Connection, items: Iterable[Held], first: bool = False) -> None:
        """Let these be sent by this connection and no other, before anything else; `first` puts them before those held.

        Whoever holds pumps afterwards. When the connection goes, they go to `on_stranded`.
        """
        held = self.held.setdefault(connection, deque())
        items = list(items)
        self.held_count += len(items)
        if first:
            held.extendleft(reversed(items))
        else:
            held.extend(items)

    def add(self, connection: Connection) -> None:
        """A connection is ready to read."""
        if not self._closed and connection.session.state in self._states and connection not in self.connections:
            self.connections.append(connection)
            self._readers[connection] = self
            if not (self.off or self.on_hold):
                self.outbox.go_online()

    def remove(self, connection: Connection) -> None:
        """A connection reads no more."""
        if connection in self.connections:
            self.connections.remove(connection)
            self._readers.pop(connection, None)
            if self.link_rates is not None:
                self.link_rates.forget(connection)
            stranded = self.held.pop(connection, None)
            if stranded:
                self.held_count -= len(stranded)
                self.on_stranded(stranded)
            if not self.connections:
                self.idle_since = self._loop.time()

    def pause(self, seconds: float) -> None:
        """Send nothing for a while: the peer throttles."""
        self.paused_until = self._loop.time() + seconds
        self._pump_after(seconds)

    def pump(self) -> None:
        """Send what can be sent now."""
        outbox = self.outbox
        if not (outbox.in_memory or self.held):
            return
        now = self._loop.time()
        if now < self.paused_until or now >= self._fence.until:
            return
        touched: set[Connection] = set()
        now_ms = wall_ms()
        starved = bool(self.held) and self._pump_held(now, now_ms, touched)
        while outbox.in_memory and not starved and self.held_count < outbox.capacity:
            connection = self.roomiest()
            if connection is None:
                if self.link_rates is not None:
                    self._pump_after(STARVED_S)
                break
            window = connection.session.window
            count = self._take(connection, min(window.free, outbox.in_memory, CHUNK), now)
            if not count:
                self._pump_after(STARVED_S)
                break
            messages = outbox.take(count)
            window.reserved += len(messages)
            for message in messages:
                if not self._send(connection, message, now_ms):
                    window.release()
                    self._give(connection, 1, now)
            touched.add(connection)
            if self.held:
                starved = self._pump_held(now, now_ms, touched)
        for connection in touched:
            connection.flush()

    def _pump_held(self, now: float, now_ms: int, touched: set[Connection]) -> bool:
        """Send what is held for connections, as far as windows and rate allow; return whether the rate is used up."""
        for connection, items in list(self.held.items()):
            window = connection.session.window
            while items and window.free > 0 and connection.writable:
                if not self._take(connection, 1, now):
                    self._pump_after(STARVED_S)
                    if self.link_rates is None:
                        return True
                    break  # other links may send
                window.reserved += 1
                touched.add(connection)
                self.held_count -= 1
                if not self.send_held(connection, items.popleft(), now_ms):
                    window.release()
                    self._give(connection, 1, now)
            if not items and self.held.get(connection) is items:
                del self.held[connection]
        return False

    def _take(self, connection: Connection, wanted: int, now: float) -> int:
        """Take so much of the rates, or less; return how much."""
        if self.link_rates is None:
            return self.rate.take(wanted, now)
        link_rate = self.link_rates.of(connection, now)
        allowed = link_rate.take(wanted, now)
        taken = self.rate.take(allowed, now) if allowed else 0
        link_rate.give(allowed - taken)
        return taken

    def _give(self, connection: Connection, count: int, now: float) -> None:
        self.rate.give(count)
        if self.link_rates is not None:
            self.link_rates.of(connection, now).give(count)

    def limit_links(self, rates: EachRate | None) -> None:
        """Hold each connection to a rate of its own from now on; the same limit goes on as it is."""
        before, after = (one.limit_per_s if one is not None else 0 for one in (self.link_rates, rates))
        if before != after:
            self.link_rates = rates

    def _send_message(self, connection: Connection, item: Held, now_ms: int) -> bool:
        assert isinstance(item, Message)
        return self._send(connection, item, now_ms)

    def _put_back(self, items: Iterable[Held]) -> None:
        self.outbox.put_back([item for item in items if isinstance(item, Message)])

    def open(self) -> None:
        """Take readers again after `close`."""
        self._closed = False

    def close(self) -> None:
        """Send nothing more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in list(self.connections):
            self.remove(connection)

    def roomiest(self) -> Connection | None:
        """Return the connection with the most free slots, None when no window has any."""
        best, most = None, 0
        for connection in self.connections:
            free = connection.session.window.free
            if free > most and connection.writable and not (self.link_rates and self._is_used_up(connection)):
                best, most = connection, free
        return best

    def _is_used_up(self, connection: Connection) -> bool:
        assert self.link_rates is not None
        rate = self.link_rates.of(connection, self._loop.time())
        taken = rate.take(1, self._loop.time())
        rate.give(taken)
        return not taken

    def _pump_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._pump_again)

    def _pump_again(self) -> None:
        self._timer = None
        if self._loop.time() < self.paused_until:
            self._pump_after(self.paused_until - self._loop.time())
        self.pump()
