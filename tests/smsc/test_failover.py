"""Upstreams that are down, failing or throttling: what is meant for them goes elsewhere, once, and comes back."""

import signal
from collections import Counter

import asyncpg
import pytest

from pdu.codec import decode
from pdu.pdus import SubmitSm
from pdu.status import CommandStatus
from smsc import failover, upkeep
from tests.product.peers import submit
from tests.product.running import everywhere_bound, upstream
from tests.product.waiting import until, until_async

SYSTEM_ERROR = int(CommandStatus.ESME_RSYSERR)
THROTTLED = int(CommandStatus.ESME_RTHROTTLED)
QUICK = {'at_least': 5, 'throttled_s': 0.2, 'probe_every_s': 0.3, 'probes': 2}


@pytest.fixture
async def two(product, start_smsc, bind):
    """A product with a route over two scripted operators, and an ESME: `await two(mts={...}, queues={...})`."""

    async def start(mts=None, tele2=None, **tree):
        first, second = await start_smsc(), await start_smsc()
        upstreams = {'mts': upstream(first.port, **(mts or {})), 'tele2': upstream(second.port, **(tele2 or {}))}
        found = await product(upstreams=upstreams, **tree)
        await everywhere_bound(first)
        await everywhere_bound(second)
        return found, first, second, await bind(found)

    return start


def texts(*smscs):
    """How often each text has come to these operators."""
    return Counter(pdu.short_message for smsc in smscs for pdu in smsc.submits)


async def repeated(found):
    """The texts of the messages that are marked as possibly sent twice."""
    connection = await asyncpg.connect(**found.arguments)
    try:
        rows = await connection.fetch('select pdu from message where repeated')
    finally:
        await connection.close()
    return {pdu.short_message for row in rows if isinstance(pdu := decode(row['pdu']), SubmitSm)}


@pytest.mark.wire('G3', 'F9')
async def test_ten_thousand_messages_in_memory_and_on_disk_leave_an_operator_that_goes(two):
    window, count = 20, 10_000
    found, first, second, esme = await two(
        mts={'window': window}, queues={'memory': 1_000}, accounts={'bank': {'waiting': 20_000}}
    )
    answered = 300
    first.script = lambda pdu: first.next_id() if len(first.submits) <= answered else None
    for start in range(0, count, 1_000):
        await esme.submit_all(submit(b'%05d' % number, registered_delivery=0) for number in range(start, start + 1_000))
    await first.submitted(answered + window)
    waiting = found.node.core.upstreams['mts'].feed.outbox
    await until(lambda: waiting.on_disk > 8_000)
    assert not second.submits
    await first.stop()
    await found.settle(ACCEPTED=count)
    came = texts(first, second)
    assert len(came) == count
    twice = [text for text, times in came.items() if times > 1]
    assert max(came.values()) <= 2
    assert len(twice) == window
    assert await repeated(found) == set(twice)
    assert waiting.depth == 0


@pytest.mark.wire('G3', 'F9')
async def test_a_kill_while_messages_move_loses_none_and_repeats_no_more_than_the_windows(spawned, start_smsc, bind):
    window, count = 20, 3_000
    first, second = await start_smsc(), await start_smsc()
    found = await spawned(
        upstreams={'mts': upstream(first.port, window=window), 'tele2': upstream(second.port, window=window)},
        queues={'memory': 500},
        accounts={'bank': {'waiting': 5_000}},
    )
    await everywhere_bound(first)
    await everywhere_bound(second)
    esme = await bind(found)
    first.script = lambda pdu: None
    for start in range(0, count, 1_000):
        await esme.submit_all(submit(b'%04d' % n, registered_delivery=0) for n in range(start, start + 1_000))
    await first.submitted(window)
    second.script = lambda pdu: second.next_id() if len(second.submits) <= 700 else None
    await first.stop()
    await second.submitted(700 + window)
    await found.stop(signal.SIGKILL)
    second.script = lambda pdu: second.next_id()
    await found.start()
    await found.settle(ACCEPTED=count)
    came = texts(first, second)
    assert len(came) == count
    twice = {text for text, times in came.items() if times > 1}
    assert sum(came.values()) - count <= 3 * window
    assert twice <= await repeated(found)


@pytest.mark.wire('G3')
async def test_an_operator_that_is_back_gets_what_is_new(two):
    found, first, second, esme = await two()
    await first.stop()
    await found.links_bound('mts', 0)
    await esme.submit(b'while it is away')
    await second.submitted(1)
    await first.start()
    await found.links_bound('mts')
    await esme.submit(b'after')
    assert [pdu.short_message for pdu in await first.submitted(1)] == [b'after']
    assert len(second.submits) == 1


async def test_what_waits_on_disk_for_the_only_upstream_of_its_route_stays_there(product, start_smsc, bind):
    first, second = await start_smsc(start=False), await start_smsc()
    routes = [
        {'name': 'only', 'when': {'destination': '7916*'}, 'failover': ['mts']},
        {'name': 'both', 'failover': ['mts', 'tele2']},
    ]
    found = await product(upstreams={'mts': upstream(first.port), 'tele2': upstream(second.port)}, routes=routes)
    await everywhere_bound(second)
    esme = await bind(found)
    await esme.submit_all(submit(b'only %d' % number) for number in range(5))
    await esme.submit(b'both', destination_addr=b'4916012345')
    assert [pdu.short_message for pdu in await second.submitted(1)] == [b'both']
    waiting = found.node.core.upstreams['mts'].feed.outbox
    await until(lambda: waiting.on_disk == 5)
    await first.start()
    assert [pdu.short_message for pdu in await first.submitted(5)] == [b'only %d' % number for number in range(5)]
    assert len(second.submits) == 1


@pytest.mark.wire('G3')
async def test_what_nobody_could_take_goes_to_whoever_is_up_first(product, start_smsc, bind):
    first, second = await start_smsc(start=False), await start_smsc(start=False)
    found = await product(upstreams={'mts': upstream(first.port), 'tele2': upstream(second.port)})
    esme = await bind(found)
    await esme.submit_all(submit(b'%d' % number) for number in range(20))
    waiting = found.node.core.upstreams['mts'].feed.outbox
    await until(lambda: waiting.on_disk == 20)
    await second.start()
    await second.submitted(20)
    assert sorted(texts(second).values()) == [1] * 20
    assert not first.submits


@pytest.mark.wire('G3')
async def test_messages_leave_an_operator_that_fails_and_return_by_probes(two):
    found, first, second, esme = await two(mts={'availability': QUICK, 'retry': {'first_s': 1, 'last_s': 1}})
    first.script = lambda pdu: SYSTEM_ERROR
    sick = found.node.core.upstreams['mts']
    await esme.submit_all(submit(b'%02d' % number) for number in range(20))
    await second.submitted(20)
    await until(lambda: sick.failing)
    assert (await found.status()).upstreams[0].state.startswith('failing: ')
    assert await found.metric('smsc_upstream_available', upstream='mts') == 0
    tried = len(first.submits)
    await esme.submit_all(submit(b'then %02d' % number) for number in range(20))
    await second.submitted(40)
    assert len(first.submits) <= tried + 2  # probes
    first.script = lambda pdu: first.next_id()

    async def submitted_until_back():
        await esme.submit(b'on')
        return sick.available

    await until_async(submitted_until_back)
    taken = len(second.submits)
    await esme.submit(b'back')
    await until(lambda: first.submits[-1].short_message == b'back')
    assert len(second.submits) == taken
    for smsc in (first, second):
        for given in smsc.given:
            await smsc.deliver_receipt(given)
    receipts = await esme.receipts(len(first.given) + len(second.given))
    assert len({receipt.id for receipt in receipts}) == len(receipts)


async def test_what_is_on_disk_for_an_operator_that_fails_leaves_it_too(two):
    found, first, second, esme = await two(
        mts={'availability': QUICK | {'probe_every_s': 600}, 'window': 10, 'rate_per_s': 200},
        queues={'memory': 100},
        accounts={'bank': {'waiting': 5_000}},
    )
    first.script = lambda pdu: None
    await esme.submit_all(submit(b'%04d' % number, registered_delivery=0) for number in range(1_000))
    await first.submitted(10)
    await until(lambda: found.node.core.upstreams['mts'].feed.outbox.on_disk > 800)
    first.script = lambda pdu: SYSTEM_ERROR
    for pdu in list(first.submits):
        first.respond(first.bound[0], pdu, SYSTEM_ERROR)
    await found.settle(ACCEPTED=1_000)
    assert texts(second) == {b'%04d' % number: 1 for number in range(1_000)}
    assert len(first.submits) < 500


@pytest.mark.wire('G3')
async def test_what_an_operator_throttles_for_long_goes_elsewhere(two):
    found, first, second, esme = await two(mts={'availability': QUICK})
    first.script = lambda pdu: THROTTLED
    await esme.submit_all(submit(b'%02d' % number) for number in range(20))
    await second.submitted(20)
    assert texts(second) == {b'%02d' % number: 1 for number in range(20)}
    for given in list(second.given):
        await second.deliver_receipt(given)
    assert len(await esme.receipts(20)) == 20
    await found.settle(DELIVERED=20)


async def test_the_only_upstream_of_a_route_gets_its_messages_though_it_fails(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, availability=QUICK)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    smsc.script = lambda pdu: SYSTEM_ERROR
    await esme.submit_all(submit(b'%02d' % number) for number in range(20))
    await until(lambda: found.node.core.upstreams['mts'].failing)
    smsc.script = lambda pdu: smsc.next_id()
    await until(lambda: len(smsc.given) == 20)

    async def submitted_until_back():
        await esme.submit(b'on')
        return found.node.core.upstreams['mts'].available

    await until_async(submitted_until_back)


async def test_an_operator_that_answers_slowly_gets_nothing_new(two):
    found, first, second, esme = await two(mts={'availability': {'response_ms': 200}})
    first.script = lambda pdu: None
    slow = found.node.core.upstreams['mts']
    number = 0

    async def passed_over():
        nonlocal number
        number += 1
        await esme.submit(b'%d' % number)
        return slow.failing

    await until_async(passed_over)
    before = len(first.submits)
    await esme.submit(b'elsewhere')
    assert b'elsewhere' in texts(second) or await second.submitted(1)
    assert len(first.submits) == before


def test_failover_begins_within_a_second_of_the_last_links_loss():
    """The tick sees it, after the time that a link has to return."""
    assert upkeep.TICK_S + failover.OFFLINE_S < 1.0
