"""National languages in GSM messages: the shift tables of 3GPP TS 23.038 annex A, writing and reading texts with them.

A user data header says which tables a message uses (section 6.2.1.2.4): element 0x24 replaces the extension table that
an escape leads to (single shift), 0x25 the default table itself (locking shift). Septets are kept one an octet, as in
`alphabets`. The nine scripts of India share one plan in the annex, so a table of theirs is a block of Unicode and what
is missing from it; the others are written as what differs from the default tables.
"""

from collections.abc import Iterable
from enum import IntEnum
from functools import cache

import msgspec

from pdu import alphabets
from pdu.cutting import room_septets
from pdu.segments import CONCATENATION_OCTETS, Elements, encode_elements

SINGLE_SHIFT, LOCKING_SHIFT = 0x24, 0x25
_ESCAPE = 0x1B
_UNKNOWN = '\ufffd'


class Language(IntEnum):
    """National language identifiers, section 6.2.1.2.5; 0 in their place means the default tables."""

    TURKISH = 1
    SPANISH = 2
    PORTUGUESE = 3
    BENGALI = 4
    GUJARATI = 5
    HINDI = 6
    KANNADA = 7
    MALAYALAM = 8
    ORIYA = 9
    PUNJABI = 10
    TAMIL = 11
    TELUGU = 12
    URDU = 13


class NationalText(msgspec.Struct, frozen=True):
    """A text in septets (one an octet) and the elements that its user data header needs, none for the default tables.

    A text for several segments needs the same elements in each of them.
    """

    septets: bytes
    elements: Elements = ()


_Table = dict[int, str]

_DEFAULT: _Table = {septet: character for septet, character in enumerate(alphabets.BASIC) if septet != _ESCAPE}
_DEFAULT_EXTENSION: _Table = dict(alphabets.EXTENSION)


def _run(start: int, characters: str) -> _Table:
    """Characters at one septet after the other; a space leaves a septet out."""
    return {septet: character for septet, character in enumerate(characters, start) if character != ' '}


_DIGITS_AND_LETTERS = _run(0x30, '0123456789:;') | _run(0x61, 'abcdefghijklmnopqrstuvwxyz')
_INDIC_PUNCTUATION = {ord(character): character for character in '\n\r !,.?'} | {0x28: ')', 0x29: '('}
# Where a locking table of an Indian script (and of Urdu) has its own characters.
_OWN = [septet for septet in range(0x80) if septet not in _INDIC_PUNCTUATION | _DIGITS_AND_LETTERS | {_ESCAPE: ''}]
# In which order: three signs, letters, vowel signs, by their offset in the block of the script.
_PLAN = [*range(0x01, 0x04), *range(0x05, 0x3A), *range(0x3C, 0x4E)]
_INDIC_EXTENSION = (
    _run(0x00, '@£$¥¿"¤%&\'\f*+ -/<=>¡^¡_#*')
    | {0x28: '{', 0x29: '}', 0x2F: '\\', 0x3C: '[', 0x3D: '~', 0x3E: ']', 0x40: '|', 0x65: '€'}
    | _run(0x41, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')
)


def _locking(block: int, missing: str, last: str) -> _Table:
    """The locking table of an Indian script; `missing` and `last` are offsets in its block, in hexadecimal."""
    absent = {int(offset, 16) for offset in missing.split()}
    offsets = [None if offset in absent else offset for offset in _PLAN] + [int(offset, 16) for offset in last.split()]
    own = {septet: chr(block + offset) for septet, offset in zip(_OWN, offsets, strict=True) if offset is not None}
    return _INDIC_PUNCTUATION | _DIGITS_AND_LETTERS | own


def _single(block: int, digits: int, others: str, danda: bool = True) -> _Table:
    """The single shift table of an Indian script: digits from `digits` on, other characters by offset in its block."""
    table = _INDIC_EXTENSION | {0x1C + digit: chr(block + digits + digit) for digit in range(10)}
    places = [*range(0x26, 0x28), *range(0x2A, 0x2F), *range(0x30, 0x3C)]
    table |= {septet: chr(block + int(offset, 16)) for septet, offset in zip(places, others.split(), strict=False)}
    return table | ({0x19: '\u0964', 0x1A: '\u0965'} if danda else {})


def _bengali_single() -> _Table:
    """Digits begin at the place of the danda here, and three characters go before those of the plan."""
    own = dict(zip([0x19, 0x1A, *range(0x1C, 0x24)], map(chr, range(0x09E6, 0x09F0)), strict=True))
    own |= _run(0x24, '\u09df\u09e0\u09e1\u09e2') | _run(0x2A, '\u09e3\u09f2\u09f3\u09f4\u09f5')
    return _INDIC_EXTENSION | own | _run(0x30, '\u09f6\u09f7\u09f8\u09f9\u09fa')


_URDU = (
    'اآبٻڀپڦتۂٿ' 'ٹٽ' 'ٺټثجځڄڃڅچڇحخد' 'ڌڈډڊ' 'ڏڍذرڑړ' 'ڙز' 'ږ' 'ژ' 'ښسش' 'صضطظعفقکڪګگڳڱلمن'
    'ںڻڼوۄەہھءیېے\u064d\u0650\u064f\u0657' '\u0654' '\u0655\u0651\u0653\u0656\u0670'
)  # fmt: skip
_URDU_SINGLE = (
    _INDIC_EXTENSION
    | _run(0x19, '\u0600\u0601')
    | _run(0x1C, '۰۱۲۳۴۵۶۷۸۹\u060c\u060d')
    | _run(0x2A, '\u060e\u060f\u0610\u0611\u0612')
    | _run(0x30, '\u0613\u0614\u061b\u061f\u0640\u0652\u0658\u066b\u066c\u0672\u0673\u06cd')
    | {0x3F: '\u06d4'}
)

_LOCKING: dict[int, _Table] = {
    0: _DEFAULT,
    Language.TURKISH: _DEFAULT
    | {0x04: '€', 0x07: 'ı', 0x0B: 'Ğ', 0x0C: 'ğ', 0x1C: 'Ş', 0x1D: 'ş', 0x40: 'İ', 0x60: 'ç'},
    Language.PORTUGUESE: _DEFAULT
    | _run(0x04, 'êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó|')
    | {0x1C: 'Â', 0x1D: 'â', 0x1E: 'Ê', 0x24: 'º', 0x40: 'Í', 0x5B: 'Ã', 0x5C: 'Õ', 0x5D: 'Ú'}
    | {0x60: '~', 0x7B: 'ã', 0x7C: 'õ', 0x7D: '`'},
    Language.BENGALI: _locking(0x0980, '0D 0E 11 12 29 31 33 34 35 45 46 49 4A', '4E 57 5C 5D 70 71'),
    Language.GUJARATI: _locking(0x0A80, '0E 12 29 31 34 46 4A', '50 60 61 62 63 71'),
    Language.HINDI: _locking(0x0900, '', '50 72 7B 7C 7E 7F'),
    Language.KANNADA: _locking(0x0C80, '01 0D 11 29 34 45 49', '55 56 60 61 62 63'),
    Language.MALAYALAM: _locking(0x0D00, '01 0D 11 29 3C 45 49', '57 60 61 62 63 79'),
    Language.ORIYA: _locking(0x0B00, '0D 0E 11 12 29 31 34 45 46 49 4A', '56 57 60 61 62 63'),
    Language.PUNJABI: _locking(0x0A00, '0B 0C 0D 0E 11 12 29 31 34 37 3D 43 44 45 46 49 4A', '51 70 71 72 73 74'),
    Language.TAMIL: _locking(
        0x0B80,
        '01 0B 0C 0D 11 16 17 18 1B 1D 20 21 22 25 26 27 2B 2C 2D 3C 3D 43 44 45 49',
        '50 57 70 71 72 79',
    ),
    Language.TELUGU: _locking(0x0C00, '0D 11 29 34 3C 45 49', '55 56 60 61 62 63'),
    Language.URDU: _INDIC_PUNCTUATION | _DIGITS_AND_LETTERS | dict(zip(_OWN, _URDU, strict=True)),
}

_SINGLE: dict[int, _Table] = {
    0: _DEFAULT_EXTENSION,
    Language.TURKISH: _DEFAULT_EXTENSION
    | {0x47: 'Ğ', 0x49: 'İ', 0x53: 'Ş', 0x63: 'ç', 0x67: 'ğ', 0x69: 'ı', 0x73: 'ş'},
    Language.SPANISH: _DEFAULT_EXTENSION
    | {0x09: 'ç', 0x41: 'Á', 0x49: 'Í', 0x4F: 'Ó', 0x55: 'Ú', 0x61: 'á', 0x69: 'í', 0x6F: 'ó', 0x75: 'ú'},
    Language.PORTUGUESE: _DEFAULT_EXTENSION
    | {0x05: 'ê', 0x09: 'ç', 0x0B: 'Ô', 0x0C: 'ô', 0x0E: 'Á', 0x0F: 'á', 0x12: 'Φ', 0x13: 'Γ', 0x15: 'Ω', 0x16: 'Π'}
    | {0x17: 'Ψ', 0x18: 'Σ', 0x19: 'Θ', 0x1F: 'Ê', 0x41: 'À', 0x49: 'Í', 0x4F: 'Ó', 0x55: 'Ú', 0x5B: 'Ã', 0x5C: 'Õ'}
    | {0x61: 'Â', 0x69: 'í', 0x6F: 'ó', 0x75: 'ú', 0x7B: 'ã', 0x7C: 'õ', 0x7F: 'â'},
    Language.BENGALI: _bengali_single(),
    Language.GUJARATI: _single(0x0A80, 0x66, ''),
    Language.HINDI: _single(0x0900, 0x66, '51 52 53 54 58 59 5A 5B 5C 5D 5E 5F 60 61 62 63 70 71'),
    Language.KANNADA: _single(0x0C80, 0x66, '5E 71 72'),
    Language.MALAYALAM: _single(0x0D00, 0x66, '70 71 72 73 74 75 7A 7B 7C 7D 7E 7F'),
    Language.ORIYA: _single(0x0B00, 0x66, '5C 5D 5F 70 71'),
    Language.PUNJABI: _single(0x0A00, 0x66, '59 5A 5B 5C 5E 75'),
    Language.TAMIL: _single(0x0B80, 0x66, '73 74 75 76 77 78 7A'),
    Language.TELUGU: _single(0x0C00, 0x66, '58 59 78 79 7A 7B 7C 7D 7E 7F', danda=False),
    Language.URDU: _URDU_SINGLE,
}


@cache
def _encoding(locking: int, single: int) -> dict[str, bytes]:
    """The octets of each character with two tables; where it stands twice, the first and the shorter one count."""
    escaped = {character: bytes([_ESCAPE, septet]) for septet, character in reversed(_SINGLE[single].items())}
    return escaped | {character: bytes([septet]) for septet, character in reversed(_LOCKING[locking].items())}


def encode(text: str, languages: Iterable[Language]) -> NationalText | None:
    """Writes a text with the default tables or, when these lack a character, with those of one of the languages.

    The language and tables that make the fewest segments, and among these the fewest septets, are taken. None when
    every choice lacks some character; send UCS-2 then.
    """
    characters = set(text)
    if characters <= _encoding(0, 0).keys():
        return NationalText(_septets(text, 0, 0))
    found: list[tuple[int, int, NationalText]] = []
    for language in languages:
        locking = language if language in _LOCKING else 0
        for pair in dict.fromkeys(((0, int(language)), (int(locking), 0), (int(locking), int(language)))):
            if characters <= _encoding(*pair).keys():
                national = NationalText(_septets(text, *pair), _elements(*pair))
                found.append((*_size(national), national))
    return min(found, key=lambda size: size[:2])[2] if found else None


def decode(septets: bytes, locking: int = 0, single: int = 0) -> str:
    """Text of unpacked septets read with the tables of two languages, 0 for the default ones. Never raises.

    What a table does not define becomes U+FFFD, an escape to nothing the character after it, and the identifier of an
    unknown language means the default tables (section 6.2.1.2.4).
    """
    table, extension = _LOCKING.get(locking, _DEFAULT), _SINGLE.get(single, _DEFAULT_EXTENSION)
    if _ESCAPE not in septets:
        return ''.join([table.get(septet, _UNKNOWN) for septet in septets])
    head, *escaped = septets.split(b'\x1b')
    pieces = [''.join([table.get(septet, _UNKNOWN) for septet in head])]
    for piece in escaped:
        if piece:
            pieces.append(extension.get(piece[0]) or table.get(piece[0], _UNKNOWN))
            pieces.extend([table.get(septet, _UNKNOWN) for septet in piece[1:]])
    return ''.join(pieces)


def languages_of(elements: Elements) -> tuple[int, int]:
    """(locking, single): the languages that a user data header names, for `decode`; 0 where it names none."""
    named = {identifier: value[0] for identifier, value in elements if len(value) == 1}
    return named.get(LOCKING_SHIFT, 0), named.get(SINGLE_SHIFT, 0)


def _septets(text: str, locking: int, single: int) -> bytes:
    return b''.join(map(_encoding(locking, single).__getitem__, text))


def _elements(locking: int, single: int) -> Elements:
    named = ((SINGLE_SHIFT, single), (LOCKING_SHIFT, locking))
    return tuple((identifier, bytes([language])) for identifier, language in named if language)


def _size(national: NationalText) -> tuple[int, int]:
    """Segments and septets; that no escape is cut may make one segment more."""
    septets = len(national.septets)
    header_octets = len(encode_elements(national.elements))
    if septets <= room_septets(header_octets):
        return 1, septets
    return -(-septets // room_septets(header_octets + CONCATENATION_OCTETS)), septets
