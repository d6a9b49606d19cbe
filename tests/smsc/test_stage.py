"""Group commit: batches grow while a commit is in flight, and what cannot be stored harms nothing else."""

import asyncio

import pytest

from smsc.stage import Stage


class Commits:
    """A commit that waits until it is let through, and notes what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.done: list[tuple[list[int], int]] = []
        self.abandoned: list[int] = []
        self.poison: set[int] = set()
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, batch: list[int]) -> int:
        self.batches.append(batch)
        self.started.set()
        await self.gate.wait()
        if self.poison.intersection(batch):
            raise ValueError('this cannot be stored')
        return sum(batch)

    def handle_done(self, batch: list[int], result: int) -> None:
        self.done.append((batch, result))

    def abandon(self, batch: list[int]) -> None:
        self.abandoned += batch


@pytest.fixture
async def commits():
    return Commits()


@pytest.fixture
async def stage(commits):
    stage = Stage('test', commits.commit, commits.handle_done, commits.abandon, bound=5)
    stage.start()
    yield stage
    await stage.stop()


def add(stage, *items):
    stage.items.extend(items)
    stage.kick()


async def test_an_item_is_committed_at_once_when_nothing_is_in_flight(stage, commits):
    add(stage, 1)
    await stage.drain()
    assert commits.done == [([1], 1)]
    assert (stage.commits, stage.committed, stage.load) == (1, 1, 0)


async def test_what_comes_while_a_commit_is_in_flight_goes_with_the_next(stage, commits):
    commits.gate.clear()
    add(stage, 1)
    await commits.started.wait()
    for item in (2, 3, 4):
        add(stage, item)
    assert stage.load == 4
    assert commits.done == []
    commits.gate.set()
    await stage.drain()
    assert commits.done == [([1], 1), ([2, 3, 4], 9)]


async def test_a_stage_is_full_at_its_bound_and_says_when_there_is_room(stage, commits):
    room = []
    stage.on_room = lambda: room.append(stage.full)
    commits.gate.clear()
    add(stage, 0)
    await commits.started.wait()
    add(stage, 1, 2, 3, 4)
    assert not stage.full
    add(stage, 5)
    assert stage.full
    commits.gate.set()
    await stage.drain()
    assert room == [False, False]
    assert not stage.full


async def test_drain_waits_for_what_is_in_flight_and_for_what_was_not_kicked(stage, commits):
    commits.gate.clear()
    add(stage, 1)
    await commits.started.wait()
    stage.items.append(2)
    draining = asyncio.create_task(stage.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    commits.gate.set()
    await draining
    assert [batch for batch, _ in commits.done] == [[1], [2]]


async def test_to_catch_up_does_not_wait_for_what_comes_meanwhile(commits):
    async def commit(batch):
        await asyncio.sleep(0)
        return await commits.commit(batch)

    def add_more(batch, result):
        commits.handle_done(batch, result)
        busy.items.append(0)

    busy: Stage[int, int] = Stage('busy', commit, add_more, commits.abandon, bound=5)
    busy.start()
    add(busy, 1)
    await commits.started.wait()
    add(busy, 2, 3)
    await asyncio.wait_for(busy.catch_up(), 60)
    assert {1, 2, 3} <= {item for batch, _ in commits.done for item in batch}
    assert busy.load
    await busy.stop()


async def test_to_catch_up_waits_for_what_was_set_aside_and_not_on_an_idle_stage(stage, commits):
    await stage.catch_up()
    commits.poison = {2}
    stage.items.extend((1, 2))
    await asyncio.wait_for(stage.catch_up(), 60)
    assert commits.abandoned == [2]


async def test_drain_of_an_idle_stage_returns(stage):
    await stage.drain()
    assert stage.commits == 0


async def test_an_item_that_cannot_be_stored_is_set_aside_and_the_others_go_on(stage, commits):
    commits.poison = {2}
    add(stage, 1, 2, 3)
    await stage.drain()
    assert commits.batches == [[1, 2, 3], [1], [2], [3]]
    assert commits.done == [([1], 1), ([3], 3)]
    assert commits.abandoned == [2]
    assert stage.failed == 1
    add(stage, 4)
    await stage.drain()
    assert commits.done[-1] == ([4], 4)


@pytest.mark.parametrize('where', ['done', 'abandon', 'on_room'])
async def test_an_error_in_what_follows_a_commit_does_not_stop_the_stage(commits, where):
    def broken(*_):
        raise RuntimeError('a bug')

    commits.poison = {1}
    stage = Stage(
        'test',
        commits.commit,
        broken if where == 'done' else commits.handle_done,
        broken if where == 'abandon' else commits.abandon,
        bound=5,
    )
    if where == 'on_room':
        stage.on_room = broken
    stage.start()
    add(stage, 1)
    await stage.drain()
    add(stage, 2)
    await stage.drain()
    assert commits.batches == [[1], [2]]
    assert stage.failed > 1 or where == 'abandon'
    await stage.stop()


async def test_stop_ends_a_commit_that_hangs(stage, commits):
    commits.gate.clear()
    add(stage, 1)
    await commits.started.wait()
    await stage.stop()
    assert commits.done == []
