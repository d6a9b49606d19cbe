"""From a submit_sm to a committed message in an outbox: admit, decide, commit, respond, dispatch.

Nothing here waits: what a check refuses is answered at once; what is admitted gathers for the next commit and is
answered after it (promise 1). While the store is away, or what gathers is full, ESMEs are told to come again later.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.errors import Refused, StoreUnavailable
from domain.message import Kind, Message, Notice
from pdu.pdus import SubmitSm, SubmitSmResp
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from pdu.times import TimeFormatError
from pdu.times import parse as parse_time
from pdu.tlvs import Tag, find
from smpp.aio.connection import Connection
from smsc.clock import wall_ms
from smsc.core import HOUR_MS, Core
from smsc.receipt_pdu import format_message_id
from smsc.stage import Stage
from smsc.text import UDHI, payload_of, text_of
from storage.rows import Outcome

if TYPE_CHECKING:
    from smsc.account import Account

ACCEPT_GIVE_UP_S = 10.0
SCHEDULE_HORIZON_MS = 30 * 24 * HOUR_MS
MAX_VALIDITY_MS = 90 * 24 * HOUR_MS
MAX_ADDRESS_DIGITS = 20
MAX_ALPHANUMERIC = 11
ALPHANUMERIC_TON = 5
TONS = frozenset(range(7))  # SMPP 3.4 section 5.2.5
NPIS = frozenset({0, 1, 3, 4, 6, 8, 9, 10, 14, 18})  # section 5.2.6
MODE = 0x03  # esm_class bits 1-0: 1 datagram, 2 transaction
MAX_PRIORITY = 3
PAUSE_REASON = 'gathering'


class Ingress:
    """Admits messages of ESMEs, commits them and hands them to the outboxes of their upstreams."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.accepting = Stage[Message, bool](
            'accept', self._commit, self._handle_accepted, self._refuse_all, core.configuration.queues.batch
        )
        self.accepting.on_room = self.resume
        self._paused: set[Connection] = set()

    def handle_submits(self, connection: Connection, account: 'Account', submits: list[SubmitSm], now_ms: int) -> None:
        """Admit what one read brought; what is refused is answered in the same write."""
        session = connection.session
        now = self.core.loop.time()
        for pdu in submits:
            try:
                self._admit(connection, account, pdu, now, now_ms)
            except Refused as refusal:
                account.answers[refusal.command_status] += 1
                session.refuse(pdu, refusal.command_status)
        self.accepting.kick()
        if self._too_much and self.core.store.health.available:  # else they are to hear at once that it is away
            self._paused.add(connection)
            connection.pause_reading(PAUSE_REASON)

    @property
    def _too_much(self) -> bool:
        return self.accepting.full or self.core.shelf.load > self.accepting.bound

    def resume(self) -> None:
        """Let the sockets be read again that fed a full stage."""
        if self._paused and not (self._too_much and self.core.store.health.available):
            paused, self._paused = self._paused, set()
            for connection in paused:
                connection.resume_reading(PAUSE_REASON)

    def _admit(self, connection: Connection, account: 'Account', pdu: SubmitSm, now: float, now_ms: int) -> None:
        """Put a message into the gathering batch. Raises Refused with the status for its submit_sm_resp."""
        core = self.core
        config = account.config
        if config is None or core.draining or not core.store.health.available:
            raise _STORE_AWAY
        check_parameters(pdu)
        if account.waiting >= config.waiting:
            raise _QUEUE_FULL
        if not account.rate.take(1, now):
            raise _THROTTLED
        destination = pdu.destination_addr.decode('ascii')
        decision = core.table.decide(
            account.name, pdu.source_addr.decode('latin-1'), destination, lambda: text_of(pdu, config.alphabet)
        )
        if decision.reject:
            raise Refused(decision.reject, f'route {decision.route or "none"}')
        registered = pdu.registered_delivery
        message = Message(
            core.ids.next(now_ms),
            Kind.MT,
            account.name,
            decision.upstreams[0],
            pdu,
            pdu.priority_flag or config.priority if decision.priority is None else decision.priority,
            now_ms + account.validity_ms,
            registered,
            Notice.ASKED if registered & 3 else Notice.NONE,
        )
        if pdu.validity_period or pdu.schedule_delivery_time:
            set_times(message, now_ms)
        message.route = decision.route
        message.upstreams = decision.upstreams
        message.counted = True
        message.reply = (connection, pdu.sequence_number)
        account.waiting += 1
        core.live[message.id] = message
        self.accepting.items.append(message)

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
            connection, sequence_number = message.reply
            message.reply = None
            message.pdu.octets = b''
            account = self.core.accounts[message.account]
            account.accepted += 1
            connection.session.respond(SubmitSmResp(sequence_number, 0, format_message_id(message.id, account.config)))
            touched.add(connection)
            upstreams.add(dispatch(self.core, message))
        for connection in touched:
            connection.flush()
        for name in upstreams:
            if name:
                self.core.upstreams[name].feed.pump()

    def _refuse_all(self, messages: list[Message]) -> None:
        """The store did not come back in time: say so, and see to it that what was stored all the same is not sent."""
        core = self.core
        touched: set[Connection] = set()
        for message in messages:
            connection, sequence_number = message.reply
            message.reply = None
            core.count_sent(message)
            core.accounts[message.account].answers[int(CommandStatus.ESME_RSYSERR)] += 1
            connection.session.respond(SubmitSmResp(sequence_number, int(CommandStatus.ESME_RSYSERR)))
            touched.add(connection)
            core.finishing.items.append(
                Outcome(message, MessageState.REJECTED, int(CommandStatus.ESME_RSYSERR), Notice.NONE)
            )
        core.finishing.kick()
        for connection in touched:
            connection.flush()


_STORE_AWAY = Refused(int(CommandStatus.ESME_RSYSERR), 'the store is away')
_QUEUE_FULL = Refused(int(CommandStatus.ESME_RMSGQFUL), 'too many messages waiting')
_THROTTLED = Refused(int(CommandStatus.ESME_RTHROTTLED), 'rate')


def check_parameters(pdu: SubmitSm) -> None:
    """Check the mandatory parameters of a submit_sm (wire.md C10 to C24). Raises Refused."""
    destination = pdu.destination_addr
    if not (destination.isdigit() or (destination[:1] == b'+' and destination[1:].isdigit())):
        raise Refused(CommandStatus.ESME_RINVDSTADR, 'destination_addr is not a number')
    if len(destination) > MAX_ADDRESS_DIGITS:
        raise Refused(CommandStatus.ESME_RINVDSTADR, 'destination_addr is too long')
    if pdu.dest_addr_ton not in TONS or pdu.dest_addr_npi not in NPIS:
        bad_ton = pdu.dest_addr_ton not in TONS
        raise Refused(CommandStatus.ESME_RINVDSTTON if bad_ton else CommandStatus.ESME_RINVDSTNPI, 'destination')
    if pdu.source_addr_ton not in TONS or pdu.source_addr_npi not in NPIS:
        bad_ton = pdu.source_addr_ton not in TONS
        raise Refused(CommandStatus.ESME_RINVSRCTON if bad_ton else CommandStatus.ESME_RINVSRCNPI, 'source')
    if pdu.source_addr_ton == ALPHANUMERIC_TON and len(pdu.source_addr) > MAX_ALPHANUMERIC:
        raise Refused(CommandStatus.ESME_RINVSRCADR, 'an alphanumeric sender has at most 11 characters')
    if pdu.esm_class or pdu.priority_flag or pdu.replace_if_present_flag or pdu.sm_default_msg_id or pdu.tlvs:
        _check_rare_parameters(pdu)


def _check_rare_parameters(pdu: SubmitSm) -> None:
    """Check what most messages leave empty."""
    if pdu.esm_class:
        _check_esm_class(pdu)
    if pdu.priority_flag > MAX_PRIORITY:
        raise Refused(CommandStatus.ESME_RINVPRTFLG, 'priority_flag is 0 to 3')
    if pdu.replace_if_present_flag:
        raise Refused(CommandStatus.ESME_RINVREPFLAG, 'replace_if_present_flag is not supported')
    if pdu.sm_default_msg_id:
        raise Refused(CommandStatus.ESME_RINVDFTMSGID, 'no default messages are configured')
    if pdu.short_message and find(pdu.tlvs, Tag.MESSAGE_PAYLOAD):
        raise Refused(CommandStatus.ESME_ROPTPARNOTALLWD, 'both short_message and message_payload')


def _check_esm_class(pdu: SubmitSm) -> None:
    if pdu.esm_class & MODE in (1, 2):
        raise Refused(CommandStatus.ESME_RINVESMCLASS, 'only store and forward is supported')
    if pdu.esm_class & UDHI:
        octets = payload_of(pdu)
        if not octets or 1 + octets[0] > len(octets):
            raise Refused(CommandStatus.ESME_RINVESMCLASS, 'the user data header is longer than the message')


def set_times(message: Message, now_ms: int) -> None:
    """Set when a message is due and expires, from its PDU; relative times count from `now_ms`. Raises Refused."""
    pdu = message.pdu
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    if pdu.schedule_delivery_time:
        due_at = _time_ms(pdu.schedule_delivery_time, now, CommandStatus.ESME_RINVSCHED)
        if due_at > now_ms + SCHEDULE_HORIZON_MS:
            raise Refused(CommandStatus.ESME_RINVSCHED, 'scheduled too far ahead')
        message.due_at = due_at
        message.expires_at += max(0, due_at - now_ms)
    if pdu.validity_period:
        expires_at = _time_ms(pdu.validity_period, now, CommandStatus.ESME_RINVEXPIRY)
        if expires_at <= max(now_ms, message.due_at):
            raise Refused(CommandStatus.ESME_RINVEXPIRY, 'validity_period has ended already')
        message.expires_at = min(expires_at, now_ms + MAX_VALIDITY_MS)


def _time_ms(octets: bytes, now: datetime, status: CommandStatus) -> int:
    try:
        return int(parse_time(octets, now).timestamp() * 1000)
    except TimeFormatError as error:
        raise Refused(status, str(error)) from error


def dispatch(core: Core, message: Message) -> str:
    """Put a committed message into the outbox of the first upstream of its route that is up; return its name.

    Without one that is up it waits for the first. When a reload took them all away, today's routes decide; without a
    route it is rejected and '' is returned.
    """
    name = _choose(core, message)
    if not name:
        core.decide(message)
        name = _choose(core, message)
    if not name:
        core.reject(message, int(CommandStatus.ESME_RINVDSTADR))
        return ''
    message.upstream = name
    outbox = core.upstreams[name].feed.outbox
    if message.due_at and message.due_at > wall_ms():
        outbox.defer(message, message.due_at)
    else:
        outbox.put(message)
    return name


def _choose(core: Core, message: Message) -> str:
    first = ''
    for name in message.upstreams:
        upstream = core.upstreams.get(name)
        if upstream is not None:
            if upstream.feed.connections:
                return name
            first = first or name
    return first
