"""What a load is told to do, and what it reports."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class BindKind(StrEnum):
    """What each bind is made of."""

    TRANSCEIVER = 'transceiver'
    TRANSMITTER = 'transmitter'
    PAIR = 'transmitter+receiver'


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the load generator."""

    host: Annotated[str, Meta(description='where to bind')] = '127.0.0.1'
    port: Annotated[int, Meta(description='where to bind')] = 2775
    receiver_port: Annotated[int, Meta(description='where receivers of transmitter+receiver bind; 0 is port')] = 0
    system_id: Annotated[str, Meta(description='of every bind')] = 'load'
    password: Annotated[str, Meta(description='of every bind')] = 'secret'
    binds: Annotated[int, Meta(description='how many, each on a connection of its own')] = 10
    bind: Annotated[BindKind, Meta(description='what each bind is')] = BindKind.TRANSCEIVER
    tls_ca: Annotated[str, Meta(description='file with the authority to trust; speaks TLS if it is set')] = ''

    window: Annotated[int, Meta(description='unanswered submit_sm a bind')] = 100
    messages: Annotated[int, Meta(description='how many to submit; 0 goes by duration_s alone')] = 10_000
    duration_s: Annotated[float, Meta(description='stop submitting after so long; 0 goes by messages alone')] = 0
    rate_per_s: Annotated[float, Meta(description='of all binds together; 0 is as fast as windows let')] = 0
    first_number: Annotated[int, Meta(description='number in the first text; the following ones rise')] = 0

    source: Annotated[str, Meta(description='source_addr, alphanumeric')] = 'MyBank'
    destination_prefix: Annotated[str, Meta(description='of destination_addr; nine digits of the number follow')] = '79'
    ucs2_percent: Annotated[int, Meta(description='share of texts in UCS-2; the others are in the GSM alphabet')] = 50
    segments: Annotated[int, Meta(description='of each text; above 1 it is in UCS-2, in message_payload')] = 1
    registered_delivery: Annotated[int, Meta(description='of every message; 1 wants all receipts')] = 1
    priority_flag: Annotated[int, Meta(description='of every message')] = 0

    bind_timeout_s: Annotated[float, Meta(description='for connecting and binding')] = 10
    response_timeout_s: Annotated[float, Meta(description='give up when nothing comes for so long')] = 60
    receipt_timeout_s: Annotated[float, Meta(description='the same once all submits are answered')] = 30
    reconnect: Annotated[bool, Meta(description='bind again after a disconnect')] = False
    reconnect_s: Annotated[float, Meta(description='pause before each attempt to bind again')] = 0.1


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of a latency in milliseconds, of how many samples; zeros when there are none."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the messages. A message is submitted once, whatever happens to its connection."""

    submitted: int
    ok: int
    """Answered with ESME_ROK."""
    refused: dict[str, int]
    """Answered otherwise, by name of the command_status."""
    unknown: int
    """Unanswered when their connection went; the other side may have them or not."""
    unanswered: int
    """Unanswered on a connection that stands."""
    receipts: dict[str, int]
    """First receipts of messages, by state."""
    receipts_missing: int
    """Messages with ESME_ROK that wanted a receipt and got none."""
    receipts_duplicated: int
    """Receipts of a message after its first one."""
    receipts_unknown: int
    """Receipts that name no message of this run."""
    receipts_mismatched: int
    """Messages whose receipt has another message_id than their response."""
    mo: int
    stray_responses: int
    disconnects: int
    elapsed_s: float
    """From the first submit to the last response or receipt."""
    rate_per_s: float
    response: Latency
    """From submit_sm to submit_sm_resp with ESME_ROK."""
    receipt: Latency
    """From submit_sm to the first receipt."""
