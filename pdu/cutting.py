"""Where a message may be cut: its octets into pieces that fit a short message each, no character in two of them.

A short message holds 140 octets, of which a user data header takes its part (3GPP TS 23.040 section 9.2.3.24); GSM text
is packed in it by the network, 8 septets in 7 octets, though SMPP carries one septet an octet. Text in an alphabet that
the network has to turn into GSM or UCS-2 (ASCII, or an operator's default that is not GSM) is measured as what it
becomes there. What does not decode as the text it claims to be is cut as octets.
"""

import unicodedata
from collections.abc import Callable
from enum import Enum

from pdu import alphabets
from pdu.alphabets import Alphabet, AlphabetError

MESSAGE_OCTETS = 140
SHORT_MESSAGE_OCTETS = 254
"""What the field short_message holds, header included (3.4 section 4.4.1)."""

_LEAST_ROOM_OCTETS = 8
_ESCAPE = b'\x1b'
_SECOND_HALF = 0xDC  # the high octet, its last two bits apart, of the second half of a surrogate pair
_ZWJ = '\u200d'
_ZWJ_OCTETS = b'\x20\x0d'


class SegmentError(ValueError):
    """A user data header that does not fit its message, or a message that makes no segments, or too many."""


class Unit(Enum):
    """What is counted, and never cut in two."""

    SEPTET = 'septet'
    """One an octet; an escape and the septet after it are one character."""
    UCS2 = 'ucs2'
    """UTF-16 big-endian: surrogate pairs and combining sequences stay together."""
    DISPLAYED = 'displayed'
    """Characters, measured as the GSM septets or UCS-2 that the network makes of them."""
    CHARACTER = 'character'
    """Characters of several octets, measured in octets."""
    OCTET = 'octet'


_UNITS = {
    Alphabet.GSM: Unit.SEPTET,
    Alphabet.UCS2: Unit.UCS2,
    Alphabet.ASCII: Unit.DISPLAYED,
    Alphabet.UTF8: Unit.DISPLAYED,
    Alphabet.JIS: Unit.CHARACTER,
    Alphabet.ISO2022_JP: Unit.CHARACTER,
    Alphabet.KOREAN: Unit.CHARACTER,
}
_COMPRESSED = range(0x20, 0x40)


def unit_of(data_coding: int, default_alphabet: Alphabet = Alphabet.GSM) -> Unit:
    """The unit of a data_coding; `default_alphabet` is what 0 means."""
    if data_coding in _COMPRESSED:
        return Unit.OCTET
    alphabet = alphabets.alphabet_of(data_coding, default_alphabet)
    if data_coding == alphabets.DATA_CODING_DEFAULT and alphabet == Alphabet.LATIN1:
        return Unit.DISPLAYED
    return _UNITS.get(alphabet, Unit.OCTET)


def room_octets(header_octets: int) -> int:
    """Octets that a short message has left after a user data header of so many, its length octet included."""
    return MESSAGE_OCTETS - header_octets


def room_septets(header_octets: int) -> int:
    """The same in septets; the fill bits up to the first one count as taken."""
    return room_octets(header_octets) * 8 // 7


def split(
    octets: bytes, data_coding: int, default_alphabet: Alphabet, whole_header: int = 0, part_header: int = 6
) -> list[bytes]:
    """Cuts a message body, without its header, into pieces; one when it fits a message whole.

    The headers are the octets that go before a whole message and before each part. However many pieces it takes are
    returned: the caller looks at their number. Raises SegmentError when a header leaves no room for text.
    """
    if MESSAGE_OCTETS - max(whole_header, part_header) < _LEAST_ROOM_OCTETS:
        raise SegmentError('the user data header leaves no room for text')
    unit = unit_of(data_coding, default_alphabet)
    if unit is Unit.SEPTET:
        if len(octets) <= room_septets(whole_header):
            return [octets]
        return cut_septets(octets, room_septets(part_header))
    if unit in (Unit.DISPLAYED, Unit.CHARACTER):
        alphabet = alphabets.alphabet_of(data_coding, default_alphabet)
        text = alphabets.text_of(octets, alphabet)
        if text is not None:
            return _split_characters(text, octets, alphabet, whole_header, part_header)
    if len(octets) <= room_octets(whole_header):
        return [octets]
    if unit is Unit.UCS2:
        return cut_ucs2(octets, room_octets(part_header))
    return cut_octets(octets, room_octets(part_header))


def cut_septets(octets: bytes, limit_septets: int) -> list[bytes]:
    """Cuts unpacked septets; an escape stays with what it escapes."""
    parts: list[bytes] = []
    start = 0
    while start < len(octets):
        end = start + limit_septets
        if end < len(octets):
            head = octets[start:end]
            # Of several escapes in a row, every other one is itself escaped.
            end -= (len(head) - len(head.rstrip(_ESCAPE))) % 2
        parts.append(octets[start:end])
        start = end
    return parts


def cut_octets(octets: bytes, limit_octets: int) -> list[bytes]:
    """Cuts octets that nothing holds together."""
    return [octets[start : start + limit_octets] for start in range(0, len(octets), limit_octets)]


def cut_ucs2(octets: bytes, limit_octets: int) -> list[bytes]:
    """Cuts UTF-16 between characters, and between combining sequences where these fit a piece.

    Half a character at the end, which an odd number of octets leaves, is left out.
    """
    octets, limit_octets = octets[: len(octets) & ~1], limit_octets & ~1
    parts: list[bytes] = []
    start = 0
    while len(octets) - start > limit_octets:
        end = _boundary(octets, start, start + limit_octets)
        parts.append(octets[start:end])
        start = end
    return [*parts, octets[start:]]


def _boundary(octets: bytes, start: int, limit: int) -> int:
    """The last position up to `limit` where no sequence is cut; where no character is, if one sequence fills it all."""
    between_characters = limit - 2 if octets[limit] & 0xFC == _SECOND_HALF else limit
    text = _utf16(octets[between_characters : between_characters + 4])
    if octets[between_characters - 2 : between_characters] != _ZWJ_OCTETS and not _joins(text[0]):
        return between_characters
    text = _utf16(octets[start:between_characters])
    position = between_characters
    for index in range(len(text) - 1, 0, -1):
        position -= 4 if text[index] > '\uffff' else 2
        if text[index - 1] != _ZWJ and not _joins(text[index]):
            return position
    return between_characters


def _utf16(octets: bytes) -> str:
    return octets.decode('utf-16-be', 'surrogatepass')


def _joins(character: str) -> bool:
    """Whether a character belongs to the one before: a mark, a variation selector, a skin tone, a zero width joiner."""
    return (
        character == _ZWJ
        or '\U0001f3fb' <= character <= '\U0001f3ff'
        or unicodedata.category(character) in {'Mn', 'Me', 'Mc'}
    )


def _split_characters(text: str, octets: bytes, alphabet: Alphabet, whole_header: int, part_header: int) -> list[bytes]:
    """Pieces of a text in an alphabet that is cut by characters; `octets` are the text in it."""
    measure, room = _measure(text, alphabet)

    def fits(piece: str, header_octets: int) -> bool:
        wire_octets = len(alphabets.encode(piece, alphabet)) + header_octets
        return wire_octets <= SHORT_MESSAGE_OCTETS and measure(piece) <= room(header_octets)

    # Every character takes at least a septet, so what is longer than this need not be measured.
    if len(text) <= room_septets(whole_header) and fits(text, whole_header):
        return [octets]
    parts: list[bytes] = []
    start = 0
    while start < len(text):
        end = _longest(text, start, lambda piece: fits(piece, part_header))
        parts.append(alphabets.encode(text[start:end], alphabet))
        start = end
    return parts


def _measure(text: str, alphabet: Alphabet) -> tuple[Callable[[str], int], Callable[[int], int]]:
    """How large a piece of the text is, and what a message has room for after a header, in the same unit."""
    if _UNITS.get(alphabet) is Unit.CHARACTER:
        return lambda piece: len(alphabets.encode(piece, alphabet)), room_octets
    try:
        alphabets.encode_gsm(text)
    except AlphabetError:
        return lambda piece: len(piece.encode('utf-16-be')), room_octets
    return lambda piece: len(alphabets.encode_gsm(piece)), room_septets


def _longest(text: str, start: int, fits: Callable[[str], bool]) -> int:
    """The end of the longest piece that fits, moved back to where no sequence is cut unless one fills it all."""
    low, high = start + 1, min(len(text), start + room_septets(0))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[start:middle]) else (low, middle - 1)
    end = low
    while start < end < len(text) and (text[end - 1] == _ZWJ or _joins(text[end])):
        end -= 1
    return end if end > start else low
