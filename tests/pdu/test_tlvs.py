"""TLVs: the table against the specification, look-up, and building single ones."""

import pytest

from pdu import tlvs
from pdu.status import PduError
from pdu.tlvs import SPECS, Kind, Tag


def test_every_tag_has_a_form():
    assert set(SPECS) == set(Tag)
    assert all(spec.min_octets <= spec.max_octets for spec in SPECS.values())


@pytest.mark.parametrize(
    ('tag', 'kind', 'sizes'),
    [
        (Tag.DEST_TELEMATICS_ID, Kind.INTEGER, (2, 2)),
        (Tag.QOS_TIME_TO_LIVE, Kind.INTEGER, (4, 4)),
        (Tag.RECEIPTED_MESSAGE_ID, Kind.C_OCTET_STRING, (1, 65)),
        (Tag.SAR_MSG_REF_NUM, Kind.INTEGER, (2, 2)),
        (Tag.CALLBACK_NUM, Kind.OCTET_STRING, (4, 19)),
        (Tag.NETWORK_ERROR_CODE, Kind.OCTET_STRING, (3, 3)),
        (Tag.MESSAGE_PAYLOAD, Kind.OCTET_STRING, (0, 65535)),
        (Tag.CONGESTION_STATE, Kind.INTEGER, (1, 1)),
        (Tag.BILLING_IDENTIFICATION, Kind.OCTET_STRING, (1, 1024)),
        (Tag.DEST_ADDR_NP_INFORMATION, Kind.OCTET_STRING, (10, 10)),
    ],
)
def test_forms_are_those_of_the_specification(tag, kind, sizes):
    spec = SPECS[tag]
    assert (spec.kind, (spec.min_octets, spec.max_octets)) == (kind, sizes)


HELD = ((0x0204, b'\x12\x34'), (0x001E, b'm1\0'), (0x0204, b'\0\1'), (0x1400, b''))


@pytest.mark.wire('A13')
def test_the_first_of_several_is_found():
    assert tlvs.find(HELD, Tag.USER_MESSAGE_REFERENCE) == b'\x12\x34'
    assert tlvs.integer(HELD, Tag.USER_MESSAGE_REFERENCE) == 0x1234
    assert tlvs.find(HELD, 0x1400) == b''


def test_what_is_not_there_is_none():
    assert tlvs.find(HELD, Tag.MESSAGE_STATE) is None
    assert tlvs.integer((), Tag.MESSAGE_STATE) is None
    assert tlvs.c_octets(HELD, Tag.ADDITIONAL_STATUS_INFO_TEXT) is None


@pytest.mark.parametrize('value', [b'm1\0', b'm1', b'm1\0\0'])
def test_a_string_ends_at_its_nul_or_without_one(value):
    assert tlvs.c_octets(((0x001E, value),), Tag.RECEIPTED_MESSAGE_ID) == b'm1'


@pytest.mark.parametrize(
    ('tag', 'value', 'octets'),
    [
        (Tag.MESSAGE_STATE, 2, b'\x02'),
        (Tag.SAR_MSG_REF_NUM, 7, b'\x00\x07'),
        (Tag.QOS_TIME_TO_LIVE, 3600, b'\x00\x00\x0e\x10'),
        (Tag.SOURCE_TELEMATICS_ID, 0x1234, b'\x12\x34'),
        (Tag.RECEIPTED_MESSAGE_ID, b'm1', b'm1\0'),
        (Tag.NETWORK_ERROR_CODE, b'\x03\x00\x01', b'\x03\x00\x01'),
        (0x1401, b'anything', b'anything'),
    ],
)
def test_a_value_is_written_in_its_form(tag, value, octets):
    assert tlvs.make(tag, value) == (tag, octets)


@pytest.mark.parametrize(
    ('tag', 'value'),
    [
        (Tag.MESSAGE_STATE, 256),
        (Tag.MESSAGE_STATE, -1),
        (Tag.MESSAGE_STATE, b''),
        (Tag.RECEIPTED_MESSAGE_ID, b'x' * 65),
        (Tag.RECEIPTED_MESSAGE_ID, b'a\0b'),
        (Tag.RECEIPTED_MESSAGE_ID, 5),
        (Tag.NETWORK_ERROR_CODE, b'\x03'),
        (0x1401, 5),
    ],
)
def test_a_value_of_another_form_is_refused(tag, value):
    with pytest.raises(ValueError, match=f'0x{tag:04x}'):
        tlvs.make(tag, value)


@pytest.mark.wire('A12')
def test_octets_pass_through_unchanged():
    octets = bytes.fromhex('1400 0000  3FFF 0003 010203  0204 0002 0001  0204 0002 0002')
    assert tlvs.encode_tlvs(tlvs.decode_tlvs(b'xx' + octets + b'yy', 2, 2 + len(octets))) == octets


def test_a_tag_beyond_two_octets_is_an_error():
    with pytest.raises(PduError, match='too large'):
        tlvs.encode_tlvs(((0x10000, b''),))
