"""What a simulated operator decides about a submit_sm and how it words it: statuses, message_ids, receipts.

No I/O; time is an argument. Chance comes from one seeded generator, so a run repeats itself when its input does.
"""

import random
import time
from datetime import UTC, datetime

import msgspec

from pdu import receipt_text
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from perf.operator.settings import IdStyle, OperatorSettings

SILENT = -1
"""A decision in the place of a command_status: no answer at all."""
NACK = -2
"""The same: generic_nack."""

# Milliseconds since 2025, and three digits for the messages of one of them: above every number of an earlier run, and
# of at most twelve hexadecimal digits, as a UUID's last group has, until 2033.
_EPOCH_MS = 1_735_689_600_000

_FORMATS = {
    IdStyle.DECIMAL: (b'%d', b'%d'),
    IdStyle.HEX: (b'%x', b'%x'),
    IdStyle.HEX_DECIMAL: (b'%x', b'%d'),
    IdStyle.DECIMAL_HEX: (b'%d', b'%x'),
    IdStyle.HEX_UPPER: (b'%x', b'%X'),
    IdStyle.HEX_PADDED: (b'%X', b'%016x'),
    IdStyle.DECIMAL_PADDED: (b'%d', b'%020d'),
    IdStyle.DECIMAL_SPACED: (b'%d', b' %d '),
    IdStyle.LONG: (b'98765432109876543210%d', b'98765432109876543210%d'),
    IdStyle.UUID: (b'5e5c0000-0000-4000-8000-%012x', b'5e5c0000-0000-4000-8000-%012x'),
    IdStyle.UUID_BARE: (b'5e5c0000-0000-4000-8000-%012x', b'5E5C0000000040008000%012X'),
}

# deliver_sm without its header (3.4 section 4.6.1): service_type, both addresses, esm_class 4 that makes it a receipt,
# eight empty fields, sm_length, text.
_RECEIPT = b'\0%b%b\4\0\0\0\0\0\0\0\0%cid:%b%b'
_RECEIPT_KEY_OCTETS = len(b'id:')
_ANY, _FAILURE, _SUCCESS = 1, 2, 3


class Behaviour:
    """The decisions of one operator."""

    def __init__(self, settings: OperatorSettings) -> None:
        self.settings = settings
        self.next_id = (time.time_ns() // 1_000_000 - _EPOCH_MS) * 1000
        self.response_format, self.receipt_format = _FORMATS[settings.id_style]
        self.selective = bool(
            settings.errors or settings.silent_percent or settings.nack_percent or settings.rate_per_s
        )
        self.undelivered = 0
        self.chance = random.Random(settings.seed)
        self._random = self.chance.random
        self._tokens = settings.rate_per_s
        self._tokens_at = 0.0
        self._delivers_all = not settings.undelivered_percent and settings.receipt_percent >= 100
        self._delivered = self._undelivered = self.date = b''

    def decide(self, now: float) -> int:
        """The command_status for a submit_sm that came at `now`, seconds; SILENT; NACK. Asked only when `selective`."""
        settings = self.settings
        if settings.rate_per_s and not self._within_rate(now):
            return settings.throttle_status
        if not settings.errors and not settings.silent_percent and not settings.nack_percent:
            return CommandStatus.ESME_ROK
        chance = self._random() * 100
        if chance < settings.silent_percent:
            return SILENT
        chance -= settings.silent_percent
        if chance < settings.nack_percent:
            return NACK
        chance -= settings.nack_percent
        for command_status, percent in settings.errors.items():
            if chance < percent:
                return command_status
            chance -= percent
        return CommandStatus.ESME_ROK

    def _within_rate(self, now: float) -> bool:
        rate_per_s = self.settings.rate_per_s
        self._tokens = min(rate_per_s, self._tokens + (now - self._tokens_at) * rate_per_s)
        self._tokens_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def add_receipts(
        self, receipts: list[bytes], number: int, registered_delivery: int, source: bytes, destination: bytes
    ) -> bool:
        """Adds the body of the receipt for a message; returns False when none is wanted or it is to be lost.

        `source` and `destination` are the submit's: TON, NPI, address and its NUL. registered_delivery is that of 3.4
        section 5.2.17 with 5.0's success only.
        """
        rest = self._delivered
        if registered_delivery != _ANY or not self._delivers_all:
            state = self.final_state(registered_delivery)
            if state is None:
                return False
            if state != MessageState.DELIVERED:
                rest = self._undelivered
        message_id = self.receipt_format % number
        size = _RECEIPT_KEY_OCTETS + len(message_id) + len(rest)
        receipts.append(_RECEIPT % (destination, source, size, message_id, rest))
        return True

    def final_state(self, registered_delivery: int) -> MessageState | None:
        """What becomes of a message; None when its ESME is not to hear of it."""
        settings = self.settings
        state = MessageState.DELIVERED
        if settings.undelivered_percent and self._random() * 100 < settings.undelivered_percent:
            state = MessageState.UNDELIVERABLE
            self.undelivered += 1
        wanted = registered_delivery & 3
        if wanted == (_FAILURE if state == MessageState.DELIVERED else _SUCCESS):
            return None
        if settings.receipt_percent < 100 and self._random() * 100 >= settings.receipt_percent:
            return None
        return state

    def refresh_dates(self) -> None:
        """Brings the dates of the receipts to the present minute; to be called once a second."""
        self.date = date = receipt_text.format_date(datetime.now(UTC))
        self._delivered, self._undelivered = (
            receipt_text.format(b'', state, date, date, error).removeprefix(b'id:')
            for state, error in ((MessageState.DELIVERED, b'000'), (MessageState.UNDELIVERABLE, b'001'))
        )


class Credentials(msgspec.Struct, frozen=True):
    """Who may bind."""

    system_id: bytes
    password: bytes

    def check(self, system_id: bytes, password: bytes) -> CommandStatus:
        """The command_status of a bind response."""
        if self.system_id and system_id != self.system_id:
            return CommandStatus.ESME_RINVSYSID
        if self.password and password != self.password:
            return CommandStatus.ESME_RINVPASWD
        return CommandStatus.ESME_ROK
