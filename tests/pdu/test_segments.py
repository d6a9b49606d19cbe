"""Concatenated messages: limits, places where a text may not be cut, headers among other elements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdu import alphabets
from pdu.segments import (
    Concatenation,
    SegmentError,
    concatenated,
    header_size,
    parse_udh,
    split_octets,
    split_text,
)


@pytest.mark.wire('D2')
@pytest.mark.parametrize(
    ('text', 'wide', 'lengths'),
    [
        ('a' * 160, False, [160]),
        ('a' * 161, False, [153, 8]),
        ('a' * 306, False, [153, 153]),
        ('a' * 161, True, [152, 9]),
        ('Ж' * 70, False, [140]),
        ('Ж' * 71, False, [134, 8]),
        ('Ж' * 71, True, [132, 10]),
        ('', False, [0]),
    ],
)
def test_limits_of_text(text, wide, lengths):
    data_coding, parts = split_text(text, wide)
    assert [len(part) for part in parts] == lengths
    assert data_coding == (8 if 'Ж' in text else 0)


@pytest.mark.wire('D2')
def test_limits_of_8_bit_data():
    assert [len(part) for part in split_octets(b'x' * 140)] == [140]
    assert [len(part) for part in split_octets(b'x' * 141)] == [134, 7]
    assert [len(part) for part in split_octets(b'x' * 141, wide=True)] == [133, 8]


@pytest.mark.wire('D1', 'D3')
def test_an_extension_character_counts_twice_and_moves_whole():
    assert [len(part) for part in split_text('€' * 80)[1]] == [160]
    _, parts = split_text('a' * 152 + '€' + 'b' * 20)
    assert parts == [b'a' * 152, b'\x1be' + b'b' * 20]


@pytest.mark.wire('D4')
def test_a_surrogate_pair_moves_whole():
    _, parts = split_text('Ж' * 66 + '👋' + 'Ж' * 20)
    assert [len(part) for part in parts] == [132, 44]
    assert parts[1].decode('utf-16-be') == '👋' + 'Ж' * 20


@pytest.mark.wire('D5')
@pytest.mark.parametrize('sequence', ['e\u0301', '👋🏽', '👨\u200d👩\u200d👧', '❤\ufe0f', 'и\u0306'])
@pytest.mark.parametrize('before', range(60, 68))
def test_a_combining_sequence_stays_together(sequence, before):
    text = 'Ж' * before + sequence + 'Ж' * 30
    _, parts = split_text(text)
    texts = [part.decode('utf-16-be') for part in parts]
    assert ''.join(texts) == text
    assert any(sequence in part for part in texts)


@pytest.mark.wire('D4')
@pytest.mark.parametrize('endless', ['e' + '\u0301' * 200, '👨' + '\u200d👩' * 60])
def test_a_sequence_longer_than_a_segment_is_cut_between_characters(endless):
    _, parts = split_text(endless)
    assert ''.join(part.decode('utf-16-be') for part in parts) == endless
    assert all(len(part) <= 134 for part in parts)


@pytest.mark.wire('D3', 'D4')
@given(st.text(max_size=600), st.booleans())
def test_parts_are_whole_texts_that_add_up(text, wide):
    data_coding, parts = split_text(text, wide)
    decode = alphabets.decode_gsm if data_coding == 0 else lambda octets: octets.decode('utf-16-be')
    assert ''.join(decode(part) for part in parts) == text
    if len(parts) > 1:
        limit = (152 if wide else 153) if data_coding == 0 else (132 if wide else 134)
        assert all(0 < len(part) <= limit for part in parts)


@pytest.mark.wire('D13')
def test_more_than_255_segments_are_refused():
    assert len(split_text('a' * 153 * 255)[1]) == 255
    for too_long in ('a' * (153 * 255 + 1), 'Ж' * (67 * 255 + 1)):
        with pytest.raises(SegmentError, match='256 segments'):
            split_text(too_long)
    with pytest.raises(SegmentError):
        split_octets(b'x' * (134 * 255 + 1))


@pytest.mark.wire('D2', 'D7')
def test_headers_are_written_and_read_in_both_widths():
    assert concatenated([b'ab', b'c'], 0xFE) == [b'\x05\x00\x03\xfe\x02\x01ab', b'\x05\x00\x03\xfe\x02\x02c']
    assert concatenated([b'ab', b'c'], 0x1234, wide=True)[1] == b'\x06\x08\x04\x12\x34\x02\x02c'
    for wide, reference in ((False, 0xFE), (True, 0xFFFE)):
        for sequence, octets in enumerate(concatenated([b'ab', b'c'], reference, wide), 1):
            assert parse_udh(octets) == Concatenation(reference, 2, sequence, wide)


@pytest.mark.wire('D9')
@pytest.mark.parametrize(('reference', 'wide'), [(256, False), (-1, False), (65536, True)])
def test_a_reference_is_never_cut_down(reference, wide):
    with pytest.raises(SegmentError):
        concatenated([b'a', b'b'], reference, wide)


@pytest.mark.wire('D7')
@pytest.mark.parametrize(
    ('header', 'found'),
    [
        ('0B 0504 0B84 23F0 0003 2A 03 02', Concatenation(42, 3, 2)),
        ('0B 0003 2A 03 02 0504 0B84 23F0', Concatenation(42, 3, 2)),
        ('0C 2401 01 0804 1234 03 02 2501 01', Concatenation(0x1234, 3, 2, wide=True)),
        ('06 0504 0B84 23F0', None),
        # Of several the last counts.
        ('0B 0804 1234 05 01 0003 2A 03 02', Concatenation(42, 3, 2)),
        ('0B 0003 2A 03 02 0804 1234 05 01', Concatenation(0x1234, 5, 1, wide=True)),
        ('00', None),
    ],
)
def test_the_element_is_found_among_others(header, found):
    assert parse_udh(bytes.fromhex(header) + b'text') == found


@pytest.mark.wire('D11')
@pytest.mark.parametrize(('total', 'sequence'), [(3, 0), (3, 4), (0, 0), (255, 255)])
def test_odd_numbers_are_told_as_they_are(total, sequence):
    assert parse_udh(bytes([5, 0, 3, 9, total, sequence])) == Concatenation(9, total, sequence)


@pytest.mark.wire('C17')
@pytest.mark.parametrize(
    'octets', [b'', b'\x05', b'\x05\x00\x03\x01\x02', b'\x05\x00\x04\x01\x02\x01', b'\x02\x00\x00\x00']
)
def test_a_header_that_does_not_add_up_is_none(octets):
    assert parse_udh(octets) is None


@pytest.mark.wire('C17')
def test_a_header_longer_than_its_message_is_an_error():
    assert header_size(b'\x05\x00\x03\x01\x02\x01hi') == 6
    for octets in (b'', b'\x05\x00\x03\x01\x02'):
        with pytest.raises(SegmentError):
            header_size(octets)


@given(st.binary(max_size=60))
def test_no_octets_make_reading_fail(octets):
    found = parse_udh(octets)
    assert found is None or isinstance(found, Concatenation)
