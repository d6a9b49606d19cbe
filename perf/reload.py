"""Scenario `reload`: the configuration is swapped again and again under load, every third time for a broken one.

    python -m perf.reload [--reloads 20] [--rate 1000] [--json]

Beside the load, a probe is submitted before and after each reload: its route refuses it with one status or another,
as the file says. A broken file must change nothing and be reported. Ends with 1 when a session was dropped, a message
of the load was refused, lost or doubled, a broken file was taken, or a probe got an answer that is not that of the
configuration in effect.
"""

import argparse
import asyncio
import sys
from typing import Any

import msgspec
import uvloop

from perf.bench import Bench, BenchSettings, Settlement
from perf.load import LoadError, LoadResult
from perf.processes import BenchError
from perf.report import format_table, show, tell
from smsc.control import ControlError, ask
from smsc.sender import Letter, send

STATUSES = ('ESME_RSUBMITFAIL', 'ESME_RINVDSTADR')
PROBE = '881000000000'
BROKEN: tuple[dict[str, Any], ...] = (
    {'routes': [{'name': 'nowhere', 'failover': ['no such upstream']}]},
    {'accounts': {'load': {'password': 'secret', 'window': 'wide'}}},
    {'nonsense': True},
)
EVERY = 3  # of so many files one is broken
PAUSE_S = 0.25


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    reloads: int
    refused_files: int
    probes: int
    wrong: list[str]
    load: LoadResult
    settlement: Settlement


class Reloads:
    """One run on a bench that is up."""

    def __init__(self, bench: Bench, reloads: int) -> None:
        self._bench = bench
        self._reloads = reloads
        self._tree = msgspec.json.decode(bench.configuration.read_bytes())
        self.refused_files = 0
        self.probes = 0
        self.wrong: list[str] = []

    async def run(self) -> None:
        """All reloads, one after the other."""
        expected = STATUSES[0]
        for number in range(1, self._reloads + 1):
            if number % EVERY:
                expected = STATUSES[number % len(STATUSES)]
                self._write(changed(self._tree, number, expected))
                await self._reload(number, broken=False)
            else:
                self._write(self._tree | BROKEN[number // EVERY % len(BROKEN)])
                await self._reload(number, broken=True)
            await self._probe(number, expected)
            tell(f'reload {number} of {self._reloads}')
            await asyncio.sleep(PAUSE_S)

    def _write(self, tree: dict[str, Any]) -> None:
        self._bench.configuration.write_bytes(msgspec.json.encode(tree))

    async def _reload(self, number: int, broken: bool) -> None:
        try:
            await ask(self._bench.folder / 'data', 'reload')
        except ControlError:
            self.refused_files += 1
            if not broken:
                self.wrong.append(f'reload {number}: a good file was refused')
            return
        if broken:
            self.wrong.append(f'reload {number}: a broken file was taken')

    async def _probe(self, number: int, expected: str) -> None:
        letter = Letter('127.0.0.1', self._bench.smpp_port, 'probe', 'secret', 'MyBank', PROBE, 'probe')
        (part,) = await send(letter, 0, lambda parts: None)
        self.probes += 1
        if part.status != expected:
            self.wrong.append(f'reload {number}: the probe got {part.status}, not {expected}')


def changed(tree: dict[str, Any], number: int, status: str) -> dict[str, Any]:
    """Return a configuration that differs in routes, accounts, limits and an upstream's rate, but not for the load."""
    extra = {'password': 'secret', 'binds': 1 + number % 5, 'rate_per_s': 1 + number}
    rules = [
        {'name': f'rule {each}', 'when': {'destination': f'{890 + each}*'}, 'reject': 0x45} for each in range(number)
    ]
    routes = [{'name': 'probe', 'when': {'account': 'probe'}, 'reject': status}, *rules, *tree['routes']]
    accounts = tree['accounts'] | {'probe': {'password': 'secret'}, f'extra-{number}': extra}
    return tree | {'routes': routes, 'accounts': accounts}


async def run(arguments: argparse.Namespace) -> Report:
    """One bench: the load goes on for as long as the reloads take."""
    async with Bench(BenchSettings()) as bench:
        reloads = Reloads(bench, arguments.reloads)
        messages = int(arguments.rate * arguments.reloads * (PAUSE_S + arguments.reload_s))
        load = bench.load(messages=messages, rate_per_s=arguments.rate)
        submitting = asyncio.create_task(bench.run(load))
        await reloads.run()
        if submitting.done():
            tell('the load ended before the reloads did: give --reload-s')
        result = await submitting
        return Report(
            arguments.reloads, reloads.refused_files, reloads.probes, reloads.wrong, result, await bench.settle()
        )


def is_good(report: Report) -> bool:
    """Return whether nothing went wrong."""
    result = report.load
    return report.settlement.is_clean and not (
        report.wrong or result.disconnects or result.refused or result.unanswered
    )


def tabulate(report: Report) -> str:
    """The run for people."""
    result, settlement = report.load, report.settlement
    headings = (
        'reloads',
        'files refused',
        'probes',
        'messages',
        'dropped',
        'refused',
        'lost',
        'twice',
        'p99 ms',
        'max ms',
    )
    row = [
        report.reloads, report.refused_files, report.probes, result.ok, result.disconnects,
        sum(result.refused.values()), settlement.lost, settlement.duplicates, result.response.p99_ms,
        result.response.max_ms,
    ]  # fmt: skip
    return '\n'.join([format_table(headings, [row]), *(f'WRONG: {line}' for line in report.wrong)])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.reload', description='Reloads under load.')
    parser.add_argument('--reloads', type=int, default=20)
    parser.add_argument('--rate', type=float, default=1_000, help='messages a second beside them (1000)')
    parser.add_argument('--reload-s', type=float, default=0.5, help='what a reload may take (0.5)')
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.reload: {error}')
    show(report, tabulate(report), arguments.json)
    sys.exit(0 if is_good(report) else 1)


if __name__ == '__main__':
    main()
