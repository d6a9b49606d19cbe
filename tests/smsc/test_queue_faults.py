"""Work on a queue that is broken off by a crash: what was done is done, the rest is where it was."""

import asyncio
import signal

import asyncpg

from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, run_command, upstream
from tests.product.waiting import until_async

MESSAGES = 4_000


async def test_a_kill_in_the_middle_of_a_move_loses_and_doubles_nothing(spawned, start_smsc, bind):
    first, second = await start_smsc(start=False), await start_smsc()
    found = await spawned(
        upstreams={'mts': upstream(first.port), 'tele2': upstream(second.port)},
        routes=[{'name': 'everything', 'failover': ['mts']}],
        accounts={'bank': account(window=MESSAGES)},
    )
    assert (await run_command(found, 'queue', 'pause', 'tele2'))[0] == 0
    esme = await bind(found)
    await esme.submit_all(submit(b'%04d' % n, registered_delivery=0) for n in range(MESSAGES))
    connection = await asyncpg.connect(**found.arguments)

    async def waiting():
        rows = await connection.fetch('select outbox, count(*) from waiting group by outbox')
        return {row[0].removeprefix('upstream '): row[1] for row in rows}

    async def is_on_disk():
        return await waiting() == {'mts': MESSAGES}

    async def has_begun():
        return 'tele2' in await waiting()

    await until_async(is_on_disk)
    moving = asyncio.create_task(run_command(found, 'queue', 'move', 'mts', 'tele2'))
    await until_async(has_begun)
    await found.stop(signal.SIGKILL)
    assert (await moving)[0] == 1
    left = await waiting()
    assert sum(left.values()) == MESSAGES
    assert 0 < left['tele2'] < MESSAGES
    await found.start()
    status, out, err = await run_command(found, 'queue', 'move', 'mts', 'tele2')
    assert (status, out) == (0, f'moved {left["mts"]} messages\n'), err
    await everywhere_bound(second)
    assert (await run_command(found, 'queue', 'resume', 'tele2'))[0] == 0
    await second.submitted(MESSAGES)
    assert [pdu.short_message for pdu in second.submits] == [b'%04d' % n for n in range(MESSAGES)]
    await connection.close()
