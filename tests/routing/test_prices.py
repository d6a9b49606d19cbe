"""Prices: the most specific entry decides, amounts are exact, and what has no price is not sold on credit."""

from itertools import product

import pytest

from domain.errors import Refused
from domain.message import Message
from domain.money import format_micros, parse_micros
from pdu.status import CommandStatus
from routing.facts import Facts, Place
from routing.prices import MEMO, Charging, Entry, PriceList
from tests.domain.messages import mt_message

ORDER = (
    Entry(1, 'RU', 'mts', 'advertising'),
    Entry(2, 'RU', 'mts'),
    Entry(3, '', 'mts', 'advertising'),
    Entry(4, '', 'mts'),
    Entry(5, 'RU', '', 'advertising'),
    Entry(6, 'RU'),
    Entry(7, '', '', 'advertising'),
)


def facts(operator='mts', country='RU', category='advertising'):
    return Facts(
        'bank', 'MyBank', '79161234567', 79161234567, str, operator=operator, place=Place(country), category=category
    )


@pytest.mark.parametrize('left_out', range(len(ORDER) + 1))
def test_the_most_specific_entry_decides(left_out):
    prices = PriceList(reversed(ORDER[left_out:]), default=8)
    assert prices.price('mts', 'RU', 'advertising') == left_out + 1
    assert prices.price('mts', 'RU', 'advertising') == left_out + 1


@pytest.mark.parametrize(
    ('message', 'price'),
    [
        (('tele2', 'RU', 'advertising'), 5),
        (('tele2', 'RU', 'service'), 6),
        (('mts', 'BY', 'service'), 4),
        (('mts', 'BY', 'advertising'), 3),
        (('velcom', 'BY', 'advertising'), 7),
        (('velcom', 'BY', ''), 8),
        (('', '', ''), 8),
    ],
)
def test_an_entry_fits_what_it_leaves_open_and_nothing_else(message, price):
    assert PriceList(ORDER, default=8).price(*message) == price


def test_each_message_has_the_price_of_a_plain_search_however_many_there_are():
    words = [f'o{number}' for number in range(60)]
    prices = PriceList([Entry(7, 'RU'), Entry(3, '', 'o3'), Entry(9, '', '', 'o3')], default=1)
    assert len(words) ** 3 > MEMO
    for operator, country, category in product(words, ['RU', 'BY'], words[:5]):
        wanted = 3 if operator == 'o3' else 7 if country == 'RU' else 9 if category == 'o3' else 1
        assert prices.price(operator, country, category) == wanted


def test_a_hostile_number_of_places_does_not_grow_the_memory():
    prices = PriceList([], default=1)
    for number in range(2 * MEMO):
        prices.price(str(number), '', '')
    assert len(prices.known) <= MEMO


def test_a_message_is_worth_its_segments():
    charging = Charging({'bank': PriceList([Entry(1_250_000, 'RU')])}, {}, frozenset({'bank'}))
    assert charging.price_of('bank', facts(), 3) == 3_750_000
    assert charging.price_of('shop', facts(), 3) == 0


def test_what_has_no_price_is_refused_on_credit_and_free_without():
    prices = PriceList([Entry(1, 'RU')])
    assert Charging({'bank': prices}).price_of('bank', facts(country='BY'), 1) == 0
    with pytest.raises(Refused) as refused:
        Charging({'bank': prices}, {}, frozenset({'bank'})).price_of('bank', facts(country='BY'), 1)
    assert refused.value.command_status == CommandStatus.ESME_RINVDSTADR


def test_cost_and_price_at_once_are_those_of_either():
    retail, wholesale = PriceList(ORDER, default=8), PriceList([Entry(3, 'RU')])
    charging = Charging({'bank': retail}, {'mts': wholesale}, frozenset({'bank'}))
    for operator, country in product(('mts', 'tele2', ''), ('RU', 'BY', '')):
        message = facts(operator, country)
        for _ in range(2):
            for account, upstream in product(('bank', 'shop'), ('mts', 'other', '')):
                cost, price = charging.worth(account, upstream, message, 3)
                assert cost == charging.cost_of(upstream, message, 3)
                assert price == charging.price_of(account, message, 3)
    unpaid = Charging({'bank': PriceList([Entry(1, 'RU')])}, {}, frozenset({'bank'}))
    for _ in range(2):
        with pytest.raises(Refused):
            unpaid.worth('bank', '', facts(country='BY'), 1)


def test_routes_are_told_what_an_upstream_costs_and_that_it_is_not_known():
    charging = Charging({}, {'mts': PriceList([Entry(5, '', 'mts')])})
    assert [charging.cost(name, facts()) for name in ('mts', 'other')] == [5, None]
    assert charging.cost('mts', facts('tele2')) is None
    assert charging.cost_of('mts', facts(), 2) == 10


def test_the_upstream_that_took_a_message_says_what_it_cost():
    charging = Charging({}, {'mts': PriceList([], 5), 'tele2': PriceList([Entry(9, 'RU')], 1)})
    message: Message = mt_message(country='RU', cost=5)
    assert not charging.recost('mts', message, 1)
    assert charging.recost('tele2', message, 2)
    assert message.cost == 18
    assert charging.recost('free', message, 2)
    assert message.cost == 0


def test_two_upstreams_that_took_a_message_one_after_the_other_both_cost():
    charging = Charging({}, {'mts': PriceList([], 5), 'tele2': PriceList([], 9)})
    message = mt_message(cost=5, next_upstream='tele2')
    assert charging.recost('tele2', message, 1)
    assert message.cost == 14


# Amounts


@pytest.mark.parametrize(
    ('text', 'micros', 'shown'),
    [
        ('1.25', 1_250_000, '1.25'),
        ('+1000', 1_000_000_000, '1000.00'),
        ('-0.000001', -1, '-0.000001'),
        ('0.1', 100_000, '0.10'),
        ('1.50000000', 1_500_000, '1.50'),
        ('1000000000', 10**15, '1000000000.00'),
    ],
)
def test_an_amount_is_read_and_shown_exactly(text, micros, shown):
    assert parse_micros(text) == micros
    assert format_micros(micros) == shown


@pytest.mark.parametrize(
    'text', ['', 'x', 'nan', '-inf', '1e999999', '1000000000.000001', '0.0000001', '1.00000000000000000000000000000001']
)
def test_what_is_no_amount_is_said_so(text):
    with pytest.raises(ValueError, match=r'is no amount|is beyond|decimals'):
        parse_micros(text)


def test_what_was_worked_out_is_remembered_within_bounds_and_stays_right(monkeypatch):
    monkeypatch.setattr('routing.prices.MEMO_OF_ALL', 10)
    charging = Charging(
        {'shop': PriceList([Entry(2, operator='mts')], 3)}, {'hub': PriceList([Entry(1, operator='mts')], 2)}
    )
    for _ in range(2):
        for number in range(30):
            elsewhere = facts(f'operator{number}')
            assert charging.worth('shop', 'hub', elsewhere, 2) == (4, 6)
            assert charging.worth('shop', '', elsewhere, 1) == (0, 3)
            assert charging.worth('shop', 'hub', facts('mts'), 3) == (3, 6)
            assert charging.worth('other', 'hub', facts('mts'), 1) == (1, 0)
