"""What can be configured: one value a YAML mapping, each key with its type, default, unit and meaning.

This is the only description of the configuration: loading, checking and the reference are made from it. Keys that later
versions build are here already, so that files written for them load; `later` says what they do not do yet.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Network = IPv4Network | IPv6Network
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]
Hours = Annotated[int, Meta(ge=1, le=2_160)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Window = Annotated[int, Meta(ge=1, le=100_000)]
Rate = Annotated[int, Meta(ge=0, le=1_000_000)]
Priority = Annotated[int, Meta(ge=0, le=3)]
SystemId = Annotated[str, Meta(min_length=1, max_length=15)]
Password = Annotated[str, Meta(min_length=1, max_length=64)]
Status = int | str
OneOrMore = str | list[str]

SECRETS = frozenset({'password', 'password_hash', 'postgres', 'clickhouse', 'redis'})  # keys whose values are not shown


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every mapping: unknown keys are errors."""


class Listen(msgspec.Struct, frozen=True):
    """An address to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f'{self.host}:{self.port}'


def described(meaning: str, *, later: str = '', **bounds: Any) -> Meta:
    """Return a Meta that the reference shows; `later` says what holds as long as the key has no effect."""
    return Meta(description=meaning, extra={'later': later} if later else None, **bounds)


class StoreConfig(_Part, frozen=True):
    """Servers that keep the data; without them the node keeps its own."""

    postgres: Annotated[
        str | None, described('DSN of a PostgreSQL 15 or newer; without it the node runs a private one in `data`')
    ] = None
    clickhouse: Annotated[str | None, described('history for reports', later='the server is not used')] = None
    redis: Annotated[str | None, described('what several nodes share', later='the server is not used')] = None


class TlsListenConfig(_Part, frozen=True):
    """TLS for ESMEs."""

    listen: Annotated[Listen, described('address and port')]
    certificate: Annotated[str, described('file with the certificate chain')]
    key: Annotated[str, described('file with its private key')]


class SmppConfig(_Part, frozen=True):
    """The SMPP side towards ESMEs, and timers of all sessions."""

    listen: Annotated[Listen, described('address and port that ESMEs connect to')] = Listen('127.0.0.1', 2775)
    tls: Annotated[TlsListenConfig | None, described('a second port, with TLS', later='no TLS port is opened')] = None
    system_id: Annotated[SystemId, described('how we name ourselves in bind responses')] = 'smsc'
    session_init_s: Annotated[Seconds, described('a connection without a bind is closed after this; 0 = never')] = 10
    enquire_link_s: Annotated[Seconds, described('silence after which we send enquire_link; 0 = never')] = 30
    response_timeout_s: Annotated[PositiveSeconds, described('how long a request of ours may stay unanswered')] = 60
    inactivity_s: Annotated[Seconds, described('an ESME without messages for so long is unbound; 0 = never')] = 0
    pdu_read_s: Annotated[PositiveSeconds, described('how long a PDU may take to arrive once begun')] = 30
    unbind_timeout_s: Annotated[PositiveSeconds, described('how long a peer may take to unbind')] = 2
    drain_s: Annotated[PositiveSeconds, described('how long a stop waits for what is in flight')] = 10
    max_pdu_octets: Annotated[int, described('largest command_length taken', ge=1_024, le=1_048_576)] = 73_728
    max_connections: Annotated[int, described('connections at a time; more are closed at once', ge=1)] = 20_000
    max_connections_per_address: Annotated[int, described('the same, from one address; 0 = any', ge=0)] = 2_000


class HttpConfig(_Part, frozen=True):
    """The HTTP side."""

    listen: Annotated[Listen, described('address and port of /metrics and /health')] = Listen('127.0.0.1', 8080)


class RetentionConfig(_Part, frozen=True):
    """How long things are kept."""

    messages_d: Annotated[int, described('days a finished message stays in the store', ge=1, le=3_650)] = 7


class QueuesConfig(_Part, frozen=True):
    """What memory holds."""

    memory: Annotated[int, described('messages one outbox holds in memory; more wait on disk', ge=100)] = 20_000
    batch: Annotated[int, described('messages that may gather for one commit', ge=100)] = 20_000
    cache: Annotated[int, described('messages an upstream keeps in memory while they wait for a receipt', ge=100)] = (
        50_000
    )


class LogConfig(_Part, frozen=True):
    """Logs, on stderr."""

    level: Annotated[Literal['debug', 'info', 'warning', 'error'], described('what is logged, and above')] = 'info'
    format: Annotated[Literal['text', 'json'], described('for people, or one JSON object a line')] = 'text'


class ReceiptsConfig(_Part, frozen=True):
    """Receipts of an account."""

    message_id: Annotated[Literal['decimal', 'hex'], described('how message_ids are written to the ESME')] = 'decimal'
    keep_h: Annotated[Hours, described('how long a receipt waits for the ESME, in hours')] = 72


class WindowsConfig(_Part, frozen=True):
    """When an account's messages may be sent, in the subscriber's local time."""

    working_days: Annotated[str | None, described('hours such as "09:00-21:00"')] = None
    weekends: Annotated[str | None, described('hours such as "10:00-20:00"')] = None
    outside: Annotated[Literal['wait', 'reject'], described('what happens outside of them')] = 'wait'


BindType = Literal['transmitter', 'receiver', 'transceiver']


class AccountConfig(_Part, frozen=True):
    """An ESME: who it is and what it may do."""

    name: str = ''
    system_id: Annotated[str, described('what it binds with; without it, the name of the account', max_length=15)] = ''
    password: Annotated[Password | None, described('its password, as it stands')] = None
    password_hash: Annotated[str | None, described('or an argon2 hash of it')] = None
    enabled: Annotated[bool, described('whether it may bind')] = True
    binds: Annotated[int, described('sessions at a time', ge=1, le=10_000)] = 1
    bind_types: Annotated[tuple[BindType, ...], described('the binds it may use')] = (
        'transmitter',
        'receiver',
        'transceiver',
    )
    window: Annotated[Window, described('unanswered PDUs a session, each way')] = 10
    rate_per_s: Annotated[Rate, described('messages a second, of all its sessions; 0 = any')] = 0
    waiting: Annotated[int, described('messages it may have waiting for an operator', ge=1)] = 1_000_000
    allow_from: Annotated[tuple[Network, ...], described('addresses it may connect from; none = any')] = ()
    senders: Annotated[tuple[str, ...], described('source addresses it may use', later='any sender is taken')] = ()
    category: Annotated[str | None, described('traffic category of its messages', later='no route can ask for it')] = (
        None
    )
    priority: Annotated[Priority, described('priority of messages that ask for none')] = 0
    alphabet: Annotated[
        Literal['gsm', 'latin1', 'ascii', 'utf8'],
        described('what data_coding 0 means to it, where a route asks for the text'),
    ] = 'gsm'
    validity_h: Annotated[Hours, described('lifetime of messages that ask for none, in hours')] = 48
    receipts: Annotated[ReceiptsConfig, described('its receipts')] = ReceiptsConfig()
    windows: Annotated[
        WindowsConfig | None,
        described('hours in which its messages may be sent', later='messages are sent at any hour'),
    ] = None


class MessageIdConfig(_Part, frozen=True):
    """How an operator writes its message_ids; without a form they are compared as text."""

    response: Annotated[Literal['decimal', 'hex'] | None, described('in submit_sm_resp')] = None
    receipt: Annotated[Literal['decimal', 'hex'] | None, described('in receipts')] = None


class ErrorsConfig(_Part, frozen=True):
    """What an operator's command_status means; what is in no list is permanent."""

    throttle: Annotated[tuple[Status, ...], described('slow down, then the same message again')] = (0x58, 0x14)
    temporary: Annotated[tuple[Status, ...], described('the next upstream of the route, or again later')] = (0x08, 0x64)
    permanent: Annotated[tuple[Status, ...], described('the message ends; takes precedence')] = ()


class RetryConfig(_Part, frozen=True):
    """The back-off after temporary errors."""

    first_s: Annotated[PositiveSeconds, described('the first pause')] = 5
    factor: Annotated[float, described('each pause is so many times the one before', ge=1, le=100)] = 2
    last_s: Annotated[PositiveSeconds, described('the longest pause')] = 300


class ReconnectConfig(_Part, frozen=True):
    """The back-off of a link."""

    first_s: Annotated[PositiveSeconds, described('the first pause, doubled each time')] = 1
    last_s: Annotated[PositiveSeconds, described('the longest pause')] = 60
    refused_s: Annotated[PositiveSeconds, described('the pause after refused credentials')] = 300


class SimulatorConfig(_Part, frozen=True):
    """A simulated operator, run by the server on the upstream's own host and port."""

    response_delay_ms: Annotated[int, described('from submit_sm to its response', ge=0)] = 0
    receipt_delay_ms: Annotated[int, described('from the response to the receipt', ge=0)] = 2_000
    undelivered_percent: Annotated[float, described('share of receipts that say UNDELIV', ge=0, le=100)] = 0


class UpstreamConfig(_Part, frozen=True):
    """An operator or provider that messages are sent to."""

    name: str = ''
    host: Annotated[str, described('its address', min_length=1)] = ''
    port: Annotated[Port, described('its port')] = 2775
    system_id: Annotated[SystemId, described('what we bind with')] = 'smsc'
    password: Annotated[str, described('its password', max_length=64)] = ''
    system_type: Annotated[str, described('as the operator wants it', max_length=12)] = ''
    bind: Annotated[
        Literal['transceiver', 'transmitter', 'receiver', 'transmitter+receiver'],
        described('`transmitter+receiver` makes pairs'),
    ] = 'transceiver'
    links: Annotated[int, described('binds (or pairs) at a time', ge=1, le=1_000)] = 1
    window: Annotated[Window, described('unanswered submit_sm a link')] = 10
    rate_per_s: Annotated[Rate, described('messages a second, of all its links together; 0 = any')] = 0
    message_id: Annotated[MessageIdConfig, described('forms of its message_ids')] = MessageIdConfig()
    long_messages: Annotated[
        Literal['udh', 'udh16', 'sar', 'payload'] | None,
        described('how it wants long messages', later='long messages go through as the ESME made them'),
    ] = None
    errors: Annotated[ErrorsConfig, described('what its errors mean')] = ErrorsConfig()
    retry: Annotated[RetryConfig, described('back-off after temporary errors')] = RetryConfig()
    reconnect: Annotated[ReconnectConfig, described('back-off of its links')] = ReconnectConfig()
    enquire_link_s: Annotated[Seconds | None, described('instead of smpp.enquire_link_s')] = None
    response_timeout_s: Annotated[PositiveSeconds | None, described('instead of smpp.response_timeout_s')] = None
    registered_delivery: Annotated[
        Literal['asked', 'always'], described('whether receipts are wanted even where the ESME asks for none')
    ] = 'asked'
    receipt_timeout_h: Annotated[
        Hours, described('a receipt that has not come so long after the validity never will, in hours')
    ] = 72
    tls: Annotated[bool, described('whether its port speaks TLS', later='its links are not encrypted')] = False
    simulated: Annotated[SimulatorConfig | None, described('no operator, but one that the server simulates')] = None


class WhenConfig(_Part, frozen=True):
    """Conditions of a route; all must hold, of a list any. `881*` is a prefix, `~` begins an RE2 expression."""

    account: Annotated[OneOrMore | None, described('name of the account')] = None
    source_addr: Annotated[OneOrMore | None, described('the sender')] = None
    destination: Annotated[OneOrMore | None, described('the number, without `+`')] = None
    text: Annotated[OneOrMore | None, described('the text')] = None
    upstream: Annotated[OneOrMore | None, described('where an MO message came from; `mo` only')] = None
    operator: Annotated[OneOrMore | None, described('operator of the number', later='the route never matches')] = None
    country: Annotated[OneOrMore | None, described('country of the number', later='the route never matches')] = None
    category: Annotated[OneOrMore | None, described('traffic category', later='the route never matches')] = None


class RouteConfig(_Part, frozen=True):
    """A route: conditions, and one action or routes of its own."""

    name: Annotated[str, described('shown in logs and on each message', min_length=1)]
    when: Annotated[WhenConfig, described('conditions; none = always')] = WhenConfig()
    priority: Annotated[Priority | None, described('priority of its messages')] = None
    failover: Annotated[tuple[str, ...] | None, described('upstreams, the first that is up takes it')] = None
    split: Annotated[
        dict[str, int] | None,
        described('upstreams and their shares: percent that make 100 together, or small numbers such as 2 and 1'),
    ] = None
    cheapest: Annotated[
        tuple[str, ...] | None, described('upstreams, the cheapest takes it', later='it works as failover does')
    ] = None
    reject: Annotated[
        Status | None, described('command_status of the refusal, a name such as ESME_RINVDSTADR or a number')
    ] = None
    routes: Annotated[tuple['RouteConfig', ...] | None, described('routes below these conditions')] = None


class MoRouteConfig(_Part, frozen=True):
    """Where MO messages go."""

    name: Annotated[str, described('shown in logs', min_length=1)]
    account: Annotated[str, described('the account that gets them')]
    when: Annotated[WhenConfig, described('conditions; none = always')] = WhenConfig()


class Notice(msgspec.Struct, frozen=True):
    """A key that is understood but has no effect in this version."""

    file: str
    line: int
    key: str
    what: str


class Configuration(_Part, frozen=True):
    """A whole configuration."""

    node: Annotated[int, described('number of this node, different for each', ge=0, le=255)] = 1
    data: Annotated[Path, described('folder of the private PostgreSQL and the control socket')] = Path('var')
    store: Annotated[StoreConfig, described('servers that keep the data')] = StoreConfig()
    smpp: Annotated[SmppConfig, described('SMPP')] = SmppConfig()
    http: Annotated[HttpConfig, described('HTTP')] = HttpConfig()
    retention: Annotated[RetentionConfig, described('how long things are kept')] = RetentionConfig()
    queues: Annotated[QueuesConfig, described('what memory holds')] = QueuesConfig()
    log: Annotated[LogConfig, described('logs')] = LogConfig()
    accounts: Annotated[dict[str, AccountConfig], described('ESMEs, by name')] = {}
    upstreams: Annotated[dict[str, UpstreamConfig], described('operators, by name')] = {}
    routes: Annotated[tuple[RouteConfig, ...], described('top to bottom, the first match decides')] = ()
    mo: Annotated[tuple[MoRouteConfig, ...], described('the same for MO messages')] = ()
    not_in_effect: tuple[Notice, ...] = ()
