"""The receipts that go to an ESME, in the form its account expects (wire.md E1 to E7, E16).

The form is made once per configuration. Text and TLVs of a receipt say the same; sessions older than SMPP 3.4 get the
text alone, in a deliver_sm, since they know neither TLVs nor data_sm.
"""

from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from domain.ids import accepted_at_ms
from domain.message import Message
from pdu import receipt_text
from pdu.pdus import DataSm, DeliverSm
from pdu.receipt_template import Template
from pdu.receipt_text import WORDS, MessageState
from pdu.segments import UDHI
from pdu.tlvs import Tag, Tlvs
from smsc.config.schema import AccountConfig
from smsc.data_sm import as_data_sm
from smsc.message_ids import format_uuid, id_format
from smsc.text import payload_of, without_header

MC_DELIVERY_RECEIPT = 0x04  # esm_class bits 5-2, SMPP 3.4 section 5.2.12
INTERMEDIATE_NOTIFICATION = 0x20
TEXT_OCTETS = 20
ESCAPE = b'\x1b'  # begins a character of the default alphabet's extension
GSM = 3  # network type of network_error_code, SMPP 3.4 section 5.3.2.31
LARGEST_SHOWN_ERROR = 999
MINUTE_MS = 60_000
_RECEIPTED_MESSAGE_ID, _MESSAGE_STATE = int(Tag.RECEIPTED_MESSAGE_ID), int(Tag.MESSAGE_STATE)
_NETWORK_ERROR_CODE = int(Tag.NETWORK_ERROR_CODE)
_STATE_OCTETS = tuple(bytes([state]) for state in range(256))


class ReceiptForm(msgspec.Struct, frozen=True):
    """How the receipts of one account look."""

    id_format: bytes = b'%d'  # empty: a UUID
    usual: bool = True  # the text of appendix B, dates of ten digits, in a deliver_sm
    seconds: bool = False  # in dates
    data_sm: bool = False
    template: Template | None = None


def form_of(config: AccountConfig | None) -> ReceiptForm:
    """Return the form that an account expects; without a configuration, the usual one. Raises TemplateError."""
    if config is None:
        return ReceiptForm()
    wanted = config.receipts
    usual = wanted.template is None and wanted.dates == 10 and wanted.pdu == 'deliver_sm'
    template = None if wanted.template is None else Template(wanted.template)
    return ReceiptForm(id_format(config), usual, wanted.dates == 12, wanted.pdu == 'data_sm', template)


@lru_cache(maxsize=10_000)
def _date(minute: int) -> bytes:
    """Return a receipt's date for a minute since 1970; the same few serve most receipts."""
    return receipt_text.format_date(datetime.fromtimestamp(minute * 60, UTC))


def receipt(message: Message, form: ReceiptForm, takes_tlvs: bool = True) -> DeliverSm | DataSm:
    """Return the receipt of a final message: addresses swapped against the submit_sm, our message_id.

    `takes_tlvs` is that of the session it is for.
    """
    if message.error or not (form.usual and takes_tlvs):
        return _unusual(message, message.state, message.done_at, form, takes_tlvs, MC_DELIVERY_RECEIPT)
    pdu = message.pdu
    to = message.asked or pdu
    state = message.state
    number = message.shown_id or message.id
    shown_id = form.id_format % number if form.id_format else format_uuid(number)
    text = pdu.short_message[:TEXT_OCTETS]
    if pdu.data_coding or pdu.esm_class & UDHI or not text or text[-1:] == ESCAPE:
        text = _shown_text(message)
    return DeliverSm(  # by position: names cost a third of a microsecond
        0,
        0,
        b'',  # service_type
        to.dest_addr_ton,
        to.dest_addr_npi,
        to.destination_addr,
        to.source_addr_ton,
        to.source_addr_npi,
        to.source_addr,
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
            b'000',
            text,
            message.segments,
        ),
        ((_RECEIPTED_MESSAGE_ID, shown_id + b'\0'), (_MESSAGE_STATE, _STATE_OCTETS[state])),
    )


def intermediate(
    message: Message, state: int, now_ms: int, form: ReceiptForm, takes_tlvs: bool = True
) -> DeliverSm | DataSm:
    """Return an intermediate notification (esm_class 0x20): `state` is not final; its done date is that of now."""
    return _unusual(message, state, now_ms, form, takes_tlvs, INTERMEDIATE_NOTIFICATION)


def _unusual(
    message: Message, state: int, done_at: int, form: ReceiptForm, takes_tlvs: bool, esm_class: int
) -> DeliverSm | DataSm:
    """Return a receipt of any form, with any error."""
    to = message.asked or message.pdu
    number = message.shown_id or message.id
    shown_id = form.id_format % number if form.id_format else format_uuid(number)
    octets = _text(message, state, done_at, form, shown_id)
    tlvs = _tlvs(shown_id, state, message.error) if takes_tlvs else ()
    body = DeliverSm(
        source_addr_ton=to.dest_addr_ton,
        source_addr_npi=to.dest_addr_npi,
        source_addr=to.destination_addr,
        dest_addr_ton=to.source_addr_ton,
        dest_addr_npi=to.source_addr_npi,
        destination_addr=to.source_addr,
        esm_class=esm_class,
        short_message=octets,
        tlvs=tlvs,
    )
    return as_data_sm(body) if form.data_sm and takes_tlvs else body


def _tlvs(shown_id: bytes, state: int, error: int) -> Tlvs:
    tlvs: Tlvs = ((_RECEIPTED_MESSAGE_ID, shown_id + b'\0'), (_MESSAGE_STATE, _STATE_OCTETS[state]))
    if not error:
        return tlvs
    network_type, code = network_error(error)
    return (*tlvs, (_NETWORK_ERROR_CODE, bytes([network_type]) + code.to_bytes(2, 'big')))


def network_error(error: int) -> tuple[int, int]:
    """Return network type and code behind `Message.error`: both where the operator told both, else a code of GSM."""
    return error >> 16 & 0xFF or GSM, error & 0xFFFF


def _text(message: Message, state: int, done_at: int, form: ReceiptForm, shown_id: bytes) -> bytes:
    submit_date, done_date = _moment(accepted_at_ms(message.id), form), _moment(done_at, form)
    error = b'%03d' % min(network_error(message.error)[1], LARGEST_SHOWN_ERROR)
    text, segments = _shown_text(message), message.segments
    if form.template is None:
        return receipt_text.format(shown_id, state, submit_date, done_date, error, text, segments)
    delivered = segments if state == MessageState.DELIVERED else 0
    return form.template.format(
        shown_id, WORDS[state], submit_date, done_date, error, text, submitted=segments, delivered=delivered
    )


def _moment(at_ms: int, form: ReceiptForm) -> bytes:
    minute = _date(at_ms // MINUTE_MS)
    return minute + b'%02d' % (at_ms // 1000 % 60) if form.seconds else minute


def _shown_text(message: Message) -> bytes:
    """Return how a message begins, in the default alphabet; nothing of one in another."""
    pdu = message.pdu
    if pdu.data_coding:
        return b''
    text = without_header(pdu.esm_class, payload_of(pdu))[:TEXT_OCTETS]
    return text[:-1] if text[-1:] == ESCAPE else text  # peers refuse the whole receipt for half a character
