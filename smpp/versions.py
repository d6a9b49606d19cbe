"""Versions of SMPP as interface_version writes them, and what a peer of 3.3 must be spared (SMPP 3.4 section 3.4)."""

import msgspec

from pdu.pdus import Pdu
from pdu.status import CommandStatus, PduError
from pdu.tlvs import Tag, find

SMPP_3_3 = 0x33
SMPP_3_4 = 0x34
SMPP_5_0 = 0x50
MAX_SHORT_MESSAGE = 254  # octets; 3.3 has no other place for them


def version_for(theirs: int) -> int:
    """Return the version that we speak with a peer that speaks `theirs`: 0x35 to 0x4F are nobody's, and taken as 3.4.

    To peers below 3.4 none is told: sc_interface_version is a TLV.
    """
    if theirs >= SMPP_5_0:
        return SMPP_5_0
    return SMPP_3_4 if theirs >= SMPP_3_4 else SMPP_3_3


def without_tlvs(pdu: Pdu) -> Pdu:
    """Return a PDU without TLVs, itself if it has none; a message_payload becomes the short_message.

    Raises PduError(ESME_RINVMSGLEN) where that has no room for it.
    """
    tlvs = getattr(pdu, 'tlvs', ())
    if not tlvs:
        return pdu
    payload = find(tlvs, Tag.MESSAGE_PAYLOAD)
    if not payload:
        return msgspec.structs.replace(pdu, tlvs=())
    if len(payload) > MAX_SHORT_MESSAGE or not hasattr(pdu, 'short_message'):
        raise PduError(CommandStatus.ESME_RINVMSGLEN, 'message_payload does not fit a PDU without TLVs')
    return msgspec.structs.replace(pdu, tlvs=(), short_message=payload)
