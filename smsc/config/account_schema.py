"""What can be configured of an account."""

from typing import Annotated, Literal

from msgspec import Meta

from smsc.config.content_schema import FraudMode
from smsc.config.kinds import (
    AlphabetName,
    Hours,
    Network,
    Octet,
    OneOrMore,
    Part,
    Password,
    PositiveSeconds,
    Priority,
    Rate,
    Status,
    Window,
    described,
)
from smsc.config.numbers_schema import AccountNumbersConfig
from smsc.config.policy_schema import DailyLimitConfig, DuplicatesConfig, SenderKind, SenderText
from smsc.config.prices_schema import GivenBackState
from smsc.config.windows_schema import WindowsConfig


class ReceiptsConfig(Part, frozen=True):
    """Receipts of an account."""

    message_id: Annotated[
        Literal['decimal', 'decimal20', 'hex', 'HEX', 'uuid'],
        described('how message_ids are written to the ESME; `decimal20` is padded with zeros', wire='C2 E16'),
    ] = 'decimal'
    pdu: Annotated[Literal['deliver_sm', 'data_sm'], described('what carries them', wire='E1')] = 'deliver_sm'
    dates: Annotated[Literal[10, 12], described('digits of their dates', wire='E16')] = 10
    template: Annotated[
        str | None,
        described(
            'their text, with {id} {sub} {dlvrd} {submit} {done} {stat} {err} {text}; none = as in SMPP 3.4 appendix B',
            wire='E16',
        ),
    ] = None
    keep_h: Annotated[Hours, described('how long a receipt waits for the ESME, in hours')] = 72


BindType = Literal['transmitter', 'receiver', 'transceiver']


class AccountConfig(Part, frozen=True):
    """An ESME: who it is and what it may do."""

    name: str = ''
    system_id: Annotated[str, described('what it binds with; without it, the name of the account', max_length=15)] = ''
    password: Annotated[Password | None, described('its password, as it stands')] = None
    password_hash: Annotated[str | None, described('or an argon2 hash of it')] = None
    enabled: Annotated[bool, described('whether it may bind')] = True
    binds: Annotated[int, described('sessions at a time, at all nodes together', ge=1, le=10_000)] = 1
    bind_types: Annotated[tuple[BindType, ...], described('the binds it may use')] = (
        'transmitter',
        'receiver',
        'transceiver',
    )
    window: Annotated[Window, described('unanswered PDUs a session, each way')] = 10
    rate_per_s: Annotated[Rate, described('segments a second, of all its sessions and nodes together; 0 = any')] = 0
    sender_rate_per_s: Annotated[Rate, described('segments a second, of each sender that it writes; 0 = any')] = 0
    waiting: Annotated[int, described('messages it may have waiting for an operator, at all nodes together', ge=1)] = (
        1_000_000
    )
    allow_from: Annotated[tuple[Network, ...], described('addresses it may connect from; none = any')] = ()
    numbers: Annotated[
        AccountNumbersConfig | None, described('how it writes numbers, where that differs from `numbers`')
    ] = None
    senders: Annotated[
        tuple[str, ...],
        described('senders it may use: words, prefixes such as `7495*`, `~` and an expression; none = any'),
    ] = ()
    sender_kinds: Annotated[tuple[SenderKind, ...], described('kinds of senders it may use; none = any')] = ()
    default_sender: Annotated[SenderText | None, described('sender of its messages that have none')] = None
    stop_lists: Annotated[
        tuple[str, ...], described('stop-lists that hold for it, beside `global` and the automatic one')
    ] = ()
    ignores_stop_lists: Annotated[
        tuple[str, ...], described('stop-lists for all accounts that do not hold for it')
    ] = ()
    category: Annotated[
        Annotated[str, Meta(max_length=40)] | None,
        described('traffic category of its messages; a template can give them another'),
    ] = None
    templates: Annotated[
        OneOrMore | None, described('lists of text templates for its messages, tried in this order; none = no list')
    ] = None
    fraud: Annotated[FraudMode | None, described('the fraud filter for its messages; none = `fraud.mode`')] = None
    priority: Annotated[Priority, described('priority of messages that ask for none')] = 0
    alphabet: Annotated[AlphabetName, described('what data_coding 0 means in what it submits')] = 'gsm'
    mo_alphabet: Annotated[AlphabetName | None, described('the same in what it gets; none = as in `alphabet`')] = None
    service_types: Annotated[tuple[str, ...], described('service_type it may use; none = any')] = ()
    data_codings: Annotated[tuple[Octet, ...], described('data_coding it may use; none = any')] = ()
    auto_ton: Annotated[
        bool, described('whether source_addr_ton and _npi are set by the look of the sender', wire='C11')
    ] = False
    empty_messages: Annotated[Literal['accept', 'refuse'], described('messages without user data', wire='C15')] = (
        'accept'
    )
    no_route: Annotated[
        Status,
        described('answer to a message without a route; `receipt` takes it and says UNDELIV', wire='C9'),
    ] = 'ESME_RINVDSTADR'
    success_only: Annotated[
        Literal['both', 'refuse'],
        described('registered_delivery 3 on a session below 5.0: as 1, or ESME_RINVREGDLVFLG', wire='C22'),
    ] = 'both'
    bad_parts: Annotated[
        Literal['pass', 'refuse'],
        described('parts numbered 0 or above their total: as they are, or refused', wire='D11'),
    ] = 'pass'
    max_parts: Annotated[int, described('segments that a message may have', ge=1, le=255)] = 255
    reassemble: Annotated[bool, described('whether the parts of long MO messages come to it as one')] = False
    reassemble_s: Annotated[PositiveSeconds, described('how long they wait for the missing ones')] = 60
    parts_wait_s: Annotated[
        PositiveSeconds,
        described('how long parts that it made of a message wait for the others where the text decides', wire='G2'),
    ] = 10
    duplicates: Annotated[
        DuplicatesConfig | None, described('messages that say the same again; none = all are sent', wire='C33')
    ] = None
    daily_limit: Annotated[
        DailyLimitConfig | None, described('messages that a subscriber may get in a day; none = any')
    ] = None
    prices: Annotated[str | None, described('price list of what it pays a segment; none = nothing')] = None
    credit: Annotated[
        Literal['none', 'prepaid', 'postpaid'],
        described('`prepaid` is refused what its credit does not pay for, `postpaid` may owe', wire='C7'),
    ] = 'none'
    credit_status: Annotated[Status, described('answer when the credit is used up', wire='C7')] = 'ESME_RTHROTTLED'
    charge: Annotated[
        Literal['accepted', 'delivered'],
        described('what is paid for: messages accepted and not `given_back`, or none but delivered ones', wire='C8'),
    ] = 'accepted'
    given_back: Annotated[
        tuple[GivenBackState, ...],
        described('ends that give the price back, if no operator has taken any of the message', wire='C8'),
    ] = ('REJECTED', 'EXPIRED', 'DELETED')
    validity_h: Annotated[Hours, described('lifetime of messages that ask for none, in hours')] = 48
    receipts: Annotated[ReceiptsConfig, described('its receipts')] = ReceiptsConfig()
    windows: Annotated[
        WindowsConfig | None,
        described("hours in which its messages may be sent, in the subscriber's time; none = any"),
    ] = None
