"""Parts of one message that its ESME sends by several nodes, decided as one (wire.md G2)."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from pdu.receipt_text import MessageState
from pdu.segments import concatenated, parse_udh
from smsc.cluster.parts import PartsElsewhere, ToldParts, Way
from smsc.joined_parts import Joiner, PartsKey
from tests.domain.messages import mt_message
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async

MESSAGES = 40
HALVES = [{'name': 'halves', 'split': {'mts': 50, 'beeline': 50}}]
BY_TEXT = [
    {'name': 'codes', 'when': {'text': '~code is 1234'}, 'failover': ['beeline']},
    {'name': 'none of this', 'when': {'text': '~bad word'}, 'reject': 'ESME_RINVDSTADR'},
    {'name': 'rest', 'failover': ['mts']},
]


@pytest.fixture
async def two_ways(nodes, start_smsc, bind):
    """Two nodes with links to two operators each, and an ESME at each node."""

    async def start(routes, **settings):
        mts, beeline = await start_smsc(), await start_smsc()
        first, second = await nodes(
            2,
            accounts={'bank': account(**settings)},
            upstreams={'mts': upstream(mts.port), 'beeline': upstream(beeline.port)},
            routes=routes,
        )
        for smsc in (mts, beeline):
            await everywhere_bound(smsc, 2)
        return first, second, mts, beeline, await bind(first), await bind(second)

    return start


def parts_of(*bodies, reference=7, **more):
    return [submit(octets, esm_class=0x40, **more) for octets in concatenated(list(bodies), reference)]


def parts_at(smsc):
    """The numbers of the parts that an operator got, by the reference of their message."""
    found = defaultdict(set)
    for pdu in smsc.submits:
        part = parse_udh(pdu.short_message)
        assert part is not None
        found[part.reference].add(part.sequence)
    return dict(found)


@pytest.mark.wire('G2')
async def test_parts_that_come_by_two_nodes_at_once_are_not_split_over_routes(two_ways):
    first, _, mts, beeline, here, there = await two_ways(HALVES)
    messages = [parts_of(b'one ', b'two', reference=number) for number in range(MESSAGES)]
    await here.submit_all(messages.pop())  # so that it is not the same turn of the split at both nodes
    swapped = [parts[:: 1 - 2 * (number % 2)] for number, parts in enumerate(messages)]
    firsts, seconds = ([parts[place] for parts in swapped] for place in (0, 1))
    await asyncio.gather(here.submit_all(firsts), there.submit_all(seconds))
    await until(lambda: len(mts.submits) + len(beeline.submits) == 2 * MESSAGES)
    assert min(len(parts_at(smsc)) for smsc in (mts, beeline)) > 0
    for smsc in (mts, beeline):
        assert set(map(frozenset, parts_at(smsc).values())) == {frozenset({1, 2})}
    assert (await first.ledger()).accepted == 2 * MESSAGES


@pytest.mark.wire('G2')
async def test_parts_that_are_held_at_two_nodes_are_read_together(two_ways):
    first, _, mts, beeline, here, there = await two_ways(BY_TEXT, parts_wait_s=600)
    code, bad, rest = (
        parts_of(b'your code i', b's 12', b'34', reference=1),
        parts_of(b'a bad w', b'ord', reference=2),
        parts_of(b'anything', b' else', reference=3),
    )
    await there.submit_all([code[1], bad[0], rest[1]])
    bad_ids = await here.submit_all([code[0], bad[1], code[2], rest[0]])
    await until(lambda: len(beeline.submits) == 3 and len(mts.submits) == 2)
    assert (parts_at(beeline), parts_at(mts)) == ({1: {1, 2, 3}}, {3: {1, 2}})
    assert bad_ids[1]

    def rejected():
        return [pdu for esme in (here, there) for pdu in esme.delivered if b'REJECTD' in pdu.short_message]

    await until(lambda: len(rejected()) == 2)
    assert (await first.ledger()).final == {MessageState.REJECTED.name: 2}


async def test_a_decision_that_was_told_holds_for_parts_at_other_nodes(two_ways):
    _, second, mts, beeline, here, there = await two_ways(HALVES, daily_limit={'messages': 1})
    parts = parts_of(b'one ', b'two ', b'three')
    await here.submit_all(parts[:1])

    async def told():
        return await second.metric('smsc_cluster_counted_total', direction='heard') >= 1

    await until_async(told)
    await there.submit_all(parts[1:])
    await until(lambda: len(mts.submits) + len(beeline.submits) == 3)
    assert [*parts_at(mts).values(), *parts_at(beeline).values()] == [{1, 2, 3}]


# One node, as it hears the others

KEY = PartsKey('bank', b'MyBank', b'79161234567', 7, False, 3)


def node(number):
    """A node that holds the third of three parts."""
    taken = []
    joiner: Joiner[Way] = Joiner()
    message = mt_message()
    joiner.add(KEY, 3, message, 0.0, 600.0)
    joining = SimpleNamespace(
        joiner=joiner, stage=SimpleNamespace(kick=int), take_decision=lambda *what: taken.append(what)
    )
    configuration = SimpleNamespace(node=number, accounts={'bank': None})
    core: Any = SimpleNamespace(configuration=configuration, joining=joining, upstreams={'mts': None})
    found = PartsElsewhere(core, True)
    return found, message, taken


def test_a_judge_that_started_anew_is_told_again_what_others_hold_and_nobody_else_is():
    found, message, _ = node(3)
    found.hear(2, [ToldParts(*KEY, ids={2: 5})])
    assert found.gathered == [ToldParts(*KEY, ids={3: message.id})]
    found.hear(1, [ToldParts(*KEY, ids={1: 4})])
    assert len(found.gathered) == 2
    found.hear(2, [ToldParts(*KEY, ids={2: 5})])
    assert len(found.gathered) == 2
    judge, _, _ = node(1)
    judge.hear(2, [ToldParts(*KEY, ids={1: 4})])
    judge.hear(3, [ToldParts(*KEY, ids={2: 5})])
    assert judge.gathered == []


@pytest.mark.parametrize(
    'told',
    [
        ToldParts('nobody', *KEY[1:], way=Way('rest', ('mts',))),
        ToldParts(*KEY[:5], 256, way=Way('rest', ('mts',))),
        ToldParts(*KEY, {4: 1}, way=Way('rest', ('mts',))),
        ToldParts(*KEY, ids={0: 1}, way=Way('rest', ('mts',))),
        ToldParts('bank', b'x' * 65, *KEY[2:], way=Way('rest', ('mts',))),
        ToldParts(*KEY, way=Way('rest', ('unknown',))),
    ],
)
def test_a_decision_that_cannot_be_one_of_ours_is_not_taken(told):
    found, _, taken = node(2)
    found.hear(1, [told])
    assert taken == []
    found.hear(1, [ToldParts(*KEY, {1: 1}, way=Way('rest', ('unknown', 'mts')))])
    assert [(key, way.upstreams) for key, _, way in taken] == [(KEY, ('mts',))]
