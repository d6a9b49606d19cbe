"""The breaking proxy of the fault tests: every connection of the plant goes through it, and is broken there on demand.

    python -m tests.faults.breaking CONTROL LEG=PORT:TARGET ...

A leg is a port of 127.0.0.1 that leads to TARGET, a port there or the path of a Unix socket. CONTROL is the path of the
socket over which it is steered: a line of JSON a command, answered by a line when it is done (`Breaker` is the other
end). It is a process of its own, so that what it does to the traffic does not depend on who watches. FORTH is the
direction of whoever connected, BACK that of the answers. An end that closes in order is closed in order on the other
side too; one that breaks is reset there.
"""

import argparse
import asyncio
import signal
import socket
import struct
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
import uvloop

from tests.breaking import BACK, CHUNK_OCTETS, FORTH, BreakingProxy

RESET = struct.pack('ii', 1, 0)  # SO_LINGER: what is closed is reset, RST instead of FIN
Direction = Literal['forth', 'back']


class Command(msgspec.Struct, frozen=True, omit_defaults=True, tag_field='do'):
    """What can be done to a leg; a subclass each."""

    leg: str


class Cut(Command, frozen=True, tag='cut'):
    """Reset all connections; new ones are taken."""


class Refuse(Command, frozen=True, tag='refuse'):
    """Reset all connections, and each new one at once."""


class Hold(Command, frozen=True, tag='hold'):
    """Let nothing pass in some directions; what came meanwhile passes with `mend`."""

    directions: tuple[Direction, ...] = ('forth', 'back')


class Slow(Command, frozen=True, tag='slow'):
    """At most so many octets a second, and so long a way, each direction of each connection for itself."""

    octets_per_s: Annotated[float, msgspec.Meta(ge=0)] = 0
    delay_s: Annotated[float, msgspec.Meta(ge=0)] = 0


class Vanish(Command, frozen=True, tag='vanish'):
    """Half-open: the target's side is reset, whoever connected is not told; new connections find silence."""


class Mend(Command, frozen=True, tag='mend'):
    """Let everything pass again; connections of which only one end is left are reset."""


AnyCommand = Cut | Refuse | Hold | Slow | Vanish | Mend


class Leg(BreakingProxy):
    """One leg; what is held, slow or vanished stays so until `mend`."""

    def __init__(self, port: int, target: int | Path) -> None:
        super().__init__(target)
        self.port = port
        self.delay_s = 0.0
        self.vanished = False
        self._far: set[asyncio.StreamWriter] = set()
        self._mended = asyncio.Event()

    async def start(self) -> Self:
        """Listen. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._take, '127.0.0.1', self.port, backlog=1000)
        return self

    def cut(self) -> None:
        """Reset all connections at once."""
        for writer in list(self._writers):
            _reset(writer)

    def do(self, command: AnyCommand) -> None:
        """Carry out a command."""
        match command:
            case Cut():
                self.cut()
            case Refuse():
                self.refusing = True
                self.cut()
            case Hold():
                self.hold(*command.directions)
            case Slow():
                self.rate_per_s, self.delay_s = command.octets_per_s, command.delay_s
            case Vanish():
                self.vanished = True
                for writer in list(self._far):
                    _reset(writer)
            case Mend():
                self.mend()

    def mend(self) -> None:
        """Let everything pass."""
        self.refusing = self.vanished = False
        self.rate_per_s = self.delay_s = 0.0
        self.pass_on()
        self._mended.set()
        self._mended = asyncio.Event()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.vanished:
            await self._silence(reader)
        if isinstance(self.target, Path):
            far_reader, far_writer = await asyncio.open_unix_connection(self.target)
        else:
            far_reader, far_writer = await asyncio.open_connection('127.0.0.1', self.target)
        self._writers.add(far_writer)
        self._far.add(far_writer)
        ways = [
            asyncio.create_task(self._pass(reader, far_writer, FORTH)),
            asyncio.create_task(self._pass(far_reader, writer, BACK)),
        ]
        try:
            await asyncio.gather(*ways)
        except OSError:
            await _cancel(*ways)
            _reset(far_writer)
            if self.vanished:
                await self._silence(reader)
            _reset(writer)
        finally:
            await _cancel(*ways)
            _reset(far_writer)
            self._writers.discard(far_writer)
            self._far.discard(far_writer)

    async def _silence(self, reader: asyncio.StreamReader) -> None:
        """Keep the end that connected in the belief that all is well. Raises ConnectionResetError when that is over."""
        mended, swallowing = asyncio.create_task(self._mended.wait()), asyncio.create_task(_swallow(reader))
        await asyncio.wait([mended, swallowing], return_when=asyncio.FIRST_COMPLETED)
        await _cancel(mended, swallowing)
        raise ConnectionResetError('half of it was gone')

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        gate, loop, due = self._gates[direction], asyncio.get_running_loop(), 0.0
        while octets := await reader.read(CHUNK_OCTETS):
            await gate.wait()
            if self.rate_per_s:
                await asyncio.sleep(len(octets) / self.rate_per_s)
            now = loop.time()
            due = max(due, now + self.delay_s) if self.delay_s or due > now else 0.0
            if due:  # also what comes after a delay has ended must not overtake what is under way
                loop.call_at(due, _write, writer, octets)
            else:
                writer.write(octets)
                await writer.drain()
        if self.vanished:
            raise ConnectionResetError('one end is gone')
        await gate.wait()
        await asyncio.sleep(max(0.0, due - loop.time()))
        if writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()


async def _cancel(*tasks: 'asyncio.Task[Any]') -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _write(writer: asyncio.StreamWriter, octets: bytes) -> None:
    if not writer.transport.is_closing():
        writer.write(octets)


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(CHUNK_OCTETS):
        pass


def _reset(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        end = writer.get_extra_info('socket')
        if end.family == socket.AF_INET:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


class Breaker:
    """The other end of the control socket."""

    def __init__(self, control: Path) -> None:
        self._control = control

    async def do(self, command: AnyCommand) -> None:
        """Have a command carried out; returns when it is. Raises OSError when the proxy is away, ValueError of its."""
        reader, writer = await asyncio.open_unix_connection(self._control)
        try:
            writer.write(msgspec.json.encode(command) + b'\n')
            answer = await reader.readline()
        finally:
            writer.close()
            await writer.wait_closed()
        if answer != b'done\n':
            raise ValueError(answer.decode().strip() or 'the breaking proxy went away')


async def _serve(arguments: argparse.Namespace) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    legs = {name: await leg.start() for name, leg in arguments.legs}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            command = msgspec.json.decode(await reader.readline(), type=AnyCommand)
            legs[command.leg].do(command)
            writer.write(b'done\n')
        except (KeyError, msgspec.MsgspecError) as error:
            writer.write(f'{type(error).__name__}: {error}\n'.encode())
        finally:
            writer.close()

    server = await asyncio.start_unix_server(handle, arguments.control)
    await ended.wait()
    server.close()
    for leg in legs.values():
        await leg.stop()


def _leg(text: str) -> tuple[str, Leg]:
    name, _, way = text.partition('=')
    port, _, target = way.partition(':')
    return name, Leg(int(port), int(target) if target.isdigit() else Path(target))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='tests.faults.breaking', description='A proxy that breaks connections.')
    parser.add_argument('control', type=Path)
    parser.add_argument('legs', type=str, nargs='+', metavar='LEG=PORT:TARGET')
    arguments = parser.parse_args()

    async def run() -> None:
        arguments.legs = [_leg(text) for text in arguments.legs]
        await _serve(arguments)

    uvloop.run(run())


if __name__ == '__main__':
    main()
