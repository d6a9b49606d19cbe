"""The prototype behind architecture.md's figures, run in turn with the product on the same PostgreSQL.

The prototype is a script outside the checkout; it runs its own operator, proxy and sender, and prints one JSON line.
Its tables, `limit_message` and `limit_segment`, are removed from the database again.
"""

import asyncio
import socket
import sys
from pathlib import Path
from urllib.parse import quote

import asyncpg
import msgspec

from perf.processes import BenchError, free_ports

DEFAULT_PATH = Path(__file__).parents[2] / 'shared' / 'limit' / 'prototype.py'
_TIMEOUT_S = 600
_PORT_ATTEMPTS = 100
_DROP = 'drop table if exists limit_message, limit_segment'
# What the product's own PostgreSQL knows its database and user as.
_DATABASE, _USER = 'postgres', 'smsc'
_PID_FILE_PORT, _PID_FILE_SOCKET_FOLDER = 3, 4


class PrototypeFigures(msgspec.Struct, frozen=True):
    """One run of the prototype."""

    rate_per_s: float
    cpu_us_per_message: dict[str, float]


def dsn_of(data: Path) -> str:
    """The DSN of the PostgreSQL that the server runs in its data folder, from the file in which that notes its socket.

    Raises BenchError when none runs.
    """
    note = data / 'postgres' / 'postmaster.pid'
    try:
        lines = note.read_text(encoding='utf-8').splitlines()
        host, port = lines[_PID_FILE_SOCKET_FOLDER], lines[_PID_FILE_PORT]
    except (OSError, IndexError) as error:
        raise BenchError(f'no PostgreSQL of the server to run the prototype on: {note}: {error}') from error
    return f'postgresql://{_USER}@/{_DATABASE}?host={quote(host, safe="/")}&port={port}'


async def run_prototype(path: Path, dsn: str, messages: int, window: int) -> PrototypeFigures:
    """Runs it once. Raises BenchError, with what it printed, when it fails."""
    command = [str(path), '--dsn', dsn, '--messages', str(messages), '--window', str(window)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, '--port', str(_port_pair()), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, errors = await process.communicate()
    except TimeoutError:
        process.terminate()
        raise BenchError(f'the prototype had no result after {_TIMEOUT_S} s') from None
    finally:
        if process.returncode is None:
            await process.wait()
        await _drop_tables(dsn)
    try:
        return msgspec.json.decode(output, type=PrototypeFigures)
    except msgspec.DecodeError:
        raise BenchError(f'the prototype printed no result:\n{errors.decode(errors="replace")}') from None


def _port_pair() -> int:
    """A port that is free along with the one after it, which the prototype's operator takes."""
    for _ in range(_PORT_ATTEMPTS):
        (port,) = free_ports(1)
        with socket.socket() as following:
            try:
                following.bind(('127.0.0.1', port + 1))
            except (OSError, OverflowError):
                continue
        return port
    raise BenchError('no two free ports in a row for the prototype: end some of the servers on this machine')


async def _drop_tables(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(_DROP)
    finally:
        await connection.close(timeout=10)
