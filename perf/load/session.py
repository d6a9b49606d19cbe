"""One connection of a load: bind, submits within the window, receipts acknowledged as they come.

The PDUs of the traffic are read and written by hand, the others by the codec. `bound` ends with the outcome of the
bind: nothing, or a BindRefused; OSError when the connection goes first.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pdu import pdus
from pdu.codec import decoders, encode
from pdu.command import RESPONSE, CommandId
from pdu.status import CommandStatus, status_name
from perf.stream import PduStream, pack_header

if TYPE_CHECKING:
    from perf.load.generator import Load

_SUBMIT_RESP = int(CommandId.SUBMIT_SM_RESP)
_DELIVER = int(CommandId.DELIVER_SM)
_DELIVER_RESP = int(CommandId.DELIVER_SM_RESP)
_LAST_SEQUENCE_NUMBER = 0x7FFFFFFF
_MESSAGE_TYPE = 0x3C
_RECEIPT = 0x04
_STATE = b' stat:'


class BindRefused(Exception):
    """The SMSC answered a bind with another status than ESME_ROK."""

    def __init__(self, command_status: int) -> None:
        super().__init__(status_name(command_status))


class LoadSession(PduStream):
    """The ESME's side of one bind."""

    def __init__(self, load: Load, request: pdus.Bind) -> None:
        super().__init__()
        self.bound: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.submits = False
        self.outstanding: dict[int, int] = {}
        self.request = request
        self._load = load
        self._sequence_number = request.sequence_number
        self._now = 0.0
        self._ending = False

    def handle_connected(self) -> None:
        self.transport.write(encode(self.request))

    def handle_disconnected(self) -> None:
        self.submits = False
        ledger = self._load.ledger
        if not self._ending:
            for offset in self.outstanding.values():
                ledger.lose(offset)
            self.outstanding.clear()
        if not self.bound.done():
            self.bound.set_exception(ConnectionResetError('the connection went before the bind was answered'))
        else:
            self._load.handle_lost(self, self._ending)

    def data_received(self, data: bytes) -> None:
        self._now = time.monotonic()
        super().data_received(data)

    def handle_pdu(
        self, command_id: int, command_status: int, sequence_number: int, octets: bytes, start: int, end: int
    ) -> None:
        if command_id == _DELIVER:
            self.out.append(pack_header(17, _DELIVER_RESP, 0, sequence_number) + b'\0')
            self._handle_deliver(octets, start, end)
        elif command_id == _SUBMIT_RESP:
            offset = self.outstanding.pop(sequence_number, None)
            ledger = self._load.ledger
            if offset is None:
                ledger.stray_responses += 1
            else:
                ledger.answer(offset, command_status, octets[start : end - 1], self._now)
        elif command_id & RESPONSE:
            self._handle_response(command_id, command_status, sequence_number)
        else:
            self._handle_request(command_id, sequence_number)

    def _handle_deliver(self, octets: bytes, start: int, end: int) -> None:
        """A receipt or an MO message: 3.4 section 4.6.1, the text of a receipt by appendix B."""
        find, load = octets.index, self._load
        source = find(0, start, end) + 3
        source_end = find(0, source, end)
        esm_class = find(0, source_end + 3, end) + 1
        if octets[esm_class] & _MESSAGE_TYPE != _RECEIPT:
            load.ledger.mo += 1
            return
        message_id = find(b'id:', esm_class, end) + 3
        message_id_end = find(b' ', message_id, end)
        state = find(_STATE, message_id_end, end) + len(_STATE)
        load.ledger.receive(
            load.offset_of(octets[source:source_end]),
            octets[message_id:message_id_end],
            octets[state : state + 7],
            self._now,
        )

    def _handle_response(self, command_id: int, command_status: int, sequence_number: int) -> None:
        if command_id == self.request.command_id | RESPONSE and not self.bound.done():
            if command_status == CommandStatus.ESME_ROK:
                self.submits = command_id != CommandId.BIND_RECEIVER_RESP
                self.bound.set_result(None)
            else:
                self.bound.set_exception(BindRefused(command_status))
                self.transport.close()
        elif command_id == CommandId.UNBIND_RESP:
            self.transport.close()
        elif command_id == CommandId.GENERIC_NACK and sequence_number in self.outstanding:
            self._load.ledger.answer(self.outstanding.pop(sequence_number), command_status, b'', self._now)

    def _handle_request(self, command_id: int, sequence_number: int) -> None:
        if command_id == CommandId.ENQUIRE_LINK:
            self.out.append(encode(pdus.EnquireLinkResp(sequence_number)))
        elif command_id == CommandId.UNBIND:
            self.out.append(encode(pdus.UnbindResp(sequence_number)))
            self.flush()
            self.transport.close()
        elif command_id in decoders:
            self.out.append(encode(pdus.GenericNack(sequence_number, CommandStatus.ESME_RINVCMDID)))

    def handle_batch_end(self) -> None:
        self._load.handle_batch_end(self)
        self.flush()

    @property
    def room(self) -> int:
        """Submits that the window has room for."""
        if not self.submits or not self.writable or self._ending:
            return 0
        return self._load.settings.window - len(self.outstanding)

    def submit(self, count: int, now: float) -> None:
        """Writes the next `count` messages of the load, which the window must have room for."""
        load = self._load
        first_number, write = load.settings.first_number, load.template.write
        outstanding, out = self.outstanding, self.out
        sequence_number = self._sequence_number
        if sequence_number + count > _LAST_SEQUENCE_NUMBER:
            sequence_number = 0
        first = load.ledger.submit(count, now)
        for offset in range(first, first + count):
            sequence_number += 1
            outstanding[sequence_number] = offset
            out.append(write(sequence_number, first_number + offset))
        self._sequence_number = sequence_number
        self.flush()

    def end(self) -> None:
        """Unbinds; the connection closes when that is answered."""
        self._ending = True
        if self.connected and not self.transport.is_closing():
            self._sequence_number = self._sequence_number % _LAST_SEQUENCE_NUMBER + 1
            self.out.append(encode(pdus.Unbind(self._sequence_number)))
            self.flush()
