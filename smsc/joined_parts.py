"""The parts that ESMEs make of a message, judged and routed as one (wire.md G2).

Where nobody looks at the text, the decision about the first part holds for the others: it is remembered, and each part
finds it by what the parts have in common. Where somebody does, parts that are committed are held until all of them are
there or their time is up, and are then decided together, on the text they make.

References are used again. A remembered decision is for each number once, and for copies of a part: other octets under
the same number begin a new message, as they do among what is held. Copies are messages, too, which the ESME was given a
message_id for: they go on right behind the part that they repeat.

Nothing is dropped: what has no room is handed back at once, to be decided on what there is of it. What is held is in
the store without a route, so that a start finds it. No I/O and no clock: `now` is in seconds.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar
from zlib import crc32

import msgspec

from domain.message import Asked, Message
from pdu.pdus import DeliverSm, SubmitSm
from pdu.segments import Concatenation
from smsc.assembly import JOINED_OCTETS, join
from smsc.text import payload_of, text_of

PART_OCTETS = 2_000  # what memory takes for a part besides its user data, roughly
OCTETS_BOUND, OCTETS_SHARE = 64 << 20, 16 << 20  # held at a time; the same of one account
DECISIONS_BOUND = 50_000
COPIES_BOUND = 16  # of one part

D = TypeVar('D')


class PartsKey(NamedTuple):
    """What the parts of one message have in common."""

    account: str
    source_addr: bytes
    destination_addr: bytes
    reference: int
    wide: bool
    total: int


class Parts(msgspec.Struct, gc=False):
    """Messages to be decided as one, in the order of their `numbers`; not `complete` when some are missing."""

    key: PartsKey
    messages: list[Message]
    numbers: list[int]
    complete: bool = False


class _Held(msgspec.Struct, gc=False):
    """What is held of one message: the parts by their number, each with its copies behind it."""

    deadline: float
    parts: dict[int, list[Message]] = {}
    octets: int = 0

    def all_of(self, key: PartsKey) -> Parts:
        in_order = sorted(self.parts.items())
        messages = [message for _, copies in in_order for message in copies]
        numbers = [number for number, copies in in_order for _ in copies]
        return Parts(key, messages, numbers, len(self.parts) == key.total)


class _Decided(msgspec.Struct, Generic[D], gc=False):
    """A decision, until when it holds, and the mark of the user data it has been taken for, by number of the part."""

    decision: D
    until: float
    marks: dict[int, int] = {}


def parts_key(account: str, pdu: Asked | SubmitSm | DeliverSm, part: Concatenation) -> PartsKey:
    """Return the key of the message that this is a part of; addresses are the ESME's, `part` `wire_forms.part_of`'s."""
    return PartsKey(account, pdu.source_addr, pdu.destination_addr, part.reference, part.wide, part.total)


def mark_of(message: Message) -> int:
    """Return what tells a part from another one with its number, alike on all nodes and starts."""
    return crc32(payload_of(message.pdu))


def marks_of(parts: Parts) -> dict[int, int]:
    """Return the marks of parts by their numbers."""
    return {number: mark_of(message) for number, message in zip(parts.numbers, parts.messages, strict=True)}


def joined_text(parts: Parts, alphabet: str) -> str:
    """Return the text that parts make, in their order; `alphabet` is what data_coding 0 means to the account.

    Characters that were cut in two are whole again, national shift tables count as the headers name them. Copies of a
    part count once. Parts of different data_codings are read one by one.
    """
    by_number: dict[int, SubmitSm] = {}
    for number, message in zip(parts.numbers, parts.messages, strict=True):
        assert isinstance(message.pdu, SubmitSm)
        by_number.setdefault(number, message.pdu)
    pdus = list(by_number.values())
    if len({pdu.data_coding for pdu in pdus}) == 1:
        return text_of(join(pdus), alphabet)
    return ''.join([text_of(pdu, alphabet) for pdu in pdus])


class Joiner(Generic[D]):
    """The parts of one node that are held, and the decisions that hold for parts to come."""

    def __init__(
        self,
        octets_bound: int = OCTETS_BOUND,
        octets_share: int = OCTETS_SHARE,
        decisions_bound: int = DECISIONS_BOUND,
    ) -> None:
        """At most `octets_bound` octets are held, `octets_share` of one account, and so many decisions remembered."""
        self._bound, self._share, self._decisions_bound = octets_bound, octets_share, decisions_bound
        self._held: dict[PartsKey, _Held] = {}
        self._octets = 0
        self._account_octets: dict[str, int] = {}
        self._next_deadline = float('inf')
        self._decided: OrderedDict[PartsKey, _Decided[D]] = OrderedDict()
        self.joined = 0
        self.incomplete = 0
        self.crowded = 0
        """Those of them for which there was no room."""

    def __len__(self) -> int:
        """Return how many messages are held of which parts are missing."""
        return len(self._held)

    # Parts that are held

    def add(self, key: PartsKey, sequence: int, message: Message, now: float, wait_s: float) -> list[Parts]:
        """Hold a part that is committed; return what is to be decided now, mostly nothing.

        The first part of a message gives the others `wait_s` seconds.
        """
        if not 1 <= sequence <= key.total:  # the ESME counts in its own way: nobody knows what belongs together
            return [Parts(key, [message], [sequence])]
        released: list[Parts] = []
        held = self._held.get(key)
        if held is not None and not _agrees(held, sequence, message):
            released.append(self._release(key))
            held = None
        if held is None:
            held = self._held[key] = _Held(now + wait_s)
            self._next_deadline = min(self._next_deadline, held.deadline)
        held.parts.setdefault(sequence, []).append(message)
        size = _size(message)
        held.octets += size
        self._count(key.account, size)
        if len(held.parts) == key.total or self._is_too_much(key, held):
            released.append(self._release(key))
        return released

    def _is_too_much(self, key: PartsKey, held: _Held) -> bool:
        """Tell whether there is no room for this message: it is decided on what there is of it."""
        if self._octets <= self._bound and self._account_octets[key.account] <= self._share:
            return held.octets > JOINED_OCTETS + PART_OCTETS * key.total
        self.crowded += 1
        return True

    def tick(self, now: float) -> list[Parts]:
        """Return what has waited long enough; cheap when nothing has."""
        if now < self._next_deadline:
            return []
        due = [key for key, held in self._held.items() if held.deadline <= now]
        released = [self._release(key) for key in due]
        self._next_deadline = min([held.deadline for held in self._held.values()], default=float('inf'))
        return released

    def release(self, key: PartsKey) -> Parts | None:
        """Return what is held of a message, no matter what is missing; None for nothing."""
        return self._release(key) if key in self._held else None

    def held(self, key: PartsKey) -> Parts | None:
        """Return what is held of a message, and go on holding it; None for nothing."""
        held = self._held.get(key)
        return held.all_of(key) if held is not None else None

    def messages(self, account: str) -> Iterator[Message]:
        """Yield what is held of an account."""
        for key, held in self._held.items():
            if key.account == account:
                for copies in held.parts.values():
                    yield from copies

    def discard(self, message: Message, key: PartsKey) -> bool:
        """Hold this message no more: it has ended otherwise. Return whether it was held."""
        held = self._held.get(key)
        if held is None:
            return False
        found = [number for number, copies in held.parts.items() if any(copy is message for copy in copies)]
        if not found:
            return False
        copies = held.parts[found[0]]
        copies[:] = [copy for copy in copies if copy is not message]
        held.octets -= _size(message)
        self._count(key.account, -_size(message))
        if not copies:
            del held.parts[found[0]]
        if not held.parts:
            del self._held[key]
        return True

    def _release(self, key: PartsKey) -> Parts:
        held = self._held.pop(key)
        self._count(key.account, -held.octets)
        parts = held.all_of(key)
        self.joined += parts.complete
        self.incomplete += not parts.complete
        return parts

    def _count(self, account: str, octets: int) -> None:
        self._octets += octets
        left = self._account_octets.get(account, 0) + octets
        if left:
            self._account_octets[account] = left
        else:
            self._account_octets.pop(account, None)

    # Decisions

    def remember(self, parts: Parts, decision: D, now: float, keep_s: float) -> None:
        """Let the decision about these parts hold for those that are still to come, for `keep_s` seconds."""
        self._remember(parts.key, marks_of(parts), decision, now, keep_s)

    def learn(self, key: PartsKey, marks: dict[int, int], decision: D, now: float, keep_s: float) -> None:
        """Do the same with what another node has decided, unless it is about the message that is known here."""
        known = self._decided.get(key)
        if (
            known is None
            or known.until <= now
            or any(known.marks.get(one, mark) != mark for one, mark in marks.items())
        ):
            self._remember(key, marks, decision, now, keep_s)
        else:
            known.marks.update(marks)

    def _remember(self, key: PartsKey, marks: dict[int, int], decision: D, now: float, keep_s: float) -> None:
        decided = self._decided
        decided.pop(key, None)  # the new one is the youngest, and stands last
        decided[key] = _Decided(decision, now + keep_s, marks)
        while len(decided) > self._decisions_bound or next(iter(decided.values())).until <= now:
            decided.popitem(last=False)

    def decision(self, key: PartsKey, sequence: int, message: Message, now: float) -> D | None:
        """Return the decision that holds for this part, None when it is to be decided anew: a new message begins."""
        decided = self._decided.get(key)
        if decided is None:
            return None
        mark = mark_of(message)
        if decided.until <= now or decided.marks.setdefault(sequence, mark) != mark:
            del self._decided[key]
            return None
        return decided.decision

    def has_all(self, key: PartsKey, sequence: int) -> bool:
        """Tell whether this part and all the others have taken a decision: if it comes again, so may the message."""
        decided = self._decided.get(key)
        return decided is not None and sequence in decided.marks and len(decided.marks) >= key.total

    def forget_decision(self, key: PartsKey) -> None:
        """Decide a message anew: the part that was decided about was not accepted."""
        self._decided.pop(key, None)

    def forget_decisions(self) -> None:
        """Decide everything anew from now on, as after a reload; but no message of which parts are still to come."""
        for key in [key for key, decided in self._decided.items() if len(decided.marks) >= key.total]:
            del self._decided[key]


def _agrees(held: _Held, sequence: int, message: Message) -> bool:
    """Tell whether a part may belong to what is held: its number is free, or it is a copy of the part that has it."""
    copies = held.parts.get(sequence)
    if copies is None:
        return True
    first = copies[0].pdu
    same = payload_of(message.pdu) == payload_of(first) and message.pdu.data_coding == first.data_coding
    return same and len(copies) < COPIES_BOUND


def _size(message: Message) -> int:
    return len(payload_of(message.pdu)) + PART_OCTETS
