"""One connection to a simulated operator: bind, submits answered, deliver_sm sent within a window.

submit_sm, its response and deliver_sm are read and written by hand, which costs a fifth of the codec; all other PDUs
go through it. A PDU that breaks its own layout closes the connection. What was unanswered when a connection goes
returns to its mailbox.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pdu import pdus
from pdu.codec import decoders, encode
from pdu.command import RESPONSE, CommandId
from pdu.segments import UDHI
from pdu.status import CommandStatus
from perf.numbers import DIGITS, number_of
from perf.operator.behaviour import NACK, SILENT
from perf.operator.mailbox import Mailbox, MoBody
from perf.operator.settings import ReceiptPdu
from perf.stream import PduStream, pack_header

if TYPE_CHECKING:
    from perf.operator.simulator import Operator

_SUBMIT = int(CommandId.SUBMIT_SM)
_NACK = int(CommandId.GENERIC_NACK)
_SUBMIT_RESP = int(CommandId.SUBMIT_SM_RESP)
_DELIVER = int(CommandId.DELIVER_SM)
_DELIVER_RESP = int(CommandId.DELIVER_SM_RESP)
_DATA = int(CommandId.DATA_SM)
_DELIVERED = (_DELIVER_RESP, int(CommandId.DATA_SM_RESP), int(CommandId.GENERIC_NACK))
_BINDS = (CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER, CommandId.BIND_TRANSCEIVER)
_TEMPORARY = frozenset(
    {
        CommandStatus.ESME_RX_T_APPN,
        CommandStatus.ESME_RMSGQFUL,
        CommandStatus.ESME_RTHROTTLED,
        CommandStatus.ESME_RSYSERR,
    }
)
_LAST_SEQUENCE_NUMBER = 0x7FFFFFFF
_SC_INTERFACE_VERSION = 0x0210
_OLDEST_WITH_TLVS = 0x34


class Session(PduStream):
    """The operator's side of one bind."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self.operator = operator
        self.mailbox: Mailbox | None = None
        self.submits = self.receives = False
        self.sequence_number = 0
        self.unanswered = 0
        self._answers: list[bytes] = []
        self._receipts: list[bytes] = []
        self._undelivered: dict[int, bytes] = {}
        self._marks: deque[tuple[float, int]] = deque()
        self._cut = False

    def handle_connected(self) -> None:
        self.operator.sessions.add(self)

    def handle_disconnected(self) -> None:
        operator = self.operator
        operator.sessions.discard(self)
        if self.mailbox is None:
            return
        operator.counters.disconnects += 1
        if self.receives:
            self.receives = False
            self.mailbox.receivers.remove(self)
        operator.counters.receipts_retried += len(self._undelivered)
        self.mailbox.put_back(self._undelivered.values())
        self._undelivered.clear()

    def handle_pdu(
        self, command_id: int, command_status: int, sequence_number: int, octets: bytes, start: int, end: int
    ) -> None:
        if command_id == _SUBMIT:
            self._handle_submit(sequence_number, octets, start, end)
        elif command_id in _DELIVERED:
            body = self._undelivered.pop(sequence_number, None)
            if body is not None:
                self._handle_delivered(body, command_status)
        elif not command_id & RESPONSE:
            self._handle_other(command_id, sequence_number, octets, start, end)

    def _handle_submit(self, sequence_number: int, octets: bytes, start: int, end: int) -> None:
        operator = self.operator
        behaviour, counters = operator.behaviour, operator.counters
        counters.submitted += 1
        if not self.submits:
            self._refuse(sequence_number, CommandStatus.ESME_RINVBNDSTS)
            return
        if behaviour.selective:
            command_status = behaviour.decide(operator.now())
            if command_status != CommandStatus.ESME_ROK:
                self._refuse(sequence_number, command_status)
                return
        counters.accepted += 1
        self.unanswered += 1
        behaviour.next_id = number = behaviour.next_id + 1
        message_id = behaviour.response_format % number
        self._answers.append(pack_header(17 + len(message_id), _SUBMIT_RESP, 0, sequence_number) + message_id + b'\0')
        # 3.4 section 4.4.1: service_type, source and destination with TON and NPI, esm_class, protocol_id,
        # priority_flag, schedule_delivery_time, validity_period, registered_delivery and what follows it.
        find = octets.index
        source = find(0, start, end) + 1
        destination = find(0, source + 2, end) + 1
        rest = find(0, destination + 2, end) + 1
        registered = find(0, find(0, rest + 3, end) + 1, end) + 1
        if octets[registered] & 3:
            counters.receipts_wanted += 1
            if not behaviour.add_receipts(
                self._receipts, number, octets[registered], octets[source:destination], octets[destination:rest]
            ):
                counters.receipts_dropped += 1
        tally, text = operator.tally, registered + 5
        is_first = True
        if octets[rest] & UDHI:  # of a concatenated message, the first segment has the number
            text += 1 + octets[text]
            is_first = octets[text - 1] == 1
        if tally is not None and is_first:
            try:
                if octets[registered + 4] < DIGITS:
                    raise ValueError
                tally.count(number_of(octets, text, octets[registered + 2]))
            except ValueError:
                tally.unnumbered += 1
        every = operator.settings.disconnect_every
        if every and counters.accepted % every == 0:
            self._cut = True

    def _refuse(self, sequence_number: int, command_status: int) -> None:
        counters = self.operator.counters
        if command_status == SILENT:
            counters.silent += 1
            return
        settings = self.operator.settings
        self.unanswered += 1
        if command_status == NACK:
            counters.nacked += 1
            self._answers.append(pack_header(16, _NACK, CommandStatus.ESME_RINVCMDID, sequence_number))
            return
        if command_status == settings.throttle_status:
            counters.throttled += 1
        counters.refused += 1
        body = b'\0' if settings.error_body else b''
        self._answers.append(pack_header(16 + len(body), _SUBMIT_RESP, command_status, sequence_number) + body)

    def _handle_delivered(self, body: bytes, command_status: int) -> None:
        operator = self.operator
        counters, mo = operator.counters, type(body) is MoBody
        if command_status == CommandStatus.ESME_ROK:
            if mo:
                counters.mo_acked += 1
            else:
                counters.receipts_acked += 1
        elif command_status in _TEMPORARY:
            counters.receipts_retried += 1
            operator.retries.add((self.mailbox, [body]))
        elif mo:
            counters.mo_refused += 1
        else:
            counters.receipts_refused += 1

    def _handle_other(self, command_id: int, sequence_number: int, octets: bytes, start: int, end: int) -> None:
        if command_id in _BINDS:
            self._handle_bind(command_id, sequence_number, octets, start, end)
        elif command_id == CommandId.ENQUIRE_LINK:
            self.out.append(encode(pdus.EnquireLinkResp(sequence_number)))
        elif command_id == CommandId.UNBIND:
            self.out.append(encode(pdus.UnbindResp(sequence_number)))
            self._send_answers()
            self.flush()
            self.transport.close()
        else:
            self.out.append(encode(pdus.GenericNack(sequence_number, CommandStatus.ESME_RINVCMDID)))

    def _handle_bind(self, command_id: int, sequence_number: int, octets: bytes, start: int, end: int) -> None:
        operator = self.operator
        request = decoders[command_id](octets, start, end, 0, sequence_number)
        assert isinstance(request, pdus.Bind)
        status = operator.credentials.check(request.system_id, request.password)
        if self.mailbox is not None:
            status = CommandStatus.ESME_RALYBND
        response = pdus.CLASSES[command_id | RESPONSE](sequence_number, status)
        assert isinstance(response, pdus.BindResp)
        if status == CommandStatus.ESME_ROK:
            response.system_id = operator.settings.name.encode()
            if request.interface_version >= _OLDEST_WITH_TLVS:
                response.tlvs = ((_SC_INTERFACE_VERSION, bytes([_OLDEST_WITH_TLVS])),)
        self.out.append(encode(response))
        if status == CommandStatus.ESME_ROK:
            operator.counters.binds += 1
            self.submits = command_id != CommandId.BIND_RECEIVER
            self.receives = command_id != CommandId.BIND_TRANSMITTER
            self.mailbox = operator.mailbox(request.system_id)
            if self.receives:
                self.mailbox.receivers.append(self)
        elif self.mailbox is None:
            operator.counters.refused_binds += 1
            self.flush()
            self.transport.close()

    def handle_batch_end(self) -> None:
        operator = self.operator
        if self._cut:
            self._cut = False
            self.transport.abort()
            self._receipts, receipts = [], self._receipts
            self._answers.clear()
            self._post(receipts)
            return
        if self.unanswered > operator.counters.max_outstanding:
            operator.counters.max_outstanding = self.unanswered
        if self._answers:
            self._send_answers()
        if self.receives and self.mailbox is not None and self.mailbox.waiting:
            self.pull()
        self.flush()

    def _send_answers(self) -> None:
        """Sends, or sets aside for their delay, the answers to the submits of one read, and their receipts."""
        operator = self.operator
        answers, receipts = self._answers, self._receipts
        self._answers, self._receipts = [], []
        if operator.settings.receipt_first:
            self._post(receipts)
            receipts = []
        if operator.settings.response_delay_ms:
            operator.responses.add((self, answers, receipts))
        else:
            self.send(answers, receipts)

    def send(self, answers: list[bytes], receipts: list[bytes]) -> None:
        """Writes answers, then lets their receipts go their way."""
        self.unanswered -= len(answers)
        if self.connected:
            self.operator.counters.answered += len(answers)
            self.out.extend(answers)
            if not self.receives:
                self.flush()
        if receipts:
            self._post(receipts)
        self.flush()

    def _post(self, receipts: list[bytes]) -> None:
        if self.mailbox is not None and receipts:
            self.operator.post(self.mailbox, receipts, self)

    def pull(self) -> None:
        """Sends deliver_sm from the mailbox until it is empty, the window full, or the peer slow to read."""
        if self.mailbox is None or not self.writable or self.transport.is_closing():
            return
        undelivered, out, waiting = self._undelivered, self.out, self.mailbox.waiting
        settings = self.operator.settings
        receipt_in = _DATA if settings.receipt_in == ReceiptPdu.DATA_SM else _DELIVER
        room = min(settings.deliver_window - len(undelivered), len(waiting))
        if room <= 0:
            return
        sequence_number = self.sequence_number
        if sequence_number + room > _LAST_SEQUENCE_NUMBER:
            sequence_number = 0
        take, mo = waiting.popleft, 0
        for _ in range(room):
            body = take()
            sequence_number += 1
            undelivered[sequence_number] = body
            command_id = receipt_in
            if type(body) is MoBody:
                command_id = _DELIVER
                mo += 1
            out.append(pack_header(16 + len(body), command_id, 0, sequence_number) + body)
        self.sequence_number = sequence_number
        self.operator.counters.mo_sent += mo
        self.operator.counters.receipts_sent += room - mo
        self.flush()

    def handle_second(self, now: float, enquire: bool) -> None:
        """Once a second: gives back what was not answered in time, and enquires when told to."""
        marks = self._marks
        if self._undelivered or marks:
            marks.append((now + self.operator.settings.deliver_timeout_s, self.sequence_number))
        while marks and marks[0][0] <= now:
            self._give_back(marks.popleft()[1])
        if enquire and self.mailbox is not None:
            self.sequence_number = self.sequence_number % _LAST_SEQUENCE_NUMBER + 1
            self.out.append(encode(pdus.EnquireLink(self.sequence_number)))
            self.flush()

    def _give_back(self, last: int) -> None:
        """Returns to the mailbox what went out with sequence_numbers up to `last`."""
        late: list[int] = []
        for sequence_number in self._undelivered:
            if sequence_number > last:
                break
            late.append(sequence_number)
        if late and self.mailbox is not None:
            self.operator.counters.receipts_retried += len(late)
            self.mailbox.put_back([self._undelivered.pop(sequence_number) for sequence_number in late])
