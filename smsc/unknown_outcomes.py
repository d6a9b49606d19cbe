"""Submits of one upstream without a response: whether the operator took them is unknown.

As the upstream's `unknown_outcome` says, they are sent again, once the mark that they may come twice is committed; or
they wait for a late response, until their validity ends; or they end. A late response settles what has not been sent
again yet; to what has, it adds a second id by which receipts may come (wire.md F8).
"""

from typing import TYPE_CHECKING, Any

from domain.message import Message, Part
from pdu.pdus import Pdu, SubmitSmResp
from pdu.receipt_text import MessageState
from smpp.aio.connection import Connection

if TYPE_CHECKING:
    from smsc.upstream import Upstream

HELD_BOUND = 10_000  # submits that may wait for a late response; beyond, they end
Item = Message | Part


class UnknownOutcomes:
    """Those of one upstream."""

    def __init__(self, upstream: 'Upstream') -> None:
        self.count = 0
        self.late = 0
        self.held: dict[tuple[int, int], Item] = {}  # waiting for a late response
        self._upstream = upstream
        self._core = upstream.core
        self._marking: dict[tuple[int, int], Item] = {}  # in the stage `repeating`

    def handle(self, connection: Connection, items: list[Item]) -> None:
        """These got no response by a connection; the slots they held are free."""
        self.count += len(items)
        policy = self._upstream.config.unknown_outcome
        for item in items:
            if policy == 'resend':
                message_of(item).repeated = True
                self._marking[_key(item)] = item
                self._core.repeating.items.append((self._upstream, item))
            elif policy == 'hold' and len(self.held) < HELD_BOUND:
                self.held[_key(item)] = item
            else:
                self._end(item, MessageState.UNDELIVERABLE if policy == 'fail' else MessageState.UNKNOWN)
        connection.session.window.release(len(items))
        self._core.repeating.kick()

    def items(self) -> list[Item]:
        """Return what is to be sent again, or waits for a late response."""
        return [*self._marking.values(), *self.held.values()]

    def handle_marked(self, item: Item) -> bool:
        """The mark of what is to be sent again is committed, or not needed; return whether it has not been settled."""
        return self._marking.pop(_key(item), None) is item

    def handle_late(self, late: list[tuple[Any, Pdu]]) -> None:
        """Responses came after all."""
        upstream = self._upstream
        for item, pdu in late:
            self.late += 1
            if self.held.pop(_key(item), None) is not None:
                upstream.answering.handle(None, [(item, pdu)])
            elif pdu.command_status or not isinstance(pdu, SubmitSmResp):
                continue
            elif message_of(item).state == MessageState.ENROUTE:
                if self._take_back(item):
                    upstream.answering.handle(None, [(item, pdu)])
                else:
                    self._note_second_id(item, pdu.message_id)
        self._core.sending.kick()

    def handle_receipt(self, message: Message, number: int) -> None:
        """A receipt tells of a segment that has been sent twice: it is not sent once more."""
        key = message.id, number
        part = self._marking.pop(key, None) or self.held.pop(key, None)
        if isinstance(part, Part):
            self._upstream.long_messages.handle_taken(part)
        else:
            self._upstream.long_messages.take_out(message, number)

    def tick(self, now_ms: int) -> None:
        """End what has waited for a late response until its validity ended."""
        for key, item in list(self.held.items()):
            if message_of(item).expires_at <= now_ms:
                del self.held[key]
                self._end(item, MessageState.UNKNOWN)

    def end_held(self) -> None:
        """No late response will come any more to what waits for one: its outcome stays unknown."""
        for item in self.held.values():
            self._end(item, MessageState.UNKNOWN)
        self.held.clear()

    def _end(self, item: Item, state: int) -> None:
        if isinstance(item, Part):
            self._upstream.long_messages.end(item, state)
        else:
            self._core.count_sent(item)
            self._core.finish(item, state)

    def _take_back(self, item: Item) -> bool:
        """Return whether something was to be sent again, and is not any more."""
        if self.handle_marked(item):
            return True
        if isinstance(item, Part):
            return self._upstream.long_messages.take_back(item)
        return self._upstream.feed.outbox.withdraw(item)

    def _note_second_id(self, item: Item, message_id: bytes) -> None:
        """What was sent again has two ids from now on: a receipt may come for either."""
        upstream = self._upstream
        number, total = (item.number, item.total) if isinstance(item, Part) else (1, 1)
        upstream_message_id = upstream.canonical_response(message_id)
        second = Part(message_of(item), number, total, None, upstream.name, upstream_message_id, second=True)
        upstream.sent.setdefault(upstream_message_id, second)
        self._core.sending.items.append((None, upstream, second))


def message_of(item: Item) -> Message:
    """Return the message itself, or that of a segment."""
    return item.message if isinstance(item, Part) else item


def _key(item: Item) -> tuple[int, int]:
    return item.id, item.number if isinstance(item, Part) else 0
