"""An account at work: its sessions, its limits, and what it is owed: receipts and MO messages, until it acknowledges.

A receipt goes to any session of the account that may receive. Acknowledged, it is closed; refused for good, or older
than the account keeps receipts, it is given up; refused for now, it comes again after a back-off; unanswered, it goes
to the next session at once (wire.md E9 to E12).
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from domain.message import Kind, Message, Notice
from pdu.pdus import DeliverSmResp, Pdu
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus, PduError
from smpp.aio.connection import Connection
from smpp.states import RECEIVING
from smsc.clock import wall_ms
from smsc.config.schema import AccountConfig
from smsc.core import HOUR_MS, Core
from smsc.feed import Feed
from smsc.limits import Rate
from smsc.outbox import Outbox
from smsc.receipt_pdu import mo_message, receipt

if TYPE_CHECKING:
    from smsc.esme import EsmeSession

RETRY_FIRST_MS = 5_000
RETRY_LAST_MS = 300_000
DEFAULT_KEEP_H = 72
TEMPORARY = frozenset(
    int(status)
    for status in (
        CommandStatus.ESME_RX_T_APPN,
        CommandStatus.ESME_RMSGQFUL,
        CommandStatus.ESME_RTHROTTLED,
        CommandStatus.ESME_RSYSERR,
    )
)
"""What an ESME says when it will take the same deliver_sm later; every other error is for good."""


class Account:
    """One account; without a configuration it only holds what messages of a removed account still have to come."""

    def __init__(self, core: Core, name: str, config: AccountConfig | None) -> None:
        self.core = core
        self.name = name
        self.sessions: set[EsmeSession] = set()
        self.waiting = 0
        self.accepted = 0
        self.answers: dict[int, int] = defaultdict(int)
        self.delivered: dict[int, int] = defaultdict(int)
        self.given_up = 0
        self.rate = Rate(0, 0, core.loop.time())
        outbox = Outbox(f'account {name}', core.configuration.queues.memory, core.shelf)
        self.feed = Feed(outbox, RECEIVING, self._send, core.loop, core.readers)
        self.configure(config)

    def configure(self, config: AccountConfig | None) -> None:
        """Go on with this configuration; sessions stay."""
        self.config = config
        self.validity_ms = (config.validity_h if config else DEFAULT_KEEP_H) * HOUR_MS
        self.keep_ms = (config.receipts.keep_h if config else DEFAULT_KEEP_H) * HOUR_MS
        if config:
            self.rate.change(config.rate_per_s, config.rate_per_s)

    def _send(self, connection: Connection, message: Message, now_ms: int) -> bool:
        """Put a receipt or an MO message into a session; False when its time has run out or it has no wire form."""
        is_receipt = message.kind == Kind.MT
        if (message.done_at + self.keep_ms if is_receipt else message.expires_at) <= now_ms:
            self.give_up(message)
            return False
        try:
            if is_receipt:
                connection.session.request(receipt(message, self.config), message)
            else:
                connection.session.request(mo_message(message), message)
        except PduError:
            self.give_up(message)
            return False
        return True

    def handle_responses(self, connection: Connection, responses: list[tuple[Any, Pdu]]) -> None:
        """Take an ESME's deliver_sm_resp in."""
        freed = 0
        closing = self.core.closing.items
        for message, pdu in responses:
            status = pdu.command_status
            self.delivered[status] += 1
            if not status and pdu.__class__ is DeliverSmResp:
                message.notice = Notice.ACKNOWLEDGED
                if message.kind == Kind.MO:
                    message.state = MessageState.DELIVERED
                closing.append((connection, message))
            elif status in TEMPORARY:
                freed += 1
                self._again_later(message)
            else:
                self._refused(connection, message, status or int(CommandStatus.ESME_RUNKNOWNERR))
        self.core.closing.kick()
        if freed:
            self.core.release({connection: freed})

    def handle_unanswered(self, connection: Connection, messages: list[Message]) -> None:
        """These got no response: they go to the next session, or to the same again."""
        self.feed.outbox.put_back(messages)
        self.core.release({connection: len(messages)})

    def give_up(self, message: Message) -> None:
        """Stop trying to deliver a receipt or an MO message."""
        self.given_up += 1
        self._refused(None, message, 0)
        self.core.closing.kick()

    def _refused(self, connection: Connection | None, message: Message, status: int) -> None:
        message.notice = Notice.GIVEN_UP
        message.error = status
        if message.kind == Kind.MO:
            message.state = MessageState.REJECTED if status else MessageState.EXPIRED
        self.core.closing.items.append((connection, message))

    def _again_later(self, message: Message) -> None:
        delay_ms = min(RETRY_FIRST_MS * 2 ** min(message.attempts, 10), RETRY_LAST_MS)
        message.attempts += 1
        self.feed.outbox.defer(message, wall_ms() + delay_ms)
