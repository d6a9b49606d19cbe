"""Listens for ESMEs: every connection gets a session of ours (the SMSC side) and an owner of its own.

There may be two ports, a plain one and one with TLS; limits count the connections of both, those in the middle of a
handshake too. Connections beyond the limits, in total or from one address, are closed before anything is made for them:
they are counted in `refused`, and logged once a second at most. A handshake that fails or takes too long closes its
socket, is counted in `failed_handshakes`, and is logged as seldom.
"""

import asyncio
import resource
import ssl
from collections import Counter
from collections.abc import Callable
from typing import cast

import msgspec
import structlog

from smpp.aio.connection import Connection, Owner
from smpp.aio.tls import reason_of
from smpp.aio.tls_port import TlsPort
from smpp.session import Session, SessionSettings
from smpp.states import Role

LOG_EVERY_S = 1.0
HANDSHAKE_S = 10.0

log = structlog.get_logger()


class ConnectionLimits(msgspec.Struct, frozen=True):
    """How many connections may stand at a time."""

    total: int = 20_000
    per_address: int = 2_000  # 0 = any


class Listener:
    """Listening sockets and the connections that came in through them; settings, limits and `tls` (what the port with
    TLS shows and asks for) hold for those to come.
    """

    def __init__(
        self,
        make_owner: Callable[[], Owner],
        settings: SessionSettings,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
    ) -> None:
        self.make_owner = make_owner
        self.settings = settings
        self.limits = limits
        self.tls: ssl.SSLContext | None = None
        self.connections: set[Connection] = set()
        self.share_port = False
        self.refused = 0
        self.failed_handshakes = 0
        self.handshakes: set[asyncio.Task[None]] = set()
        self._by_address: Counter[str] = Counter()
        self._refusal_logged_at = 0.0
        self._failure_logged_at = 0.0
        self._server: asyncio.Server | None = None
        self._tls_port: TlsPort | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on `host`:`port` (0 = any free port); return the port. Raises OSError when the address is taken.

        With `share_port` several processes may listen on one; the system divides connections among them.
        """
        raise_open_files()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Door(self), host, port, backlog=1024, reuse_address=True, reuse_port=self.share_port or None
        )
        port_taken: int = self._server.sockets[0].getsockname()[1]
        return port_taken

    async def start_tls(self, host: str, port: int) -> int:
        """Listen for TLS too, or on another port than before; as `start`. What fails leaves the old port as it was."""
        raise_open_files()
        tls_port = TlsPort(self, self.share_port)
        await tls_port.open(host, port)
        self.stop_tls()
        self._tls_port = tls_port
        return tls_port.port

    def stop_tls(self) -> None:
        """Take no new connections with TLS; those that are there stay."""
        if self._tls_port is not None:
            self._tls_port.close()
            self._tls_port = None

    def enter(self, address: str) -> bool:
        """Return whether one more socket from `address` may stay, and count it; `leave` follows when it is gone."""
        limits = self.limits
        if len(self.connections) + len(self.handshakes) >= limits.total:
            self._note_refusal(address, 'max_connections')
            return False
        if limits.per_address and self._by_address[address] >= limits.per_address:
            self._note_refusal(address, 'max_connections_per_address')
            return False
        self._by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """A socket that was counted is gone."""
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def connect(self, address: str) -> Connection:
        """Return the connection for a socket that has entered; it leaves when it is closed."""
        loop = asyncio.get_running_loop()
        connection = Connection(Session(Role.SMSC, self.settings, loop.time()), self.make_owner(), loop)
        self.connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._forget(connection, address))
        return connection

    def _forget(self, connection: Connection, address: str) -> None:
        self.connections.discard(connection)
        self.leave(address)

    def _note_refusal(self, address: str, limit: str) -> None:
        self.refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._refusal_logged_at >= LOG_EVERY_S:
            self._refusal_logged_at = now
            log.warning(
                'listener.refused', peer=address, limit=limit, connections=len(self.connections), refused=self.refused
            )

    def note_failed_handshake(self, address: str, error: OSError) -> None:
        """Count a handshake that came to nothing."""
        self.failed_handshakes += 1
        now = asyncio.get_running_loop().time()
        if now - self._failure_logged_at >= LOG_EVERY_S:
            self._failure_logged_at = now
            log.warning(
                'listener.handshake_failed', peer=address, reason=reason_of(error), failed=self.failed_handshakes
            )

    @property
    def handshake_s(self) -> float:
        """How long a handshake may take: no longer than a bind may."""
        return min(HANDSHAKE_S, self.settings.session_init_s or HANDSHAKE_S)

    def tick(self, now: float) -> None:
        """Let every connection do what is due."""
        for connection in list(self.connections):
            connection.tick(now)

    def stop_listening(self) -> None:
        """Take no new connections; those that are there stay, handshakes end. `wait_stopped` sees them end."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.stop_tls()
        for handshake in self.handshakes:
            handshake.cancel()

    async def wait_stopped(self) -> None:
        """Wait for the handshakes that `stop_listening` ended."""
        await asyncio.gather(*self.handshakes, return_exceptions=True)


class _Door(asyncio.Protocol):
    """What a new socket meets first, as its address is not known before it is open; then its connection, or nobody."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        open_socket = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        peername = open_socket.get_extra_info('peername')
        address = peername[0] if peername else ''
        if not self._listener.enter(address):
            open_socket.abort()
            return
        try:
            connection = self._listener.connect(address)
        except Exception:  # the root of a connection that is none yet
            log.exception('listener.error')
            self._listener.leave(address)
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
