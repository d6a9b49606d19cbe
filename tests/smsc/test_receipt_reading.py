"""What is read from receipts, in TLVs and in text, and what is taken for a receipt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdu.pdus import DeliverSm
from pdu.receipt_text import MessageState
from pdu.tlvs import Tag, make
from smsc.receipt_reading import is_receipt, read_receipt
from tests.product.peers import operator_receipt

pytestmark = pytest.mark.wire('F16')
DELIVERED, EXPIRED, UNKNOWN = MessageState.DELIVERED, MessageState.EXPIRED, MessageState.UNKNOWN
ID = make(Tag.RECEIPTED_MESSAGE_ID, b'7')
PAYLOAD = (Tag.MESSAGE_PAYLOAD, b'id:8 stat:EXPIRED err:009')


def receipt(text=b'', *tlvs):
    return DeliverSm(esm_class=4, short_message=text, tlvs=tlvs)


@pytest.mark.parametrize(
    ('pdu', 'told'),
    [
        (receipt(b'id:8 stat:EXPIRED err:009'), (b'8', EXPIRED, 9)),
        (receipt(b'', PAYLOAD), (b'8', EXPIRED, 9)),
        (receipt(b'id:8 stat:EXPIRED err:009', ID), (b'7', EXPIRED, 9)),
        (receipt(b'id:8 stat:EXPIRED err:009', ID, make(Tag.MESSAGE_STATE, 2)), (b'7', DELIVERED, 0)),
        (receipt(b'id:8 stat:EXPIRED err:009', make(Tag.MESSAGE_STATE, 2)), (b'8', DELIVERED, 9)),
        (receipt(b'', ID), (b'7', UNKNOWN, 0)),
        (receipt(b'id:8 stat:EXPIRED', ID, make(Tag.MESSAGE_STATE, 77)), (b'7', EXPIRED, 0)),
        (receipt(b'id:8 stat:EXPIRED err:1', (Tag.NETWORK_ERROR_CODE, b'\3\0\7')), (b'8', EXPIRED, 0x30007)),
        (receipt('id:8 stat:EXPIRED err:009'.encode('utf-16-be')), (b'8', EXPIRED, 9)),
        (receipt(b'id:8 stat:EXPIRED err:0x9'), (b'8', EXPIRED, 0)),
        (receipt(b'stat:EXPIRED'), (b'', EXPIRED, 0)),
        (receipt(b'', (Tag.MESSAGE_PAYLOAD, b'id:%b stat:EXPIRED' % (b'8' * 256))), (b'', EXPIRED, 0)),
        (receipt(b'Hello'), (b'', UNKNOWN, 0)),
        (receipt(), (b'', UNKNOWN, 0)),
    ],
)
def test_tlvs_come_first_and_the_text_fills_in(pdu, told):
    assert read_receipt(pdu) == told


@pytest.mark.parametrize(
    ('pdu', 'so'),
    [
        (operator_receipt(b'1'), True),
        (operator_receipt(b'1', 'UNKNOWN'), True),
        (receipt(b'', ID), True),
        (receipt(b'id:8 stat:us'), False),
        (receipt(b'id:8'), False),
        (receipt(b'stat:DELIVRD'), False),
        (receipt(b'Hello'), False),
    ],
)
def test_a_receipt_names_a_message_and_a_state_that_there_is(pdu, so):
    assert is_receipt(pdu) is so


@given(st.binary(max_size=255), st.lists(st.tuples(st.sampled_from([0x1E, 0x427, 0x423, 0x424]), st.binary())))
def test_whatever_an_operator_writes_can_be_read(text, tlvs):
    pdu = receipt(text, *tlvs)
    message_id, state, error = read_receipt(pdu)
    assert (len(message_id) <= 255, state in set(MessageState), error >= 0) == (True, True, True)
    assert is_receipt(pdu) in (True, False)
