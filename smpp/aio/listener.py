"""Listens for ESMEs: every connection gets a session of ours (the SMSC side) and an owner of its own."""

import asyncio
from collections.abc import Callable

from smpp.aio.connection import Connection, Owner
from smpp.session import Session, SessionSettings
from smpp.states import Role


class Listener:
    """A listening socket and the connections that came in through it."""

    def __init__(self, make_owner: Callable[[], Owner], settings: SessionSettings) -> None:
        self.make_owner = make_owner
        self.settings = settings
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on `host`:`port` (0 = any free port); return the port. Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, port, backlog=1024, reuse_address=True)
        port_taken: int = self._server.sockets[0].getsockname()[1]
        return port_taken

    def _accept(self) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(Session(Role.SMSC, self.settings, loop.time()), self.make_owner(), loop)
        self.connections.add(connection)
        connection.closed.add_done_callback(lambda _: self.connections.discard(connection))
        return connection

    def tick(self, now: float) -> None:
        """Let every connection do what is due."""
        for connection in list(self.connections):
            connection.tick(now)

    def stop_listening(self) -> None:
        """Take no new connections; those that are there stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
