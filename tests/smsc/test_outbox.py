"""Outboxes: order, priority, a bounded head in memory, and nothing lost or doubled between memory and disk."""

from contextlib import suppress
from itertools import chain
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.message import Message
from smsc.lanes import PRIORITIES, TURN
from smsc.outbox import Outbox
from smsc.shelf import DiskShelf
from storage.rows import Waiting
from storage.store import Store
from tests.domain.messages import NOW_MS, mt_message
from tests.smsc.waiting_rows import WaitingRows

ACCOUNTS = ('shop', 'bank', 'club')


class Bench:
    """An outbox and its shelf; the shelf works when it is told to, the clock stands until it is moved."""

    def __init__(self, capacity: int = 4, online: bool = True) -> None:
        self.now_ms = NOW_MS
        self.rows = WaitingRows()
        self.shelf = DiskShelf(cast(Store, self.rows), {}, lambda: self.now_ms)
        self.outbox = Outbox('upstream mts', capacity, self.shelf)
        if online:
            self.outbox.go_online()

    def put(self, *priorities: int, account: str = 'shop') -> list[int]:
        ids = []
        for priority in priorities:
            message = mt_message(priority=priority, account=account, at_ms=self.now_ms)
            ids.append(message.id)
            self.outbox.put(message)
        return ids

    def work(self) -> None:
        """Let the shelf do all it has to do."""
        shelf = self.shelf
        while shelf._entries or shelf._late or shelf._reads.pending:
            with suppress(StopIteration):  # nothing in it has to wait
                shelf._work().send(None)

    def leave(self, messages) -> None:
        """The messages are sent, and that is committed."""
        for message in messages:
            if message.stored_wait:
                self.rows.rows.pop(message.id, None)
                self.shelf.left(message)

    def take(self, count: int = 100) -> list[int]:
        taken = self.outbox.take(count)
        self.leave(taken)
        return [message.id for message in taken]

    def take_all(self) -> list[int]:
        found = []
        for _ in range(100):
            self.shelf.want(self.outbox)
            self.work()
            found += self.take(3)
        assert self.outbox.depth == 0
        return found


def test_messages_leave_in_the_order_they_came():
    bench = Bench(capacity=100)
    ids = bench.put(*[0] * 10)
    assert bench.take(4) + bench.take(100) == ids
    assert bench.outbox.depth == 0


@pytest.mark.wire('G14')
def test_a_higher_priority_leaves_first():
    bench = Bench(capacity=100)
    low, high, middle, high_2 = bench.put(0, 3, 1, 3)
    assert bench.take(3) == [high, high_2, middle]
    assert bench.take(3) == [low]


@pytest.mark.wire('E13', 'G13')
def test_what_memory_does_not_hold_waits_on_disk_and_keeps_its_order():
    bench = Bench(capacity=4)
    ids = bench.put(*[0] * 10)
    assert (bench.outbox.in_memory, bench.outbox.on_disk) == (4, 6)
    bench.work()
    assert len(bench.rows.rows) == 6
    taken = bench.take(3)
    ids += bench.put(0)  # behind those on disk, though there is room in memory
    assert bench.outbox.in_memory == 1
    assert taken + bench.take_all() == ids
    assert bench.rows.rows == {}


def test_an_outbox_nobody_reads_keeps_everything_on_disk():
    bench = Bench(online=False)
    ids = bench.put(0, 0)
    bench.work()
    assert (bench.outbox.in_memory, bench.outbox.on_disk) == (0, 2)
    assert bench.take() == []
    bench.outbox.go_online()
    assert bench.take_all() == ids


def test_a_lane_with_enough_in_memory_is_read_in_small_pages_and_one_that_runs_low_in_whole_ones():
    bench = Bench(capacity=400, online=False)
    bench.put(*[0] * 1000)
    bench.work()
    outbox = bench.outbox
    outbox.offline = False
    ((lane, limit),) = outbox.wanting(100)
    assert limit == 100
    outbox.add_fetched(lane, [mt_message() for _ in range(99)])
    assert outbox.wanting(100) == [(lane, 100)]
    outbox.add_fetched(lane, [mt_message()])
    ((_, limit),) = outbox.wanting(100)
    assert 1 <= limit <= 20


def test_a_lane_with_enough_in_memory_is_read_twice_as_fast_as_messages_leave_it():
    outbox = Bench(capacity=4000).outbox
    lane = outbox.lane(0, 'shop')
    outbox.count(lane, due=9000)
    outbox.add_fetched(lane, [mt_message() for _ in range(2500)])
    outbox.take(400)
    assert outbox.wanting(3000) == [(lane, 800)]
    outbox.add_fetched(lane, [mt_message() for _ in range(800)])
    ((_, limit),) = outbox.wanting(3000)
    assert 1 <= limit <= 125


def test_of_many_lanes_with_enough_in_memory_a_few_are_read():
    outbox = Bench(capacity=4000, online=False).outbox
    outbox.offline = False
    for number in range(100):
        lane = outbox.lane(0, f'account {number}')
        outbox.count(lane, due=1000)
        outbox.add_fetched(lane, [mt_message(account=lane.account) for _ in range(13)])
    wanted = outbox.wanting(800)
    assert len(wanted) <= 15
    assert 0 < sum(limit for _, limit in wanted) <= 100


def test_a_message_is_found_in_memory_and_withdrawn_from_its_lane():
    bench = Bench(capacity=100)
    first, high, second, third = bench.put(0, 2, 0, 0)
    (found,) = bench.outbox.find(lambda message: message.id == second)
    assert bench.outbox.withdraw(found)
    assert not bench.outbox.withdraw(found)
    assert bench.outbox.find(lambda message: message.id == second) == []
    assert bench.outbox.in_memory == 3
    assert bench.take(2) == [high, first]
    bench.outbox.put_back([found])
    assert bench.take() == [second, third]


def test_many_messages_are_withdrawn_at_once_and_the_others_keep_their_order():
    bench = Bench(capacity=100)
    ids = bench.put(*[0, 0, 2, 0, 2, 0])
    found = bench.outbox.find_ids({ids[0], ids[2], ids[3], 5})
    assert {message.id for message in found} == {ids[0], ids[2], ids[3]}
    bench.outbox.withdraw_all(found)
    bench.outbox.withdraw_all(found)
    assert bench.outbox.in_memory == 3
    assert bench.take() == [ids[4], ids[1], ids[5]]


def test_messages_to_an_address_are_found_up_to_a_limit():
    bench = Bench(capacity=100)
    ids = bench.put(*[0] * 5)
    (address,) = {message.pdu.destination_addr for message in bench.outbox.find(lambda _: True)}
    found = bench.outbox.find_to(address, lambda message: message.id != ids[1], 3)
    assert [message.id for message in found] == [ids[0], ids[2], ids[3]]
    assert len(bench.outbox.find_to(address, lambda _: True)) == 5
    assert bench.outbox.find_to(b'another', lambda _: True) == []


def test_going_offline_forgets_what_is_on_disk_and_returns_the_rest():
    bench = Bench(capacity=3)
    ids = bench.put(*[0] * 5)
    bench.take(3)
    bench.work()
    assert bench.outbox.in_memory == 2  # read back from disk
    fresh = mt_message(priority=3)
    bench.outbox.put(fresh)
    assert [message.id for message in bench.outbox.go_offline()] == [fresh.id]
    assert (bench.outbox.in_memory, bench.outbox.on_disk) == (0, 2)
    assert bench.shelf.loaded == set()
    bench.outbox.go_online()
    assert bench.take_all() == ids[3:]


@pytest.mark.wire('G17')
def test_a_clock_that_steps_back_hides_nothing_that_was_put_on_disk():
    bench = Bench(capacity=1)
    ids = bench.put(0, 0, 0)
    bench.work()
    bench.now_ms -= 3_600_000
    assert bench.take(1) == ids[:1]
    bench.work()
    ids += bench.put(0)
    assert bench.take_all() == ids[1:]


@pytest.mark.wire('F5')
def test_what_did_not_leave_goes_back_to_where_it_was():
    bench = Bench(capacity=100)
    ids = bench.put(*[0] * 6)
    first = bench.outbox.take(4)
    bench.outbox.put_back([first[2]])
    bench.outbox.put_back([first[3], first[0]])
    assert bench.take() == [ids[0], ids[2], ids[3], ids[4], ids[5]]


def test_what_did_not_leave_goes_to_disk_when_nobody_reads_any_more():
    bench = Bench(capacity=100)
    ids = bench.put(0, 0)
    taken = bench.outbox.take(2)
    bench.outbox.go_offline()
    bench.outbox.put_back(taken)
    assert bench.outbox.in_memory == 0
    bench.outbox.go_online()
    assert bench.take_all() == ids


def test_a_deferred_message_waits_for_its_time_and_holds_up_nobody():
    bench = Bench(capacity=100)
    later = mt_message()
    bench.outbox.defer(later, NOW_MS + 5000)
    ids = bench.put(0, 0)
    bench.work()
    assert bench.take() == ids
    bench.shelf.want(bench.outbox)
    bench.work()
    assert bench.take() == []
    assert bench.outbox.depth == 1
    bench.now_ms += 5000
    bench.shelf.want(bench.outbox)
    bench.work()
    assert bench.take() == [later.id]
    assert bench.outbox.depth == 0


@pytest.mark.wire('C21')
def test_what_ran_out_of_time_is_taken_out_of_memory():
    bench = Bench(capacity=100)
    short = [mt_message(expires_at=NOW_MS + 10, priority=priority) for priority in (0, 3)]
    for message in short:
        bench.outbox.put(message)
    (lasting,) = bench.put(0)
    assert bench.outbox.remove_expired(NOW_MS + 9) == []
    assert bench.outbox.remove_expired(NOW_MS + 10) == short
    assert bench.outbox.depth == 1
    assert bench.take() == [lasting]


def test_a_lane_whose_count_was_lost_is_found_again():
    bench = Bench(capacity=1)
    ids = bench.put(0, 0, 0)
    bench.work()
    bench.outbox.count(bench.outbox.lane(0, 'shop'), due=-2)
    bench.shelf.recount([bench.outbox])
    bench.work()
    assert bench.take_all() == ids


def test_a_lane_that_holds_less_than_its_counts_say_is_forgotten_in_the_end():
    bench = Bench(capacity=1)
    bench.put(0, 0, 0)
    bench.outbox.defer(mt_message(), bench.now_ms + 1000)
    bench.work()
    bench.rows.rows.clear()
    bench.take(1)
    bench.shelf.recount([bench.outbox])
    bench.work()
    assert bench.outbox.depth == 0
    assert list(bench.outbox.lanes) == []


# Accounts in turn


@pytest.mark.wire('G14')
def test_accounts_take_turns_of_so_many_segments():
    bench = Bench(capacity=1000)
    banks = bench.put(*[0] * 100, account='bank')
    shops = bench.put(*[0] * 20)
    taken = [bench.take(7) for _ in range(6)]
    assert [*chain(*taken)] == shops[:TURN] + banks[:TURN] + shops[TURN:] + banks[TURN : 42 - 20]
    assert bench.take(1000) == banks[42 - 20 :]


@pytest.mark.wire('G14')
def test_a_long_message_uses_up_as_many_turns_as_it_has_segments():
    bench = Bench(capacity=1000)
    banks = bench.put(*[0] * 60, account='bank')
    longs = [mt_message(segments=2 * TURN) for _ in range(3)]
    for message in longs:
        bench.outbox.put(message)
    ids = [message.id for message in longs]
    taken = [*chain(*(bench.take(10) for _ in range(7)))]
    assert [taken.index(message_id) for message_id in ids] == [0, 2 * TURN + 1, 62]
    assert sorted(taken) == sorted(banks + ids)
    assert bench.outbox.room == 1000


@pytest.mark.wire('G14')
def test_a_new_message_goes_first_and_the_next_one_after_a_turn_of_each_other_account():
    bench = Bench(capacity=40)
    for account in ('bank', 'club'):
        bench.put(*[0] * 500, account=account)
    bench.work()
    bench.take(5)
    (first,) = bench.put(0)
    assert bench.take(1) == [first]
    (second,) = bench.put(0)
    assert bench.outbox.find_ids({second})  # it is not on disk
    assert second in bench.take(2 * TURN)


@pytest.mark.wire('G14')
def test_who_sends_as_soon_as_the_last_one_left_gets_no_more_than_its_turns():
    bench = Bench(capacity=1000)
    banks = set(bench.put(*[0] * 500, account='bank'))
    taken: list[int] = []
    while len(taken) < 300:
        bench.put(0)
        taken += bench.take(1)
    assert len(banks.intersection(taken)) >= 150 - TURN


def test_a_new_account_beside_many_that_are_new_waits_for_a_turn_of_each_at_most():
    bench = Bench(capacity=1000)
    bench.put(*[0] * 100, account='bank')
    (message_id,) = bench.put(0)
    for number in range(50):
        bench.put(0, account=f'account{number}')
        bench.take(1)
    assert bench.outbox.find_ids({message_id})
    for _ in range(TURN + 1):
        bench.put(*[0] * 2, account='account1')
        taken = bench.take(2)
        if message_id in taken:
            return
    pytest.fail('it waits for ever')


@pytest.mark.wire('G14')
def test_an_urgent_message_goes_before_all_others_of_its_account_in_memory_and_on_disk():
    bench = Bench(capacity=10)
    ids = bench.put(*[0] * 100)
    bench.work()
    (urgent,) = bench.put(3)
    assert bench.take(1) == [urgent]
    assert bench.take_all() == ids


def test_what_is_read_from_disk_is_shared_by_the_accounts():
    bench = Bench(capacity=40, online=False)
    ids = {account: bench.put(*[0] * 200, account=account) for account in ('bank', 'club', 'shop')}
    bench.work()
    bench.outbox.go_online()
    bench.work()
    held = [len(lane.head) for lane in bench.outbox.lanes]
    assert max(held) - min(held) <= 1
    assert sum(held) >= 40
    taken: list[int] = []
    while len(taken) < 300:
        bench.work()
        taken += bench.take(10)
    for account, all_of_it in ids.items():
        of_it = [message_id for message_id in taken if message_id in all_of_it]
        assert of_it == all_of_it[: len(of_it)], account
        assert len(of_it) >= 100 - TURN, account


def test_many_accounts_fill_memory_no_further_than_its_bound():
    bench = Bench(capacity=100)
    for number in range(50):
        bench.put(*[0] * 200, account=f'account{number}')
    assert bench.outbox.in_memory <= 125 + 50
    bench.work()
    bench.outbox.go_offline()
    bench.work()
    bench.outbox.go_online()
    bench.work()
    assert bench.outbox.in_memory <= 125 + 50
    assert all(lane.head for lane in bench.outbox.lanes)


def test_rows_that_another_node_gave_away_are_read_though_they_are_older_than_what_was_read():
    bench = Bench(capacity=2)
    ids = bench.put(0, 0, 0)
    bench.work()
    bench.take(2)
    bench.work()
    given = mt_message(at_ms=bench.now_ms - 5000)
    bench.rows.rows[given.id] = 0, Waiting(given, 'upstream mts', bench.now_ms - 5000, bench.now_ms + 5000)
    bench.outbox.count_in('shop', 0, 1, bench.now_ms - 5000)
    assert sorted(bench.take_all()) == sorted([given.id, ids[2]])


class OrderOfLanes(RuleBasedStateMachine):
    """Messages that only come and go: each lane stays in order, however memory and disk share them."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(capacity=3)
        self.waiting: dict[tuple[int, str], list[int]] = {}

    @rule(priorities=st.lists(st.integers(0, PRIORITIES - 1), max_size=5), account=st.sampled_from(ACCOUNTS))
    def put(self, priorities, account):
        for priority, message_id in zip(priorities, self.bench.put(*priorities, account=account), strict=True):
            self.waiting.setdefault((priority, account), []).append(message_id)

    @rule(count=st.integers(1, 5), sent=st.booleans())
    def take(self, count, sent):
        for message in self.bench.outbox.take(count):
            assert self.waiting[message.priority, message.account].pop(0) == message.id
            if sent:
                self.bench.leave([message])

    @rule()
    def recount(self):
        self.bench.shelf.recount([self.bench.outbox])

    @rule()
    def work(self):
        self.bench.work()

    @rule(step_ms=st.integers(-5, 1000))
    def move_the_clock(self, step_ms):
        self.bench.now_ms += step_ms

    @invariant()
    def depth_is_what_waits(self):
        over = self.bench.outbox.depth - sum(map(len, self.waiting.values()))
        assert 0 <= over <= len(self.waiting)  # a lane is known to be empty once it was read to its end
        assert self.bench.outbox.in_memory <= 4 + len(self.waiting)


class NothingLost(RuleBasedStateMachine):
    """Whatever happens to messages, each is in one place, and all of them leave once in the end."""

    @initialize(capacity=st.integers(1, 5))
    def start(self, capacity):
        self.bench = Bench(capacity)
        self.known: set[int] = set()
        self.left: set[int] = set()
        self.in_flight: list[Message] = []

    @rule(priorities=st.lists(st.integers(0, 2), max_size=5), account=st.sampled_from(ACCOUNTS))
    def put(self, priorities, account):
        self.known.update(self.bench.put(*priorities, account=account))

    @rule()
    def recount(self):
        self.bench.shelf.recount([self.bench.outbox])

    @rule(count=st.integers(1, 6))
    def take(self, count):
        taken = self.bench.outbox.take(count)
        held = {message.id for message in self.in_flight}
        for message in taken:
            assert message.id in self.known
            assert message.id not in self.left
            assert message.id not in held
        self.in_flight += taken

    @rule(count=st.integers(1, 3))
    def leave(self, count):
        gone, self.in_flight = self.in_flight[:count], self.in_flight[count:]
        self.bench.leave(gone)
        self.left.update(message.id for message in gone)

    @rule(count=st.integers(1, 3))
    def put_back(self, count):
        back, self.in_flight = self.in_flight[:count], self.in_flight[count:]
        self.bench.outbox.put_back(back)

    @rule(wait_ms=st.integers(1, 5000))
    def defer(self, wait_ms):
        for message in self.in_flight[:1]:
            self.bench.outbox.defer(message, self.bench.now_ms + wait_ms)
        del self.in_flight[:1]

    @rule(back=st.booleans(), last=st.booleans())
    def withdraw(self, back, last):
        outbox = self.bench.outbox
        for message in outbox.find(lambda message: message.id in self.known)[-1 if last else 0 :][:1]:
            if last:
                outbox.withdraw_all([message])
            else:
                assert outbox.withdraw(message)
            assert not outbox.withdraw(message)
            if back:
                outbox.put_back([message])
            else:
                self.bench.leave([message])
                self.left.add(message.id)

    @rule()
    def go_offline(self):
        for message in self.bench.outbox.go_offline():
            self.bench.outbox.put(message)

    @rule()
    def go_online(self):
        self.bench.outbox.go_online()

    @rule(step_ms=st.integers(-5, 3000))
    def move_the_clock(self, step_ms):
        self.bench.now_ms += step_ms

    @rule()
    def work(self):
        self.bench.work()

    def teardown(self):
        if not hasattr(self, 'bench'):
            return
        bench = self.bench
        self.bench.leave(self.in_flight)
        self.left.update(message.id for message in self.in_flight)
        bench.outbox.go_online()
        for _ in range(200):
            bench.now_ms += 5000
            bench.shelf.want(bench.outbox)
            bench.shelf.recount([bench.outbox])
            bench.work()
            taken = bench.take(5)
            assert not self.left.intersection(taken)
            self.left.update(taken)
            if self.left == self.known:
                break
        assert self.left == self.known
        assert bench.rows.rows == {}
        assert bench.outbox.in_memory == 0


OrderOfLanes.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
NothingLost.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
test_lanes_keep_their_order = OrderOfLanes.TestCase
test_nothing_is_lost_or_doubled = NothingLost.TestCase
