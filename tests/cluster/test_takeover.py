"""What a dead node leaves is taken over by another, once."""

import signal

import asyncpg
import pytest

from tests.product.running import everywhere_bound, free_port, upstream
from tests.product.waiting import until, until_async

MESSAGES = 30


@pytest.fixture
async def stored():
    """Asks a product's store: `await stored(product, 'select ...')` is the value it returns."""

    async def ask(product, statement):
        connection = await asyncpg.connect(**product.arguments)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return ask


@pytest.mark.wire('G10')
async def test_what_a_killed_node_had_waiting_goes_out_by_another_one(nodes, start_smsc, bind):
    port = free_port()
    first, second = await nodes(2, upstreams={'mts': upstream(port)})
    esme = await bind(first)
    ids = [await esme.submit(text=b'text %d' % number) for number in range(MESSAGES)]
    await first.stop(signal.SIGKILL)
    smsc = await start_smsc(port)
    await everywhere_bound(smsc)
    sent = await smsc.submitted(MESSAGES)
    assert {pdu.short_message for pdu in sent} == {f'text {number}'.encode() for number in range(MESSAGES)}
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    again = await bind(second)
    await again.receipts(MESSAGES)
    assert {pdu.short_message.split()[0] for pdu in again.delivered} == {f'id:{one}'.encode() for one in ids}
    await second.settle(DELIVERED=MESSAGES)


async def test_a_receipt_that_a_killed_node_had_not_handed_on_is_handed_on_by_another_one(nodes, start_smsc, bind):
    smsc = await start_smsc()
    first, second = await nodes(2, upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc, 2)
    esme = await bind(first)
    message_id = await esme.submit()
    await smsc.submitted(1)

    async def taken() -> bool:
        return bool((await first.story(message_id)).parts)  # else it would be sent again, and have another receipt

    await until_async(taken)
    await esme.close()
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    await first.stop(signal.SIGKILL)
    again = await bind(second)
    await again.receipts(1)
    assert again.delivered[0].short_message.startswith(f'id:{message_id} '.encode())


@pytest.mark.wire('G10')
async def test_what_is_given_to_a_node_after_it_was_taken_over_goes_out_all_the_same(nodes, start_smsc, bind, stored):
    port = free_port()
    first, second = await nodes(2, upstreams={'mts': upstream(port)})
    await second.stop(signal.SIGKILL)

    async def taken_over():
        return await stored(first, 'select true from node where node = 2 and is_taken')

    await until_async(taken_over)
    esme = await bind(first)
    await esme.submit(text=b'given late')

    async def given():  # as a commit that had begun before
        return await stored(first, "update waiting set node = 2 where outbox = 'upstream mts' returning true")

    await until_async(given)
    smsc = await start_smsc(port)
    assert [pdu.short_message for pdu in await smsc.submitted(1)] == [b'given late']
    await smsc.deliver_receipt(smsc.given[0])
    await esme.receipts(1)
    await first.settle(DELIVERED=1)


async def test_a_node_that_was_taken_over_ends_when_it_wakes_up(nodes, start_smsc, bind):
    port = free_port()
    first, second = await nodes(2, upstreams={'mts': upstream(port)})
    esme = await bind(first)
    for number in range(MESSAGES):
        await esme.submit(text=b'text %d' % number)
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    smsc = await start_smsc(port)
    await smsc.submitted(MESSAGES)
    first.process.send_signal(signal.SIGCONT)
    await until(lambda: first.process.poll() is not None)
    assert first.process.returncode == 75
    first.process = None
    assert len(smsc.given) == MESSAGES
    await first.start()
    esme = await bind(first)
    await esme.submit(text=b'after it')
    await smsc.submitted(MESSAGES + 1)
    assert (await second.status()).node == 2


async def test_a_number_belongs_to_one_process(nodes, start_smsc):
    smsc = await start_smsc()
    first, second = await nodes(2, start=False, upstreams={'mts': upstream(smsc.port)})
    await first.start()
    second.write(node=1)
    await second.start()
    assert first.process is not None
    await until(lambda: first.process.poll() is not None)
    assert first.process.returncode == 75
    assert 'node.fenced' in first.log.read_text()
    first.process = None
