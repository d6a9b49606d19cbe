"""A store on the shared PostgreSQL: each test has a database of its own, with the partitions from NOW_MS on."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from storage.store import Store
from tests.breaking import BreakingProxy
from tests.domain.messages import NOW_MS
from tests.product.database import Databases
from tests.product.waiting import until_async

Sql = asyncpg.Connection


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[dict[str, Any]]:
    """What asyncpg.connect needs for a database with the product's schema."""
    name = await databases.create_fresh()
    yield databases.arguments(name)
    await databases.destroy(name)


@pytest.fixture
async def sql(database: dict[str, Any]) -> AsyncIterator[Sql]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(**database)
    yield connection
    await connection.close()


@pytest.fixture
async def store(database: dict[str, Any]) -> AsyncIterator[Store]:
    """The store as the server opens it."""
    opened = Store(database, node=0)
    await opened.open(NOW_MS)
    yield opened
    await opened.close()


@pytest.fixture
async def proxy(databases: Databases) -> AsyncIterator[BreakingProxy]:
    """A line to PostgreSQL that can be broken."""
    async with BreakingProxy(databases.socket) as proxy:
        yield proxy


@pytest.fixture
async def frail_store(database: dict[str, Any], proxy: BreakingProxy) -> AsyncIterator[Store]:
    """A store whose connections go by way of `proxy`."""
    opened = Store({**database, 'host': '127.0.0.1', 'port': proxy.port, 'ssl': False}, node=0)
    await opened.open(NOW_MS)
    yield opened
    await opened.close()


async def eventually(sql: Sql, question: str, *arguments: object) -> Any:
    """Ask until the answer is true."""
    return await until_async(lambda: sql.fetchval(question, *arguments))
