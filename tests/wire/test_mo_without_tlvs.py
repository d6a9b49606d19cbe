"""MO messages for accounts with sessions of 3.3, which take no TLVs: nothing long is lost there."""

import pytest

from pdu import pdus
from pdu.segments import concatenated
from pdu.tlvs import Tag, find, make
from tests.product.peers import mo
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until

ROUTES = [
    {'name': 'bank', 'when': {'destination': '7495*'}, 'account': 'bank'},
    {'name': 'whole', 'when': {'destination': '7812*'}, 'account': 'whole'},
]


@pytest.fixture
async def running(product, start_smsc):
    """An operator, and accounts that want parts as they are, and long messages whole."""
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        accounts={'bank': account(), 'whole': account(reassemble=True)},
        mo=ROUTES,
    )
    await everywhere_bound(smsc)
    return found, smsc


def payload_of(pdu):
    return pdu.short_message or find(pdu.tlvs, Tag.MESSAGE_PAYLOAD)


def parts(bodies, reference=7):
    return [mo(part, esm_class=0x40, destination_addr=b'78120000001') for part in concatenated(bodies, reference)]


LONG = tuple(mo(b'', tlvs=(make(Tag.MESSAGE_PAYLOAD, b'%d' % number * 300),)) for number in range(10))


@pytest.mark.wire('E19', 'B2')
async def test_what_needs_tlvs_goes_to_the_session_that_takes_them(running, bind):
    product, smsc = running
    old, new = await bind(product, interface_version=0x33), await bind(product)
    short = [mo(b'short %d' % number) for number in range(10)]
    for pdu in (*LONG, *short):
        assert (await smsc.receiving[0].ask(pdu)).command_status == 0
    await until(lambda: len(old.delivered) + len(new.delivered) == 20)
    assert not [
        pdu for pdu in old.delivered if pdu.tlvs or pdu.short_message not in {pdu.short_message for pdu in short}
    ]
    assert [payload_of(pdu) for pdu in new.delivered if pdu.tlvs] == [payload_of(pdu) for pdu in LONG]
    await product.settle(DELIVERED=20)


@pytest.mark.wire('E19', 'E9')
async def test_what_needs_tlvs_waits_for_a_session_that_takes_them(running, bind, monkeypatch, capsys):
    monkeypatch.setattr('smsc.account.NEEDS_TLVS_RETRY_MS', 50)
    product, smsc = running
    old = await bind(product, interface_version=0x33)
    for pdu in LONG:
        assert (await smsc.receiving[0].ask(pdu)).command_status == 0
    assert (await smsc.receiving[0].ask(mo(b'short'))).command_status == 0
    await until(lambda: old.delivered)
    assert [pdu.short_message for pdu in old.delivered] == [b'short']
    await product.settle(DELIVERED=1)
    assert capsys.readouterr().out.count('mo.needs_tlvs') == 1
    new = await bind(product)
    await until(lambda: len(new.delivered) == 10)
    await product.settle(DELIVERED=11)


@pytest.mark.wire('E19', 'E11')
async def test_what_was_held_for_a_session_that_went_goes_to_the_next(running, bind):
    product, smsc = running
    product.write(accounts={'bank': {'window': 1}})
    await product.reload()
    await bind(product, interface_version=0x33)
    stuck = await bind(product)
    stuck.acknowledge = False
    for pdu in LONG:
        assert (await smsc.receiving[0].ask(pdu)).command_status == 0
    await stuck.take(pdus.DeliverSm)
    feed = product.node.core.account('bank').feed
    await until(lambda: feed.held_count == 9)
    new = await bind(product)
    await stuck.reset()
    await until(lambda: len(new.delivered) == 10)
    assert sorted(payload_of(pdu) for pdu in new.delivered) == [payload_of(pdu) for pdu in LONG]
    await product.settle(DELIVERED=10)


@pytest.mark.wire('D16', 'B2')
async def test_an_account_with_sessions_of_3_3_alone_gets_the_parts_of_what_has_no_room_whole(running, bind):
    product, smsc = running
    old = await bind(product, 'whole', interface_version=0x33)
    sent = [*parts([b'a' * 130, b'b' * 130]), *parts([b'1', b'2'], 8)]
    answers = await smsc.receiving[0].ask_all(sent)
    assert {answer.command_status for answer in answers} == {0}
    await until(lambda: len(old.delivered) == 3)
    assert sorted(pdu.short_message for pdu in old.delivered) == sorted(
        [sent[0].short_message, sent[1].short_message, b'12']
    )
    await product.settle(ACCEPTED=2, DELIVERED=3)
