"""What an operator's receipt says, wherever it says it: in TLVs, in its text, or in both (wire.md F16).

Nothing is raised for what an operator writes: what cannot be read names no message, or an UNKNOWN state. TLVs win over
the text.
"""

from pdu.pdus import DeliverSm
from pdu.receipt_text import WORDS, MessageState, parse
from pdu.tlvs import Tag, c_octets, find, integer
from smsc.text import payload_of

MOST_ID_OCTETS = 255  # four times what the specification allows; an index of the store does not hold any length
_STATES = frozenset(int(state) for state in MessageState)
# To look a member of an enum up takes 0.1 us.
_RECEIPTED_MESSAGE_ID, _MESSAGE_STATE = int(Tag.RECEIPTED_MESSAGE_ID), int(Tag.MESSAGE_STATE)
_DELIVERED = int(MessageState.DELIVERED)


def read_receipt(pdu: DeliverSm) -> tuple[bytes, int, int]:
    """Return (message id, message_state, error code) of a receipt (SMPP 3.4 appendix B, 5.3.2.12, 5.3.2.35).

    The id is empty when the receipt names no message.
    """
    if pdu.tlvs:
        receipted_id = c_octets(pdu.tlvs, _RECEIPTED_MESSAGE_ID)
        if receipted_id and integer(pdu.tlvs, _MESSAGE_STATE) == _DELIVERED:
            return receipted_id, _DELIVERED, 0  # the text could add nothing
    text = parse(_text_octets(pdu))
    receipted_id, state, error = (text.id, int(text.state), _error_code(text.error)) if text else (b'', 7, 0)
    if pdu.tlvs:
        receipted_id = c_octets(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) or receipted_id
        told = integer(pdu.tlvs, Tag.MESSAGE_STATE)
        state = told if told is not None and told in _STATES else state
        network = find(pdu.tlvs, Tag.NETWORK_ERROR_CODE)
        error = int.from_bytes(network, 'big') if network else error
    return receipted_id if len(receipted_id) <= MOST_ID_OCTETS else b'', state, error


def is_receipt(pdu: DeliverSm) -> bool:
    """Return whether a PDU whose esm_class says nothing is a receipt all the same: it names a message and a state.

    For upstreams with `receipts_by_text` only: anybody can write an SMS that looks like a receipt (wire.md F20).
    """
    if pdu.tlvs and c_octets(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID):
        return True
    text = parse(_text_octets(pdu))
    if text is None or not text.complete:
        return False
    return text.state != MessageState.UNKNOWN or text.raw_state.upper() == WORDS[MessageState.UNKNOWN]


def _text_octets(pdu: DeliverSm) -> bytes:
    octets = payload_of(pdu)
    if octets[:1] == b'\0':  # UCS-2, whatever data_coding says: no key begins with a NUL
        return octets.decode('utf-16-be', 'replace').encode('latin-1', 'replace')
    return octets


def _error_code(octets: bytes) -> int:
    return int(octets) if octets.isdigit() and len(octets) <= 5 else 0
