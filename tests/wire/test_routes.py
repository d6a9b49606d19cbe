"""Routes on the wire: what a message is and says chooses its operator, and the account that a reply goes to."""

import time

import pytest

from pdu.status import CommandStatus
from pdu.tlvs import Tag, make
from tests.product.peers import mo, submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until

SOON_S, DAY_S = 3 * 3_600, 86_400


def hours(first_s: float) -> str:
    """Return a span of 12 hours that begins so many seconds from now, in UTC."""
    return '-'.join(time.strftime('%H:%M', time.gmtime(time.time() + first_s + later)) for later in (0, DAY_S / 2))


def rule(name, **when):
    return {'name': name, 'when': when, 'failover': [name.partition(' ')[0]]}


@pytest.fixture
async def routed(product, start_smsc, bind):
    """Two operators, two accounts, and routes: `found, smscs, esmes = await routed([...])`."""

    async def start(routes, **tree):
        smscs = {'mts': await start_smsc(), 'tele2': await start_smsc()}
        found = await product(
            upstreams={name: upstream(smsc.port) for name, smsc in smscs.items()},
            accounts={'bank': account(), 'shop': account()},
            routes=routes,
            **tree,
        )
        for smsc in smscs.values():
            await everywhere_bound(smsc)
        esmes = {name: await bind(found, name) for name in ('bank', 'shop')}

        return found, smscs, esmes

    return start


def texts(smsc):
    return sorted(pdu.short_message for pdu in smsc.submits)


@pytest.mark.wire('G1')
async def test_rules_of_every_kind_choose_the_operator(routed):
    _, smscs, esmes = await routed(
        [
            rule('tele2 prefix', destination='7495*'),
            rule('mts prefix', destination='749*'),
            rule('tele2 sender', source_addr=['Shop', 'Shop-*']),
            rule('tele2 account', account='shop'),
            rule('tele2 text', text=r'~(?i)\bкод\b|code:'),
            rule('tele2 keyword', keyword='pin'),
            rule('tele2 tlv', tlv={'0x1400': 'gold*', 'user_message_reference': 7}),
            rule('tele2 parts', parts='>1'),
            rule('tele2 priority', priority=3),
            rule('tele2 country', country='KZ'),
            rule('tele2 closed', time=hours(SOON_S), text='closed'),
            rule('tele2 open', time=hours(-SOON_S), text='open'),
            {'name': 'refused', 'when': {'text': 'refused'}, 'reject': 'ESME_RSUBMITFAIL'},
            {'name': 'rest', 'failover': ['mts']},
        ]
    )
    reference = make(Tag.USER_MESSAGE_REFERENCE, 7)
    wanted = [
        submit(b'prefix', destination_addr=b'74951234567'),
        submit(b'sender', source_addr=b'Shop-1'),
        submit(b'your CODE: 1'),
        submit('ваш код 1'.encode('utf-16-be'), data_coding=8),
        submit(b'Pin 4711'),
        submit(b'tlv', tlvs=((0x1400, b'golden'), reference)),
        submit(b'x' * 161),
        submit(b'priority', priority_flag=3),
        submit(b'country', destination_addr=b'77011234567'),
        submit(b'open'),
    ]
    others = [
        submit(b'shorter prefix', destination_addr=b'74981234567'),
        submit(b'another sender', source_addr=b'Shops'),
        submit(b'codes'),
        submit(b'a pin'),
        submit(b'another tlv', tlvs=((0x1400, b'silver'), reference)),
        submit(b'one tlv', tlvs=(reference,)),
        submit(b'x' * 160),
        submit(b'another priority', priority_flag=2),
        submit(b'closed'),
    ]
    await esmes['bank'].submit_all([*wanted, *others])
    await esmes['shop'].submit_all([submit(b'account')])
    tele2, mts = await smscs['tele2'].submitted(len(wanted) + 2), await smscs['mts'].submitted(len(others))
    assert {pdu.short_message for pdu in mts} == {pdu.short_message for pdu in others}
    assert {pdu.short_message for pdu in tele2} > {pdu.short_message for pdu in wanted if len(pdu.short_message) < 160}
    assert b'account' in {pdu.short_message for pdu in tele2}
    assert len(tele2) == len(wanted) + 2  # the long one in two parts, and that of the other account
    assert (await esmes['bank'].ask(submit(b'refused'))).command_status == CommandStatus.ESME_RSUBMITFAIL


async def test_a_message_that_a_route_drops_is_accepted_and_ends_unsent(routed):
    found, smscs, esmes = await routed(
        [{'name': 'void', 'when': {'text': 'void'}, 'drop': True}, {'name': 'rest', 'failover': ['mts', 'tele2']}]
    )
    await esmes['bank'].submit(b'void')
    (receipt,) = await esmes['bank'].receipts(1)
    assert receipt.state.name == 'REJECTED'
    await found.settle(REJECTED=1)
    assert texts(smscs['mts']) == texts(smscs['tele2']) == []


@pytest.mark.wire('E19')
async def test_replies_find_their_account_by_keyword_country_and_operator(routed):
    _, smscs, esmes = await routed(
        [],
        mo=[
            {'name': 'codes', 'when': {'upstream': 'mts', 'keyword': ['код', 'code']}, 'account': 'shop'},
            {'name': 'abroad', 'when': {'country': 'KZ', 'destination': '7495*'}, 'account': 'shop'},
            {'name': 'rest', 'unless': {'country': 'KZ'}, 'account': 'bank'},
        ],
    )
    mts, tele2 = smscs['mts'], smscs['tele2']
    assert await mts.deliver(mo(b'CODE 1')) == 0
    assert await tele2.deliver(mo(b'code 2')) == 0
    assert await mts.deliver(mo(b'abroad', source_addr=b'77011234567')) == 0
    assert await mts.deliver(mo(b'abroad', source_addr=b'77011234567', destination_addr=b'7812')) != 0
    assert await mts.deliver(mo(b'at home', source_addr=b'+79161234567')) == 0
    shop, bank = esmes['shop'], esmes['bank']
    await until(lambda: len(shop.delivered) >= 2 and len(bank.delivered) >= 2)
    assert [pdu.short_message for pdu in shop.delivered] == [b'CODE 1', b'abroad']
    assert [pdu.short_message for pdu in bank.delivered] == [b'code 2', b'at home']
