from collections import Counter

import pytest

from pdu.status import CommandStatus
from routing.conditions import Words
from routing.facts import Place
from routing.table import Action, MoRule, Retry, RouteTable, Rule, without_prefix
from tests.routing.messages import message


def to(*upstreams):
    return Action(upstreams=upstreams)


def when(**wanted):
    return tuple(Words(key, [one] if isinstance(one, str) else one) for key, one in wanted.items())


def test_the_first_route_that_matches_decides():
    table = RouteTable(
        [
            Rule('satellite', when(destination='881*'), action=Action(reject=0x0B)),
            Rule('bank', when(account='bank'), action=to('mts', 'aggregator'), priority=3),
            Rule('Russia', when(destination='7*'), action=to('aggregator')),
        ]
    )
    assert table.decide(message('bank', 'MyBank', '8815550000')).reject == 0x0B
    decision = table.decide(message('bank', 'MyBank', '79161234567'))
    assert (decision.route, decision.upstreams, decision.priority) == ('bank', ('mts', 'aggregator'), 3)
    assert table.decide(message('shop', 'Shop', '79161234567')).route == 'Russia'


@pytest.mark.wire('C9')
def test_without_a_route_the_destination_is_refused():
    decision = RouteTable([Rule('Russia', when(destination='7*'), action=to('mts'))]).decide(message('a', 's', '49'))
    assert (decision.route, decision.upstreams, decision.reject) == ('', (), CommandStatus.ESME_RINVDSTADR)
    assert RouteTable([]).decide(message('a', 's', '7')).reject == CommandStatus.ESME_RINVDSTADR


@pytest.mark.parametrize('number', ['+79161234567', '0079161234567', '79161234567'])
def test_what_leads_to_other_countries_is_no_part_of_the_number(number):
    assert without_prefix(number) == '79161234567'


def test_the_longer_prefix_does_not_overtake_a_route_above_it():
    table = RouteTable(
        [
            Rule('Russia', when(destination='7*', source_addr='Bank'), action=to('a')),
            Rule('Moscow', when(destination='7495*'), action=to('b')),
            Rule('rest', action=to('c')),
        ]
    )
    assert table.decide(message('x', 'Bank', '74951234567')).route == 'Russia'
    assert table.decide(message('x', 'Shop', '74951234567')).route == 'Moscow'
    assert table.decide(message('x', 'Shop', '79161234567')).route == 'rest'


def test_routes_of_an_account_keep_their_place_among_the_others():
    table = RouteTable(
        [
            Rule('first', when(destination='1*'), action=to('a')),
            Rule('own', when(account='bank'), action=to('b')),
            Rule('rest', action=to('c')),
            Rule('never', when(account='bank'), action=to('d')),
        ]
    )
    assert [table.decide(message('bank', 's', number)).route for number in ('12', '22')] == ['first', 'own']
    assert [table.decide(message('shop', 's', number)).route for number in ('12', '22')] == ['first', 'rest']


def test_conditions_of_all_blocks_around_a_route_hold():
    outer = when(destination=['7*', '8*'], account=['a', 'b'])
    rule = Rule('inner', outer + when(destination='79*', account=['b', 'c']))
    table = RouteTable([rule])
    assert table.decide(message('b', 's', '79')).route == 'inner'
    assert table.decide(message('b', 's', '78')).route == ''
    assert table.decide(message('a', 's', '79')).route == ''
    assert table.decide(message('c', 's', '79')).route == ''


def test_a_text_that_no_route_reached_asks_for_is_not_decoded():
    table = RouteTable(
        [
            Rule('codes', when(account='bank', text='~code'), action=to('a')),
            Rule('rest', action=to('b')),
        ]
    )
    assert table.decide(message('shop', 's', '7')).route == 'rest'
    assert table.decide(message('bank', 's', '7', lambda: 'your code is 1')).route == 'codes'


def test_a_text_is_decoded_once_however_many_routes_ask_for_it():
    table = RouteTable([Rule(word, when(text=f'~{word}'), action=to('a')) for word in ('one', 'two', 'three')])
    decoded = []

    def text() -> str:
        decoded.append('three')
        return 'three'

    assert table.decide(message('a', 's', '7', text)).route == 'three'
    assert decoded == ['three']


@pytest.mark.wire('G2')
def test_a_split_is_exact_and_even():
    table = RouteTable([Rule('split', action=Action(shares=(('mts', 70), ('aggregator', 30))))])
    chosen = [table.decide(message('a', 's', '7')).upstreams[0] for _ in range(10_000)]
    assert Counter(chosen) == {'mts': 7_000, 'aggregator': 3_000}
    tens = (Counter(chosen[start : start + 10]) for start in range(0, 10_000, 10))
    assert all(ten == {'mts': 7, 'aggregator': 3} for ten in tens)


def test_a_split_falls_back_to_the_others_by_their_shares():
    table = RouteTable([Rule('split', action=Action(shares=(('small', 10), ('big', 60), ('middle', 30))))])
    orders = {table.decide(message('a', 's', '7')).upstreams for _ in range(10)}
    assert orders == {('big', 'middle', 'small'), ('middle', 'big', 'small'), ('small', 'big', 'middle')}


def test_a_message_that_another_route_takes_does_not_count_in_a_split():
    table = RouteTable(
        [
            Rule('bank', when(account='bank'), action=to('c')),
            Rule('split', action=Action(shares=(('a', 1), ('b', 1)))),
        ]
    )
    chosen = []
    for _ in range(10):
        table.decide(message('bank', 's', '7'))
        chosen.append(table.decide(message('shop', 's', '7')).upstreams[0])
    assert chosen == ['a', 'b'] * 5


def price(upstream, facts):
    """What a segment costs: `mts` is cheap within its own network, no price is known of `new`."""
    if upstream == 'new':
        return None
    return {'mts': 100 if facts.operator == 'mts' else 300, 'tele2': 200, 'other': 200}[upstream]


@pytest.mark.parametrize(
    ('operator', 'expected'),
    [('mts', ('mts', 'tele2', 'other', 'new')), ('tele2', ('tele2', 'other', 'mts', 'new'))],
)
def test_the_cheapest_upstream_for_the_operator_comes_first(operator, expected):
    """Equal prices stay as written; what has no price comes last."""
    action = Action(upstreams=('new', 'tele2', 'mts', 'other'), cheapest=True)
    table = RouteTable([Rule('by price', action=action)], cost=price)
    for _ in range(2):
        assert table.decide(message(operator=operator)).upstreams == expected


def test_an_order_by_price_is_asked_for_once():
    asked = []

    def cost(upstream, facts):
        asked.append((upstream, facts.operator, facts.place.country, facts.category))
        return 1

    table = RouteTable([Rule('by price', action=Action(upstreams=('a',), cheapest=True))], cost=cost)
    for facts in (
        message(),
        message(operator='mts'),
        message(place=Place('RU')),
        message(category='news'),
    ) * 3:
        table.decide(facts)
    assert asked == [('a', '', '', ''), ('a', 'mts', '', ''), ('a', '', 'RU', ''), ('a', '', '', 'news')]


def test_without_prices_the_order_is_as_written():
    table = RouteTable([Rule('by price', action=Action(upstreams=('b', 'a'), cheapest=True))])
    assert table.decide(message()).upstreams == ('b', 'a')


def test_a_route_can_end_messages_without_sending():
    table = RouteTable([Rule('void', when(account='bank'), Action(drop=True), priority=2)])
    decision = table.decide(message('bank'))
    assert (decision.drop, decision.upstreams, decision.reject, decision.route) == (True, (), 0, 'void')


@pytest.mark.parametrize(
    'action', [to('a'), Action(shares=(('a', 1), ('b', 1))), Action(upstreams=('a',), cheapest=True)]
)
def test_a_decision_says_what_follows_a_failure(action):
    retry = Retry(frozenset({5}), frozenset({11}), 300, ('b',))
    table = RouteTable([Rule('retried', action=action, retry=retry)], cost=lambda upstream, facts: 1)
    assert table.decide(message()).retry == table.peek(message()).retry == retry


def test_one_decision_serves_all_messages_of_a_rule():
    table = RouteTable([Rule('all', action=to('a'))])
    assert table.decide(message('bank')) is table.decide(message('shop'))


def test_a_route_that_is_off_is_passed_over_until_it_is_on_again():
    table = RouteTable([Rule('own', when(account='bank'), to('a')), Rule('rest', action=to('b'))])
    assert table.decide(message()).route == 'own'
    table.set_off(frozenset({'own', 'no such route'}))
    assert table.decide(message()).route == 'rest'
    table.set_off(frozenset({'rest'}))
    assert [table.decide(message(account)).route for account in ('bank', 'shop')] == ['own', '']
    table.set_off(frozenset())
    assert [table.decide(message(account)).route for account in ('bank', 'shop')] == ['own', 'rest']


def test_a_block_that_is_off_takes_its_routes_with_it():
    table = RouteTable(
        [Rule('bank > own', action=to('a')), Rule('bank > deep > own', action=to('b')), Rule('banks', action=to('c'))]
    )
    table.set_off(frozenset({'bank'}))
    assert table.decide(message()).route == 'banks'
    table.set_off(frozenset({'bank > own'}))
    assert table.decide(message()).route == 'bank > deep > own'


@pytest.mark.wire('E19')
def test_an_mo_message_goes_to_the_account_of_the_first_route():
    table = RouteTable(
        [],
        [
            MoRule('replies', 'bank', when(upstream='mts', destination='7495*')),
            MoRule('votes', 'shop', when(text='~(?i)^vote')),
            MoRule('from one', 'shop', when(source_addr='79161234567')),
        ],
    )
    assert table.mo_decide(message('mts', '79160000000', '74951234567')) == 'bank'
    assert table.mo_decide(message('other', '79160000000', '74951234567', lambda: 'VOTE 1')) == 'shop'
    assert table.mo_decide(message('other', '79161234567', '74951234567', lambda: 'hello')) == 'shop'
    assert table.mo_decide(message('other', '79160000000', '74951234567', lambda: 'hello')) is None
