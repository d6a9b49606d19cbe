"""How messages look to an upstream: every way to send long ones, the parts of ESMEs, TLVs."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdu.codec import encode
from pdu.segments import Concatenation, SegmentError, decode_elements, parse_sar, parse_udh
from pdu.tlvs import Tag, find
from smsc.wire_forms import is_plain, part_of, segment_count, submits_of
from tests.smsc.wire_form_messages import (
    REFERENCE,
    TEXTS,
    bodies,
    form,
    message,
    sar,
    sent,
    taken_apart,
    written,
)


@pytest.mark.wire('D2')
@pytest.mark.parametrize(
    ('octets', 'data_coding', 'long_messages', 'lengths'),
    [
        (b'a' * 160, 0, 'udh', [160]),
        (b'a' * 161, 0, 'udh', [159, 14]),
        (b'a' * 306, 0, 'udh', [159, 159]),
        (b'a' * 161, 0, 'udh16', [159, 16]),
        (b'a' * 161, 0, 'sar', [153, 8]),
        ('Ж'.encode('utf-16-be') * 70, 8, 'udh', [140]),
        ('Ж'.encode('utf-16-be') * 71, 8, 'udh', [140, 14]),
        ('Ж'.encode('utf-16-be') * 71, 8, 'udh16', [139, 17]),
        (b'\xff' * 140, 4, 'udh', [140]),
        (b'\xff' * 141, 4, 'udh', [140, 13]),
        (b'\xff' * 141, 4, 'udh16', [140, 15]),
    ],
)
def test_short_and_long_messages_by_octets_of_short_message(octets, data_coding, long_messages, lengths):
    submits = sent(message(octets, data_coding=data_coding), long_messages=long_messages)
    assert [len(submit.short_message) for submit in submits] == lengths
    assert b''.join(bodies(submits)) == octets
    assert {submit.data_coding for submit in submits} == {data_coding}


@pytest.mark.wire('D2', 'D7')
def test_every_part_says_which_it_is_and_carries_what_the_message_did():
    pdu = message(b'a' * 400, esm_class=0x80, tlvs=((0x1400, b'mine'),), protocol_id=5, service_type=b'X')
    for long_messages, reference in (('udh', 0xCD), ('udh16', 0xABCD)):
        submits = sent(pdu, long_messages=long_messages)
        parts = [Concatenation(reference, 3, sequence, long_messages == 'udh16') for sequence in (1, 2, 3)]
        assert [parse_udh(submit.short_message) for submit in submits] == parts
        for submit in submits:
            assert submit.esm_class == 0xC0
            assert submit.tlvs == ((0x1400, b'mine'),)
            fields = (submit.registered_delivery, submit.protocol_id, submit.service_type, submit.source_addr)
            assert fields == (1, 5, b'X', b'Shop')


@pytest.mark.wire('D9')
def test_sar_parts_carry_three_tlvs_and_no_header():
    submits = sent(message(b'a' * 400), long_messages='sar')
    assert [parse_sar(submit.tlvs) for submit in submits] == [Concatenation(0xABCD, 3, n, True) for n in (1, 2, 3)]
    assert {submit.esm_class for submit in submits} == {0}


@pytest.mark.wire('C14')
@pytest.mark.parametrize('long_messages', ['payload', 'as_is'])
def test_a_message_may_go_in_message_payload_whole(long_messages):
    octets = 'Жы'.encode('utf-16-be') * 16_000
    (submit,) = sent(message(octets, data_coding=8), long_messages=long_messages)
    assert (submit.short_message, submit.tlvs) == (b'', ((Tag.MESSAGE_PAYLOAD, octets),))
    assert submit.esm_class == 0


@pytest.mark.wire('C14')
def test_a_long_short_message_goes_in_message_payload_only_where_that_is_wanted():
    pdu = message(b'a' * 200)
    assert sent(pdu, long_messages='payload')[0].tlvs == ((Tag.MESSAGE_PAYLOAD, b'a' * 200),)
    assert sent(pdu, long_messages='as_is')[0].short_message == b'a' * 200
    assert len(sent(pdu, long_messages='udh')) == 2


@pytest.mark.wire('C14')
def test_message_payload_that_fits_becomes_short_message_where_parts_are_wanted():
    (submit,) = sent(message(tlvs=((int(Tag.MESSAGE_PAYLOAD), b'hello'),)), long_messages='udh')
    assert (submit.short_message, submit.tlvs) == (b'hello', ())


@pytest.mark.wire('C14', 'C27')
@pytest.mark.parametrize('long_messages', ['payload', 'as_is'])
def test_message_payload_that_fits_stays_where_that_is_wanted(long_messages):
    pdu = message(tlvs=((int(Tag.MESSAGE_PAYLOAD), b'hello'), (0x1400, b'mine')))
    assert sent(pdu, long_messages=long_messages) == [msgspec.structs.replace(pdu, octets=b'')]


@pytest.mark.wire('C14')
@pytest.mark.parametrize('long_messages', ['sar', 'payload', 'as_is'])
def test_a_peer_without_tlvs_gets_user_data_headers(long_messages):
    pdu = message(b'a' * 400, tlvs=((0x1400, b'mine'),))
    submits = sent(pdu, with_tlvs=False, long_messages=long_messages)
    assert [parse_udh(submit.short_message) for submit in submits] == [Concatenation(0xCD, 3, n) for n in (1, 2, 3)]
    assert all(submit.tlvs == () for submit in submits)


def test_the_configuration_overrules_what_the_peer_says_of_tlvs():
    pdu = message(b'hi', tlvs=((0x1400, b'mine'),))
    assert sent(pdu, with_tlvs=False, tlvs='always')[0].tlvs == pdu.tlvs
    assert sent(pdu, with_tlvs=True, tlvs='never')[0].tlvs == ()


@pytest.mark.wire('C27')
@pytest.mark.parametrize('long_messages', ['udh', 'udh16', 'sar', 'payload', 'as_is'])
def test_tlvs_go_on_unchanged_unless_they_are_stripped(long_messages):
    tlvs = ((0x1400, b'mine'), (int(Tag.USER_MESSAGE_REFERENCE), b'\0\x07'), (0x1400, b'again'))
    pdu = message(b'hi', tlvs=tlvs)
    assert sent(pdu, long_messages=long_messages)[0].tlvs == tlvs
    assert sent(pdu, long_messages=long_messages, strip_tlvs=(0x1400,))[0].tlvs == tlvs[1:2]


def test_a_stripped_message_payload_takes_no_text_with_it():
    submits = sent(message(b'a' * 400), long_messages='payload', strip_tlvs=(int(Tag.MESSAGE_PAYLOAD),))
    assert b''.join(bodies(submits)) == b'a' * 400
    assert [len(submit.short_message) for submit in submits] == [159, 159, 100]


@pytest.mark.wire('D13')
@pytest.mark.parametrize('long_messages', ['udh', 'udh16', 'sar'])
def test_more_than_255_parts_are_an_error_and_never_cut_short(long_messages):
    room = 152 if long_messages == 'udh16' else 153
    assert len(sent(message(b'a' * room * 255), long_messages=long_messages)) == 255
    with pytest.raises(SegmentError):
        sent(message(b'a' * (room * 255 + 1)), long_messages=long_messages)


@pytest.mark.wire('D15')
def test_all_parts_but_the_last_say_that_more_will_come():
    def more(submits):
        return [find(submit.tlvs, Tag.MORE_MESSAGES_TO_SEND) for submit in submits]

    assert more(sent(message(b'a' * 400), more_messages=True)) == [b'\1', b'\1', b'\0']
    assert more(sent(message(b'a' * 400), more_messages=True, long_messages='sar')) == [b'\1', b'\1', b'\0']
    assert more(sent(message(b'a' * 400))) == [None] * 3
    assert more(sent(message(b'a' * 400), more_messages=True, with_tlvs=False)) == [None] * 3
    assert more(sent(message(b'hi'), more_messages=True)) == [None]


def test_parts_do_not_replace_each_other():
    assert [s.replace_if_present_flag for s in sent(message(b'a' * 400, replace_if_present_flag=1))] == [0, 0, 0]
    assert sent(message(b'hi', replace_if_present_flag=1))[0].replace_if_present_flag == 1


@pytest.mark.wire('D7', 'D14')
@pytest.mark.parametrize('long_messages', ['udh', 'udh16', 'sar'])
def test_other_elements_go_into_every_part(long_messages):
    ports = b'\x05\x04\x0b\x84\x23\xf0'
    pdu = message(b'\x06' + ports + b'\xfe' * 300, esm_class=0x40, data_coding=4)
    submits = sent(pdu, long_messages=long_messages)
    assert b''.join(bodies(submits)) == b'\xfe' * 300
    for submit in submits:
        header, body = taken_apart(submit)
        assert (0x05, ports[2:]) in (decode_elements(header) or ())
        # As SAR, room is left for the element that the upstream makes.
        assert len(header) + len(body) + (5 if long_messages == 'sar' else 0) <= 140
    assert len(submits[0].short_message) == (135 if long_messages == 'sar' else 140)


PARTS = {
    'udh': (b'\x05\x00\x03\x2a\x03\x02', 0x40, ()),
    'udh16': (b'\x06\x08\x04\x12\x34\x03\x02', 0x40, ()),
    'udh and ports': (b'\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x2a\x03\x02', 0x40, ()),
    'sar': (b'', 0, sar(0x1234, 3, 2)),
}


@pytest.mark.wire('D8')
@pytest.mark.parametrize('long_messages', ['udh', 'udh16', 'sar', 'payload', 'as_is'])
@pytest.mark.parametrize('kind', PARTS)
def test_the_parts_of_an_esme_are_kept_as_they_are(kind, long_messages):
    header, esm_class, tlvs = PARTS[kind]
    pdu = message(header + b'a' * 128, esm_class=esm_class, tlvs=tlvs)
    (submit,) = sent(pdu, long_messages=long_messages)
    assert submit == msgspec.structs.replace(pdu, octets=b'')


@pytest.mark.wire('D8')
def test_a_part_in_message_payload_is_kept_too():
    pdu = message(esm_class=0x40, tlvs=((int(Tag.MESSAGE_PAYLOAD), b'\x05\x00\x03\x2a\x03\x02hi'), (0x1400, b'x')))
    (submit,) = sent(pdu, long_messages='udh')
    assert submit == msgspec.structs.replace(pdu, octets=b'')


@pytest.mark.wire('D9')
@pytest.mark.parametrize(
    ('kind', 'long_messages', 'reference'),
    [
        ('udh', 'udh', 0x2A),
        ('udh', 'udh16', 0x2A),
        ('udh', 'sar', 0x2A),
        ('udh16', 'udh', 0xCD),
        ('udh16', 'udh16', 0x1234),
        ('udh16', 'sar', 0x1234),
        ('udh and ports', 'sar', 0x2A),
        ('udh and ports', 'udh16', 0x2A),
        ('sar', 'udh', 0xCD),
        ('sar', 'udh16', 0x1234),
        ('sar', 'sar', 0x1234),
    ],
)
def test_the_parts_of_an_esme_are_converted(kind, long_messages, reference):
    header, esm_class, tlvs = PARTS[kind]
    pdu = message(header + b'a' * 120, esm_class=esm_class | 0x80, tlvs=((0x1400, b'x'), *tlvs))
    (submit,) = sent(pdu, long_messages=long_messages, parts='convert')
    in_sar = long_messages == 'sar'
    found = parse_sar(submit.tlvs) if in_sar else parse_udh(submit.short_message)
    assert found == Concatenation(reference, 3, 2, wide=long_messages != 'udh')
    assert bodies([submit]) == [b'a' * 120]
    assert (0x1400, b'x') in submit.tlvs
    if in_sar:
        assert parse_udh(submit.short_message) is None
        assert submit.esm_class == 0x80 | (0x40 if kind == 'udh and ports' else 0)
        assert b'\x0b\x84\x23\xf0' in submit.short_message or kind != 'udh and ports'
    else:
        assert (submit.esm_class, parse_sar(submit.tlvs)) == (0xC0, None)


@pytest.mark.wire('D9')
def test_a_16_bit_reference_is_remapped_the_same_for_all_parts():
    """Two messages whose references differ in the high octet alone stay apart, as the caller says."""
    octets = [
        sent(message(b'text', tlvs=sar(reference, 2, sequence)), parts='convert', reference=ours)[0].short_message
        for reference, ours in ((0x0105, 0x0011), (0x0205, 0x0012))
        for sequence in (1, 2)
    ]
    assert [parse_udh(part) for part in octets] == [
        Concatenation(reference, 2, sequence) for reference in (0x11, 0x12) for sequence in (1, 2)
    ]


@pytest.mark.wire('D9')
def test_sar_becomes_a_header_where_tlvs_cannot_go():
    pdu = message(b'text', tlvs=sar(0x1234, 3, 2))
    (submit,) = sent(pdu, with_tlvs=False)
    assert parse_udh(submit.short_message) == Concatenation(0xCD, 3, 2)
    (submit,) = sent(pdu, strip_tlvs=(int(Tag.SAR_TOTAL_SEGMENTS),), long_messages='udh16')
    assert parse_udh(submit.short_message) == Concatenation(0x1234, 3, 2, wide=True)
    assert submit.tlvs == ()


@pytest.mark.wire('D8', 'D9')
def test_a_sar_part_with_no_room_for_a_header_stays_as_it_is():
    pdu = message(b'a' * 160, tlvs=sar(0x1234, 3, 2))
    (submit,) = sent(pdu, parts='convert', long_messages='udh')
    assert submit == msgspec.structs.replace(pdu, octets=b'')


@pytest.mark.wire('D10')
@pytest.mark.parametrize('parts', ['keep', 'convert'])
def test_the_header_wins_over_sar(parts):
    pdu = message(PARTS['udh'][0] + b'text', esm_class=0x40, tlvs=sar(0x1234, 5, 4))
    assert part_of(pdu) == Concatenation(0x2A, 3, 2)
    (submit,) = sent(pdu, parts=parts, long_messages='sar')
    expected = Concatenation(0x1234, 5, 4, True) if parts == 'keep' else Concatenation(0x2A, 3, 2, True)
    assert parse_sar(submit.tlvs) == expected
    assert len([tag for tag, _ in submit.tlvs if tag == Tag.SAR_MSG_REF_NUM]) == 1


@pytest.mark.wire('D11')
@pytest.mark.parametrize(('total', 'sequence'), [(0, 0), (3, 0), (3, 4), (0, 1), (255, 255)])
@pytest.mark.parametrize('parts', ['keep', 'convert'])
@pytest.mark.parametrize('long_messages', ['udh', 'udh16', 'sar', 'payload'])
def test_odd_numbers_of_parts_pass(total, sequence, parts, long_messages):
    for pdu in (
        message(bytes([5, 0, 3, 9, total, sequence]) + b'text', esm_class=0x40),
        message(b'text', tlvs=sar(9, total, sequence)),
    ):
        (submit,) = sent(pdu, parts=parts, long_messages=long_messages, more_messages=True)
        found = part_of(submit)
        assert found is not None
        assert (found.total, found.sequence) == (total, sequence)
        assert segment_count(pdu, 'gsm') == 1


@pytest.mark.wire('D11', 'A10')
@given(
    octets=st.binary(max_size=300),
    esm_class=st.sampled_from([0, 0x40, 0xC0]),
    data_coding=st.sampled_from([0, 1, 3, 4, 5, 8, 14, 0xF0]),
    tlvs=st.lists(
        st.tuples(st.sampled_from([0x020C, 0x020E, 0x020F, 0x1400, 0x0426]), st.binary(max_size=3)), max_size=4
    ).map(tuple),
    long_messages=st.sampled_from(['udh', 'udh16', 'sar', 'payload', 'as_is']),
    parts=st.sampled_from(['keep', 'convert']),
    packed=st.booleans(),
    alphabet=st.sampled_from(['gsm', 'latin1', 'utf8', 'ascii']),
    with_tlvs=st.booleans(),
)
def test_no_octets_do_harm(octets, esm_class, data_coding, tlvs, long_messages, parts, packed, alphabet, with_tlvs):
    pdu = message(octets, esm_class=esm_class, data_coding=data_coding, tlvs=tlvs)
    assert segment_count(pdu, alphabet) >= 1
    try:
        submits = submits_of(
            pdu,
            alphabet,
            form(long_messages=long_messages, parts=parts, packed=packed, national=('hindi',), more_messages=True),
            REFERENCE,
            with_tlvs,
        )
    except SegmentError:
        assert esm_class & 0x40 or not with_tlvs
        return
    for submit in submits:
        encode(submit)


PLAIN = [
    ({}, b'a' * 160, 0, 'gsm'),
    ({}, b'\xff' * 140, 4, 'gsm'),
    ({'long_messages': 'as_is'}, b'a' * 254, 0, 'gsm'),
    ({'alphabet': 'latin1'}, b'\xe9' * 70, 0, 'latin1'),
    ({'packed': True}, b'\0' * 140, 8, 'gsm'),
    ({'national': ('hindi',)}, b'a', 0, 'gsm'),
]


@pytest.mark.parametrize(('fields', 'octets', 'data_coding', 'alphabet'), PLAIN)
def test_a_short_message_that_needs_nothing_is_plain(fields, octets, data_coding, alphabet):
    pdu = message(octets, data_coding=data_coding)
    assert is_plain(pdu, alphabet, form(**fields))
    assert sent(pdu, alphabet, **fields) == [msgspec.structs.replace(pdu, octets=b'')]


@pytest.mark.parametrize(
    ('fields', 'pdu'),
    [
        ({}, message(b'a' * 161)),
        ({}, message(b'\xff' * 141, data_coding=4)),
        ({}, message(b'a', tlvs=((0x1400, b''),))),
        ({}, message(b'\x05\x00\x03\x2a\x03\x02', esm_class=0x40)),
        ({'alphabet': 'latin1'}, message(b'a')),
        ({'packed': True}, message(b'a')),
        ({'packed': True}, message(b'a', data_coding=0xF0)),
        ({'national': ('hindi',)}, message(b'\0a', data_coding=8)),
    ],
)
def test_what_may_need_something_is_not_plain(fields, pdu):
    assert not is_plain(pdu, 'gsm', form(**fields))


@given(
    header=st.sampled_from([b'', b'\x05\x00\x03\x2a\x03\x02', b'\x06\x05\x04\x0b\x84\x23\xf0', b'\x03\x24\x01\x01']),
    octets=st.binary(max_size=200),
    data_coding=st.integers(0, 255),
    alphabet=st.sampled_from(['gsm', 'utf8']),
    fields=st.sampled_from([{}, {'long_messages': 'payload'}, {'packed': True}, {'national': ('hindi', 'turkish')}]),
)
def test_the_short_way_says_what_the_long_way_does(header, octets, data_coding, alphabet, fields):
    """What needs no change is known at a glance, unless there are TLVs to strip; then each PDU is written anew."""
    pdu = message(header + octets, esm_class=0x40 if header else 0, data_coding=data_coding)
    stripped = sent(pdu, alphabet, alphabet=alphabet, strip_tlvs=(int(Tag.SAR_MSG_REF_NUM),), **fields)
    assert sent(pdu, alphabet, alphabet=alphabet, **fields) == stripped
    if is_plain(pdu, alphabet, form(alphabet=alphabet, **fields)):
        assert stripped == [msgspec.structs.replace(pdu, octets=b'')]


@pytest.mark.wire('C6')
@given(text=TEXTS, account=st.sampled_from(['gsm', 'latin1', 'utf8']))
def test_segments_are_counted_as_they_are_cut(text, account):
    pdu = written(text, account)
    assert segment_count(pdu, account) == len(sent(pdu, account, alphabet=account, long_messages='udh'))


@pytest.mark.wire('C6', 'C14')
@pytest.mark.parametrize(
    ('pdu', 'count'),
    [
        (message(b''), 1),
        (message(b'a' * 160), 1),
        (message(b'a' * 161), 2),
        (message(b'\x1be' * 80), 1),
        (message('Ж'.encode('utf-16-be') * 71, data_coding=8), 2),
        (message(b'a' * 65_535), 429),
        (message(b'\xff' * 65_535, data_coding=4), 490),
        (message(b'\x05\x00\x03\x2a\x03\x02' + b'a' * 248, esm_class=0x40), 1),
        (message(b'a' * 254, tlvs=sar(7, 3, 2)), 1),
        (message(b'\x7f' + b'a' * 253, esm_class=0x40), 1),
    ],
)
def test_the_count_of_segments(pdu, count):
    assert segment_count(pdu, 'gsm') == count


def test_what_no_pdu_holds_is_an_error():
    part = message(b'\x05\x00\x03\x2a\x03\x02' + b'a' * 300, esm_class=0x40)
    with pytest.raises(SegmentError):
        sent(part, with_tlvs=False)
    with pytest.raises(SegmentError):
        # UCS-2 takes twice the octets of Latin-1.
        sent(message(b'\xe7' * 40_000), 'latin1', alphabet='gsm', long_messages='payload')
