"""A port with TLS: takes sockets, lets the listener say which may stay, and shakes hands with those.

The loop's own servers begin to read before anybody can look at the address of a socket, so that limits could not hold
for those in the middle of a handshake, and they keep one certificate for good. So sockets are taken here, each gets a
task for its handshake, and the context is that of the moment. A handshake that fails or takes too long closes its
socket. When the system has no more files, sockets wait for a second where they are.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Protocol, cast

import structlog

from smpp.aio.connection import Connection
from smpp.aio.tls import SHUTDOWN_S

BACKLOG = 1024
ACCEPTED_AT_ONCE = 64
NO_FILES_PAUSE_S = 1.0

log = structlog.get_logger()


class Admission(Protocol):
    """Who decides on sockets: the listener."""

    tls: ssl.SSLContext | None
    handshakes: set[asyncio.Task[None]]

    @property
    def handshake_s(self) -> float:
        """How long a handshake may take."""

    def enter(self, address: str) -> bool:
        """Return whether a socket may stay, and count it."""

    def leave(self, address: str) -> None:
        """A socket that was counted is gone."""

    def connect(self, address: str) -> Connection:
        """Return the connection for a socket that was counted; it leaves by itself."""

    def note_failed_handshake(self, address: str, error: OSError) -> None:
        """A handshake came to nothing."""


class TlsPort:
    """Listening sockets of one port, open until `close`."""

    def __init__(self, admission: Admission, share_port: bool = False) -> None:
        self.port = 0
        self._share = share_port
        self._admission = admission
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []

    async def open(self, host: str, port: int) -> None:
        """Listen on every address of `host`. Raises OSError, with nothing left open."""
        infos = await self._loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, _, _, _, address in dict.fromkeys(infos):
                place = (address[0], port or self.port)
                listening = socket.create_server(place, family=family, backlog=BACKLOG, reuse_port=self._share)
                self._sockets.append(listening)
                self.port = int(listening.getsockname()[1])
        except OSError:
            self.close()
            raise
        for listening in self._sockets:
            listening.setblocking(False)
            self._loop.add_reader(listening, self._accept, listening)

    def close(self) -> None:
        """Take no more sockets; handshakes go on."""
        for listening in self._sockets:
            self._loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, peername = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # of files, or of memory, there are no more
                log.error('listener.accept', reason=str(error), pause_s=NO_FILES_PAUSE_S)
                self._loop.remove_reader(listening)
                self._loop.call_later(NO_FILES_PAUSE_S, self._accept_again, listening)
                return
            accepted.setblocking(False)
            self._take(accepted, str(peername[0]))

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _take(self, accepted: socket.socket, address: str) -> None:
        admission = self._admission
        context = admission.tls
        if context is None or not admission.enter(address):
            accepted.close()
            return
        door = _Door(admission.connect, address)
        handshake = asyncio.create_task(self._shake_hands(accepted, context, door), name='TLS handshake')
        admission.handshakes.add(handshake)
        handshake.add_done_callback(lambda done: self._end(done, accepted, door))

    async def _shake_hands(self, accepted: socket.socket, context: ssl.SSLContext, door: '_Door') -> None:
        door.begun = True
        try:
            await self._loop.connect_accepted_socket(
                lambda: door,
                accepted,
                ssl=context,
                ssl_handshake_timeout=self._admission.handshake_s,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except OSError as error:
            self._admission.note_failed_handshake(door.address, error)
        except Exception:  # the root of a connection that is none yet
            log.exception('listener.error')

    def _end(self, handshake: asyncio.Task[None], accepted: socket.socket, door: '_Door') -> None:
        """A handshake is over, or was ended before it began."""
        self._admission.handshakes.discard(handshake)
        if not door.begun:
            accepted.close()
        if not door.passed:
            self._admission.leave(door.address)


class _Door(asyncio.Protocol):
    """Where a socket comes in when its handshake is done; then its connection takes over."""

    def __init__(self, connect: Callable[[str], Connection], address: str) -> None:
        self.address = address
        self.begun = self.passed = False
        self._connect = connect

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        secured = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        try:
            connection = self._connect(self.address)
        except Exception:  # the root of a connection that is none yet
            log.exception('listener.error')
            secured.abort()
            return
        self.passed = True
        secured.set_protocol(connection)
        connection.connection_made(secured)
