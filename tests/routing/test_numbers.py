"""Numbers as ESMEs write them become E.164 digits by the rules of the account, and others stay as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.numbers import Normaliser, NumberRules

UNKNOWN, INTERNATIONAL, NATIONAL, ALPHANUMERIC = 0, 1, 2, 5

RUSSIA = NumberRules('7', ('8',), (10,), ('00', '810'))
GERMANY = NumberRules('49', ('0',))
NORWAY = NumberRules('47', ('',), (8,))
BARE_RUSSIA = NumberRules('7', ('8', ''), (10,))


@pytest.mark.parametrize(
    ('rules', 'address', 'ton', 'number'),
    [
        (RUSSIA, '79161234567', INTERNATIONAL, '79161234567'),
        (RUSSIA, '79161234567', UNKNOWN, '79161234567'),
        (RUSSIA, '+79161234567', UNKNOWN, '79161234567'),
        (RUSSIA, '+79161234567', INTERNATIONAL, '79161234567'),
        (RUSSIA, '0079161234567', UNKNOWN, '79161234567'),
        (RUSSIA, '0079161234567', INTERNATIONAL, '79161234567'),
        (RUSSIA, '81049151234567', UNKNOWN, '49151234567'),
        (RUSSIA, '89161234567', UNKNOWN, '79161234567'),
        (RUSSIA, '89161234567', NATIONAL, '79161234567'),
        (RUSSIA, '9161234567', NATIONAL, '79161234567'),
        (RUSSIA, '9161234567', UNKNOWN, '9161234567'),
        (RUSSIA, '8123456789', NATIONAL, '78123456789'),
        (BARE_RUSSIA, '9161234567', UNKNOWN, '79161234567'),
        (BARE_RUSSIA, '89161234567', UNKNOWN, '79161234567'),
        (BARE_RUSSIA, '4915123456', UNKNOWN, '74915123456'),
        (GERMANY, '0151234567', UNKNOWN, '49151234567'),
        (GERMANY, '0049151234567', UNKNOWN, '49151234567'),
        (GERMANY, '89161234567', UNKNOWN, '89161234567'),
        (NORWAY, '90123456', UNKNOWN, '4790123456'),
        (NORWAY, '4790123456', UNKNOWN, '4790123456'),
    ],
)
def test_a_number_in_any_form_becomes_e164(rules, address, ton, number):
    assert Normaliser(rules).normalise(address, ton) == number


@pytest.mark.parametrize('address', ['89161234567', '84912345678', '8109161234567', '9161234567'])
@pytest.mark.parametrize('rules', [RUSSIA, BARE_RUSSIA])
def test_an_international_number_is_never_taken_for_a_national_one(rules, address):
    assert Normaliser(rules).normalise(address, INTERNATIONAL) == address


@pytest.mark.parametrize('address', ['8916123456', '891612345678', '8', '112', '', '+', '0', 'Bank', '8Bank'])
def test_what_no_rule_knows_stays_as_it_is(address):
    assert Normaliser(RUSSIA).normalise(address, UNKNOWN) == address.removeprefix('+')


@given(st.text('0123456789+', max_size=21), st.sampled_from([UNKNOWN, INTERNATIONAL, NATIONAL, ALPHANUMERIC]))
def test_without_a_country_only_plus_and_00_are_taken_off(address, ton):
    expected = address[1:] if address.startswith('+') else address.removeprefix('00')
    assert Normaliser(NumberRules()).normalise(address, ton) == expected


@given(st.from_regex('[3-9][0-9]{9}', fullmatch=True), st.sampled_from(['+7', '007', '8', '8107']))
def test_all_forms_of_one_number_are_one_number(rest, beginning):
    assert Normaliser(RUSSIA).normalise(beginning + rest, UNKNOWN) == f'7{rest}'
