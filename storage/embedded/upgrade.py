"""Moves a store to the newest major version of PostgreSQL on this machine, by dump and restore.

The old data are only read. They keep their place until the new ones are complete, compared and on the disk, and stay
afterwards as `postgres.old-<major>` for the operator to remove. Interrupted at any moment, the next start finds either
the old store or the new one. Needs the space of the data once more, and the store to be out of use.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import structlog

from storage.embedded.datafolder import DATABASE, SUPERUSER, DataFolder, Lock, make_store, sync_folder
from storage.embedded.errors import EmbeddedPostgresError
from storage.embedded.installation import Installation
from storage.embedded.postmaster import START_TIMEOUT_S, Postmaster
from storage.embedded.programs import command, environment, same_identity
from storage.embedded.server import Site, adopt, connect_arguments, prepare, remove_socket_folder
from storage.embedded.settings import PORT

UPGRADE_TIMEOUT_S = 12 * 3600.0

_SETTINGS = {'synchronous_commit': 'off', 'maintenance_work_mem': '256MB', 'autovacuum': 'off'}
_TABLES = r"""
    select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname not like 'pg\_%' and n.nspname <> 'information_schema' order by 1
"""

log = structlog.get_logger()


async def upgrade(data: Path) -> None:
    """Move the store in `data` to the newest PostgreSQL found on this machine, unless it is of that already.

    Must be called on the main thread. Raises EmbeddedPostgresError, with the remedy in its text; the store is as it was
    then.
    """
    folder = DataFolder(data)
    if folder.major() is None and not folder.upgraded.exists():
        raise EmbeddedPostgresError(f'there is no store in {folder.path}: look at `data` in the configuration')
    lock = Lock.take(folder.lock)
    try:
        new = await prepare(folder, _SETTINGS, None, None, newest=True)
        major = folder.major()
        if new.installation.major == major:
            log.info('postgres.upgrade_not_needed', version=new.installation.version)
            return
        old = await prepare(folder, _SETTINGS, None, None)
        made = await make_store(folder, new.installation, new.identity, 'upgrading')
        try:
            await _move(old, new, made, lock.former_owner)
            kept = put_in_place(folder, made)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)
            raise
        log.info('postgres.upgraded', version=new.installation.version, old_data=str(kept))
    finally:
        lock.release()


async def _move(old: Site, new: Site, made: Path, former_owner: int | None) -> None:
    """Copy everything from the store into the new one in `made`, and end both servers in order."""
    running: list[Postmaster] = []
    try:
        source = await adopt(old, former_owner, START_TIMEOUT_S) or await old.launch(old.data.postgres)
        running.append(source)
        target = await new.launch(made)
        running.append(target)
        await _restore(new.installation, source, target)
        await _compare(source, target)
    finally:
        for server in running:
            await server.stop()
            remove_socket_folder(Path(server.socket_folder))


async def _restore(installation: Installation, source: Postmaster, target: Postmaster) -> None:
    """Dump one server into another. The newer version's programs do both, as PostgreSQL advises."""
    dump: list[str | Path] = [installation.program('pg_dump'), *_client_arguments(source), '--encoding=UTF8']
    load: list[str | Path] = [
        installation.program('psql'),
        *_client_arguments(target),
        '-X',
        '-q',
        '-v',
        'ON_ERROR_STOP=1',
        '-1',
    ]
    reading, writing = os.pipe()
    try:
        dumping = await _client(dump, subprocess.DEVNULL, writing)
        loading = await _client(load, reading, subprocess.DEVNULL)
    finally:
        os.close(reading)
        os.close(writing)
    try:
        async with asyncio.timeout(UPGRADE_TIMEOUT_S):
            said = await asyncio.gather(dumping.communicate(), loading.communicate())
    except BaseException:
        for process in (dumping, loading):
            if process.returncode is None:
                process.kill()
                await process.wait()
        raise
    if dumping.returncode != 0 or loading.returncode != 0:
        errors = '\n'.join(error.decode('utf-8', 'replace').strip() for _, error in said)
        raise EmbeddedPostgresError(
            f'the data could not be moved to PostgreSQL {installation.version}; they are where they were. It said:\n'
            f'{errors}'
        )


def _client_arguments(server: Postmaster) -> list[str]:
    return ['-h', server.socket_folder, '-p', str(PORT), '-U', SUPERUSER, '-d', DATABASE]


async def _client(program: Sequence[str | Path], stdin: int, stdout: int) -> Process:
    return await asyncio.create_subprocess_exec(
        *command(same_identity(), signal.SIGKILL, program),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd='/',
        env=environment(),
        start_new_session=True,
    )


async def _compare(source: Postmaster, target: Postmaster) -> None:
    """See that both servers hold the same number of rows in the same tables; gathers the planner's statistics too."""
    old, new = await _row_counts(source), await _row_counts(target)
    if old != new:
        different = ', '.join(sorted(name for name in {*old, *new} if old.get(name) != new.get(name)))
        raise EmbeddedPostgresError(f'the moved data differ in {different}; the data are where they were')
    connection = await asyncpg.connect(**connect_arguments(target))
    try:
        await connection.execute('analyze', timeout=UPGRADE_TIMEOUT_S)
    finally:
        await connection.close()


async def _row_counts(server: Postmaster) -> dict[str, int]:
    connection = await asyncpg.connect(**connect_arguments(server))
    try:
        tables = [row[0] for row in await connection.fetch(_TABLES)]
        # The names come quoted from PostgreSQL itself.
        return {
            name: await connection.fetchval(f'select count(*) from {name}', timeout=UPGRADE_TIMEOUT_S)
            for name in tables
        }
    finally:
        await connection.close()


def put_in_place(data: DataFolder, made: Path) -> Path:
    """Exchange the store for the one in `made`; returns where the old one is kept.

    Until the second rename the old store counts, from then on the new one: `DataFolder.recover` completes the rest.
    """
    major = data.major()
    names = [f'postgres.old-{major}', *(f'postgres.old-{major}-{count}' for count in range(2, 1000))]
    kept = next(path for path in (data.path / name for name in names) if not path.exists())
    made.rename(data.upgraded)
    sync_folder(data.path)
    data.postgres.rename(kept)
    sync_folder(data.path)
    data.upgraded.rename(data.postgres)
    sync_folder(data.path)
    return kept
