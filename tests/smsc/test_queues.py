"""What waits: in memory and on disk, by priority, for a time or for a link; and what its time runs out for."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.product.peers import operator_receipt, submit
from tests.product.running import account, everywhere_bound, free_port, upstream
from tests.product.waiting import until, until_async


def absolute(moment):
    """An absolute time in UTC, SMPP 3.4 section 7.1.1."""
    return f'{moment:%y%m%d%H%M%S}{moment.microsecond // 100_000}00+'.encode()


async def down(product, start_smsc, bind, **tree):
    """A product whose only operator is down, and an ESME."""
    smsc = await start_smsc(start=False)
    window = tree.pop('window', 100)
    found = await product(upstreams={'mts': upstream(smsc.port, window=window)}, **tree)
    return found, smsc, await bind(found)


async def test_a_queue_beyond_memory_is_delivered_whole_and_in_order(product, start_smsc, bind):
    found, smsc, esme = await down(
        product, start_smsc, bind, queues={'memory': 100}, accounts={'bank': account(window=2000)}
    )
    ids = await esme.submit_all(submit(b'%04d' % number) for number in range(2000))
    outbox = found.node.core.upstreams['mts'].feed.outbox
    assert outbox.in_memory <= 100
    assert outbox.depth == 2000

    async def on_disk():
        book = await found.ledger()
        return (book.waiting, book.on_disk) == (2000, 2000)

    await until_async(on_disk)
    await smsc.start()
    await smsc.submitted(2000)
    assert [pdu.short_message for pdu in smsc.submits] == [b'%04d' % number for number in range(2000)]
    peer = smsc.receiving[-1]
    peer.number(*map(operator_receipt, smsc.given))
    receipts = await esme.receipts(2000)
    assert [receipt.id.decode() for receipt in receipts] == ids
    await found.settle(DELIVERED=2000)


async def test_a_queue_on_disk_is_there_after_a_restart(product, start_smsc, bind):
    found, smsc, esme = await down(product, start_smsc, bind, queues={'memory': 100})
    await esme.submit_all(submit(b'%04d' % number) for number in range(500))
    await found.stop()
    book = await found.ledger()
    assert (book.waiting, book.on_disk) == (500, 500)
    await found.start()
    assert (await found.status()).accounts[0].waiting == 500
    await smsc.start()
    await smsc.submitted(500)
    assert [pdu.short_message for pdu in smsc.submits] == [b'%04d' % number for number in range(500)]
    await until(lambda: found.node.core.accounts['bank'].waiting == 0)


@pytest.mark.wire('C18', 'G14')
async def test_what_is_urgent_overtakes_what_is_not(product, start_smsc, bind):
    _found, smsc, esme = await down(product, start_smsc, bind, window=1)
    await esme.submit_all(submit(b'%d' % priority, priority_flag=priority) for priority in (0, 1, 2, 3) * 5)
    await smsc.start()
    await smsc.submitted(20)
    assert [pdu.short_message for pdu in smsc.submits] == [b'3'] * 5 + [b'2'] * 5 + [b'1'] * 5 + [b'0'] * 5
    assert {(pdu.short_message, pdu.priority_flag) for pdu in smsc.submits} == {(b'%d' % n, n) for n in range(4)}


async def test_a_route_and_an_account_may_set_the_priority(product, start_smsc, bind):
    smsc = await start_smsc(start=False)
    found = await product(
        upstreams={'mts': upstream(smsc.port, window=1)},
        accounts={'bank': account(priority=1)},
        routes=[
            {'name': 'codes', 'when': {'text': '~code'}, 'priority': 3, 'failover': ['mts']},
            {'name': 'rest', 'failover': ['mts']},
        ],
    )
    esme = await bind(found)
    await esme.submit_all([submit(b'two', priority_flag=2), submit(b'account'), submit(b'a code')])
    await smsc.start()
    await smsc.submitted(3)
    assert [pdu.short_message for pdu in smsc.submits] == [b'a code', b'two', b'account']


@pytest.mark.wire('F3')
async def test_the_window_of_a_link_is_never_exceeded_and_used_to_the_full(product, bind, start_operator):
    port = free_port()
    operator = await start_operator(port, response_delay_ms=5)
    found = await product(upstreams={'mts': upstream(port, window=7, links=2)})
    esme = await bind(found)
    await esme.submit_all(submit() for _ in range(500))
    await esme.receipts(500)
    assert operator.counters.max_outstanding == 7
    await found.settle(DELIVERED=500)


@pytest.mark.wire('F4')
async def test_the_rate_to_an_operator_holds_in_every_second(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, rate_per_s=100, links=2)})
    await everywhere_bound(smsc, 2)
    esme = await bind(found)
    times = []

    def script(pdu):
        times.append(found.node.core.loop.time())
        return smsc.next_id()

    smsc.script = script
    await esme.submit_all(submit() for _ in range(250))
    await smsc.submitted(250)
    most = max(sum(start <= time < start + 1 for time in times) for start in times)
    assert most <= 104  # 2 % for the burst, and what the operator reads late
    assert times[-1] - times[0] < 250 / 100 * 3  # it is used, as far as a busy machine lets it be


@pytest.mark.wire('C19')
@pytest.mark.parametrize('form', ['absolute', 'relative'])
async def test_a_message_leaves_when_it_is_due_and_not_before(product, start_smsc, bind, form):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    due = datetime.now(UTC) + timedelta(seconds=1.2)
    time = absolute(due) if form == 'absolute' else b'000000000001000R'
    left = []

    def script(pdu):
        left.append(datetime.now(UTC))
        return smsc.next_id()

    smsc.script = script
    began = datetime.now(UTC)
    await esme.submit(b'later', schedule_delivery_time=time)
    await esme.submit(b'now')
    await smsc.submitted(2)
    assert [pdu.short_message for pdu in smsc.submits] == [b'now', b'later']
    wanted = due if form == 'absolute' else began + timedelta(seconds=1)
    assert timedelta(seconds=-0.1) <= left[1] - wanted < timedelta(seconds=1)


@pytest.mark.wire('C19')
async def test_a_scheduled_message_is_due_after_a_restart_too(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    await esme.submit(schedule_delivery_time=absolute(due))
    await found.stop()
    await found.start()
    await smsc.submitted(1)
    assert datetime.now(UTC) >= due - timedelta(seconds=0.1)


@pytest.mark.wire('C21', 'E17')
@pytest.mark.parametrize('place', ['memory', 'disk'])
async def test_what_runs_out_of_time_is_never_sent_and_has_its_receipt(monkeypatch, product, start_smsc, bind, place):
    monkeypatch.setattr('smsc.upkeep.SWEEP_S', 0.2)
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, window=1)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    smsc.script = lambda pdu: None
    await esme.submit(b'holds the window')
    await smsc.submitted(1)
    if place == 'disk':
        await smsc.stop()
        await until(lambda: found.node.core.upstreams['mts'].feed.outbox.offline)
    message_id = await esme.submit(b'too late', validity_period=b'000000000001000R')
    outbox = found.node.core.upstreams['mts'].feed.outbox
    assert bool(outbox.in_memory) is (place == 'memory')
    assert bool(outbox.on_disk) is (place == 'disk')
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'EXPIRED')
    smsc.script = lambda pdu: smsc.next_id()
    if place == 'disk':
        await smsc.start()
    else:
        smsc.respond(smsc.bound[0], smsc.submits[0], b'1')
    await esme.submit(b'last')
    await until(lambda: smsc.submits[-1].short_message == b'last')
    assert b'too late' not in [pdu.short_message for pdu in smsc.submits]
    book = await found.ledger()
    assert (book.final, book.adds_up) == ({'EXPIRED': 1}, True)


async def test_order_holds_when_the_link_is_lost_for_a_moment(monkeypatch, product, start_smsc, bind):
    monkeypatch.setattr('smsc.failover.OFFLINE_S', 60)
    found, smsc, esme = await down(product, start_smsc, bind, queues={'memory': 100}, window=10)
    await esme.submit_all(submit(b'%04d' % number) for number in range(300))
    await smsc.start()
    await smsc.submitted(150)
    await smsc.stop()
    mts = found.node.core.upstreams['mts']
    await until(lambda: not (mts.feed.connections or found.node.core.repeating.load))
    await esme.submit_all(submit(b'%04d' % number) for number in range(300, 400))
    await smsc.start()
    await until(lambda: len({pdu.short_message for pdu in smsc.submits}) == 400)
    once = list(dict.fromkeys(pdu.short_message for pdu in smsc.submits))
    assert once == [b'%04d' % number for number in range(400)]
    assert len(smsc.submits) <= 400 + 10  # no more again than the window held


async def test_one_accounts_queue_does_not_hold_up_another_operators_messages(product, start_smsc, bind):
    busy, idle = await start_smsc(start=False), await start_smsc()
    found = await product(
        upstreams={'mts': upstream(busy.port), 'tele2': upstream(idle.port)},
        accounts={'bank': account(), 'shop': account()},
        routes=[
            {'name': 'shop', 'when': {'account': 'shop'}, 'failover': ['tele2']},
            {'name': 'bank', 'failover': ['mts']},
        ],
        queues={'memory': 100},
    )
    await everywhere_bound(idle)
    bank, shop = await bind(found), await bind(found, 'shop')
    await bank.submit_all(submit() for _ in range(1000))
    await shop.submit()
    await idle.submitted(1)
    assert (await found.status()).accounts[0].waiting == 1000
