"""The data folder: what lies in it, who owns it, and how a new store comes into being.

    lock                  held by the process that owns the store, with its process id inside
    postgres/             the data of PostgreSQL, and its socket
    postgres.log          what PostgreSQL printed; postgres.log.1 is what came before
    postgres.initdb-*     a store in the making: of no use once the process that makes it is gone
    postgres.upgrading-*  the same, of an upgrade
    postgres.upgraded     a finished upgrade that has not taken its place yet
    postgres.old-15       the data that an upgrade replaced; for the operator to remove
    postgresql-18.6/      a copy of the binaries, where the unprivileged user cannot reach the installed ones

A store appears under its name in one rename, when it is whole: interrupting its making at any moment breaks nothing.
"""

import asyncio
import fcntl
import os
import pwd
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Self

from storage.embedded.errors import EmbeddedPostgresError
from storage.embedded.installation import Installation, unfinished_copies
from storage.embedded.programs import Identity, IdentityKind, command, run

SUPERUSER = 'smsc'
DATABASE = 'postgres'
INITDB_TIMEOUT_S = 300.0
BUILTIN_LOCALE_SINCE = 17


class DataFolder:
    """The paths in one data folder. Making it touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.postgres = self.path / 'postgres'
        self.upgraded = self.path / 'postgres.upgraded'
        self.lock = self.path / 'lock'
        self.log = self.path / 'postgres.log'

    def create(self) -> bool:
        """Make the folder, closed to others, unless it is there; returns whether it was made now."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            if not self.path.is_dir():
                raise EmbeddedPostgresError(f'{self.path} is not a folder: name another one in `data`') from None
            return False
        except OSError as error:
            raise EmbeddedPostgresError(
                f'the data folder {self.path} cannot be made ({error.strerror}): make it for the user that runs the'
                ' server, or name another one in `data`'
            ) from error
        return True

    def major(self) -> int | None:
        """The major version of the data; None when there are none yet.

        Raises EmbeddedPostgresError when the place is taken by something else, or closed to this user.
        """
        try:
            return int((self.postgres / 'PG_VERSION').read_text(encoding='ascii'))
        except FileNotFoundError:
            if self.postgres.exists() and any(self.postgres.iterdir()):
                raise EmbeddedPostgresError(
                    f'{self.postgres} holds something that is not the data of PostgreSQL: move it away, or restore it'
                ) from None
            return None
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f'{self.postgres} is closed to user id {os.geteuid()}: start as the user that owns it, or give it to'
                f' this one (chown -R {os.geteuid()} {self.path})'
            ) from error

    def leftovers(self) -> list[Path]:
        """What interrupted work left in the folder. Only the owner of the lock may remove it."""
        left = [*self.path.glob('postgres.initdb-*'), *self.path.glob('postgres.upgrading-*')]
        if self.postgres.exists() and self.upgraded.exists():
            left.append(self.upgraded)  # the old data may have changed since: the upgrade has to begin again
        return [*left, *unfinished_copies(self.path)]

    def recover(self) -> None:
        """Complete an upgrade that was interrupted between its last two steps, and remove what others left."""
        if self.upgraded.exists() and not self.postgres.exists():
            self.upgraded.rename(self.postgres)
            sync_folder(self.path)
        for left in self.leftovers():
            shutil.rmtree(left, ignore_errors=True)


class Lock:
    """The ownership of a data folder, from `take` to `release` or to the death of the process.

    Children do not inherit it.
    """

    def __init__(self, descriptor: int, former_owner: int | None) -> None:
        self._descriptor: int | None = descriptor
        self.former_owner = former_owner
        """The process id that held it last."""

    @classmethod
    def take(cls, path: Path) -> Self:
        """Own the lock at `path`; raises EmbeddedPostgresError when another process does."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedPostgresError(
                f'{path} cannot be opened ({error.strerror}): the data folder must belong to the user that runs the'
                f' server, which is user id {os.geteuid()}'
            ) from error
        noted = os.read(descriptor, 32).strip()
        former_owner = int(noted) if noted.isdigit() else None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise EmbeddedPostgresError(
                f'the data folder {path.parent} is in use by process {former_owner}: stop that one first, or give this'
                ' one a folder of its own in `data`'
            ) from None
        os.pwrite(descriptor, f'{os.getpid()}\n'.encode().ljust(12), 0)
        return cls(descriptor, former_owner)

    def release(self) -> None:
        """Let others own the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


async def make_store(data: DataFolder, installation: Installation, identity: Identity, kind: str) -> Path:
    """Run initdb into a new folder beside the store, named after `kind`; returns it, whole and on the disk.

    The caller gives it its name. Raises EmbeddedPostgresError with what initdb said.
    """
    if identity.kind is not IdentityKind.NAMESPACE and not has_account(identity.uid):
        raise EmbeddedPostgresError(
            f'user id {identity.uid} has no account, which initdb asks for: add one to /etc/passwd (in a container: to'
            ' its image), or start as a user that has one'
        )
    folder = Path(tempfile.mkdtemp(prefix=f'postgres.{kind}-', dir=data.path))
    if identity.owner != os.geteuid():
        os.chown(folder, identity.uid, identity.gid)
    output = ''
    for locale in _locales(installation.major):
        program: list[str | Path] = [installation.program('initdb'), '-D', folder, '-U', SUPERUSER, '--encoding=UTF8']
        # Who may enter the socket's folder is smsc; nobody may come over the network.
        program += ['--auth-local=trust', '--auth-host=reject', '--data-checksums', '--no-instructions', *locale]
        finished = await run(command(identity, signal.SIGTERM, program), INITDB_TIMEOUT_S)
        if finished.status == 0:
            return folder
        output = finished.output
        if 'locale' not in output:
            break
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    raise EmbeddedPostgresError(f'initdb could not make a store in {data.path}. It said:\n{output.strip()}')


def _locales(major: int) -> list[list[str]]:
    """What to try, in this order. All sort by code point, so no update of the system's C library breaks an index."""
    if major >= BUILTIN_LOCALE_SINCE:
        return [['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']]
    return [['--locale=C.UTF-8'], ['--locale=C']]


def has_account(uid: int) -> bool:
    """Whether the system's list of users knows `uid`."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def give_away(folder: Path, identity: Identity) -> None:
    """Make all files of `folder` those of `identity`. Only for folders that are ours."""
    for place, folders, files in os.walk(folder):
        for name in ('.', *folders, *files):
            os.chown(Path(place, name), identity.uid, identity.gid, follow_symlinks=False)
