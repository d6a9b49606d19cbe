"""What goes to an ESME: the deliver_sm of a receipt (wire.md E1 to E4) and of an MO message."""

from datetime import UTC, datetime
from functools import lru_cache

from domain.ids import accepted_at_ms
from domain.message import Message
from pdu import receipt_text
from pdu.pdus import DeliverSm
from pdu.tlvs import Tag
from smsc.config.schema import AccountConfig
from smsc.text import without_header

MC_DELIVERY_RECEIPT = 0x04  # esm_class bits 5-2, SMPP 3.4 section 5.2.12
TEXT_OCTETS = 20
ESCAPE = b'\x1b'  # begins a character of the default alphabet's extension
_RECEIPTED_MESSAGE_ID, _MESSAGE_STATE = int(Tag.RECEIPTED_MESSAGE_ID), int(Tag.MESSAGE_STATE)
MINUTE_MS = 60_000
_STATE_OCTETS = tuple(bytes([state]) for state in range(256))


@lru_cache(maxsize=10_000)
def _date(minute: int) -> bytes:
    """Return a receipt's date for a minute since 1970; the same few serve most receipts."""
    return receipt_text.format_date(datetime.fromtimestamp(minute * 60, UTC))


def format_message_id(message_id: int, config: AccountConfig | None) -> bytes:
    """Return a message_id as the account is told it: decimal, or 16 hexadecimal digits."""
    if config is not None and config.receipts.message_id == 'hex':
        return b'%016x' % message_id
    return b'%d' % message_id


def parse_message_id(text: str) -> int:
    """Return the id behind either form of it. Raises ValueError."""
    return int(text, 16) if len(text) == 16 and not text.startswith('0x') else int(text, 0)


def receipt(message: Message, config: AccountConfig | None) -> DeliverSm:
    """Return the receipt of a final message: addresses swapped against the submit_sm, our message_id."""
    pdu = message.pdu
    shown_id = format_message_id(message.id, config)
    state = message.state
    text = b'' if pdu.data_coding else without_header(pdu.esm_class, pdu.short_message)[:TEXT_OCTETS]
    if text[-1:] == ESCAPE:  # half a character is no text, and peers refuse the whole receipt for it
        text = text[:-1]
    return DeliverSm(  # by position: names cost a third of a microsecond
        0,
        0,
        b'',  # service_type
        pdu.dest_addr_ton,
        pdu.dest_addr_npi,
        pdu.destination_addr,
        pdu.source_addr_ton,
        pdu.source_addr_npi,
        pdu.source_addr,
        MC_DELIVERY_RECEIPT,
        0,  # protocol_id
        0,  # priority_flag
        b'',  # schedule_delivery_time
        b'',  # validity_period
        0,  # registered_delivery
        0,  # replace_if_present_flag
        0,  # data_coding
        0,  # sm_default_msg_id
        receipt_text.format(
            shown_id,
            state,
            _date(accepted_at_ms(message.id) // MINUTE_MS),
            _date(message.done_at // MINUTE_MS),
            b'%03d' % (message.error & 0xFFFF),
            text,
        ),
        ((_RECEIPTED_MESSAGE_ID, shown_id + b'\0'), (_MESSAGE_STATE, _STATE_OCTETS[state])),
    )


def mo_message(message: Message) -> DeliverSm:
    """Return an MO message as its account gets it: what the operator sent, byte for byte but for the header."""
    pdu = message.pdu
    assert isinstance(pdu, DeliverSm)
    return pdu
