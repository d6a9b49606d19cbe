"""The forms in which operators write one id in the response and another in the receipt (wire.md F13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc.upstream_ids import canonical

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
