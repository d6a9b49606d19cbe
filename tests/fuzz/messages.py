"""Messages with anything in them, against the functions that look at what a message says.

Half of the PDUs are mutants that decode, half are made of extreme values: every data_coding, headers of all kinds, text
of all alphabets and octets of none. What such a function may raise is in its docstring; everything else is a defect.
"""

from collections import Counter
from random import Random
from typing import Any, TypeVar

from msgspec.structs import replace

from domain.message import Message
from pdu import alphabets, cutting, national, receipt_text, segments
from pdu.alphabets import Alphabet, AlphabetError
from pdu.codec import decode, encode
from pdu.cutting import SegmentError
from pdu.national import Language
from pdu.pdus import DataSm, DeliverSm, ShortMessage, SubmitSm
from pdu.segments import UDHI
from pdu.status import PduError
from pdu.tlvs import SPECS, Tag, Tlvs
from smsc import data_sm, mo_pdu, receipt_reading, text
from smsc.assembly import Assembler, join, read_part
from smsc.config.upstream_schema import UpstreamConfig
from smsc.wire_forms import form_of, is_plain, part_of, segment_count, submits_of
from tests.fuzz.corpus import EVERYTHING
from tests.fuzz.mutator import Mutator

M = TypeVar('M', bound=ShortMessage)
MOST_OCTETS = 70 * 255  # of a text, so that the longest makes more segments than there may be
FORMS = tuple(
    form_of(UpstreamConfig(**settings))
    for settings in (
        {},
        {'long_messages': 'udh16', 'parts': 'convert', 'more_messages': True},
        {'long_messages': 'sar', 'parts': 'convert', 'strip_tlvs': (0x1400,)},
        {'long_messages': 'payload', 'tlvs': 'never'},
        {'long_messages': 'as_is', 'tlvs': 'always'},
        {'packed': True, 'national': ('turkish', 'hindi', 'spanish')},
        {'alphabet': 'latin1', 'parts': 'convert', 'strip_tlvs': (0x0424, 0x020C)},
        {'alphabet': 'utf8', 'long_messages': 'udh16'},
        {'alphabet': 'ascii', 'packed': True, 'long_messages': 'sar'},
    )
)
_ALPHABETS = tuple(Alphabet)
_CHARACTERS = 'aZ@ €{^\n\fёЖğşİñçहि👩‍👩‍👧👍🏽é\u200d\ud800\udc00\ufffd\0かな한\x1b'
_KEYS = (b'id:', b'sub:', b'stat:', b'err:', b'text:', b'done date:', b'submit date:', b' ', b'DELIVRD', b'12', b'\0')


class Maker:
    """Makes messages; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._mutator = Mutator(seed, EVERYTHING)

    def message(self, cls: type[M]) -> M:
        """A submit_sm or deliver_sm as it came from the wire."""
        while self.random.random() < 0.5:
            try:
                pdu = decode(self._mutator.framed())
            except PduError:
                continue
            if isinstance(pdu, cls):
                return pdu
        made: M = cls(sequence_number=1, **self._values())
        octets = encode(made)
        again = decode(octets)
        assert isinstance(again, cls)
        return again

    def _values(self) -> dict[str, Any]:
        random = self.random
        octets = self.user_data()
        in_payload = len(octets) > 255 or random.random() < 0.2
        tlvs: Tlvs = ((int(Tag.MESSAGE_PAYLOAD), octets),) if in_payload else ()
        short_message = octets if not in_payload or (len(octets) <= 255 and random.random() < 0.1) else b''
        return {
            'source_addr': b'MyBank',
            'destination_addr': b'79161234567',
            'esm_class': random.choice((0, 0, 4, UDHI, UDHI, 0xFF, random.randrange(256))),
            'data_coding': random.choice((0, 0, 0, 8, 8, random.randrange(256))),
            'short_message': short_message,
            'tlvs': tlvs + self._tlvs(),
        }

    def _tlvs(self) -> Tlvs:
        random, found = self.random, []
        if random.random() < 0.2:
            numbers = random.randbytes(4) if random.random() < 0.3 else bytes([0, 1, 3, random.randrange(5)])
            found += [(0x020C, numbers[:2]), (0x020E, numbers[2:3]), (0x020F, numbers[3:])]
        if random.random() < 0.2:
            spec = random.choice(tuple(SPECS.values()))
            size = random.choice((spec.min_octets, min(spec.max_octets, 300)))
            found.append((int(spec.tag), random.randbytes(size)))
        return tuple(found)

    def user_data(self) -> bytes:
        """Octets of a message, with or without something like a header."""
        header = self._header() if self.random.random() < 0.5 else b''
        return (header + self._body())[:0xFFFF]

    def _header(self) -> bytes:
        random = self.random
        kind = random.randrange(4)
        if kind == 0:
            return random.choice((b'\x05\x00\x03', b'\x06\x08\x04')) + random.randbytes(random.randrange(6))
        if kind == 1:
            return b'\x05\x00\x03\x07\x03%c' % random.randrange(5)
        if kind == 2:
            return random.randbytes(random.randrange(20))
        elements = [
            (random.choice((0, 8, 0x24, 0x25, 5, 0x70)), random.randbytes(random.randrange(6)))
            for _ in range(random.randrange(6))
        ]
        return segments.encode_elements(tuple(elements))

    def _body(self) -> bytes:
        random = self.random
        size = random.choice((0, 1, 20, 69, 70, 71, 140, 153, 160, 161, 254, 255, 300, 1500))
        if random.random() < 0.02:
            size = MOST_OCTETS + random.randrange(200)
        kind = random.randrange(5)
        if kind == 0:
            return random.randbytes(size)
        if kind == 1:
            return bytes(random.choices(b'\x1b\x1b\x65 a\0\r@\x7f', k=size))
        if kind == 2:
            return b''.join(random.choices(_KEYS, k=1 + size // 10))
        letters = ''.join(random.choices(_CHARACTERS, k=size))
        return letters.encode(random.choice(('utf-16-be', 'utf-8')), 'surrogatepass')[: size or None]


def try_messages(seed: int, count: int) -> Counter[str]:
    """`count` messages through everything that reads them; returns how many were refused as what."""
    maker, found = Maker(seed), Counter[str]()
    assembler, now = Assembler(), 0.0
    for number in range(count):
        alphabet = maker.random.choice(_ALPHABETS)
        check_submit(maker.message(SubmitSm), alphabet, maker.random, found)
        deliver_sm = maker.message(DeliverSm)
        check_deliver(deliver_sm, alphabet, maker.random)
        check_octets(maker.user_data(), alphabet, maker.random, found)
        now += 0.1
        check_assembly(assembler, deliver_sm, number, now)
    return found


def check_submit(pdu: SubmitSm, alphabet: Alphabet, random: Random, found: Counter[str]) -> None:
    """What is made of it for an upstream are PDUs with a wire form, or it is too long for that."""
    form = random.choice(FORMS)
    segment, count = part_of(pdu), segment_count(pdu, alphabet)
    assert count >= 1
    assert segment is None or count == 1
    text.text_of(pdu, alphabet)
    before = replace(pdu)
    plain = is_plain(pdu, alphabet, form)
    try:
        submits = submits_of(pdu, alphabet, form, random.randrange(1 << 16), random.random() < 0.7)
    except SegmentError:
        found['too long'] += 1
        assert not plain
    else:
        found['parts' if len(submits) > 1 else 'plain' if plain else 'one'] += 1
        assert 1 <= len(submits) <= segments.MAX_SEGMENTS
        for submit in submits:
            assert type(decode(encode(submit))) is SubmitSm
    assert pdu == before, 'the message was changed'


def check_deliver(pdu: DeliverSm, alphabet: Alphabet, random: Random) -> None:
    """It is read as a receipt, and as the message that its ESME gets, without an error."""
    named, state, error = receipt_reading.read_receipt(pdu)
    assert len(named) <= receipt_reading.MOST_ID_OCTETS
    assert state in tuple(receipt_text.MessageState)
    assert 0 <= error < 1 << 24
    receipt_reading.is_receipt(pdu)
    text.text_of(pdu, alphabet)
    assert type(decode(encode(mo_pdu.mo_message(pdu, alphabet, random.choice(_ALPHABETS))))) is DeliverSm
    payload = text.payload_of(pdu)
    data_sm_pdu = DataSm(1, esm_class=pdu.esm_class, tlvs=((int(Tag.MESSAGE_PAYLOAD), payload), *pdu.tlvs))
    assert text.payload_of(data_sm.converted(data_sm_pdu, DeliverSm)) == (payload or text.payload_of(pdu))


def check_octets(octets: bytes, alphabet: Alphabet, random: Random, found: Counter[str]) -> None:
    """Headers, alphabets, cutting and receipts of octets."""
    data_coding, header = random.randrange(256), random.choice((0, 0, 7, 40, 131, 133, 140))
    elements = segments.decode_elements(octets)
    if elements:
        assert segments.encode_elements(elements) == octets[: 1 + octets[0]]
    segments.parse_udh(octets)
    receipt_text.parse(octets)
    shown = alphabets.decode_text(octets, data_coding, alphabet)
    known = alphabets.text_of(octets, alphabet)
    assert known is None or alphabets.encode(known, alphabet) == octets
    check_cutting(octets, data_coding, alphabet, header, found)
    national.decode(octets, random.randrange(256), random.randrange(256))
    national.encode(shown[:400], random.choices(tuple(Language), k=2))
    alphabets.unpack(octets, fill_bits=random.randrange(7))
    try:
        bodies = segments.split_text(shown, wide=random.random() < 0.5)[1]
    except (SegmentError, AlphabetError):
        found['no segments'] += 1
    else:
        assert len(bodies) <= segments.MAX_SEGMENTS


def check_cutting(octets: bytes, data_coding: int, alphabet: Alphabet, header: int, found: Counter[str]) -> None:
    """What is cut is all there, and no piece is larger than a message."""
    try:
        pieces = cutting.split(octets, data_coding, alphabet, header, header + 6)
    except SegmentError:
        found['no room'] += 1
        return
    unit = cutting.unit_of(data_coding, alphabet)
    assert pieces
    joined = b''.join(pieces)
    if joined != octets and unit in {cutting.Unit.DISPLAYED, cutting.Unit.CHARACTER}:
        named = alphabets.alphabet_of(data_coding, alphabet)
        whole = alphabets.text_of(octets, named)
        if whole is not None:
            assert ''.join(piece.decode(alphabets._CODECS[named]) for piece in pieces) == whole
            return
    assert joined in (octets, octets[:-1])
    assert joined == octets or unit is cutting.Unit.UCS2
    if len(pieces) > 1:
        most = cutting.room_septets(header + 6) if unit is cutting.Unit.SEPTET else cutting.room_octets(header + 6)
        assert max(map(len, pieces)) <= most
        assert min(map(len, pieces)) > 0


def check_assembly(assembler: Assembler, pdu: DeliverSm, number: int, now: float) -> None:
    """A part is handed back once, whatever it is; what is joined has a wire form or is too long for one."""
    part = read_part('bank', pdu, 'gsm')
    if part is not None:
        message = Message(number, 1, 'bank', 'any', pdu, 0, 0)
        step = assembler.add(part, message, now, 5)
        for parts in (step.complete, *([each] for each in step.incomplete + step.passed)):
            if parts:
                assert type(decode(encode(join([each.pdu for each in parts])))) is DeliverSm
    for step in assembler.expire(now):
        assert step.complete or step.incomplete or step.passed or step.repeated
    assert assembler.octets >= 0
