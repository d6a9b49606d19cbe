"""Text and octets, held against the gsm0338 package and Python's own codecs."""

import gsm0338
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdu import alphabets
from pdu.alphabets import Alphabet, AlphabetError

YARDSTICK = gsm0338.Codec()
BASIC = YARDSTICK.decode(bytes(septet for septet in range(128) if septet != 0x1B))[0]
EXTENSION = '\f^{}\\[~]|€'
GSM_TEXTS = st.text(st.sampled_from(BASIC + EXTENSION), max_size=200)
# U+001B apart, where the package makes octets that do not mean the text (see the module).
ANY_TEXTS = st.text(st.characters(exclude_characters='\x1b'), max_size=80)


def encoded_by_yardstick(text: str) -> bytes | None:
    try:
        octets: bytes = YARDSTICK.encode(text)[0]
    except UnicodeEncodeError:
        return None
    return octets


def encoded(text: str) -> bytes | None:
    try:
        return alphabets.encode_gsm(text)
    except AlphabetError:
        return None


@pytest.mark.wire('D1', 'D17')
def test_every_character_of_the_alphabet_comes_back():
    text = BASIC + EXTENSION
    octets = alphabets.encode_gsm(text)
    assert octets == YARDSTICK.encode(text)[0]
    assert len(octets) == 127 + 2 * 10
    assert alphabets.decode_gsm(octets) == text


@pytest.mark.wire('D1')
@pytest.mark.parametrize(
    ('text', 'octets'), [('@', b'\x00'), ('_', b'\x11'), ('£', b'\x01'), ('Ω', b'\x15'), ('€', b'\x1b\x65'), ('', b'')]
)
def test_known_octets(text, octets):
    assert alphabets.encode_gsm(text) == octets
    assert alphabets.decode_gsm(octets) == text


@given(GSM_TEXTS | ANY_TEXTS)
@example('\0')
@example('a\u0391')
@example('ç')
def test_encoding_equals_the_yardstick(text):
    assert encoded(text) == encoded_by_yardstick(text)


@given(GSM_TEXTS)
def test_decoding_equals_the_yardstick(text):
    octets = YARDSTICK.encode(text)[0]
    assert alphabets.decode_gsm(octets) == YARDSTICK.decode(octets)[0] == text
    assert alphabets.decode_text(octets, 0) == text


def test_an_escape_is_no_character():
    with pytest.raises(AlphabetError, match='character 2'):
        alphabets.encode_gsm('a\x1be')


@pytest.mark.parametrize('octets', [b'\x80', b'a\xff', b'a\x1b', b'\x1b\x1b', b'\x1b\x41'])
def test_strict_decoding_refuses_what_is_no_text(octets):
    with pytest.raises(AlphabetError):
        alphabets.decode_gsm(octets)


@pytest.mark.parametrize(
    ('octets', 'text'), [(b'a\x80b', 'a\ufffdb'), (b'a\x1b', 'a'), (b'\x1bAB', 'AB'), (b'\x1b\x1be', '€'), (b'', '')]
)
def test_lenient_decoding_shows_what_it_can(octets, text):
    assert alphabets.decode_text(octets, 0) == text


@pytest.mark.wire('A10')
@given(st.binary(max_size=200), st.integers(0, 255), st.sampled_from(list(Alphabet)))
def test_no_octets_make_showing_them_fail(octets, data_coding, default):
    assert isinstance(alphabets.decode_text(octets, data_coding, default), str)


@pytest.mark.wire('D17')
@pytest.mark.parametrize(
    ('data_coding', 'default', 'octets', 'text'),
    [
        (0, Alphabet.GSM, b'\x00\x11', '@_'),
        (0, Alphabet.LATIN1, b'\xe9', 'é'),
        (0, Alphabet.ASCII, b'a\xe9', 'a\ufffd'),
        (0, Alphabet.UTF8, 'Ж'.encode(), 'Ж'),
        (1, Alphabet.GSM, b'@_', '@_'),
        (3, Alphabet.GSM, b'\xe9', 'é'),
        (4, Alphabet.GSM, b'\x00\xff', '\x00\xff'),
        (6, Alphabet.GSM, b'\xb6', 'Ж'),
        (8, Alphabet.GSM, b'\x04\x16', 'Ж'),
        (8, Alphabet.GSM, b'\x04\x16\x04', 'Ж\ufffd'),
        (8, Alphabet.GSM, '👋'.encode('utf-16-be'), '👋'),
        (0x10, Alphabet.LATIN1, b'\x00', '@'),
        (0x18, Alphabet.GSM, b'\x04\x16', 'Ж'),
        (0xC8, Alphabet.LATIN1, b'\x00', '@'),
        (0xE0, Alphabet.GSM, b'\x04\x16', 'Ж'),
        (0xF0, Alphabet.LATIN1, b'\x00', '@'),
        (0xF4, Alphabet.GSM, b'\x00', '\x00'),
        (0x0B, Alphabet.LATIN1, b'\xe9', 'é'),
    ],
)
def test_data_coding_chooses_the_alphabet(data_coding, default, octets, text):
    assert alphabets.decode_text(octets, data_coding, default) == text


def test_text_is_gsm_when_it_can_be_and_ucs2_when_not():
    assert alphabets.encode_text('Hello {€}') == (0, b'\x48ello \x1b\x28\x1b\x65\x1b\x29')
    assert alphabets.encode_text('Привет') == (8, 'Привет'.encode('utf-16-be'))
    assert alphabets.encode_text('👋') == (8, b'\xd8\x3d\xdc\x4b')
    with pytest.raises(AlphabetError, match='surrogate'):
        alphabets.encode_text('\ud83d')


def test_errors_do_not_show_the_text():
    with pytest.raises(AlphabetError) as raised:
        alphabets.encode_gsm('secretЖ')
    assert 'secret' not in str(raised.value)
    assert 'Ж' not in str(raised.value)


@pytest.mark.wire('D6')
@pytest.mark.parametrize(
    ('septets', 'packed'),
    [
        # The classic example of packing.
        (b'hellohello', 'e8329bfd4697d9ec37'),
        (b'', ''),
        (b'\x01', '01'),
        # Seven septets leave seven bits, which become CR.
        (b'1234567', '31d98c56b3dd1a'),
    ],
)
def test_septets_are_packed(septets, packed):
    assert alphabets.pack(septets).hex() == packed
    assert alphabets.unpack(bytes.fromhex(packed)) == septets


@pytest.mark.wire('D6')
@given(st.lists(st.integers(0, 127), max_size=180).map(bytes), st.integers(0, 6))
def test_packing_is_undone_with_the_count(septets, fill_bits):
    packed = alphabets.pack(septets, fill_bits)
    assert alphabets.unpack(packed, len(septets), fill_bits) == septets
    assert len(packed) == (7 * len(septets) + fill_bits + 7) // 8


@pytest.mark.wire('D6')
def test_a_header_of_six_octets_leaves_one_fill_bit():
    # 153 septets after 6 octets of header, begun at septet 7: 140 octets in all.
    assert len(alphabets.pack(b'\x41' * 153, fill_bits=1)) == 134
