"""`smsc store`: days and tables with their sizes, and when retention drops what."""

from datetime import UTC, datetime, timedelta

import asyncpg

from smsc.clock import wall_ms
from storage.partitions import DAY_MS
from storage.sizes import read_sizes
from storage.store import Store
from tests.domain.messages import mt_message
from tests.product.peers import submit
from tests.product.running import everywhere_bound, run_command, upstream


async def test_days_are_shown_with_what_they_hold_and_when_they_go(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, retention={'messages_d': 3})
    await everywhere_bound(smsc)
    esme = await bind(found)
    await esme.submit_all(submit(registered_delivery=0) for _ in range(50))
    await found.settle(ACCEPTED=50)
    connection = await asyncpg.connect(**found.arguments)
    await connection.execute('analyze')
    await connection.close()
    today = datetime.now(UTC)
    sizes = await read_sizes(found.arguments, 3, today)
    day = next(day for day in sizes.days if day.messages)
    assert {table.table: table.rows for table in day.tables} == {'message': 50, 'segment': 50, 'part_outcome': 0}
    assert today - datetime.fromisoformat(f'{day.day}T00:00:00+00:00') < timedelta(days=1, minutes=10)
    assert datetime.fromisoformat(day.drop_at) - datetime.fromisoformat(day.day) == timedelta(days=4)
    assert sizes.database_octets > day.size_octets > 50 * 100
    status, out, err = await run_command(found, 'store')
    assert (status, err) == (0, '')
    assert 'kept 3 days' in out
    assert any(line.startswith(day.day) and f'from {day.drop_at}' in line for line in out.splitlines())


async def test_a_day_that_is_due_says_whether_something_unfinished_keeps_it(product):
    found = await product(start=False, upstreams={'mts': upstream(1)})
    store = Store(found.arguments, node=1)
    old_ms = wall_ms() - 20 * DAY_MS
    await store.open(old_ms)
    held = mt_message(at_ms=old_ms)
    await store.accept([held])
    sizes = await read_sizes(found.arguments, 7, datetime.now(UTC))
    of_day = {day.day: day for day in sizes.days}
    name = f'{datetime.fromtimestamp(old_ms / 1000, UTC):%Y-%m-%d}'
    after = f'{datetime.fromtimestamp(old_ms / 1000 + 86_400, UTC):%Y-%m-%d}'
    assert (of_day[name].is_due, of_day[name].unfinished) == (True, True)
    assert (of_day[after].is_due, of_day[after].unfinished) == (True, False)
    connection = await asyncpg.connect(**found.arguments)
    await connection.execute('update message set state = 2')
    await connection.close()
    dropped = await store.keep_partitions(wall_ms(), 7)
    assert {name, after} <= set(dropped)
    await store.close()
