"""A message from ESME to operator and its receipt back, in every form that is promised today."""

import re

import pytest

from pdu import pdus
from pdu.alphabets import encode_text
from pdu.receipt_text import MessageState
from pdu.tlvs import Tag, find
from tests.product.peers import receipt_of, submit
from tests.product.running import account, everywhere_bound, free_port, upstream


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with one scripted operator, and an ESME."""
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    return found, smsc, await bind(found)


@pytest.mark.wire('E1', 'E2')
async def test_a_text_goes_out_and_its_receipt_comes_back(running):
    product, smsc, esme = running
    message_id = await esme.submit()
    (sent,) = await smsc.submitted(1)
    assert (sent.source_addr_ton, sent.source_addr) == (5, b'MyBank')
    assert (sent.dest_addr_ton, sent.dest_addr_npi, sent.destination_addr) == (1, 1, b'79161234567')
    assert sent.short_message == b'your code is 4711'
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    await esme.receipts(1)
    pdu = esme.delivered[0]
    assert pdu.esm_class == 4
    assert pdu.data_coding == 0
    assert (pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr) == (1, 1, b'79161234567')
    assert (pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr) == (5, 0, b'MyBank')
    assert find(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) == message_id.encode() + b'\0'
    assert find(pdu.tlvs, Tag.MESSAGE_STATE) == bytes([MessageState.DELIVERED])
    date = rb'\d{10}'
    pattern = rb'id:%b sub:001 dlvrd:001 submit date:%b done date:%b stat:DELIVRD err:000 text:your code is 4711'
    assert re.fullmatch(pattern % (message_id.encode(), date, date), pdu.short_message)
    await product.settle(DELIVERED=1)


@pytest.mark.parametrize('text', ['Привет, мир 🌍', 'price: 5€ [now] {~}', 'ÀÉ plain'], ids=['ucs2', 'gsm', 'latin'])
async def test_user_data_reaches_the_operator_octet_for_octet(running, text):
    _product, smsc, esme = running
    data_coding, octets = encode_text(text)
    await esme.submit(short_message=octets, data_coding=data_coding)
    (sent,) = await smsc.submitted(1)
    assert (sent.data_coding, sent.short_message) == (data_coding, octets)


@pytest.mark.wire('C14')
async def test_a_long_message_payload_passes_through(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, long_messages='payload')})
    await everywhere_bound(smsc)
    esme = await bind(found)
    payload = bytes(range(256)) * 250
    await esme.submit(short_message=b'', tlvs=((Tag.MESSAGE_PAYLOAD, payload),), data_coding=4)
    (sent,) = await smsc.submitted(1)
    assert sent.short_message == b''
    assert find(sent.tlvs, Tag.MESSAGE_PAYLOAD) == payload


@pytest.mark.wire('D8', 'C17')
async def test_parts_with_a_user_data_header_are_left_as_they_are_and_each_gets_its_receipt(running):
    product, smsc, esme = running
    parts = [b'\x05\x00\x03\x2a\x03%c' % number + b'part %d' % number for number in (1, 2, 3)]
    ids = await esme.submit_all(submit(part, esm_class=0x40) for part in parts)
    sent = await smsc.submitted(3)
    assert [(pdu.short_message, pdu.esm_class) for pdu in sent] == [(part, 0x40) for part in parts]
    for given in list(smsc.given):
        await smsc.deliver_receipt(given)
    assert sorted(receipt.id.decode() for receipt in await esme.receipts(3)) == sorted(ids)
    await product.settle(DELIVERED=3)


@pytest.mark.wire('C22', 'E6')
@pytest.mark.parametrize(
    ('asked', 'state', 'comes'),
    [
        (0, 'DELIVRD', False),
        (1, 'DELIVRD', True),
        (1, 'UNDELIV', True),
        (2, 'DELIVRD', False),
        (2, 'UNDELIV', True),
        (3, 'DELIVRD', True),
        (3, 'UNDELIV', False),
    ],
)
async def test_a_receipt_comes_exactly_when_it_was_asked_for(product, start_smsc, bind, asked, state, comes):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, registered_delivery='always')})
    await everywhere_bound(smsc)
    esme = await bind(found, interface_version=0x50)  # below, 3 is no request for successes only
    await esme.submit(registered_delivery=asked)
    (sent,) = await smsc.submitted(1)
    assert sent.registered_delivery & 3 == 1  # the outcome is always to be known
    assert await smsc.deliver_receipt(smsc.given[0], state, error=b'042' if state == 'UNDELIV' else b'000') == 0
    await found.settle(**{'DELIVERED' if state == 'DELIVRD' else 'UNDELIVERABLE': 1})
    # A second message whose receipt is wanted in any case: whatever the first one had would come before.
    last = await esme.submit()
    await smsc.submitted(2)
    await smsc.deliver_receipt(smsc.given[1])
    receipts = await esme.receipts(2 if comes else 1)
    assert [receipt.raw_state.decode() for receipt in receipts] == [state] * comes + ['DELIVRD']
    assert receipts[-1].id.decode() == last


async def test_what_asks_for_no_receipt_ends_when_the_operator_has_taken_it(running):
    product, smsc, esme = running
    await esme.submit(registered_delivery=0)
    (sent,) = await smsc.submitted(1)
    assert sent.registered_delivery == 0
    await product.settle(ACCEPTED=1)
    assert await esme.settled() == []


@pytest.mark.wire('E5')
@pytest.mark.parametrize(
    ('word', 'state'),
    [('DELIVRD', 2), ('EXPIRED', 3), ('DELETED', 4), ('UNDELIV', 5), ('UNKNOWN', 7), ('REJECTD', 8)],
)
async def test_each_final_state_of_an_operator_comes_through(running, word, state):
    _product, smsc, esme = running
    await esme.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0], word, error=b'017')
    (receipt,) = await esme.receipts(1)
    assert (receipt.raw_state.decode(), receipt.error) == (word, b'017')
    assert find(esme.delivered[0].tlvs, Tag.MESSAGE_STATE) == bytes([state])


@pytest.mark.wire('E16')
async def test_an_account_may_have_its_ids_in_hexadecimal(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(receipts={'message_id': 'hex'})}
    )
    esme = await bind(found)
    message_id = await esme.submit()
    assert len(message_id) == 16
    int(message_id, 16)
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == message_id


@pytest.mark.wire('E10', 'B11', 'B19')
async def test_receipts_go_to_a_receiving_bind_and_never_to_a_transmitter(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    transmitter = await bind(found, bind=pdus.BindTransmitter)
    receiver = await bind(found, bind=pdus.BindReceiver)
    ids = await transmitter.submit_all(submit() for _ in range(5))
    await smsc.submitted(5)
    for given in list(smsc.given):
        await smsc.deliver_receipt(given)
    assert sorted(receipt.id.decode() for receipt in await receiver.receipts(5)) == sorted(ids)
    assert await transmitter.settled() == []
    assert transmitter.delivered == []


async def test_the_receipt_of_a_binary_message_shows_no_text(running):
    _product, smsc, esme = running
    await esme.submit(short_message='код'.encode('utf-16-be'), data_coding=8)
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    await esme.receipts(1)
    assert receipt_of(esme.delivered[0]).text == b''


async def test_the_text_in_a_receipt_is_not_cut_within_a_character(running):
    _product, smsc, esme = running
    await esme.submit(b'nineteen octets are\x1be, then a euro sign')
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    (receipt,) = await esme.receipts(1)
    assert receipt.text == b'nineteen octets are'


@pytest.mark.wire('E18')
async def test_a_response_comes_before_its_receipt_however_fast_the_operator_is(product, start_operator, bind):
    port = free_port()
    await start_operator(port, receipt_first=True)
    found = await product(upstreams={'mts': upstream(port)})
    await found.links_bound('mts')
    esme = await bind(found)
    esme.acknowledge = False
    for _ in range(50):
        esme.number(submit())
        first, second = await esme.take_many(2)
        assert (type(first), type(second)) == (pdus.SubmitSmResp, pdus.DeliverSm)
        assert receipt_of(second).id == first.message_id
        esme.send(pdus.DeliverSmResp(second.sequence_number))
