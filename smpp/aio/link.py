"""One bind to an upstream SMSC, kept up: connects, binds, waits for the end, tries again.

A lost or failed connection is tried again after an exponential back-off with jitter; a bind that was refused for its
credentials waits `refused_s`, so that no operator is hammered with a wrong password (wire.md F2). The owner hears of
every state through its callbacks; `refusals` counts binds refused in a row, which the metrics turn into an alarm. The
first of them is logged as an error, `link.refused`; so is what keeps TLS from being set up.
"""

import asyncio
import random
import ssl
from collections.abc import Callable

import msgspec
import structlog

from pdu.pdus import Bind
from pdu.status import CommandStatus, status_name
from smpp.aio.connection import Connection, Owner
from smpp.aio.tls import SHUTDOWN_S, reason_of
from smpp.session import Session, SessionSettings
from smpp.states import BOUND, Role, State

CONNECT_TIMEOUT_S = 10.0
DRAIN_S = 5.0
UNBIND_MARGIN_S = 1.0  # what the peer's answer to unbind may take longer than the session's own timer
WAKE_EVERY_S = 5.0  # whoever wakes a link more often is not heard
CREDENTIALS_REFUSED = frozenset(
    {CommandStatus.ESME_RINVPASWD, CommandStatus.ESME_RINVSYSID, CommandStatus.ESME_RBINDFAIL}
)

log = structlog.get_logger()


class LinkSettings(msgspec.Struct, frozen=True):
    """Where to connect and how long to wait before the next try, in seconds."""

    name: str
    host: str
    port: int
    session: SessionSettings
    first_s: float = 1
    last_s: float = 60
    refused_s: float = 60
    tls: bool = False
    server_name: str = ''  # to ask for by SNI and to look for in the certificate; empty: `host`


class Link:
    """Keeps one bind up until `stop`.

    `tls_context` is asked at each connect of a link with TLS. `on_refused` hears the command_status of each refused
    bind before anything else is made of it; True says to try again at once.
    """

    def __init__(
        self,
        settings: LinkSettings,
        make_bind: Callable[[], Bind],
        owner: Owner,
        tls_context: Callable[[], ssl.SSLContext | None] = lambda: None,
        on_refused: Callable[[int], bool] = lambda status: False,
    ) -> None:
        self.settings = settings
        self.connection: Connection | None = None
        self.refusals = 0
        self.last_error = ''
        self.peer_address = ''  # as of the last time that it was connected
        self._make_bind = make_bind
        self._owner = owner
        self._tls_context = tls_context
        self._on_refused = on_refused
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._at_once = False
        self._awake = asyncio.Event()
        self._woken_at = float('-inf')

    @property
    def bound(self) -> bool:
        """The bind stands."""
        return self.connection is not None and self.connection.session.state in BOUND

    def start(self) -> None:
        """Begin to connect, in a task of the link's own."""
        self._task = asyncio.create_task(self._run(), name=f'link {self.settings.name}')

    def wake(self) -> bool:
        """Connect now instead of after the pause, at most every `WAKE_EVERY_S`; return whether that was heard."""
        now = asyncio.get_running_loop().time()
        if self.connection is not None or now - self._woken_at < WAKE_EVERY_S:
            return False
        self._woken_at = now
        self._awake.set()
        return True

    async def stop(self, reason: str = 'stopped', drain_s: float = DRAIN_S) -> None:
        """Let what is outstanding be answered for up to `drain_s` seconds, unbind, close, and end.

        Returns when the socket is gone, at most the unbind time and a second later. The caller sends nothing more.
        """
        self._stopping = True
        connection = self.connection
        if connection is not None and connection.session.state in BOUND:
            await connection.drain(drain_s)
        if connection is not None and connection.session.state is not State.CLOSED:
            connection.session.begin_unbind(connection.loop.time(), reason)
            connection.flush()
            timeout_s = connection.session.settings.unbind_timeout_s + UNBIND_MARGIN_S
            await asyncio.wait([connection.closed], timeout=timeout_s)
        if connection is not None:
            connection.abort()
            await asyncio.wait([connection.closed], timeout=UNBIND_MARGIN_S)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def tick(self, now: float) -> None:
        """Let the connection do what is due."""
        if self.connection is not None:
            self.connection.tick(now)

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            was_bound = False
            self._at_once = False
            try:
                was_bound = await self._live()
            except Exception:
                log.exception('link.error', link=self.settings.name)
            failures = 1 if was_bound else failures + 1
            if not self._at_once:
                await self._pause(self._delay_s(failures))

    async def _pause(self, delay_s: float) -> None:
        """Wait before the next try, or until the link is woken."""
        self._awake.clear()
        try:
            async with asyncio.timeout(delay_s):
                await self._awake.wait()
        except TimeoutError:
            pass

    def _delay_s(self, failures: int) -> float:
        settings = self.settings
        if self.refusals:
            return settings.refused_s * random.uniform(0.9, 1.1)
        limit = min(settings.last_s, settings.first_s * 2.0 ** min(failures - 1, 30))
        return limit * random.uniform(0.5, 1.0)

    async def _live(self) -> bool:
        """Connect, bind and stay until the connection ends; return whether it was ever bound."""
        settings = self.settings
        loop = asyncio.get_running_loop()
        session = Session(Role.ESME, settings.session, loop.time())
        connection = Connection(session, self._owner, loop)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connect(connection)
        except OSError as error:
            self._note_failure(f'cannot connect to {settings.host}:{settings.port}: {reason_of(error)}', error)
            return False
        self.connection = connection
        self.peer_address = connection.peer_address
        try:
            if session.state is State.OPEN:  # the peer may have closed already
                session.begin_bind(self._make_bind())
                connection.flush()
            await connection.closed
        finally:
            self.connection = None
            connection.abort()
        self._note_end(session)
        return session.peer_version > 0

    async def _connect(self, connection: Connection) -> None:
        """Open the socket, with TLS if that is what the settings say. Raises OSError, of which TLS's errors are one."""
        settings, loop = self.settings, connection.loop
        if not settings.tls:
            await loop.create_connection(lambda: connection, settings.host, settings.port)
            return
        context = self._tls_context()
        if context is None:
            raise OSError('TLS is not set up for it')  # a reload is about to stop this link
        await loop.create_connection(
            lambda: connection,
            settings.host,
            settings.port,
            ssl=context,
            server_hostname=settings.server_name or settings.host,
            ssl_handshake_timeout=CONNECT_TIMEOUT_S,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )

    def _note_end(self, session: Session) -> None:
        status = session.bind_status
        if not status:
            self.refusals = 0
            self._note_failure(session.close_reason)
            return
        self._at_once = not self._stopping and self._on_refused(status)
        refused = status in CREDENTIALS_REFUSED and not self._at_once
        self.refusals = self.refusals + 1 if refused else 0
        self._note_failure(f'bind refused with {status_name(status)}')

    def _note_failure(self, text: str, error: Exception | None = None) -> None:
        """Keep and log why the link is down: as an error, once, what only people can mend; else each new reason."""
        is_new = text != self.last_error
        self.last_error = text
        if self._stopping:
            return
        if self.refusals == 1:
            remedy = 'check system_id, password and bind of this upstream, and ask the operator'
            log.error('link.refused', link=self.settings.name, reason=text, retry_s=self.settings.refused_s, do=remedy)
        elif isinstance(error, ssl.SSLError) and is_new:
            log.error('link.tls', link=self.settings.name, reason=text)
        elif is_new or self.refusals:
            log.warning('link.down', link=self.settings.name, reason=text, refusals=self.refusals)
