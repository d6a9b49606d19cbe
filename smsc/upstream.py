"""An upstream at work: its links, whether it is available, what waits for it, what waits for its answers and receipts.

What it is sent: `smsc.submitting`. What its answers mean, with the retry rules: `smsc.answering`. A link that is lost,
or no response in time: `smsc.unknown_outcomes`. Messages of several segments: `smsc.long_messages`. Receipts:
`smsc.receipts`.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

import structlog

from domain.ids import accepted_at_ms
from domain.message import Message, Part
from pdu.pdus import Pdu
from smpp.aio.connection import Connection
from smpp.aio.link import Link
from smpp.states import BOUND, TRANSMITTING
from smsc.answering import Answering
from smsc.availability import Availability, Circuit, ResponseTimes
from smsc.clock import wall_ms
from smsc.config.schema import Configuration, UpstreamConfig
from smsc.core import Core
from smsc.feed import Feed
from smsc.limits import AdaptiveRate, rates_of_links
from smsc.links import make_links
from smsc.long_messages import LongMessages
from smsc.loops import without_hops
from smsc.outbox import Outbox
from smsc.sending import forget
from smsc.submitting import Submitting
from smsc.unknown_outcomes import UnknownOutcomes
from smsc.upstream_ids import IdForms, same_number
from smsc.wire_forms import form_of

if TYPE_CHECKING:
    from smsc.receipts import Receipts

log = structlog.get_logger()


class Upstream:
    """One operator: the owner of all connections of its links."""

    def __init__(self, core: Core, config: UpstreamConfig, receipts: 'Receipts') -> None:
        self.core = core
        self.config = config
        self.name = config.name
        self.links: list[Link] = []
        self.sent: dict[str, Message | Part] = {}  # by upstream_message_id, oldest first: those that wait for a receipt
        self.answers: dict[int, int] = defaultdict(int)
        self.receipts: dict[int, int] = defaultdict(int)
        self.timed_receipts = 0  # whose messages were in memory, and how long after their acceptance, in sum
        self.receipt_lag_ms = 0
        self.removed = False
        self.serving = False  # it has links, or would have them: between `start_links` and `stop_links`
        self.ids = IdForms()
        self._receipts = receipts
        self._bound: set[Connection] = set()
        outbox = Outbox(f'upstream {config.name}', core.configuration.queues.memory, core.shelf)
        self.submitting = Submitting(self)
        self.answering = Answering(self, receipts)
        self.feed = Feed(outbox, TRANSMITTING, self.submitting.send, core.loop, core.readers, core.fence)
        self.started_at = float('-inf')
        self.available = False  # routes may choose it
        self.connected = False  # a link is bound, here or at another node, and it is not switched off
        self.reachable = False  # so it is, and it is not drained
        self.draining = False  # by hand: it is sent what waits, and gets nothing new as long as there is another
        self.availability = Availability(config.availability, core.loop.time())
        self._response_times = ResponseTimes()
        self.rate = self.feed.rate = AdaptiveRate(config.rate_per_s, core.loop.time())
        if core.configuration.cluster is not None:
            self.rate.hold(0)  # until its share is known
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
        self.hop_tag = self.core.configuration.smpp.hop_tlv if config.count_hops else None
        self.form = form_of(without_hops(config, self.core.configuration.smpp.hop_tlv))
        self.submitting.configure()
        self.answering.configure()
        self.rate.configure(config.rate_per_s)
        self.feed.limit_links(rates_of_links(config.link_rate_per_s))
        self.availability.configure(config.availability, self.core.loop.time())
        self.see_availability()

    # Links

    def start_links(self, configuration: Configuration) -> None:
        """Begin to connect."""
        self.started_at = self.core.loop.time()
        self.serving = True
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
        return self.wake_links()

    def wake_links(self) -> bool:
        """Have the links that wait connect now; return whether there were any."""
        heard = [link.wake() for link in self.links]
        return any(heard)

    async def stop_links(self) -> None:
        """Unbind all links at once; what is in flight is awaited for a while first."""
        self.serving = False
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
        if self.draining and self.connected:
            return f'DRAINING: {self.unfinished} left' if self.unfinished else 'DRAINED'
        if self.feed.on_hold:
            return 'PAUSED'
        if not self.reachable:
            return 'down'
        if self.failing or watched.busy:
            return f'{"failing" if self.failing else "busy"}: {watched.reason}'
        if self.feed.outbox.held:
            return f'available, paused for {len(self.feed.outbox.held)} accounts'
        return 'available'

    def see_availability(self) -> None:
        """Know that a link has come or gone, or anything else that this depends on."""
        feed = self.feed
        self.connected = feed.online or (feed.outbox.elsewhere is not None and not feed.off)
        self.reachable = self.connected and not self.draining
        self.available = self.reachable and not self.failing and not self.availability.busy

    def switch(self, off: bool) -> None:
        """Give it nothing new, or everything again; its links stay, so that receipts come."""
        feed = self.feed
        feed.off = off
        self.see_availability()
        if not (off or feed.on_hold) and feed.connections:
            feed.outbox.go_online()
            feed.pump()

    @property
    def is_closed(self) -> bool:
        """Somebody has switched it off, or has it drained: nothing new is for it that may go elsewhere."""
        return self.feed.off or self.draining

    @property
    def unfinished(self) -> int:
        """Messages that wait here for it, or for its answer."""
        feed = self.feed
        return feed.outbox.depth + feed.held_count + feed.outstanding + self.long_messages.waiting + self.unknown.count

    def hold(self, on_hold: bool, accounts: frozenset[str] = frozenset()) -> None:
        """Let all that is for it wait on disk, or what is of some accounts, or send it again."""
        feed = self.feed
        feed.outbox.hold(accounts)
        feed.on_hold = on_hold
        if on_hold:
            for message in feed.outbox.go_offline():
                feed.outbox.put(message)
        elif feed.connections and not feed.off:
            feed.outbox.go_online()
            feed.pump()

    def drain(self, draining: bool) -> None:
        """Let it get nothing new that may go elsewhere, while what waits is sent; or everything again."""
        self.draining = draining
        self.see_availability()

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

    # What is under way

    @property
    def submitted(self) -> int:
        """Submits put into sessions since the start."""
        return self.submitting.count

    def begun(self) -> Iterator[Message | Part]:
        """Yield what has left the outbox and is not answered: in windows, held for a link, with an unknown outcome."""
        for connection in self.feed.connections:
            yield from connection.session.window.pending.values()
        for items in self.feed.held.values():
            yield from items
        yield from self.long_messages.unsent()
        yield from self.unknown.items()

    def has_outstanding_to(self, destination_addr: bytes) -> bool:
        """Return whether a submit to a number is unanswered: a receipt about it may be ahead of that response."""
        for connection in self.feed.connections:
            for item in connection.session.window.pending.values():
                message = item.message if isinstance(item, Part) else item
                if isinstance(message, Message) and same_number(message.pdu.destination_addr, destination_addr):
                    return True
        return False

    # What its links tell

    def handle_opened(self, connection: Connection) -> None:
        pass

    def handle_responses(self, connection: Connection, responses: list[tuple[Any, Pdu]]) -> None:
        self.answering.handle(connection, responses)

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

    # What waits for a receipt

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
