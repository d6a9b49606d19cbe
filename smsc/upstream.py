"""An upstream at work: its links, what waits for it, what it has taken, and what its answers mean.

Retry rules. ESME_ROK: the message is with the operator; its segment is committed before the window's slot is free, so
a crash can repeat no more than the windows hold. A throttling status: the message goes back to the head of the outbox
and the upstream pauses, longer each time in a row. A temporary status: the next upstream of its route at once, or,
when all have been tried, the first again after a back-off. Any other status ends it. A link that is lost, or no
response in time: the outcome is unknown, the message is marked as possibly repeated, committed as such, and sent
again.
"""

import asyncio
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

import structlog

from domain.ids import accepted_at_ms
from domain.message import Message, Notice
from pdu.pdus import Bind, BindReceiver, BindTransceiver, BindTransmitter, Pdu, SubmitSmResp
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus, PduError
from pdu.times import format_relative
from smpp.aio.connection import Connection
from smpp.aio.link import Link, LinkSettings
from smpp.session import SMPP_3_4, SessionSettings
from smpp.states import BOUND, TRANSMITTING
from smsc.clock import wall_ms
from smsc.config.schema import Configuration, UpstreamConfig
from smsc.core import Core
from smsc.feed import Feed
from smsc.ingress import dispatch
from smsc.limits import Rate
from smsc.outbox import Outbox
from smsc.upstream_ids import canonical
from storage.rows import Outcome

if TYPE_CHECKING:
    from smsc.receipts import Receipts

log = structlog.get_logger()

UNANSWERED_BOUND = 2_000  # an operator's deliver_sm in the works before its socket is read no further
THROTTLE_FIRST_S = 0.1
THROTTLE_LAST_S = 5.0
RATE_BURST_S = 0.02  # of the rate, so that any second holds no more than the rate and a fiftieth
RECEIPT_WANTED = 0x03  # bits of registered_delivery, SMPP 3.4 section 5.2.17
REGISTERED_MASK = 0xFC  # those that go through as they are
BINDS: dict[str, tuple[type[Bind], ...]] = {
    'transceiver': (BindTransceiver,),
    'transmitter': (BindTransmitter,),
    'receiver': (BindReceiver,),
    'transmitter+receiver': (BindTransmitter, BindReceiver),
}


class Upstream:
    """One operator: the owner of all connections of its links."""

    def __init__(self, core: Core, config: UpstreamConfig, receipts: 'Receipts') -> None:
        self.core = core
        self.config = config
        self.name = config.name
        self.links: list[Link] = []
        self.sent: dict[str, Message] = {}  # by upstream_message_id, oldest first: those that wait for a receipt
        self.submitted = 0
        self.answers: dict[int, int] = defaultdict(int)
        self.receipts: dict[int, int] = defaultdict(int)
        self.unknown_outcomes = 0
        self._receipts = receipts
        self._throttled_s = 0.0
        self._bound: set[Connection] = set()
        outbox = Outbox(f'upstream {config.name}', core.configuration.queues.memory, core.shelf)
        self.feed = Feed(outbox, TRANSMITTING, self._send, core.loop, core.readers)
        self.configure(config)

    def configure(self, config: UpstreamConfig) -> None:
        """Go on with this configuration; what concerns the links takes effect at their next bind."""
        self.config = config
        self.canonical_response = canonical(config.message_id.response)
        self.canonical_receipt = canonical(config.message_id.receipt)
        permanent = frozenset(config.errors.permanent)  # takes precedence
        self._throttle = frozenset(config.errors.throttle) - permanent
        self._temporary = frozenset(config.errors.temporary) - permanent
        burst = max(1.0, config.rate_per_s * RATE_BURST_S)
        if self.feed.rate.rate_per_s != config.rate_per_s:
            self.feed.rate = Rate(config.rate_per_s, burst, self.core.loop.time())

    # Links

    def start_links(self, configuration: Configuration) -> None:
        """Begin to connect."""
        self.feed.open()
        for number in range(1, self.config.links + 1):
            for bind in BINDS[self.config.bind]:
                link = Link(
                    self._link_settings(configuration, f'{self.name}/{number} {bind.__name__}'),
                    partial(self._make_bind, bind),
                    self,
                )
                self.links.append(link)
                link.start()

    def _link_settings(self, configuration: Configuration, name: str) -> LinkSettings:
        config, smpp = self.config, configuration.smpp
        session = SessionSettings(
            send_window=config.window,
            receive_window=sys.maxsize,
            pause_above=UNANSWERED_BOUND,
            enquire_link_s=smpp.enquire_link_s if config.enquire_link_s is None else config.enquire_link_s,
            response_timeout_s=config.response_timeout_s or smpp.response_timeout_s,
            pdu_read_s=smpp.pdu_read_s,
            unbind_timeout_s=smpp.unbind_timeout_s,
            max_pdu_octets=smpp.max_pdu_octets,
        )
        reconnect = config.reconnect
        return LinkSettings(
            name, config.host, config.port, session, reconnect.first_s, reconnect.last_s, reconnect.refused_s
        )

    def _make_bind(self, bind: type[Bind]) -> Bind:
        config = self.config
        return bind(
            system_id=config.system_id.encode(),
            password=config.password.encode(),
            system_type=config.system_type.encode(),
            interface_version=SMPP_3_4,
        )

    async def stop_links(self) -> None:
        """Unbind all links at once; what is in flight is awaited for a while first."""
        self.feed.close()
        drain_s = self.core.configuration.smpp.drain_s
        await asyncio.gather(*(link.stop(drain_s=drain_s) for link in self.links))
        self.links = []

    def tick(self, now: float) -> None:
        """Let the links do what is due."""
        for link in self.links:
            link.tick(now)

    # Sending

    def _send(self, connection: Connection, message: Message, now_ms: int) -> bool:
        """Put a submit_sm into a session; False when the message has run out of time or has no wire form."""
        if message.expires_at <= now_ms:
            self.core.expire(message)
            return False
        pdu = message.pdu
        asked = message.registered_delivery & RECEIPT_WANTED
        wanted = 1 if asked or self.config.registered_delivery == 'always' else 0
        pdu.registered_delivery = message.registered_delivery & REGISTERED_MASK | wanted
        if pdu.validity_period or pdu.schedule_delivery_time:
            pdu.schedule_delivery_time = b''
            if pdu.validity_period:
                pdu.validity_period = _remaining(message.expires_at, now_ms)
        try:
            connection.session.request(pdu, message)
        except PduError as error:
            log.warning('message.unencodable', message_id=message.id, upstream=self.name, error=str(error))
            self.core.reject(message, error.command_status)
            return False
        self.submitted += 1
        return True

    # What the operator answers

    def handle_opened(self, connection: Connection) -> None:
        pass

    def handle_responses(self, connection: Connection, responses: list[tuple[Any, Pdu]]) -> None:
        core, sent = self.core, self.sent
        sending = core.sending.items
        refused: list[tuple[Message, int]] = []
        for message, pdu in responses:
            status = pdu.command_status
            self.answers[status] += 1
            if status or pdu.__class__ is not SubmitSmResp:
                refused.append((message, status or int(CommandStatus.ESME_RUNKNOWNERR)))
                continue
            upstream_message_id = self.canonical_response(pdu.message_id)
            message.upstream = self.name
            message.upstream_message_id = upstream_message_id
            if message.counted:
                core.count_sent(message)
            if message.pdu.registered_delivery & RECEIPT_WANTED:
                if upstream_message_id in sent:
                    self._supersede(sent[upstream_message_id])
                sent[upstream_message_id] = message
                self._receipts.handle_known(self, upstream_message_id)
            sending.append((connection, self, message))
        core.sending.kick()
        if len(refused) < len(responses):
            self._throttled_s = 0.0
        if refused:
            self._handle_refused(connection, refused)

    def _supersede(self, message: Message) -> None:
        """The operator uses an id again: the newest message has it (wire.md F15), this one waits for nothing."""
        message.superseded = True
        if message.segment_stored:
            self.core.live.pop(message.id, None)

    def _handle_refused(self, connection: Connection, refused: list[tuple[Message, int]]) -> None:
        throttled: list[Message] = []
        for message, status in refused:
            if status in self._throttle:
                throttled.append(message)
            elif status in self._temporary:
                self._try_elsewhere(message)
            else:
                self.core.count_sent(message)
                self.core.finish(message, MessageState.UNDELIVERABLE, status)
        if throttled:
            self.feed.outbox.put_back(throttled)
            self._throttled_s = min(max(THROTTLE_FIRST_S, self._throttled_s * 2), THROTTLE_LAST_S)
            self.feed.pause(self._throttled_s)
        self.core.release({connection: len(refused)})

    def _try_elsewhere(self, message: Message) -> None:
        """After a temporary error: the next upstream of the route that is up, or a pause when all were tried."""
        message.attempts += 1
        if not message.upstreams:  # it was read from disk
            self.core.decide(message)
        upstreams = message.upstreams or (self.name,)
        if message.attempts % len(upstreams):
            start = upstreams.index(self.name) if self.name in upstreams else 0
            for step in range(1, len(upstreams)):
                other = self.core.upstreams.get(upstreams[(start + step) % len(upstreams)])
                if other is not None and other.feed.online:
                    message.upstream = other.name
                    other.feed.outbox.put(message)
                    other.feed.pump()
                    return
        retry = self.config.retry
        rounds = max(0, message.attempts // len(upstreams) - 1)
        delay_s = min(retry.last_s, retry.first_s * retry.factor ** min(rounds, 50))
        self.feed.outbox.defer(message, min(wall_ms() + int(delay_s * 1000), message.expires_at))

    def handle_expired(self, connection: Connection, contexts: list[Message]) -> None:
        self._send_again(connection, contexts)

    def _send_again(self, connection: Connection, messages: list[Message]) -> None:
        """Whether the operator took these is unknown: mark them, then send them once more."""
        self.unknown_outcomes += len(messages)
        for message in messages:
            message.repeated = True
            self.core.repeating.items.append((self, message))
        connection.session.window.release(len(messages))
        self.core.repeating.kick()

    def handle_requests(self, connection: Connection, requests: list[Pdu]) -> None:
        self._receipts.handle_requests(self, connection, requests)

    def handle_state(self, connection: Connection) -> None:
        if connection.session.state in BOUND:
            if connection not in self._bound:
                self._bound.add(connection)
                log.info('link.bound', upstream=self.name, peer=connection.peer_address)
            self.feed.add(connection)
            self.feed.pump()
        else:
            self.feed.remove(connection)

    def handle_closed(self, connection: Connection, lost: list[Message]) -> None:
        self._bound.discard(connection)
        self.feed.remove(connection)
        if lost:
            self._send_again(connection, lost)

    def trim(self) -> None:
        """Let go of the oldest messages that wait for a receipt beyond what memory may hold; the store finds them."""
        excess = len(self.sent) - self.core.configuration.queues.cache
        if excess > 0:
            self._forget([message for message in islice(self.sent.values(), excess) if message.segment_stored])

    def trim_old(self, before_ms: int) -> None:
        """Let go of messages accepted before `before_ms`, which would hold the low-water mark back."""
        old = takewhile(lambda message: accepted_at_ms(message.id) < before_ms, self.sent.values())
        self._forget([message for message in old if message.segment_stored])

    def forget_all(self) -> None:
        """Let go of everything that waits for a receipt: this upstream is configured no more."""
        self._forget([message for message in self.sent.values() if message.segment_stored])

    def _forget(self, messages: list[Message]) -> None:
        for message in messages:
            self.sent.pop(message.upstream_message_id, None)
            self.core.live.pop(message.id, None)


def _remaining(expires_at: int, now_ms: int) -> bytes:
    """Return what is left of a message's validity as a relative time (wire.md C21)."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return format_relative(now + timedelta(milliseconds=expires_at - now_ms), now)


Sent = tuple[Connection, Upstream, Message]


async def commit_sent(core: Core, items: list[Sent]) -> list[Outcome]:
    """Commit what operators have taken; return the endings of those of whom no receipt will come."""
    now_ms = wall_ms()
    finished = [
        Outcome(message, MessageState.ACCEPTED, 0, Notice.NONE, now_ms)
        for _, _, message in items
        if not message.pdu.registered_delivery & RECEIPT_WANTED
    ]
    await core.store.record_sent([message for _, _, message in items], finished)
    return finished


def handle_sent(core: Core, items: list[Sent], finished: list[Outcome]) -> None:
    """What operators have taken is committed, or cannot be: free the slots."""
    slots: dict[Connection, int] = {}
    for connection, _, message in items:
        if message.stored_wait:
            message.stored_wait = False
            core.shelf.left(message)
        message.segment_stored = True
        if message.superseded:
            core.live.pop(message.id, None)
        slots[connection] = slots.get(connection, 0) + 1
    for outcome in finished:
        core.finals[MessageState.ACCEPTED] += 1
        core.live.pop(outcome.message.id, None)
    core.release(slots)
    for upstream in core.upstreams.values():
        upstream.trim()


async def commit_repeated(core: Core, items: list[tuple[Upstream, Message]]) -> None:
    """Commit that these may have reached their operator already."""
    await core.store.mark_repeated([message for _, message in items])


def handle_repeated(core: Core, items: list[tuple[Upstream, Message]], _: None) -> None:
    """The marks are committed: the messages go again, elsewhere if their upstream is down."""
    for upstream, message in items:
        if not message.upstreams or upstream.name not in core.upstreams:  # read from disk, or removed by a reload
            core.decide(message)
        if upstream.feed.online or _waits_for(core, upstream, message):
            upstream.feed.outbox.put_back([message])
        else:
            dispatch(core, message)
    for upstream in {upstream for upstream, _ in items}:
        upstream.feed.pump()


def _waits_for(core: Core, upstream: Upstream, message: Message) -> bool:
    """Return whether a message waits for an upstream that is down, in its old place: no other of its route is up."""
    if core.upstreams.get(upstream.name) is not upstream or upstream.name not in message.upstreams:
        return False
    return not any(name in core.upstreams and core.upstreams[name].feed.online for name in message.upstreams)
