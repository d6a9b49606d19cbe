"""Routes as they are written become the decisions they promise."""

from collections import Counter

import pytest

from pdu.status import CommandStatus
from routing.facts import Place
from routing.table import Retry
from smsc.config import load
from smsc.config.routes import build
from tests.routing.messages import message, unread

BASE = """
accounts: {bank: {password: a}, shop: {password: b}}
upstreams: {mts: {host: h}, beeline: {host: h}, tele2: {host: h}}
"""


@pytest.fixture
def table(tmp_path):
    def table(text: str):
        (tmp_path / 'smsc.yaml').write_text(BASE + text, encoding='utf-8')
        return build(load(tmp_path / 'smsc.yaml', {}))

    return table


def decide(table, account='bank', destination='79161234567', text=unread):
    return table.decide(message(account, 'MyBank', destination, text))


def test_a_block_holds_its_conditions_for_all_routes_in_it(table):
    routes = table("""
routes:
  - name: bank
    when: {account: bank}
    routes:
      - name: russia
        when: {destination: "7*"}
        routes:
          - {name: moscow, when: {destination: "7495*"}, failover: [mts]}
          - {name: rest, failover: [beeline]}
  - {name: everything, failover: [tele2]}
""")
    assert decide(routes, destination='74951234567').route == 'bank > russia > moscow'
    assert decide(routes, destination='79161234567').route == 'bank > russia > rest'
    assert decide(routes, destination='447700900123').route == 'everything'
    assert decide(routes, account='shop', destination='74951234567').route == 'everything'


def test_a_priority_is_that_of_the_innermost_block_that_has_one(table):
    routes = table("""
routes:
  - name: outer
    priority: 1
    routes:
      - name: inner
        priority: 2
        routes:
          - {name: own, priority: 3, when: {destination: "1*"}, failover: [mts]}
          - {name: inherited, when: {destination: "2*"}, failover: [mts]}
          - {name: lowest, priority: 0, when: {destination: "3*"}, failover: [mts]}
      - {name: outer only, when: {destination: "4*"}, failover: [mts]}
  - {name: none, failover: [mts]}
""")
    priorities = {number: decide(routes, destination=number).priority for number in '12345'}
    assert priorities == {'1': 3, '2': 2, '3': 0, '4': 1, '5': None}


def test_actions_become_decisions(table):
    routes = table("""
routes:
  - {name: named, when: {destination: "1*"}, reject: ESME_RINVDSTADR}
  - {name: numbered, when: {destination: "2*"}, reject: 0x45}
  - {name: tried in turn, when: {destination: "3*"}, failover: [beeline, mts]}
  - {name: without prices, when: {destination: "4*"}, cheapest: [tele2, mts]}
  - {name: ended, when: {destination: "5*"}, drop: true}
""")
    assert decide(routes, destination='1').reject == CommandStatus.ESME_RINVDSTADR
    assert decide(routes, destination='2').reject == 0x45
    assert decide(routes, destination='3').upstreams == ('beeline', 'mts')
    assert decide(routes, destination='4').upstreams == ('tele2', 'mts')
    assert decide(routes, destination='5').drop


@pytest.mark.parametrize(
    ('split', 'messages', 'expected'),
    [
        ('{mts: 70, beeline: 20, tele2: 10}', 100, {'mts': 70, 'beeline': 20, 'tele2': 10}),
        ('{mts: 100}', 100, {'mts': 100}),
    ],
)
def test_a_split_deals_messages_out(table, split, messages, expected):
    routes = table(f'routes: [{{name: split, split: {split}}}]')
    assert Counter(decide(routes).upstreams[0] for _ in range(messages)) == expected


NOON_MS = 1_800_014_400_000  # Friday, 15 January 2027, 12:00 UTC


@pytest.mark.parametrize(
    ('condition', 'matching', 'other'),
    [
        ('operator: mts', {'operator': 'mts'}, {'operator': 'beeline'}),
        ('country: [RU, kz]', {'place': Place('KZ')}, {'place': Place('BY')}),
        ('region: Москва', {'place': Place(region='Москва')}, {}),
        ('category: advertising', {'category': 'advertising'}, {'category': 'codes'}),
        ('keyword: stop', {'text': 'Stop it'.__str__}, {'text': 'do stop'.__str__}),
        ('priority: 2-3', {'priority': 2}, {'priority': 1}),
        ('priority: [0, 3]', {'priority': None}, {'priority': 1}),
        ('parts: ">1"', {'segments': 2}, {'segments': 1}),
        ('tlv: {0x1400: any}', {'tlvs': ((0x1400, b''),)}, {'tlvs': ((0x1401, b''),)}),
        ('tlv: {5120: 7}', {'tlvs': ((0x1400, b'\7'),)}, {'tlvs': ((0x1400, b'7'),)}),
        (
            'tlv: {user_message_reference: 7, 0x1400: "gold*"}',
            {'tlvs': ((0x0204, b'\0\7'), (0x1400, b'golden'))},
            {'tlvs': ((0x1400, b'golden'),)},
        ),
        ('time: "12:00-13:00"', {'now_ms': NOON_MS}, {'now_ms': NOON_MS - 1}),
        ('days: mon-fri', {'now_ms': NOON_MS}, {'now_ms': NOON_MS + 86_400_000}),
        ('time: "15:00-15:30", zone: Europe/Moscow', {'now_ms': NOON_MS}, {'now_ms': NOON_MS + 1_800_000}),
        (
            'time: ["09:00-10:00", "18:00-19:00"], zone: subscriber',
            {'now_ms': NOON_MS, 'place': Place(zone='Asia/Omsk')},
            {'now_ms': NOON_MS, 'place': Place(zone='Europe/Moscow')},
        ),
    ],
)
def test_a_condition_lets_in_what_it_names(table, condition, matching, other):
    routes = table(f"""
routes:
  - name: block
    when: {{{condition}}}
    routes: [{{name: inner, failover: [mts]}}]
  - {{name: unless, unless: {{{condition}}}, failover: [beeline]}}
  - {{name: never, failover: [tele2]}}
mo:
  - {{name: one, when: {{{condition}}}, account: shop}}
  - {{name: rest, account: bank}}
""")
    for facts, route, account in ((matching, 'block > inner', 'shop'), (other, 'unless', 'bank')):
        assert routes.decide(message(**{'text': str, **facts})).route == route
        assert routes.mo_decide(message(**{'text': str, **facts})) == account


def test_unless_lets_in_what_meets_only_some_of_it(table):
    routes = table("""
routes:
  - {name: not bank abroad, when: {destination: "7*"}, unless: {account: bank, country: KZ}, failover: [mts]}
  - {name: rest, failover: [tele2]}
""")
    assert decide(routes).route == 'not bank abroad'
    assert routes.decide(message('shop', place=Place('KZ'))).route == 'not bank abroad'
    assert routes.decide(message('bank', place=Place('KZ'))).route == 'rest'


def test_what_follows_a_failure_is_that_of_the_innermost_block_that_says_it(table):
    routes = table("""
routes:
  - name: outer
    on_failure: {upstreams: [tele2]}
    routes:
      - {name: inherited, when: {destination: "1*"}, failover: [mts]}
      - name: own
        when: {destination: "2*"}
        on_failure: {upstreams: [beeline, tele2], states: [UNDELIV], errors: [11, 27], after_s: 300}
        split: {mts: 1}
  - {name: none, failover: [mts]}
""")
    assert decide(routes, destination='1').retry == Retry(frozenset({3, 5, 8}), frozenset(), 0, ('tele2',))
    own = Retry(frozenset({5}), frozenset({11, 27}), 300, ('beeline', 'tele2'))
    assert decide(routes, destination='2').retry == own
    assert decide(routes, destination='3').retry is None


def test_the_cheapest_upstream_comes_first(tmp_path):
    (tmp_path / 'smsc.yaml').write_text(f'{BASE}routes: [{{name: x, cheapest: [mts, tele2]}}]', encoding='utf-8')
    routes = build(load(tmp_path / 'smsc.yaml', {}), lambda upstream, facts: len(upstream) - len(facts.operator))
    assert decide(routes).upstreams == ('mts', 'tele2')
    routes = build(load(tmp_path / 'smsc.yaml', {}), lambda upstream, facts: -len(upstream))
    assert decide(routes).upstreams == ('tele2', 'mts')


def test_conditions_of_all_kinds_are_compared_with_the_right_part(table):
    routes = table("""
routes:
  - {name: account, when: {account: [shop]}, failover: [mts]}
  - {name: sender, when: {source_addr: "Other*"}, failover: [mts]}
  - {name: destination, when: {destination: ["881*", "882*"]}, failover: [mts]}
  - {name: text, when: {text: '~(?i)пароль|code'}, failover: [mts]}
mo:
  - {name: all of them, when: {upstream: mts, source_addr: "79*", destination: "7495*", text: "stop"}, account: shop}
  - {name: rest, account: bank}
""")
    assert decide(routes, account='shop').route == 'account'
    assert routes.decide(message('bank', 'Others', '7916')).route == 'sender'
    assert decide(routes, destination='8821').route == 'destination'
    assert decide(routes, text=lambda: 'Ваш ПАРОЛЬ: 1234').route == 'text'
    assert decide(routes, text=lambda: 'nothing').reject == CommandStatus.ESME_RINVDSTADR
    assert routes.mo_decide(message('mts', '7916', '74951', lambda: 'stop')) == 'shop'
    assert routes.mo_decide(message('beeline', '7916', '74951', lambda: 'stop')) == 'bank'
    assert routes.mo_decide(message('mts', '7916', '74951', lambda: 'go on')) == 'bank'
