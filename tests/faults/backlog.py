"""Does a backlog of receipts on disk go away under load? After an outage or a burst, receipts queue on disk; those of
new messages queue behind them, as their order is kept, and the way by the disk must be faster than what comes.

    taskset -c 0,1 python -m tests.faults.backlog --share 65 --memory 20000 --seconds 60

Capacity is measured as the soak does it. Then everything is offered that fits for some seconds, and a share of the
capacity after that. Prints what was accepted and what receipts came, a line every five seconds; ends with 1 when the
backlog is not smaller at the end than at the beginning.
"""

import argparse
import asyncio
import sys
import time

import uvloop

from perf.operator import OperatorSettings
from perf.processes import BenchError
from perf.report import tell
from tests.faults.plant import Plant, PlantSettings
from tests.faults.soak import FLAT_OUT, Soak

EVERY_S = 5.0
DRAIN_TIMEOUT_S = 300
POLL_S = 0.1


async def run(arguments: argparse.Namespace) -> bool:
    """One burst and what follows; returns whether the backlog became smaller."""
    settings = PlantSettings(
        window=200,
        upstream_window=500,
        operator=OperatorSettings(response_delay_ms=5, receipt_delay_ms=100),
        server={'queues': {'memory': arguments.memory, 'cache': 5000}},
    )
    async with Plant(settings) as plant:
        book, share = plant.book, arguments.share / 100
        capacity_per_s = await Soak(plant, 1, 1, share, (10, 40)).measure()
        tell(f'capacity {capacity_per_s:,.0f}/s')
        book.set('rate_per_s', FLAT_OUT)
        await asyncio.sleep(arguments.burst_s)
        book.set('rate_per_s', int(capacity_per_s * share))
        began_at, first = time.monotonic(), book.get('ok') - book.get('received')
        while time.monotonic() < began_at + arguments.seconds:
            accepted, received = book.get('ok'), book.get('received')
            await asyncio.sleep(EVERY_S)
            open_now = book.get('ok') - book.get('received')
            tell(
                f'{(book.get("ok") - accepted) / EVERY_S:8,.0f} accepted/s'
                f'{(book.get("received") - received) / EVERY_S:8,.0f} receipts/s{open_now:10,} without a receipt'
            )
        last = book.get('ok') - book.get('received')
        book.set('rate_per_s', 0)
        stopped_at = time.monotonic()
        while book.get('received') < book.get('ok'):
            if time.monotonic() > stopped_at + DRAIN_TIMEOUT_S:
                raise BenchError(f'receipts do not come: {book.counters()}')
            await asyncio.sleep(POLL_S)
        tell(f'{first:,} before, {last:,} after {arguments.seconds:g} s; without load gone in {_since(stopped_at)}')
        return last < first


def _since(at: float) -> str:
    return f'{time.monotonic() - at:.1f} s'


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='tests.faults.backlog', description='A backlog of receipts, under load.')
    parser.add_argument('--share', type=float, default=65, help='percent of the capacity after the burst (65)')
    parser.add_argument('--memory', type=int, default=20_000, help='queues.memory (20000)')
    parser.add_argument('--burst-s', type=float, default=15, help='of everything that fits (15)')
    parser.add_argument('--seconds', type=float, default=60, help='how long to look (60)')
    try:
        sys.exit(0 if uvloop.run(run(parser.parse_args())) else 1)
    except BenchError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
