"""What a start reads back of what was accepted before it: duplicates, and the counts of today."""

from typing import Any

import pytest

from domain.ids import accepted_at_ms, first_id
from domain.message import Asked, Message, Notice
from pdu.codec import encode
from pdu.pdus import SubmitSm
from pdu.receipt_text import MessageState
from pdu.segments import concatenated
from pdu.status import CommandStatus
from routing.facts import Facts, Place
from smsc import limits_of_policy
from smsc.config.policy_schema import DailyLimitConfig, DuplicatesConfig
from smsc.config.schema import AccountConfig, Configuration
from smsc.limits_of_policy import (
    PolicyMemory,
    daily_limit_steps,
    duplicate_steps,
    recall_days,
    recall_duplicates,
)
from smsc.text import payload_of
from smsc.wire_forms import part_of
from storage import recent
from storage.recent import RecentMessage
from storage.rows import Outcome
from tests.domain.messages import HOUR_MS, NOW_MS, mo_message, mt_message

NUMBER = 79161234567
LAST_ID = 1 << 62
LATER_MS = NOW_MS + 10_000
CONFIGURATION = Configuration(
    accounts={
        'shop': AccountConfig(
            duplicates=DuplicatesConfig(within_s=60), daily_limit=DailyLimitConfig(messages=2, zone='UTC')
        ),
        'free': AccountConfig(),
    }
)


@pytest.fixture(autouse=True)
def now(monkeypatch) -> None:
    """The start is ten seconds after the messages, and reads two at a time."""
    monkeypatch.setattr(limits_of_policy, 'wall_ms', lambda: LATER_MS)
    monkeypatch.setattr(recent, 'PAGE', 2)


def facts_of(message: RecentMessage) -> Facts:
    pdu = message.pdu
    return Facts(
        message.account,
        pdu.source_addr.decode(),
        pdu.destination_addr.decode(),
        int(pdu.destination_addr),
        lambda: '',
        accepted_at_ms(message.id),
        category=message.category,
        tlvs=pdu.tlvs,
        place=Place(zone='UTC'),
        user_data=payload_of(pdu),
        data_coding=pdu.data_coding,
        part=part_of(pdu),
        message_id=message.id,
    )


def submitted(text: bytes = b'hello', at_ms: int = NOW_MS, account: str = 'shop', esm_class: int = 0) -> Message:
    message = mt_message(account, at_ms=at_ms)
    message.pdu = SubmitSm(
        source_addr=b'Shop', destination_addr=b'%d' % NUMBER, short_message=text, esm_class=esm_class
    )
    message.pdu.octets = encode(message.pdu)
    return message


def again(message: Message, at_ms: int = LATER_MS) -> Facts:
    assert isinstance(message.pdu, SubmitSm)
    facts = facts_of(RecentMessage(message.id, message.account, '', message.pdu))
    facts.now_ms = at_ms
    return facts


async def duplicates(store: Any) -> Any:
    steps = duplicate_steps(PolicyMemory(), CONFIGURATION)
    read = await recall_duplicates(store.recent, steps, facts_of, LAST_ID)
    return steps['shop'], read


async def days(store: Any) -> Any:
    steps = daily_limit_steps(PolicyMemory(), CONFIGURATION)
    read = await recall_days(store.recent, steps, facts_of, LAST_ID)
    return steps['shop'], read


@pytest.mark.wire('C33')
async def test_a_message_that_comes_again_after_a_restart_is_known(store):
    messages = [submitted(b'%d' % number) for number in range(5)]
    await store.accept([*messages, submitted(b'0', at_ms=NOW_MS + 1), mo_message()])
    step, read = await duplicates(store)
    assert read == 6
    for message in messages:
        verdict = step.judge(again(message))
        assert (verdict.action, verdict.message_id) == ('repeat', message.id)


async def test_only_what_is_recent_and_of_accounts_that_ask_is_read(store):
    old, other = submitted(at_ms=NOW_MS - 51_000), submitted(account='free')
    await store.accept([old, other])
    step, read = await duplicates(store)
    assert read == 0
    assert step.judge(again(old)) is None


async def test_the_newest_are_read_when_there_are_too_many(store, monkeypatch):
    monkeypatch.setattr(limits_of_policy, 'DUPLICATES_READ', 3)
    messages = [submitted(b'%d' % number, at_ms=NOW_MS + number) for number in range(5)]
    await store.accept(messages)
    step, read = await duplicates(store)
    assert read == 3
    assert [step.peek(again(message)) is None for message in messages] == [True, True, False, False, False]


async def test_what_was_refused_as_its_commit_was_in_doubt_may_come_again(store):
    refused = submitted()
    await store.accept([refused])
    status = int(CommandStatus.ESME_RSYSERR)
    await store.finish([Outcome(refused, MessageState.REJECTED, status, Notice.NONE, NOW_MS)])
    step, _ = await duplicates(store)
    assert step.judge(again(refused)) is None
    counts, read = await days(store)
    assert read == 0
    assert counts.peek(again(refused)) is None


@pytest.mark.parametrize('recorded', [False, True])
async def test_what_was_stopped_after_it_was_accepted_counts_no_more(store, recorded):
    """Also where the node ended before it had recorded that."""
    stopped, no_route = submitted(b'1'), submitted(b'2')
    stopped.upstream, stopped.route = '', 'policy'
    no_route.upstream = ''
    await store.accept([stopped, no_route])
    status = int(CommandStatus.ESME_RSUBMITFAIL)
    ends = [Outcome(no_route, MessageState.UNDELIVERABLE, status, Notice.NONE, NOW_MS)]
    if recorded:
        ends.append(Outcome(stopped, MessageState.REJECTED, status, Notice.ASKED, NOW_MS))
    await store.finish(ends)
    step, _ = await duplicates(store)
    assert step.judge(again(stopped)) is None
    assert step.judge(again(no_route)) is not None
    counts, _ = await days(store)
    assert counts.tell(again(stopped)) == 'got today (UTC): 1 of 2 from this account'


async def test_what_an_operator_refused_counts(store):
    refused = submitted()
    await store.accept([refused])
    await store.finish([Outcome(refused, MessageState.REJECTED, 0x45, Notice.NONE, NOW_MS)])
    step, _ = await days(store)
    assert step.tell(again(refused)) == 'got today (UTC): 1 of 2 from this account'


async def test_a_part_that_is_held_counts_when_it_is_judged(store):
    part = submitted(concatenated([b'a', b'b'], 7)[0], esm_class=0x40)
    part.upstream = ''
    await store.accept([part])
    step, _ = await duplicates(store)
    assert step.judge(again(part)) is not None
    counts, _ = await days(store)
    assert counts.tell(again(part)) == 'got today (UTC): 0 of 2 from this account'


async def test_the_sender_asked_for_is_read_back(store):
    message = submitted()
    message.asked = Asked(0, 0, b'', 1, 1, b'%d' % NUMBER)
    await store.accept([message, submitted(b'2')])
    read = [one async for page in store.recent.pages(['shop'], 0, LAST_ID, 100) for one in page]
    assert [one.asked_source_addr for one in read] == ['', None]


async def test_today_is_counted_again(store):
    yesterday = NOW_MS - 24 * HOUR_MS + 60_000
    await store.accept([submitted(at_ms=yesterday), submitted(b'1'), submitted(b'2'), submitted(account='free')])
    step, read = await days(store)
    assert read == 3
    assert step.tell(again(submitted())) == 'got today (UTC): 2 of 2 from this account'
    assert step.judge(again(submitted())) is not None


async def test_parts_count_as_one_message(store):
    parts = [submitted(octets, esm_class=0x40) for octets in concatenated([b'a', b'b', b'c'], 7)]
    await store.accept(parts)
    step, read = await days(store)
    assert read == 3
    assert step.tell(again(submitted())) == 'got today (UTC): 1 of 2 from this account'


@pytest.mark.parametrize(
    ('name', 'arguments'),
    [('_RECENT', (['shop'], 1_000)), ('_BOUNDARY', (['shop'], 1_000)), ('_PARTS', (1_000,))],
    ids=['messages', 'boundary', 'parts'],
)
async def test_it_is_read_in_the_order_of_the_key(store, sql, name, arguments):
    """Neither sorts a day nor reads one that is not asked for."""
    await store.accept([submitted()])
    await sql.execute('set enable_seqscan = off')
    question = getattr(recent, name)
    rows = await sql.fetch('explain ' + question, first_id(NOW_MS) - 1, LAST_ID, *arguments)
    plan = '\n'.join(row[0] for row in rows)
    assert 'Sort' not in plan
    assert 'Index Scan' in plan
