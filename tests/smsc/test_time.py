"""Times to the second: what is due, what ends, over restarts and while somebody sets the machine's clock."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from smsc.clock import CLOCK, wall_ms
from tests.product.moments import moments
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until
from tests.smsc.test_queues import absolute

__all__ = ['moments']

HOUR_S = 3_600
MANY = 3_000
DUE_IN_S = 2
NEVER_S = 86_400.0


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with one operator: `found, smsc, esme = await running(window=1)`."""

    async def start(**operator):
        smsc = await start_smsc()
        found = await product(
            upstreams={'mts': upstream(smsc.port, **operator)}, accounts={'bank': account(window=5000)}
        )
        await everywhere_bound(smsc)
        return found, smsc, await bind(found)

    return start


async def away(found, smsc):
    """Takes the operator away, so that everything waits on disk."""
    await smsc.stop()
    await until(lambda: found.node.core.upstreams['mts'].feed.outbox.offline)


def noting_times(found, smsc):
    """Lets an operator take everything; returns the wall times at which it did."""
    times = []

    def script(pdu):
        times.append(wall_ms())
        return smsc.next_id()

    smsc.script = script
    return times


@pytest.mark.wire('C19')
@pytest.mark.parametrize('restarted', [False, True], ids=['running on', 'restarted'])
async def test_thousands_that_are_due_at_once_all_leave_then_and_none_before(running, restarted):
    found, smsc, esme = await running(window=500)
    times = noting_times(found, smsc)
    due = datetime.now(UTC) + timedelta(seconds=DUE_IN_S)
    await esme.submit_all(submit(b'%04d' % n, schedule_delivery_time=absolute(due)) for n in range(MANY))
    if restarted:
        await found.stop()
        await found.start()
    await smsc.submitted(MANY)
    assert min(times) >= due.timestamp() * 1_000 - 100  # tenths of a second is all that the time can say
    assert sorted(pdu.short_message for pdu in smsc.submits) == [b'%04d' % n for n in range(MANY)]


@pytest.mark.wire('C21')
async def test_what_runs_out_of_time_on_disk_ends_within_seconds_and_not_before(monkeypatch, running):
    found, smsc, esme = await running()
    await away(found, smsc)
    monkeypatch.setattr('smsc.upkeep.SWEEP_S', NEVER_S)
    found.node.upkeep.tick()
    found.node.upkeep._sweep_at = found.node.core.loop.time() + NEVER_S
    message_id = await esme.submit(validity_period=b'000000000001000R')
    await esme.submit(b'lives on', validity_period=b'000000001000000R')
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'EXPIRED')
    story = await found.story(message_id)
    assert story.done_at >= story.expires_at
    await smsc.start()
    await smsc.submitted(1)
    assert [pdu.short_message for pdu in smsc.submits] == [b'lives on']


@pytest.mark.wire('C21')
async def test_a_validity_that_ended_while_nothing_ran_ends_after_the_start(running, bind, moments):
    found, smsc, esme = await running()
    await away(found, smsc)
    message_id = await esme.submit(b'too late', validity_period=b'000000001000000R')
    await esme.submit(b'in time', validity_period=b'000000003000000R')
    await found.stop()
    moments.let_it_be(f'{moments.now + timedelta(minutes=20):%Y-%m-%d %H:%M:%S}')
    await smsc.start()
    await found.start()
    esme = await bind(found)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'EXPIRED')
    await smsc.submitted(1)
    assert [pdu.short_message for pdu in smsc.submits] == [b'in time']


@pytest.mark.wire('G17')
@pytest.mark.parametrize(
    ('step', 'place'),
    [(HOUR_S, 'memory'), (-HOUR_S, 'memory'), (HOUR_S, 'disk')],
    ids=['an hour on', 'an hour back', 'an hour on, on disk'],
)
async def test_a_step_of_the_clock_ends_nothing_early_or_late(running, moments, step, place):
    found, smsc, esme = await running(window=1)
    smsc.script = lambda pdu: None
    await esme.submit(b'holds the window')
    await smsc.submitted(1)
    if place == 'disk':
        await away(found, smsc)
    lives = await esme.submit(b'lives', validity_period=b'000000001000000R')
    moments.step(step)
    await until(lambda: abs(CLOCK.ahead_ms()) < abs(step) * 1_000 - 1)  # it was noticed
    ended = await esme.submit(b'ends', validity_period=b'000000000001000R')
    assert int(ended) > int(lives)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (ended, b'EXPIRED')
    smsc.script = lambda pdu: smsc.next_id()
    if place == 'disk':
        await smsc.start()
    else:
        smsc.respond(smsc.bound[0], smsc.submits[0], b'1')
    await until(lambda: b'lives' in [pdu.short_message for pdu in smsc.submits])


@pytest.mark.wire('G17')
@pytest.mark.parametrize('step', [HOUR_S, -HOUR_S], ids=['an hour on', 'an hour back'])
async def test_schedules_are_kept_over_a_step_and_absolute_times_are_by_the_clock_that_was_set(running, moments, step):
    found, smsc, esme = await running()
    noting_times(found, smsc)
    await esme.submit(b'much later', schedule_delivery_time=b'000000003000000R')
    await esme.submit(b'soon', schedule_delivery_time=b'000000000002000R')
    soon_ms = wall_ms() + 2_000
    moments.step(step)
    there = datetime.now(UTC) + timedelta(seconds=step)
    by_the_clock = absolute(there + timedelta(seconds=2))
    lives = absolute(there + timedelta(minutes=1))
    await esme.submit(b'by the clock', schedule_delivery_time=by_the_clock, validity_period=lives)
    await smsc.submitted(2)
    assert wall_ms() >= soon_ms - 200
    assert sorted(pdu.short_message for pdu in smsc.submits) == [b'by the clock', b'soon']


@pytest.mark.wire('G17')
@pytest.mark.parametrize('step', [HOUR_S, -HOUR_S], ids=['an hour on', 'an hour back'])
async def test_retries_keep_their_pauses_over_a_step(running, moments, step):
    found, smsc, esme = await running(retry={'first_s': 1, 'factor': 1, 'last_s': 1})
    loop = found.node.core.loop
    times = []

    def script(pdu):
        times.append(loop.time())
        return 0x08 if len(times) < 3 else smsc.next_id()  # ESME_RSYSERR

    smsc.script = script
    await esme.submit()
    await smsc.submitted(1)
    moments.step(step)
    await smsc.submitted(3)
    assert all(later - earlier > 0.9 for earlier, later in itertools.pairwise(times))
    assert await found.metric('smsc_clock_ahead_seconds') == pytest.approx(-step, abs=5)


@pytest.mark.wire('G17')
async def test_what_is_queued_leaves_after_a_restart_although_the_clock_was_set_back(running, bind, moments):
    found, smsc, esme = await running()
    await away(found, smsc)
    before = await esme.submit(b'queued')
    await found.stop()
    moments.let_it_be(f'{moments.now - timedelta(hours=1):%Y-%m-%d %H:%M:%S}')
    await smsc.start()
    await found.start()
    await smsc.submitted(1)
    assert int(await (await bind(found)).submit()) > int(before)
