"""Concatenated MO messages put together again: which parts belong together, and the message they make (wire.md D16).

Parts come in any order, more than once, over any link. Those of one message gather until it is complete or its time is
up; then they are handed back, joined or as they are: a part is held, never dropped. What was handed back is remembered
for as long again, so that a late copy of a part is known for one.

References are used again, by some handsets for every message, and two texts may begin alike: a part with the octets of
one that came before is only presumed a copy. It is held as long as others are, and counts as soon as a part comes that
differs. Presumed copies alone make a message if all of them came after the first was handed back: operators repeat
single PDUs that they got no answer for, not messages.

No account gathers more than its share; for what has no room, the oldest of the account that has most goes on as it is.
No I/O and no clock: time is an argument, in seconds.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import TypeVar

import msgspec

from domain.message import Message
from pdu.pdus import DeliverSm, ShortMessage
from pdu.segments import (
    SAR_TAGS,
    UDHI,
    Elements,
    concatenation_in,
    decode_elements,
    encode_elements,
    parse_sar,
    without_concatenation,
)
from pdu.tlvs import Tag, find
from smsc.text import payload_of, without_header

MESSAGES_BOUND = 10_000  # that gather at a time, and as many that are remembered
MARKS_BOUND = 200_000  # parts that are remembered
OCTETS_BOUND = 128 << 20  # of all parts that gather
MESSAGES_SHARE, OCTETS_SHARE = 2_000, 32 << 20  # the same of one account
COPIES_BOUND = 255  # that are held beside the parts of one message
PART_OCTETS = 2_000  # what memory takes for a part besides its body, roughly
JOINED_OCTETS = 65_000  # of a body; message_payload holds 65,535 with the header
SHORT_MESSAGE_OCTETS = 254  # SMPP 3.4 section 5.2.22

HEADER_OCTETS = 255  # of a user data header without its length octet

NATIONAL = frozenset({0x24, 0x25})  # elements that name shift tables, 3GPP TS 23.040 sections 9.2.3.24.15 and 16
Joined = TypeVar('Joined', bound=ShortMessage)
_REPLACED = SAR_TAGS | {Tag.MORE_MESSAGES_TO_SEND, Tag.MESSAGE_PAYLOAD}


class Whole(msgspec.Struct, frozen=True):
    """What the parts of one message have in common: who, to whom, which reference, and how its octets are read."""

    account: str
    source_addr: bytes
    destination_addr: bytes
    reference: int
    wide: bool
    total: int
    data_coding: int
    alphabet: str
    national: Elements


class MoPart(msgspec.Struct, frozen=True):
    """One part: of which message, its number from 1 on, and its user data without the header."""

    whole: Whole
    sequence: int
    body: bytes


def read_part(account: str, pdu: DeliverSm, alphabet: str) -> MoPart | None:
    """Return which part of a message this is; None for a message of its own, and for numbers that make no sense.

    `alphabet` is what data_coding 0 means: octets of two alphabets do not make one text. The header wins over the SAR
    TLVs (wire.md D10).
    """
    if pdu.short_message and find(pdu.tlvs, Tag.MESSAGE_PAYLOAD):
        return None
    octets = payload_of(pdu)
    elements = decode_elements(octets) if pdu.esm_class & UDHI else ()
    if elements is None:
        return None
    concatenation = concatenation_in(elements) or parse_sar(pdu.tlvs)
    if concatenation is None or not 1 <= concatenation.sequence <= concatenation.total:
        return None
    whole = Whole(
        account,
        pdu.source_addr,
        pdu.destination_addr,
        concatenation.reference,
        concatenation.wide,
        concatenation.total,
        pdu.data_coding,
        alphabet if pdu.data_coding == 0 else '',
        tuple(element for element in elements if element[0] in NATIONAL),
    )
    return MoPart(whole, concatenation.sequence, without_header(pdu.esm_class, octets))


def join(parts: list[Joined]) -> Joined:
    """Return the message that parts in their order make, without its `octets`.

    Everything but the user data is the first part's. The header keeps what is not about concatenation, each element
    once. Beyond 254 octets the user data is in message_payload.
    """
    first = parts[0]
    elements: dict[tuple[int, bytes], None] = {}
    body: list[bytes] = []
    for pdu in parts:
        part = payload_of(pdu)
        if pdu.esm_class & UDHI:
            elements |= dict.fromkeys(without_concatenation(decode_elements(part) or ()))
        body.append(without_header(pdu.esm_class, part))
    header = _header(elements)
    octets = header + b''.join(body)
    tlvs = tuple(tlv for tlv in first.tlvs if tlv[0] not in _REPLACED)
    fits = len(octets) <= SHORT_MESSAGE_OCTETS
    return msgspec.structs.replace(
        first,
        esm_class=first.esm_class | UDHI if header else first.esm_class & ~UDHI,
        short_message=octets if fits else b'',
        tlvs=tlvs if fits else (*tlvs, (int(Tag.MESSAGE_PAYLOAD), octets)),
        octets=b'',
    )


def _header(elements: Iterable[tuple[int, bytes]]) -> bytes:
    """Return a user data header of as many elements as have room in one."""
    kept: list[tuple[int, bytes]] = []
    room = HEADER_OCTETS
    for element in elements:
        size = 2 + len(element[1])
        if size <= room:
            kept.append(element)
            room -= size
    return encode_elements(tuple(kept))


class Step(msgspec.Struct):
    """What becomes of messages now; whoever asked must see to every one of them."""

    complete: list[Message] = []
    """All parts of a message, in their order."""
    incomplete: list[Message] = []
    """Parts of a message that will not be complete: they go on as they are, in their order."""
    passed: list[Message] = []
    """Parts that are not gathered: they go on as they are."""
    repeated: list[Message] = []
    """Copies of parts that came before."""
    room: list['Step'] = []
    """The same of other messages, which had to make room; of this account or another."""


class _Held(msgspec.Struct):
    message: Message
    sequence: int
    body: bytes
    early: bool = False
    """A copy that came before the message was handed back of which it is one."""

    @property
    def size(self) -> int:
        return len(self.body) + PART_OCTETS


class _Gathering(msgspec.Struct):
    """`parts` by their numbers; of those in `presumed`, equal ones were handed back before. `copies` are presumed
    copies too, whose numbers are taken: of another message, perhaps.
    """

    deadline: float
    wait_s: float
    parts: dict[int, _Held] = {}
    presumed: set[int] = set()
    copies: list[_Held] = []
    octets: int = 0

    @property
    def messages(self) -> list[Message]:
        return [self.parts[sequence].message for sequence in sorted(self.parts)]

    @property
    def is_presumed(self) -> bool:
        return len(self.presumed) == len(self.parts)

    def is_complete(self, total: int) -> bool:
        if len(self.parts) < total:
            return False
        return not self.is_presumed or not any(held.early for held in self.parts.values())

    def put(self, held: _Held, presumed: bool, now: float) -> None:
        """Take a part in; one that is no copy begins a message, if there were only copies."""
        if self.is_presumed and not presumed:
            self.deadline = now + self.wait_s
        if held.sequence in self.parts:
            self.octets -= len(self.parts[held.sequence].body)
        self.parts[held.sequence] = held
        self.octets += len(held.body)
        (self.presumed.add if presumed else self.presumed.discard)(held.sequence)

    def take_over(self, copies: list[_Held], now: float) -> None:
        """Take in the copies that came beside a message that was handed back."""
        for held in copies:
            held.early = True
            if held.sequence in self.parts:
                self.copies.append(held)
            else:
                self.put(held, True, now)

    def given_up(self) -> Step:
        """Return what becomes of all this when nothing more comes."""
        copies = [held.message for held in self.copies]
        if self.is_presumed:
            return Step(repeated=self.messages + copies)
        return Step(incomplete=self.messages, repeated=copies)


class _Done(msgspec.Struct):
    """A message that was handed back: what came under each number, by its hash."""

    until: float
    marks: dict[int, int]


class _Share(msgspec.Struct):
    """What gathers of one account, in the order in which it began."""

    gathering: dict[Whole, _Gathering] = {}
    octets: int = 0


class Assembler:
    """The messages of one node that gather."""

    def __init__(self) -> None:
        self.octets = 0
        self._messages = 0
        self._marks = 0
        self._shares: dict[str, _Share] = {}  # by account
        self._done: dict[Whole, _Done] = {}

    def __len__(self) -> int:
        """Messages that gather."""
        return self._messages

    def add(self, part: MoPart, message: Message, now: float, wait_s: float) -> Step:
        """Take a part in. The first one of a message gives the others `wait_s` seconds."""
        share = self._shares.setdefault(part.whole.account, _Share())
        room = self._make_room(share, part, now)
        step = self._add(share, part, message, now, wait_s)
        step.room = room
        return step

    def _add(self, share: _Share, part: MoPart, message: Message, now: float, wait_s: float) -> Step:
        whole, held = part.whole, _Held(message, part.sequence, part.body)
        marks, mark = self._marks_of(whole, now), hash(part.body)
        known = marks.get(part.sequence) if marks else None
        gathering = share.gathering.get(whole)
        if gathering is None:
            if marks and known is None:  # late: the parts before it went on without it
                marks[part.sequence] = mark
                self._marks += 1
                return Step(passed=[message])
            gathering = self._begin(share, whole, now, wait_s)
        self._count(share, held.size)
        other = gathering.parts.get(part.sequence)
        if other is None:
            gathering.put(held, known == mark, now)
            return self._settle(share, whole, gathering, now)
        if other.body == held.body or (known == mark and part.sequence not in gathering.presumed):
            return self._add_copy(share, whole, gathering, held, now)
        return self._replace(share, whole, gathering, held, now)

    def _add_copy(self, share: _Share, whole: Whole, gathering: _Gathering, held: _Held, now: float) -> Step:
        other = gathering.parts[held.sequence]
        if other.early and other.body == held.body:
            gathering.parts[held.sequence], held = held, other
        if len(gathering.copies) >= COPIES_BOUND:
            self._count(share, -held.size)
            return Step(repeated=[held.message])
        gathering.copies.append(held)
        return self._settle(share, whole, gathering, now)

    def _replace(self, share: _Share, whole: Whole, gathering: _Gathering, held: _Held, now: float) -> Step:
        """Take in a part that differs from the one under its number: that was a copy, or another message begins."""
        other = gathering.parts[held.sequence]
        if held.sequence in gathering.presumed:
            self._count(share, -other.size)
            gathering.put(held, False, now)
            step = self._settle(share, whole, gathering, now)
            step.repeated = [other.message, *step.repeated]
            return step
        self._hand_back(share, whole, gathering, now)
        following = self._begin(share, whole, now, gathering.wait_s)
        following.put(held, False, now)
        following.take_over(gathering.copies, now)
        step = self._settle(share, whole, following, now)
        step.incomplete = gathering.messages + step.incomplete
        return step

    def _settle(self, share: _Share, whole: Whole, gathering: _Gathering, now: float) -> Step:
        """Hand back what is complete, or too large to become so."""
        if gathering.octets > JOINED_OCTETS:
            self._end(share, whole, gathering, now)
            return Step(incomplete=gathering.messages, repeated=[held.message for held in gathering.copies])
        if not gathering.is_complete(whole.total):
            return Step()
        self._hand_back(share, whole, gathering, now)
        if gathering.copies:
            self._begin(share, whole, now, gathering.wait_s).take_over(gathering.copies, now)
        return Step(complete=gathering.messages)

    def _make_room(self, share: _Share, part: MoPart, now: float) -> list[Step]:
        """Give up what has been waiting longest, until this part has room in its account's share and in all."""
        size, given_up = len(part.body) + PART_OCTETS, []
        while share.octets + size > OCTETS_SHARE or (
            len(share.gathering) >= MESSAGES_SHARE and part.whole not in share.gathering
        ):
            given_up.append(self._give_up(share, next(iter(share.gathering)), now))
        while self.octets + size > OCTETS_BOUND:
            largest = max(self._shares.values(), key=attrgetter('octets'))
            given_up.append(self._give_up(largest, next(iter(largest.gathering)), now))
        while len(self) >= MESSAGES_BOUND and part.whole not in share.gathering:
            largest = max(self._shares.values(), key=lambda share: len(share.gathering))
            given_up.append(self._give_up(largest, next(iter(largest.gathering)), now))
        return given_up

    def expire(self, now: float) -> list[Step]:
        """Hand back the messages whose time is up; forget what was remembered long enough."""
        while self._done:
            oldest = next(iter(self._done))
            if self._done[oldest].until > now:
                break
            self._forget(oldest)
        steps = []
        for share in self._shares.values():
            due = [whole for whole, gathering in share.gathering.items() if gathering.deadline <= now]
            steps += [self._give_up(share, whole, now) for whole in due]
        return steps

    def _give_up(self, share: _Share, whole: Whole, now: float) -> Step:
        gathering = share.gathering[whole]
        self._end(share, whole, gathering, now)
        return gathering.given_up()

    def _end(self, share: _Share, whole: Whole, gathering: _Gathering, now: float) -> None:
        self._hand_back(share, whole, gathering, now)
        self._count(share, -sum(held.size for held in gathering.copies))

    def _begin(self, share: _Share, whole: Whole, now: float, wait_s: float) -> _Gathering:
        self._messages += 1
        gathering = share.gathering[whole] = _Gathering(now + wait_s, wait_s)
        return gathering

    def _hand_back(self, share: _Share, whole: Whole, gathering: _Gathering, now: float) -> None:
        """Let go of a message but for its copies, and remember it; copies alone are none."""
        del share.gathering[whole]
        self._messages -= 1
        self._count(share, -sum(held.size for held in gathering.parts.values()))
        if gathering.is_presumed and not gathering.is_complete(whole.total):
            return
        if whole in self._done:  # the new entry is the youngest, and stands last
            self._forget(whole)
        marks = {sequence: hash(held.body) for sequence, held in gathering.parts.items()}
        self._done[whole] = _Done(now + gathering.wait_s, marks)
        self._marks += len(marks)
        while self._marks > MARKS_BOUND or len(self._done) > MESSAGES_BOUND:
            self._forget(next(iter(self._done)))

    def _marks_of(self, whole: Whole, now: float) -> dict[int, int] | None:
        """Return what is remembered of the message with this reference that was handed back last."""
        done = self._done.get(whole)
        if done is not None and done.until <= now:
            self._forget(whole)
            return None
        return done.marks if done is not None else None

    def _count(self, share: _Share, octets: int) -> None:
        share.octets += octets
        self.octets += octets

    def _forget(self, whole: Whole) -> None:
        self._marks -= len(self._done.pop(whole).marks)
