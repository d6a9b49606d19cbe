"""Text to octets and back in the alphabets of short messages: GSM 03.38, UCS-2, Latin-1 and the others.

The GSM default alphabet is written unpacked, one septet an octet, as SMPP peers expect; `pack` and `unpack` are for
those that want it packed. Both directions run in C (codecs.charmap_*), extension characters apart.

Compared with the gsm0338 package, which is the yardstick: equal on every text it can encode, U+001B apart. That
package writes ESC as a bare 0x1B, which then turns the next character into another one; here it is not a character of
the alphabet. On octets the package refuses an escape to nothing and drops one at the very end; `decode_gsm` refuses
both, and `decode_text`, which must show something, takes what 3GPP TS 23.038 section 6.2.1.1 asks of a handset: the
character of the default table.
"""

import codecs
from enum import StrEnum

_ESCAPE = '\x1b'
_UNDEFINED = '\ufffe'
BASIC = (
    '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ'
    ' !"#¤%&\'()*+,-./0123456789:;<=>?'
    '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§'
    '¿abcdefghijklmnopqrstuvwxyzäöñüà'
)
"""The default table by septet, 3GPP TS 23.038 section 6.2.1; the escape stands for itself."""
EXTENSION = {
    0x0A: '\f',
    0x14: '^',
    0x28: '{',
    0x29: '}',
    0x2F: '\\',
    0x3C: '[',
    0x3D: '~',
    0x3E: ']',
    0x40: '|',
    0x65: '€',
}
"""What an escape leads to: the default extension table of 3GPP TS 23.038 section 6.2.1.1."""

_DECODING = BASIC + _UNDEFINED * 128
# An escaped septet has been decoded by the default table when its escape is looked at: 'e' after ESC is the euro sign.
_ESCAPED = {BASIC[septet]: character for septet, character in EXTENSION.items()}
# charmap_build makes its fast map only when index 0 is NUL, so '@' (septet 0) stands at 128, extensions from 129 on,
# and one pass over the octets puts them right.
_AT = 0x80
_FIRST_EXTENSION = 0x81
_ENCODING = codecs.charmap_build(
    ('\0' + BASIC[1:].replace(_ESCAPE, _UNDEFINED) + '@' + ''.join(EXTENSION.values())).ljust(256, _UNDEFINED)
)
_AT_TO_SEPTET = bytes.maketrans(bytes([_AT]), b'\0')
_EXTENSION_PAIRS = [
    (bytes([_FIRST_EXTENSION + index]), bytes([0x1B, septet])) for index, septet in enumerate(EXTENSION)
]


class AlphabetError(ValueError):
    """Text has a character that the alphabet lacks, or octets are not of the alphabet; the message shows neither."""


class Alphabet(StrEnum):
    """What the octets of a message mean. Values are those of the configuration files."""

    GSM = 'gsm'
    ASCII = 'ascii'
    LATIN1 = 'latin1'
    UTF8 = 'utf8'
    UCS2 = 'ucs2'
    BINARY = 'binary'
    JIS = 'jis'
    CYRILLIC = 'cyrillic'
    HEBREW = 'hebrew'
    ISO2022_JP = 'iso2022_jp'
    KOREAN = 'korean'


_CODECS = {
    Alphabet.ASCII: 'ascii',
    Alphabet.LATIN1: 'latin-1',
    Alphabet.UTF8: 'utf-8',
    Alphabet.UCS2: 'utf-16-be',
    # Octets without a meaning as text are shown one character each, so that nothing is hidden.
    Alphabet.BINARY: 'latin-1',
    Alphabet.JIS: 'shift_jis',
    Alphabet.CYRILLIC: 'iso8859-5',
    Alphabet.HEBREW: 'iso8859-8',
    Alphabet.ISO2022_JP: 'iso2022_jp',
    Alphabet.KOREAN: 'euc_kr',
}

DATA_CODING_DEFAULT = DATA_CODING_GSM = 0
DATA_CODING_BINARY = 4
DATA_CODING_UCS2 = 8


def _alphabets_by_data_coding() -> dict[int, Alphabet]:
    """data_coding of 3.4 section 5.2.19, and above 0x0F that of 3GPP TS 23.038 section 4; 0 is the peer's default."""
    known = {1: Alphabet.ASCII, 2: Alphabet.BINARY, 3: Alphabet.LATIN1, 4: Alphabet.BINARY, 5: Alphabet.JIS}
    known |= {6: Alphabet.CYRILLIC, 7: Alphabet.HEBREW, 8: Alphabet.UCS2, 10: Alphabet.ISO2022_JP, 14: Alphabet.KOREAN}
    general = (Alphabet.GSM, Alphabet.BINARY, Alphabet.UCS2, Alphabet.GSM)
    known |= {data_coding: general[data_coding >> 2 & 3] for data_coding in range(0x10, 0x40)}
    known |= dict.fromkeys(range(0xC0, 0xE0), Alphabet.GSM)
    known |= dict.fromkeys(range(0xE0, 0xF0), Alphabet.UCS2)
    known |= {data_coding: Alphabet.BINARY if data_coding & 4 else Alphabet.GSM for data_coding in range(0xF0, 0x100)}
    return known


_ALPHABETS = _alphabets_by_data_coding()


def alphabet_of(data_coding: int, default_alphabet: Alphabet = Alphabet.GSM) -> Alphabet:
    """The alphabet a data_coding names; the default for 0 and for values that nobody defined."""
    return _ALPHABETS.get(data_coding, default_alphabet)


def encode_gsm(text: str) -> bytes:
    """GSM 03.38 default alphabet, one septet an octet, extension characters as 0x1B and a septet.

    Raises AlphabetError when a character is in neither table.
    """
    try:
        octets = codecs.charmap_encode(text, 'strict', _ENCODING)[0]
    except UnicodeEncodeError as error:
        raise AlphabetError(f'character {error.start + 1} is not in the GSM alphabet') from None
    if 0 in octets:
        raise AlphabetError('U+0000 is not in the GSM alphabet')
    octets = octets.translate(_AT_TO_SEPTET)
    if octets.isascii():
        return octets
    for placeholder, pair in _EXTENSION_PAIRS:
        octets = octets.replace(placeholder, pair)
    return octets


def decode_gsm(octets: bytes) -> str:
    """Unpacked septets to text. Raises AlphabetError for an octet above 0x7F and for an escape to no character."""
    try:
        text = codecs.charmap_decode(octets, 'strict', _DECODING)[0]
    except UnicodeDecodeError as error:
        raise AlphabetError(f'octet {error.start + 1} is not a septet') from None
    if _ESCAPE not in text:
        return text
    pieces = text.split(_ESCAPE)
    try:
        return pieces[0] + ''.join([_ESCAPED[piece[:1]] + piece[1:] for piece in pieces[1:]])
    except KeyError:
        raise AlphabetError('an escape leads to no character') from None


def _decode_gsm_leniently(octets: bytes) -> str:
    text = codecs.charmap_decode(octets, 'replace', _DECODING)[0]
    if _ESCAPE not in text:
        return text
    pieces = text.split(_ESCAPE)
    return pieces[0] + ''.join([_ESCAPED.get(piece[:1], piece[:1]) + piece[1:] for piece in pieces[1:]])


def decode_text(octets: bytes, data_coding: int, default_alphabet: Alphabet = Alphabet.GSM) -> str:
    """Text to show to a human or to match a rule with; `octets` without user data header. Never raises.

    What the alphabet does not define becomes U+FFFD, an escape to nothing the character after it.
    """
    alphabet = _ALPHABETS.get(data_coding, default_alphabet)
    if alphabet == Alphabet.GSM:
        return _decode_gsm_leniently(octets)
    return octets.decode(_CODECS[alphabet], 'replace')


def encode_text(text: str) -> tuple[int, bytes]:
    """(data_coding, octets): GSM when every character is in it, else UCS-2 (with surrogate pairs beyond the BMP).

    Raises AlphabetError for half a surrogate pair, which is no text.
    """
    try:
        return DATA_CODING_GSM, encode_gsm(text)
    except AlphabetError:
        return DATA_CODING_UCS2, encode_ucs2(text)


def encode_ucs2(text: str) -> bytes:
    """Text as UTF-16 big-endian. Raises AlphabetError for half a surrogate pair."""
    try:
        return text.encode('utf-16-be')
    except UnicodeEncodeError as error:
        raise AlphabetError(f'character {error.start + 1} is half a surrogate pair') from None


def encode(text: str, alphabet: Alphabet) -> bytes:
    """Text in any alphabet. Raises AlphabetError when it lacks a character; the message does not show it."""
    if alphabet == Alphabet.GSM:
        return encode_gsm(text)
    try:
        return text.encode(_CODECS[alphabet])
    except UnicodeEncodeError as error:
        raise AlphabetError(f'character {error.start + 1} is not in the alphabet {alphabet.value}') from None


def text_of(octets: bytes, alphabet: Alphabet) -> str | None:
    """The text that `encode` writes as exactly these octets; None when there is none, for they are something else."""
    try:
        text = decode_gsm(octets) if alphabet == Alphabet.GSM else octets.decode(_CODECS[alphabet])
        return text if encode(text, alphabet) == octets else None
    except ValueError:
        return None


def pack(septets: bytes, fill_bits: int = 0) -> bytes:
    """Packs septets into octets, 3GPP TS 23.038 section 6.1.2.1.

    `fill_bits` zero bits come first: those that a user data header leaves to the next septet boundary. Seven bits left
    over at the end become CR, so that the reader does not take them for '@'.
    """
    packed, shift = 0, fill_bits
    for septet in septets:
        packed |= septet << shift
        shift += 7
    if shift % 8 == 1:
        packed |= 0x0D << shift
    return packed.to_bytes((shift + 7) // 8, 'little')


def pack_closed(septets: bytes, fill_bits: int, limit_octets: int) -> bytes:
    """Packs septets so that a reader who is told octets, not septets, finds where they end.

    A CR or '@' that ends with the last octet looks like padding: a further CR is added, as section 6.1.2.3.1 has it,
    unless that made more than `limit_octets`.
    """
    packed = pack(septets, fill_bits)
    if septets[-1:] in (b'\r', b'\0') and (len(septets) * 7 + fill_bits) % 8 == 0 and len(packed) < limit_octets:
        return pack(septets + b'\r', fill_bits)
    return packed


def unpack(octets: bytes, count: int | None = None, fill_bits: int = 0) -> bytes:
    """Unpacks `count` septets, or all there are, after `fill_bits` bits.

    Without a count the end is ambiguous when a septet ends with the last octet: a CR or '@' there is taken for
    padding and dropped.
    """
    bits = len(octets) * 8 - fill_bits
    packed = int.from_bytes(octets, 'little') >> fill_bits
    wanted = max(bits // 7, 0) if count is None else count
    septets = bytes([packed >> 7 * index & 0x7F for index in range(wanted)])
    if count is None and bits % 7 == 0 and septets[-1:] in (b'\r', b'\0'):
        return septets[:-1]
    return septets
