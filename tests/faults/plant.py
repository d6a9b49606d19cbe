"""The plant of the fault tests: nodes, PostgreSQL, Redis, an operator, an ESME, and a breaking proxy between them.

    async with Plant(PlantSettings(nodes=2)) as plant:
        plant.book.set('rate_per_s', 1000)

Every process is real, and can be broken by itself; every connection goes through a leg of the proxy: `esme`,
`postgres`, `redis` and `operator`, each with the number of its node. The folder, with configurations, stores and logs,
is removed at the end unless the plant was given one. BenchError says what did not work.
"""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import asyncpg
import msgspec

from perf.operator import OperatorSettings
from perf.options import arguments_of
from perf.processes import BenchError, is_listening
from smsc.control import ControlError, ask
from storage.ledger import Ledger, read_ledger
from tests.faults.breaking import AnyCommand, Breaker
from tests.faults.esme import Book
from tests.faults.processes import (
    Daemon,
    FakeClock,
    NodeProcess,
    Postgres,
    PrivatePostgres,
    SmallDisk,
    redis,
)
from tests.product.running import free_port, merged

DEAD_S = 5  # a beat waits three seconds for a connection that went silent
DESTINATION_PREFIX = '79'
CACHE = 500
PLENTY = 1_000_000
POSTGRES = {'max_connections': '200', 'shared_buffers': '32MB'}
SMALL_DISK_MB = 600
IMPATIENT = {
    'response_timeout_s': 4,
    'enquire_link_s': 2,
    'pdu_read_s': 5,
    'session_init_s': 5,
    'drain_s': 5,
    'unbind_timeout_s': 3,
    'failed_binds_per_s': 0,
}
"""Timers of sessions, so short that a fault is over in seconds."""


class PlantSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What to build. Windows, outboxes and caches are so small that they fill, and the disk is used."""

    nodes: int = 1
    private: bool = False
    """The one node has its own PostgreSQL, which goes with it; otherwise it is reached by DSN."""
    fake_clock: bool = False
    """The wall clocks of the nodes can be set."""
    small_disk: bool = False
    """The disk of PostgreSQL can be filled."""
    binds: int = 4
    window: int = 50
    links: int = 2
    upstream_window: int = 100
    fsync: bool = True
    operator: OperatorSettings = OperatorSettings(response_delay_ms=15, receipt_delay_ms=300)
    folder: Path | None = None
    server: dict[str, Any] = {}
    """Keys of the configuration, over those of the plant."""


class Plant:
    """All of it."""

    def __init__(self, settings: PlantSettings) -> None:
        self.settings = settings
        self.folder = settings.folder or Path(tempfile.mkdtemp(prefix='smsc-faults-'))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = FakeClock(self.folder) if settings.fake_clock else None
        self.disk = SmallDisk(self.folder / 'disk', SMALL_DISK_MB) if settings.small_disk else None
        self.ports = {'operator': free_port(), 'redis': free_port()}
        self.numbers = range(1, settings.nodes + 1)
        for number in self.numbers:
            for name in ('smpp', 'http', 'esme', 'postgres', 'redis', 'operator'):
                self.ports[f'{name}{number}'] = free_port()
        self.postgres = self._make_postgres()
        self.redis: Daemon | None = redis(self.folder, self.ports['redis']) if settings.nodes > 1 else None
        self.operator = self._make_operator()
        self.esme = self._make_esme()
        self.nodes = [self._make_node(number) for number in self.numbers]
        self.breaker = Breaker(self.folder / 'breaking.sock')
        self._breaking: Daemon | None = None
        self._book: Book | None = None

    # Building

    def _make_postgres(self) -> Postgres:
        if self.settings.private:
            return PrivatePostgres(self.data(1))
        settings = POSTGRES | ({} if self.settings.fsync else {'fsync': 'off'})
        return Postgres((self.disk.folder if self.disk else self.folder) / 'postgres', settings)

    def _make_operator(self) -> Daemon:
        port = self.ports['operator']
        command = [sys.executable, '-m', 'tests.faults.operator', str(self.folder), str(port)]
        command += arguments_of(self.settings.operator, frozenset({'ledger'}))
        return Daemon('operator', self.folder, command, lambda: is_listening(port))

    def _make_esme(self) -> Daemon:
        ports = ','.join(str(self.ports[f'esme{number}']) for number in self.numbers)
        command = [sys.executable, '-m', 'tests.faults.esme', str(self.folder / 'book'), '--ports', ports]
        command += ['--binds', str(self.settings.binds), '--window', str(self.settings.window)]

        async def is_bound() -> bool:
            return self.book.get('sessions') == self.settings.binds

        return Daemon('esme', self.folder, command, is_bound)

    def _make_node(self, number: int) -> NodeProcess:
        around = self.clock.around() if self.clock else []
        return NodeProcess(number, self.folder, self.configuration(number), self.ports[f'http{number}'], around)

    def _make_breaking(self) -> Daemon:
        command = [sys.executable, '-m', 'tests.faults.breaking', str(self.folder / 'breaking.sock')]
        for number in self.numbers:
            targets: dict[str, object] = {
                'esme': self.ports[f'smpp{number}'],
                'operator': self.ports['operator'],
                'redis': self.ports['redis'],
                'postgres': '' if self.settings.private else self.postgres.socket,
            }
            for leg, target in targets.items():
                if target:
                    command.append(f'{leg}{number}={self.ports[f"{leg}{number}"]}:{target}')

        async def is_there() -> bool:
            return (self.folder / 'breaking.sock').exists()

        return Daemon('breaking', self.folder, command, is_there)

    def data(self, number: int) -> Path:
        """The data folder of a node."""
        return self.folder / f'data{number}'

    def configuration(self, number: int) -> Path:
        """The configuration of a node."""
        return self.folder / f'node{number}.yaml'

    def write_configurations(self) -> None:
        """Writes them: the same for all nodes but for numbers, ports and the legs they go by."""
        for number in self.numbers:
            tree = merged(self._tree(number), self.settings.server)
            self.configuration(number).write_bytes(msgspec.json.format(msgspec.json.encode(tree)))

    def _tree(self, number: int) -> dict[str, Any]:
        settings, ports = self.settings, self.ports
        tree: dict[str, Any] = {
            'node': number,
            'data': str(self.data(number)),
            'smpp': {'listen': f'127.0.0.1:{ports[f"smpp{number}"]}'} | IMPATIENT,
            'http': {'listen': f'127.0.0.1:{ports[f"http{number}"]}'},
            'queues': {'memory': CACHE, 'cache': CACHE},
            'accounts': {
                'load': {
                    'password': 'secret',
                    'binds': 10 * settings.binds,
                    'window': settings.window,
                    'rate_per_s': PLENTY,
                    'waiting': 100 * PLENTY,
                    'validity_h': 1,
                }
            },
            'upstreams': {
                'operator': {
                    'host': '127.0.0.1',
                    'port': ports[f'operator{number}'],
                    'system_id': 'proxy',
                    'password': 'secret',
                    'links': settings.links,
                    'window': settings.upstream_window,
                    'rate_per_s': PLENTY,
                    'reconnect': {'first_s': 0.1, 'last_s': 0.5, 'refused_s': 0.5},
                    'retry': {'first_s': 0.1, 'factor': 2, 'last_s': 1},
                }
            },
            'routes': [{'name': 'everything', 'failover': ['operator']}],
        }
        if not settings.private:
            dsn = f'postgresql://smsc@127.0.0.1:{ports[f"postgres{number}"]}/postgres?sslmode=disable'
            tree['store'] = {'postgres': dsn}
        if settings.nodes > 1:
            tree['store']['redis'] = f'redis://127.0.0.1:{ports[f"redis{number}"]}/0'
            tree['cluster'] = {'dead_s': DEAD_S}
        return tree

    # Life

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException as error:
            await self._close_after(error)
            raise
        return self

    async def _start(self) -> None:
        if self.disk is not None:
            self.disk.mount()
        self.write_configurations()
        if not self.settings.private:
            await self.postgres.start()
            await self.postgres.start()  # from here on it is watched over
        self._breaking = self._make_breaking()
        self._book = Book(self.folder / 'book')
        await asyncio.gather(*(each.start() for each in (self._breaking, self.operator, self.redis) if each))
        for node in self.nodes:  # one after the other, as the first one makes the schema
            await node.start()
        if self.settings.private:
            await self.postgres.start()
        await self.esme.start()

    async def __aexit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            await self.close()
        else:
            await self._close_after(error)

    async def _close_after(self, error: BaseException) -> None:
        try:
            await self.close()
        except BenchError as later:
            error.add_note(str(later))

    async def close(self) -> None:
        """Ends what runs, by force if need be, and removes a temporary folder."""
        everything = [self.esme, *self.nodes, self.operator, self._breaking, self.redis]
        try:
            for node in self.nodes:
                await node.forget()
            for each in everything:
                if each is not None:
                    await each.end()
        finally:
            for each in everything:
                if each is not None:
                    await each.kill()
            await self.postgres.end()
            self._clean()

    def _clean(self) -> None:
        if self._book is not None:
            self._book.close()
        if self.clock is not None:
            for node in self.nodes:
                self.clock.sweep(node.pid)
        if self.disk is not None:
            self.disk.unmount()
        if self.settings.folder is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    # Questions and orders

    @property
    def book(self) -> Book:
        """What the ESME knows, and the rate it submits at."""
        assert self._book is not None
        return self._book

    @property
    def seen(self) -> bytes:
        """How often the operator has seen each number."""
        return (self.folder / 'ledger').read_bytes()

    @property
    def cache(self) -> int:
        """How many messages a node may keep of an upstream that wait for nothing but a receipt."""
        queues: dict[str, int] = self.settings.server.get('queues', {})
        return queues.get('cache', CACHE)

    async def leg(self, command: AnyCommand) -> None:
        """Does something to a leg."""
        await self.breaker.do(command)

    async def statuses(self) -> list[dict[str, Any]]:
        """What `smsc status` is told by each node. Raises BenchError when one does not answer."""
        try:
            return [await ask(self.data(number), 'status') for number in self.numbers]
        except ControlError as error:
            raise BenchError(str(error)) from error

    async def ledger(self) -> Ledger:
        """What `smsc ledger` counts."""
        return await read_ledger(self.postgres.server.connect_arguments)

    async def connect(self) -> 'asyncpg.Connection[asyncpg.Record]':
        """A connection to the store, past the proxy; the caller closes it."""
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(**self.postgres.server.connect_arguments)
        return connection
