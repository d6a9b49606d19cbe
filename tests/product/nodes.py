"""Several nodes of one product, each a process, for tests: the same configuration, one store."""

import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis

from tests.product.database import Databases
from tests.product.plugin import end
from tests.product.running import Spawned, free_port, merged
from tests.product.waiting import STEP_S, TIMEOUT_S

DEAD_S = 2.0


class RedisServer:
    """A Redis of the tests' own, which keeps nothing on disk."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f'redis://127.0.0.1:{self.port}/0'
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Runs until it listens."""
        self.process = subprocess.Popen(
            ['redis-server', '--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
            stdout=subprocess.DEVNULL,
        )
        give_up_at = time.monotonic() + TIMEOUT_S
        while not self._listens():
            assert time.monotonic() < give_up_at
            time.sleep(STEP_S)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    def stop(self) -> None:
        """Ends it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope='session')
def shared_redis() -> Iterator[RedisServer]:
    """The Redis that clusters share, each by its name."""
    if shutil.which('redis-server') is None:
        pytest.skip('needs redis-server: apt-get install redis-server')
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope='session')
def redis_connection(shared_redis: RedisServer) -> Iterator[redis.Redis]:
    """A connection to it, for what asks scripts directly."""
    with redis.Redis.from_url(shared_redis.url) as connection:
        yield connection


@pytest.fixture
async def nodes(
    databases: Databases, shared_redis: RedisServer, tmp_path: Any
) -> AsyncIterator[Callable[..., Awaitable[list[Spawned]]]]:
    """Starts nodes: `first, second = await nodes(2, upstreams={...})`; each has a port of its own, and, unless the
    upstreams say otherwise, all links of its own.
    """
    made: list[Spawned] = []

    async def start(count: int, start: bool = True, **tree: Any) -> list[Spawned]:
        database, name = await databases.create(), uuid.uuid4().hex
        for number in range(1, count + 1):
            folder = tmp_path / f'node{number}'
            folder.mkdir()
            cluster = {'dead_s': DEAD_S, 'name': name}
            each = {name: {'links_per_node': True} for name in tree.get('upstreams', {})}
            usual = {'node': number, 'cluster': cluster, 'store': {'redis': shared_redis.url}, 'upstreams': each}
            own = merged(usual, tree)
            made.append(Spawned(folder, databases, database, databases.dsn(database), own))
        for node in made if start else ():
            await node.start()
        return made

    yield start
    for node in made[1:]:
        await node.stop()
    await end(made[:1], databases)


@pytest.fixture
def own_redis(shared_redis: RedisServer) -> Iterator[RedisServer]:
    """A Redis that a test may stop and start."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()
