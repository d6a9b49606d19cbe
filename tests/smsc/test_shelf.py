"""The shelf on a real PostgreSQL: what memory has no room for, waits for its time or came late, comes back."""

import asyncio
from copy import copy
from typing import Any

import pytest

from domain.message import Message, Notice
from pdu.pdus import DeliverSmResp
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from smsc import shelf_reads
from smsc.outbox import Outbox
from smsc.shelf import DiskShelf
from storage.rows import Outcome, Stretch
from storage.store import Store
from tests.domain.messages import HOUR_MS, NOW_MS, mt_message
from tests.product.waiting import until


class HeldStore(Store):
    """A store whose reads, once done, can be held on their way back."""

    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments, **keywords)
        self.read = asyncio.Event()
        self.passing = asyncio.Event()
        self.passing.set()
        waiting: Any = self.waiting
        waiting.fetch, waiting.expired = map(self._held, (waiting.fetch, waiting.expired))

    def hold(self) -> None:
        self.read.clear()
        self.passing.clear()

    def _held(self, look):
        async def look_and_hold(*arguments):
            rows = await look(*arguments)
            self.read.set()
            await self.passing.wait()
            return rows

        return look_and_hold


class Operator:
    """The connection that an operator's receipt came by, as far as an answer needs it."""

    def __init__(self) -> None:
        self.session = self
        self.answers: list[int] = []
        self.flushed = 0

    def respond(self, response) -> None:
        self.answers.append(response.command_status)

    def flush(self) -> None:
        self.flushed = len(self.answers)


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
    store = HeldStore(databases.arguments(name), node=0)
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
    assert await bench.store.waiting.count(NOW_MS) == []
    assert bench.shelf.loaded == set()


async def test_to_catch_up_does_not_wait_for_what_is_put_on_disk_meanwhile(bench):
    ended, *messages = await bench.accept(11)
    later = await bench.accept(1)

    async def go_on():
        while True:
            bench.shelf.put(bench.upstream, later[0], NOW_MS + HOUR_MS)
            await asyncio.sleep(0)

    going_on = asyncio.create_task(go_on())
    await until(lambda: bench.shelf.load)
    for message in messages:
        bench.upstream.put(message)
    bench.shelf.finish_late([Outcome(ended, MessageState.DELIVERED, 0, notice=Notice.NONE)])
    await bench.shelf.catch_up()
    assert bench.shelf.load
    going_on.cancel()
    assert not set(ids_of(messages)) & set(bench.live)
    assert [outcome.message.id for outcomes, _ in bench.finished for outcome in outcomes] == [ended.id]


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


async def test_a_link_that_is_lost_and_back_during_a_read_loses_no_message(bench):
    messages = await bench.accept(10)
    for message in messages:
        bench.upstream.put(message)
    await bench.shelf.drain()
    bench.upstream.capacity = 5
    bench.upstream.go_online()
    await bench.shelf.drain()
    bench.upstream.capacity = 100
    bench.store.hold()
    bench.shelf.want(bench.upstream)
    await bench.store.read.wait()
    assert bench.upstream.go_offline() == []
    bench.upstream.go_online()
    bench.store.passing.set()
    await bench.shelf.drain()
    assert await bench.take_all(bench.upstream) == ids_of(messages)


async def test_a_link_that_is_lost_during_a_read_leaves_everything_on_disk(bench):
    messages = await bench.accept(4)
    for message in messages:
        bench.upstream.put(message)
    await bench.shelf.drain()
    bench.store.hold()
    bench.upstream.go_online()
    await bench.store.read.wait()
    bench.upstream.go_offline()
    bench.store.passing.set()
    await bench.shelf.drain()
    assert (bench.upstream.in_memory, bench.upstream.on_disk) == (0, 4)
    assert bench.shelf.loaded == set()


async def test_a_message_that_leaves_during_a_read_does_not_come_back(bench):
    messages = await bench.accept(6)
    for message in messages:
        bench.upstream.put(message)
    await bench.shelf.drain()
    bench.upstream.go_online()
    await bench.shelf.drain()
    in_flight = bench.upstream.take(3)
    bench.upstream.go_offline()
    bench.store.hold()
    bench.upstream.go_online()
    await bench.store.read.wait()
    for message in in_flight:
        message.upstream_message_id = str(message.id)
    await bench.store.record_sent(in_flight, [])
    for message in in_flight:
        bench.shelf.left(message)
    bench.store.passing.set()
    await bench.shelf.drain()
    assert await bench.take_all(bench.upstream) == ids_of(messages[3:])


async def test_a_receipt_that_is_read_while_its_message_leaves_memory_is_delivered(bench):
    (message,) = await bench.accept(1)
    bench.upstream.put(message)
    await bench.shelf.drain()
    bench.upstream.go_online()
    bench.account.go_online()
    await bench.shelf.drain()
    (sent,) = bench.upstream.take(1)
    sent.upstream_message_id = '1'
    await bench.store.record_sent([sent], [])
    found = copy(sent)  # as the receipt's correlation read it from the store
    bench.store.hold()
    bench.shelf.finish_late([Outcome(found, MessageState.DELIVERED, 0, Notice.DUE)])
    await bench.store.read.wait()  # the receipt's row, on its way back
    bench.shelf.left(sent)  # it is heard only now that the submit is committed
    bench.store.passing.set()
    await bench.shelf.drain()
    assert [(read.id, read.state) for read in bench.account.take(5)] == [(message.id, MessageState.DELIVERED)]
    assert bench.account.depth == 0


async def test_a_message_that_cannot_be_put_on_disk_takes_no_other_with_it(bench):
    first, bad, last = await bench.accept(3)
    bench.upstream.put(first)
    bench.upstream.defer(bad, 1 << 70)
    bench.upstream.put(last)
    await bench.shelf.drain()
    assert list(bench.live) == [bad.id]  # the next start takes it up
    bench.upstream.go_online()
    await bench.shelf.drain()
    assert ids_of(bench.upstream.take(10)) == [first.id, last.id]


async def test_a_late_outcome_that_cannot_be_stored_is_refused_and_takes_no_other_with_it(bench):
    first, bad, last = await bench.accept(3)
    operator = Operator()
    outcomes = [Outcome(first, MessageState.DELIVERED, 0, Notice.DUE), Outcome(last, MessageState.DELIVERED, 0, 2)]
    refused = Outcome(bad, MessageState.DELIVERED, 1 << 70, Notice.DUE, source=(operator, DeliverSmResp(1)))
    bench.shelf.finish_late([outcomes[0], refused, outcomes[1]])
    await bench.shelf.drain()
    assert operator.answers == [CommandStatus.ESME_RX_T_APPN]
    assert operator.flushed == 1
    assert bench.finished == [([outcomes[0]], {first.id}), ([outcomes[1]], {last.id})]
    assert bench.account.depth == 2


async def test_attempts_are_counted_on_through_the_disk(bench):
    bench.upstream.go_online()
    (message,) = await bench.accept(1)
    message.attempts = 7
    bench.upstream.defer(message, NOW_MS)
    bench.shelf.want(bench.upstream)
    await bench.shelf.drain()
    (read,) = bench.upstream.take(1)
    assert read.attempts == 7


@pytest.mark.wire('C21')
async def test_all_that_ran_out_of_time_is_told_at_once_and_once(bench, monkeypatch):
    monkeypatch.setattr(shelf_reads, 'EXPIRED_BATCH', 3)
    loaded = await bench.accept(4, expires_at=NOW_MS + 10)
    for message in loaded:
        bench.upstream.put(message)
    await bench.shelf.drain()
    bench.upstream.go_online()
    await bench.shelf.drain()
    on_disk = await bench.accept(10, expires_at=NOW_MS + 20)
    for message in on_disk:
        bench.account.put(message)
    await bench.shelf.drain()
    bench.now_ms += 20
    for _ in range(2):
        bench.shelf.sweep()
        await bench.shelf.drain()
        assert ids_of(message for _, message in bench.expired) == ids_of(on_disk)


async def test_what_ran_out_of_time_is_not_read_while_its_end_is_committed(bench):
    (message,) = await bench.accept(1, expires_at=NOW_MS + 10)
    bench.upstream.put(message)
    await bench.shelf.drain()
    bench.now_ms += 10
    bench.shelf.sweep()
    await bench.shelf.drain()
    bench.upstream.go_online()
    await bench.shelf.drain()
    assert bench.upstream.in_memory == 0


async def test_a_sweep_waits_until_what_it_told_is_gone_from_disk(bench, monkeypatch):
    monkeypatch.setattr(shelf_reads, 'EXPIRED_BATCH', 2)
    monkeypatch.setattr(shelf_reads, 'EXPIRED_BOUND', 4)
    messages = await bench.accept(7, expires_at=NOW_MS + 10)
    for message in messages:
        bench.account.put(message)
    await bench.shelf.drain()
    bench.now_ms += 10
    bench.shelf.sweep()
    await bench.shelf.drain()
    assert len(bench.expired) == 4
    gone = [message for _, message in bench.expired]
    await bench.store.close_messages(gone, [])
    for message in gone:
        bench.shelf.left(message)
    await bench.shelf.drain()
    assert ids_of(message for _, message in bench.expired) == ids_of(messages)


async def test_what_ran_out_of_time_and_could_not_be_ended_is_told_again(bench):
    (message,) = await bench.accept(1, expires_at=NOW_MS + 10)
    bench.upstream.put(message)
    await bench.shelf.drain()
    bench.now_ms += 10
    for count in (1, 2):
        bench.shelf.sweep()
        await bench.shelf.drain()
        assert len(bench.expired) == count
        bench.shelf.finish_late([Outcome(bench.expired[-1][1], MessageState.EXPIRED, 1 << 70, Notice.ASKED)])
        await bench.shelf.drain()


async def test_a_receipt_before_its_submit_is_committed_keeps_its_place_in_memory(bench):
    (message,) = await bench.accept(1)
    bench.upstream.put(message)
    await bench.shelf.drain()
    bench.upstream.go_online()
    bench.account.go_online()
    await bench.shelf.drain()
    (sent,) = bench.upstream.take(1)
    bench.shelf.finish_late([Outcome(sent, MessageState.DELIVERED, 0, Notice.DUE)])
    await bench.shelf.drain()
    assert not sent.stored_wait  # whoever hears of the commit later must not take its row for the receipt's
    assert bench.shelf.loaded == {message.id}
    assert bench.account.in_memory == 1


# What is done alone


async def test_work_is_done_alone_after_what_waits_for_the_disk_and_in_turn_with_reading(bench):
    bench.upstream.go_online()
    messages = await bench.accept(15)
    for message in messages:
        bench.upstream.put(message)

    async def look():
        (rows,) = await bench.store.waiting.fetch('upstream mts', [Stretch(0, 'shop', (0, 0), 100)], NOW_MS)
        return len(rows), bench.upstream.in_memory

    assert await asyncio.gather(*(bench.shelf.alone(look) for _ in range(3))) == [(5, 10)] * 3

    async def take():
        return len(bench.upstream.take(10)), bench.upstream.in_memory

    assert await asyncio.gather(*map(bench.shelf.alone, (take, look, look))) == [(10, 0), (5, 5), (5, 5)]


async def test_an_error_in_work_done_alone_goes_to_whoever_gave_it(bench):
    async def fail():
        raise LookupError('for you')

    with pytest.raises(LookupError, match='for you'):
        await bench.shelf.alone(fail)
    (message,) = await bench.accept(1)
    bench.upstream.put(message)
    await bench.shelf.drain()
    assert bench.live == {}


async def test_work_nobody_waits_for_any_more_is_not_begun(bench):
    done = []
    held = asyncio.Event()

    async def hold():
        await held.wait()
        return bench.shelf.still_wanted

    async def work():
        done.append(1)

    holding, abandoned = (asyncio.create_task(bench.shelf.alone(of)) for of in (hold, work))
    await asyncio.sleep(0)
    abandoned.cancel()
    held.set()
    assert await holding
    await bench.shelf.drain()
    assert done == []


async def test_work_that_was_not_begun_is_called_off_when_the_shelf_stops(bench):
    never = asyncio.Event()
    waiting = [asyncio.create_task(bench.shelf.alone(never.wait)) for _ in range(2)]
    await until(lambda: len(bench.shelf._jobs) == 1)
    await bench.shelf.stop()
    await asyncio.wait(waiting)
    assert all(task.cancelled() for task in waiting)
