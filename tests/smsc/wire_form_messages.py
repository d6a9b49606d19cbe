"""Messages for the tests of wire forms: written as an ESME would, sent to an upstream, read as its handsets would."""

import msgspec
from hypothesis import strategies as st

from pdu import alphabets, national
from pdu.alphabets import Alphabet
from pdu.codec import encode
from pdu.pdus import SubmitSm
from pdu.segments import decode_elements, header_size
from pdu.tlvs import Tag, find
from smsc.config.upstream_schema import UpstreamConfig
from smsc.wire_forms import form_of, submits_of

REFERENCE = 0xABCD
GSM_CHARACTERS = alphabets.BASIC.replace('\x1b', '') + '€[]{}~^|\\'
TEXTS = st.one_of(
    st.text(st.sampled_from(GSM_CHARACTERS), max_size=700),
    st.text(max_size=300),
    st.text(st.sampled_from('नमस्तेABC 123'), max_size=400),
)


def form(**fields):
    return form_of(UpstreamConfig(**fields))


def message(octets=b'', esm_class=0, data_coding=0, **fields):
    """A submit_sm with all that has to reach each part; what does not fit short_message goes in message_payload."""
    tlvs = fields.pop('tlvs', ())
    if len(octets) > 254:
        octets, tlvs = b'', ((int(Tag.MESSAGE_PAYLOAD), octets), *tlvs)
    return SubmitSm(
        sequence_number=7,
        source_addr=b'Shop',
        source_addr_ton=5,
        destination_addr=b'79161234567',
        esm_class=esm_class,
        registered_delivery=1,
        data_coding=data_coding,
        short_message=octets,
        tlvs=tlvs,
        octets=b'as it came',
        **fields,
    )


def sent(pdu, account='gsm', with_tlvs=True, reference=REFERENCE, **fields):
    """The PDUs of a message; all of them can be encoded, and the message itself is as it was."""
    before = msgspec.structs.replace(pdu)
    submits = submits_of(pdu, account, form(**fields), reference, with_tlvs)
    assert pdu == before
    for submit in submits:
        assert submit.octets == b''
        encode(submit)
    return submits


def taken_apart(submit):
    """(header, body) of a PDU as a handset would."""
    octets = submit.short_message or find(submit.tlvs, Tag.MESSAGE_PAYLOAD) or b''
    size = header_size(octets) if submit.esm_class & 0x40 else 0
    return octets[:size], octets[size:]


def bodies(submits):
    return [taken_apart(submit)[1] for submit in submits]


def sar(reference, total, sequence):
    return (
        (int(Tag.SAR_MSG_REF_NUM), reference.to_bytes(2, 'big')),
        (int(Tag.SAR_TOTAL_SEGMENTS), bytes([total])),
        (int(Tag.SAR_SEGMENT_SEQNUM), bytes([sequence])),
    )


def written(text, account):
    """What an ESME submits: its default alphabet if that has the text, else UCS-2."""
    try:
        return message(alphabets.encode(text, Alphabet(account)))
    except alphabets.AlphabetError:
        return message(alphabets.encode_ucs2(text), data_coding=8)


def shown(submit, upstream='gsm'):
    """What the handset of an upstream shows of a part."""
    header, body = taken_apart(submit)
    if submit.data_coding == 8 or upstream != 'gsm':
        return alphabets.decode_text(body, submit.data_coding, Alphabet(upstream))
    return national.decode(body, *national.languages_of(decode_elements(header) or ()))
