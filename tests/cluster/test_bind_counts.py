"""What is counted over all nodes: sessions of an account, and its waiting messages."""

import asyncio
import signal

import pytest

from pdu.status import CommandStatus
from tests.product.peers import submit
from tests.product.running import PASSWORD, account, free_port, upstream
from tests.product.waiting import until, until_async

FULL = CommandStatus.ESME_RBINDFAIL
BINDS = 5
WAITING = 1_000


@pytest.fixture
def try_bind(connect):
    """Binds an ESME to a node: the ESME and the status of its bind."""

    async def try_bind(node):
        esme = await connect(node)
        return esme, (await esme.bind('bank', PASSWORD)).command_status

    return try_bind


@pytest.mark.wire('B7')
async def test_an_account_has_no_more_binds_than_it_may_over_all_nodes(nodes, own_redis, try_bind):
    first, second = await nodes(
        2,
        store={'redis': own_redis.url},
        upstreams={'mts': upstream(free_port())},
        accounts={'bank': account(binds=BINDS)},
    )
    tried = await asyncio.gather(*(try_bind(node) for node in (first, second) * BINDS))
    assert [status for _, status in tried].count(0) == BINDS
    assert {status for _, status in tried} == {0, FULL}
    await next(esme for esme, status in tried if not status).reset()

    async def binds() -> bool:
        return bool((await try_bind(second))[1] == 0)

    async def both_are_full() -> bool:
        return [(await try_bind(node))[1] for node in (first, second)] == [FULL, FULL]

    await until_async(binds)
    assert await both_are_full()
    own_redis.stop()
    assert await both_are_full()
    own_redis.start()
    await until(lambda: [node.log.read_text().count('redis.connected') for node in (first, second)] == [2, 2])
    assert await both_are_full()  # it has lost all that it knew
    await first.stop(signal.SIGKILL)
    await until_async(binds)


@pytest.mark.wire('C34')
async def test_messages_that_wait_at_one_node_count_for_the_bound_of_the_account_at_another(nodes, bind):
    first, second = await nodes(
        2, upstreams={'mts': upstream(free_port())}, accounts={'bank': account(waiting=WAITING, window=WAITING)}
    )
    here, there = await bind(first), await bind(second)
    await here.submit_all(submit() for _ in range(WAITING))
    accepted = 0

    async def refused() -> bool:
        nonlocal accepted
        status = (await there.ask(submit())).command_status
        accepted += not status
        return bool(status == CommandStatus.ESME_RMSGQFUL)

    await until_async(refused)
    assert accepted < WAITING
