"""Scenario `flood`: what good peers notice of half-open connections and of a flood of wrong binds (wire.md A21, B22).

    python -m perf.flood [--half-open 1000] [--binds-per-s 100] [--seconds 10] [--rate 200] [--json]

A few sessions submit at a modest rate, once in peace and once under the flood: connections that say nothing or half a
PDU, and binds with wrong credentials from 127.0.0.1, of an account with a plain password, of one with an argon2 hash
and of none. Meanwhile good binds are timed: those that have bound before from the flooding address, and some from
another address whose passwords were not seen before. Exit status 1: a good bind was refused or took over a second, or a
wrong one was accepted. The flood comes from a process of its own (`--port`), so that it slows nobody who measures.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import argon2
import msgspec
import uvloop

from pdu.codec import HEADER_OCTETS, decode, encode
from pdu.pdus import BindTransceiver
from pdu.status import status_name
from perf.bench import CHECKOUT, Bench, BenchSettings
from perf.load import Latency, LoadError
from perf.processes import BenchError, Child
from perf.report import format_table, show
from smpp.aio.listener import raise_open_files

HERE, THERE = '127.0.0.1', '127.0.0.2'
PASSWORD = 'secret'
BIND_TIMEOUT_S = 20.0
ALLOWED_S = 1.0
GOOD_EVERY_S = 0.25
VICTIMS = ('load', 'vault', 'nobody')
UNSEEN = tuple(f'unseen{number}' for number in range(5))
STANDING = 'standing'
_SESSIONS = 4
_OPEN_AT_ONCE = 100


async def try_bind(port: int, system_id: str, password: str, source: str = HERE) -> tuple[int, float]:
    """Connects from an address and binds; returns the command_status and the seconds until it came. Closes."""
    began = time.monotonic()
    bind = BindTransceiver(1, system_id=system_id.encode(), password=password.encode(), interface_version=0x34)
    async with asyncio.timeout(BIND_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(HERE, port, local_addr=(source, 0))
        try:
            writer.write(encode(bind))
            octets = await reader.readexactly(HEADER_OCTETS)
            octets += await reader.readexactly(int.from_bytes(octets[:4], 'big') - HEADER_OCTETS)
            return decode(octets).command_status, time.monotonic() - began
        finally:
            writer.transport.abort()


class Flood:
    """Half-open connections, kept up, and wrong binds at a rate; `answers` counts what those were told."""

    def __init__(self, port: int, half_open: int, binds_per_s: float) -> None:
        self.port = port
        self.half_open = half_open
        self.binds_per_s = binds_per_s
        self.standing = 0
        self.sent = 0
        self.answers: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Semaphore(_OPEN_AT_ONCE)

    async def __aenter__(self) -> 'Flood':
        """Returns when all half-open connections stand."""
        raise_open_files()
        for number in range(self.half_open):
            self._start(self._stand(number))
        async with asyncio.timeout(BIND_TIMEOUT_S):
            while self.standing < self.half_open:  # noqa: ASYNC110 - has no event
                await asyncio.sleep(0.01)
        self._start(self._attack())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stand(self, number: int) -> None:
        """One connection that is opened again whenever the server closes it; every second sends half a bind."""
        half = encode(BindTransceiver(1, system_id=b'load', password=b'wrong'))[:20] if number % 2 else b''
        while True:
            async with self._opening:
                reader, writer = await asyncio.open_connection(HERE, self.port)
            self.standing += 1
            try:
                writer.write(half)
                with suppress(OSError):
                    await reader.read()
            finally:
                self.standing -= 1
                writer.transport.abort()

    async def _attack(self) -> None:
        began = time.monotonic()
        while True:
            due = int((time.monotonic() - began) * self.binds_per_s)
            while self.sent < due:
                self._start(self._bind_wrongly(self.sent))
                self.sent += 1
            await asyncio.sleep(0.005)

    async def _bind_wrongly(self, number: int) -> None:
        try:
            status, _ = await try_bind(self.port, VICTIMS[number % len(VICTIMS)], f'wrong{number}')
        except (OSError, EOFError):
            self.answers['no answer'] += 1
        else:
            self.answers[status_name(status)] += 1


class Attack(msgspec.Struct, frozen=True):
    """What the process of the flood prints when it is told to end."""

    sent: int
    answers: dict[str, int]


async def attack(arguments: argparse.Namespace) -> Attack:
    """Floods a port until SIGTERM; prints a line when all half-open connections stand."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Flood(arguments.port, arguments.half_open, arguments.binds_per_s) as flood:
        print(STANDING, flush=True)
        await stop.wait()
    return Attack(flood.sent, dict(flood.answers))


async def start_attack(bench: Bench, arguments: argparse.Namespace) -> Child:
    """Starts a process that floods the bench's server; returns when its half-open connections stand."""
    command = [sys.executable, '-m', 'perf.flood', '--port', str(bench.smpp_port)]
    command += ['--half-open', str(arguments.half_open), '--binds-per-s', str(arguments.binds_per_s)]
    child = await Child.start('flood', command, CHECKOUT, bench.folder / 'flood.log')

    async def stands() -> bool:
        return STANDING in child.log.read_text()

    try:
        await child.wait_until(stands, STANDING, BIND_TIMEOUT_S)
    except BaseException:
        await child.kill()
        raise
    return child


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints; binds in seconds."""

    half_open: int
    wrong_binds: int
    answers: dict[str, int]
    good_binds: int
    good_refused: int
    good_bind_max_s: float
    unseen_bind_max_s: float
    quiet: Latency
    flooded: Latency

    @property
    def is_good(self) -> bool:
        """Whether good peers were served in time, and no others."""
        slowest_s = max(self.good_bind_max_s, self.unseen_bind_max_s)
        return not self.good_refused and slowest_s <= ALLOWED_S and 'ESME_ROK' not in self.answers


async def time_good_binds(port: int, seconds: float) -> list[tuple[int, float]]:
    """Binds with good credentials that were seen before, from the flooding address, until the seconds are over."""
    until = time.monotonic() + seconds
    outcomes: list[tuple[int, float]] = []
    while time.monotonic() < until:
        outcomes += [await try_bind(port, system_id, PASSWORD) for system_id in ('load', 'vault')]
        await asyncio.sleep(GOOD_EVERY_S)
    return outcomes


async def run(arguments: argparse.Namespace) -> Report:
    """Quiet, then flooded, on one bench."""
    hashed = argon2.PasswordHasher().hash(PASSWORD)
    accounts = {
        'load': {'password': PASSWORD, 'binds': 100, 'window': 100},
        'vault': {'password_hash': hashed, 'binds': 100},
        **{name: {'password_hash': argon2.PasswordHasher().hash(PASSWORD)} for name in UNSEEN},
    }
    async with Bench(BenchSettings(binds=_SESSIONS, server={'accounts': accounts})) as bench:
        port, messages = bench.smpp_port, int(arguments.rate * arguments.seconds)
        await try_bind(port, 'vault', PASSWORD)
        quiet = await bench.run(bench.load(messages=messages, rate_per_s=arguments.rate))
        load = bench.load(messages=messages, rate_per_s=arguments.rate)
        flood = await start_attack(bench, arguments)
        try:
            await load.bind()
            good, unseen, _ = await asyncio.gather(
                time_good_binds(port, arguments.seconds), time_unseen_binds(port, arguments.seconds), load.submit()
            )
        finally:
            await load.stop()
            await flood.stop(BIND_TIMEOUT_S)
        attacked = msgspec.json.decode(flood.log.read_bytes().splitlines()[-1], type=Attack)
        return Report(
            arguments.half_open,
            attacked.sent,
            attacked.answers,
            len(good),
            sum(bool(status) for status, _ in [*good, *unseen]),
            max(seconds for _, seconds in good),
            max(seconds for _, seconds in unseen),
            quiet.response,
            load.ledger.result().response,
        )


async def time_unseen_binds(port: int, seconds: float) -> list[tuple[int, float]]:
    """The same from another address, each with a hash that was not looked at before."""
    outcomes = []
    for system_id in UNSEEN:
        await asyncio.sleep(seconds / (len(UNSEEN) + 1))
        outcomes.append(await try_bind(port, system_id, PASSWORD, THERE))
    return outcomes


def tabulate(report: Report) -> str:
    """The binds, then the sessions without and with the flood."""
    binds = [
        ['seen before, flooding address', report.good_binds, report.good_bind_max_s],
        ['not seen before, another address', len(UNSEEN), report.unseen_bind_max_s],
        ['of both, refused', report.good_refused, ''],
    ]
    sessions = [
        [name, latency.count, latency.p50_ms, latency.p99_ms, latency.max_ms]
        for name, latency in (('without the flood', report.quiet), ('with it', report.flooded))
    ]
    answers = ', '.join(f'{name} {count}' for name, count in sorted(report.answers.items()))
    return '\n\n'.join(
        (
            f'{report.half_open:,} half-open connections, {report.wrong_binds:,} wrong binds: {answers}',
            format_table(('good binds', 'count', 'max s'), binds),
            format_table(('submit to response', 'messages', 'p50 ms', 'p99 ms', 'max ms'), sessions),
        )
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.flood', description='What good peers notice of a flood.')
    parser.add_argument('--half-open', type=int, default=1000, help='connections that do not bind')
    parser.add_argument('--binds-per-s', type=float, default=100, help='with wrong credentials')
    parser.add_argument('--seconds', type=float, default=10, help='with and without the flood')
    parser.add_argument('--rate', type=float, default=200, help='messages a second of the established sessions')
    parser.add_argument('--port', type=int, default=0, help='of 127.0.0.1: only flood it, until SIGTERM')
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    if arguments.port:
        print(msgspec.json.encode(uvloop.run(attack(arguments))).decode(), flush=True)
        return
    try:
        report = uvloop.run(run(arguments))
    except (BenchError, LoadError, TimeoutError) as error:
        sys.exit(f'perf.flood: {error or "no answer in time"}')
    show(report, tabulate(report), arguments.json)
    sys.exit(0 if report.is_good else 1)


if __name__ == '__main__':
    main()
