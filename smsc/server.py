"""The server process: load, start, serve, drain, stop. What `smsc run` runs.

Signals: SIGTERM and SIGINT drain and end, a second one ends at once; SIGHUP reloads the configuration. Errors before
the node is ready end the process with a message that says what to do; nothing is left behind but the data folder.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from domain.errors import Fenced
from domain.ids import accepted_at_ms
from perf.operator import Operator, OperatorSettings
from routing.mnp import MnpBaseError
from routing.plan import PlanError
from smsc import __version__
from smsc import config as configurations
from smsc.clock import CLOCK, wall_ms
from smsc.cluster.places import Place, in_place
from smsc.cluster.telling import told_everywhere
from smsc.config.registered_senders import SendersFileError
from smsc.config.schema import Configuration, Listen, StoreConfig
from smsc.control import ControlError, ControlServer, Handler
from smsc.explaining import answer_question
from smsc.explaining_mo import answer_mo_question
from smsc.http import HttpServer, application
from smsc.metrics import Collector
from smsc.node import Node
from smsc.numbering import plan_handler
from smsc.observing import Observing
from smsc.queues import QueueWork
from smsc.queues_shown import QueuesShown
from smsc.status import Statuses
from smsc.tls import TlsError
from storage import embedded
from storage.membership import TAKER_PATIENCE_S
from storage.store import Store

log = structlog.get_logger()
SAMPLE_S = 1.0
UNREADABLE = (configurations.ConfigurationError, SendersFileError, PlanError, MnpBaseError)
"""Files beside the configuration that changed since it was checked, or cannot be read."""
GC_THRESHOLDS = (50_000, 20, 50)
COMMANDS = ('status', 'switch', 'route', 'route_mo', 'plan', 'stop_lists', 'credit', 'ready', 'queues', 'queue_work')
"""What a node answers over its control socket, beside `reload`."""
FENCED_STATUS = 75  # EX_TEMPFAIL: whoever supervises starts the node anew


class ServerError(Exception):
    """The server cannot start; the text says why and what to do."""


class Server:
    """One process: a node, its store, its HTTP port and its control socket."""

    def __init__(self, path: Path, configuration: Configuration, place: Place | None = None) -> None:
        """`place` is this node's among those of a supervisor."""
        self.path = path
        self.place = place
        self.configuration = in_place(configuration, place) if place else configuration
        self.node: Node | None = None
        self._stop = asyncio.Event()
        self._ready = False
        self._reloading = asyncio.Lock()
        self._operators: list[Operator] = []

    async def run(self) -> None:
        """Serve until a signal says stop. Raises ServerError, or what the store raises at start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._handle_stop_signal)
        reloads: set[asyncio.Task[Any]] = set()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._handle_reload_signal(reloads))
        gc.set_threshold(*GC_THRESHOLDS)
        async with AsyncExitStack() as stack:
            await self._start(stack)
            gc.collect()
            gc.freeze()
            self._ready = True
            await self._until_stop()
            self._ready = False
        await asyncio.gather(*reloads, return_exceptions=True)
        log.info('server.stopped')

    async def _until_stop(self) -> None:
        """Wait for the signal to stop, or for the end of the supervisor."""
        while self.place is not None and os.getppid() == self.place.supervisor:
            try:
                await asyncio.wait_for(self._stop.wait(), SAMPLE_S)
            except TimeoutError:
                continue
            return
        if self.place is None:
            await self._stop.wait()

    async def _start(self, stack: AsyncExitStack) -> None:
        """Bring everything up in order; `stack` takes it down in the reverse order."""
        configuration = self.configuration
        _check_cluster(configuration)
        data = configuration.data
        arguments = await connect_arguments(configuration, stack)
        store = Store(arguments, configuration.node, __version__, str(configuration.http.listen))
        store.health.on_fenced = _end_fenced
        stack.push_async_callback(store.close)
        await store.open(wall_ms(), TAKER_PATIENCE_S if configuration.cluster else 0)
        if self.place is None:
            await start_operators(configuration, stack)
        last_id = await store.last_id()
        CLOCK.rise_to(accepted_at_ms(last_id))
        try:
            node = self.node = Node(configuration, store, last_id)
        except UNREADABLE as error:
            raise ServerError(str(error)) from error
        statuses, observing = Statuses(node), Observing(node.core)
        http = HttpServer(
            application(Collector(node, observing), self._not_ready),
            configuration.http.listen.host,
            configuration.http.listen.port,
        )
        with _listening('http.listen', configuration.http.listen):
            await http.start()
        stack.push_async_callback(http.stop)
        handlers: dict[str, Handler] = {'status': self._status(statuses), 'reload': self._handle_reload}
        told = partial(told_everywhere, node.core)
        handlers['switch'] = told('switch', node.switchboard.handle, lambda _: node.switchboard.read())
        handlers['route'] = partial(answer_question, node)
        handlers['route_mo'] = partial(answer_mo_question, node)
        handlers['plan'] = plan_handler(node.core.policy.plan, data)
        stop_lists = node.core.stop_lists
        handlers['stop_lists'] = told('stop_lists', stop_lists.handle_look, stop_lists.handle_look)
        handlers['credit'] = told('credit', self._handle_credit, self._handle_credit)
        handlers['ready'] = self._is_ready
        handlers['queues'] = QueuesShown(node.core, statuses.upstream_rates).handle
        handlers['queue_work'] = QueueWork(node.core).handle
        control = ControlServer(data, handlers, self.place.node if self.place else None)
        data.mkdir(parents=True, exist_ok=True)
        await control.start()
        stack.push_async_callback(control.stop)
        try:
            with _listening('smpp.listen', configuration.smpp.listen):
                await node.start()
        except TlsError as error:
            raise ServerError(str(error)) from error
        stack.push_async_callback(node.stop)
        observing.start()
        stack.push_async_callback(observing.stop)
        sampling = asyncio.create_task(_sample(statuses), name='sample')
        stack.push_async_callback(_end, sampling)

    async def _is_ready(self, request: dict[str, Any]) -> bool:
        return self._ready

    def _not_ready(self) -> str:
        if not self._ready or self.node is None:
            return 'starting or stopping'
        return '' if self.node.core.store.health.available else 'the store is away'

    def _handle_stop_signal(self) -> None:
        if self._stop.is_set():
            os._exit(1)
        self._stop.set()

    def _handle_reload_signal(self, reloads: set[asyncio.Task[Any]]) -> None:
        task = asyncio.create_task(self._reload_by_signal(), name='reload')
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    async def _reload_by_signal(self) -> None:
        try:
            await self.reload()
        except ControlError as error:
            log.error('configuration.refused', reason=str(error))

    def _status(self, statuses: Statuses) -> Any:
        async def handle(request: dict[str, Any]) -> Any:
            return await statuses.of_cluster()

        return handle

    async def _handle_credit(self, request: dict[str, Any]) -> Any:
        """Balances were changed by hand: look at them again."""
        assert self.node is not None
        await self.node.core.store.credit.refresh([str(request.get('account'))])
        return []

    async def _handle_reload(self, request: dict[str, Any]) -> Any:
        return await self.reload(bool(request.get('dry_run')))

    async def reload(self, dry_run: bool = False) -> list[str]:
        """Load, check and swap the configuration in; return what changes. Raises ControlError, changing nothing."""
        async with self._reloading:
            if self.node is None or not self._ready:
                raise ControlError('the server is starting or stopping; try again')
            try:
                configuration = await asyncio.to_thread(configurations.load, self.path)
                configuration = in_place(configuration, self.place) if self.place else configuration
            except configurations.ConfigurationError as error:
                raise ControlError(f'nothing was changed:\n{error}') from error
            changes = configurations.diff(self.configuration, configuration)
            if not dry_run:
                kept = configurations.keep_fixed(self.configuration, configuration)
                try:
                    await self.node.reload(kept)
                except (TlsError, *UNREADABLE) as error:
                    raise ControlError(f'nothing was changed:\n{error}') from error
                self.configuration = kept
            return changes


def _check_cluster(configuration: Configuration) -> None:
    """Nodes that nobody gives what they share must be told. Raises ServerError."""
    store = configuration.store
    missing = [f'store.{name}' for name in ('postgres', 'redis') if not getattr(store, name)]
    if configuration.cluster is not None and missing:
        raise ServerError(
            f'`cluster` needs {" and ".join(missing)}: name what all nodes share, or start them on this machine'
            ' with: smsc run --nodes 2'
        )


@contextmanager
def _listening(key: str, listen: Listen) -> Iterator[None]:
    """Say which key of the configuration an address belongs to that cannot be listened on."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ServerError(
            f'cannot listen on {listen} ({key}): {reason}; stop what listens there, or choose another address'
        ) from error


async def connect_arguments(configuration: Configuration, stack: AsyncExitStack, own: bool = True) -> dict[str, Any]:
    """Return asyncpg's arguments for the configured store, starting the private PostgreSQL if that is it.

    With `own` False the private server is only used if it runs, or started for as long as `stack` lives.
    """
    store: StoreConfig = configuration.store
    if store.postgres:
        return {'dsn': store.postgres}
    if not own and (running := await embedded.attach(configuration.data)) is not None:
        return dict(running.connect_arguments)
    postgres = await embedded.start(configuration.data)
    stack.push_async_callback(postgres.stop)
    watching = asyncio.create_task(postgres.keep_running(), name='postgres')
    stack.push_async_callback(_end, watching)
    return dict(postgres.connect_arguments)


async def start_operators(configuration: Configuration, stack: AsyncExitStack) -> None:
    """Start the simulated operators that the configuration asks for."""
    for upstream in configuration.upstreams.values():
        if upstream.simulated is None:
            continue
        settings = msgspec.convert(msgspec.structs.asdict(upstream.simulated), OperatorSettings)
        operator = Operator(settings)
        with _listening(f'upstreams.{upstream.name}', Listen(upstream.host, upstream.port)):
            await operator.start(upstream.host, upstream.port)
        stack.push_async_callback(operator.stop)
        log.info('simulator.started', upstream=upstream.name, listen=f'{upstream.host}:{upstream.port}')


def _end_fenced(error: Fenced) -> None:
    """End at once: whatever this process would still do, another node does."""
    log.critical('node.fenced', reason=str(error), remedy='start it anew; give each process a node number of its own')
    os._exit(FENCED_STATUS)


async def _sample(statuses: Statuses) -> None:
    while True:
        statuses.sample()
        await asyncio.sleep(SAMPLE_S)


async def _end(task: 'asyncio.Task[None]') -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
