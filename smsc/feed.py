"""Moves messages from an outbox to the windows of the connections that read it, as fast as windows and rate allow.

A slot of a window is reserved before a message leaves its outbox. `send` puts one message into a session, or returns
False when it went elsewhere (expired, cannot be encoded); then the slot is free again.
"""

import asyncio
from collections.abc import Callable

from domain.message import Message
from smpp.aio.connection import Connection
from smpp.states import State
from smsc.clock import wall_ms
from smsc.limits import Rate
from smsc.outbox import Outbox

CHUNK = 50  # messages to one connection before the next is looked at
STARVED_S = 0.01


class Feed:
    """One outbox and its readers."""

    def __init__(
        self,
        outbox: Outbox,
        states: frozenset[State],
        send: Callable[[Connection, Message, int], bool],
        loop: asyncio.AbstractEventLoop,
        readers: 'dict[Connection, Feed]',
    ) -> None:
        """`states` are those in which a session may be sent to; `readers` tells whose reader a connection is."""
        self.outbox = outbox
        self.connections: list[Connection] = []
        self.rate = Rate(0, 0, loop.time())
        self.paused_until = 0.0
        self.idle_since = loop.time()
        self._readers = readers
        self._closed = False
        self._states = states
        self._send = send
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def online(self) -> bool:
        """Somebody reads."""
        return bool(self.connections)

    @property
    def outstanding(self) -> int:
        """Slots of all windows in use."""
        return sum(connection.session.window.reserved for connection in self.connections)

    def add(self, connection: Connection) -> None:
        """A connection is ready to read."""
        if not self._closed and connection.session.state in self._states and connection not in self.connections:
            self.connections.append(connection)
            self._readers[connection] = self
            self.outbox.go_online()

    def remove(self, connection: Connection) -> None:
        """A connection reads no more."""
        if connection in self.connections:
            self.connections.remove(connection)
            self._readers.pop(connection, None)
            if not self.connections:
                self.idle_since = self._loop.time()

    def pause(self, seconds: float) -> None:
        """Send nothing for a while: the peer throttles."""
        self.paused_until = self._loop.time() + seconds
        self._pump_after(seconds)

    def pump(self) -> None:
        """Send what can be sent now."""
        outbox = self.outbox
        if not outbox.in_memory:
            return
        now = self._loop.time()
        if now < self.paused_until:
            return
        touched: set[Connection] = set()
        now_ms = wall_ms()
        while outbox.in_memory:
            connection = self._roomiest()
            if connection is None:
                break
            window = connection.session.window
            count = self.rate.take(min(window.free, outbox.in_memory, CHUNK), now)
            if not count:
                self._pump_after(STARVED_S)
                break
            messages = outbox.take(count)
            window.reserved += len(messages)
            for message in messages:
                if not self._send(connection, message, now_ms):
                    window.release()
            touched.add(connection)
        for connection in touched:
            connection.flush()

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

    def _roomiest(self) -> Connection | None:
        best, most = None, 0
        for connection in self.connections:
            free = connection.session.window.free
            if free > most and connection.writable:
                best, most = connection, free
        return best

    def _pump_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._pump_again)

    def _pump_again(self) -> None:
        self._timer = None
        if self._loop.time() < self.paused_until:
            self._pump_after(self.paused_until - self._loop.time())
        self.pump()
