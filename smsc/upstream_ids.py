"""The forms in which an operator writes its message_ids, brought to one (wire.md F13).

An operator may answer submit_sm with a decimal id and send the receipt with the same number in hexadecimal. With forms
configured, both become the number; without, ids are compared as text, whatever their case, padding or leading zeros,
and UUIDs with or without their dashes. An id ends at its first NUL.

Where a form is not configured, the operator's receipts teach it: an id that nobody knows is read the other way, and
when that finds a message to the number the receipt is about, often enough, receipts are read so from then on. A number
that could be meant either way proves nothing before one that has a letter did.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

Canonical = Callable[[bytes], str]
ZERO = 0x30
UUID_OCTETS = 36  # with its dashes, at 8, 13, 18 and 23
MATCHES_TO_LEARN = 3
_MOST_DIGITS = 64
_UUIDS = 1 << 120  # as large as these no number is, and nearly every UUID
_LETTERS = frozenset('abcdef')


class Reading(StrEnum):
    """What receipts have in place of the responses' form."""

    HEX = 'hex'  # and the responses decimal
    DECIMAL = 'decimal'  # and the responses hexadecimal


class OtherReading(msgspec.Struct, frozen=True, gc=False):
    """An id read the other way."""

    reading: Reading
    upstream_message_id: str


def canonical(form: str | None) -> Canonical:
    """Return what brings ids of a form (`decimal`, `hex`, `text`, or None) to the one that is stored and compared.

    An id that is not of its form is taken as text, so that nothing an operator sends can fail here.
    """
    if form == 'decimal':
        return lambda octets: _number(octets, 10)
    if form == 'hex':
        return lambda octets: _number(octets, 16)
    return _text


class IdForms:
    """The forms of one operator, as configured and as learned."""

    def __init__(self, response: str | None = None, receipt: str | None = None) -> None:
        self.configured = (response, receipt)
        self.canonical_response = canonical(response)
        self.canonical_receipt = canonical(receipt)
        self.learned: Reading | None = None
        self._matches: dict[Reading, int] = {}
        self._learns = response is None or receipt is None

    def other_readings(self, upstream_message_id: str) -> list[OtherReading]:
        """Return what else a receipt's canonical id can mean; nothing where the forms are configured.

        The caller accepts one only for a message to the number that the receipt is about, and says so by `note`.
        """
        if not self._learns:
            return []
        found = []
        for reading in Reading:
            other = read_as(reading, upstream_message_id)
            if other and other != upstream_message_id and self._is_plausible(reading, upstream_message_id, other):
                found.append(OtherReading(reading, other))
        return found

    def _is_plausible(self, reading: Reading, upstream_message_id: str, other: str) -> bool:
        if self.learned or self._matches.get(reading):
            return True
        return not _LETTERS.isdisjoint(upstream_message_id if reading == Reading.HEX else other)

    def note(self, reading: Reading) -> bool:
        """Know that a receipt's message was found by a reading; return whether the form is thereby learned."""
        if self.learned:
            return False
        self._matches[reading] = matches = self._matches.get(reading, 0) + 1
        if matches < MATCHES_TO_LEARN:
            return False
        self.learned = reading
        as_written = self.canonical_receipt
        self.canonical_receipt = lambda octets: self.as_learned(as_written(octets))
        return True

    def as_learned(self, upstream_message_id: str) -> str:
        """Return a receipt's canonical id of before the form was learned, as it is since."""
        assert self.learned is not None
        return read_as(self.learned, upstream_message_id) or upstream_message_id


def read_as(reading: Reading, upstream_message_id: str) -> str:
    """Return a canonical id in the responses' form if the receipts' is `reading`; empty when it is no such number."""
    if not upstream_message_id.isalnum() or len(upstream_message_id) > _MOST_DIGITS:
        return ''
    try:
        number = int(upstream_message_id, 16 if reading == Reading.HEX else 10)
    except ValueError:
        return ''
    if number >= _UUIDS:
        return ''
    return str(number) if reading == Reading.HEX else f'{number:x}'


def same_number(one: bytes, other: bytes) -> bool:
    """Return whether two addresses are one number, with or without the international prefix written out."""
    return one == other or _bare(one) == _bare(other)


def _bare(address: bytes) -> bytes:
    return address.lstrip(b'+').removeprefix(b'00')


def _text(octets: bytes) -> str:
    if octets.isdigit() and octets[0] != ZERO:
        return octets.decode('ascii')
    octets = octets.partition(b'\0')[0].strip(b' ')
    if len(octets) == UUID_OCTETS and octets[8:24:5] == b'----':
        octets = octets.replace(b'-', b'')
    return octets.lstrip(b'0').lower().decode('latin-1')


def _number(octets: bytes, base: int) -> str:
    try:
        return str(int(octets.partition(b'\0')[0], base))
    except ValueError:
        return _text(octets)
