"""What an upstream's answers to submits mean, and where a message goes after a refusal.

Retry rules. ESME_ROK: the message is with the operator; its segment is committed before the window's slot is free, so
a crash can repeat no more than the windows hold. A throttling status: the message goes back to the head of the outbox,
the upstream pauses, longer each time in a row, and goes on at a lower rate, which recovers. A temporary status: the
next upstream of its route at once, or, when all have been tried, the first again after a back-off. Any other status
ends it. No answer at all: `smsc.unknown_outcomes`. Messages of several segments: `smsc.long_messages`.
"""

from typing import TYPE_CHECKING, Any

from domain.message import Message, Part
from pdu.pdus import Pdu, SubmitSmResp
from pdu.receipt_text import MessageState
from pdu.segments import UDHI
from pdu.tlvs import Tag, integer
from smpp.aio.connection import Connection
from smsc.availability import OWN_TROUBLE
from smsc.chains import Chain, chain_of
from smsc.clock import wall_ms
from smsc.limits import count_status
from smsc.long_messages import RECEIPT_WANTED
from smsc.sending import forget

if TYPE_CHECKING:
    from smsc.receipts import Receipts
    from smsc.upstream import Upstream

THROTTLE_FIRST_S = 0.1
THROTTLE_LAST_S = 5.0


class Answering:
    """Deals with the answers of one upstream."""

    def __init__(self, upstream: 'Upstream', receipts: 'Receipts') -> None:
        self._upstream = upstream
        self._core = upstream.core
        self._receipts = receipts
        self._throttled_s = 0.0

    def configure(self) -> None:
        """Go on with the configuration that the upstream has now."""
        errors = self._upstream.config.errors
        permanent = frozenset(errors.permanent)  # takes precedence
        self._throttle = frozenset(errors.throttle) - permanent
        self._temporary = frozenset(errors.temporary) - permanent

    def handle(self, connection: Connection | None, responses: list[tuple[Any, Pdu]]) -> None:
        """Deal with answers to submits; without a connection, they came late and hold no slot."""
        core, upstream = self._core, self._upstream
        sent, answers = upstream.sent, upstream.answers
        sending = core.sending.items
        refused: list[tuple[Message | Part, int]] = []
        for item, pdu in responses:
            status = pdu.command_status
            if status or pdu.__class__ is not SubmitSmResp:
                count_status(answers, status)
                refused.append((item, status))
                continue
            answers[0] += 1
            item.upstream_message_id = upstream_message_id = upstream.canonical_response(pdu.message_id)
            if not pdu.message_id and _wants_receipt(item):  # no receipt can name it
                refused.append((item, status))
                continue
            if item.__class__ is Message:
                message = item
                if message.counted:
                    core.count_sent(message)
                if message.pdu.esm_class & UDHI or message.pdu.tlvs:
                    core.chains.note_taken(message, upstream.name, core.loop.time())
            else:
                message = item.message
                upstream.long_messages.handle_taken(item)
            message.upstream = upstream.name
            if message.pdu.registered_delivery & RECEIPT_WANTED:
                if upstream_message_id in sent:
                    self._supersede(sent[upstream_message_id])
                sent[upstream_message_id] = item
                self._receipts.handle_known(upstream, upstream_message_id)
            if pdu.tlvs:
                self._heed(pdu)
            sending.append((connection, upstream, item))
        core.sending.kick()
        if len(refused) < len(responses):
            self._throttled_s = 0.0
            upstream.availability.good += len(responses) - len(refused)
        if refused:
            self._handle_refused(connection, refused)

    def _heed(self, pdu: SubmitSmResp) -> None:
        """Slow down for an operator of 5.0 that says it is congested (wire.md F24)."""
        congestion = integer(pdu.tlvs, Tag.CONGESTION_STATE)
        if congestion is not None:
            self._upstream.rate.heed(congestion, self._core.loop.time())

    def _supersede(self, item: Message | Part) -> None:
        """The operator uses an id again: the newest message has it (wire.md F15), this one waits for nothing."""
        item.superseded = True
        if item.segment_stored:
            forget(self._core, item)

    # Refusals

    def _handle_refused(self, connection: Connection | None, refused: list[tuple[Message | Part, int]]) -> None:
        throttled: list[Message] = []
        parts: list[Part] = []
        for item, status in refused:
            self._count_refused(status)
            temporary = status in self._temporary
            if status in self._throttle:
                if isinstance(item, Part):
                    parts.append(item)
                else:
                    throttled.append(item)
            elif isinstance(item, Part):
                self._upstream.long_messages.handle_refused(item, status, temporary)
            elif temporary:
                self.try_elsewhere(item)
            else:
                self._end(item, status)
        if throttled or parts:
            self._slow_down(connection, throttled, parts)
        if connection is not None:
            self._core.release({connection: len(refused)})

    def _count_refused(self, status: int) -> None:
        availability = self._upstream.availability
        if status in self._throttle:
            availability.throttled += 1
        elif status in self._temporary or status in OWN_TROUBLE:
            availability.failed += 1
        else:
            availability.good += 1

    def _end(self, message: Message, status: int) -> None:
        """The operator has refused a message for good; or, `status` 0, taken it and given no id that can be read."""
        core = self._core
        if status and core.next_routes.handle_refusal(self._upstream, message, status):
            return
        core.count_sent(message)
        if core.note_refusal is not None:
            core.note_refusal(message.pdu.destination_addr, status)
        core.finish(message, MessageState.UNDELIVERABLE if status else MessageState.UNKNOWN, status)

    def _slow_down(self, connection: Connection | None, messages: list[Message], parts: list[Part]) -> None:
        """The operator throttles: these go again first, after a pause, at a lower rate."""
        upstream = self._upstream
        upstream.feed.outbox.put_back(messages)
        upstream.long_messages.handle_throttled(connection, parts)
        upstream.rate.lower(len(messages) + len(parts), self._core.loop.time())
        self._throttled_s = min(max(THROTTLE_FIRST_S, self._throttled_s * 2), THROTTLE_LAST_S)
        upstream.feed.pause(self._throttled_s)

    # After a temporary error

    def try_elsewhere(self, message: Message) -> None:
        """After a temporary error: the next upstream of the route that is up, or a pause when all were tried."""
        message.attempts += 1
        if not message.upstreams:  # it was read from disk
            self._core.decide(message)
        upstreams = message.upstreams or (self._upstream.name,)
        chain = chain_of(message)
        if chain is not None:
            upstreams = self._upstreams_of_part(message, chain, upstreams)
        if message.attempts % len(upstreams) and self._pass_on(message, chain, upstreams):
            return
        due_at = wall_ms() + int(self.back_off_s(message, len(upstreams)) * 1000)
        self._upstream.feed.outbox.defer(message, min(due_at, message.expires_at))

    def _pass_on(self, message: Message, chain: Chain | None, upstreams: tuple[str, ...]) -> bool:
        """Give a message to the next of these upstreams that is up; return whether one was."""
        core, here = self._core, self._upstream.name
        start = upstreams.index(here) if here in upstreams else 0
        for step in range(1, len(upstreams)):
            other = core.upstreams.get(upstreams[(start + step) % len(upstreams)])
            if other is not None and other.available:
                message.upstream = other.name
                if chain is not None:
                    core.chains.put(chain, other.name, core.loop.time())
                other.feed.outbox.put(message)
                other.feed.pump()
                return True
        return False

    def _upstreams_of_part(self, message: Message, chain: Chain, upstreams: tuple[str, ...]) -> tuple[str, ...]:
        """Return where a part may go after a temporary error: nowhere else while others may be here (wire.md D15)."""
        here, long_messages = self._upstream.name, self._upstream.long_messages
        if long_messages.is_bound_here(message) or long_messages.has_outstanding_of(message):
            return (here,)
        place = self._core.chains.place(chain, self._core.loop.time())
        if place is None:
            return upstreams
        place.by_probe = False
        return (here, place.upstream) if place.upstream in upstreams and place.upstream != here else upstreams

    def back_off_s(self, message: Message, upstreams: int = 1) -> float:
        """Return the pause before a message is sent again, after so many attempts at each of `upstreams`."""
        retry = self._upstream.config.retry
        rounds = max(0, message.attempts // upstreams - 1)
        return min(retry.last_s, retry.first_s * retry.factor ** min(rounds, 50))


def _wants_receipt(item: Message | Part) -> bool:
    message = item.message if isinstance(item, Part) else item
    return bool(message.pdu.registered_delivery & RECEIPT_WANTED)
