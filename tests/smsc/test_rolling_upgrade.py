"""A schema upgrade beside a node of the release before: it goes on, and may start again unless the store forbids it."""

import asyncio
import shutil

import asyncpg
import pytest

from storage.migrations import migrate
from storage.statements import MIGRATIONS
from tests.product.peers import submit
from tests.product.running import everywhere_bound, run_command, upstream

ADDS = """
alter table message add column test_weight smallint not null default 0;
alter table waiting add column test_hint text not null default '';
create table test_table (message_id bigint primary key);
"""
UNDO = """
alter table message drop column if exists test_weight;
alter table waiting drop column if exists test_hint;
drop table if exists test_table;
delete from migration where version >= 9000;
"""


@pytest.fixture
async def running(product, start_smsc):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    yield found, smsc
    await execute(found, UNDO)


async def execute(product, statements):
    """What an upgrade would do."""
    connection = await asyncpg.connect(**product.arguments)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def upgrade(product, tmp_path, **files):
    """Apply the migrations of a next release, as its first node does when it starts."""
    folder = tmp_path / 'next'
    shutil.copytree(MIGRATIONS, folder, dirs_exist_ok=True)
    for name, text in files.items():
        (folder / f'{name.removeprefix("m")}.sql').write_text(text)
    connection = await asyncpg.connect(**product.arguments)
    try:
        return await migrate(connection, folder)
    finally:
        await connection.close()


async def test_a_node_goes_on_while_the_schema_of_the_next_release_is_put_in_beside_it(running, bind, tmp_path):
    product, smsc = running
    esme = await bind(product)
    accepted = 0
    stop = asyncio.Event()

    async def keep_sending():
        nonlocal accepted
        while not stop.is_set():
            accepted += len(await esme.submit_all(submit(registered_delivery=0) for _ in range(10)))
            await asyncio.sleep(0.01)

    sending = asyncio.create_task(keep_sending())
    await smsc.submitted(20)
    assert await upgrade(product, tmp_path, m9000_adds=ADDS) == ['9000_adds.sql']
    before = accepted
    await smsc.submitted(before + 50)
    stop.set()
    await sending
    await product.settle(ACCEPTED=accepted)
    assert (await product.status()).store_available

    await esme.close()
    await product.stop()
    await product.start()
    again = await bind(product)
    await again.submit(registered_delivery=0)
    await product.settle(ACCEPTED=accepted + 1)


async def test_a_node_that_the_store_has_outgrown_does_not_start_and_says_why(running, tmp_path):
    product, _ = running
    await product.stop()
    await upgrade(product, tmp_path, m9000_adds=ADDS, m9001_breaks='-- min_version: 9001\nselect 1;')
    status, _, err = await run_command(product, 'run')
    assert (status, 'Traceback' in err) == (1, False)
    assert 'a release must know migration 9001 to use it: start the release that it was last used with' in err
