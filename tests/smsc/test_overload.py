"""Beyond capacity: who is told to slow down, and who is not."""

import asyncio

import asyncpg
import pytest

from pdu.status import CommandStatus
from smsc.overload import LEAST_LOAD, LEAST_SHARE, Overload
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import STEP_S, TIMEOUT_S, until

RATE = 10_000


def worked_off(overload, seconds, load, sessions=10, begin=100.0):
    """A tenth of a second's work is committed, and again, and there is always so much more; returns the time then."""
    now = begin
    for _ in range(round(seconds * 10)):
        now += 0.1
        overload.note_commit(RATE // 10, load, sessions, now)
    return now


@pytest.fixture
def overload():
    found = Overload()
    found.limit_s = 0.3
    return found


def test_sessions_get_equal_shares_of_what_can_be_worked_off_in_time(overload):
    worked_off(overload, 0.9, load=20_000)
    assert overload.share == 0  # a burst
    worked_off(overload, 1.5, load=20_000, begin=101.0)
    assert overload.share == pytest.approx(0.3 * RATE / 10, rel=0.1)
    worked_off(overload, 0.2, load=20_000, sessions=5_000, begin=103.0)
    assert overload.share == LEAST_SHARE
    assert overload.begun == 1


def test_overload_ends_when_less_comes_than_may_gather(overload):
    now = worked_off(overload, 3, load=20_000)
    now = worked_off(overload, 1, load=1_000, begin=now)
    assert overload.share > 0
    worked_off(overload, 0.1, load=100, begin=now)
    assert overload.share == 0


def test_what_gathers_within_the_time_or_is_little_is_no_overload(overload):
    worked_off(overload, 5, load=1_900)
    assert overload.share == 0
    overload.note_commit(10, LEAST_LOAD - 20, 1, 200.0)
    overload.note_commit(10, LEAST_LOAD - 20, 1, 210.0)
    assert overload.share == 0
    overload.limit_s = 0
    worked_off(overload, 5, load=20_000, begin=300.0)
    assert overload.share == 0


SLOW = """
create function be_slow() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.0003 * (select count(*) from new_rows)); return null; end $$;
create trigger slow after insert on message referencing new table as new_rows
    for each statement execute function be_slow();
"""


@pytest.mark.wire('E14')
async def test_a_crowd_beyond_capacity_is_throttled_and_a_modest_session_is_not(monkeypatch, product, start_smsc, bind):
    monkeypatch.setattr('smsc.overload.LEAST_LOAD', 400)
    monkeypatch.setattr('smsc.overload.STANDING_S', 0.3)
    operator = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(operator.port, window=1000)},
        accounts={'bank': account(window=8000, rate_per_s=100_000), 'shop': account(password='Kw3-shop')},
    )
    await everywhere_bound(operator)
    connection = await asyncpg.connect(**found.arguments)
    await connection.execute(SLOW)
    await connection.close()
    crowd, modest = await bind(found), await bind(found, 'shop', password='Kw3-shop')
    overload, sent = found.node.ingress.overload, 0

    def flood(count):
        nonlocal sent
        crowd.number(*(submit(registered_delivery=0) for _ in range(count)))
        sent += count

    async with asyncio.timeout(TIMEOUT_S):
        while not overload.share:
            if sent - len(crowd.inbox) < 3_500:
                flood(500)
            await asyncio.sleep(STEP_S)
    flood(3_000)
    await modest.submit(b'few')  # it must be accepted
    await until(lambda: len(crowd.inbox) == sent)
    statuses = {pdu.command_status for pdu in crowd.inbox}
    assert statuses == {CommandStatus.ESME_ROK, CommandStatus.ESME_RTHROTTLED}
    await crowd.submit()
    await until(lambda: not overload.share)
