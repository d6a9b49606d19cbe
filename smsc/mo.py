"""MO messages: what operators send for an account, stored before it is acknowledged (promise 2).

A route names the account; without one the operator is refused. Stored, a message waits in the account's outbox as its
receipts do. For an account that wants long messages whole, parts are stored and acknowledged like any message, then
gather; the message they make is stored in one transaction with their end, and only that goes on (wire.md D16). Until
then they are unfinished messages: a start takes them up again. What cannot be stored goes back to the operator.

An alert_notification is no message: it goes to one session of its account, or nowhere.
"""

from collections.abc import Callable

import msgspec
import structlog

from domain.message import Kind, Message, Notice
from pdu.codec import encode
from pdu.pdus import AlertNotification, DataSm, DataSmResp, DeliverSm, DeliverSmResp
from pdu.receipt_text import MessageState
from pdu.segments import UDHI
from pdu.status import CommandStatus, PduError
from routing.facts import Facts
from routing.table import without_prefix
from smpp.aio.connection import Connection
from smsc.assembly import Assembler, MoPart, Step, join, read_part
from smsc.clock import wall_ms
from smsc.core import HOUR_MS, Core
from smsc.data_sm import converted
from smsc.mo_pdu import alphabet_from, needs_tlvs, segments_of
from smsc.stage import Stage
from smsc.text import text_of
from smsc.upstream import Upstream
from storage.rows import Outcome

log = structlog.get_logger()

LOG_EVERY_S = 10.0
MO_VALIDITY_MS = 72 * HOUR_MS


class Ending(msgspec.Struct, gc=False):
    """Parts that go no further: `joined` is the message they make; None, if they are copies of others."""

    parts: list[Message]
    joined: Message | None = None


def mo_facts(
    upstream: str, source_addr: str, destination_addr: str, read_text: Callable[[], str], now_ms: int
) -> Facts:
    """Return what is known of an MO message; nothing was looked up yet. Its number is the handset's."""
    handset = without_prefix(source_addr)
    number = int(handset) if handset.isdecimal() else 0
    return Facts(upstream, source_addr, without_prefix(destination_addr), number, read_text, now_ms)


class MoMessages:
    """MO messages of all upstreams."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.assembler = Assembler()
        self.accepted = 0
        self.refused = 0
        self.joined = 0
        self.incomplete = 0
        self.repeated_parts = 0
        self.alerts = 0
        self.alerts_dropped = 0
        self._taken_up: list[Message] = []
        self._no_route_logged_at = self._incomplete_logged_at = -LOG_EVERY_S
        batch = core.configuration.queues.batch
        self.accepting = Stage[Message, frozenset[int]](
            'accept MO', core.store.accept, self._handle_accepted, self._refuse, batch
        )
        self.ending_parts = Stage[Ending, None](
            'join MO', self._commit_endings, self._handle_ended, self._abandon_endings, batch
        )

    # From operators

    def handle(self, upstream: Upstream, connection: Connection, pdu: DeliverSm) -> None:
        """Take an MO message in; it is answered after the commit, or refused at once."""
        if not self._accept(upstream, connection, pdu, DeliverSmResp(pdu.sequence_number)):
            connection.session.refuse(pdu, CommandStatus.ESME_RX_P_APPN)

    def handle_data(self, upstream: Upstream, connection: Connection, pdu: DataSm) -> None:
        """The same for a data_sm, which is stored as a deliver_sm."""
        try:
            as_deliver_sm = converted(pdu, DeliverSm)
        except PduError as error:
            connection.session.refuse(pdu, error.command_status)
            return
        if not self._accept(upstream, connection, as_deliver_sm, DataSmResp(pdu.sequence_number)):
            connection.session.refuse(pdu, CommandStatus.ESME_RX_P_APPN)

    def _accept(
        self, upstream: Upstream, connection: Connection, pdu: DeliverSm, response: DeliverSmResp | DataSmResp
    ) -> bool:
        core = self.core
        account = self._decide(upstream, pdu.source_addr, pdu.destination_addr, pdu)
        if account is None:
            self._note_no_route(upstream)
            return False
        now_ms = wall_ms()
        message = Message(
            core.ids.next(now_ms),
            Kind.MO,
            account,
            upstream.name,
            pdu,
            min(pdu.priority_flag, 4),
            now_ms + MO_VALIDITY_MS,
            segments=segments_of(pdu),
        )
        message.reply = (connection, response)
        core.live[message.id] = message
        self.accepting.items.append(message)
        return True

    def _decide(
        self, upstream: Upstream, source_addr: bytes, destination_addr: bytes, pdu: DeliverSm | None
    ) -> str | None:
        """Return the account for what comes from and goes to these addresses, None without one."""
        facts = mo_facts(
            upstream.name,
            source_addr.decode('latin-1'),
            destination_addr.decode('latin-1'),
            lambda: text_of(pdu, alphabet_from(upstream.config)) if pdu else '',
            wall_ms(),
        )
        if self.core.table.mo_asks_place:
            self.core.decider.locate(facts)
        account = self.core.table.mo_decide(facts)
        return account if account in self.core.accounts else None

    def _note_no_route(self, upstream: Upstream) -> None:
        self.refused += 1
        if self.core.loop.time() > self._no_route_logged_at + LOG_EVERY_S:
            self._no_route_logged_at = self.core.loop.time()
            log.warning('mo.no_route', upstream=upstream.name, refused=self.refused)

    def _refuse(self, messages: list[Message]) -> None:
        """These cannot be stored: let the operator have them back."""
        for message in messages:
            self.core.live.pop(message.id, None)
            connection, response = message.reply
            message.reply = None
            response.command_status = int(CommandStatus.ESME_RX_P_APPN)
            connection.session.respond(response)
            connection.flush()

    def _handle_accepted(self, messages: list[Message], _: frozenset[int]) -> None:
        """Answer the operators and pass the messages on."""
        touched: set[Connection] = set()
        for message in messages:
            connection, response = message.reply
            message.reply = None
            message.pdu.octets = b''
            connection.session.respond(response)
            touched.add(connection)
            self.accepted += 1
        for connection in touched:
            connection.flush()
        for message in messages:
            self._place(message)
        self._pump(messages)

    # To accounts

    def take_up(self, message: Message) -> None:
        """Go on with a message that a start has found unfinished; parts of others wait for `gather_taken_up`."""
        self.core.live[message.id] = message
        if self._part_of(message) is None:
            self.core.account(message.account).feed.outbox.put(message)
        else:
            self._taken_up.append(message)

    def gather_taken_up(self) -> None:
        """Let the parts gather that a start has found, now that all is found: what they make has a newer id than any,
        and `live` is in the order of ids.
        """
        taken_up, self._taken_up = self._taken_up, []
        for message in taken_up:
            self._place(message)

    def _place(self, message: Message) -> None:
        """Pass a message on to its account, or let it gather."""
        account = self.core.account(message.account)
        part = self._part_of(message)
        if part is None or account.config is None:
            account.feed.outbox.put(message)
        else:
            self._follow(self.assembler.add(part, message, self.core.loop.time(), account.config.reassemble_s))

    def _part_of(self, message: Message) -> MoPart | None:
        """Return which part of a message this is, None for what need not gather."""
        config, pdu = self.core.account(message.account).config, message.pdu
        if config is None or not config.reassemble or not isinstance(pdu, DeliverSm):
            return None
        upstream = self.core.upstreams.get(message.upstream)
        return read_part(message.account, pdu, alphabet_from(upstream.config if upstream else None))

    def _follow(self, step: Step) -> None:
        if step.complete:
            self._join(step.complete)
        if step.repeated:
            self.repeated_parts += len(step.repeated)
            self.ending_parts.items.append(Ending(step.repeated))
        if step.incomplete:
            self._note_incomplete(step.incomplete)
        for message in (*step.incomplete, *step.passed):
            self.core.account(message.account).feed.outbox.put(message)
        for other in step.room:
            self._follow(other)
            self._pump(other.incomplete)
        self.ending_parts.kick()

    def _note_incomplete(self, parts: list[Message]) -> None:
        self.incomplete += 1
        if self.core.loop.time() > self._incomplete_logged_at + LOG_EVERY_S:
            self._incomplete_logged_at = self.core.loop.time()
            first = parts[0]
            log.warning(
                'mo.incomplete', account=first.account, message_id=first.id, parts=len(parts), messages=self.incomplete
            )

    def _join(self, parts: list[Message]) -> None:
        """Make one message of all its parts; as they are, if that has no wire form, or none for who reads now."""
        first = parts[0]
        try:
            pdu = join([part.pdu for part in parts if isinstance(part.pdu, DeliverSm)])
            pdu.octets = encode(pdu)
        except PduError:
            self._follow(Step(incomplete=parts))
            return
        if needs_tlvs(pdu) and self.core.account(first.account).lacks_tlvs and all(map(_has_header, parts)):
            self._follow(Step(passed=parts))
            return
        joined = Message(
            self.core.ids.next(wall_ms()),
            Kind.MO,
            first.account,
            first.upstream,
            pdu,
            max(part.priority for part in parts),
            max(part.expires_at for part in parts),
            segments=segments_of(pdu),
        )
        self.core.live[joined.id] = joined
        self.ending_parts.items.append(Ending(parts, joined))

    async def _commit_endings(self, endings: list[Ending]) -> None:
        now_ms = wall_ms()
        await self.core.store.join(
            [ending.joined for ending in endings if ending.joined is not None],
            [
                Outcome(part, MessageState.ACCEPTED, 0, Notice.NONE, now_ms)
                for ending in endings
                for part in ending.parts
            ],
        )

    def _handle_ended(self, endings: list[Ending], _: None) -> None:
        """The parts have ended in the store; the messages they make go on."""
        for ending in endings:
            for part in ending.parts:
                self.core.live.pop(part.id, None)
                self.core.finals[MessageState.ACCEPTED] += 1
            joined = ending.joined
            if joined is not None:
                joined.pdu.octets = b''
                self.joined += 1
                self.core.account(joined.account).feed.outbox.put(joined)
        self._pump([ending.joined for ending in endings if ending.joined is not None])

    def _abandon_endings(self, endings: list[Ending]) -> None:
        """These cannot be stored: their parts go on as they are."""
        for ending in endings:
            if ending.joined is not None:
                self.core.live.pop(ending.joined.id, None)
            self._follow(Step(incomplete=ending.parts) if ending.joined else Step(passed=ending.parts))
            self._pump(ending.parts)

    def _pump(self, messages: list[Message]) -> None:
        for name in {message.account for message in messages}:
            self.core.account(name).feed.pump()

    def tick(self, now: float) -> None:
        """Pass on what waited long enough for its missing parts, as it is."""
        for step in self.assembler.expire(now):
            self._follow(step)
            self._pump(step.incomplete)

    # What is no message

    def handle_alert(self, upstream: Upstream, pdu: AlertNotification) -> None:
        """Pass an alert_notification (SMPP 3.4 section 4.12) on to one session of its account: the MS is its source."""
        name = self._decide(upstream, pdu.source_addr, pdu.esme_addr, None)
        if name is None:
            self._note_no_route(upstream)
            return
        for connection in self.core.account(name).feed.connections:
            if connection.writable and connection.session.takes_tlvs:
                connection.session.notify(pdu)
                connection.flush()
                self.alerts += 1
                return
        self.alerts_dropped += 1


def _has_header(part: Message) -> bool:
    """Return whether a part says without TLVs which one it is."""
    return bool(part.pdu.esm_class & UDHI)
