"""What a submit_sm must be to be accepted (wire.md C9 to C26, D11), by itself and for its account. Pure.

Every check raises Refused with the status for the response. Some settings change a message as it is admitted: the type
of a sender set by its look, a text in the place of sm_default_msg_id.
"""

from datetime import UTC, datetime

from domain.errors import Refused
from domain.message import Message
from pdu.alphabets import encode_text
from pdu.codec import encode
from pdu.pdus import DataSm, SubmitMulti, SubmitSm
from pdu.segments import UDHI, Concatenation
from pdu.status import CommandStatus
from pdu.times import TimeFormatError
from pdu.times import parse as parse_time
from pdu.tlvs import Tag, find
from smsc.clock import CLOCK
from smsc.config.account_schema import AccountConfig
from smsc.config.smpp_schema import SmppConfig
from smsc.data_sm import converted
from smsc.text import payload_of

HOUR_MS = 3_600_000
SCHEDULE_HORIZON_MS = 30 * 24 * HOUR_MS
MAX_VALIDITY_MS = 90 * 24 * HOUR_MS
RELATIVE = b'R'  # ends a relative time, SMPP 3.4 section 7.1.1.2; the others are by the system's clock
MAX_ADDRESS_DIGITS = 20
MAX_ALPHANUMERIC = 11
ALPHANUMERIC_TON, INTERNATIONAL_TON, SHORT_TON = 5, 1, 3
MAX_SHORT_CODE = 6
NUMBER_TONS = frozenset({1, 2})  # international, national: what they are put to is digits
TONS = frozenset(range(7))  # SMPP 3.4 section 5.2.5
NPIS = frozenset({0, 1, 3, 4, 6, 8, 9, 10, 14, 18})  # section 5.2.6
MODE = 0x03  # esm_class bits 1-0: 1 datagram, 2 transaction
MAX_PRIORITY, MAX_PRIORITY_5 = 3, 4
SUCCESS_ONLY = 3  # registered_delivery bits 1-0, SMPP 5.0 section 4.7.21
MAX_DESTINATIONS, MAX_DESTINATIONS_5 = 254, 255
MAX_SHORT_MESSAGE = 254


def status_of(status: int | str) -> int:
    """Return the number of a command_status that a setting names."""
    return int(CommandStatus[status]) if isinstance(status, str) else status


def status_without_route(config: AccountConfig) -> int:
    """Return what answers a message that no route matches; 0 where it is accepted and ends UNDELIV (wire.md C9)."""
    return 0 if config.no_route == 'receipt' else status_of(config.no_route)


def is_particular(config: AccountConfig) -> bool:
    """Return whether an account has rules of its own for what `check_parameters` checks."""
    return bool(config.auto_ton or config.service_types or config.data_codings or config.empty_messages == 'refuse')


def check_parameters(
    pdu: SubmitSm, config: AccountConfig, smpp: SmppConfig, speaks_5: bool, particular: bool = True
) -> None:
    """Check the mandatory parameters of a submit_sm, and set those that the account's settings ask for.

    `pdu.octets` are what is stored: they follow what is set. `particular` is `is_particular(config)`, for callers that
    are hot. Raises Refused.
    """
    address, ton = pdu.destination_addr, pdu.dest_addr_ton
    if not address.isdigit() or len(address) > MAX_ADDRESS_DIGITS or ton not in TONS or pdu.dest_addr_npi not in NPIS:
        _check_destination(address, ton, pdu.dest_addr_npi)
    if particular and config.auto_ton:
        set_source_type(pdu)
    if pdu.source_addr_ton not in TONS or pdu.source_addr_npi not in NPIS:
        bad_ton = pdu.source_addr_ton not in TONS
        raise Refused(CommandStatus.ESME_RINVSRCTON if bad_ton else CommandStatus.ESME_RINVSRCNPI, 'source')
    if pdu.source_addr_ton in NUMBER_TONS and pdu.source_addr and not pdu.source_addr.removeprefix(b'+').isdigit():
        raise Refused(CommandStatus.ESME_RINVSRCADR, 'source_addr is not a number')
    if pdu.source_addr_ton == ALPHANUMERIC_TON and len(pdu.source_addr) > MAX_ALPHANUMERIC:
        raise Refused(CommandStatus.ESME_RINVSRCADR, 'an alphanumeric sender has at most 11 characters')
    if pdu.registered_delivery & 3 == SUCCESS_ONLY and not speaks_5:
        _check_success_only(pdu, config)
    if pdu.esm_class or pdu.priority_flag or pdu.replace_if_present_flag or pdu.sm_default_msg_id or pdu.tlvs:
        _check_rare_parameters(pdu, smpp, speaks_5)
    if particular:
        _check_particular(pdu, config, speaks_5)


def _check_particular(pdu: SubmitSm, config: AccountConfig, speaks_5: bool) -> None:
    """Check what an account may use (wire.md C15, C25, C26)."""
    if config.service_types and pdu.service_type.decode('latin-1') not in config.service_types:
        raise Refused(CommandStatus.ESME_RINVSERTYP, 'a service_type that the account may not use')
    if config.data_codings and pdu.data_coding not in config.data_codings:
        status = CommandStatus.ESME_RINVDCS if speaks_5 else CommandStatus.ESME_RSUBMITFAIL
        raise Refused(status, 'a data_coding that the account may not use')
    if config.empty_messages == 'refuse' and not payload_of(pdu):
        raise Refused(CommandStatus.ESME_RINVMSGLEN, 'no user data')


def _check_destination(address: bytes, ton: int, npi: int) -> None:
    if not (address.isdigit() or (address[:1] == b'+' and address[1:].isdigit())):
        raise Refused(CommandStatus.ESME_RINVDSTADR, 'destination_addr is not a number')
    if len(address) > MAX_ADDRESS_DIGITS:
        raise Refused(CommandStatus.ESME_RINVDSTADR, 'destination_addr is too long')
    if ton not in TONS or npi not in NPIS:
        raise Refused(
            CommandStatus.ESME_RINVDSTTON if ton not in TONS else CommandStatus.ESME_RINVDSTNPI, 'destination'
        )


def set_source_type(pdu: SubmitSm) -> None:
    """Set the type of a sender by its look (wire.md C11): a short code, a number, a name."""
    address = pdu.source_addr.removeprefix(b'+')
    if not address:
        return
    if not address.isdigit():
        ton, npi = ALPHANUMERIC_TON, 0
    elif len(address) <= MAX_SHORT_CODE:
        ton, npi = SHORT_TON, 0
    else:
        ton, npi = INTERNATIONAL_TON, 1
    if (ton, npi) != (pdu.source_addr_ton, pdu.source_addr_npi):
        pdu.source_addr_ton, pdu.source_addr_npi = ton, npi
        pdu.octets = encode(pdu)


def _check_success_only(pdu: SubmitSm, config: AccountConfig) -> None:
    """Deal with a value that only 5.0 knows, on a session of 3.4 (wire.md C22)."""
    if config.success_only == 'refuse':
        raise Refused(CommandStatus.ESME_RINVREGDLVFLG, 'registered_delivery 3 is 5.0')
    pdu.registered_delivery = pdu.registered_delivery & ~3 | 1
    pdu.octets = encode(pdu)


def _check_rare_parameters(pdu: SubmitSm, smpp: SmppConfig, speaks_5: bool) -> None:
    """Check what most messages leave empty."""
    if pdu.esm_class:
        _check_esm_class(pdu)
    if pdu.priority_flag > (MAX_PRIORITY_5 if speaks_5 else MAX_PRIORITY):
        raise Refused(CommandStatus.ESME_RINVPRTFLG, 'priority_flag is 0 to 3, 4 in 5.0')
    if pdu.replace_if_present_flag > 1:
        raise Refused(CommandStatus.ESME_RINVREPFLAG, 'replace_if_present_flag is 0 or 1')
    if pdu.sm_default_msg_id:
        _set_default_message(pdu, smpp)
    if pdu.short_message and find(pdu.tlvs, Tag.MESSAGE_PAYLOAD):
        raise Refused(status_of(smpp.both_texts), 'both short_message and message_payload')


def _set_default_message(pdu: SubmitSm, smpp: SmppConfig) -> None:
    """Put the configured text in (wire.md C24)."""
    text = smpp.default_messages.get(str(pdu.sm_default_msg_id))
    if text is None:
        raise Refused(CommandStatus.ESME_RINVDFTMSGID, 'there is no such default message')
    pdu.data_coding, octets = encode_text(text)
    pdu.esm_class &= ~UDHI
    pdu.sm_default_msg_id = 0
    pdu.tlvs = tuple(tlv for tlv in pdu.tlvs if tlv[0] != Tag.MESSAGE_PAYLOAD)
    if len(octets) > MAX_SHORT_MESSAGE:
        pdu.short_message, pdu.tlvs = b'', (*pdu.tlvs, (int(Tag.MESSAGE_PAYLOAD), octets))
    else:
        pdu.short_message = octets
    pdu.octets = encode(pdu)


def _check_esm_class(pdu: SubmitSm) -> None:
    if pdu.esm_class & MODE in (1, 2):
        raise Refused(CommandStatus.ESME_RINVESMCLASS, 'only store and forward is supported')
    if pdu.esm_class & UDHI:
        octets = payload_of(pdu)
        if not octets or 1 + octets[0] > len(octets):
            raise Refused(CommandStatus.ESME_RINVESMCLASS, 'the user data header is longer than the message')


def check_part(pdu: SubmitSm, part: Concatenation, config: AccountConfig) -> None:
    """Check the numbers of a part that an ESME made (wire.md D11). Raises Refused."""
    if config.bad_parts == 'refuse' and not 1 <= part.sequence <= part.total:
        in_header = pdu.esm_class & UDHI
        status = CommandStatus.ESME_RINVESMCLASS if in_header else CommandStatus.ESME_RINVOPTPARAMVAL
        raise Refused(status, 'a part numbered 0 or above the total')


def submit_of_data(pdu: DataSm) -> SubmitSm:
    """Return the submit_sm that says what a data_sm does (wire.md C29). Raises Refused."""
    if find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) is None:
        raise Refused(CommandStatus.ESME_RMISSINGOPTPARAM, 'data_sm without message_payload')
    if len(pdu.source_addr) > MAX_ADDRESS_DIGITS:
        raise Refused(CommandStatus.ESME_RINVSRCADR, 'source_addr is too long')
    if len(pdu.destination_addr) > MAX_ADDRESS_DIGITS:
        raise Refused(CommandStatus.ESME_RINVDSTADR, 'destination_addr is too long')
    return converted(pdu, SubmitSm)


def check_destinations(pdu: SubmitMulti, speaks_5: bool) -> None:
    """Check how many destinations a submit_multi has (wire.md C28). Raises Refused."""
    if not 1 <= len(pdu.dest_address) <= (MAX_DESTINATIONS_5 if speaks_5 else MAX_DESTINATIONS):
        raise Refused(CommandStatus.ESME_RINVNUMDESTS, 'a submit_multi has 1 to 254 destinations')
    if pdu.replace_if_present_flag and len(pdu.dest_address) > 1:  # the response could tell one id of several
        raise Refused(CommandStatus.ESME_RINVREPFLAG, 'replace_if_present_flag with several destinations')


def submit_to(pdu: SubmitMulti, ton: int, npi: int, address: bytes) -> SubmitSm:
    """Return the submit_sm of one destination of a submit_multi."""
    submit = SubmitSm(
        sequence_number=pdu.sequence_number,
        service_type=pdu.service_type,
        source_addr_ton=pdu.source_addr_ton,
        source_addr_npi=pdu.source_addr_npi,
        source_addr=pdu.source_addr,
        dest_addr_ton=ton,
        dest_addr_npi=npi,
        destination_addr=address,
        esm_class=pdu.esm_class,
        protocol_id=pdu.protocol_id,
        priority_flag=pdu.priority_flag,
        schedule_delivery_time=pdu.schedule_delivery_time,
        validity_period=pdu.validity_period,
        registered_delivery=pdu.registered_delivery,
        replace_if_present_flag=pdu.replace_if_present_flag,
        data_coding=pdu.data_coding,
        sm_default_msg_id=pdu.sm_default_msg_id,
        short_message=pdu.short_message,
        tlvs=pdu.tlvs,
    )
    submit.octets = encode(submit)
    return submit


def set_times(message: Message, now_ms: int) -> None:
    """Set when a message is due and expires, from its PDU; relative times count from `now_ms`. Raises Refused."""
    pdu = message.pdu
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    if pdu.schedule_delivery_time:
        due_at = _time_ms(pdu.schedule_delivery_time, now, CommandStatus.ESME_RINVSCHED)
        if due_at > now_ms + SCHEDULE_HORIZON_MS:
            raise Refused(CommandStatus.ESME_RINVSCHED, 'scheduled too far ahead')
        message.due_at = due_at
        message.expires_at += max(0, due_at - now_ms)
    if pdu.validity_period:
        expires_at = _time_ms(pdu.validity_period, now, CommandStatus.ESME_RINVEXPIRY)
        if expires_at <= max(now_ms, message.due_at):
            raise Refused(CommandStatus.ESME_RINVEXPIRY, 'validity_period has ended already')
        message.expires_at = min(expires_at, now_ms + MAX_VALIDITY_MS)


def _time_ms(octets: bytes, now: datetime, status: CommandStatus) -> int:
    try:
        at_ms = int(parse_time(octets, now).timestamp() * 1000)
    except TimeFormatError as error:
        raise Refused(status, str(error)) from error
    return at_ms if octets.endswith(RELATIVE) else at_ms + CLOCK.ahead_ms()
