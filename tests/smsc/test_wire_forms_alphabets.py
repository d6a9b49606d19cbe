"""How texts look to an upstream: alphabets of each side, packed septets, national languages."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdu import alphabets
from pdu.segments import Concatenation, parse_udh
from tests.smsc.wire_form_messages import (
    GSM_CHARACTERS,
    TEXTS,
    message,
    sent,
    shown,
    taken_apart,
    written,
)


@pytest.mark.wire('D3', 'D4', 'D14', 'D17')
@given(
    text=TEXTS,
    account=st.sampled_from(['gsm', 'latin1', 'utf8']),
    upstream=st.sampled_from(['gsm', 'latin1', 'utf8']),
    long_messages=st.sampled_from(['udh', 'udh16', 'sar', 'payload']),
    languages=st.sampled_from([(), ('hindi',), ('turkish', 'hindi')]),
)
def test_the_parts_of_any_text_add_up_to_it_and_fit(text, account, upstream, long_messages, languages):
    submits = sent(written(text, account), account, alphabet=upstream, long_messages=long_messages, national=languages)
    assert ''.join([shown(submit, upstream) for submit in submits]) == text
    if long_messages != 'payload':
        assert all(fits(submit, upstream) for submit in submits)


def fits(submit, upstream):
    """Whether the network can put it in 140 octets."""
    header, body = taken_apart(submit)
    if submit.data_coding == 8:
        return len(header) + len(body) <= 140
    if upstream == 'gsm':
        return len(header) * 8 + len(body) * 7 <= 1120
    return len(header) + len(body) <= 254


@pytest.mark.wire('D6')
@given(text=TEXTS, long_messages=st.sampled_from(['udh', 'udh16', 'sar']), languages=st.sampled_from([(), ('hindi',)]))
def test_packed_parts_are_the_same_septets_after_the_fill_bits(text, long_messages, languages):
    pdu = written(text, 'gsm')
    fields = {'long_messages': long_messages, 'national': languages}
    for plain, packed in zip(sent(pdu, **fields), sent(pdu, **fields, packed=True), strict=True):
        (header, septets), (packed_header, octets) = taken_apart(plain), taken_apart(packed)
        assert header == packed_header
        assert len(header) + len(octets) <= 140
        if plain.data_coding == 8:
            assert octets == septets
        else:
            assert alphabets.unpack(octets, len(septets), fill_bits=-8 * len(header) % 7) == septets


@pytest.mark.wire('D6')
def test_a_packed_part_begins_at_a_septet():
    first, second = sent(message(b'Lorem ipsum' + b'a' * 150), packed=True)
    assert len(first.short_message) == 140
    # As every phone writes a first part that begins so: the six octets of header leave one bit.
    assert first.short_message.startswith(b'\x05\x00\x03\xcd\x02\x01' + bytes.fromhex('986f79b90d4ac3e7f5'))
    assert second.short_message.startswith(b'\x05\x00\x03\xcd\x02\x02' + bytes.fromhex('c2e1'))


@pytest.mark.wire('D6')
@pytest.mark.parametrize(
    ('septets', 'read'),
    [
        (b'1234567', b'1234567'),
        # What ends with the last octet and looks like padding is closed with a CR.
        (b'1234567@'.replace(b'@', b'\0'), b'1234567\0\r'),
        (b'1234567\r', b'1234567\r\r'),
        (b'1234567a', b'1234567a'),
        (b'123456\0', b'123456\0'),
        # No room to close it: the 160 septets go as they are, and a reader may take the '@' for padding.
        (b'a' * 160, b'a' * 160),
        (b'a' * 159 + b'\0', b'a' * 159),
    ],
)
def test_the_end_of_a_packed_message_is_found_by_its_octets(septets, read):
    (submit,) = sent(message(septets), packed=True)
    assert alphabets.unpack(submit.short_message) == read


@pytest.mark.wire('D6')
def test_only_the_gsm_alphabet_is_packed():
    for data_coding, octets in ((8, 'Ж'.encode('utf-16-be')), (4, b'\0\xff'), (3, b'\xe9')):
        assert sent(message(octets, data_coding=data_coding), packed=True)[0].short_message == octets
    assert sent(message(b'hellohello', data_coding=0x10), packed=True)[0].short_message.hex() == 'e8329bfd4697d9ec37'
    assert alphabets.unpack(sent(message(b'\xe9ab'), packed=True)[0].short_message) == b'?ab'
    assert sent(message(b'hello' * 2), packed=True, alphabet='latin1')[0].short_message == b'hellohello'


@pytest.mark.wire('D6')
def test_the_parts_of_an_esme_are_packed_where_that_is_wanted():
    (submit,) = sent(message(b'\x05\x00\x03\x2a\x03\x02' + b'a' * 153, esm_class=0x40), packed=True)
    assert len(submit.short_message) == 140
    assert parse_udh(submit.short_message) == Concatenation(0x2A, 3, 2)
    assert alphabets.unpack(submit.short_message[6:], 153, fill_bits=1) == b'a' * 153


@pytest.mark.wire('D17')
@pytest.mark.parametrize('upstream', ['gsm', 'latin1', 'utf8', 'ascii'])
@pytest.mark.parametrize('account', ['gsm', 'latin1', 'utf8'])
def test_every_character_of_the_gsm_alphabet_reaches_the_upstream(account, upstream):
    for character in GSM_CHARACTERS:
        (submit,) = sent(written(character, account), account, alphabet=upstream)
        assert shown(submit, upstream) == character


@pytest.mark.wire('D17')
@pytest.mark.parametrize(
    ('octets', 'account', 'upstream', 'data_coding', 'expected'),
    [
        (b'\xe9[', 'latin1', 'gsm', 0, b'\x05\x1b\x3c'),
        (b'\x05\x1b\x3c', 'gsm', 'latin1', 0, b'\xe9['),
        (b'\x00', 'gsm', 'ascii', 0, b'@'),
        ('Ж'.encode(), 'utf8', 'gsm', 8, b'\x04\x16'),
        (b'\xe7', 'latin1', 'gsm', 8, b'\x00\xe7'),
        # No text of the ESME's alphabet: nobody knows what it means.
        (b'\xe9', 'gsm', 'latin1', 0, b'\xe9'),
    ],
)
def test_the_default_alphabet_is_that_of_each_peer(octets, account, upstream, data_coding, expected):
    (submit,) = sent(message(octets), account, alphabet=upstream)
    assert (submit.data_coding, submit.short_message) == (data_coding, expected)


@pytest.mark.wire('C26', 'D18')
@pytest.mark.parametrize('data_coding', [1, 2, 3, 4, 8, 0x10, 0x15, 0xC8, 0xF0, 0xF4])
@pytest.mark.parametrize('account', ['gsm', 'latin1'])
def test_all_other_data_codings_go_byte_for_byte(data_coding, account):
    octets = bytes(range(0xC4, 0x100)) + b'\0\0\xff\xd8'
    for esm_class, header in ((0, b''), (0x40, b'\x06\x05\x04\x0b\x84\x23\xf0')):
        pdu = message(header + octets, esm_class=esm_class, data_coding=data_coding)
        (submit,) = sent(pdu, account, alphabet='gsm')
        assert submit == msgspec.structs.replace(pdu, octets=b'')


@pytest.mark.wire('D17')
def test_the_parts_of_an_esme_are_recoded_without_becoming_more():
    header = b'\x05\x00\x03\x2a\x03\x02'
    (submit,) = sent(message(header + b'\xe9\xe7', esm_class=0x40), 'latin1', alphabet='gsm')
    assert (submit.short_message, submit.data_coding) == (header + b'\x05?', 0)


@pytest.mark.wire('D14')
@pytest.mark.parametrize(
    ('text', 'languages', 'header', 'lengths'),
    [
        ('ş' + 'a' * 154, ('turkish',), '03 25 01 01', [159]),
        ('ş' + 'a' * 155, ('turkish',), '08 00 03 CD 02 01 25 01 01', [158, 16]),
        ('नA' + 'a' * 149, ('hindi',), '06 24 01 06 25 01 06', [159]),
        ('नA' + 'a' * 150, ('hindi',), '0B 00 03 CD 02 01 24 01 06 25 01 06', [158, 19]),
        # It fits the default alphabet, though it came as UCS-2.
        ('Hello', ('turkish',), '', [5]),
    ],
)
def test_national_tables_take_the_place_of_ucs2(text, languages, header, lengths):
    submits = sent(message(alphabets.encode_ucs2(text), data_coding=8), national=languages)
    assert taken_apart(submits[0])[0] == bytes.fromhex(header)
    assert [len(submit.short_message) for submit in submits] == lengths
    assert {submit.data_coding for submit in submits} == {0}
    assert ''.join(map(shown, submits)) == text


@pytest.mark.wire('D14')
@pytest.mark.parametrize(
    ('text', 'fields'),
    [
        ('şЖ', {'national': ('turkish', 'hindi')}),
        ('ş', {'national': ('hindi',)}),
        ('ş', {'national': ()}),
        ('Hello', {'national': ()}),
        # data_coding 0 is not GSM there, so no table could be named.
        ('ş', {'national': ('turkish',), 'alphabet': 'latin1'}),
    ],
)
def test_one_lacking_character_leaves_ucs2(text, fields):
    pdu = message(alphabets.encode_ucs2(text), data_coding=8)
    assert sent(pdu, **fields) == [msgspec.structs.replace(pdu, octets=b'')]


@pytest.mark.wire('D14')
def test_a_message_that_names_its_own_tables_is_kept_and_cut_with_them():
    header = b'\x03\x24\x01\x01'
    pdu = message(header + b'\x1bs' * 60, esm_class=0x40)
    assert sent(pdu, alphabet='latin1', national=('turkish',)) == [msgspec.structs.replace(pdu, octets=b'')]
    euro = message(b'\x03\x25\x01\x01' + b'\x04abc', esm_class=0x40)
    assert sent(euro, alphabet='latin1', tlvs='never') == [msgspec.structs.replace(euro, octets=b'')]
    submits = sent(message(header + b'\x1bs' * 100, esm_class=0x40))
    assert [taken_apart(submit)[0][-3:] for submit in submits] == [header[1:]] * 2
    assert ''.join(map(shown, submits)) == 'ş' * 100
