"""What is decided about parts after they were accepted: their new prices are paid once, and stop nobody else."""

import asyncio

import asyncpg
import pytest
from structlog.testing import capture_logs

from domain.message import Message, Notice
from pdu.receipt_text import MessageState
from storage.credit import set_balance
from storage.judged import Judged
from storage.ledger import read_ledger
from storage.rows import Outcome
from tests.domain.messages import NOW_MS, mt_message
from tests.storage.conftest import eventually
from tests.storage.test_credit import PREPAID, story_of

PRICE = 10
WAITING = "select count(*) = $1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.fixture
async def paying(store, sql):
    """A store whose accounts `bank` and `shop` have prepaid for 10 messages each."""
    store.credit.configure({'bank': PREPAID, 'shop': PREPAID})
    for name in ('bank', 'shop'):
        await set_balance(sql, name, 10 * PRICE, 'ann', '')
    return store


@pytest.fixture
async def accepted(paying):
    """Accepts a message of each of these accounts: `await accepted('bank', 'shop')`."""

    async def accept(*accounts: str) -> list[Message]:
        messages = [mt_message(account=name, price=PRICE) for name in accounts]
        assert not await paying.accept(messages, 10)
        return messages

    return accept


def judged(message: Message, price: int) -> Judged:
    """A decision that makes a message worth this."""
    old, message.price, message.route = message.price, price, 'judged'
    return Judged(message, old)


async def balances(sql):
    return {row['account']: row['balance'] for row in await sql.fetch('select account, balance from credit')}


@pytest.mark.wire('C7')
async def test_judging_and_accepting_do_not_stop_each_other(paying, accepted, sql, database):
    shop, bank = await accepted('shop', 'bank')
    holding = await asyncpg.connect(**database)
    with capture_logs() as logs:
        async with holding.transaction():  # so that both want both balances at the same time
            await holding.execute("select from credit where account = 'bank' for update")
            accepting = asyncio.create_task(accepted('bank', 'shop'))
            await eventually(sql, WAITING, 1)
            judging = asyncio.create_task(paying.judged.record([judged(shop, 15), judged(bank, 15)]))
            await eventually(sql, WAITING, 2)
        await asyncio.gather(accepting, judging)
    await holding.close()
    assert [entry['event'] for entry in logs] == []
    assert await balances(sql) == {'bank': 75, 'shop': 75}


@pytest.mark.wire('C7')
async def test_a_balance_that_does_not_bear_the_sum_pays_for_what_it_can(paying, accepted, sql, database):
    first, second, dear, cheap, other = await accepted('shop', 'shop', 'shop', 'shop', 'bank')
    await set_balance(sql, 'shop', 6, 'ann', '')
    batch = [judged(first, 15), judged(second, 15), judged(dear, 90), judged(cheap, 5), judged(other, 20)]
    await paying.judged.record(batch)
    assert [one.paid for one in batch] == [True, True, False, True, True]
    assert await balances(sql) == {'shop': 1, 'bank': 80}
    stories = [await story_of(database, one.message.id) for one in batch]
    assert [(story.price, story.route) for story in stories] == [(price, 'judged') for price in (15, 15, PRICE, 5, 20)]


@pytest.mark.wire('C7', 'C8')
async def test_what_has_ended_before_it_was_judged_is_not_charged_more(paying, accepted, sql, database):
    ended, goes_on = await accepted('shop', 'shop')
    await paying.finish([Outcome(ended, MessageState.EXPIRED, 0, Notice.NONE, NOW_MS)])
    await paying.judged.record([judged(ended, 30), judged(goes_on, 15)])
    assert await balances(sql) == {'bank': 100, 'shop': 85}
    book = await read_ledger(database)
    assert all(line.adds_up for line in book.credit), book.credit
