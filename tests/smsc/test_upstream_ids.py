"""The forms in which operators write one id in the response and another in the receipt (wire.md F13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc.upstream_ids import IdForms, Reading, canonical, same_number

pytestmark = pytest.mark.wire('F13')
UUID = b'550e8400-e29b-41d4-a716-446655440000'


@pytest.mark.parametrize(
    ('response', 'receipt'),
    [
        (b'255', b'255'),
        (b'0000255', b'255'),
        (b'255', b'255\0'),
        (b' 255 ', b'255'),
        (b'ABCdef', b'abcDEF'),
        (b'00Ab', b'aB'),
        (UUID, UUID.upper()),
        (UUID, UUID.replace(b'-', b'')),
        (b'18446744073709551617', b'018446744073709551617'),
        (b'0', b'000'),
        (b'id', b'id\0garbage'),
    ],
)
def test_ids_of_no_stated_form_are_compared_by_what_they_mean(response, receipt):
    assert canonical(None)(response) == canonical(None)(receipt)


@pytest.mark.parametrize(
    ('decimal', 'hexadecimal'),
    [
        (b'255', b'FF'),
        (b'255', b'000000ff'),
        (b'0255\0', b' fF '),
        (b'18446744073709551617', b'10000000000000001'),
        (b'0', b'0'),
    ],
)
def test_decimal_and_hexadecimal_meet_either_way(decimal, hexadecimal):
    assert canonical('decimal')(decimal) == canonical('hex')(hexadecimal)


@pytest.mark.parametrize('form', [None, 'decimal', 'hex'])
@pytest.mark.parametrize(('one', 'other'), [(b'1-23', b'12-3'), (b'10', b'100'), (b'a', b'b'), (b'ab', b'ab c')])
def test_different_ids_stay_different(form, one, other):
    assert canonical(form)(one) != canonical(form)(other)


def test_a_number_without_a_form_is_not_taken_for_hexadecimal():
    assert canonical(None)(b'10') != canonical('hex')(b'10')


@pytest.mark.parametrize('form', ['decimal', 'hex'])
def test_an_id_that_is_not_of_its_form_is_compared_as_text(form):
    assert canonical(form)(b'Msg-00Z1') == canonical(None)(b'msg-00z1')


@given(st.binary(max_size=70), st.sampled_from([None, 'decimal', 'hex']))
def test_no_id_can_fail_and_none_has_a_nul_which_the_store_would_refuse(octets, form):
    assert '\0' not in canonical(form)(octets)


def receipts(forms, *pairs):
    """Lets receipts teach: pairs of the id in a response and in its receipt; returns which were found, and how."""
    how = []
    for response, receipt in pairs:
        known, asked = forms.canonical_response(response), forms.canonical_receipt(receipt)
        others = {other.upstream_message_id: other.reading for other in forms.other_readings(asked)}
        if asked == known:
            how.append('as it is')
        elif known in others:
            how.append('learned' if forms.note(others[known]) else 'other')
        else:
            how.append('not')
    return how


HEX_RECEIPTS = [(b'%d' % number, b'%X' % number) for number in range(0xABC000, 0xABC006)]
DECIMAL_RECEIPTS = [(b'%x' % number, b'%d' % number) for number in range(0xABC000, 0xABC006)]


@pytest.mark.parametrize(
    ('pairs', 'reading'), [(HEX_RECEIPTS, Reading.HEX), (DECIMAL_RECEIPTS, Reading.DECIMAL)], ids=['hex', 'decimal']
)
def test_three_receipts_teach_the_form_of_all_that_follow(pairs, reading):
    forms = IdForms()
    assert receipts(forms, *pairs) == ['other', 'other', 'learned', 'as it is', 'as it is', 'as it is']
    assert forms.learned == reading


@pytest.mark.parametrize(('response', 'receipt'), [('decimal', None), (None, 'hex')])
def test_one_form_that_is_stated_helps_to_learn_the_other(response, receipt):
    how = receipts(IdForms(response, receipt), *HEX_RECEIPTS)
    assert how[-1] == 'as it is'
    assert 'not' not in how


def test_stated_forms_are_never_read_otherwise():
    assert IdForms('decimal', 'text').other_readings('abc') == []


def test_digits_that_could_be_either_prove_nothing_before_a_letter_did():
    forms = IdForms()
    assert receipts(forms, (b'22', b'16')) == ['not']
    assert receipts(forms, (b'171', b'AB'), (b'22', b'16'), (b'172', b'AC')) == ['other', 'other', 'learned']


def test_what_was_learned_does_not_hide_an_id_written_as_in_the_response():
    forms = IdForms()
    receipts(forms, *HEX_RECEIPTS)
    assert receipts(forms, (b'1234567', b'1234567'), (UUID, UUID)) == ['other', 'as it is']


def test_the_plain_form_of_before_has_its_place_after():
    forms = IdForms()
    before = forms.canonical_receipt(b'00AB')
    receipts(forms, *HEX_RECEIPTS)
    assert forms.as_learned(before) == forms.canonical_receipt(b'00AB') == '171'
    assert forms.as_learned('no-number') == 'no-number'


@pytest.mark.parametrize(
    ('one', 'other', 'same'),
    [
        (b'79161234567', b'79161234567', True),
        (b'+79161234567', b'79161234567', True),
        (b'0079161234567', b'+79161234567', True),
        (b'79161234567', b'79161234568', False),
        (b'', b'79161234568', False),
    ],
)
def test_numbers_are_the_same_with_and_without_the_international_prefix(one, other, same):
    assert same_number(one, other) is same


@given(st.binary(max_size=70), st.sampled_from(list(Reading)))
def test_no_id_can_fail_to_be_read_otherwise(octets, reading):
    forms = IdForms()
    for _ in range(3):
        forms.note(reading)
    for text in (canonical(None)(octets), forms.canonical_receipt(octets)):
        assert all(isinstance(other.upstream_message_id, str) for other in forms.other_readings(text))
