"""Messages that one upstream gets in several segments, and the parts that ESMEs made, on their way there.

All segments of a message leave on one link, in order; when that link goes, the rest goes to another (wire.md D15). A
segment that is throttled goes again first. A temporary error waits for the answers to the other segments: if the
operator has taken none, the message goes elsewhere as a whole; else this upstream gets the rest after a back-off. A
permanent error ends the segment and those not sent yet; what the message ends with is told when the receipts of the
others are there. Memory knows which segments were taken; after a restart the store tells.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from domain.message import Message, Part, Split
from pdu.pdus import SubmitSm
from pdu.receipt_text import MessageState
from pdu.segments import SegmentError
from pdu.status import CommandStatus, PduError
from smpp.aio.connection import Connection
from smsc.chains import Chain, chain_of
from smsc.clock import wall_ms
from smsc.dispatching import dispatch
from smsc.loops import counted
from smsc.wire_forms import submits_of
from storage.rows import PartOutcome

if TYPE_CHECKING:
    from smsc.feed import Held
    from smsc.upstream import Upstream

CHAINS_BOUND = 10_000
RECEIPT_WANTED = 0x03  # bits of registered_delivery, SMPP 3.4 section 5.2.17


class LongMessages:
    """What one upstream gets in several segments."""

    def __init__(self, upstream: 'Upstream') -> None:
        self._upstream = upstream
        self._core = upstream.core
        # Segments that are not sent: held by a link, stranded, or refused for now; by message id and number. What a
        # link holds and is not here any more was withdrawn.
        self._waiting: dict[int, dict[int, Part]] = {}
        self._stranded: dict[int, list[Part]] = {}  # by message id: for the next link, or a later time
        self._failed: dict[int, list[Part]] = {}  # by message id: a temporary error, others are outstanding
        self._chains: OrderedDict[Chain, Connection] = OrderedDict()  # the link that a message of an ESME's parts takes

    @property
    def waiting(self) -> int:
        """Messages that are begun and lack segments, not counting what is outstanding."""
        return len(self._waiting)

    def unsent(self) -> list[Part]:
        """Return the segments that are begun and not outstanding."""
        return [part for parts in self._waiting.values() for part in parts.values()]

    def drop(self, message: Message) -> None:
        """Send no more of a message that has ended."""
        self._withdraw(message)

    # Sending

    def send(self, connection: Connection, message: Message, alphabet: str, now_ms: int) -> bool:
        """Send a message in the form of this upstream; False when the slot that was reserved for it is not used.

        `alphabet` is what data_coding 0 means to the account.
        """
        upstream, core, pdu = self._upstream, self._core, message.pdu
        assert isinstance(pdu, SubmitSm)
        reference = message.reference
        chain = chain_of(message)
        if chain is not None:
            if self._follows(message, chain):
                return False
            link = self._link_of(chain, connection)
            if link is not connection:
                upstream.feed.hold(link, [message])
                return False
            reference = core.references.of_part(*chain)
        try:
            pdus = submits_of(pdu, alphabet, upstream.form, reference, upstream.takes_tlvs(connection))
        except SegmentError as error:
            upstream.submitting.reject(message, PduError(CommandStatus.ESME_RINVMSGLEN, str(error)))
            return False
        if upstream.hop_tag is not None:
            pdus = counted(pdus, upstream.hop_tag)
        if len(pdus) == 1:
            return upstream.submitting.request(connection, pdus[0], message)
        return self._begin(connection, message, pdus, now_ms)

    def _link_of(self, chain: Chain, connection: Connection) -> Connection:
        """Return the link that takes all parts of a message that an ESME split: that of the first, while it is up."""
        link = self._chains.pop(chain, connection)
        if link not in self._upstream.feed.connections:
            link = connection
        self._chains[chain] = link
        if len(self._chains) > CHAINS_BOUND:
            self._chains.popitem(last=False)
        return link

    def is_bound_here(self, message: Message) -> bool:
        """Return whether a message is a part that an ESME made of one of which this operator has taken a part."""
        chain = chain_of(message)
        return chain is not None and self._core.chains.has_taken(chain, self._upstream.name, self._core.loop.time())

    def has_outstanding_of(self, message: Message) -> bool:
        """Return whether another part of the message that this one is a part of is unanswered."""
        chain = chain_of(message)
        link = self._chains.get(chain) if chain is not None else None
        if link is None:
            return False
        for item in link.session.window.pending.values():
            other = item.message if isinstance(item, Part) else item
            is_like = isinstance(other, Message) and other.pdu.destination_addr == message.pdu.destination_addr
            if is_like and other is not message and chain_of(other) == chain:
                return True
        return False

    def _follows(self, message: Message, chain: Chain) -> bool:
        """Let a part go where the others went since it waits here; return whether it did."""
        core, here = self._core, self._upstream.name
        place = core.chains.place(chain, core.loop.time())
        if place is None or place.upstream == here or not (place.by_hand or place.upstream in message.upstreams):
            return False
        other = core.upstreams.get(place.upstream)
        if other is None or not (other.available or (place.taken and other.reachable)):
            return False
        message.upstream = other.name
        other.feed.outbox.put(message)
        other.feed.pump()
        return True

    def _begin(self, connection: Connection, message: Message, pdus: list[SubmitSm], now_ms: int) -> bool:
        split, total = message.split, len(pdus)
        if split is None and message.repeated:
            self._core.resuming.items.append((self._upstream, message))
            self._core.resuming.kick()
            return False
        if split is None or split.total != total:
            split = message.split = Split(total, set())
        message.segments = total
        parts = [
            Part(message, number, total, pdu, self._upstream.name)
            for number, pdu in enumerate(pdus, 1)
            if number not in split.taken
        ]
        self._waiting[message.id] = {part.number: part for part in parts}
        self._upstream.feed.hold(connection, parts[1:])
        return self._send_part(connection, parts[0], now_ms)

    def send_held(self, connection: Connection, item: 'Held', now_ms: int) -> bool:
        """Send what was held for a link: a segment, or a part that an ESME made."""
        if isinstance(item, Message):
            return self._upstream.submitting.send(connection, item, now_ms)
        return self._send_part(connection, item, now_ms)

    def _send_part(self, connection: Connection, part: Part, now_ms: int) -> bool:
        message = part.message
        waiting = self._waiting.get(message.id)
        if waiting is None or waiting.get(part.number) is not part:  # it was withdrawn
            return False
        if message.state != MessageState.ENROUTE:  # it ended meanwhile
            self._withdraw(message)
            self._core.count_sent(message)
            return False
        if message.id in self._failed:
            self._failed[message.id].append(part)
            return False
        if message.expires_at <= now_ms:
            self._end([part], MessageState.EXPIRED, 0)
            return False
        self._sent(part)
        assert part.pdu is not None
        if not self._upstream.submitting.request(connection, part.pdu, part):
            self._withdraw(message)
            return False
        _split_of(message).outstanding += 1
        return True

    def _sent(self, part: Part) -> None:
        waiting = self._waiting[part.id]
        del waiting[part.number]
        if not waiting:
            del self._waiting[part.id]

    # What the operator answers

    def handle_taken(self, part: Part) -> None:
        """The operator has taken a segment."""
        split = _split_of(part.message)
        split.outstanding -= 1
        self._note_taken(part, split)
        self._settle(part.message)

    def _note_taken(self, part: Part, split: Split) -> None:
        split.taken.add(part.number)
        part.pdu = None
        if len(split.taken) == split.total:
            part.completes = True
            self._core.chains.note_taken(part.message, self._upstream.name, self._core.loop.time())
            self._core.count_sent(part.message)

    def handle_throttled(self, connection: Connection | None, parts: list[Part]) -> None:
        """The operator wants these segments later: they go first."""
        again = [part for part in parts if self._goes_again(part)]
        self._wait(again)
        if connection is not None and connection in self._upstream.feed.connections:
            self._upstream.feed.hold(connection, again, first=True)
        else:
            self.strand(again)

    def _goes_again(self, part: Part) -> bool:
        """A segment was not taken; return whether it is to be sent again: others may have ended the message."""
        split = _split_of(part.message)
        split.outstanding -= 1
        if split.ended is not None:
            self._end([part], *split.ended)
        elif part.message.state != MessageState.ENROUTE:  # another operator has delivered it after all
            self._withdraw(part.message)
            return False
        return split.ended is None

    def handle_refused(self, part: Part, status: int, temporary: bool) -> None:
        """The operator has refused a segment; or, `status` 0, taken it under an id that cannot be read."""
        message = part.message
        if not status:
            split = _split_of(message)
            split.outstanding -= 1
            self._note_taken(part, split)
            self._record([part], MessageState.UNKNOWN, 0)
        elif self._goes_again(part):
            if temporary:
                self._wait([part])
                self._failed.setdefault(part.id, []).append(part)
            else:
                self._end([part], MessageState.UNDELIVERABLE, status)
        self._settle(message)

    def handle_marked(self, part: Part) -> None:
        """It is committed that the operator may have taken a segment, and did not say so: it goes again.

        Until then it counts as outstanding, so that its message does not go elsewhere as a whole.
        """
        if not self._goes_again(part):
            return
        self._wait([part])
        if part.id in self._failed:
            self._failed[part.id].append(part)
            self._settle(part.message)
        else:
            self.strand([part])

    def take_back(self, part: Part) -> bool:
        """A late answer came to a segment: return whether it was to be sent again, and is not any more."""
        waiting = self._waiting.get(part.id)
        if waiting is None or waiting.get(part.number) is not part:
            return False
        self._sent(part)
        for waiting_parts in (self._failed, self._stranded):
            others = [other for other in waiting_parts.pop(part.id, []) if other is not part]
            if others:
                waiting_parts[part.id] = others
        _split_of(part.message).outstanding += 1
        return True

    def take_out(self, message: Message, number: int) -> None:
        """A receipt tells that the operator has a segment: if it was to be sent again, it is not any more."""
        part = self._waiting.get(message.id, {}).get(number)
        if part is not None and self.take_back(part):
            self.handle_taken(part)

    def _wait(self, parts: list[Part]) -> None:
        for part in parts:
            self._waiting.setdefault(part.id, {})[part.number] = part

    def _settle(self, message: Message) -> None:
        """Once nothing of a message is outstanding: deal with what was refused for now."""
        split = _split_of(message)
        if split.outstanding or message.id not in self._failed:
            return
        parts = self._withdraw(message)
        if not split.taken and not message.repeated:
            message.split = None
            self._upstream.answering.try_elsewhere(message)
            return
        message.attempts += 1
        back_off_s = self._upstream.answering.back_off_s(message)
        for part in parts:
            part.due_at = self._core.loop.time() + back_off_s
        if len(self._stranded) >= self._upstream.feed.outbox.capacity:  # it takes the half of each message
            self._upstream.feed.pause(back_off_s)
        self._wait(parts)
        self._stranded[message.id] = parts
        if self._upstream.removed:
            self.end_all()

    def _end(self, parts: list[Part], state: int, error: int) -> None:
        """End segments of one message that no operator will take, and with them those that are not sent yet."""
        message = parts[0].message
        _split_of(message).ended = state, error
        others = [part for part in self._withdraw(message) if part not in parts]
        self._core.count_sent(message)
        self._record(parts + others, state, error)

    def _record(self, parts: list[Part], state: int, error: int) -> None:
        message = parts[0].message
        if message.pdu.registered_delivery & RECEIPT_WANTED:
            self._core.parting.items += [PartOutcome(message, part.number, part.total, state, error) for part in parts]
            self._core.parting.kick()
        else:
            self._core.finish(message, state, error)

    def end(self, part: Part, state: int) -> None:
        """End a segment whose outcome stays unknown, and those of its message that are not sent yet."""
        _split_of(part.message).outstanding -= 1
        self._end([part], state, 0)

    def _withdraw(self, message: Message) -> list[Part]:
        """Take every segment of a message out of what waits; return them in order. Links pass over what they hold."""
        self._failed.pop(message.id, None)
        self._stranded.pop(message.id, None)
        waiting = self._waiting.pop(message.id, {})
        return [waiting[number] for number in sorted(waiting)]

    # Links that go

    def forget(self, connection: Connection) -> None:
        """A link is gone."""
        for chain in [chain for chain, link in self._chains.items() if link is connection]:
            del self._chains[chain]

    def strand(self, items: Iterable['Held']) -> None:
        """Take what was held for a link that is gone, or was lost with it."""
        messages: list[Message] = []
        for item in items:
            if isinstance(item, Message):
                messages.append(item)
            elif self._waiting.get(item.id, {}).get(item.number) is item:
                self._stranded.setdefault(item.id, []).append(item)
        self._upstream.feed.outbox.put_back(messages)
        if self._upstream.removed:
            self.end_all()
        else:
            self.place(self._core.loop.time())

    def place(self, now: float) -> None:
        """Give links the segments that wait for one; without a link, messages not begun go elsewhere as a whole.

        Called twice a second at least: what ran out of time ends here.
        """
        if not self._stranded:
            return
        feed, now_ms = self._upstream.feed, wall_ms()
        for parts in list(self._stranded.values()):
            if parts[0].message.expires_at <= now_ms:
                self._end(parts, MessageState.EXPIRED, 0)
        if not feed.connections:
            if feed.outbox.offline:
                self._collapse()
            return
        for message_id, parts in list(self._stranded.items()):
            if parts[0].due_at <= now:
                del self._stranded[message_id]
                parts.sort(key=lambda part: part.number)
                feed.hold(feed.roomiest() or feed.connections[0], parts)

    def _collapse(self) -> None:
        for parts in list(self._stranded.values()):
            message = parts[0].message
            if _split_of(message).unsent:
                self._withdraw(message)
                message.split = None
                dispatch(self._core, message)

    def end_all(self) -> None:
        """This upstream is configured no more: what it had begun ends, the rest is routed anew."""
        for message_id in list(self._stranded):
            parts = list(self._waiting.get(message_id, {}).values())
            message = self._stranded[message_id][0].message
            if _split_of(message).unsent:
                self._withdraw(message)
                message.split = None
                self._core.decide(message)
                dispatch(self._core, message)
            else:
                self._end(parts, MessageState.UNDELIVERABLE, int(CommandStatus.ESME_RSYSERR))


def _split_of(message: Message) -> Split:
    assert message.split is not None
    return message.split
