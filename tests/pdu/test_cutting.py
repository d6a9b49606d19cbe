"""Cutting encoded messages: what fits after a header, and what no cut may go through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdu import alphabets
from pdu.alphabets import Alphabet
from pdu.cutting import SegmentError, Unit, room_octets, room_septets, split, unit_of

HEADERS = st.integers(0, 60)
CUT = {Unit.SEPTET: room_septets, Unit.UCS2: room_octets, Unit.OCTET: room_octets}
GSM_TEXTS = st.text(st.sampled_from(alphabets.BASIC.replace('\x1b', '') + '€[]{}'), max_size=900)


@pytest.mark.wire('D2', 'D14')
@pytest.mark.parametrize(
    ('header_octets', 'septets', 'octets'),
    [(0, 160, 140), (4, 155, 136), (6, 153, 134), (7, 152, 133), (9, 149, 131), (12, 146, 128)],
)
def test_what_is_left_after_a_header(header_octets, septets, octets):
    assert (room_septets(header_octets), room_octets(header_octets)) == (septets, octets)


@pytest.mark.wire('D2')
@pytest.mark.parametrize(
    ('data_coding', 'default', 'unit'),
    [
        (0, Alphabet.GSM, Unit.SEPTET),
        (0x10, Alphabet.LATIN1, Unit.SEPTET),
        (0, Alphabet.LATIN1, Unit.DISPLAYED),
        (0, Alphabet.UTF8, Unit.DISPLAYED),
        (1, Alphabet.GSM, Unit.DISPLAYED),
        (3, Alphabet.GSM, Unit.OCTET),
        (4, Alphabet.GSM, Unit.OCTET),
        (5, Alphabet.GSM, Unit.CHARACTER),
        (8, Alphabet.GSM, Unit.UCS2),
        (0x21, Alphabet.GSM, Unit.OCTET),
        (0xE8, Alphabet.GSM, Unit.UCS2),
        (0xF4, Alphabet.GSM, Unit.OCTET),
    ],
)
def test_the_unit_is_that_of_the_data_coding(data_coding, default, unit):
    assert unit_of(data_coding, default) is unit


@pytest.mark.wire('D3', 'D14')
@given(GSM_TEXTS, HEADERS)
def test_septets_are_cut_between_characters_whatever_the_header(text, header_octets):
    parts = split(alphabets.encode_gsm(text), 0, Alphabet.GSM, 0, header_octets)
    assert ''.join(map(alphabets.decode_gsm, parts)) == text
    if len(parts) > 1:
        assert all(len(part) <= room_septets(header_octets) for part in parts)
        assert all(len(part) >= room_septets(header_octets) - 1 for part in parts[:-1])


@pytest.mark.wire('D3')
@pytest.mark.parametrize('before', range(145, 156))
def test_of_escapes_in_a_row_every_other_is_a_character(before):
    octets = b'a' * before + b'\x1b\x1b' * 4 + b'b' * 20
    parts = split(octets, 0, Alphabet.GSM)
    assert b''.join(parts) == octets
    escapes = [len(part) - len(part.rstrip(b'\x1b')) for part in parts]
    assert all(count % 2 == 0 for count in escapes)


@pytest.mark.wire('D4', 'D5')
@given(st.text(max_size=300), HEADERS)
def test_ucs2_is_cut_between_characters_whatever_the_header(text, header_octets):
    parts = split(text.encode('utf-16-be'), 8, Alphabet.GSM, 0, header_octets)
    assert ''.join([part.decode('utf-16-be') for part in parts]) == text
    assert all(len(part) % 2 == 0 for part in parts)
    if len(parts) > 1:
        assert all(len(part) <= room_octets(header_octets) for part in parts)


@pytest.mark.wire('A10', 'D4')
@given(st.binary(max_size=700), st.integers(0, 255), st.sampled_from(list(Alphabet)), HEADERS)
def test_any_octets_can_be_cut(octets, data_coding, default, header_octets):
    parts = split(octets, data_coding, default, header_octets, header_octets)
    unit = unit_of(data_coding, default)
    whole = octets
    if unit is Unit.UCS2 and len(parts) > 1:
        whole = octets[: len(octets) & ~1]
        assert all(len(part) % 2 == 0 for part in parts)
    assert b''.join(parts) == whole
    if unit in CUT:
        assert all(len(part) <= CUT[unit](header_octets) for part in parts)


@pytest.mark.wire('D2', 'D17')
@pytest.mark.parametrize(
    ('text', 'data_coding', 'default', 'lengths'),
    [
        ('é' * 160, 0, Alphabet.LATIN1, [160]),
        ('é' * 161, 0, Alphabet.LATIN1, [153, 8]),
        # Extension characters count twice in the network, though they are one octet here.
        ('[' * 80, 0, Alphabet.LATIN1, [80]),
        ('[' * 81, 0, Alphabet.ASCII, [76, 5]),
        # No GSM: the network makes UCS-2 of it.
        ('ç' * 71, 0, Alphabet.LATIN1, [67, 4]),
        ('Ж' * 71, 0, Alphabet.UTF8, [134, 8]),
        ('👋' * 40, 0, Alphabet.UTF8, [132, 28]),
        # As GSM these would go in one message, but short_message has room for 254 octets.
        ('é' * 130, 0, Alphabet.UTF8, [248, 12]),
        ('a' * 161, 1, Alphabet.GSM, [153, 8]),
        ('é' * 141, 3, Alphabet.GSM, [134, 7]),
        ('漢' * 71, 5, Alphabet.GSM, [134, 8]),
        ('한' * 71, 14, Alphabet.GSM, [134, 8]),
    ],
)
def test_text_of_other_alphabets_is_cut_between_characters(text, data_coding, default, lengths):
    alphabet = alphabets.alphabet_of(data_coding, default)
    parts = split(alphabets.encode(text, alphabet), data_coding, default)
    assert [len(part) for part in parts] == lengths
    assert ''.join([alphabets.decode_text(part, data_coding, default) for part in parts]) == text


@pytest.mark.wire('D4')
@given(st.text(max_size=400), st.sampled_from([Alphabet.UTF8, Alphabet.LATIN1, Alphabet.ASCII]))
def test_the_pieces_of_a_default_alphabet_add_up(text, default):
    try:
        octets = alphabets.encode(text, default)
    except alphabets.AlphabetError:
        return
    parts = split(octets, 0, default)
    assert b''.join(parts) == octets
    assert (
        ''.join(
            [
                alphabets.encode(alphabets.decode_text(part, 0, default), default).decode(
                    'utf-8' if default == Alphabet.UTF8 else 'latin-1'
                )
                for part in parts
            ]
        )
        == text
    )
    assert all(len(part) + 6 <= 254 for part in parts[:-1])


@pytest.mark.wire('D5')
@pytest.mark.parametrize('before', range(60, 68))
def test_combining_sequences_stay_together_in_utf8_too(before):
    text = 'Ж' * before + '👨\u200d👩\u200d👧' + 'Ж' * 30
    parts = [part.decode() for part in split(text.encode(), 0, Alphabet.UTF8)]
    assert ''.join(parts) == text
    assert any('👨\u200d👩\u200d👧' in part for part in parts)


@pytest.mark.wire('D4')
def test_half_a_character_at_the_end_is_in_no_part():
    parts = split('Ж'.encode('utf-16-be') * 100 + b'\x04', 8, Alphabet.GSM)
    assert [len(part) for part in parts] == [134, 66]


@pytest.mark.wire('D11')
def test_a_header_that_leaves_no_room_is_an_error():
    with pytest.raises(SegmentError):
        split(b'x' * 10, 4, Alphabet.GSM, 135, 140)


def test_a_long_hostile_text_is_cut_in_reasonable_steps(monkeypatch):
    """A piece is found by halving, not character by character."""
    calls = 0
    encode = alphabets.encode

    def counted(text, alphabet):
        nonlocal calls
        calls += 1
        return encode(text, alphabet)

    monkeypatch.setattr(alphabets, 'encode', counted)
    parts = split('\u0301'.encode() * 20_000, 0, Alphabet.UTF8)
    assert b''.join(parts).decode() == '\u0301' * 20_000
    assert calls < 20 * len(parts)
