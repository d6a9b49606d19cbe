"""Price lists as operators write them, in YAML and CSV, and what is said of their mistakes."""

from decimal import Decimal

import pytest
import yaml

from smsc import config
from smsc.config import ConfigurationError
from smsc.prices import build_charging, credit_terms

UPSTREAM = {'host': 'smpp.example'}


def written(folder, retail, csv=None, **account):
    """A configuration in files: `retail` is its price list, with a CSV file if there is one."""
    if csv is not None:
        (folder / 'retail.csv').write_bytes(csv)
        retail = {**retail, 'file': 'retail.csv'}
    path = folder / 'smsc.yaml'
    tree = {
        'accounts': {'bank': {'password': 'x', 'prices': 'retail'} | account},
        'upstreams': {'mts': UPSTREAM},
        'prices': {'retail': retail},
    }
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding='utf-8')
    return path


def price(path, *message):
    return build_charging(config.load(path)).accounts['bank'].price(*message)


def mistakes(path):
    with pytest.raises(ConfigurationError) as raised:
        config.load(path)
    lines = path.read_text().splitlines()
    return [
        f'{lines[problem.line - 1].strip()}: {problem.message}'
        if problem.file == str(path)
        else f'{problem.file.rpartition("/")[2]}:{problem.line}: {problem.message}'
        for problem in raised.value.problems
    ]


def test_prices_in_yaml_are_exact(tmp_path):
    entries = [{'country': 'ru', 'price': 1.1}, {'operator': 'mts', 'category': 'advertising', 'price': '2.000001'}]
    path = written(tmp_path, {'currency': 'RUB', 'default': 0.3, 'entries': entries})
    assert price(path, 'tele2', 'RU', '') == 1_100_000
    assert price(path, 'mts', 'RU', 'advertising') == 2_000_001
    assert price(path, '', 'BY', '') == 300_000
    assert config.load(path).prices['retail'].default == Decimal('0.3')


@pytest.mark.parametrize(
    'octets',
    [
        b'country,operator,price\nRU,mts,1.25\n\nBY,,2\n',
        'Price;Country;Operator\n1,25;RU;mts\n2;by;\n'.encode('utf-8-sig'),
        b'price, country, operator\r\n1.25, RU, mts\r\n2,BY\r\n',
    ],
    ids=['commas', 'semicolons', 'spaces'],
)
def test_a_file_of_prices_adds_to_the_list(tmp_path, octets):
    path = written(tmp_path, {'entries': [{'country': 'RU', 'price': 9}]}, octets)
    assert price(path, 'mts', 'RU', '') == 1_250_000
    assert price(path, 'x', 'RU', '') == 9_000_000
    assert price(path, 'x', 'BY', '') == 2_000_000
    assert price(path, 'x', 'DE', '') is None


@pytest.mark.parametrize(
    ('prices', 'csv', 'found'),
    [
        ({}, None, ['retail: {}: has no price']),
        ({'default': -1}, None, ['default: -1: is below 0']),
        ({'default': '0.0000001'}, None, ["default: '0.0000001': has more than 6 decimals"]),
        ({'entries': [{'price': 1}, {'price': 2}]}, None, ['- price: 2: fits the same as entries[0]']),
        ({'entries': [{'price': 1, 'country': 'Russia'}]}, None, ['country: Russia: RUSSIA is no country']),
        ({}, b'country,price\nRU,much\nRussia,1\n,1\n,2\n', [
            "retail.csv:2: price 'much' is no amount",
            "retail.csv:3: 'RUSSIA' is no country",
            'retail.csv:5: fits the same as line 4',
        ]),
        ({'default': 1}, b'land,price\nRU,1\n', ["retail.csv:1: has the heading 'land,price'"]),
        ({'default': 1}, b'\xff\xfe', ['retail.csv:0: is not UTF-8']),
        ({'default': 1}, b'', ["retail.csv:1: has the heading ''"]),
        ({'default': 1, 'file': 'nowhere.csv'}, None, ['nowhere.csv:0: cannot be read: No such file or directory']),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes_have_their_place(tmp_path, prices, csv, found):
    said = mistakes(written(tmp_path, prices, csv))
    assert [line for line in said if 'entries[0].country' not in line] == found


@pytest.mark.parametrize('value', ['[1]', 'much', 'true', '.nan'])
def test_a_price_that_is_none_is_said_so(tmp_path, value):
    path = written(tmp_path, {'default': 1})
    path.write_text(path.read_text().replace('default: 1', f'default: {value}'))
    assert len(mistakes(path)) == 1


def test_credit_needs_prices_and_names_must_exist(tmp_path):
    path = written(tmp_path, {'default': 1}, prices=None, credit='prepaid')
    assert mistakes(path) == ['credit: prepaid: stands without prices']
    assert mistakes(written(tmp_path, {'default': 1}, prices='other')) == [
        'prices: other: there is no price list other'
    ]
    assert mistakes(written(tmp_path, {'default': 1}, charge='delivered')) == [
        'charge: delivered: has no effect without credit'
    ]
    bad_status = written(tmp_path, {'default': 1}, credit='prepaid', credit_status='ESME_NONE')
    assert mistakes(bad_status) == ['credit_status: ESME_NONE: there is no command_status ESME_NONE']


def test_accounts_without_credit_have_no_terms(tmp_path):
    assert credit_terms(config.load(written(tmp_path, {'default': 1}))) == {}
    (prepaid,) = credit_terms(config.load(written(tmp_path, {'default': 1}, credit='prepaid'))).values()
    (postpaid,) = credit_terms(config.load(written(tmp_path, {'default': 1}, credit='postpaid'))).values()
    assert (prepaid.lowest, postpaid.lowest) == (0, None)
