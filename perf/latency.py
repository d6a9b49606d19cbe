"""Scenario `latency`: how long responses and receipts take at half of capacity, and at 50 messages a second.

    python -m perf.latency [--capacity RATE] [--seconds 10] [--json]

Capacity is measured by a short flat-out load first, unless it is given.
"""

import argparse
import sys

import msgspec
import uvloop

from perf.bench import Bench, BenchSettings
from perf.load import LoadError, LoadResult
from perf.processes import BenchError
from perf.report import format_table, show, tell

_SLOW_PER_S = 50
_WARM_UP = 10_000


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    capacity_per_s: float
    half: LoadResult
    slow: LoadResult


async def run(arguments: argparse.Namespace) -> Report:
    """Capacity, then the two rates, on one bench."""
    async with Bench(BenchSettings(links=arguments.links)) as bench:
        await bench.run(bench.load(messages=_WARM_UP))
        capacity_per_s = arguments.capacity
        if not capacity_per_s:
            capacity_per_s = (await bench.run(bench.load(messages=arguments.messages))).rate_per_s
            tell(f'capacity {capacity_per_s:,.0f}/s')
        half = await bench.run(
            bench.load(messages=int(capacity_per_s / 2 * arguments.seconds), rate_per_s=capacity_per_s / 2)
        )
        slow = await bench.run(bench.load(messages=int(_SLOW_PER_S * arguments.seconds), rate_per_s=_SLOW_PER_S))
        return Report(capacity_per_s, half, slow)


def tabulate(report: Report) -> str:
    """One row a rate."""
    rows = [
        [name, result.rate_per_s, *(value for latency in (result.response, result.receipt)
                                    for value in (latency.p50_ms, latency.p99_ms, latency.max_ms)),
         result.receipts_missing]
        for name, result in (('half of capacity', report.half), (f'{_SLOW_PER_S}/s', report.slow))
    ]  # fmt: skip
    headings = ('', 'rate/s', 'resp p50', 'resp p99', 'resp max', 'rcpt p50', 'rcpt p99', 'rcpt max', 'missing')
    return format_table(headings, rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.latency', description='Latency at half of capacity and at 50/s.')
    parser.add_argument('--capacity', type=float, default=0, help='messages a second; 0 measures it')
    parser.add_argument('--messages', type=int, default=100_000, help='to measure it with')
    parser.add_argument('--seconds', type=float, default=10, help='at each rate')
    parser.add_argument('--links', type=int, default=1, help='links to the operator')
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.latency: {error}')
    show(report, tabulate(report), arguments.json)
    sys.exit(1 if report.half.receipts_missing or report.slow.receipts_missing else 0)


if __name__ == '__main__':
    main()
