"""Partitions: made ahead, dropped by age once settled, with the ledger exact, and never in the way of the traffic."""

import asyncio

import pytest

from domain.message import Notice
from pdu.receipt_text import MessageState
from storage import partitions
from storage.ledger import read_ledger
from storage.partitions import AHEAD_D, DAY_MS, day_start_ms
from storage.rows import Outcome
from storage.store import Store
from tests.domain.messages import NOW_MS, mt_message

OLD_MS = NOW_MS - 40 * DAY_MS
KEEP_D = 30


def day(at_ms: int) -> int:
    return day_start_ms(at_ms)


async def accept_on(store, at_ms, count=3, **fields):
    messages = [mt_message(at_ms=at_ms, **fields) for _ in range(count)]
    await store.accept(messages)
    return messages


async def settle(store, messages, done_at=NOW_MS):
    await store.finish([Outcome(message, MessageState.DELIVERED, 0, Notice.DUE, done_at) for message in messages])
    for message in messages:
        message.notice = Notice.ACKNOWLEDGED
    await store.close_messages(messages, [])


async def test_the_days_ahead_have_partitions(store, sql):
    days = await partitions.existing_days(sql)
    assert {day(NOW_MS) + index * DAY_MS for index in range(AHEAD_D + 1)} <= set(days)
    assert await store.keep_partitions(NOW_MS + DAY_MS, KEEP_D) == []
    assert day(NOW_MS) + (AHEAD_D + 1) * DAY_MS in await partitions.existing_days(sql)


async def test_messages_of_a_day_without_partition_are_accepted(store, sql):
    ahead = NOW_MS + 400 * DAY_MS
    messages = await accept_on(store, ahead) + await accept_on(store, OLD_MS)
    assert (
        await sql.fetchval('select count(*) from message where id = any($1::bigint[])', [m.id for m in messages]) == 6
    )
    assert {day(ahead), day(OLD_MS)} <= set(await partitions.existing_days(sql))


async def test_a_batch_over_midnight_is_accepted_whole(store, sql):
    midnight = day(NOW_MS) + (AHEAD_D + 1) * DAY_MS
    messages = [mt_message(at_ms=midnight - 1), mt_message(at_ms=midnight)]
    await store.accept(messages)
    assert await sql.fetchval('select count(*) from message') == 2


async def test_partitions_made_by_two_nodes_at_once_are_made_once(database, sql):
    stores = [Store(database, node=node) for node in (1, 2)]
    await asyncio.gather(*(store.open(OLD_MS) for store in stores))
    assert (await partitions.existing_days(sql)).count(day(OLD_MS)) == 1
    for store in stores:
        await store.close()


async def test_a_settled_day_is_dropped_by_age_and_the_ledger_stays_exact(store, sql, database):
    old, recent = await accept_on(store, OLD_MS), await accept_on(store, NOW_MS)
    for message in old:
        message.upstream_message_id = f'id {message.id}'
    await store.record_sent(old, [])
    await settle(store, old + recent)
    before = await read_ledger(database)
    assert await store.keep_partitions(NOW_MS, KEEP_D) == ['2026-08-12']
    assert await sql.fetchval('select count(*) from message') == 3
    assert await sql.fetchval('select count(*) from segment') == 0
    after = await read_ledger(database)
    assert after == before
    assert (after.accepted, after.final, after.receipts) == (6, {'DELIVERED': 6}, {'ACKNOWLEDGED': 6})
    assert after.adds_up


async def test_days_dropped_one_after_another_add_up_in_the_ledger(store, database):
    for days in (42, 41):
        await settle(store, await accept_on(store, NOW_MS - days * DAY_MS), NOW_MS + days)
    assert len(await store.keep_partitions(NOW_MS, KEEP_D)) == 2
    assert (await read_ledger(database)).final == {'DELIVERED': 6}


@pytest.mark.parametrize('left', ['a message that is not final', 'a receipt that is due'])
async def test_a_day_with_something_unfinished_stays_and_younger_settled_ones_go(store, sql, left):
    unfinished = await accept_on(store, OLD_MS)
    await settle(store, unfinished[1:])
    if left == 'a receipt that is due':
        await store.finish([Outcome(unfinished[0], MessageState.EXPIRED, 0, Notice.DUE, NOW_MS + 1)])
    younger = await accept_on(store, OLD_MS + DAY_MS)
    await settle(store, younger, NOW_MS + 2)
    assert await store.keep_partitions(NOW_MS, KEEP_D) == ['2026-08-13']
    assert await sql.fetchval('select count(*) from message') == 3


async def test_a_day_is_kept_for_as_long_as_configured(store):
    await settle(store, await accept_on(store, OLD_MS))
    last_moment = day(OLD_MS) + DAY_MS + KEEP_D * DAY_MS
    assert await store.keep_partitions(last_moment - 1, KEEP_D) == []
    assert await store.keep_partitions(last_moment, KEEP_D) == ['2026-08-12']


async def test_a_long_read_puts_the_drop_off_and_holds_up_no_traffic(store, sql):
    await settle(store, await accept_on(store, OLD_MS))
    async with sql.transaction():
        await sql.fetchval('select count(*) from message')
        assert await asyncio.wait_for(store.keep_partitions(NOW_MS + 10 * DAY_MS, KEEP_D), 10) == []
        await asyncio.wait_for(accept_on(store, NOW_MS), 5)
    assert await store.keep_partitions(NOW_MS, KEEP_D) == ['2026-08-12']
    assert store.health.failures == 0


async def test_partitions_are_like_their_table(store, sql):
    name = 'message_20260921'
    keys = await sql.fetch(
        'select indrelid::regclass::text as name from pg_index'
        " where indisprimary and indrelid::regclass::text ~ '^(message|segment|part_outcome)_2026'"
    )
    tables = await sql.fetch(
        'select inhrelid::regclass::text as name from pg_inherits join pg_class c on c.oid = inhrelid'
        " where c.relkind = 'r'"
    )
    assert {row['name'] for row in tables} == {row['name'] for row in keys}
    assert name in {row['name'] for row in tables}
    assert 'fillfactor=60' in await sql.fetchval('select reloptions from pg_class where oid = $1::regclass', name)
