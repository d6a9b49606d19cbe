"""Brings the schema up to date: applies the files NNNN_name.sql of a folder in order, each once, each in a transaction.

Several nodes may do so at the same time: one of them applies a file, the others wait for it. A file that fails leaves
nothing of itself behind, and those before it applied. Which files were applied is in the table `migration`.

Nodes of the release before go on meanwhile, and may start again: a file only adds what they need not know of. One that
must break this says `-- min_version: N` in a line of its own, its own number as a rule: a release whose last file has a
lower number does not start any more. The traffic never waits long for a file: it waits behind whoever wants a lock, so
a lock that is not had at once is asked for again later.
"""

import asyncio
import re
import time
from pathlib import Path

import asyncpg
import msgspec

from storage.connection import Connection

MIGRATION_TIMEOUT_S = 3600.0
"""For one file, for another node that applies one, or for a lock that somebody holds."""
LOCK_TIMEOUT_MS = 300
LOCK_PAUSE_S = 1.0

_FILE_NAME = re.compile(r'(\d{4})_(\w+)\.sql', re.ASCII)
_MIN_VERSION = re.compile(r'^-- min_version: (\d+)$', re.ASCII | re.MULTILINE)

_LOCK = "select pg_advisory_xact_lock(hashtextextended('smsc migration', 0))"
_TABLE = """
    create table if not exists migration (
        version integer primary key,
        name text not null,
        applied_at timestamptz not null default now(),
        min_version integer not null default 0  -- releases whose last migration is before this one must not start
    )
"""
_HAS_MIN_VERSION = (
    "select exists (select from pg_attribute where attrelid = 'migration'::regclass and attname = 'min_version')"
)
_ADD_MIN_VERSION = 'alter table migration add column if not exists min_version integer not null default 0'
_APPLIED = 'select version, name from migration order by version'
_DEMANDED = 'select coalesce(max(min_version), 0) from migration'
_RECORD = 'insert into migration (version, name, min_version) values ($1, $2, $3)'


class MigrationError(Exception):
    """The database and the files of this release do not fit together; the text says how, and the remedy."""


class Migration(msgspec.Struct, frozen=True):
    """One file."""

    version: int
    name: str
    path: Path

    @property
    def text(self) -> str:
        """Its statements."""
        return self.path.read_text(encoding='utf-8')

    @property
    def min_version(self) -> int:
        """The last migration that a release must know to use the store from now on; 0 when any may."""
        found = _MIN_VERSION.search(self.text)
        return int(found[1]) if found else 0


async def migrate(connection: Connection, folder: Path) -> list[str]:
    """Apply what is missing; returns the names of the files that this call applied.

    Raises MigrationError when the database is of a newer release that this one must not work beside, when the files are
    not those it was made with, or when a lock cannot be had for an hour; and the error of PostgreSQL, with a note that
    names the file, when one fails.
    """
    migrations = load(folder)
    async with connection.transaction():
        await connection.execute(_LOCK, timeout=MIGRATION_TIMEOUT_S)
        await connection.execute(_TABLE)
        if not await connection.fetchval(_HAS_MIN_VERSION):
            await connection.execute(_ADD_MIN_VERSION)
        applied = await _applied(connection)
        demanded = await connection.fetchval(_DEMANDED)
    compare(migrations, applied, demanded)
    return [
        migration.path.name
        for migration in migrations
        if migration.version not in applied and await _apply(connection, migration)
    ]


def load(folder: Path) -> list[Migration]:
    """The migrations of `folder` in order; raises MigrationError for names that do not say their order."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob('*.sql')):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f'{path}: the name of a migration is four digits, an underscore and words')
        version = int(match[1])
        if version in found:
            raise MigrationError(
                f'{path}: number {version} is taken by {found[version].path.name}; give it the next one'
            )
        found[version] = Migration(version, match[2], path)
    return list(found.values())


def compare(migrations: list[Migration], applied: dict[int, str], demanded: int) -> None:
    """Raise MigrationError unless a release with `migrations` may use a store that has these `applied`.

    A newer release's may be among those, as long as the last one here is not before `demanded`.
    """
    known = {migration.version: migration.name for migration in migrations}
    latest, newest = max(applied, default=0), max(known, default=0)
    if demanded > newest:
        raise MigrationError(
            f'the database is of a newer release (its migration {latest:04}_{applied[latest]} is unknown here), and a'
            f' release must know migration {demanded:04} to use it: start the release that it was last used with, or a'
            ' newer one'
        )
    for version, name in applied.items():
        if version <= newest and known.get(version) != name:
            here = f'{version:04}_{known[version]}.sql' if version in known else 'no such file'
            raise MigrationError(
                f'the database was made with {version:04}_{name}.sql, but this release has {here}: an applied migration'
                ' keeps its name; restore the file'
            )
    for version, name in known.items():
        if version < latest and version not in applied:
            raise MigrationError(
                f'{version:04}_{name}.sql comes before {latest:04}_{applied[latest]}.sql, which is applied already:'
                f' give it a number above {latest:04}'
            )


async def _applied(connection: Connection) -> dict[int, str]:
    return {row['version']: row['name'] for row in await connection.fetch(_APPLIED)}


async def _apply(connection: Connection, migration: Migration) -> bool:
    """Apply one file, unless another node has done so in the meantime; asks again for locks that others hold."""
    give_up_at = time.monotonic() + MIGRATION_TIMEOUT_S
    while True:
        try:
            return await _apply_once(connection, migration)
        except asyncpg.LockNotAvailableError as error:
            if time.monotonic() > give_up_at:
                raise MigrationError(
                    f'{migration.path.name} waits in vain for a table that somebody reads or changes: {error}; end that'
                    ' backup or query (pg_stat_activity shows it) and start again'
                ) from error
        except asyncpg.PostgresError as error:
            error.add_note(f'in migration {migration.path.name}')
            raise
        await asyncio.sleep(LOCK_PAUSE_S)


async def _apply_once(connection: Connection, migration: Migration) -> bool:
    async with connection.transaction():
        await connection.execute(_LOCK, timeout=MIGRATION_TIMEOUT_S)
        if migration.version in await _applied(connection):
            return False
        await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_MS}ms'")
        await connection.execute(migration.text, timeout=MIGRATION_TIMEOUT_S)
        await connection.execute(_RECORD, migration.version, migration.name, migration.min_version)
    return True
