"""Splits the octets of one connection into PDUs and decodes them.

PDUs come out in the order they came in, however the octets were cut. What cannot be decoded takes its place in that
order as Malformed or UnknownPdu; nothing is raised for octets of a peer. A command_length out of bounds loses the
framing: a last, fatal Malformed comes out, and the reader is deaf from then on. Between calls it keeps at most the
beginning of one PDU, so never more than `limit_octets`.
"""

from pdu.codec import HEADER, HEADER_OCTETS, decoders
from pdu.pdus import Malformed, Pdu, UnknownPdu
from pdu.status import CommandStatus, PduError

_unpack = HEADER.unpack_from
_LENGTH_OCTETS = 4


class PduReader:
    """One per connection and direction.

    `limit_octets` is the largest command_length taken; the default leaves room for a message_payload of 64 KB.
    """

    def __init__(self, limit_octets: int = 0x12000) -> None:
        self.limit_octets = limit_octets
        self._tail = bytearray()
        self._needed = _LENGTH_OCTETS
        self._lost = False

    @property
    def pending(self) -> bool:
        """Whether the beginning of a PDU is held whose end has not come (the caller times that)."""
        return bool(self._tail)

    def feed(self, octets: bytes) -> list[Pdu]:
        """Takes what a socket gave and returns the PDUs it completes, often none."""
        if self._lost:
            return []
        tail = self._tail
        if tail:
            if len(tail) + len(octets) < self._needed:
                tail += octets
                return []
            octets = b''.join((tail, octets))
            tail.clear()
        found: list[Pdu] = []
        position = self._split(octets, found)
        if position < len(octets):
            self._keep(octets, position, found)
        return found

    def _split(self, octets: bytes, found: list[Pdu]) -> int:
        """Decodes every whole PDU into `found`; returns the position of the first octet it did not use."""
        position, size, limit_octets, find_decoder = 0, len(octets), self.limit_octets, decoders.get
        while size - position >= HEADER_OCTETS:
            command_length, command_id, command_status, sequence_number = _unpack(octets, position)
            end = position + command_length
            if end > size or command_length < HEADER_OCTETS or command_length > limit_octets:
                break
            decoder = find_decoder(command_id)
            if decoder is None:
                found.append(UnknownPdu(sequence_number, command_status, command_id))
            else:
                try:
                    found.append(decoder(octets, position + 16, end, command_status, sequence_number))
                except PduError as error:
                    found.append(
                        Malformed(sequence_number, command_status, command_id, error.command_status, error.text)
                    )
            position = end
        return position

    def _keep(self, octets: bytes, position: int, found: list[Pdu]) -> None:
        """Holds the beginning of a PDU for the next call, once its command_length is seen to be in bounds."""
        held = len(octets) - position
        self._needed = _LENGTH_OCTETS
        if held >= _LENGTH_OCTETS:
            command_length = int.from_bytes(octets[position : position + _LENGTH_OCTETS], 'big')
            if not HEADER_OCTETS <= command_length <= self.limit_octets:
                self._lost = True
                found.append(self._framing_lost(octets, position, command_length))
                return
            self._needed = command_length
        self._tail += octets[position:]

    def _framing_lost(self, octets: bytes, position: int, command_length: int) -> Malformed:
        command_id = command_status = sequence_number = 0
        if len(octets) - position >= HEADER_OCTETS:
            _, command_id, command_status, sequence_number = _unpack(octets, position)
        return Malformed(
            sequence_number,
            command_status,
            received_command_id=command_id,
            error=CommandStatus.ESME_RINVCMDLEN,
            text=f'command_length {command_length} is not within {HEADER_OCTETS} and {self.limit_octets}',
            fatal=True,
        )
