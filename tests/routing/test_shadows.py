"""Rules that nothing can reach are found, and none that something can."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.conditions import Amount, HasTlv, Unless, Words
from routing.index import Index
from routing.shadows import Never, contradiction, never
from routing.windows import Window
from tests.examples import examples
from tests.routing.drawn import conjunctions, messages


def when(**wanted):
    return tuple(Words(key, [one] if isinstance(one, str) else one) for key, one in wanted.items())


@pytest.mark.parametrize(
    ('earlier', 'later'),
    [
        ((), ()),
        (when(destination='7*'), when(destination='79*')),
        (when(destination='7*'), when(destination=['79161234567', '78*'])),
        (when(destination='7*'), when(destination='79*', account='bank')),
        (when(account=['bank', 'shop']), when(account='bank', text='~code')),
        (when(text='~code'), when(text='~code', country='RU')),
        (when(operator=['mts', 'tele2']), when(operator='tele2')),
        (when(country='*'), when(account='shop')),
        ((Amount('parts', ['>1']),), (Amount('parts', ['2-5', 7]),)),
        ((HasTlv(0x1400, None),), (HasTlv(0x1400, 'gold'),)),
        ((Window(['08:00-20:00']),), (Window(['09:00-18:00'], ['mon-fri']),)),
        ((Unless(when(country='RU')),), (*when(destination='49*'), Unless(when(country='RU')))),
        ((Unless(when(country='RU')),), when(country='KZ')),
        ((Unless(when(country='RU', account='bank')),), (Unless(when(country='RU')),)),
    ],
)
def test_a_rule_below_a_wider_one_never_matches(earlier, later):
    middle = when(account='other', source_addr='other')
    assert never([earlier, middle, later])[-1] == Never(2, 0)


@pytest.mark.parametrize(
    ('earlier', 'later'),
    [
        (when(destination='79*'), when(destination='7*')),
        (when(destination='79*'), when(destination=['79*', '8*'])),
        (when(destination='7*', account='bank'), when(destination='79*')),
        (when(account='bank'), when(source_addr='bank')),
        (when(text='~code'), when(text='~codes')),
        ((Amount('parts', ['2-3']),), (Amount('parts', ['>1']),)),
        ((Amount('parts', [1]),), (Amount('priority', [1]),)),
        ((HasTlv(0x1400, 'gold'),), (HasTlv(0x1400, None),)),
        ((HasTlv(0x1400, None),), (HasTlv(0x1401, None),)),
        ((Window(['08:00-20:00']),), (Window(['07:00-19:00']),)),
        ((Window(['08:00-20:00']),), (Window(['09:00-18:00'], zone='Europe/Moscow'),)),
        ((Unless(when(country='RU')),), (Unless(when(country='RU', account='bank')),)),
        ((Unless(when(country='RU')),), when(account='bank')),
        (when(destination=['7*'], account=['shop', 'bank']), when(destination='7*', account=['bank', 'demo'])),
    ],
)
def test_a_rule_below_a_narrower_one_is_left_alone(earlier, later):
    assert never([earlier, later]) == []


@pytest.mark.parametrize(
    ('rule', 'keys'),
    [
        (when(destination='7*') + when(destination='8*'), ('destination', 'destination')),
        (when(destination='79*') + when(destination=['78*', '7']), ('destination', 'destination')),
        (when(account=['a', 'b']) + when(account='c'), ('account', 'account')),
        ((Amount('parts', [1]), Amount('parts', ['>1'])), ('parts', 'parts')),
        ((Window(['09:00-12:00']), Window(['13:00-14:00'])), ('time', 'time')),
        ((Window([], ['sat']), Window(['09:00-10:00'], ['mon-fri'])), ('days', 'time')),
        ((HasTlv(0x1400, 1), HasTlv(0x1400, 2)), ('tlv', 'tlv')),
        ((*when(country='RU', account='a'), Unless(when(country=['RU', 'KZ']))), ('unless',)),
    ],
)
def test_conditions_that_exclude_each_other_are_named(rule, keys):
    assert never([rule, when(account='x')]) == [Never(0, keys=keys)]


@pytest.mark.parametrize(
    'rule',
    [
        when(destination='7*') + when(destination='79*'),
        when(destination='79*') + when(destination='7*'),
        when(destination='7*') + when(destination='~8$'),
        when(account=['a', 'b']) + when(account=['b', 'c']),
        (Window(['22:00-06:00'], ['sun']), Window([], ['mon'])),
        (HasTlv(0x1400, None), HasTlv(0x1400, 2)),
        (*when(country='RU'), Unless(when(country='RU', account='a'))),
    ],
)
def test_conditions_that_can_hold_together_are_left_alone(rule):
    assert contradiction(rule) == ()


@settings(max_examples=examples(60))
@given(st.lists(conjunctions, max_size=8), st.lists(messages, min_size=1, max_size=20))
def test_what_never_matches_is_never_found(every, some_messages):
    unreachable = {found.position for found in never(every)}
    index = Index(every)
    assert not unreachable & {index.find(facts) for facts in some_messages}


def test_ten_thousand_rules_are_looked_through():
    every = [when(account=f'account{number % 5}', destination=f'7{number:05}*') for number in range(10_000)]
    hidden = when(account='account3', destination='709998123*')
    open_to_others = when(account='account4', destination='709998123*')
    assert never([*every, open_to_others, hidden]) == [Never(10_001, 9_998)]
