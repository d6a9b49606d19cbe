"""The HTTP port under many connections: it takes a bounded number, says so, and lets idle ones go."""

import asyncio

import pytest
from litestar import Litestar, get

from smsc.http import CONNECTIONS, HttpServer
from tests.product.running import free_port
from tests.product.waiting import TIMEOUT_S


@get('/health/live')
async def live() -> dict[str, str]:
    return {'status': 'alive'}


@pytest.fixture
async def port():
    """The port of a server that runs for the test."""
    port = free_port()
    server = HttpServer(Litestar([live], openapi_config=None, logging_config=None), '127.0.0.1', port)
    await server.start()
    yield port
    await server.stop()


async def status_line(port):
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    try:
        writer.write(b'GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n')
        async with asyncio.timeout(TIMEOUT_S):
            return (await reader.readline()).split()[1]
    finally:
        writer.transport.abort()


async def test_more_connections_than_the_bound_are_told_that_it_is_too_many(port):
    assert await status_line(port) == b'200'
    idle = [await asyncio.open_connection('127.0.0.1', port) for _ in range(CONNECTIONS)]
    assert await status_line(port) == b'503'
    for _, writer in idle:
        writer.transport.abort()
    async with asyncio.timeout(TIMEOUT_S):
        while await status_line(port) != b'200':
            pass
