"""Brings the schema up to date: applies the files NNNN_name.sql of a folder in order, each once, each in a transaction.

Several nodes may do so at the same time: one of them applies a file, the others wait for it. A file that fails leaves
nothing of itself behind, and those before it applied. Which files were applied is in the table `migration`.
"""

import re
from pathlib import Path

import asyncpg
import msgspec

from storage.connection import Connection

MIGRATION_TIMEOUT_S = 3600.0
"""For one file, or for another node that applies one."""

_FILE_NAME = re.compile(r'(\d{4})_(\w+)\.sql', re.ASCII)

_LOCK = "select pg_advisory_xact_lock(hashtextextended('smsc migration', 0))"
_TABLE = """
    create table if not exists migration (
        version integer primary key,
        name text not null,
        applied_at timestamptz not null default now()
    )
"""
_APPLIED = 'select version, name from migration order by version'
_RECORD = 'insert into migration (version, name) values ($1, $2)'


class MigrationError(Exception):
    """The database and the files of this release do not fit together; the text says how, and the remedy."""


class Migration(msgspec.Struct, frozen=True):
    """One file."""

    version: int
    name: str
    path: Path


async def migrate(connection: Connection, folder: Path) -> list[str]:
    """Apply what is missing; returns the names of the files that this call applied.

    Raises MigrationError when the database is of a newer release or the files are not those it was made with, and the
    error of PostgreSQL, with a note that names the file, when one fails.
    """
    migrations = load(folder)
    async with connection.transaction():
        await connection.execute(_LOCK, timeout=MIGRATION_TIMEOUT_S)
        await connection.execute(_TABLE)
        applied = await _applied(connection)
    compare(migrations, applied)
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


def compare(migrations: list[Migration], applied: dict[int, str]) -> None:
    """Raise MigrationError unless the applied migrations are the first of `migrations`."""
    known = {migration.version: migration.name for migration in migrations}
    latest = max(applied, default=0)
    if latest > max(known, default=0):
        raise MigrationError(
            f'the database is of a newer release (its migration {latest:04}_{applied[latest]} is unknown here): start'
            ' the release that it was last used with, or a newer one'
        )
    for version, name in applied.items():
        if known.get(version) != name:
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
    """Apply one file, unless another node has done so in the meantime."""
    text = migration.path.read_text(encoding='utf-8')
    try:
        async with connection.transaction():
            await connection.execute(_LOCK, timeout=MIGRATION_TIMEOUT_S)
            if migration.version in await _applied(connection):
                return False
            await connection.execute(text, timeout=MIGRATION_TIMEOUT_S)
            await connection.execute(_RECORD, migration.version, migration.name)
    except asyncpg.PostgresError as error:
        error.add_note(f'in migration {migration.path.name}')
        raise
    return True
