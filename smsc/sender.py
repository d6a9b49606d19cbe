"""An ESME of our own for `smsc send`: binds, submits one text in as many parts as it needs, waits for the receipts."""

import asyncio
from typing import Any

import msgspec

from pdu.alphabets import AlphabetError
from pdu.codec import encode
from pdu.command import CommandId
from pdu.pdus import BindTransceiver, DeliverSm, DeliverSmResp, Pdu, SubmitSm
from pdu.receipt_text import WORDS, parse
from pdu.segments import UDHI, SegmentError, concatenated, split_text
from pdu.status import CommandStatus, PduError, status_name
from smpp.aio.connection import Connection
from smpp.session import SMPP_3_4, Session, SessionSettings
from smpp.states import BOUND, Role

CONNECT_TIMEOUT_S = 10.0
ALPHANUMERIC = (5, 0)
INTERNATIONAL = (1, 1)
UNKNOWN_TON = 0  # of a number without `+`: it may be a national one, which the account's rules know


class SendError(Exception):
    """The message was not sent; the text says why and what to do."""


class Part(msgspec.Struct):
    """One submit_sm and what became of it."""

    number: int
    message_id: str = ''
    status: str = ''
    receipt: str = ''


class Sender:
    """The owner of the one connection."""

    def __init__(self, parts: int) -> None:
        self.parts = [Part(number) for number in range(1, parts + 1)]
        self.changed = asyncio.Event()
        self.connection: Connection | None = None
        self._by_id: dict[str, Part] = {}
        self._early: dict[str, str] = {}

    def handle_opened(self, connection: Connection) -> None:
        self.connection = connection

    def handle_requests(self, connection: Connection, requests: list[Pdu]) -> None:
        for pdu in requests:
            if isinstance(pdu, DeliverSm):
                self._handle_deliver(pdu)
                connection.session.respond(DeliverSmResp(pdu.sequence_number))
            elif pdu.command_id != CommandId.ALERT_NOTIFICATION:
                connection.session.refuse(pdu, CommandStatus.ESME_RINVCMDID)
        self.changed.set()

    def _handle_deliver(self, pdu: DeliverSm) -> None:
        receipt = parse(pdu.short_message)
        if receipt is None:
            return
        message_id = receipt.id.decode('latin-1')
        word = WORDS[receipt.state].decode()
        text = word if word == 'DELIVRD' else f'{word} err:{receipt.error.decode("latin-1")}'
        part = self._by_id.get(message_id)
        if part is None:
            self._early[message_id] = text
        else:
            part.receipt = text

    def handle_responses(self, connection: Connection, responses: list[tuple[Any, Pdu]]) -> None:
        for part, pdu in responses:
            part.status = status_name(pdu.command_status)
            message_id = getattr(pdu, 'message_id', b'').decode('latin-1')
            if message_id:
                part.message_id = message_id
                self._by_id[message_id] = part
                part.receipt = self._early.pop(message_id, part.receipt)
        connection.session.window.release(len(responses))
        self.changed.set()

    def handle_expired(self, connection: Connection, contexts: list[Any]) -> None:
        self.handle_closed(connection, contexts)

    def handle_late(self, connection: Connection, late: list[tuple[Any, Pdu]]) -> None:
        pass

    def handle_state(self, connection: Connection) -> None:
        self.changed.set()

    def handle_closed(self, connection: Connection, lost: list[Any]) -> None:
        for part in lost:
            part.status = 'no response'
        self.changed.set()


class Letter(msgspec.Struct, frozen=True):
    """What to send, and as whom."""

    host: str
    port: int
    system_id: str
    password: str
    source_addr: str
    destination_addr: str
    text: str


def submits(letter: Letter) -> list[SubmitSm]:
    """Return the submit_sm PDUs of a letter: one, or several with a user data header (wire.md D2)."""
    data_coding, parts = split_text(letter.text)
    if len(parts) > 1:
        parts = concatenated(parts, ref=abs(hash(letter.text)) % 256)
    source_ton, source_npi = _ton_npi(letter.source_addr)
    return [
        SubmitSm(
            source_addr_ton=source_ton,
            source_addr_npi=source_npi,
            source_addr=letter.source_addr.encode('ascii', 'replace'),
            dest_addr_ton=INTERNATIONAL[0] if letter.destination_addr.startswith('+') else UNKNOWN_TON,
            dest_addr_npi=INTERNATIONAL[1],
            destination_addr=letter.destination_addr.lstrip('+').encode('ascii', 'replace'),
            esm_class=UDHI if len(parts) > 1 else 0,
            registered_delivery=1,
            data_coding=data_coding,
            short_message=part,
        )
        for part in parts
    ]


def _ton_npi(source_addr: str) -> tuple[int, int]:
    return INTERNATIONAL if source_addr.lstrip('+').isdigit() else ALPHANUMERIC


def _compose(letter: Letter) -> tuple[BindTransceiver, list[SubmitSm]]:
    """Return the PDUs to send. Raises SendError when one of them has no wire form."""
    bind = BindTransceiver(
        system_id=letter.system_id.encode(), password=letter.password.encode(), interface_version=SMPP_3_4
    )
    try:
        pdus = submits(letter)
        for pdu in (bind, *pdus):
            encode(pdu)
    except (PduError, SegmentError, AlphabetError) as error:
        raise SendError(f'this cannot be sent: {error}') from error
    return bind, pdus


async def send(letter: Letter, wait_s: float, show: Any) -> list[Part]:
    """Send a letter and wait up to `wait_s` seconds for the receipts; `show(parts)` is called when something changes.

    Raises SendError when the server cannot be reached or refuses the bind, or the message has no wire form.
    """
    bind, pdus = _compose(letter)
    sender = Sender(len(pdus))
    loop = asyncio.get_running_loop()
    session = Session(Role.ESME, SessionSettings(send_window=len(pdus) + 1, receive_window=100), loop.time())
    connection = Connection(session, sender, loop)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await loop.create_connection(lambda: connection, letter.host, letter.port)
    except OSError as error:
        raise SendError(f'cannot connect to {letter.host}:{letter.port}; is the server up? (smsc run)') from error
    session.begin_bind(bind)
    connection.flush()
    await _until(sender, lambda: session.state in BOUND or connection.closed.done(), CONNECT_TIMEOUT_S)
    if session.state not in BOUND:
        connection.abort()
        if session.bind_status:
            raise SendError(f'bind as {letter.system_id} refused with {status_name(session.bind_status)}')
        raise SendError(f'no answer to the bind as {letter.system_id} ({session.close_reason or "timed out"})')
    for part, pdu in zip(sender.parts, pdus, strict=True):
        session.window.reserve(1)
        session.request(pdu, part)
    connection.flush()

    def complete() -> bool:
        show(sender.parts)
        return connection.closed.done() or all(
            part.receipt or part.status not in ('', 'ESME_ROK') for part in sender.parts
        )

    await _until(sender, complete, wait_s)
    session.begin_unbind(loop.time(), 'done')
    connection.flush()
    await asyncio.wait([connection.closed], timeout=1)
    connection.abort()
    return sender.parts


async def _until(sender: Sender, condition: Any, timeout_s: float) -> None:
    """Wait until a condition holds, looking again whenever something came in."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        sender.changed.clear()
        left = deadline - asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(sender.changed.wait(), left)
        except TimeoutError:
            return
