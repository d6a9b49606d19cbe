"""Fixtures of whole products and their peers. Everything is stopped with the test, and every ledger must add up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop

from pdu import pdus
from perf.operator import Operator, OperatorSettings
from tests.product.database import BreakingProxy, Databases
from tests.product.forking import forking
from tests.product.peers import Esme, Smsc
from tests.product.running import PASSWORD, Inside, Product, Spawned, free_port

pytest_plugins = ['tests.product.shared_process', 'tests.product.stores']


@pytest.fixture(scope='session', autouse=True)
def forking_ends() -> Iterator[None]:
    """Ends the process that forks those of the product."""
    yield
    forking.stop()


@pytest.fixture(scope='session')
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The PostgreSQL that all products share."""
    loop = uvloop.new_event_loop()
    found = loop.run_until_complete(Databases.start(tmp_path_factory.mktemp('postgres') / 'data'))
    yield found
    loop.run_until_complete(found.stop())
    loop.close()


@pytest.fixture
async def product(databases: Databases, tmp_path: Any) -> AsyncIterator[Callable[..., Awaitable[Inside]]]:
    """Starts a product in this loop: `await product(upstreams={...}, accounts={...})`; keys are the configuration's.

    `start=False` only configures it, `dsn` names another way to its database.
    """
    made: list[Inside] = []

    async def start(dsn: Callable[[str], str] = databases.dsn, start: bool = True, **tree: Any) -> Inside:
        folder = tmp_path / f'product{len(made)}'
        folder.mkdir()
        database = await databases.create()
        found = Inside(folder, databases, database, dsn(database), tree)
        made.append(found)
        if start:
            await found.start()
        return found

    yield start
    await end(made, databases)


@pytest.fixture
async def spawned(databases: Databases, tmp_path: Any) -> AsyncIterator[Callable[..., Awaitable[Spawned]]]:
    """Starts a product as a process."""
    made: list[Spawned] = []

    async def start(start: bool = True, **tree: Any) -> Spawned:
        folder = tmp_path / f'spawned{len(made)}'
        folder.mkdir()
        database = await databases.create()
        found = Spawned(folder, databases, database, databases.dsn(database), tree)
        made.append(found)
        if start:
            await found.start()
        return found

    yield start
    await end(made, databases)


async def end(made: list[Any], databases: Databases) -> None:
    """Stops products; their ledgers add up when they have stopped."""
    books = []
    for found in made:
        await found.stop()
        books.append(await found.ledger())
        await databases.drop(found.database)
    assert all(book.adds_up for book in books), books


@pytest.fixture
async def bind() -> AsyncIterator[Callable[..., Awaitable[Esme]]]:
    """Binds an ESME whose bind must be accepted: `await bind(product, 'bank')`."""
    peers: list[Esme] = []

    async def bind(
        product: Product,
        system_id: str = 'bank',
        bind: type[pdus.Bind] = pdus.BindTransceiver,
        password: str = PASSWORD,
        **more: Any,
    ) -> Esme:
        esme = await product.connect()
        peers.append(esme)
        response = await esme.bind(system_id, password, bind, **more)
        assert response.command_status == 0, hex(response.command_status)
        return esme

    yield bind
    for peer in peers:
        await peer.close()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Product], Awaitable[Esme]]]:
    """Connects an ESME that has not bound."""
    peers: list[Esme] = []

    async def connect(product: Product) -> Esme:
        peers.append(await product.connect())
        return peers[-1]

    yield connect
    for peer in peers:
        await peer.close()


@pytest.fixture
async def start_smsc() -> AsyncIterator[Callable[..., Awaitable[Smsc]]]:
    """Starts a scripted operator; with `start=False` only its port is known."""
    made: list[Smsc] = []

    async def start(port: int = 0, start: bool = True) -> Smsc:
        smsc = Smsc()
        smsc.port = port or free_port()
        made.append(smsc)
        return await smsc.start() if start else smsc

    yield start
    for smsc in made:
        await smsc.stop()


@pytest.fixture
async def start_operator() -> AsyncIterator[Callable[..., Awaitable[Operator]]]:
    """Starts a simulated operator on a port, for volume."""
    made: list[Operator] = []

    async def start(port: int, **settings: Any) -> Operator:
        operator = Operator(OperatorSettings(**settings))
        made.append(operator)
        await operator.start(port=port)
        return operator

    yield start
    for operator in made:
        await operator.stop()


@pytest.fixture
async def breaking(databases: Databases, tmp_path: Any) -> AsyncIterator[BreakingProxy]:
    """A way to the store that can be cut."""
    folder = tmp_path / 'socket'
    folder.mkdir()
    proxy = BreakingProxy(databases.socket, folder)
    await proxy.restore()
    yield proxy
    await proxy.cut()
    await asyncio.sleep(0)
