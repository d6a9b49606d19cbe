"""Independent SMPP implementations bind to the product as ESMEs, submit texts, and get responses and receipts."""

import asyncio
import logging
import threading
from typing import Any

import aiosmpplib
import pytest
import smpp34
import smpplib.client
import smpplib.consts
import smpplib.gsm
from aiosmpplib.protocol import DeliverSm, SubmitSm, SubmitSmResp
from aiosmpplib.state import NPI, TON, PhoneNumber

from tests.product.peers import receipt_of
from tests.product.running import PASSWORD, free_port, upstream
from tests.product.waiting import until

TEXTS = ['Price: 5€ [now] {~} @home', 'Привет, мир']
NUMBER, SENDER = '79161234567', 'MyBank'
MANY, FEW = 50, 15


@pytest.fixture
async def running(product, start_operator):
    """A product with a simulated operator."""
    port = free_port()
    operator = await start_operator(port)
    found = await product(upstreams={'mts': upstream(port)})
    await found.links_bound('mts')
    return found, operator


class Hook(aiosmpplib.AbstractHook):
    """Keeps what aiosmpplib receives."""

    def __init__(self):
        self.responses, self.receipts, self.errors = [], [], []

    async def sending(self, smpp_message, pdu, client_id):
        pass

    async def received(self, smpp_message, pdu, client_id):
        if isinstance(smpp_message, SubmitSmResp):
            self.responses.append(smpp_message)
        elif isinstance(smpp_message, DeliverSm):
            self.receipts.append(smpp_message)

    async def send_error(self, smpp_message, error, client_id):
        self.errors.append(error)


async def test_aiosmpplib(running):
    product, _operator = running
    hook, before = Hook(), asyncio.all_tasks()
    esme = aiosmpplib.ESME('127.0.0.1', product.port, 'bank', PASSWORD, hook=hook, log_level=logging.ERROR)
    task = asyncio.create_task(esme.start())
    try:
        for text in TEXTS * MANY:
            await esme.broker.enqueue(
                SubmitSm(
                    short_message=text,
                    source=PhoneNumber(SENDER, ton=TON.ALPHANUMERIC, npi=NPI.UNKNOWN),
                    destination=PhoneNumber(NUMBER),
                    log_id=text,
                )
            )
        await until(lambda: len(hook.receipts) == 2 * MANY)
    finally:
        writer = esme._writer
        await esme.stop()
        await task
        if writer is not None:  # it only says that it writes no more
            writer.close()
            await writer.wait_closed()
        left = asyncio.all_tasks() - before  # and it leaves a timer running
        for timer in left:
            timer.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    assert hook.errors == []
    assert {int(response.command_status) for response in hook.responses} == {0}
    told = [receipt.parse_receipt() for receipt in hook.receipts]
    assert {receipt['stat'] for receipt in told} == {'DELIVRD'}
    assert sorted(receipt['id'] for receipt in told) == sorted(response.message_id for response in hook.responses)
    await product.settle(DELIVERED=2 * MANY)


def submit_with_smpplib(port, texts, found):
    """Binds, submits and reads until every receipt is there; what came is left in `found`."""
    client = smpplib.client.Client('127.0.0.1', port, timeout=20, allow_unknown_opt_params=True)
    client.set_message_sent_handler(lambda pdu: found['ids'].append((pdu.status, pdu.message_id.decode())))
    client.set_message_received_handler(lambda pdu: found['receipts'].append(pdu.short_message))
    client.connect()
    client.bind_transceiver(system_id='bank', password=PASSWORD)
    for text in texts:
        parts, data_coding, esm_class = smpplib.gsm.make_parts(text)
        for part in parts:
            client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
                source_addr=SENDER,
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                destination_addr=NUMBER,
                short_message=part,
                data_coding=data_coding,
                esm_class=esm_class,
                registered_delivery=True,
            )
            found['parts'] += 1
    while len(found['receipts']) < found['parts']:
        client.read_once()
    client.unbind()
    client.disconnect()


async def test_smpplib(running):
    product, operator = running
    found: dict[str, Any] = {'ids': [], 'receipts': [], 'parts': 0}
    failure = []

    def work():
        try:
            submit_with_smpplib(product.port, [*TEXTS, 'long ' * 60, 'длинный ' * 20] * 5, found)
        except Exception as error:  # noqa: BLE001 - shown by the test
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    await until(lambda: not thread.is_alive())
    assert failure == []
    assert found['parts'] == (1 + 1 + 2 + 3) * 5
    assert {status for status, _ in found['ids']} == {0}
    ids = sorted(message_id for _, message_id in found['ids'])
    assert sorted(text.split()[0].removeprefix(b'id:').decode() for text in found['receipts']) == ids
    assert all(b'stat:DELIVRD' in text for text in found['receipts'])
    assert operator.counters.accepted == found['parts']
    await product.settle(DELIVERED=found['parts'])


async def test_smpp34(running):
    product, _operator = running
    client = smpp34.Client('127.0.0.1', product.port, 'bank', PASSWORD, bind_type='TRX', window_size=20)
    smsc = await client.connect()
    gsm = TEXTS[0].replace('€', '').encode('ascii').replace(b'@', b'\0')
    responses = await asyncio.gather(
        *(
            smsc.submit_sm(
                NUMBER,
                text,
                source_addr=SENDER,
                source_addr_ton=5,
                dest_addr_ton=1,
                dest_addr_npi=1,
                data_coding=data_coding,
                registered_delivery=1,
            )
            for text, data_coding in [(gsm, 0), (TEXTS[1].encode('utf-16-be'), 8)] * MANY
        )
    )
    assert {response.command_status for response in responses} == {0}
    receipts: list[Any] = []
    async with asyncio.timeout(20):
        while len(receipts) < 2 * MANY:
            receipts.append(await smsc.next())
    assert {receipt.esm_class for receipt in receipts} == {4}
    assert {(receipt.source_addr, receipt.destination_addr) for receipt in receipts} == {(NUMBER, SENDER)}
    ids = {receipt_of(receipt).id.decode() for receipt in receipts}
    assert ids == {response.message_id for response in responses}
    assert {tlv.as_string() for receipt in receipts for tlv in receipt.tlvs if tlv.tag == 0x1E} == ids
    await smsc.unbind()
    await client.stop()
    await product.settle(DELIVERED=2 * MANY)


@pytest.mark.wire('B4')
async def test_smpp34_is_told_of_a_wrong_password(running):
    product, _ = running
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


async def test_smpp34_as_the_operator(product, bind):
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
