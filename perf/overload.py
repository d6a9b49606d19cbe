"""Scenario `overload`: what becomes of latency and memory when twice as much is offered as the product can do (w.E14).

    python -m perf.overload [--seconds 10] [--binds 40] [--window 500] [--capacity RATE] [--json]

Capacity is measured by a short flat-out load first, unless it is given. Then many binds offer 0.7 of it, and then twice
as much, with windows so large that they hold much more than can be done in a moment. Beside them one bind sends at a
modest rate. Measured are the times to the responses, what was refused with which command_status, and the memory of the
server. What the crowd's windows hold beyond what the server takes waits in their sockets: its latency is theirs to
choose. The bind beside it is to notice little.

Ends with 1 when the p99 of the modest bind's responses beyond capacity is over --bound-ms, when a command_status other
than ESME_RTHROTTLED or ESME_RMSGQFUL refused anything, when the modest bind was refused anything, when a receipt is
missing, or when memory grew by more than --memory-mb.
"""

import argparse
import asyncio
import sys

import msgspec
import uvloop

from perf.bench import Bench, BenchSettings
from perf.load import LoadError, LoadResult
from perf.meter import resident_mb
from perf.processes import BenchError
from perf.report import format_table, show, tell

_WARM_UP = 20_000
_MODEST_PER_S = 50
UNLIMITED = {'rate_per_s': 1_000_000, 'waiting': 100_000_000}
SLOWING = {'ESME_RTHROTTLED', 'ESME_RMSGQFUL'}


class Run(msgspec.Struct, frozen=True):
    """The load of the crowd, and the modest one; `memory_mb` is the server's afterwards."""

    name: str
    offered_per_s: float
    result: LoadResult
    modest: LoadResult
    memory_mb: float


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    capacity_per_s: float
    below: Run
    beyond: Run
    bound_ms: float
    memory_bound_mb: float

    @property
    def is_good(self) -> bool:
        """Return whether latency and memory were kept, and nothing was lost."""
        results = [result for run in (self.below, self.beyond) for result in (run.result, run.modest)]
        return (
            self.beyond.modest.response.p99_ms <= self.bound_ms
            and set(self.beyond.result.refused) <= SLOWING
            and not (self.below.modest.refused or self.beyond.modest.refused)
            and not any(result.receipts_missing or result.disconnects for result in results)
            and self.beyond.memory_mb - self.below.memory_mb <= self.memory_bound_mb
        )


async def offer(bench: Bench, name: str, rate_per_s: float, seconds: float) -> Run:
    """Offer so many messages a second."""
    tell(f'{name}: {rate_per_s:,.0f}/s for {seconds:g} s')
    crowd = bench.load(messages=int(rate_per_s * seconds), rate_per_s=rate_per_s)
    number = int(_MODEST_PER_S * seconds)
    modest = bench.load(messages=number, rate_per_s=_MODEST_PER_S, binds=1, window=10, system_id='modest')
    result, beside = await asyncio.gather(bench.run(crowd), bench.run(modest))
    assert bench.server is not None
    return Run(name, rate_per_s, result, beside, resident_mb(bench.server.pid))


async def run(arguments: argparse.Namespace) -> Report:
    """Capacity, then the two rates, on one bench."""
    account = {'password': 'secret', 'binds': 2 * arguments.binds, 'window': arguments.window} | UNLIMITED
    accounts = {name: {'system_id': name, **account} for name in ('load', 'modest')}
    settings = BenchSettings(binds=arguments.binds, window=arguments.window, links=2, server={'accounts': accounts})
    async with Bench(settings) as bench:
        await bench.run(bench.load(messages=_WARM_UP, window=50))
        capacity_per_s = arguments.capacity
        if not capacity_per_s:
            capacity_per_s = (await bench.run(bench.load(messages=arguments.messages, window=50))).rate_per_s
            tell(f'capacity {capacity_per_s:,.0f}/s')
        below = await offer(bench, '0.7 of capacity', 0.7 * capacity_per_s, arguments.seconds)
        beyond = await offer(bench, 'twice the capacity', 2 * capacity_per_s, arguments.seconds)
        return Report(capacity_per_s, below, beyond, arguments.bound_ms, arguments.memory_mb)


def tabulate(report: Report) -> str:
    """One row a load."""
    rows = [
        [
            *(run.name, run.offered_per_s, run.result.rate_per_s, run.result.ok),
            ', '.join(f'{name} {count}' for name, count in run.result.refused.items()) or '-',
            *(run.result.response.p50_ms, run.result.response.p99_ms, run.result.response.max_ms),
            *(run.modest.response.p50_ms, run.modest.response.p99_ms, run.modest.response.max_ms),
            *(run.result.receipts_missing + run.modest.receipts_missing, run.memory_mb),
        ]
        for run in (report.below, report.beyond)
    ]
    headings = ('', 'offered/s', 'done/s', 'accepted', 'refused', 'resp p50', 'resp p99', 'resp max')
    return format_table((*headings, 'modest p50', 'p99', 'max', 'missing', 'memory MB'), rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.overload', description='Twice as much as the product can do.')
    parser.add_argument('--capacity', type=float, default=0, help='messages a second; 0 measures it')
    parser.add_argument('--messages', type=int, default=100_000, help='to measure it with')
    parser.add_argument('--seconds', type=float, default=10, help='at each rate')
    parser.add_argument('--binds', type=int, default=40)
    parser.add_argument('--window', type=int, default=500, help='of each bind')
    parser.add_argument('--bound-ms', type=float, default=300, help='of the p99 of responses to the modest bind')
    parser.add_argument('--memory-mb', type=float, default=200, help='that the server may grow by')
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.overload: {error}')
    show(report, tabulate(report), arguments.json)
    sys.exit(0 if report.is_good else 1)


if __name__ == '__main__':
    main()
