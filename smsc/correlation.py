"""Receipts whose id, as the operator wrote it, is nobody's: what else it may mean, and whom it then belongs to.

A reading other than the written one counts only for a message to the number that the receipt is about; what is found so
teaches the operator's form (wire.md F13). Reading a receipt that came before its response works the same way, with the
parts exchanged: the ids under which the response may come are expected.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from domain.message import Message, Part
from pdu.receipt_text import MessageState
from smsc.core import Core
from smsc.upstream import Upstream
from smsc.upstream_ids import OtherReading, Reading, same_number
from storage.rows import Located

log = structlog.get_logger()

EXPECTED_BOUND = 100_000
Key = tuple[str, str]
"""(upstream, upstream_message_id): what the store knows a segment by."""


class Found(msgspec.Struct, gc=False):
    """A final receipt whose message is to be looked for; `source` as in `storage.rows.Outcome`, None for parked ones.

    `source_addr` is the number that it is about; `parked_as` what it was parked as, if it was.
    """

    upstream: Upstream
    upstream_message_id: str
    state: int
    error: int
    source: Any
    source_addr: bytes = b''
    parked_as: Key | None = None

    @property
    def key(self) -> Key:
        """What the store knows it by."""
        return self.upstream.name, self.upstream_message_id


class Expected(msgspec.Struct, frozen=True, gc=False):
    """A parked receipt, by another reading of its id."""

    parked_as: Key
    reading: Reading
    source_addr: bytes


class OtherForms:
    """The other readings of ids; `on_learned` is called when they have taught the form of an upstream's."""

    def __init__(self, core: Core, on_learned: Callable[[Upstream], None]) -> None:
        self._core = core
        self._on_learned = on_learned
        self._expected: dict[Key, Expected] = {}

    async def locate(self, items: list[Found], located: list[Located | None]) -> None:
        """Fill the gaps of `located` where another reading finds a message; such an item goes on by that id."""
        wanted: list[tuple[int, OtherReading]] = []
        for place, item in enumerate(items):
            if located[place] is None and item.source_addr and item.upstream_message_id not in item.upstream.sent:
                wanted += [(place, other) for other in item.upstream.ids.other_readings(item.upstream_message_id)]
        if not wanted:
            return
        keys = [(items[place].upstream.name, other.upstream_message_id) for place, other in wanted]
        for (place, other), stored in zip(wanted, await self._core.store.receipts.find(keys), strict=True):
            if located[place] is None:
                located[place] = self._accept(items[place], other, stored)

    def find_in_memory(self, item: Found) -> Located | None:
        """Return what has become known by another reading in the meantime."""
        for other in item.upstream.ids.other_readings(item.upstream_message_id):
            found = self._accept(item, other, None)
            if found is not None:
                del item.upstream.sent[item.upstream_message_id]
                return found
        return None

    def _accept(self, item: Found, other: OtherReading, stored: Located | None) -> Located | None:
        """Return the message that a reading finds, if the receipt is about its number."""
        found = place_of(item.upstream.sent.get(other.upstream_message_id)) or stored
        if found is None or not same_number(found.message.pdu.destination_addr, item.source_addr):
            return None
        if found.message.state != MessageState.ENROUTE or item.upstream.has_outstanding_to(item.source_addr):
            return None  # this one may be ahead of its response, and another message's
        item.upstream_message_id = other.upstream_message_id
        self._note(item.upstream, other.reading)
        return found

    def expect(self, item: Found) -> None:
        """A receipt has been parked: the response may come under another reading of its id."""
        for other in item.upstream.ids.other_readings(item.upstream_message_id):
            if len(self._expected) >= EXPECTED_BOUND:
                del self._expected[next(iter(self._expected))]
            key = item.upstream.name, other.upstream_message_id
            self._expected[key] = Expected(item.key, other.reading, item.source_addr)

    def parked_key(self, upstream: Upstream, upstream_message_id: str) -> Key | None:
        """Return as what the receipt was parked whose message has now got its id; None if none was."""
        expected = self._expected.pop((upstream.name, upstream_message_id), None)
        place = place_of(upstream.sent.get(upstream_message_id)) if expected else None
        if expected is None or place is None:
            return None
        if not same_number(place.message.pdu.destination_addr, expected.source_addr):
            return None
        self._core.loop.call_soon(self._note, upstream, expected.reading)  # the caller takes this one first
        return expected.parked_as

    def _note(self, upstream: Upstream, reading: Reading) -> None:
        if upstream.ids.note(reading):
            upstream.canonical_receipt = upstream.ids.canonical_receipt
            log.info('upstream.id_form_learned', upstream=upstream.name, form=reading.value)
            self._on_learned(upstream)


def place_of(item: Message | Part | None) -> Located | None:
    """Return which segment of which message waits for a receipt."""
    if isinstance(item, Part):
        return Located(item.message, item.number, item.total)
    return None if item is None else Located(item, 1, 1)
