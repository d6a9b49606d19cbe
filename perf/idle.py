"""Scenario `idle`: what a thousand binds cost that do nothing but answer enquire_link.

python -m perf.idle [--binds 1000] [--seconds 30] [--json]
"""

import argparse
import asyncio
import sys
import time

import msgspec
import uvloop

from perf.bench import Bench, BenchSettings
from perf.load import LoadError
from perf.meter import resident_mb
from perf.processes import BenchError
from perf.report import format_table, show

_SETTLE_S = 2


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints. Percent are of one core."""

    binds: int
    seconds: float
    server_percent: float
    postgres_percent: float
    server_mb: float
    disconnects: int


async def run(arguments: argparse.Namespace) -> Report:
    """Binds, waits, and reads the CPU time of that."""
    async with Bench(BenchSettings(binds=arguments.binds)) as bench:
        load = bench.load(messages=1)
        try:
            await load.bind()
            await asyncio.sleep(_SETTLE_S)
            meter, started_at = bench.meter(), time.monotonic()
            before = meter.cpu_s()
            await asyncio.sleep(arguments.seconds)
            seconds, after = time.monotonic() - started_at, meter.cpu_s()
            lost = arguments.binds - len(load.sessions)
        finally:
            await load.stop()
        used = {name: round((after[name] - before[name]) / seconds * 100, 2) for name in ('server', 'postgres')}
        memory_mb = resident_mb(bench.server.pid) if bench.server is not None else 0.0
        return Report(arguments.binds, round(seconds, 1), used['server'], used['postgres'], memory_mb, lost)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.idle', description='The cost of binds that do nothing.')
    parser.add_argument('--binds', type=int, default=1000)
    parser.add_argument('--seconds', type=float, default=30)
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.idle: {error}')
    row = [
        f'{report.binds} binds',
        report.server_percent,
        report.postgres_percent,
        report.server_mb,
        report.disconnects,
    ]
    show(report, format_table(('', 'server %', 'postgres %', 'server MB', 'lost binds'), [row]), arguments.json)
    sys.exit(1 if report.disconnects else 0)


if __name__ == '__main__':
    main()
