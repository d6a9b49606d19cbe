"""Scenario `nodes`: one node and two beside each other on one machine, and what a way between nodes costs a receipt.

    python -m perf.nodes [--messages 100000] [--runs 3] [--rounds 5] [--json]

Rates: the same flat-out load on `smsc run` and on `smsc run --nodes 2`, in turn, with the CPU time that a message takes
of each part. Two nodes cannot be faster than the cores of the machine allow for all parts together: `cores a message`
says how much of them a message takes, `bound` the rate at which the machine is full. Hand-off: the operator is bound to
one of two nodes; the same modest load with all ESMEs at that node, with their receivers at the other one, so that each
receipt crosses, and with all of them there, so that each message does, too, in turns, of which the medians count. Ends
with 1 when a message was lost or came twice.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import uvloop

from perf.bench import Bench, BenchSettings
from perf.load import BindKind, LoadError, LoadResult
from perf.processes import BenchError, Child, free_ports
from perf.report import format_table, show, tell
from smsc.control import ask
from smsc.supervisor import dsn_of, start_redis
from storage import embedded

WARM_UP = 5_000
HEARD_S = 1.0  # until all nodes have heard where the receivers are bound
WAYS = ('nothing crosses', 'receipts cross', 'messages and receipts cross')
PARTS = ('node', 'postgres', 'redis-server', 'operator', 'load')


class Rate(msgspec.Struct, frozen=True):
    """One flat-out run; CPU in us a message by part, the two nodes' together."""

    nodes: int
    rate_per_s: float
    cpu_us: dict[str, float]
    lost: int
    twice: int

    @property
    def total_us(self) -> float:
        """CPU time of all parts a message, in us."""
        return sum(self.cpu_us.values())


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints; latencies in ms."""

    cores: int
    rates: list[Rate]
    handoffs: dict[str, list[LoadResult]]
    """The rounds of each way."""

    def p99_ms(self, way: str) -> float:
        """The median of its rounds."""
        return statistics.median(result.receipt.p99_ms for result in self.handoffs[way])


class NodesBench(Bench):
    """A bench whose server is so many nodes."""

    def __init__(self, settings: BenchSettings, nodes: int) -> None:
        super().__init__(settings)
        self.nodes = nodes

    async def start_server(self) -> None:
        """Starts them under one supervisor, and waits until all are ready."""
        command = [*self.wrapper, 'smsc', 'run', '--config', str(self.configuration), '--nodes', str(self.nodes)]
        server = self.server = await Child.start('server', command, self.folder, self.folder / 'server.log')
        await server.wait_until(self.is_ready, 'ready', self.settings.start_timeout_s)

    async def is_ready(self) -> bool:
        """Whether each of them says so."""
        return (
            server_log(self).count('node.ready') >= self.nodes and await super().is_ready() and await self._has_links()
        )

    async def _has_links(self) -> bool:
        """Whether each node has a link to the operator: the first one up has had all of them."""
        for node in range(1, self.nodes + 1) if self.nodes > 1 else ():
            status = await ask(self.folder / 'data', 'status', node)
            links = status['upstreams'][0]['links']
            if not any(link['state'].startswith('bound') for link in links):
                return False
        return True

    def cpu_s(self) -> dict[str, float]:
        """User and system seconds by part."""
        assert self.server is not None
        assert self.operator is not None
        server = psutil.Process(self.server.pid)
        spent = dict.fromkeys(PARTS, 0.0)
        for process in [server, *server.children(recursive=True)]:
            name = process.name()
            spent[name if name in PARTS else 'node'] += _seconds(process)
        spent['operator'] = _seconds(psutil.Process(self.operator.pid))
        spent['load'] = _seconds(psutil.Process(os.getpid()))
        return spent


def server_log(bench: Bench) -> str:
    """What the server has logged."""
    return (bench.folder / 'server.log').read_text(encoding='utf-8')


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def measure_rate(nodes: int, arguments: argparse.Namespace) -> Rate:
    """One flat-out run."""
    settings = BenchSettings(binds=arguments.binds, links=2, upstream_window=arguments.window)
    async with NodesBench(settings, nodes) as bench:
        await bench.run(bench.load(messages=WARM_UP))
        before = bench.cpu_s()
        result = await bench.run(bench.load(messages=arguments.messages))
        after = bench.cpu_s()
        settlement = await bench.settle()
        cpu_us = {part: round((after[part] - before[part]) / arguments.messages * 1e6, 1) for part in PARTS}
        twice = settlement.duplicates + settlement.receipts_duplicated
        lost = settlement.lost + settlement.receipts_missing
        rate = Rate(nodes, result.rate_per_s, cpu_us, lost, twice)
        tell(f'{nodes} nodes: {rate.rate_per_s:,.0f}/s, {rate.total_us:.0f} us of CPU a message in all')
        return rate


@asynccontextmanager
async def two_apart(folder: Path, stack: AsyncExitStack) -> AsyncIterator[tuple[Bench, Bench]]:
    """Two nodes on one store: the first has no link to the operator, the second one has."""
    postgres = await embedded.start(folder)
    stack.push_async_callback(postgres.stop)
    store = {'postgres': dsn_of(dict(postgres.connect_arguments)), 'redis': await start_redis(folder, stack)}
    shared: dict[str, Any] = {'cluster': {}, 'store': store}
    (dead,) = free_ports(1)
    without = BenchSettings(server=shared | {'node': 1}, upstream={'port': dead})
    async with Bench(BenchSettings(server=shared | {'node': 2})) as second, Bench(without) as first:
        yield first, second


async def measure_handoff(arguments: argparse.Namespace) -> dict[str, list[LoadResult]]:
    """The same modest load in turn: nothing crosses, receipts do, messages too."""
    pace = {'rate_per_s': arguments.rate}
    messages = int(arguments.rate * arguments.seconds)
    results: dict[str, list[LoadResult]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix='smsc-nodes-') as name:
        async with AsyncExitStack() as stack, two_apart(Path(name), stack) as (first, second):
            apart = {'bind': BindKind.PAIR, 'receiver_port': first.smpp_port}
            ways = list(zip(WAYS, (second, second, first), ({}, apart, {}), strict=True))
            for _, bench, binds in ways:
                await bench.run(bench.load(messages=WARM_UP // 5, **pace, **binds))
            for _ in range(arguments.rounds):
                for way, bench, binds in ways:
                    result = await bench.run(bench.load(messages=messages, **pace, **binds), HEARD_S)
                    results[way].append(result)
                    tell(f'{way}: receipts p50 {result.receipt.p50_ms:.1f} ms, p99 {result.receipt.p99_ms:.1f} ms')
    return results


async def run(arguments: argparse.Namespace) -> Report:
    """Rates in turn, then the hand-off."""
    rates = [await measure_rate(nodes, arguments) for _ in range(arguments.runs) for nodes in (1, 2)]
    return Report(os.cpu_count() or 1, rates, await measure_handoff(arguments))


def tabulate(report: Report) -> str:
    """A row a run, and one for each way of receipts."""
    rows: list[list[object]] = [
        [f'{rate.nodes} nodes', rate.rate_per_s, *(rate.cpu_us[part] for part in PARTS), rate.total_us,
         report.cores / rate.total_us * 1e6, rate.lost, rate.twice]
        for rate in report.rates
    ]  # fmt: skip
    headings = ('', 'rate/s', *(f'{part} us' for part in PARTS), 'all us', 'bound/s', 'lost', 'twice')
    ways = [
        [
            way,
            statistics.median(result.rate_per_s for result in results),
            statistics.median(result.receipt.p50_ms for result in results),
            report.p99_ms(way),
            sum(result.receipts_missing for result in results),
        ]
        for way, results in report.handoffs.items()
    ]
    table = format_table(('hand-off, medians', 'rate/s', 'p50 ms', 'p99 ms', 'missing'), ways)
    added = [report.p99_ms(way) - report.p99_ms(WAYS[0]) for way in WAYS]
    return (
        f'{format_table(headings, rows)}\n\n{_compared(report)}{table}'
        f'\nreceipts that cross take {added[1]:.1f} ms more at p99, {added[2]:.1f} ms where messages cross, too'
    )


def _compared(report: Report) -> str:
    if not report.rates:
        return ''
    medians = {n: statistics.median(rate.rate_per_s for rate in report.rates if rate.nodes == n) for n in (1, 2)}
    return f'two nodes by one, medians: {medians[2] / medians[1]:.2f} on {report.cores} cores\n\n'


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.nodes', description='One node and two, and the way between nodes.')
    parser.add_argument('--messages', type=int, default=100_000, help='of each flat-out run')
    parser.add_argument('--runs', type=int, default=3, help='of each number of nodes; 0 takes the hand-off alone')
    parser.add_argument('--binds', type=int, default=20)
    parser.add_argument('--window', type=int, default=2000, help='unanswered submit_sm a link')
    parser.add_argument('--rate', type=float, default=200, help='messages a second of the hand-off')
    parser.add_argument('--seconds', type=float, default=10, help='of each round of the hand-off')
    parser.add_argument('--rounds', type=int, default=5, choices=range(1, 100), metavar='N', help='of the hand-off')
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.nodes: {error}')
    show(report, tabulate(report), arguments.json)
    missing = any(result.receipts_missing for results in report.handoffs.values() for result in results)
    sys.exit(1 if missing or any(rate.lost or rate.twice for rate in report.rates) else 0)


if __name__ == '__main__':
    main()
