"""A proxy between two ends of a connection that breaks it on demand: cut, hold, slow, refuse.

It stands on a port of 127.0.0.1 and passes octets on to a port there or to a Unix socket. `FORTH` is the direction of
whoever connected, `BACK` that of the answers: holding only `BACK` lets a request act while its answer is lost.
"""

import asyncio
from pathlib import Path
from typing import Self

FORTH, BACK = 'forth', 'back'
CHUNK_OCTETS = 1 << 16


class BreakingProxy:
    """Connections to `target`, a port of 127.0.0.1 or the path of a Unix socket, by way of `port`."""

    def __init__(self, target: int | Path) -> None:
        self.target = target
        self.port = 0
        self.connected = 0
        """Connections taken so far."""
        self.refusing = False
        """Close new connections as soon as they are taken."""
        self.rate_per_s = 0.0
        """Octets a second and direction of each connection; 0 = as they come."""
        self.hold_answer_to = b''
        """Hold `BACK` as soon as these octets pass `FORTH`."""
        self._gates = {FORTH: asyncio.Event(), BACK: asyncio.Event()}
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.pass_on()

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._take, '127.0.0.1', 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Cut what is left and end."""
        if self._server is not None:
            self._server.close()
        self.refusing = True
        self.pass_on()
        while self._tasks:
            self.cut()
            await asyncio.wait(self._tasks, timeout=0.1)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def cut(self) -> None:
        """Reset all connections at once; what was held is lost."""
        for writer in self._writers:
            writer.transport.abort()

    def hold(self, *directions: str) -> None:
        """Let nothing pass, both ways or only in the directions named: the connections look alive but are silent."""
        for direction in directions or (FORTH, BACK):
            self._gates[direction].clear()

    def pass_on(self) -> None:
        """Let everything pass again, what was held first."""
        for gate in self._gates.values():
            gate.set()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connected += 1
        try:
            if not self.refusing:
                await self._join(reader, writer)
        except OSError:
            pass  # an end is gone: the other one goes too
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self.target, Path):
            far_reader, far_writer = await asyncio.open_unix_connection(self.target)
        else:
            far_reader, far_writer = await asyncio.open_connection('127.0.0.1', self.target)
        self._writers.add(far_writer)
        ways = [
            asyncio.create_task(self._pass(reader, far_writer, FORTH)),
            asyncio.create_task(self._pass(far_reader, writer, BACK)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far_writer.transport.abort()
            self._writers.discard(far_writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        gate = self._gates[direction]
        while octets := await reader.read(CHUNK_OCTETS):
            await gate.wait()
            if self.rate_per_s:
                await asyncio.sleep(len(octets) / self.rate_per_s)
            if self.hold_answer_to and direction == FORTH and self.hold_answer_to in octets:
                self.hold(BACK)
            writer.write(octets)
            await writer.drain()
