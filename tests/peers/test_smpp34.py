"""smpp34 (Rust) as an ESME of the product, and as its operator."""

import asyncio
from typing import Any

import pytest
import smpp34

from tests.peers.texts import (
    CYRILLIC,
    GSM_OCTETS,
    LONG_CYRILLIC,
    NUMBER,
    SENDER,
    SUBSCRIBER,
    UCS2,
    UDHI,
    joined,
    ucs2_parts,
)
from tests.product.peers import mo, receipt_of
from tests.product.running import PASSWORD, free_port, upstream
from tests.product.waiting import TIMEOUT_S, until

MANY, FEW = 50, 15


@pytest.fixture
async def connect():
    """Binds smpp34 to a product: `await connect(product)`. It unbinds after the test."""
    made = []

    async def connect(product):
        client = smpp34.Client('127.0.0.1', product.port, 'bank', PASSWORD, bind_type='TRX', window_size=20)
        made.append((client, await client.connect()))
        return made[-1][1]

    yield connect
    for client, smsc in made:
        await smsc.unbind()
        await client.stop()


async def submit_all(smsc, texts, **more):
    """Submits (octets, data_coding) at once; returns the message_ids, all of which must be there."""
    usual = {
        'source_addr': SENDER,
        'source_addr_ton': 5,
        'dest_addr_ton': 1,
        'dest_addr_npi': 1,
        'registered_delivery': 1,
    }
    responses = await asyncio.gather(
        *(smsc.submit_sm(NUMBER, text, data_coding=data_coding, **usual, **more) for text, data_coding in texts)
    )
    assert {response.command_status for response in responses} == {0}
    return [response.message_id for response in responses]


async def next_events(smsc, count) -> list[Any]:
    """The next `count` deliver_sm."""
    async with asyncio.timeout(TIMEOUT_S):
        return [await smsc.next() for _ in range(count)]


async def test_its_texts_get_responses_and_receipts(simulated, connect):
    product, _operator = simulated
    smsc = await connect(product)
    ids = set(await submit_all(smsc, [(GSM_OCTETS, 0), (CYRILLIC.encode('utf-16-be'), UCS2)] * MANY))
    receipts = await next_events(smsc, 2 * MANY)
    assert {receipt.esm_class for receipt in receipts} == {4}
    assert {(receipt.source_addr, receipt.destination_addr) for receipt in receipts} == {(NUMBER, SENDER)}
    assert {receipt_of(receipt).id.decode() for receipt in receipts} == ids
    assert {tlv.as_string() for receipt in receipts for tlv in receipt.tlvs if tlv.tag == 0x1E} == ids
    await product.settle(DELIVERED=2 * MANY)


@pytest.mark.wire('D8')
async def test_its_long_text_in_parts_arrives_and_each_part_gets_its_receipt(scripted, connect):
    product, operator = scripted
    smsc = await connect(product)
    parts = ucs2_parts(LONG_CYRILLIC, 0xFF)
    ids = await submit_all(smsc, [(part, UCS2) for part in parts], esm_class=UDHI)
    await operator.submitted(len(parts))
    assert joined(operator.submits) == LONG_CYRILLIC
    assert {pdu.destination_addr for pdu in operator.submits} == {NUMBER.encode()}
    for given in list(operator.given):
        assert await operator.deliver_receipt(given) == 0
    assert sorted(receipt_of(receipt).id.decode() for receipt in await next_events(smsc, len(parts))) == sorted(ids)


async def test_it_gets_mo_messages(scripted, connect):
    product, operator = scripted
    smsc = await connect(product)
    parts = ucs2_parts(LONG_CYRILLIC, 3)
    assert await operator.deliver(mo(GSM_OCTETS)) == 0
    for part in parts:
        assert await operator.deliver(mo(part, data_coding=UCS2, esm_class=UDHI)) == 0
    events = await next_events(smsc, 1 + len(parts))  # it hands them over in any order
    assert sorted((event.short_message, event.data_coding, event.esm_class) for event in events) == sorted(
        [(GSM_OCTETS, 0, 0), *((part, UCS2, UDHI) for part in parts)]
    )
    assert {event.source_addr for event in events} == {SUBSCRIBER}
    await product.settle(DELIVERED=1 + len(parts))


async def test_a_wrong_password_lets_it_not_bind(simulated):
    product, _ = simulated
    client = smpp34.Client('127.0.0.1', product.port, 'bank', 'Wr0ng-pw', bind_type='TRX', connect_timeout_ms=500)
    with pytest.raises((smpp34.SmppError, OSError, RuntimeError, TimeoutError)):
        await client.connect()


async def serve(server, handle_bind, taken):
    """Takes what comes in, and sends a receipt for each message when its response is out."""
    sessions = {}
    while True:
        event = await server.next()
        if isinstance(event, smpp34.Esme):
            sessions[event.session_id] = event
            handle_bind(event)
        elif isinstance(event, smpp34.SubmitSmEvent):
            number = f'{len(taken):08X}'
            taken.append(event)
            event.accept(number)
            if event.registered_delivery & 3:
                response = await sessions[event.session_id].deliver_sm(
                    event.source_addr,
                    f'id:{number} sub:001 dlvrd:001 submit date:2611211030 done date:2611211031'
                    f' stat:DELIVRD err:000 text:'.encode(),
                    source_addr=event.destination_addr,
                    esm_class=4,
                )
                assert response.is_success


async def test_it_is_the_operator(product, bind):
    port = free_port()
    server = smpp34.Server('127.0.0.1', port, system_id='rust')
    await server.start()
    binds: list[smpp34.Esme] = []
    taken: list[smpp34.SubmitSmEvent] = []
    serving = asyncio.create_task(serve(server, binds.append, taken))
    try:
        found = await product(upstreams={'mts': upstream(port)})
        esme = await bind(found)
        await until(lambda: binds)
        assert (binds[0].system_id, binds[0].can_receive) == ('proxy', True)
        texts = [(b'GSM \x00 text', 0), ('Привет'.encode('utf-16-be'), 8)] * FEW
        ids = [await esme.submit(text, data_coding=data_coding) for text, data_coding in texts]
        receipts = await esme.receipts(2 * FEW)
        assert sorted(receipt.id.decode() for receipt in receipts) == sorted(ids)
        assert sorted((event.short_message, event.data_coding) for event in taken) == sorted(texts)
        assert {(event.source_addr, event.destination_addr) for event in taken} == {(SENDER, NUMBER)}
        await found.settle(DELIVERED=2 * FEW)
        await found.stop()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await server.stop()
