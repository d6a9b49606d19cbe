"""The simulated operator: its listening socket, its sessions, and what they share.

All of it lives in one event loop and one thread. `start` can fail with OSError when the port is taken; `stop` closes
every connection and forgets what was waiting. Memory grows with receipts that are held or have nobody to take them.
"""

import asyncio
import ssl
from collections.abc import Callable

from pdu import pdus
from pdu.alphabets import encode_text
from pdu.codec import HEADER_OCTETS, encode
from perf.numbers import Tally
from perf.operator.behaviour import Behaviour, Credentials
from perf.operator.delay import Delay
from perf.operator.mailbox import Mailbox, MoBody
from perf.operator.quirks import QuirkyBehaviour, QuirkySession
from perf.operator.session import Session
from perf.operator.settings import Counters, OperatorSettings

_INTERNATIONAL = _ISDN = 1


class Operator:
    """An SMSC for the product to bind to. `counters` may be read at any time, also after `stop`.

    `tally` counts numbered texts when the settings ask for a ledger.
    """

    now: Callable[[], float]
    session_type: type[Session] = Session
    """What a connection becomes; a subclass may have it remember more."""

    def __init__(self, settings: OperatorSettings | None = None) -> None:
        self.settings = settings or OperatorSettings()
        self.counters = Counters()
        self.behaviour = Behaviour(self.settings)
        if self.settings.is_quirky:
            self.behaviour, self.session_type = QuirkyBehaviour(self.settings), QuirkySession
        self.credentials = Credentials(self.settings.system_id.encode(), self.settings.password.encode())
        self.tally = Tally(self.settings.ledger_limit) if self.settings.ledger else None
        self.sessions: set[Session] = set()
        self.responses: Delay[tuple[Session, list[bytes], list[bytes]]]
        self.late: Delay[tuple[Session, list[bytes], list[bytes]]]
        self.retries: Delay[tuple[Mailbox | None, list[bytes]]]
        self._receipts: Delay[tuple[Mailbox, list[bytes]]]
        self._mailboxes: dict[bytes, Mailbox] = {}
        self._mute_until: float | None = None
        self._held: list[tuple[Mailbox, list[bytes]]] = []
        self._holding = self.settings.hold_receipts
        self._server: asyncio.Server | None = None
        self._second: asyncio.TimerHandle | None = None
        self._seconds = 0

    async def start(self, host: str = '127.0.0.1', port: int = 0) -> int:
        """Listens, and returns the port; 0 takes a free one. Raises OSError when it cannot."""
        loop = asyncio.get_running_loop()
        self.now = loop.time
        settings = self.settings
        self.responses = Delay(settings.response_delay_ms / 1000, lambda due: due[0].send(due[1], due[2]))
        self.late = Delay(settings.late_ms / 1000, lambda due: due[0].send(due[1], due[2]))
        self.retries = Delay(settings.deliver_retry_s, lambda due: due[0].put(due[1]) if due[0] else None)
        self._receipts = Delay(settings.receipt_delay_ms / 1000, lambda due: due[0].put(due[1]))
        self.behaviour.refresh_dates()
        context = _tls_context(settings) if settings.tls_certificate else None
        self._server = await loop.create_server(lambda: self.session_type(self), host, port, ssl=context)
        self._second = loop.call_later(1, self._handle_second)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Closes the port and every connection, and waits until they are closed."""
        if self._server is None:
            return
        if self._second is not None:
            self._second.cancel()
        for delay in (self.responses, self.late, self.retries, self._receipts):
            delay.clear()
        self._server.close()
        sessions = list(self.sessions)
        for session in sessions:
            session.transport.abort()
        if sessions:
            await asyncio.wait([session.closed for session in sessions], timeout=5)
        await self._server.wait_closed()
        self._server = None

    def release_receipts(self) -> int:
        """Sends the receipts that were held, and holds no more of them. Returns how many there were."""
        self._holding = False
        held, self._held = self._held, []
        for mailbox, bodies in held:
            mailbox.waiting.extend(bodies)
        for mailbox in self._mailboxes.values():
            mailbox.pump()
        return sum(len(bodies) for _, bodies in held)

    def send_mo(self, source: str, destination: str, text: str, system_id: str = '') -> None:
        """Sends an MO message of up to 254 octets to the binds of `system_id`, by default the first that ever bound.

        It waits while none of them is bound. Raises LookupError when there is no such system_id, PduError when
        something does not fit its parameter.
        """
        mailbox = self._mailboxes[system_id.encode()] if system_id else next(iter(self._mailboxes.values()), None)
        if mailbox is None:
            raise LookupError('nobody has bound yet')
        data_coding, short_message = encode_text(text)
        octets = encode(
            pdus.DeliverSm(
                source_addr_ton=_INTERNATIONAL,
                source_addr_npi=_ISDN,
                source_addr=source.encode(),
                dest_addr_ton=_INTERNATIONAL,
                dest_addr_npi=_ISDN,
                destination_addr=destination.encode(),
                data_coding=data_coding,
                short_message=short_message,
            )
        )
        mailbox.put([MoBody(octets[HEADER_OCTETS:])])

    @property
    def waiting(self) -> int:
        """Receipts and MO messages that are held or wait for room in a window; not those that wait for their delay."""
        held = sum(len(bodies) for _, bodies in self._held)
        return held + sum(len(mailbox.waiting) for mailbox in self._mailboxes.values())

    @property
    def is_mute(self) -> bool:
        """Whether it hears and says nothing for now."""
        return self._mute_until is not None and self.now() < self._mute_until

    def mute(self) -> None:
        """Hears and says nothing for `mute_s`, once in its life."""
        if self._mute_until is None:
            self._mute_until = self.now() + self.settings.mute_s

    def mailbox(self, system_id: bytes) -> Mailbox:
        """What waits for a system_id; only for one that has bound."""
        return self._mailboxes.setdefault(system_id, Mailbox())

    def post(self, mailbox: Mailbox, receipts: list[bytes], session: Session) -> None:
        """Sends receipts to a mailbox after their delay, or holds them; `session` is where their messages came from."""
        if self._holding:
            self._held.append((mailbox, receipts))
        elif self.settings.receipt_delay_ms:
            self._receipts.add((mailbox, receipts))
        else:
            mailbox.put(receipts, session)

    def _handle_second(self) -> None:
        now = self.now()
        self._seconds += 1
        period_s = self.settings.enquire_link_s
        enquire = bool(period_s) and self._seconds % max(round(period_s), 1) == 0
        self.behaviour.refresh_dates()
        for session in list(self.sessions):
            session.handle_second(now, enquire)
        self._second = asyncio.get_running_loop().call_later(1, self._handle_second)


def _tls_context(settings: OperatorSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context
