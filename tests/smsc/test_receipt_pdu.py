"""Receipts as ESMEs get them (wire.md E1 to E5, E7, E16)."""

import pytest

from pdu.codec import decode, encode
from pdu.pdus import DataSm, DeliverSm
from pdu.receipt_text import MessageState, ReceiptText, parse
from pdu.tlvs import Tag, c_octets, find, integer
from smsc.config.schema import AccountConfig, ReceiptsConfig
from smsc.message_ids import format_message_id
from smsc.receipt_pdu import ReceiptForm, form_of, intermediate, receipt
from tests.domain.messages import NOW_MS, mt_message

USUAL = ReceiptForm()
NOW = 'submit date:2609211413 done date:2609211414'


def form(**receipts) -> ReceiptForm:
    return form_of(AccountConfig(receipts=ReceiptsConfig(**receipts)))


def sent(message, form=USUAL, takes_tlvs=True) -> DeliverSm:
    """The receipt as it comes out of the socket."""
    pdu = decode(encode(receipt(message, form, takes_tlvs)))
    assert isinstance(pdu, DeliverSm)
    return pdu


def text_of(pdu) -> ReceiptText:
    text = parse(pdu.short_message)
    assert text is not None
    return text


def final(state=MessageState.DELIVERED, **fields):
    return mt_message(state=state, done_at=NOW_MS + 61_000, **fields)


@pytest.mark.wire('E1')
def test_addresses_are_swapped_and_it_is_marked_as_a_receipt():
    message = final()
    message.pdu.source_addr_ton, message.pdu.source_addr_npi = 5, 0
    message.pdu.dest_addr_ton, message.pdu.dest_addr_npi = 1, 1
    for takes_tlvs in (True, False):
        pdu = sent(message, takes_tlvs=takes_tlvs)
        assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == (b'79161234567', 1, 1)
        assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == (b'Shop', 5, 0)
        assert (pdu.esm_class, pdu.data_coding, pdu.registered_delivery) == (0x04, 0, 0)


@pytest.mark.wire('E1')
def test_it_comes_in_a_data_sm_where_the_account_wants_that():
    message = final()
    message.pdu.source_addr_ton, message.pdu.source_addr_npi = 5, 0
    message.pdu.dest_addr_ton, message.pdu.dest_addr_npi = 1, 1
    pdu = decode(encode(receipt(message, form(pdu='data_sm'))))
    assert isinstance(pdu, DataSm)
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == (b'79161234567', 1, 1)
    assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == (b'Shop', 5, 0)
    assert (pdu.esm_class, pdu.data_coding, pdu.registered_delivery) == (0x04, 0, 0)
    usual = sent(message)
    assert pdu.tlvs == (*usual.tlvs, (Tag.MESSAGE_PAYLOAD, usual.short_message))


@pytest.mark.wire('E2')
def test_its_text_is_that_of_appendix_b():
    message = final()
    expected = f'id:{message.id} sub:001 dlvrd:001 {NOW} stat:DELIVRD err:000 text:hello'.encode()
    for takes_tlvs in (True, False):
        assert sent(message, takes_tlvs=takes_tlvs).short_message == expected


@pytest.mark.wire('E2', 'E15')
@pytest.mark.parametrize(('state', 'delivered'), [(MessageState.DELIVERED, '005'), (MessageState.EXPIRED, '000')])
def test_the_segments_of_a_message_that_was_split_are_counted(state, delivered):
    text = sent(final(state, segments=5)).short_message.decode()
    assert f' sub:005 dlvrd:{delivered} ' in text


@pytest.mark.wire('E3', 'E5')
@pytest.mark.parametrize('state', [state for state in MessageState if state != MessageState.ENROUTE])
@pytest.mark.parametrize('error', [0, 11])
def test_text_and_tlvs_agree(state, error):
    message = final(state, error=error)
    pdu = sent(message)
    text = text_of(pdu)
    assert text.state == integer(pdu.tlvs, Tag.MESSAGE_STATE) == state
    assert text.id == c_octets(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) == b'%d' % message.id
    assert text.error == b'%03d' % error


@pytest.mark.wire('E3', 'B2')
@pytest.mark.parametrize('error', [0, 11])
@pytest.mark.parametrize('pdu', ['deliver_sm', 'data_sm'])
def test_a_session_without_tlvs_gets_the_text_alone_in_a_deliver_sm(error, pdu):
    message = final(error=error)
    told = sent(message, form(pdu=pdu), takes_tlvs=False)
    assert told.tlvs == ()
    assert told.short_message == sent(message).short_message


@pytest.mark.wire('E4', 'E2')
@pytest.mark.parametrize(
    ('error', 'octets', 'shown'),
    [
        (0, None, b'000'),
        (7, b'\x03\x00\x07', b'007'),
        (999, b'\x03\x03\xe7', b'999'),
        (1279, b'\x03\x04\xff', b'999'),
        (0x010021, b'\x01\x00\x21', b'033'),
        (0x0300FF, b'\x03\x00\xff', b'255'),
        (0x080000, b'\x08\x00\x00', b'000'),
        (0xFFFFFFFF, b'\xff\xff\xff', b'999'),
    ],
)
def test_the_network_error_code_and_the_text_agree(error, octets, shown):
    pdu = sent(final(MessageState.UNDELIVERABLE, error=error))
    assert find(pdu.tlvs, Tag.NETWORK_ERROR_CODE) == octets
    assert text_of(pdu).error == shown


def test_its_text_does_not_repeat_the_user_data_header_and_nothing_that_is_not_gsm():
    message = final()
    message.pdu.esm_class, message.pdu.short_message = 0x40, b'\x05\x00\x03\x07\x02\x01part one of a long message'
    assert sent(message).short_message.endswith(b' text:part one of a long m')
    message.pdu.data_coding = 8
    assert sent(message).short_message.endswith(b' text:')


@pytest.mark.parametrize('text', [b'short \x1b', b'nineteen octets are\x1be and more'])
def test_its_text_does_not_end_within_a_character(text):
    message = final()
    message.pdu.short_message = text
    assert sent(message).short_message.endswith(b' text:' + text.split(b'\x1b')[0])


def test_its_text_is_found_in_a_message_payload_too():
    message = final()
    message.pdu.short_message, message.pdu.tlvs = b'', ((Tag.MESSAGE_PAYLOAD, b'a text of some length, and more'),)
    assert sent(message).short_message.endswith(b' text:a text of some lengt')


@pytest.mark.wire('E16')
@pytest.mark.parametrize('wanted', ['decimal', 'decimal20', 'hex', 'HEX', 'uuid'])
def test_a_receipt_has_the_form_of_id_that_the_response_had(wanted):
    config = AccountConfig(receipts=ReceiptsConfig(message_id=wanted))
    for message in (final(), final(error=1), final(shown_id=77)):
        pdu = sent(message, form_of(config))
        given = format_message_id(message.shown_id or message.id, config)
        assert text_of(pdu).id == c_octets(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) == given


@pytest.mark.wire('E16')
def test_dates_may_have_seconds():
    message = final()
    text = sent(message, form(dates=12)).short_message.decode()
    assert text == sent(message).short_message.decode().replace(NOW, 'submit date:260921141320 done date:260921141421')


@pytest.mark.wire('E16')
def test_an_account_may_have_a_text_of_its_own():
    template = 'ID={id};{sub}/{dlvrd};{submit}-{done};{stat};{err};100%;{{{text}}}'
    message = final(MessageState.REJECTED, error=2000, segments=3)
    pdu = sent(message, form(template=template, dates=12, message_id='HEX'))
    assert pdu.short_message.decode() == (
        f'ID={message.id:016X};003/000;260921141320-260921141421;REJECTD;999;100%;{{hello}}'
    )
    assert integer(pdu.tlvs, Tag.MESSAGE_STATE) == MessageState.REJECTED


@pytest.mark.wire('E7')
@pytest.mark.parametrize('state', [MessageState.ENROUTE, MessageState.ACCEPTED, MessageState.SCHEDULED])
def test_an_intermediate_notification_is_marked_as_such(state):
    message = mt_message()
    pdu = decode(encode(intermediate(message, state, NOW_MS + 61_000, USUAL)))
    assert isinstance(pdu, DeliverSm)
    assert (pdu.esm_class, pdu.source_addr, pdu.destination_addr) == (0x20, b'79161234567', b'Shop')
    text = text_of(pdu)
    assert text.state == integer(pdu.tlvs, Tag.MESSAGE_STATE) == state
    assert text.id == c_octets(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) == b'%d' % message.id
    assert NOW in pdu.short_message.decode()
    assert ' sub:001 dlvrd:000 ' in pdu.short_message.decode()
    assert intermediate(message, state, NOW_MS, USUAL, takes_tlvs=False).tlvs == ()
