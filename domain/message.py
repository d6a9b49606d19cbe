"""The message on its way through the proxy, MT and MO alike, and the closed sets that describe where it stands."""

import enum
from typing import Any

import msgspec

from pdu.pdus import DeliverSm, SubmitSm


class Kind(enum.IntEnum):
    """Which way a message goes."""

    MT = 0
    MO = 1


class Notice(enum.IntEnum):
    """How far the final receipt of an MT message has come on its way to the ESME that asked for it."""

    NONE = 0  # not asked for
    ASKED = 1  # asked for, the message is not final yet, or its outcome is one the ESME did not ask to hear of
    DUE = 2  # final; the ESME has not acknowledged the receipt yet
    ACKNOWLEDGED = 3
    GIVEN_UP = 4  # refused for good by the ESME, or older than the account keeps receipts


class Split(msgspec.Struct, gc=False):
    """Where the segments of a message stand that we split: on an upstream, begun and not all of them taken yet.

    A segment is unsent, outstanding (sent, no answer yet), taken by the operator, or refused. What became of a segment
    once it was taken is for its receipt to tell.
    """

    total: int
    taken: set[int]
    outstanding: int = 0
    ended: tuple[int, int] | None = None  # (state, error) that a segment was refused for good with

    @property
    def unsent(self) -> bool:
        """No segment has reached the operator, as far as is known: the message may go elsewhere as a whole."""
        return not self.taken and not self.outstanding


class Asked(msgspec.Struct, frozen=True, gc=False):
    """The addresses as the ESME wrote them, where its message leaves with others; receipts have these."""

    source_addr_ton: int
    source_addr_npi: int
    source_addr: bytes
    dest_addr_ton: int
    dest_addr_npi: int
    destination_addr: bytes


LOOK_UP_WINDOW = 1  # in `closes_at`: whether it may be sent is to be looked up when its turn comes


class Message(msgspec.Struct, gc=False):
    """One message as memory holds it; the store's row is the truth (architecture.md section 4).

    `pdu` is what its initiator sent; `octets` in it stay until the row is committed. Times are Unix milliseconds.
    `state` is a message_state (SMPP 3.4 section 5.2.28). gc=False: a message is referenced by windows and queues and
    refers to none of them but through `reply`, which is cleared as soon as the response has been given.
    """

    id: int
    kind: int
    account: str
    upstream: str
    pdu: SubmitSm | DeliverSm
    priority: int
    expires_at: int
    registered_delivery: int = 0  # as the ESME asked, SMPP 3.4 section 5.2.17
    notice: int = Notice.NONE
    state: int = 1
    error: int = 0
    done_at: int = 0
    route: str = ''
    upstreams: tuple[str, ...] = ()
    country: str = ''  # of the number, as are operator and category of the traffic, when it was accepted
    operator: str = ''
    category: str = ''
    decision: str = ''  # why it goes where it goes: steps and route, in short
    cost: int = 0  # of all its segments, in micro-units, by the upstream that took it, until then the one decided for
    price: int = 0  # the same for the account, in its currency
    facts: Any = None  # what its policy was asked with, until the message is committed
    upstream_message_id: str = ''
    due_at: int = 0  # not to be sent before
    attempts: int = 0
    repeated: bool = False
    stored_wait: bool = False  # it has a row in the store's table `waiting`
    segment_stored: bool = False  # that the operator has taken it is committed
    superseded: bool = False  # the operator gave its upstream_message_id to a newer message
    counted: bool = False  # it counts among the waiting messages of its account
    reply: Any = None  # (connection, response) while its initiator waits for the response
    segments: int = 1  # as counted when it was accepted: above 1 it may be split
    reference: int = 0  # of its segments on the wire
    shown_id: int = 0  # the id that the ESME knows it by, where that is another one
    split: Split | None = None
    next_upstream: str = ''  # that has it since one before has not delivered it
    asked: Asked | None = None
    is_held: bool = False  # a part that is to be judged with the others of its message, and has no way yet
    charge: int = 0  # domain.charges: whether the price was taken from a credit, and when it goes back
    closes_at: int = 0  # not to be sent from then on, before its sending window opens again; 0 = at any time


class Part(msgspec.Struct, gc=False, eq=False):
    """One segment of a message that we split, on its way; `pdu` is None once the operator has taken it."""

    message: Message
    number: int
    total: int
    pdu: SubmitSm | None
    upstream: str
    upstream_message_id: str = ''
    segment_stored: bool = False
    superseded: bool = False
    completes: bool = False  # with it, the operator has taken the whole message
    second: bool = False  # another id of what was sent twice
    due_at: float = 0.0  # not to be sent before, in seconds of the monotonic clock

    @property
    def id(self) -> int:
        """The id of its message."""
        return self.message.id

    @property
    def stored_wait(self) -> bool:
        """Its message leaves the disk with it."""
        return self.completes and self.message.stored_wait
