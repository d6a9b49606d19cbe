"""Who is let in: as many connections as the limits say, of one address and in total; the rest cost next to nothing."""

import asyncio
import resource

import pytest
from structlog.testing import capture_logs

from smpp.aio.listener import ConnectionLimits, raise_open_files
from smpp.session import SessionSettings
from tests.smpp.aio.owner import TIMEOUT_S, Owner


async def open_from(address, port):
    return await asyncio.open_connection('127.0.0.1', port, local_addr=(address, 0))


async def closed_by_peer(reader):
    async with asyncio.timeout(TIMEOUT_S):
        try:
            return await reader.read() == b''
        except ConnectionResetError:
            return True


@pytest.fixture
async def writers():
    """Sockets of a test, closed at its end."""
    found: list[asyncio.StreamWriter] = []
    yield found
    for writer in found:
        writer.transport.abort()


@pytest.mark.parametrize(
    ('limits', 'limit'),
    [
        (ConnectionLimits(total=2), 'max_connections'),
        (ConnectionLimits(per_address=2), 'max_connections_per_address'),
    ],
)
async def test_connections_beyond_a_limit_are_closed_counted_and_logged_once(sockets, writers, limits, limit):
    smsc = await sockets.smsc()
    smsc.listener.limits = limits
    _, theirs = await sockets.esme(smsc.port)
    await sockets.esme(smsc.port)
    with capture_logs() as logs:
        for _ in range(3):
            reader, writer = await open_from('127.0.0.1', smsc.port)
            writers.append(writer)
            assert await closed_by_peer(reader)
    assert smsc.listener.refused == 3
    assert len(smsc.owners) == len(smsc.listener.connections) == 2
    refusals = [entry for entry in logs if entry['event'] == 'listener.refused']
    assert [(entry['peer'], entry['limit']) for entry in refusals] == [('127.0.0.1', limit)]
    theirs.abort()
    await smsc.owners[0].until(lambda: smsc.owners[0].lost is not None)
    await smsc.owners[0].connection.closed
    await asyncio.sleep(0)
    _, again = await sockets.esme(smsc.port)
    assert not again.closed.done()
    assert len(smsc.listener.connections) == 2


async def test_the_limit_of_one_address_leaves_room_for_others(sockets, writers):
    smsc = await sockets.smsc()
    smsc.listener.limits = ConnectionLimits(per_address=1)
    await sockets.esme(smsc.port)
    reader, writer = await open_from('127.0.0.2', smsc.port)
    writers.append(writer)
    writer.write(bytes.fromhex('00000010 00000015 00000000 00000001'))
    async with asyncio.timeout(TIMEOUT_S):
        assert (await reader.readexactly(16))[4:8] == bytes.fromhex('80000015')
    assert smsc.listener.refused == 0


async def test_per_address_0_is_any_number(sockets):
    smsc = await sockets.smsc()
    smsc.listener.limits = ConnectionLimits(per_address=0)
    for _ in range(3):
        await sockets.esme(smsc.port)
    assert smsc.listener.refused == 0


async def test_an_owner_that_cannot_be_made_closes_only_its_socket(sockets, writers):
    def broken():
        raise RuntimeError('a bug')

    smsc = await sockets.smsc(SessionSettings(), broken)
    reader, writer = await open_from('127.0.0.1', smsc.port)
    writers.append(writer)
    assert await closed_by_peer(reader)
    smsc._make_owner = Owner
    await sockets.esme(smsc.port)
    assert len(smsc.listener.connections) == 1


async def test_listening_raises_the_limit_of_open_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    try:
        raise_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
