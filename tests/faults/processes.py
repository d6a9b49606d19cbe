"""The processes of a plant, each of which can be started, killed, made to stand still, and ended in order.

`start` returns when the process is ready; whoever started it calls `end` or `kill`. Nothing of them is left behind but
their logs, which restarts go on in.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import asyncpg
import psutil

from perf.bench import CHECKOUT
from perf.processes import BenchError, Child, http_status, is_listening
from storage import embedded

FENCED_STATUS = 75
"""What a node ends with whose work was taken over; a supervisor starts it anew."""
READY_TIMEOUT_S = 60
END_TIMEOUT_S = 30
POLL_S = 0.01


class Daemon:
    """A process that a command starts and a question tells ready."""

    def __init__(self, name: str, folder: Path, command: list[str], is_ready: Callable[[], Awaitable[bool]]) -> None:
        self.name = name
        self.log = folder / f'{name}.log'
        self.child: Child | None = None
        self._command = command
        self._is_ready = is_ready

    async def start(self) -> None:
        """Starts it and waits until it is ready. Raises BenchError when it does not get there."""
        child = await self.launch()
        await child.wait_until(self._is_ready, 'ready', READY_TIMEOUT_S)

    async def launch(self) -> Child:
        """Starts it, and does not wait."""
        self.child = await Child.start(self.name, self._command, CHECKOUT, self.log)
        return self.child

    async def kill(self) -> None:
        """`kill -9`."""
        if self.child is not None:
            await self.child.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        if self.child is not None:
            self.child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self.child is not None:
            self.child.signal(signal.SIGCONT)

    async def end(self) -> None:
        """SIGTERM, and waits. Raises BenchError when that takes too long or ends badly."""
        self.resume()
        if self.child is not None and self.child.is_alive:
            await self.child.stop(END_TIMEOUT_S)

    @property
    def pid(self) -> int:
        """Its process id; 0 before the first start."""
        return self.child.pid if self.child is not None else 0


class NodeProcess(Daemon):
    """One node, with the supervisor that starts it anew when it ends by itself."""

    def __init__(self, number: int, folder: Path, configuration: Path, http_port: int, around: list[str]) -> None:
        """`around` is what stands before the command, to set its environment."""
        command = [*around, sys.executable, '-m', 'smsc', 'run', '--config', str(configuration)]

        async def is_ready() -> bool:
            return await http_status(http_port, '/health/ready') == 200

        super().__init__(f'node{number}', folder, command, is_ready)
        self.number = number
        self.fenced = 0
        """How often it ended because its work had been taken over."""
        self.ended_badly: list[str] = []
        self._supervisor: asyncio.Task[None] | None = None
        self._wanted = False

    async def start(self) -> None:
        """Starts it, and watches over it from then on."""
        self._wanted = False
        await super().start()
        self._wanted = True
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name=f'supervise {self.name}')

    async def kill(self) -> None:
        """`kill -9`, after which it is not started by itself."""
        self._wanted = False
        await super().kill()

    async def end(self) -> None:
        """SIGTERM, after which it is not started by itself."""
        self._wanted = False
        await super().end()

    async def forget(self) -> None:
        """Watches over it no more."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if self._wanted and self.child is not None and not self.child.is_alive:
                if self.child.status == FENCED_STATUS:
                    self.fenced += 1
                else:
                    self.ended_badly.append(f'{self.name} ended by itself with status {self.child.status}')
                with suppress(BenchError):
                    await self.start()


class Postgres:
    """The PostgreSQL of all nodes, which this process runs as an administrator would."""

    name = 'postgres'

    def __init__(self, data: Path, settings: dict[str, str]) -> None:
        self.data = data
        self._settings = settings
        self._server: embedded.EmbeddedPostgres | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def server(self) -> embedded.EmbeddedPostgres:
        """What runs."""
        assert self._server is not None
        return self._server

    @property
    def socket(self) -> Path:
        """The Unix socket it listens on."""
        arguments = self.server.connect_arguments
        return Path(arguments['host']) / f'.s.PGSQL.{arguments["port"]}'

    async def start(self) -> None:
        """Starts it, also after `kill`; waits until it takes connections."""
        if self._server is None:
            self._server = await embedded.start(self.data, settings=self._settings)
        elif self._watch is None:
            self._watch = asyncio.create_task(self.server.keep_running(), name='postgres')
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not await self._answers():  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(POLL_S)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(**self.server.connect_arguments, timeout=2)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True

    async def kill(self) -> None:
        """`kill -9` of all its processes at once."""
        await self._watch_no_more()
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def kill_backend(self, random: Random) -> None:
        """`kill -9` of a process that serves a connection; PostgreSQL drops all connections and recovers."""
        backends = [process for process in self.family()[1:] if ' [local] ' in ' '.join(process.cmdline())]
        if not backends:
            raise BenchError('PostgreSQL serves no connection')
        random.choice(backends).kill()

    def family(self) -> list[psutil.Process]:
        """Its first process and those of it; nothing when it does not run."""
        try:
            postmaster = psutil.Process(self.server.pid)
            return [postmaster, *postmaster.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def pause(self) -> None:
        """All its processes stand still."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):  # a backend may end at any moment
                process.suspend()

    def resume(self) -> None:
        """And go on."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    async def end(self) -> None:
        """Ends it in order."""
        await self._watch_no_more()
        if self._server is not None:
            self.resume()
            await self._server.stop()

    async def _watch_no_more(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None


class PrivatePostgres(Postgres):
    """The PostgreSQL that a node runs for itself: it goes with the node, which also starts it again."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, {})

    async def start(self) -> None:
        """Waits until the node has started it, and it takes connections."""
        async with asyncio.timeout(READY_TIMEOUT_S):
            while (found := await embedded.attach(self.data)) is None:  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(POLL_S)
            self._server = found
            while not await self._answers():  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(POLL_S)

    async def kill(self) -> None:
        """`kill -9` of its first process."""
        self._server = await embedded.attach(self.data)
        self.family()[0].kill()

    async def end(self) -> None:
        """Nothing: it ends with its node."""


def redis(folder: Path, port: int) -> Daemon:
    """A Redis that keeps nothing on disk."""
    program = shutil.which('redis-server')
    if program is None:
        raise BenchError('redis-server is not installed; as root: apt-get install redis-server')
    command = [program, '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    return Daemon('redis', folder, [*command, '--dir', str(folder)], lambda: is_listening(port))


class FakeClock:
    """A wall clock of a process that can be set while it runs; the monotonic one goes on (Debian's libfaketime)."""

    LIBRARIES = ('x86_64-linux-gnu', 'aarch64-linux-gnu')

    def __init__(self, folder: Path) -> None:
        self._file = folder / 'clock'
        self.set(0)

    @classmethod
    def library(cls) -> Path | None:
        """What processes load that are to believe in it; None where it is not installed."""
        places = (Path('/usr/lib') / where / 'faketime' / 'libfaketime.so.1' for where in cls.LIBRARIES)
        return next((place for place in places if place.exists()), None)

    def set(self, seconds: float) -> None:
        """From within a second on, its clocks are so far ahead of the true ones."""
        new = self._file.with_suffix('.new')
        new.write_text(f'{seconds:+g}s\n', encoding='ascii')
        new.replace(self._file)

    def around(self) -> list[str]:
        """What stands before a command that is to believe in it."""
        return [
            '/usr/bin/env',
            f'LD_PRELOAD={self.library()}',
            f'FAKETIME_TIMESTAMP_FILE={self._file}',
            'FAKETIME_CACHE_DURATION=1',
            'FAKETIME_DONT_FAKE_MONOTONIC=1',
        ]

    @staticmethod
    def sweep(pid: int) -> None:
        """Removes what the library leaves in shared memory when its process is killed."""
        for name in (f'faketime_shm_{pid}', f'sem.faketime_sem_{pid}'):
            Path('/dev/shm', name).unlink(missing_ok=True)


class SmallDisk:
    """A file system of its own for a data folder, so that it can be full without harm to others; needs root."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        self.folder = folder
        self._ballast = folder / 'ballast'
        self._size_mb = size_mb

    @staticmethod
    def why_not() -> str:
        """Why this machine cannot have one; empty when it can."""
        if os.geteuid() != 0:
            return 'only root may mount a file system'
        return '' if shutil.which('mount') else 'there is no mount'

    def mount(self) -> None:
        """Makes it. Raises BenchError when the system does not allow it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f'size={self._size_mb}m,mode=0755'
        command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(self.folder)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise BenchError(f'no file system could be mounted: {done.stderr.decode().strip()}')

    def fill(self) -> None:
        """Leaves no octet free."""
        with self._ballast.open('ab', buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        with self._ballast.open('ab', buffering=0) as file, suppress(OSError):
            while True:
                file.write(b'\0')

    def free(self) -> None:
        """Gives back what `fill` took."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Removes it with all that is on it."""
        subprocess.run(['umount', '--lazy', self.folder], capture_output=True, check=False)
