"""Octets of independent implementations: what smpplib and smpp34 write we read, what we write they read."""

import smpp34
import smpplib.smpp
from smpplib.client import SimpleSequenceGenerator

from pdu.codec import decode, encode
from pdu.pdus import BindTransceiver, DeliverSm, QuerySmResp, SubmitSm, SubmitSmResp

TEXT = 'Привет'.encode('utf-16-be')


def submit() -> SubmitSm:
    pdu = SubmitSm(
        sequence_number=77,
        service_type=b'CMT',
        source_addr_ton=5,
        source_addr=b'Info',
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=b'79161234567',
        esm_class=3,
        protocol_id=1,
        priority_flag=2,
        schedule_delivery_time=b'000001000000000R',
        validity_period=b'000002000000000R',
        registered_delivery=1,
        data_coding=8,
        short_message=TEXT,
        tlvs=((0x0204, b'\x12\x34'), (0x1401, b'vendor')),
    )
    pdu.octets = encode(pdu)
    return pdu


def test_smpp34_reads_our_submit_sm():
    read = smpp34.decode(submit().octets)
    ours = submit()
    assert isinstance(read, smpp34.SubmitSm)
    for name in ('service_type', 'source_addr', 'destination_addr', 'schedule_delivery_time', 'validity_period'):
        assert getattr(read, name).encode() == getattr(ours, name)
    for name in ('sequence_number', 'source_addr_ton', 'dest_addr_npi', 'esm_class', 'protocol_id', 'priority_flag'):
        assert getattr(read, name) == getattr(ours, name)
    assert (read.data_coding, read.short_message) == (8, TEXT)
    assert [(tlv.tag, tlv.value) for tlv in read.tlvs] == list(ours.tlvs)


def test_we_read_the_deliver_sm_of_smpp34():
    theirs = smpp34.DeliverSm(
        '79161234567',
        'Info',
        b'id:7 stat:DELIVRD',
        source_addr_ton=1,
        source_addr_npi=1,
        dest_addr_ton=5,
        esm_class=4,
        tlvs=[smpp34.Tlv(0x0427, b'\x02')],
        sequence_number=3,
    ).encode()
    expected = DeliverSm(
        3, 0, b'', 1, 1, b'79161234567', 5, 0, b'Info', 4, short_message=b'id:7 stat:DELIVRD', tlvs=((0x0427, b'\x02'),)
    )
    assert encode(expected) == theirs
    expected.octets = theirs
    assert decode(theirs) == expected


def test_smpplib_reads_our_submit_sm():
    ours = submit()
    ours.tlvs = ((0x0204, b'\x12\x34'),)
    ours.octets = encode(ours)
    read = smpplib.smpp.parse_pdu(ours.octets, client=SimpleSequenceGenerator(), allow_unknown_opt_params=False)
    assert (read.source_addr, read.destination_addr, read.short_message) == (b'Info', b'79161234567', TEXT)
    assert (read.validity_period, read.user_message_reference) == (b'000002000000000R', 0x1234)


def test_we_read_the_bind_and_responses_of_smpplib():
    def written(command, **parameters):
        made = smpplib.smpp.make_pdu(command, client=SimpleSequenceGenerator(), **parameters)
        made.sequence = 9
        return made.generate()

    bind = written('bind_transceiver', system_id='es', password='pw', system_type='VMS', interface_version=0x34)
    assert decode(bind) == BindTransceiver(9, 0, b'es', b'pw', b'VMS', 0x34)
    assert decode(written('submit_sm_resp', message_id='m1')) == SubmitSmResp(9, 0, b'm1')
    query = written('query_sm_resp', message_id='m1', final_date='261121000000004+', message_state=2, error_code=0)
    assert decode(query) == QuerySmResp(9, 0, b'm1', b'261121000000004+', 2, 0)
