"""Concatenated messages: reading the header of a segment, cutting text into segments, writing their headers.

A segment begins with a user data header (3GPP TS 23.040 section 9.2.3.24) when UDHI (0x40) is set in its esm_class.
Sizes count what a GSM short message holds: 140 octets, or 160 septets, which SMPP carries one an octet.
"""

import unicodedata

import msgspec

from pdu import alphabets

SINGLE_SEPTETS, SINGLE_OCTETS = 160, 140
SEGMENT_SEPTETS, SEGMENT_OCTETS = 153, 134
WIDE_SEGMENT_SEPTETS, WIDE_SEGMENT_OCTETS = 152, 133
MAX_SEGMENTS = 255

_CONCATENATED_8BIT = 0x00
_CONCATENATED_16BIT = 0x08
_ESCAPE = 0x1B
_FIRST_HALF, _SECOND_HALF = 0xD8, 0xDC
_ZWJ = b'\x20\x0d'


class SegmentError(ValueError):
    """A user data header that does not fit its message, or a text for more than 255 segments."""


class Concatenation(msgspec.Struct, frozen=True, gc=False):
    """Which segment of which message this is. Values are the peer's: sequence may be 0 or above total."""

    reference: int
    total: int
    sequence: int
    wide: bool = False
    """Whether the reference has 16 bits."""


def header_size(octets: bytes) -> int:
    """Octets that the user data header takes at the beginning of a message, its own length octet included.

    Raises SegmentError when it is longer than the message.
    """
    size = 1 + octets[0] if octets else 1
    if size > len(octets):
        raise SegmentError('the user data header is longer than the message')
    return size


def parse_udh(octets: bytes) -> Concatenation | None:
    """Finds the concatenation element in the user data header that `octets` begin with, among any other elements.

    The last one counts when there are several (23.040 section 9.2.3.24). None without one, and for a header that is
    cut off or whose elements do not add up.
    """
    if not octets or octets[0] >= len(octets):
        return None
    position, end = 1, 1 + octets[0]
    found: Concatenation | None = None
    while position + 2 <= end:
        identifier, size = octets[position], octets[position + 1]
        position += 2
        if position + size > end:
            return None
        value = octets[position : position + size]
        if identifier == _CONCATENATED_8BIT and size == 3:
            found = Concatenation(value[0], value[1], value[2])
        elif identifier == _CONCATENATED_16BIT and size == 4:
            found = Concatenation(value[0] << 8 | value[1], value[2], value[3], wide=True)
        position += size
    return found if position == end else None


def split_text(text: str, wide: bool = False) -> tuple[int, list[bytes]]:
    """(data_coding, bodies): one body when the text fits one message, else the bodies for `concatenated`.

    GSM when every character is in it, else UCS-2. No escape and no surrogate pair is cut, and combining sequences
    stay together unless one alone is longer than a segment. `wide` leaves room for a 16-bit reference. Raises
    SegmentError beyond 255 segments and alphabets.AlphabetError for half a surrogate pair.
    """
    data_coding, octets = alphabets.encode_text(text)
    if data_coding == alphabets.DATA_CODING_GSM:
        if len(octets) <= SINGLE_SEPTETS:
            return data_coding, [octets]
        return data_coding, _bounded(_cut_septets(octets, WIDE_SEGMENT_SEPTETS if wide else SEGMENT_SEPTETS))
    if len(octets) <= SINGLE_OCTETS:
        return data_coding, [octets]
    limit_octets = (WIDE_SEGMENT_OCTETS if wide else SEGMENT_OCTETS) & ~1
    return data_coding, _bounded(_cut_ucs2(octets, limit_octets))


def split_octets(octets: bytes, wide: bool = False) -> list[bytes]:
    """The same for 8-bit data: 140 octets whole, or pieces of 134 (133 when `wide`)."""
    if len(octets) <= SINGLE_OCTETS:
        return [octets]
    limit_octets = WIDE_SEGMENT_OCTETS if wide else SEGMENT_OCTETS
    return _bounded([octets[start : start + limit_octets] for start in range(0, len(octets), limit_octets)])


def concatenated(parts: list[bytes], ref: int, wide: bool = False) -> list[bytes]:
    """Puts the user data header before each part; send them with UDHI set. `ref` has 8 bits, 16 when `wide`.

    Raises SegmentError for a reference out of range and for more than 255 parts.
    """
    if not 0 <= ref <= (0xFFFF if wide else 0xFF):
        raise SegmentError('the reference is out of range')
    total = len(_bounded(parts))
    head = b'\x06\x08\x04%c%c%c' % (ref >> 8, ref & 0xFF, total) if wide else b'\x05\x00\x03%c%c' % (ref, total)
    return [b'%b%c%b' % (head, sequence, part) for sequence, part in enumerate(parts, 1)]


def _bounded(parts: list[bytes]) -> list[bytes]:
    if len(parts) > MAX_SEGMENTS:
        raise SegmentError(f'{len(parts)} segments are more than {MAX_SEGMENTS}')
    return parts


def _cut_septets(octets: bytes, limit_septets: int) -> list[bytes]:
    parts: list[bytes] = []
    start = 0
    while start < len(octets):
        end = start + limit_septets
        if end < len(octets) and octets[end - 1] == _ESCAPE:
            end -= 1
        parts.append(octets[start:end])
        start = end
    return parts


def _cut_ucs2(octets: bytes, limit_octets: int) -> list[bytes]:
    parts: list[bytes] = []
    start = 0
    while len(octets) - start > limit_octets:
        end = _boundary(octets, start, start + limit_octets)
        parts.append(octets[start:end])
        start = end
    return [*parts, octets[start:]]


def _boundary(octets: bytes, start: int, limit: int) -> int:
    """The last position up to `limit` where no sequence is cut; where no character is, if one sequence fills it all."""
    end = between_characters = limit - 2 if _is_half(octets, limit, _SECOND_HALF) else limit
    while end > start and _continues(octets, end):
        end -= 4 if _is_half(octets, end - 2, _SECOND_HALF) else 2
    return end if end > start else between_characters


def _is_half(octets: bytes, position: int, half: int) -> bool:
    """Whether a given half of a surrogate pair stands there: 0xD800 to 0xDBFF or 0xDC00 to 0xDFFF."""
    return octets[position] & 0xFC == half


def _continues(octets: bytes, position: int) -> bool:
    """Whether the character there belongs to the one before: a mark, a variation selector, a skin tone, a ZWJ chain."""
    if octets[position - 2 : position] == _ZWJ:
        return True
    size = 4 if _is_half(octets, position, _FIRST_HALF) else 2
    character = octets[position : position + size].decode('utf-16-be')
    return (
        character == '\u200d'
        or '\U0001f3fb' <= character <= '\U0001f3ff'
        or unicodedata.category(character) in {'Mn', 'Me', 'Mc'}
    )
