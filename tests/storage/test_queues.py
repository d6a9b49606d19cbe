"""How deep queues are and how their lanes are read, in a store that holds much more than what is asked for."""

import asyncpg
import pytest

from domain.ids import first_id
from smsc.clock import wall_ms
from storage import queues
from storage.queues import read_depths
from storage.statements import statement
from storage.store import Store

ROWS = 6_000
FILL = """
insert into waiting (node, outbox, priority, due_at, expires_at, account, message_id)
select 1 + i % 2, 'upstream mts', 0, case when i <= 2000 then i else 4102444800000 end, 9000000000000,
       'account' || i % 3, $1::bigint + i
from generate_series(1, $2::integer) i
"""


@pytest.fixture
async def filled(databases):
    """A store with a queue of two nodes and three accounts; the arguments to connect to it."""
    name = await databases.create()
    arguments = databases.arguments(name)
    store = Store(arguments, 1)
    await store.open(wall_ms())
    connection = await asyncpg.connect(**arguments)
    await connection.execute(FILL, first_id(wall_ms()), ROWS)
    await connection.execute('analyze waiting')
    yield arguments, connection
    await connection.close()
    await store.close()
    await databases.drop(name)


async def test_depths_are_counted_lane_by_lane_and_not_beyond_a_bound(monkeypatch, filled):
    arguments, _ = filled
    lanes = await read_depths(arguments, wall_ms())
    assert len(lanes) == 6
    assert (sum(lane.due for lane in lanes), sum(lane.later for lane in lanes)) == (2_000, 4_000)
    assert {lane.account for lane in await read_depths(arguments, wall_ms(), account='account1')} == {'account1'}
    assert await read_depths(arguments, wall_ms(), 'upstream tele2') == []
    assert await read_depths(arguments, wall_ms(), priority=3) == []
    monkeypatch.setattr(queues, 'COUNTED', 100)
    assert {(lane.due, lane.later) for lane in await read_depths(arguments, wall_ms())} == {(101, 101)}


async def test_a_page_is_read_by_the_index_of_its_lane(filled):
    _, connection = filled
    rows = await connection.fetch('explain ' + statement('queue_page'), 1, 'upstream mts', 0, 'account1', 1_000, 0, 100)
    plan = '\n'.join(row[0] for row in rows)
    assert 'Index Scan using waiting_pkey' in plan, plan
    assert 'Seq Scan on waiting' not in plan
