"""The shelf on a real PostgreSQL: what memory has no room for, waits for its time or came late, comes back."""

import asyncio

import pytest

from domain.message import Message, Notice
from pdu.receipt_text import MessageState
from smsc.outbox import Outbox
from smsc.shelf import DiskShelf
from storage.store import Outcome, Store
from tests.domain.messages import HOUR_MS, NOW_MS, mt_message


class Bench:
    def __init__(self, store) -> None:
        self.store = store
        self.now_ms = NOW_MS
        self.live: dict[int, Message] = {}
        self.finished: list[tuple[list[Outcome], set[int]]] = []
        self.expired: list[tuple[str, Message]] = []
        self.shelf = DiskShelf(store, self.live, lambda: self.now_ms)
        self.upstream = Outbox('upstream mts', 10, self.shelf)
        self.account = Outbox('account shop', 10, self.shelf)
        self.shelf.outbox_of = lambda message: self.account
        self.shelf.on_finished = lambda outcomes, changed: self.finished.append((outcomes, changed))
        self.shelf.on_expired = self.expired.extend
        self.shelf.start()

    async def accept(self, count, **fields):
        messages = [mt_message(**fields) for _ in range(count)]
        await self.store.accept(messages)
        self.live.update({message.id: message for message in messages})
        return messages

    async def take_all(self, outbox):
        """What the outbox gives until it is empty, each message sent and that committed."""
        found = []
        while outbox.depth:
            self.shelf.want(outbox)
            await self.shelf.drain()
            taken = outbox.take(4)
            for message in taken:
                message.upstream_message_id = str(message.id)
            if taken:
                await self.store.record_sent(taken, [])
            for message in taken:
                self.shelf.left(message)
            found += [message.id for message in taken]
        return found


@pytest.fixture
async def bench(databases):
    name = await databases.create()
    store = Store(databases.arguments(name), node=0)
    await store.open(NOW_MS)
    bench = Bench(store)
    async with asyncio.timeout(30):
        yield bench
    await bench.shelf.stop()
    await store.close()
    await databases.drop(name)


def ids_of(messages):
    return [message.id for message in messages]


async def test_a_queue_longer_than_memory_leaves_in_order(bench):
    bench.upstream.go_online()
    messages = await bench.accept(50)
    for message in messages:
        bench.upstream.put(message)
    assert bench.upstream.in_memory == 10
    assert bench.shelf.load == 40
    await bench.shelf.drain()
    assert list(bench.live) == ids_of(messages[:10])
    assert await bench.take_all(bench.upstream) == ids_of(messages)
    assert await bench.store.count_waiting(NOW_MS) == []
    assert bench.shelf.loaded == set()


async def test_order_holds_while_the_clock_steps_back(bench):
    messages = await bench.accept(12)
    for message in messages[:6]:
        bench.upstream.put(message)
    await bench.shelf.drain()
    bench.upstream.go_online()
    first = bench.upstream.take(0)
    await bench.shelf.drain()
    bench.now_ms -= HOUR_MS
    bench.upstream.capacity = 6
    for message in messages[6:]:
        bench.upstream.put(message)
    await bench.shelf.drain()
    assert first == []
    assert await bench.take_all(bench.upstream) == ids_of(messages)


async def test_a_deferred_message_comes_back_at_its_time(bench):
    bench.upstream.go_online()
    (message,) = await bench.accept(1)
    bench.upstream.defer(message, NOW_MS + 5000)
    bench.shelf.want(bench.upstream)
    await bench.shelf.drain()
    assert bench.upstream.in_memory == 0
    bench.now_ms += 5000
    assert await bench.take_all(bench.upstream) == [message.id]


@pytest.mark.wire('E9')
async def test_a_late_outcome_puts_its_receipt_into_the_accounts_outbox(bench):
    (message,) = await bench.accept(1)
    bench.live.clear()
    outcome = Outcome(message, MessageState.DELIVERED, 0, Notice.DUE)
    bench.shelf.finish_late([outcome])
    await bench.shelf.drain()
    assert bench.finished == [([outcome], {message.id})]
    assert bench.account.depth == 1
    bench.account.go_online()
    await bench.shelf.drain()
    (read,) = bench.account.take(5)
    assert (read.id, read.state, read.notice, read.done_at) == (message.id, MessageState.DELIVERED, Notice.DUE, NOW_MS)


@pytest.mark.wire('E6', 'E8')
async def test_two_late_outcomes_of_one_message_owe_one_receipt(bench):
    (message,) = await bench.accept(1)
    states = (MessageState.DELIVERED, MessageState.UNDELIVERABLE)
    bench.shelf.finish_late([Outcome(message, state, 0, Notice.DUE) for state in states])
    await bench.shelf.drain()
    assert bench.account.depth == 1
    bench.account.go_online()
    await bench.shelf.drain()
    (read,) = bench.account.take(5)
    assert read.state == MessageState.DELIVERED
    assert bench.account.depth == 0


@pytest.mark.wire('C21')
async def test_what_ran_out_of_time_on_disk_is_told(bench):
    (short,) = await bench.accept(1, expires_at=NOW_MS + 10)
    (lasting,) = await bench.accept(1)
    for message in (short, lasting):
        bench.upstream.put(message)
    await bench.shelf.drain()
    bench.now_ms += 10
    bench.shelf.sweep()
    await bench.shelf.drain()
    assert [(outbox, message.id) for outbox, message in bench.expired] == [('upstream mts', short.id)]


async def test_a_reader_that_goes_and_returns_loses_and_doubles_nothing(bench):
    bench.upstream.go_online()
    messages = await bench.accept(30)
    for message in messages:
        bench.upstream.put(message)
    in_flight = bench.upstream.take(3)
    for message in bench.upstream.go_offline():
        bench.upstream.put(message)
    bench.upstream.put_back(in_flight)
    await bench.shelf.drain()
    assert bench.upstream.in_memory == 0
    assert bench.live == {}
    bench.upstream.go_online()
    assert sorted(await bench.take_all(bench.upstream)) == ids_of(messages)
