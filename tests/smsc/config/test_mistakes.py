"""Every mistake names file, line, key and remedy, and all are found at once."""

from pathlib import Path

import pytest

from smsc.config import ConfigurationError, load

ACCOUNTS = 'accounts: {bank: {password: a}, shop: {password: b}}\n'
UPSTREAMS = 'upstreams: {mts: {host: h}, beeline: {host: h}}\n'
BOTH = ACCOUNTS + UPSTREAMS


def mistakes(folder: Path, text: str, environ=None, **files: str) -> list[str]:
    """The lines of the mistakes of smsc.yaml and the files beside it, with paths as seen from their folder."""
    (folder / 'smsc.yaml').write_text(text, encoding='utf-8')
    for name, content in files.items():
        (folder / f'{name}.yaml').write_text(content, encoding='utf-8')
    with pytest.raises(ConfigurationError) as raised:
        load(folder / 'smsc.yaml', environ or {})
    return str(raised.value).replace(f'{folder}/', '').splitlines()


KEYS = [
    (
        'accounts:\n  bank:\n    pasword: x\n    password: y',
        'smsc.yaml:3: accounts.bank.pasword: unknown key; did you mean `password`?',
    ),
    ('wallpaper: red', 'smsc.yaml:1: wallpaper: unknown key; known here: accounts, calendars, cluster, data, '),
    ('not_in_effect: []', 'smsc.yaml:1: not_in_effect: unknown key; '),
    ('accounts: {bank: {name: x, password: y}}', 'smsc.yaml:1: accounts.bank.name: unknown key; '),
    ('upstreams: {mts: {name: x, host: h}}', 'smsc.yaml:1: upstreams.mts.name: unknown key; '),
    ('node: 1\nnode: 2', 'smsc.yaml:2: node: stands twice, first in line 1; keep one'),
    (
        'accounts:\n  bank: {password: a}\n  bank: {password: b}',
        'smsc.yaml:3: accounts.bank: stands twice, first in line 2; keep one',
    ),
    ('accounts:\n  bank: {password: ab,cd}', 'smsc.yaml:2: accounts.bank: holds a word without a value; put text with'),
    ('7: x', 'smsc.yaml:1: 7: unknown key; '),
    ('<<: {node: 2}', 'smsc.yaml:1: <<: unknown key; '),
    ('accounts: {a b: {password: x}}', 'smsc.yaml:1: accounts.a b: is no name; use up to 64 letters, digits, '),
    ('upstreams: {"": {host: h}}', 'smsc.yaml:1: upstreams.: is no name; '),
]

TYPES = [
    ('node: one', "smsc.yaml:1: node: expected a whole number, got 'one'; write a whole number (number of this node"),
    ('node: 1.5', 'node: expected a whole number, got 1.5; '),
    ('node: yes', 'node: expected a whole number, got True; '),
    ('node: "1"', "node: expected a whole number, got '1'; "),
    ('node: [1]', 'smsc.yaml:1: node: expected a whole number; write a whole number'),
    (
        'accounts:',
        'smsc.yaml:1: accounts: expected names with keys below them; write `accounts:`, then a name on its own',
    ),
    ('accounts: [bank]', 'smsc.yaml:1: accounts: expected names with keys below them; '),
    ('accounts:\n  bank:', 'smsc.yaml:2: accounts.bank: expected keys and values; write `key: value` lines, indented'),
    ('routes:', 'smsc.yaml:1: routes: expected a list; write `routes:`, then lines that begin with `- `'),
    ('routes: {a: b}', 'smsc.yaml:1: routes: expected a list; '),
    ('retention:\n  messages_d:', 'smsc.yaml:2: retention.messages_d: expected a whole number, got None; '),
    (
        'accounts: {bank: {password: a, receipts: }}',
        'smsc.yaml:1: accounts.bank.receipts: expected keys and values; ',
    ),
    (
        'accounts: {bank: {password: 12345}}',
        'accounts.bank.password: expected text; write text, in quotes if it looks like a number',
    ),
    ('accounts: {bank: {password: a, enabled: 1}}', 'accounts.bank.enabled: expected true or false, got 1; '),
    ('accounts: {bank: {password: a, alphabet: gms}}', "got 'gms'; write one of gsm, latin1, ascii, utf8"),
    (
        'accounts: {bank: {password: a, bind_types: [sender]}}',
        'accounts.bank.bind_types: expected another word; write a list of transmitter, receiver, transceiver',
    ),
    ('accounts: {bank: {password: a, allow_from: 10.0.0.0/8}}', 'allow_from: expected a list of networks, got '),
    ('accounts: {bank: {password: a, allow_from: [10.0.0.1/8]}}', 'allow_from: 10.0.0.1/8 has host bits set; '),
    (
        'accounts: {bank: {password: a, allow_from: [10.0.0.256]}}',
        "'10.0.0.256' does not appear to be an IPv4 or IPv6 network; write a list such as [10.0.0.0/8, 192.0.2.7]",
    ),
    ('upstreams: {mts: {host: h, errors: {throttle: 0x58}}}', 'errors.throttle: expected a list, got 88; '),
    ('smpp: {listen: 2775}', 'smpp.listen: expected an address and a port, got 2775; write address:port such as 127.0'),
    ('smpp: {listen: "127.0.0.1:65536"}', 'smpp.listen: expected an address and a port, '),
    ('data: 7', 'data: expected a path, got 7; write a path'),
    ('data: ""', "data: expected a path, got ''; write a path"),
    (BOTH + 'routes: [{name: on, failover: [mts]}]', 'routes[0].name: expected text, got True; write text, in quotes'),
    (BOTH + 'routes: [{name: 2020.5, failover: [mts]}]', 'routes[0].name: expected text, got 2020.5'),
    (BOTH + 'routes: [{name: x, failover: mts}]', "routes[0].failover: expected a list, got 'mts'; "),
    (
        BOTH + 'routes: [{name: x, when: {destination: 7916}, failover: [mts]}]',
        'routes[0].when.destination: expected text or a list of texts, got 7916; write text or a list such as [a, b], '
        'in quotes what looks like a number',
    ),
    (BOTH + 'routes: [{name: x, split: [mts]}]', 'routes[0].split: expected keys and values; write names and numbers'),
]

RANGES = [
    ('node: 256', 'node: expected a whole number <= 255, got 256; '),
    ('node: -1', 'node: expected a whole number >= 0, got -1; '),
    ('retention: {messages_d: 0}', 'retention.messages_d: expected a whole number >= 1, got 0; '),
    ('smpp: {response_timeout_s: 0}', 'smpp.response_timeout_s: expected a number > 0'),
    ('smpp: {enquire_link_s: .nan}', 'smpp.enquire_link_s: expected a number >= 0'),
    ('smpp: {enquire_link_s: .inf}', 'smpp.enquire_link_s: expected a number <= 86400'),
    ('smpp: {max_pdu_octets: 100}', 'smpp.max_pdu_octets: expected a whole number >= 1024'),
    ('accounts: {bank: {password: a, window: 0}}', 'accounts.bank.window: expected a whole number >= 1, got 0; '),
    ('accounts: {bank: {password: a, window: 100001}}', 'accounts.bank.window: expected a whole number <= 100000'),
    ('accounts: {bank: {password: a, rate_per_s: -1}}', 'accounts.bank.rate_per_s: expected a whole number >= 0'),
    ('accounts: {bank: {password: a, priority: 4}}', 'accounts.bank.priority: expected a whole number <= 3'),
    ('accounts: {bank: {password: ""}}', 'accounts.bank.password: expected text of length >= 1; '),
    ('upstreams: {mts: {host: h, port: 0}}', 'upstreams.mts.port: expected a whole number >= 1, got 0; '),
    ('upstreams: {mts: {host: h, port: 65536}}', 'upstreams.mts.port: expected a whole number <= 65535'),
    (
        'upstreams: {mts: {host: h, system_id: sixteen_letters_}}',
        'upstreams.mts.system_id: expected text of length <= 15',
    ),
]

MEANINGS = [
    (
        'accounts: {bank: {password: a, system_id: x}, shop: {password: b, system_id: x}}',
        'smsc.yaml:1: accounts.shop.system_id: `x` is that of account bank too; give each its own',
    ),
    ('accounts: {bank: {password: a}, shop: {password: b, system_id: bank}}', '`bank` is that of account bank too'),
    ('accounts:\n  bank: {binds: 2}', 'smsc.yaml:2: accounts.bank: has no password; add `password: ...` or'),
    ('accounts: {bank: {password: null}}', 'accounts.bank: has no password; '),
    (
        'accounts: {bank: {password: a, password_hash: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"}}',
        'accounts.bank.password: stands beside password_hash; keep one of them',
    ),
    ('accounts: {bank: {password_hash: secret}}', 'accounts.bank.password_hash: is no argon2 hash; make one with '),
    ('accounts: {bank: {password: a, bind_types: []}}', 'accounts.bank.bind_types: allows no bind; name transmitter, '),
    (
        'accounts:\n  bank:\n    password: a\n    receipts: {template: "{id} {message}"}',
        'smsc.yaml:4: accounts.bank.receipts.template: has `{message}`, which is no field; write ASCII text with {id}',
    ),
    ('accounts: {bank: {password: a, receipts: {template: "{stat}"}}}', 'receipts.template: has no `{id}`, so that '),
    (
        'accounts: {a_name_of_18_chars: {password: a}}',
        'is no system_id; add `system_id: ...` of up to 15 ASCII characters',
    ),
    ('accounts: {банк: {password: a}}', 'accounts.банк.system_id: `банк` is no system_id; '),
    ('upstreams:\n  mts: {port: 2775}', 'smsc.yaml:2: upstreams.mts: has no host; add `host: ...`'),
    ('upstreams: {mts: {host: h, system_id: мтс}}', 'upstreams.mts.system_id: holds characters that are not ASCII; '),
    ('upstreams: {mts: {host: h, password: пароль}}', 'upstreams.mts.password: holds characters that are not ASCII; '),
    ('smpp: {system_id: центр}', 'smpp.system_id: holds characters that are not ASCII; '),
    (
        'upstreams: {mts: {host: h, errors: {permanent: [ESME_X]}}}',
        'errors.permanent: there is no command_status ESME_X; ',
    ),
    ('upstreams: {mts: {host: h, errors: {temporary: [0]}}}', 'errors.temporary: 0 is no error; '),
    ('upstreams: {mts: {host: h, errors: {throttle: [ESME_ROK]}}}', 'errors.throttle: ESME_ROK is no error; '),
    (
        'upstreams: {mts: {host: h, retry: {first_s: 10, last_s: 5}}}',
        'upstreams.mts.retry.last_s: is below first_s (10); make it the longest pause',
    ),
    ('upstreams: {mts: {host: h, reconnect: {last_s: 0.5}}}', 'upstreams.mts.reconnect.last_s: is below first_s (1); '),
    ('http: {listen: "127.0.0.1:2775"}', 'http.listen: is the address and port of smpp.listen too; '),
]

ROUTES = [
    ('- failover: [mts]', 'smsc.yaml:4: routes[0].name: is missing; add `name: ...`'),
    (
        '- name: x',
        'smsc.yaml:4: routes[0]: route `x` has no action; give it exactly one of failover, split, cheapest, ',
    ),
    ('- name: x\n  reject:', 'routes[0]: route `x` has no action; '),
    (
        '- {name: x, failover: [mts], reject: 11}',
        'routes[0]: route `x` has failover and reject; give it exactly one of',
    ),
    (
        '- name: x\n  failover:\n    - mts\n    - mtc',
        'smsc.yaml:5: routes[0].failover: there is no upstream mtc; name one of mts, beeline',
    ),
    ('- {name: x, cheapest: [mtc]}', 'routes[0].cheapest: there is no upstream mtc; '),
    ('- {name: x, split: {mtc: 100}}', 'routes[0].split: there is no upstream mtc; '),
    ('- {name: x, failover: []}', 'routes[0].failover: names no upstream; name one of mts, beeline'),
    ('- {name: x, failover: [mts, mts]}', 'routes[0].failover: names an upstream twice; name each once'),
    ('- {name: x, split: {mts: 70, beeline: 20}}', 'routes[0].split: shares add up to 90; make them 100 together'),
    ('- {name: x, split: {mts: 100, beeline: 0}}', 'routes[0].split: has a share that is not above 0; leave that'),
    ('- {name: x, split: {mts: half}}', 'routes[0].split: expected a whole number; '),
    ('- {name: x, reject: ESME_RNOTHING}', 'routes[0].reject: there is no command_status ESME_RNOTHING; write a name'),
    ('- {name: x, reject: 0}', 'routes[0].reject: 0 is no error; write a command_status above 0'),
    ('- {name: x, reject: ESME_ROK}', 'routes[0].reject: ESME_ROK is no error; '),
    ('- {name: x, routes: []}', 'routes[0].routes: holds no route; '),
    (
        '- {name: x, when: {account: bnk}, failover: [mts]}',
        'routes[0].when.account: there is no account bnk; name one of bank, shop',
    ),
    (
        '- {name: x, when: {upstream: mts}, failover: [mts]}',
        'routes[0].when.upstream: is a condition of `mo` only; take it out',
    ),
    ('- {name: x, when: {destination: []}, failover: [mts]}', 'routes[0].when.destination: names nothing; '),
    (
        '- {name: x, when: {destination: "7*5"}, failover: [mts]}',
        'routes[0].when.destination: `7*5` has a * that is not its end; write a prefix such as 881*, or ~ and an',
    ),
    (
        '- {name: x, when: {destination: "+7*"}, failover: [mts]}',
        'routes[0].when.destination: `+7*` never matches; write it without +',
    ),
    (
        '- name: x\n  when:\n    text: "~("\n  failover: [mts]',
        'smsc.yaml:6: routes[0].when.text: is no regular expression: missing ): (; see the syntax of RE2',
    ),
    ('- {name: x, when: {text: "~a(?=b)"}, failover: [mts]}', 'is no regular expression: invalid perl operator: (?='),
    (
        '- name: x\n  routes:\n    - name: y\n      routes:\n        - name: z\n          failover: [mtc]',
        'smsc.yaml:9: routes[0].routes[0].routes[0].failover: there is no upstream mtc; ',
    ),
]

MO = [
    ('- {name: x, account: bnk}', 'smsc.yaml:4: mo[0].account: there is no account bnk; name one of bank, shop'),
    ('- {name: x}', 'smsc.yaml:4: mo[0].account: is missing; add `account: ...`'),
    ('- {name: x, account: bank, when: {upstream: mtc}}', 'mo[0].when.upstream: there is no upstream mtc; name one of'),
    ('- {name: x, account: bank, when: {account: shop}}', 'mo[0].when.account: is a condition of `routes` only; '),
    ('- {name: x, account: bank, when: {destination: "+7*"}}', 'mo[0].when.destination: `+7*` never matches; '),
    ('- {name: x, account: bank}\n- {name: x, account: bank}', 'smsc.yaml:5: mo[1]: route `x` has the name of the one'),
    (
        '- {name: x, account: bank, failover: [mts]}',
        'mo[0].failover: unknown key; known here: account, name, unless, when',
    ),
]

TABLE = [
    *KEYS,
    *TYPES,
    *RANGES,
    *MEANINGS,
    *((f'{BOTH}routes:\n{text}', expected) for text, expected in ROUTES),
    *((f'{BOTH}mo:\n{text}', expected) for text, expected in MO),
]


@pytest.mark.parametrize(('text', 'expected'), TABLE, ids=[text[-60:] for text, _ in TABLE])
def test_a_mistake_names_its_place_and_remedy(tmp_path, text, expected):
    found = mistakes(tmp_path, text)
    assert len(found) == 1
    assert expected in found[0]
    assert found[0].startswith('smsc.yaml:')


def test_all_mistakes_are_found_at_once_in_the_order_of_their_lines(tmp_path):
    text = """
node: many
accounts:
  bank: {window: 0, password: a}
  shop: {binds: 3}
upstreams:
  mts: {hst: h, host: h}
smpp: {listen: nowhere}
log: {level: loud}
"""
    assert [line.split(': ')[:2] for line in mistakes(tmp_path, text)] == [
        ['smsc.yaml:2', 'node'],
        ['smsc.yaml:4', 'accounts.bank.window'],
        ['smsc.yaml:5', 'accounts.shop'],
        ['smsc.yaml:7', 'upstreams.mts.hst'],
        ['smsc.yaml:8', 'smpp.listen'],
        ['smsc.yaml:9', 'log.level'],
    ]


def test_a_route_to_an_upstream_with_a_mistake_is_no_mistake_itself(tmp_path):
    text = 'upstreams: {mts: {hots: h}}\nroutes: [{name: x, failover: [mts]}]'
    assert ['upstreams.mts.hots' in line for line in mistakes(tmp_path, text)] == [True]


# Includes


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        (
            'node: 1\ninclude: [none.yaml]',
            'smsc.yaml:2: cannot read none.yaml: No such file or directory; check the name',
        ),
        ('include: other.yaml', 'smsc.yaml:1: include: is no list of files; write include: [accounts.yaml, ...]'),
        ('include:', 'smsc.yaml:1: include: is no list of files; '),
        ('include: [7]', 'smsc.yaml:1: include: is no list of files; '),
        ('include: [smsc.yaml]', 'smsc.yaml:1: include: smsc.yaml is included twice; name each file once'),
        ('include:\n  - other.yaml\n  - ./other.yaml', 'smsc.yaml:3: include: other.yaml is included twice; '),
        ('include: [/]', 'smsc.yaml:1: / is no file; name a YAML file'),
    ],
)
def test_a_mistake_in_an_include_names_the_line_that_asks_for_the_file(tmp_path, text, expected):
    found = mistakes(tmp_path, text, other='node: 2')
    assert len(found) == 1
    assert expected in found[0]


def test_mistakes_in_included_files_name_those_files_and_lines(tmp_path):
    routes = """
routes:
  - name: x
    when:
      destination:
        - "7*"
        - "7*7"
    routes:
      - name: y
        failover: [mtc]
"""
    found = mistakes(tmp_path, 'include: [routes.yaml, accounts.yaml]', routes=routes, accounts='accounts: {a: {b: 1}}')
    assert [line.split(': ')[:2] for line in found] == [
        ['accounts.yaml:1', 'accounts.a.b'],
        ['routes.yaml:5', 'routes[0].when.destination'],
        ['routes.yaml:10', 'routes[0].routes[0].failover'],
    ]


def test_routes_of_one_name_are_found_across_files(tmp_path):
    text = f'{UPSTREAMS}include: [more.yaml]\nroutes: [{{name: x, failover: [mts]}}]'
    found = mistakes(tmp_path, text, more='routes:\n  - {name: x, failover: [mts]}')
    assert found == [
        'more.yaml:2: routes[1]: route `x` has the name of the one in smsc.yaml:3; give it a name of its own'
    ]


def test_the_same_account_in_two_files_is_a_mistake(tmp_path):
    found = mistakes(tmp_path, ACCOUNTS + 'include: [more.yaml]', more='\naccounts: {bank: {password: c}}')
    assert found == ['more.yaml:2: accounts.bank: stands in smsc.yaml:1 already; keep one']


def test_the_same_key_in_two_files_is_a_mistake(tmp_path):
    found = mistakes(tmp_path, 'node: 1\ninclude: [more.yaml]', more='node: 1')
    assert found == ['more.yaml:1: node: stands in smsc.yaml:1 already; keep one']


def test_a_missing_main_file_is_a_mistake(tmp_path):
    with pytest.raises(ConfigurationError, match=r'cannot read .*smsc.yaml: No such file or directory; check the name'):
        load(tmp_path / 'smsc.yaml', {})


def test_paths_are_shown_from_where_the_command_runs(tmp_path, monkeypatch):
    (tmp_path / 'conf').mkdir()
    (tmp_path / 'conf' / 'smsc.yaml').write_text('include: [more.yaml]')
    (tmp_path / 'conf' / 'more.yaml').write_text('node: x')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as raised:
        load(Path('conf/smsc.yaml'), {})
    assert str(raised.value).startswith('conf/more.yaml:1: node: ')


# Variables


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        (
            'accounts:\n  bank:\n    password: ${BANK}',
            'smsc.yaml:3: accounts.bank.password: environment variable BANK is not set; set it, or write ${BANK:-def',
        ),
        (
            'data: ${}',
            'smsc.yaml:1: data: `${` begins no name of a variable; write ${NAME} or ${NAME:-default}, and $${',
        ),
        ('data: ${A', 'smsc.yaml:1: data: `${` begins no name of a variable; '),
        ('node: ${NODE:-one}', 'smsc.yaml:1: node: expected a whole number; write a whole number'),
    ],
)
def test_a_mistake_in_a_variable_names_its_place_and_remedy(tmp_path, text, expected):
    found = mistakes(tmp_path, text)
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize('dsn', ['postgresql://us:se/cret@h:5432/db', 'postgresql://us:secret@h:abc/db', 'somewhere'])
def test_a_dsn_that_is_none_is_told_without_the_password_in_it(tmp_path, dsn):
    (line,) = mistakes(tmp_path, f'store: {{postgres: "{dsn}"}}')
    assert line.startswith('smsc.yaml:1: store.postgres: is no DSN; write postgresql://')
    assert 'cret' not in line.partition('; write')[0]
