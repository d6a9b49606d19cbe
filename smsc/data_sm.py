"""data_sm, and the PDUs with a short_message that say the same: submit_sm and deliver_sm."""

from typing import Any, TypeVar

from pdu.codec import encode
from pdu.cutting import SHORT_MESSAGE_OCTETS
from pdu.pdus import DataSm, ShortMessage
from pdu.tlvs import Tag, find

P = TypeVar('P', bound=ShortMessage)
_SHARED = (
    'service_type',
    'source_addr_ton',
    'source_addr_npi',
    'source_addr',
    'dest_addr_ton',
    'dest_addr_npi',
    'destination_addr',
    'esm_class',
    'registered_delivery',
    'data_coding',
)
"""The mandatory parameters that both have, SMPP 3.4 sections 4.4.1, 4.6.1 and 4.7.1."""


def converted(pdu: DataSm, cls: type[P]) -> P:
    """Return the `cls` that says what a data_sm says (SMPP 3.4 section 4.7.1); `octets` are its own.

    message_payload of up to 254 octets becomes short_message. Raises PduError for an address that has no room there.
    """
    payload = find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) or b''
    fits = len(payload) <= SHORT_MESSAGE_OCTETS
    made = cls(
        sequence_number=pdu.sequence_number,
        short_message=payload if fits else b'',
        tlvs=tuple(tlv for tlv in pdu.tlvs if tlv[0] != Tag.MESSAGE_PAYLOAD) if fits else pdu.tlvs,
        **_shared(pdu),
    )
    made.octets = encode(made)
    return made


def as_data_sm(pdu: ShortMessage) -> DataSm:
    """Return a new data_sm that says what a PDU with a short_message says (SMPP 3.4 section 4.7.1)."""
    return DataSm(tlvs=(*pdu.tlvs, (int(Tag.MESSAGE_PAYLOAD), pdu.short_message)), **_shared(pdu))


def _shared(pdu: ShortMessage | DataSm) -> dict[str, Any]:
    return {name: getattr(pdu, name) for name in _SHARED}
