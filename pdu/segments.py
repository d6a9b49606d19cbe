"""Concatenated messages: the headers and TLVs that say which segment of which message one is, and making segments.

A segment begins with a user data header (3GPP TS 23.040 section 9.2.3.24) when UDHI (0x40) is set in its esm_class, or
it says the same with three SAR TLVs (SMPP 3.4 sections 5.3.2.22 to 5.3.2.24). Headers are read and written as elements:
pairs of an identifier and octets, in the order of the wire. Where a message may be cut is the matter of `cutting`.
"""

import msgspec

from pdu import alphabets, cutting
from pdu.alphabets import Alphabet
from pdu.tlvs import Tag, Tlvs, find

MAX_SEGMENTS = 255
UDHI = 0x40
"""Of esm_class: a user data header comes first, SMPP 3.4 section 5.2.12."""

CONCATENATED_8BIT = 0x00
CONCATENATED_16BIT = 0x08
CONCATENATION_OCTETS = 5
"""What the element with the 8-bit reference adds to a header; the other adds one more."""
SAR_TAGS = frozenset({Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM})

Elements = tuple[tuple[int, bytes], ...]
SegmentError = cutting.SegmentError


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


def decode_elements(octets: bytes) -> Elements | None:
    """The elements of the user data header that `octets` begin with.

    None for a header that is cut off or whose elements do not add up.
    """
    if not octets or octets[0] >= len(octets):
        return None
    position, end = 1, 1 + octets[0]
    found: list[tuple[int, bytes]] = []
    while position + 2 <= end:
        identifier, size = octets[position], octets[position + 1]
        position += 2
        if position + size > end:
            return None
        found.append((identifier, octets[position : position + size]))
        position += size
    return tuple(found) if position == end else None


def encode_elements(elements: Elements) -> bytes:
    """A user data header with its length octet, empty without elements. Raises SegmentError beyond 255 octets."""
    body = b''.join([bytes([identifier, len(value)]) + value for identifier, value in elements])
    if len(body) > 0xFF:
        raise SegmentError('the user data header is too long')
    return bytes([len(body)]) + body if body else b''


def concatenation_in(elements: Elements) -> Concatenation | None:
    """The concatenation element among these; the last one counts of several (23.040 section 9.2.3.24)."""
    for identifier, value in reversed(elements):
        if identifier == CONCATENATED_8BIT and len(value) == 3:
            return Concatenation(value[0], value[1], value[2])
        if identifier == CONCATENATED_16BIT and len(value) == 4:
            return Concatenation(value[0] << 8 | value[1], value[2], value[3], wide=True)
    return None


def concatenation_element(concatenation: Concatenation) -> tuple[int, bytes]:
    """The element that says it. Raises SegmentError for a reference that its width, or numbers that an octet, lacks."""
    reference, numbers = concatenation.reference, (concatenation.total, concatenation.sequence)
    if not 0 <= reference <= (0xFFFF if concatenation.wide else 0xFF):
        raise SegmentError('the reference is out of range')
    if not all(0 <= number <= 0xFF for number in numbers):
        raise SegmentError(f'more than {MAX_SEGMENTS} segments')
    if concatenation.wide:
        return CONCATENATED_16BIT, bytes([reference >> 8, reference & 0xFF, *numbers])
    return CONCATENATED_8BIT, bytes([reference, *numbers])


def without_concatenation(elements: Elements) -> Elements:
    """The other elements of a header."""
    return tuple([(name, value) for name, value in elements if name not in (CONCATENATED_8BIT, CONCATENATED_16BIT)])


def parse_udh(octets: bytes) -> Concatenation | None:
    """Finds the concatenation element in the user data header that `octets` begin with, among any other elements.

    None without one, and for a header that is cut off or whose elements do not add up.
    """
    if octets[:3] == b'\x05\x00\x03' and len(octets) >= 6:
        return Concatenation(octets[3], octets[4], octets[5])
    elements = decode_elements(octets)
    return None if elements is None else concatenation_in(elements)


def parse_sar(tlvs: Tlvs) -> Concatenation | None:
    """What the three SAR TLVs say, None unless all are there in their sizes; the reference always has 16 bits."""
    reference = find(tlvs, Tag.SAR_MSG_REF_NUM)
    total, sequence = find(tlvs, Tag.SAR_TOTAL_SEGMENTS), find(tlvs, Tag.SAR_SEGMENT_SEQNUM)
    if reference is None or total is None or sequence is None:
        return None
    if len(reference) != 2 or len(total) != 1 or len(sequence) != 1:
        return None
    return Concatenation(int.from_bytes(reference, 'big'), total[0], sequence[0], wide=True)


def sar_tlvs(concatenation: Concatenation) -> Tlvs:
    """The TLVs that say it. Raises SegmentError for numbers that do not fit them."""
    if not 0 <= concatenation.reference <= 0xFFFF:
        raise SegmentError('the reference is out of range')
    if not (0 <= concatenation.total <= 0xFF and 0 <= concatenation.sequence <= 0xFF):
        raise SegmentError(f'more than {MAX_SEGMENTS} segments')
    return (
        (Tag.SAR_MSG_REF_NUM, concatenation.reference.to_bytes(2, 'big')),
        (Tag.SAR_TOTAL_SEGMENTS, bytes([concatenation.total])),
        (Tag.SAR_SEGMENT_SEQNUM, bytes([concatenation.sequence])),
    )


def concatenation_of(esm_class: int, octets: bytes, tlvs: Tlvs) -> Concatenation | None:
    """Which segment a message is: as its user data header says, else as its SAR TLVs do; None when neither does.

    `octets` are the user data, from short_message or message_payload.
    """
    if esm_class & UDHI:
        found = parse_udh(octets)
        if found is not None:
            return found
    return parse_sar(tlvs) if tlvs else None


def split_text(text: str, wide: bool = False) -> tuple[int, list[bytes]]:
    """(data_coding, bodies): one body when the text fits one message, else the bodies for `concatenated`.

    GSM when every character is in it, else UCS-2. No escape and no surrogate pair is cut, and combining sequences
    stay together unless one alone is longer than a segment. `wide` leaves room for a 16-bit reference. Raises
    SegmentError beyond 255 segments and alphabets.AlphabetError for half a surrogate pair.
    """
    data_coding, octets = alphabets.encode_text(text)
    return data_coding, bounded(cutting.split(octets, data_coding, Alphabet.GSM, 0, 7 if wide else 6))


def split_octets(octets: bytes, wide: bool = False) -> list[bytes]:
    """The same for 8-bit data: 140 octets whole, or pieces of 134 (133 when `wide`)."""
    return bounded(cutting.split(octets, alphabets.DATA_CODING_BINARY, Alphabet.GSM, 0, 7 if wide else 6))


def concatenated(parts: list[bytes], ref: int, wide: bool = False) -> list[bytes]:
    """Puts the user data header before each part; send them with UDHI set. `ref` has 8 bits, 16 when `wide`.

    Raises SegmentError for a reference out of range and for more than 255 parts.
    """
    total = len(bounded(parts))
    return [
        encode_elements((concatenation_element(Concatenation(ref, total, sequence, wide)),)) + part
        for sequence, part in enumerate(parts, 1)
    ]


def bounded(parts: list[bytes]) -> list[bytes]:
    """The same parts. Raises SegmentError when they are more than a message may have."""
    if len(parts) > MAX_SEGMENTS:
        raise SegmentError(f'{len(parts)} segments are more than {MAX_SEGMENTS}')
    return parts
