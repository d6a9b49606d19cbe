"""Several nodes of one product, each a process, for tests: the same configuration, one store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.product.database import Databases
from tests.product.plugin import end
from tests.product.running import Spawned, merged

DEAD_S = 2.0


@pytest.fixture
async def nodes(databases: Databases, tmp_path: Any) -> AsyncIterator[Callable[..., Awaitable[list[Spawned]]]]:
    """Starts nodes: `first, second = await nodes(2, upstreams={...})`; each has a port of its own."""
    made: list[Spawned] = []

    async def start(count: int, start: bool = True, **tree: Any) -> list[Spawned]:
        database = await databases.create()
        for number in range(1, count + 1):
            folder = tmp_path / f'node{number}'
            folder.mkdir()
            own = merged({'node': number, 'cluster': {'dead_s': DEAD_S}}, tree)
            made.append(Spawned(folder, databases, database, databases.dsn(database), own))
        for node in made if start else ():
            await node.start()
        return made

    yield start
    for node in made[1:]:
        await node.stop()
    await end(made[:1], databases)
