"""The long trial by faults: `python -m tests.faults.long --server-kills 20 --postgres-kills 5 --seed 1`.

Prints a line a fault, then the account as a table, and ends with 1 when a promise was broken or the product did not
come back. With `--folder` configuration, store and logs stay there: `smsc message ID -c FOLDER/smsc.yaml` tells what
became of a message.
"""

import argparse
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from perf.load import LoadError
from perf.processes import BenchError
from tests.faults.bench import FaultBench
from tests.faults.trial import Fault, Plan, Trial, settings
from tests.faults.verdict import Verdict

OPTIONS = {
    'server_kills': (Fault.SERVER, 20),
    'start_kills': (Fault.START, 3),
    'postgres_kills': (Fault.POSTGRES, 5),
    'backend_kills': (Fault.BACKEND, 3),
    'stalls': (Fault.STALL, 3),
    'operator_kills': (Fault.OPERATOR, 5),
    'link_cuts': (Fault.LINKS, 5),
    'bind_cuts': (Fault.BINDS, 5),
}


def show(line: str) -> None:
    """Prints a line of progress at once."""
    sys.stdout.write(f'{time.strftime("%H:%M:%S")} {line}\n')
    sys.stdout.flush()


async def run(plan: Plan, folder: Path | None) -> tuple[Trial, Verdict]:
    """One trial on a bench of its own."""
    async with FaultBench(settings(folder=folder)) as bench:
        trial = Trial(bench, plan, show)
        return trial, await trial.run()


def table(trial: Trial, verdict: Verdict) -> str:
    """The account for people."""
    lines = [(str(fault), trial.done[fault]) for fault in Fault if trial.done[fault]]
    lines += [
        (name.replace('_', ' '), value) for name, value in msgspec.structs.asdict(verdict).items() if name != 'wrong'
    ]
    width = max(len(name) for name, _ in lines)
    return '\n'.join(f'{name:<{width}}  {value:>9,}' for name, value in lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='tests.faults.long', description='Load, faults, and a verdict.')
    for name, (fault, count) in OPTIONS.items():
        parser.add_argument(f'--{name.replace("_", "-")}', type=int, default=count, help=f'{fault} ({count})')
    parser.add_argument('--rate', type=float, default=1500, help='messages a second (1500)')
    parser.add_argument('--stall-s', type=float, nargs=2, default=(1, 4), metavar='S', help='least and most (1 4)')
    parser.add_argument('--seed', type=int, default=1, help='of order and moments (1)')
    parser.add_argument('--folder', type=Path, help='where to keep configuration, store and logs')
    arguments = parser.parse_args()
    faults = {fault: getattr(arguments, name) for name, (fault, _) in OPTIONS.items()}
    plan = Plan(seed=arguments.seed, faults=faults, rate_per_s=arguments.rate, stall_s=tuple(arguments.stall_s))
    started = time.monotonic()
    try:
        trial, verdict = uvloop.run(run(plan, arguments.folder and arguments.folder.absolute()))
    except* (BenchError, LoadError) as errors:
        sys.exit('\n'.join(map(str, errors.exceptions)))
    show(f'seed {plan.seed}, {plan.rate_per_s:g} messages/s, {time.monotonic() - started:.0f} s')
    sys.stdout.write(table(trial, verdict) + '\n')
    for line in verdict.wrong:
        sys.stdout.write(f'WRONG: {line}\n')
    sys.exit(1 if verdict.wrong else 0)


if __name__ == '__main__':
    main()
