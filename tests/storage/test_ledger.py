"""The ledger: accepted = final + waiting, and where what waits is; and one message's story."""

import pytest

from domain.message import Kind, Notice
from pdu.receipt_text import MessageState
from storage.ledger import Story, read_ledger, read_story
from storage.rows import Outcome, Waiting
from tests.domain.messages import HOUR_MS, NOW_MS, mo_message, mt_message


@pytest.mark.wire('G10')
async def test_every_message_is_in_one_place(store, database):
    in_memory, on_disk, with_operator, delivered, failed, mo = messages = [
        *(mt_message() for _ in range(5)),
        mo_message(),
    ]
    await store.accept(messages)
    await store.waiting.put([Waiting(on_disk, 'upstream mts', NOW_MS, NOW_MS + HOUR_MS)])
    with_operator.upstream_message_id = 'x'
    await store.record_sent([with_operator], [])
    await store.finish(
        [
            Outcome(delivered, MessageState.DELIVERED, 0, Notice.DUE, NOW_MS),
            Outcome(failed, MessageState.UNDELIVERABLE, 11, Notice.NONE, NOW_MS),
        ]
    )
    ledger = await read_ledger(database)
    assert ledger.adds_up
    assert (ledger.accepted, ledger.waiting) == (6, 4)
    assert ledger.final == {'DELIVERED': 1, 'UNDELIVERABLE': 1}
    assert (ledger.on_disk, ledger.with_operator, ledger.in_memory, ledger.nowhere) == (1, 1, 2, 0)
    assert ledger.receipts == {'ASKED': 3, 'DUE': 1}
    assert {in_memory.kind, mo.kind} == {Kind.MT, Kind.MO}


async def test_a_message_that_nobody_would_look_for_is_told(store, database):
    lost = mt_message()
    await store.accept([lost])
    await store.membership.beat(lost.id + 1)
    ledger = await read_ledger(database)
    assert ledger.nowhere == 1
    assert not ledger.adds_up


async def test_an_empty_store_adds_up(store, database):
    ledger = await read_ledger(database)
    assert ledger.adds_up
    assert ledger.accepted == 0


async def story_of(database, message) -> Story:
    story = await read_story(database, message.id)
    assert story is not None
    return story


async def test_a_message_has_a_story(store, database):
    message = mt_message()
    message.route, message.upstream_message_id = 'russia', 'abc'
    await store.accept([message])
    await store.waiting.put([Waiting(message, 'upstream mts', NOW_MS + 5, NOW_MS + HOUR_MS)])
    before = await story_of(database, message)
    assert (before.state, before.waits_in, before.waits_until, before.parts) == (
        MessageState.ENROUTE,
        'upstream mts',
        NOW_MS + 5,
        [],
    )
    message.stored_wait = True
    await store.record_sent([message], [])
    await store.finish([Outcome(message, MessageState.DELIVERED, 0, Notice.DUE, NOW_MS + 9)])
    after = await story_of(database, message)
    assert (after.state, after.notice, after.done_at, after.waits_in) == (
        MessageState.DELIVERED,
        Notice.DUE,
        NOW_MS + 9,
        None,
    )
    assert after.parts == [('mts', 'abc', 1)]
    assert (after.source_addr, after.destination_addr, after.route, after.account) == (
        'Shop',
        '79161234567',
        'russia',
        'shop',
    )


async def test_an_unknown_message_has_none(store, database):
    assert await read_story(database, 42) is None
