"""One bind to an upstream SMSC, kept up: connects, binds, waits for the end, tries again.

A lost or failed connection is tried again after an exponential back-off with jitter; a bind that was refused for its
credentials waits `refused_s`, so that no operator is hammered with a wrong password (wire.md F2). The owner hears of
every state through its callbacks; `refusals` counts binds refused in a row, which the metrics turn into an alarm.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
import structlog

from pdu.pdus import Bind
from pdu.status import CommandStatus, status_name
from smpp.aio.connection import Connection, Owner
from smpp.session import Session, SessionSettings
from smpp.states import BOUND, Role, State

CONNECT_TIMEOUT_S = 10.0
DRAIN_S = 5.0
UNBIND_MARGIN_S = 1.0  # what the peer's answer to unbind may take longer than the session's own timer
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


class Link:
    """Keeps one bind up until `stop`."""

    def __init__(self, settings: LinkSettings, make_bind: Callable[[], Bind], owner: Owner) -> None:
        self.settings = settings
        self.connection: Connection | None = None
        self.refusals = 0
        self.last_error = ''
        self._make_bind = make_bind
        self._owner = owner
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def bound(self) -> bool:
        """The bind stands."""
        return self.connection is not None and self.connection.session.state in BOUND

    def start(self) -> None:
        """Begin to connect, in a task of the link's own."""
        self._task = asyncio.create_task(self._run(), name=f'link {self.settings.name}')

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
            try:
                was_bound = await self._live()
            except Exception:
                log.exception('link.error', link=self.settings.name)
            failures = 1 if was_bound else failures + 1
            await asyncio.sleep(self._delay_s(failures))

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
                await loop.create_connection(lambda: connection, settings.host, settings.port)
        except OSError as error:
            self._note_failure(f'cannot connect to {settings.host}:{settings.port}: {error or "timed out"}')
            return False
        self.connection = connection
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

    def _note_end(self, session: Session) -> None:
        if session.bind_status:
            refused = session.bind_status in CREDENTIALS_REFUSED
            self.refusals = self.refusals + 1 if refused else 0
            self._note_failure(f'bind refused with {status_name(session.bind_status)}')
        else:
            self.refusals = 0
            self._note_failure(session.close_reason)

    def _note_failure(self, text: str) -> None:
        if not self._stopping and (text != self.last_error or self.refusals):
            log.warning('link.down', link=self.settings.name, reason=text, refusals=self.refusals)
        self.last_error = text
