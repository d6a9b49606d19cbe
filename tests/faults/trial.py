"""One trial: load on the product, faults at seeded random moments of it, and the verdict when everything has settled.

A moment is a number of answers that the load got since the fault before was over, so that each fault falls into traffic
and a seed picks the same order, kinds and distances again. What else the machine does still decides what exactly is in
flight then. The caller owns the bench.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from random import Random

import msgspec

from perf.bench import BenchSettings
from perf.operator import OperatorSettings
from perf.processes import BenchError
from tests.faults.bench import POLL_S, EndlessLoad, FaultBench
from tests.faults.verdict import Bounds, Row, Verdict, judge, judge_status

ALARMS = ('Traceback', 'stage.error', 'stage.item_refused', 'stage.batch_refused', 'shelf.error', 'upkeep.error',
          'link.error', 'bind.error', 'connection.error')  # fmt: skip
RECOVERY_TIMEOUT_S = 45
SETTLE_TIMEOUT_S = 40
BINDS, WINDOW = 4, 50
LINKS, UPSTREAM_WINDOW = 2, 100
DESTINATION_PREFIX = '79'


class Fault(StrEnum):
    """What can happen."""

    SERVER = 'kill -9 of the server'
    START = 'kill -9 of the server, and again while it starts'
    POSTGRES = 'kill -9 of PostgreSQL'
    BACKEND = 'kill -9 of a backend of PostgreSQL'
    STALL = 'PostgreSQL stands still'
    OPERATOR = 'kill -9 of the operator'
    LINKS = 'the operator cuts all links'
    BINDS = 'an ESME cuts all its binds'


SERVER_KILLS = {Fault.SERVER: 1, Fault.START: 2}
LINK_LOSSES = SERVER_KILLS | {Fault.OPERATOR: 1, Fault.LINKS: 1}
BIND_LOSSES = SERVER_KILLS | {Fault.BINDS: 1}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A trial. `faults` says how many of each kind; seed, rate and distance say when."""

    seed: int
    faults: dict[Fault, int]
    rate_per_s: float = 1500
    between: tuple[int, int] = (100, 1500)
    """At least and at most so many messages are answered between faults."""
    stall_s: tuple[float, float] = (1, 4)
    """For at least and at most so long PostgreSQL stands still."""

    def order(self, random: Random) -> list[Fault]:
        """The faults in a random order."""
        faults = [fault for fault, count in self.faults.items() for _ in range(count)]
        random.shuffle(faults)
        return faults


def settings(**more: object) -> BenchSettings:
    """A bench small enough that windows, outboxes and caches fill, and the disk is used."""
    return BenchSettings(
        operator=OperatorSettings(response_delay_ms=15, receipt_delay_ms=300),
        binds=BINDS,
        window=WINDOW,
        links=LINKS,
        upstream_window=UPSTREAM_WINDOW,
        upstream={'reconnect': {'first_s': 0.1, 'last_s': 0.5}},
        server={'queues': {'memory': 500, 'cache': 500}},
        **more,  # type: ignore[arg-type]
    )


class Trial:
    """A run of a plan on a bench that is up."""

    def __init__(self, bench: FaultBench, plan: Plan, show: Callable[[str], None] = lambda line: None) -> None:
        self.bench = bench
        self.plan = plan
        self.done: Counter[Fault] = Counter()
        self._show = show
        self._random = Random(plan.seed)
        self._load: EndlessLoad = bench.endless_load(
            rate_per_s=plan.rate_per_s, destination_prefix=DESTINATION_PREFIX, ucs2_percent=30
        )
        self._doing: dict[Fault, Callable[[], Awaitable[None]]] = {
            Fault.SERVER: self._kill_server,
            Fault.START: lambda: bench.kill_while_starting(self._random.uniform(0.05, 1.5)),
            Fault.POSTGRES: self._at_once(bench.kill_postmaster),
            Fault.BACKEND: self._at_once(lambda: bench.kill_backend(self._random)),
            Fault.STALL: lambda: bench.stall_postgres(self._random.uniform(*plan.stall_s)),
            Fault.OPERATOR: bench.kill_operator,
            Fault.LINKS: self._at_once(bench.cut_links),
            Fault.BINDS: self._at_once(self._cut_binds),
        }

    async def run(self) -> Verdict:
        """Does all of it. Raises BenchError when the product does not come back from a fault."""
        load = self._load
        try:
            await load.bind()
            async with asyncio.TaskGroup() as group:
                submitting = group.create_task(load.submit())
                for fault in self.plan.order(self._random):
                    await self._answered(self._random.randint(*self.plan.between))
                    self._show(f'{self._state()}  {fault}')
                    await self._doing[fault]()
                    self.done[fault] += 1
                await self._answered(self.plan.between[1])
                load.end_submitting()
                self._show(f'{self._state()}  the load ends')
                await submitting
            wrong = await self._settled()
            rows = await self._rows()
        finally:
            await load.stop()
        verdict = judge(load.ledger, self.bench.seen, rows, self._bounds())
        return msgspec.structs.replace(
            verdict, wrong=[*verdict.wrong, *wrong, *await self._judge_ledger(), *self._alarms()]
        )

    def _state(self) -> str:
        ledger = self._load.ledger
        counts = {
            'submitted': ledger.submitted,
            'ok': ledger.ok,
            'receipts': ledger.received,
            'unknown': ledger.unknown,
        }
        return '  '.join(f'{count:>7} {name}' for name, count in counts.items())

    # Faults

    async def _kill_server(self) -> None:
        await self.bench.kill_server()
        await self.bench.start_server()

    def _cut_binds(self) -> None:
        for session in list(self._load.sessions):
            session.transport.abort()

    @staticmethod
    def _at_once(work: Callable[[], None]) -> Callable[[], Awaitable[None]]:
        async def do() -> None:
            work()

        return do

    def _bounds(self) -> Bounds:
        def lost(losses: dict[Fault, int]) -> int:
            return sum(self.done[fault] * count for fault, count in losses.items())

        return Bounds(lost(LINK_LOSSES) * LINKS * UPSTREAM_WINDOW, lost(BIND_LOSSES) * BINDS * WINDOW)

    # Conditions

    async def _answered(self, count: int) -> None:
        """Waits until so many more messages are accepted and half as many receipts are here: traffic flows again."""
        ledger = self._load.ledger
        ok, received = ledger.ok + count, ledger.received + count // 2
        await self._until(
            lambda: ledger.ok >= ok and ledger.received >= received, 'in traffic again', RECOVERY_TIMEOUT_S
        )

    async def _until(self, is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not is_so():  # noqa: ASYNC110 - what is waited for is in other processes
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            server = self.bench.server
            tail = server.tail() if server else ''
            raise BenchError(f'not {what} after {timeout_s:g} s: {self._state()}; the server:\n{tail}') from None

    async def _settled(self) -> list[str]:
        """Waits until nothing is left to do in server and store; returns what still is when that takes too long."""
        give_up_at = asyncio.get_running_loop().time() + SETTLE_TIMEOUT_S
        while wrong := judge_status(await self.bench.ask('status')):
            if asyncio.get_running_loop().time() > give_up_at:
                break
        return wrong

    # What the store says

    async def _rows(self) -> list[Row]:
        connection = await self.bench.connect()
        try:
            rows = await connection.fetch(
                'select substr(destination_addr, $1)::bigint, id, state, notice, repeated from message order by id',
                len(DESTINATION_PREFIX) + 1,
            )
        finally:
            await connection.close()
        return [Row(*row) for row in rows]

    async def _judge_ledger(self) -> list[str]:
        book = await self.bench.ask('ledger')
        if book['adds_up'] and not book['waiting'] and not book['nowhere']:
            return []
        return [f'smsc ledger: {book}']

    def _alarms(self) -> list[str]:
        text = (self.bench.folder / 'server.log').read_text(encoding='utf-8', errors='replace')
        return [f'the log of the server has {text.count(alarm)} of {alarm}' for alarm in ALARMS if alarm in text]
