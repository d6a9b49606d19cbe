"""The configuration of senders and stop-lists: what it takes, and how it names mistakes."""

import pytest

from smsc import config
from smsc.config.registered_senders import SendersFileError, read_registered
from smsc.senders import registrations


@pytest.fixture
def load(tmp_path):
    def read(text):
        path = tmp_path / 'smsc.yaml'
        path.write_text(text, encoding='utf-8')
        return config.load(path)

    return read


def test_registered_senders_come_from_the_configuration_and_from_a_file(load, tmp_path):
    (tmp_path / 'senders.csv').write_text('Sender;Account;Operator\nShop;shop;mts\n"A;B";;mts\n', encoding='utf-8-sig')
    senders = load('senders: {registered: {MyBank: [mts, tele2]}, file: senders.csv}').senders
    found = registrations(senders)
    assert found.hold('MyBank', 'tele2', 'bank')
    assert found.hold('Shop', 'mts', 'shop')
    assert not found.hold('Shop', 'mts', 'bank')
    assert found.hold('A;B', 'mts', 'bank')
    assert not found.hold('MyBank', 'beeline', 'bank')


@pytest.mark.parametrize(
    ('content', 'line', 'message'),
    [
        ('', 1, 'names no sender and operator'),
        ('name;operator\nA;mts\n', 1, 'names no sender and operator'),
        ('sender;operator\nA;mts\n\nB;\n', 4, 'no sender or no operator'),
        ('sender,operator\n' + 'A' * 21 + ',mts\n', 2, 'too long'),
    ],
)
def test_a_mistake_in_the_file_is_named_by_its_line(tmp_path, content, line, message):
    path = tmp_path / 'senders.csv'
    path.write_text(content, encoding='utf-8')
    with pytest.raises(SendersFileError, match=message) as raised:
        read_registered(path)
    assert raised.value.line == line


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('senders: {file: none.csv}', 'senders.file: '),
        ('senders: {unregistered_as: INFO}', 'senders.unregistered_as: has no effect without operators_that_require'),
        ('senders: {status: ESME_NONE}', 'senders.status: there is no command_status ESME_NONE'),
        ('stop_lists: {automatic: {list: a b}}', 'stop_lists.automatic.list: `a b` is no name of a stop-list'),
        ('stop_lists: {automatic: {statuses: [0]}}', 'stop_lists.automatic.statuses: 0 is no error'),
        ('accounts: {shop: {password: abc, senders: ["7*5"]}}', 'accounts.shop.senders: `7*5` has a *'),
        ('accounts: {shop: {password: abc, senders: ["~("]}}', 'accounts.shop.senders: holds what is no regular'),
        ('accounts: {shop: {password: abc, default_sender: Банк}}', 'accounts.shop.default_sender: holds characters'),
        ('accounts: {shop: {password: abc, default_sender: TwelveLetter}}', 'is longer than 11'),
        ('accounts: {shop: {password: abc, stop_lists: ["*"]}}', 'accounts.shop.stop_lists: `*` is no name'),
    ],
)
def test_a_mistake_says_where_it_is(load, text, expected):
    with pytest.raises(config.ConfigurationError) as raised:
        load(text)
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        (
            'policy: [stop_lists]\naccounts: {bank: {password: a, senders: [A]}}',
            ['accounts.bank.senders: has no effect'],
        ),
        ('policy: [senders]\naccounts: {bank: {password: a, stop_lists: [A]}}', ['accounts.bank.stop_lists: has no ']),
        ('accounts: {bank: {password: a, senders: [A], stop_lists: [A]}}', []),
        (
            'policy: [daily_limits, templates]\n'
            'templates: {ads: {entries: [{template: Sale, category: advertising}]}}\n'
            'accounts: {bank: {password: a, daily_limit: {messages: 1, categories: [advertising]}}}',
            ['accounts.bank.daily_limit.categories: counts before templates say'],
        ),
        (
            'templates: {ads: {entries: [{template: Sale, category: advertising}]}}\n'
            'accounts: {bank: {password: a, daily_limit: {messages: 1, categories: [advertising]}}}',
            [],
        ),
    ],
)
def test_rules_of_steps_that_are_not_taken_or_too_early_are_warned_of(load, text, expected):
    found = [str(warning).partition(': ')[2] for warning in load(text).warnings]
    assert len(found) == len(expected)
    assert all(one.startswith(start) for one, start in zip(found, expected, strict=True)), found


COSTLY = r'~(\w+\s?){1,50}\bкод\b'


@pytest.mark.parametrize(
    ('text', 'key'),
    [
        (f"fraud: {{rules: [{{name: a, text: [casino, '~код', '{COSTLY}']}}]}}", 'fraud.rules[0].text'),
        (
            f"upstreams: {{mts: {{host: a}}}}\nroutes: [{{name: a, when: {{text: '{COSTLY}'}}, failover: [mts]}}]",
            'routes[0].when.text',
        ),
    ],
)
def test_an_expression_that_takes_long_is_warned_of(load, text, key):
    (warning,) = [str(one) for one in load(text).warnings]
    assert f'{key}: `{COSTLY}` takes long to search' in warning
