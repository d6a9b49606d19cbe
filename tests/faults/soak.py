"""The soak: hours under load and random faults, and then the ledgers must agree and nothing may have grown.

    python -m tests.faults.soak --minutes 60
    python -m tests.faults.soak --minutes 10 --nodes 2 --seed 3

First the plant's capacity is measured, flat out for some seconds; then it gets a share of that, and a seeded random
fault every so often. Memory and file descriptors of each node are sampled every second: flat means that the last
quarter of the time has no more than the second one, but for what is allowed. Prints a line every ten seconds, at the
end the account of all messages, and ends with 1 when a promise was broken.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import psutil
import uvloop

from perf.meter import resident_mb
from perf.operator import OperatorSettings
from perf.processes import BenchError
from tests.faults.catalogue import CATALOGUE, Act, Fault, Kind
from tests.faults.inflicting import Inflicting
from tests.faults.plant import Plant, PlantSettings
from tests.faults.soak_verdict import read_stored, verdict_of
from tests.faults.trial import Watch, alarms, unsettled
from tests.faults.verdict import Bounds, Verdict

FLAT_OUT = 1_000_000
MEASURED_OPEN = 2_000
"""Messages on their way while capacity is measured: enough to keep all busy, too few to queue."""
MEASURE_S = 10.0
PROGRESS_S = 10.0
SAMPLE_S = 1.0
POLL_S = 0.02
RECOVERY_TIMEOUT_S = 120
SETTLE_TIMEOUT_S = 300
GROWTH_MB, GROWTH_DESCRIPTORS = 24, 10
"""How much more the last quarter may have than the second: windows and queues are fuller at some moments."""
TOO_LONG_S = 12
"""Faults that last longer are left to the matrix."""


class Sample(msgspec.Struct, frozen=True):
    """The nodes at one moment, in MB and open files of all of them."""

    at_s: float
    memory_mb: float
    descriptors: int


class Soak:
    """One soak on a plant that is up."""

    def __init__(self, plant: Plant, seed: int, minutes: float, share: float, every_s: tuple[float, float]) -> None:
        self._plant = plant
        self._random = Random(seed)
        self._seconds = minutes * 60
        self._share = share
        self._every_s = every_s
        self._samples: list[Sample] = []
        self._began_at = time.monotonic()
        self._costs = [0, 0]
        self.done: list[Fault] = []
        self.capacity_per_s = 0.0
        self.wrong: list[str] = []

    async def run(self) -> Verdict:
        """All of it. Raises BenchError when the product does not come back from a fault."""
        book = self._plant.book
        self.capacity_per_s = await self.measure()
        book.set('rate_per_s', int(self.capacity_per_s * self._share))
        self._began_at = time.monotonic()
        watchers = [asyncio.create_task(self._sample()), asyncio.create_task(self._tell())]
        try:
            await self._break_things()
            book.set('rate_per_s', 0)
            await self._settle()
        finally:
            for task in watchers:
                task.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        self.wrong += self._growth() + alarms(dict.fromkeys((node.log for node in self._plant.nodes), 0))
        self.wrong += [line for node in self._plant.nodes for line in node.ended_badly]
        settings = self._plant.settings
        bounds = Bounds(
            self._costs[0] * settings.links * settings.upstream_window,
            self._costs[1] * settings.binds * settings.window,
        )
        connection = await self._plant.connect()
        try:
            stored = await read_stored(connection, book.get('submitted'))
        finally:
            await connection.close()
        return verdict_of(book, self._plant.seen, stored, bounds)

    async def measure(self) -> float:
        """Messages a second that come through, receipts included, when there are always some to take."""
        book = self._plant.book
        book.set('open_limit', MEASURED_OPEN)
        book.set('rate_per_s', FLAT_OUT)
        await asyncio.sleep(MEASURE_S / 2)
        before, began_at = book.get('received'), time.monotonic()
        await asyncio.sleep(MEASURE_S)
        rate_per_s = (book.get('received') - before) / (time.monotonic() - began_at)
        book.set('open_limit', 0)
        if rate_per_s < 1:
            raise BenchError(f'nothing comes through: {book.counters()}')
        return rate_per_s

    async def _break_things(self) -> None:
        plant, end = self._plant, self._began_at + self._seconds
        faults = [fault for fault in CATALOGUE if self._is_fit(fault)]
        while (pause := self._random.uniform(*self._every_s)) < end - time.monotonic():
            await asyncio.sleep(pause)
            fault = self._random.choice(faults)
            show(fault.name)
            await Inflicting(plant, fault, self._random, Watch(plant, plant.book.get('submitted'))).inflict()
            self.done.append(fault)
            self._costs[0] += fault.cost.links
            self._costs[1] += fault.cost.binds
            await self._traffic()
        await asyncio.sleep(max(0.0, end - time.monotonic()))

    def _is_fit(self, fault: Fault) -> bool:
        nodes = self._plant.settings.nodes
        return fault.kind == Kind.USUAL and nodes in fault.nodes and fault.for_s[1] <= TOO_LONG_S

    async def _traffic(self) -> None:
        """Waits until messages are accepted and receipts come again."""
        book = self._plant.book
        ok, received = book.get('ok') + 1000, book.get('received') + 1000
        give_up_at = time.monotonic() + RECOVERY_TIMEOUT_S
        while book.get('ok') < ok or book.get('received') < received:
            if time.monotonic() > give_up_at:
                raise BenchError(f'not in traffic again after {RECOVERY_TIMEOUT_S} s: {book.counters()}')
            await asyncio.sleep(POLL_S)

    async def _settle(self) -> None:
        give_up_at = time.monotonic() + SETTLE_TIMEOUT_S
        while left := await unsettled(self._plant, 0):
            if time.monotonic() > give_up_at:
                self.wrong += left
                return
            await asyncio.sleep(1)

    # What is watched

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            pids = [node.pid for node in self._plant.nodes]
            try:
                descriptors = sum(psutil.Process(pid).num_fds() for pid in pids)
            except psutil.Error:
                continue  # a node is down just now
            memory_mb = sum(resident_mb(pid) for pid in pids)
            self._samples.append(Sample(time.monotonic() - self._began_at, memory_mb, descriptors))

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            book, last = self._plant.book, self._samples[-1] if self._samples else Sample(0, 0, 0)
            show(
                f'{book.get("ok"):>9,} accepted  {book.get("received"):>9,} receipts  {book.get("refused"):>7,} refused'
                f'  {book.get("unknown"):>6,} open  {last.memory_mb:>5.0f} MB  {last.descriptors:>4} files'
                f'  {len(self.done)} faults'
            )

    def quarter(self, number: int) -> tuple[float, float]:
        """Medians of memory and file descriptors in a quarter of the time, counted from 1."""
        length = self._seconds / 4
        found = [sample for sample in self._samples if length * (number - 1) <= sample.at_s < length * number]
        if not found:
            return 0.0, 0.0
        return (
            statistics.median(sample.memory_mb for sample in found),
            statistics.median(sample.descriptors for sample in found),
        )

    def _growth(self) -> list[str]:
        (memory, files), (later_memory, later_files) = self.quarter(2), self.quarter(4)
        wrong = []
        if later_memory > memory + GROWTH_MB:
            wrong.append(f'memory grew from {memory:.0f} MB in the second quarter to {later_memory:.0f} in the last')
        if later_files > files + GROWTH_DESCRIPTORS:
            wrong.append(
                f'file descriptors grew from {files:.0f} in the second quarter to {later_files:.0f} in the last'
            )
        return wrong


def show(line: str) -> None:
    """Prints a line of progress at once."""
    sys.stdout.write(f'{time.strftime("%H:%M:%S")} {line}\n')
    sys.stdout.flush()


def account(soak: Soak, verdict: Verdict) -> str:
    """The end of it, for people."""
    lines: list[tuple[str, object]] = [('capacity, messages/s', round(soak.capacity_per_s))]
    lines += [
        (f'quarter {number}, MB and files', ' '.join(f'{figure:.0f}' for figure in soak.quarter(number)))
        for number in range(1, 5)
    ]
    done = Counter(fault.act for fault in soak.done)
    lines += [(str(act), done[act]) for act in Act if done[act]]
    lines += [
        (name.replace('_', ' '), value) for name, value in msgspec.structs.asdict(verdict).items() if name != 'wrong'
    ]
    width = max(len(name) for name, _ in lines)
    return ''.join(
        f'{name:<{width}}  {f"{value:,}" if isinstance(value, int) else value:>12}\n' for name, value in lines
    )


async def run(arguments: argparse.Namespace) -> bool:
    """One soak; returns whether all was well."""
    settings = PlantSettings(
        nodes=arguments.nodes,
        window=200,
        upstream_window=500,
        operator=OperatorSettings(response_delay_ms=5, receipt_delay_ms=100),
        folder=arguments.folder,
        server={'queues': {'memory': 5000, 'cache': 5000}},
    )
    async with Plant(settings) as plant:
        soak = Soak(plant, arguments.seed, arguments.minutes, arguments.share / 100, tuple(arguments.every_s))
        verdict = await soak.run()
    sys.stdout.write(account(soak, verdict))
    wrong = [*soak.wrong, *verdict.wrong]
    for line in wrong:
        sys.stdout.write(f'WRONG: {line}\n')
    return not wrong


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='tests.faults.soak', description='Load and faults for a long time.')
    parser.add_argument('--minutes', type=float, default=60, help='how long (60)')
    parser.add_argument('--nodes', type=int, default=1, choices=(1, 2), help='(1)')
    parser.add_argument('--seed', type=int, default=1, help='of faults and moments (1)')
    parser.add_argument('--share', type=float, default=70, help='percent of the capacity (70)')
    parser.add_argument('--every-s', type=float, nargs=2, default=(10, 40), metavar='S', help='between faults (10 40)')
    parser.add_argument('--folder', type=lambda text: Path(text).absolute(), help='where to keep everything')
    try:
        sys.exit(0 if uvloop.run(run(parser.parse_args())) else 1)
    except BenchError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
