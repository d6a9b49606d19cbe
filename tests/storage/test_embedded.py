"""The private PostgreSQL on ordinary days: first start, restart, two owners, onlookers, odd paths."""

import asyncio
import os
import stat
import sys
import threading
from pathlib import Path

import asyncpg
import psutil
import pytest

from storage.embedded import EmbeddedPostgresError, attach, start
from storage.embedded.logfile import LOG_BOUND_OCTETS
from storage.embedded.programs import same_identity
from storage.embedded.server import socket_folder


@pytest.fixture
def data(tmp_path, copied_stores):
    return tmp_path / 'var'


async def ask(postgres, query, *arguments):
    connection = await asyncpg.connect(**postgres.connect_arguments)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


def mode(path):
    """The mode of a file or folder; None when there is none."""
    return stat.S_IMODE(Path(path).stat().st_mode) if Path(path).exists() else None


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it comes from other processes, which tell nobody
            await asyncio.sleep(0)


def processes_in(folder):
    """Processes whose working folder is `folder`, as all of PostgreSQL's are."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


async def test_first_start_makes_a_store_that_is_durable_and_closed_to_others(tmp_path):
    data = tmp_path / 'var'
    async with await start(data) as postgres:
        shown = {
            name: await ask(postgres, f'show {name}')
            for name in ('fsync', 'synchronous_commit', 'data_checksums', 'server_encoding', 'listen_addresses')
        }
    assert shown == {
        'fsync': 'on',
        'synchronous_commit': 'on',
        'data_checksums': 'on',
        'server_encoding': 'UTF8',
        'listen_addresses': '',
    }
    assert {mode(data), mode(data / 'postgres')} == {0o700}


async def test_texts_sort_by_code_point_and_cyrillic_has_cases(data):
    async with await start(data) as postgres:
        assert await ask(postgres, "select lower('ПРИВЕТ')") == 'привет'
        assert await ask(postgres, "select string_agg(a, '' order by a) from unnest('{b,a,B,Б}'::text[]) a") == 'BabБ'


async def test_restart_keeps_rows(data):
    async with await start(data) as postgres:
        await ask(postgres, 'create table kept as select 7 as number')
    async with await start(data) as postgres:
        assert await ask(postgres, 'select number from kept') == 7


async def test_settings_of_the_caller_come_before_the_defaults(data):
    async with await start(data, settings={'work_mem': '9MB', 'max_connections': '11'}) as postgres:
        assert (
            await ask(postgres, "select current_setting('work_mem') || current_setting('max_connections')") == '9MB11'
        )


@pytest.mark.parametrize('name', ['listen_addresses', 'Port', 'unix_socket_directories'])
async def test_settings_cannot_open_the_store_to_others(data, name):
    with pytest.raises(EmbeddedPostgresError, match=f'(?i)take {name} out'):
        await start(data, settings={name: '1'})


async def test_stop_leaves_no_process_and_may_be_repeated(data):
    postgres = await start(data)
    assert processes_in(data / 'postgres')
    await postgres.stop()
    await postgres.stop()
    assert processes_in(data / 'postgres') == []
    assert not postgres.is_alive()


async def test_an_interrupt_from_the_terminal_does_not_reach_it(data):
    async with await start(data) as postgres:
        assert os.getsid(postgres.pid) == postgres.pid != os.getsid(0)


async def test_a_second_owner_is_refused_by_name_of_the_first(data):
    async with await start(data) as postgres:
        with pytest.raises(EmbeddedPostgresError, match=f'in use by process {os.getpid()}: stop that one'):
            await start(data)
        assert await ask(postgres, 'select 1') == 1


async def test_onlookers_connect_and_end_nothing(data):
    assert await attach(data) is None
    async with await start(data) as postgres:
        onlooker = await attach(data)
        assert onlooker is not None
        assert onlooker.pid == postgres.pid
        assert not onlooker.owned
        assert await ask(onlooker, 'select 1') == 1
        await onlooker.stop()
        assert await ask(postgres, 'select 1') == 1
    assert await attach(data) is None


async def test_onlookers_of_another_process_connect_by_dsn(data):
    script = (
        'import asyncio, asyncpg, sys, pathlib\n'
        'from storage.embedded import attach\n'
        'async def look():\n'
        '    postgres = await attach(pathlib.Path(sys.argv[1]))\n'
        '    connection = await asyncpg.connect(postgres.dsn)\n'
        "    print(await connection.fetchval('select 41 + 1'))\n"
        'asyncio.run(look())\n'
    )
    async with await start(data):
        process = await asyncio.create_subprocess_exec(
            sys.executable, '-c', script, str(data), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
    assert printed.strip() == b'42'


async def test_a_path_too_long_for_a_socket(tmp_path):
    data = tmp_path / ('long' * 30)
    async with await start(data) as postgres:
        assert await ask(postgres, 'select 1') == 1
        place = postgres.connect_arguments['host']
        assert mode(place) == 0o700
        onlooker = await attach(data)
        assert onlooker is not None
        assert await ask(onlooker, 'select 1') == 1
    assert mode(place) is None


async def test_a_socket_folder_that_others_made_first_is_refused(tmp_path):
    folder = tmp_path / ('long' * 30)
    place = socket_folder(folder, same_identity())
    place.chmod(0o777)
    try:
        with pytest.raises(EmbeddedPostgresError, match='not a folder of ours alone'):
            socket_folder(folder, same_identity())
    finally:
        place.rmdir()


async def test_a_path_with_signs_that_mean_something_elsewhere(tmp_path):
    data = tmp_path / 'it\'s, "100%" a&b=c Ж'
    async with await start(data) as postgres:
        assert await ask(postgres, 'select 1') == 1


async def test_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with await start(Path('var')) as postgres:
        assert await ask(postgres, 'select 1') == 1
    assert (tmp_path / 'var' / 'postgres').is_dir()


async def test_a_server_that_does_not_start_says_why_and_leaves_the_folder_free(data):
    with pytest.raises(EmbeddedPostgresError, match=r'(?s)did not start.*shared_buffers.*start again'):
        await start(data, settings={'shared_buffers': 'plenty'})
    assert processes_in(data / 'postgres') == []
    async with await start(data) as postgres:
        assert await ask(postgres, 'select 1') == 1


async def test_a_start_that_is_cancelled_leaves_the_folder_free(tmp_path):
    data = tmp_path / 'var'
    async with await start(data):
        pass
    starting = asyncio.create_task(start(data))
    await until(lambda: processes_in(data / 'postgres'))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert processes_in(data / 'postgres') == []
    async with await start(data) as postgres:
        assert await ask(postgres, 'select 1') == 1


async def test_a_folder_with_other_contents_is_not_touched(data):
    (data / 'postgres').mkdir(parents=True)
    (data / 'postgres' / 'letter').write_text('mine')
    with pytest.raises(EmbeddedPostgresError, match='not the data of PostgreSQL: move it away'):
        await start(data)
    assert (data / 'postgres' / 'letter').read_text() == 'mine'


async def test_a_file_in_place_of_the_data_folder(data):
    data.write_text('')
    with pytest.raises(EmbeddedPostgresError, match='not a folder'):
        await start(data)


async def test_its_log_stays_within_bounds(data):
    data.mkdir()
    (data / 'postgres.log').write_bytes(b'x' * (LOG_BOUND_OCTETS + 1))
    async with await start(data) as postgres:
        assert (data / 'postgres.log').stat().st_size < LOG_BOUND_OCTETS
        assert (data / 'postgres.log.1').stat().st_size == LOG_BOUND_OCTETS + 1
        with (data / 'postgres.log').open('ab') as log:
            log.write(b'y' * (LOG_BOUND_OCTETS + 1))
        watch = asyncio.create_task(postgres.keep_running())
        await until(lambda: (data / 'postgres.log').stat().st_size < LOG_BOUND_OCTETS)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await ask(postgres, 'select 1/0')
    # PostgreSQL writes on behind what was taken away, not at its old place.
    assert b'division by zero' in (data / 'postgres.log').read_bytes()
    assert (data / 'postgres.log').stat().st_size < LOG_BOUND_OCTETS


async def test_its_log_shows_no_contents_of_rows(data):
    async with await start(data) as postgres:
        connection = await asyncpg.connect(**postgres.connect_arguments)
        await connection.execute('create table message (destination_addr text primary key, pdu integer)')
        await connection.execute("insert into message values ('79161234567', 1)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute('insert into message values ($1, 2)', '79161234567')
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("insert into message values ('79161234567', 3)")
        await connection.close()
    printed = (data / 'postgres.log').read_text()
    assert 'duplicate key' in printed
    assert '79161234567' not in printed


async def test_starting_off_the_main_thread_is_refused(data):
    caught: list[BaseException] = []

    def run():
        try:
            asyncio.run(start(data))
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert 'main thread' in str(caught[0])
