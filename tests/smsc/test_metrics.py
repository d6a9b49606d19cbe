"""Metrics against what the peers counted: accounts and upstreams, windows, queues and ages, receipts, the machine."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from smsc.observing import Observing
from tests.product.peers import operator_receipt, submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async


async def read(product):
    """All samples by name and labels."""
    _, page = await product.get('/metrics')
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def of(found, *names):
    """The values under some keys; 0 where there is none."""
    return tuple(found.get(name if isinstance(name, tuple) else (name,), 0) for name in names)


@pytest.mark.wire('G16')
async def test_each_account_and_upstream_has_its_own_counts(product, start_smsc, bind):
    mts, tele2 = await start_smsc(), await start_smsc()
    found = await product(
        accounts={'bank': account(window=5), 'shop': account(rate_per_s=10)},
        upstreams={'mts': upstream(mts.port, window=7), 'tele2': upstream(tele2.port)},
        routes=[
            {'name': 'bank', 'when': {'account': 'bank'}, 'failover': ['mts']},
            {'name': 'shop', 'failover': ['tele2']},
        ],
    )
    await everywhere_bound(mts)
    await everywhere_bound(tele2)
    bank, shop = await bind(found), await bind(found, 'shop')
    for _ in range(4):
        await bank.submit_all(submit() for _ in range(5))
    answers = await shop.ask_all(submit() for _ in range(30))
    throttled = sum(answer.command_status == 0x58 for answer in answers)
    await mts.submitted(20)
    await tele2.submitted(30 - throttled)
    for given in mts.given[:12]:
        await mts.deliver_receipt(given)
    await tele2.deliver_receipt(tele2.given[0], 'UNDELIV')
    await bank.receipts(12)
    await shop.receipts(1)
    await found.settle(DELIVERED=12, UNDELIVERABLE=1)

    async def as_counted():
        seen = await read(found)
        return of(seen, ('smsc_dlr_acknowledged_total', 'bank'), ('smsc_dlr_acknowledged_total', 'shop')) == (12, 1)

    await until_async(as_counted)
    seen = await read(found)
    assert throttled
    wanted = {
        ('smsc_accepted_total', 'bank'): 20,
        ('smsc_accepted_total', 'shop'): 30 - throttled,
        ('smsc_refused_total', 'ESME_RTHROTTLED', 'shop'): throttled,
        ('smsc_sent_total', 'mts'): 20,
        ('smsc_sent_total', 'tele2'): 30 - throttled,
        ('smsc_upstream_answers_total', 'ESME_ROK', 'mts'): 20,
        ('smsc_dlr_received_total', 'DELIVERED', 'mts'): 12,
        ('smsc_dlr_received_total', 'UNDELIVERABLE', 'tele2'): 1,
        ('smsc_dlr_timed_total', 'mts'): 12,
        ('smsc_dlr_awaited', 'mts'): 8,
        ('smsc_window_size', 'mts'): 7,
        ('smsc_links_bound', 'mts'): 1,
        ('smsc_links_configured', 'mts'): 1,
        ('smsc_submit_window', 'bank'): 5,
        ('smsc_dlr_orphans_total', 'mts'): 0,
    }
    assert {key: seen[key] for key in wanted} == wanted
    assert ('smsc_refused_total', 'ESME_RTHROTTLED', 'bank') not in seen
    assert 0 < seen['smsc_dlr_lag_seconds_total', 'mts'] < 12 * 60
    assert 0 <= seen['smsc_dlr_delivery_seconds_total', 'bank'] < 12 * 60


@pytest.mark.wire('G16')
async def test_windows_and_orphans_are_those_that_the_operator_counts(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, window=4)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    smsc.script = lambda pdu: None
    await esme.submit_all(submit() for _ in range(10))
    await smsc.submitted(4)
    for name in (b'4711', b'4712'):
        await smsc.deliver(operator_receipt(name))

    async def as_counted():
        seen = await read(found)
        return of(seen, ('smsc_window_used', 'mts'), ('smsc_dlr_orphans_total', 'mts'), 'smsc_dlr_parked') == (4, 2, 2)

    await until_async(as_counted)
    seen = await read(found)
    assert len(smsc.submits) == 4
    assert seen['smsc_queue_messages', '0', 'bank', 'mts'] == 6
    assert seen['smsc_account_waiting', 'bank'] == 10
    smsc.script = lambda pdu: smsc.next_id()


@pytest.mark.wire('G16')
async def test_queues_have_depth_and_age_by_upstream_account_and_priority(product, start_smsc, bind, monkeypatch):
    monkeypatch.setattr('smsc.observing.STORE_EVERY_S', 0.1)
    smsc = await start_smsc()
    await smsc.stop()
    found = await product(accounts={'bank': account(), 'shop': account()}, upstreams={'mts': upstream(smsc.port)})
    bank, shop = await bind(found), await bind(found, 'shop')
    await bank.submit_all(submit(priority_flag=3) for _ in range(2))
    await bank.submit_all(submit() for _ in range(5))
    await shop.submit()
    lanes = {('0', 'bank', 'mts'): 5, ('3', 'bank', 'mts'): 2, ('0', 'mts', 'shop'): 1}

    async def as_queued():
        seen = await read(found)
        depths = {key: seen.get(('smsc_queue_messages', *key)) for key in lanes}
        return depths == lanes and all(seen['smsc_queue_age_seconds', *key] > 0.2 for key in lanes) and seen

    seen = await until_async(as_queued)
    assert (seen['smsc_links_bound', 'mts'], seen['smsc_upstream_available', 'mts']) == (0, 0)
    assert seen['smsc_queue_age_seconds', '3', 'bank', 'mts'] >= seen['smsc_queue_age_seconds', '0', 'bank', 'mts']
    await smsc.start()
    await smsc.submitted(8)

    async def is_empty():
        return not any(name == 'smsc_queue_messages' for name, *_ in await read(found))

    await until_async(is_empty)


async def test_the_store_its_disk_and_the_process_are_seen(product):
    found = await product(upstreams={'mts': upstream(1)})

    async def looked():
        seen = await read(found)
        return seen.get(('smsc_store_bytes',)) and seen

    seen = await until_async(looked)
    assert seen[('smsc_disk_bytes',)] > seen[('smsc_disk_free_bytes',)] > 0
    assert 0 < seen[('smsc_store_connections',)] < seen[('smsc_store_connections_allowed',)]
    assert seen[('process_resident_memory_bytes',)] > 1e7
    assert 0 < seen[('process_open_fds',)] < seen[('process_max_fds',)]


async def test_a_loop_that_is_held_up_shows_it(product):
    found = await product(upstreams={'mts': upstream(1)})
    observing = Observing(found.node.core)
    observing.start()
    until_s = found.node.core.loop.time() + 0.5
    await until(lambda: len(observing._lags) > 0)
    while found.node.core.loop.time() < until_s:
        pass  # holds everything up
    await until(lambda: observing.loop_lag_s > 0.05)
    await observing.stop()
