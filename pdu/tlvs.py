"""The TLVs of SMPP 3.4 (section 5.3.2) and 5.0 (section 4.8.4): one table, and work on the pairs a PDU holds.

A PDU holds its TLVs as `tuple[tuple[int, bytes], ...]`, in the order and with the duplicates they came with; values are
the octets after the length, undecoded, so what nobody asks about costs nothing and passes through unchanged. Tags that
are not in the table (reserved, vendors' 0x1400 to 0x3FFF) are kept without a check.
"""

import struct
from collections.abc import Iterable
from enum import Enum, IntEnum

import msgspec

from pdu.status import CommandStatus, PduError

Tlvs = tuple[tuple[int, bytes], ...]

_HEADER = struct.Struct('>HH')
_header = _HEADER.unpack_from
_pack = _HEADER.pack


class Tag(IntEnum):
    """Tags by their 3.4 names, then those that 5.0 added."""

    DEST_ADDR_SUBUNIT = 0x0005
    DEST_NETWORK_TYPE = 0x0006
    DEST_BEARER_TYPE = 0x0007
    DEST_TELEMATICS_ID = 0x0008
    SOURCE_ADDR_SUBUNIT = 0x000D
    SOURCE_NETWORK_TYPE = 0x000E
    SOURCE_BEARER_TYPE = 0x000F
    SOURCE_TELEMATICS_ID = 0x0010
    QOS_TIME_TO_LIVE = 0x0017
    PAYLOAD_TYPE = 0x0019
    ADDITIONAL_STATUS_INFO_TEXT = 0x001D
    RECEIPTED_MESSAGE_ID = 0x001E
    MS_MSG_WAIT_FACILITIES = 0x0030
    PRIVACY_INDICATOR = 0x0201
    SOURCE_SUBADDRESS = 0x0202
    DEST_SUBADDRESS = 0x0203
    USER_MESSAGE_REFERENCE = 0x0204
    USER_RESPONSE_CODE = 0x0205
    SOURCE_PORT = 0x020A
    DESTINATION_PORT = 0x020B
    SAR_MSG_REF_NUM = 0x020C
    LANGUAGE_INDICATOR = 0x020D
    SAR_TOTAL_SEGMENTS = 0x020E
    SAR_SEGMENT_SEQNUM = 0x020F
    SC_INTERFACE_VERSION = 0x0210
    CALLBACK_NUM_PRES_IND = 0x0302
    CALLBACK_NUM_ATAG = 0x0303
    NUMBER_OF_MESSAGES = 0x0304
    CALLBACK_NUM = 0x0381
    DPF_RESULT = 0x0420
    SET_DPF = 0x0421
    MS_AVAILABILITY_STATUS = 0x0422
    NETWORK_ERROR_CODE = 0x0423
    MESSAGE_PAYLOAD = 0x0424
    DELIVERY_FAILURE_REASON = 0x0425
    MORE_MESSAGES_TO_SEND = 0x0426
    MESSAGE_STATE = 0x0427
    USSD_SERVICE_OP = 0x0501
    DISPLAY_TIME = 0x1201
    SMS_SIGNAL = 0x1203
    MS_VALIDITY = 0x1204
    ALERT_ON_MESSAGE_DELIVERY = 0x130C
    ITS_REPLY_TYPE = 0x1380
    ITS_SESSION_INFO = 0x1383

    CONGESTION_STATE = 0x0428
    BROADCAST_CHANNEL_INDICATOR = 0x0600
    BROADCAST_CONTENT_TYPE = 0x0601
    BROADCAST_CONTENT_TYPE_INFO = 0x0602
    BROADCAST_MESSAGE_CLASS = 0x0603
    BROADCAST_REP_NUM = 0x0604
    BROADCAST_FREQUENCY_INTERVAL = 0x0605
    BROADCAST_AREA_IDENTIFIER = 0x0606
    BROADCAST_ERROR_STATUS = 0x0607
    BROADCAST_AREA_SUCCESS = 0x0608
    BROADCAST_END_TIME = 0x0609
    BROADCAST_SERVICE_GROUP = 0x060A
    BILLING_IDENTIFICATION = 0x060B
    SOURCE_NETWORK_ID = 0x060D
    DEST_NETWORK_ID = 0x060E
    SOURCE_NODE_ID = 0x060F
    DEST_NODE_ID = 0x0610
    DEST_ADDR_NP_RESOLUTION = 0x0611
    DEST_ADDR_NP_INFORMATION = 0x0612
    DEST_ADDR_NP_COUNTRY = 0x0613


class Kind(Enum):
    """What the octets of a value mean."""

    INTEGER = 'integer'
    C_OCTET_STRING = 'C-octet string'
    OCTET_STRING = 'octet string'


class TlvSpec(msgspec.Struct, frozen=True):
    """Form of one TLV's value; sizes are octets of the value, a C-octet string's NUL included."""

    tag: Tag
    kind: Kind
    min_octets: int
    max_octets: int


def _specs(kind: Kind, sizes: dict[Tag, int | tuple[int, int]]) -> list[TlvSpec]:
    bounds = {tag: size if isinstance(size, tuple) else (size, size) for tag, size in sizes.items()}
    return [TlvSpec(tag, kind, low, high) for tag, (low, high) in bounds.items()]


_INTEGERS = _specs(
    Kind.INTEGER,
    {
        Tag.DEST_ADDR_SUBUNIT: 1,
        Tag.DEST_NETWORK_TYPE: 1,
        Tag.DEST_BEARER_TYPE: 1,
        Tag.DEST_TELEMATICS_ID: 2,
        Tag.SOURCE_ADDR_SUBUNIT: 1,
        Tag.SOURCE_NETWORK_TYPE: 1,
        Tag.SOURCE_BEARER_TYPE: 1,
        # One octet in 3.4, two in 5.0.
        Tag.SOURCE_TELEMATICS_ID: (1, 2),
        Tag.QOS_TIME_TO_LIVE: 4,
        Tag.PAYLOAD_TYPE: 1,
        Tag.MS_MSG_WAIT_FACILITIES: 1,
        Tag.PRIVACY_INDICATOR: 1,
        Tag.USER_MESSAGE_REFERENCE: 2,
        Tag.USER_RESPONSE_CODE: 1,
        Tag.SOURCE_PORT: 2,
        Tag.DESTINATION_PORT: 2,
        Tag.SAR_MSG_REF_NUM: 2,
        Tag.LANGUAGE_INDICATOR: 1,
        Tag.SAR_TOTAL_SEGMENTS: 1,
        Tag.SAR_SEGMENT_SEQNUM: 1,
        Tag.SC_INTERFACE_VERSION: 1,
        Tag.CALLBACK_NUM_PRES_IND: 1,
        Tag.NUMBER_OF_MESSAGES: 1,
        Tag.DPF_RESULT: 1,
        Tag.SET_DPF: 1,
        Tag.MS_AVAILABILITY_STATUS: 1,
        Tag.DELIVERY_FAILURE_REASON: 1,
        Tag.MORE_MESSAGES_TO_SEND: 1,
        Tag.MESSAGE_STATE: 1,
        Tag.USSD_SERVICE_OP: 1,
        Tag.DISPLAY_TIME: 1,
        Tag.SMS_SIGNAL: 2,
        # Empty in 3.4, one octet in 5.0.
        Tag.ALERT_ON_MESSAGE_DELIVERY: (0, 1),
        Tag.ITS_REPLY_TYPE: 1,
        Tag.CONGESTION_STATE: 1,
        Tag.BROADCAST_CHANNEL_INDICATOR: 1,
        Tag.BROADCAST_MESSAGE_CLASS: 1,
        Tag.BROADCAST_REP_NUM: 2,
        Tag.BROADCAST_ERROR_STATUS: 4,
        Tag.BROADCAST_AREA_SUCCESS: 1,
        Tag.DEST_ADDR_NP_RESOLUTION: 1,
        Tag.DEST_ADDR_NP_COUNTRY: (1, 5),
    },
)

_C_OCTET_STRINGS = _specs(
    Kind.C_OCTET_STRING,
    {
        Tag.ADDITIONAL_STATUS_INFO_TEXT: (1, 256),
        Tag.RECEIPTED_MESSAGE_ID: (1, 65),
        Tag.BROADCAST_END_TIME: (1, 17),
        # 65 octets and, as some peers count, a NUL.
        Tag.SOURCE_NETWORK_ID: (7, 66),
        Tag.DEST_NETWORK_ID: (7, 66),
    },
)

_OCTET_STRINGS = _specs(
    Kind.OCTET_STRING,
    {
        Tag.SOURCE_SUBADDRESS: (2, 23),
        Tag.DEST_SUBADDRESS: (2, 23),
        Tag.CALLBACK_NUM_ATAG: (0, 65),
        Tag.CALLBACK_NUM: (4, 19),
        Tag.NETWORK_ERROR_CODE: 3,
        Tag.MESSAGE_PAYLOAD: (0, 0xFFFF),
        Tag.ITS_SESSION_INFO: 2,
        # One octet in 3.4; 5.0 may add a unit and a number of units.
        Tag.MS_VALIDITY: (1, 4),
        Tag.BROADCAST_CONTENT_TYPE: 3,
        Tag.BROADCAST_CONTENT_TYPE_INFO: (1, 255),
        Tag.BROADCAST_FREQUENCY_INTERVAL: 3,
        Tag.BROADCAST_AREA_IDENTIFIER: (0, 0xFFFF),
        Tag.BROADCAST_SERVICE_GROUP: (1, 255),
        Tag.BILLING_IDENTIFICATION: (1, 1024),
        Tag.SOURCE_NODE_ID: 6,
        Tag.DEST_NODE_ID: 6,
        Tag.DEST_ADDR_NP_INFORMATION: 10,
    },
)

SPECS: dict[int, TlvSpec] = {int(spec.tag): spec for spec in _INTEGERS + _C_OCTET_STRINGS + _OCTET_STRINGS}
"""Every known tag's form, by tag."""

_SIZES = {tag: range(spec.min_octets, spec.max_octets + 1) for tag, spec in SPECS.items()}


def decode_tlvs(octets: bytes, start: int, end: int) -> Tlvs:
    """Reads the TLVs that fill `octets[start:end]`.

    Raises PduError: ESME_RINVOPTPARSTREAM when one runs past `end`, ESME_RINVPARLEN when a known one has a wrong size.
    """
    found: list[tuple[int, bytes]] = []
    position = start
    while position < end:
        if end - position < 4:
            raise PduError(CommandStatus.ESME_RINVOPTPARSTREAM, 'octets after the last parameter are too few for a TLV')
        tag, size = _header(octets, position)
        position += 4
        stop = position + size
        if stop > end:
            raise PduError(CommandStatus.ESME_RINVOPTPARSTREAM, f'TLV 0x{tag:04x} runs past the end of the PDU')
        sizes = _SIZES.get(tag)
        if sizes is not None and size not in sizes:
            raise PduError(CommandStatus.ESME_RINVPARLEN, f'TLV 0x{tag:04x} has a wrong size of {size} octets')
        found.append((tag, octets[position:stop]))
        position = stop
    return tuple(found)


def encode_tlvs(tlvs: Iterable[tuple[int, bytes]]) -> bytes:
    """Writes TLVs in the given order. Raises PduError(ESME_RINVPARLEN) for a value longer than 65535 octets."""
    try:
        return b''.join([_pack(tag, len(value)) + value for tag, value in tlvs])
    except struct.error as error:
        raise PduError(CommandStatus.ESME_RINVPARLEN, 'a TLV or its tag is too large') from error


def find(tlvs: Tlvs, tag: int) -> bytes | None:
    """The value of the first TLV with this tag, undecoded; None without one."""
    for present, value in tlvs:
        if present == tag:
            return value
    return None


def integer(tlvs: Tlvs, tag: int) -> int | None:
    """The first TLV with this tag as an unsigned integer; None without one."""
    value = find(tlvs, tag)
    return None if value is None else int.from_bytes(value, 'big')


def c_octets(tlvs: Tlvs, tag: int) -> bytes | None:
    """The first TLV with this tag up to its NUL, which many peers leave out; None without one."""
    value = find(tlvs, tag)
    return None if value is None else value.split(b'\0', 1)[0]


def make(tag: int, value: int | bytes) -> tuple[int, bytes]:
    """Builds one TLV: an integer in the smallest size allowed, a C-octet string with its NUL added, other octets as is.

    Raises ValueError when the value does not fit the tag's form; an unlisted tag takes octets of any size.
    """
    spec = SPECS.get(tag)
    if isinstance(value, int):
        if spec is None or spec.kind is not Kind.INTEGER:
            raise ValueError(f'TLV 0x{tag:04x} is not an integer')
        size = max(spec.min_octets, (value.bit_length() + 7) // 8, 1)
        if value < 0 or size > spec.max_octets:
            raise ValueError(f'TLV 0x{tag:04x} does not hold {value} in {spec.max_octets} octets')
        return tag, value.to_bytes(size, 'big')
    if spec is None:
        return tag, value
    if spec.kind is Kind.C_OCTET_STRING:
        if b'\0' in value:
            raise ValueError(f'TLV 0x{tag:04x} is a C-octet string: no NUL inside')
        value += b'\0'
    if not spec.min_octets <= len(value) <= spec.max_octets:
        raise ValueError(f'TLV 0x{tag:04x} takes {spec.min_octets} to {spec.max_octets} octets, not {len(value)}')
    return tag, value
