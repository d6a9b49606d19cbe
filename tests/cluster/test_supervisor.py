"""`smsc run --nodes 2`: several processes of one machine as one product."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from smsc.control import ControlError, ask
from tests.product.running import PASSWORD, everywhere_bound, run_command, upstream
from tests.product.waiting import until, until_async

pytestmark = pytest.mark.skipif(shutil.which('redis-server') is None, reason='needs redis-server')


async def nodes_ready(product, *nodes):
    """Waits until nodes answer; returns their process ids."""

    async def ready():
        try:
            answers = [await ask(product.folder / 'var', 'status', node) for node in nodes]
        except ControlError:
            return None
        return [answer['pid'] for answer in answers]

    return await until_async(ready)


@pytest.mark.wire('G9')
async def test_two_nodes_share_a_port_and_are_restarted_one_by_one(spawned, start_smsc, bind):
    smsc = await start_smsc()
    product = await spawned(start=False, upstreams={'mts': upstream(smsc.port)})
    product.options = ('--nodes', '2')
    await product.start()
    pids = await nodes_ready(product, 1, 2)
    assert len(set(pids)) == 2
    await everywhere_bound(smsc)
    esmes = [await bind(product) for _ in range(6)]
    for esme in esmes:
        await esme.submit()
    await smsc.submitted(len(esmes))
    status, out, err = await run_command(product, 'restart')
    assert (status, out) == (0, 'node 1 restarted\nnode 2 restarted\n'), err
    assert not set(await nodes_ready(product, 1, 2)) & set(pids)
    status, out, err = await run_command(
        product, 'send', '79161234567', 'hi', '--account', 'bank', '--password', PASSWORD, '--wait', '2'
    )
    assert 'accepted' in out, err
    await smsc.submitted(len(esmes) + 1)


async def test_a_node_that_died_is_started_anew_and_a_dead_supervisor_takes_all_with_it(spawned, start_smsc):
    smsc = await start_smsc()
    product = await spawned(start=False, upstreams={'mts': upstream(smsc.port)})
    product.options = ('--nodes', '2')
    await product.start()
    first, second = await nodes_ready(product, 1, 2)
    os.kill(second, signal.SIGKILL)

    async def anew():
        pids = await nodes_ready(product, 1, 2)
        return pids if pids[1] != second else None

    pids = await until_async(anew)
    assert pids[0] == first
    await product.stop(signal.SIGKILL)
    await until(lambda: not any(runs(pid) for pid in pids))


def runs(pid):
    """Whether a process has not ended."""
    try:
        return 'Z' not in Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except OSError:
        return False
