"""Runs a load: `python -m perf.load --port 2775 --system-id bank --password secret --messages 100000`.

Prints a line a second on stderr and the result as JSON on stdout. Ends with 1 when it could not bind, or when a message
with ESME_ROK has no receipt that it wanted.
"""

import argparse
import asyncio
import sys

import msgspec
import uvloop

from perf.load import Load, LoadError, LoadResult, LoadSettings
from perf.options import add_options, settings_from


async def show(load: Load) -> None:
    """Prints progress, a line a second."""
    while True:
        await asyncio.sleep(1)
        ledger = load.ledger
        print(
            f'binds {len(load.sessions)}  submitted {ledger.submitted}  ok {ledger.ok}'
            f'  outstanding {ledger.outstanding}  receipts {ledger.received}',
            file=sys.stderr,
            flush=True,
        )


async def run(settings: LoadSettings, quiet: bool) -> LoadResult:
    """One load, shown as it goes."""
    load = Load(settings)
    shown = None if quiet else asyncio.get_running_loop().create_task(show(load))
    try:
        return await load.run()
    finally:
        if shown is not None:
            shown.cancel()
            await asyncio.gather(shown, return_exceptions=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.load', description='A crowd of ESMEs.')
    parser.add_argument('--quiet', action='store_true', help='no line a second')
    add_options(parser, LoadSettings, frozenset())
    arguments = parser.parse_args()
    try:
        result = uvloop.run(run(settings_from(arguments, LoadSettings), arguments.quiet))
    except LoadError as error:
        sys.exit(f'perf.load: {error}')
    print(msgspec.json.format(msgspec.json.encode(result)).decode())
    sys.exit(1 if result.receipts_missing else 0)


if __name__ == '__main__':
    main()
