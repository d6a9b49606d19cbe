"""What can be configured of an upstream."""

from typing import Annotated, Literal

from smsc.config.kinds import (
    AlphabetName,
    Hours,
    Part,
    Port,
    PositiveSeconds,
    Rate,
    Seconds,
    Status,
    SystemId,
    TagNumber,
    Window,
    described,
)

National = Literal[
    'turkish',
    'spanish',
    'portuguese',
    'bengali',
    'gujarati',
    'hindi',
    'kannada',
    'malayalam',
    'oriya',
    'punjabi',
    'tamil',
    'telugu',
    'urdu',
]


class MessageIdConfig(Part, frozen=True):
    """How an operator writes its message_ids; a form that is not set is learned from its first receipts."""

    response: Annotated[Literal['decimal', 'hex', 'text'] | None, described('in submit_sm_resp')] = None
    receipt: Annotated[Literal['decimal', 'hex', 'text'] | None, described('in receipts')] = None


class ErrorsConfig(Part, frozen=True):
    """What an operator's command_status means; what is in no list is permanent."""

    throttle: Annotated[tuple[Status, ...], described('slow down, then the same message again')] = (0x58, 0x14)
    temporary: Annotated[tuple[Status, ...], described('the next upstream of the route, or again later')] = (0x08, 0x64)
    permanent: Annotated[tuple[Status, ...], described('the message ends; takes precedence')] = ()


class RetryConfig(Part, frozen=True):
    """The back-off after temporary errors."""

    first_s: Annotated[PositiveSeconds, described('the first pause')] = 5
    factor: Annotated[float, described('each pause is so many times the one before', ge=1, le=100)] = 2
    last_s: Annotated[PositiveSeconds, described('the longest pause')] = 300


class AvailabilityConfig(Part, frozen=True):
    """When an upstream counts as failing: routes that name another one that is available pass it over (wire.md G3)."""

    watched: Annotated[bool, described('whether answers are watched; false = available as long as a link is bound')] = (
        True
    )
    error_rate_percent: Annotated[
        int, described('share of answers that speak of trouble of its own, or do not come in time', ge=1, le=100)
    ] = 50
    window_s: Annotated[PositiveSeconds, described('the time over which answers are counted')] = 30
    at_least: Annotated[int, described('so many answers in that time before they are judged', ge=1, le=1_000_000)] = 20
    response_ms: Annotated[
        int, described('a response that takes longer counts as one that is slow; 0 = any will do', ge=0, le=600_000)
    ] = 10_000
    throttled_s: Annotated[
        PositiveSeconds, described('an upstream that throttles everything for so long counts as failing')
    ] = 10
    throttled_messages: Annotated[
        int, described('one that throttles some, while so many wait for it, gets no new messages', ge=1)
    ] = 1_000
    probe_every_s: Annotated[
        PositiveSeconds, described('while it counts as failing it gets a few messages so often')
    ] = 5
    probes: Annotated[
        int, described('so many of them in a row must be taken before it gets all again', ge=1, le=1_000)
    ] = 3


class ReconnectConfig(Part, frozen=True):
    """The back-off of a link."""

    first_s: Annotated[PositiveSeconds, described('the first pause, doubled each time')] = 1
    last_s: Annotated[PositiveSeconds, described('the longest pause')] = 60
    refused_s: Annotated[PositiveSeconds, described('the pause after refused credentials')] = 300


class SimulatorConfig(Part, frozen=True):
    """A simulated operator, run by the server on the upstream's own host and port."""

    response_delay_ms: Annotated[int, described('from submit_sm to its response', ge=0)] = 0
    receipt_delay_ms: Annotated[int, described('from the response to the receipt', ge=0)] = 2_000
    undelivered_percent: Annotated[float, described('share of receipts that say UNDELIV', ge=0, le=100)] = 0


class UpstreamConfig(Part, frozen=True):
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
    links: Annotated[int, described('binds (or pairs) at a time, of all nodes together', ge=1, le=1_000)] = 1
    links_per_node: Annotated[
        bool, described('whether each node has so many, where the operator allows it; else nodes share them')
    ] = False
    window: Annotated[Window, described('unanswered submit_sm a link')] = 10
    rate_per_s: Annotated[Rate, described('segments a second, of all its links and nodes together; 0 = any')] = 0
    link_rate_per_s: Annotated[Rate, described('segments a second, of each of its links; 0 = any')] = 0
    message_id: Annotated[MessageIdConfig, described('forms of its message_ids')] = MessageIdConfig()
    interface_version: Annotated[Literal['3.3', '3.4', '5.0'], described('what we bind as')] = '3.4'
    bind_fallback: Annotated[
        bool, described('whether a transceiver that is refused becomes a transmitter and a receiver')
    ] = False
    count_hops: Annotated[
        bool, described('whether it gets the TLV of `smpp.hop_tlv`, with the hops of each message', wire='G6')
    ] = False
    outbind: Annotated[bool, described('whether its outbind makes us connect at once', wire='B20')] = False
    tlvs: Annotated[
        Literal['auto', 'always', 'never'],
        described('TLVs in what it gets; `auto` leaves them out where it says that it is older than 3.4'),
    ] = 'auto'
    strip_tlvs: Annotated[tuple[TagNumber, ...], described('tags of TLVs that it must not get')] = ()
    long_messages: Annotated[
        Literal['udh', 'udh16', 'sar', 'payload', 'as_is'], described('how it wants long messages')
    ] = 'udh'
    parts: Annotated[
        Literal['keep', 'convert'],
        described('parts that an ESME made: as they are, or in the form of `long_messages`'),
    ] = 'keep'
    more_messages: Annotated[bool, described('whether all parts but the last carry more_messages_to_send')] = False
    alphabet: Annotated[AlphabetName, described('what data_coding 0 means in what it gets')] = 'gsm'
    mo_alphabet: Annotated[AlphabetName | None, described('the same in what it sends; none = as in `alphabet`')] = None
    packed: Annotated[bool, described('whether it wants the GSM alphabet packed, 8 septets in 7 octets')] = False
    national: Annotated[
        tuple[National, ...],
        described('languages whose shift tables it takes, for texts in UCS-2 that fit them'),
    ] = ()
    unknown_outcome: Annotated[
        Literal['resend', 'hold', 'fail'],
        described('a submit_sm without a response: sent again, left for a late answer, or ended UNDELIV', wire='F8'),
    ] = 'resend'
    receipts_by_text: Annotated[
        bool, described('whether a deliver_sm of esm_class 0 whose text is a receipt is one', wire='F16')
    ] = False
    unknown_receipts: Annotated[
        Literal['accept', 'refuse'], described('the answer to receipts of no message of ours', wire='F17')
    ] = 'accept'
    errors: Annotated[ErrorsConfig, described('what its errors mean')] = ErrorsConfig()
    retry: Annotated[RetryConfig, described('back-off after temporary errors')] = RetryConfig()
    availability: Annotated[AvailabilityConfig, described('when it counts as failing', wire='G3')] = (
        AvailabilityConfig()
    )
    reconnect: Annotated[ReconnectConfig, described('back-off of its links')] = ReconnectConfig()
    enquire_link_s: Annotated[Seconds | None, described('instead of smpp.enquire_link_s')] = None
    response_timeout_s: Annotated[PositiveSeconds | None, described('instead of smpp.response_timeout_s')] = None
    prices: Annotated[str | None, described('price list of what it costs a segment; none = not known')] = None
    registered_delivery: Annotated[
        Literal['asked', 'always'], described('whether receipts are wanted even where the ESME asks for none')
    ] = 'asked'
    receipt_timeout_h: Annotated[
        Hours, described('a receipt that has not come so long after the validity never will, in hours')
    ] = 72
    tls: Annotated[bool, described('whether its port speaks TLS')] = False
    tls_ca: Annotated[str | None, described("file with the authorities to trust; none = the system's")] = None
    tls_verify: Annotated[bool, described('whether its certificate must be good, and its name that of `host`')] = True
    tls_server_name: Annotated[str | None, described('name to ask and check for instead of `host`')] = None
    tls_certificate: Annotated[str | None, described('file with the certificate chain we show')] = None
    tls_key: Annotated[str | None, described('file with its private key')] = None
    simulated: Annotated[SimulatorConfig | None, described('no operator, but one that the server simulates')] = None
