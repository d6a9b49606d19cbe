"""Scenario `roundtrip`: submit, commit, forward, response, receipt, commit, forward, acknowledge, as fast as it goes.

    python -m perf.roundtrip [--messages 200000] [--binds 10] [--window 100] [--runs 3] [--tls] [--beside] [--json]

Each run has a fresh store, warms up, and is measured; medians follow. `--beside` runs the prototype after each run of
the product, on the same PostgreSQL with the product idle, and prints the ratios. Ends with 1 when something was lost or
came twice, or when a process failed.
"""

import argparse
import statistics
import sys
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from perf import policy
from perf.bench import Bench, BenchSettings, Figures, Settlement
from perf.load import LoadError
from perf.meter import GROUPS
from perf.processes import BenchError
from perf.prototype import DEFAULT_PATH, PrototypeFigures, dsn_of, run_prototype
from perf.report import format_table, show, tell

_HEADINGS = (
    '', 'rate/s', 'resp p50', 'resp p99', 'rcpt p50', 'rcpt p99', *(f'{name} us' for name in GROUPS),
    *(f'{name} MB' for name in GROUPS), 'lost', 'dup sent', 'dup rcpt', 'refused',
)  # fmt: skip


class Run(msgspec.Struct, frozen=True):
    """One measured run, and the prototype's beside it."""

    figures: Figures
    settlement: Settlement
    prototype: PrototypeFigures | None
    judged: 'Run | None' = None
    """The same with everything that a policy asks (`--policy`), right after it."""

    @property
    def ratio(self) -> float:
        """The product's rate by the prototype's."""
        return self.figures.result.rate_per_s / self.prototype.rate_per_s if self.prototype else 0.0


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    messages: int
    binds: int
    window: int
    runs: list[Run]
    median_rate_per_s: float
    median_server_cpu_us: float
    ratios: list[float]
    median_ratio: float | None


async def run_once(arguments: argparse.Namespace, with_policy: bool = False) -> Run:
    """One fresh set of processes, warmed up and measured."""
    settings = BenchSettings(
        binds=arguments.binds,
        window=arguments.window,
        account={'window': arguments.window * arguments.segments} | (policy.account() if with_policy else {}),
        server=policy.server() if with_policy else {},
        links=arguments.links,
        upstream_window=arguments.upstream_window,
        tls=arguments.tls,
        dsn=arguments.dsn,
    )
    bench = Bench(settings)
    if arguments.profile:
        bench.wrapper = (sys.executable, '-m', 'cProfile', '-o', arguments.profile, '-m')
    if with_policy:
        bench.prepare = partial(policy.prepare, ported=arguments.ported, stopped=arguments.stopped)
    async with bench:
        if arguments.warm_up:
            await bench.run(bench.load(messages=arguments.warm_up, segments=arguments.segments))
        load = bench.load(
            messages=arguments.messages,
            rate_per_s=arguments.rate,
            ucs2_percent=arguments.ucs2_percent,
            segments=arguments.segments,
        )
        figures = await bench.measure(load)
        prototype = await beside(bench, arguments) if arguments.beside else None
        return Run(figures, await bench.settle(), prototype)


async def beside(bench: Bench, arguments: argparse.Namespace) -> PrototypeFigures:
    """The prototype on the PostgreSQL of a bench that is idle now."""
    dsn = arguments.dsn or dsn_of(bench.folder / 'data')
    window = arguments.binds * arguments.window
    return await run_prototype(Path(arguments.prototype), dsn, arguments.messages, window)


def tabulate(runs: list[Run]) -> str:
    """All runs, their medians, and the prototype's beside them."""
    rows = [_row(run) for run in runs]
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    named = [[f'run {number}', *row] for number, row in enumerate(rows, 1)]
    table = format_table(_HEADINGS, [*named, ['median', *medians]])
    judged = [run for run in runs if run.judged is not None]
    if judged:
        table += '\n\n' + _beside_policy(judged)
    pairs = [(run, run.prototype) for run in runs if run.prototype is not None]
    if not pairs:
        return table
    rivals = [
        [f'pair {number}', run.figures.result.rate_per_s, rival.rate_per_s, run.ratio,
         *(rival.cpu_us_per_message.get(name, 0.0) for name in ('proxy', 'postgres', 'operator', 'sender'))]
        for number, (run, rival) in enumerate(pairs, 1)
    ]  # fmt: skip
    headings = ('', 'product/s', 'prototype/s', 'ratio', 'proxy us', 'postgres us', 'operator us', 'sender us')
    median = statistics.median(run.ratio for run, _ in pairs)
    return f'{table}\n\n{format_table(headings, rivals)}\nmedian ratio {median:.3f}'


def _beside_policy(runs: list[Run]) -> str:
    """Each run with policy by the one before it without."""
    rows, ratios = [], []
    for number, run in enumerate(runs, 1):
        with_policy = run.judged
        assert with_policy is not None
        ratio = with_policy.figures.result.rate_per_s / run.figures.result.rate_per_s
        ratios.append(ratio)
        rows.append([f'with policy {number}', *_row(with_policy), ratio])
    table = format_table((*_HEADINGS, 'ratio'), rows)
    return f'{table}\nmedian ratio with policy {statistics.median(ratios):.3f}'


def _row(run: Run) -> list[float]:
    result, spent, settlement = run.figures.result, run.figures.spent, run.settlement
    return [
        result.rate_per_s, result.response.p50_ms, result.response.p99_ms, result.receipt.p50_ms,
        result.receipt.p99_ms, *(spent[name].cpu_us_per_message for name in GROUPS),
        *(spent[name].peak_mb for name in GROUPS), settlement.lost + settlement.receipts_missing,
        settlement.duplicates, settlement.receipts_duplicated, sum(result.refused.values()),
    ]  # fmt: skip


async def run_all(arguments: argparse.Namespace) -> list[Run]:
    """All runs, one after the other."""
    runs = []
    for number in range(1, arguments.runs + 1):
        run = await run_once(arguments)
        runs.append(run)
        if arguments.policy:
            judged = await run_once(arguments, with_policy=True)
            runs[-1] = msgspec.structs.replace(run, judged=judged)
            tell(f'run {number} of {arguments.runs}, with policy: {judged.figures.result.rate_per_s:,.0f}/s')
        rival = f', prototype {run.prototype.rate_per_s:,.0f}/s' if run.prototype else ''
        tell(f'run {number} of {arguments.runs}: {run.figures.result.rate_per_s:,.0f}/s{rival}')
    return runs


def parse_arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog='perf.roundtrip', description='The whole way of a message, flat out.')
    parser.add_argument('--messages', type=int, default=200_000)
    parser.add_argument('--warm-up', type=int, default=10_000, help='messages before those that are measured')
    parser.add_argument('--binds', type=int, default=10)
    parser.add_argument('--window', type=int, default=100, help='unanswered submit_sm a bind')
    parser.add_argument('--rate', type=float, default=0, help='messages a second; 0 is flat out')
    parser.add_argument('--ucs2-percent', type=int, default=50, help='share of texts in UCS-2')
    parser.add_argument('--segments', type=int, default=1, help='of each text; above 1 in UCS-2')
    parser.add_argument('--links', type=int, default=1, help='links to the operator')
    parser.add_argument('--upstream-window', type=int, default=2000, help='unanswered submit_sm a link')
    parser.add_argument('--tls', action='store_true', help='TLS on both sides, with certificates made for the run')
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--dsn', default='', help='PostgreSQL to use instead of the private one')
    parser.add_argument('--beside', action='store_true', help='run the prototype in turn')
    parser.add_argument('--prototype', default=str(DEFAULT_PATH), help='where that is (%(default)s)')
    parser.add_argument('--profile', metavar='FILE', help='run the server under cProfile; of the last run')
    parser.add_argument('--policy', action='store_true', help='after each run one with everything a policy asks')
    parser.add_argument('--ported', type=int, default=10_000_000, help='ported numbers of --policy')
    parser.add_argument('--stopped', type=int, default=1_000_000, help='numbers on the stop-list of --policy')
    parser.add_argument('--json', action='store_true')
    return parser.parse_args()


def main() -> None:
    """The command."""
    arguments = parse_arguments()
    if arguments.beside and not Path(arguments.prototype).exists():
        sys.exit(f'perf.roundtrip: no prototype at {arguments.prototype}: name its place with --prototype')
    try:
        runs = uvloop.run(run_all(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'perf.roundtrip: {error}')
    ratios = [round(run.ratio, 3) for run in runs if run.prototype]
    report = Report(
        messages=arguments.messages,
        binds=arguments.binds,
        window=arguments.window,
        runs=runs,
        median_rate_per_s=statistics.median(run.figures.result.rate_per_s for run in runs),
        median_server_cpu_us=statistics.median(run.figures.spent['server'].cpu_us_per_message for run in runs),
        ratios=ratios,
        median_ratio=statistics.median(ratios) if ratios else None,
    )
    show(report, tabulate(runs), arguments.json)
    sys.exit(0 if all(run.settlement.is_clean for run in runs) else 1)


if __name__ == '__main__':
    main()
