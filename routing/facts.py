"""What is known of a message when its way is decided: what it says of itself, and what was looked up about it."""

from collections.abc import Callable
from typing import Any

import msgspec

from pdu.segments import Concatenation
from pdu.tlvs import Tlvs


class Place(msgspec.Struct, frozen=True):
    """Where a number belongs: ISO 3166 country (`RU`), operator code (`mts`), region, IANA time zone; '' = unknown."""

    country: str = ''
    operator: str = ''
    region: str = ''
    zone: str = ''


NOWHERE = Place()


class Facts(msgspec.Struct, gc=False):
    """One message, for the steps of the policy and the route table; steps may set `category` and `priority`.

    `destination` is E.164 digits where the account's rules make it that, `number` the same as a number (0 for none).
    `now_ms` is Unix milliseconds. `segments` counts the whole of a concatenated message.

    For what tells messages apart: `user_data` are the octets as they came (header included, from short_message or
    message_payload), `part` says which part of a message an ESME made this, `message_id` is what the message will be
    known by once it is accepted, 0 when it will not be (`smsc route`). `new_source_addr` is the sender that a step
    puts in the place of the one asked for.

    `read_text` decodes the text of `pdu`; without a PDU it is called with nothing.

    What steps took when they judged is kept here, for `forget`: the facts they went by may be others by then. That is
    `duplicate_key`, a hash, and `counted`, tables that counted the message on the day `counted_on`.
    """

    account: str
    source_addr: str
    destination: str
    number: int
    read_text: Callable[..., str]
    now_ms: int = 0
    source_addr_ton: int = 0
    segments: int = 1
    tlvs: Tlvs = ()
    category: str = ''
    priority: int | None = None
    user_data: bytes = b''
    data_coding: int = 0
    pdu: Any = None
    message_id: int = 0
    operator: str = ''
    place: Place = NOWHERE
    known_text: str | None = None
    part: Concatenation | None = None
    new_source_addr: str = ''
    asked_source_addr: str | None = None  # the sender asked for, where another one was put in
    duplicate_key: int | None = None
    counted: tuple[Any, ...] = ()
    counted_on: int = 0
    note: str = ''  # what steps found, for the message's record
    is_rewritten: bool = False  # `destination` is another one than the PDU has
    split_key: int | None = None  # what splits go by in the place of their turn: nodes decide alike about it
    only_part: bool = False  # a part that only those steps were asked about that look at each part

    def add_note(self, text: str) -> None:
        """Add what a step found to the record."""
        self.note = f'{self.note}; {text}' if self.note else text

    def put_in(self, source_addr: str) -> None:
        """Put another sender in the place of the one asked for; its type is the caller's to set."""
        if self.asked_source_addr is None:
            self.asked_source_addr = self.source_addr
        self.source_addr = self.new_source_addr = source_addr

    def text(self) -> str:
        """Return the text, decoded when the first one asks."""
        text = self.known_text
        if text is None:
            pdu = self.pdu
            text = self.known_text = self.read_text() if pdu is None else self.read_text(pdu)
        return text
