"""Scenario `overload`: what becomes of latency and memory when twice as much is offered as the product can do (w.E14).

    python -m perf.overload [--seconds 10] [--binds 40] [--window 500] [--capacity RATE] [--json]

Capacity is measured by a short flat-out load first, unless it is given. Then many binds offer 0.7 of it, and then twice
as much, with windows so large that they alone would not hold the load back. Measured is the time to the response of
what was accepted, what was refused with which command_status, and the memory of the server. Ends with 1 when the p99 of
responses beyond capacity is over --bound-ms, when any other status than ESME_RTHROTTLED and ESME_RMSGQFUL refused, when
a receipt is missing, or when memory grew by more than --memory-mb.
"""

import argparse
import sys

import msgspec
import uvloop

from perf.bench import Bench, BenchSettings
from perf.load import LoadError, LoadResult
from perf.meter import resident_mb
from perf.processes import BenchError
from perf.report import format_table, show, tell

_WARM_UP = 20_000
SLOWING = {'ESME_RTHROTTLED', 'ESME_RMSGQFUL'}


class Run(msgspec.Struct, frozen=True):
    """One load; `memory_mb` is the server's afterwards."""

    name: str
    offered_per_s: float
    result: LoadResult
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
        result = self.beyond.result
        return (
            result.response.p99_ms <= self.bound_ms
            and set(result.refused) <= SLOWING
            and not (result.receipts_missing or self.below.result.receipts_missing or result.disconnects)
            and self.beyond.memory_mb - self.below.memory_mb <= self.memory_bound_mb
        )


async def offer(bench: Bench, name: str, rate_per_s: float, seconds: float) -> Run:
    """Offer so many messages a second."""
    tell(f'{name}: {rate_per_s:,.0f}/s for {seconds:g} s')
    result = await bench.run(bench.load(messages=int(rate_per_s * seconds), rate_per_s=rate_per_s))
    assert bench.server is not None
    return Run(name, rate_per_s, result, resident_mb(bench.server.pid))


async def run(arguments: argparse.Namespace) -> Report:
    """Capacity, then the two rates, on one bench."""
    async with Bench(BenchSettings(binds=arguments.binds, window=arguments.window, links=2)) as bench:
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
            *(run.result.receipt.p99_ms, run.result.receipts_missing, run.memory_mb),
        ]
        for run in (report.below, report.beyond)
    ]
    headings = ('', 'offered/s', 'done/s', 'accepted', 'refused', 'resp p50', 'resp p99', 'resp max')
    return format_table((*headings, 'rcpt p99', 'missing', 'memory MB'), rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.overload', description='Twice as much as the product can do.')
    parser.add_argument('--capacity', type=float, default=0, help='messages a second; 0 measures it')
    parser.add_argument('--messages', type=int, default=100_000, help='to measure it with')
    parser.add_argument('--seconds', type=float, default=10, help='at each rate')
    parser.add_argument('--binds', type=int, default=40)
    parser.add_argument('--window', type=int, default=500, help='of each bind')
    parser.add_argument('--bound-ms', type=float, default=1_000, help='of the p99 of responses')
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
