"""From a submit_sm, submit_multi or data_sm to a committed message in an outbox: admit, decide, commit, respond,
dispatch.

Nothing here waits: what a check refuses is answered at once; what is admitted gathers for the next commit and is
answered after it (promise 1). While the store is away, or what gathers is full, ESMEs are told to come again later.
"""

from typing import TYPE_CHECKING, Any

from domain.errors import Refused, StoreUnavailable
from domain.message import Kind, Message, Notice
from pdu.codec import encode
from pdu.fields import DistributionList, SmeAddress, UnsuccessSme
from pdu.pdus import DataSm, DataSmResp, Pdu, SubmitMulti, SubmitMultiResp, SubmitSm, SubmitSmResp
from pdu.receipt_text import MessageState
from pdu.segments import MAX_SEGMENTS, UDHI
from pdu.status import CommandStatus
from pdu.tlvs import Tag
from smpp.aio.connection import Connection
from smpp.session import Session
from smpp.versions import SMPP_5_0
from smsc.admission import (
    check_destinations,
    check_parameters,
    check_part,
    set_times,
    status_of,
    submit_of_data,
    submit_to,
)
from smsc.core import Core
from smsc.dispatching import dispatch
from smsc.message_ids import format_message_id
from smsc.stage import Stage
from smsc.text import text_of
from smsc.wire_forms import part_of, segment_count
from storage.rows import Outcome

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.config.schema import AccountConfig

ACCEPT_GIVE_UP_S = 10.0
WHOLE_FORMS = frozenset({'payload', 'as_is'})
HELD_A_MESSAGE = 5  # segments, on average over a full stage, beyond which sockets are not read
MOST_CONGESTED = 99  # congestion_state in percent as long as messages are accepted, SMPP 5.0 section 4.8.4.18
PAUSE_REASON = 'gathering'
Submit = SubmitSm | DataSm | SubmitMulti


class MultiReply:
    """The response to a submit_multi, which is due once each of its messages is committed, or is not."""

    __slots__ = ('_left', '_messages', '_refused', 'held', 'response')

    def __init__(self, response: SubmitMultiResp, messages: int, held: int) -> None:
        """`held` slots of the window are free again with the response."""
        self.response = response
        self.held = held
        self._left = self._messages = messages
        self._refused = 0

    def accept(self) -> SubmitMultiResp | None:
        """One message is settled; return the response with the last one."""
        self._left -= 1
        return None if self._left else self.response

    def refuse(self, destination: tuple[int, int, bytes], status: int) -> SubmitMultiResp | None:
        """The same for a message that was not accepted."""
        self.response.unsuccess_sme = (*self.response.unsuccess_sme, UnsuccessSme(*destination, status))
        self._refused += 1
        if self._refused == self._messages:
            self.response.command_status, self.response.message_id = status, b''
        return self.accept()


Reply = tuple[Connection, SubmitSmResp | DataSmResp | MultiReply, int]
"""Where the response goes, the response, and how many slots of the window its request holds beside its own."""


class Ingress:
    """Admits messages of ESMEs, commits them and hands them to the outboxes of their upstreams."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.accepting = Stage[Message, bool](
            'accept', self._commit, self._handle_accepted, self._refuse_all, core.configuration.queues.batch
        )
        self.accepting.on_room = self.resume
        self._paused: set[Connection] = set()
        self._held = 0  # segments beyond the first of each message that gathers

    def handle_submits(self, connection: Connection, account: 'Account', submits: list[Submit], now_ms: int) -> None:
        """Admit what one read brought; what is refused is answered in the same write."""
        session = connection.session
        now = self.core.loop.time()
        for later, pdu in zip(range(len(submits) - 1, -1, -1), submits, strict=True):
            try:
                if pdu.__class__ is SubmitSm:
                    self._admit(connection, account, pdu, SubmitSmResp(pdu.sequence_number), now, now_ms, later)
                elif isinstance(pdu, DataSm):
                    submit = submit_of_data(pdu)
                    self._admit(connection, account, submit, DataSmResp(pdu.sequence_number), now, now_ms, later)
                else:
                    assert isinstance(pdu, SubmitMulti)
                    self._admit_multi(connection, account, pdu, now, now_ms, later)
            except Refused as refusal:
                account.answers[refusal.command_status] += 1
                session.refuse(pdu, refusal.command_status)
        self.accepting.kick()
        if self._too_much and self.core.store.health.available:  # else they are to hear at once that it is away
            self._paused.add(connection)
            connection.pause_reading(PAUSE_REASON)

    @property
    def _too_much(self) -> bool:
        accepting = self.accepting
        if self._held > HELD_A_MESSAGE * accepting.bound:
            return True
        return accepting.full or self.core.shelf.load > accepting.bound

    def resume(self) -> None:
        """Let the sockets be read again that fed a full stage."""
        if self._paused and not (self._too_much and self.core.store.health.available):
            paused, self._paused = self._paused, set()
            for connection in paused:
                connection.resume_reading(PAUSE_REASON)

    # Admission

    def _admit(
        self,
        connection: Connection,
        account: 'Account',
        pdu: SubmitSm,
        response: SubmitSmResp | DataSmResp,
        now: float,
        now_ms: int,
        later: int,
    ) -> None:
        """Put a message into the gathering batch. Raises Refused with the status for its response.

        `later` requests of the same read are still to be looked at.
        """
        config = self._config_of(account)
        session = connection.session
        speaks_5 = session.peer_version >= SMPP_5_0
        check_parameters(pdu, config, self.core.configuration.smpp, speaks_5, account.particular)
        if account.waiting >= config.waiting:
            raise Refused(*_QUEUE_FULL)
        segments = 1
        if pdu.tlvs or len(pdu.short_message) > account.whole_octets[pdu.data_coding] or pdu.esm_class & UDHI:
            segments = self._take_segments(account, config, pdu, now)
        elif self._held and session.unanswered - later > session.receive_window:
            raise _window_exceeded(session)
        elif not account.rate.take(1, now):
            raise Refused(*_THROTTLED)
        message = self._make(account, config, pdu, segments, now_ms)
        held = segments - 1
        if held and not session.hold(held, later):
            raise _window_exceeded(session)
        response.message_id = format_message_id(message.id, config)
        message.reply = connection, response, held
        self._held += held
        if pdu.replace_if_present_flag:
            self._gather(account, message)
            return
        message.counted = True  # what `_gather` does, without a call for each message
        account.waiting += 1
        self.core.live[message.id] = message
        self.accepting.items.append(message)

    def _config_of(self, account: 'Account') -> 'AccountConfig':
        core = self.core
        if account.config is None or core.draining or not core.store.health.available:
            raise Refused(*_STORE_AWAY)
        return account.config

    def _take_segments(self, account: 'Account', config: 'AccountConfig', pdu: SubmitSm, now: float) -> int:
        """Count the segments of a message, and take them from the account's rate, all or none (wire.md C6).

        The first part that an ESME sends of a message pays for all of them.
        """
        part = part_of(pdu)
        if part is not None:
            check_part(pdu, part, config)
            if not account.take_part((pdu.source_addr, pdu.destination_addr, part.reference, part.total), now):
                raise Refused(*_THROTTLED)
            return 1
        segments = segment_count(pdu, config.alphabet)
        if not account.rate.take_whole(segments, now):
            raise Refused(*_THROTTLED)
        return segments

    def _make(self, account: 'Account', config: 'AccountConfig', pdu: SubmitSm, segments: int, now_ms: int) -> Message:
        """Return a message that was admitted, with its route. Raises Refused without one."""
        core = self.core
        decision = core.table.decide(
            account.name,
            pdu.source_addr.decode('latin-1'),
            pdu.destination_addr.decode('ascii'),
            lambda: text_of(pdu, config.alphabet),
        )
        if decision.reject and (decision.route or config.no_route != 'receipt'):
            raise Refused(
                decision.reject if decision.route else status_of(config.no_route), f'route {decision.route or "none"}'
            )
        if segments > config.max_parts and (config.max_parts < MAX_SEGMENTS or self._is_split(decision.upstreams)):
            raise Refused(CommandStatus.ESME_RINVMSGLEN, f'{segments} segments')
        registered = pdu.registered_delivery
        message = Message(
            core.ids.next(now_ms),
            Kind.MT,
            account.name,
            decision.upstreams[0] if decision.upstreams else '',
            pdu,
            pdu.priority_flag or config.priority if decision.priority is None else decision.priority,
            now_ms + account.validity_ms,
            registered,
            Notice.ASKED if registered & 3 else Notice.NONE,
        )
        if pdu.validity_period or pdu.schedule_delivery_time:
            set_times(message, now_ms)
        if segments > 1 or account.recoded:
            message.segments = segments
            message.reference = core.references.next(pdu.source_addr, pdu.destination_addr)
        message.route = decision.route
        message.upstreams = decision.upstreams
        return message

    def _is_split(self, upstreams: tuple[str, ...]) -> bool:
        """Return whether one of these upstreams wants long messages in segments."""
        known = [self.core.upstreams[name] for name in upstreams if name in self.core.upstreams]
        return any(upstream.form.long_messages not in WHOLE_FORMS for upstream in known)

    def _gather(self, account: 'Account', message: Message) -> None:
        message.counted = True
        account.waiting += 1
        self.core.live[message.id] = message
        pdu = message.pdu
        if pdu.replace_if_present_flag:
            pdu.replace_if_present_flag = 0  # it is for us to replace: the operator has other messages
            pdu.octets = encode(pdu)
            self.core.amendments.replace_present(message, self._handle_replaced)
        else:
            self.accepting.items.append(message)

    def _admit_multi(
        self, connection: Connection, account: 'Account', pdu: SubmitMulti, now: float, now_ms: int, later: int
    ) -> None:
        """Admit the destinations of a submit_multi, each a message of its own; all have the id of the first."""
        config = self._config_of(account)
        check_destinations(pdu, connection.session.peer_version >= SMPP_5_0)
        if account.waiting + len(pdu.dest_address) > config.waiting:
            raise Refused(*_QUEUE_FULL)
        session = connection.session
        messages: list[Message] = []
        unsuccess: list[UnsuccessSme] = []
        segments = 0  # of each: what they say is the same
        for destination in pdu.dest_address:
            try:
                submit = self._submit_to(session, config, pdu, destination)
                segments = segments or segment_count(submit, config.alphabet)
                messages.append(self._make(account, config, submit, segments, now_ms))
            except Refused as refusal:
                account.answers[refusal.command_status] += 1
                unsuccess.append(_unsuccess(destination, refusal.command_status))
        if messages and not account.rate.take_whole(segments * len(messages), now):
            raise Refused(*_THROTTLED)
        held = max(0, segments * len(messages) - 1)
        if held and not session.hold(held, later):
            raise _window_exceeded(session)
        response = SubmitMultiResp(pdu.sequence_number, unsuccess_sme=tuple(unsuccess))
        if not messages:
            response.command_status = unsuccess[0].error_status_code
            session.respond(response)
            return
        response.message_id = format_message_id(messages[0].id, config)
        reply = MultiReply(response, len(messages), held)
        self._held += held
        for message in messages:
            message.shown_id = messages[0].id if message is not messages[0] else 0
            message.reply = connection, reply, held
            self._gather(account, message)

    def _submit_to(
        self, session: Session, config: 'AccountConfig', pdu: SubmitMulti, destination: SmeAddress | DistributionList
    ) -> SubmitSm:
        """Return the submit_sm of one destination, checked. Raises Refused."""
        if isinstance(destination, DistributionList):
            raise Refused(CommandStatus.ESME_RINVDLNAME, 'there are no distribution lists')
        submit = submit_to(pdu, destination.dest_addr_ton, destination.dest_addr_npi, destination.destination_addr)
        check_parameters(submit, config, self.core.configuration.smpp, session.peer_version >= SMPP_5_0)
        return submit

    # Answers

    async def _commit(self, messages: list[Message]) -> bool:
        """Commit a batch; return whether the store took it in time."""
        try:
            await self.core.store.accept(messages, ACCEPT_GIVE_UP_S)
        except StoreUnavailable:
            return False
        return True

    def _handle_accepted(self, messages: list[Message], stored: bool) -> None:
        """Answer a batch and pass it on to its upstreams."""
        if not stored:
            self._refuse_all(messages)
            return
        touched: set[Connection] = set()
        upstreams: set[str] = set()
        for message in messages:
            connection, response, held = message.reply
            message.reply = None
            message.pdu.octets = b''
            account = self.core.accounts[message.account]
            account.accepted += 1
            if response.__class__ is MultiReply:
                self._respond(connection, response.accept(), held)
            elif held or connection.session.peer_version >= SMPP_5_0:
                self._respond(connection, response, held)
            else:
                connection.session.respond(response)
            touched.add(connection)
            upstreams.add(dispatch(self.core, message) if message.upstreams else self._end_unrouted(message))
        for connection in touched:
            connection.flush()
        for name in upstreams:
            if name:
                self.core.upstreams[name].feed.pump()

    def _respond(self, connection: Connection, response: Pdu | None, held: int) -> None:
        if response is None:
            return
        session = connection.session
        if held:
            self._held -= held
            session.free(held)
        if session.peer_version >= SMPP_5_0:
            response.tlvs = ((int(Tag.CONGESTION_STATE), bytes([self._congestion()])),)  # type: ignore[attr-defined]
        session.respond(response)

    def _congestion(self) -> int:
        """Return how much of what may gather does, in percent (wire.md F24)."""
        return min(MOST_CONGESTED, 100 * self.accepting.load // self.accepting.bound)

    def _end_unrouted(self, message: Message) -> str:
        """The account wants messages without a route accepted, and a receipt that says so (wire.md C9)."""
        self.core.count_sent(message)
        self.core.finish(message, MessageState.UNDELIVERABLE, int(CommandStatus.ESME_RINVDSTADR))
        return ''

    def _handle_replaced(self, message: Message, replaced: Message | None, status: int) -> None:
        """A message with replace_if_present_flag has replaced a queued one, could not, or is a new one after all."""
        if status:
            self._refuse_one(message, status).flush()
        elif replaced is None:
            self.accepting.items.append(message)
            self.accepting.kick()
        else:
            connection, response, held = message.reply
            message.reply = None
            account = self.core.account(message.account)
            account.accepted += 1
            answer: Any = response.accept() if isinstance(response, MultiReply) else response
            answer.message_id = format_message_id(replaced.shown_id or replaced.id, account.config)
            self._respond(connection, answer, held)
            connection.flush()

    def _refuse_one(self, message: Message, status: int) -> Connection:
        """Answer a message that was admitted and is not accepted; return its connection, to be flushed."""
        reply: Reply = message.reply
        connection, response, held = reply
        message.reply = None
        account, pdu = self.core.account(message.account), message.pdu
        account.answers[status] += 1
        answer: Any = response
        if isinstance(response, MultiReply):
            answer = response.refuse((pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr), status)
        else:
            answer.command_status, answer.message_id = status, b''
        self._respond(connection, answer, held)
        return connection

    def _refuse_all(self, messages: list[Message]) -> None:
        """The store did not come back in time: say so, and see to it that what was stored all the same is not sent."""
        core = self.core
        status = int(CommandStatus.ESME_RSYSERR)
        touched: set[Connection] = set()
        for message in messages:
            touched.add(self._refuse_one(message, status))
            core.count_sent(message)
            core.finishing.items.append(Outcome(message, MessageState.REJECTED, status, Notice.NONE))
        core.finishing.kick()
        for connection in touched:
            connection.flush()


_STORE_AWAY = (int(CommandStatus.ESME_RSYSERR), 'the store is away')
_QUEUE_FULL = (int(CommandStatus.ESME_RMSGQFUL), 'too many messages waiting')
_THROTTLED = (int(CommandStatus.ESME_RTHROTTLED), 'rate')


def _window_exceeded(session: Session) -> Refused:
    return Refused(session.settings.window_exceeded, 'the window')


def _unsuccess(destination: SmeAddress | DistributionList, status: int) -> UnsuccessSme:
    if isinstance(destination, DistributionList):
        return UnsuccessSme(0, 0, destination.dl_name, status)
    return UnsuccessSme(destination.dest_addr_ton, destination.dest_addr_npi, destination.destination_addr, status)
