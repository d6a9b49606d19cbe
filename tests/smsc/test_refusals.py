"""Refused binds by address: what a second may hold, what is forgotten, what counts as one address."""

import pytest

from smsc.refusals import ADDRESSES_BOUND, Refusals, origin_of

NOW = 1000.0


def test_a_second_holds_the_rate_and_a_flood_does_not_lengthen_the_wait():
    refusals = Refusals()
    assert [refusals.note('a', 2, NOW) for _ in range(100)] == [True] * 2 + [False] * 98
    assert refusals.exceeded('a', 0, 2, NOW)
    assert not refusals.exceeded('b', 0, 2, NOW)
    assert not refusals.exceeded('a', 0, 2, NOW + 0.5)
    assert [refusals.note('a', 2, NOW + 1) for _ in range(3)] == [True, True, False]


def test_what_is_under_way_counts():
    refusals = Refusals()
    refusals.note('a', 3, NOW)
    assert [refusals.exceeded('a', underway, 3, NOW) for underway in range(4)] == [False, False, True, True]


def test_many_is_more_than_half_of_what_a_second_holds():
    refusals = Refusals()
    seen = []
    for _ in range(4):
        refusals.note('a', 4, NOW)
        seen.append(refusals.many('a', 4, NOW))
    assert seen == [False, False, True, True]
    assert not refusals.many('a', 4, NOW + 0.5)
    assert not refusals.many('b', 4, NOW)


def test_a_rate_of_0_is_none():
    refusals = Refusals()
    assert not refusals.many('a', 0, NOW)
    assert all(refusals.note('a', 0, NOW) for _ in range(100))
    assert not refusals.exceeded('a', 100, 0, NOW)


@pytest.mark.wire('B22')
def test_the_addresses_remembered_are_bounded_and_the_one_that_still_floods_stays():
    refusals = Refusals()
    for number in range(3 * ADDRESSES_BOUND):
        refusals.note(f'address {number}', 1, NOW)
        refusals.note('flooding', 1, NOW)
    assert len(refusals._buckets) == ADDRESSES_BOUND
    assert refusals.exceeded('flooding', 0, 1, NOW)


@pytest.mark.parametrize(
    ('address', 'origin'),
    [
        ('192.0.2.1', '192.0.2.1'),
        ('::ffff:192.0.2.1', '192.0.2.1'),
        ('2001:db8:1:2:3:4:5:6', '2001:0db8:0001:0002'),
        ('2001:db8:1:2::9', '2001:0db8:0001:0002'),
        ('', ''),
    ],
)
def test_an_ipv6_address_counts_as_its_network(address, origin):
    assert origin_of(address) == origin
