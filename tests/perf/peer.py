"""An ESME that does nothing by itself: a test says what it writes, and looks at what came."""

import asyncio
from typing import Any

from pdu import pdus
from pdu.codec import encode
from pdu.reader import PduReader

TIMEOUT_S = 10


class Peer:
    """A connection to an operator, PDU by PDU."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self._framer = PduReader()
        self._arrived = []

    @classmethod
    async def connect(cls, port):
        return cls(*await asyncio.open_connection('127.0.0.1', port))

    @classmethod
    async def bound(cls, port, bind=pdus.BindTransceiver, system_id=b'esme', password=b'secret'):
        """A peer whose bind was accepted."""
        peer = await cls.connect(port)
        peer.send(bind(1, system_id=system_id, password=password, interface_version=0x34))
        response = await peer.receive()
        assert response.command_status == 0
        return peer

    def send(self, *requests):
        self._writer.write(b''.join(map(encode, requests)))

    def send_octets(self, octets):
        self._writer.write(octets)

    async def receive(self):
        """The next PDU."""
        while not self._arrived:
            async with asyncio.timeout(TIMEOUT_S):
                octets = await self._reader.read(65536)
            if not octets:
                raise EOFError('the operator closed the connection')
            self._arrived += self._framer.feed(octets)
        return self._arrived.pop(0)

    async def receive_many(self, count):
        return [await self.receive() for _ in range(count)]

    async def quiet(self):
        """Whether nothing has come but the answer to an enquire_link sent now."""
        self.send(pdus.EnquireLink(777))
        return isinstance(await self.receive(), pdus.EnquireLinkResp)

    async def closed(self):
        """Waits until the other side has closed; returns the PDUs that came before."""
        came = []
        try:
            while True:
                came.append(await self.receive())
        except (EOFError, ConnectionResetError):
            return came

    async def close(self):
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionResetError:
            pass


def submit(sequence_number, number=0, **changes):
    """A submit_sm that wants its receipt."""
    fields: dict[str, Any] = {
        'source_addr_ton': 5,
        'source_addr': b'MyBank',
        'dest_addr_ton': 1,
        'dest_addr_npi': 1,
        'destination_addr': b'79161234567',
        'registered_delivery': 1,
        'short_message': b'%010d is your code' % number,
    }
    return pdus.SubmitSm(sequence_number, **fields | changes)
