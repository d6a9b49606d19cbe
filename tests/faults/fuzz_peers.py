"""A process of hostile peers: `python -m tests.faults.fuzz_peers esmes --port 2775` or `... operator --port 2776`.

Goes on until SIGTERM and prints a line of JSON now and then and at the end: what `tests.fuzz.hostile.Sent` counts. It
runs at low priority, so that it takes no processor from those who measure; real ones would be other machines. SIGUSR1
makes a good operator of the hostile one.
"""

import argparse
import asyncio
import os
import signal
import sys
from contextlib import suppress

import msgspec
import uvloop

from tests.fuzz.hostile import Crowd, HostileSmsc, Login, Sent

ACCOUNTS = 4
PASSWORD = 'fuzz'
NICENESS = 10
PERIOD_S = 0.5


def system_id(number: int) -> str:
    """Of one of the accounts that hostile ESMEs bind with."""
    return f'fuzz{number}'


def logins() -> list[Login]:
    """The accounts, each from an address of its own."""
    return [Login(system_id(n).encode(), PASSWORD.encode(), f'127.0.0.{2 + n}') for n in range(ACCOUNTS)]


def tell(sent: Sent) -> None:
    """Prints what was done until now."""
    sys.stdout.write(msgspec.json.encode(sent).decode() + '\n')
    sys.stdout.flush()


async def serve(arguments: argparse.Namespace) -> None:
    """Is hostile until it is told to end."""
    loop, sent, ended = asyncio.get_running_loop(), Sent(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    smsc: HostileSmsc | None = None
    attack: asyncio.Task[None] | None = None
    if arguments.who == 'esmes':
        crowd = Crowd(arguments.port, logins(), arguments.seed, sent)
        attack = loop.create_task(crowd.run(arguments.connections, sys.maxsize))
    else:
        smsc = HostileSmsc(arguments.seed, sent)
        loop.add_signal_handler(signal.SIGUSR1, smsc.behave)
        await smsc.start(arguments.port, sys.maxsize)
    while not ended.is_set():
        tell(sent)
        if attack is not None and attack.done():
            attack.result()
        with suppress(TimeoutError):
            async with asyncio.timeout(PERIOD_S):
                await ended.wait()
    if attack is not None:
        attack.cancel()
        await asyncio.gather(attack, return_exceptions=True)
    if smsc is not None:
        await smsc.stop()
    tell(sent)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='tests.faults.fuzz_peers', description='Hostile peers, until SIGTERM.')
    parser.add_argument('who', choices=('esmes', 'operator'))
    parser.add_argument('--port', type=int, required=True, help='of 127.0.0.1')
    parser.add_argument('--connections', type=int, default=8, help='of ESMEs at a time (8)')
    parser.add_argument('--seed', type=int, default=1, help='of the mutants (1)')
    os.nice(NICENESS)
    uvloop.run(serve(parser.parse_args()))


if __name__ == '__main__':
    main()
