"""Migrations on a real PostgreSQL: order, once only, all or nothing, two nodes at once, refusals."""

import asyncio

import asyncpg
import pytest

from storage.embedded import start
from storage.migrations import MigrationError, load, migrate

WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


@pytest.fixture
async def postgres(tmp_path):
    async with await start(tmp_path / 'var') as running:
        yield running


@pytest.fixture
async def connection(postgres):
    connection = await asyncpg.connect(**postgres.connect_arguments)
    yield connection
    await connection.close()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'migrations'
    folder.mkdir()
    (folder / '0002_second.sql').write_text('insert into first values (2); create table second (b int);')
    (folder / '0001_first.sql').write_text('create table first (a int);\n-- a comment\ninsert into first values (1);')
    return folder


async def test_files_are_applied_in_order_and_once(connection, folder):
    assert await migrate(connection, folder) == ['0001_first.sql', '0002_second.sql']
    assert await migrate(connection, folder) == []
    assert await connection.fetchval('select array_agg(a order by a) from first') == [1, 2]
    (folder / '0003_third.sql').write_text('drop table second;')
    assert await migrate(connection, folder) == ['0003_third.sql']
    recorded = await connection.fetch('select version, name, applied_at <= now() as past from migration order by 1')
    assert [tuple(row) for row in recorded] == [(1, 'first', True), (2, 'second', True), (3, 'third', True)]


async def test_a_failing_file_leaves_nothing_of_itself_and_is_named(connection, folder):
    (folder / '0003_bad.sql').write_text('create table third (c int); insert into nowhere values (1);')
    with pytest.raises(asyncpg.UndefinedTableError) as caught:
        await migrate(connection, folder)
    assert caught.value.__notes__ == ['in migration 0003_bad.sql']
    assert await connection.fetchval("select to_regclass('third')") is None
    (folder / '0003_bad.sql').write_text('create table third (c int);')
    assert await migrate(connection, folder) == ['0003_bad.sql']


async def test_two_nodes_may_start_at_once(postgres, folder):
    (folder / '0003_slow.sql').write_text('create table third as select count(*) from generate_series(1, 300000);')
    connections = [await asyncpg.connect(**postgres.connect_arguments) for _ in range(4)]
    applied = await asyncio.gather(*(migrate(connection, folder) for connection in connections))
    assert sorted(name for names in applied for name in names) == ['0001_first.sql', '0002_second.sql', '0003_slow.sql']
    for connection in connections:
        await connection.close()


async def test_a_node_that_dies_in_the_midst_does_not_hold_up_the_others(postgres, connection, folder):
    victim = await asyncpg.connect(**postgres.connect_arguments)
    (folder / '0003_waits.sql').write_text('create table third as select pg_advisory_lock(1) is null;')
    await connection.execute('select pg_advisory_lock(1)')
    waiting = asyncio.create_task(migrate(victim, folder))
    async with asyncio.timeout(30):
        while not await connection.fetchval(WAITING):
            pass
    await connection.fetchval('select pg_terminate_backend($1)', victim.get_server_pid())
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await waiting
    assert await migrate(connection, folder) == ['0003_waits.sql']


async def test_a_newer_release_that_only_added_something_leaves_this_one_its_store(connection, folder):
    (folder / '0003_third.sql').write_text('create table third (c int);')
    await migrate(connection, folder)
    (folder / '0003_third.sql').unlink()
    assert await migrate(connection, folder) == []


async def test_a_store_that_demands_a_newer_release_is_refused(connection, folder):
    (folder / '0003_third.sql').write_text(
        '-- Rows of first mean something else.\n-- min_version: 3\ndelete from first;'
    )
    await migrate(connection, folder)
    (folder / '0004_fourth.sql').write_text('create table fourth (c int);')
    await migrate(connection, folder)
    (folder / '0004_fourth.sql').unlink()
    assert await migrate(connection, folder) == []
    (folder / '0003_third.sql').unlink()
    with pytest.raises(MigrationError, match=r'0004_fourth is unknown here\).* must know migration 0003 .* start the'):
        await migrate(connection, folder)


async def test_a_store_of_before_minimum_versions_is_brought_up_to_date(connection, folder):
    await migrate(connection, folder)
    await connection.execute('alter table migration drop column min_version')
    (folder / '0003_third.sql').write_text('create table third (c int);\n-- min_version: 3')
    assert await migrate(connection, folder) == ['0003_third.sql']
    assert await connection.fetchval('select max(min_version) from migration') == 3


async def test_a_lock_that_is_not_had_does_not_hold_up_the_traffic(postgres, connection, folder):
    await migrate(connection, folder)
    (folder / '0003_third.sql').write_text('alter table first add column more int not null default 0;')
    reader, traffic = [await asyncpg.connect(**postgres.connect_arguments) for _ in range(2)]
    reading = reader.transaction()
    await reading.start()
    await reader.fetch('select * from first')
    migrating = asyncio.create_task(migrate(connection, folder))
    while not await traffic.fetchval(
        "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and not granted"
    ):
        assert not migrating.done()
    async with asyncio.timeout(30):
        await traffic.execute('insert into first values (7)')  # waits behind it, until it gives up for now
    assert not migrating.done()
    await reading.rollback()
    assert await migrating == ['0003_third.sql']
    await reader.close()
    await traffic.close()


async def test_an_applied_file_keeps_its_name(connection, folder):
    await migrate(connection, folder)
    (folder / '0001_first.sql').rename(folder / '0001_renamed.sql')
    with pytest.raises(MigrationError, match=r'made with 0001_first\.sql, but this release has 0001_renamed\.sql'):
        await migrate(connection, folder)
    (folder / '0001_renamed.sql').unlink()
    with pytest.raises(MigrationError, match='no such file'):
        await migrate(connection, folder)


async def test_a_file_numbered_before_an_applied_one_is_refused(connection, folder):
    (folder / '0002_second.sql').rename(folder / '0004_second.sql')
    await migrate(connection, folder)
    (folder / '0003_late.sql').write_text('create table late (c int);')
    with pytest.raises(MigrationError, match='give it a number above 0004'):
        await migrate(connection, folder)


@pytest.mark.parametrize('name', ['3_short.sql', '0003.sql', '0003-dash.sql', 'third.sql'])
def test_names_of_files_say_their_order(folder, name):
    (folder / name).write_text('')
    with pytest.raises(MigrationError, match='four digits'):
        load(folder)


def test_two_files_of_one_number(folder):
    (folder / '0002_other.sql').write_text('')
    with pytest.raises(MigrationError, match=r'number 2 is taken by 0002_other\.sql'):
        load(folder)
