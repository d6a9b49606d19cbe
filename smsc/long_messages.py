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
from smsc.dispatching import dispatch
from smsc.wire_forms import part_of, submits_of
from storage.rows import PartOutcome

if TYPE_CHECKING:
    from smsc.feed import Held
    from smsc.upstream import Upstream

CHAINS_BOUND = 10_000
RECEIPT_WANTED = 0x03  # bits of registered_delivery, SMPP 3.4 section 5.2.17
Chain = tuple[str, bytes, bytes, int, int]


class LongMessages:
    """What one upstream gets in several segments."""

    def __init__(self, upstream: 'Upstream') -> None:
        self._upstream = upstream
        self._core = upstream.core
        self._stranded: list[Part] = []  # for the next link, or a later time
        self._failed: dict[int, list[Part]] = {}  # by message id: a temporary error, others are outstanding
        self._chains: OrderedDict[Chain, Connection] = OrderedDict()  # the link that a message of an ESME's parts takes

    @property
    def waiting(self) -> int:
        """Segments that wait for a link or a time."""
        return len(self._stranded) + sum(map(len, self._failed.values()))

    # Sending

    def send(self, connection: Connection, message: Message, alphabet: str, now_ms: int) -> bool:
        """Send a message in the form of this upstream; False when the slot that was reserved for it is not used.

        `alphabet` is what data_coding 0 means to the account.
        """
        upstream, core, pdu = self._upstream, self._core, message.pdu
        assert isinstance(pdu, SubmitSm)
        reference = message.reference
        part = part_of(pdu)
        if part is not None:
            chain = message.account, pdu.source_addr, pdu.destination_addr, part.reference, part.total
            link = self._link_of(chain, connection)
            if link is not connection:
                upstream.feed.hold(link, [message])
                return False
            reference = core.references.of_part(*chain)
        try:
            pdus = submits_of(pdu, alphabet, upstream.form, reference, upstream.takes_tlvs(connection))
        except SegmentError as error:
            upstream.reject(message, PduError(CommandStatus.ESME_RINVMSGLEN, str(error)))
            return False
        if len(pdus) == 1:
            return upstream.request(connection, pdus[0], message)
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

    def _begin(self, connection: Connection, message: Message, pdus: list[SubmitSm], now_ms: int) -> bool:
        split, total = message.split, len(pdus)
        if split is None and message.repeated:
            self._core.add_task(self._resume(message), 'resume')
            return False
        if split is None or split.total != total:
            split = message.split = Split(total, set())
        message.segments = total
        first, *rest = [
            Part(message, number, total, pdu) for number, pdu in enumerate(pdus, 1) if number not in split.taken
        ]
        self._upstream.feed.hold(connection, rest)
        return self._send_part(connection, first, now_ms)

    async def _resume(self, message: Message) -> None:
        """Ask the store which segments an operator has taken or refused before a restart; the others go to the same
        upstream.
        """
        parts = self._core.store.parts
        segments = (await parts.taken([message.id])).get(message.id, [])
        upstream = self._upstream
        if segments:
            upstream = self._core.upstreams.get(segments[0].upstream, upstream)
        mine = [segment for segment in segments if segment.upstream == upstream.name]
        done = {segment.part for segment in mine}
        if mine:
            done |= {number for number, _, _ in (await parts.known([message.id])).get(message.id, [])}
        total = max((segment.parts for segment in mine), default=0)
        message.split = Split(total, done)
        message.upstream = upstream.name
        if mine and len(done) == total:  # nothing is left to send: it waits for receipts
            last = Part(message, mine[0].part, total, None, mine[0].upstream_message_id, completes=True)
            self._core.sending.items.append((None, upstream, last))
            self._core.sending.kick()
            return
        upstream.feed.outbox.put_back([message])
        upstream.feed.pump()

    def send_held(self, connection: Connection, item: 'Held', now_ms: int) -> bool:
        """Send what was held for a link: a segment, or a part that an ESME made."""
        if isinstance(item, Message):
            return self._upstream.send(connection, item, now_ms)
        return self._send_part(connection, item, now_ms)

    def _send_part(self, connection: Connection, part: Part, now_ms: int) -> bool:
        message = part.message
        split = _split_of(message)
        if message.state != MessageState.ENROUTE:  # it ended meanwhile
            return False
        if message.id in self._failed:
            self._failed[message.id].append(part)
            return False
        if message.expires_at <= now_ms:
            self._end([part], MessageState.EXPIRED, 0)
            return False
        assert part.pdu is not None
        if not self._upstream.request(connection, part.pdu, part):
            self._withdraw(message)
            return False
        split.outstanding += 1
        return True

    # What the operator answers

    def handle_taken(self, part: Part) -> None:
        """The operator has taken a segment."""
        split = _split_of(part.message)
        split.outstanding -= 1
        split.taken.add(part.number)
        part.pdu = None
        if len(split.taken) == split.total:
            part.completes = True
            self._core.count_sent(part.message)
        self._settle(part.message)

    def handle_throttled(self, connection: Connection | None, parts: list[Part]) -> None:
        """The operator wants these segments later: they go first."""
        for part in parts:
            split = _split_of(part.message)
            split.outstanding -= 1
            if split.ended is not None:
                self._end([part], *split.ended)
        parts = [part for part in parts if _split_of(part.message).ended is None]
        if connection is not None and connection in self._upstream.feed.connections:
            self._upstream.feed.hold(connection, parts, first=True)
        else:
            self.strand(parts)

    def handle_refused(self, part: Part, status: int, temporary: bool) -> None:
        """The operator has refused a segment."""
        split = _split_of(part.message)
        split.outstanding -= 1
        if split.ended is not None:
            self._end([part], *split.ended)
        elif temporary:
            self._failed.setdefault(part.id, []).append(part)
        else:
            self._end([part], ending(status), status)
        self._settle(part.message)

    def handle_marked(self, part: Part) -> None:
        """It is committed that the operator may have taken a segment, and did not say so: it goes again.

        Until then it counts as outstanding, so that its message does not go elsewhere as a whole.
        """
        message, split = part.message, _split_of(part.message)
        split.outstanding -= 1
        if split.ended is not None:
            self._end([part], *split.ended)
        elif message.id in self._failed:
            self._failed[message.id].append(part)
            self._settle(message)
        else:
            self.strand([part])

    def _settle(self, message: Message) -> None:
        """Once nothing of a message is outstanding: deal with what was refused for now."""
        split = _split_of(message)
        if split.outstanding or message.id not in self._failed:
            return
        parts = self._withdraw(message)
        if not split.taken and not message.repeated:
            message.split = None
            self._upstream.try_elsewhere(message)
            return
        message.attempts += 1
        due_at = self._core.loop.time() + self._upstream.back_off_s(message)
        for part in parts:
            part.due_at = due_at
        self._stranded += parts

    def _end(self, parts: list[Part], state: int, error: int) -> None:
        """End segments of one message that no operator will take, and with them those that are not sent yet."""
        message = parts[0].message
        split = _split_of(message)
        split.ended = state, error
        parts = parts + self._withdraw(message)
        self._core.count_sent(message)
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
        """Take every segment of a message out of what waits; return them in order."""
        parts = self._failed.pop(message.id, [])
        for items in self._upstream.feed.held.values():
            mine = [item for item in items if isinstance(item, Part) and item.message is message]
            if mine:
                others = [item for item in items if not (isinstance(item, Part) and item.message is message)]
                items.clear()
                items.extend(others)
                parts += mine
        parts += [part for part in self._stranded if part.message is message]
        self._stranded = [part for part in self._stranded if part.message is not message]
        return sorted(parts, key=lambda part: part.number)

    # Links that go

    def forget(self, connection: Connection) -> None:
        """A link is gone."""
        for chain in [chain for chain, link in self._chains.items() if link is connection]:
            del self._chains[chain]

    def strand(self, items: Iterable['Held']) -> None:
        """Take what was held for a link that is gone, or was lost with it."""
        items = list(items)
        self._upstream.feed.outbox.put_back([item for item in items if isinstance(item, Message)])
        self._stranded += [item for item in items if isinstance(item, Part)]
        self.place(self._core.loop.time())

    def place(self, now: float) -> None:
        """Give links the segments that wait for one; without a link, messages not begun go elsewhere as a whole."""
        if not self._stranded:
            return
        feed = self._upstream.feed
        if not feed.connections:
            if feed.outbox.offline:
                self._collapse()
            return
        due = [part for part in self._stranded if part.due_at <= now]
        self._stranded = [part for part in self._stranded if part.due_at > now]
        by_message: dict[int, list[Part]] = {}
        for part in due:
            by_message.setdefault(part.id, []).append(part)
        for parts in by_message.values():
            parts.sort(key=lambda part: part.number)
            feed.hold(feed.roomiest() or feed.connections[0], parts)

    def _collapse(self) -> None:
        for message in {part.id: part.message for part in self._stranded}.values():
            if _split_of(message).unsent:
                self._withdraw(message)
                message.split = None
                dispatch(self._core, message)

    def end_all(self) -> None:
        """This upstream is configured no more: what it had begun ends, the rest is routed anew."""
        self._collapse()
        for message in {part.id: part.message for part in self._stranded}.values():
            self._end(self._withdraw(message), MessageState.UNDELIVERABLE, int(CommandStatus.ESME_RSYSERR))


def ending(status: int) -> MessageState:
    """Return what a refusal for good means; of 0, the operator took the message and gave no id that can be read."""
    return MessageState.UNDELIVERABLE if status else MessageState.UNKNOWN


def _split_of(message: Message) -> Split:
    assert message.split is not None
    return message.split
