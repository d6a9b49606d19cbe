"""Messages, receipts and replies find their way between nodes."""

import pytest

from tests.product.running import everywhere_bound, free_port, upstream
from tests.product.waiting import until_async

MESSAGES = 30


@pytest.fixture
async def apart(nodes, start_smsc):
    """Two nodes of which only the second reaches the operator."""
    smsc = await start_smsc()
    first, second = await nodes(2, start=False, upstreams={'mts': upstream(smsc.port)})
    first.write(upstreams={'mts': {'port': free_port()}})
    await first.start()
    await second.start()
    await everywhere_bound(smsc)
    return first, second, smsc


@pytest.mark.wire('G11')
async def test_a_message_goes_by_the_node_with_the_link_and_its_receipt_comes_to_the_node_with_the_bind(apart, bind):
    first, second, smsc = apart
    esme = await bind(first)
    ids = [await esme.submit(text=b'text %d' % number) for number in range(MESSAGES)]
    sent = await smsc.submitted(MESSAGES)
    assert [pdu.short_message for pdu in sent] == [b'text %d' % number for number in range(MESSAGES)]
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    await esme.receipts(MESSAGES)
    assert {pdu.short_message.split()[0].decode() for pdu in esme.delivered} == {f'id:{one}' for one in ids}
    await second.settle(DELIVERED=MESSAGES)
    assert [account.waiting for node in apart[:2] for account in (await node.status()).accounts] == [0, 0]


@pytest.mark.wire('E9')
async def test_receipts_that_wait_at_one_node_are_delivered_when_the_account_binds_at_another(apart, bind):
    first, second, smsc = apart
    esme = await bind(first)
    for number in range(MESSAGES):
        await esme.submit(text=b'text %d' % number)
    await smsc.submitted(MESSAGES)
    await esme.close()
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    again = await bind(first)
    await again.receipts(MESSAGES)
    await second.settle(DELIVERED=MESSAGES)


async def test_what_waited_for_a_link_goes_out_when_it_comes_up_at_another_node(nodes, start_smsc, bind):
    smsc = await start_smsc(start=False)
    first, second = await nodes(2, start=False, upstreams={'mts': upstream(smsc.port)})
    first.write(upstreams={'mts': {'port': free_port()}})
    await first.start()
    await second.start()
    esme = await bind(first)
    for number in range(MESSAGES):
        await esme.submit(text=b'text %d' % number)
    await smsc.start()
    sent = await smsc.submitted(MESSAGES)
    assert len({pdu.short_message for pdu in sent}) == MESSAGES

    async def nothing_waits() -> bool:
        return [account.waiting for node in (first, second) for account in (await node.status()).accounts] == [0, 0]

    await until_async(nothing_waits)


@pytest.mark.wire('G10')
async def test_while_redis_is_away_each_node_goes_on_and_nothing_is_lost(nodes, own_redis, start_smsc, bind):
    smsc = await start_smsc()
    first, second = await nodes(2, start=False, store={'redis': own_redis.url}, upstreams={'mts': upstream(smsc.port)})
    first.write(upstreams={'mts': {'port': free_port()}})
    await first.start()
    await second.start()
    await everywhere_bound(smsc)
    here, there = await bind(first), await bind(second)
    await here.submit(text=b'before')
    await smsc.submitted(1)
    own_redis.stop()
    await here.submit(text=b'meanwhile, away from the link')
    await there.submit(text=b'meanwhile, with the link')
    await smsc.submitted(2)
    assert (first.process.poll(), second.process.poll()) == (None, None)
    own_redis.start()
    sent = await smsc.submitted(3)
    assert {pdu.short_message for pdu in sent} == {
        b'before',
        b'meanwhile, away from the link',
        b'meanwhile, with the link',
    }

    async def waiting():
        return [account.waiting for node in (first, second) for account in (await node.status()).accounts]

    assert min(await waiting()) >= 0

    async def nothing_waits():
        return await waiting() == [0, 0]

    await until_async(nothing_waits)
