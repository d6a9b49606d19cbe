"""`smsc route` says what the server does, and why."""

from hypothesis import given, settings
from hypothesis import strategies as st

from routing.conditions import Amount, HasTlv, Unless, Words
from routing.facts import Place
from routing.table import Action, Decision, RouteTable, Rule
from routing.trace import trace, trace_mo
from routing.windows import Window
from tests.examples import examples
from tests.routing.drawn import messages, mo_rules, off, rules
from tests.routing.messages import message


def price(upstream, facts):
    """Prices of drawn tables: by upstream and operator, some unknown."""
    found = len(facts.operator) * ord(upstream) % 5
    return found or None


@settings(max_examples=examples(60))
@given(st.lists(rules, max_size=12), st.lists(messages, min_size=1, max_size=8), off)
def test_whatever_the_rules_a_message_gets_one_decision_and_the_trace_agrees(every, some_messages, switched):
    table = RouteTable(every, cost=price)
    table.set_off(switched)
    for facts in some_messages * 2:
        traced = trace(table, facts)
        decided = table.decide(facts)
        assert traced.decision == decided
        assert sum((bool(decided.upstreams), bool(decided.reject), decided.drop)) == 1
        matched = [line.route for line in traced.lines if line.matched]
        assert matched == ([decided.route] if decided.route else [])
        assert not any(table.is_off(name) for name in matched)
        assert all(line.why for line in traced.lines)


@given(st.lists(mo_rules, max_size=12), st.lists(messages, min_size=1, max_size=8))
def test_the_trace_of_an_mo_message_agrees_too(every, some_messages):
    table = RouteTable([], every)
    for facts in some_messages:
        assert trace_mo(table, facts).account == table.mo_decide(facts)


def test_a_trace_says_of_each_rule_what_does_not_hold():
    table = RouteTable(
        [
            Rule('satellite', (Words('destination', ['881*', '882*']),)),
            Rule('shop', (Words('account', ['shop']),)),
            Rule('others', (Words('account', ['shop', 'demo']),)),
            Rule('codes', (Words('text', ['~code']),)),
            Rule('abroad', (Words('country', ['kz']),)),
            Rule('ported', (Words('operator', ['mts']),)),
            Rule('long', (Amount('parts', ['2-3', '>5']),)),
            Rule('marked', (HasTlv(0x1400, None),)),
            Rule('valued', (HasTlv(0x1401, 7),)),
            Rule('days', (Window(['15:00-18:00'], ['mon-fri'], 'subscriber'),)),
            Rule('but', (Unless([Words('country', ['RU']), Words('category', ['news'])]),)),
            Rule('off', (), Action(upstreams=('a',))),
            Rule('own', (Words('account', ['bank']),), Action(upstreams=('a',))),
        ]
    )
    table.set_off(frozenset({'off'}))
    facts = message(
        text=lambda: 'hello',
        now_ms=1_800_000_000_000,
        category='news',
        place=Place('RU', zone='Asia/Omsk'),
        tlvs=((0x1401, b'\x08'),),
    )
    assert [line.why for line in trace(table, facts).lines] == [
        'destination 79161234567 does not begin with 881, 882',
        'account bank is not shop',
        'account bank is none of shop, demo',
        'text does not match ~code',
        'country RU is not KZ',
        'operator unknown',
        'parts 1 is not 2-3, >5',
        'tlv 0x1400 is not there',
        'tlv 0x1401 is 08, not 7',
        'time fri 14:00 Asia/Omsk is not within 15:00-18:00 mon-fri',
        'unless: country RU is RU, category news is news',
        'switched off by hand',
        'account bank is bank',
    ]


def test_asking_moves_no_split():
    table = RouteTable([Rule('split', action=Action(shares=(('a', 1), ('b', 1))))])
    for _ in range(3):
        assert trace(table, message()).decision.upstreams == ('a', 'b')
    assert table.decide(message()).upstreams == ('a', 'b')
    assert trace(table, message()).decision.upstreams == ('b', 'a')


def test_without_a_rule_the_destination_is_refused():
    traced = trace(RouteTable([Rule('none', (Words('account', ['shop']),))]), message())
    assert traced.decision == Decision('', reject=0x0B)
    assert [line.matched for line in traced.lines] == [False]
