"""The bench: operator, server and load around one temporary data folder, for scenarios and for tests of faults.

    async with Bench(BenchSettings()) as bench:
        figures = await bench.measure(bench.load(messages=10_000))
        account = await bench.settle()

Operator and server are processes of their own; the load runs in this one. Everything listens on 127.0.0.1. The folder,
with configuration, store and logs, is removed at the end unless the bench was given one. BenchError says what did not
work, with the end of the log that tells why.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from perf.load import Load, LoadResult, LoadSettings
from perf.load.ledger import OK, REFUSED, UNKNOWN
from perf.meter import Meter, Spent
from perf.operator import OperatorSettings
from perf.options import arguments_of
from perf.processes import BenchError, Child, free_ports, http_status, is_listening

CHECKOUT = Path(__file__).parent.parent
UNLIMITED_PER_S = 1_000_000
UNLIMITED_MESSAGES = 100_000_000


class BenchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What to build. `account`, `upstream` and `server` are keys of the configuration that override the bench's own."""

    operator: OperatorSettings = OperatorSettings()
    binds: int = 10
    window: int = 100
    links: int = 1
    upstream_window: int = 2000
    tls: bool = False
    """Speak TLS on both sides, with certificates made for the run."""
    dsn: str = ''
    """PostgreSQL to use; empty lets the server run its own."""
    folder: Path | None = None
    """Where to keep configuration, store and logs; None takes a temporary folder and removes it."""
    account: dict[str, Any] = {}
    upstream: dict[str, Any] = {}
    server: dict[str, Any] = {}
    start_timeout_s: float = 60
    stop_timeout_s: float = 60


class Figures(msgspec.Struct, frozen=True):
    """One measured load."""

    result: LoadResult
    spent: dict[str, Spent]


class Settlement(msgspec.Struct, frozen=True):
    """Messages as the ESMEs know them against messages as the operator knows them, over all loads of a bench."""

    lost: int = 0
    """Answered with ESME_ROK, never seen by the operator."""
    duplicates: int = 0
    """Submits at the operator beyond the first of each message."""
    refused_but_sent: int = 0
    """Refused to the ESME, yet seen by the operator."""
    unknown_and_sent: int = 0
    """Outcome unknown to the ESME (its connection went), seen by the operator."""
    unknown: int = 0
    receipts_missing: int = 0
    receipts_duplicated: int = 0
    receipts_mismatched: int = 0
    operator: dict[str, int] = {}
    """The operator's counters."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost and nothing came twice."""
        return not (
            self.lost
            or self.duplicates
            or self.refused_but_sent
            or self.receipts_missing
            or self.receipts_duplicated
            or self.receipts_mismatched
        )


class Bench:
    """One set of processes. Ports and folder stay the same over restarts of any of them."""

    def __init__(self, settings: BenchSettings) -> None:
        self.settings = settings
        self.folder = settings.folder or Path(tempfile.mkdtemp(prefix='smsc-bench-'))
        self.smpp_port, self.http_port, self.operator_port, self.tls_port = free_ports(4)
        self.configuration = self.folder / 'smsc.yaml'
        self.operator: Child | None = None
        self.server: Child | None = None
        self.loads: list[Load] = []
        self.wrapper: tuple[str, ...] = (sys.executable, '-m')
        """What runs the server's module; a profiler may stand here."""
        self.prepare: Callable[[Self], None] | None = None
        """Called once the configuration is written, before anything starts."""
        self._next_number = 0
        self._server_tls: dict[str, Any] = {}
        self._operator_tls: dict[str, str] = {}
        self._trusted = ''  # the file with the authority of both

    async def __aenter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.settings.tls:
                self._make_certificates()
            self.write_configuration()
            if self.prepare is not None:
                await asyncio.to_thread(self.prepare, self)
            await self.start_operator()
            await self.start_server()
        except BaseException as error:
            await self._close_after(error)
            raise
        return self

    async def __aexit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            await self.close()
        else:
            await self._close_after(error)

    async def _close_after(self, error: BaseException) -> None:
        """Ends what runs; what goes wrong then must not hide the error that came first."""
        try:
            await self.close()
        except BenchError as later:
            error.add_note(str(later))

    async def close(self) -> None:
        """Ends what runs, by force if need be, and removes a temporary folder."""
        try:
            for child in (self.server, self.operator):
                if child is not None and child.is_alive:
                    await child.stop(self.settings.stop_timeout_s)
        finally:
            for child in (self.server, self.operator):
                if child is not None:
                    await child.kill()
            if self.settings.folder is None:
                shutil.rmtree(self.folder, ignore_errors=True)

    def _make_certificates(self) -> None:
        from perf.certificates import Authority  # of a package that only tests and this need

        authority = Authority(self.folder / 'certificates')
        server, operator = authority.issue('127.0.0.1'), authority.issue('127.0.0.1')
        listen = f'127.0.0.1:{self.tls_port}'
        self._server_tls = {'listen': listen, 'certificate': server.certificate, 'key': server.key}
        self._operator_tls = {'tls_certificate': operator.certificate, 'tls_key': operator.key}
        self._trusted = authority.certificate

    def write_configuration(self) -> None:
        """Writes the server's configuration; JSON is YAML too."""
        settings = self.settings
        account = {
            'system_id': 'load',
            'password': 'secret',
            'binds': 2 * settings.binds,
            'window': settings.window,
            'rate_per_s': UNLIMITED_PER_S,
            'waiting': UNLIMITED_MESSAGES,
        }
        upstream = {
            'host': '127.0.0.1',
            'port': self.operator_port,
            'system_id': 'proxy',
            'password': 'secret',
            'links': settings.links,
            'window': settings.upstream_window,
            'rate_per_s': UNLIMITED_PER_S,
            **({'tls': True, 'tls_ca': self._trusted} if settings.tls else {}),
        }
        configuration = {
            'node': 1,
            'data': str(self.folder / 'data'),
            'smpp': {'listen': f'127.0.0.1:{self.smpp_port}'} | ({'tls': self._server_tls} if settings.tls else {}),
            'http': {'listen': f'127.0.0.1:{self.http_port}'},
            'accounts': {'load': account | settings.account},
            'upstreams': {'operator': upstream | settings.upstream},
            'routes': [{'name': 'everything', 'failover': ['operator']}],
            'mo': [{'name': 'everything', 'account': 'load'}],
            **({'store': {'postgres': settings.dsn}} if settings.dsn else {}),
        }
        octets = msgspec.json.encode(configuration | settings.server)
        self.configuration.write_bytes(msgspec.json.format(octets))

    async def start_operator(self) -> None:
        """Starts the operator on its port."""
        command = [sys.executable, '-m', 'perf.operator', '--port', str(self.operator_port), '--json']
        command += ['--ledger-file', str(self.folder / 'ledger')]
        operator = msgspec.structs.replace(self.settings.operator, **self._operator_tls)
        command += arguments_of(operator, frozenset({'ledger'}))
        self.operator = await Child.start('operator', command, CHECKOUT, self.folder / 'operator.log')
        await self.operator.wait_until(
            lambda: is_listening(self.operator_port), 'listening', self.settings.start_timeout_s
        )

    async def start_server(self) -> None:
        """Starts the server and waits until it is ready."""
        command = [*self.wrapper, 'smsc', 'run', '--config', str(self.configuration)]
        self.server = await Child.start('server', command, CHECKOUT, self.folder / 'server.log')
        await self.server.wait_until(self.is_ready, 'ready', self.settings.start_timeout_s)

    async def is_ready(self) -> bool:
        """Whether the server says so."""
        return await http_status(self.http_port, '/health/ready') == 200

    async def stop_server(self) -> None:
        """Ends the server by SIGTERM; it drains."""
        await _running(self.server, 'server').stop(self.settings.stop_timeout_s)

    async def kill_server(self) -> None:
        """Ends the server by SIGKILL."""
        await _running(self.server, 'server').kill()

    def release_receipts(self) -> None:
        """Lets the operator send the receipts it holds."""
        _running(self.operator, 'operator').signal(signal.SIGUSR1)

    def operator_counters(self) -> dict[str, int]:
        """What the operator has counted, as of at most a second ago; empty in its first second."""
        lines = _running(self.operator, 'operator').log.read_text(encoding='utf-8').splitlines()
        whole = [line for line in lines[-2:] if line.startswith('{') and line.endswith('}')]
        return msgspec.json.decode(whole[-1], type=dict[str, int]) if whole else {}

    def load(self, **changes: Any) -> Load:
        """A load on the server, whose numbers follow those of the load before; `changes` are LoadSettings."""
        settings = LoadSettings(
            **{
                'port': self.tls_port if self.settings.tls else self.smpp_port,
                'tls_ca': self._trusted,
                'binds': self.settings.binds,
                'window': self.settings.window,
                'first_number': self._next_number,
                **changes,
            }
        )
        if not settings.messages:
            raise BenchError('a load on the bench needs a number of messages')
        self._next_number += settings.messages
        load = Load(settings)
        self.loads.append(load)
        return load

    def meter(self) -> Meter:
        """A meter of the processes as they are now."""
        return Meter(_running(self.server, 'server').pid, _running(self.operator, 'operator').pid)

    async def run(self, load: Load, pause_s: float = 0) -> LoadResult:
        """Runs a load to its end, with a pause between its binds and its first submit.

        Raises BenchError when the server parted from it before all was submitted.
        """
        try:
            await load.bind()
            await asyncio.sleep(pause_s)
            await load.submit()
        finally:
            await load.stop()
        return self._whole(load)

    async def measure(self, load: Load) -> Figures:
        """As `run`, and meters all processes from the first submit to the last receipt."""
        try:
            await load.bind()
            meter = self.meter()
            await load.submit()
            spent = meter.spent(load.ledger.submitted)
        finally:
            await load.stop()
        return Figures(self._whole(load), spent)

    def _whole(self, load: Load) -> LoadResult:
        result, server = load.ledger.result(), _running(self.server, 'server')
        if result.submitted == load.settings.messages:
            return result
        raise BenchError(
            f'the load submitted {result.submitted} messages of {load.settings.messages} and saw {result.disconnects}'
            f' disconnects; the end of {server.log}:\n{server.tail()}'
        )

    async def settle(self) -> Settlement:
        """Ends the operator, and compares its ledger with those of the loads."""
        operator = _running(self.operator, 'operator')
        await operator.stop(self.settings.stop_timeout_s)
        return compare(self.loads, (self.folder / 'ledger').read_bytes(), self.operator_counters())


def compare(loads: list[Load], seen: bytes, operator: dict[str, int]) -> Settlement:
    """Holds the ledgers of loads against how often the operator saw each number."""
    pairs: dict[tuple[int, int], int] = {}
    for load in loads:
        outcomes, first = load.ledger.outcomes, load.settings.first_number
        times = seen[first : first + len(outcomes)].ljust(len(outcomes), b'\0')
        for pair in zip(outcomes, times.translate(_ONCE), strict=True):
            pairs[pair] = pairs.get(pair, 0) + 1
    results = [load.ledger.result() for load in loads]
    return Settlement(
        lost=pairs.get((OK, 0), 0),
        duplicates=sum(times - 1 for times in seen if times > 1),
        refused_but_sent=pairs.get((REFUSED, 1), 0),
        unknown_and_sent=pairs.get((UNKNOWN, 1), 0),
        unknown=sum(result.unknown for result in results),
        receipts_missing=sum(result.receipts_missing for result in results),
        receipts_duplicated=sum(result.receipts_duplicated for result in results),
        receipts_mismatched=sum(result.receipts_mismatched for result in results),
        operator=operator,
    )


_ONCE = bytes([0, *([1] * 255)])


def _running(child: Child | None, name: str) -> Child:
    if child is None:
        raise BenchError(f'the {name} was not started')
    return child
