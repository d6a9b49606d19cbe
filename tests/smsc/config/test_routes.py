"""Routes as they are written become the decisions they promise."""

from collections import Counter

import pytest

from pdu.status import CommandStatus
from smsc.config import load
from smsc.config.routes import build

BASE = """
accounts: {bank: {password: a}, shop: {password: b}}
upstreams: {mts: {host: h}, beeline: {host: h}, tele2: {host: h}}
"""


def unread():
    raise AssertionError('no route asks for the text')


@pytest.fixture
def table(tmp_path):
    def table(text: str):
        (tmp_path / 'smsc.yaml').write_text(BASE + text, encoding='utf-8')
        return build(load(tmp_path / 'smsc.yaml', {}))

    return table


def decide(table, account='bank', destination='79161234567', text=unread):
    return table.decide(account, 'MyBank', destination, text)


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
  - {name: not by price yet, when: {destination: "4*"}, cheapest: [tele2, mts]}
""")
    assert decide(routes, destination='1').reject == CommandStatus.ESME_RINVDSTADR
    assert decide(routes, destination='2').reject == 0x45
    assert decide(routes, destination='3').upstreams == ('beeline', 'mts')
    assert decide(routes, destination='4').upstreams == ('tele2', 'mts')


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


@pytest.mark.parametrize('condition', ['operator: mts', 'country: RU', 'category: advertising'])
def test_a_route_with_a_condition_of_a_later_version_never_matches_nor_do_those_in_it(table, condition):
    routes = table(f"""
routes:
  - {{name: later, when: {{{condition}}}, reject: 11}}
  - name: block
    when: {{{condition}}}
    routes:
      - {{name: inner, failover: [mts]}}
  - {{name: now, failover: [mts]}}
mo:
  - {{name: later, when: {{{condition}}}, account: bank}}
  - {{name: now, account: shop}}
""")
    assert decide(routes).route == 'now'
    assert routes.mo_decide('mts', '', '7495', unread) == 'shop'


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
    assert routes.decide('bank', 'Others', '7916', unread).route == 'sender'
    assert decide(routes, destination='8821').route == 'destination'
    assert decide(routes, text=lambda: 'Ваш ПАРОЛЬ: 1234').route == 'text'
    assert decide(routes, text=lambda: 'nothing').reject == CommandStatus.ESME_RINVDSTADR
    assert routes.mo_decide('mts', '7916', '74951', lambda: 'stop') == 'shop'
    assert routes.mo_decide('beeline', '7916', '74951', lambda: 'stop') == 'bank'
    assert routes.mo_decide('mts', '7916', '74951', lambda: 'go on') == 'bank'
