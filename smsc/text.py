"""What a message says: its user data, wherever the PDU carries it, and its text."""

from pdu.alphabets import Alphabet, decode_text
from pdu.pdus import ShortMessage
from pdu.segments import header_size
from pdu.tlvs import Tag, find

UDHI = 0x40  # esm_class: a user data header comes first, SMPP 3.4 section 5.2.12


def payload_of(pdu: ShortMessage) -> bytes:
    """Return the user data of a message, from wherever it came."""
    return pdu.short_message or find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) or b''


def text_of(pdu: ShortMessage, alphabet: str) -> str:
    """Return the text of a message without its user data header; `alphabet` is what data_coding 0 means."""
    octets = payload_of(pdu)
    if pdu.esm_class & UDHI and octets:
        octets = octets[header_size(octets) :]
    return decode_text(octets, pdu.data_coding, Alphabet(alphabet))
