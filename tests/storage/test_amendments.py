"""Messages by what their ESME calls them, and what they become."""

import asyncio
import json

import asyncpg
import pytest

from domain.message import Notice
from pdu.codec import encode
from pdu.pdus import SubmitSm
from pdu.receipt_text import MessageState
from storage import statements
from storage.amendments import SHARED_SPAN, search_key
from storage.connection import SETTINGS
from storage.questions import BATCH
from storage.rows import Outcome, Stretch, Waiting
from tests.domain.messages import NOW_MS, mo_message, mt_message
from tests.storage.test_store import literal, nodes_of

ABOVE_ALL = (1 << 63) - 1
KEY = search_key('shop', b'Shop', b'79161234567')


async def waiting(store, count=1, outbox='upstream mts', **fields):
    messages = [mt_message(**fields) for _ in range(count)]
    await store.accept(messages)
    await store.waiting.put([Waiting(message, outbox, NOW_MS, message.expires_at) for message in messages])
    return messages


def ids_of(rows):
    return [row.message.id for row in rows]


def test_addresses_are_looked_up_by_the_same_key_in_every_run():
    assert KEY == 7933458833999724389
    assert len({KEY, search_key('sho', b'pShop', b'79161234567'), search_key('shop', b'Shop', b'7916123456')}) == 3


@pytest.mark.wire('C30')
async def test_a_message_is_found_by_its_id_for_its_account_only(store):
    (message,) = await waiting(store)
    mo = mo_message()
    await store.accept([mo])
    assert [found.id for found in await store.amending.find(message.id, 'shop')] == [message.id]
    assert await store.amending.find(message.id, 'bank') == []
    assert await store.amending.find(message.id + 1, 'shop') == []
    assert await store.amending.find(mo.id, 'shop') == []


@pytest.mark.wire('C30')
async def test_messages_that_share_an_id_are_found_by_it(store):
    first = mt_message()
    others = [mt_message(shown_id=first.id) for _ in range(2)]
    await store.accept([first, *others])
    assert [found.id for found in await store.amending.find(first.id, 'shop')] == [
        message.id for message in (first, *others)
    ]


async def test_what_waits_is_found_by_its_addresses_page_by_page(store):
    messages = await waiting(store, 5)
    await waiting(store, account='bank')
    await waiting(store, outbox='account shop')
    newest = await store.amending.waiting_alike(KEY, ABOVE_ALL, 3)
    assert ids_of(newest) == [message.id for message in messages[:1:-1]]
    assert ids_of(await store.amending.waiting_alike(KEY, newest[-1].message.id, 3)) == [
        messages[1].id,
        messages[0].id,
    ]
    assert {(row.outbox, row.due_at, row.begun) for row in newest} == {('upstream mts', NOW_MS, False)}


async def test_a_receipt_that_waits_for_its_esme_is_no_queued_message(store):
    (message,) = await waiting(store)
    message.stored_wait = True
    outcome = Outcome(message, MessageState.DELIVERED, 0, Notice.DUE, NOW_MS)
    await store.finish_late([outcome], [Waiting(message, 'account shop', NOW_MS, message.expires_at)])
    assert await store.amending.waiting_of([message.id]) == []
    assert await store.amending.waiting_alike(KEY, ABOVE_ALL, 9) == []


async def test_a_message_of_which_the_operator_has_a_segment_is_begun(store):
    (message,) = await waiting(store)
    message.upstream_message_id = 'x'
    await store.record_sent([message], [])
    assert [row.begun for row in await store.amending.waiting_of([message.id])] == [True]


@pytest.mark.wire('C32')
async def test_a_replaced_message_is_read_back_as_it_became_and_a_final_one_stays(store):
    message, final = await waiting(store, 2)
    await store.finish([Outcome(final, MessageState.DELETED, 0, Notice.NONE, NOW_MS)])
    for old in (message, final):
        old.pdu = SubmitSm(1, source_addr=b'Shop', destination_addr=b'79161234567', short_message=b'another')
        old.pdu.octets = encode(old.pdu)
        old.expires_at += 5
        old.notice = Notice.NONE
        old.stored_wait = True
    assert await store.amending.replace([(message, None), (final, None)]) == {message.id}
    ((row,),) = await store.waiting.fetch('upstream mts', [Stretch(0, 'shop', (0, 0), 1)], NOW_MS)
    assert (row.message.pdu.short_message, row.message.expires_at) == (b'another', message.expires_at)
    (found,) = await store.amending.find(final.id, 'shop')
    assert found.pdu.short_message == b'hello'
    expired = await store.waiting.expired(message.expires_at - 1, (0, 0), 9)
    assert message.id not in [row.message.id for row in expired]


@pytest.mark.wire('C32')
async def test_a_message_replaced_for_a_later_time_waits_for_it(store):
    (message,) = await waiting(store)
    message.pdu.octets = encode(message.pdu)
    moved = Waiting(message, 'upstream tele2', NOW_MS + 9, message.expires_at)
    assert await store.amending.replace([(message, moved)]) == {message.id}
    (row,) = await store.amending.waiting_of([message.id])
    assert (row.outbox, row.due_at) == ('upstream tele2', NOW_MS + 9)


@pytest.mark.wire('C32')
async def test_of_several_replacements_all_are_committed_or_none(store):
    one, other = await waiting(store, 2)
    for message in (one, other):
        message.pdu.octets = encode(SubmitSm(1, source_addr=b'Shop', short_message=b'another'))
    other.priority = 1 << 20  # a column that the store has no room for
    with pytest.raises(asyncpg.DataError):
        await store.amending.replace([(one, None), (other, None)])
    (found,) = await store.amending.find(one.id, 'shop')
    assert found.pdu.short_message == b'hello'


# Many that ask


async def test_an_account_that_asks_much_delays_its_own_questions_only(store):
    (message,) = await waiting(store)
    (of_another,) = await waiting(store, account='bank')
    answered: list[str] = []

    async def ask(message_id, account):
        found = await store.amending.find(message_id, account)
        answered.append(account)
        return found

    flood = [asyncio.create_task(ask(message.id + number, 'shop')) for number in range(10 * BATCH)]
    found = await asyncio.create_task(ask(of_another.id, 'bank'))
    assert [found.id for found in found] == [of_another.id]
    assert len(answered) <= BATCH
    of_flood = await asyncio.gather(*flood)
    assert [[found.id for found in of_one] for of_one in of_flood[:2]] == [[message.id], []]


async def test_whoever_stops_waiting_for_an_answer_holds_up_nobody(store):
    (message,) = await waiting(store)
    tasks = [asyncio.create_task(store.amending.find(message.id + number, 'shop')) for number in range(3 * BATCH)]
    await asyncio.sleep(0)
    for task in tasks[1:]:
        task.cancel()
    assert [found.id for found in await tasks[0]] == [message.id]
    assert [found.id for found in await store.amending.find(message.id, 'shop')] == [message.id]
    assert {type(result) for result in await asyncio.gather(*tasks[1:], return_exceptions=True)} == {
        asyncio.CancelledError
    }


async def test_a_store_that_closes_leaves_nobody_waiting(store):
    asking = asyncio.create_task(store.amending.find(1, 'shop'))
    await asyncio.sleep(0)
    await store.amending.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize(
    ('name', 'values'),
    [
        ('FIND_MESSAGE', lambda ids: ([ids[0]], ['shop'], [ids[0] + SHARED_SPAN])),
        ('QUEUED_BY_ID', lambda ids: (0, ids[:2], ids[0], ids[1])),
        ('QUEUED_ALIKE', lambda ids: (0, KEY, ABOVE_ALL, 10)),
        ('REPLACE_MESSAGE', lambda ids: (ids[0], '', 0, 'any', NOW_MS, 0, 1, 0)),
    ],
)
async def test_each_question_goes_by_key_and_touches_the_days_of_its_messages_only(store, sql, name, values):
    ids = [message.id for message in await waiting(store, 200)]
    await sql.execute('analyze')
    for setting, value in SETTINGS.items():
        await sql.execute(f"set {setting} = '{value}'")
    statement = getattr(statements, name)
    kinds = (await sql.prepare(statement)).get_parameters()
    casts = ', '.join(literal(value, kind.name) for value, kind in zip(values(ids), kinds, strict=True))
    await sql.execute(f'prepare asked as {statement}')
    plan = json.loads(await sql.fetchval(f'explain (analyze, format json) execute asked({casts})'))
    nodes = [node for node in nodes_of(plan[0]['Plan']) if node['Actual Loops']]
    assert 'Seq Scan' not in {node['Node Type'] for node in nodes}
    assert len({node['Relation Name'] for node in nodes if node.get('Relation Name', '').startswith('message_')}) == 1
