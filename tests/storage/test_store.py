"""The store's batches: what they commit, what a commit in doubt leaves, and what they cost the database."""

import asyncio
import json

import asyncpg
import pytest

from domain.errors import StoreUnavailable
from domain.ids import first_id
from domain.message import LOOK_UP_WINDOW, Kind, Notice
from pdu.receipt_text import MessageState
from storage import statements
from storage.connection import SETTINGS
from storage.rows import Depth, Outcome, ParkedReceipt, Stretch, Waiting
from storage.store import Store
from storage.waiting import MOST_ATTEMPTS
from tests.breaking import BACK, FORTH
from tests.domain.messages import HOUR_MS, NOW_MS, mo_message, mt_message
from tests.storage.conftest import eventually

DELIVERED, UNDELIVERABLE = MessageState.DELIVERED, MessageState.UNDELIVERABLE


async def accepted(store, count=1, **fields):
    messages = [mt_message(**fields) for _ in range(count)]
    await store.accept(messages)
    return messages


async def sent(store, messages, prefix='id'):
    for number, message in enumerate(messages):
        message.upstream_message_id = f'{prefix}{number}'
    await store.record_sent(messages, [])
    return messages


def outcome(message, state=DELIVERED, error=0, notice=Notice.DUE, done_at=NOW_MS):
    return Outcome(message, state, error, notice, done_at)


def ids_of(messages):
    return [message.id for message in messages]


# What is accepted and ended


@pytest.mark.wire('C1')
async def test_an_accepted_message_is_read_back_as_it_was(store):
    mt, mo = mt_message(priority=2), mo_message()
    mt.route = 'russia'
    await store.accept([mt, mo])
    pages = await store.unfinished(0, mo.id, 10)
    assert [was_sent for _, was_sent in pages] == [False, False]
    for original, (read, _) in zip((mt, mo), pages, strict=True):
        original.pdu.octets, original.closes_at = b'', LOOK_UP_WINDOW  # its window is not in the store
        assert read == original
    assert await store.last_id() == mo.id


@pytest.mark.wire('E6', 'E8')
async def test_a_message_ends_once_and_the_first_outcome_counts(store, sql):
    first, second = await accepted(store, 2)
    assert await store.finish([outcome(first), outcome(first, UNDELIVERABLE, 5), outcome(second)]) == {
        first.id,
        second.id,
    }
    assert await store.finish([outcome(first, UNDELIVERABLE, 9, done_at=NOW_MS + 7)]) == set()
    row = await sql.fetchrow('select state, notice, error, done_at from message where id = $1', first.id)
    assert tuple(row) == (DELIVERED, Notice.DUE, 0, NOW_MS)


@pytest.mark.wire('E6')
async def test_two_batches_of_the_same_millisecond_do_not_both_end_a_message(store):
    (message,) = await accepted(store)
    assert await store.finish([outcome(message)]) == {message.id}
    assert await store.finish([outcome(message)]) == set()


async def test_only_what_a_batch_has_ended_is_returned(store):
    done, fresh = await accepted(store, 2)
    unknown = mt_message()
    await store.finish([outcome(done)])
    assert await store.finish([outcome(message) for message in (done, fresh, unknown)]) == {fresh.id}


async def test_outcomes_of_several_kinds_go_in_one_batch(store, sql):
    messages = await accepted(store, 4)
    kinds = [(DELIVERED, 0, 2), (UNDELIVERABLE, 11, 2), (UNDELIVERABLE, 12, 1), (DELIVERED, 0, 2)]
    batch = [outcome(message, *kind) for message, kind in zip(messages, kinds, strict=True)]
    assert await store.finish(batch) == set(ids_of(messages))
    rows = await sql.fetch('select state, error, notice from message order by id')
    assert [tuple(row) for row in rows] == kinds


async def test_what_needs_no_receipt_ends_with_the_commit_that_it_was_sent(store, sql):
    (message,) = await accepted(store, notice=Notice.NONE)
    message.upstream_message_id = 'x'
    await store.record_sent([message], [outcome(message, MessageState.ACCEPTED, notice=Notice.NONE)])
    assert await sql.fetchval('select state from message') == MessageState.ACCEPTED
    assert await sql.fetchval('select count(*) from segment') == 1


@pytest.mark.wire('E11')
async def test_an_acknowledged_receipt_is_closed_and_an_mo_message_ends(store, sql):
    mt, mo = mt_message(), mo_message()
    await store.accept([mt, mo])
    await store.finish([outcome(mt)])
    mt.notice = Notice.ACKNOWLEDGED
    await store.close_messages([mt], [outcome(mo, notice=Notice.NONE, done_at=NOW_MS + 1)])
    rows = await sql.fetch('select notice, state from message order by id')
    assert [tuple(row) for row in rows] == [(Notice.ACKNOWLEDGED, DELIVERED), (Notice.NONE, DELIVERED)]
    assert await store.unfinished(0, mo.id, 10) == []


async def test_an_empty_mixture_of_notices_is_each_written(store, sql):
    messages = await accepted(store, 2)
    await store.finish([outcome(message) for message in messages])
    messages[0].notice, messages[1].notice = Notice.ACKNOWLEDGED, Notice.GIVEN_UP
    await store.close_messages(messages, [])
    assert [row[0] for row in await sql.fetch('select notice from message order by id')] == [3, 4]


# Receipts whose message is not in memory


async def test_a_receipt_finds_its_message_by_the_operators_id(store):
    messages = await sent(store, await accepted(store, 3))
    found = await store.receipts.find([('mts', 'id2'), ('mts', 'id9'), ('mts', 'id0'), ('mts', 'id2')])
    assert [place and place.message.id for place in found] == [messages[2].id, None, messages[0].id, messages[2].id]
    assert (found[0].message.upstream, found[0].message.upstream_message_id) == ('mts', 'id2')


@pytest.mark.wire('F14')
async def test_the_same_id_of_two_operators_is_two_messages(store):
    one, other = await accepted(store), await accepted(store, upstream='tele2')
    await sent(store, one)
    await sent(store, other)
    found = await store.receipts.find([('mts', 'id0'), ('tele2', 'id0')])
    assert [place.message.id for place in found] == ids_of(one + other)


@pytest.mark.wire('F15')
async def test_an_id_used_again_means_the_newest_message(store):
    old = await accepted(store, at_ms=NOW_MS - 40 * HOUR_MS)
    await sent(store, old)
    new = await sent(store, await accepted(store))
    (found,) = await store.receipts.find([('mts', 'id0')])
    assert (found.message.id, found.part, found.parts) == (new[0].id, 1, 1)


async def test_a_message_sent_twice_and_answered_with_the_same_id_has_one_segment(store, sql):
    first = await sent(store, await accepted(store, 1))
    second = await accepted(store, 1)
    second[0].upstream_message_id = 'other'
    await store.record_sent(first + second, [])
    assert await sql.fetchval('select count(*) from segment') == 2


@pytest.mark.wire('F12', 'F17')
async def test_receipts_without_a_message_are_parked_until_it_is_found(store):
    parked = [ParkedReceipt('mts', f'id{number}', NOW_MS + number, DELIVERED, 0) for number in range(3)]
    await store.receipts.park(parked)
    read = await store.receipts.take_parked(NOW_MS + 1, 10)
    assert [receipt.upstream_message_id for receipt in read] == ['id1', 'id2']
    assert len(await store.receipts.take_parked(0, 2)) == 2
    await store.receipts.drop_parked([('mts', 'id1'), ('tele2', 'id2')])
    assert [receipt.upstream_message_id for receipt in await store.receipts.take_parked(0, 10)] == ['id0', 'id2']


async def test_parked_receipts_nobody_asks_for_are_dropped_by_age(store):
    parked = [ParkedReceipt('mts', f'id{number}', NOW_MS + number, DELIVERED, 0) for number in range(3)]
    await store.receipts.park(parked)
    await store.receipts.drop_old_parked(NOW_MS + 2)
    assert [receipt.upstream_message_id for receipt in await store.receipts.take_parked(0, 10)] == ['id2']


# Outboxes on disk


def waiting(message, due_at=NOW_MS, outbox='upstream mts', expires_at=NOW_MS + HOUR_MS):
    return Waiting(message, outbox, due_at, expires_at)


async def fetch(store, after=(0, 0), due_by=NOW_MS, limit=10, outbox='upstream mts', priority=0, account='shop'):
    (rows,) = await store.waiting.fetch(outbox, [Stretch(priority, account, after, limit)], due_by)
    return [row.message.id for row in rows], (rows[-1].due_at, rows[-1].seq) if rows else after


async def test_a_lane_is_read_in_order_page_by_page(store):
    messages = await accepted(store, 5)
    later, other_lane, other_outbox = await accepted(store), await accepted(store, priority=1), await accepted(store)
    await store.waiting.put([waiting(message) for message in messages[:3]])
    await store.waiting.put(
        [waiting(later[0], NOW_MS + 5000), waiting(other_lane[0]), waiting(other_outbox[0], outbox='account shop')]
    )
    await store.waiting.put([waiting(message) for message in messages[3:]])
    first, place = await fetch(store, limit=3)
    second, place = await fetch(store, place)
    assert first + second == ids_of(messages)
    assert (await fetch(store, place))[0] == []
    assert (await fetch(store, place, NOW_MS + 5000))[0] == ids_of(later)
    assert (await fetch(store, priority=1))[0] == ids_of(other_lane)
    assert (await fetch(store, outbox='account shop'))[0] == ids_of(other_outbox)
    places = [(0, 'shop', *place), (1, 'shop', 0, 0), (1, 'bank', 0, 0), (0, 'shop', NOW_MS + 5000, 1 << 62)]
    assert sorted(await store.waiting.lanes_with_more([('upstream mts', *of) for of in places])) == [
        ('upstream mts', 0, 'shop'),
        ('upstream mts', 1, 'shop'),
    ]


async def test_lanes_of_accounts_are_read_apart_and_together(store):
    shops = await accepted(store, 4)
    banks = await accepted(store, 2, account='bank')
    urgent = await accepted(store, 1, account='bank', priority=3)
    await store.waiting.put([waiting(message) for message in (*shops, *banks, *urgent)])
    stretches = [Stretch(3, 'bank', (0, 0), 5), Stretch(0, 'shop', (0, 0), 3), Stretch(0, 'none', (0, 0), 5)]
    stretches.append(Stretch(0, 'bank', (0, 0), 5))
    pages = await store.waiting.fetch('upstream mts', stretches, NOW_MS)
    assert [[row.message.id for row in page] for page in pages] == [
        ids_of(urgent),
        ids_of(shops[:3]),
        [],
        ids_of(banks),
    ]


async def test_lanes_on_disk_are_found_whatever_they_hold(store):
    for account in ('bank', 'shop', 'Zoo'):
        messages = await accepted(store, 3, account=account)
        await store.waiting.put([waiting(message) for message in messages])
    (urgent,) = await accepted(store, priority=2)
    (receipt,) = await accepted(store)
    await store.waiting.put([waiting(urgent, NOW_MS + HOUR_MS), waiting(receipt, outbox='account shop')])
    (elsewhere,) = await accepted(store)
    await store.waiting.put([Waiting(elsewhere, 'upstream tele', NOW_MS, NOW_MS, node=5)])
    assert await store.waiting.lanes() == [
        ('account shop', 0, 'shop'),
        ('upstream mts', 0, 'Zoo'),
        ('upstream mts', 0, 'bank'),
        ('upstream mts', 0, 'shop'),
        ('upstream mts', 2, 'shop'),
    ]


@pytest.mark.wire('G10')
async def test_what_was_read_of_a_lane_before_a_kill_is_marked_and_nothing_of_other_accounts(store, sql):
    shops, banks = await accepted(store, 3), await accepted(store, 2, account='bank')
    await store.waiting.put([waiting(message) for message in (*shops, *banks)])
    await fetch(store, limit=2)
    await store.waiting.mark_read()
    marked = 'select array_agg(id order by id) from message where repeated'
    assert await sql.fetchval(marked) == ids_of(shops[:2])
    await store.waiting.mark_read()  # the places are forgotten with the marks
    await fetch(store, account='bank')
    await store.waiting.forget_read()
    await store.waiting.mark_read()
    assert await sql.fetchval(marked) == ids_of(shops[:2])


async def test_places_from_before_there_were_accounts_in_lanes_mark_what_lies_before_them(store, sql):
    shops, banks = await accepted(store, 2), await accepted(store, 2, account='bank')
    for message in (shops[0], banks[0], shops[1], banks[1]):
        await store.waiting.put([waiting(message)])
    seq = await sql.fetchval('select seq from waiting where message_id = $1', banks[0].id)
    await sql.execute("insert into lane values ($1, 'upstream mts', 0, $2, $3)", store.node, NOW_MS, seq)
    await store.waiting.mark_read()
    assert {row['id'] for row in await sql.fetch('select id from message where repeated')} == {shops[0].id, banks[0].id}
    assert await sql.fetchval('select count(*) from lane') == 0


async def test_waiting_again_replaces_the_place_a_message_had(store, sql):
    first, second = await accepted(store, 2)
    await store.waiting.put([waiting(first), waiting(second)])
    await store.waiting.put([waiting(first)])
    assert (await fetch(store))[0] == [second.id, first.id]
    assert await sql.fetchval('select count(*) from waiting') == 2


async def test_rows_stay_until_their_message_has_left(store, sql):
    gone, ended, closed, kept = await accepted(store, 4)
    await store.waiting.put([waiting(message) for message in (gone, ended, closed, kept)])
    for message in (gone, ended, closed):
        message.stored_wait = True
    gone.upstream_message_id = 'x'
    await store.record_sent([gone], [])
    await store.finish([outcome(ended)])
    assert (await fetch(store))[0] == [closed.id, kept.id]
    await store.waiting.put([waiting(closed, outbox='account shop')])
    closed.notice = Notice.GIVEN_UP
    await store.close_messages([closed], [])
    assert (await fetch(store, outbox='account shop'))[0] == []
    assert (await fetch(store))[0] == [kept.id]


async def test_what_is_read_from_disk_says_that_it_has_a_row_there_and_counts_as_waiting(store):
    (message,) = await accepted(store)
    await store.waiting.put([waiting(message)])
    ((row,),) = await store.waiting.fetch('upstream mts', [Stretch(0, 'shop', (0, 0), 10)], NOW_MS)
    assert (row.message.stored_wait, row.message.counted, row.message.account) == (True, True, 'shop')


async def test_the_depth_on_disk_is_counted_by_lane_and_account(store):
    messages = await accepted(store, 3)
    other = await accepted(store, account='bank', priority=3)
    await store.waiting.put(
        [waiting(messages[0]), waiting(messages[1]), waiting(messages[2], NOW_MS + 1), waiting(other[0])]
    )
    depths = await store.waiting.count(NOW_MS)
    assert sorted(depths, key=lambda depth: depth.priority) == [
        Depth('upstream mts', 0, 'shop', 3, 2),
        Depth('upstream mts', 3, 'bank', 1, 1),
    ]


@pytest.mark.wire('C21')
async def test_what_ran_out_of_time_on_disk_is_found_oldest_first(store):
    first, second, third = await accepted(store, 3)
    await store.waiting.put(
        [waiting(first, expires_at=NOW_MS + 2), waiting(second, expires_at=NOW_MS + 1), waiting(third)]
    )
    expired = await store.waiting.expired(NOW_MS + 2, (0, 0), 10)
    assert [(row.outbox, row.message.id) for row in expired] == [
        ('upstream mts', second.id),
        ('upstream mts', first.id),
    ]


async def test_what_ran_out_of_time_on_disk_is_found_page_by_page(store):
    messages = await accepted(store, 5)
    await store.waiting.put(
        [waiting(message, expires_at=NOW_MS + number // 3) for number, message in enumerate(messages)]
    )
    found, place = [], (0, 0)
    while page := await store.waiting.expired(NOW_MS + 1, place, 2):
        found += [row.message.id for row in page]
        place = page[-1].place
    assert found == ids_of(messages)


async def test_a_message_on_disk_keeps_the_number_of_its_attempts(store):
    messages = await accepted(store, 3)
    for message, attempts in zip(messages, (0, 7, 1_000_000), strict=True):
        message.attempts = attempts
    await store.waiting.put([waiting(message) for message in messages])
    (rows,) = await store.waiting.fetch('upstream mts', [Stretch(0, 'shop', (0, 0), 10)], NOW_MS)
    assert [row.message.attempts for row in rows] == [0, 7, MOST_ATTEMPTS]


async def test_a_late_outcome_and_the_place_of_its_receipt_are_one_commit(store):
    done, late = await accepted(store, 2)
    await store.finish([outcome(done)])
    entries = [waiting(message, outbox='account shop') for message in (done, late)]
    batch = [outcome(message, done_at=NOW_MS + 1) for message in (done, late)]
    assert await store.finish_late(batch, entries) == {late.id}
    assert (await fetch(store, outbox='account shop'))[0] == [late.id]


@pytest.mark.wire('E6', 'E8')
async def test_two_late_outcomes_of_one_message_are_one_receipt(store):
    (message,) = await accepted(store)
    entries = [waiting(message, outbox='account shop')] * 2
    assert await store.finish_late([outcome(message), outcome(message, UNDELIVERABLE)], entries) == {message.id}
    assert (await fetch(store, outbox='account shop'))[0] == [message.id]


# Restart


@pytest.mark.wire('C1', 'G10')
async def test_a_restart_finds_what_is_unfinished_page_by_page(store):
    fresh, taken, ended, due, acknowledged, on_disk, silent = messages = await accepted(store, 7)
    await sent(store, [taken])
    await store.finish([outcome(ended, notice=Notice.ASKED), outcome(due), outcome(acknowledged)])
    acknowledged.notice = Notice.ACKNOWLEDGED
    await store.close_messages([acknowledged], [])
    await store.waiting.put([waiting(on_disk)])
    first = await store.unfinished(messages[0].id - 1, messages[-1].id, 2)
    second = await store.unfinished(first[-1][0].id, messages[-1].id, 10)
    assert [(message.id, was_sent) for message, was_sent in first + second] == [
        (fresh.id, False),
        (taken.id, True),
        (due.id, False),
        (silent.id, False),
    ]
    assert await store.unfinished(silent.id, silent.id + 1, 10) == []


async def test_the_low_water_mark_is_kept_by_node(store):
    assert await store.low_water() == 0
    await store.membership.beat(12345)
    assert await store.low_water() == 12345


async def test_repeated_messages_stay_marked(store):
    first, second = await accepted(store, 2)
    await store.mark_repeated([second.id])
    pages = await store.unfinished(0, second.id, 10)
    assert [message.repeated for message, _ in pages] == [False, True]
    assert pages[0][0].id == first.id


async def test_messages_whose_receipt_never_came_are_found(store):
    overdue = await accepted(store, 3, at_ms=NOW_MS - 100 * HOUR_MS)
    on_disk = await accepted(store, 1, at_ms=NOW_MS - 100 * HOUR_MS)
    await store.accept([mo_message(at_ms=NOW_MS - 100 * HOUR_MS)])
    await accepted(store)
    await store.waiting.put([waiting(on_disk[0])])
    below = first_id(NOW_MS - 72 * HOUR_MS)
    page = await store.overdue(0, below, NOW_MS - 72 * HOUR_MS, 2)
    assert ids_of(page) == ids_of(overdue[:2])
    assert ids_of(await store.overdue(page[-1].id + 1, below, NOW_MS - 72 * HOUR_MS, 2)) == ids_of(overdue[2:])


# Commits in doubt: `frail_store` reaches PostgreSQL by way of a proxy


async def in_doubt(proxy, sql, work, committed, *arguments, last=b''):
    """Run `work` so that its commit happens but the answer is lost; `last` begins a transaction's last statement."""
    if last:
        proxy.hold_answer_to = last
    else:
        proxy.hold(BACK)
    task = asyncio.create_task(work)
    await eventually(sql, committed, *arguments)
    proxy.hold_answer_to = b''
    proxy.cut()
    proxy.pass_on()
    async with asyncio.timeout(20):
        return await task


async def connect(store):
    """Let every connection of a store be there, so that a test breaks what it does and not its opening."""
    await accepted(store)
    await store.accept([mt_message()], 10)
    await store.finish([outcome(mt_message())])
    await store.receipts.park([])
    await store.waiting.lanes_with_more([('upstream mts', 0, 'shop', 0, 0)])
    await store.close_messages([mt_message()], [])
    await sent(store, [mt_message()], 'warm')


@pytest.mark.wire('C1', 'G10')
@pytest.mark.parametrize('give_up_s', [None, 10])
async def test_an_accept_whose_answer_was_lost_is_not_doubled(frail_store, proxy, sql, give_up_s):
    await connect(frail_store)
    messages = [mt_message() for _ in range(3)]
    ids = ids_of(messages)
    await in_doubt(
        proxy,
        sql,
        frail_store.accept(messages, give_up_s),
        'select count(*) = 3 from message where id = any($1::bigint[])',
        ids,
    )
    assert await sql.fetchval('select count(*) from message where id = any($1::bigint[])', ids) == 3
    assert frail_store.health.available


@pytest.mark.wire('C1', 'G10')
async def test_an_accept_that_never_reached_the_store_is_repeated(frail_store, proxy, sql):
    await connect(frail_store)
    proxy.hold(FORTH)
    messages = [mt_message() for _ in range(3)]
    task = asyncio.create_task(frail_store.accept(messages, 10))
    await asyncio.sleep(0)
    proxy.cut()
    proxy.pass_on()
    await task
    assert await sql.fetchval('select count(*) from message where id = any($1::bigint[])', ids_of(messages)) == 3


async def test_an_accept_whose_lost_commit_is_still_under_way_is_not_refused(store, sql, database):
    first, second = mt_message(), mt_message()
    await store.accept([mt_message()], 10)
    blocked = (
        "select pid from pg_stat_activity where application_name like 'smsc accept of%' and wait_event_type = 'Lock'"
    )
    other = await asyncpg.connect(**database)
    transaction = other.transaction()
    await transaction.start()
    await insert(other, first)
    task = asyncio.create_task(store.accept([first, second], 20))
    pid = await eventually(sql, blocked)
    await sql.execute('select pg_terminate_backend($1)', pid)
    await eventually(sql, f'{blocked} and pid <> $1', pid)  # read what is there, and waits again
    await transaction.commit()
    await other.close()
    await task
    assert await sql.fetchval('select count(*) from message where id = any($1::bigint[])', [first.id, second.id]) == 2


async def insert(sql, message):
    """Insert a message as the backend of a lost connection may still be doing."""
    from storage.rows import MESSAGE_COLUMNS, message_row

    places = ', '.join(f'${number}' for number in range(1, len(MESSAGE_COLUMNS) + 1))
    await sql.execute(f'insert into message ({", ".join(MESSAGE_COLUMNS)}) values ({places})', *message_row(message))


@pytest.mark.wire('E6', 'G10')
async def test_outcomes_whose_answer_was_lost_are_still_told_as_new(frail_store, proxy, sql):
    await connect(frail_store)
    done, fresh = await accepted(frail_store, 2)
    await frail_store.finish([outcome(done)])
    batch = [outcome(done, UNDELIVERABLE, 1), outcome(fresh)]
    question = 'select state = 2 from message where id = $1'
    assert await in_doubt(proxy, sql, frail_store.finish(batch), question, fresh.id, last=b'COMMIT') == {fresh.id}
    assert await sql.fetchval('select state from message where id = $1', done.id) == DELIVERED


@pytest.mark.wire('F9', 'G10')
async def test_segments_whose_answer_was_lost_are_not_doubled(frail_store, proxy, sql):
    await connect(frail_store)
    messages = await accepted(frail_store, 3)
    work = sent(frail_store, messages)
    await in_doubt(proxy, sql, work, "select count(*) = 3 from segment where upstream_message_id like 'id%'")
    assert await sql.fetchval("select count(*) from segment where upstream_message_id like 'id%'") == 3


async def test_waiting_rows_whose_answer_was_lost_are_not_doubled(frail_store, proxy, sql):
    await connect(frail_store)
    messages = await accepted(frail_store, 3)
    work = frail_store.waiting.put([waiting(message) for message in messages])
    await in_doubt(proxy, sql, work, 'select count(*) = 3 from waiting', last=b'COMMIT')
    assert await sql.fetchval('select count(*) from waiting') == 3


async def test_late_outcomes_whose_answer_was_lost_have_one_place_on_disk(frail_store, proxy, sql):
    await connect(frail_store)
    (message,) = await accepted(frail_store)
    work = frail_store.finish_late([outcome(message)], [waiting(message, outbox='account shop')])
    assert await in_doubt(proxy, sql, work, 'select count(*) = 1 from waiting', last=b'COMMIT') == {message.id}
    assert await sql.fetchval('select count(*) from waiting') == 1


@pytest.mark.wire('C34', 'F18')
async def test_a_store_that_is_away_is_told_in_time_and_noticed_as_back(frail_store, proxy):
    await connect(frail_store)
    proxy.refusing = True
    proxy.cut()
    with pytest.raises(StoreUnavailable):
        await frail_store.accept([mt_message()], 0.3)
    assert not frail_store.health.available
    finishing = asyncio.create_task(frail_store.finish([outcome(mt_message())]))
    await asyncio.sleep(0)
    assert not finishing.done()
    proxy.refusing = False
    assert await finishing == set()
    assert frail_store.health.available


@pytest.mark.wire('C34', 'F18')
async def test_a_store_that_hangs_is_told_in_time(frail_store, proxy):
    await connect(frail_store)
    proxy.hold(BACK)
    async with asyncio.timeout(25):
        with pytest.raises(StoreUnavailable):
            await frail_store.accept([mt_message()], 0.3)
    assert not frail_store.health.available
    proxy.cut()
    proxy.pass_on()
    await frail_store.accept([mt_message()], 10)
    assert frail_store.health.available


async def test_backends_killed_under_load_lose_and_double_nothing(store, sql):
    kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'smsc %'"
    batches = [[mt_message() for _ in range(50)] for _ in range(30)]

    async def go():
        for number, batch in enumerate(batches):
            await store.accept(batch, 20)
            await sent(store, batch, f'batch {number}, ')
            done_at = NOW_MS + number
            assert await store.finish([outcome(m, done_at=done_at) for m in batch]) == set(ids_of(batch))

    task = asyncio.create_task(go())
    kills = 0
    while not task.done() and kills < 20:
        await sql.execute(kill)
        kills += 1
        await asyncio.wait([task], timeout=0.02)
    await task
    assert kills > 3
    counts = await sql.fetchrow(
        'select (select count(*) from message where state = 2), (select count(*) from message),'
        ' (select count(*) from segment)'
    )
    assert tuple(counts) == (1500, 1500, 1500)


# Plans


HOT = {
    'FINISH': lambda ids: (ids, ids[0], ids[-1], 2, 2, 0, 7),
    'FINISH_REFUNDING': lambda ids: (ids[0], ids[-1], ids, [3] * 200, [0] * 200, [0] * 200, [False] * 200, 7),
    'RECORD_COSTS': lambda ids: (ids[0], ids[-1], ids, [7] * 200),
    'RESERVE_CREDIT': lambda ids: (['shop'], [7], [0]),
    'CLOSE_NOTICES': lambda ids: (ids, ids[0], ids[-1], 3, ids, 'account '),
    'INSERT_SEGMENTS': lambda ids: (
        *zip(*[('mts', f'x{one}', one, 1, 1) for one in ids], strict=True),
        ids,
        'upstream ',
    ),
    'PUT_WAITING': lambda ids: tuple(
        zip(*[(0, 'upstream mts', 0, 1, 2, 'shop', one, 0, 0) for one in ids], strict=True)
    ),
    'MARK_REPEATED': lambda ids: (ids, ids[0], ids[-1]),
    'FIND_BY_SEGMENT': lambda ids: (['mts'], ['id1'], [0]),
    'DELETE_WAITING': lambda ids: (ids, 'upstream '),
    'FETCH_WAITING': lambda ids: (0, 'upstream mts', [0, 3], ['shop', 'shop'], [0, 0], [0, 0], [10, 10], NOW_MS),
    'LANES_WITH_MORE': lambda ids: (0, ['upstream mts'], [0], ['shop'], [0], [0]),
    'LANES_ON_DISK': lambda ids: (0,),
    'COUNT_WAITING': lambda ids: (0, NOW_MS),
    'MARK_READ': lambda ids: (0,),
    'EXPIRED_WAITING': lambda ids: (0, NOW_MS, 0, 0, 10),
    'UNFINISHED': lambda ids: (ids[0], ids[-1], 10, 0),
    'OVERDUE': lambda ids: (ids[0], ids[-1], 3, 10),
}


@pytest.mark.parametrize('name', HOT)
async def test_hot_statements_go_by_key(store, sql, name):
    messages = await accepted(store, 200)
    await sent(store, messages)
    await store.waiting.put([waiting(message) for message in messages])
    await sql.execute('analyze')
    for setting, value in SETTINGS.items():
        await sql.execute(f"set {setting} = '{value}'")
    kinds = (await sql.prepare(getattr(statements, name))).get_parameters()
    values = HOT[name](ids_of(messages))
    casts = ', '.join(literal(value, kind.name) for value, kind in zip(values, kinds, strict=True))
    await sql.execute(f'prepare hot as {getattr(statements, name)}')
    plan = json.loads(await sql.fetchval(f'explain (format json) execute hot({casts})'))
    nodes = list(nodes_of(plan[0]['Plan']))
    assert [node['Relation Name'] for node in nodes if node['Node Type'] == 'Seq Scan'] == []
    assert not {'Hash Join', 'Merge Join'}.intersection(node['Node Type'] for node in nodes)
    assert any('Index' in node['Node Type'] for node in nodes)


async def test_lanes_on_disk_are_found_without_a_look_at_their_messages(store, sql):
    for account in ('bank', 'shop'):
        await store.waiting.put([waiting(message) for message in await accepted(store, 200, account=account)])
    await sql.execute('analyze')
    for setting, value in SETTINGS.items():
        await sql.execute(f"set {setting} = '{value}'")
    await sql.execute(f'prepare hot as {statements.LANES_ON_DISK}')
    plan = json.loads(await sql.fetchval("explain (analyze, format json) execute hot('0')"))
    scans = [node for node in nodes_of(plan[0]['Plan']) if node.get('Relation Name') == 'waiting']
    assert {node['Node Type'] for node in scans} <= {'Index Only Scan', 'Index Scan'}
    assert sum(node['Actual Rows'] * node['Actual Loops'] for node in scans) <= 3


def literal(value, kind):
    if isinstance(value, (list, tuple)):
        return f"'{{{','.join(map(str, value))}}}'::{kind}"
    return f"'{value}'::{kind}"


def nodes_of(plan):
    yield plan
    for child in plan.get('Plans', ()):
        yield from nodes_of(child)


async def test_a_batch_touches_only_the_days_of_its_messages(store, sql):
    messages = await accepted(store, 20)
    for setting, value in SETTINGS.items():
        await sql.execute(f"set {setting} = '{value}'")
    await sql.execute(f'prepare hot as {statements.FINISH}')
    ids = ids_of(messages)
    arguments = f"'{{{','.join(map(str, ids))}}}', {ids[0]}, {ids[-1]}, 2, 2, 0, 7"
    plan = json.loads(await sql.fetchval(f'explain (analyze, format json) execute hot({arguments})'))
    nodes = list(nodes_of(plan[0]['Plan']))
    scanned = {node['Relation Name'] for node in nodes if 'Scan' in node['Node Type'] and node['Actual Loops']}
    assert len({name for name in scanned if name.startswith('message')}) == 1


async def test_the_overdue_are_looked_for_in_the_days_of_their_ids_only(store, sql):
    await store.keep_partitions(NOW_MS - 240 * HOUR_MS, 1000)
    for days in range(3):
        await accepted(store, 20, at_ms=NOW_MS + days * 24 * HOUR_MS, expires_at=NOW_MS)
    for setting, value in SETTINGS.items():
        await sql.execute(f"set {setting} = '{value}'")
    await sql.execute(f'prepare hot as {statements.OVERDUE}')
    arguments = f'{first_id(NOW_MS)}, {first_id(NOW_MS + HOUR_MS)}, {NOW_MS + 1}, 10'
    plan = json.loads(await sql.fetchval(f'explain (analyze, format json) execute hot({arguments})'))
    nodes = list(nodes_of(plan[0]['Plan']))
    of_messages = [node for node in nodes if node.get('Relation Name', '').startswith('message')]
    assert [(node['Node Type'], node['Actual Rows']) for node in of_messages] == [('Index Scan', 10)]
    assert of_messages[0]['Index Cond'].startswith('((id >= ')
    assert 'Sort' not in {node['Node Type'] for node in nodes}


async def test_updates_of_outcome_and_notice_stay_in_the_page(store, sql):
    messages = await accepted(store, 50)
    ids = ids_of(messages)
    await sql.execute(statements.FINISH, ids, ids[0], ids[-1], DELIVERED, Notice.DUE, 0, NOW_MS)
    await sql.execute(statements.CLOSE_NOTICES, ids, ids[0], ids[-1], Notice.ACKNOWLEDGED, [], 'account ')
    await sql.execute('select pg_stat_force_next_flush()')
    updated, hot = await sql.fetchrow('select sum(n_tup_upd), sum(n_tup_hot_upd) from pg_stat_user_tables')
    assert updated == 100
    assert hot >= 60


async def test_kinds_are_told_apart(store):
    await store.accept([mo_message(), mt_message()])
    assert {message.kind for message, _ in await store.unfinished(0, 1 << 62, 10)} == {Kind.MT, Kind.MO}


async def test_what_an_earlier_run_of_the_node_left_in_the_server_ends_before_the_next_opens(database, store, sql):
    left = await sql.fetchval("select pid from pg_stat_activity where application_name = 'smsc upkeep of node 0'")
    other_node, next_run = Store(database, node=1), Store(database, node=0)
    await other_node.open(NOW_MS)
    assert await sql.fetchval('select count(*) from pg_stat_activity where pid = $1', left) == 1
    await next_run.open(NOW_MS)
    assert await sql.fetchval('select count(*) from pg_stat_activity where pid = $1', left) == 0
    await other_node.close()
    await next_run.close()
