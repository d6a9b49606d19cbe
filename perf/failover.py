"""Scenario `failover`: a split by percent, then the loss of one of two operators under load, and its return.

    python -m perf.failover [--messages 10000] [--rate 1000] [--runs 3] [--json]

First as many messages as asked for are split 70 to 30. Then a route prefers the first operator, which goes away for
five seconds in the middle of a load: measured is how long it takes from the loss of its last link until one of them has
every message that was submitted before, and until the first one gets messages again after its port is back. Ends with 1
when a share is off by more than 2 %, a message was lost, or either took longer than it may (1 s, and 1 s more than the
pause of a link).
"""

import argparse
import asyncio
import statistics
import sys
from typing import Any

import msgspec
import uvloop

from perf.bench import Bench, BenchSettings
from perf.load import Load, LoadError
from perf.load.ledger import OK
from perf.operator import Operator, OperatorSettings
from perf.processes import BenchError, free_ports
from perf.report import format_table, show, tell

SHARES = {'first': 70, 'second': 30}
SHARE_OFF = 0.02
AWAY_S = 5.0
POLL_S = 0.002
FAILOVER_S = 1.0
PAUSE_S = 1.0  # the longest pause of a link
BOUND_S = 30.0


class Run(msgspec.Struct, frozen=True):
    """One run; `lost` and `twice` count messages of both parts."""

    share: float
    failover_s: float
    return_s: float
    messages: int
    lost: int
    twice: int

    @property
    def is_good(self) -> bool:
        """Return whether it is as promised."""
        is_split = abs(self.share - SHARES['first'] / 100) <= SHARE_OFF
        return is_split and not self.lost and self.failover_s <= FAILOVER_S and self.return_s <= PAUSE_S + FAILOVER_S


class TwoOperators(Bench):
    """A bench with two operators, in this process."""

    def __init__(self) -> None:
        self.ports = dict(zip(SHARES, free_ports(2), strict=True))
        self.running: dict[str, Operator] = {}
        self.all: list[Operator] = []
        upstreams = {name: upstream(port) for name, port in self.ports.items()}
        routes: list[dict[str, Any]] = [
            {'name': 'split', 'when': {'source_addr': 'Split'}, 'split': SHARES},
            {'name': 'failover', 'failover': list(SHARES)},
        ]
        super().__init__(BenchSettings(server={'upstreams': upstreams, 'routes': routes}))

    async def start_operator(self) -> None:
        """Starts both."""
        for name in SHARES:
            await self.start_one(name)

    async def start_one(self, name: str) -> None:
        """Starts one of them, or has it back."""
        operator = self.running[name] = Operator(OperatorSettings(receipt_delay_ms=20, ledger=True))
        self.all.append(operator)
        await operator.start('127.0.0.1', self.ports[name])

    async def bound(self) -> None:
        """Returns when both have their links."""
        await _until(lambda: all(operator.sessions for operator in self.running.values()))

    def seen(self, numbers: range) -> tuple[int, int]:
        """How many of these numbers no operator has seen, and how often one was seen again."""
        tallies = [operator.tally.seen for operator in self.all if operator.tally is not None]
        times = [sum(seen[number] for seen in tallies if number < len(seen)) for number in numbers]
        return times.count(0), sum(count - 1 for count in times if count > 1)

    async def close(self) -> None:
        """Ends the server, then the operators."""
        await super().close()
        for operator in self.running.values():
            await operator.stop()


def upstream(port: int) -> dict[str, Any]:
    """Return an upstream of the bench; its link is back soon."""
    reconnect = {'first_s': 0.1, 'last_s': PAUSE_S, 'refused_s': PAUSE_S}
    return {
        'host': '127.0.0.1',
        'port': port,
        'system_id': 'proxy',
        'password': 'secret',
        'window': 500,
        'reconnect': reconnect,
        'registered_delivery': 'asked',
    }


async def _until(is_so: Any) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not is_so():
        if loop.time() - began > BOUND_S:
            raise BenchError(f'what was waited for did not happen within {BOUND_S:g} s')
        await asyncio.sleep(POLL_S)
    return loop.time() - began


async def run_once(arguments: argparse.Namespace) -> Run:
    """Both parts on one bench."""
    async with TwoOperators() as bench:
        await bench.bound()
        split = bench.load(messages=arguments.messages, source='Split', registered_delivery=0)
        await bench.run(split)
        first, second = bench.running['first'], bench.running['second']
        await _until(lambda: first.counters.submitted + second.counters.submitted >= arguments.messages)
        share = first.counters.submitted / (first.counters.submitted + second.counters.submitted)
        messages = int(arguments.rate * (AWAY_S + 6))
        load = bench.load(messages=messages, rate_per_s=arguments.rate, registered_delivery=0)
        submitting = asyncio.create_task(bench.run(load))
        await asyncio.sleep(2)
        await first.stop()
        begun = range(arguments.messages, arguments.messages + load.ledger.submitted)
        failover_s = await _until(lambda: not bench.seen(begun)[0])
        await asyncio.sleep(AWAY_S)
        await bench.start_one('first')
        back = bench.running['first']
        return_s = await _until(lambda: back.counters.submitted > 0)
        await submitting
        lost, twice = await settled(bench, [split, load])
        return Run(share, failover_s, return_s, arguments.messages + messages, lost, twice)


async def settled(bench: TwoOperators, loads: list[Load]) -> tuple[int, int]:
    """How many messages that were answered ESME_ROK no operator has, and how many came twice."""
    numbers = range(sum(load.settings.messages for load in loads))
    refused = sum(len(load.ledger.outcomes) - load.ledger.outcomes.count(OK) for load in loads)
    if refused:
        raise BenchError(f'{refused} messages were not answered with ESME_ROK')
    await _until(lambda: bench.seen(numbers)[0] == 0 or not bench.server or not bench.server.is_alive)
    return bench.seen(numbers)


def tabulate(runs: list[Run]) -> str:
    """The runs for people."""
    rows = [
        [f'run {number}', run.messages, 100 * run.share, run.failover_s, run.return_s, run.lost, run.twice]
        for number, run in enumerate(runs, 1)
    ]
    median = ['median', *(statistics.median(column) for column in zip(*[row[1:] for row in rows], strict=True))]
    headings = ('', 'messages', 'first of 70 %', 'failover s', 'return s', 'lost', 'twice')
    return format_table(headings, [*rows, median])


async def run_all(arguments: argparse.Namespace) -> list[Run]:
    """One after the other."""
    runs = []
    for number in range(1, arguments.runs + 1):
        runs.append(await run_once(arguments))
        tell(f'run {number} of {arguments.runs}: failover after {runs[-1].failover_s:.2f} s')
    return runs


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.failover', description='Splits, and the loss of an operator.')
    parser.add_argument('--messages', type=int, default=10_000, help='to be split (10000)')
    parser.add_argument('--rate', type=float, default=1_000, help='messages a second around the loss (1000)')
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        runs = uvloop.run(run_all(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.failover: {error}')
    show(runs, tabulate(runs), arguments.json)
    sys.exit(0 if all(run.is_good for run in runs) else 1)


if __name__ == '__main__':
    main()
