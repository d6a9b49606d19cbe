"""Alphabets and long messages from the ESME to the handset: what the operator gets, put together as a phone would."""

import pytest

from pdu import alphabets, national
from pdu.alphabets import Alphabet
from pdu.segments import Concatenation, concatenation_of, decode_elements, header_size
from pdu.status import CommandStatus
from pdu.tlvs import Tag, find
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream

GSM_TEXT = alphabets.BASIC.replace('\x1b', '') + '\f^{}\\[~]|€'
FAMILY = '👨\u200d👩\u200d👧'
# An escape, a surrogate pair and a joined sequence stand where a cut would go.
GSM_LONG = 'a' * 152 + '€' + GSM_TEXT + 'b' * 200
UCS2_LONG = 'Ж' * 66 + '👋' + 'Ы' * 60 + FAMILY + 'Ж' * 90


@pytest.fixture
def running(product, start_smsc, bind):
    """Starts a product with one scripted operator that is configured so, and an ESME: (product, operator, ESME)."""

    async def start(bank=None, **form):
        smsc = await start_smsc()
        found = await product(
            upstreams={'mts': upstream(smsc.port, **form)}, accounts={'bank': account(**(bank or {}))}
        )
        await everywhere_bound(smsc)
        return found, smsc, await bind(found)

    return start


def long_submit(text_octets, data_coding=0, **changes):
    """A message that is too long for short_message, or goes in message_payload all the same."""
    payload = ((int(Tag.MESSAGE_PAYLOAD), text_octets),)
    return submit(b'', data_coding=data_coding, tlvs=payload, **changes)


class Phone:
    """Puts messages together from submit_sm PDUs, by the concatenation that they carry."""

    def __init__(self, packed=False, alphabet=Alphabet.GSM):
        self.packed = packed
        self.alphabet = alphabet
        self.messages = {}
        self.texts = []
        self.sizes = []

    def handle(self, pdu):
        octets = pdu.short_message or find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) or b''
        size = header_size(octets) if pdu.esm_class & 0x40 else 0
        elements = (decode_elements(octets) or ()) if size else ()
        part = concatenation_of(pdu.esm_class, octets, pdu.tlvs) or Concatenation(-len(self.texts), 1, 1)
        self.sizes.append(len(octets))
        self.texts.append(self._text(octets[size:], pdu.data_coding, elements, size))
        message = self.messages.setdefault((pdu.destination_addr, part.reference, part.total), {})
        assert part.sequence not in message, 'two parts with one number: a reference was given twice'
        message[part.sequence] = self.texts[-1]

    def _text(self, body, data_coding, elements, header_octets):
        if data_coding != 0 or self.alphabet != Alphabet.GSM:
            return alphabets.decode_text(body, data_coding, self.alphabet)
        if self.packed:
            body = alphabets.unpack(body, fill_bits=-8 * header_octets % 7)
        return national.decode(body, *national.languages_of(elements))

    def read(self):
        """Texts whose parts are all there."""
        return [
            ''.join([parts[number] for number in range(1, total + 1)])
            for (_, _, total), parts in self.messages.items()
            if len(parts) == total
        ]


def read(submits, **form):
    """What a phone shows of what an operator got."""
    phone = Phone(**form)
    for pdu in submits:
        phone.handle(pdu)
    return phone


@pytest.mark.wire('D1', 'D2', 'D3', 'D4', 'D5', 'D18', 'C14')
@pytest.mark.parametrize('long_messages', ['udh', 'udh16', 'sar', 'payload'])
async def test_long_messages_arrive_whole(running, long_messages):
    _, smsc, esme = await running(long_messages=long_messages)
    binary = bytes(range(256)) + b'\0\xff' * 10
    texts = [
        long_submit(alphabets.encode_gsm(GSM_LONG)),
        long_submit(alphabets.encode_ucs2(UCS2_LONG), 8),
        long_submit(binary, 4),
    ]
    await esme.submit_all(texts)
    sent = await smsc.submitted(3 if long_messages == 'payload' else 11)
    phone = read(sent)
    assert phone.read() == [GSM_LONG, UCS2_LONG, binary.decode('latin-1')]
    if long_messages != 'payload':
        assert all(octets <= (140 if pdu.data_coding else 160) for pdu, octets in zip(sent, phone.sizes, strict=True))


@pytest.mark.wire('D2')
@pytest.mark.parametrize(('long_messages', 'room'), [('udh', (153, 67, 134)), ('udh16', (152, 66, 133))])
async def test_the_lengths_at_which_a_message_becomes_one_more_part(running, long_messages, room):
    _, smsc, esme = await running(long_messages=long_messages)
    septets, characters, octets = room
    whole = [(b'a' * 160, 0), (b'\x04\x16' * 70, 8), (b'\xff' * 140, 4)]
    cut = [(b'a' * septets * 2, 0), (b'\x04\x16' * characters * 2, 8), (b'\xff' * octets * 2, 4)]
    more = [(b'a' * (septets * 2 + 1), 0), (b'\x04\x16' * (characters * 2 + 1), 8), (b'\xff' * (octets * 2 + 1), 4)]
    await esme.submit_all([long_submit(text, data_coding) for text, data_coding in whole + cut + more])
    sent = await smsc.submitted(3 + 6 + 9)
    assert sorted(total for _, _, total in read(sent).messages) == [1] * 3 + [2] * 3 + [3] * 3
    assert [pdu.short_message for pdu in sent[:3]] == [text for text, _ in whole]


@pytest.mark.wire('D12')
async def test_long_messages_to_one_number_do_not_get_one_reference(running):
    _, smsc, esme = await running()
    texts = [f'{number:03} ' + 'x' * 200 for number in range(200)]
    await esme.submit_all([long_submit(text.encode()) for text in texts])
    assert read(await smsc.submitted(400)).read() == texts


PARTS = [
    (b'\x05\x00\x03\x2a\x02\x01one', 0x40, ()),
    (b'\x06\x08\x04\x12\x34\x02\x01one', 0x40, ()),
    (b'\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x2b\x02\x02two', 0x40, ()),
    (b'one', 0, ((0x020C, b'\x12\x34'), (0x020E, b'\x02'), (0x020F, b'\x01'))),
    # Both say something else.
    (b'\x05\x00\x03\x2c\x02\x01one', 0x40, ((0x020C, b'\x12\x35'), (0x020E, b'\x03'), (0x020F, b'\x03'))),
    # Numbers that mean nothing.
    (b'\x05\x00\x03\x2d\x02\x00zero', 0x40, ()),
    (b'\x05\x00\x03\x2d\x02\x03three', 0x40, ()),
    (b'\x05\x00\x03\x2d\x00\x01none', 0x40, ()),
    (b'\x05\x00\x03\x2d\xff\xfflast', 0x40, ()),
    (b'three', 0, ((0x020C, b'\0\0'), (0x020E, b'\x02'), (0x020F, b'\x03'))),
]


@pytest.mark.wire('D7', 'D8', 'D10', 'D11')
async def test_parts_that_an_esme_made_go_on_as_they_are(running):
    _, smsc, esme = await running(long_messages='sar')
    await esme.submit_all([submit(octets, esm_class=esm_class, tlvs=tlvs) for octets, esm_class, tlvs in PARTS])
    sent = await smsc.submitted(len(PARTS))
    assert [(pdu.short_message, pdu.esm_class, pdu.tlvs) for pdu in sent] == PARTS


@pytest.mark.wire('D9')
@pytest.mark.parametrize(('long_messages', 'wide'), [('udh', False), ('sar', True)])
async def test_parts_are_converted_to_what_the_upstream_takes(running, long_messages, wide):
    """References that differ in their high octet alone stay apart, though parts come mixed."""
    _, smsc, esme = await running(long_messages=long_messages, parts='convert')
    requests = [
        submit(
            b'%d%d ' % (reference, sequence), tlvs=((0x020C, octets), (0x020E, b'\x03'), (0x020F, bytes([sequence])))
        )
        for sequence in (1, 2, 3)
        for reference, octets in ((1, b'\x01\x07'), (2, b'\x02\x07'))
    ]
    requests += [submit(b'\x06\x08\x04\x03\x07\x02' + bytes([n]) + b'3%d ' % n, esm_class=0x40) for n in (1, 2)]
    await esme.submit_all(requests)
    sent = await smsc.submitted(8)
    assert sorted(read(sent).read()) == ['11 12 13 ', '21 22 23 ', '31 32 ']
    for pdu in sent:
        part = concatenation_of(pdu.esm_class, pdu.short_message, pdu.tlvs)
        assert part is not None
        assert part.wide == wide
        assert bool(pdu.esm_class & 0x40) == (long_messages != 'sar')
        assert (find(pdu.tlvs, Tag.SAR_MSG_REF_NUM) is not None) == (long_messages == 'sar')


@pytest.mark.wire('D6')
async def test_an_operator_that_wants_packed_septets_gets_them(running):
    _, smsc, esme = await running(packed=True)
    texts = ['hellohello', 'seven@@', 'eight c\n', GSM_LONG]
    await esme.submit_all([long_submit(alphabets.encode_gsm(text)) for text in texts])
    sent = await smsc.submitted(3 + 4)
    assert sent[0].short_message.hex() == 'e8329bfd4697d9ec37'
    assert all(len(pdu.short_message) <= 140 for pdu in sent)
    assert read(sent, packed=True).texts == [*texts[:3], *read(sent, packed=True).texts[3:]]
    assert ''.join(read(sent, packed=True).texts[3:]) == GSM_LONG


@pytest.mark.wire('D14')
async def test_texts_go_in_national_tables_where_these_are_enabled(running):
    _, smsc, esme = await running(national=['turkish', 'hindi'])
    texts = ['Şişli ' + 'a' * 149, 'Şişli ' + 'a' * 150, 'नमस्ते ABC', 'Şişli Ж']
    await esme.submit_all([long_submit(alphabets.encode_ucs2(text), 8) for text in texts])
    sent = sorted(await smsc.submitted(5), key=lambda pdu: pdu.short_message)
    assert [(pdu.data_coding, pdu.esm_class, len(pdu.short_message)) for pdu in sent] == [
        (8, 0, 14),
        (0, 0x40, 159),
        (0, 0x40, 20),
        (0, 0x40, 158),
        (0, 0x40, 16),
    ]
    assert sent[1].short_message.startswith(bytes.fromhex('03 25 01 01'))
    assert sent[2].short_message.startswith(bytes.fromhex('06 24 01 06 25 01 06'))
    assert sorted(read(sent).read()) == sorted(texts)


@pytest.mark.wire('D14')
async def test_the_tables_that_an_esme_chose_are_kept(running):
    _, smsc, esme = await running()
    octets = b'\x03\x24\x01\x01' + b'\x1b\x73' * 20
    await esme.submit(octets, esm_class=0x40)
    (sent,) = await smsc.submitted(1)
    assert (sent.short_message, sent.esm_class) == (octets, 0x40)
    assert read([sent]).texts == ['ş' * 20]


@pytest.mark.wire('D1', 'D17')
@pytest.mark.parametrize(('theirs', 'ours'), [('latin1', 'gsm'), ('gsm', 'utf8')])
async def test_the_default_alphabet_is_that_of_each_side(running, theirs, ours):
    _, smsc, esme = await running(bank={'alphabet': theirs}, alphabet=ours)
    texts = [character for character in GSM_TEXT if encodable(character, theirs)] + ['é' * 155]
    await esme.submit_all([long_submit(alphabets.encode(text, Alphabet(theirs))) for text in texts])
    sent = await smsc.submitted(len(texts))
    phone = read(sent, alphabet=Alphabet(ours))
    assert ''.join(phone.texts) == ''.join(texts)
    assert all(encodable(text, ours) == (pdu.data_coding == 0) for pdu, text in zip(sent, phone.texts, strict=True))


def encodable(text, alphabet):
    try:
        return bool(alphabets.encode(text, Alphabet(alphabet)))
    except alphabets.AlphabetError:
        return False


@pytest.mark.wire('D13')
async def test_too_many_parts_are_refused_and_nothing_is_sent(running):
    found, smsc, esme = await running(bank={'max_parts': 255})
    for octets, data_coding in ((b'a' * (153 * 255 + 1), 0), (b'\xff' * (134 * 255 + 1), 4)):
        response = await esme.ask(long_submit(octets, data_coding))
        assert response.command_status == CommandStatus.ESME_RINVMSGLEN
    await esme.submit(b'after')
    assert [pdu.short_message for pdu in await smsc.submitted(1)] == [b'after']
    assert (await found.ledger()).accepted == 1


@pytest.mark.wire('D13')
async def test_an_account_may_be_held_to_fewer_parts(running):
    _, smsc, esme = await running(bank={'max_parts': 2})
    assert (await esme.ask(long_submit(b'a' * 307))).command_status == CommandStatus.ESME_RINVMSGLEN
    await esme.submit_all([long_submit(b'a' * 306)])
    assert [len(pdu.short_message) for pdu in await smsc.submitted(2)] == [159, 159]


@pytest.mark.wire('D15')
async def test_all_parts_but_the_last_say_that_more_will_come(running):
    _, smsc, esme = await running(more_messages=True)
    await esme.submit_all([long_submit(b'a' * 400), long_submit(b'short')])
    sent = await smsc.submitted(4)
    more = [find(pdu.tlvs, Tag.MORE_MESSAGES_TO_SEND) for pdu in sent]
    assert sorted(more, key=repr) == sorted([b'\1', b'\1', b'\0', None], key=repr)
    assert more.index(b'\1') < more.index(b'\0')
