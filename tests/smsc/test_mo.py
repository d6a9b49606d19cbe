"""MO messages: to the account a route names, kept while it is away, refused without a route."""

import pytest

from domain.ids import MessageIds
from domain.message import Kind, Message
from pdu import pdus
from pdu.codec import encode
from pdu.segments import concatenated
from pdu.status import CommandStatus
from pdu.tlvs import Tag, find
from smsc.clock import wall_ms
from smsc.mo import MoMessages
from smsc.mo_pdu import mo_message
from storage.store import Store
from tests.product.peers import mo, operator_receipt
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async

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


# The store


@pytest.fixture
async def frail(breaking, product, start_smsc, databases):
    """A product whose store can be cut off; long messages come whole."""
    smsc = await start_smsc()
    found = await product(
        dsn=lambda name: databases.dsn(name, breaking.folder),
        upstreams={'mts': upstream(smsc.port)},
        accounts={'bank': account(reassemble=True)},
        mo=ROUTES[:1],
    )
    await everywhere_bound(smsc)
    yield found, smsc
    if breaking._server is None:
        await breaking.restore()


@pytest.mark.wire('F18')
async def test_while_the_store_is_away_the_operator_keeps_it(frail, breaking, bind):
    product, smsc = frail
    bank = await bind(product)
    peer = smsc.receiving[-1]
    data = pdus.DataSm(source_addr=b'7', destination_addr=b'74951234567', tlvs=((Tag.MESSAGE_PAYLOAD, b'data'),))
    await breaking.cut()
    await until(lambda: not product.node.core.store.health.available)
    answers = await peer.ask_all([mo(b'kept'), data])
    assert [answer.command_status for answer in answers] == [CommandStatus.ESME_RX_T_APPN] * 2
    assert [answer.__class__ for answer in answers] == [pdus.DeliverSmResp, pdus.DataSmResp]
    await breaking.restore()
    await until(lambda: product.node.core.store.health.available)
    assert [answer.command_status for answer in await peer.ask_all([mo(b'kept'), data])] == [0, 0]
    await until(lambda: len(bank.delivered) == 2)
    await product.settle(DELIVERED=2)


@pytest.mark.wire('F18', 'D16')
async def test_no_part_is_acknowledged_before_its_commit_is_settled(frail, breaking, bind):
    product, smsc = frail
    bank = await bind(product)
    peer = smsc.receiving[-1]
    one, two = (mo(part, esm_class=0x40) for part in concatenated([b'1', b'2'], 7))
    breaking.lose = b'COPY '  # what says that it is committed
    numbers = peer.number(one, two)

    async def committed():
        return (await product.ledger()).accepted == 2

    await until_async(committed)
    assert not [pdu for pdu in await peer.settled() if isinstance(pdu, pdus.DeliverSmResp)]
    await breaking.cut()
    await breaking.restore()
    assert [(await peer.take(pdus.DeliverSmResp, number)).command_status for number in numbers] == [0, 0]
    await until(lambda: bank.delivered)
    assert bank.delivered[0].short_message == b'12'
    await product.settle(ACCEPTED=2, DELIVERED=1)


async def test_what_cannot_be_put_together_goes_on_in_parts(running, bind, monkeypatch):
    product, smsc = running
    product.write(accounts={'bank': {'reassemble': True}})
    await product.reload()
    bank = await bind(product)

    async def refuse(joined, parts):
        raise ValueError('this store takes none')

    monkeypatch.setattr(product.node.core.store, 'join', refuse)
    sent = [mo(part, esm_class=0x40) for part in concatenated([b'1', b'2'], 7)]
    smsc.receiving[-1].number(*sent)
    await until(lambda: len(bank.delivered) == 2)
    assert [pdu.short_message for pdu in bank.delivered] == [pdu.short_message for pdu in sent]
    await product.settle(DELIVERED=2)


async def test_an_account_may_ask_for_whole_messages_while_parts_are_on_their_way(running, bind):
    product, smsc = running
    one, two = (mo(part, esm_class=0x40) for part in concatenated([b'1', b'2'], 7))
    assert await smsc.deliver(one) == 0
    product.write(accounts={'bank': {'reassemble': True, 'reassemble_s': 0.1}})
    await product.reload()
    assert await smsc.deliver(two) == 0
    bank = await bind(product)
    await until(lambda: len(bank.delivered) == 2)  # the first had gone on already
    assert sorted(pdu.short_message for pdu in bank.delivered) == [one.short_message, two.short_message]
    await product.settle(DELIVERED=2)


async def test_a_session_without_tlvs_gets_what_has_room_there(running, bind):
    product, smsc = running
    bank = await bind(product, interface_version=0x33)
    payload = bytes(range(200))
    for size in (200, 100):
        assert await smsc.deliver(mo(b'', tlvs=((Tag.MESSAGE_PAYLOAD, payload[:size]), (0x1400, b'vendor')))) == 0
    await until(lambda: len(bank.delivered) == 2)
    assert [(pdu.short_message, pdu.tlvs) for pdu in bank.delivered] == [(payload, ()), (payload[:100], ())]


async def test_what_waits_for_an_account_counts_by_its_size(running, bind):
    product, smsc = running
    bank = await bind(product)
    bank.acknowledge = False
    for payload in (bytes(139), bytes(140), bytes(60_000)):
        assert await smsc.deliver(mo(b'', tlvs=((Tag.MESSAGE_PAYLOAD, payload),))) == 0
    assert [message.segments for message in product.node.core.live.values()] == [1, 2, 429]


def test_a_text_that_would_be_too_long_in_the_alphabet_of_the_esme_stays_as_it_is():
    greek = b'\x10' * 40_000  # 80,000 octets of UCS-2
    pdu = mo(b'', tlvs=((Tag.MESSAGE_PAYLOAD, greek),))
    assert mo_message(pdu, 'gsm', 'latin1') == pdu
    shorter = mo(b'', tlvs=((Tag.MESSAGE_PAYLOAD, greek[:32_767]),))
    assert mo_message(shorter, 'gsm', 'latin1').data_coding == 8


async def test_a_start_finds_all_there_is_before_it_puts_parts_together(product, start_smsc, bind, monkeypatch):
    """What is made meanwhile has a newer id: the low-water mark would pass over older messages not yet found."""
    smsc = await start_smsc()
    found = await product(
        start=False,
        upstreams={'mts': upstream(smsc.port)},
        accounts={'bank': account(reassemble=True)},
        mo=ROUTES[:1],
    )
    ids = MessageIds(1)
    left = []
    for reference, bodies in ((7, [b'1', b'2']), (8, [b'a', b'b', b'c'])):
        for octets in concatenated(bodies, reference)[:2]:
            pdu = mo(octets, esm_class=0x40)
            pdu.octets = encode(pdu)
            now_ms = wall_ms()
            left.append(Message(ids.next(now_ms), Kind.MO, 'bank', 'mts', pdu, 0, now_ms + 3_600_000))
    store = Store(found.arguments, node=1)
    await store.open(wall_ms())
    await store.accept(left)
    await store.close()
    known = []
    gather = MoMessages.gather_taken_up

    def watched(mo_messages):
        known.extend(mo_messages.core.live)
        gather(mo_messages)

    monkeypatch.setattr(MoMessages, 'gather_taken_up', watched)
    monkeypatch.setattr('smsc.recovery.PAGE', 2)
    await found.start()
    assert known == [message.id for message in left]
    bank = await bind(found)
    await until(lambda: bank.delivered)
    assert bank.delivered[0].short_message == b'12'
    await found.settle(ACCEPTED=2, DELIVERED=1)
