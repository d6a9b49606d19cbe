"""What a simulated operator is told to do, and what it counts while doing it."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class IdStyle(StrEnum):
    """How a message_id is written: in submit_sm_resp and, where a second form is named, in the receipt."""

    DECIMAL = 'decimal'
    HEX = 'hex'
    HEX_DECIMAL = 'hex-decimal'
    DECIMAL_HEX = 'decimal-hex'
    UUID = 'uuid'


class OperatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Behaviour of a simulated operator; the defaults take everything, at once, and deliver it."""

    system_id: Annotated[str, Meta(description='the only system_id that may bind; empty lets any')] = ''
    password: Annotated[str, Meta(description='its password; empty lets any')] = ''
    name: Annotated[str, Meta(description='our system_id in bind responses, at most 15 characters')] = 'operator'

    response_delay_ms: Annotated[float, Meta(description='from submit_sm to submit_sm_resp')] = 0
    receipt_delay_ms: Annotated[float, Meta(description='from submit_sm_resp to the receipt')] = 0
    receipt_first: Annotated[bool, Meta(description='the receipt does not wait for its response')] = False
    receipt_percent: Annotated[float, Meta(description='share of wanted receipts that are sent at all')] = 100
    undelivered_percent: Annotated[float, Meta(description='share of receipts that say UNDELIV instead of DELIVRD')] = 0
    hold_receipts: Annotated[bool, Meta(description='no receipt is sent until they are released')] = False

    errors: Annotated[dict[int, float], Meta(description='percent of submits by status that refuses them')] = {}
    silent_percent: Annotated[float, Meta(description='submits that get neither response nor receipt')] = 0
    rate_per_s: Annotated[
        float,
        Meta(description='more get ESME_RTHROTTLED; bursts of a second pass; 0: any'),
    ] = 0
    disconnect_every: Annotated[
        int,
        Meta(description='cut the connection of every Nth message; 0: never'),
    ] = 0

    id_style: Annotated[IdStyle, Meta(description='how message_id is written; a second form is that of receipts')] = (
        IdStyle.DECIMAL
    )
    deliver_window: Annotated[int, Meta(description='unanswered deliver_sm a bind; more wait')] = 1000
    deliver_timeout_s: Annotated[float, Meta(description='a deliver_sm unanswered for so long is sent again')] = 60
    deliver_retry_s: Annotated[float, Meta(description='pause before repeating a deliver_sm refused for now')] = 1
    enquire_link_s: Annotated[float, Meta(description='period of our own enquire_link; 0 is never')] = 0

    ledger: Annotated[bool, Meta(description='whether numbered texts are counted by number (see perf.numbers)')] = False
    ledger_limit: Annotated[int, Meta(description='numbers from here on are not told apart')] = 20_000_000
    seed: Annotated[int, Meta(description='of everything that goes by percent')] = 1


class Counters(msgspec.Struct):
    """What a simulated operator has done since it was made. A message is a submit_sm answered with ESME_ROK."""

    binds: int = 0
    refused_binds: int = 0
    disconnects: int = 0
    submitted: int = 0
    accepted: int = 0
    answered: int = 0
    refused: int = 0
    throttled: int = 0
    silent: int = 0
    receipts_wanted: int = 0
    receipts_dropped: int = 0
    receipts_sent: int = 0
    receipts_acked: int = 0
    receipts_retried: int = 0
    receipts_refused: int = 0
    mo_sent: int = 0
    mo_acked: int = 0
    mo_refused: int = 0
    max_outstanding: int = 0
    """The most submits of one bind that were unanswered at a time."""
