"""The private PostgreSQL after violence: killed servers, killed owners, orphans, half-made stores, stale traces."""

import asyncio
import os
import signal
import sys

import asyncpg
import psutil
import pytest

from storage.connection import AWAY
from storage.embedded import start
from storage.embedded.postmaster import find, process_state
from storage.embedded.programs import environment

OWNER = """
import asyncio, pathlib, sys
import asyncpg, structlog, uvloop
from storage.embedded import start

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main():
    postgres = await start(pathlib.Path(sys.argv[1]))
    connection = await asyncpg.connect(**postgres.connect_arguments)
    await connection.execute('create table if not exists kept (number bigint)')
    number = await connection.fetchval('select coalesce(max(number), 0) from kept')
    print(postgres.pid, flush=True)
    while True:
        number += 1
        await connection.execute('insert into kept values ($1)', number)
        print(number, flush=True)

uvloop.run(main())
"""

# A process that starts what it is told, in a session of its own, and leaves it alone in the world.
FORSAKE = 'import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=2)'


@pytest.fixture
def data(tmp_path, copied_stores):
    return tmp_path / 'var'


async def ask(postgres, query):
    connection = await asyncpg.connect(**postgres.connect_arguments)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def until(condition, timeout_s=30):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - it comes from other processes, which tell nobody
            await asyncio.sleep(0.002)


async def run_owner(data):
    return await asyncio.create_subprocess_exec(
        sys.executable, '-c', OWNER, str(data), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )


async def kill_owner_in_work(data, commits):
    """An owner that commits rows, killed after so many; the last number it knows to be committed, and its server."""
    owner = await run_owner(data)
    assert owner.stdout is not None
    try:
        async with asyncio.timeout(30):
            pid = int(await owner.stdout.readline())
            for _ in range(commits):
                await owner.stdout.readline()
    finally:
        owner.kill()
        rest = await owner.stdout.read()
        await owner.wait()
    complete = rest[: rest.rfind(b'\n') + 1].split()
    return int(complete[-1]) if complete else commits, pid


async def commit_until_it_breaks(postgres, acknowledged):
    connection = await asyncpg.connect(**postgres.connect_arguments)
    try:
        while True:
            await connection.execute('insert into kept values ($1)', len(acknowledged))
            acknowledged.append(len(acknowledged))
    finally:
        connection.terminate()


async def test_no_acknowledged_row_is_lost_when_the_server_is_killed(data):
    postgres = await start(data)
    await ask(postgres, 'create table kept (number bigint)')
    acknowledged: list[int] = []
    committing = asyncio.create_task(commit_until_it_breaks(postgres, acknowledged))
    await until(lambda: len(acknowledged) > 300)
    os.kill(postgres.pid, signal.SIGKILL)
    await asyncio.wait([committing])
    assert isinstance(committing.exception(), AWAY)
    await postgres.stop()
    async with await start(data) as postgres:
        assert await ask(postgres, 'select count(*) from kept') in {len(acknowledged), len(acknowledged) + 1}


async def test_a_killed_server_is_started_again_with_its_rows(data):
    async with await start(data) as postgres:
        await ask(postgres, 'create table kept as select 7 as number')
        watch = asyncio.create_task(postgres.keep_running())
        for _ in range(3):
            killed = postgres.pid
            os.kill(killed, signal.SIGKILL)
            await until(lambda killed=killed: postgres.pid != killed)
            assert await ask(postgres, 'select number from kept') == 7
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def test_a_killed_owner_takes_its_server_with_it_and_loses_nothing(data):
    for _ in range(4):
        acknowledged, pid = await kill_owner_in_work(data, commits=50)
        # At once, while the server is still about to end.
        async with await start(data) as postgres:
            assert postgres.pid != pid
            assert process_state(pid) is None
            assert await ask(postgres, 'select max(number) from kept') >= acknowledged
            assert await ask(postgres, 'select count(distinct number) = max(number) from kept')


async def test_a_server_ends_by_itself_when_its_owner_is_killed(data):
    _, pid = await kill_owner_in_work(data, commits=1)
    await until(lambda: process_state(pid) is None)
    assert 'database system is shut down' in (data / 'postgres.log').read_text()


async def forsaken_server(data):
    """A server like ours on the store, that nobody owns and nobody told to end."""
    postgres = await start(data)
    arguments = psutil.Process(postgres.pid).cmdline()
    owner = (data / 'postgres').stat().st_uid
    await postgres.stop()
    namespace = ['unshare', '--user', '--map-user=65534', '--map-group=65534'] if owner == os.geteuid() == 0 else []
    log = (data / 'postgres.log').open('ab')
    with log:
        starter = await asyncio.create_subprocess_exec(
            *(sys.executable, '-c', FORSAKE, *namespace, *arguments), stderr=log, env=environment()
        )
        await starter.wait()
    await until(lambda: (found := find(data / 'postgres')) is not None and found.status == 'ready')
    found = find(data / 'postgres')
    assert found is not None
    return found


async def test_an_orphan_that_serves_is_adopted_and_then_owned(data):
    orphan = await forsaken_server(data)
    async with await start(data) as postgres:
        assert postgres.adopted
        assert postgres.pid == orphan.pid
        assert await ask(postgres, 'select 1') == 1
    assert not orphan.is_alive()


async def test_an_orphan_with_other_settings_is_replaced(data):
    orphan = await forsaken_server(data)
    async with await start(data, settings={'work_mem': '9MB'}) as postgres:
        assert not postgres.adopted
        assert not orphan.is_alive()
        assert await ask(postgres, 'show work_mem') == '9MB'


async def test_an_orphan_whose_socket_is_gone_is_replaced(data):
    orphan = await forsaken_server(data)
    (data / 'postgres' / '.s.PGSQL.5432').unlink()
    async with await start(data) as postgres:
        assert not orphan.is_alive()
        assert await ask(postgres, 'select 1') == 1


async def test_an_orphan_that_is_ending_is_waited_for(data):
    orphan = await forsaken_server(data)
    orphan.send(signal.SIGINT)
    async with await start(data) as postgres:
        assert postgres.pid != orphan.pid
        assert await ask(postgres, 'select 1') == 1


async def test_making_a_store_can_be_interrupted_at_any_moment(data):
    def made(pattern):
        return lambda: any(data.glob(pattern))

    for moment in ('postgres.initdb-*', 'postgres.initdb-*/PG_VERSION', 'postgres.initdb-*/global/pg_control'):
        owner = await run_owner(data)
        try:
            await until(made(moment))
        finally:
            owner.kill()
            await owner.communicate()
        assert not (data / 'postgres').exists()
    async with await start(data) as postgres:
        assert await ask(postgres, 'select 1') == 1
        assert not made('postgres.initdb-*')()


async def test_a_stale_process_id_that_has_gone_to_another_process(data):
    async with await start(data):
        noted = (data / 'postgres' / 'postmaster.pid').read_text()
    other = await asyncio.create_subprocess_exec('sleep', '600')
    try:
        _, _, rest = noted.partition('\n')
        (data / 'postgres' / 'postmaster.pid').write_text(f'{other.pid}\n{rest}')
        async with await start(data) as postgres:
            assert await ask(postgres, 'select 1') == 1
        assert other.returncode is None
    finally:
        other.kill()
        await other.wait()


async def test_a_process_id_file_cut_short(data):
    async with await start(data):
        pass
    (data / 'postgres' / 'postmaster.pid').write_text('')
    async with await start(data) as postgres:
        assert await ask(postgres, 'select 1') == 1
