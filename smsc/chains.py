"""Which upstream gets the parts of a message that its ESME split: one gets all of them (wire.md D15, G2).

The first part that is put into an outbox decides for the others. They follow it as long as that upstream does its work,
and once it has taken a part as long as it can be reached; so a message of which it has taken none goes elsewhere when
it fails. It is forgotten when all parts are taken, or after a while: references are used again.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from domain.message import Message
from pdu.pdus import SubmitSm
from pdu.segments import UDHI
from smsc.wire_forms import part_of

BOUND = 50_000
KEEP_S = 300.0


class Chain(NamedTuple):
    """What the parts of one message have in common, as the operator sees them."""

    account: str
    source_addr: bytes
    destination_addr: bytes
    reference: int
    total: int


class Place(msgspec.Struct, gc=False):
    """The upstream of a message; `by_probe`: it got it although it fails; `by_hand`: somebody moved it there, whatever
    its route says. `taken` are the numbers of parts it has.
    """

    upstream: str
    until: float
    by_probe: bool = False
    by_hand: bool = False
    taken: set[int] = set()


class Chains:
    """The places of messages of which there are parts on their way. `now` is in seconds of the monotonic clock."""

    def __init__(self, keep_s: Callable[[], float] = lambda: KEEP_S) -> None:
        """`keep_s` returns how long a place is remembered, from when it is first put."""
        self._keep_s = keep_s
        self._places: OrderedDict[Chain, Place] = OrderedDict()

    def place(self, chain: Chain, now: float) -> Place | None:
        """Return where a message is, None when that is open."""
        place = self._places.get(chain)
        if place is not None and place.until <= now:
            del self._places[chain]
            return None
        return place

    def put(self, chain: Chain, upstream: str, now: float, by_probe: bool = False, by_hand: bool = False) -> None:
        """A part goes to an upstream, and with it the parts to come; those that were taken stay where they are."""
        before = self.place(chain, now)
        if before is not None and (before.taken or (before.upstream == upstream and not by_hand)):
            return
        self._set(chain, Place(upstream, now + self._keep_s(), by_probe, by_hand))

    def _set(self, chain: Chain, place: Place) -> None:
        self._places.pop(chain, None)
        self._places[chain] = place
        if len(self._places) > BOUND:
            self._places.popitem(last=False)

    def note_taken(self, message: Message, upstream: str, now: float) -> None:
        """An operator has taken a message, which may be a part."""
        part = part_of(message.pdu) if isinstance(message.pdu, SubmitSm) else None
        if part is None:
            return
        chain = _chain(message, part.reference, part.total)
        place = self.place(chain, now)
        if place is None or place.upstream != upstream:
            if place is not None and place.taken:
                return
            place = Place(upstream, now + self._keep_s())
            self._set(chain, place)
        place.taken.add(part.sequence)
        if len(place.taken) >= part.total:
            del self._places[chain]

    def has_taken(self, chain: Chain, upstream: str, now: float) -> bool:
        """Return whether an upstream has taken a part of a message already."""
        place = self.place(chain, now)
        return place is not None and place.upstream == upstream and bool(place.taken)


def chain_of(message: Message) -> Chain | None:
    """Return what the parts of a message that an ESME split have in common, None for any other."""
    pdu = message.pdu
    if not isinstance(pdu, SubmitSm) or not (pdu.tlvs or pdu.esm_class & UDHI):
        return None
    part = part_of(pdu)
    return None if part is None else _chain(message, part.reference, part.total)


def _chain(message: Message, reference: int, total: int) -> Chain:
    pdu = message.pdu
    return Chain(message.account, pdu.source_addr, pdu.destination_addr, reference, total)
