"""The links of an upstream are those of all nodes together: each at one node, spread evenly."""

import itertools
import json
import signal
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smsc.cluster.links import NOBODY_S, SCRIPT, Places
from tests.product.peers import submit
from tests.product.running import free_port, upstream
from tests.product.waiting import until, until_async

START = 1_000.0
DEAD_S = 8.0
NODES = (1, 2, 3)
_keys = itertools.count()


class Nodes:
    """Nodes that share the places of one upstream, as the script sees them; time is the test's."""

    def __init__(self, connection: Any, count: int) -> None:
        self.count = count
        self.now = START
        self.held: dict[int, set[int]] = {}  # of nodes that live
        self.died_at: dict[int, float] = {}
        self.moves = 0
        self.give: dict[int, int] = {}
        self.in_vain: set[int] = set()
        self._ask = connection.register_script(SCRIPT)
        self._key = f'test:links:{next(_keys)}'
        self._connection = connection
        connection.delete(self._key)

    def lose_all(self) -> None:
        self._connection.delete(self._key)

    def join(self, node: int) -> None:
        self.died_at.pop(node, None)
        self.held.setdefault(node, set())

    def join_in_turn(self, *numbers: int) -> None:
        for node in numbers:
            self.join(node)
            self.ask_all(5)

    def die(self, node: int) -> None:
        if self.held.pop(node, None) is not None:
            self.died_at[node] = self.now

    def ask(self, node: int) -> None:
        living = [*self.held, *(one for one, at in self.died_at.items() if self.now - at < DEAD_S)]
        line = [self.count, sorted(self.held[node]), [], True, node in self.in_vain]
        question = {'node': node, 'now': self.now, 'living': living, 'upstreams': [line]}
        ((lost, taken, give),) = self._ask(keys=[self._key], args=[json.dumps(question)])
        assert not lost
        self.held[node] |= set(taken)
        self.moves += len(taken)
        self.give[node] = give
        for _ in range(give):
            self.held[node].pop()

    def ask_all(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            for node in list(self.held):
                self.ask(node)

    @property
    def sizes(self) -> list[int]:
        return sorted(len(held) for held in self.held.values())


STEPS = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.5, 1.0, 1.0, 3.0, 9.0)),
        st.sampled_from(NODES),
        st.sampled_from(('ask', 'ask', 'ask', 'die')),
    ),
    min_size=10,
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from((1, 2, 3, 10)), STEPS)
def test_no_two_nodes_have_a_link_and_in_the_end_each_is_had_by_one(redis_connection, count, steps):
    nodes = Nodes(redis_connection, count)
    for seconds, node, action in steps:
        nodes.now += seconds
        if action == 'die':
            nodes.die(node)
        else:
            nodes.join(node)
            nodes.ask(node)
        holders = Counter(place for held in nodes.held.values() for place in held)
        assert max(holders.values(), default=0) <= 1
    nodes.join(1)
    nodes.ask_all(20)
    assert sum(nodes.sizes) == count
    assert nodes.sizes[-1] - nodes.sizes[0] <= 1


def test_a_node_that_joins_gets_its_part_and_nothing_else_moves(redis_connection):
    nodes = Nodes(redis_connection, 10)
    nodes.join_in_turn(1, 2)
    assert (nodes.sizes, nodes.moves) == ([5, 5], 15)
    nodes.join(3)
    nodes.ask_all(10)
    assert nodes.sizes == [3, 3, 4]
    moves = nodes.moves
    assert moves <= 19
    nodes.ask_all(20)
    assert nodes.moves == moves


@pytest.mark.parametrize('count', [1, 4])
def test_links_that_a_node_cannot_bind_go_to_those_that_may_and_stay_where_all_fail(redis_connection, count):
    nodes = Nodes(redis_connection, count)
    nodes.join_in_turn(1, 2)
    nodes.in_vain = {1}
    nodes.ask_all(5)
    assert (len(nodes.held[1]), len(nodes.held[2])) == (0, count)
    nodes.ask_all(5)
    assert len(nodes.held[2]) == count
    nodes.in_vain = {1, 2}
    nodes.ask_all(10)
    assert sum(nodes.sizes) == count
    assert nodes.sizes[-1] - nodes.sizes[0] <= 1
    moves = nodes.moves
    nodes.ask_all(10)
    assert nodes.moves == moves
    nodes.in_vain = set()
    nodes.ask_all(10)
    assert nodes.sizes[-1] - nodes.sizes[0] <= 1


def test_a_redis_that_has_lost_everything_is_told_what_is_held_before_it_gives_anything_away(redis_connection):
    nodes = Nodes(redis_connection, 4)
    nodes.join(1)
    nodes.join(2)
    nodes.ask_all(10)
    held = {node: set(places) for node, places in nodes.held.items()}
    nodes.lose_all()
    nodes.ask_all(10)
    assert nodes.held == held


def test_a_node_without_a_link_is_told_when_nobody_can_bind_any(redis_connection):
    nodes = Nodes(redis_connection, 1)
    nodes.join_in_turn(1, 2)
    nodes.in_vain = {1, 2}
    nodes.ask_all(5)
    assert nodes.give == {1: 0, 2: -1}
    nodes.in_vain = {2}
    nodes.ask_all(5)
    assert nodes.give == {1: 0, 2: 0}


def test_what_is_tried_in_vain_is_tried_again_soon_only_where_nobody_can_bind():
    places = Places()
    assert not places.note(True, False, 0, 15)
    assert places.note(True, False, 15, 15)
    assert places.note(False, False, 15 + NOBODY_S, 15)
    places.nobody_can = True
    assert not places.note(False, False, 15 + NOBODY_S, 15)
    assert not places.note(True, False, 200, 15)
    assert places.note(True, False, 215, 15)
    assert not places.note(True, True, 216, 15)


async def test_a_node_that_cannot_reach_an_operator_leaves_its_links_to_one_that_can(nodes, start_smsc, bind):
    smsc = await start_smsc()
    upstreams = {'mts': upstream(smsc.port, links=2, links_per_node=False)}
    first, second = await nodes(2, start=False, upstreams=upstreams, cluster={'try_links_s': 1})
    first.write(upstreams={'mts': {'port': free_port()}})
    await first.start()
    esme = await bind(first)
    await esme.submit(b'early')
    await second.start()
    await second.links_bound('mts', 2)
    await until(lambda: [pdu.short_message for pdu in smsc.submits] == [b'early'])
    await esme.submit(b'late')
    await until(lambda: [pdu.short_message for pdu in smsc.submits] == [b'early', b'late'])


async def test_nodes_share_the_links_of_an_upstream_and_take_those_of_a_dead_one(nodes, start_smsc, bind):
    smsc = await start_smsc()
    first, second = await nodes(2, start=False, upstreams={'mts': upstream(smsc.port, links=4, links_per_node=False)})
    await first.start()
    await first.links_bound('mts', 4)
    esme = await bind(first)
    await second.start()
    sent = 0
    while len((await second.status()).upstreams[0].links) < 2:  # while links move, nothing is lost or doubled
        await esme.submit(b'%d' % sent)
        sent += 1
    await first.links_bound('mts', 2)
    await second.links_bound('mts', 2)
    await until(lambda: len(smsc.submits) >= sent)
    assert sorted(int(pdu.short_message) for pdu in smsc.submits) == list(range(sent))
    assert len(smsc.bound) == 4
    await first.stop(signal.SIGKILL)
    await second.links_bound('mts', 4)
    second.write(upstreams={'mts': {'links': 5}})
    await second.reload()
    await second.links_bound('mts', 5)
    await (await bind(second)).submit_all(submit() for _ in range(10))
    await until(lambda: len(smsc.submits) >= sent + 10)


async def test_without_redis_a_node_keeps_its_links_and_one_that_starts_has_none_until_it_is_there(
    nodes, own_redis, start_smsc
):
    smsc = await start_smsc()
    (only,) = await nodes(
        1,
        start=False,
        store={'redis': own_redis.url},
        upstreams={'mts': upstream(smsc.port, links=2, links_per_node=False)},
    )
    own_redis.stop()
    await only.start()
    await until(lambda: 'cluster.alone' in only.log.read_text())
    assert not smsc.bound
    own_redis.start()
    await only.links_bound('mts', 2)
    own_redis.stop()

    async def is_alone_again() -> bool:
        return bool(only.log.read_text().count('cluster.alone') == 2)

    await until_async(is_alone_again)
    await only.links_bound('mts', 2)
    assert len(smsc.binds) == 2
