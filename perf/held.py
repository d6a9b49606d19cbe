"""Scenario `held`: a million messages sent whose receipts the operator keeps; then all receipts at once.

    python -m perf.held [--messages 1000000] [--hold-seconds 10] [--json]

Shows the most memory the server had before and after the release, and whether every receipt found its message.
"""

import argparse
import asyncio
import sys
import time

import msgspec
import uvloop

from perf.bench import Bench, BenchSettings, Settlement
from perf.load import Load, LoadError, LoadResult
from perf.meter import peak_mb, resident_mb
from perf.operator import OperatorSettings
from perf.processes import BenchError
from perf.report import format_table, show, tell

_QUIET_S = 600
_POLL_S = 0.5


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    result: LoadResult
    settlement: Settlement
    submit_s: float
    release_s: float
    held_mb: float
    """Resident size of the server when all messages were with the operator and had rested."""
    peak_before_mb: float
    peak_after_mb: float


async def run(arguments: argparse.Namespace) -> Report:
    """Submits everything, rests, releases the receipts, and waits for them."""
    settings = BenchSettings(operator=OperatorSettings(hold_receipts=True), links=arguments.links)
    async with Bench(settings) as bench:
        load = bench.load(messages=arguments.messages, receipt_timeout_s=_QUIET_S)
        started_at = time.monotonic()
        running = asyncio.get_running_loop().create_task(load.run())
        try:
            await until_held(bench, load)
            submit_s = time.monotonic() - started_at
            tell(f'{arguments.messages:,} messages are with the operator after {submit_s:.1f} s')
            await asyncio.sleep(arguments.hold_seconds)
            pid = bench.server.pid if bench.server is not None else 0
            held_mb, peak_before_mb = resident_mb(pid), peak_mb(pid)
            tell(f'the server has {held_mb:.0f} MB, and had at most {peak_before_mb:.0f} MB')
            released_at = time.monotonic()
            bench.release_receipts()
            result = await running
            release_s, peak_after_mb = time.monotonic() - released_at, peak_mb(pid)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        settlement = await bench.settle()
        return Report(result, settlement, submit_s, release_s, held_mb, peak_before_mb, peak_after_mb)


async def until_held(bench: Bench, load: Load) -> None:
    """Waits until the operator holds the receipts of all messages; raises BenchError when it gets no more of them."""
    waiting, since = -1, time.monotonic()
    while waiting < load.settings.messages:
        await asyncio.sleep(_POLL_S)
        now = bench.operator_counters().get('waiting', 0)
        if now != waiting:
            waiting, since = now, time.monotonic()
        elif time.monotonic() - since > load.settings.response_timeout_s:
            raise BenchError(f'the operator has {waiting} receipts of {load.settings.messages}, and gets no more')


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.held', description='Memory with receipts held back.')
    parser.add_argument('--messages', type=int, default=1_000_000)
    parser.add_argument('--hold-seconds', type=float, default=10)
    parser.add_argument('--links', type=int, default=1, help='links to the operator')
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.held: {error}')
    row = [
        f'{arguments.messages:,} held', report.submit_s, report.held_mb, report.peak_before_mb, report.peak_after_mb,
        report.release_s, report.settlement.lost, report.result.receipts_missing, report.result.receipts_duplicated,
    ]  # fmt: skip
    headings = ('', 'submit s', 'held MB', 'peak MB', 'peak after', 'release s', 'lost', 'missing', 'dup rcpt')
    show(report, format_table(headings, [row]), arguments.json)
    sys.exit(0 if report.settlement.is_clean else 1)


if __name__ == '__main__':
    main()
