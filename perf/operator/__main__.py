"""Runs a simulated operator until SIGTERM or SIGINT: `python -m perf.operator --port 2776`.

`--personality NAME` makes it one of the quirky ones of `personalities`; further options go on from there.

Prints what it listens on, a line a second, and at the end its counters as JSON. SIGUSR1 releases held receipts. Fails
with a line on stderr when the port cannot be had.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from perf.numbers import Tally
from perf.operator import PERSONALITIES, Operator, OperatorSettings
from perf.options import add_options, settings_from


def summary(operator: Operator) -> dict[str, Any]:
    """Counters and, with a ledger, what it says."""
    told: dict[str, Any] = {**msgspec.structs.asdict(operator.counters), 'waiting': operator.waiting}
    if operator.tally is not None:
        told['distinct'] = operator.tally.distinct()
        told['repeats'] = operator.tally.repeats
        told['unnumbered'] = operator.tally.unnumbered
    return told


async def show(operator: Operator, arguments: argparse.Namespace) -> None:
    """Prints a line a second."""
    while True:
        await asyncio.sleep(1)
        if arguments.json:
            print(json.dumps(summary(operator)), flush=True)
            continue
        counters = operator.counters
        print(
            f'binds {len(operator.sessions)}  submitted {counters.submitted}  answered {counters.answered}'
            f'  refused {counters.refused}  receipts {counters.receipts_acked}/{counters.receipts_sent}'
            f'  waiting {operator.waiting}',
            flush=True,
        )


async def serve(arguments: argparse.Namespace) -> None:
    """Starts the operator and stays until a signal ends it."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    operator = Operator(settings_from(arguments, OperatorSettings, ledger=arguments.ledger_file is not None))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, operator.release_receipts)
    port = await operator.start(arguments.host, arguments.port)
    print(f'listening on {arguments.host}:{port}', flush=True)
    shown = None if arguments.quiet else loop.create_task(show(operator, arguments))
    await ended.wait()
    if shown is not None:
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)
    told = summary(operator)
    await operator.stop()
    if operator.tally is not None:
        write_ledger(arguments.ledger_file, operator.tally)
    print(json.dumps(told), flush=True)


def write_ledger(path: str, tally: Tally) -> None:
    """Writes how often each number was seen, an octet a number."""
    Path(path).write_bytes(tally.seen)


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments; what they leave open is the personality's."""
    name = parser.parse_args().personality
    if name:
        parser.set_defaults(**msgspec.structs.asdict(PERSONALITIES[name].operator))
    return parser.parse_args()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.operator', description='A simulated operator (SMSC).')
    parser.add_argument('--host', default='127.0.0.1', metavar='X', help='where to listen (127.0.0.1)')
    parser.add_argument('--port', type=int, default=2776, metavar='X', help='there; 0 takes a free one (2776)')
    parser.add_argument('--quiet', action='store_true', help='no line a second')
    parser.add_argument('--json', action='store_true', help='the line a second is JSON')
    parser.add_argument('--ledger-file', metavar='FILE', help='at the end: times seen, an octet by number of the text')
    parser.add_argument('--personality', choices=PERSONALITIES, metavar='NAME', help=', '.join(PERSONALITIES))
    add_options(parser, OperatorSettings, frozenset({'ledger'}))
    try:
        uvloop.run(serve(parse(parser)))
    except OSError as error:
        sys.exit(f'perf.operator: {error}')


if __name__ == '__main__':
    main()
