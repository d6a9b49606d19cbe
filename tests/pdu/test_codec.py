"""PDUs to octets and back: golden octets of every command, every fault a peer can send, every value that cannot be."""

import re

import pytest

from pdu import pdus
from pdu.codec import decode, encode
from pdu.command import CommandId
from pdu.fields import DistributionList, SmeAddress, UnsuccessSme
from pdu.pdus import CLASSES, DeliverSm, Pdu, SubmitSm, SubmitSmResp
from pdu.status import CommandStatus, PduError
from tests.pdu.golden import GOLDEN, Golden

EVERY_GOLDEN = pytest.mark.parametrize('golden', GOLDEN, ids=lambda golden: golden.name)


def with_length(octets: bytes) -> bytes:
    """The octets with a command_length that fits them."""
    return len(octets).to_bytes(4, 'big') + octets[4:]


def pdu_octets(command_id: int, *parts: bytes, command_status: int = 0) -> bytes:
    head = command_id.to_bytes(4, 'big') + command_status.to_bytes(4, 'big') + b'\0\0\0\x01'
    return with_length(b'\0\0\0\0' + head + b''.join(parts))


def fault(octets: bytes) -> PduError:
    with pytest.raises(PduError) as raised:
        decode(octets)
    return raised.value


def decoded_or_error(octets: bytes) -> Pdu | PduError:
    try:
        return decode(octets)
    except PduError as error:
        return error


# Parameters of submit_sm before sm_length.
SUBMIT_HEAD = b'\0\5\0Info\0' + b'\1\1' + b'44770\0' + b'\0\0\0\0\0\1\0\0\0'


@EVERY_GOLDEN
def test_golden_octets_decode(golden: Golden):
    assert decode(golden.octets) == golden.pdu


@EVERY_GOLDEN
def test_golden_values_encode(golden: Golden):
    assert encode(golden.pdu) == golden.octets


def test_every_command_has_golden_octets():
    assert {type(golden.pdu) for golden in GOLDEN} == set(CLASSES.values())


@EVERY_GOLDEN
def test_a_pdu_in_the_middle_of_a_buffer_decodes_as_if_alone(golden: Golden):
    buffer = b'\xff' * 7 + golden.octets + b'a\0\0' * 40
    assert decode(buffer, 7) == golden.pdu


@EVERY_GOLDEN
@pytest.mark.wire('A9', 'A10')
def test_a_pdu_cut_short_is_an_error_even_with_more_octets_behind_it(golden: Golden):
    plain = decode(golden.octets)
    for size in range(16, len(golden.octets)):
        cut = with_length(golden.octets[:size])
        for buffer in (cut, cut + golden.octets[size:] + b'\0' * 300):
            outcome = decoded_or_error(buffer)
            if isinstance(outcome, PduError):
                assert outcome.command_status in {0x01, 0x02, 0xC0, 0xC2}
            elif size > 16:
                # Only before its TLVs or between them is a shorter PDU a whole one, and a response may lack its body.
                assert outcome != plain
                assert outcome.tlvs == plain.tlvs[: len(outcome.tlvs)]  # type: ignore[attr-defined]


@pytest.mark.parametrize('size', range(16))
def test_fewer_octets_than_a_header_are_an_error(size):
    assert fault(GOLDEN[0].octets[:size]).command_status == CommandStatus.ESME_RINVCMDLEN


@pytest.mark.wire('A3')
@pytest.mark.parametrize('length', [0, 15, 17, 0xFFFFFFFF])
def test_a_command_length_that_does_not_fit_is_an_error(length):
    octets = length.to_bytes(4, 'big') + encode(pdus.EnquireLink(1))[4:]
    assert fault(octets).command_status == CommandStatus.ESME_RINVCMDLEN


@pytest.mark.wire('A6')
@pytest.mark.parametrize('command_id', [0, 0x0A, 0x111, 0x80000111, 0x00010200, 0xFFFFFFFF])
def test_an_unknown_command_is_an_error_of_its_own(command_id):
    assert fault(pdu_octets(command_id, b'abc')).command_status == CommandStatus.ESME_RINVCMDID


@pytest.mark.wire('A9')
@pytest.mark.parametrize(
    ('head', 'name'),
    [
        (b'\0\5\0Info', 'source_addr'),
        (b'\0\5\0Info\0\1\0014477', 'destination_addr'),
        (b'\0\5\0Info\0\1\00144770\0\0\0\0\0', 'validity_period'),
        (b'CMT', 'service_type'),
    ],
)
def test_a_string_without_its_nul_is_named(head, name):
    error = fault(pdu_octets(CommandId.SUBMIT_SM, head))
    assert error.command_status == CommandStatus.ESME_RINVMSGLEN
    assert error.text == f'the PDU ends within {name}'


@pytest.mark.parametrize(
    ('command_id', 'body', 'status'),
    [
        (CommandId.BIND_TRANSMITTER, b'x' * 16 + b'\0pw\0\0\x34\0\0\0', CommandStatus.ESME_RINVSYSID),
        (CommandId.BIND_TRANSMITTER, b'id\0' + b'x' * 65 + b'\0\0\x34\0\0\0', CommandStatus.ESME_RINVPASWD),
        (CommandId.BIND_TRANSMITTER, b'id\0\0' + b'x' * 13 + b'\0\x34\0\0\0', CommandStatus.ESME_RINVPARLEN),
        (CommandId.BIND_TRANSMITTER, b'id\0\0\0\x34\0\0' + b'x' * 41 + b'\0', CommandStatus.ESME_RINVPARLEN),
        (CommandId.SUBMIT_SM, b'123456\0' + SUBMIT_HEAD[1:] + b'\0', CommandStatus.ESME_RINVPARLEN),
        (CommandId.SUBMIT_SM, SUBMIT_HEAD.replace(b'Info', b'1' * 21) + b'\0', CommandStatus.ESME_RINVSRCADR),
        (CommandId.SUBMIT_SM, SUBMIT_HEAD.replace(b'44770', b'1' * 21) + b'\0', CommandStatus.ESME_RINVDSTADR),
        (
            CommandId.SUBMIT_SM,
            SUBMIT_HEAD.replace(b'\0\0\0\0\0\1\0\0\0', b'\0\0\0' + b'1' * 17 + b'\0\0\1\0\0\0') + b'\0',
            CommandStatus.ESME_RINVSCHED,
        ),
        (
            CommandId.SUBMIT_SM,
            SUBMIT_HEAD.replace(b'\0\0\0\0\0\1\0\0\0', b'\0\0\0\0' + b'1' * 17 + b'\0\1\0\0\0') + b'\0',
            CommandStatus.ESME_RINVEXPIRY,
        ),
        (CommandId.QUERY_SM, b'x' * 65 + b'\0\0\0\0', CommandStatus.ESME_RINVMSGID),
        (CommandId.ALERT_NOTIFICATION, b'\1\1' + b'4' * 65 + b'\0\0\0\0', CommandStatus.ESME_RINVSRCADR),
        (CommandId.SUBMIT_MULTI, b'\0\0\0\0\1\2' + b'x' * 21 + b'\0', CommandStatus.ESME_RINVDLNAME),
        (CommandId.SUBMIT_MULTI, b'\0\0\0\0\1\3' + b'x\0', CommandStatus.ESME_RINVDESTFLAG),
    ],
)
def test_a_string_longer_than_its_size_has_the_status_of_its_parameter(command_id, body, status):
    assert fault(pdu_octets(command_id, body)).command_status == status


def test_strings_of_the_largest_size_are_taken():
    bind = pdus.BindTransceiver(1, 0, b'i' * 15, b'p' * 64, b't' * 12, 0x34, 0, 0, b'r' * 40)
    assert decode(encode(bind)) == bind
    alert = pdus.AlertNotification(1, source_addr=b's' * 64, esme_addr=b'e' * 64)
    assert decode(encode(alert)) == alert
    submit = SubmitSm(1, 0, b'12345', 0, 0, b's' * 20, 0, 0, b'd' * 20, short_message=b'\xff' * 255)
    submit.octets = encode(submit)
    assert decode(submit.octets) == submit


@pytest.mark.wire('A10')
@pytest.mark.parametrize('declared', [1, 9, 254, 255])
def test_sm_length_past_the_end_is_an_error_in_a_longer_buffer_too(declared):
    octets = pdu_octets(CommandId.SUBMIT_SM, SUBMIT_HEAD, bytes([declared]), b'x' * (declared - 1))
    for buffer in (octets, octets + b'x' * 300):
        assert fault(buffer).command_status == CommandStatus.ESME_RINVMSGLEN


@pytest.mark.wire('A10')
def test_sm_length_255_and_an_odd_ucs2_message_pass():
    full = decode(pdu_octets(CommandId.SUBMIT_SM, SUBMIT_HEAD, b'\xff', b'x' * 255))
    assert isinstance(full, SubmitSm)
    assert full.short_message == b'x' * 255
    odd = decode(pdu_octets(CommandId.SUBMIT_SM, SUBMIT_HEAD[:-2] + b'\x08\0', b'\x03', b'\x04\x20\x04'))
    assert isinstance(odd, SubmitSm)
    assert (odd.data_coding, odd.short_message) == (8, b'\x04\x20\x04')


@pytest.mark.wire('A11')
@pytest.mark.parametrize('tail', [b'\x04', b'\x04\x24\0', b'\x04\x24\0\x05abcd', b'\x14\0\xff\xff', b'\0\0\0'])
def test_tlvs_past_the_end_are_an_error(tail):
    octets = pdu_octets(CommandId.SUBMIT_SM, SUBMIT_HEAD, b'\0', tail)
    for buffer in (octets, octets + b'\0' * 70000):
        assert fault(buffer).command_status == CommandStatus.ESME_RINVOPTPARSTREAM


@pytest.mark.wire('A12', 'A13')
def test_unknown_vendor_and_repeated_tlvs_are_kept_in_order():
    tlvs = ((0x1400, b'\x01'), (0x3FFF, b''), (0x0204, b'\0\1'), (0x0204, b'\0\2'), (0x9999, b'z' * 300))
    submit = SubmitSm(1, tlvs=tlvs)
    decoded = decode(encode(submit))
    assert isinstance(decoded, SubmitSm)
    assert decoded.tlvs == tlvs


@pytest.mark.wire('A14')
@pytest.mark.parametrize(
    'tlv', [(0x0204, b'\1'), (0x0427, b''), (0x0427, b'\1\2'), (0x0423, b'\1\2'), (0x0381, b'123'), (0x001E, b'x' * 66)]
)
def test_a_known_tlv_of_a_wrong_size_is_an_error(tlv):
    octets = encode(SubmitSm(1, tlvs=((0x1400, b''), tlv)))
    error = fault(octets)
    assert error.command_status == CommandStatus.ESME_RINVPARLEN
    assert f'0x{tlv[0]:04x}' in error.text


@pytest.mark.wire('C14')
def test_a_message_payload_of_64_kilobytes_passes():
    submit = SubmitSm(1, tlvs=((0x0424, b'\0' * 0xFFFF),))
    submit.octets = encode(submit)
    assert decode(submit.octets) == submit


@pytest.mark.parametrize('cls', [pdus.EnquireLink, pdus.Unbind, pdus.GenericNack])
def test_octets_after_a_pdu_without_body_are_an_error(cls):
    octets = with_length(encode(cls(1)) + b'\0')
    assert fault(octets).command_status == CommandStatus.ESME_RINVCMDLEN


@pytest.mark.wire('A15', 'A16')
@pytest.mark.parametrize('status', [0x22, 0x400, 0x45, 0xFFFFFFFF])
@pytest.mark.parametrize('body', [b'', b'\0'])
@pytest.mark.parametrize('cls', [cls for cls in CLASSES.values() if 'message_id' in cls.__struct_fields__])
def test_an_error_response_may_come_with_or_without_a_body(cls, body, status):
    if not cls.command_id & 0x80000000 or (
        body and cls not in {pdus.SubmitSmResp, pdus.DeliverSmResp, pdus.DataSmResp}
    ):
        return
    assert decode(pdu_octets(cls.command_id, body, command_status=status)) == cls(1, status)


@pytest.mark.wire('A16')
@pytest.mark.parametrize('cls', [pdus.BindTransmitterResp, pdus.DeliverSmResp, pdus.SubmitMultiResp, pdus.QuerySmResp])
def test_a_response_without_body_is_taken_with_status_ok_too(cls):
    assert decode(pdu_octets(cls.command_id)) == cls(1)


@pytest.mark.wire('A17')
def test_an_error_response_is_written_without_body_or_with_an_empty_one():
    refused = SubmitSmResp(7, CommandStatus.ESME_RTHROTTLED)
    assert encode(refused) == bytes.fromhex('00000010 80000004 00000058 00000007')
    assert encode(refused, error_body=True) == bytes.fromhex('00000011 80000004 00000058 00000007 00')


def test_an_error_response_that_says_something_keeps_its_body():
    assert encode(SubmitSmResp(7, 0x45, b'm1')) == bytes.fromhex('00000013 80000004 00000045 00000007 6D3100')
    with_tlv = SubmitSmResp(7, 0x45, tlvs=((0x001D, b'no\0'),))
    assert encode(with_tlv) == bytes.fromhex('00000018 80000004 00000045 00000007 00 001D 0003 6E6F00')


@pytest.mark.wire('F19')
@pytest.mark.parametrize('status', [0, 0x64])
def test_deliver_sm_resp_always_carries_its_empty_message_id(status):
    assert encode(pdus.DeliverSmResp(1, status)) == pdu_octets(CommandId.DELIVER_SM_RESP, b'\0', command_status=status)


@pytest.mark.wire('A19')
@pytest.mark.parametrize('sequence_number', [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_any_sequence_number_passes_both_ways(sequence_number):
    octets = encode(pdus.EnquireLink(sequence_number))
    assert decode(octets).sequence_number == sequence_number


def test_a_message_keeps_the_octets_it_arrived_in():
    octets = pdu_octets(CommandId.SUBMIT_SM, SUBMIT_HEAD, b'\2hi', b'\x14\0\0\1z')
    decoded = decode(b'before' + octets + b'after', 6)
    assert isinstance(decoded, SubmitSm)
    assert decoded.octets == octets


@pytest.mark.parametrize(
    ('pdu', 'status', 'text'),
    [
        (SubmitSm(source_addr=b'a\0b'), CommandStatus.ESME_RINVSRCADR, 'source_addr holds a NUL'),
        (SubmitSm(destination_addr=b'4' * 21), CommandStatus.ESME_RINVDSTADR, 'destination_addr is longer than 20'),
        (SubmitSm(short_message=b'x' * 256), CommandStatus.ESME_RINVMSGLEN, 'short_message is longer than 255'),
        (SubmitSm(data_coding=256), CommandStatus.ESME_RINVPARLEN, 'data_coding does not fit'),
        (SubmitSm(data_coding=-1), CommandStatus.ESME_RINVPARLEN, 'data_coding does not fit'),
        (SubmitSm(tlvs=((0x424, b'x' * 65536),)), CommandStatus.ESME_RINVPARLEN, 'TLV'),
        (SubmitSmResp(message_id=b'x' * 65), CommandStatus.ESME_RINVMSGID, 'message_id is longer than 64'),
        (
            pdus.SubmitMulti(dest_address=(SmeAddress(),) * 256),
            CommandStatus.ESME_RINVNUMDESTS,
            'dest_address counts more',
        ),
        (
            pdus.SubmitMulti(dest_address=(DistributionList(b'x' * 21),)),
            CommandStatus.ESME_RINVDLNAME,
            'dl_name is longer',
        ),
        (
            pdus.SubmitMultiResp(unsuccess_sme=(UnsuccessSme(),) * 256),
            CommandStatus.ESME_RINVNUMDESTS,
            'unsuccess_sme counts more',
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named(pdu, status, text):
    with pytest.raises(PduError, match=re.escape(text)) as raised:
        encode(pdu)
    assert raised.value.command_status == status


@pytest.mark.parametrize('pdu', [pdus.Malformed(), pdus.UnknownPdu()])
def test_what_did_not_decode_has_no_wire_form(pdu):
    with pytest.raises(TypeError, match='has no wire form'):
        encode(pdu)


def test_errors_and_logs_show_no_text_and_no_password():
    secret = b'sesame'
    for pdu in (
        pdus.BindTransmitter(password=secret),
        SubmitSm(short_message=secret, octets=secret),
        DeliverSm(tlvs=((0x0424, secret),)),
    ):
        assert 'sesame' not in f'{pdu} {pdu!r}'
        assert '6 octets' in repr(pdu)
    error = fault(pdu_octets(CommandId.BIND_TRANSMITTER, b'id\0' + secret * 20))
    assert 'sesame' not in f'{error} {error!r}'


def test_what_answers_and_what_asks():
    assert SubmitSmResp().is_response
    assert pdus.GenericNack().is_response
    assert not SubmitSm().is_response
