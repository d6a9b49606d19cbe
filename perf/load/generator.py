"""The load: its binds, its pace, and its end.

Flat out, each read of a socket is followed by as many submits as its window has room for again. At a rate, one timer
deals out what has become due over all binds. The run ends when every submit is answered and every wanted receipt is
here, or when nothing has come for the timeout of the settings.
"""

import asyncio
import math
import ssl
import time

from pdu import pdus
from perf.load.ledger import Ledger
from perf.load.session import BindRefused, LoadSession
from perf.load.settings import BindKind, LoadResult, LoadSettings
from perf.load.texts import SubmitTemplate

_PACE_S = 0.002
_WATCH_S = 0.05
_END_S = 5
_BINDS_AT_ONCE = 50
_INTERFACE_VERSION = 0x34
_REQUESTS: dict[BindKind, tuple[type[pdus.Bind], ...]] = {
    BindKind.TRANSCEIVER: (pdus.BindTransceiver,),
    BindKind.TRANSMITTER: (pdus.BindTransmitter,),
    BindKind.PAIR: (pdus.BindTransmitter, pdus.BindReceiver),
}


class LoadError(Exception):
    """The load could not bind; says why and what to look at."""


class Load:
    """One run. `ledger` can be looked at while it goes on."""

    session_type: type[LoadSession] = LoadSession
    """What a bind becomes; a subclass may have it behave otherwise."""

    def __init__(self, settings: LoadSettings) -> None:
        if not settings.messages and not settings.duration_s:
            raise LoadError('neither messages nor duration_s says when to stop submitting')
        self.settings = settings
        self.ledger = Ledger(bool(settings.registered_delivery & 1))
        self.template = SubmitTemplate(settings)
        self.sessions: list[LoadSession] = []
        self._prefix = settings.destination_prefix.encode('ascii')
        self._tls = ssl.create_default_context(cafile=settings.tls_ca) if settings.tls_ca else None
        self._total = settings.messages or math.inf
        self._running = False
        self._timer: asyncio.TimerHandle | None = None
        self._finished: asyncio.Future[None] | None = None
        self._reconnects: set[asyncio.Task[None]] = set()

    async def run(self) -> LoadResult:
        """Binds, submits, waits for responses and receipts, unbinds. Raises LoadError when it cannot bind."""
        try:
            await self.bind()
            await self.submit()
        finally:
            await self.stop()
        return self.ledger.result()

    async def bind(self) -> None:
        """Makes all binds. Raises LoadError when one of them fails."""
        requests = _REQUESTS[self.settings.bind] * self.settings.binds
        for first in range(0, len(requests), _BINDS_AT_ONCE):
            refusal = ''
            try:
                async with asyncio.TaskGroup() as group:
                    for request in requests[first : first + _BINDS_AT_ONCE]:
                        group.create_task(self._connect(request))
            except* (OSError, BindRefused) as errors:
                refusal = self._explain(errors.exceptions[0])
            if refusal:  # not raised in the `except*`, which may wrap it in a group
                raise LoadError(refusal)

    async def submit(self) -> None:
        """Submits all messages and waits for what is to come back."""
        loop = asyncio.get_running_loop()
        self._finished = loop.create_future()
        self.ledger.started_at = self.ledger.progress_at = time.monotonic()
        self._running = True
        if not self.settings.rate_per_s:
            for session in list(self.sessions):
                self._fill(session)
        self._handle_timer()
        await self._finished

    async def stop(self) -> None:
        """Unbinds and closes every connection."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        for task in self._reconnects:
            task.cancel()
        await asyncio.gather(*self._reconnects, return_exceptions=True)
        sessions = list(self.sessions)
        for session in sessions:
            session.end()
        if sessions:
            await asyncio.wait([session.closed for session in sessions], timeout=_END_S)
        late = [session for session in sessions if not session.closed.done()]
        for session in late:
            session.transport.abort()
        if late:
            await asyncio.wait([session.closed for session in late], timeout=_END_S)

    def offset_of(self, address: bytes) -> int:
        """The offset of the message that went to an address; -1 for an address of none."""
        prefix = self._prefix
        if not address.startswith(prefix):
            return -1
        try:
            return int(address[len(prefix) :]) - self.settings.first_number
        except ValueError:
            return -1

    async def _connect(self, request: type[pdus.Bind]) -> None:
        settings = self.settings
        pdu = request(
            1,
            system_id=settings.system_id.encode(),
            password=settings.password.encode(),
            interface_version=_INTERFACE_VERSION,
        )
        receives = request is pdus.BindReceiver
        port = settings.receiver_port if receives and settings.receiver_port else settings.port
        async with asyncio.timeout(settings.bind_timeout_s):
            _, session = await asyncio.get_running_loop().create_connection(
                lambda: self.session_type(self, pdu), settings.host, port, ssl=self._tls
            )
            try:
                await session.bound
                if not session.connected:
                    raise ConnectionResetError('the connection went right after the bind')
            except BaseException:
                session.transport.abort()
                await session.closed
                raise
        self.sessions.append(session)

    def _explain(self, error: BaseException) -> str:
        where = f'{self.settings.host}:{self.settings.port}'
        if isinstance(error, BindRefused):
            return f'{where} refused the bind of {self.settings.system_id!r} with {error}: see its account and its log'
        return f'cannot bind to {where}: {error or type(error).__name__}; is the server listening there?'

    def handle_lost(self, session: LoadSession, expected: bool) -> None:
        """A connection is gone: counts it if it was a bind of ours, and begins to replace it when told to."""
        if session not in self.sessions:
            return
        self.sessions.remove(session)
        if expected:
            return
        self.ledger.disconnects += 1
        if self.settings.reconnect and self._running:
            task = asyncio.get_running_loop().create_task(self._replace(type(session.request)))
            self._reconnects.add(task)
            task.add_done_callback(self._reconnects.discard)

    async def _replace(self, request: type[pdus.Bind]) -> None:
        """Binds again, as often as it takes."""
        while True:
            await asyncio.sleep(self.settings.reconnect_s)
            try:
                await self._connect(request)
            except (OSError, BindRefused):
                continue
            if not self.settings.rate_per_s:
                self._fill(self.sessions[-1])
            return

    def handle_batch_end(self, session: LoadSession) -> None:
        """A bind has read what there was: submits more when flat out, and sees whether all is done."""
        if not self._running:
            return
        if not self.settings.rate_per_s:
            self._fill(session)
        ledger = self.ledger
        if not ledger.outstanding and not ledger.awaiting and ledger.submitted >= self._total:
            self._finish()

    def _fill(self, session: LoadSession) -> None:
        count = min(session.room, self._total - self.ledger.submitted)
        if count > 0:
            session.submit(int(count), time.monotonic())

    def _handle_timer(self) -> None:
        now, settings, ledger = time.monotonic(), self.settings, self.ledger
        if settings.duration_s and now - ledger.started_at >= settings.duration_s:
            self._total = min(self._total, ledger.submitted)
        if settings.rate_per_s:
            self._deal(now)
        if self._is_over(now):
            self._finish()
            return
        period_s = _PACE_S if settings.rate_per_s else _WATCH_S
        self._timer = asyncio.get_running_loop().call_later(period_s, self._handle_timer)

    def _deal(self, now: float) -> None:
        """Submits what has become due, in equal shares; what finds no room stays due."""
        due = min((now - self.ledger.started_at) * self.settings.rate_per_s, self._total) - self.ledger.submitted
        left = int(due)
        sessions = [session for session in self.sessions if session.room > 0]
        while left > 0 and sessions:
            share = math.ceil(left / len(sessions))
            session = sessions.pop()
            count = min(session.room, share)
            session.submit(count, now)
            left -= count
        self.sessions[:] = self.sessions[1:] + self.sessions[:1]

    def _is_over(self, now: float) -> bool:
        ledger, settings = self.ledger, self.settings
        if not self.sessions and not settings.reconnect:
            return True
        all_submitted = ledger.submitted >= self._total
        if all_submitted and not ledger.outstanding:
            return not ledger.awaiting or now - ledger.progress_at > settings.receipt_timeout_s
        stuck = bool(ledger.outstanding) or not self.sessions
        return stuck and now - ledger.progress_at > settings.response_timeout_s

    def _finish(self) -> None:
        self._running = False
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)
