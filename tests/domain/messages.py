"""Messages as the units of the server hold them, made as briefly as a test needs."""

from itertools import count
from typing import Any

from domain.ids import COUNTER_BITS, COUNTER_MASK, first_id
from domain.message import Kind, Message, Notice
from pdu.codec import encode
from pdu.pdus import DeliverSm, SubmitSm

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000

_numbers = count(1)


def mt_message(account: str = 'shop', upstream: str = 'mts', at_ms: int = NOW_MS, **fields: object) -> Message:
    """An accepted MT message whose receipt was asked for; `octets` of its PDU are as received."""
    pdu = SubmitSm(
        1, source_addr=b'Shop', destination_addr=b'79161234567', registered_delivery=1, short_message=b'hello'
    )
    pdu.octets = encode(pdu)
    return _message(Kind.MT, account, upstream, pdu, at_ms, {'notice': Notice.ASKED, 'registered_delivery': 1} | fields)


def mo_message(account: str = 'shop', upstream: str = 'mts', at_ms: int = NOW_MS, **fields: object) -> Message:
    """An accepted MO message."""
    pdu = DeliverSm(1, source_addr=b'79161234567', destination_addr=b'1234', short_message=b'stop')
    pdu.octets = encode(pdu)
    return _message(Kind.MO, account, upstream, pdu, at_ms, fields)


def _message(
    kind: Kind, account: str, upstream: str, pdu: SubmitSm | DeliverSm, at_ms: int, fields: dict[str, Any]
) -> Message:
    values: dict[str, Any] = {'priority': 0, 'expires_at': at_ms + HOUR_MS} | fields
    number = next(_numbers)  # the bits above those of the counter are the node's
    return Message(
        first_id(at_ms + (number >> COUNTER_BITS)) + (number & COUNTER_MASK), kind, account, upstream, pdu, **values
    )
