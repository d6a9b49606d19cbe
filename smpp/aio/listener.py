"""Listens for ESMEs: every connection gets a session of ours (the SMSC side) and an owner of its own.

Connections beyond the limits, in total or from one address, are closed before either is made: they are counted in
`refused`, and logged once a second at most.
"""

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from typing import cast

import msgspec
import structlog

from smpp.aio.connection import Connection, Owner
from smpp.session import Session, SessionSettings
from smpp.states import Role

LOG_EVERY_S = 1.0

log = structlog.get_logger()


class ConnectionLimits(msgspec.Struct, frozen=True):
    """How many connections may stand at a time."""

    total: int = 20_000
    per_address: int = 2_000  # 0 = any


class Listener:
    """A listening socket and the connections that came in through it; settings and limits hold for those to come."""

    def __init__(
        self,
        make_owner: Callable[[], Owner],
        settings: SessionSettings,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
    ) -> None:
        self.make_owner = make_owner
        self.settings = settings
        self.limits = limits
        self.connections: set[Connection] = set()
        self.refused = 0
        self._by_address: Counter[str] = Counter()
        self._refusal_logged_at = 0.0
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on `host`:`port` (0 = any free port); return the port. Raises OSError when the address is taken."""
        raise_open_files()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Door(self), host, port, backlog=1024, reuse_address=True)
        port_taken: int = self._server.sockets[0].getsockname()[1]
        return port_taken

    def admit(self, address: str) -> Connection | None:
        """Return the connection for a socket that came from `address`, or None when there are too many."""
        limits = self.limits
        if len(self.connections) >= limits.total:
            self._note_refusal(address, 'max_connections')
            return None
        if limits.per_address and self._by_address[address] >= limits.per_address:
            self._note_refusal(address, 'max_connections_per_address')
            return None
        loop = asyncio.get_running_loop()
        connection = Connection(Session(Role.SMSC, self.settings, loop.time()), self.make_owner(), loop)
        self.connections.add(connection)
        self._by_address[address] += 1
        connection.closed.add_done_callback(lambda _: self._forget(connection, address))
        return connection

    def _forget(self, connection: Connection, address: str) -> None:
        self.connections.discard(connection)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def _note_refusal(self, address: str, limit: str) -> None:
        self.refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._refusal_logged_at >= LOG_EVERY_S:
            self._refusal_logged_at = now
            log.warning(
                'listener.refused', peer=address, limit=limit, connections=len(self.connections), refused=self.refused
            )

    def tick(self, now: float) -> None:
        """Let every connection do what is due."""
        for connection in list(self.connections):
            connection.tick(now)

    def stop_listening(self) -> None:
        """Take no new connections; those that are there stay."""
        if self._server is not None:
            self._server.close()
            self._server = None


class _Door(asyncio.Protocol):
    """What a new socket meets first, as its address is not known before it is open; then its connection, or nobody."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        open_socket = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        peername = open_socket.get_extra_info('peername')
        try:
            connection = self._listener.admit(peername[0] if peername else '')
        except Exception:  # the root of a connection that is none yet
            log.exception('listener.error')
            connection = None
        if connection is None:
            open_socket.abort()
            return
        open_socket.set_protocol(connection)
        connection.connection_made(open_socket)


def raise_open_files() -> None:
    """Let this process open as many files, so sockets, as the system allows it; a system that refuses is logged."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        log.warning('listener.open_files', limit=soft, wanted=hard, error=str(error))
