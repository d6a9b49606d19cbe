"""How numbers are written can be configured for all and for an account, and what cannot be meant is a mistake."""

import pytest

from smsc.config import load
from smsc.numbering import normaliser_of
from tests.smsc.config.test_mistakes import BOTH, mistakes

RUSSIA = 'numbers: {country_code: "7", national_prefix: "8", national_lengths: [10]}\n'


def normalise(folder, numbers: str, address: str, account: str = '{password: a}') -> str:
    text = f'{numbers}accounts: {{bank: {account}}}\nupstreams: {{mts: {{host: h}}}}\n'
    (folder / 'smsc.yaml').write_text(text, encoding='utf-8')
    made = load(folder / 'smsc.yaml', {})
    return normaliser_of(made.numbers, made.accounts['bank'].numbers).normalise(address, 0)


def test_without_a_word_about_numbers_only_plus_and_00_are_taken_off(tmp_path):
    assert normalise(tmp_path, '', '89161234567') == '89161234567'
    assert normalise(tmp_path, '', '0049151') == '49151'


def test_an_account_writes_numbers_as_all_do_but_for_what_it_says_itself(tmp_path):
    assert normalise(tmp_path, RUSSIA, '89161234567') == '79161234567'
    bare = '{password: a, numbers: {national_prefix: ["8", ""]}}'
    assert normalise(tmp_path, RUSSIA, '9161234567', bare) == '79161234567'
    foreign = '{password: a, numbers: {country_code: ""}}'
    assert normalise(tmp_path, RUSSIA, '89161234567', foreign) == '89161234567'
    american = '{password: a, numbers: {international_prefixes: ["011"]}}'
    assert normalise(tmp_path, RUSSIA, '01149151', american) == '49151'


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('numbers: {country_code: 7}', 'numbers.country_code: expected text'),
        ('numbers: {country_code: "+7"}', "numbers.country_code: '+7' is no calling code; write one to three digits"),
        ('numbers: {country_code: "7", national_prefix: x}', "numbers.national_prefix: 'x' is no prefix of numbers"),
        ('numbers: {country_code: "7", national_prefix: "8"}', 'may also begin a number of another country; add nat'),
        ('numbers: {country_code: "7", national_prefix: ""}', 'may also begin a number of another country; add nat'),
        ('numbers: {international_prefixes: ["+"]}', "numbers.international_prefixes: '+' is no prefix of numbers"),
        ('numbers: {international_prefixes: [""]}', "numbers.international_prefixes: '' is no prefix of numbers"),
        ('numbers: {national_lengths: [0]}', 'numbers.national_lengths: '),
        ('numbers: {zones: none.csv}', 'numbers.zones: none.csv cannot be read'),
    ],
)
def test_a_mistake_names_its_place_and_remedy(tmp_path, text, said):
    (line,) = mistakes(tmp_path, BOTH + text)
    assert line.startswith('smsc.yaml:3: ')
    assert said in line


def test_a_mistake_in_the_rules_of_an_account_is_found_there(tmp_path):
    account = 'accounts:\n  bank:\n    password: a\n    numbers: {country_code: "7", national_prefix: "8"}\n'
    (line,) = mistakes(tmp_path, account + 'upstreams: {mts: {host: h}}')
    assert line.startswith('smsc.yaml:4: accounts.bank.numbers.national_prefix: ')
