"""What one upstream is sent: a message as a submit_sm of its form, put into the session of one of its links.

A message that ran out of time, ended while it waited, or has no form that the upstream can take, is not sent: it ends.
One that takes several segments, or another form than the account gave it: `smsc.long_messages`. Nothing is sent twice
here; what comes of it is for `smsc.answering` and `smsc.unknown_outcomes`.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from domain.message import Message, Notice, Part
from pdu.pdus import SubmitSm
from pdu.receipt_text import MessageState
from pdu.segments import UDHI
from pdu.status import PduError
from pdu.times import format_relative
from smpp.aio.connection import Connection
from smsc.long_messages import RECEIPT_WANTED
from smsc.sending_hours import may_leave
from smsc.wire_forms import is_plain

if TYPE_CHECKING:
    from smsc.upstream import Upstream

log = structlog.get_logger()

ENROUTE = int(MessageState.ENROUTE)
REGISTERED_MASK = 0xFC  # bits of registered_delivery that go through as they are, SMPP 3.4 section 5.2.17


class Submitting:
    """The submits of one upstream; `count` are those put into sessions."""

    def __init__(self, upstream: 'Upstream') -> None:
        self.count = 0
        self._upstream = upstream
        self._core = upstream.core

    def configure(self) -> None:
        """Go on with the configuration and the form that the upstream has now."""
        upstream = self._upstream
        config = upstream.config
        self._always_registered = config.registered_delivery == 'always'
        self._plain_octets = upstream.form.plain_octets
        accounts = self._core.configuration.accounts.values()
        self._looks_closer = upstream.hop_tag is not None or any(
            account.alphabet != config.alphabet for account in accounts
        )

    def send(self, connection: Connection, message: Message, now_ms: int) -> bool:
        """Put a submit_sm into a session; False when the message has run out of time or went elsewhere."""
        if message.expires_at <= now_ms or message.state != ENROUTE:
            self.drop(message)
            return False
        if 0 < message.closes_at <= now_ms and not may_leave(self._upstream, message, now_ms):
            return False
        pdu: Any = message.pdu  # a SubmitSm: only MT messages come here
        wanted = 1 if message.registered_delivery & RECEIPT_WANTED or self._always_registered else 0
        pdu.registered_delivery = message.registered_delivery & REGISTERED_MASK | wanted
        if pdu.validity_period or pdu.schedule_delivery_time:
            pdu.schedule_delivery_time = b''
            if pdu.validity_period:
                pdu.validity_period = _remaining(message.expires_at, now_ms)
        if (
            pdu.tlvs
            or len(pdu.short_message) > self._plain_octets[pdu.data_coding]
            or pdu.esm_class & UDHI
            or self._looks_closer
        ):
            upstream = self._upstream
            config = self._core.account(message.account).config
            alphabet = config.alphabet if config else 'gsm'
            if upstream.hop_tag is not None or not is_plain(pdu, alphabet, upstream.form):
                return upstream.long_messages.send(connection, message, alphabet, now_ms)
        try:  # what `request` does, without a call for each message
            connection.session.request(pdu, message)
        except PduError as error:
            self.reject(message, error)
            return False
        self.count += 1
        return True

    def request(self, connection: Connection, pdu: SubmitSm, item: Message | Part) -> bool:
        """Put a PDU into a session; False when it has no wire form, and its message ends."""
        try:
            connection.session.request(pdu, item)
        except PduError as error:
            self.reject(item.message if isinstance(item, Part) else item, error)
            return False
        self.count += 1
        return True

    def reject(self, message: Message, error: PduError) -> None:
        """End a message that has no form this upstream can take."""
        log.warning('message.unencodable', message_id=message.id, upstream=self._upstream.name, error=str(error))
        self._core.reject(message, error.command_status)

    def drop(self, message: Message) -> None:
        """Send a message no more that ran out of time, or has ended while it waited."""
        core = self._core
        if message.state == MessageState.ENROUTE:
            core.expire(message)
            return
        core.count_sent(message)
        if message.notice == Notice.DUE and message.id not in core.live:  # else its receipt is on its way
            core.account(message.account).feed.outbox.put_on_disk(message)
        elif message.stored_wait:  # its place on disk goes with the outcome, which it has already
            core.finish(message, message.state, message.error)


def _remaining(expires_at: int, now_ms: int) -> bytes:
    """Return what is left of a message's validity as a relative time (wire.md C21)."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return format_relative(now + timedelta(milliseconds=expires_at - now_ms), now)
