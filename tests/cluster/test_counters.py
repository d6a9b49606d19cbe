"""What the policy counts holds over all nodes: duplicates, daily limits, fraud rules, failures."""

import signal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from domain.ids import first_id
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from routing.daily_limits import DailyLimit, DailyLimitStep, LocalDays
from routing.day_counts import SubscriberDays
from routing.decider import Decider
from routing.duplicates import DuplicateStep, SeenMessages, SharedHash
from routing.facts import Facts
from routing.stop_lists import StopLists
from routing.table import RouteTable
from smsc.clock import wall_ms
from smsc.cluster import counters
from smsc.cluster.asking import Answers
from smsc.cluster.counters import Counters
from smsc.config.policy_schema import AutomaticConfig
from smsc.stop_lists import StopListKeeping
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async

S = CommandStatus
REPEATED = {'duplicates': {'within_s': 3_600}}


async def told(node, count):
    """Waits until a node has heard of so many messages and failures of others."""

    async def heard():
        return await node.metric('smsc_cluster_counted_total', direction='heard') >= count

    await until_async(heard)


@pytest.fixture
async def pair(nodes, start_smsc, bind):
    """Two nodes, their operator, and an ESME at each; settings are those of the account, `more` of the product."""

    async def start(settings, **more):
        smsc = await start_smsc()
        tree = {'accounts': {'bank': account(**settings)}, 'upstreams': {'mts': upstream(smsc.port)}} | more
        first, second = await nodes(2, **tree)
        await everywhere_bound(smsc, 2)
        return first, second, smsc, await bind(first), await bind(second)

    return start


@pytest.mark.wire('C33')
async def test_a_retry_at_another_node_has_the_id_of_the_first_also_after_a_restart(pair, bind):
    first, second, smsc, here, there = await pair(REPEATED)
    ids = [await here.submit(b'text %d' % number) for number in range(3)]
    parts = [submit(b'\x05\x00\x03\x07\x02%c part' % number, esm_class=0x40) for number in (1, 2)]
    part_ids = await here.submit_all(parts)
    await told(second, 5)
    assert [await there.submit(b'text %d' % number) for number in range(3)] == ids
    assert await there.submit_all(parts) == part_ids
    await second.stop(signal.SIGKILL)
    ids.append(await here.submit(b'text 3'))
    await second.start()
    again = await bind(second)
    assert [await again.submit(b'text %d' % number) for number in range(4)] == ids
    assert await again.submit(b'text 4') not in ids
    await smsc.submitted(7)
    assert (await first.ledger()).accepted == 7
    await told(first, 1)
    assert await first.metric('smsc_cluster_counted_total', direction='heard') == 1  # what was told is not told again


async def test_a_daily_limit_holds_over_nodes_and_their_restarts(pair, bind):
    first, second, _, here, there = await pair({'daily_limit': {'messages': 3}})
    await here.submit(b'1')
    await told(second, 1)
    await there.submit(b'2')
    await told(first, 1)
    await second.stop(signal.SIGKILL)
    await here.submit(b'3')
    recalled = second.log.read_text().count('daily_limits.recalled')
    await second.start()
    again = await bind(second)
    assert (await here.ask(submit(b'4'))).command_status == S.ESME_RSUBMITFAIL
    other = {'destination_addr': b'79160000002'}
    await until(lambda: second.log.read_text().count('daily_limits.recalled') > recalled)
    assert (await again.ask(submit(b'4'))).command_status == S.ESME_RSUBMITFAIL
    await here.submit_all(submit(b'%d' % number, **other) for number in range(3))
    await told(second, 3)
    assert (await again.ask(submit(**other))).command_status == S.ESME_RSUBMITFAIL


FRAUD = {
    'rules': [
        {'name': 'pace', 'velocity': {'per_minute': 40}, 'accounts': ['bank'], 'status': 'ESME_RTHROTTLED'},
        {'name': 'range', 'burst': {'messages': 3, 'within_s': 3_600, 'digits': 9}, 'accounts': ['bank']},
    ]
}


async def test_rules_that_count_messages_count_those_of_all_nodes(pair):
    first, second, _, here, there = await pair({}, fraud=FRAUD)
    near = [b'7916123450%d' % number for number in range(4)]
    await here.submit_all(submit(destination_addr=number) for number in near[:3])
    await told(second, 3)
    answer = await there.ask(submit(destination_addr=near[3]))
    assert answer.command_status == S.ESME_RSUBMITFAIL
    await here.submit_all(submit(destination_addr=b'79%03d000000' % number) for number in range(37))
    await told(second, 40)
    assert (await there.ask(submit(destination_addr=b'79260000000'))).command_status == S.ESME_RTHROTTLED
    assert await first.metric('smsc_cluster_counted_total', direction='heard') == 0


# One node, as the others hear it


NUMBER = 79161234567


class Node:
    """What counts at a node; what it tells is heard by `others`."""

    def __init__(self, node, key=b'the key of the cluster'):
        self.others = []
        self.telling = True
        days, seen = SubscriberDays(), SeenMessages(3_600_000, 1_000)
        self.day_counts = days.of('bank', frozenset())
        self.duplicates = DuplicateStep(seen, hash_of=SharedHash(key))
        limits = DailyLimitStep((DailyLimit(self.day_counts, 2),), LocalDays())
        decider = Decider(RouteTable([]), steps={'bank': (self.duplicates, limits)})
        automatic = AutomaticConfig(failures=2)
        stop_lists = SimpleNamespace(automatic=automatic, poll_s=1)
        configuration: Any = SimpleNamespace(node=node, accounts={'bank': None}, stop_lists=stop_lists)
        store = SimpleNamespace(stop_lists=None)
        core: Any = SimpleNamespace(configuration=configuration, decider=decider, store=store)
        self.core = core
        self.counters = Counters(core, self._publish, True)
        core.cluster = SimpleNamespace(counters=self.counters)
        core.stop_lists = self.keeping = StopListKeeping(core, StopLists())
        self.keeping.configure(configuration)
        self.counters.take_up()

    def _publish(self, octets):
        for other in self.others if self.telling else ():
            other.counters.take(octets)
        return self.telling

    def accept(self, **more):
        """Judges a message and, unless something is against it, counts it as accepted."""
        now_ms = wall_ms()
        facts = Facts('bank', 'MyBank', str(NUMBER), NUMBER, str, now_ms, message_id=first_id(now_ms) + 1, **more)
        for step in self.core.decider.steps_of('bank'):
            verdict = step.judge(facts)
            if verdict is not None:
                return verdict
        message: Any = SimpleNamespace(facts=facts)
        self.counters.note([message])
        return None

    def fail(self, state=MessageState.UNDELIVERABLE, minutes=0):
        self.keeping.note_ending(b'%d' % NUMBER, state, 1, wall_ms() + minutes * 60_000)
        self.counters.tell()

    @property
    def listed(self):
        return list(self.keeping._pending)


@pytest.fixture
def two():
    first, second = Node(1), Node(2)
    first.others = second.others = [first, second]
    return first, second


def test_what_is_heard_is_counted_once_and_told_to_nobody(two):
    first, second = two
    assert first.accept(user_data=b'a') is None
    first.counters.tell()
    for node in two:
        node.counters.tell()
    assert [node.day_counts.count(NUMBER, wall_ms() // 86_400_000) for node in two] == [1, 1]
    assert [(node.counters.told, node.counters.heard) for node in two] == [(1, 0), (0, 1)]
    assert second.accept(user_data=b'a').message_id
    assert second.accept(user_data=b'b') is None
    second.counters.tell()
    assert first.accept(user_data=b'c').action == 'refuse'


def test_nodes_without_the_same_key_know_no_duplicates_of_each_other():
    first, second = Node(1), Node(2, b'another')
    first.others = [second]
    first.accept(user_data=b'a')
    first.counters.tell()
    assert second.accept(user_data=b'a') is None


def test_what_the_store_has_is_not_counted_again_when_it_is_heard(two):
    first, second = two
    second.counters.counted_up_to = first_id(wall_ms() + 60_000)
    first.accept(user_data=b'a')
    first.counters.tell()
    assert second.day_counts.count(NUMBER, wall_ms() // 86_400_000) == 0
    assert second.accept(user_data=b'a').message_id


def test_a_node_that_cannot_tell_counts_alone_and_goes_on_when_it_can(two):
    first, second = two
    first.telling = False
    with capture_logs() as logs:
        for text in (b'a', b'b'):
            first.accept(user_data=text)
            first.counters.tell()
        assert (first.counters.dropped, second.counters.heard) == (2, 0)
        first.telling = True
        first.fail()
    assert [one['event'] for one in logs] == ['counters.alone', 'counters.shared']
    assert second.accept(user_data=b'a') is None
    second.counters.tell()
    assert first.counters.heard == 1


def test_much_is_told_at_once_and_in_pieces(two, monkeypatch):
    first, second = two
    monkeypatch.setattr(counters, 'AT_ONCE', 2)
    first.accept(user_data=b'a')
    assert second.counters.heard == 0
    first.accept(user_data=b'b')
    assert second.counters.heard == 2


@pytest.mark.parametrize(
    'octets',
    [
        b'',
        b'\x01',
        b'\x01nonsense',
        b'\x01' + bytes(counters.MAX_OCTETS),
        *(
            b'\x01' + msgspec.msgpack.encode([1, [message]])
            for message in (
                ['bank', -1, '7916', '', '', 1],
                ['bank', (1 << 63) - 1, '7916', '', '', 1, 5],
                ['bank', 1, '7916', '', '', 1 << 40],
                ['bank', 1, 'x' * 1_000, '', '', 1],
                ['bank', 1, '9' * 1_000, '', '', 1],
                ['nobody', 1, '7916', '', '', 1],
            )
        ),
    ],
)
def test_what_is_nothing_a_node_would_tell_counts_nothing(octets):
    node = Node(2)
    node.counters.take(octets)
    assert len(node.day_counts) == len(node.duplicates.seen) == 0


def test_failures_at_two_nodes_are_in_a_row_and_one_of_them_lists_the_number(two):
    first, second = two
    first.fail()
    second.fail(minutes=2)
    assert (first.listed, second.listed) == ([], [NUMBER])
    first.fail(minutes=4)
    assert (first.listed, second.listed) == ([], [NUMBER])


def test_a_delivery_at_one_node_ends_the_row_of_failures_at_the_others(two):
    first, second = two
    first.fail()
    second.fail(MessageState.DELIVERED)
    first.fail(minutes=2)
    assert (first.listed, second.listed) == ([], [])


async def test_a_node_that_starts_goes_on_with_the_failures_that_another_has_counted(two):
    first, second = two
    first.others = []
    first.fail()
    asked: dict[str, Any] = {}
    first.counters.serve(asked)

    async def ask(nodes, what, timeout_s):
        return Answers({1: await asked[what]({})}) if nodes == [1] else Answers({})

    second.core.cluster.living = lambda: [2, 1]
    second.core.cluster.asking = SimpleNamespace(ask=ask)
    await second.counters.learn_failures()
    second.fail(minutes=2)
    assert second.listed == [NUMBER]


async def test_what_is_no_answer_about_failures_is_passed_over(two):
    _, second = two

    async def ask(nodes, what, timeout_s):
        return Answers({1: [['x', 1], [NUMBER, -1]]})

    second.core.cluster.living = lambda: [2, 1]
    second.core.cluster.asking = SimpleNamespace(ask=ask)
    await second.counters.learn_failures()
    second.keeping.failures.learn([(NUMBER, -1), (-1, 1 << 52), (NUMBER, 1 << 62)])
    assert len(second.keeping.failures) == 0
