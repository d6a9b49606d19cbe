"""Scenario `restart`: from the start of the server to ready, on a store with a million rows.

    python -m perf.restart [--messages 1000000] [--times 3] [--json]

After a stop by SIGTERM, and after `kill -9`.
"""

import argparse
import statistics
import sys
import time

import msgspec
import uvloop

from perf.bench import Bench, BenchSettings
from perf.load import LoadError
from perf.processes import BenchError
from perf.report import format_table, show, tell


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints; each list has one value a restart."""

    rows: int
    stop_s: list[float]
    after_stop_s: list[float]
    after_kill_s: list[float]


async def timed_start(bench: Bench) -> float:
    """Starts the server and returns the seconds until it was ready."""
    started_at = time.monotonic()
    await bench.start_server()
    return round(time.monotonic() - started_at, 3)


async def run(arguments: argparse.Namespace) -> Report:
    """Fills the store, then stops, kills and starts."""
    report = Report(arguments.messages, [], [], [])
    async with Bench(BenchSettings()) as bench:
        await bench.run(bench.load(messages=arguments.messages))
        tell(f'the store has {arguments.messages:,} messages')
        for _ in range(arguments.times):
            stopping_at = time.monotonic()
            await bench.stop_server()
            report.stop_s.append(round(time.monotonic() - stopping_at, 3))
            report.after_stop_s.append(await timed_start(bench))
            await bench.kill_server()
            report.after_kill_s.append(await timed_start(bench))
    return report


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.restart', description='Start to ready on a full store.')
    parser.add_argument('--messages', type=int, default=1_000_000, help='rows of the store')
    parser.add_argument('--times', type=int, default=3)
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.restart: {error}')
    series = {
        'stop': report.stop_s,
        'start after stop': report.after_stop_s,
        'start after kill -9': report.after_kill_s,
    }
    rows = [[name, statistics.median(values), max(values)] for name, values in series.items()]
    show(report, format_table(('', 'median s', 'worst s'), rows), arguments.json)


if __name__ == '__main__':
    main()
