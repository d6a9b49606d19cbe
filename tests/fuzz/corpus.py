"""What mutation starts from: valid PDUs of every command, and where in their octets a length or a count stands.

Made from the golden octets of the codec's tests, which have every command, and from messages as they are in the field:
parts with each kind of header, receipts in several spellings, payloads, text in each alphabet. Nothing lies in files:
an input that once broke something is a test named after it.
"""

from typing import Any, NamedTuple

from pdu import pdus
from pdu.codec import HEADER_OCTETS, encode
from pdu.command import RESPONSE, CommandId
from pdu.fields import SmeAddress
from pdu.pdus import Pdu
from pdu.tlvs import Tag
from tests.pdu.golden import GOLDEN

PARTING = frozenset({*(cls.command_id for cls in (pdus.Unbind, pdus.UnbindResp)), int(CommandId.GENERIC_NACK)})
BINDING = frozenset(int(cls.command_id) for cls in (pdus.BindReceiver, pdus.BindTransmitter, pdus.BindTransceiver))
_UDHI = 0x40


class Seed(NamedTuple):
    """A PDU to mutate. `lengths` are the positions of octets that say how much or how many follow."""

    octets: bytes
    lengths: tuple[int, ...]

    @property
    def command_id(self) -> int:
        """Of the PDU."""
        return int.from_bytes(self.octets[4:8], 'big')


def seed_of(pdu: Pdu, octets: bytes = b'') -> Seed:
    """A seed from a PDU; `octets` are its own if they are known."""
    octets = octets or encode(pdu, error_body=True)
    lengths: list[int] = []
    tlvs = getattr(pdu, 'tlvs', ())
    end = len(octets) - sum(4 + len(value) for _, value in tlvs)
    message = getattr(pdu, 'short_message', None)
    if message is not None:
        lengths.append(end - len(message) - 1)
        if message and getattr(pdu, 'esm_class', 0) & _UDHI:
            lengths += [end - len(message), end - len(message) + 2]
    if isinstance(pdu, pdus.SubmitMulti):
        lengths.append(HEADER_OCTETS + len(pdu.service_type) + 1 + 2 + len(pdu.source_addr) + 1)
    if isinstance(pdu, pdus.SubmitMultiResp):
        lengths.append(HEADER_OCTETS + len(pdu.message_id) + 1)
    for _, value in tlvs:
        lengths += [end + 2, end + 3]
        end += 4 + len(value)
    return Seed(octets, tuple(position for position in lengths if HEADER_OCTETS <= position < len(octets)))


def _message(cls: type[pdus.ShortMessage], text: bytes = b'your code is 4711', **more: Any) -> Pdu:
    usual: dict[str, Any] = {
        'source_addr_ton': 5,
        'source_addr': b'MyBank',
        'dest_addr_ton': 1,
        'dest_addr_npi': 1,
        'destination_addr': b'79161234567',
        'registered_delivery': 1,
        'short_message': text,
    }
    return cls(sequence_number=7, **usual | more)


_SAR = ((Tag.SAR_MSG_REF_NUM, b'\x01\x02'), (Tag.SAR_TOTAL_SEGMENTS, b'\x03'), (Tag.SAR_SEGMENT_SEQNUM, b'\x01'))
_RECEIPT = b'id:9000000001 sub:001 dlvrd:001 submit date:2611211030 done date:2611211031 stat:DELIVRD err:000 text:hi'
_TEXTS: tuple[dict[str, Any], ...] = (
    {},
    {'text': b'x' * 160},
    {'text': b'\x1b\x65' * 120},
    {'text': 'Код 4711 👩‍👩‍👧 é́'.encode('utf-16-be') * 5, 'data_coding': 8},
    {'text': bytes(range(256))[:250], 'data_coding': 4},
    {'text': 'かな'.encode('shift_jis') * 40, 'data_coding': 5},
    {'text': b'\x05\x00\x03\x2a\x02\x01' + b'part one' * 15, 'esm_class': _UDHI},
    {'text': b'\x06\x08\x04\x01\x2a\x02\x02' + b'part two', 'esm_class': _UDHI},
    {'text': b'\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x01\x02\x02' + bytes(40), 'esm_class': _UDHI, 'data_coding': 4},
    {'text': b'\x03\x25\x01\x01' + b'with shift tables \x1b\x53', 'esm_class': _UDHI},
    {'text': b'', 'tlvs': ((Tag.MESSAGE_PAYLOAD, b'y' * 700),)},
    {'text': b'one of three', 'tlvs': _SAR},
    {'text': b'both', 'tlvs': ((Tag.MESSAGE_PAYLOAD, b'both'),)},
    {
        'text': b'with times',
        'schedule_delivery_time': b'000000000100000R',
        'validity_period': b'000001000000000R',
        'priority_flag': 3,
        'replace_if_present_flag': 1,
    },
    {
        'text': b'with TLVs',
        'tlvs': (
            (Tag.USER_MESSAGE_REFERENCE, b'\x00\x07'),
            (Tag.SOURCE_PORT, b'\x23\xf0'),
            (Tag.CALLBACK_NUM, b'\x01\x01\x0179161234567'),
            (0x1400, b'vendor'),
            (Tag.LANGUAGE_INDICATOR, b'\x01'),
        ),
    },
)
_RECEIPTS: tuple[dict[str, Any], ...] = (
    {'text': _RECEIPT},
    {'text': _RECEIPT.replace(b'DELIVRD', b'UNDELIV').lower()},
    {'text': b'id:00ff stat:EXPIRED err:0a'},
    {
        'text': b'',
        'tlvs': (
            (Tag.RECEIPTED_MESSAGE_ID, b'9000000002\0'),
            (Tag.MESSAGE_STATE, b'\x02'),
            (Tag.NETWORK_ERROR_CODE, b'\x03\x00\x01'),
        ),
    },
    {'text': _RECEIPT.decode().encode('utf-16-be')[:254], 'data_coding': 8},
)


def _messages(cls: type[pdus.ShortMessage]) -> list[Seed]:
    return [seed_of(_message(cls, **form)) for form in _TEXTS]


def _receipts() -> list[Seed]:
    return [seed_of(_message(pdus.DeliverSm, esm_class=4, **form)) for form in _RECEIPTS]


_MULTI = pdus.SubmitMulti(
    7, source_addr=b'MyBank', dest_address=tuple(SmeAddress(1, 1, b'7916123%04d' % n) for n in range(40)),
    short_message=b'to forty',
)  # fmt: skip

EVERYTHING = (
    *[seed_of(each.pdu, each.octets) for each in GOLDEN],
    *_messages(pdus.SubmitSm),
    *_messages(pdus.DeliverSm),
    *_receipts(),
    seed_of(_MULTI),
    seed_of(pdus.DataSm(7, destination_addr=b'79161234567', tlvs=((Tag.MESSAGE_PAYLOAD, b'in data_sm'), *_SAR))),
    seed_of(pdus.AlertNotification(7, 0, 1, 1, b'79161234567', 1, 1, b'es', ((Tag.MS_AVAILABILITY_STATUS, b'\0'),))),
    seed_of(pdus.SubmitSmResp(7, 0, b'9000000001')),
    seed_of(pdus.SubmitSmResp(7, 0x45)),
)
"""Every command in both directions."""


def _kept(keep_requests: frozenset[int], keep_responses: frozenset[int]) -> tuple[Seed, ...]:
    kept = keep_requests | {command_id | RESPONSE for command_id in keep_responses}
    return tuple(seed for seed in EVERYTHING if seed.command_id in kept)


_FROM_ESME = frozenset({0x04, 0x21, 0x103, 0x03, 0x08, 0x07, 0x15})
_FROM_SMSC = frozenset({0x05, 0x103, 0x102, 0x15, 0x0B})

FROM_ESME = _kept(_FROM_ESME, frozenset({0x05, 0x103, 0x15}))
"""What a bound ESME sends, all that ends a session aside."""
FROM_SMSC = _kept(_FROM_SMSC, frozenset({0x04, 0x103, 0x15}))
"""What an operator sends, likewise."""
ENDING = tuple(seed for seed in EVERYTHING if seed.command_id in PARTING | BINDING)
"""What may end a session, or begin it."""
