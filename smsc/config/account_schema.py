"""What can be configured of an account."""

from typing import Annotated, Literal

from smsc.config.kinds import (
    AlphabetName,
    Hours,
    Network,
    Octet,
    Part,
    Password,
    PositiveSeconds,
    Priority,
    Rate,
    Status,
    Window,
    described,
)


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


class WindowsConfig(Part, frozen=True):
    """When an account's messages may be sent, in the subscriber's local time."""

    working_days: Annotated[str | None, described('hours such as "09:00-21:00"')] = None
    weekends: Annotated[str | None, described('hours such as "10:00-20:00"')] = None
    outside: Annotated[Literal['wait', 'reject'], described('what happens outside of them')] = 'wait'


BindType = Literal['transmitter', 'receiver', 'transceiver']


class AccountConfig(Part, frozen=True):
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
    validity_h: Annotated[Hours, described('lifetime of messages that ask for none, in hours')] = 48
    receipts: Annotated[ReceiptsConfig, described('its receipts')] = ReceiptsConfig()
    windows: Annotated[
        WindowsConfig | None,
        described('hours in which its messages may be sent', later='messages are sent at any hour'),
    ] = None
