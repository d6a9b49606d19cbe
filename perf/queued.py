"""Scenario `queued`: many messages for an upstream that is away, flat out; then it returns, with a limit.

    python -m perf.queued [--messages 1000000] [--urgent 1000] [--limit 5000] [--json]

First the rate with an upstream that is there, for as many messages as a slice of 5 % has. Then the upstream is away:
the rate at which messages are accepted in each slice while the queue grows, the last against the first one and against
that with the upstream, what CPU a message took, and what memory the server. Then urgent messages, and the upstream is
back: how many others had left before the last urgent one, the rate it is fed at while there is a queue, and whether all
came, once each. Ends with 1 when the rate fell by more than 20 %, the server took over 800 MB, the limit did not hold,
or a message was lost.
"""

import argparse
import asyncio
import statistics
import sys
import time
from itertools import pairwise
from typing import Any

import msgspec
import psutil
import uvloop

from perf.bench import Bench, BenchSettings
from perf.load import Load, LoadError
from perf.load.ledger import OK
from perf.meter import peak_mb, resident_mb
from perf.operator import Operator, OperatorSettings
from perf.processes import BenchError
from perf.report import format_table, show, tell

SLICES = 20
URGENT = 3
FALL = 0.2
MEMORY_MB = 800
LIMIT_OFF = 0.05
POLL_S = 0.01
QUIET_S = 60.0
WARM_UP = 10_000


class Slice(msgspec.Struct, frozen=True):
    """A twentieth of the messages: how fast it was accepted, and what the server had of memory at its end."""

    rate_per_s: float
    server_mb: float
    server_us: float
    """CPU of the server a message."""
    postgres_us: float


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    messages: int
    limit_per_s: int
    bound_rate_per_s: float
    """With the upstream there."""
    slices: list[Slice]
    peak_mb: float
    peak_after_mb: float
    before_urgent: int
    """Messages that were not urgent and left before the last urgent one."""
    fed_per_s: float
    fed_most_per_s: float
    feeding_s: float
    lost: int
    twice: int

    @property
    def fall(self) -> float:
        """By how much the last slice is slower than the first, as a share."""
        return 1 - self.slices[-1].rate_per_s / self.slices[0].rate_per_s

    @property
    def dearer(self) -> float:
        """By how much the last fifth costs more CPU a message than the first, as a share: other work disturbs it less
        than rates.
        """
        fifth = SLICES // 5
        costs = [of.server_us + of.postgres_us for of in self.slices]
        return statistics.median(costs[-fifth:]) / statistics.median(costs[:fifth]) - 1

    @property
    def is_good(self) -> bool:
        """Return whether it is as promised."""
        holds = self.fed_most_per_s <= self.limit_per_s * (1 + LIMIT_OFF)
        is_fed = self.fed_per_s >= self.limit_per_s * (1 - LIMIT_OFF)
        return self.fall <= FALL and self.peak_after_mb <= MEMORY_MB and holds and is_fed and not self.lost


class Queue(Bench):
    """A bench whose operator goes, and comes back in this process."""

    def __init__(self, limit_per_s: int, dsn: str) -> None:
        reconnect = {'first_s': 0.1, 'last_s': 0.5, 'refused_s': 0.5}
        upstream: dict[str, Any] = {'registered_delivery': 'asked', 'reconnect': reconnect, 'rate_per_s': limit_per_s}
        super().__init__(BenchSettings(upstream=upstream, dsn=dsn))
        self.returned = Operator(OperatorSettings(ledger=True))

    async def close(self) -> None:
        """Ends the server, then the operator."""
        await super().close()
        await self.returned.stop()

    def cpu_s(self) -> tuple[float, float]:
        """Seconds that the server, and its PostgreSQL as far as it lives, have spent."""
        server = psutil.Process(self.server.pid if self.server else 0)
        return _cpu_s(server), sum(map(_cpu_s, server.children(recursive=True)))

    def seen(self, numbers: range) -> bytes:
        """How often the operator that returned has seen each of these numbers."""
        assert self.returned.tally is not None
        return bytes(self.returned.tally.seen[numbers.start : numbers.stop]).ljust(len(numbers), b'\0')


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


async def accept(bench: Queue, load: Load) -> list[Slice]:
    """Submits a load, and returns its slices."""
    running = asyncio.create_task(load.run())
    size = max(1, load.settings.messages // SLICES)
    slices: list[Slice] = []
    pid = bench.server.pid if bench.server else 0
    began, before = time.monotonic(), bench.cpu_s()
    try:
        while len(slices) < SLICES:
            await asyncio.sleep(POLL_S)
            if running.done():
                await running
            if load.ledger.ok < size * (len(slices) + 1) and not running.done():
                continue
            now, after = time.monotonic(), bench.cpu_s()
            server_us, postgres_us = (
                1e6 * (later - earlier) / size for later, earlier in zip(after, before, strict=True)
            )
            slices.append(Slice(size / (now - began), resident_mb(pid), server_us, postgres_us))
            tell(f'slice {len(slices)}: {slices[-1].rate_per_s:,.0f}/s, {slices[-1].server_mb:.0f} MB')
            began, before = now, after
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    if load.ledger.ok != load.settings.messages:
        raise BenchError(f'{load.settings.messages - load.ledger.ok} messages were not answered with ESME_ROK')
    return slices


async def feed(bench: Queue, urgent: range, everything: range) -> tuple[int, list[int], float]:
    """Waits until the operator has everything; how many others it had with the last urgent one, messages a second."""
    counters = bench.returned.counters
    before_urgent, seconds, began, quiet_since = -1, [0], 0.0, time.monotonic()
    submitted, now = 0, quiet_since
    while submitted < len(everything):
        await asyncio.sleep(POLL_S)
        now = time.monotonic()
        if counters.submitted != submitted:
            quiet_since = now
            began = began or now
        elif now - quiet_since > QUIET_S:
            break
        submitted = counters.submitted
        if before_urgent < 0 and urgent and all(bench.seen(urgent)):
            before_urgent = submitted - len(urgent)
        if began and now - began >= len(seconds):
            seconds.append(submitted)
    return before_urgent, [later - earlier for earlier, later in pairwise(seconds)], now - began


async def run(arguments: argparse.Namespace) -> Report:
    """All of it."""
    bound_rate = await rate_with_upstream(arguments)
    async with Queue(arguments.limit, arguments.dsn) as bench:
        pid = bench.server.pid if bench.server else 0
        await bench.run(bench.load(messages=WARM_UP, registered_delivery=0))
        await until_offline(bench)
        load = bench.load(messages=arguments.messages, registered_delivery=0)
        slices = await accept(bench, load)
        peak = peak_mb(pid)
        rush = bench.load(messages=arguments.urgent, registered_delivery=0, priority_flag=URGENT)
        await bench.run(rush)
        first = load.settings.first_number
        urgent = range(rush.settings.first_number, rush.settings.first_number + arguments.urgent)
        everything = range(first, urgent.stop)
        await bench.returned.start(port=bench.operator_port)
        before_urgent, seconds, feeding_s = await feed(bench, urgent, everything)
        tell(f'fed: {seconds}')
        seen = bench.seen(everything)
        outcomes = bytes([*load.ledger.outcomes, *rush.ledger.outcomes])
        whole = seconds[1:-1] or seconds or [0]
        return Report(
            messages=arguments.messages,
            limit_per_s=arguments.limit,
            bound_rate_per_s=bound_rate,
            slices=slices,
            peak_mb=peak,
            peak_after_mb=peak_mb(pid),
            before_urgent=before_urgent,
            fed_per_s=float(statistics.median(whole)),
            fed_most_per_s=float(max(whole)),
            feeding_s=feeding_s,
            lost=sum(1 for outcome, times in zip(outcomes, seen, strict=True) if outcome == OK and not times),
            twice=sum(times - 1 for times in seen if times > 1),
        )


async def rate_with_upstream(arguments: argparse.Namespace) -> float:
    """Returns the rate at which messages are accepted that an upstream takes at once."""
    async with Bench(BenchSettings(upstream={'registered_delivery': 'asked'}, dsn=arguments.dsn)) as bench:
        await bench.run(bench.load(messages=WARM_UP, registered_delivery=0))
        load = bench.load(messages=max(2 * WARM_UP, arguments.messages // SLICES), registered_delivery=0)
        await bench.run(load)
        rate_per_s = load.ledger.result().rate_per_s
        tell(f'with the upstream: {rate_per_s:,.0f}/s')
        return rate_per_s


async def until_offline(bench: Queue) -> None:
    """Ends the operator, and returns when the server knows that it has gone for longer than a moment."""
    assert bench.operator is not None
    await asyncio.sleep(2)  # until the operator has what was submitted
    await bench.operator.kill()
    await asyncio.sleep(2)


def tabulate(report: Report) -> str:
    """The report for people."""
    rows = [
        [
            f'slice {number}',
            of.rate_per_s,
            of.rate_per_s / report.slices[0].rate_per_s,
            of.server_us,
            of.postgres_us,
            of.server_mb,
        ]
        for number, of in enumerate(report.slices, 1)
    ]
    slices = format_table(('', 'accepted/s', 'of the first', 'server us', 'postgres us', 'server MB'), rows)
    row = [
        f'{report.messages:,} queued', report.bound_rate_per_s,
        report.slices[0].rate_per_s, report.slices[-1].rate_per_s, 100 * report.fall, 100 * report.dearer,
        report.peak_mb, report.peak_after_mb, report.before_urgent, report.fed_per_s, report.fed_most_per_s,
        report.lost, report.twice,
    ]  # fmt: skip
    headings = (
        '', 'upstream there/s', 'first/s', 'last/s', 'fall %', 'dearer %', 'peak MB', 'after', 'before urgent', 'fed/s',
        'at most/s', 'lost', 'twice',
    )  # fmt: skip
    return f'{slices}\n\n{format_table(headings, [row])}'


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.queued', description='A long queue for an upstream that is away.')
    parser.add_argument('--messages', type=int, default=1_000_000)
    parser.add_argument('--urgent', type=int, default=1_000, help='urgent ones after them (1000)')
    parser.add_argument('--limit', type=int, default=5_000, help='segments a second of the upstream (5000)')
    parser.add_argument('--dsn', default='', help='PostgreSQL to use instead of the private one')
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.queued: {error}')
    show(report, tabulate(report), arguments.json)
    sys.exit(0 if report.is_good else 1)


if __name__ == '__main__':
    main()
