"""From a submit_sm, submit_multi or data_sm to a committed message in an outbox: admit, decide, commit, respond,
dispatch.

Nothing here waits: what a check refuses is answered at once; what is admitted gathers for the next commit and is
answered after it (promise 1). While the store is away, or what gathers is full, ESMEs are told to come again later.
"""

from typing import TYPE_CHECKING, Any

import structlog

from domain.errors import Refused, StoreUnavailable
from domain.message import Message, Notice
from pdu.codec import encode
from pdu.pdus import DataSm, DataSmResp, SubmitMulti, SubmitSm, SubmitSmResp
from pdu.receipt_text import MessageState
from pdu.segments import UDHI, Concatenation
from pdu.status import CommandStatus
from smpp.aio.connection import Connection
from smpp.versions import SMPP_5_0
from smsc.admission import (
    check_parameters,
    check_part,
    status_of,
    submit_of_data,
)
from smsc.asking import Asking, Submit
from smsc.clock import wall_ms
from smsc.core import Core
from smsc.deciding import Repeated, make, make_all
from smsc.dispatching import dispatch, end_unrouted
from smsc.message_ids import format_message_id, format_uuid
from smsc.overload import Overload
from smsc.reads import QUEUE_FULL, STORE_AWAY, THROTTLED, Read, config_of, window_exceeded
from smsc.replies import Echo, MultiReply, Replies
from smsc.stage import Stage
from smsc.submit_multi import SubmitMultiAdmission
from smsc.wire_forms import part_of, segment_count
from storage.rows import Outcome

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.config.schema import AccountConfig

log = structlog.get_logger()
ACCEPT_GIVE_UP_S = 10.0
HELD_A_MESSAGE = 5  # segments, on average over a full stage, beyond which sockets are not read
PAUSE_REASON = 'gathering'


class Ingress:
    """Admits messages of ESMEs, commits them and hands them to the outboxes of their upstreams."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.accepting = Stage[Message, frozenset[int] | None](
            'accept', self._commit, self._handle_accepted, self._refuse_all, core.configuration.queues.batch
        )
        self.accepting.on_room = self.resume
        self._paused: set[Connection] = set()
        self.overload = Overload()
        self._feeding: set[Connection] = set()  # that have submitted since the last commit
        self.replies = Replies(core, self._congestion)
        self.asking = Asking(core, self._admit_all)
        self._multi = SubmitMultiAdmission(core, self.replies, self._gather)

    def handle_submits(self, connection: Connection, account: 'Account', submits: list[Submit], now_ms: int) -> None:
        """Admit what one read brought; what is refused is answered in the same write."""
        if self.core.policy.lookups is not None:
            submits = [pdu for pdu in submits if not self.asking.holds(connection, account, pdu)]
        self._admit_all(connection, account, submits, now_ms)

    def _admit_all(
        self, connection: Connection, account: 'Account', submits: list[Submit], now_ms: int | None = None
    ) -> None:
        read = Read(connection, account, self.core.loop.time(), wall_ms() if now_ms is None else now_ms)
        session, later = connection.session, len(submits)
        share = self.overload.share
        for pdu in submits:
            later -= 1
            try:
                if share and session.unanswered - later > share:
                    self._decide_gathered(read)  # what is refused makes room
                    if session.unanswered - later > share:
                        raise Refused(*THROTTLED)
                if pdu.__class__ is SubmitSm:
                    self._admit(read, pdu, SubmitSmResp, later)
                elif isinstance(pdu, DataSm):
                    self._admit(read, submit_of_data(pdu), DataSmResp, later)
                else:
                    assert isinstance(pdu, SubmitMulti)
                    self._decide_gathered(read)
                    self._multi.admit(read, pdu, later)
            except Refused as refusal:
                account.answers[refusal.command_status] += 1
                session.refuse(pdu, refusal.command_status)
        self._decide_gathered(read)
        if self.accepting.items:
            self._feeding.add(connection)
        self.accepting.kick()
        if self._too_much and self.core.store.health.available:  # else they are to hear at once that it is away
            self._paused.add(connection)
            connection.pause_reading(PAUSE_REASON)

    @property
    def _too_much(self) -> bool:
        accepting = self.accepting
        if self.replies.held > HELD_A_MESSAGE * accepting.bound:
            return True
        return accepting.full or self.core.shelf.load > accepting.bound

    def resume(self) -> None:
        """Let the sockets be read again that fed a full stage."""
        if self._paused and not (self._too_much and self.core.store.health.available):
            paused, self._paused = self._paused, set()
            for connection in paused:
                connection.resume_reading(PAUSE_REASON)

    # Admission

    def _admit(self, read: Read, pdu: SubmitSm, response: type[SubmitSmResp | DataSmResp], later: int) -> None:
        """Let a message gather with others of its read that are decided about together, or admit it by itself.

        Raises Refused with the status for its response. `later` requests of the same read are still to be looked at.
        """
        core, account, session = self.core, read.account, read.connection.session
        config = account.config
        if config is None or core.draining or not core.store.health.available:
            raise Refused(*STORE_AWAY)
        check_parameters(pdu, config, core.configuration.smpp, session.peer_version >= SMPP_5_0, account.particular)
        if account.waiting + len(read.gathered) >= account.waiting_bound:
            self._decide_gathered(read)  # some of them may be refused
            if account.waiting >= account.waiting_bound:
                raise Refused(*QUEUE_FULL)
        if pdu.tlvs or len(pdu.short_message) > account.whole_octets[pdu.data_coding] or pdu.esm_class & UDHI:
            self._decide_gathered(read)
            part = part_of(pdu)
            segments = self._take_segments(account, config, pdu, part, read.now)
            self._admit_alone(read, pdu, response(pdu.sequence_number), (segments, part), later)
            return
        if self.replies.held and session.unanswered - later > session.receive_window:
            self._decide_gathered(read)
            if session.unanswered - later > session.receive_window:
                raise window_exceeded(session)
        if account.sender_rates is not None:
            if not account.take(pdu.source_addr, 1, read.now):
                raise Refused(*THROTTLED)
        elif account.rate.rate_per_s and not account.rate.take(1, read.now):
            raise Refused(*THROTTLED)
        if pdu.replace_if_present_flag:
            self._decide_gathered(read)
            self._admit_alone(read, pdu, response(pdu.sequence_number), (1, None), later)
            return
        read.gathered.append(pdu)  # a submit_sm: a data_sm has its text in a TLV

    def _admit_alone(
        self,
        read: Read,
        pdu: SubmitSm,
        response: SubmitSmResp | DataSmResp,
        counted: tuple[int, Concatenation | None],
        later: int,
    ) -> None:
        """Put a message into the gathering batch whose segments are `counted`. Raises Refused."""
        connection, account, config = read.connection, read.account, config_of(self.core, read.account)
        segments, part = counted
        held = segments - 1
        if held and not connection.session.hold(held, later):
            raise window_exceeded(connection.session)
        try:
            message = make(self.core, account, config, pdu, segments, read.now_ms, part)
        except Refused:
            connection.session.free(held)
            raise
        except Repeated as repeated:
            self.replies.echo(repeated.message_id, account.name, Echo(connection, response, held))
            return
        response.message_id = format_message_id(message.id, config)
        message.reply = connection, response, held
        self.replies.held += held
        self._gather(account, message)

    def _decide_gathered(self, read: Read) -> None:
        """Decide about what has gathered of a read, in order, and put it into the batch."""
        pdus = read.gathered
        if not pdus:
            return
        read.gathered = []
        core, account, connection, config = self.core, read.account, read.connection, read.account.config
        assert config is not None  # as each of them was admitted
        id_format, live, items = account.form.id_format, core.live, self.accepting.items
        made = make_all(core, account, config, pdus, read.now_ms)
        for pdu, message in zip(pdus, made, strict=True):
            response = SubmitSmResp(pdu.sequence_number)
            if message.__class__ is not Message:
                self._answer_at_once(read, pdu, response, message)  # type: ignore[arg-type]
                continue
            message_id = message.id  # as `format_message_id` does it, without the call
            response.message_id = id_format % message_id if id_format else format_uuid(message_id)
            message.reply = connection, response, 0
            message.counted = True  # what `_gather` does, without a call for each message
            account.waiting += 1
            live[message_id] = message
            items.append(message)

    def _answer_at_once(self, read: Read, pdu: SubmitSm, response: SubmitSmResp, error: Refused | Repeated) -> None:
        """Answer what is not accepted: it is refused, or says the same as another message."""
        if isinstance(error, Repeated):
            self.replies.echo(error.message_id, read.account.name, Echo(read.connection, response, 0))
        else:
            read.account.answers[error.command_status] += 1
            read.connection.session.refuse(pdu, error.command_status)

    def _take_segments(
        self, account: 'Account', config: 'AccountConfig', pdu: SubmitSm, part: Concatenation | None, now: float
    ) -> int:
        """Count the segments of a message, and take them from the account's rate, all or none (wire.md C6).

        The first part that an ESME sends of a message pays for all of them.
        """
        if part is not None:
            check_part(pdu, part, config)
            if not account.take_part((pdu.source_addr, pdu.destination_addr, part.reference, part.total), now):
                raise Refused(*THROTTLED)
            return 1
        segments = segment_count(pdu, config.alphabet)
        if not account.take(pdu.source_addr, segments, now):
            raise Refused(*THROTTLED)
        return segments

    def _gather(self, account: 'Account', message: Message) -> None:
        message.counted = True
        account.waiting += 1
        self.core.live[message.id] = message
        pdu = message.pdu
        if pdu.replace_if_present_flag:
            pdu.replace_if_present_flag = 0  # it is for us to replace: the operator has other messages
            pdu.octets = encode(pdu)
            self.core.amendments.replace_present(message, self._handle_replaced)
        else:
            self.accepting.items.append(message)

    # Answers

    async def _commit(self, messages: list[Message]) -> frozenset[int] | None:
        """Commit a batch; return the ids of those no credit pays for, None when the store did not take it."""
        try:
            return await self.core.store.accept(messages, ACCEPT_GIVE_UP_S)
        except StoreUnavailable:
            return None

    def _note_commit(self, committed: int) -> None:
        """See whether more comes than can be worked off."""
        core, overload = self.core, self.overload
        was_over = overload.share > 0
        overload.limit_s = core.configuration.queues.accept_ms / 1000
        overload.note_commit(committed, len(self.accepting.items), len(self._feeding), core.loop.time())
        self._feeding.clear()
        if overload.share and not was_over:
            log.warning('ingress.overload', rate_per_s=round(overload.rate_per_s), share=overload.share)

    def _handle_accepted(self, messages: list[Message], unpaid: frozenset[int] | None) -> None:
        """Answer a batch and pass it on to its upstreams."""
        self._note_commit(len(messages))
        if unpaid is None:
            self._refuse_all(messages)
            return
        if unpaid:
            self._refuse_unpaid([message for message in messages if message.id in unpaid])
            messages = [message for message in messages if message.id not in unpaid]
        core = self.core
        if core.cluster.counters.gathers:
            core.cluster.counters.note(messages)
        touched = self.replies.accept(messages)
        upstreams: set[str] = set()
        for message in messages:
            message.pdu.octets = b''
            message.facts = None
            core.accounts[message.account].accepted += 1
            upstreams.add(dispatch(core, message) if message.upstreams else self._keep(message))
        for connection in touched:
            connection.flush()
        for name in upstreams:
            if name:
                self.core.upstreams[name].feed.pump()

    def _refuse_unpaid(self, messages: list[Message]) -> None:
        """Refuse what the credit of its account does not pay for; nothing of it is stored (wire.md C7)."""
        for message in messages:
            self.core.live.pop(message.id, None)
            self.core.count_sent(message)
            config = self.core.account(message.account).config
            status = status_of(config.credit_status) if config else int(CommandStatus.ESME_RTHROTTLED)
            self.replies.refuse(message, status).flush()

    def _congestion(self) -> int:
        """Return how much of what may gather does, in percent (wire.md F24)."""
        return 100 * self.accepting.load // self.accepting.bound

    def _keep(self, message: Message) -> str:
        """Hold a part that is to be judged with the others; end what goes nowhere."""
        if message.is_held:
            self.core.joining.hold(message)
            self.core.joining.stage.kick()
        else:
            end_unrouted(self.core, message)
        return ''

    def _handle_replaced(self, message: Message, replaced: Message | None, status: int) -> None:
        """A message with replace_if_present_flag has replaced a queued one, could not, or is a new one after all."""
        if status:
            self.replies.refuse(message, status).flush()
        elif replaced is None:
            self.accepting.items.append(message)
            self.accepting.kick()
        else:
            connection, response, held = message.reply
            message.reply = None
            account = self.core.account(message.account)
            account.accepted += 1
            answer: Any = response.accept() if isinstance(response, MultiReply) else response
            answer.message_id = format_message_id(replaced.shown_id or replaced.id, account.config)
            self.replies.respond(connection, answer, held)
            self.replies.answer_replaced(message, answer.message_id)
            connection.flush()
            self._count_replaced(message, replaced.shown_id or replaced.id)

    def _count_replaced(self, message: Message, shown_id: int) -> None:
        """A message became the text of one that had been counted; what repeats it repeats that one."""
        if message.facts is not None:
            self.core.decider.forget(message.facts)
            message.facts.message_id = shown_id
            self.core.decider.judge_part(message.facts)
            self.core.cluster.counters.note_facts(message.facts)
            message.facts = None

    def _refuse_all(self, messages: list[Message]) -> None:
        """The store did not come back in time: say so, and see to it that what was stored all the same is not sent."""
        core = self.core
        status = int(CommandStatus.ESME_RSYSERR)
        touched: set[Connection] = set()
        for message in messages:
            touched.add(self.replies.refuse(message, status))
            core.count_sent(message)
            core.finishing.items.append(Outcome(message, MessageState.REJECTED, status, Notice.NONE, disowned=True))
        core.finishing.kick()
        for connection in touched:
            connection.flush()
