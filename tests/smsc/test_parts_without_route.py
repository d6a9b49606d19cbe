"""Messages that were accepted before it was known that no route takes them, such as parts (wire.md C9)."""

import signal
from typing import Any

import asyncpg
import pytest

from storage.credit import change_balance
from tests.product.peers import Esme, submit
from tests.product.waiting import until
from tests.wire.test_routing import LONG_S, parts_of, routed

__all__ = ['routed']

CODES: Any = [{'name': 'codes', 'when': {'text': '~code is 1234'}, 'failover': ['first']}]
NO_ENDS = """
    create function no_ends() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
    create trigger no_ends before update on message for each row when (new.state <> 1) execute function no_ends();
"""
BODIES = (b'no c', b'ode', b' in it')


async def endings(esme: Esme, count: int) -> dict[str, tuple[bytes, bytes]]:
    """What the receipts of so many messages say: state and error."""
    return {receipt.id.decode(): (receipt.raw_state, receipt.error) for receipt in await esme.receipts(count)}


@pytest.mark.wire('C9', 'E17')
@pytest.mark.parametrize(
    ('no_route', 'said', 'final'),
    [
        ('receipt', (b'UNDELIV', b'011'), {'UNDELIVERABLE': 3}),
        ('ESME_RSUBMITFAIL', (b'REJECTD', b'069'), {'REJECTED': 3}),
    ],
    ids=['receipt', 'status'],
)
async def test_parts_that_no_route_takes_end_as_their_account_wants(routed, no_route, said, final):
    product, first, _, esme = await routed(CODES, bank={'no_route': no_route})
    ids = await esme.submit_all(parts_of(*BODIES))
    assert await endings(esme, 3) == dict.fromkeys(ids, said)
    await product.settle(**final)
    assert product.node.core.account('bank').waiting == 0
    assert first.submits == []


@pytest.mark.wire('C9', 'E17', 'C1')
async def test_they_end_so_after_a_kill(routed, spawned, bind):
    product, first, _, esme = await routed(CODES, make=spawned, bank={'no_route': 'receipt', 'parts_wait_s': LONG_S})
    parts = parts_of(*BODIES)
    ids = await esme.submit_all(parts[:2])
    await product.stop(signal.SIGKILL)
    await product.start()
    esme = await bind(product)
    ids += await esme.submit_all(parts[2:])
    assert await endings(esme, 3) == dict.fromkeys(ids, (b'UNDELIV', b'011'))
    await product.settle(UNDELIVERABLE=3)
    assert first.submits == []


@pytest.mark.wire('C9')
@pytest.mark.parametrize('bodies', [BODIES, (b'alone',)], ids=['parts', 'single'])
async def test_what_was_accepted_without_a_route_and_not_ended_before_a_kill_ends_so_after_it(
    routed, spawned, bind, bodies
):
    product, first, _, esme = await routed(CODES, make=spawned, bank={'no_route': 'receipt', 'parts_wait_s': LONG_S})
    sql = await asyncpg.connect(**product.arguments)
    try:
        await sql.execute(NO_ENDS)
        await esme.submit_all(parts_of(*bodies) if len(bodies) > 1 else [submit(*bodies)])
        await until(lambda: product.log.read_text().count('stage.item_refused') == len(bodies))
        await product.stop(signal.SIGKILL)
    finally:
        await sql.execute('drop function no_ends cascade')
        await sql.close()
    await product.start()
    await product.settle(UNDELIVERABLE=len(bodies))
    assert first.submits == []


@pytest.mark.wire('C7')
async def test_what_no_route_takes_costs_nothing(routed):
    product, _, _, esme = await routed(
        CODES,
        bank={'no_route': 'receipt', 'prices': 'retail', 'credit': 'prepaid'},
        prices={'retail': {'currency': 'RUB', 'default': '0.10'}},
    )
    connection = await asyncpg.connect(**product.arguments)
    try:
        await change_balance(connection, 'bank', 500_000, 'test', '')
        await product.node.core.store.credit.refresh(['bank'])
        await esme.submit_all(parts_of(*BODIES))
        await product.settle(UNDELIVERABLE=3)
        assert await connection.fetchval('select balance from credit') == 500_000
    finally:
        await connection.close()
    assert all(line.adds_up for line in (await product.ledger()).credit)
