"""data_sm as the PDU of a message that says the same: submit_sm from an ESME, deliver_sm from an operator."""

from typing import TypeVar

from pdu.codec import encode
from pdu.cutting import SHORT_MESSAGE_OCTETS
from pdu.pdus import DataSm, ShortMessage
from pdu.tlvs import Tag, find

P = TypeVar('P', bound=ShortMessage)


def converted(pdu: DataSm, cls: type[P]) -> P:
    """Return the `cls` that says what a data_sm says (SMPP 3.4 section 4.7.1); `octets` are its own.

    message_payload of up to 254 octets becomes short_message. Raises PduError for an address that has no room there.
    """
    payload = find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) or b''
    fits = len(payload) <= SHORT_MESSAGE_OCTETS
    made = cls(
        sequence_number=pdu.sequence_number,
        service_type=pdu.service_type,
        source_addr_ton=pdu.source_addr_ton,
        source_addr_npi=pdu.source_addr_npi,
        source_addr=pdu.source_addr,
        dest_addr_ton=pdu.dest_addr_ton,
        dest_addr_npi=pdu.dest_addr_npi,
        destination_addr=pdu.destination_addr,
        esm_class=pdu.esm_class,
        registered_delivery=pdu.registered_delivery,
        data_coding=pdu.data_coding,
        short_message=payload if fits else b'',
        tlvs=tuple(tlv for tlv in pdu.tlvs if tlv[0] != Tag.MESSAGE_PAYLOAD) if fits else pdu.tlvs,
    )
    made.octets = encode(made)
    return made
