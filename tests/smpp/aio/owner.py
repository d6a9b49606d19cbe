"""An owner that binds whoever asks, answers whatever it is told to, and notes all it hears."""

import asyncio
from collections.abc import Callable
from typing import Any

from pdu.command import RESPONSE
from pdu.pdus import CLASSES, Bind, Pdu
from smpp.aio.connection import Connection

TIMEOUT_S = 60.0


class Owner:
    def __init__(self) -> None:
        self.connection: Any = None
        self.opened = 0
        self.requests: list[Pdu] = []
        self.responses: list[tuple[Any, Pdu]] = []
        self.expired: list[Any] = []
        self.late: list[tuple[Any, Pdu]] = []
        self.states: list[str] = []
        self.lost: list[Any] | None = None
        self.answering = True
        self.bind_status = 0
        self.raising: set[str] = set()
        self._changed = asyncio.Event()

    def handle_opened(self, connection: Connection) -> None:
        self.connection = connection
        self.opened += 1
        self._note('opened')

    def handle_requests(self, connection: Connection, requests: list[Pdu]) -> None:
        for pdu in requests:
            if isinstance(pdu, Bind):
                if self.bind_status:
                    connection.session.refuse_bind(self.bind_status)
                else:
                    connection.session.accept_bind(b'smsc')
                continue
            self.requests.append(pdu)
            if self.answering:
                connection.session.respond(CLASSES[pdu.command_id | RESPONSE](pdu.sequence_number))
        self._note('requests')

    def handle_responses(self, connection: Connection, responses: list[tuple[Any, Pdu]]) -> None:
        self.responses += responses
        connection.session.window.release(len(responses))
        self._note('responses')

    def handle_expired(self, connection: Connection, contexts: list[Any]) -> None:
        self.expired += contexts
        connection.session.window.release(len(contexts))
        self._note('expired')

    def handle_late(self, connection: Connection, late: list[tuple[Any, Pdu]]) -> None:
        self.late += late
        self._note('late')

    def handle_state(self, connection: Connection) -> None:
        self.states.append(connection.session.state.value)
        self._note('state')

    def handle_closed(self, connection: Connection, lost: list[Any]) -> None:
        self.lost = lost
        self._note('closed')

    def _note(self, what: str) -> None:
        self._changed.set()
        if what in self.raising:
            raise RuntimeError(f'a bug in handle_{what}')

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, looking again whenever the owner hears of something."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
