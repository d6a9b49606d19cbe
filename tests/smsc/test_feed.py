"""From an outbox into windows: never more than window and rate allow, to whoever has most room."""

import asyncio
from collections import Counter

import pytest

from pdu.pdus import DeliverSm
from smpp.aio.connection import Connection
from smpp.session import SessionSettings
from smpp.states import RECEIVING, Role, State
from smsc.feed import Feed
from smsc.limits import Rate
from smsc.outbox import Outbox
from tests.domain.messages import mt_message
from tests.product.waiting import until
from tests.smpp.aio.owner import Owner
from tests.smpp.pair import session_in


class NoDisk:
    """A shelf that a test does not reach."""

    def put(self, outbox, message, due_at):
        raise AssertionError('this test has room in memory')

    def want(self, outbox):
        pass

    def keeps(self, outbox, message):
        return False

    def left(self, message):
        pass


class Bench:
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.sent: list[tuple[Connection, int]] = []
        self.refused: set[int] = set()
        self.outbox = Outbox('account shop', 1000, NoDisk())
        self.feed = Feed(self.outbox, RECEIVING, self.send, loop, {})

    def send(self, connection, message, now_ms):
        if message.id in self.refused:
            return False
        connection.session.request(DeliverSm(), message)
        self.sent.append((connection, message.id))
        return True

    def connect(self, window, state=State.BOUND_TRX):
        session = session_in(Role.SMSC, state, SessionSettings(send_window=window))
        connection = Connection(session, Owner(), asyncio.get_running_loop())
        self.feed.add(connection)
        return connection

    def put(self, count):
        messages = [mt_message() for _ in range(count)]
        for message in messages:
            self.outbox.put(message)
        return [message.id for message in messages]


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.feed.close()


@pytest.mark.wire('F3', 'E13')
async def test_a_window_is_never_exceeded_and_freed_slots_go_on_in_order(bench):
    connection = bench.connect(window=10)
    ids = bench.put(25)
    bench.feed.pump()
    assert [message_id for _, message_id in bench.sent] == ids[:10]
    bench.feed.pump()
    assert len(bench.sent) == 10
    connection.session.window.release(4)
    bench.feed.pump()
    assert [message_id for _, message_id in bench.sent] == ids[:14]
    assert connection.session.window.reserved == bench.feed.outstanding == 10
    for _ in range(2):
        connection.session.window.release(10)
        bench.feed.pump()
    assert [message_id for _, message_id in bench.sent] == ids
    assert connection.session.window.reserved == 1


@pytest.mark.wire('F23')
async def test_the_roomiest_connection_is_fed_first_and_all_are_filled(bench):
    small, large = bench.connect(window=10), bench.connect(window=200)
    bench.put(60)
    bench.feed.pump()
    assert Counter(connection for connection, _ in bench.sent) == {large: 60}
    bench.put(500)
    bench.feed.pump()
    assert Counter(connection for connection, _ in bench.sent) == {large: 200, small: 10}
    assert bench.outbox.depth == 350


@pytest.mark.wire('E14')
async def test_a_connection_that_cannot_be_written_to_is_passed_over(bench):
    stuck, free = bench.connect(window=100), bench.connect(window=10)
    stuck.pause_writing()
    bench.put(20)
    bench.feed.pump()
    assert {connection for connection, _ in bench.sent} == {free}
    stuck.resume_writing()
    bench.feed.pump()
    assert len(bench.sent) == 20


@pytest.mark.wire('B11')
async def test_a_session_that_may_not_receive_is_not_fed(bench):
    bench.connect(window=10, state=State.BOUND_TX)
    assert not bench.feed.online
    assert bench.outbox.offline


async def test_a_message_that_goes_elsewhere_leaves_its_slot_free(bench):
    connection = bench.connect(window=3)
    ids = bench.put(6)
    bench.refused = set(ids[:3])
    bench.feed.pump()
    assert [message_id for _, message_id in bench.sent] == ids[3:]
    assert connection.session.window.free == 0


@pytest.mark.wire('F5')
async def test_a_pause_stops_everything_and_ends_by_itself(bench):
    bench.connect(window=10)
    bench.put(3)
    bench.feed.pause(0.02)
    bench.feed.pump()
    assert bench.sent == []
    await until(lambda: bench.sent)
    assert len(bench.sent) == 3
    assert asyncio.get_running_loop().time() >= bench.feed.paused_until


@pytest.mark.wire('F4')
async def test_the_rate_holds_back_what_the_window_would_let_through(bench):
    bench.connect(window=100)
    bench.feed.rate = Rate(200, 5, asyncio.get_running_loop().time())
    started = asyncio.get_running_loop().time()
    ids = bench.put(25)
    bench.feed.pump()
    assert 5 <= len(bench.sent) < 25
    await until(lambda: len(bench.sent) == 25)
    assert asyncio.get_running_loop().time() - started >= 20 / 200
    assert [message_id for _, message_id in bench.sent] == ids


async def test_a_removed_connection_gets_nothing_more(bench):
    connection = bench.connect(window=10)
    bench.feed.remove(connection)
    bench.put(1)
    bench.feed.pump()
    assert bench.sent == []
    assert not bench.feed.online
    assert bench.outbox.in_memory == 1  # until the upkeep takes it off line
