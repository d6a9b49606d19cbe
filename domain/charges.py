"""What becomes of the price of a charged message when it ends: one number, kept with the message as it was accepted.

0 is a message that was not charged, GIVEN_BACK one whose price was given back. Any other is CHARGED, with a bit for
each message_state (SMPP 3.4 section 5.2.28) in which the price is given back: whether or not an operator has taken the
message with WHEN_SENT, else only if none has taken any of it. So the terms are those of the moment of acceptance,
whatever a reload, another node or the end of the account makes of them.
"""

from collections.abc import Iterable

from pdu.receipt_text import MessageState

NOT_CHARGED = 0
GIVEN_BACK = -1
CHARGED = 1 << MessageState.ENROUTE  # no end, so its bit is free to say so
WHEN_SENT = 1 << 10
REFUNDABLE = (
    MessageState.EXPIRED,
    MessageState.DELETED,
    MessageState.UNDELIVERABLE,
    MessageState.UNKNOWN,
    MessageState.REJECTED,
    MessageState.SKIPPED,
)
"""DELIVERED is what is paid for, and ACCEPTED is the end of what an operator took without a receipt being asked for."""


def charge_when_accepted(given_back: Iterable[int]) -> int:
    """Return the charge of messages that are paid for when accepted, and given back in these states if never sent."""
    return CHARGED | _bits(given_back)


def charge_when_delivered() -> int:
    """Return the charge of messages whose price is given back unless they are delivered."""
    return CHARGED | WHEN_SENT | _bits(REFUNDABLE)


def is_given_back(charge: int, state: int, taken: bool) -> bool:
    """Return whether the price goes back with this end; `taken`: an operator has taken any of the message."""
    return charge > 0 and bool(charge >> state & 1) and (not taken or bool(charge & WHEN_SENT))


def _bits(states: Iterable[int]) -> int:
    bits = 0
    for state in states:
        bits |= 1 << state
    return bits
