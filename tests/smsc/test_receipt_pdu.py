"""Receipts as ESMEs get them (wire.md E1 to E5, E16)."""

import pytest

from pdu.codec import decode, encode
from pdu.pdus import DeliverSm
from pdu.receipt_text import MessageState, ReceiptText, parse
from pdu.tlvs import Tag, c_octets, integer
from smsc.config.schema import AccountConfig, ReceiptsConfig
from smsc.receipt_pdu import format_message_id, mo_message, parse_message_id, receipt
from tests.domain.messages import NOW_MS, mt_message
from tests.domain.messages import mo_message as accepted_mo

HEX = AccountConfig(receipts=ReceiptsConfig(message_id='hex'))


def sent(message) -> DeliverSm:
    """The receipt as it comes out of the socket."""
    pdu = decode(encode(receipt(message, None)))
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
    pdu = sent(message)
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == (b'79161234567', 1, 1)
    assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == (b'Shop', 5, 0)
    assert (pdu.esm_class, pdu.data_coding, pdu.registered_delivery) == (0x04, 0, 0)


@pytest.mark.wire('E2')
def test_its_text_is_that_of_appendix_b():
    message = final()
    assert receipt(message, None).short_message == (
        b'id:%d sub:001 dlvrd:001 submit date:2609211413 done date:2609211414 stat:DELIVRD err:000 text:hello'
        % message.id
    )


@pytest.mark.wire('E3', 'E5')
@pytest.mark.parametrize('state', [state for state in MessageState if state != MessageState.ENROUTE])
def test_text_and_tlvs_agree(state):
    message = final(state, error=11)
    pdu = sent(message)
    text = text_of(pdu)
    assert text.state == integer(pdu.tlvs, Tag.MESSAGE_STATE) == state
    assert text.id == c_octets(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) == b'%d' % message.id
    assert text.error == b'011'


@pytest.mark.wire('E2')
@pytest.mark.parametrize('error', [0, 7, 255, 1024, 0x0300FF, 0xFFFFFFFF])
def test_the_error_has_three_digits(error):
    assert len(text_of(receipt(final(error=error), None)).error) == 3


def test_its_text_does_not_repeat_the_user_data_header_and_nothing_that_is_not_gsm():
    message = final()
    message.pdu.esm_class, message.pdu.short_message = 0x40, b'\x05\x00\x03\x07\x02\x01part one of a long message'
    assert receipt(message, None).short_message.endswith(b' text:part one of a long m')
    message.pdu.data_coding = 8
    assert receipt(message, None).short_message.endswith(b' text:')


@pytest.mark.wire('E16')
def test_an_account_is_told_ids_in_the_form_it_expects_and_both_are_read():
    message_id = 0x0123_4567_89AB_CDEF
    assert format_message_id(message_id, None) == b'81985529216486895'
    assert format_message_id(message_id, HEX) == b'0123456789abcdef'
    for text in ('81985529216486895', '0123456789abcdef', '0123456789ABCDEF', '0x123456789abcdef'):
        assert parse_message_id(text) == message_id
    for text in ('', 'abc', '12 13'):
        with pytest.raises(ValueError, match='invalid literal'):
            parse_message_id(text)


def test_a_receipt_has_the_form_of_id_that_the_response_had():
    message = final()
    assert text_of(receipt(message, HEX)).id == format_message_id(message.id, HEX)


@pytest.mark.wire('E19')
def test_an_mo_message_goes_on_byte_for_byte_but_for_the_header():
    message = accepted_mo()
    assert encode(mo_message(message))[16:] == message.pdu.octets[16:]
