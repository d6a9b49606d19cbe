"""What operators send: receipts, brought together with their messages, and MO messages.

A receipt finds its message in memory; or in the store, days later; or, having overtaken its submit_sm_resp, is parked
in the store until that comes (wire.md F12, F17). Either way it is acknowledged after a commit and never before
(promise 2). While the store is away, operators are told to keep what they have.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import structlog

from domain.message import Kind, Message
from pdu.pdus import DataSm, DeliverSm, DeliverSmResp, Pdu
from pdu.receipt_text import MessageState, parse
from pdu.status import CommandStatus
from pdu.tlvs import Tag, c_octets, find, integer
from smpp.aio.connection import Connection
from smsc.clock import wall_ms
from smsc.core import HOUR_MS, Core
from smsc.stage import Stage
from smsc.text import payload_of, text_of
from smsc.upstream import Upstream
from storage.rows import ParkedReceipt

log = structlog.get_logger()

MESSAGE_TYPE = 0x3C  # esm_class bits 5-2, SMPP 3.4 section 5.2.12
RECEIPT = 0x04
INTERMEDIATE = 0x20
NOT_FINAL = frozenset({MessageState.SCHEDULED, MessageState.ENROUTE, MessageState.ACCEPTED})
LOG_EVERY_S = 10.0
PARKED_BOUND = 100_000
PARKED_KEEP_MS = 24 * HOUR_MS
MO_VALIDITY_MS = 72 * HOUR_MS


class Found(msgspec.Struct, gc=False):
    """A final receipt whose message is to be looked for; `source` as in `storage.store.Outcome`."""

    upstream: Upstream
    upstream_message_id: str
    state: int
    error: int
    source: Any

    @property
    def key(self) -> tuple[str, str]:
        """What the store knows it by."""
        return self.upstream.name, self.upstream_message_id


LookedUp = tuple[list[Message | None], dict[tuple[str, str], ParkedReceipt]]
"""The messages found in the store, one for each receipt, and the receipts that were parked."""


class Receipts:
    """Receipts and MO messages of all upstreams."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.parked: dict[tuple[str, str], ParkedReceipt] = {}
        self.orphans = 0
        self.overtaken = 0
        self.mo_accepted = 0
        self.mo_refused = 0
        self._no_route_logged_at = 0.0
        batch = core.configuration.queues.batch
        self.correlating = Stage[Found, LookedUp](
            'correlate', self._look_up, self._handle_looked_up, self._refuse_found, batch
        )
        self.accepting_mo = Stage[Message, None](
            'accept MO', core.store.accept, self._handle_mo_accepted, self._refuse_mo, batch
        )

    def handle_requests(self, upstream: Upstream, connection: Connection, requests: list[Pdu]) -> None:
        """Take in what one read of a link brought; each request is answered, most of them after a commit."""
        core = self.core
        if core.draining or not core.store.health.available:
            for pdu in requests:
                if isinstance(pdu, DeliverSm | DataSm):
                    connection.session.refuse(pdu, CommandStatus.ESME_RX_T_APPN)
            return
        for pdu in requests:
            if pdu.__class__ is DeliverSm:
                if pdu.esm_class & (RECEIPT | INTERMEDIATE):
                    self._handle_receipt(upstream, connection, pdu)
                else:
                    self._handle_mo(upstream, connection, pdu)
            elif isinstance(pdu, DataSm):
                connection.session.refuse(pdu, CommandStatus.ESME_RX_R_APPN)
        self.core.finishing.kick()
        self.correlating.kick()
        self.accepting_mo.kick()

    # Receipts

    def _handle_receipt(self, upstream: Upstream, connection: Connection, pdu: DeliverSm) -> None:
        receipted_id, state, error = read_receipt(pdu)
        upstream.receipts[state] += 1
        response = DeliverSmResp(pdu.sequence_number)
        if not receipted_id or state in NOT_FINAL or pdu.esm_class & MESSAGE_TYPE == INTERMEDIATE:
            connection.session.respond(response)
            return
        upstream_message_id = upstream.canonical_receipt(receipted_id)
        source = (connection, response)
        message = upstream.sent.pop(upstream_message_id, None)
        if message is None:
            self.correlating.items.append(Found(upstream, upstream_message_id, state, error, source))
        else:
            self.core.finish(message, state, error, source)

    async def _look_up(self, items: list[Found]) -> LookedUp:
        """Find the messages of receipts in the store; receipts without one are parked there."""
        messages = await self.core.store.find_by_segment([item.key for item in items])
        unknown = [
            item
            for item, message in zip(items, messages, strict=True)
            if message is None and item.upstream_message_id not in item.upstream.sent
        ]
        now_ms = wall_ms()
        parked = {item.key: ParkedReceipt(*item.key, now_ms, item.state, item.error) for item in unknown}
        if parked:
            await self.core.store.park(list(parked.values()))
        return messages, parked

    def _handle_looked_up(self, items: list[Found], looked_up: LookedUp) -> None:
        """End the messages that were found, and remember the receipts that were parked."""
        messages, parked = looked_up
        answered: list[Found] = []
        for item, stored in zip(items, messages, strict=True):
            message = item.upstream.sent.pop(item.upstream_message_id, None) or stored
            receipt = parked.get(item.key)
            if message is None:
                answered.append(item)
                if receipt is not None:
                    self.orphans += 1
                    self.keep_parked(receipt)
                continue
            if receipt is not None:  # its response came while it was being parked
                self.core.unparking.items.append(item.key)
            if message.state == MessageState.ENROUTE:
                self.core.finish(self.core.live.get(message.id, message), item.state, item.error, item.source)
            else:
                self.core.duplicate_outcomes += 1
                answered.append(item)
        self.core.unparking.kick()
        _respond(answered)

    def _refuse_found(self, items: list[Found]) -> None:
        """These could not be looked for: let the operator send them again."""
        for item in items:
            _, response = item.source
            response.command_status = int(CommandStatus.ESME_RX_T_APPN)
        _respond(items)

    def keep_parked(self, receipt: ParkedReceipt) -> None:
        """Remember a parked receipt, for the response that it has overtaken."""
        if len(self.parked) >= PARKED_BOUND:
            del self.parked[next(iter(self.parked))]
        self.parked[receipt.upstream, receipt.upstream_message_id] = receipt

    def handle_known(self, upstream: Upstream, upstream_message_id: str) -> None:
        """A submit_sm_resp told this id: if its receipt is parked, the message ends with it."""
        if not self.parked:
            return
        receipt = self.parked.pop((upstream.name, upstream_message_id), None)
        if receipt is None:
            return
        self.overtaken += 1
        message = upstream.sent.pop(upstream_message_id)
        self.core.finish(message, receipt.state, receipt.error)
        self.core.unparking.items.append((upstream.name, upstream_message_id))
        self.core.unparking.kick()

    async def load_parked(self) -> None:
        """After a start: look once more for the messages of parked receipts, and remember those that have none."""
        receipts = await self.core.store.take_parked(wall_ms() - PARKED_KEEP_MS, PARKED_BOUND)
        if not receipts:
            return
        keys = [(receipt.upstream, receipt.upstream_message_id) for receipt in receipts]
        done: list[tuple[str, str]] = []
        for receipt, message in zip(receipts, await self.core.store.find_by_segment(keys), strict=True):
            if message is None:
                self.keep_parked(receipt)
                continue
            if message.state == MessageState.ENROUTE:
                self.core.finish(self.core.live.get(message.id, message), receipt.state, receipt.error)
            done.append((receipt.upstream, receipt.upstream_message_id))
        self.core.unparking.items.extend(done)
        self.core.unparking.kick()

    # MO messages

    def _handle_mo(self, upstream: Upstream, connection: Connection, pdu: DeliverSm) -> None:
        core = self.core
        source_addr, destination = pdu.source_addr.decode('latin-1'), pdu.destination_addr.decode('latin-1')
        account = core.table.mo_decide(upstream.name, source_addr, destination, lambda: text_of(pdu, 'gsm'))
        if account is None or account not in core.accounts:
            self.mo_refused += 1
            if core.loop.time() > self._no_route_logged_at + LOG_EVERY_S:
                self._no_route_logged_at = core.loop.time()
                log.warning('mo.no_route', upstream=upstream.name, refused=self.mo_refused)
            connection.session.refuse(pdu, CommandStatus.ESME_RX_P_APPN)
            return
        now_ms = wall_ms()
        message = Message(
            core.ids.next(now_ms),
            Kind.MO,
            account,
            upstream.name,
            pdu,
            min(pdu.priority_flag, 4),
            now_ms + MO_VALIDITY_MS,
        )
        message.reply = (connection, pdu.sequence_number)
        core.live[message.id] = message
        self.accepting_mo.items.append(message)

    def _refuse_mo(self, messages: list[Message]) -> None:
        """These cannot be stored: let the operator have them back."""
        for message in messages:
            self.core.live.pop(message.id, None)
            connection, sequence_number = message.reply
            connection.session.respond(DeliverSmResp(sequence_number, int(CommandStatus.ESME_RX_P_APPN)))
            connection.flush()

    def _handle_mo_accepted(self, messages: list[Message], _: None) -> None:
        """Answer the operators and pass the messages on to their accounts."""
        touched: set[Connection] = set()
        for message in messages:
            connection, sequence_number = message.reply
            message.reply = None
            message.pdu.octets = b''
            connection.session.respond(DeliverSmResp(sequence_number))
            touched.add(connection)
            self.mo_accepted += 1
            self.core.account(message.account).feed.outbox.put(message)
        for connection in touched:
            connection.flush()
        for name in {message.account for message in messages}:
            self.core.account(name).feed.pump()


def _respond(items: Iterable[Found]) -> None:
    touched = set()
    for item in items:
        connection, response = item.source
        connection.session.respond(response)
        touched.add(connection)
    for connection in touched:
        connection.flush()


def read_receipt(pdu: DeliverSm) -> tuple[bytes, int, int]:
    """Return (message id, message_state, error code) of a receipt; TLVs win over the text (wire.md F16).

    The id is empty when the receipt names no message.
    """
    if pdu.tlvs:
        receipted_id = c_octets(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID)
        if receipted_id and integer(pdu.tlvs, Tag.MESSAGE_STATE) == MessageState.DELIVERED:
            return receipted_id, int(MessageState.DELIVERED), 0  # the text could add nothing
    text = parse(payload_of(pdu))
    receipted_id, state, error = (text.id, text.state, _error_code(text.error)) if text else (b'', 7, 0)
    if pdu.tlvs:
        receipted_id = c_octets(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) or receipted_id
        told = integer(pdu.tlvs, Tag.MESSAGE_STATE)
        state = state if told is None else told
        network = find(pdu.tlvs, Tag.NETWORK_ERROR_CODE)
        error = int.from_bytes(network, 'big') if network else error
    return receipted_id, state if state in _STATES else int(MessageState.UNKNOWN), error


_STATES = frozenset(int(state) for state in MessageState)


def _error_code(octets: bytes) -> int:
    return int(octets) if octets.isdigit() and len(octets) <= 5 else 0
