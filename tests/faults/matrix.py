"""The fault matrix: every fault of the catalogue on one node and on two, with several seeds.

    python -m tests.faults.matrix --nodes 1 --nodes 2 --seeds 5
    python -m tests.faults.matrix --nodes 2 --only 'kill -9 node' --first-seed 7 --folder /tmp/kept

A plant is started for each number of nodes, seed and kind, and its faults follow one another in a seeded order, each
with traffic of its own and a verdict of its own; after one that went wrong there is a new plant. Prints a line a fault,
at the end a table, and ends with 1 when a promise was broken. With `--folder` configurations, stores and logs of each
plant stay there.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random

import msgspec
import uvloop

from perf.processes import BenchError
from perf.report import format_table
from tests.faults.catalogue import CATALOGUE, Fault, Kind
from tests.faults.plant import Plant, PlantSettings
from tests.faults.processes import FakeClock, SmallDisk
from tests.faults.trial import Outcome, Pace, Trial

COLUMNS = ('fault', 'nodes', 'seed', 'accepted', 'refused', 'open', 'lost', 'repeated', 'receipts', 'take-over s',
           'silent s', 'fenced', 'seconds')  # fmt: skip


class Group(msgspec.Struct, frozen=True):
    """Faults that share a plant."""

    nodes: int
    seed: int
    kind: Kind
    faults: tuple[Fault, ...]


def groups(faults: Sequence[Fault], nodes: Iterable[int], seeds: Iterable[int]) -> list[Group]:
    """Sorts faults into plants, each in its seeded order."""
    found = []
    nodes = list(nodes)
    for seed in seeds:
        for count in nodes:
            for kind in Kind:
                some = [fault for fault in faults if fault.kind == kind and count in fault.nodes]
                Random(seed).shuffle(some)
                if some:
                    found.append(Group(count, seed, kind, tuple(some)))
    return found


def why_not(kind: Kind) -> str:
    """Why this machine cannot have a plant of a kind; empty when it can."""
    if kind != Kind.ODD:
        return ''
    if FakeClock.library() is None:
        return 'clocks cannot be set: libfaketime is not installed; as root: apt-get install faketime'
    reason = SmallDisk.why_not()
    return f'no disk can be filled: {reason}' if reason else ''


def settings_of(group: Group, folder: Path | None, fsync: bool = True) -> PlantSettings:
    """The plant that a group needs."""
    odd = group.kind == Kind.ODD
    return PlantSettings(
        nodes=group.nodes,
        private=group.kind == Kind.PRIVATE,
        fake_clock=odd,
        small_disk=odd,
        fsync=fsync,
        folder=folder and folder / f'{group.nodes}-{group.kind}-{group.seed}',
    )


async def run_group(group: Group, pace: Pace, settings: PlantSettings, show: Callable[[str], None]) -> list[Outcome]:
    """All faults of a group. A plant that does not start, or come back from a fault, is an outcome that went wrong."""
    outcomes: list[Outcome] = []
    left = list(group.faults)
    plants = 0
    while left:
        folder = settings.folder and Path(f'{settings.folder}-{plants}')
        plants += 1
        tried = 'the plant'
        try:
            async with Plant(msgspec.structs.replace(settings, folder=folder)) as plant:
                while left:
                    fault = left.pop(0)
                    tried = fault.name
                    outcome = await Trial(plant, fault, group.seed, pace).run()
                    outcomes.append(outcome)
                    show(line_of(outcome))
                    if outcome.wrong:
                        break
        except (BenchError, OSError, ExceptionGroup) as error:
            wrong = [f'{type(one).__name__}: {one}' for one in _causes(error)]
            if tried == 'the plant':
                wrong += [f'{fault.name} was not tried' for fault in left]
                left.clear()
            outcomes.append(Outcome(fault=tried, nodes=group.nodes, seed=group.seed, seconds=0, wrong=wrong))
            show(line_of(outcomes[-1]))
    return outcomes


def _causes(error: BaseException) -> list[BaseException]:
    """What is in a group of exceptions, or the one that is none."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [cause for one in error.exceptions for cause in _causes(one)]


class Shower:
    """Prints a line of progress at once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._shown = 0

    def __call__(self, line: str) -> None:
        self._shown += 1
        sys.stdout.write(f'{time.strftime("%H:%M:%S")} {self._shown:>4}/{self._count} {line}\n')
        sys.stdout.flush()


def line_of(outcome: Outcome) -> str:
    """An outcome for people."""
    found = outcome.verdict
    counts = f'{found.ok:>6} accepted, {found.lost} lost, {found.duplicate_submits} repeated' if found else 'no verdict'
    wrong = ''.join(f'\n      WRONG: {line}' for line in outcome.wrong)
    return (
        f'{outcome.nodes} node{"s" if outcome.nodes > 1 else " "} seed {outcome.seed} {outcome.fault:<48} {counts},'
        f' {outcome.take_over_s:g} s to take over, {outcome.seconds:g} s{wrong}'
    )


def row_of(outcome: Outcome) -> list[object]:
    """A row of the table."""
    found = outcome.verdict
    if found is None:
        return [outcome.fault, outcome.nodes, outcome.seed, *['-'] * 9, outcome.seconds]
    return [
        *(outcome.fault, outcome.nodes, outcome.seed, found.ok, found.refused, found.unknown, found.lost),
        f'{found.duplicate_submits} ({found.duplicate_submits_bound})',
        f'{found.repeated_receipts} ({found.repeated_receipts_bound})',
        *(outcome.take_over_s, outcome.silent_s, outcome.fenced, outcome.seconds),
    ]


def table(outcomes: list[Outcome]) -> str:
    """All outcomes, a row each; in brackets how much may be repeated."""
    ordered = sorted(outcomes, key=lambda outcome: (outcome.nodes, outcome.fault, outcome.seed))
    return format_table(COLUMNS, [row_of(outcome) for outcome in ordered]) + '\n'


async def run(arguments: argparse.Namespace) -> list[Outcome]:
    """The whole matrix."""
    faults = [fault for fault in CATALOGUE if not arguments.only or any(part in fault.name for part in arguments.only)]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    found = groups(faults, arguments.nodes or [1, 2], seeds)
    for reason in {why_not(group.kind) for group in found} - {''}:
        sys.stdout.write(f'left out: {reason}\n')
    found = [group for group in found if not why_not(group.kind)]
    show, outcomes = Shower(sum(len(group.faults) for group in found)), []
    for group in found:
        settings = settings_of(group, arguments.folder, not arguments.no_fsync)
        outcomes += await run_group(group, Pace(rate_per_s=arguments.rate), settings, show)
    return outcomes


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='tests.faults.matrix', description='Every fault, on one node and on two.')
    parser.add_argument('--nodes', type=int, action='append', choices=(1, 2), help='may be repeated (1 and 2)')
    parser.add_argument('--seeds', type=int, default=1, help='how many (1)')
    parser.add_argument('--first-seed', type=int, default=1, help='the others follow (1)')
    parser.add_argument('--only', action='append', metavar='TEXT', help='faults whose name has this; may be repeated')
    parser.add_argument('--rate', type=int, default=1500, help='messages a second (1500)')
    parser.add_argument('--no-fsync', action='store_true', help='PostgreSQL does not wait for the disk')
    parser.add_argument('--folder', type=lambda text: Path(text).absolute(), help='where to keep everything')
    began_at = time.monotonic()
    outcomes = uvloop.run(run(parser.parse_args()))
    sys.stdout.write(table(outcomes))
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    sys.stdout.write(f'{len(outcomes)} trials, {len(wrong)} went wrong, {time.monotonic() - began_at:.0f} s\n')
    sys.exit(1 if wrong or not outcomes else 0)


if __name__ == '__main__':
    main()
