"""What the policy counts holds over all nodes: duplicates, daily limits, fraud rules, failures."""

import asyncio
import signal

import pytest

from pdu.status import CommandStatus
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until_async

S = CommandStatus
REPEATED = {'duplicates': {'within_s': 3_600}}


async def told(node, count):
    """Waits until a node has heard of so many messages and failures of others."""

    async def heard() -> bool:
        return await node.metric('smsc_cluster_counted_total', direction='heard') >= count

    await until_async(heard)


@pytest.fixture
async def pair(nodes, start_smsc, bind):
    """Two nodes, their operator, and an ESME at each; settings are those of the account, `more` of the product."""

    async def start(settings, start=True, **more):
        smsc = await start_smsc()
        tree = {'accounts': {'bank': account(**settings)}, 'upstreams': {'mts': upstream(smsc.port)}} | more
        first, second = await nodes(2, **tree)
        await everywhere_bound(smsc, 2)
        return first, second, smsc, await bind(first), await bind(second)

    return start


@pytest.mark.wire('C33')
async def test_a_retry_at_another_node_has_the_id_of_the_first_also_after_a_restart(pair, bind):
    first, second, smsc, here, there = await pair(REPEATED)
    ids = [await here.submit(b'text %d' % number) for number in range(3)]
    parts = [submit(b'\x05\x00\x03\x07\x02%c part' % number, esm_class=0x40) for number in (1, 2)]
    part_ids = await here.submit_all(parts)
    await told(second, 5)
    assert [await there.submit(b'text %d' % number) for number in range(3)] == ids
    assert await there.submit_all(parts) == part_ids
    await second.stop(signal.SIGKILL)
    ids.append(await here.submit(b'text 3'))
    await second.start()
    again = await bind(second)
    assert [await again.submit(b'text %d' % number) for number in range(4)] == ids
    assert await again.submit(b'text 4') not in ids
    await smsc.submitted(7)
    assert (await first.ledger()).accepted == 7
    assert await first.metric('smsc_cluster_counted_total', direction='heard') == 1  # what was told is not told again


async def test_a_daily_limit_holds_over_nodes_and_their_restarts(pair, bind):
    first, second, _, here, there = await pair({'daily_limit': {'messages': 3}})
    await here.submit(b'1')
    await told(second, 1)
    await there.submit(b'2')
    await told(first, 1)
    await second.stop(signal.SIGKILL)
    await here.submit(b'3')
    await second.start()
    again = await bind(second)
    assert (await here.ask(submit(b'4'))).command_status == S.ESME_RSUBMITFAIL
    other = {'destination_addr': b'79160000002'}

    async def refused() -> bool:
        """The messages of today are read back behind the traffic."""
        return (await again.ask(submit(b'4'))).command_status == S.ESME_RSUBMITFAIL

    await until_async(refused)
    await here.submit_all(submit(b'%d' % number, **other) for number in range(3))
    await told(second, 3)
    assert (await again.ask(submit(**other))).command_status == S.ESME_RSUBMITFAIL


FRAUD = {
    'rules': [
        {'name': 'pace', 'velocity': {'per_minute': 40}, 'accounts': ['bank'], 'status': 'ESME_RTHROTTLED'},
        {'name': 'range', 'burst': {'messages': 3, 'within_s': 3_600, 'digits': 9}, 'accounts': ['bank']},
    ]
}


async def test_rules_that_count_messages_count_those_of_all_nodes(pair):
    first, second, _, here, there = await pair({}, fraud=FRAUD)
    near = [b'7916123450%d' % number for number in range(4)]
    await here.submit_all(submit(destination_addr=number) for number in near[:3])
    await told(second, 3)
    answer = await there.ask(submit(destination_addr=near[3]))
    assert answer.command_status == S.ESME_RSUBMITFAIL
    await here.submit_all(submit(destination_addr=b'79%03d000000' % number) for number in range(37))
    await told(second, 40)
    assert (await there.ask(submit(destination_addr=b'79260000000'))).command_status == S.ESME_RTHROTTLED
    assert await first.metric('smsc_cluster_counted_total', direction='heard') == 0
