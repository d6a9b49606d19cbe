"""The whole product, run for a test: its configuration as a file, its process or its server in the test's own loop.

`Product` holds what outlives a run (configuration, database, ports), so that it can be stopped and started again.
`Inside` runs `smsc.server.Server` in the loop of the test; `Spawned` runs `python -m smsc run` as people do.
"""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import yaml

from smsc import config as configurations
from smsc.control import ask
from smsc.node import Node
from smsc.server import Server
from smsc.status import Snapshot
from storage.ledger import Ledger, Story, read_ledger, read_story
from tests.product.database import Databases
from tests.product.forking import Forked, forking
from tests.product.peers import Esme, Smsc
from tests.product.waiting import TIMEOUT_S, until, until_async

PASSWORD = 'Zq7-esme'
UPSTREAM_PASSWORD = 'Xk9-oper'
CHECKOUT = Path(__file__).parents[2]
WORKER = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
WORKERS = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))
PORTS = range(15_000 + WORKER, 32_000, WORKERS)
"""Those of this process, of several that run tests; below the ports that the system gives to connections: a link that
tries a port nobody listens on could get its own port for the other end, and talk to itself.
"""


_given: deque[int] = deque(maxlen=1_000)


def free_port() -> int:
    """A port that nobody listens on, and that was not given out lately: whoever got it may not listen yet."""
    while True:
        port = random.choice(PORTS)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
            _given.append(port)
            return port


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, mapping by mapping; None removes a key."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def account(**changes: Any) -> dict[str, Any]:
    """An account that may do what most tests need."""
    return {'password': PASSWORD, 'binds': 10, 'window': 1000} | changes


def upstream(port: int, **changes: Any) -> dict[str, Any]:
    """An upstream whose link is back soon."""
    usual = {
        'host': '127.0.0.1',
        'port': port,
        'system_id': 'proxy',
        'password': UPSTREAM_PASSWORD,
        'window': 100,
        'reconnect': {'first_s': 0.05, 'last_s': 0.2, 'refused_s': 0.3},
        'retry': {'first_s': 0.05, 'factor': 2, 'last_s': 0.2},
    }
    return merged(usual, changes)


class Product:
    """A configured product and its database. `tree` is the configuration; `write` puts it into the file."""

    def __init__(self, folder: Path, databases: Databases, database: str, dsn: str, tree: dict[str, Any]) -> None:
        self.folder = folder
        self.path = folder / 'smsc.yaml'
        self.database = database
        self.port = free_port()
        self.http_port = free_port()
        self.arguments = databases.arguments(database)
        usual = {
            'data': str(folder / 'var'),
            'store': {'postgres': dsn},
            'smpp': {'listen': f'127.0.0.1:{self.port}', 'drain_s': 5, 'response_timeout_s': 20},
            'http': {'listen': f'127.0.0.1:{self.http_port}'},
            'accounts': {'bank': account()},
            'routes': [],
        }
        self.tree = merged(usual, tree)
        if not self.tree['routes']:
            self.tree['routes'] = [{'name': 'everything', 'failover': list(self.tree['upstreams'])}]
        self.write()

    def write(self, **changes: Any) -> None:
        """Changes the configuration in the file; a running product does not look at it by itself."""
        self.tree = merged(self.tree, changes)
        self.path.write_text(yaml.safe_dump(self.tree, sort_keys=False, allow_unicode=True), encoding='utf-8')

    # As an operator of the product

    async def ledger(self) -> Ledger:
        """What `smsc ledger` counts."""
        return await read_ledger(self.arguments)

    async def story(self, message_id: str) -> Story:
        """What `smsc message` tells."""
        found = await read_story(self.arguments, int(message_id))
        assert found is not None
        return found

    async def settle(self, **final: int) -> Ledger:
        """Waits until the store counts exactly these final states, and returns its ledger, which adds up."""

        async def counted() -> Ledger | None:
            book = await self.ledger()
            return book if book.final == final else None

        try:
            book = await until_async(counted)
        except TimeoutError:
            raise AssertionError(f'expected {final}, the ledger says {await self.ledger()}') from None
        assert book is not None
        assert book.adds_up, book
        return book

    async def status(self) -> Snapshot:
        """What `smsc status` is told."""
        return msgspec.convert(await ask(Path(self.tree['data']), 'status'), Snapshot)

    async def reload(self, **arguments: Any) -> Any:
        """What `smsc reload` does."""
        return await ask(Path(self.tree['data']), 'reload', **arguments)

    async def get(self, path: str) -> tuple[int, str]:
        """An HTTP GET: status and body."""
        return await asyncio.to_thread(self.get_now, path)

    def get_now(self, path: str) -> tuple[int, str]:
        """The same, blocking."""
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{self.http_port}{path}', timeout=TIMEOUT_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one metric; 0 if it is not there."""
        _, page = await self.get('/metrics')
        for line in page.splitlines():
            head, _, value = line.rpartition(' ')
            found, _, inside = head.partition('{')
            if found == name and all(f'{key}="{wanted}"' in inside for key, wanted in labels.items()):
                return float(value)
        return 0.0

    # As its peers

    async def connect(self) -> Esme:
        """An ESME that has not bound."""
        return await Esme.connect(self.port)

    async def links_bound(self, name: str, count: int = 1) -> None:
        """Waits until an upstream has so many links."""

        async def bound() -> bool:
            status = await self.status()
            links = next((u.links for u in status.upstreams if u.name == name), [])
            return sum(link.state.startswith('bound') for link in links) == count

        await until_async(bound)


class Inside(Product):
    """The server in the loop of the test, of which there may be one at a time."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._server: Server | None = None
        self._run: asyncio.Task[None] | None = None

    @property
    def node(self) -> Node:
        """The running node."""
        assert self._server is not None
        assert self._server.node is not None
        return self._server.node

    async def start(self) -> None:
        """Runs until the server says that it is ready. Raises what it ended with."""
        server = self._server = Server(self.path, configurations.load(self.path))
        run = self._run = asyncio.create_task(server.run(), name='server')

        async def ready() -> bool:
            if run.done():
                run.result()
            return server._ready

        await until_async(ready)

    async def stop(self) -> None:
        """Drains and ends, as SIGTERM does."""
        server, run = self._server, self._run
        if server is None or run is None:
            return
        self._server = self._run = None
        server._handle_stop_signal()
        async with asyncio.timeout(TIMEOUT_S):
            await run
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)


class Spawned(Product):
    """The server as a process of its own."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.log = self.folder / 'log'
        self.options: tuple[str, ...] = ()
        self.process: Forked | None = None

    def start_now(self) -> None:
        """Runs until it is ready; fails with its log when it ends before."""
        with self.log.open('ab') as log:
            self.process = forking.start(['run', '-c', str(self.path), *self.options], dict(os.environ), log, log)
        give_up_at = time.monotonic() + TIMEOUT_S
        while not self._is_ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up_at, self.log.read_text()
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return self.get_now('/health/ready')[0] == 200
        except OSError:
            return False

    def stop_now(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit status of the process; fails with its log when it does not end."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            raise AssertionError(f'did not stop within {TIMEOUT_S} s:\n{self.log.read_text()}') from None

    async def start(self) -> None:
        """The same as `start_now`, while the loop goes on."""
        await asyncio.to_thread(self.start_now)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The same as `stop_now`, while the loop goes on."""
        return await asyncio.to_thread(self.stop_now, number)


async def run_command(product: Product, *arguments: str, timeout_s: float = TIMEOUT_S) -> tuple[int, str, str]:
    """Runs `smsc` with the product's configuration; returns exit status, stdout and stderr."""
    return await asyncio.to_thread(run_command_now, product, arguments, timeout_s)


def run_command_now(product: Product, arguments: tuple[str, ...], timeout_s: float) -> tuple[int, str, str]:
    """The same, blocking."""
    environment = os.environ | {'SMSC_CONFIG': str(product.path)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = forking.start(list(arguments), environment, out, err)
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            raise
        out.seek(0)
        err.seek(0)
        return status, out.read().decode(), err.read().decode()


async def command_json(product: Product, *arguments: str) -> Any:
    """What a command prints as JSON; it must succeed."""
    status, out, err = await run_command(product, *arguments)
    assert status == 0, err
    return json.loads(out)


async def everywhere_bound(smsc: Smsc, count: int = 1) -> None:
    """Waits until a scripted operator has so many links."""
    await until(lambda: len(smsc.bound) >= count)
