"""Operators and peers that are stopped with the test that wanted them."""

import asyncio

import pytest

from perf.load import Load, LoadSettings
from perf.operator import Operator, OperatorSettings
from tests.perf.peer import TIMEOUT_S, Peer


@pytest.fixture
async def start_operator():
    """Starts an operator with a ledger; gives it with its port as `port`."""
    operators = []

    async def start(**settings):
        operator = Operator(OperatorSettings(**{'ledger': True} | settings))
        operators.append(operator)
        return operator, await operator.start()

    yield start
    for operator in operators:
        await operator.stop()


@pytest.fixture
async def connect():
    """Connects a peer; `bind=None` leaves it unbound."""
    peers = []

    async def connect(port, **how):
        peer = await (Peer.connect(port) if how.get('bind', True) is None else Peer.bound(port, **how))
        peers.append(peer)
        return peer

    yield connect
    for peer in peers:
        await peer.close()


@pytest.fixture
def run_load():
    """Runs a small load on a port and returns its result."""

    async def run(port, **settings):
        small = {'port': port, 'binds': 3, 'window': 10, 'messages': 300, 'reconnect_s': 0.01}
        async with asyncio.timeout(TIMEOUT_S):
            return await Load(LoadSettings(**small | settings)).run()

    return run


@pytest.fixture
def until():
    """Waits, turn by turn of the loop, until something is so."""

    async def until(is_so):
        async with asyncio.timeout(TIMEOUT_S):
            while not is_so():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.001)

    return until
