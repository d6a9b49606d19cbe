"""From a submit_multi to the messages of its destinations (wire.md C28)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from domain.errors import Refused
from domain.message import Message
from pdu.fields import DistributionList, SmeAddress, UnsuccessSme
from pdu.pdus import SubmitMulti, SubmitMultiResp, SubmitSm
from pdu.status import CommandStatus
from smpp.session import Session
from smpp.versions import SMPP_5_0
from smsc.admission import check_destinations, check_parameters, check_part, submit_to
from smsc.deciding import Repeated, asked_of, make
from smsc.message_ids import format_message_id
from smsc.reads import QUEUE_FULL, THROTTLED, Read, config_of, window_exceeded
from smsc.replies import Echo, MultiReply, Replies, unsuccess
from smsc.wire_forms import part_of, segment_count

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.config.schema import AccountConfig
    from smsc.core import Core


class SubmitMultiAdmission:
    """Admits the messages of a submit_multi; one response tells of all of them."""

    def __init__(self, core: 'Core', replies: Replies, gather: Callable[['Account', Message], None]) -> None:
        """`gather` puts a message into the batch that is committed next."""
        self.core = core
        self.replies = replies
        self._gather = gather

    def admit(self, read: Read, pdu: SubmitMulti, later: int) -> None:
        """Admit the destinations of a submit_multi, each a message of its own; all have the id of the first.

        Raises Refused. `later` requests of the same read are still to be looked at.
        """
        connection, account, now, now_ms = read.connection, read.account, read.now, read.now_ms
        config = config_of(self.core, account)
        check_destinations(pdu, connection.session.peer_version >= SMPP_5_0)
        if account.waiting + len(pdu.dest_address) > account.waiting_bound:
            raise Refused(*QUEUE_FULL)
        session = connection.session
        messages: list[Message] = []
        refused: list[UnsuccessSme] = []
        repeated_id = 0
        segments, part = 0, None  # of each: what they say is the same
        for destination in pdu.dest_address:
            try:
                submit = self._submit_to(session, config, pdu, destination)
                if not segments:
                    part = part_of(submit)
                    if part is not None:
                        check_part(submit, part, config)
                    segments = 1 if part is not None else segment_count(submit, config.alphabet)
                messages.append(make(self.core, account, config, submit, segments, now_ms, part))
            except Repeated as repeated:
                repeated_id = repeated_id or repeated.message_id
            except Refused as refusal:
                account.answers[refusal.command_status] += 1
                refused.append(unsuccess(destination, refusal.command_status))
            except BaseException:
                self._forget(messages)
                raise
        if messages and not account.take(pdu.source_addr, segments * len(messages), now):
            self._forget(messages)
            raise Refused(*THROTTLED)
        held = max(0, segments * len(messages) - 1)
        if held and not session.hold(held, later):
            self._forget(messages)
            raise window_exceeded(session)
        response = SubmitMultiResp(pdu.sequence_number, unsuccess_sme=tuple(refused))
        if not messages:
            if repeated_id:
                self.replies.echo(repeated_id, account.name, Echo(connection, response, 0))
                return
            response.command_status = refused[0].error_status_code
            session.respond(response)
            return
        response.message_id = format_message_id(messages[0].id, config)
        reply = MultiReply(response, len(messages), held)
        self.replies.held += held
        for message in messages:
            message.shown_id = messages[0].id if message is not messages[0] else 0
            message.reply = connection, reply, held
            self._gather(account, message)

    def _forget(self, messages: list[Message]) -> None:
        """These are not accepted after all."""
        for message in messages:
            if message.facts is not None:
                self.core.decider.forget(message.facts)
                self.core.joining.forget(message.facts, asked_of(message))

    def _submit_to(
        self, session: Session, config: 'AccountConfig', pdu: SubmitMulti, destination: SmeAddress | DistributionList
    ) -> SubmitSm:
        """Return the submit_sm of one destination, checked. Raises Refused."""
        if isinstance(destination, DistributionList):
            raise Refused(CommandStatus.ESME_RINVDLNAME, 'there are no distribution lists')
        submit = submit_to(pdu, destination.dest_addr_ton, destination.dest_addr_npi, destination.destination_addr)
        check_parameters(submit, config, self.core.configuration.smpp, session.peer_version >= SMPP_5_0)
        return submit
