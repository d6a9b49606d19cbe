"""One socket and its session: feeds octets in, sends octets out, slows down whoever must be slowed.

Reading pauses while the owner asks for it (what it gathered is full) or while the peer does not read what we send;
sending of new requests pauses while the transport's buffer is over its limit (`writable`). A peer that reads nothing
for `STUCK_WRITER_S` is cut (wire.md E14). What one read brings is dealt with in slices, and of all connections together
one slice at a time (`Turns`), so that peers that send as fast as they can delay the others by a slice at most. Nothing
here raises into the event loop: an error in the owner closes the socket.
"""

import asyncio
import sys
from typing import Any, Protocol, cast

import structlog

from pdu.pdus import Pdu
from smpp.aio.tls import reason_of
from smpp.aio.turns import turns_of
from smpp.session import Session
from smpp.states import Role, State

WRITE_LIMIT_OCTETS = 1 << 18
STUCK_WRITER_S = 30.0
SLICE_OCTETS = {Role.SMSC: 1 << 15, Role.ESME: sys.maxsize}
"""By our side of the session. Operators send receipts in bulk, by few links that we chose: slices of that would make
small commits."""
SUSPECT_SLICE_OCTETS = 1 << 13  # of a peer whose last slice had something in it that a good peer does not send
SLICE = 'slice'  # as a reason not to read

log = structlog.get_logger()


class Owner(Protocol):
    """Who deals with what a connection brings. Callbacks never await; what they leave in the session is sent after."""

    def handle_opened(self, connection: 'Connection') -> None:
        """The socket is open, nothing was read yet."""

    def handle_requests(self, connection: 'Connection', requests: list[Pdu]) -> None:
        """Requests that each need an answer, now or later; a bind comes alone."""

    def handle_responses(self, connection: 'Connection', responses: list[tuple[Any, Pdu]]) -> None:
        """Responses, each beside the context of its request; the window's slots are the owner's to release."""

    def handle_expired(self, connection: 'Connection', contexts: list[Any]) -> None:
        """Requests that got no response in time; their slots are the owner's to release."""

    def handle_late(self, connection: 'Connection', late: list[tuple[Any, Pdu]]) -> None:
        """Responses that came after `handle_expired` had their contexts; no slots are held for them."""

    def handle_state(self, connection: 'Connection') -> None:
        """The session's state may have changed, or the connection can take requests again."""

    def handle_closed(self, connection: 'Connection', lost: list[Any]) -> None:
        """The socket is gone; `lost` are the contexts of what was outstanding."""


class Connection(asyncio.Protocol):
    """The shell of one session."""

    def __init__(self, session: Session, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.session = session
        self.owner = owner
        self.loop = loop
        self.writable = True
        self.peer_address = ''
        self.peer_name: Any = None  # the addresses of both ends, as the socket tells them
        self.own_name: Any = None
        self.closed = loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._reading_paused_by: set[str] = set()
        self._stuck_since = 0.0
        self._unanswered_too_many = False
        self._slice_octets = SLICE_OCTETS[session.role]
        self._unread = b''  # the rest of what was read
        self._faults = 0
        self._turns = turns_of(loop)
        self._awaits_turn = False
        self._drained: asyncio.Event | None = None

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        transport.set_write_buffer_limits(high=WRITE_LIMIT_OCTETS)
        address = self.peer_name = transport.get_extra_info('peername')
        self.own_name = transport.get_extra_info('sockname')
        self.peer_address = address[0] if address else ''
        try:
            self.owner.handle_opened(self)
        except Exception:  # noqa: BLE001 - the root of a connection
            self._fail()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._unread:
            self._unread += data
        elif len(data) > self._slice_octets:
            self._unread = data
            self.pause_reading(SLICE)
            self._await_turn()
        else:
            self._take(data)

    def _await_turn(self) -> None:
        """Have the next slice dealt with, unless the socket is not to be read for another reason."""
        if self._unread and not self._awaits_turn and self._reading_paused_by == {SLICE}:
            self._awaits_turn = True
            self._turns.wait(self._take_slice)

    def _take_slice(self) -> None:
        """It is our turn: deal with a slice of what was read."""
        self._awaits_turn = False
        if self._reading_paused_by != {SLICE}:
            return  # `resume_reading` waits for a turn again
        size = self._slice_octets
        taken, self._unread = self._unread[:size], self._unread[size:]
        self._take(taken)
        if not self._unread:
            self.resume_reading(SLICE)
        self._await_turn()

    def _take(self, data: bytes) -> None:
        session = self.session
        if session.state is State.CLOSED:
            return
        state = session.state
        try:
            received = session.receive(data, self.loop.time())
            if received.responses:
                self.owner.handle_responses(self, received.responses)
            if received.late:
                self.owner.handle_late(self, received.late)
            if received.requests:
                self.owner.handle_requests(self, received.requests)
            if session.state is not state:
                self.owner.handle_state(self)
        except Exception:  # noqa: BLE001 - the root of a connection
            self._fail()
        if session.faults != self._faults:
            self._faults = session.faults
            self._slice_octets = SUSPECT_SLICE_OCTETS
        elif self._slice_octets == SUSPECT_SLICE_OCTETS:
            self._slice_octets = SLICE_OCTETS[session.role]
        if self._drained is not None:
            self._note_drained()
        self.flush()

    def pause_writing(self) -> None:
        self.writable = False
        self._stuck_since = self.loop.time()
        self.pause_reading('peer does not read')

    def resume_writing(self) -> None:
        self.writable = True
        if self.session.state is not State.CLOSED:  # of what is left at the end, the time to read all of it is limited
            self._stuck_since = 0.0
        self.resume_reading('peer does not read')
        try:
            self.owner.handle_state(self)
        except Exception:  # noqa: BLE001 - the root of a connection
            self._fail()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        unread, self._unread = self._unread, b''
        if unread:
            self._take(unread)
        session = self.session
        if session.state is not State.CLOSED:
            session.end('connection lost' if exc is None else f'connection lost: {reason_of(exc)}')
        self._transport = None
        try:
            self.owner.handle_closed(self, session.drop_outstanding())
        except Exception:
            log.exception('connection.error', peer=self.peer_address)
        self._note_drained()
        if not self.closed.done():
            self.closed.set_result(None)

    # Called by the owner

    def flush(self) -> None:
        """Send what the session has to say; close the socket once the session has ended."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        session = self.session
        if session.has_octets:
            transport.write(session.take_octets(self.loop.time()))
        if (session.unanswered > session.pause_above) is not self._unanswered_too_many:
            self._slow_down()
        if session.state is State.CLOSED:
            self._stuck_since = self.loop.time()
            transport.close()

    def tick(self, now: float) -> None:
        """Do what is due; called about once a second."""
        session = self.session
        state = session.state
        try:
            expired = session.handle_timer(now)
            if expired:
                self.owner.handle_expired(self, expired)
            if session.state is not state:
                self.owner.handle_state(self)
        except Exception:  # noqa: BLE001 - the root of a connection
            self._fail()
        self._note_drained()
        if self._stuck_since and now - self._stuck_since > STUCK_WRITER_S:
            session.end('peer reads nothing')
            self.abort()
        elif session.has_octets or session.state is State.CLOSED:
            self.flush()

    def pause_reading(self, reason: str) -> None:
        """Stop reading the socket until every reason given was taken back."""
        if not self._reading_paused_by and self._transport is not None:
            self._transport.pause_reading()
        self._reading_paused_by.add(reason)

    def resume_reading(self, reason: str) -> None:
        """Take one reason back; reading goes on when none is left."""
        self._reading_paused_by.discard(reason)
        self._await_turn()
        if not self._reading_paused_by and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def drain(self, timeout_s: float) -> None:
        """Wait until no request of ours is outstanding, `timeout_s` has passed or the socket is gone.

        Nothing keeps the owner from sending more: it stops that before.
        """
        drained = self._drained = asyncio.Event()
        self._note_drained()
        try:
            async with asyncio.timeout(timeout_s):
                await drained.wait()
        except TimeoutError:
            log.warning('connection.not_drained', peer=self.peer_address, outstanding=len(self.session.window.pending))
        finally:
            self._drained = None

    def abort(self) -> None:
        """Close the socket at once; what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()

    def _note_drained(self) -> None:
        if self._drained is not None and not self.session.window.pending:
            self._drained.set()

    def _slow_down(self) -> None:
        self._unanswered_too_many = not self._unanswered_too_many
        if self._unanswered_too_many:
            self.pause_reading('unanswered')
        else:
            self.resume_reading('unanswered')

    def _fail(self) -> None:
        log.exception('connection.error', peer=self.peer_address, state=self.session.state.value)
        self.session.end('internal error')
        try:
            self.owner.handle_state(self)
        except Exception:
            log.exception('connection.error', peer=self.peer_address, state=self.session.state.value)
