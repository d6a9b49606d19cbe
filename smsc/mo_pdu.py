"""The PDUs of MO messages: a data_sm as the deliver_sm that is stored, and what an ESME gets, in its own alphabet."""

import msgspec

from pdu import alphabets
from pdu.alphabets import Alphabet, AlphabetError
from pdu.cutting import MESSAGE_OCTETS
from pdu.pdus import DeliverSm
from pdu.segments import UDHI, decode_elements
from pdu.tlvs import Tag, find
from smsc.assembly import NATIONAL, SHORT_MESSAGE_OCTETS
from smsc.config.account_schema import AccountConfig
from smsc.config.upstream_schema import UpstreamConfig
from smsc.text import payload_of, without_header

PAYLOAD_OCTETS = 0xFFFF  # of message_payload, SMPP 3.4 section 5.3.2.32


def alphabet_from(upstream: UpstreamConfig | None) -> str:
    """Return what data_coding 0 means in what an operator sends; one that is configured no more sent GSM."""
    return (upstream.mo_alphabet or upstream.alphabet) if upstream else str(Alphabet.GSM)


def alphabet_for(account: AccountConfig | None) -> str:
    """Return what data_coding 0 means in what an ESME gets."""
    return (account.mo_alphabet or account.alphabet) if account else str(Alphabet.GSM)


def segments_of(pdu: DeliverSm) -> int:
    """Return how many short messages an MO message takes in memory, roughly."""
    return 1 + len(payload_of(pdu)) // MESSAGE_OCTETS


def needs_tlvs(pdu: DeliverSm) -> bool:
    """Return whether a PDU without TLVs has no room for a message; a session of 3.3 takes no other."""
    if not pdu.tlvs:
        return False
    payload = find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) or b''
    return len(payload) > SHORT_MESSAGE_OCTETS or bool(payload and pdu.short_message)


def mo_message(pdu: DeliverSm, source: str, target: str) -> DeliverSm:
    """Return an MO message as its ESME gets it: what the operator sent, byte for byte but for the header.

    `source` and `target` are what data_coding 0 means to the operator and to the ESME (wire.md D17).
    """
    return pdu if source == target or pdu.data_coding else _transcoded(pdu, source, target)


def _transcoded(pdu: DeliverSm, source: str, target: str) -> DeliverSm:
    """Return a text of data_coding 0 in the alphabet `target`, or in UCS-2 if that lacks a character.

    What is no text of the alphabet `source`, what brings national shift tables, what has user data in both places, and
    what would be too long for a PDU stays as it is.
    """
    octets = payload_of(pdu)
    elements = decode_elements(octets) if pdu.esm_class & UDHI else ()
    in_both = pdu.short_message and find(pdu.tlvs, Tag.MESSAGE_PAYLOAD)
    if in_both or elements is None or any(identifier in NATIONAL for identifier, _ in elements):
        return pdu
    body = without_header(pdu.esm_class, octets)
    text = alphabets.text_of(body, Alphabet(source))
    if text is None:
        return pdu
    data_coding, written = _encode(text, Alphabet(target))
    if len(octets) - len(body) + len(written) > PAYLOAD_OCTETS:
        return pdu
    return _with_user_data(pdu, data_coding, octets[: len(octets) - len(body)] + written)


def _encode(text: str, alphabet: Alphabet) -> tuple[int, bytes]:
    try:
        return alphabets.DATA_CODING_DEFAULT, alphabets.encode(text, alphabet)
    except AlphabetError:
        return alphabets.DATA_CODING_UCS2, alphabets.encode_ucs2(text)


def _with_user_data(pdu: DeliverSm, data_coding: int, octets: bytes) -> DeliverSm:
    """Return a copy with other user data, where it was before if it fits there."""
    tlvs = tuple(tlv for tlv in pdu.tlvs if tlv[0] != Tag.MESSAGE_PAYLOAD)
    fits = len(octets) <= SHORT_MESSAGE_OCTETS and (pdu.short_message or len(tlvs) == len(pdu.tlvs))
    return msgspec.structs.replace(
        pdu,
        data_coding=data_coding,
        short_message=octets if fits else b'',
        tlvs=tlvs if fits else (*tlvs, (int(Tag.MESSAGE_PAYLOAD), octets)),
        octets=b'',
    )
