"""Connections to PostgreSQL that break: what was asked is done once, or the caller is told."""

import asyncio

import asyncpg
import pytest

from domain.errors import StoreUnavailable
from storage.connection import Health, StoreConnection
from tests.storage.conftest import eventually

KILL = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'smsc test'"


@pytest.fixture
async def health():
    return Health()


@pytest.fixture
async def connection(database, health):
    connection = StoreConnection('test', database, health)
    yield connection
    await connection.close()


async def select_one(connection, doubtful):
    return await connection.fetchval('select 1')


async def test_an_operation_is_run_once_and_is_not_in_doubt(connection, health):
    seen = []

    async def operation(postgres, doubtful):
        seen.append(doubtful)
        return await postgres.fetchval('select 7')

    assert await connection.run(operation) == 7
    assert seen == [False]
    assert health.available


async def test_an_operation_whose_connection_died_is_run_again_in_doubt(connection, health, sql):
    seen = []

    async def operation(postgres, doubtful):
        seen.append(doubtful)
        if len(seen) == 1:
            await sql.execute(KILL)
        return await postgres.fetchval('select 7')

    assert await connection.run(operation) == 7
    assert seen == [False, True]
    assert health.failures == 1
    assert health.available


async def test_a_connection_that_died_while_idle_is_noticed(connection, sql):
    await connection.run(select_one)
    await sql.execute(KILL)
    assert await connection.run(select_one) == 1


async def test_a_server_that_cannot_be_reached_is_no_doubt_and_told_in_time(database, health):
    connection = StoreConnection('test', {**database, 'host': '/nowhere'}, health)
    with pytest.raises(StoreUnavailable, match='test'):
        await connection.run(select_one, give_up_s=0.2)
    assert not health.available
    assert health.failures > 1


async def test_a_store_that_hangs_is_told_in_time(connection, health, sql):
    await sql.execute('create table held ()')
    async with sql.transaction():
        await sql.execute('lock table held')
        async with asyncio.timeout(25):
            with pytest.raises(StoreUnavailable, match='TimeoutError'):
                await connection.run(lambda postgres, doubtful: postgres.fetch('select from held'), give_up_s=0.2)
    assert not health.available
    assert await connection.run(select_one) == 1
    assert health.available


@pytest.mark.parametrize(
    'error',
    [asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError],
)
async def test_what_lost_against_another_transaction_is_run_again_and_the_store_is_not_away(connection, health, error):
    tries = []

    async def operation(postgres, doubtful):
        tries.append(doubtful)
        if len(tries) == 1:
            await postgres.execute(f"do $$ begin raise exception using errcode = '{error.sqlstate}'; end $$")
        return await postgres.fetchval('select 7')

    assert await connection.run(operation) == 7
    assert tries == [False, True]
    assert (health.failures, health.available) == (0, True)


async def test_what_loses_until_its_time_is_up_is_told_and_the_store_is_not_away(connection, health, monkeypatch):
    monkeypatch.setattr('storage.connection.RETRY_FIRST_S', 100)  # there is no time for another try

    async def operation(postgres, doubtful):
        await postgres.execute("do $$ begin raise exception using errcode = '40P01'; end $$")

    with pytest.raises(StoreUnavailable, match='DeadlockDetectedError'):
        await connection.run(operation, give_up_s=30)
    assert health.available
    assert await connection.run(select_one) == 1


async def test_health_returns_with_the_first_operation_that_goes_through(connection, health):
    health.note_failure('other', OSError())
    await connection.run(select_one)
    assert health.available


async def test_a_mistake_in_the_operation_goes_to_the_caller_at_once(connection, health):
    async def operation(postgres, doubtful):
        await postgres.execute('select nonsense')

    with pytest.raises(asyncpg.UndefinedColumnError):
        await connection.run(operation)
    assert health.available
    assert await connection.run(select_one) == 1


async def test_a_value_that_fits_no_column_goes_to_the_caller_at_once(connection, health):
    async def operation(postgres, doubtful):
        await postgres.fetchval('select $1::bigint', 1 << 70)

    async with asyncio.timeout(25):
        with pytest.raises(asyncpg.DataError):
            await connection.run(operation)
    assert health.available


async def test_a_connection_that_is_in_the_middle_of_something_else_is_replaced_by_a_new_one(connection, health):
    """As after the last words of a server, which may come together with the answer before them."""
    used = []

    async def operation(postgres, doubtful):
        used.append((postgres, doubtful))
        if len(used) == 1:
            raise asyncpg.InterfaceError('cannot perform operation: another operation is in progress')
        return await postgres.fetchval('select 7')

    async with asyncio.timeout(30):
        assert await connection.run(operation) == 7
    (first, _), (second, doubtful) = used
    assert first is not second
    assert first.is_closed()
    assert doubtful
    assert health.available


async def test_an_interface_that_is_used_wrongly_goes_to_the_caller(connection):
    async def operation(postgres, doubtful):
        await postgres.fetchval('select $1::bigint', 1, 2)

    async with asyncio.timeout(30):
        with pytest.raises(asyncpg.InterfaceError, match='argument'):
            await connection.run(operation)


async def test_callers_take_turns(connection):
    running = 0

    async def operation(postgres, doubtful):
        nonlocal running
        running += 1
        assert running == 1
        await postgres.fetchval('select 1')
        running -= 1

    await asyncio.gather(*(connection.run(operation) for _ in range(5)))


async def test_a_caller_that_gives_up_leaves_a_connection_that_works(connection, sql):
    async def sleep(postgres, doubtful):
        await postgres.execute('select pg_sleep(60)')

    task = asyncio.create_task(connection.run(sleep))
    await eventually(
        sql, "select true from pg_stat_activity where query like '%pg_sleep(60)' and pid <> pg_backend_pid()"
    )
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await connection.run(select_one) == 1
