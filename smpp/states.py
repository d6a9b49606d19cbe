"""States of a session and what each allows (SMPP 3.4 sections 2.2 and 2.3), as tables.

A missing entry in TRANSITIONS is a protocol error; a command missing in RECEIVABLE is answered with ESME_RINVBNDSTS.
"""

import enum

from pdu.command import CommandId


class Role(enum.Enum):
    """Which side of the session is ours."""

    SMSC = 'smsc'
    ESME = 'esme'


class State(enum.Enum):
    """Where a session stands."""

    OPEN = 'open'
    BINDING = 'binding'
    BOUND_TX = 'bound_tx'
    BOUND_RX = 'bound_rx'
    BOUND_TRX = 'bound_trx'
    UNBINDING = 'unbinding'
    CLOSED = 'closed'


class Event(enum.Enum):
    """What moves a session from one state to the next."""

    BIND_BEGUN = 'bind begun'
    BOUND_TX = 'bound as transmitter'
    BOUND_RX = 'bound as receiver'
    BOUND_TRX = 'bound as transceiver'
    UNBIND_BEGUN = 'unbind begun'
    ENDED = 'ended'


BOUND = frozenset({State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OPEN, Event.BIND_BEGUN): State.BINDING,
    (State.BINDING, Event.BOUND_TX): State.BOUND_TX,
    (State.BINDING, Event.BOUND_RX): State.BOUND_RX,
    (State.BINDING, Event.BOUND_TRX): State.BOUND_TRX,
    (State.BOUND_TX, Event.UNBIND_BEGUN): State.UNBINDING,
    (State.BOUND_RX, Event.UNBIND_BEGUN): State.UNBINDING,
    (State.BOUND_TRX, Event.UNBIND_BEGUN): State.UNBINDING,
    **{(state, Event.ENDED): State.CLOSED for state in State},
}

BOUND_BY: dict[int, Event] = {
    CommandId.BIND_TRANSMITTER: Event.BOUND_TX,
    CommandId.BIND_RECEIVER: Event.BOUND_RX,
    CommandId.BIND_TRANSCEIVER: Event.BOUND_TRX,
}

_FROM_ESME = frozenset(
    int(command)
    for command in (
        CommandId.SUBMIT_SM,
        CommandId.SUBMIT_MULTI,
        CommandId.DATA_SM,
        CommandId.QUERY_SM,
        CommandId.CANCEL_SM,
        CommandId.REPLACE_SM,
    )
)
FROM_SMSC = frozenset(
    int(command) for command in (CommandId.DELIVER_SM, CommandId.DATA_SM, CommandId.ALERT_NOTIFICATION)
)
_NOTHING: frozenset[int] = frozenset()

RECEIVABLE: dict[tuple[Role, State], frozenset[int]] = {
    **{(role, state): _NOTHING for role in Role for state in State},
    (Role.SMSC, State.OPEN): frozenset({int(CommandId.OUTBIND)}),
    (Role.SMSC, State.BOUND_TX): _FROM_ESME,
    (Role.SMSC, State.BOUND_TRX): _FROM_ESME,
    (Role.SMSC, State.BOUND_RX): frozenset({int(CommandId.DATA_SM)}),
    (Role.ESME, State.BOUND_RX): FROM_SMSC,
    (Role.ESME, State.BOUND_TRX): FROM_SMSC,
}
"""The message commands a session may receive; bind, unbind, enquire_link and responses are the session's own affair."""

RECEIVING = frozenset({State.BOUND_RX, State.BOUND_TRX})
"""States in which an SMSC may send deliver_sm to the ESME."""

TRANSMITTING = frozenset({State.BOUND_TX, State.BOUND_TRX})
"""States in which an ESME may submit."""
