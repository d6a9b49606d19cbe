"""Credit in PostgreSQL: taken with the commit that accepts, given back once with the one that ends, whoever dies."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from domain.charges import GIVEN_BACK, charge_when_accepted, charge_when_delivered
from domain.errors import Refused
from domain.message import Notice, Split
from pdu.codec import encode
from pdu.receipt_text import MessageState
from storage.audit import read_audit
from storage.connection import Health, StoreConnection
from storage.credit import Credit, CreditError, Terms, change_balance, read_entries, set_balance
from storage.ledger import read_ledger, read_story
from storage.rows import Outcome, Waiting
from storage.store import Store
from tests.domain.messages import HOUR_MS, NOW_MS, mt_message
from tests.storage.conftest import eventually
from tests.storage.test_store import connect, in_doubt

DELIVERED, EXPIRED = MessageState.DELIVERED, MessageState.EXPIRED
DELETED, REJECTED = MessageState.DELETED, MessageState.REJECTED
UNDELIVERABLE, ACCEPTED = MessageState.UNDELIVERABLE, MessageState.ACCEPTED
PREPAID = Terms(charge_when_accepted([REJECTED, EXPIRED, DELETED]))
ON_DELIVERY = Terms(charge_when_delivered())
POSTPAID = Terms(PREPAID.charge, None)
PRICE = 250_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
async def balance(sql):
    """The balance of an account; `await balance(set=...)` gives it one, by hand."""

    async def ask(account='shop', **change):
        if 'set' in change:
            await set_balance(sql, account, change['set'], 'ann', 'test')
        return await sql.fetchval('select balance from credit where account = $1', account)

    return ask


@pytest.fixture
async def paying(store, balance):
    """A store whose account `shop` has prepaid for 4 messages."""
    store.credit.configure({'shop': PREPAID})
    await balance(set=4 * PRICE)
    return store


def priced(count=1, price=PRICE, **fields):
    return [mt_message(price=price, **fields) for _ in range(count)]


def ended(message, state, done_at=NOW_MS, **more):
    return Outcome(message, state, 0, Notice.NONE, done_at, **more)


def ids_of(messages):
    return [message.id for message in messages]


async def story_of(database, message_id):
    story = await read_story(database, message_id)
    assert story is not None
    return story


async def proven(database):
    """The ledger says that every credit adds up."""
    book = await read_ledger(database)
    assert book.credit
    assert all(line.adds_up for line in book.credit), book.credit
    return True


# Taken


@pytest.mark.wire('C7')
async def test_messages_are_paid_for_in_order_until_the_balance_is_used_up(paying, balance, sql, database):
    messages = priced(6)
    assert await paying.accept(messages, 10) == set(ids_of(messages[4:]))
    assert await balance() == 0
    assert [row[0] for row in await sql.fetch('select id from message order by id')] == ids_of(messages[:4])
    assert await proven(database)


@pytest.mark.wire('C6', 'C7')
async def test_a_message_that_costs_too_much_leaves_its_credit_to_those_behind_it(paying, balance):
    long, short = mt_message(price=5 * PRICE, segments=5), mt_message(price=PRICE)
    assert await paying.accept([long, short], 10) == {long.id}
    assert await balance() == 3 * PRICE


async def test_accounts_in_one_batch_pay_each_for_itself(paying, balance, sql):
    paying.credit.configure({'shop': PREPAID, 'bank': PREPAID, 'free': POSTPAID})
    await balance('bank', set=PRICE)
    shop, bank, free, uncharged = (
        priced(5),
        priced(2, account='bank'),
        priced(2, account='free'),
        priced(1, account='x'),
    )
    refused = await paying.accept([*bank, *uncharged, *shop, *free], 10)
    assert refused == {bank[1].id, shop[4].id}
    assert [await balance(name) for name in ('shop', 'bank', 'free', 'x')] == [0, 0, -2 * PRICE, None]
    assert await sql.fetchval('select count(*) from message') == 8


async def test_an_account_that_nobody_gave_credit_has_none(store, balance):
    store.credit.configure({'shop': PREPAID})
    messages = priced(2)
    assert await store.accept(messages, 10) == set(ids_of(messages))
    assert await balance() == 0


async def test_what_is_worth_nothing_needs_no_credit(store):
    store.credit.configure({'shop': PREPAID})
    assert await store.accept([mt_message()], 10) == frozenset()


@pytest.mark.wire('C7')
async def test_a_hundred_parallel_submits_on_two_nodes_never_overdraw(database, balance, sql):
    stores = [Store(database, node=node) for node in (1, 2)]
    for store in stores:
        await store.open(NOW_MS)
        store.credit.configure({'shop': PREPAID})
    await balance(set=40 * PRICE + 1)
    await sql.execute('alter table credit add check (balance >= 0)')

    async def submit(number):
        return len(await stores[number % 2].accept(priced(number % 3 + 1), 30))

    refused = sum(await asyncio.gather(*(submit(number) for number in range(100))))
    assert refused == sum(number % 3 + 1 for number in range(100)) - 40
    assert await sql.fetchval('select count(*) from message') == 40
    assert await balance() == 1
    assert await proven(database)
    for store in stores:
        await store.close()


@pytest.mark.wire('C7')
async def test_two_nodes_share_what_is_left_when_neither_batch_fits(database, balance, sql):
    stores = [Store(database, node=node) for node in (1, 2)]
    for store in stores:
        await store.open(NOW_MS)
        store.credit.configure({'shop': PREPAID})
    await balance(set=5 * PRICE)
    other = await asyncpg.connect(**database)
    async with other.transaction():  # so that both of them have looked at the balance before one of them pays
        await other.execute('select from credit for update')
        accepting = [asyncio.create_task(store.accept(priced(6), 10)) for store in stores]
        waiting = (
            "select count(*) = 2 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        await eventually(sql, waiting)
    assert sorted([len(await task) for task in accepting]) == [1, 6]
    assert await balance() == 0
    assert await proven(database)
    await other.close()
    for store in stores:
        await store.close()


async def test_accounts_that_are_nearly_used_up_on_two_nodes_do_not_stop_each_other(database, balance, sql):
    stores = [Store(database, node=node) for node in (1, 2)]
    for store in stores:
        await store.open(NOW_MS)
        store.credit.configure({'shop': PREPAID, 'bank': PREPAID})
    batches = [('bank', 3, 'shop', 1), ('bank', 1, 'shop', 3)]  # each has one that does not fit

    async def submit(store, first, count, second, more):
        return await store.accept([*priced(count, account=first), *priced(more, account=second)], 10)

    for _ in range(20):
        await balance('shop', set=2 * PRICE)
        await balance('bank', set=2 * PRICE)
        refused = await asyncio.gather(*(submit(store, *batch) for store, batch in zip(stores, batches, strict=True)))
        assert sum(map(len, refused)) == 4
    assert [store.health.failures for store in stores] == [0, 0]
    assert await proven(database)
    for store in stores:
        await store.close()


@pytest.mark.wire('C7')
async def test_a_day_without_partition_is_no_reason_to_pay_twice(paying, balance):
    await paying.accept(priced(2, at_ms=NOW_MS + 400 * DAY_MS), 10)
    assert await balance() == 2 * PRICE


# Commits in doubt


@pytest.fixture
async def frail_paying(frail_store, proxy, balance):
    frail_store.credit.configure({'shop': PREPAID})
    await balance(set=4 * PRICE)
    await connect(frail_store)
    return frail_store


@pytest.mark.wire('C7')
async def test_an_accept_whose_answer_was_lost_is_paid_once(frail_paying, proxy, sql, balance, database):
    messages = priced(6)
    work = frail_paying.accept(messages, 10)
    question = 'select count(*) = 4 from message where id = any($1::bigint[])'
    assert await in_doubt(proxy, sql, work, question, ids_of(messages), last=b'COMMIT') == set(ids_of(messages[4:]))
    assert await balance() == 0
    assert await proven(database)


@pytest.mark.wire('C7')
async def test_an_accept_that_was_lost_before_its_commit_is_paid_once(frail_paying, proxy, sql, balance):
    copying = (
        'select exists (select from pg_stat_activity where datname = current_database()'
        " and application_name like 'smsc accept of%' and state = 'idle in transaction' and query like 'COPY%')"
    )
    proxy.hold_answer_to = b'COPY'
    task = asyncio.create_task(frail_paying.accept(priced(2), 10))
    await eventually(sql, copying)  # the prices are taken, nothing is committed
    proxy.hold_answer_to = b''
    proxy.cut()
    proxy.pass_on()
    assert await task == frozenset()
    assert await balance() == 2 * PRICE


@pytest.mark.wire('C8')
async def test_an_end_whose_answer_was_lost_gives_back_once(frail_paying, proxy, sql, balance):
    message, first = priced(2)
    await frail_paying.accept([message, first], 10)
    await frail_paying.finish([ended(first, EXPIRED, NOW_MS - 1)])  # so that the statement is known to the connection
    work = frail_paying.finish([ended(message, EXPIRED)])
    assert await in_doubt(proxy, sql, work, 'select state = 3 from message where id = $1', message.id) == {message.id}
    assert await balance() == 4 * PRICE


# Given back


@pytest.mark.wire('C8')
@pytest.mark.parametrize(
    ('terms', 'taken', 'given_back'),
    [
        (PREPAID, False, {REJECTED, EXPIRED, DELETED}),
        (PREPAID, True, set()),
        (ON_DELIVERY, True, {REJECTED, EXPIRED, DELETED, UNDELIVERABLE, MessageState.UNKNOWN, MessageState.SKIPPED}),
        (POSTPAID, False, {REJECTED, EXPIRED, DELETED}),
    ],
)
async def test_which_ends_give_the_price_back(store, balance, database, terms, taken, given_back):
    store.credit.configure({'shop': terms})
    await balance(set=100 * PRICE)
    ends = [state for state in MessageState if state not in (MessageState.SCHEDULED, MessageState.ENROUTE)]
    messages = priced(len(ends))
    await store.accept(messages, 10)
    if taken:
        for message in messages:
            message.upstream_message_id = str(message.id)
        await store.record_sent(messages, [])
    assert await balance() == (100 - len(ends)) * PRICE
    outcomes = [ended(message, state) for message, state in zip(messages, ends, strict=True)]
    assert await store.finish(outcomes) == set(ids_of(messages))
    assert await balance() == (100 - len(ends) + len(given_back)) * PRICE
    for message, state in zip(messages, ends, strict=True):
        story = await story_of(database, message.id)
        assert (story.state, story.charge == GIVEN_BACK) == (state, state in given_back)
    assert await proven(database)


@pytest.mark.wire('C8')
async def test_it_is_given_back_once_however_often_the_message_ends(paying, balance):
    (message, other) = priced(2)
    await paying.accept([message, other], 10)
    assert await paying.finish([ended(message, EXPIRED), ended(message, REJECTED)]) == {message.id}
    assert await paying.finish([ended(message, EXPIRED, NOW_MS + 1), ended(other, DELIVERED)]) == {other.id}
    assert await paying.finish_late([ended(other, EXPIRED, NOW_MS + 2)], []) == set()
    assert await balance() == 3 * PRICE


@pytest.mark.wire('C8')
async def test_the_store_knows_that_a_segment_was_sent_when_memory_has_forgotten(paying, balance):
    (message,) = priced()
    await paying.accept([message], 10)
    message.upstream_message_id = 'x'
    await paying.record_sent([message], [])
    message.upstream_message_id = ''
    assert await paying.finish([ended(message, EXPIRED)]) == {message.id}
    assert await balance() == 3 * PRICE


@pytest.mark.wire('C8')
@pytest.mark.parametrize('fields', [{'upstream_message_id': 'x'}, {'split': Split(2, {1})}])
async def test_memory_knows_that_a_segment_was_sent_before_the_store(paying, balance, fields):
    (message,) = priced()
    await paying.accept([message], 10)
    for name, value in fields.items():
        setattr(message, name, value)
    await paying.finish([ended(message, EXPIRED)])
    assert await balance() == 3 * PRICE


@pytest.mark.wire('C8')
async def test_a_message_that_was_disowned_is_not_paid_for(store, balance):
    store.credit.configure({'shop': Terms(charge_when_accepted([]))})
    await balance(set=PRICE)
    (message,) = priced()
    await store.accept([message], 10)
    await store.finish([ended(message, REJECTED, disowned=True)])
    assert await balance() == PRICE


@pytest.mark.wire('C8')
async def test_what_is_read_back_from_disk_gives_back_on_the_terms_of_its_acceptance(paying, balance):
    await paying.accept(messages := priced(2), 10)
    await paying.waiting.put([Waiting(message, 'upstream mts', NOW_MS, NOW_MS + 1) for message in messages])
    paying.credit.configure({})  # the account has no credit any more
    expired = await paying.waiting.expired(NOW_MS + 2, (0, 0), 10)
    outcomes = [ended(row.message, EXPIRED) for row in expired]
    assert await paying.finish_late(outcomes, []) == set(ids_of(messages))
    assert await balance() == 4 * PRICE


async def test_ends_of_two_nodes_at_once_give_back_once(paying, balance, database):
    messages = priced(4)
    await paying.accept(messages, 10)
    other = Store(database, node=3)
    batches = [[ended(message, EXPIRED, NOW_MS + node) for message in messages] for node in (1, 2)]
    changed = await asyncio.gather(paying.finish(batches[0]), other.finish(batches[1]))
    assert sorted(len(ids) for ids in changed) == [0, 4]
    assert await balance() == 4 * PRICE
    await other.close()


# Replaced


@pytest.mark.wire('C6', 'C32')
async def test_a_replaced_message_pays_for_the_segments_it_has_now(paying, balance, database):
    message = mt_message(price=2 * PRICE, cost=20, segments=2)
    await paying.accept([message], 10)
    for segments, left in ((4, 0), (1, 3)):
        message.segments = segments
        message.pdu.octets = encode(message.pdu)
        assert await paying.amending.replace([(message, None)]) == {message.id}
        assert (await balance(), message.price, message.cost) == (left * PRICE, segments * PRICE, 10 * segments)
    message.segments = 5
    with pytest.raises(Refused):
        await paying.amending.replace([(message, None)])
    assert await balance() == 3 * PRICE
    story = await story_of(database, message.id)
    assert (story.segments, story.price) == (1, PRICE)
    await paying.finish([ended(message, DELETED)])
    assert await balance() == 4 * PRICE


# What it leaves in books


async def test_the_proof_survives_the_partitions(paying, balance, database, sql):
    old = priced(3, at_ms=NOW_MS - 40 * DAY_MS)
    await paying.accept(old, 10)
    await paying.finish([ended(old[0], EXPIRED), *(ended(message, DELIVERED) for message in old[1:])])
    assert len(await paying.keep_partitions(NOW_MS, 7)) == 1
    assert await sql.fetchval('select count(*) from message') == 0
    assert await balance() == 2 * PRICE
    (line,) = (await read_ledger(database)).credit
    assert (line.entered, line.charged, line.adds_up) == (4 * PRICE, 2 * PRICE, True)


async def test_the_ledger_shows_a_credit_that_does_not_add_up(paying, sql, database):
    await paying.accept(priced(), 10)
    await sql.execute('update credit set balance = balance + 1')
    assert not (await read_ledger(database)).adds_up


async def test_all_that_was_decided_is_on_the_record(store, database):
    fields: dict[str, Any] = {'country': 'RU', 'operator': 'mts', 'category': 'advertising', 'decision': 'route russia'}
    message, plain = mt_message(price=7, cost=3, segments=2, **fields), mt_message()
    await store.accept([message, plain], 10)
    story = await story_of(database, message.id)
    assert {name: getattr(story, name) for name in fields} == fields
    assert (story.price, story.cost, story.segments, story.charge) == (7, 3, 2, 0)
    (read, _), _ = await store.unfinished(0, plain.id, 10)
    assert (read.country, read.operator, read.category, read.price, read.cost) == ('RU', 'mts', 'advertising', 7, 3)


async def test_the_cost_is_that_of_the_upstream_that_took_it(store, database):
    here, elsewhere = priced(2, cost=100)
    await store.accept([here, elsewhere], 10)
    for message in (here, elsewhere):
        message.upstream_message_id = str(message.id)
    elsewhere.upstream, elsewhere.cost = 'tele2', 150
    await store.record_sent([here, elsewhere], [], [elsewhere])
    assert [(await story_of(database, message.id)).cost for message in (here, elsewhere)] == [100, 150]


# Known in memory


async def test_an_exhausted_account_is_refused_without_the_store(paying, sql):
    credit = paying.credit
    assert credit.affords('shop', PRICE)
    await paying.accept(priced(4), 10)
    assert not credit.affords('shop', 1)
    assert credit.affords('bank', PRICE)
    await change_balance(sql, 'shop', PRICE, 'ann', '')
    await credit.refresh()
    assert credit.affords('shop', PRICE)
    assert not credit.affords('shop', PRICE + 1)


async def test_what_is_given_back_can_be_spent_at_once(paying):
    messages = priced(4)
    await paying.accept(messages, 10)
    await paying.finish([ended(messages[0], EXPIRED)])
    assert paying.credit.affords('shop', PRICE)


async def test_an_account_that_may_owe_is_never_refused(paying):
    paying.credit.configure({'shop': POSTPAID})
    assert await paying.accept(priced(9), 10) == frozenset()
    assert paying.credit.affords('shop', 1 << 60)


# By hand


async def test_changes_by_hand_are_written_down(sql, database):
    assert await change_balance(sql, 'shop', 5_000_000, 'ann', 'invoice 7') == 5_000_000
    assert await change_balance(sql, 'shop', -1_000_000, 'bob', '') == 4_000_000
    assert await set_balance(sql, 'shop', 0, 'ann', 'closed') == 0
    entries = await read_entries(sql, 'shop')
    assert [(entry.amount, entry.who, entry.note) for entry in entries] == [
        (5_000_000, 'ann', 'invoice 7'),
        (-1_000_000, 'bob', ''),
        (-4_000_000, 'ann', 'closed'),
    ]
    assert [(entry.who, entry.what) for entry in await read_audit(database, 9)] == [
        ('ann', 'credit shop'),
        ('bob', 'credit shop'),
        ('ann', 'credit shop'),
    ]


async def test_a_balance_below_zero_must_be_meant(sql, balance):
    with pytest.raises(CreditError, match='--force'):
        await change_balance(sql, 'shop', -1, 'ann', '')
    assert await balance() is None
    assert await change_balance(sql, 'shop', -5, 'ann', '', force=True) == -5
    assert await change_balance(sql, 'shop', 2, 'ann', '') == -3


async def test_looking_again_at_nothing_asks_nothing():
    health = Health()
    connection = StoreConnection('credit', {'host': '/nowhere'}, health)
    await Credit(connection).refresh()
    assert health.failures == 0
    with suppress(OSError):
        await connection.close()
