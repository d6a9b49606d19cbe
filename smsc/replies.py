"""What an ESME is answered once its message is committed, or is not: one response a request (wire.md C3).

A message carries its `Reply` while it gathers. What repeats a message that is not committed yet waits here for the
answer to that one.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from domain.message import Message
from pdu.fields import DistributionList, SmeAddress, UnsuccessSme
from pdu.pdus import DataSmResp, Pdu, SubmitMultiResp, SubmitSmResp
from pdu.tlvs import Tag
from smpp.aio.connection import Connection
from smpp.versions import SMPP_5_0
from smsc.message_ids import format_message_id

if TYPE_CHECKING:
    from smsc.core import Core

MOST_CONGESTED = 99  # congestion_state in percent as long as messages are accepted, SMPP 5.0 section 4.8.4.18


class MultiReply:
    """The response to a submit_multi, which is due once each of its messages is committed, or is not."""

    __slots__ = ('_left', '_messages', '_refused', 'held', 'response')

    def __init__(self, response: SubmitMultiResp, messages: int, held: int) -> None:
        """`held` slots of the window are free again with the response."""
        self.response = response
        self.held = held
        self._left = self._messages = messages
        self._refused = 0

    def accept(self) -> SubmitMultiResp | None:
        """One message is settled; return the response with the last one."""
        self._left -= 1
        return None if self._left else self.response

    def refuse(self, destination: tuple[int, int, bytes], status: int) -> SubmitMultiResp | None:
        """The same for a message that was not accepted."""
        self.response.unsuccess_sme = (*self.response.unsuccess_sme, UnsuccessSme(*destination, status))
        self._refused += 1
        if self._refused == self._messages:
            self.response.command_status, self.response.message_id = status, b''
        return self.accept()


Reply = tuple[Connection, SubmitSmResp | DataSmResp | MultiReply, int]
"""Where the response goes, the response, and how many slots of the window its request holds beside its own."""


class Echo(msgspec.Struct, frozen=True):
    """A request that repeats a message: it is answered as that one is."""

    connection: Connection
    response: SubmitSmResp | DataSmResp | SubmitMultiResp
    held: int


class Replies:
    """Gives the answers. `congestion` tells in percent how much of what may gather does."""

    def __init__(self, core: 'Core', congestion: Callable[[], int]) -> None:
        self.core = core
        self.held = 0  # segments beyond the first of each message that gathers
        self._congestion = congestion
        self._echoes: dict[int, list[Echo]] = {}

    def accept(self, messages: list[Message]) -> set[Connection]:
        """Answer messages that are committed; return their connections, to be flushed."""
        touched: set[Connection] = set()
        for message in messages:
            connection, response, held = message.reply
            message.reply = None
            if response.__class__ is MultiReply:
                self.respond(connection, response.accept(), held)
            elif held or connection.session.peer_version >= SMPP_5_0:
                self.respond(connection, response, held)
            else:
                connection.session.respond(response)
            touched.add(connection)
            if self._echoes and message.id in self._echoes:
                self._answer_echoes(message.id, 0)
        return touched

    def refuse(self, message: Message, status: int) -> Connection:
        """Answer a message that was admitted and is not accepted; return its connection, to be flushed."""
        reply: Reply = message.reply
        connection, response, held = reply
        message.reply = None
        asked = message.asked or message.pdu
        self.core.account(message.account).answers[status] += 1
        if message.facts is not None:
            self.core.decider.forget(message.facts)
            self.core.joining.forget(message.facts, asked)
            message.facts = None
        answer: Any = response
        if isinstance(response, MultiReply):
            answer = response.refuse((asked.dest_addr_ton, asked.dest_addr_npi, asked.destination_addr), status)
        else:
            answer.command_status, answer.message_id = status, b''
        self.respond(connection, answer, held)
        if message.id in self._echoes:
            self._answer_echoes(message.id, status)
        return connection

    def respond(self, connection: Connection, response: Pdu | None, held: int) -> None:
        """Send a response, if it is due, and give back what its request holds."""
        if response is None:
            return
        session = connection.session
        if held:
            self.held -= held
            session.free(held)
        if session.peer_version >= SMPP_5_0:
            congestion = min(MOST_CONGESTED, self._congestion())  # wire.md F24
            response.tlvs = ((int(Tag.CONGESTION_STATE), bytes([congestion])),)  # type: ignore[attr-defined]
        session.respond(response)

    def echo(self, first_id: int, account: str, echo: Echo) -> None:
        """Answer a request that repeats the message `first_id`: with its id, once that is committed (wire.md C33).

        One that waits for no answer is committed: duplicates of what is not accepted are forgotten before that is told.
        """
        config = self.core.account(account).config
        echo.response.message_id = format_message_id(first_id, config) if config else b''
        self.held += echo.held
        first = self.core.live.get(first_id)
        if first is not None and first.reply is not None:
            self._echoes.setdefault(first_id, []).append(echo)
        else:
            self.respond(echo.connection, echo.response, echo.held)

    def answer_replaced(self, message: Message, shown_id: bytes) -> None:
        """A message has given its text to a queued one, and is none of its own: what repeats it has the id of that."""
        echoes = self._echoes.get(message.id, [])
        for echo in echoes:
            echo.response.message_id = shown_id
        if echoes:
            self._answer_echoes(message.id, 0)

    def _answer_echoes(self, first_id: int, status: int) -> None:
        for echo in self._echoes.pop(first_id):
            if status:
                echo.response.command_status, echo.response.message_id = status, b''
            self.respond(echo.connection, echo.response, echo.held)
            echo.connection.flush()


def unsuccess(destination: SmeAddress | DistributionList, status: int) -> UnsuccessSme:
    """Return how a submit_multi_resp tells of a destination that was not accepted (SMPP 3.4 section 5.2.26)."""
    if isinstance(destination, DistributionList):
        return UnsuccessSme(0, 0, destination.dl_name, status)
    return UnsuccessSme(destination.dest_addr_ton, destination.dest_addr_npi, destination.destination_addr, status)
