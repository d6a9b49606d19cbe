"""The share of the loop's time that looking through memory may take."""

import pytest

from smsc.looking import AHEAD_S, SHARE, LookingTime


def test_an_account_that_looks_little_never_waits():
    looking = LookingTime()
    for second in range(1000):
        assert looking.wait_s(second) == 0
        looking.spend(SHARE, second)


def test_an_account_that_looks_too_much_waits_until_its_share_has_come():
    looking = LookingTime()
    looking.spend(SHARE * AHEAD_S, 100)
    assert looking.wait_s(100) == 0
    looking.spend(SHARE, 100)
    assert looking.wait_s(100) == pytest.approx(1)
    assert looking.wait_s(100.5) == pytest.approx(0.5)
    assert looking.wait_s(101) == 0
    looking.spend(SHARE, 200)  # a rest is not saved up
    assert looking.paid_at == pytest.approx(201)
