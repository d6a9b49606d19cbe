"""What a message says: its user data, wherever the PDU carries it, and its text."""

from pdu import national
from pdu.alphabets import Alphabet, alphabet_of, decode_text
from pdu.pdus import ShortMessage
from pdu.segments import UDHI, SegmentError, decode_elements, header_size
from pdu.tlvs import Tag, find


def payload_of(pdu: ShortMessage) -> bytes:
    """Return the user data of a message, from wherever it came."""
    return pdu.short_message or find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) or b''


def text_of(pdu: ShortMessage, alphabet: str) -> str:
    """Return the text of a message without its user data header; `alphabet` is what data_coding 0 means.

    GSM text is read with the national shift tables that its header names, 3GPP TS 23.038 section 6.2.1.2.
    """
    octets = payload_of(pdu)
    if not pdu.esm_class & UDHI:
        return decode_text(octets, pdu.data_coding, Alphabet(alphabet))
    body = without_header(pdu.esm_class, octets)
    locking, single = national.languages_of(decode_elements(octets) or ())
    if (locking or single) and alphabet_of(pdu.data_coding) == Alphabet.GSM:
        return national.decode(body, locking, single)
    return decode_text(body, pdu.data_coding, Alphabet(alphabet))


def without_header(esm_class: int, octets: bytes) -> bytes:
    """Return user data without its header; as it is when it has none, or one that is longer than the whole."""
    if not (esm_class & UDHI and octets):
        return octets
    try:
        return octets[header_size(octets) :]
    except SegmentError:
        return octets
