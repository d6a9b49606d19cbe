"""Limits over all nodes: the shares of each are never more than the limit in sum, and go to where they are wanted."""

import asyncio
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdu.status import CommandStatus
from smsc.cluster.shares import SCRIPT
from tests.product.peers import submit
from tests.product.running import account, upstream
from tests.product.waiting import until

START = 1_000.0
DEAD_S = 8.0  # until all nodes know of a death
NODES = (1, 2, 3)
_keys = itertools.count()


class Nodes:
    """Nodes that share one limit, as the script sees them; time is the test's."""

    def __init__(self, connection: Any, limit: int) -> None:
        self.limit = limit
        self.now = START
        self.shares: dict[int, int] = {}  # of nodes that live
        self.died_at: dict[int, float] = {}
        self._used: list[tuple[float, int, int]] = []  # (since when, node, share)
        self._ask = connection.register_script(SCRIPT)
        self._key = f'test:{next(_keys)}'
        self._moments = itertools.count(1)
        connection.delete(self._key)

    def join(self, node: int) -> None:
        if node not in self.shares:
            self._use(node, 0)

    def die(self, node: int) -> None:
        if self.shares.pop(node, None) is not None:
            self.died_at[node] = self.now
            self._used.append((self.now, node, 0))

    def ask(self, node: int, demand: int, answered: bool = True, leaving: bool = False) -> None:
        """One question; with `answered` False the answer is lost."""
        living = [*self.shares, *(one for one, at in self.died_at.items() if self.now - at < DEAD_S)]
        if leaving:
            self._use(node, 0)
        wish = (self.limit, self.shares[node], 0 if leaving else min(demand, self.limit), not leaving, not leaving)
        question = {
            'node': node,
            'moment': next(self._moments),
            'now': self.now,
            'living': living,
            'leaving': leaving,
            'limits': [[int(one) for one in wish]],
        }
        (share,) = self._ask(keys=[self._key], args=[json.dumps(question)])
        if answered:
            self._use(node, share)

    def _use(self, node: int, share: int) -> None:
        self.died_at.pop(node, None)
        self.shares[node] = share
        self._used.append((self.now, node, share))

    @property
    def used_in_last_second(self) -> int:
        """The most that all nodes together can have used."""
        most: dict[int, int] = {}
        ends: dict[int, float] = {}
        for since, node, share in reversed(self._used):
            if ends.get(node, self.now) >= self.now - 1:
                most[node] = max(most.get(node, 0), share)
            ends[node] = since
        return sum(most.values())


STEPS = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.1, 0.25, 0.25, 0.5, 1.0, 1.0, 2.5, 9.0)),
        st.sampled_from(NODES),
        st.sampled_from(('ask', 'ask', 'ask', 'ask', 'ask', 'unanswered', 'die', 'leave')),
        st.integers(0, 200),
    ),
    min_size=10,
    max_size=60,
)


@pytest.mark.wire('F4')
@settings(max_examples=60, deadline=None)
@given(st.sampled_from((1, 2, 3, 10, 100)), STEPS)
def test_in_no_second_do_the_shares_of_all_nodes_exceed_the_limit(redis_connection, limit, steps):
    nodes = Nodes(redis_connection, limit)
    for seconds, node, action, demand in steps:
        nodes.now += seconds
        if action == 'die':
            nodes.die(node)
        else:
            nodes.join(node)
            nodes.ask(node, demand, action != 'unanswered', action == 'leave')
        assert nodes.used_in_last_second <= limit


def ask_all(nodes, seconds, **demands):
    """All ask four times a second, for so long; `n1=50` is what node 1 wants."""
    for _ in range(int(seconds * 4)):
        nodes.now += 0.25
        for node in list(nodes.shares):
            nodes.ask(node, demands.get(f'n{node}', 0))


def test_shares_follow_what_is_wanted_within_seconds(redis_connection):
    nodes = Nodes(redis_connection, 100)
    nodes.join(1)
    ask_all(nodes, 1)
    assert nodes.shares == {1: 100}
    nodes.join(2)
    ask_all(nodes, 5, n1=100, n2=100)
    assert nodes.shares == {1: 50, 2: 50}
    ask_all(nodes, 5, n1=100)
    assert nodes.shares == {1: 99, 2: 1}
    ask_all(nodes, 5, n2=30, n1=100)
    assert nodes.shares[1] + nodes.shares[2] == 100
    assert nodes.shares[2] >= 30


def test_what_a_dead_node_held_is_free_once_all_know_that_it_is_dead_and_what_one_left_a_second_later(redis_connection):
    nodes = Nodes(redis_connection, 100)
    for node in NODES:
        nodes.join(node)
    ask_all(nodes, 6, n1=100, n2=100, n3=100)
    nodes.die(1)
    ask_all(nodes, DEAD_S - 1, n2=100, n3=100)
    assert nodes.shares[2] + nodes.shares[3] < 70
    ask_all(nodes, 4, n2=100, n3=100)
    assert nodes.shares == {2: 50, 3: 50}
    nodes.ask(2, 0, leaving=True)
    nodes.die(2)
    ask_all(nodes, 2, n3=100)
    assert nodes.shares == {3: 100}


def test_a_limit_below_the_number_of_nodes_goes_round(redis_connection):
    nodes = Nodes(redis_connection, 1)
    nodes.join(1)
    nodes.join(2)
    had = set()
    for _ in range(10):
        ask_all(nodes, 3, n1=1, n2=1)
        had |= {node for node, share in nodes.shares.items() if share}
    assert had == {1, 2}


def test_after_redis_has_lost_everything_shares_stay_within_the_limit(redis_connection):
    nodes = Nodes(redis_connection, 100)
    nodes.join(1)
    nodes.join(2)
    ask_all(nodes, 5, n1=100, n2=20)
    before = dict(nodes.shares)
    redis_connection.delete(nodes._key)
    nodes.now += 0.25
    nodes.ask(2, 100)
    assert nodes.shares == before  # nothing is known of node 1
    ask_all(nodes, 5, n1=100, n2=100)
    assert nodes.shares == {1: 50, 2: 50}


@pytest.mark.wire('F4', 'C5')
async def test_the_limits_of_an_upstream_and_of_an_account_hold_for_two_nodes_together(nodes, start_smsc, bind):
    """What passes is never more than the limit allows for the time it took, however long that was."""
    limit = 30
    smsc = await start_smsc()
    first, second = await nodes(
        2,
        upstreams={'mts': upstream(smsc.port, rate_per_s=limit)},
        accounts={'bank': account(), 'shop': account(rate_per_s=limit)},
    )
    await until(lambda: len(smsc.bound) == 2)
    arrived: list[float] = []
    clock = asyncio.get_running_loop().time

    def answer(pdu):
        arrived.append(clock())
        return smsc.next_id()

    smsc.script = answer
    for node in (first, second):
        await (await bind(node)).submit_all(submit() for _ in range(20))
    shops = [await bind(node, 'shop') for node in (first, second)]
    accepted, began_at = 0, clock()
    while accepted < 2 * limit:
        answers = [answer for shop in shops for answer in await shop.ask_all(submit() for _ in range(4))]
        assert {answer.command_status for answer in answers} <= {0, CommandStatus.ESME_RTHROTTLED}
        accepted += sum(not answer.command_status for answer in answers)
        assert accepted <= limit * (1 + clock() - began_at)
    await until(lambda: len(arrived) == 40 + accepted)
    assert arrived[-1] - arrived[0] >= 0.9 * (len(arrived) - limit) / limit
