"""Accounts beside each other at one upstream: none waits behind another one's queue, in memory or on disk."""

import pytest

from smsc.lanes import TURN
from tests.product.peers import submit
from tests.product.running import account, upstream
from tests.product.waiting import until

QUEUED = 1000


async def two_accounts(product, start_smsc, bind):
    """A product whose only operator is down: an account with a queue, and another one."""
    smsc = await start_smsc(start=False)
    found = await product(
        upstreams={'mts': upstream(smsc.port, window=1)},
        accounts={'bank': account(window=QUEUED), 'shop': account(system_id='shop')},
        queues={'memory': 100},
    )
    bank, shop = await bind(found), await bind(found, system_id='shop')
    await bank.submit_all(submit(b'%04d' % number) for number in range(QUEUED))
    return found, smsc, shop


def places(smsc, text):
    return [place for place, pdu in enumerate(smsc.submits) if pdu.short_message == text]


@pytest.mark.wire('G14')
@pytest.mark.parametrize('restarted', [False, True])
async def test_what_comes_after_another_accounts_queue_leaves_with_its_beginning(product, start_smsc, bind, restarted):
    found, smsc, shop = await two_accounts(product, start_smsc, bind)
    await shop.submit_all([submit(b'shop')] * 3)
    if restarted:
        await found.stop()
        await found.start()
    await smsc.start()
    await smsc.submitted(QUEUED + 3)
    assert max(places(smsc, b'shop')) <= TURN + 3
    in_order = [pdu.short_message for pdu in smsc.submits if pdu.short_message != b'shop']
    assert in_order == [b'%04d' % number for number in range(QUEUED)]
    await until(lambda: found.node.core.upstreams['mts'].feed.outbox.depth == 0)


@pytest.mark.wire('G14')
async def test_what_comes_while_another_accounts_queue_is_fed_does_not_wait_for_its_end(product, start_smsc, bind):
    found, smsc, shop = await two_accounts(product, start_smsc, bind)
    outbox = found.node.core.upstreams['mts'].feed.outbox
    await smsc.start()
    await smsc.submitted(100)
    await shop.submit(b'shop')
    await until(lambda: places(smsc, b'shop'))
    before = places(smsc, b'shop')[0]
    assert outbox.on_disk or before < QUEUED - 100
    await smsc.submitted(QUEUED + 1)


@pytest.mark.wire('C18', 'G14')
async def test_what_is_urgent_overtakes_a_queue_that_is_on_disk(product, start_smsc, bind):
    found, smsc, shop = await two_accounts(product, start_smsc, bind)
    await shop.submit_all([submit(b'shop', priority_flag=0)] * 200)
    await shop.submit(b'code', priority_flag=3)
    await smsc.start()
    await smsc.submitted(QUEUED + 201)
    (place,) = places(smsc, b'code')
    assert place <= 1  # one message may have been on its way to the link already
    assert len(smsc.submits) == QUEUED + 201
    await until(lambda: found.node.core.upstreams['mts'].feed.outbox.depth == 0)
