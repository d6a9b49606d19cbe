"""Scenario `fairness`: what one account notices of another one's queue (wire.md G14).

    python -m perf.fairness [--queued 1000000] [--limit 1000] [--rate 50] [--seconds 20] [--rounds 5] [--json]

An upstream with a limit, and an account that sends at a modest rate: measured is the time from each submit_sm to its
arrival at the operator. First, in turns, alone, and beside an account that sends what the upstream has left, so that
it works as hard and nothing queues; then beside an account that has as many messages as asked for waiting. Each of
these so many rounds, of which the medians count: a disk that is slow for a moment decides about the p99 of one round.
The last against the first two is what the queue costs. Ends with 1 when its p99 is over 20 % above that beside the busy
account, or a message did not come within the time.
"""

import argparse
import asyncio
import statistics
import sys
import time
from array import array
from typing import Any

import msgspec
import uvloop

from perf.bench import Bench, BenchSettings
from perf.load import Load, LoadError
from perf.load.ledger import OK
from perf.numbers import Tally
from perf.operator import Operator, OperatorSettings
from perf.processes import BenchError
from perf.report import format_table, show, tell

RAISED = 0.2
POLL_S = 0.05
SETTLE_S = 3.0
QUIET_S = 30.0
ALONE, BUSY, QUEUED = 'alone', 'beside a busy account', 'beside a queue'


class Timed(msgspec.Struct, frozen=True):
    """One load of the modest account; times are from submit_sm to the operator."""

    name: str
    messages: int
    missing: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    operator_per_s: float
    """What the operator got meanwhile, of everybody."""


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    queued: int
    limit_per_s: int
    rate_per_s: float
    runs: list[Timed]
    left_in_queue: int

    def raised(self, beside: str) -> float:
        """By what share the p99 beside the queue is above another one."""
        return self.median(QUEUED).p99_ms / self.median(beside).p99_ms - 1

    def median(self, name: str) -> Timed:
        """The medians of the rounds of one name; messages are those of all of them."""
        rounds = [run for run in self.runs if run.name == name]
        return Timed(
            name=name,
            messages=sum(run.messages for run in rounds),
            missing=sum(run.missing for run in rounds),
            p50_ms=statistics.median(run.p50_ms for run in rounds),
            p99_ms=statistics.median(run.p99_ms for run in rounds),
            most_ms=statistics.median(run.most_ms for run in rounds),
            operator_per_s=statistics.median(run.operator_per_s for run in rounds),
        )

    @property
    def is_good(self) -> bool:
        """Return whether it is as promised; the queue must have lasted to the end."""
        return self.raised(BUSY) <= RAISED and self.left_in_queue > 0 and not any(run.missing for run in self.runs)


class TimedTally(Tally):
    """Knows besides when each number came first, in monotonic seconds."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.times: dict[int, float] = {}
        self.wanted = range(0)

    def count(self, number: int) -> None:
        """Counts one sight of a number."""
        if number in self.wanted:
            self.times.setdefault(number, time.monotonic())
        super().count(number)


class Two(Bench):
    """A bench with two accounts, and its operator in this process, which can go and return."""

    def __init__(self, limit_per_s: int) -> None:
        account = {'password': 'secret', 'binds': 100, 'window': 1000, 'rate_per_s': 1_000_000, 'waiting': 100_000_000}
        reconnect = {'first_s': 0.1, 'last_s': 0.5, 'refused_s': 0.5}
        upstream: dict[str, Any] = {'registered_delivery': 'asked', 'reconnect': reconnect, 'rate_per_s': limit_per_s}
        accounts = {name: {'system_id': name, **account} for name in ('load', 'bulk')}
        super().__init__(BenchSettings(binds=2, upstream=upstream, server={'accounts': accounts}))
        settings = OperatorSettings(ledger=True)
        self.tally = TimedTally(settings.ledger_limit)
        self.operators: list[Operator] = []
        self._settings = settings

    async def start_operator(self) -> None:
        """Starts it, or has it back."""
        operator = Operator(self._settings)
        operator.tally = self.tally
        self.operators.append(operator)
        await operator.start(port=self.operator_port)

    async def stop_operator(self) -> None:
        """Lets it go."""
        await self.operators[-1].stop()

    @property
    def got(self) -> int:
        """How many messages operators have got."""
        return sum(operator.counters.submitted for operator in self.operators)

    async def close(self) -> None:
        """Ends the server, then the operator."""
        await super().close()
        await self.stop_operator()


async def measure(bench: Two, name: str, arguments: argparse.Namespace) -> Timed:
    """Sends at the modest rate, and times what arrives."""
    messages = int(arguments.rate * arguments.seconds)
    load = bench.load(messages=messages, rate_per_s=arguments.rate, binds=1, registered_delivery=0, source='Modest')
    first = load.settings.first_number
    bench.tally.wanted = range(first, first + messages)
    bench.tally.times.clear()
    submitted_at: dict[int, float] = {}
    submit = load.ledger.submit

    def note(count: int, now: float) -> int:
        begin = submit(count, now)
        at = time.monotonic()
        submitted_at.update(dict.fromkeys(range(begin, begin + count), at))
        return begin

    load.ledger.submit = note  # type: ignore[method-assign]
    before, began = bench.got, time.monotonic()
    await bench.run(load)
    elapsed_s, got = time.monotonic() - began, bench.got - before
    until = time.monotonic() + QUIET_S
    while len(bench.tally.times) < messages and time.monotonic() < until:  # noqa: ASYNC110 - the operator has no event for it
        await asyncio.sleep(POLL_S)
    times = bench.tally.times
    took = sorted(array('d', (at - submitted_at[number - first] for number, at in times.items()))) or [0.0]
    timed = Timed(
        name=name,
        messages=messages,
        missing=messages - len(times),
        p50_ms=1000 * took[len(took) // 2],
        p99_ms=1000 * took[round((len(took) - 1) * 0.99)],
        most_ms=1000 * took[-1],
        operator_per_s=got / elapsed_s,
    )
    tell(f'{name}: p50 {timed.p50_ms:.1f} ms, p99 {timed.p99_ms:.1f} ms')
    return timed


async def beside(bench: Two, load: Load, name: str, arguments: argparse.Namespace) -> Timed:
    """The same while another load goes on, which is ended then."""
    running = asyncio.create_task(load.run())
    try:
        await asyncio.sleep(SETTLE_S)
        return await measure(bench, name, arguments)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def run(arguments: argparse.Namespace) -> Report:
    """All three, on one bench."""
    async with Two(arguments.limit) as bench:
        await bench.run(bench.load(messages=1_000, registered_delivery=0))
        await asyncio.sleep(SETTLE_S)
        rest = (arguments.limit - arguments.rate) * 0.95
        bulk = {'system_id': 'bulk', 'registered_delivery': 0, 'source': 'Bulk'}
        runs = []
        for _ in range(arguments.rounds):
            runs.append(await measure(bench, ALONE, arguments))
            busy = bench.load(messages=int(rest * (arguments.seconds + 10)), rate_per_s=rest, **bulk)
            runs.append(await beside(bench, busy, BUSY, arguments))
            await asyncio.sleep(SETTLE_S)
        await bench.stop_operator()
        await asyncio.sleep(SETTLE_S)
        queue = bench.load(messages=arguments.queued, binds=10, **bulk)
        await bench.run(queue)
        tell(f'{queue.ledger.outcomes.count(OK):,} are queued')
        before = bench.got
        await bench.start_operator()
        while bench.got == before:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(POLL_S)
        await asyncio.sleep(SETTLE_S)
        runs += [await measure(bench, QUEUED, arguments) for _ in range(arguments.rounds)]
        left = arguments.queued - (bench.got - before)
        return Report(arguments.queued, arguments.limit, arguments.rate, runs, left)


def tabulate(report: Report) -> str:
    """The report for people."""
    medians = [report.median(name) for name in (ALONE, BUSY, QUEUED)]
    rows = [[of.name, of.messages, of.p50_ms, of.p99_ms, of.most_ms, of.operator_per_s, of.missing] for of in medians]
    table = format_table(('', 'messages', 'p50 ms', 'p99 ms', 'most ms', 'operator/s', 'missing'), rows)
    raised = ', '.join(f'{100 * report.raised(beside):+.0f} % to {beside}' for beside in (ALONE, BUSY))
    return f'{table}\np99 beside {report.queued:,} queued: {raised}; {report.left_in_queue:,} were left'


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.fairness', description="What an account notices of another's queue.")
    parser.add_argument('--queued', type=int, default=1_000_000)
    parser.add_argument('--limit', type=int, default=1_000, help='segments a second of the upstream (1000)')
    parser.add_argument('--rate', type=float, default=50, help='messages a second of the modest account (50)')
    parser.add_argument('--seconds', type=float, default=20, help='of each measurement (20)')
    parser.add_argument('--rounds', type=int, default=5, choices=range(1, 100), metavar='N', help='of each kind (5)')
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.fairness: {error}')
    show(report, tabulate(report), arguments.json)
    sys.exit(0 if report.is_good else 1)


if __name__ == '__main__':
    main()
