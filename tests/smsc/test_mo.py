"""MO messages: to the account a route names, kept while it is away, refused without a route."""

import pytest

from pdu import pdus
from pdu.status import CommandStatus
from pdu.tlvs import Tag, find
from tests.product.peers import mo, operator_receipt
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until

ROUTES = [
    {'name': 'bank', 'when': {'destination': '7495*'}, 'account': 'bank'},
    {'name': 'stops', 'when': {'upstream': 'mts', 'text': '~(?i)^stop'}, 'account': 'shop'},
]


@pytest.fixture
async def running(product, start_smsc):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(), 'shop': account()}, mo=ROUTES
    )
    await everywhere_bound(smsc)
    return found, smsc


@pytest.mark.wire('E19')
async def test_a_route_decides_which_account_gets_an_mo_message(running, bind):
    product, smsc = running
    bank, shop = await bind(product), await bind(product, 'shop')
    assert await smsc.deliver(mo(b'hello')) == 0
    assert await smsc.deliver(mo(b'Stop it', destination_addr=b'1234')) == 0
    await until(lambda: bank.delivered and shop.delivered)
    (pdu,) = bank.delivered
    assert (pdu.short_message, pdu.source_addr, pdu.destination_addr) == (b'hello', b'79160000001', b'74951234567')
    assert pdu.esm_class == 0
    assert [pdu.short_message for pdu in shop.delivered] == [b'Stop it']
    await product.settle(DELIVERED=2)


@pytest.mark.wire('E19')
async def test_parts_and_long_payloads_pass_octet_for_octet(running, bind):
    product, smsc = running
    bank = await bind(product)
    part = b'\x05\x00\x03\x01\x02\x01' + bytes(range(100))
    payload = bytes(range(256)) * 4
    assert await smsc.deliver(mo(part, esm_class=0x40, data_coding=4)) == 0
    assert await smsc.deliver(mo(b'', tlvs=((Tag.MESSAGE_PAYLOAD, payload), (0x1400, b'vendor')))) == 0
    await until(lambda: len(bank.delivered) == 2)
    first, second = bank.delivered
    assert (first.short_message, first.esm_class, first.data_coding) == (part, 0x40, 4)
    assert find(second.tlvs, Tag.MESSAGE_PAYLOAD) == payload
    assert find(second.tlvs, 0x1400) == b'vendor'


async def test_without_a_route_it_is_refused_and_counted(running):
    product, smsc = running
    assert await smsc.deliver(mo(b'hello', destination_addr=b'1234')) == CommandStatus.ESME_RX_P_APPN
    assert await product.metric('smsc_mo_refused_total') == 1
    assert (await product.ledger()).accepted == 0


async def test_it_waits_for_an_account_that_is_not_bound_also_over_a_restart(running, bind):
    product, smsc = running
    for number in range(10):
        assert await smsc.deliver(mo(b'%d' % number)) == 0
    await product.stop()
    book = await product.ledger()
    assert (book.accepted, book.waiting) == (10, 10)
    await product.start()
    bank = await bind(product)
    await until(lambda: len(bank.delivered) == 10)
    assert [pdu.short_message for pdu in bank.delivered] == [b'%d' % number for number in range(10)]
    await product.settle(DELIVERED=10)


async def test_it_comes_again_until_it_is_acknowledged(running, bind):
    product, smsc = running
    bank = await bind(product)
    bank.acknowledge = False
    await smsc.deliver(mo())
    first = await bank.take(pdus.DeliverSm)
    await bank.reset()
    bank = await bind(product)
    await until(lambda: bank.delivered)
    assert bank.delivered[0].short_message == first.short_message
    await product.settle(DELIVERED=1)


async def test_an_account_that_refuses_it_for_good_ends_it(running, bind):
    product, smsc = running
    bank = await bind(product)
    bank.acknowledge = False
    await smsc.deliver(mo())
    pdu = await bank.take(pdus.DeliverSm)
    bank.send(pdus.DeliverSmResp(pdu.sequence_number, CommandStatus.ESME_RX_P_APPN))
    await product.settle(REJECTED=1)


async def test_receipts_and_mo_messages_share_the_way_to_the_account(running, bind):
    product, smsc = running
    bank = await bind(product)
    await bank.submit()
    await smsc.submitted(1)
    peer = smsc.receiving[-1]
    peer.number(mo(b'one'), operator_receipt(smsc.given[0]), mo(b'two'))
    await until(lambda: len(bank.delivered) == 3)
    assert sorted(pdu.esm_class for pdu in bank.delivered) == [0, 0, 4]
    await product.settle(DELIVERED=3)


async def test_a_header_longer_than_its_message_harms_neither_link_nor_route(running, bind):
    product, smsc = running
    bank = await bind(product)
    assert await smsc.deliver(mo(b'\x20stop', esm_class=0x40)) == 0
    await until(lambda: bank.delivered)
    assert (bank.delivered[0].short_message, bank.delivered[0].esm_class) == (b'\x20stop', 0x40)
    assert await smsc.deliver(mo(b'\x20stop', esm_class=0x40, destination_addr=b'1')) == CommandStatus.ESME_RX_P_APPN
    assert len(smsc.binds) == 1
