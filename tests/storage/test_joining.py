"""MO messages put together: they and the end of their parts are one commit, whatever happens to it."""

import asyncpg
import pytest

from domain.message import Notice
from pdu.receipt_text import MessageState
from storage.ledger import read_ledger
from storage.rows import Outcome
from tests.domain.messages import NOW_MS, mo_message
from tests.storage.test_store import in_doubt

ACCEPTED = MessageState.ACCEPTED


def endings(parts):
    return [Outcome(part, ACCEPTED, 0, Notice.NONE, NOW_MS) for part in parts]


async def states(sql):
    return {row['id']: row['state'] for row in await sql.fetch('select id, state from message')}


@pytest.mark.wire('D16')
async def test_the_message_is_there_and_its_parts_are_final(store, sql, database):
    parts, joined = [mo_message() for _ in range(3)], mo_message()
    await store.accept(parts)
    await store.join([joined], endings(parts))
    assert await states(sql) == {joined.id: 1} | dict.fromkeys([part.id for part in parts], ACCEPTED)
    book = await read_ledger(database)
    assert (book.accepted, book.final, book.waiting) == (4, {'ACCEPTED': 3}, 1)
    assert book.adds_up


async def test_copies_of_parts_end_without_a_message(store, sql):
    part = mo_message()
    await store.accept([part])
    await store.join([], endings([part]))
    assert await states(sql) == {part.id: ACCEPTED}


@pytest.mark.wire('D16')
async def test_neither_happens_without_the_other(store, sql):
    parts, joined = [mo_message() for _ in range(2)], mo_message()
    await store.accept(parts)
    await sql.execute('alter table message add constraint stuck check (state = 1)')
    with pytest.raises(asyncpg.CheckViolationError):
        await store.join([joined], endings(parts))
    assert await states(sql) == dict.fromkeys([part.id for part in parts], 1)


@pytest.mark.wire('D16', 'G10')
async def test_in_doubt_it_happens_once(frail_store, proxy, sql):
    parts, joined = [mo_message() for _ in range(2)], mo_message()
    await frail_store.accept(parts)
    await frail_store.join([], endings([mo_message()]))
    await in_doubt(
        proxy,
        sql,
        frail_store.join([joined], endings(parts)),
        'select count(*) = 1 from message where id = $1',
        joined.id,
        last=b'COMMIT',
    )
    assert await states(sql) == {joined.id: 1} | dict.fromkeys([part.id for part in parts], ACCEPTED)


async def test_a_clock_ahead_of_the_partitions_is_no_obstacle(store, sql):
    part, joined = mo_message(), mo_message(at_ms=NOW_MS + 40 * 86_400_000)
    await store.accept([part])
    await store.join([joined], endings([part]))
    assert await states(sql) == {joined.id: 1, part.id: ACCEPTED}
