"""Several nodes of one machine: a process each, and one that starts them, watches them, and answers commands for them.

It runs what they share, the private PostgreSQL, and Redis where the configuration names none. A node that ends is
started anew. Commands come to the supervisor's control socket and go on to a node; a reload goes to all of them.
"""

import asyncio
import os
import shutil
import signal
import sys
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import structlog

from smsc.cluster.places import VARIABLE, Place
from smsc.config.schema import Configuration
from smsc.control import ControlError, ControlServer, ask
from smsc.server import COMMANDS, ServerError, connect_arguments, start_operators
from storage.embedded import child as following

PACKAGES = Path(__file__).parent.parent
RESTART_FIRST_S, RESTART_LAST_S = 0.5, 10.0
STEADY_S = 30.0  # a node that ran so long and ends is started at once again
POLL_S = 0.1
READY_S = 120.0
OF_ALL = ('reload', 'plan', 'credit')
"""Commands that change what each node has in memory."""
START_TRIES = 3  # of the first node to come up, before the supervisor gives up

log = structlog.get_logger()


class Child:
    """One node's process, started anew whenever it ends until `stop`."""

    def __init__(self, path: Path, place: Place) -> None:
        self.place = place
        self.starts = 0
        self.has_been_ready = False
        self.last_status: int | None = None
        self._path = path
        self._process: asyncio.subprocess.Process | None = None
        self._is_restarting = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Keep the process running; returns after `stop`, when it has ended."""
        loop, pause_s = asyncio.get_running_loop(), RESTART_FIRST_S
        while not self._stopping.is_set():
            began_at = loop.time()
            try:
                await self._run_once()
            except OSError as error:  # no memory, or no process more
                log.error(
                    'node.not_started', node=self.place.node, reason=str(error), remedy='free memory or processes'
                )
            if loop.time() - began_at > STEADY_S:
                pause_s = RESTART_FIRST_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(2 * pause_s, RESTART_LAST_S)

    async def _run_once(self) -> None:
        """Start the process and return when it has ended. Raises OSError when it cannot be started."""
        process = await self._start()
        if self._stopping.is_set():  # meanwhile
            self.signal(signal.SIGTERM)
        self.last_status = await process.wait()
        if not self._stopping.is_set():
            show = log.info if self._is_restarting else log.error
            show('node.ended', node=self.place.node, status=self.last_status)
        self._is_restarting = False

    async def _start(self) -> asyncio.subprocess.Process:
        place = msgspec.json.encode(self.place).decode()
        self.starts += 1
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *('-m', 'smsc', 'run', '--config', str(self._path)),
            cwd=PACKAGES,
            env=os.environ | {VARIABLE: place},
            start_new_session=True,  # an interrupt at the terminal is for the supervisor alone
        )
        log.info('node.started', node=self.place.node, process=self._process.pid)
        return self._process

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def restart(self) -> None:
        """Have it drain, end, and start anew."""
        self._is_restarting = True
        self.signal(signal.SIGTERM)

    def stop(self) -> None:
        """Have it drain and end, for good."""
        self._stopping.set()
        self.signal(signal.SIGTERM)


class Supervisor:
    """The process above the nodes."""

    def __init__(self, path: Path, configuration: Configuration, nodes: int) -> None:
        self.path = path.resolve()
        self.configuration = configuration
        self.nodes = nodes
        self.children: list[Child] = []
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Run until a signal says stop. Raises ServerError when no node comes up."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._handle_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._handle_reload_signal)
        async with AsyncExitStack() as stack:
            self.children = [Child(self.path, place) for place in await self._places(stack)]
            control = ControlServer(self.configuration.data, self._handlers())
            await control.start()
            stack.push_async_callback(control.stop)
            running = [asyncio.create_task(child.run(), name=f'node {child.place.node}') for child in self.children]
            failure = await self._watch()
            for child in self.children:
                child.stop()
            await asyncio.gather(*running)
        if failure:
            raise ServerError(failure)
        log.info('supervisor.stopped')

    async def _places(self, stack: AsyncExitStack) -> list[Place]:
        """Start what the nodes share."""
        configuration = self.configuration
        configuration.data.mkdir(parents=True, exist_ok=True)
        postgres = ''
        if not configuration.store.postgres:
            arguments = await connect_arguments(configuration, stack)
            postgres = dsn_of(arguments)
        redis = '' if configuration.store.redis else await start_redis(configuration.data, stack)
        await start_operators(configuration, stack)
        first = configuration.node
        return [Place(first + shift, shift, os.getpid(), postgres, redis) for shift in range(self.nodes)]

    async def _watch(self) -> str:
        """Wait for the signal to stop; return why nothing can come of it instead."""
        while not self._stop.is_set():
            for child in self.children:
                if not child.has_been_ready and await self._is_ready(child):
                    child.has_been_ready = True
                    listen = self.configuration.http.listen
                    http = f'{listen.host}:{listen.port + child.place.http_shift}'
                    log.info('node.up', node=child.place.node, http=http)
            if not any(child.has_been_ready for child in self.children) and all(
                child.starts > START_TRIES for child in self.children
            ):
                return (
                    f'no node comes up (the last ended with status {self.children[0].last_status}); see the log above'
                )
            try:
                await asyncio.wait_for(self._stop.wait(), POLL_S)
            except TimeoutError:
                pass
        return ''

    async def _is_ready(self, child: Child) -> bool:
        try:
            return bool(await ask(self.configuration.data, 'ready', child.place.node))
        except ControlError:
            return False

    def _handle_stop_signal(self) -> None:
        if self._stop.is_set():
            for child in self.children:
                child.signal(signal.SIGKILL)
        self._stop.set()

    def _handle_reload_signal(self) -> None:
        for child in self.children:
            child.signal(signal.SIGHUP)

    # Commands

    def _handlers(self) -> dict[str, Any]:
        handlers: dict[str, Any] = {name: partial(self._ask_one, name) for name in COMMANDS}
        everywhere = {name: partial(self._ask_all, name) for name in OF_ALL}
        return handlers | everywhere | {'restart': self._restart}

    async def _ask_one(self, command: str, request: dict[str, Any]) -> Any:
        """Pass a command on to the first node that answers."""
        for child in self.children:
            if await self._is_ready(child):
                return await self._ask(child, command, request)
        raise ControlError('no node is up; look at the log')

    async def _ask_all(self, command: str, request: dict[str, Any]) -> Any:
        """Pass a command on to every node; they read the same files, so the mistakes of one are everybody's."""
        answer: Any = None
        for child in self.children:
            if await self._is_ready(child):
                answer = await self._ask(child, command, request)
        if answer is None:
            raise ControlError('no node is up; look at the log')
        return answer

    async def _ask(self, child: Child, command: str, request: dict[str, Any]) -> Any:
        arguments = {key: value for key, value in request.items() if key != 'command'}
        return await ask(self.configuration.data, command, child.place.node, **arguments)

    async def _restart(self, request: dict[str, Any]) -> list[str]:
        """Restart one node after another, each as soon as the one before is ready again."""
        for child in self.children:
            starts = child.starts
            child.restart()
            until = asyncio.get_running_loop().time() + READY_S
            while child.starts == starts or not await self._is_ready(child):
                if asyncio.get_running_loop().time() > until:
                    raise ControlError(f'node {child.place.node} is not ready again; the others were left alone')
                await asyncio.sleep(POLL_S)
        return [f'node {child.place.node} restarted' for child in self.children]


def dsn_of(arguments: dict[str, Any]) -> str:
    """Return connect arguments of a server on a Unix socket as a DSN."""
    query = '&'.join(f'{key}={quote(str(arguments[key]), safe="")}' for key in ('host', 'user') if key in arguments)
    if 'port' in arguments:
        query += f'&port={arguments["port"]}'
    return f'postgresql:///{arguments["database"]}?{query}'


def _socket(data: Path) -> Path:
    return data.resolve() / 'redis.sock'


async def start_redis(data: Path, stack: AsyncExitStack) -> str:
    """Run a Redis of our own on a Unix socket in the data folder; return its URL. Raises ServerError without one."""
    program = shutil.which('redis-server')
    if program is None:
        raise ServerError(
            'several nodes need a Redis: name one in store.redis, or install redis-server on this machine'
            ' (Debian: apt-get install redis-server)'
        )
    path = _socket(data)
    command = [
        *(sys.executable, '-I', '-S', following.__file__, str(os.getpid()), str(int(signal.SIGKILL)), 'same', program),
        *('--port', '0', '--unixsocket', str(path), '--unixsocketperm', '700'),
        *('--save', '', '--appendonly', 'no', '--daemonize', 'no', '--loglevel', 'warning'),
    ]
    running = asyncio.create_task(_keep_running(command), name='redis')

    async def stop() -> None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    stack.push_async_callback(stop)
    return f'unix://{path}'


async def _keep_running(command: list[str]) -> None:
    """Run Redis, anew whenever it ends, until cancelled: nothing in it is the only copy of anything."""
    while True:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        log.error('redis.ended', status=status)
        await asyncio.sleep(RESTART_FIRST_S)
