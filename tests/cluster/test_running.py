"""What an operator of several nodes sees and does at any one of them."""

import signal

from pdu.status import CommandStatus
from tests.product.peers import submit
from tests.product.running import command_json, everywhere_bound, free_port, run_command, upstream
from tests.product.waiting import until_async


async def states(product):
    """The nodes of the cluster as one of them sees them."""
    return {node.node: node.state for node in (await product.status()).nodes}


async def test_any_node_tells_how_all_of_them_stand(nodes, start_smsc, bind):
    smsc = await start_smsc()
    first, second = await nodes(2, upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    esme = await bind(second)
    await esme.submit()

    async def both_known():
        return await states(first) == {1: 'serving', 2: 'serving'}

    await until_async(both_known)
    there = next(node for node in (await command_json(first, 'status', '--json'))['nodes'] if node['node'] == 2)
    assert (there['load']['sessions'], there['taker'], there['http']) == (1, None, f'127.0.0.1:{second.http_port}')
    status, out, _ = await run_command(second, 'status')
    assert status == 0
    assert [line.split()[:2] for line in out.splitlines() if 'serving' in line][-2:] == [
        ['1', 'serving'],
        ['2', 'serving'],
    ]
    assert await second.metric('smsc_cluster_nodes', state='alive') == 2
    assert await second.metric('smsc_cluster_redis_available') == 1
    await second.stop(signal.SIGKILL)

    async def taken_over():
        return await states(first) == {1: 'serving', 2: 'taken over'}

    await until_async(taken_over)
    assert next(node.taker for node in (await first.status()).nodes if node.node == 2) == 1
    assert await first.metric('smsc_cluster_taken_over_total') == 1


async def test_what_is_switched_or_listed_at_one_node_holds_at_all(nodes, start_smsc, bind):
    smsc = await start_smsc()
    first, second = await nodes(2, upstreams={'mts': upstream(smsc.port)}, stop_lists={'poll_s': 60})
    await everywhere_bound(smsc)

    async def known():
        return await states(first) == {1: 'serving', 2: 'serving'}

    await until_async(known)

    async def off_everywhere():
        assert (await run_command(first, 'upstream', 'mts', 'off'))[0] == 0
        return (await second.status()).upstreams[0].state == 'OFF'

    # A node that stands still just then is not waited for: to say it again has it look once more.
    await until_async(off_everywhere)
    esme = await bind(second)

    async def listed_everywhere():
        assert (await run_command(first, 'stop-list', 'add', '79161234567', '--list', 'global'))[0] == 0
        return (await esme.ask(submit())).command_status != CommandStatus.ESME_ROK

    await until_async(listed_everywhere)


async def test_a_node_of_a_cluster_says_what_it_lacks(spawned):
    product = await spawned(start=False, cluster={'name': 'mine'}, upstreams={'mts': upstream(free_port())})
    status, _, err = await run_command(product, 'run')
    assert (status, '`cluster` needs store.redis: ' in err, 'smsc run --nodes 2' in err) == (1, True, True)
