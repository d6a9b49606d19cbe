"""The owner of one ESME's connection: authenticates its bind, admits what it submits, gives it what its account is
owed.
"""

from typing import TYPE_CHECKING, Any

import structlog

from domain.message import Message
from pdu.pdus import Bind, CancelSm, DataSm, Outbind, Pdu, QuerySm, ReplaceSm, SubmitMulti, SubmitSm
from pdu.status import CommandStatus
from smpp.aio.connection import Connection
from smpp.states import BOUND, State
from smsc.account import Account
from smsc.binds import Authenticator, printable
from smsc.clock import wall_ms
from smsc.core import Core
from smsc.outbind import handle_outbind

if TYPE_CHECKING:
    from smsc.ingress import Ingress

log = structlog.get_logger()
SUBMITTING: frozenset[type[Pdu]] = frozenset({SubmitSm, SubmitMulti, DataSm})
AMENDING: frozenset[type[Pdu]] = frozenset({QuerySm, CancelSm, ReplaceSm})


class EsmeSession:
    """One connection from an ESME, from connect to close."""

    def __init__(self, core: Core, ingress: 'Ingress', authenticator: Authenticator) -> None:
        self.core = core
        self.account: Account | None = None
        self.connection: Connection | None = None
        self.submitted = 0
        self.own_link: Connection | None = None  # at the other end, if it is one of ours
        self._ingress = ingress
        self._authenticator = authenticator

    def handle_opened(self, connection: Connection) -> None:
        self.connection = connection

    def handle_requests(self, connection: Connection, requests: list[Pdu]) -> None:
        account = self.account
        submits: list[Any] = []
        for pdu in requests:
            if pdu.__class__ in SUBMITTING:
                submits.append(pdu)
            elif pdu.__class__ in AMENDING:
                assert account is not None
                self.core.amendments.handle_request(connection, account, pdu)
            elif isinstance(pdu, Bind):
                self.core.add_task(self._bind(connection, pdu), 'bind')
            elif isinstance(pdu, Outbind):
                handle_outbind(self.core, connection.peer_address, pdu)
            else:
                connection.session.refuse(pdu, CommandStatus.ESME_RINVCMDID)
        if connection.session.throttled:
            self._count_throttled(connection)
        if submits:
            assert account is not None
            self.submitted += len(submits)
            if self.own_link is not None or self.core.loops.tag is not None:
                submits = self.core.loops.let_pass(connection, account, submits, self.own_link)
            self._ingress.handle_submits(connection, account, submits, wall_ms())

    def _count_throttled(self, connection: Connection) -> None:
        """Count what the session refused by itself, beyond its window."""
        session = connection.session
        if self.account is not None and session.throttled:
            self.account.answers[session.settings.window_exceeded] += session.throttled
        session.throttled = 0

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
        if account is not None and self.core.cluster.between is not None:
            self._settle(account, session.state is State.BINDING)
        if session.state is not State.BINDING:
            return
        if account is None or status:
            session.refuse_bind(self._authenticator.answer(status))
        else:
            system_id = printable(bind.system_id)
            log.info('bind.accepted', peer=connection.peer_address, system_id=system_id, account=account.name)
            self._enter(connection, account)
        connection.flush()
        if self.account is not None:
            self.account.feed.pump()

    def _settle(self, account: Account, enters: bool) -> None:
        """Let the session count for itself, in the same step; or let others know that there is none."""
        counts = self.core.cluster.bind_counts
        counts.settle(account)
        if not enters:
            counts.tell(account)

    def _enter(self, connection: Connection, account: Account) -> None:
        assert account.config is not None
        session = connection.session
        self.account = account
        account.sessions.add(self)
        session.set_window(account.config.window)
        session.accept_bind(self.core.configuration.smpp.system_id.encode())
        self.own_link = self.core.loops.own_link(connection)
        account.feed.add(connection)

    def handle_responses(self, connection: Connection, responses: list[tuple[Any, Pdu]]) -> None:
        if self.account is not None:
            self.account.handle_responses(connection, responses)

    def handle_expired(self, connection: Connection, contexts: list[Message]) -> None:
        if self.account is not None:
            self.account.handle_unanswered(connection, contexts)

    def handle_late(self, connection: Connection, late: list[tuple[Any, Pdu]]) -> None:
        """Nothing comes of these: the session has counted them, and their messages went to be delivered again."""

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
        self.core.cluster.bind_counts.tell(account)
        account.feed.remove(connection)
        if lost:
            account.handle_unanswered(connection, lost)
