"""Questions between nodes: what comes of them, and what does not."""

import asyncio

import msgspec
import pytest

from smsc.cluster.asking import MAX_OCTETS, MAX_UNDER_WAY, Answer, Asking, Question

SOON_S = 0.05


class Wires:
    """Nodes that hear each other at once, as long as they are not cut off."""

    def __init__(self) -> None:
        self.nodes: dict[int, Asking] = {}
        self.cut: set[int] = set()
        self.is_fenced = False

    def add(self, node):
        asking = self.nodes[node] = Asking(node, self.publish, lambda: self.is_fenced)
        asking.answers_now = True
        asking.handlers['double'] = self.double
        return asking

    @staticmethod
    async def double(arguments):
        return {'is': 2 * arguments['of']}

    def publish(self, kind, node, octets):
        if node in self.nodes and node not in self.cut:
            asking = self.nodes[node]
            (asking.handle_question if kind == 'asked' else asking.handle_answer)(octets)
        return bool(self.nodes)


@pytest.fixture
async def wires():
    found = Wires()
    for node in (1, 2, 3):
        found.add(node)
    yield found
    for asking in list(found.nodes.values()):
        await asking.stop()


async def test_all_who_are_asked_answer(wires):
    answers = await wires.nodes[1].ask([1, 2, 3], 'double', {'of': 21})
    assert (answers.values, answers.silent) == ({2: {'is': 42}, 3: {'is': 42}}, frozenset())
    assert (await wires.nodes[1].ask([1], 'double', {'of': 21})).values == {}


async def test_who_is_not_heard_of_in_time_is_silent(wires):
    wires.cut = {3}
    answers = await wires.nodes[1].ask([2, 3], 'double', {'of': 21}, SOON_S)
    assert (answers.values, answers.silent) == ({2: {'is': 42}}, {3})


async def test_without_redis_everybody_is_silent_at_once(wires):
    asking = wires.nodes[1]
    wires.nodes = {}
    answers = await asking.ask([2, 3], 'double', {'of': 21}, 60)
    assert (answers.values, answers.silent) == ({}, {2, 3})


async def test_who_cannot_answer_says_so_at_once_and_counts_as_silent(wires):
    async def broken(arguments):
        raise RuntimeError('broken')

    asking, other = wires.nodes[1], wires.nodes[2]
    other.handlers['broken'] = broken
    for what in ('unknown', 'broken'):
        assert (await asking.ask([2], what, {}, 60)).silent == {2}
    other.handlers['double'] = broken_arguments
    assert (await asking.ask([2], 'double', {}, 60)).silent == {2}
    wires.add(2)
    wires.is_fenced = True
    assert (await asking.ask([2], 'double', {'of': 1}, 60)).silent == {2}
    wires.is_fenced = False
    wires.nodes[2].answers_now = False
    assert (await asking.ask([2], 'double', {'of': 1}, 60)).silent == {2}


async def broken_arguments(arguments):
    raise ValueError('none that I understand')


async def test_work_on_a_question_ends_before_the_asker_gives_up(wires):
    begun = asyncio.Event()
    ended = []

    async def long(arguments):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    wires.nodes[2].handlers['long'] = long
    assert (await wires.nodes[1].ask([2], 'long', {}, 1.5)).silent == {2}
    assert (begun.is_set(), ended) == (True, [True])


@pytest.mark.parametrize(
    'octets',
    [
        b'',
        b'{}',
        b'[1]',
        b'\xff',
        b'{"id":1,"asker":1,"what":7}',
        b'{"id":1,"node":2,"value":' + b'[' * 2_000,
        b' ' * (MAX_OCTETS + 1),
    ],
    ids=['nothing', 'empty', 'list', 'no text', 'no name', 'deep', 'long'],
)
async def test_what_is_no_question_and_no_answer_is_passed_over(wires, octets):
    asking = wires.nodes[1]
    asking.handle_question(octets)
    asking.handle_answer(octets)
    asking.handle_answer(msgspec.json.encode(Answer(5, 2, 'of a question that nobody asked')))
    assert (await asking.ask([2], 'double', {'of': 2})).values == {2: {'is': 4}}


async def test_questions_are_bounded(wires):
    said = []

    def publish(kind, node, octets):
        said.append(msgspec.json.decode(octets, type=Answer))
        return True

    asking = Asking(1, publish)
    asking.answers_now = True
    asking.handlers['wait'] = lambda arguments: asyncio.Event().wait()
    for number in range(MAX_UNDER_WAY + 1):
        asking.handle_question(msgspec.json.encode(Question(number, 2, 'wait')))
    assert [answer.error for answer in said] == ['too many questions']
    assert (await asking.ask([2], 'double', {'text': 'x' * MAX_OCTETS})).silent == {2}
    await asking.stop()
