"""One SMPP session without I/O: octets in, PDUs for the owner and octets for the peer out. Time is an argument.

The session answers by itself what the protocol alone decides: enquire_link, unbind, malformed and unknown PDUs,
commands that its state does not allow, requests beyond its window. Everything else goes to the owner, who must answer
each request it was given exactly once with `respond`. After any call the owner sends `take_octets()`, and closes the
socket once `state` is CLOSED.
"""

import sys
from typing import Any

from pdu.codec import encode, encoders
from pdu.command import RESPONSE, CommandId
from pdu.pdus import (
    CLASSES,
    Bind,
    BindResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Malformed,
    Pdu,
    Unbind,
    UnbindResp,
    UnknownPdu,
)
from pdu.reader import PduReader
from pdu.status import CommandStatus
from pdu.tlvs import Tag, integer, make
from smpp.states import BOUND, BOUND_BY, FROM_SMSC, RECEIVABLE, TRANSITIONS, Event, Role, State
from smpp.terms import Own, Received, SessionError, SessionSettings
from smpp.versions import SMPP_3_3, SMPP_3_4, SMPP_5_0, version_for, without_tlvs
from smpp.window import LATE_BOUND, Window

__all__ = ['MAX_SEQUENCE_NUMBER', 'SMPP_3_4', 'Own', 'Received', 'Session', 'SessionError', 'SessionSettings']

MAX_SEQUENCE_NUMBER = 0x7FFFFFFF
UNBOUND_PDU_OCTETS = 1_024  # the largest PDU an SMSC takes before the bind; a bind with its TLVs is far smaller
LATE_BOUND_OF_ESME = 100  # there are many of them, and what they did not take goes to them again
_UNANSWERED = frozenset({int(CommandId.ALERT_NOTIFICATION), int(CommandId.OUTBIND)})


class Session:
    """One side of one SMPP session."""

    def __init__(self, role: Role, settings: SessionSettings, now: float) -> None:
        self.role = role
        self.settings = settings
        self.state = State.OPEN
        self.window = Window(settings.send_window, LATE_BOUND if role is Role.ESME else LATE_BOUND_OF_ESME)
        self.receive_window = settings.receive_window
        self.pause_above = settings.pause_above or sys.maxsize
        self.bind: Bind | None = None
        self.peer_version = 0
        self.takes_tlvs = True  # whether TLVs may be sent to the peer; known once bound
        self.close_reason = ''
        self.bind_status = int(CommandStatus.ESME_ROK)
        self.unanswered = 0
        self.unmatched_responses = 0
        self.malformed = 0
        self.throttled = self.late = 0
        self._strips_tlvs = False  # as this peer must have none
        self._error_bodies = settings.error_bodies
        self._reader = PduReader(settings.max_pdu_octets)
        if role is Role.SMSC:
            self._reader.limit_octets = min(UNBOUND_PDU_OCTETS, settings.max_pdu_octets)
        self._out: list[bytes] = []
        self._sequence_number = 0
        self._receivable = RECEIVABLE[role, State.OPEN]
        self._opened_at = self._last_received = self._last_message = now
        self._partial_since: float | None = None
        self._unbinding_until = 0.0
        self._unbind_request: Unbind | None = None
        self._leaving = False  # an unbind is due once all requests of the peer are answered: see _part_when_due
        self._unbind_answered = False  # by us, and the answer is not out yet
        self._enquiring = False

    # Receiving

    def receive(self, octets: bytes, now: float) -> Received:
        """Take in `octets` read at `now`; return the requests and responses that are the owner's."""
        self._last_received = now
        requests: list[Pdu] = []
        received = Received(requests, [], [])
        pending = self.window.pending
        pdus = self._reader.feed(octets)
        for pdu in pdus:
            command_id = pdu.command_id
            if command_id & RESPONSE:
                self._match(pdu, pending.pop(pdu.sequence_number, None), received)
            elif command_id in self._receivable:
                if self.unanswered < self.receive_window or command_id in _UNANSWERED:
                    self.unanswered += command_id not in _UNANSWERED
                    requests.append(pdu)
                else:
                    self.throttled += 1
                    self._answer(command_id, pdu.sequence_number, self.settings.window_exceeded)
            else:
                self._handle_other(pdu, now, received)
        if requests or received.responses:
            self._last_message = now
        if not self._reader.pending:
            self._partial_since = None
        elif pdus or self._partial_since is None:  # another PDU has begun
            self._partial_since = now
        return received

    @property
    def faults(self) -> int:
        """How many PDUs a well-behaved peer would not have sent: malformed ones, beyond the window, stray responses."""
        return self.malformed + self.throttled + self.unmatched_responses

    def _match(self, pdu: Pdu, context: Any, received: Received) -> None:
        if context is None:
            self._handle_unmatched(pdu, received)
        elif context.__class__ is Own:
            self._handle_own_response(context, pdu)
        else:
            received.responses.append((context, pdu))

    def _handle_unmatched(self, pdu: Pdu, received: Received) -> None:
        context = self.window.late.pop(pdu.sequence_number, None)
        if context is None:
            self.unmatched_responses += 1
        elif context.__class__ is not Own:
            self.late += 1
            received.late.append((context, pdu))

    def _handle_own_response(self, context: Own, pdu: Pdu) -> None:
        self.window.release()
        if context is Own.ENQUIRE_LINK:
            self._enquiring = False
        elif context is Own.UNBIND:
            self.end('unbound')
        else:
            self._handle_bind_response(pdu)

    def _handle_bind_response(self, pdu: Pdu) -> None:
        if self.state is not State.BINDING or self.bind is None:  # it came after the end
            return
        self.bind_status = pdu.command_status
        if pdu.command_status or not isinstance(pdu, BindResp):
            self.bind_status = pdu.command_status or int(CommandStatus.ESME_RBINDFAIL)
            self.end('bind refused')
            return
        told = integer(pdu.tlvs, Tag.SC_INTERFACE_VERSION)
        self.peer_version = told or SMPP_3_3
        self.takes_tlvs = told is None or told >= SMPP_3_4  # many of 3.4 do not tell
        self._change(BOUND_BY[self.bind.command_id])

    def _handle_other(self, pdu: Pdu, now: float, received: Received) -> None:
        """Deal with what is not a message command allowed in this state."""
        command_id = pdu.command_id
        if isinstance(pdu, Malformed):
            self._handle_malformed(pdu, received)
        elif isinstance(pdu, UnknownPdu):
            self._handle_unknown(pdu)
        elif command_id == CommandId.ENQUIRE_LINK:
            self._out.append(encode(EnquireLinkResp(pdu.sequence_number)))
        elif isinstance(pdu, Bind):
            self._handle_bind(pdu, received.requests)
        elif isinstance(pdu, Unbind):
            self._handle_unbind(pdu, now)
        elif command_id not in _UNANSWERED:
            self._answer(command_id, pdu.sequence_number, self._out_of_state(command_id))

    def _out_of_state(self, command_id: int) -> int:
        """Return what a request is told that this state does not allow: what crosses our unbind on its way from the
        operator, as receipts do, stays with the operator (wire.md F18), which takes most other errors for final.
        """
        crosses = (self._leaving and self._unbind_request is None) or Own.UNBIND in self.window.pending.values()
        if self.role is Role.ESME and command_id in FROM_SMSC and self.state is State.UNBINDING and crosses:
            return int(CommandStatus.ESME_RX_T_APPN)
        return int(CommandStatus.ESME_RINVBNDSTS)

    def _handle_malformed(self, pdu: Malformed, received: Received) -> None:
        self.malformed += 1
        if pdu.fatal:
            self._out.append(encode(GenericNack(pdu.sequence_number, pdu.error)))
            self.end(pdu.text)
        elif pdu.received_command_id & RESPONSE:
            self._match(pdu, self.window.pending.pop(pdu.sequence_number, None), received)
        elif pdu.received_command_id not in _UNANSWERED:
            told = self.state in BOUND or pdu.received_command_id in BOUND_BY
            status = pdu.error if told else CommandStatus.ESME_RINVBNDSTS
            self._answer(pdu.received_command_id, pdu.sequence_number, status)

    def _handle_unknown(self, pdu: UnknownPdu) -> None:
        self.malformed += 1
        if not pdu.received_command_id & RESPONSE:
            self._out.append(encode(GenericNack(pdu.sequence_number, CommandStatus.ESME_RINVCMDID)))

    def _handle_bind(self, pdu: Bind, requests: list[Pdu]) -> None:
        if self.role is Role.ESME:
            self._answer(pdu.command_id, pdu.sequence_number, CommandStatus.ESME_RINVCMDID)
        elif self.state is State.OPEN:
            self.bind = pdu
            self._change(Event.BIND_BEGUN)
            requests.append(pdu)
        elif self.state in BOUND or self.state is State.BINDING:
            self._answer(pdu.command_id, pdu.sequence_number, CommandStatus.ESME_RALYBND)
        else:
            self._answer(pdu.command_id, pdu.sequence_number, CommandStatus.ESME_RINVBNDSTS)

    def _handle_unbind(self, pdu: Unbind, now: float) -> None:
        ours_waits = self._leaving and self._unbind_request is None
        if self.state not in BOUND and not ours_waits:
            crossing = Own.UNBIND in self.window.pending.values()  # both sides asked at the same time
            status = CommandStatus.ESME_ROK if crossing else CommandStatus.ESME_RINVBNDSTS
            self._answer(pdu.command_id, pdu.sequence_number, status)
            return
        self._unbind_request = pdu
        self._unbinding_until = now + self.settings.response_timeout_s
        if not ours_waits:
            self._change(Event.UNBIND_BEGUN)
        self._leaving = True
        self._part_when_due()

    def _part_when_due(self) -> None:
        """Once all requests of the peer have been answered: answer its unbind, after which it closes the socket or the
        timer does; or send ours, as a peer may close the socket as soon as it has that.
        """
        if self.unanswered:
            return
        self._leaving = False
        if self._unbind_request is None:
            self.window.reserved += 1
            self.request(Unbind(), Own.UNBIND)
        else:
            self._out.append(encode(UnbindResp(self._unbind_request.sequence_number)))
            self._unbind_request = None
            self._unbind_answered = True

    def _answer(self, command_id: int, sequence_number: int, status: int) -> None:
        """Answer a request with an error in its own response PDU, or with generic_nack where it has none."""
        response = CLASSES.get(command_id | RESPONSE, GenericNack)
        self._out.append(encode(response(sequence_number, int(status)), self._error_bodies))

    # What the owner does

    def accept_bind(self, system_id: bytes, send_version: bool = True) -> None:
        """Answer the pending bind with success (SMPP 3.4 section 4.1); from here on the session is bound."""
        bind = self._pending_bind()
        response = CLASSES[bind.command_id | RESPONSE](bind.sequence_number)
        assert isinstance(response, BindResp)
        response.system_id = system_id
        self.peer_version = bind.interface_version
        self.takes_tlvs = bind.interface_version >= SMPP_3_4
        self._strips_tlvs = not self.takes_tlvs
        if send_version and self.takes_tlvs:
            response.tlvs = (make(Tag.SC_INTERFACE_VERSION, version_for(bind.interface_version)),)
        self._out.append(encode(response))
        self._reader.limit_octets = self.settings.max_pdu_octets
        self._change(BOUND_BY[bind.command_id])

    def refuse_bind(self, status: int) -> None:
        """Answer the pending bind with an error; the session ends when the answer is out (wire.md B4)."""
        bind = self._pending_bind()
        self._answer(bind.command_id, bind.sequence_number, status)
        self.end('bind refused')

    def _pending_bind(self) -> Bind:
        if self.bind is None or self.state is not State.BINDING:
            raise SessionError(f'no bind waits for an answer in state {self.state.value}')
        return self.bind

    def begin_bind(self, bind: Bind) -> None:
        """Send `bind` to the SMSC we are an ESME of; the response moves the session on."""
        self.bind = bind
        self._change(Event.BIND_BEGUN)
        self.window.reserved += 1
        self.request(bind, Own.BIND)

    def request(self, pdu: Pdu, context: Any) -> None:
        """Send a request; its response comes back beside `context`. The caller has reserved a slot of the window.

        Raises PduError when a parameter has no wire form; then nothing is sent and nothing outstanding. An ESME below
        3.4 gets no TLVs, whatever `pdu` holds (wire.md B2).
        """
        if self._strips_tlvs:
            pdu = without_tlvs(pdu)
        sequence_number = self._sequence_number = self._sequence_number % MAX_SEQUENCE_NUMBER + 1
        while sequence_number in self.window.pending:
            sequence_number = self._sequence_number = self._sequence_number % MAX_SEQUENCE_NUMBER + 1
        pdu.sequence_number = sequence_number
        octets = encoders[pdu.__class__](pdu)
        self.window.add(sequence_number, context)
        self._out.append(octets)

    def notify(self, pdu: Pdu) -> None:
        """Send a PDU that has no response, such as alert_notification; raises PduError as `request` does."""
        if self._strips_tlvs:
            pdu = without_tlvs(pdu)
        pdu.sequence_number = self._sequence_number = self._sequence_number % MAX_SEQUENCE_NUMBER + 1
        self._out.append(encoders[pdu.__class__](pdu))

    def respond(self, response: Pdu) -> None:
        """Send the response to one request that `receive` gave out."""
        if self._strips_tlvs:
            response = without_tlvs(response)
        self._out.append(encoders[response.__class__](response, self._error_bodies))
        self.unanswered -= 1
        if self._leaving:
            self._part_when_due()

    def refuse(self, request: Pdu, status: int) -> None:
        """Answer one request that `receive` gave out with an error."""
        self._answer(request.command_id, request.sequence_number, status)
        self.unanswered -= 1
        if self._leaving:
            self._part_when_due()

    def hold(self, extra: int, later: int = 0) -> bool:
        """Count a request given out `extra` times more in the window, as a message of so many more segments.

        `later` requests were given out after this one, which they must not crowd out. False, with nothing counted, when
        it does not fit; a request that is alone always fits (wire.md C6). The owner gives the slots back by `free`
        before or after it responds.
        """
        before = self.unanswered - later
        if before > 1 and before + extra > self.receive_window:
            return False
        self.unanswered += extra
        return True

    def free(self, extra: int) -> None:
        """Give back what `hold` has counted."""
        self.unanswered -= extra
        if self._leaving:
            self._part_when_due()

    def set_window(self, size: int) -> None:
        """Have both windows hold `size` requests from now on; what happens beyond is `settings.window_exceeded`."""
        self.window.size = size
        if self.settings.window_exceeded:
            self.receive_window = size
        else:
            self.receive_window, self.pause_above = sys.maxsize, size - 1

    def begin_unbind(self, now: float, reason: str) -> None:
        """Ask the peer to part, once its requests are answered; until then nothing but responses is sent to it.

        Sessions that are not bound end at once, those that are parting already go on with that.
        """
        if self.state is State.UNBINDING:
            return
        if self.state not in BOUND:
            self.end(reason)
            return
        self._unbinding_until = now + self.settings.unbind_timeout_s
        self.close_reason = reason
        self._change(Event.UNBIND_BEGUN)
        self._leaving = True
        self._part_when_due()

    def end(self, reason: str) -> None:
        """End the session; the shell closes the socket once what is left to send is out."""
        self.close_reason = self.close_reason or reason
        self._change(Event.ENDED)

    def take_octets(self, now: float) -> bytes:
        """Return what is to be sent now; requests among it get their deadline."""
        out = self._out
        if not out:
            return b''
        octets = out[0] if len(out) == 1 else b''.join(out)
        out.clear()
        if self._unbind_answered:
            self._unbind_answered = False
            self._unbinding_until = min(self._unbinding_until, now + self.settings.unbind_timeout_s)
        self.window.mark_sent(now + self.settings.response_timeout_s)
        return octets

    def drop_outstanding(self) -> list[Any]:
        """Forget the requests that wait for a response, as the socket is gone; return the owner's contexts."""
        return [context for context in self.window.drop_all() if context.__class__ is not Own]

    @property
    def speaks_5(self) -> bool:
        """The peer has said that it speaks 5.0."""
        return self.peer_version >= SMPP_5_0

    @property
    def has_octets(self) -> bool:
        """Something waits to be sent."""
        return bool(self._out)

    # Time

    def handle_timer(self, now: float) -> list[Any]:
        """Do what is due at `now`, called about once a second; return the contexts of requests that got no response."""
        settings = self.settings
        expired = self.window.expire(now)
        if Own.ENQUIRE_LINK in expired or Own.BIND in expired:
            self.end('no response in time')
        expired = [context for context in expired if context.__class__ is not Own]
        if self.state in BOUND:
            self._handle_bound_timer(now)
        elif self.state is State.UNBINDING and now > self._unbinding_until:
            self.end('unbind')
        elif self._is_unbound and settings.session_init_s and now - self._opened_at > settings.session_init_s:
            self.end('no bind in time')
        if self._partial_since is not None and now - self._partial_since > settings.pdu_read_s:
            self.end('PDU not finished in time')
        return expired

    @property
    def _is_unbound(self) -> bool:
        """Nothing is bound yet for want of a bind, or of our answer to one; the answer to ours has its own timer."""
        return self.state is State.OPEN or (self.state is State.BINDING and self.role is Role.SMSC)

    def _handle_bound_timer(self, now: float) -> None:
        settings = self.settings
        if self.unanswered > self.pause_above:  # it is not read, so nobody knows what it has said
            return
        if settings.inactivity_s and now - self._last_message > settings.inactivity_s:
            self.begin_unbind(now, 'inactive')
        elif settings.enquire_link_s and now - self._last_received > settings.enquire_link_s and not self._enquiring:
            self._enquiring = True
            self.window.reserved += 1
            self.request(EnquireLink(), Own.ENQUIRE_LINK)

    def _change(self, event: Event) -> None:
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            raise SessionError(f'{event.value} in state {self.state.value}')
        self.state = state
        self._receivable = RECEIVABLE[self.role, state]
