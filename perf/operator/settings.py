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
    HEX_UPPER = 'hex-upper'
    HEX_PADDED = 'hex-padded'
    DECIMAL_PADDED = 'decimal-padded'
    DECIMAL_SPACED = 'decimal-spaced'
    LONG = 'long'
    UUID = 'uuid'
    UUID_BARE = 'uuid-bare'


class ReceiptPdu(StrEnum):
    """What a receipt travels in."""

    DELIVER_SM = 'deliver_sm'
    DATA_SM = 'data_sm'


USUAL_RECEIPT = 'id:{id} sub:001 dlvrd:{delivered} submit date:{date} done date:{date} stat:{state} err:{error} text:'
"""SMPP 3.4 appendix B. The fields there are; `{long_date}` and `{lower_state}` are two more."""


class OperatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Behaviour of a simulated operator; the defaults take everything, at once, and deliver it."""

    system_id: Annotated[str, Meta(description='the only system_id that may bind; empty lets any')] = ''
    password: Annotated[str, Meta(description='its password; empty lets any')] = ''
    name: Annotated[str, Meta(description='our system_id in bind responses, at most 15 characters')] = 'operator'
    tls_certificate: Annotated[str, Meta(description='file with the certificate to show; speaks TLS if set')] = ''
    tls_key: Annotated[str, Meta(description='file with its private key')] = ''

    response_delay_ms: Annotated[float, Meta(description='from submit_sm to submit_sm_resp')] = 0
    receipt_delay_ms: Annotated[float, Meta(description='from submit_sm_resp to the receipt')] = 0
    receipt_first: Annotated[bool, Meta(description='the receipt does not wait for its response')] = False
    receipt_percent: Annotated[float, Meta(description='share of wanted receipts that are sent at all')] = 100
    undelivered_percent: Annotated[float, Meta(description='share of receipts that say UNDELIV instead of DELIVRD')] = 0
    hold_receipts: Annotated[bool, Meta(description='no receipt is sent until they are released')] = False

    errors: Annotated[dict[int, float], Meta(description='percent of submits by status that refuses them')] = {}
    error_body: Annotated[bool, Meta(description='refusals carry an empty message_id')] = False
    nack_percent: Annotated[float, Meta(description='submits answered with generic_nack ESME_RINVCMDID')] = 0
    silent_percent: Annotated[float, Meta(description='submits that get neither response nor receipt')] = 0
    rate_per_s: Annotated[
        float,
        Meta(description='more get ESME_RTHROTTLED; bursts of a second pass; 0: any'),
    ] = 0
    throttle_status: Annotated[int, Meta(description='what they get instead of ESME_RTHROTTLED')] = 0x58
    disconnect_every: Annotated[
        int,
        Meta(description='cut the connection of every Nth message; 0: never'),
    ] = 0

    id_style: Annotated[IdStyle, Meta(description='how message_id is written; a second form is that of receipts')] = (
        IdStyle.DECIMAL
    )
    late_percent: Annotated[float, Meta(description='responses that come late')] = 0
    late_ms: Annotated[float, Meta(description='so much later')] = 0
    shuffle: Annotated[bool, Meta(description='the responses of one read come in a random order')] = False
    mute_after: Annotated[int, Meta(description='after so many messages it hears nothing for a while; 0: never')] = 0
    mute_s: Annotated[float, Meta(description='so long, enquire_link and binds too')] = 0

    receipt_template: Annotated[
        str,
        Meta(description='text of receipts, with {id} {delivered} {date} {long_date} {state} {lower_state} {error}'),
    ] = USUAL_RECEIPT
    receipt_tlvs: Annotated[bool, Meta(description='receipts carry receipted_message_id and message_state')] = False
    receipt_in: Annotated[ReceiptPdu, Meta(description='what a receipt travels in')] = ReceiptPdu.DELIVER_SM
    receipt_esm_class: Annotated[int, Meta(description='esm_class of receipts')] = 4
    receipt_states: Annotated[
        str, Meta(description='words of the receipts of each message, in their order; empty: the final one')
    ] = ''
    misshapen_percent: Annotated[
        float, Meta(description='receipts whose lengths are wrong the first time they are sent')
    ] = 0
    wants_body: Annotated[bool, Meta(description='a deliver_sm_resp whose message_id is not one NUL is no answer')] = (
        False
    )
    deliver_window: Annotated[int, Meta(description='unanswered deliver_sm a bind; more wait')] = 1000
    deliver_timeout_s: Annotated[float, Meta(description='a deliver_sm unanswered for so long is sent again')] = 60
    deliver_retry_s: Annotated[float, Meta(description='pause before repeating a deliver_sm refused for now')] = 1
    enquire_link_s: Annotated[float, Meta(description='period of our own enquire_link; 0 is never')] = 0

    ledger: Annotated[bool, Meta(description='whether numbered texts are counted by number (see perf.numbers)')] = False
    ledger_limit: Annotated[int, Meta(description='numbers from here on are not told apart')] = 20_000_000
    seed: Annotated[int, Meta(description='of everything that goes by percent')] = 1

    @property
    def is_quirky(self) -> bool:
        """Whether it does something that costs more than plain operators may."""
        return any(getattr(self, name) != getattr(_PLAIN, name) for name in _QUIRKS)


_QUIRKS = (
    *('late_percent', 'shuffle', 'mute_after', 'receipt_template', 'receipt_tlvs', 'receipt_in', 'receipt_esm_class'),
    *('receipt_states', 'misshapen_percent', 'wants_body'),
)
_PLAIN = OperatorSettings()


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
    nacked: int = 0
    late: int = 0
    misshapen: int = 0
    bad_responses: int = 0
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
