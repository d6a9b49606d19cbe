"""Sockets of both kinds on 127.0.0.1, closed when the test ends."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from pdu.pdus import BindTransceiver
from smpp.aio.connection import Connection
from smpp.aio.listener import Listener
from smpp.session import SMPP_3_4, Session, SessionSettings
from smpp.states import BOUND, Role
from tests.smpp.aio.owner import TIMEOUT_S, Owner

DEFAULT = SessionSettings()


class Smsc:
    """A listener whose connections each have an owner, kept in the order they came."""

    def __init__(self, settings: SessionSettings, make_owner: Callable[[], Owner] = Owner) -> None:
        self.owners: list[Owner] = []
        self.listener = Listener(self._make, settings)
        self.port = 0
        self._make_owner = make_owner

    def _make(self) -> Owner:
        owner = self._make_owner()
        self.owners.append(owner)
        return owner


class Sockets:
    """Makes SMSCs and ESMEs."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._connections: list[Connection] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def smsc(self, settings: SessionSettings = DEFAULT, make_owner: Callable[[], Owner] = Owner) -> Smsc:
        smsc = Smsc(settings, make_owner)
        self._listeners.append(smsc.listener)
        smsc.port = await smsc.listener.start('127.0.0.1', 0)
        return smsc

    async def esme(
        self, port: int, settings: SessionSettings = DEFAULT, owner: Owner | None = None
    ) -> tuple[Owner, Connection]:
        """An ESME that is bound as a transceiver."""
        owner = owner or Owner()
        loop = asyncio.get_running_loop()
        connection = Connection(Session(Role.ESME, settings, loop.time()), owner, loop)
        await loop.create_connection(lambda: connection, '127.0.0.1', port)
        self._connections.append(connection)
        connection.session.begin_bind(BindTransceiver(system_id=b'shop', interface_version=SMPP_3_4))
        connection.flush()
        await owner.until(lambda: connection.session.state in BOUND or connection.closed.done())
        return owner, connection

    async def plain(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A socket that speaks no SMPP by itself, and takes little that is not read."""
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, ('127.0.0.1', port))
        reader, writer = await asyncio.open_connection(sock=plain, limit=1 << 12)
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for listener in self._listeners:
            listener.stop_listening()
            self._connections += listener.connections
        for connection in self._connections:
            connection.abort()
            async with asyncio.timeout(TIMEOUT_S):
                await connection.closed


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    made = Sockets()
    yield made
    await made.close()
