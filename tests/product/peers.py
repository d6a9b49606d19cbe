"""Peers on raw sockets that do what a test tells them: an ESME, and an operator's SMSC.

They read with the codec under test, which has golden octets of its own, and write whatever octets they are given.
Each has a task that reads; `close` ends it.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from pdu import pdus, receipt_text
from pdu.codec import encode
from pdu.fields import DistributionList, SmeAddress
from pdu.pdus import Pdu, SubmitSm
from pdu.reader import PduReader
from pdu.receipt_text import MessageState
from tests.product.waiting import TIMEOUT_S, until

P = TypeVar('P', bound=Pdu)
TEXT = b'your code is 4711'
DATE = b'2611211030'
BINDS = (pdus.BindTransmitter, pdus.BindReceiver, pdus.BindTransceiver)


class Peer:
    """One connection. What comes in is answered by `answer` or kept in `inbox` until a test takes it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Callable[['Peer', Pdu], bool] = lambda peer, pdu: False,
    ) -> None:
        """`answer` returns whether the PDU has been dealt with."""
        self.inbox: list[Pdu] = []
        self.octets_read = b''
        self.gone = False
        self.answer = answer
        self.writer = writer
        self._reader = reader
        self._sequence_number = 0
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._read(), name='peer')

    async def _read(self) -> None:
        framer = PduReader()
        with suppress(OSError):
            while octets := await self._reader.read(65536):
                self.octets_read = (self.octets_read + octets)[-65536:]
                for pdu in framer.feed(octets):
                    if pdu.__class__ is pdus.EnquireLink:
                        self.send(pdus.EnquireLinkResp(pdu.sequence_number))
                    elif not self.answer(self, pdu):
                        self.inbox.append(pdu)
                self._changed.set()
        self.gone = True
        self._changed.set()

    def send(self, *requests: Pdu) -> None:
        """Writes PDUs as they are."""
        self.send_octets(b''.join(map(encode, requests)))

    def send_octets(self, octets: bytes) -> None:
        """Writes octets as they are."""
        if not self.writer.is_closing():
            self.writer.write(octets)

    def number(self, *requests: Pdu) -> list[int]:
        """Gives requests sequence_numbers of their own, and writes them in one go."""
        for request in requests:
            self._sequence_number += 1
            request.sequence_number = self._sequence_number
        self.send(*requests)
        return [request.sequence_number for request in requests]

    async def take(self, cls: type[P] = Pdu, sequence_number: int | None = None, timeout_s: float = TIMEOUT_S) -> P:  # type: ignore[assignment]
        """Returns the first PDU of a class (and number) as soon as it is there. EOFError: the peer went away."""
        async with asyncio.timeout(timeout_s):
            while True:
                for pdu in self.inbox:
                    if isinstance(pdu, cls) and sequence_number in {None, pdu.sequence_number}:
                        self.inbox.remove(pdu)
                        return pdu
                if self.gone:
                    raise EOFError(f'the connection ended; no {cls.__name__} among {self.inbox}')
                self._changed.clear()
                await self._changed.wait()

    async def take_many(self, count: int, cls: type[P] = Pdu) -> list[P]:  # type: ignore[assignment]
        """Returns the next `count` PDUs of a class."""
        return [await self.take(cls) for _ in range(count)]

    async def ask(self, request: Pdu) -> Pdu:
        """Sends a request and returns what answers it, generic_nack too."""
        (number,) = self.number(request)
        return await self._response(number)

    async def ask_all(self, requests: Iterable[Pdu]) -> list[Pdu]:
        """Sends requests in one write and returns what answers each, in their order."""
        return [await self._response(number) for number in self.number(*requests)]

    async def _response(self, sequence_number: int) -> Pdu:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                for pdu in self.inbox:
                    if pdu.is_response and pdu.sequence_number == sequence_number:
                        self.inbox.remove(pdu)
                        return pdu
                if self.gone:
                    raise EOFError(f'the connection ended without an answer to {sequence_number}')
                self._changed.clear()
                await self._changed.wait()

    async def settled(self) -> list[Pdu]:
        """Returns what has come once an enquire_link sent now is answered: all that the other side had to say."""
        self._sequence_number += 1
        self.send(pdus.EnquireLink(self._sequence_number))
        await self._response(self._sequence_number)
        return list(self.inbox)

    async def ended(self, timeout_s: float = TIMEOUT_S) -> None:
        """Waits until the other side has closed."""
        await until(lambda: self.gone, timeout_s)

    async def close(self) -> None:
        """Closes in order."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def reset(self) -> None:
        """Breaks the connection off."""
        self.writer.transport.abort()
        await self.close()


class Esme(Peer):
    """A peer of the product's listening port. While `acknowledge` holds, deliver_sm are answered and kept in
    `delivered`; otherwise they stay in the inbox. While `parts` holds, it parts when it is told to.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.acknowledge = True
        self.parts = True
        self.delivered: list[pdus.DeliverSm] = []
        super().__init__(reader, writer, self._acknowledge)

    def _acknowledge(self, _: Peer, pdu: Pdu) -> bool:
        if self.parts and isinstance(pdu, pdus.Unbind):
            self.send(pdus.UnbindResp(pdu.sequence_number))
            self.writer.close()
            return True
        if not self.acknowledge or not isinstance(pdu, pdus.DeliverSm):
            return False
        self.delivered.append(pdu)
        self.send(pdus.DeliverSmResp(pdu.sequence_number))
        return True

    @classmethod
    async def connect(cls, port: int) -> 'Esme':
        """A connection without a bind."""
        return cls(*await asyncio.open_connection('127.0.0.1', port))

    async def bind(
        self,
        system_id: str,
        password: str,
        bind: type[pdus.Bind] = pdus.BindTransceiver,
        interface_version: int = 0x34,
    ) -> Pdu:
        """Sends a bind and returns the response, whatever it says."""
        return await self.ask(
            bind(system_id=system_id.encode(), password=password.encode(), interface_version=interface_version)
        )

    async def submit(self, text: bytes = TEXT, **changes: Any) -> str:
        """Submits a message that must be accepted; returns its message_id."""
        response = await self.ask(submit(text, **changes))
        assert isinstance(response, pdus.SubmitSmResp)
        assert response.command_status == 0, hex(response.command_status)
        return response.message_id.decode()

    async def submit_all(self, requests: Iterable[SubmitSm]) -> list[str]:
        """Submits messages in one write, which must all be accepted; returns their message_ids."""
        responses = await self.ask_all(requests)
        assert {response.command_status for response in responses} <= {0}
        return [response.message_id.decode() for response in responses if isinstance(response, pdus.SubmitSmResp)]

    async def receipts(self, count: int) -> list[receipt_text.ReceiptText]:
        """Waits for `count` receipts in all and returns what all of them say."""
        await until(lambda: len(self.delivered) >= count)
        return [receipt_of(pdu) for pdu in self.delivered]


def receipt_of(pdu: pdus.DeliverSm) -> receipt_text.ReceiptText:
    """What the text of a receipt says."""
    found = receipt_text.parse(pdu.short_message)
    assert found is not None, pdu.short_message
    return found


def submit(text: bytes = TEXT, **changes: Any) -> SubmitSm:
    """A submit_sm that wants its receipt."""
    fields: dict[str, Any] = {
        'source_addr_ton': 5,
        'source_addr': b'MyBank',
        'dest_addr_ton': 1,
        'dest_addr_npi': 1,
        'destination_addr': b'79161234567',
        'registered_delivery': 1,
        'short_message': text,
    }
    return SubmitSm(**fields | changes)


def number(last: int) -> SmeAddress:
    """A destination of submit_multi."""
    return SmeAddress(1, 1, b'7916%07d' % last)


def multi(*destinations: SmeAddress | DistributionList, **changes: Any) -> pdus.SubmitMulti:
    """A submit_multi that wants its receipts."""
    fields: dict[str, Any] = {
        'source_addr_ton': 5,
        'source_addr': b'MyBank',
        'short_message': TEXT,
        'registered_delivery': 1,
    }
    return pdus.SubmitMulti(**fields | {'dest_address': destinations} | changes)


Answer = int | bytes | None
"""How a scripted operator answers a submit_sm: an error status, a message_id with ESME_ROK, or not at all."""


class Smsc:
    """An operator's SMSC. It accepts every bind; `script` answers each submit_sm; receipts and MO messages are the
    test's to send.
    """

    def __init__(self) -> None:
        self.port = 0
        self.connections: list[Peer] = []
        self.bound: list[Peer] = []
        self.receiving: list[Peer] = []
        self.submits: list[SubmitSm] = []
        self.binds: list[pdus.Bind] = []
        self.given: list[bytes] = []
        self.bind_status = 0
        self.tls: ssl.SSLContext | None = None
        self.script: Callable[[SubmitSm], Answer] = lambda pdu: self.next_id()
        self._server: asyncio.Server | None = None

    def next_id(self) -> bytes:
        """A decimal message_id that was not given before."""
        self.given.append(b'%d' % (9_000_000_000 + len(self.given)))
        return self.given[-1]

    async def start(self, port: int = 0) -> 'Smsc':
        """Listens on `port`, by default that of last time or any free one."""
        self._server = await asyncio.start_server(self._serve, '127.0.0.1', port or self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Refuses connections and breaks those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for peer in self.connections:
            await peer.reset()
        self.connections.clear()
        self.bound.clear()
        self.receiving.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(Peer(reader, writer, self._answer))

    def _answer(self, peer: Peer, pdu: Pdu) -> bool:
        if isinstance(pdu, pdus.Bind):
            self._handle_bind(peer, pdu)
        elif isinstance(pdu, pdus.SubmitSm):
            self.submits.append(pdu)
            self.respond(peer, pdu, self.script(pdu))
        elif isinstance(pdu, pdus.Unbind):
            peer.send(pdus.UnbindResp(pdu.sequence_number))
            self._forget(peer)
            peer.writer.close()
        else:
            return False
        return True

    def _handle_bind(self, peer: Peer, pdu: pdus.Bind) -> None:
        self.binds.append(pdu)
        response = pdus.CLASSES[pdu.command_id | 0x80000000](pdu.sequence_number, self.bind_status)
        peer.send(response)
        if self.bind_status:
            peer.writer.close()
            return
        self.bound.append(peer)
        if not isinstance(pdu, pdus.BindTransmitter):
            self.receiving.append(peer)

    def _forget(self, peer: Peer) -> None:
        for peers in (self.bound, self.receiving):
            if peer in peers:
                peers.remove(peer)

    def respond(self, peer: Peer, pdu: SubmitSm, answer: Answer) -> None:
        """Answers a submit_sm now."""
        if isinstance(answer, bytes):
            peer.send(pdus.SubmitSmResp(pdu.sequence_number, 0, answer))
        elif answer is not None:
            peer.send(pdus.SubmitSmResp(pdu.sequence_number, answer))

    async def submitted(self, count: int) -> list[SubmitSm]:
        """Waits until `count` submits have come in all, and returns all of them."""
        await until(lambda: len(self.submits) >= count)
        return self.submits

    async def deliver(self, pdu: pdus.DeliverSm) -> int:
        """Sends a deliver_sm; returns the command_status of its response."""
        await until(lambda: self.receiving)
        return (await self.receiving[-1].ask(pdu)).command_status

    async def deliver_receipt(self, message_id: bytes, state: str = 'DELIVRD', **more: Any) -> int:
        """Sends a receipt; returns the command_status of its response."""
        return await self.deliver(operator_receipt(message_id, state, **more))


def operator_receipt(
    message_id: bytes, state: str = 'DELIVRD', error: bytes = b'000', **changes: Any
) -> pdus.DeliverSm:
    """A receipt as an operator sends it."""
    known = {word.decode(): number for number, word in receipt_text.WORDS.items()}
    text = receipt_text.format(message_id, MessageState(known[state]), DATE, DATE, error)
    fields: dict[str, Any] = {
        'source_addr_ton': 1,
        'source_addr_npi': 1,
        'source_addr': b'79161234567',
        'dest_addr_ton': 5,
        'destination_addr': b'MyBank',
        'esm_class': 4,
        'short_message': text,
    }
    return pdus.DeliverSm(**fields | changes)


def mo(text: bytes = b'STOP', **changes: Any) -> pdus.DeliverSm:
    """An MO message as an operator sends it."""
    fields: dict[str, Any] = {
        'source_addr_ton': 1,
        'source_addr_npi': 1,
        'source_addr': b'79160000001',
        'dest_addr_ton': 1,
        'dest_addr_npi': 1,
        'destination_addr': b'74951234567',
        'short_message': text,
    }
    return pdus.DeliverSm(**fields | changes)
