"""The private PostgreSQL as its users see it: `start` owns it, `attach` only looks, `keep_running` watches over it.

One process owns a data folder, by a lock. Its PostgreSQL ends with it: in order by `stop`, and also when the process is
killed. A server that is found alive nevertheless is taken over if it runs as it would be started now, and otherwise
replaced.
"""

import asyncio
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import asyncpg
import structlog

from storage.embedded import identity as identities
from storage.embedded import logfile, postmaster
from storage.embedded.datafolder import DATABASE, SUPERUSER, DataFolder, Lock, make_store, sync_folder
from storage.embedded.errors import EmbeddedPostgresError
from storage.embedded.installation import Installation, choose, copy_installation, examine, find_installations
from storage.embedded.postmaster import START_TIMEOUT_S, STOP_TIMEOUT_S, Postmaster
from storage.embedded.programs import Identity, IdentityKind
from storage.embedded.settings import PORT, server_arguments

_SOCKET_PATH_OCTETS = 107  # sun_path of unix(7), without its closing zero
_ATTACH_TIMEOUT_S = 10.0
_WATCH_EVERY_S = 0.1
_LOG_EVERY_S = 10.0
_RETRY_FIRST_S = 0.5
_RETRY_LAST_S = 30.0
_UNFIT = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

log = structlog.get_logger()


class Site:
    """Where and how one server runs: all that its command line needs."""

    def __init__(
        self, data: DataFolder, installation: Installation, identity: Identity, settings: Mapping[str, str]
    ) -> None:
        self.data = data
        self.installation = installation
        self.identity = identity
        self.settings = settings

    async def make(self) -> None:
        """Make the store unless it is there."""
        if self.data.major() is None:
            new = await make_store(self.data, self.installation, self.identity, 'initdb')
            new.rename(self.data.postgres)
            sync_folder(self.data.path)
            log.info('postgres.created', folder=str(self.data.postgres), version=self.installation.version)

    def command_line(self, folder: Path) -> list[str]:
        """The program and its arguments for the data in `folder`. Makes the folder of its socket if need be."""
        sockets = socket_folder(folder, self.identity)
        program = str(self.installation.bin_folder / 'postgres')
        return [program, *server_arguments(folder, sockets, self.installation.major, self.settings)]

    async def launch(self, folder: Path, timeout_s: float = START_TIMEOUT_S) -> Postmaster:
        """Start a server of `folder`, which must not have one."""
        logfile.keep_within_bound(self.data.log)
        return await postmaster.launch(self.command_line(folder), self.identity, folder, self.data.log, timeout_s)


class EmbeddedPostgres:
    """A running private PostgreSQL.

    `connect_arguments` and `dsn` are for asyncpg. Who got it by `start` owes it a `stop`, or uses it in `async with`.
    """

    def __init__(self, found: Postmaster, site: Site | None = None, lock: Lock | None = None) -> None:
        self._postmaster = found
        self._site = site
        self._lock = lock
        self.adopted = site is not None and found.child is None
        """Whether the server ran already and was taken over."""

    @property
    def pid(self) -> int:
        """The process id of the server; another one after it had to be started again."""
        return self._postmaster.pid

    @property
    def owned(self) -> bool:
        """Whether `stop` ends it: not if it was only attached to."""
        return self._lock is not None

    @property
    def connect_arguments(self) -> dict[str, Any]:
        """The keyword arguments that asyncpg.connect and create_pool need."""
        return connect_arguments(self._postmaster)

    @property
    def dsn(self) -> str:
        """The same as a URL, as psql takes it too."""
        host = quote(self._postmaster.socket_folder, safe='/')
        return f'postgresql://{SUPERUSER}@/{DATABASE}?host={host}&port={PORT}'

    def is_alive(self) -> bool:
        """Whether the server process runs."""
        return self._postmaster.is_alive()

    async def keep_running(self) -> None:
        """Watch over the server until cancelled: start it again when it ended, keep its log within bounds.

        The caller owns the task, and cancels it before `stop`. Failures to start are logged and tried again, each time
        a little later, as a full disk may be emptied.
        """
        assert self._site is not None, 'only the owner keeps it running'
        pause_s = _RETRY_FIRST_S
        look_at_log_at = 0.0
        while True:
            if not self.is_alive():
                log.error('postgres.ended', pid=self.pid)
                try:
                    self._postmaster = await self._site.launch(self._site.data.postgres)
                except (EmbeddedPostgresError, OSError) as error:
                    log.error('postgres.not_started', error=str(error), retry_s=pause_s)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _RETRY_LAST_S)
                    continue
                log.info('postgres.started_again', pid=self.pid)
                self.adopted = False
                pause_s = _RETRY_FIRST_S
            if time.monotonic() >= look_at_log_at:
                look_at_log_at = time.monotonic() + _LOG_EVERY_S
                await asyncio.to_thread(logfile.keep_within_bound, self._site.data.log)
            await asyncio.sleep(_WATCH_EVERY_S)

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End the server, if it is owned, in order; after `timeout_s` seconds at once, which loses nothing either.

        Connections to it are cut. May be called again.
        """
        if self._lock is None:
            return
        try:
            await self._postmaster.stop(timeout_s)
            remove_socket_folder(Path(self._postmaster.socket_folder))
        finally:
            self._lock.release()
            self._lock = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def start(
    data: Path,
    *,
    settings: Mapping[str, str] = {},
    bin_folder: Path | None = None,
    identity: IdentityKind | None = None,
    timeout_s: float = START_TIMEOUT_S,
) -> EmbeddedPostgres:
    """Run the private PostgreSQL of the data folder `data`, and own both until `stop`.

    The folder and the store in it are made on first use. `settings` are PostgreSQL's and take precedence over the
    defaults; `bin_folder` names the only binaries to use, `identity` the only way for root to run them. Must be called
    on the main thread. Raises EmbeddedPostgresError, with the remedy in its text.
    """
    folder = DataFolder(data)
    is_new = folder.create()
    lock = Lock.take(folder.lock)
    try:
        site = await prepare(folder, settings, bin_folder, identity, is_new)
        await site.make()
        running = await adopt(site, lock.former_owner, timeout_s)
        return EmbeddedPostgres(running or await site.launch(folder.postgres, timeout_s), site, lock)
    except BaseException:
        lock.release()
        raise


async def attach(data: Path) -> EmbeddedPostgres | None:
    """The private PostgreSQL of `data` that another process runs; None when there is none, or not within ten seconds.

    It is not owned: `stop` does nothing. Raises EmbeddedPostgresError when this user may not look.
    """
    folder = DataFolder(data).postgres
    give_up_at = time.monotonic() + _ATTACH_TIMEOUT_S
    while (found := postmaster.find(folder)) is not None and found.status != 'stopping':
        if found.status == 'ready':
            return EmbeddedPostgres(found)
        if time.monotonic() > give_up_at:
            return None
        await asyncio.sleep(0.02)
    return None


async def prepare(
    data: DataFolder,
    settings: Mapping[str, str],
    bin_folder: Path | None,
    forced: IdentityKind | None,
    is_new: bool = False,
    newest: bool = False,
) -> Site:
    """Find binaries and an identity for the store in `data`, whose lock the caller holds.

    The version is that of the data; the newest when there are none yet, or when `newest` asks for it all the same.
    """
    await asyncio.to_thread(data.recover)
    major = None if newest else data.major()
    found = await find_installations(major) if bin_folder is None else await examine([bin_folder])
    installation = choose(found, major, data.path)
    standing = await identities.decide(data, installation.bin_folder, forced)
    await identities.admit(data, standing, is_new)
    if standing.program_is_closed:
        installation = await asyncio.to_thread(copy_installation, installation, data.path)
    return Site(data, installation, standing.identity, settings)


async def adopt(site: Site, former_owner: int | None, timeout_s: float) -> Postmaster | None:
    """Take over the server that runs on the store already; None when there is none, or none any more."""
    folder = site.data.postgres
    give_up_at = time.monotonic() + timeout_s
    while (found := postmaster.find(folder)) is not None:
        if time.monotonic() > give_up_at:
            raise EmbeddedPostgresError(
                f'PostgreSQL (process {found.pid}) of a former run is {found.status} for {timeout_s:.0f} s: look at'
                f' {site.data.log}, or end the process'
            )
        if found.status != 'ready':
            await asyncio.sleep(0.005)
        elif await _is_fit(found, site, former_owner):
            log.info('postgres.adopted', pid=found.pid)
            return found
        else:
            await found.stop()
    return None


async def _is_fit(found: Postmaster, site: Site, former_owner: int | None) -> bool:
    """Whether a server that was found runs as it would be started now, and will go on running."""
    # A server is told of its owner's death just after the lock is free. Once it has another parent it has been told,
    # and refuses the connection that comes next.
    give_up_at = time.monotonic() + 2
    while (state := postmaster.process_state(found.pid)) is not None and state.parent == former_owner:
        if time.monotonic() > give_up_at:
            return False
        await asyncio.sleep(0.001)
    program, *arguments = site.command_line(site.data.postgres)
    wanted = ' '.join([program, *(f'"{argument}"' for argument in arguments)])
    try:
        noted = (site.data.postgres / 'postmaster.opts').read_text(encoding='utf-8', errors='replace')
        if noted.strip() != wanted:
            return False
        connection = await asyncpg.connect(**connect_arguments(found), timeout=5)
        await connection.close(timeout=5)
    except _UNFIT:
        return False
    return True


def connect_arguments(found: Postmaster) -> dict[str, Any]:
    """What asyncpg.connect needs for the server."""
    return {'host': found.socket_folder, 'port': PORT, 'user': SUPERUSER, 'database': DATABASE}


def socket_folder(folder: Path, identity: Identity) -> Path:
    """Where the server of `folder` has its socket: there, or in a folder of its own when the path would be too long.

    Raises EmbeddedPostgresError when that place has been taken by another user.
    """
    if _fits(folder):
        return folder
    name = 'smsc-' + hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    for place in (tempfile.gettempdir(), '/tmp'):
        short = Path(place).resolve() / name
        if _fits(short):
            _claim(short, identity)
            return short
    raise EmbeddedPostgresError(
        f'the path of {folder} is too long for a socket, and that of the temporary folder too: shorten `data` or TMPDIR'
    )


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / f'.s.PGSQL.{PORT}')) <= _SOCKET_PATH_OCTETS


def _claim(folder: Path, identity: Identity) -> None:
    """Make a folder that is closed to others, where others may have been first."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), identity.owner} or found.st_mode & 0o077:
        raise EmbeddedPostgresError(
            f'{folder}, the place of a socket, is not a folder of ours alone: remove it, or choose a shorter `data`'
        )
    if found.st_uid != identity.owner:
        os.chown(folder, identity.uid, identity.gid, follow_symlinks=False)


def remove_socket_folder(folder: Path) -> None:
    """Remove the folder of a socket if nothing else is in it."""
    if folder.name.startswith('smsc-'):
        try:
            folder.rmdir()
        except OSError:
            pass
