"""The message on its way through the proxy, MT and MO alike, and the closed sets that describe where it stands."""

import enum
from typing import Any

import msgspec

from pdu.pdus import DeliverSm, SubmitSm


class Kind(enum.IntEnum):
    """Which way a message goes."""

    MT = 0
    MO = 1


class Notice(enum.IntEnum):
    """How far the final receipt of an MT message has come on its way to the ESME that asked for it."""

    NONE = 0  # not asked for
    ASKED = 1  # asked for, the message is not final yet, or its outcome is one the ESME did not ask to hear of
    DUE = 2  # final; the ESME has not acknowledged the receipt yet
    ACKNOWLEDGED = 3
    GIVEN_UP = 4  # refused for good by the ESME, or older than the account keeps receipts


class Message(msgspec.Struct, gc=False):
    """One message as memory holds it; the store's row is the truth (architecture.md section 4).

    `pdu` is what its initiator sent; `octets` in it stay until the row is committed. Times are Unix milliseconds.
    `state` is a message_state (SMPP 3.4 section 5.2.28). gc=False: a message is referenced by windows and queues and
    refers to none of them but through `reply`, which is cleared as soon as the response has been given.
    """

    id: int
    kind: int
    account: str
    upstream: str
    pdu: SubmitSm | DeliverSm
    priority: int
    expires_at: int
    registered_delivery: int = 0  # as the ESME asked, SMPP 3.4 section 5.2.17
    notice: int = Notice.NONE
    state: int = 1
    error: int = 0
    done_at: int = 0
    route: str = ''
    upstreams: tuple[str, ...] = ()
    upstream_message_id: str = ''
    due_at: int = 0  # not to be sent before
    attempts: int = 0
    repeated: bool = False
    stored_wait: bool = False  # it has a row in the store's table `waiting`
    segment_stored: bool = False  # that the operator has taken it is committed
    superseded: bool = False  # the operator gave its upstream_message_id to a newer message
    counted: bool = False  # it counts among the waiting messages of its account
    reply: Any = None  # (connection, sequence_number) while its initiator waits for the response
