"""Stop-lists in PostgreSQL: their changes, and those who follow them."""

import asyncio
from functools import partial

import asyncpg
import pytest

from domain.errors import StoreUnavailable
from storage import stop_lists
from storage.audit import read_audit
from storage.stop_lists import DAY_MS, Change, StopListError, put, show, take
from tests.domain.messages import NOW_MS

A, B, C = (False, 79160000001), (False, 79160000002), (False, 79160000003)
PREFIX = (True, 7900)
CHANGE = Change('anna', NOW_MS, 'asked for it')
BY_HAND = Change('anna', NOW_MS, 'asked for it', by_hand=True)


@pytest.fixture
async def other(database):
    """Another connection, as another command has it."""
    connection = await asyncpg.connect(**database)
    yield connection
    await connection.close()


class Follower:
    """Who holds the lists in memory, as a server does."""

    def __init__(self, store):
        self.records = store.stop_lists
        self.versions = {}
        self.lists = {}

    def _fill(self, name, rows):
        self.lists[name].update((row[0], row[1]) for row in rows)

    def _apply(self, name, rows):
        for prefix, number, _mark, removed, *_ in rows:
            (self.lists[name].discard if removed else self.lists[name].add)((prefix, number))

    async def look(self):
        for name, version in (await self.records.versions()).items():
            if name not in self.versions:
                self.lists[name] = set()
                await self.records.read(name, self.lists[name].clear, partial(self._fill, name))
            elif version != self.versions[name]:
                await self.records.changes(name, self.versions[name], version, partial(self._apply, name))
            self.versions[name] = version
        return self.lists


async def on_list(sql, name='global'):
    return [(row[0], row[1]) async for page in stop_lists.entries_of(sql, name) for row in page]


async def test_entries_come_and_go(store, sql):
    assert await put(sql, 'global', [[B, A], [PREFIX]], CHANGE) == (3, 0)
    assert await on_list(sql) == [A, B, PREFIX]
    assert await take(sql, 'global', [A, C], CHANGE) == 1
    assert await on_list(sql) == [B, PREFIX]
    assert await put(sql, 'global', [[A]], CHANGE) == (1, 0)
    assert await on_list(sql) == [A, B, PREFIX]


async def test_replacing_takes_everything_else_off_that_list_only(store, sql):
    await put(sql, 'global', [[A, B, PREFIX]], CHANGE)
    await put(sql, 'own', [[A]], CHANGE)
    assert await put(sql, 'global', [[B, C, C]], CHANGE, replace=True) == (1, 2)
    assert await on_list(sql) == [B, C]
    assert await on_list(sql, 'own') == [A]


async def test_what_is_there_already_keeps_its_day_unless_something_about_it_changes(store, sql):
    await put(sql, 'global', [[A]], CHANGE)
    later = Change('boris', NOW_MS + DAY_MS, 'asked for it')
    assert await put(sql, 'global', [[A]], later) == (0, 0)
    assert [(one.since_ms, one.who) for one in await show(sql, str(A[1]))] == [(NOW_MS, 'anna')]
    until = Change('boris', NOW_MS + DAY_MS, 'asked for it', NOW_MS + 9 * DAY_MS)
    assert await put(sql, 'global', [[A]], until) == (1, 0)
    assert [(one.until_ms, one.who) for one in await show(sql, str(A[1]))] == [(NOW_MS + 9 * DAY_MS, 'boris')]


async def test_entries_have_ends_of_their_own(store, sql):
    soon, late = NOW_MS + DAY_MS, NOW_MS + 9 * DAY_MS
    change = Change('anna', NOW_MS, 'law', soon)
    page = [(*A, late), (*B, None), (*C, 0), (*C, soon), (*PREFIX, soon), (*PREFIX, late)]
    assert await put(sql, 'global', [page], change) == (4, 0)
    found = {(row[0], row[1]): row[3] async for page in stop_lists.entries_of(sql, 'global') for row in page}
    assert found == {A: late, B: soon, C: 0, PREFIX: late}
    again = Change('boris', NOW_MS + 1, 'law', 0)
    assert await put(sql, 'global', [[(*A, late), (*B, None), (*C, None), (*PREFIX, late)]], again) == (1, 0)
    assert [(one.until_ms, one.who) for one in await show(sql, str(B[1]))] == [(0, 'boris')]
    assert [(one.until_ms, one.who) for one in await show(sql, str(A[1]))] == [(late, 'anna')]
    await store.stop_lists.expire(late)
    assert await on_list(sql) == [B, C]


async def test_a_change_that_fails_changes_nothing(store, sql):
    await put(sql, 'global', [[A]], CHANGE)

    def pages():
        yield [B]
        raise ValueError('line 2 is no number')

    with pytest.raises(ValueError, match='line 2'):
        await put(sql, 'global', pages(), BY_HAND, replace=True)
    assert await on_list(sql) == [A]
    assert await sql.fetchval('select version from stop_list') == 1


async def test_a_number_is_shown_on_all_its_lists_and_under_its_prefixes(store, sql):
    await put(sql, 'global', [[A]], CHANGE)
    await put(sql, 'own', [[(True, 7916), (True, 7917), B]], CHANGE)
    await take(sql, 'global', [A], Change('boris', NOW_MS + 5, 'a mistake'))
    found = await show(sql, str(A[1]))
    assert [(one.name, one.prefix, one.number, one.removed, one.who) for one in found] == [
        ('global', False, A[1], True, 'boris'),
        ('own', True, 7916, False, 'anna'),
    ]


async def test_lists_are_counted(store, sql):
    await put(sql, 'global', [[A, B, PREFIX]], CHANGE)
    await take(sql, 'global', [A], CHANGE)
    assert [(one.name, one.numbers, one.prefixes) for one in await stop_lists.lists(sql)] == [('global', 1, 1)]


async def test_changes_by_hand_are_audited_and_those_that_change_nothing_are_not(store, sql, database):
    await put(sql, 'global', [[A, B]], BY_HAND)
    await put(sql, 'global', [[A]], BY_HAND)
    await take(sql, 'global', [A, C], Change('boris', NOW_MS, 'a mistake', by_hand=True))
    entries = await read_audit(database, 10)
    assert [(entry.who, entry.what, entry.details) for entry in entries] == [
        ('anna', 'stop-list global: 2 put on', 'asked for it'),
        ('boris', 'stop-list global: 1 taken off', '79160000001, 79160000003 a mistake'),
    ]


async def test_who_follows_sees_every_change(store, sql):
    follower = Follower(store)
    await put(sql, 'global', [[A, PREFIX]], CHANGE)
    assert await follower.look() == {'global': {A, PREFIX}}
    await put(sql, 'global', [[B]], CHANGE)
    await take(sql, 'global', [PREFIX], CHANGE)
    await put(sql, 'own', [[C]], CHANGE)
    assert await follower.look() == {'global': {A, B}, 'own': {C}}
    await put(sql, 'global', [[C]], CHANGE, replace=True)
    assert await follower.look() == {'global': {C}, 'own': {C}}
    await put(sql, 'global', [[A]], CHANGE)
    assert await follower.look() == {'global': {A, C}, 'own': {C}}


async def test_changes_of_one_list_that_cross_are_both_seen(store, sql, other):
    """The one that is committed last has the higher version, whoever began first."""
    follower = Follower(store)
    await put(sql, 'global', [[A]], CHANGE)
    await follower.look()
    slow = sql.transaction()
    await slow.start()
    await put(sql, 'global', [[B]], CHANGE)
    quick = asyncio.create_task(put(other, 'global', [[C]], CHANGE))
    await asyncio.wait([quick], timeout=0.05)
    assert await follower.look() == {'global': {A}}
    await slow.commit()
    await quick
    assert await follower.look() == {'global': {A, B, C}}


async def test_what_ran_out_leaves_its_list_and_those_who_follow_it(store, sql):
    follower = Follower(store)
    await put(sql, 'automatic', [[A]], Change('smsc', NOW_MS, 'failed', NOW_MS + 1_000))
    await put(sql, 'automatic', [[B]], CHANGE)
    await store.stop_lists.expire(NOW_MS + 999)
    assert await follower.look() == {'automatic': {A, B}}
    await store.stop_lists.expire(NOW_MS + 1_000)
    assert await follower.look() == {'automatic': {B}}
    assert [one.note for one in await show(sql, str(A[1]))] == ['ran out']


async def test_what_was_taken_off_is_forgotten_after_a_day(store, sql):
    await put(sql, 'global', [[A, B]], CHANGE)
    await take(sql, 'global', [A], CHANGE)
    await store.stop_lists.expire(NOW_MS + DAY_MS)
    assert len(await show(sql, str(A[1]))) == 1
    await store.stop_lists.expire(NOW_MS + DAY_MS + 1)
    assert await show(sql, str(A[1])) == []
    await store.stop_lists.expire(NOW_MS + 3 * DAY_MS)
    assert await on_list(sql) == [B]
    assert await sql.fetchval('select count(*) from stop_mark') == 1


async def test_a_broken_connection_loses_no_change(frail_store, proxy, sql):
    follower = Follower(frail_store)
    await put(sql, 'global', [[A]], CHANGE)
    await follower.look()
    await frail_store.stop_lists.put('automatic', [B[1]], CHANGE)
    proxy.cut()
    await put(sql, 'global', [[C]], CHANGE)
    assert await follower.look() == {'global': {A, C}, 'automatic': {B}}


async def test_a_list_is_not_replaced_by_less_than_half_of_it_unless_that_is_meant(store, sql):
    whole = [A, B, C, PREFIX, (True, 7901)]
    await put(sql, 'global', [whole], CHANGE)
    for few in ([A, B, B, A], []):
        with pytest.raises(StopListError, match=r'global has 5 entries, and would have [02]: .* --force'):
            await put(sql, 'global', [few], BY_HAND, replace=True)
    assert await on_list(sql) == [A, B, C, *sorted(whole[3:])]
    assert await put(sql, 'global', [whole[:3]], BY_HAND, replace=True) == (0, 2)
    assert await put(sql, 'global', [[A]], BY_HAND, replace=True, force=True) == (0, 2)
    assert await on_list(sql) == [A]


async def test_a_list_that_is_not_there_is_not_exported(store, sql):
    await put(sql, 'global', [[A]], CHANGE)
    with pytest.raises(StopListError, match='there is no list glabal; there are: global'):
        await on_list(sql, 'glabal')


async def test_a_server_does_not_wait_for_a_list_that_a_command_writes(store, sql, other, monkeypatch):
    monkeypatch.setattr(stop_lists, 'LOCK_TIMEOUT_MS', 10)
    await put(sql, 'global', [[A]], Change('smsc', NOW_MS, 'failed', NOW_MS + 1_000))
    async with other.transaction():
        await put(other, 'global', [[B]], CHANGE)
        with pytest.raises(StoreUnavailable, match='a command is writing'):
            await store.stop_lists.put('global', [C[1]], CHANGE)
        with pytest.raises(StoreUnavailable, match='a command is writing'):
            await store.stop_lists.expire(NOW_MS + 2_000)
    assert (store.health.available, store.health.failures) == (True, 0)
    assert await store.stop_lists.put('global', [C[1]], CHANGE) == 1
    assert await store.stop_lists.expire(NOW_MS + 2_000) == 1
    assert await on_list(sql) == [B, C]
