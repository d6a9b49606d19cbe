"""The owner of one ESME's connection: authenticates its bind, admits what it submits, gives it what its account is
owed.
"""

from typing import TYPE_CHECKING, Any

import structlog

from domain.message import Message
from pdu.command import CommandId
from pdu.pdus import Bind, Pdu, SubmitSm
from pdu.status import CommandStatus, status_name
from smpp.aio.connection import Connection
from smpp.states import BOUND, State
from smsc.account import Account
from smsc.clock import wall_ms
from smsc.core import Core

if TYPE_CHECKING:
    from smsc.binds import Authenticator
    from smsc.ingress import Ingress

log = structlog.get_logger()
NOT_SUPPORTED = {
    int(CommandId.QUERY_SM): CommandStatus.ESME_RQUERYFAIL,
    int(CommandId.CANCEL_SM): CommandStatus.ESME_RCANCELFAIL,
    int(CommandId.REPLACE_SM): CommandStatus.ESME_RREPLACEFAIL,
    int(CommandId.SUBMIT_MULTI): CommandStatus.ESME_RINVCMDID,
    int(CommandId.DATA_SM): CommandStatus.ESME_RINVCMDID,
}


class EsmeSession:
    """One connection from an ESME, from connect to close."""

    def __init__(self, core: Core, ingress: 'Ingress', authenticator: 'Authenticator') -> None:
        self.core = core
        self.account: Account | None = None
        self.connection: Connection | None = None
        self.submitted = 0
        self._ingress = ingress
        self._authenticator = authenticator

    def handle_opened(self, connection: Connection) -> None:
        self.connection = connection

    def handle_requests(self, connection: Connection, requests: list[Pdu]) -> None:
        account = self.account
        submits: list[SubmitSm] = []
        for pdu in requests:
            if pdu.__class__ is SubmitSm:
                submits.append(pdu)
            elif isinstance(pdu, Bind):
                self.core.add_task(self._bind(connection, pdu), 'bind')
            else:
                connection.session.refuse(pdu, NOT_SUPPORTED[pdu.command_id])
        if connection.session.throttled:
            self._count_throttled(connection)
        if submits:
            assert account is not None
            self.submitted += len(submits)
            self._ingress.handle_submits(connection, account, submits, wall_ms())

    def _count_throttled(self, connection: Connection) -> None:
        """Count what the session refused by itself, beyond its window."""
        if self.account is not None:
            self.account.answers[int(CommandStatus.ESME_RTHROTTLED)] += connection.session.throttled
        connection.session.throttled = 0

    async def _bind(self, connection: Connection, bind: Bind) -> None:
        """Answer a bind; the check may take a password hash's time, and any error in it refuses (wire.md B5)."""
        session = connection.session
        status = int(CommandStatus.ESME_RBINDFAIL)
        account = None
        try:
            account, status = await self._authenticator.check(
                bind, connection.peer_address, lambda: session.state is State.BINDING
            )
        except Exception:
            log.exception('bind.error', peer=connection.peer_address)
        if session.state is not State.BINDING:
            return
        system_id = bind.system_id.decode('latin-1')
        if account is None or status:
            log.warning('bind.refused', peer=connection.peer_address, system_id=system_id, status=status_name(status))
            session.refuse_bind(status)
        else:
            log.info('bind.accepted', peer=connection.peer_address, system_id=system_id, account=account.name)
            self._enter(connection, account)
        connection.flush()
        if self.account is not None:
            self.account.feed.pump()

    def _enter(self, connection: Connection, account: Account) -> None:
        assert account.config is not None
        session = connection.session
        self.account = account
        account.sessions.add(self)
        session.window.size = session.receive_window = account.config.window
        session.accept_bind(self.core.configuration.smpp.system_id.encode())
        account.feed.add(connection)

    def handle_responses(self, connection: Connection, responses: list[tuple[Any, Pdu]]) -> None:
        if self.account is not None:
            self.account.handle_responses(connection, responses)

    def handle_expired(self, connection: Connection, contexts: list[Message]) -> None:
        if self.account is not None:
            self.account.handle_unanswered(connection, contexts)

    def handle_state(self, connection: Connection) -> None:
        if self.account is None:
            return
        if connection.session.state in BOUND:
            self.account.feed.pump()
        else:
            self.account.feed.remove(connection)

    def handle_closed(self, connection: Connection, lost: list[Message]) -> None:
        account = self.account
        if account is None:
            return
        log.info(
            'session.closed', account=account.name, peer=connection.peer_address, reason=connection.session.close_reason
        )
        self._count_throttled(connection)
        account.sessions.discard(self)
        account.feed.remove(connection)
        if lost:
            account.handle_unanswered(connection, lost)
