"""Queues of several nodes in the hands of people, who ask one of them."""

import asyncpg

from tests.product.peers import submit
from tests.product.running import PASSWORD, command_json, everywhere_bound, run_command, upstream
from tests.product.waiting import until_async


async def queue(found, *words):
    """Runs `smsc queue`, which must succeed; returns what it prints."""
    status, out, err = await run_command(found, 'queue', *words)
    assert status == 0, err
    return out


async def test_each_node_holds_moves_and_ends_what_is_its_own(nodes, start_smsc):
    first, second = await start_smsc(start=False), await start_smsc()
    upstreams = {'mts': upstream(first.port), 'tele2': upstream(second.port)}
    found = await nodes(2, upstreams=upstreams, routes=[{'name': 'everything', 'failover': ['mts']}])
    await everywhere_bound(second, 2)
    for shift, node in enumerate(found):
        esme = await node.connect()
        await esme.bind('bank', PASSWORD)
        await esme.submit_all(submit(b'%d' % n) for n in range(10 * shift, 10 * shift + 10))
        await esme.close()

    async def owners():
        connection = await asyncpg.connect(**found[0].arguments)
        try:
            return [
                tuple(row) for row in await connection.fetch('select node, count(*) from waiting group by 1 order by 1')
            ]
        finally:
            await connection.close()

    async def both_have():
        return await owners() == [(1, 10), (2, 10)]

    await until_async(both_have)
    shown = await command_json(found[1], 'queue', '--json')
    assert [(q['name'], q['due'], q['memory']) for q in shown['queues']] == [('mts', 20, 0)]
    assert shown['silent_nodes'] == []
    await queue(found[0], 'pause', 'tele2')

    async def paused_everywhere():
        states = [(await node.status()).upstreams[1].state for node in found]
        return states == ['PAUSED', 'PAUSED']

    await until_async(paused_everywhere)
    assert await queue(found[0], 'move', 'mts', 'tele2', '--limit', '15') == 'moved 15 messages\n'
    assert await owners() == [(1, 10), (2, 10)]
    assert not second.submits
    assert await queue(found[1], 'purge', 'mts', '--yes') == 'ended 5 messages as DELETED\n'
    await queue(found[1], 'resume', 'tele2')
    await second.submitted(15)
    assert sorted(int(pdu.short_message) for pdu in second.submits) == list(range(15))
    book = await found[0].settle(DELETED=5)
    assert book.waiting == 15
