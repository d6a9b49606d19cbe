"""What quirky operators do that plain ones do not: receipts of every shape, responses late or in disorder, deafness.

Used instead of the plain behaviour and session as soon as one such setting asks for it, so that plain operators stay
fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdu import pdus, tlvs
from pdu.codec import HEADER_OCTETS, encode
from pdu.command import CommandId
from pdu.receipt_text import WORDS, MessageState, state_of
from pdu.status import CommandStatus
from perf.operator.behaviour import Behaviour
from perf.operator.session import Session
from perf.operator.settings import ReceiptPdu

if TYPE_CHECKING:
    from perf.operator.simulator import Operator

_DELIVER_RESP = int(CommandId.DELIVER_SM_RESP)
_TOO_LONG = b'\x04\x27\x00\x50\x02'  # message_state of 80 octets, of which one is there
_WRONG_SIZE = b'\x04\x27\x00\x03\x02\x02\x02'  # message_state of three octets


class Misshapen(bytes):
    """The body of a receipt with a wrong length; `right` is the same as it should be."""

    right: bytes


class QuirkyBehaviour(Behaviour):
    """Receipts as the settings word them."""

    def add_receipts(
        self, receipts: list[bytes], number: int, registered_delivery: int, source: bytes, destination: bytes
    ) -> bool:
        final = self.final_state(registered_delivery)
        if final is None:
            return False
        words = self.settings.receipt_states
        for state in [state_of(word.encode()) for word in words.split(',')] if words else [final]:
            body = self._body(number, state, source, destination)
            if self.chance.random() * 100 < self.settings.misshapen_percent:
                body = self._misshape(body, number)
            receipts.append(body)
        return True

    def _body(self, number: int, state: MessageState, source: bytes, destination: bytes) -> bytes:
        """The body of one receipt, which goes from the submit's destination to its source."""
        settings = self.settings
        message_id = self.receipt_format % number
        pdu = pdus.DataSm() if settings.receipt_in == ReceiptPdu.DATA_SM else pdus.DeliverSm()
        pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr = destination[0], destination[1], destination[2:-1]
        pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr = source[0], source[1], source[2:-1]
        pdu.esm_class = settings.receipt_esm_class
        text = self._text(message_id, state)
        if settings.receipt_tlvs:
            pdu.tlvs = (
                tlvs.make(tlvs.Tag.RECEIPTED_MESSAGE_ID, message_id),
                tlvs.make(tlvs.Tag.MESSAGE_STATE, int(state)),
            )
        if isinstance(pdu, pdus.DeliverSm):
            pdu.short_message = text
        elif text:
            pdu.tlvs += (tlvs.make(tlvs.Tag.MESSAGE_PAYLOAD, text),)
        return encode(pdu)[HEADER_OCTETS:]

    def _text(self, message_id: bytes, state: MessageState) -> bytes:
        word, date, delivered = WORDS[state].decode(), self.date.decode(), state == MessageState.DELIVERED
        return self.settings.receipt_template.format(
            id=message_id.decode(),
            delivered='001' if delivered else '000',
            date=date,
            long_date=date + '00',
            state=word,
            lower_state=word.lower(),
            error='000' if delivered else '001',
        ).encode('latin-1')

    @staticmethod
    def _misshape(right: bytes, number: int) -> Misshapen:
        """One of three: a TLV past the end, a TLV of a wrong size, octets that are cut off at the end."""
        kinds = (right + _TOO_LONG, right + _WRONG_SIZE, right[:-5])
        body = Misshapen(kinds[number % len(kinds)])
        body.right = right
        return body


class QuirkySession(Session):
    """One bind of a quirky operator."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(operator)
        self._settings = operator.settings

    def handle_pdu(
        self, command_id: int, command_status: int, sequence_number: int, octets: bytes, start: int, end: int
    ) -> None:
        operator = self.operator
        if operator.is_mute:
            return
        if self._settings.wants_body and command_id == _DELIVER_RESP and octets[start:end] != b'\0':
            operator.counters.bad_responses += 1
            return
        super().handle_pdu(command_id, command_status, sequence_number, octets, start, end)
        after = self._settings.mute_after
        if after and operator.counters.accepted >= after:
            operator.mute()

    def _handle_delivered(self, body: bytes, command_status: int) -> None:
        if isinstance(body, Misshapen) and command_status != CommandStatus.ESME_ROK:
            self.operator.counters.misshapen += 1
            self.operator.retries.add((self.mailbox, [body.right]))
            return
        super()._handle_delivered(body, command_status)

    def _send_answers(self) -> None:
        if self._settings.shuffle:
            self.operator.behaviour.chance.shuffle(self._answers)
        if self._settings.late_percent:
            self._set_aside()
        super()._send_answers()

    def _set_aside(self) -> None:
        """Keeps those answers back that are to come late; their receipts do not wait for them."""
        operator, percent = self.operator, self._settings.late_percent
        late = [answer for answer in self._answers if operator.behaviour.chance.random() * 100 < percent]
        if late:
            operator.counters.late += len(late)
            self._answers = [answer for answer in self._answers if answer not in late]
            operator.late.add((self, late, []))

    def pull(self) -> None:
        if not self.operator.is_mute:
            super().pull()

    def handle_second(self, now: float, enquire: bool) -> None:
        if not self.operator.is_mute:
            super().handle_second(now, enquire)
            self.pull()
