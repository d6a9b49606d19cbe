"""What can be configured of the side that ESMEs bind to."""

from typing import Annotated, Literal

from smsc.config.kinds import Listen, Part, PositiveSeconds, Rate, Seconds, Status, SystemId, TagNumber, described


class TlsListenConfig(Part, frozen=True):
    """TLS for ESMEs; `smsc reload` takes new files in, sessions stay."""

    listen: Annotated[Listen, described('address and port')]
    certificate: Annotated[str, described('file with the certificate chain')]
    key: Annotated[str, described('file with its private key')]
    client_ca: Annotated[
        str | None, described('file with the authorities whose certificates ESMEs must show; none = none asked for')
    ] = None
    minimum: Annotated[Literal['1.2', '1.3'], described('oldest version of TLS')] = '1.2'


class SmppConfig(Part, frozen=True):
    """The SMPP side towards ESMEs, and timers of all sessions."""

    listen: Annotated[Listen, described('address and port that ESMEs connect to')] = Listen('127.0.0.1', 2775)
    tls: Annotated[TlsListenConfig | None, described('a second port, with TLS')] = None
    system_id: Annotated[SystemId, TagNumber, described('how we name ourselves in bind responses')] = 'smsc'
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
    failed_binds_per_s: Annotated[
        Rate, described('refused binds a second from one address; more are refused unread; 0 = any', wire='B22')
    ] = 10
    error_bodies: Annotated[
        Literal['omit', 'empty'], described('the body of our error responses: none, or one empty field', wire='A17')
    ] = 'omit'
    bind_errors: Annotated[
        Literal['exact', 'same'],
        described('`same` answers a wrong system_id and a wrong password alike, ESME_RBINDFAIL', wire='B4'),
    ] = 'exact'
    too_many_binds: Annotated[Status, described('answer to a bind beyond those of the account', wire='B7')] = (
        'ESME_RBINDFAIL'
    )
    long_passwords: Annotated[
        bool, described('whether passwords of 9 to 64 characters are taken; 3.4 knows 8', wire='B24')
    ] = True
    window_exceeded: Annotated[
        Literal['ESME_RTHROTTLED', 'ESME_RMSGQFUL', 'wait'],
        described('requests beyond the window: the status of the answer, or their socket is not read', wire='C4'),
    ] = 'ESME_RTHROTTLED'
    max_hops: Annotated[
        int, described('a message that has come back to us over our own links more often is refused', ge=0, wire='G6')
    ] = 3
    hop_tlv: Annotated[
        TagNumber | None,
        described('tag of a vendor TLV with the hops of a message, for loops over other nodes', wire='G6'),
    ] = None
    both_texts: Annotated[Status, described('answer to short_message and message_payload in one PDU', wire='C13')] = (
        'ESME_ROPTPARNOTALLWD'
    )
    default_messages: Annotated[
        dict[str, str], described('texts for sm_default_msg_id, by its number', wire='C24')
    ] = {}
