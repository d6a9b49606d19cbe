"""The parts that ESMEs make of a message, decided as one: the shell around `joined_parts`.

The decision about the first part holds for the others, unless it asked what the message says. Then parts are accepted
without a way, held until all are there or their time is up, judged on the text they make, and sent together, in order;
or each of them ends REJECTED, with a receipt. What is held is in the store without a route: a start holds it again.
"""

from typing import TYPE_CHECKING

import msgspec
import structlog

from domain.errors import Refused
from domain.message import Asked, Kind, Message
from pdu.pdus import DeliverSm, SubmitSm
from pdu.receipt_text import MessageState
from pdu.segments import Concatenation
from pdu.status import CommandStatus
from routing.facts import Facts
from routing.steps import Verdict
from routing.table import Decision
from smsc.admission import status_of
from smsc.clock import wall_ms
from smsc.deciding import asked_of, facts_of
from smsc.dispatching import dispatch
from smsc.joined_parts import Joiner, Parts, joined_text, parts_key
from smsc.stage import Stage
from smsc.text import payload_of
from smsc.wire_forms import part_of
from storage.judged import Judged

if TYPE_CHECKING:
    from smsc.core import Core

log = structlog.get_logger()

KEEP_S = 300.0  # how long a decision holds for parts to come
DEFAULT_WAIT_S = 10.0


class Known(msgspec.Struct, frozen=True):
    """A decision that holds for parts to come, and what the policy made of the message."""

    decision: Decision
    new_source_addr: str = ''
    category: str = ''
    priority: int | None = None

    def put_on(self, facts: Facts) -> None:
        """Let a further part be what the first one was."""
        facts.category, facts.priority = self.category, self.priority
        if self.new_source_addr:
            facts.source_addr = facts.new_source_addr = self.new_source_addr


class Joining:
    """The parts of one node."""

    def __init__(self, core: 'Core') -> None:
        self.core = core
        self.joiner: Joiner[Known] = Joiner()
        self.stage = Stage[Judged, None](
            'judge', core.store.judged.record, self._handle_recorded, self._abandon, core.configuration.queues.batch
        )

    def decide(self, facts: Facts, pdu: SubmitSm, part: Concatenation) -> Decision | Verdict | None:
        """Decide about a part, as about those before it; None when it must wait for the others."""
        core, now = self.core, self.core.loop.time()
        key = parts_key(facts.account, pdu, part)
        facts.part, facts.segments = part, max(1, part.total)
        message = Message(facts.message_id, Kind.MT, facts.account, '', pdu, 0, 0)
        known = self.joiner.decision(key, part.sequence, message, now)
        if known is not None:
            core.decider.locate(facts)
            known.put_on(facts)
            return core.decider.judge_part(facts) or known.decision
        asked = facts.source_addr, facts.source_addr_ton
        core.decider.peek(facts)  # whether anybody looks at the text
        if facts.known_text is not None and part.total > 1:
            return core.decider.judge_part(facts)  # also those that are held are not to be sent twice
        facts.source_addr, facts.source_addr_ton = asked
        facts.new_source_addr = ''
        decision = core.decider.decide(facts)
        if isinstance(decision, Decision):
            self.joiner.remember(Parts(key, [message], [part.sequence]), known_of(decision, facts), now, KEEP_S)
        return decision

    def hold(self, message: Message) -> None:
        """Hold a part that is committed until the others are; `stage` is to be kicked by the caller."""
        pdu = message.pdu
        assert isinstance(pdu, SubmitSm)
        part = part_of(pdu)
        account = self.core.account(message.account)
        wait_s = account.config.parts_wait_s if account.config else DEFAULT_WAIT_S
        if part is None:  # its account was told otherwise what a part is
            self._judge(Parts(parts_key(message.account, asked_of(message), Concatenation(0, 1, 1)), [message], [1]))
            return
        key = parts_key(message.account, asked_of(message), part)
        for parts in self.joiner.add(key, part.sequence, message, self.core.loop.time(), wait_s):
            self._judge(parts)

    def forget(self, facts: Facts, pdu: Asked | SubmitSm | DeliverSm) -> None:
        """A part was not accepted after all: a decision about it holds for no others, they count anew."""
        if facts.part is not None and not facts.only_part:
            self.joiner.forget_decision(parts_key(facts.account, pdu, facts.part))

    def tick(self, now: float) -> None:
        """Judge what has waited long enough."""
        for parts in self.joiner.tick(now):
            self._judge(parts)
        self.stage.kick()

    def _judge(self, parts: Parts) -> None:
        core = self.core
        account = core.account(parts.key.account)
        first = parts.messages[0]
        assert isinstance(first.pdu, SubmitSm)
        priority = first.pdu.priority_flag or (account.config.priority if account.config else 0)
        facts = facts_of(account.submitter, first.pdu, max(1, parts.key.total), wall_ms(), priority)
        asked = asked_of(first)  # a sender that was put in is not one that the account may ask for
        facts.source_addr, facts.source_addr_ton = asked.source_addr.decode('latin-1'), asked.source_addr_ton
        facts.known_text = joined_text(parts, account.submitter.alphabet)
        facts.user_data = b''.join([payload_of(message.pdu) for message in parts.messages])
        facts.message_id = first.id
        decision = core.decider.decide(facts)
        if isinstance(decision, Decision) and parts.complete:  # else late ones would go on unread
            self.joiner.remember(parts, known_of(decision, facts), core.loop.time(), KEEP_S)
        if isinstance(decision, Decision) and decision.reject:
            core.decider.forget(facts)
        for message in parts.messages:
            accepted_price = message.price
            self._put_on(message, facts, decision)
            self.stage.items.append(Judged(message, accepted_price))

    def _put_on(self, message: Message, facts: Facts, decision: Decision | Verdict) -> None:
        """Put the decision on one part: its way, or with what it ends."""
        charging = self.core.charging
        message.is_held = False
        message.country, message.operator, message.category = facts.place.country, facts.operator, facts.category
        if isinstance(decision, Verdict):
            message.route, message.decision = 'policy', decision.reason
            message.error = decision.status or int(CommandStatus.ESME_RSUBMITFAIL)
            return
        message.route, message.upstreams = decision.route, decision.upstreams
        priority = facts.priority if decision.priority is None else decision.priority
        message.priority = message.priority if priority is None else priority
        if decision.upstreams:
            message.upstream = decision.upstreams[0]
            message.cost = charging.cost_of(message.upstream, facts, 1)
        else:
            message.error = decision.reject or int(CommandStatus.ESME_RSUBMITFAIL)
        if charging.accounts:
            try:
                message.price = charging.price_of(message.account, facts, 1)
            except Refused as refusal:
                message.error = refusal.command_status

    def _handle_recorded(self, judged: list[Judged], _: None) -> None:
        upstreams: set[str] = set()
        for one in judged:
            message = one.message
            if not one.paid:
                config = self.core.account(message.account).config
                message.error = status_of(config.credit_status) if config else int(CommandStatus.ESME_RTHROTTLED)
            if message.error:
                self.core.count_sent(message)
                self.core.finish(message, MessageState.REJECTED, message.error)
            else:
                upstreams.add(dispatch(self.core, message))
        for name in upstreams - {''}:
            self.core.upstreams[name].feed.pump()

    def _abandon(self, judged: list[Judged]) -> None:
        """Their way cannot be stored: they go it all the same, a start would decide again."""
        self._handle_recorded(judged, None)


def known_of(decision: Decision, facts: Facts) -> Known:
    """Return what is to hold for the other parts of a message that was decided so."""
    return Known(decision, facts.new_source_addr, facts.category, facts.priority)
