"""Processes of a bench: started with a log file each, waited for, ended, and explained when they fail.

What a process wrote stays in its log; whoever started a process ends it.
"""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

_POLL_S = 0.01
_TAIL_LINES = 15


class BenchError(Exception):
    """Something of the bench did not start, end or answer; the text says what, why, and shows the end of its log."""


class Child:
    """A process with its log. Restarts of the same thing go on in the same log."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(cls, name: str, command: list[str], folder: Path, log: Path) -> Self:
        """Starts `command` in `folder`; all that it prints goes to `log`."""
        with log.open('ab') as output:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.returncode is None

    @property
    def status(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.returncode

    def tail(self) -> str:
        """The last lines of its log, indented."""
        lines = self.log.read_text(encoding='utf-8', errors='replace').splitlines()[-_TAIL_LINES:]
        return '\n'.join(f'  | {line}' for line in lines) or '  | (it wrote nothing)'

    async def wait_until(self, is_so: Callable[[], Awaitable[bool]], what: str, timeout_s: float) -> None:
        """Polls `is_so`; raises BenchError when the process ends or the time is over before it holds."""
        give_up_at = asyncio.get_running_loop().time() + timeout_s
        while not await is_so():
            if not self.is_alive:
                raise BenchError(
                    f'the {self.name} ended with status {self._process.returncode} before it was {what};'
                    f' the end of {self.log}:\n{self.tail()}'
                )
            if asyncio.get_running_loop().time() > give_up_at:
                raise BenchError(
                    f'the {self.name} is not {what} after {timeout_s:g} s; the end of {self.log}:\n{self.tail()}'
                )
            await asyncio.sleep(_POLL_S)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        if self.is_alive:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """Ends it as `kill -9` does."""
        self.signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self, timeout_s: float) -> None:
        """Ends it by SIGTERM. Raises BenchError, having killed it, when it has not ended in time or ends badly."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                status = await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise BenchError(
                f'the {self.name} had not ended {timeout_s:g} s after SIGTERM and was killed;'
                f' the end of {self.log}:\n{self.tail()}'
            ) from None
        if status not in {0, -signal.SIGTERM, -signal.SIGKILL}:
            raise BenchError(f'the {self.name} ended with status {status}; the end of {self.log}:\n{self.tail()}')


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(('127.0.0.1', 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


async def is_listening(port: int) -> bool:
    """Whether somebody takes connections on a port of 127.0.0.1."""
    try:
        _, writer = await asyncio.open_connection('127.0.0.1', port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def http_status(port: int, path: str) -> int:
    """The status that GET of a path on 127.0.0.1 gives; 0 while nobody answers."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection('127.0.0.1', port)
            try:
                writer.write(f'GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'.encode())
                line = await reader.readline()
            finally:
                writer.close()
                await writer.wait_closed()
    except OSError:
        return 0
    words = line.split()
    return int(words[1]) if len(words) > 1 else 0
