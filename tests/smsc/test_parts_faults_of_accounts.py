"""Faults that a review of the ways of messages has found, one test each: parts that ESMEs cut, and their accounts.

What they pay for parts, whether they can still change them, and how parts count in limits, over restarts too.
"""

from typing import Any

import asyncpg
import pytest

from pdu.pdus import CancelSm, ReplaceSm
from pdu.status import CommandStatus
from storage.credit import change_balance
from tests.product.peers import submit
from tests.product.waiting import until
from tests.smsc.test_parts_faults import ALL, FILTER, HALVES, TEMPLATES
from tests.wire.test_routing import BY_TEXT, parts_by_message, parts_of, routed

__all__ = ['routed']

CODE_PARTS = (b'Your code i', b's 12', b'34')
LONG_S = 60.0  # longer than a test takes


# Credit


@pytest.fixture
def charged(routed):
    """`await charged(default price, balance)` is `routed` with codes at 0.25 a part, which only the text tells."""

    async def start(default: str, balance: int) -> Any:
        prices = {'currency': 'RUB', 'default': default, 'entries': [{'category': 'authorization', 'price': '0.25'}]}
        found = await routed(
            BY_TEXT,
            bank={'templates': ['t'], 'prices': 'retail', 'credit': 'prepaid'},
            prices={'retail': prices},
            templates=TEMPLATES,
        )
        connection = await asyncpg.connect(**found[0].arguments)
        if balance:
            await change_balance(connection, 'bank', balance, 'test', '')
        await connection.close()
        await found[0].node.core.store.credit.refresh(['bank'])
        return found

    return start


async def balance_of(product: Any) -> int:
    connection = await asyncpg.connect(**product.arguments)
    try:
        return int(await connection.fetchval('select coalesce(sum(balance), 0) from credit'))
    finally:
        await connection.close()


@pytest.mark.wire('C7', 'G2')
async def test_credit_for_some_parts_of_a_message_pays_for_none(charged):
    product, _, second, esme = await charged('0.10', 500_000)
    await esme.submit_all(parts_of(*CODE_PARTS))
    await product.settle(REJECTED=3)
    assert second.submits == []
    assert await balance_of(product) == 500_000


@pytest.mark.wire('C7', 'G2')
async def test_what_cost_nothing_when_it_was_held_is_paid_when_it_is_judged(charged):
    product, _, second, esme = await charged('0', 800_000)
    await esme.submit_all(parts_of(*CODE_PARTS))
    await second.submitted(3)
    assert await balance_of(product) == 50_000
    await esme.submit_all(parts_of(*CODE_PARTS, reference=8))
    await product.settle(REJECTED=3)
    assert len(second.submits) == 3
    assert await balance_of(product) == 50_000


# Amendments


async def queued(routed: Any) -> Any:
    """A message whose sender was put in, and that waits."""
    product, _, _, esme = await routed(ALL, bank={'senders': ['MyBank'], 'default_sender': 'Info'})
    product.node.core.upstreams['first'].feed.pause(3600)
    message_id = await esme.submit(b'one', source_addr=b'', source_addr_ton=0, source_addr_npi=0)
    return product, esme, message_id


async def test_a_message_whose_sender_was_put_in_is_replaced(routed):
    product, esme, message_id = await queued(routed)
    request = ReplaceSm(0, message_id=message_id.encode(), source_addr=b'', short_message=b'new', registered_delivery=1)
    assert (await esme.ask(request)).command_status == 0
    [message] = product.node.core.live.values()
    assert (message.pdu.short_message, message.pdu.source_addr) == (b'new', b'Info')


async def test_a_message_whose_sender_was_put_in_is_cancelled_by_its_addresses(routed):
    product, esme, _ = await queued(routed)
    asked = submit()
    request = CancelSm(
        0,
        source_addr=b'',
        dest_addr_ton=asked.dest_addr_ton,
        dest_addr_npi=asked.dest_addr_npi,
        destination_addr=asked.destination_addr,
    )
    assert (await esme.ask(request)).command_status == 0
    await product.settle(DELETED=1)


@pytest.mark.wire('C31')
async def test_a_part_that_is_held_is_cancelled(routed):
    product, first, _, esme = await routed(FILTER + ALL, bank={'parts_wait_s': LONG_S})
    one, _ = parts_of(b'one', b'two')
    message_id = (await esme.ask(one)).message_id
    cancel = CancelSm(0, message_id=message_id, source_addr=one.source_addr)
    assert (await esme.ask(cancel)).command_status == 0
    await product.settle(DELETED=1)
    assert len(product.node.core.joining.joiner) == 0
    assert product.node.core.account('bank').waiting == 0
    assert (await esme.ask(cancel)).command_status == CommandStatus.ESME_RCANCELFAIL
    assert first.submits == []


# Limits and restarts


async def counted_again(product: Any) -> None:
    """Start it again, and wait until it has counted the messages of today."""
    await product.stop()
    await product.start()
    await until(product.node.recalling._task.done)


async def test_a_part_that_a_start_found_held_counts_once_in_a_daily_limit(routed, bind):
    product, first, _, esme = await routed(FILTER + ALL, bank={'daily_limit': {'messages': 1}, 'parts_wait_s': LONG_S})
    one, two = parts_of(b'one', b'two')
    assert (await esme.ask(one)).command_status == 0
    await counted_again(product)
    esme = await bind(product)
    assert (await esme.ask(two)).command_status == 0
    await first.submitted(2)
    responses = await esme.ask_all(parts_of(b'1', b'2', reference=8))
    assert all(response.command_status for response in responses)


async def test_parts_after_a_start_go_the_way_of_those_before_and_count_with_them(routed, bind):
    product, first, second, esme = await routed(
        HALVES, bank={'daily_limit': {'messages': 3}, 'default_sender': 'Info', 'senders': ['MyBank']}
    )
    changes: Any = {'source_addr': b'', 'source_addr_ton': 0, 'source_addr_npi': 0}
    messages = [parts_of(b'one', b'two', reference=reference, **changes) for reference in range(3)]
    await esme.submit_all(parts[0] for parts in messages)
    await until(lambda: len(first.submits) + len(second.submits) == 3)
    before = [set(parts_by_message(smsc.submits)) for smsc in (first, second)]
    await counted_again(product)
    esme = await bind(product)
    await product.links_bound('first')
    await product.links_bound('second')
    await esme.submit_all(messages[number][1] for number in (1, 2, 0))  # so that no turns of the split do it
    await until(lambda: len(first.submits) + len(second.submits) == 6)
    assert [set(parts_by_message(smsc.submits)) for smsc in (first, second)] == before
    assert {pdu.source_addr for smsc in (first, second) for pdu in smsc.submits} == {b'Info'}


async def test_a_late_part_is_read_after_a_start_where_the_others_were_judged_without_it(routed, bind):
    product, first, _, esme = await routed(FILTER + ALL, bank={'parts_wait_s': 0.2})
    one, two = parts_of(b'one', b'a bad word')
    assert (await esme.ask(one)).command_status == 0
    await first.submitted(1)
    await counted_again(product)
    esme = await bind(product)
    assert (await esme.ask(two)).command_status == 0
    await product.settle(REJECTED=1)
    assert len(first.submits) == 1
