"""Values between the store and its callers, and rows of table `message` as messages and back."""

from operator import attrgetter
from typing import Any

import asyncpg
import msgspec

from domain.message import LOOK_UP_WINDOW, Asked, Kind, Message, Notice, Part
from pdu.codec import decode
from pdu.pdus import DeliverSm, SubmitSm
from pdu.receipt_text import MessageState

OF_UPSTREAMS, OF_ACCOUNTS = 'upstream ', 'account '  # what the names of outboxes begin with
MESSAGE_COLUMNS = (
    'id',
    'kind',
    'account',
    'upstream',
    'route',
    'source_addr',
    'destination_addr',
    'priority',
    'expires_at',
    'pdu',
    'notice',
    'country',
    'operator',
)
"""What an accept writes, in the order of `message_row`; the other columns have defaults."""

RARE_COLUMNS = ('segments', 'reference', 'shown_id')
"""What it writes besides when a message of the batch needs it, in the order of `rare_values`."""

DECIDED_COLUMNS = ('price', 'cost', 'charge', 'category', 'decision')
"""The same, in the order of `decided_values`."""


class Outcome(msgspec.Struct, gc=False):
    """What a message ends with: `state` is a message_state, `error` the code behind it.

    `done_at`, Unix milliseconds, is the batch's: whoever has it committed sets it, the same in all of them.
    """

    message: Message
    state: int
    error: int
    notice: int
    done_at: int = 0
    source: Any = None  # (connection, deliver_sm_resp) when an operator's receipt brought it and waits for the commit
    parked: tuple[str, str] | None = None  # as what the receipt was parked that brought it, to be forgotten then
    disowned: bool = False  # its ESME was told that it was not accepted: it does not pay for it


class PartOutcome(msgspec.Struct, gc=False):
    """What a segment of a message ends with: `parts` is into how many the message was split."""

    message: Message
    part: int
    parts: int
    state: int
    error: int
    source: Any = None  # as in Outcome, as is
    parked: tuple[str, str] | None = None


class Segment(msgspec.Struct, frozen=True):
    """A segment that an operator has taken."""

    message_id: int
    upstream: str
    upstream_message_id: str
    part: int
    parts: int


class Located(msgspec.Struct, frozen=True):
    """The message behind a receipt, and which segment of how many of it the receipt is for."""

    message: Message
    part: int
    parts: int


class ParkedReceipt(msgspec.Struct, frozen=True):
    """A final receipt whose message is not known (yet)."""

    upstream: str
    upstream_message_id: str
    received_at: int
    state: int
    error: int
    seq: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """A message that waits in an outbox on disk until `due_at` (Unix milliseconds); `node` None is the store's own."""

    message: Message
    outbox: str
    due_at: int
    expires_at: int
    node: int | None = None


class Stretch(msgspec.Struct, frozen=True):
    """What is to be read of a lane on disk: at most `limit` rows after the place `after` (due_at, seq)."""

    priority: int
    account: str
    after: tuple[int, int]
    limit: int


class Fetched(msgspec.Struct, frozen=True):
    """A message read from an outbox on disk, with its place there."""

    seq: int
    due_at: int
    message: Message


class Expired(msgspec.Struct, frozen=True):
    """A message that ran out of time in an outbox on disk; `place` (expires_at, id) is where it stands among them."""

    outbox: str
    place: tuple[int, int]
    message: Message


class Depth(msgspec.Struct, frozen=True):
    """How much one lane of an outbox on disk holds of one account."""

    outbox: str
    priority: int
    account: str
    messages: int
    due: int


def message_row(message: Message) -> tuple[Any, ...]:
    """Return a new message as the values of MESSAGE_COLUMNS."""
    pdu = message.pdu
    return (
        message.id,
        message.kind,
        message.account,
        message.upstream,
        message.route,
        pdu.source_addr.decode('latin-1'),
        pdu.destination_addr.decode('latin-1'),
        message.priority,
        message.expires_at,
        pdu.octets,
        message.notice,
        message.country,
        message.operator,
    )


rare_values = attrgetter(*RARE_COLUMNS)
"""Returns the values of RARE_COLUMNS of a message."""

decided_values = attrgetter(*DECIDED_COLUMNS)
"""Returns the values of DECIDED_COLUMNS of a message."""


def rows_of(messages: list[Message]) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return new messages as rows of table `message`, and the columns that at least one of them needs."""
    rows, columns = [message_row(message) for message in messages], list(MESSAGE_COLUMNS)
    for m in messages:  # a generator costs more than the comparison
        if m.price or m.category or m.decision or m.cost or m.reference or m.segments > 1 or m.shown_id or m.asked:
            break
    else:
        return rows, columns
    if any(message.reference or message.segments > 1 or message.shown_id for message in messages):
        rows = [row + rare_values(message) for row, message in zip(rows, messages, strict=True)]
        columns += RARE_COLUMNS
    if any(message.price or message.category or message.decision or message.cost for message in messages):
        rows = [row + decided_values(message) for row, message in zip(rows, messages, strict=True)]
        columns += DECIDED_COLUMNS
    if any(message.asked for message in messages):
        rows = [(*row, _asked_text(message.asked)) for row, message in zip(rows, messages, strict=True)]
        columns.append('asked')
    return rows, columns


def _asked_text(asked: Asked | None) -> str:
    return msgspec.json.encode(asked).decode() if asked else ''


def segment_row(item: Message | Part) -> tuple[str, str, int, int, int]:
    """Return what an operator has taken as the values of a row of table `segment`."""
    number, total = (item.number, item.total) if isinstance(item, Part) else (1, 1)
    return item.upstream, item.upstream_message_id, item.id, number, total


def message_of(row: asyncpg.Record) -> Message:
    """Return the message of a row; its PDU without `octets`, which the store has."""
    pdu = decode(row['pdu'])
    assert isinstance(pdu, SubmitSm | DeliverSm)
    pdu.octets = b''
    return Message(
        id=row['id'],
        kind=Kind(row['kind']),
        account=row['account'],
        upstream=row['upstream'],
        route=row['route'],
        pdu=pdu,
        priority=row['priority'],
        expires_at=row['expires_at'],
        registered_delivery=pdu.registered_delivery,
        notice=Notice(row['notice']),
        state=row['state'],
        error=row['error'],
        done_at=row['done_at'],
        repeated=row['repeated'],
        segments=row['segments'],
        reference=row['reference'],
        shown_id=row['shown_id'],
        country=row['country'],
        operator=row['operator'],
        category=row['category'],
        price=row['price'],
        cost=row['cost'],
        charge=row['charge'],
        next_upstream=row.get('next_upstream', ''),
        closes_at=LOOK_UP_WINDOW,
        asked=msgspec.json.decode(row['asked'], type=Asked) if row['asked'] else None,
    )


def waiting_message_of(row: asyncpg.Record) -> Message:
    """Return the message of a row that waits on disk."""
    message = message_of(row)
    message.attempts = row['attempts']
    message.stored_wait = True
    message.counted = message.kind == Kind.MT and message.state == MessageState.ENROUTE
    return message
