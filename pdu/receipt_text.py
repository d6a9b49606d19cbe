"""The text of a delivery receipt (SMPP 3.4 appendix B) and the states it tells (section 5.2.28).

The text is every SMSC's own, so reading is tolerant: any case of the keys, any order, missing and extra fields, dates
of 10, 12 or 14 digits, state words nobody defined. Nothing is raised for it; what is no receipt gives None. Writing is
strict: all fields, fixed widths, in the appendix's order. Dates stay octets both ways, as nobody asks for most of them.
"""

import re
from datetime import UTC, datetime
from enum import IntEnum

import msgspec


class MessageState(IntEnum):
    """message_state: 1 to 8 of 3.4, 0 and 9 of 5.0 (section 4.7.15)."""

    SCHEDULED = 0
    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8
    SKIPPED = 9


WORDS: dict[int, bytes] = {
    # 5.0 gives its own two states no word of seven letters.
    MessageState.SCHEDULED: b'SCHEDLD',
    MessageState.ENROUTE: b'ENROUTE',
    MessageState.DELIVERED: b'DELIVRD',
    MessageState.EXPIRED: b'EXPIRED',
    MessageState.DELETED: b'DELETED',
    MessageState.UNDELIVERABLE: b'UNDELIV',
    MessageState.ACCEPTED: b'ACCEPTD',
    MessageState.UNKNOWN: b'UNKNOWN',
    MessageState.REJECTED: b'REJECTD',
    MessageState.SKIPPED: b'SKIPPED',
}
"""The word of seven letters for each state."""

_STATES: dict[bytes, MessageState] = {
    **{state.name.encode(): state for state in MessageState},
    **{word: MessageState(state) for state, word in WORDS.items()},
    b'UNDELIVERED': MessageState.UNDELIVERABLE,
}

_TEXT_OCTETS = 20
_DELIVERED = int(MessageState.DELIVERED)  # to look a member of an enum up takes 0.1 us


class ReceiptText(msgspec.Struct, gc=False):
    """What a receipt says; a field that is missing is empty. All but `state` are octets as they came."""

    id: bytes = b''
    state: int = MessageState.UNKNOWN
    raw_state: bytes = b''
    error: bytes = b''
    submit_date: bytes = b''
    done_date: bytes = b''
    submitted: bytes = b''
    delivered: bytes = b''
    text: bytes = b''

    @property
    def complete(self) -> bool:
        """Whether it names both message and state; less needs TLVs beside it, or is a message that looks like one."""
        return bool(self.id and self.raw_state)


# The appendix's order, with what varies most between SMSCs: case, absent counts, widths.
_USUAL = re.compile(
    rb'id:([^ ]+)(?: sub:(\d{1,3}))?(?: dlvrd:(\d{1,3}))? submit date:(\d{10,14}) done date:(\d{10,14})'
    rb' stat:([a-z]+) err:([^ ]{1,8})(?: text:(.*))?',
    re.DOTALL | re.IGNORECASE,
).fullmatch

_KEY = rb'id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err'
# A key, then a value that is not itself the next key: `id: sub:001` has an empty id.
_FIELD = re.compile(
    rb'(?<![a-z0-9_])(%b)[ ]?:(?:[ ]*(?!(?:%b|text)[ ]?:)([^\s]+))?' % (_KEY, _KEY), re.IGNORECASE
).finditer
_TEXT = re.compile(rb'(?<![a-z0-9_])text[ ]?:', re.IGNORECASE).search


def state_of(word: bytes) -> MessageState:
    """The state a word names, in any case, by its seven letters or in full; UNKNOWN for any other."""
    return _STATES.get(word.upper(), MessageState.UNKNOWN)


def parse(octets: bytes) -> ReceiptText | None:
    """Reads the text of a receipt; None when it names neither a message nor a state."""
    found = _USUAL(octets)
    if found is None:
        return _parse_tolerantly(octets)
    message_id, submitted, delivered, submit_date, done_date, raw_state, error, text = found.groups(b'')
    state = _STATES.get(raw_state) or state_of(raw_state)
    return ReceiptText(message_id, state, raw_state, error, submit_date, done_date, submitted, delivered, text)


def _parse_tolerantly(octets: bytes) -> ReceiptText | None:
    """Finds each field by its key, the first one counting; the message's text, which may hold anything, comes last."""
    text_key = _TEXT(octets)
    head, text = (octets[: text_key.start()], octets[text_key.end() :]) if text_key else (octets, b'')
    values: dict[bytes, bytes] = {}
    for found in _FIELD(head.rstrip(b'\0')):
        key = found[1].lower().replace(b' ', b'').replace(b'_', b'')
        values.setdefault(key, (found[2] or b'').rstrip(b',;'))
    raw_state, message_id = values.get(b'stat', b''), values.get(b'id', b'')
    if not raw_state and not message_id:
        return None
    return ReceiptText(
        id=message_id,
        state=state_of(raw_state),
        raw_state=raw_state,
        error=values.get(b'err', b''),
        submit_date=values.get(b'submitdate', b''),
        done_date=values.get(b'donedate', b''),
        submitted=values.get(b'sub', b''),
        delivered=values.get(b'dlvrd', b''),
        text=text,
    )


def format_date(moment: datetime) -> bytes:
    """An aware datetime as the ten digits of a receipt, YYMMDDhhmm in UTC. Worth keeping for the rest of its minute."""
    return f'{moment.astimezone(UTC):%y%m%d%H%M}'.encode()


def format(  # noqa: A001 - parse and format are the house's pair of verbs
    message_id: bytes,
    state: int,
    submit_date: bytes,
    done_date: bytes,
    error: bytes = b'000',
    text: bytes = b'',
    parts: int = 1,
) -> bytes:
    """Writes the text of a receipt, for data_coding 0.

    Dates are those of `format_date`; `error` is filled with zeros or cut to three characters; `text` is cut to 20
    octets; `parts` counts the segments, all delivered or none. Raises KeyError for a state that is none.
    """
    return b'id:%b sub:%03d dlvrd:%03d submit date:%b done date:%b stat:%b err:%b text:%b' % (
        message_id,
        parts,
        parts if state == _DELIVERED else 0,
        submit_date,
        done_date,
        WORDS[state],
        error if len(error) == 3 else error[:3].rjust(3, b'0'),
        text[:_TEXT_OCTETS],
    )
