"""What correct files come to: merged, with variables and defaults filled in."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from smsc.config import ConfigurationError, load
from smsc.config.routes import build
from smsc.config.schema import Configuration, Listen
from tests.routing.messages import message, unread

ROOT = Path(__file__).parents[3]
EXAMPLE = Path(__file__).parent / 'example' / 'smsc.yaml'
ISSUED_EXAMPLE = ROOT.parent / 'shared' / 'conf-example'


def loaded(folder: Path, text: str, environ=None, **files: str) -> Configuration:
    (folder / 'smsc.yaml').write_text(text, encoding='utf-8')
    for name, content in files.items():
        (folder / f'{name}.yaml').write_text(content, encoding='utf-8')
    return load(folder / 'smsc.yaml', environ or {})


# Files as they are


def test_the_example_loads_as_it_is():
    configuration = load(EXAMPLE, {})
    bank = configuration.accounts['bank']
    mts = configuration.upstreams['mts']

    assert configuration.smpp.listen == Listen('0.0.0.0', 2775)
    assert (bank.password, bank.binds, bank.window, bank.rate_per_s, bank.priority) == ('secret', 4, 100, 500, 2)
    assert bank.allow_from == (ip_network('127.0.0.0/8'), ip_network('10.0.0.0/8'))
    assert (bank.receipts.message_id, bank.receipts.keep_h) == ('decimal', 72)
    assert str(configuration.accounts['shop'].password_hash).startswith('$argon2id$v=19$')
    assert (mts.links, mts.message_id.response, mts.message_id.receipt) == (2, 'decimal', 'hex')
    assert (mts.errors.throttle, mts.errors.permanent) == ((0x58, 0x14), (0x0B, 0x45))
    assert (mts.retry.first_s, mts.retry.factor, mts.retry.last_s) == (5, 2, 300)


def test_the_example_routes_as_it_reads():
    table = build(load(EXAMPLE, {}))

    satellite = table.decide(message('bank', 'MyBank', '88123456789', unread))
    code = table.decide(message('bank', 'MyBank', '79161234567', lambda: 'Ваш код: 1234'))
    news = table.decide(message('bank', 'MyBank', '447700900123', lambda: 'news'))

    assert (satellite.route, satellite.reject) == ('nothing to satellite numbers', 0x0B)
    assert (code.route, code.upstreams, code.priority) == ('bank > codes go the best way', ('mts', 'aggregator'), 3)
    assert (news.route, news.upstreams) == ('everything else', ('aggregator',))
    assert table.mo_decide(message('mts', '79161234567', '74951234567', unread)) == 'bank'
    assert table.mo_decide(message('mts', '79161234567', '78121234567', unread)) == 'shop'


def test_all_that_the_example_asks_for_is_in_effect():
    notices = {(Path(notice.file).name, notice.line, notice.key) for notice in load(EXAMPLE, {}).not_in_effect}
    assert notices == set()


def test_everything_else_that_has_no_effect_is_listed(tmp_path):
    text = """
store: {clickhouse: "clickhouse://h", redis: "redis://h"}
accounts: {bank: {password: x}, shop: {password: x}}
"""
    configuration = loaded(tmp_path, text)
    assert {notice.key for notice in configuration.not_in_effect} == {
        'store.clickhouse',
    }


@pytest.mark.skipif(not ISSUED_EXAMPLE.exists(), reason='the example is not beside this checkout')
def test_the_example_is_the_one_that_was_asked_for():
    for path in ISSUED_EXAMPLE.glob('*.yaml'):
        assert (EXAMPLE.parent / path.name).read_bytes() == path.read_bytes()
    load(ISSUED_EXAMPLE / 'smsc.yaml', {})


def test_the_configuration_as_shipped_loads_without_an_environment_and_all_of_it_is_in_effect():
    configuration = load(ROOT / 'conf' / 'smsc.yaml', {})
    assert configuration.not_in_effect == ()
    assert configuration.data.resolve() == ROOT / 'var'
    assert configuration.upstreams['simulator'].simulated is not None
    decision = build(configuration).decide(message('demo', 'x', '79161234567', unread))
    assert decision.upstreams == ('simulator',)


def test_every_file_as_shipped_is_included():
    text = (ROOT / 'conf' / 'smsc.yaml').read_text(encoding='utf-8')
    assert all(path.name in text for path in (ROOT / 'conf').glob('*.yaml') if path.name != 'smsc.yaml')


@pytest.mark.parametrize('text', ['', '# only a comment\n', '---\n# none\n', '\ufeffnode: 1', '{}'])
def test_an_empty_file_is_all_defaults(tmp_path, text):
    configuration = loaded(tmp_path, text)
    assert (configuration.node, configuration.accounts, configuration.routes) == (1, {}, ())
    assert configuration.smpp.listen == Listen('127.0.0.1', 2775)


# Values


def test_a_name_that_yaml_takes_for_something_else_is_still_that_name(tmp_path):
    configuration = loaded(
        tmp_path,
        'accounts: {on: {password: a}, 2020: {password: b}, null: {password: c}, 1.5: {password: d}}',
    )
    assert list(configuration.accounts) == ['on', '2020', 'null', '1.5']
    assert configuration.accounts['2020'].system_id == '2020'


def test_an_account_binds_with_its_name_unless_told_otherwise(tmp_path):
    configuration = loaded(tmp_path, 'accounts: {bank: {password: a}, shop: {password: b, system_id: SHOP}}')
    assert [account.system_id for account in configuration.accounts.values()] == ['bank', 'SHOP']


def test_errors_are_numbers_however_they_are_written_and_have_defaults(tmp_path):
    configuration = loaded(
        tmp_path,
        'upstreams: {a: {host: h}, b: {host: h, errors: {permanent: [ESME_RTHROTTLED, 0x14, 69]}}}',
    )
    default, own = (upstream.errors for upstream in configuration.upstreams.values())
    assert (default.throttle, default.temporary, default.permanent) == ((0x58, 0x14), (0x08, 0x64), ())
    assert (own.throttle, own.permanent) == ((0x58, 0x14), (0x58, 0x14, 0x45))


@pytest.mark.parametrize(
    ('written', 'listen'),
    [
        ('"0.0.0.0:2775"', Listen('0.0.0.0', 2775)),
        ('"[::1]:2775"', Listen('::1', 2775)),
        ('":2775"', Listen('0.0.0.0', 2775)),
        ('localhost:0', Listen('localhost', 0)),
    ],
)
def test_an_address_is_read(tmp_path, written, listen):
    assert loaded(tmp_path, f'smpp: {{listen: {written}}}').smpp.listen == listen


@pytest.mark.parametrize('window', [1, 100_000])
def test_bounds_are_inclusive_and_a_rate_of_nothing_is_any(tmp_path, window):
    configuration = loaded(tmp_path, f'accounts: {{bank: {{password: a, window: {window}, rate_per_s: 0}}}}')
    assert (configuration.accounts['bank'].window, configuration.accounts['bank'].rate_per_s) == (window, 0)


def test_data_counts_from_the_folder_of_the_main_file(tmp_path, monkeypatch):
    (tmp_path / 'conf').mkdir()
    monkeypatch.chdir(tmp_path)
    assert loaded(tmp_path / 'conf', 'data: ../var').data.resolve() == tmp_path / 'var'
    assert loaded(tmp_path / 'conf', 'data: /srv/smsc').data == Path('/srv/smsc')


# Includes


def test_included_files_become_one_with_the_main_file(tmp_path):
    configuration = loaded(
        tmp_path,
        """
include: [more.yaml]
node: 3
accounts: {bank: {password: a}}
upstreams: {mts: {host: h}}
routes: [{name: first, when: {account: bank}, failover: [mts]}]
smpp: {system_id: here}
""",
        more="""
include: [most.yaml]
accounts: {shop: {password: b}}
routes: [{name: second, when: {account: shop}, failover: [mts]}]
smpp: {drain_s: 5}
""",
        most='routes: [{name: third, failover: [mts]}]',
    )
    assert list(configuration.accounts) == ['bank', 'shop']
    assert [route.name for route in configuration.routes] == ['first', 'second', 'third']
    assert (configuration.smpp.system_id, configuration.smpp.drain_s) == ('here', 5)


def test_names_of_included_files_count_from_the_file_that_includes_them(tmp_path):
    (tmp_path / 'inner').mkdir()
    (tmp_path / 'inner' / 'one.yaml').write_text('include: [two.yaml]')
    (tmp_path / 'inner' / 'two.yaml').write_text('node: 7')
    assert loaded(tmp_path, 'include: [inner/one.yaml]').node == 7


# Variables


@pytest.mark.parametrize(
    ('written', 'environ', 'password'),
    [
        ('${BANK}', {'BANK': 'from outside'}, 'from outside'),
        ('${BANK:-inside}', {}, 'inside'),
        ('${BANK:-inside}', {'BANK': 'outside'}, 'outside'),
        ('"${A}-${B:-b}"', {'A': 'a'}, 'a-b'),
        ('"a $${BANK} $ $5"', {'BANK': 'x'}, 'a ${BANK} $ $5'),
        ('${BANK}', {'BANK': '12345'}, '12345'),
        ('${BANK}', {'BANK': '${OTHER}'}, '${OTHER}'),
        ('${BANK}', {'BANK': 'a: [b'}, 'a: [b'),
    ],
)
def test_a_variable_stands_for_its_value(tmp_path, written, environ, password):
    configuration = loaded(tmp_path, f'accounts:\n  bank:\n    password: {written}', environ)
    assert configuration.accounts['bank'].password == password


def test_a_variable_can_be_a_number_or_a_truth_value(tmp_path):
    text = 'node: ${NODE}\nsmpp: {drain_s: "${DRAIN:-2.5}"}\naccounts: {bank: {password: a, enabled: "${ON}"}}'
    configuration = loaded(tmp_path, text, {'NODE': '7', 'ON': 'false'})
    assert (configuration.node, configuration.smpp.drain_s) == (7, 2.5)
    assert not configuration.accounts['bank'].enabled


def test_the_environment_of_the_process_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv('SMSC_TEST_NODE', '9')
    (tmp_path / 'smsc.yaml').write_text('node: ${SMSC_TEST_NODE}')
    assert load(tmp_path / 'smsc.yaml').node == 9


def test_a_value_of_the_environment_cannot_bring_a_tree(tmp_path):
    with pytest.raises(ConfigurationError):
        loaded(tmp_path, 'smpp: ${X}', {'X': '{system_id: x}'})
