"""An upstream at work: its links, what waits for it, what it has taken, and what its answers mean.

Retry rules. ESME_ROK: the message is with the operator; its segment is committed before the window's slot is free, so
a crash can repeat no more than the windows hold. A throttling status: the message goes back to the head of the outbox,
the upstream pauses, longer each time in a row, and goes on at a lower rate, which recovers. A temporary status: the
next upstream of its route at once, or, when all have been tried, the first again after a back-off. Any other status
ends it. A link that is lost, or no response in time: the outcome is unknown; as configured, the message is marked as
possibly repeated, committed as such, and sent again, or it waits for a late response, or it ends. Messages of several
segments: `smsc.long_messages`.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

import structlog

from domain.ids import accepted_at_ms
from domain.message import Message, Notice, Part
from pdu.pdus import Pdu, SubmitSm, SubmitSmResp
from pdu.receipt_text import MessageState
from pdu.segments import UDHI
from pdu.status import PduError
from pdu.times import format_relative
from pdu.tlvs import Tag, integer
from smpp.aio.connection import Connection
from smpp.aio.link import Link
from smpp.states import BOUND, TRANSMITTING
from smsc.availability import OWN_TROUBLE, Availability, Circuit, ResponseTimes
from smsc.chains import Chain, chain_of
from smsc.clock import wall_ms
from smsc.config.schema import Configuration, UpstreamConfig
from smsc.core import Core
from smsc.feed import Feed
from smsc.limits import AdaptiveRate, count_status
from smsc.links import make_links
from smsc.long_messages import RECEIPT_WANTED, LongMessages
from smsc.loops import without_hops
from smsc.outbox import Outbox
from smsc.sending import forget
from smsc.unknown_outcomes import UnknownOutcomes
from smsc.upstream_ids import IdForms, same_number
from smsc.wire_forms import form_of, is_plain

if TYPE_CHECKING:
    from smsc.receipts import Receipts

log = structlog.get_logger()

THROTTLE_FIRST_S = 0.1
THROTTLE_LAST_S = 5.0
ENROUTE = int(MessageState.ENROUTE)
REGISTERED_MASK = 0xFC  # bits of registered_delivery that go through as they are, SMPP 3.4 section 5.2.17


class Upstream:
    """One operator: the owner of all connections of its links."""

    def __init__(self, core: Core, config: UpstreamConfig, receipts: 'Receipts') -> None:
        self.core = core
        self.config = config
        self.name = config.name
        self.links: list[Link] = []
        self.sent: dict[str, Message | Part] = {}  # by upstream_message_id, oldest first: those that wait for a receipt
        self.submitted = 0
        self.answers: dict[int, int] = defaultdict(int)
        self.receipts: dict[int, int] = defaultdict(int)
        self.removed = False
        self.ids = IdForms()
        self._receipts = receipts
        self._throttled_s = 0.0
        self._bound: set[Connection] = set()
        outbox = Outbox(f'upstream {config.name}', core.configuration.queues.memory, core.shelf)
        self.feed = Feed(outbox, TRANSMITTING, self.send, core.loop, core.readers)
        self.started_at = float('-inf')
        self.available = False  # routes may choose it
        self.reachable = False  # a link is bound, and it is not switched off
        self.availability = Availability(config.availability, core.loop.time())
        self._response_times = ResponseTimes()
        self.rate = self.feed.rate = AdaptiveRate(config.rate_per_s, core.loop.time())
        self.long_messages = LongMessages(self)
        self.unknown = UnknownOutcomes(self)
        self.feed.send_held, self.feed.on_stranded = self.long_messages.send_held, self.long_messages.strand
        self.configure(config)

    def configure(self, config: UpstreamConfig) -> None:
        """Go on with this configuration; what concerns the links takes effect at their next bind."""
        self.config = config
        if self.ids.configured != (config.message_id.response, config.message_id.receipt):
            self.ids = IdForms(config.message_id.response, config.message_id.receipt)
        self.canonical_response = self.ids.canonical_response
        self.canonical_receipt = self.ids.canonical_receipt
        permanent = frozenset(config.errors.permanent)  # takes precedence
        self._throttle = frozenset(config.errors.throttle) - permanent
        self._temporary = frozenset(config.errors.temporary) - permanent
        self.hop_tag = self.core.configuration.smpp.hop_tlv if config.count_hops else None
        self.form = form_of(without_hops(config, self.core.configuration.smpp.hop_tlv))
        self._plain_octets = self.form.plain_octets
        accounts = self.core.configuration.accounts.values()
        self._looks_closer = self.hop_tag is not None or any(
            account.alphabet != config.alphabet for account in accounts
        )
        self.rate.configure(config.rate_per_s)
        self.availability.configure(config.availability, self.core.loop.time())
        self.see_availability()

    # Links

    def start_links(self, configuration: Configuration) -> None:
        """Begin to connect."""
        self.started_at = self.core.loop.time()
        self.feed.open()
        self.links = make_links(self, configuration)
        for link in self.links:
            link.start()

    def add_link(self, link: Link) -> None:
        """Have one link more."""
        self.links.append(link)
        link.start()

    def drop_link(self, link: Link) -> None:
        """Unbind one link, as work of its own."""
        if link in self.links:
            self.links.remove(link)
            self.core.add_task(link.stop(), 'link')

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what links with TLS connect with; as of the last reload, also while they have their old settings."""
        return self.core.tls.upstreams.get(self.name)

    def takes_tlvs(self, connection: Connection) -> bool:
        """Return whether TLVs may be sent by a connection: `auto` is no where either side said less than 3.4."""
        tlvs = self.config.tlvs
        if tlvs == 'auto':
            return connection.session.takes_tlvs and self.config.interface_version != '3.3'
        return tlvs == 'always'

    def end_all(self) -> None:
        """This upstream is configured no more, and its links are gone: what it had begun ends or goes elsewhere."""
        self.unknown.end_held()
        self.long_messages.end_all()

    def handle_outbind(self) -> bool:
        """The operator wants us to bind: links that wait connect now; return whether there were any (wire.md B20)."""
        heard = [link.wake() for link in self.links]
        return any(heard)

    async def stop_links(self) -> None:
        """Unbind all links at once; what is in flight is awaited for a while first."""
        self.feed.close()
        self.see_availability()
        drain_s = self.core.configuration.smpp.drain_s
        await asyncio.gather(*(link.stop(drain_s=drain_s) for link in self.links))
        self.links = []

    def tick(self, now: float) -> None:
        """Let the links do what is due."""
        for link in self.links:
            link.tick(now)
        self._watch(now)
        self.long_messages.place(now)
        self.unknown.tick(wall_ms())

    # Availability

    @property
    def failing(self) -> bool:
        """Its answers have gone bad; it is probed now and then."""
        return self.availability.circuit is not Circuit.CLOSED

    @property
    def state(self) -> str:
        """How it stands, in a word or two for people."""
        watched = self.availability
        if self.feed.off:
            return 'OFF'
        if not self.reachable:
            return 'down'
        if self.failing or watched.busy:
            return f'{"failing" if self.failing else "busy"}: {watched.reason}'
        return 'available'

    def see_availability(self) -> None:
        """Know that a link has come or gone, or anything else that this depends on."""
        self.reachable = self.feed.online
        self.available = self.reachable and not self.failing and not self.availability.busy

    def switch(self, off: bool) -> None:
        """Give it nothing new, or everything again; its links stay, so that receipts come."""
        feed = self.feed
        feed.off = off
        self.see_availability()
        if not off and feed.connections:
            feed.outbox.go_online()
            feed.pump()

    def handle_fetched(self) -> None:
        """Messages have come back from disk."""
        if self.failing:
            self.core.failover.leave_memory(self)
        self.feed.pump()

    def _watch(self, now: float) -> None:
        """Judge how it does its work."""
        watched = self.availability
        limit_s = watched.config.response_ms / 1000
        if watched.config.watched and limit_s:
            pending = [connection.session.window.pending for connection in self.feed.connections]
            for slow in self._response_times.look(pending, now, limit_s):
                watched.note_sample(slow)
        if watched.tick(now, self.feed.outbox.depth):
            log.warning(
                'upstream.availability', upstream=self.name, circuit=watched.circuit.value, reason=watched.reason
            )
        self.see_availability()

    # Sending

    def send(self, connection: Connection, message: Message, now_ms: int) -> bool:
        """Put a submit_sm into a session; False when the message has run out of time or went elsewhere."""
        if message.expires_at <= now_ms or message.state != ENROUTE:
            self._drop(message)
            return False
        pdu: Any = message.pdu  # a SubmitSm: only MT messages come here
        asked = message.registered_delivery & RECEIPT_WANTED
        wanted = 1 if asked or self.config.registered_delivery == 'always' else 0
        pdu.registered_delivery = message.registered_delivery & REGISTERED_MASK | wanted
        if pdu.validity_period or pdu.schedule_delivery_time:
            pdu.schedule_delivery_time = b''
            if pdu.validity_period:
                pdu.validity_period = _remaining(message.expires_at, now_ms)
        if (
            pdu.tlvs
            or len(pdu.short_message) > self._plain_octets[pdu.data_coding]
            or pdu.esm_class & UDHI
            or self._looks_closer
        ):
            config = self.core.account(message.account).config
            alphabet = config.alphabet if config else 'gsm'
            if self.hop_tag is not None or not is_plain(pdu, alphabet, self.form):
                return self.long_messages.send(connection, message, alphabet, now_ms)
        try:  # what `request` does, without a call for each message
            connection.session.request(pdu, message)
        except PduError as error:
            self.reject(message, error)
            return False
        self.submitted += 1
        return True

    def _drop(self, message: Message) -> None:
        """Send a message no more that ran out of time, or has ended while it waited."""
        if message.state == MessageState.ENROUTE:
            self.core.expire(message)
            return
        self.core.count_sent(message)
        if message.notice == Notice.DUE and message.id not in self.core.live:  # else its receipt is on its way
            self.core.account(message.account).feed.outbox.put_on_disk(message)
        elif message.stored_wait:  # its place on disk goes with the outcome, which it has already
            self.core.finish(message, message.state, message.error)

    def request(self, connection: Connection, pdu: SubmitSm, item: Message | Part) -> bool:
        """Put a PDU into a session; False when it has no wire form, and its message ends."""
        try:
            connection.session.request(pdu, item)
        except PduError as error:
            self.reject(item.message if isinstance(item, Part) else item, error)
            return False
        self.submitted += 1
        return True

    def reject(self, message: Message, error: PduError) -> None:
        """End a message that has no form this upstream can take."""
        log.warning('message.unencodable', message_id=message.id, upstream=self.name, error=str(error))
        self.core.reject(message, error.command_status)

    def begun(self) -> Iterator[Message | Part]:
        """Yield what has left the outbox and is not answered: in windows, held for a link, with an unknown outcome."""
        for connection in self.feed.connections:
            yield from connection.session.window.pending.values()
        for items in self.feed.held.values():
            yield from items
        yield from self.long_messages.unsent()
        yield from self.unknown.items()

    # What the operator answers

    def handle_opened(self, connection: Connection) -> None:
        pass

    def handle_responses(self, connection: Connection, responses: list[tuple[Any, Pdu]]) -> None:
        self.handle_answers(connection, responses)

    def handle_answers(self, connection: Connection | None, responses: list[tuple[Any, Pdu]]) -> None:
        """Deal with answers to submits; without a connection, they came late and hold no slot."""
        core, sent = self.core, self.sent
        sending = core.sending.items
        refused: list[tuple[Message | Part, int]] = []
        for item, pdu in responses:
            status = pdu.command_status
            if status or pdu.__class__ is not SubmitSmResp:
                count_status(self.answers, status)
                refused.append((item, status))
                continue
            self.answers[0] += 1
            item.upstream_message_id = upstream_message_id = self.canonical_response(pdu.message_id)
            if not pdu.message_id and _wants_receipt(item):  # no receipt can name it
                refused.append((item, status))
                continue
            if item.__class__ is Message:
                message = item
                if message.counted:
                    core.count_sent(message)
                if message.pdu.esm_class & UDHI or message.pdu.tlvs:
                    core.chains.note_taken(message, self.name, core.loop.time())
            else:
                message = item.message
                self.long_messages.handle_taken(item)
            message.upstream = self.name
            if message.pdu.registered_delivery & RECEIPT_WANTED:
                if upstream_message_id in sent:
                    self._supersede(sent[upstream_message_id])
                sent[upstream_message_id] = item
                self._receipts.handle_known(self, upstream_message_id)
            if pdu.tlvs:
                self._heed(pdu)
            sending.append((connection, self, item))
        core.sending.kick()
        if len(refused) < len(responses):
            self._throttled_s = 0.0
            self.availability.good += len(responses) - len(refused)
        if refused:
            self._handle_refused(connection, refused)

    def _heed(self, pdu: SubmitSmResp) -> None:
        """Slow down for an operator of 5.0 that says it is congested (wire.md F24)."""
        congestion = integer(pdu.tlvs, Tag.CONGESTION_STATE)
        if congestion is not None:
            self.rate.heed(congestion, self.core.loop.time())

    def has_outstanding_to(self, destination_addr: bytes) -> bool:
        """Return whether a submit to a number is unanswered: a receipt about it may be ahead of that response."""
        for connection in self.feed.connections:
            for item in connection.session.window.pending.values():
                message = item.message if isinstance(item, Part) else item
                if isinstance(message, Message) and same_number(message.pdu.destination_addr, destination_addr):
                    return True
        return False

    def _supersede(self, item: Message | Part) -> None:
        """The operator uses an id again: the newest message has it (wire.md F15), this one waits for nothing."""
        item.superseded = True
        if item.segment_stored:
            forget(self.core, item)

    def _handle_refused(self, connection: Connection | None, refused: list[tuple[Message | Part, int]]) -> None:
        throttled: list[Message] = []
        parts: list[Part] = []
        availability = self.availability
        for item, status in refused:
            if status in self._throttle:
                availability.throttled += 1
            elif status in self._temporary or status in OWN_TROUBLE:
                availability.failed += 1
            else:
                availability.good += 1
            if isinstance(item, Part):
                if status in self._throttle:
                    parts.append(item)
                else:
                    self.long_messages.handle_refused(item, status, status in self._temporary)
            elif status in self._throttle:
                throttled.append(item)
            elif status in self._temporary:
                self.try_elsewhere(item)
            elif not (status and self.core.next_routes.handle_refusal(self, item, status)):
                self.core.count_sent(item)
                if self.core.note_refusal is not None:
                    self.core.note_refusal(item.pdu.destination_addr, status)
                self.core.finish(item, _ending(status), status)
        if throttled or parts:
            self.feed.outbox.put_back(throttled)
            self.long_messages.handle_throttled(connection, parts)
            self.rate.lower(len(throttled) + len(parts), self.core.loop.time())
            self._throttled_s = min(max(THROTTLE_FIRST_S, self._throttled_s * 2), THROTTLE_LAST_S)
            self.feed.pause(self._throttled_s)
        if connection is not None:
            self.core.release({connection: len(refused)})

    def try_elsewhere(self, message: Message) -> None:
        """After a temporary error: the next upstream of the route that is up, or a pause when all were tried."""
        message.attempts += 1
        if not message.upstreams:  # it was read from disk
            self.core.decide(message)
        upstreams = message.upstreams or (self.name,)
        chain = chain_of(message)
        if chain is not None:
            upstreams = self._upstreams_of_part(message, chain, upstreams)
        if message.attempts % len(upstreams):
            start = upstreams.index(self.name) if self.name in upstreams else 0
            for step in range(1, len(upstreams)):
                other = self.core.upstreams.get(upstreams[(start + step) % len(upstreams)])
                if other is not None and other.available:
                    message.upstream = other.name
                    if chain is not None:
                        self.core.chains.put(chain, other.name, self.core.loop.time())
                    other.feed.outbox.put(message)
                    other.feed.pump()
                    return
        due_at = wall_ms() + int(self.back_off_s(message, len(upstreams)) * 1000)
        self.feed.outbox.defer(message, min(due_at, message.expires_at))

    def _upstreams_of_part(self, message: Message, chain: Chain, upstreams: tuple[str, ...]) -> tuple[str, ...]:
        """Return where a part may go after a temporary error: nowhere else while others may be here (wire.md D15)."""
        if self.long_messages.is_bound_here(message) or self.long_messages.has_outstanding_of(message):
            return (self.name,)
        place = self.core.chains.place(chain, self.core.loop.time())
        if place is None:
            return upstreams
        place.by_probe = False
        return (self.name, place.upstream) if place.upstream in upstreams and place.upstream != self.name else upstreams

    def back_off_s(self, message: Message, upstreams: int = 1) -> float:
        """Return the pause before a message is sent again, after so many attempts at each of `upstreams`."""
        retry = self.config.retry
        rounds = max(0, message.attempts // upstreams - 1)
        return min(retry.last_s, retry.first_s * retry.factor ** min(rounds, 50))

    # Outcomes that are unknown

    def handle_expired(self, connection: Connection, contexts: list[Message | Part]) -> None:
        self.availability.failed += len(contexts)
        self.unknown.handle(connection, contexts)

    def handle_late(self, connection: Connection, late: list[tuple[Any, Pdu]]) -> None:
        self.unknown.handle_late(late)

    def handle_requests(self, connection: Connection, requests: list[Pdu]) -> None:
        self._receipts.handle_requests(self, connection, requests)

    def handle_state(self, connection: Connection) -> None:
        if connection.session.state in BOUND:
            if connection not in self._bound:
                self._bound.add(connection)
                log.info('link.bound', upstream=self.name, peer=connection.peer_address)
            self.feed.add(connection)
            self.see_availability()
            self.long_messages.place(self.core.loop.time())
            self.feed.pump()
        else:
            self.feed.remove(connection)
            self.see_availability()

    def handle_closed(self, connection: Connection, lost: list[Message | Part]) -> None:
        self._bound.discard(connection)
        self.feed.remove(connection)
        self.see_availability()
        self.long_messages.forget(connection)
        if lost:
            self.unknown.handle(connection, lost)

    def trim(self) -> None:
        """Let go of the oldest messages that wait for a receipt beyond what memory may hold; the store finds them."""
        excess = len(self.sent) - self.core.configuration.queues.cache
        if excess > 0:
            self._forget([item for item in islice(self.sent.values(), excess) if item.segment_stored])

    def trim_old(self, before_ms: int) -> None:
        """Let go of messages accepted before `before_ms`, which would hold the low-water mark back."""
        old = takewhile(lambda item: accepted_at_ms(item.id) < before_ms, self.sent.values())
        self._forget([item for item in old if item.segment_stored])

    def forget_all(self) -> None:
        """Let go of everything that waits for a receipt: this upstream is configured no more."""
        self._forget([item for item in self.sent.values() if item.segment_stored])

    def _forget(self, items: list[Message | Part]) -> None:
        for item in items:
            self.sent.pop(item.upstream_message_id, None)
            forget(self.core, item)


def _remaining(expires_at: int, now_ms: int) -> bytes:
    """Return what is left of a message's validity as a relative time (wire.md C21)."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return format_relative(now + timedelta(milliseconds=expires_at - now_ms), now)


def _wants_receipt(item: Message | Part) -> bool:
    message = item.message if isinstance(item, Part) else item
    return bool(message.pdu.registered_delivery & RECEIPT_WANTED)


def _ending(status: int) -> MessageState:
    """Return what a refusal for good means; of 0, the operator took the message and gave no id that can be read."""
    return MessageState.UNDELIVERABLE if status else MessageState.UNKNOWN
