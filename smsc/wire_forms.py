"""How one message looks on the wire of one upstream: which PDUs it is sent as, and how many segments it has.

An upstream's configuration says how it wants long messages, alphabets and TLVs; here a submit_sm of an ESME becomes the
submit_sm PDUs that this upstream gets. What needs no change goes as it came, byte for byte; a part that an ESME made
stays one part (wire.md D8). Nothing here does I/O, and the PDUs that come in are never changed.

Parts with SAR TLVs are cut as those with an 8-bit reference are, for that is the header the upstream makes of them.
"""

from functools import cache

import msgspec
from msgspec.structs import replace

from pdu import alphabets, cutting, national
from pdu.alphabets import Alphabet, AlphabetError
from pdu.cutting import MESSAGE_OCTETS, SHORT_MESSAGE_OCTETS, SegmentError, Unit
from pdu.national import Language
from pdu.pdus import SubmitSm
from pdu.segments import (
    CONCATENATION_OCTETS,
    SAR_TAGS,
    UDHI,
    Concatenation,
    Elements,
    bounded,
    concatenation_element,
    concatenation_in,
    concatenation_of,
    decode_elements,
    encode_elements,
    header_size,
    sar_tlvs,
    without_concatenation,
)
from pdu.tlvs import Tag, Tlvs, find, make
from smsc.config.upstream_schema import UpstreamConfig
from smsc.text import payload_of

MAX_PAYLOAD_OCTETS = 0xFFFF

SEGMENT_OCTETS, SEGMENT_SEPTETS = 134, 153
LONG_OCTETS = 10 * SEGMENT_SEPTETS  # from here on segments are counted by octets alone

# Octets of short_message that certainly fit one message, whatever they say; with a header, any unit has the least.
_LEAST_WHOLE = 70
_WHOLE_OCTETS = {Unit.SEPTET: 160, Unit.UCS2: 140, Unit.OCTET: 140, Unit.CHARACTER: 70, Unit.DISPLAYED: 70}
_NEVER = -1
# Headers with nothing but the concatenation element.
_PART_HEADERS = (b'\x05\x00\x03', b'\x06\x08\x04')
# Of octets that are no septets, packing would leave seven bits.
_SEPTETS = bytes([octet if octet < 0x80 else 0x3F for octet in range(256)])


class WireForm(msgspec.Struct, frozen=True):
    """What an upstream takes; made once per configuration by `form_of`."""

    long_messages: str = 'udh'
    parts: str = 'keep'
    more_messages: bool = False
    alphabet: Alphabet = Alphabet.GSM
    packed: bool = False
    national: tuple[Language, ...] = ()
    strip_tlvs: frozenset[int] = frozenset()
    tlvs: str = 'auto'
    plain_octets: tuple[int, ...] = ()
    """By data_coding, how long a short_message may be to go as it is; -1 where it never does."""
    keeps_sar: bool = True
    """Whether the parts that an ESME made with SAR TLVs stay as they are."""


class UserData(msgspec.Struct, frozen=True):
    """What a message carries: the elements of its user data header, and what comes after."""

    elements: Elements
    body: bytes
    data_coding: int


def form_of(config: UpstreamConfig) -> WireForm:
    """Return the form that an upstream's configuration asks for."""
    form = WireForm(
        long_messages=config.long_messages,
        parts=config.parts,
        more_messages=config.more_messages,
        alphabet=Alphabet(config.alphabet),
        packed=config.packed,
        national=tuple([Language[name.upper()] for name in config.national]),
        strip_tlvs=frozenset(config.strip_tlvs),
        tlvs=config.tlvs,
        keeps_sar=config.parts == 'keep' and SAR_TAGS.isdisjoint(config.strip_tlvs),
    )
    return replace(form, plain_octets=tuple([_plain_octets(form, data_coding) for data_coding in range(256)]))


def _plain_octets(form: WireForm, data_coding: int) -> int:
    if form.packed and alphabets.alphabet_of(data_coding, form.alphabet) == Alphabet.GSM:
        return _NEVER
    if form.national and data_coding == alphabets.DATA_CODING_UCS2:
        return _NEVER
    if form.long_messages == 'as_is':
        return SHORT_MESSAGE_OCTETS
    return whole_octets(form.alphabet)[data_coding]


@cache
def whole_octets(alphabet: str) -> tuple[int, ...]:
    """Return how many octets of user data are one segment for certain, by data_coding; `alphabet` is that of 0."""
    return tuple([_WHOLE_OCTETS[cutting.unit_of(data_coding, Alphabet(alphabet))] for data_coding in range(256)])


def is_plain(pdu: SubmitSm, alphabet: str, form: WireForm) -> bool:
    """Tell whether a message goes to the upstream as it is; cheap, and False only means that `submits_of` must look.

    False for all that has a user data header, so that the parts of an ESME are seen by whoever keeps them together.
    `alphabet` is what data_coding 0 means in the ESME's messages.
    """
    return (
        not pdu.tlvs
        and len(pdu.short_message) <= form.plain_octets[pdu.data_coding]
        and not pdu.esm_class & UDHI
        and (pdu.data_coding != 0 or alphabet == form.alphabet)
    )


def _stays(pdu: SubmitSm, alphabet: str, form: WireForm) -> bool:
    """Tell the same of the user data in short_message alone, header included."""
    return (
        len(pdu.short_message) <= form.plain_octets[pdu.data_coding]
        and (pdu.data_coding != 0 or alphabet == form.alphabet)
        and (not pdu.esm_class & UDHI or _stays_with_header(pdu, form))
    )


def _stays_with_header(pdu: SubmitSm, form: WireForm) -> bool:
    if form.parts != 'keep':
        return False
    return pdu.short_message.startswith(_PART_HEADERS) or form.plain_octets[pdu.data_coding] >= MESSAGE_OCTETS >= len(
        pdu.short_message
    )


def submits_of(pdu: SubmitSm, alphabet: str, form: WireForm, reference: int, with_tlvs: bool) -> list[SubmitSm]:
    """Return the PDUs that a message is sent as, one for a short message; their `octets` are empty.

    `alphabet` is what data_coding 0 means in the ESME's messages. `reference` (16 bits; 8-bit forms use its low octet)
    is the caller's to choose so that it is free for this source and destination; all parts that an ESME made of one
    message get the same one. `with_tlvs` is whether the peer takes TLVs; `tlvs` of the form may overrule it.

    Raises SegmentError for more than 255 segments, and for octets that no PDU of this upstream can hold.
    """
    if form.tlvs != 'auto':
        with_tlvs = form.tlvs == 'always'
    if with_tlvs and pdu.short_message and form.keeps_sar and _stays(pdu, alphabet, form):
        return [replace(pdu, tlvs=_not_stripped(pdu.tlvs, form), octets=b'')]
    return _Writer(pdu, form, with_tlvs).submits(Alphabet(alphabet), reference & 0xFFFF)


def segment_count(pdu: SubmitSm, alphabet: str) -> int:
    """Return how many segments a message has when split as `udh`, 1 for a part that an ESME made.

    For limits and credit: exact for up to ten segments. It never raises, and may be more than the 255 that can be sent.
    `alphabet` is what data_coding 0 means.
    """
    limit_octets = _LEAST_WHOLE if pdu.esm_class & UDHI else whole_octets(alphabet)[pdu.data_coding]
    if pdu.esm_class & UDHI and pdu.short_message.startswith(_PART_HEADERS):
        return 1
    if len(pdu.short_message) <= limit_octets and (pdu.short_message or not pdu.tlvs):
        return 1
    data = user_data_of(pdu)
    if data is None or part_of(pdu) is not None:
        return 1
    if len(data.body) > LONG_OCTETS:  # cutting so much takes its time; a few characters at the ends do not matter
        unit = cutting.unit_of(data.data_coding, Alphabet(alphabet))
        return -(-len(data.body) // (SEGMENT_SEPTETS if unit is Unit.SEPTET else SEGMENT_OCTETS))
    try:
        return len(_split(data, Alphabet(alphabet), CONCATENATION_OCTETS))
    except SegmentError:
        return 1


def part_of(pdu: SubmitSm) -> Concatenation | None:
    """Return which part of which message an ESME made this PDU, None when it made it no part; never raises.

    The user data header wins over the SAR TLVs. Numbers are the ESME's: sequence may be 0 or above total.
    """
    if not pdu.tlvs and not pdu.esm_class & UDHI:
        return None
    return concatenation_of(pdu.esm_class, payload_of(pdu), pdu.tlvs)


def user_data_of(pdu: SubmitSm) -> UserData | None:
    """Return what a message carries; None when its user data header does not add up, so that nobody may change it."""
    octets = payload_of(pdu)
    if not pdu.esm_class & UDHI:
        return UserData((), octets, pdu.data_coding)
    elements = decode_elements(octets)
    return None if elements is None else UserData(elements, octets[header_size(octets) :], pdu.data_coding)


def _not_stripped(tlvs: Tlvs, form: WireForm) -> Tlvs:
    return tuple([tlv for tlv in tlvs if tlv[0] not in form.strip_tlvs]) if form.strip_tlvs else tlvs


def _header_octets(elements: Elements, more: int = 0) -> int:
    """Octets of the header with these elements and `more` octets of others; 0 without any."""
    octets = sum([2 + len(value) for _, value in elements]) + more
    return octets + 1 if octets else 0


def _split(data: UserData, alphabet: Alphabet, more: int) -> list[bytes]:
    """Bodies of the segments; `more` is what a concatenation element adds to the header of each."""
    whole, part = _header_octets(data.elements), _header_octets(data.elements, more)
    if any(national.languages_of(data.elements)):
        alphabet = Alphabet.GSM  # Whatever 0 means else, shift tables are of septets.
    return cutting.split(data.body, data.data_coding, alphabet, whole, part)


def recoded(data: UserData, alphabet: Alphabet, form: WireForm) -> UserData:
    """Return user data in the alphabets of the upstream; the same when it already is, or is not the text it claims.

    Text in the ESME's default alphabet goes in the upstream's or, where that lacks a character, with national shift
    tables or in UCS-2; text in UCS-2 goes in GSM when the upstream takes national languages and that holds it. What
    names its own shift tables is left alone.
    """
    if any(national.languages_of(data.elements)):
        return data
    if data.data_coding == alphabets.DATA_CODING_UCS2:
        text = alphabets.text_of(data.body, Alphabet.UCS2) if form.national and form.alphabet == Alphabet.GSM else None
        return data if text is None else _in_national(data, text, form) or data
    if data.data_coding != alphabets.DATA_CODING_DEFAULT or alphabet == form.alphabet:
        return data
    text = alphabets.text_of(data.body, alphabet)
    if text is None:
        return data
    try:
        return UserData(data.elements, alphabets.encode(text, form.alphabet), alphabets.DATA_CODING_DEFAULT)
    except AlphabetError:
        ucs2 = UserData(data.elements, alphabets.encode_ucs2(text), alphabets.DATA_CODING_UCS2)
        return (_in_national(data, text, form) if form.alphabet == Alphabet.GSM else None) or ucs2


def _in_national(data: UserData, text: str, form: WireForm) -> UserData | None:
    found = national.encode(text, form.national)
    if found is None:
        return None
    return UserData((*data.elements, *found.elements), found.septets, alphabets.DATA_CODING_DEFAULT)


def _part_recoded(data: UserData, alphabet: Alphabet, form: WireForm) -> UserData:
    """The same for a part that an ESME made: its data_coding is that of the other parts, so what is lacking is '?'."""
    if data.data_coding != alphabets.DATA_CODING_DEFAULT or alphabet == form.alphabet:
        return data
    text = None if any(national.languages_of(data.elements)) else alphabets.text_of(data.body, alphabet)
    if text is None:
        return data
    return replace(data, body=b''.join([_character(character, form.alphabet) for character in text]))


def _character(character: str, alphabet: Alphabet) -> bytes:
    try:
        return alphabets.encode(character, alphabet)
    except AlphabetError:
        return b'?'


class _Writer:
    """Writes the PDUs of one message for one upstream."""

    def __init__(self, pdu: SubmitSm, form: WireForm, with_tlvs: bool) -> None:
        self.pdu = pdu
        self.form = form
        self.data = user_data_of(pdu)
        self.takes_payload = with_tlvs and Tag.MESSAGE_PAYLOAD not in form.strip_tlvs
        self.takes_sar = with_tlvs and not SAR_TAGS & form.strip_tlvs
        self.tells_more = with_tlvs and form.more_messages
        self.in_payload = (
            self.takes_payload and not pdu.short_message and find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) is not None
        )
        self.kept: Tlvs = _not_stripped(pdu.tlvs, form) if with_tlvs else ()
        self.tlvs: Tlvs = tuple([tlv for tlv in self.kept if tlv[0] != Tag.MESSAGE_PAYLOAD])

    def submits(self, alphabet: Alphabet, reference: int) -> list[SubmitSm]:
        """Return the PDUs. Raises SegmentError when there are too many, or when one has no form."""
        if self.data is None:
            return [self._of_octets(payload_of(self.pdu), self.pdu.esm_class, self.tlvs, self.in_payload)]
        concatenation = part_of(self.pdu)
        if concatenation is not None:
            return [self._part(_part_recoded(self.data, alphabet, self.form), concatenation, reference)]
        return self._whole(recoded(self.data, alphabet, self.form), reference)

    def _whole(self, data: UserData, reference: int) -> list[SubmitSm]:
        """Return a message that no ESME has cut."""
        long_messages = self.form.long_messages
        if long_messages == 'as_is' and (self.takes_payload or len(self._encoded(data)) <= SHORT_MESSAGE_OCTETS):
            return [self._message(data, self.tlvs, self.in_payload)]
        wide = long_messages == 'udh16'
        bodies = _split(data, self.form.alphabet, CONCATENATION_OCTETS + wide)
        if long_messages == 'payload' and self.takes_payload:
            return [self._message(data, self.tlvs, self.in_payload or len(bodies) > 1)]
        if len(bodies) == 1:
            return [self._message(data, self.tlvs)]
        target = 'sar' if long_messages == 'sar' and self.takes_sar else 'udh16' if wide else 'udh'
        reference = reference & 0xFF if target == 'udh' else reference
        total = len(bounded(bodies))
        submits = [
            self._segment(replace(data, body=body), Concatenation(reference, total, sequence), target)
            for sequence, body in enumerate(bodies, 1)
        ]
        for submit in submits:
            # Each part would take the place of the one before.
            submit.replace_if_present_flag = 0
        return submits

    def _part(self, data: UserData, concatenation: Concatenation, reference: int) -> SubmitSm:
        """Return a part that an ESME made: as it is, or told in the upstream's way."""
        by_sar = concatenation_in(data.elements) is None
        target = self._target(by_sar, concatenation.wide)
        others = replace(data, elements=without_concatenation(data.elements))
        if by_sar and self.takes_sar and target != 'sar' and not self._holds_udh(others, target):
            target = None
        if target is None:
            return self._message(data, self.tlvs, self.in_payload)
        if target == 'udh' and concatenation.wide:
            concatenation = replace(concatenation, reference=reference & 0xFF)
        return self._segment(others, concatenation, target)

    def _target(self, by_sar: bool, wide: bool) -> str | None:
        """Return the way to tell of a part: udh, udh16 or sar; None where it stays as it is."""
        long_messages = self.form.long_messages
        in_udh = 'udh16' if long_messages == 'udh16' else 'udh'
        if by_sar and not self.takes_sar:
            return in_udh
        if self.form.parts == 'keep' or long_messages in ('payload', 'as_is'):
            return None
        wanted = 'sar' if long_messages == 'sar' and self.takes_sar else in_udh
        return None if wanted == ('sar' if by_sar else 'udh16' if wide else 'udh') else wanted

    def _holds_udh(self, others: UserData, target: str | None) -> bool:
        """Tell whether a part that comes with SAR TLVs has room for a user data header instead."""
        header = _header_octets(others.elements, CONCATENATION_OCTETS + (target == 'udh16'))
        try:
            return len(cutting.split(others.body, others.data_coding, self.form.alphabet, header, header)) == 1
        except SegmentError:
            return False

    def _segment(self, data: UserData, concatenation: Concatenation, target: str) -> SubmitSm:
        """Return a part; `data` has no concatenation element, whose place is before the others."""
        dropped = SAR_TAGS | {Tag.MORE_MESSAGES_TO_SEND} if self.tells_more else SAR_TAGS
        tlvs = tuple([tlv for tlv in self.tlvs if tlv[0] not in dropped])
        if target == 'sar':
            tlvs += sar_tlvs(concatenation)
        else:
            element = concatenation_element(replace(concatenation, wide=target == 'udh16'))
            data = replace(data, elements=(element, *data.elements))
        if self.tells_more:
            tlvs += (make(Tag.MORE_MESSAGES_TO_SEND, int(concatenation.sequence < concatenation.total)),)
        return self._message(data, tlvs)

    def _message(self, data: UserData, tlvs: Tlvs, in_payload: bool = False) -> SubmitSm:
        if data is self.data:
            esm_class = self.pdu.esm_class
        else:
            esm_class = self.pdu.esm_class & ~UDHI | (UDHI if data.elements else 0)
        submit = self._of_octets(self._encoded(data), esm_class, tlvs, in_payload)
        submit.data_coding = data.data_coding
        return submit

    def _encoded(self, data: UserData) -> bytes:
        """Return user data as octets: as they came if nothing was changed, packed if the upstream wants that."""
        packs = self.form.packed and cutting.unit_of(data.data_coding, self.form.alphabet) is Unit.SEPTET
        if data is self.data and not packs:
            return payload_of(self.pdu)
        header = encode_elements(data.elements)
        if not packs:
            return header + data.body
        septets = data.body.translate(_SEPTETS)
        return header + alphabets.pack_closed(septets, -8 * len(header) % 7, cutting.room_octets(len(header)))

    def _of_octets(self, octets: bytes, esm_class: int, tlvs: Tlvs, in_payload: bool) -> SubmitSm:
        if not in_payload and len(octets) <= SHORT_MESSAGE_OCTETS:
            return replace(self.pdu, esm_class=esm_class, short_message=octets, tlvs=tlvs, octets=b'')
        if not self.takes_payload or len(octets) > MAX_PAYLOAD_OCTETS:
            raise SegmentError('the message is longer than a PDU of this upstream holds')
        as_it_came = tlvs is self.tlvs and octets is find(self.kept, Tag.MESSAGE_PAYLOAD)
        tlvs = self.kept if as_it_came else (*tlvs, (int(Tag.MESSAGE_PAYLOAD), octets))
        return replace(self.pdu, esm_class=esm_class, short_message=b'', tlvs=tlvs, octets=b'')
