"""What the tests with independent peers share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from perf.operator import Operator
from tests.peers.node_smpp import NodePeer, installed
from tests.product.peers import Smsc
from tests.product.running import Inside, account, everywhere_bound, free_port, upstream

MO = [{'name': 'bank', 'when': {'destination': '7495*'}, 'account': 'bank'}]


@pytest.fixture
async def simulated(product: Any, start_operator: Any) -> tuple[Inside, Operator]:
    """A product with a simulated operator, for many messages."""
    port = free_port()
    operator = await start_operator(port)
    found = await product(upstreams={'mts': upstream(port)})
    await found.links_bound('mts')
    return found, operator


@pytest.fixture
async def scripted(product: Any, start_smsc: Any) -> tuple[Inside, Smsc]:
    """A product with a scripted operator, whose MO messages go to the account `bank`."""
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account()}, mo=MO)
    await everywhere_bound(smsc)
    return found, smsc


@pytest.fixture(scope='session')
def node_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where node finds node-smpp."""
    return installed(tmp_path_factory.mktemp('node'))


@pytest.fixture
async def node(node_path: Path, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[NodePeer]]]:
    """Starts node-smpp: `await node('esme', port, 'bank', PASSWORD)`."""
    made: list[NodePeer] = []

    async def start(*arguments: Any) -> NodePeer:
        made.append(await NodePeer.start(node_path, tmp_path / f'node{len(made)}.log', *map(str, arguments)))
        return made[-1]

    yield start
    for peer in made:
        await peer.leave()
