"""node-smpp (JavaScript) as an ESME of the product, and as its operator."""

import pytest

from tests.peers.texts import CYRILLIC, GSM, GSM_OCTETS, LONG_CYRILLIC, NUMBER, SENDER, UCS2, UDHI, joined, ucs2_parts
from tests.product.peers import mo
from tests.product.running import PASSWORD, account, free_port, upstream

ADDRESSES = {
    'source_addr_ton': 5,
    'source_addr': SENDER,
    'dest_addr_ton': 1,
    'dest_addr_npi': 1,
    'destination_addr': NUMBER,
    'registered_delivery': 1,
}
UDH_OCTETS = 6
MANY = 50


@pytest.fixture
async def esme(scripted, node):
    """node-smpp, bound to the product."""
    product, _ = scripted
    found = await node('esme', product.port, 'bank', PASSWORD)
    (bound,) = await found.told('bound')
    assert (bound['pdu']['command'], bound['pdu']['command_status']) == ('bind_transceiver_resp', 0)
    return found


async def receipts_match(esme, smsc, count):
    """Has the operator deliver everything; each message of the ESME gets the receipt with its own message_id."""
    responses = await esme.told('response', count)
    assert {response['pdu']['command_status'] for response in responses} == {0}
    await smsc.submitted(count)
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    receipts = await esme.told('request', count)
    assert {receipt['pdu']['esm_class'] for receipt in receipts} == {4}
    assert {(receipt['pdu']['source_addr'], receipt['pdu']['destination_addr']) for receipt in receipts} == {
        (NUMBER, SENDER)
    }
    ids = sorted(response['pdu']['message_id'] for response in responses)
    assert sorted(receipt['pdu']['receipted_message_id'] for receipt in receipts) == ids
    assert {receipt['pdu']['message_state'] for receipt in receipts} == {2}
    words = [receipt['pdu']['short_message']['message'].split() for receipt in receipts]
    assert sorted(told[0].removeprefix('id:') for told in words) == ids
    assert all('stat:DELIVRD' in told for told in words)


@pytest.mark.wire('B1', 'E1', 'E3')
async def test_its_texts_arrive_and_their_receipts_come_back(scripted, esme):
    product, smsc = scripted
    for number in range(MANY):
        esme.send('submit_sm', number, **ADDRESSES, data_coding=0, short_message=GSM)
        esme.send('submit_sm', number, **ADDRESSES, short_message=CYRILLIC)
    sent = await smsc.submitted(2 * MANY)
    expected = {(0, GSM_OCTETS), (UCS2, CYRILLIC.encode('utf-16-be'))}
    assert {(pdu.data_coding, pdu.short_message) for pdu in sent} == expected
    await receipts_match(esme, smsc, 2 * MANY)
    await product.settle(DELIVERED=2 * MANY)


@pytest.mark.wire('D8', 'C17')
async def test_the_parts_of_its_long_text_arrive_as_they_are(scripted, esme):
    product, smsc = scripted
    parts = ucs2_parts(LONG_CYRILLIC, reference=0xC8)
    for number, part in enumerate(parts):
        text = part[UDH_OCTETS:].decode('utf-16-be')
        value = {'udh': list(part[:UDH_OCTETS]), 'message': text}
        esme.send('submit_sm', number, **ADDRESSES, data_coding=UCS2, short_message=value)
    sent = await smsc.submitted(len(parts))
    assert [pdu.short_message for pdu in sent] == parts
    assert joined(sent) == LONG_CYRILLIC
    assert {pdu.destination_addr for pdu in sent} == {NUMBER.encode()}
    await receipts_match(esme, smsc, len(parts))
    await product.settle(DELIVERED=len(parts))


async def test_it_gets_mo_messages_whole_and_in_parts(scripted, esme):
    product, smsc = scripted
    parts = ucs2_parts(LONG_CYRILLIC, reference=7)
    assert await smsc.deliver(mo(GSM_OCTETS)) == 0
    assert await smsc.deliver(mo(CYRILLIC.encode('utf-16-be'), data_coding=UCS2)) == 0
    for part in parts:
        assert await smsc.deliver(mo(part, esm_class=UDHI, data_coding=UCS2)) == 0
    gsm, cyrillic, *rest = [each['pdu'] for each in await esme.told('request', 2 + len(parts))]
    assert (gsm['short_message']['message'], gsm['data_coding'], gsm['esm_class']) == (GSM, 0, 0)
    assert (cyrillic['short_message']['message'], cyrillic['data_coding']) == (CYRILLIC, UCS2)
    assert ''.join(pdu['short_message']['message'] for pdu in rest) == LONG_CYRILLIC
    assert [pdu['short_message']['udh'][0]['data'][-1] for pdu in rest] == list(range(1, len(parts) + 1))
    await product.settle(DELIVERED=2 + len(parts))


@pytest.mark.wire('C14', 'E15')
async def test_its_long_payload_is_cut_into_parts_and_gets_one_receipt(scripted, esme):
    product, smsc = scripted
    esme.send('submit_sm', **ADDRESSES, data_coding=UCS2, message_payload=LONG_CYRILLIC)
    (response,) = await esme.told('response')
    sent = await smsc.submitted(len(ucs2_parts(LONG_CYRILLIC, 0)))
    assert joined(sent) == LONG_CYRILLIC
    *delivered, last = list(smsc.given)
    for given in delivered:
        assert await smsc.deliver_receipt(given) == 0
    assert await smsc.deliver_receipt(last, 'UNDELIV', error=b'017') == 0
    await product.settle(UNDELIVERABLE=1)
    (receipt,) = await esme.told('request')
    assert receipt['pdu']['receipted_message_id'] == response['pdu']['message_id']
    assert 'stat:UNDELIV err:017' in receipt['pdu']['short_message']['message']


@pytest.mark.wire('B12')
async def test_it_leaves_in_order(scripted, esme):
    product, _ = scripted
    assert await esme.leave() == 0  # it ends when the product has answered its unbind
    status = await product.status()
    assert status.sessions == []


async def test_it_is_the_operator(product, node, bind):
    port = free_port()
    operator = await node('smsc', port)
    await operator.told('ready')
    found = await product(upstreams={'mts': upstream(port)}, accounts={'bank': account()}, mo=[])
    esme = await bind(found)
    (bound,) = await operator.told('bound')
    assert (bound['pdu']['system_id'], bound['pdu']['interface_version']) == ('proxy', 0x34)
    ids = [await esme.submit(part, data_coding=UCS2, esm_class=UDHI) for part in ucs2_parts(LONG_CYRILLIC, 9)]
    taken = [each['pdu'] for each in await operator.told('request', len(ids))]
    assert ''.join(pdu['short_message']['message'] for pdu in taken) == LONG_CYRILLIC
    assert sorted(receipt.id.decode() for receipt in await esme.receipts(len(ids))) == sorted(ids)
    await found.settle(DELIVERED=len(ids))
    await found.stop()
