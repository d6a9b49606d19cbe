"""What a message says: its user data, wherever the PDU carries it, and its text."""

from pdu.alphabets import Alphabet, decode_text
from pdu.pdus import ShortMessage
from pdu.segments import SegmentError, header_size
from pdu.tlvs import Tag, find

UDHI = 0x40  # esm_class: a user data header comes first, SMPP 3.4 section 5.2.12


def payload_of(pdu: ShortMessage) -> bytes:
    """Return the user data of a message, from wherever it came."""
    return pdu.short_message or find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) or b''


def text_of(pdu: ShortMessage, alphabet: str) -> str:
    """Return the text of a message without its user data header; `alphabet` is what data_coding 0 means."""
    return decode_text(without_header(pdu.esm_class, payload_of(pdu)), pdu.data_coding, Alphabet(alphabet))


def without_header(esm_class: int, octets: bytes) -> bytes:
    """Return user data without its header; as it is when it has none, or one that is longer than the whole."""
    if not (esm_class & UDHI and octets):
        return octets
    try:
        return octets[header_size(octets) :]
    except SegmentError:
        return octets
