"""Concatenated MO messages put together again: which parts belong together, and the message they make (wire.md D16).

Parts come in any order, more than once, over any link. Those of one message gather until it is complete or its time is
up; then they are handed back, joined or as they are: a part is held, never dropped. What was handed back is remembered
for as long again, so that a late copy of a part is known for one. References are used again, by some handsets for every
message: only a part with the same octets is a copy, and one that differs from what came under its number begins
another message. No I/O and no clock: time is an argument, in seconds.
"""

from collections.abc import Iterable

import msgspec

from domain.message import Message
from pdu.pdus import DeliverSm
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
PART_OCTETS = 2_000  # what memory takes for a part besides its body, roughly
JOINED_OCTETS = 65_000  # of a body; message_payload holds 65,535 with the header
SHORT_MESSAGE_OCTETS = 254  # SMPP 3.4 section 5.2.22

HEADER_OCTETS = 255  # of a user data header without its length octet

NATIONAL = frozenset({0x24, 0x25})  # elements that name shift tables, 3GPP TS 23.040 sections 9.2.3.24.15 and 16
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


def join(parts: list[DeliverSm]) -> DeliverSm:
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


class _Gathering(msgspec.Struct):
    deadline: float
    wait_s: float
    parts: dict[int, tuple[Message, bytes]]
    octets: int = 0

    @property
    def messages(self) -> list[Message]:
        return [self.parts[sequence][0] for sequence in sorted(self.parts)]


class _Done(msgspec.Struct):
    """A message that was handed back: what came under each number, by its hash."""

    until: float
    marks: dict[int, int]


class Assembler:
    """The messages of one node that gather."""

    def __init__(self) -> None:
        self.octets = 0
        self._marks = 0
        self._gathering: dict[Whole, _Gathering] = {}
        self._done: dict[Whole, _Done] = {}

    def __len__(self) -> int:
        """Messages that gather."""
        return len(self._gathering)

    def add(self, part: MoPart, message: Message, now: float, wait_s: float) -> Step:
        """Take a part in. The first one of a message gives the others `wait_s` seconds."""
        step = self._compare_with_done(part, message, now) or self._compare_with_gathered(part, message)
        if step is not None and not step.incomplete:
            return step
        step = step or Step()
        gathering = self._gathering.get(part.whole)
        size = len(part.body) + PART_OCTETS
        if self.octets + size > OCTETS_BOUND or (gathering is None and len(self) >= MESSAGES_BOUND):
            step.passed = [message]
            return step
        if gathering is None:
            gathering = self._gathering[part.whole] = _Gathering(now + wait_s, wait_s, {})
        gathering.parts[part.sequence] = (message, part.body)
        gathering.octets += len(part.body)
        self.octets += size
        if gathering.octets > JOINED_OCTETS:
            step.incomplete = [*step.incomplete, *self._hand_back(part.whole, now)]
        elif len(gathering.parts) == part.whole.total:
            step.complete = self._hand_back(part.whole, now)
        return step

    def _compare_with_done(self, part: MoPart, message: Message, now: float) -> Step | None:
        done = self._done.get(part.whole)
        if done is None:
            return None
        mark = hash(part.body)
        known = done.marks.get(part.sequence)
        if done.until <= now or known not in {None, mark}:
            self._forget(part.whole)
            return None
        if known is None:  # late: the parts before it went on without it
            done.marks[part.sequence] = mark
            self._marks += 1
            return Step(passed=[message])
        return Step(repeated=[message])

    def _compare_with_gathered(self, part: MoPart, message: Message) -> Step | None:
        gathering = self._gathering.get(part.whole)
        if gathering is None or part.sequence not in gathering.parts:
            return None
        if gathering.parts[part.sequence][1] == part.body:
            return Step(repeated=[message])
        return Step(incomplete=self._take(part.whole).messages)  # another message under the same reference begins

    def expire(self, now: float) -> list[list[Message]]:
        """Hand back the messages whose time is up, each as its parts; forget what was remembered long enough."""
        due = [whole for whole, gathering in self._gathering.items() if gathering.deadline <= now]
        while self._done:
            oldest = next(iter(self._done))
            if self._done[oldest].until > now:
                break
            self._forget(oldest)
        return [self._hand_back(whole, now) for whole in due]

    def _hand_back(self, whole: Whole, now: float) -> list[Message]:
        gathering = self._take(whole)
        marks = {sequence: hash(body) for sequence, (_, body) in gathering.parts.items()}
        self._done[whole] = _Done(now + gathering.wait_s, marks)
        self._marks += len(marks)
        while self._marks > MARKS_BOUND or len(self._done) > MESSAGES_BOUND:
            self._forget(next(iter(self._done)))
        return gathering.messages

    def _forget(self, whole: Whole) -> None:
        self._marks -= len(self._done.pop(whole).marks)

    def _take(self, whole: Whole) -> _Gathering:
        gathering = self._gathering.pop(whole)
        self.octets -= gathering.octets + PART_OCTETS * len(gathering.parts)
        return gathering
