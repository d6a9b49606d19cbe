from collections import Counter

import pytest

from pdu.status import CommandStatus
from routing.patterns import Pattern
from routing.table import Action, MoRule, RouteTable, Rule


def unread() -> str:
    pytest.fail('the text was decoded')


def to(*upstreams):
    return Action(upstreams=upstreams)


def any_of(*patterns):
    return (Pattern(patterns),)


def test_the_first_route_that_matches_decides():
    table = RouteTable(
        [
            Rule('satellite', destination=any_of('881*'), action=Action(reject=0x0B)),
            Rule('bank', account=any_of('bank'), action=to('mts', 'aggregator'), priority=3),
            Rule('Russia', destination=any_of('7*'), action=to('aggregator')),
        ]
    )
    assert table.decide('bank', 'MyBank', '8815550000', unread).reject == 0x0B
    decision = table.decide('bank', 'MyBank', '79161234567', unread)
    assert (decision.route, decision.upstreams, decision.priority) == ('bank', ('mts', 'aggregator'), 3)
    assert table.decide('shop', 'Shop', '79161234567', unread).route == 'Russia'


@pytest.mark.wire('C9')
def test_without_a_route_the_destination_is_refused():
    decision = RouteTable([Rule('Russia', destination=any_of('7*'), action=to('mts'))]).decide('a', 's', '49', unread)
    assert (decision.route, decision.upstreams, decision.reject) == ('', (), CommandStatus.ESME_RINVDSTADR)
    assert RouteTable([]).decide('a', 's', '7', unread).reject == CommandStatus.ESME_RINVDSTADR


def test_a_leading_plus_is_no_part_of_the_number():
    table = RouteTable([Rule('Russia', destination=any_of('7*'), action=to('mts'))])
    assert table.decide('a', 's', '+79161234567', unread).route == 'Russia'


def test_the_longer_prefix_does_not_overtake_a_route_above_it():
    table = RouteTable(
        [
            Rule('Russia', destination=any_of('7*'), source_addr=any_of('Bank'), action=to('a')),
            Rule('Moscow', destination=any_of('7495*'), action=to('b')),
            Rule('rest', action=to('c')),
        ]
    )
    assert table.decide('x', 'Bank', '74951234567', unread).route == 'Russia'
    assert table.decide('x', 'Shop', '74951234567', unread).route == 'Moscow'
    assert table.decide('x', 'Shop', '79161234567', unread).route == 'rest'


def test_routes_of_an_account_keep_their_place_among_the_others():
    table = RouteTable(
        [
            Rule('first', destination=any_of('1*'), action=to('a')),
            Rule('own', account=any_of('bank'), action=to('b')),
            Rule('rest', action=to('c')),
            Rule('never', account=any_of('bank'), action=to('d')),
        ]
    )
    assert [table.decide('bank', 's', number, unread).route for number in ('12', '22')] == ['first', 'own']
    assert [table.decide('shop', 's', number, unread).route for number in ('12', '22')] == ['first', 'rest']


def test_conditions_of_all_blocks_around_a_route_hold():
    rule = Rule('inner', destination=any_of('7*', '8*') + any_of('79*'), account=any_of('a', 'b') + any_of('b', 'c'))
    table = RouteTable([rule])
    assert table.decide('b', 's', '79', unread).route == 'inner'
    assert table.decide('b', 's', '78', unread).route == ''
    assert table.decide('a', 's', '79', unread).route == ''
    assert table.decide('c', 's', '79', unread).route == ''


def test_a_text_that_no_route_reached_asks_for_is_not_decoded():
    table = RouteTable(
        [
            Rule('codes', account=any_of('bank'), text=any_of('~code'), action=to('a')),
            Rule('rest', action=to('b')),
        ]
    )
    assert table.decide('shop', 's', '7', unread).route == 'rest'
    assert table.decide('bank', 's', '7', lambda: 'your code is 1').route == 'codes'


def test_a_text_is_decoded_once_however_many_routes_ask_for_it():
    table = RouteTable([Rule(word, text=any_of(f'~{word}'), action=to('a')) for word in ('one', 'two', 'three')])
    decoded = []

    def text() -> str:
        decoded.append('three')
        return 'three'

    assert table.decide('a', 's', '7', text).route == 'three'
    assert decoded == ['three']


@pytest.mark.wire('G2')
def test_a_split_is_exact_and_even():
    table = RouteTable([Rule('split', action=Action(shares=(('mts', 70), ('aggregator', 30))))])
    chosen = [table.decide('a', 's', '7', unread).upstreams[0] for _ in range(10_000)]
    assert Counter(chosen) == {'mts': 7_000, 'aggregator': 3_000}
    tens = (Counter(chosen[start : start + 10]) for start in range(0, 10_000, 10))
    assert all(ten == {'mts': 7, 'aggregator': 3} for ten in tens)


def test_a_split_falls_back_to_the_others_by_their_shares():
    table = RouteTable([Rule('split', action=Action(shares=(('small', 10), ('big', 60), ('middle', 30))))])
    orders = {table.decide('a', 's', '7', unread).upstreams for _ in range(10)}
    assert orders == {('big', 'middle', 'small'), ('middle', 'big', 'small'), ('small', 'big', 'middle')}


def test_a_message_that_another_route_takes_does_not_count_in_a_split():
    table = RouteTable(
        [
            Rule('bank', account=any_of('bank'), action=to('c')),
            Rule('split', action=Action(shares=(('a', 1), ('b', 1)))),
        ]
    )
    chosen = []
    for _ in range(10):
        table.decide('bank', 's', '7', unread)
        chosen.append(table.decide('shop', 's', '7', unread).upstreams[0])
    assert chosen == ['a', 'b'] * 5


@pytest.mark.wire('E19')
def test_an_mo_message_goes_to_the_account_of_the_first_route():
    table = RouteTable(
        [],
        [
            MoRule('replies', 'bank', upstream=any_of('mts'), destination=any_of('7495*')),
            MoRule('votes', 'shop', text=any_of('~(?i)^vote')),
            MoRule('from one', 'shop', source_addr=any_of('79161234567')),
        ],
    )
    assert table.mo_decide('mts', '79160000000', '+74951234567', unread) == 'bank'
    assert table.mo_decide('other', '79160000000', '74951234567', lambda: 'VOTE 1') == 'shop'
    assert table.mo_decide('other', '79161234567', '74951234567', lambda: 'hello') == 'shop'
    assert table.mo_decide('other', '79160000000', '74951234567', lambda: 'hello') is None
