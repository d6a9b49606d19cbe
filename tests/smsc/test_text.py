"""The text of a message, wherever its octets are and however broken they are."""

import pytest

from pdu.pdus import SubmitSm
from pdu.segments import UDHI
from pdu.tlvs import Tag
from smsc.text import payload_of, text_of

HEADER = b'\x05\x00\x03\x07\x02\x01'


def test_the_payload_is_in_short_message_or_in_the_tlv():
    assert payload_of(SubmitSm(short_message=b'short')) == b'short'
    assert payload_of(SubmitSm(tlvs=((int(Tag.MESSAGE_PAYLOAD), b'long'),))) == b'long'
    assert payload_of(SubmitSm()) == b''


@pytest.mark.parametrize(
    ('octets', 'data_coding', 'alphabet', 'text'),
    [
        (b'\x00 hello', 0, 'gsm', '@ hello'),
        (b'@ \xe9', 0, 'latin1', '@ é'),
        ('Привет'.encode('utf-16-be'), 8, 'gsm', 'Привет'),
        ('é'.encode('latin-1'), 3, 'gsm', 'é'),
    ],
)
def test_data_coding_says_what_the_octets_mean(octets, data_coding, alphabet, text):
    assert text_of(SubmitSm(short_message=octets, data_coding=data_coding), alphabet) == text


def test_a_user_data_header_is_no_text():
    assert text_of(SubmitSm(esm_class=UDHI, short_message=HEADER + b'hello'), 'gsm') == 'hello'


@pytest.mark.wire('D14')
@pytest.mark.parametrize(
    ('header', 'body', 'data_coding', 'text'),
    [
        (b'\x03\x24\x01\x01', b'\x1b\x73', 0, 'ş'),
        (b'\x08\x00\x03\x2a\x02\x01\x25\x01\x06', b'\x42\x2f', 0, 'मन'),
        (b'\x03\x24\x01\x01', b'\x01\x5f', 8, 'ş'),
        (b'\x03\x24\x01\xff', b'\x1b\x65', 0, '€'),
    ],
)
def test_the_header_names_the_shift_tables_that_a_text_is_read_with(header, body, data_coding, text):
    pdu = SubmitSm(esm_class=UDHI, short_message=header + body, data_coding=data_coding)
    assert text_of(pdu, 'gsm') == text


@pytest.mark.wire('A10', 'C17')
@pytest.mark.parametrize('octets', [b'', b'\xff', b'\x20abc', b'\x05'])
def test_a_header_longer_than_the_message_does_not_fail(octets):
    assert isinstance(text_of(SubmitSm(esm_class=UDHI, short_message=octets), 'gsm'), str)


@pytest.mark.parametrize('octets', [b'\x04', b'\x04\x1f\xd8', b'\xd8\x00\xd8\x00'])
def test_broken_ucs2_does_not_fail(octets):
    assert isinstance(text_of(SubmitSm(data_coding=8, short_message=octets), 'gsm'), str)
