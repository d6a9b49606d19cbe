"""What a reload would change is told in lines, and what only a start can change is kept."""

from pathlib import Path

import pytest

from smsc.config import diff, keep_fixed, load
from smsc.config.schema import Configuration, Listen

BASE = """
node: 1
smpp: {listen: "127.0.0.1:2775", drain_s: 10}
store: {postgres: "postgresql://old-secret@h/db"}
accounts: {bank: {password: old-secret, window: 10}, shop: {password: b}}
upstreams: {mts: {host: h, password: old-secret}, beeline: {host: h}}
routes:
  - {name: first, when: {destination: "7*"}, failover: [mts]}
  - {name: second, when: {destination: "8*"}, failover: [mts]}
  - {name: last, failover: [mts]}
mo:
  - {name: replies, account: bank}
"""


@pytest.fixture
def read(tmp_path):
    def read(text: str) -> Configuration:
        path: Path = tmp_path / 'smsc.yaml'
        path.write_text(text)
        return load(path, {})

    return read


@pytest.mark.parametrize(
    ('old', 'new', 'lines'),
    [
        ('drain_s: 10', 'drain_s: 5', ['smpp.drain_s: 10 -> 5']),
        ('window: 10', 'window: 20', ['accounts.bank.window: 10 -> 20']),
        ('window: 10', 'window: 10, allow_from: [10.0.0.0/8]', ['accounts.bank.allow_from: none -> 10.0.0.0/8']),
        ('window: 10', 'receipts: {keep_h: 24}', ['accounts.bank.receipts.keep_h: 72 -> 24']),
        (', shop: {password: b}', '', ['accounts.shop: removed']),
        (', shop: {', ', kiosk: {password: c}, shop: {', ['accounts.kiosk: added']),
        ('beeline: {host: h}', 'beeline: {host: other}', ['upstreams.beeline.host: h -> other']),
        (
            'password: old-secret, window',
            'password: new-secret, window',
            ['accounts.bank.password: (secret) -> (secret)'],
        ),
        ('h, password: old-secret', 'h, password: new-secret', ['upstreams.mts.password: (secret) -> (secret)']),
        ('h, password: old-secret', 'h', ['upstreams.mts.password: (secret) -> none']),
        ('"8*"', '"9*"', ['routes `second`.when.destination: 8* -> 9*']),
        ('name: second', 'name: other', ['routes `second`: removed', 'routes `other`: added']),
        ('name: replies, account: bank', 'name: replies, account: shop', ['mo `replies`.account: bank -> shop']),
        ('node: 1', 'node: 2', ['node: 1 -> 2 (takes effect at the next start)']),
        (
            'node: 1',
            'node: 1\npolicy: [stop_lists, fraud]',
            ['policy: senders, templates, stop_lists, duplicates, daily_limits, fraud -> stop_lists, fraud'],
        ),
        (
            '127.0.0.1:2775',
            '0.0.0.0:2775',
            ['smpp.listen: 127.0.0.1:2775 -> 0.0.0.0:2775 (takes effect at the next start)'],
        ),
        (
            'node: 1',
            'node: 1\nqueues: {memory: 500}',
            ['queues.memory: 20000 -> 500 (takes effect at the next start)'],
        ),
        (
            'node: 1',
            'node: 1\nlog: {level: debug}',
            ['log.level: info -> debug (takes effect at the next start)'],
        ),
        (
            'old-secret@h',
            'new-secret@h',
            ['store.postgres: (secret) -> (secret) (takes effect at the next start)'],
        ),
    ],
)
def test_a_difference_is_a_line(read, old, new, lines):
    assert BASE.count(old) == 1
    assert diff(read(BASE), read(BASE.replace(old, new))) == lines


def test_nothing_changed_is_no_line(read):
    assert diff(read(BASE), read(f'# a comment moves all lines\n{BASE}')) == []


def test_routes_in_another_order_are_told(read):
    lines = BASE.splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if 'name: first' in line)
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    assert diff(read(BASE), read(''.join(lines))) == ['routes: order changed']
    lines[first] = lines[first].replace('failover: [mts]', 'failover: [beeline]')
    assert diff(read(BASE), read(''.join(lines))) == [
        'routes `second`.failover: mts -> beeline',
        'routes: order changed',
    ]


ROUTES = """
upstreams: {mts: {host: h}, beeline: {host: h}}
accounts: {bank: {password: b}}
routes:
  - name: bank
    when: {account: bank}
    routes:
      - {name: codes, when: {text: code}, split: {mts: 80, beeline: 20}}
      - {name: rest, failover: [mts], on_failure: {upstreams: [beeline]}}
  - {name: last, when: {destination: "7*"}, failover: [mts]}
prices:
  retail: {currency: RUB, entries: [{country: RU, operator: mts, price: 3.10}, {price: 4}]}
  cost: {default: 1}
mnp: {services: [{url: "http://h/?key=secret"}]}
templates: {sales: {entries: [{template: "Buy %w", category: advertising}]}}
"""


@pytest.mark.parametrize(
    ('old', 'new', 'lines'),
    [
        (
            'mts: 80, beeline: 20',
            'mts: 60, beeline: 40',
            ['routes `bank > codes`.split.mts: 80 -> 60', 'routes `bank > codes`.split.beeline: 20 -> 40'],
        ),
        (
            'failover: [mts], on',
            'priority: 2, cheapest: [mts], on',
            [
                'routes `bank > rest`.priority: none -> 2',
                'routes `bank > rest`.failover: mts -> none',
                'routes `bank > rest`.cheapest: none -> mts',
            ],
        ),
        (', on_failure: {upstreams: [beeline]}', '', ['routes `bank > rest`.on_failure: upstreams beeline -> none']),
        (
            '    when: {account: bank}',
            '    unless: {account: bank}',
            [
                'routes `bank`.when.account: bank -> none',
                'routes `bank`.unless: none -> account bank',
            ],
        ),
        ('name: rest', 'name: other', ['routes `bank > rest`: removed', 'routes `bank > other`: added']),
        ('price: 3.10', 'price: 3.20', ['prices.retail.entries `RU mts`.price: 3.1 -> 3.2']),
        (', {price: 4}', '', ['prices.retail.entries `any`: removed']),
        ('?key=secret', '?key=other', ['mnp.services `http://h/`: changed']),
        (
            'category: advertising',
            'category: service',
            [
                'templates.sales.entries `Buy %w`.category: advertising -> service',
            ],
        ),
    ],
)
def test_a_changed_route_or_price_is_told_by_what_of_it_changed(read, old, new, lines):
    assert ROUTES.count(old) == 1
    assert diff(read(ROUTES), read(ROUTES.replace(old, new))) == lines


def test_no_line_shows_a_secret(read):
    told = diff(read(BASE), read(BASE.replace('old-secret', 'new-secret')))
    assert len(told) == 3
    assert not [line for line in told if 'old-secret' in line or 'new-secret' in line]


def test_what_only_a_start_can_change_is_kept_and_the_rest_is_new(read):
    old = read(BASE)
    changed = BASE.replace('node: 1', 'node: 2\ndata: elsewhere\nqueues: {batch: 500}\nhttp: {listen: "127.0.0.1:1"}')
    changed = (
        changed.replace('127.0.0.1:2775', '0.0.0.0:1').replace('drain_s: 10', 'drain_s: 5').replace('"8*"', '"9*"')
    )
    new = read(changed.replace('old-secret@h', 'new-secret@h').replace('window: 10', 'window: 20'))

    kept = keep_fixed(old, new)

    assert (kept.node, kept.data, kept.queues, kept.http, kept.store) == (
        old.node,
        old.data,
        old.queues,
        old.http,
        old.store,
    )
    assert kept.smpp.listen == Listen('127.0.0.1', 2775)
    assert (kept.smpp.drain_s, kept.accounts['bank'].window, kept.routes) == (5, 20, new.routes)
    assert all('next start' not in line for line in diff(old, kept))


def test_a_table_that_changed_beside_the_yaml_is_a_difference(tmp_path):
    prices = tmp_path / 'prices.csv'
    prices.write_text('country;price\nRU;1\n', encoding='utf-8')
    path = tmp_path / 'smsc.yaml'
    path.write_text('prices: {retail: {file: prices.csv}}\n', encoding='utf-8')
    before = load(path, {})
    prices.write_text('country;price\nRU;12\n', encoding='utf-8')
    (line,) = diff(before, load(path, {}))
    assert line.startswith('files.prices.retail.file: 19 octets')
