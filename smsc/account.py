"""An account at work: its sessions, its limits, and what it is owed: receipts and MO messages, until it acknowledges.

A receipt goes to any session of the account that may receive. Acknowledged, it is closed; refused for good, or older
than the account keeps receipts, it is given up; refused for now, it comes again after a back-off; unanswered, it goes
to the next session at once (wire.md E9 to E12). An MO message that needs TLVs is for sessions that take them; while
there is none, it waits on disk (E19). An intermediate notification is no more than a courtesy: it goes at
once or not at all, and nobody asks what became of it.
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import structlog

from domain.message import Kind, Message, Notice
from pdu.command import CommandId
from pdu.pdus import DataSmResp, DeliverSm, DeliverSmResp, Malformed, Pdu
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus, PduError
from smpp.aio.connection import Connection
from smpp.states import RECEIVING
from smsc.admission import is_particular
from smsc.clock import wall_ms
from smsc.config.schema import AccountConfig
from smsc.core import HOUR_MS, Core
from smsc.deciding import Submitter
from smsc.feed import Feed
from smsc.limits import EachRate, Rate, count_status, rates_of_senders
from smsc.mo_pdu import alphabet_for, alphabet_from, mo_message, needs_tlvs
from smsc.outbox import Outbox
from smsc.policy import submitter_of
from smsc.receipt_pdu import form_of, intermediate, receipt
from smsc.wire_forms import whole_octets

if TYPE_CHECKING:
    from smsc.esme import EsmeSession

log = structlog.get_logger()

RETRY_FIRST_MS = 5_000
RETRY_LAST_MS = 300_000
DEFAULT_KEEP_H = 72
NEEDS_TLVS_RETRY_MS = 30_000
HELD_BOUND = 200  # MO messages that are held for one session, as others cannot take them
PAID_PARTS_BOUND = 1_000  # concatenated messages of which an ESME may still send parts that are paid for
PartKey = tuple[bytes, bytes, int, int]
_MT, _MO, _ACKNOWLEDGED = Kind.MT, Kind.MO, Notice.ACKNOWLEDGED  # to look a member of an enum up takes 0.1 us
TEMPORARY = frozenset(
    int(status)
    for status in (
        CommandStatus.ESME_RX_T_APPN,
        CommandStatus.ESME_RMSGQFUL,
        CommandStatus.ESME_RTHROTTLED,
        CommandStatus.ESME_RSYSERR,
    )
)
"""What an ESME says when it will take the same deliver_sm later; every other error is for good."""

INTERMEDIATE_ASKED = 0x10  # bit 4 of registered_delivery, SMPP 3.4 section 5.2.17


class Intermediate:
    """Stands in a window for an intermediate notification, which belongs to no message."""


INTERMEDIATE = Intermediate()
ACKNOWLEDGEMENTS = frozenset({int(CommandId.DELIVER_SM_RESP), int(CommandId.DATA_SM_RESP)})


class Account:
    """One account; without a configuration it only holds what messages of a removed account still have to come."""

    def __init__(self, core: Core, name: str, config: AccountConfig | None) -> None:
        self.core = core
        self.name = name
        self.sessions: set[EsmeSession] = set()
        self.waiting = 0
        self.accepted = 0
        self.answers: dict[int, int] = defaultdict(int)
        self.delivered: dict[int, int] = defaultdict(int)
        self.given_up = 0
        self.acknowledged = 0  # receipts, and how long they took since their messages were final, in sum
        self.receipt_lag_ms = 0
        self.intermediate_sent = 0
        self.intermediate_dropped = 0  # no session had room, or it has no wire form
        self.rate = Rate(0, 0, core.loop.time())
        if core.configuration.cluster is not None:
            self.rate.hold(0)  # until its share is known
        self.sender_rates: EachRate | None = None
        self.waiting_bound = 0  # less what waits at other nodes
        self._logged_needs_tlvs = False
        self.recoded = False  # messages may become longer on their way, see `wire_forms`
        self.whole_octets = whole_octets('gsm')
        self.submitter = Submitter(name)
        self.particular = False  # rules of its own for its messages, see `admission`
        self._paid_parts: dict[PartKey, int] = {}
        outbox = Outbox(f'account {name}', core.configuration.queues.memory, core.shelf)
        self.feed = Feed(outbox, RECEIVING, self._send, core.loop, core.readers, core.fence)
        self.configure(config)

    def configure(self, config: AccountConfig | None) -> None:
        """Go on with this configuration; sessions stay."""
        self.config = config
        self.form = form_of(config)
        self.validity_ms = (config.validity_h if config else DEFAULT_KEEP_H) * HOUR_MS
        self.keep_ms = (config.receipts.keep_h if config else DEFAULT_KEEP_H) * HOUR_MS
        if config:
            self.rate.configure(config.rate_per_s)
            if (self.sender_rates.limit_per_s if self.sender_rates else 0) != config.sender_rate_per_s:
                self.sender_rates = rates_of_senders(config.sender_rate_per_s)
            self.waiting_bound = config.waiting
            upstreams = self.core.configuration.upstreams.values()
            self.submitter = submitter_of(self.core.configuration, config, self.core.decider)
            self.whole_octets = whole_octets(config.alphabet)
            self.particular = is_particular(config)
            self.recoded = any(upstream.alphabet != config.alphabet for upstream in upstreams)

    def take(self, source_addr: bytes, segments: int, now: float) -> bool:
        """Take segments out of the rates of this account and of the sender; False when there is not room for all."""
        if not self.rate.take_whole(segments, now):
            return False
        if self.sender_rates is not None and not self.sender_rates.of(source_addr, now).take_whole(segments, now):
            self.rate.give(segments)
            return False
        return True

    def take_part(self, key: PartKey, now: float) -> bool:
        """Take one part that the ESME made of a message out of its rate; the first pays for all of them (wire.md C6).

        `key` is source, destination, reference and total. False when the rate has not room for all of them.
        """
        left = self._paid_parts.pop(key, 0)
        if not left:
            left = max(1, key[3])
            if not self.take(key[0], left, now):
                return False
        if left > 1:
            self._paid_parts[key] = left - 1
            if len(self._paid_parts) > PAID_PARTS_BOUND:
                del self._paid_parts[next(iter(self._paid_parts))]
        return True

    def _send(self, connection: Connection, message: Message, now_ms: int) -> bool:
        """Put a receipt or an MO message into a session.

        False when its time has run out, when it has no wire form, or when it waits for a session that takes TLVs.
        """
        is_receipt = message.kind == _MT
        if (message.done_at + self.keep_ms if is_receipt else message.expires_at) <= now_ms:
            self.give_up(message)
            return False
        session = connection.session
        try:
            if is_receipt:
                session.request(receipt(message, self.form, session.takes_tlvs), message)
            else:
                pdu = self._mo_message(message)
                if not session.takes_tlvs and needs_tlvs(pdu):
                    self._hold_for_tlvs(message, now_ms)
                    return False
                session.request(pdu, message)
        except PduError as error:
            log.warning('message.unencodable', message_id=message.id, account=self.name, error=str(error))
            self.give_up(message)
            return False
        return True

    @property
    def lacks_tlvs(self) -> bool:
        """Somebody reads, and nobody who takes TLVs."""
        connections = self.feed.connections
        return bool(connections) and not any(connection.session.takes_tlvs for connection in connections)

    def _hold_for_tlvs(self, message: Message, now_ms: int) -> None:
        """Give an MO message to the session that takes TLVs and has least to do; let it wait if there is none."""
        feed = self.feed
        able = [connection for connection in feed.connections if connection.session.takes_tlvs]
        if able:
            best = min(able, key=lambda connection: len(feed.held.get(connection, ())) - connection.session.window.free)
            if len(feed.held.get(best, ())) < HELD_BOUND:
                feed.hold(best, [message])
            else:
                feed.outbox.defer(message, now_ms + RETRY_FIRST_MS)
            return
        if not self._logged_needs_tlvs:
            self._logged_needs_tlvs = True
            log.warning('mo.needs_tlvs', account=self.name, message_id=message.id)
        feed.outbox.defer(message, now_ms + NEEDS_TLVS_RETRY_MS)

    def send_intermediate(self, message: Message, state: int) -> bool:
        """Let the ESME know of a state that is not final, if it asked for that; return whether it was sent.

        It goes to any session with room, is not kept for one, and not repeated (wire.md E7).
        """
        if message.state != MessageState.ENROUTE or not message.registered_delivery & INTERMEDIATE_ASKED:
            return False
        for connection in self.feed.connections:
            session = connection.session
            if connection.writable and session.window.reserve(1):
                pdu = intermediate(message, state, wall_ms(), self.form, session.takes_tlvs)
                try:
                    session.request(pdu, INTERMEDIATE)
                except PduError:
                    session.window.release()
                    break
                connection.flush()
                self.intermediate_sent += 1
                return True
        self.intermediate_dropped += 1
        return False

    def _mo_message(self, message: Message) -> DeliverSm:
        assert isinstance(message.pdu, DeliverSm)
        upstream = self.core.upstreams.get(message.upstream)
        source = alphabet_from(upstream.config if upstream else None)
        return mo_message(message.pdu, source, alphabet_for(self.config))

    def handle_responses(self, connection: Connection, responses: list[tuple[Any, Pdu]]) -> None:
        """Take an ESME's deliver_sm_resp and data_sm_resp in."""
        freed = 0
        now_ms = wall_ms()
        closing = self.core.closing.items
        for message, pdu in responses:
            status = pdu.command_status
            if status:
                count_status(self.delivered, status)
            else:
                self.delivered[0] += 1
            if message is INTERMEDIATE:
                freed += 1
            elif not status and (pdu.__class__ is DeliverSmResp or _acknowledges(pdu)):
                message.notice = _ACKNOWLEDGED
                if message.kind == _MO:
                    message.state = MessageState.DELIVERED
                else:
                    self.acknowledged += 1
                    self.receipt_lag_ms += now_ms - message.done_at
                closing.append((connection, message))
            elif status in TEMPORARY:
                freed += 1
                self._again_later(message)
            else:
                self._refused(connection, message, status or int(CommandStatus.ESME_RUNKNOWNERR))
        self.core.closing.kick()
        if freed:
            self.core.release({connection: freed})

    def handle_unanswered(self, connection: Connection, contexts: list[Any]) -> None:
        """These got no response: they go to the next session, or to the same again."""
        self.feed.outbox.put_back([context for context in contexts if context is not INTERMEDIATE])
        self.core.release({connection: len(contexts)})
        self.feed.pump()  # a connection that is gone is nobody's reader any more

    def give_up(self, message: Message) -> None:
        """Stop trying to deliver a receipt or an MO message."""
        self.given_up += 1
        self._refused(None, message, 0)
        self.core.closing.kick()

    def _refused(self, connection: Connection | None, message: Message, status: int) -> None:
        message.notice = Notice.GIVEN_UP
        message.error = status
        if message.kind == Kind.MO:
            message.state = MessageState.REJECTED if status else MessageState.EXPIRED
        self.core.closing.items.append((connection, message))

    def _again_later(self, message: Message) -> None:
        delay_ms = min(RETRY_FIRST_MS * 2 ** min(message.attempts, 10), RETRY_LAST_MS)
        message.attempts += 1
        self.feed.outbox.defer(message, wall_ms() + delay_ms)


def _acknowledges(pdu: Pdu) -> bool:
    """Return whether a response with ESME_ROK means that the ESME has it: what else its body says is of no use."""
    return isinstance(pdu, DataSmResp) or (isinstance(pdu, Malformed) and pdu.received_command_id in ACKNOWLEDGEMENTS)
