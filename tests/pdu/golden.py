"""One known octet form of every PDU, to be decoded to the value beside it and encoded back to the same octets.

Where `source` names nothing else the octets were laid out by hand, parameter by parameter as they stand here, from the
table in that section of the SMPP 3.4 specification. Numbers are hexadecimal text, strings are octets with their NUL.
"""

from typing import NamedTuple

from pdu import pdus
from pdu.fields import DistributionList, SmeAddress, UnsuccessSme
from pdu.pdus import Pdu


class Golden(NamedTuple):
    source: str
    pdu: Pdu
    octets: bytes

    @property
    def name(self) -> str:
        return type(self.pdu).__name__


def golden(source: str, pdu: Pdu, *parts: str | bytes) -> Golden:
    octets = b''.join(part if isinstance(part, bytes) else bytes.fromhex(part) for part in parts)
    if 'octets' in pdu.__struct_fields__:
        pdu.octets = octets  # type: ignore[attr-defined]
    return Golden(source, pdu, octets)


GOLDEN = [
    golden(
        'the sample PDU of the specification, 5.0 section 3.2.2',
        pdus.BindTransmitter(1, 0, b'SMPP3TEST', b'secret08', b'SUBMIT1', 0x50, 1, 1, b''),
        '00 00 00 2F 00 00 00 02 00 00 00 00 00 00 00 01 53 4D 50 50 33 54 45 53 54 00',
        '73 65 63 72 65 74 30 38 00 53 55 42 4D 49 54 31 00 50 01 01 00',
    ),
    golden(
        'section 4.1.2',
        pdus.BindTransmitterResp(1, 0, b'SMSC', ((0x0210, b'\x34'),)),
        '0000001A 80000002 00000000 00000001',
        b'SMSC\0',
        '0210 0001 34',
    ),
    golden(
        'section 4.1.3',
        pdus.BindReceiver(2, 0, b'es', b'pw', b'', 0x34, 2, 9, b'^44'),
        '0000001E 00000001 00000000 00000002',
        b'es\0pw\0\0',
        '34 02 09',
        b'^44\0',
    ),
    golden(
        'section 4.1.4: no body with an error',
        pdus.BindReceiverResp(2, 0x0E),
        '00000010 80000001 0000000E 00000002',
    ),
    golden(
        'section 4.1.5',
        pdus.BindTransceiver(3, 0, b'es', b'', b'VMS', 0x33),
        '0000001C 00000009 00000000 00000003',
        b'es\0\0VMS\0',
        '33 00 00',
        b'\0',
    ),
    golden('section 4.1.6', pdus.BindTransceiverResp(3), '00000011 80000009 00000000 00000003', b'\0'),
    golden('section 4.1.7', pdus.Outbind(1, 0, b'SMSC', b'pw'), '00000018 0000000B 00000000 00000001', b'SMSC\0pw\0'),
    golden('section 4.2.1', pdus.Unbind(4), '00000010 00000006 00000000 00000004'),
    golden('section 4.2.2', pdus.UnbindResp(4), '00000010 80000006 00000000 00000004'),
    golden('section 4.3.1', pdus.GenericNack(5, 3), '00000010 80000000 00000003 00000005'),
    golden(
        'section 4.4.1, every parameter set',
        pdus.SubmitSm(
            sequence_number=6,
            service_type=b'CMT',
            source_addr_ton=5,
            source_addr_npi=4,
            source_addr=b'Info',
            dest_addr_ton=1,
            dest_addr_npi=3,
            destination_addr=b'44770',
            esm_class=0x40,
            protocol_id=0x7F,
            priority_flag=2,
            schedule_delivery_time=b'020610233429000R',
            validity_period=b'261121000000004+',
            registered_delivery=0x11,
            replace_if_present_flag=1,
            data_coding=8,
            sm_default_msg_id=7,
            short_message=bytes.fromhex('05000301020104200430'),
            tlvs=((0x0204, b'\x12\x34'), (0x1401, b'')),
        ),
        '00000061 00000004 00000000 00000006',
        b'CMT\0',
        '05 04',
        b'Info\0',
        '01 03',
        b'44770\0',
        '40 7F 02',
        b'020610233429000R\0',
        b'261121000000004+\0',
        '11 01 08 07',
        '0A 050003010201 0420 0430',
        '0204 0002 1234',
        '1401 0000',
    ),
    golden('section 4.4.2', pdus.SubmitSmResp(6, 0, b'1a2b'), '00000015 80000004 00000000 00000006', b'1a2b\0'),
    golden(
        'section 4.6.1 and appendix B: a receipt',
        pdus.DeliverSm(
            sequence_number=0x7FFFFFFF,
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=b'44770',
            dest_addr_ton=5,
            destination_addr=b'Info',
            esm_class=4,
            short_message=b'id:7 stat:DELIVRD',
            tlvs=((0x001E, b'7\0'), (0x0427, b'\x02'), (0x0423, b'\x03\x00\x00')),
        ),
        '0000004D 00000005 00000000 7FFFFFFF',
        b'\0',
        '01 01',
        b'44770\0',
        '05 00',
        b'Info\0',
        '04 00 00',
        b'\0\0',
        '00 00 00 00',
        '11',
        b'id:7 stat:DELIVRD',
        '001E 0002 3700',
        '0427 0001 02',
        '0423 0003 030000',
    ),
    golden(
        'section 4.6.2: message_id is one NUL',
        pdus.DeliverSmResp(0x7FFFFFFF),
        '00000011 80000005 00000000 7FFFFFFF',
        b'\0',
    ),
    golden(
        'section 4.7.1',
        pdus.DataSm(8, 0, b'WAP', 1, 1, b'44770', 1, 1, b'44771', 0x40, 1, 4, ((0x0424, b'\0\xff'),)),
        '0000002D 00000103 00000000 00000008',
        b'WAP\0',
        '01 01',
        b'44770\0',
        '01 01',
        b'44771\0',
        '40 01 04',
        '0424 0002 00FF',
    ),
    golden(
        'section 4.7.2',
        pdus.DataSmResp(8, 0xFE, b'', ((0x0425, b'\x01'), (0x0420, b'\x00'))),
        '0000001B 80000103 000000FE 00000008',
        b'\0',
        '0425 0001 01',
        '0420 0001 00',
    ),
    golden(
        'sections 4.5.1 and 4.5.1.1: one address and one list',
        pdus.SubmitMulti(
            sequence_number=9,
            source_addr_ton=3,
            source_addr=b'1234',
            dest_address=(SmeAddress(1, 1, b'44770'), DistributionList(b'friends')),
            validity_period=b'000002000000000R',
            registered_delivery=1,
            data_coding=3,
            short_message=b'hi',
        ),
        '00000047 00000021 00000000 00000009',
        b'\0',
        '03 00',
        b'1234\0',
        '02',
        '01 01 01',
        b'44770\0',
        '02',
        b'friends\0',
        '00 00 00',
        b'\0',
        b'000002000000000R\0',
        '01 00 03 00',
        '02',
        b'hi',
    ),
    golden(
        'sections 4.5.2 and 4.5.2.1',
        pdus.SubmitMultiResp(9, 0, b'm1', (UnsuccessSme(1, 1, b'44770', 0x0B), UnsuccessSme(0, 0, b'', 0x401))),
        '00000027 80000021 00000000 00000009',
        b'm1\0',
        '02',
        '01 01',
        b'44770\0',
        '0000000B',
        '00 00',
        b'\0',
        '00000401',
    ),
    golden(
        'section 4.8.1',
        pdus.QuerySm(10, 0, b'm1', 5, 0, b'Info'),
        '0000001A 00000003 00000000 0000000A',
        b'm1\0',
        '05 00',
        b'Info\0',
    ),
    golden(
        'section 4.8.2',
        pdus.QuerySmResp(10, 0, b'm1', b'261121000000004+', 2, 0xFF),
        '00000026 80000003 00000000 0000000A',
        b'm1\0',
        b'261121000000004+\0',
        '02 FF',
    ),
    golden(
        'section 4.9.1',
        pdus.CancelSm(11, 0, b'CMT', b'm1', 5, 0, b'Info', 1, 1, b'44770'),
        '00000026 00000008 00000000 0000000B',
        b'CMT\0m1\0',
        '05 00',
        b'Info\0',
        '01 01',
        b'44770\0',
    ),
    golden('section 4.9.2', pdus.CancelSmResp(11, 0x11), '00000010 80000008 00000011 0000000B'),
    golden(
        'section 4.10.1',
        pdus.ReplaceSm(12, 0, b'm1', 5, 0, b'Info', b'', b'000002000000000R', 1, 3, b'new'),
        '00000032 00000007 00000000 0000000C',
        b'm1\0',
        '05 00',
        b'Info\0',
        b'\0',
        b'000002000000000R\0',
        '01 03',
        '03',
        b'new',
    ),
    golden('section 4.10.2', pdus.ReplaceSmResp(12), '00000010 80000007 00000000 0000000C'),
    golden('section 4.11.1', pdus.EnquireLink(13), '00000010 00000015 00000000 0000000D'),
    golden(
        'section 4.11.2, with the congestion_state of 5.0 section 4.8.4.18',
        pdus.EnquireLinkResp(13, 0, ((0x0428, b'\x50'),)),
        '00000015 80000015 00000000 0000000D',
        '0428 0001 50',
    ),
    golden(
        'section 4.12.1',
        pdus.AlertNotification(14, 0, 1, 1, b'44770', 5, 0, b'esme', ((0x0422, b'\x02'),)),
        '00000024 00000102 00000000 0000000E',
        '01 01',
        b'44770\0',
        '05 00',
        b'esme\0',
        '0422 0001 02',
    ),
]
