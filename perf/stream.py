"""Cuts the octets of one connection into PDUs, as cheaply as Python can, for peers that decode only what they need.

Both simulated ends inherit from it. Octets that are no PDU close the connection; nothing is raised into the event loop
for them. What is written gathers in `out` and leaves as one write when the octets at hand are used up.
"""

import asyncio
from typing import cast

from pdu.codec import HEADER, HEADER_OCTETS
from pdu.status import PduError

LARGEST_PDU_OCTETS = 0x12000

unpack_header = HEADER.unpack_from
pack_header = HEADER.pack


class PduStream(asyncio.Protocol):
    """One connection. A subclass gives `handle_pdu`, and what else it wants of the `handle_*` methods."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.tail = b''
        self.out: list[bytes] = []
        self.connected = False
        self.writable = True
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.connected = True
        self.handle_connected()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connected = False
        self.out.clear()
        self.handle_disconnected()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.handle_batch_end()

    def data_received(self, data: bytes) -> None:
        octets = self.tail + data if self.tail else data
        position, size, handle_pdu = 0, len(octets), self.handle_pdu
        try:
            while size - position >= HEADER_OCTETS:
                length, command_id, command_status, sequence_number = unpack_header(octets, position)
                if not HEADER_OCTETS <= length <= LARGEST_PDU_OCTETS:
                    raise ValueError(f'command_length {length}')
                end = position + length
                if end > size:
                    break
                handle_pdu(command_id, command_status, sequence_number, octets, position + HEADER_OCTETS, end)
                position = end
        except (ValueError, IndexError, PduError):
            self.transport.abort()
            return
        self.tail = octets[position:]
        self.handle_batch_end()

    def flush(self) -> None:
        """Writes what has gathered, in one piece."""
        if self.out and self.connected:
            self.transport.write(b''.join(self.out))
        self.out.clear()

    def handle_connected(self) -> None:
        """The connection stands."""

    def handle_disconnected(self) -> None:
        """The connection is gone; what was gathered for it too."""

    def handle_pdu(
        self, command_id: int, command_status: int, sequence_number: int, octets: bytes, start: int, end: int
    ) -> None:
        """One PDU, whose body is `octets[start:end]`. ValueError, IndexError and PduError close the connection."""
        raise NotImplementedError

    def handle_batch_end(self) -> None:
        """All PDUs of one read were handled, or the connection takes octets again."""
        self.flush()
