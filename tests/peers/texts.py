"""What is sent in tests with independent peers, and the whole of it again from what came out at the other end."""

from collections.abc import Sequence

from pdu import pdus
from pdu.tlvs import Tag, find

GSM = 'Price: 5€ [now] {~} @home'
GSM_OCTETS = b'Price: 5\x1be \x1b<now\x1b> \x1b(\x1b=\x1b) \0home'
CYRILLIC = 'Привет, мир'
LONG_CYRILLIC = ' '.join(f'Часть {number} длинного сообщения, № {number * 7}.' for number in range(1, 8))
UCS2, UDHI = 8, 0x40
UCS2_PART_CHARACTERS = 67
NUMBER, SENDER = '79161234567', 'MyBank'
OURS, SUBSCRIBER = '74951234567', '79160000001'
"""To and from where tests.product.peers.mo goes."""


def ucs2_parts(text: str, reference: int) -> list[bytes]:
    """The parts of a long text as SMPP 3.4 and 3GPP 23.040 section 9.2.3.24.1 have them, header first."""
    size = UCS2_PART_CHARACTERS
    pieces = [text[start : start + size].encode('utf-16-be') for start in range(0, len(text), size)]
    return [b'\x05\0\x03%c%c%c' % (reference, len(pieces), number) + piece for number, piece in enumerate(pieces, 1)]


def joined(messages: Sequence[pdus.SubmitSm | pdus.DeliverSm]) -> str:
    """The text of one message in UCS-2 from all its PDUs, which may be out of order: a payload, one PDU, or parts.

    AssertionError: they are not all the parts of one message, between one pair of addresses.
    """
    assert {message.data_coding for message in messages} == {UCS2}
    assert len({(message.source_addr, message.destination_addr) for message in messages}) == 1
    if not messages[0].esm_class & UDHI:
        (message,) = messages
        return (find(message.tlvs, Tag.MESSAGE_PAYLOAD) or message.short_message).decode('utf-16-be')
    parts: dict[tuple[int, ...], bytes] = {}
    for message in messages:
        assert message.esm_class & UDHI
        octets = message.short_message
        header, rest = octets[1 : octets[0] + 1], octets[octets[0] + 1 :]
        assert header[:2] in {b'\0\x03', b'\x08\x04'}, octets
        parts[tuple(header[2:])] = rest
    (reference,) = {key[:-1] for key in parts}
    assert [key[-1] for key in sorted(parts)] == list(range(1, reference[-1] + 1))
    assert len(parts) == len(messages)
    return b''.join(parts[key] for key in sorted(parts)).decode('utf-16-be')
