"""The parts that ESMEs make of a message, decided as one: the shell around `joined_parts`.

The decision about the first part holds for the others, unless it asked what the message says. Then parts are accepted
without a way, held until all are there or their time is up, judged on the text they make, and sent together, in order;
or each of them ends, with a receipt: REJECTED, or UNDELIV where the account wants that without a route. What is held is
in the store without a route: a start holds it again.
"""

from itertools import chain
from typing import TYPE_CHECKING

import msgspec
import structlog

from domain.errors import Refused
from domain.ids import accepted_at_ms
from domain.message import Asked, Kind, Message
from pdu.pdus import DeliverSm, SubmitSm
from pdu.segments import Concatenation
from pdu.status import CommandStatus
from routing.facts import Facts
from routing.steps import Verdict
from routing.table import NONE, Decision
from smsc.admission import status_of
from smsc.clock import wall_ms
from smsc.cluster.parts import Way
from smsc.deciding import asked_of, facts_of, record_of
from smsc.dispatching import dispatch, end_unrouted, error_without_route
from smsc.joined_parts import Joiner, Parts, PartsKey, joined_text, marks_of, parts_key
from smsc.sending_hours import keep_hours
from smsc.stage import Stage
from smsc.text import payload_of
from smsc.wire_forms import part_of
from storage.judged import Judged
from storage.recent import RecentPart

if TYPE_CHECKING:
    from smsc.core import Core

log = structlog.get_logger()

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
            facts.put_in(self.new_source_addr)


class Joining:
    """The parts of one node."""

    def __init__(self, core: 'Core') -> None:
        self.core = core
        self.joiner: Joiner[Known] = Joiner()
        self.stage = Stage[list[Judged], None](
            'judge', self._record, self._handle_recorded, self._abandon, core.configuration.queues.batch
        )

    @property
    def _keep_s(self) -> float:
        """How long a decision holds for parts to come."""
        return self.core.configuration.queues.parts_keep_s

    def decide(self, facts: Facts, pdu: SubmitSm, part: Concatenation) -> Decision | Verdict | None:
        """Decide about a part, as about those before it; None when it must wait for the others."""
        core, now = self.core, self.core.loop.time()
        key = parts_key(facts.account, pdu, part)
        facts.part, facts.segments = part, max(1, part.total)
        message = Message(facts.message_id, Kind.MT, facts.account, '', pdu, 0, 0)
        again = self.joiner.has_all(key, part.sequence)
        known = self.joiner.decision(key, part.sequence, message, now)
        if known is not None and not again:
            return self._as_known(facts, known)
        asked = facts.source_addr, facts.source_addr_ton
        facts.split_key = core.cluster.parts.split_key(key)
        core.decider.peek(facts)  # whether anybody looks at the text
        reads_text = facts.known_text is not None and part.total > 1
        if reads_text and known is None:
            return core.decider.judge_part(facts)  # also those that are held are not to be sent twice
        facts.source_addr, facts.source_addr_ton = asked
        facts.new_source_addr = ''
        if reads_text and known is not None:  # held, it would wait for others that need not come again
            return self._as_known(facts, known)
        decision = core.decider.decide(facts)
        if isinstance(decision, Decision):
            parts = Parts(key, [message], [part.sequence])
            self.joiner.remember(parts, known_of(decision, facts), now, self._keep_s)
            core.cluster.parts.note_decided(parts, decision, facts)
        return decision

    def _as_known(self, facts: Facts, known: Known) -> Decision | Verdict:
        """Decide about a further part of a message."""
        self.core.decider.locate(facts)
        known.put_on(facts)
        return self.core.decider.judge_part(facts) or known.decision

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
        self.core.cluster.parts.note_held(key, part.sequence, message)

    def judge_now(self, held: list[Message]) -> None:
        """Judge parts that are committed with those of the same message that are here, however many are missing."""
        together: dict[PartsKey, tuple[list[Message], list[int]]] = {}
        for message in held:
            assert isinstance(message.pdu, SubmitSm)
            part = part_of(message.pdu) or Concatenation(message.id, 1, 1)
            messages, numbers = together.setdefault(parts_key(message.account, asked_of(message), part), ([], []))
            messages.append(message)
            numbers.append(part.sequence)
        for key, (messages, numbers) in together.items():
            self._judge(Parts(key, messages, numbers))
        self.stage.kick()

    def discard(self, message: Message) -> bool:
        """Hold a part no more, since its ESME cancels it; return whether it was held. The others wait on."""
        part = part_of(message.pdu) if isinstance(message.pdu, SubmitSm) else None
        return part is not None and self.joiner.discard(message, parts_key(message.account, asked_of(message), part))

    def forget(self, facts: Facts, pdu: Asked | SubmitSm | DeliverSm) -> None:
        """A part was not accepted after all: a decision about it holds for no others, they count anew."""
        if facts.part is not None and not facts.only_part:
            self.joiner.forget_decision(parts_key(facts.account, pdu, facts.part))

    def tick(self, now: float) -> None:
        """Judge what has waited long enough."""
        for parts in self.joiner.tick(now):
            self._judge(parts)
        self.stage.kick()

    def recall(self, recent: list[RecentPart]) -> None:
        """Let what was decided before a restart hold for parts to come; `recent` are parts, oldest first.

        What was judged on the text of some parts only is left out: those that are late are to be read.
        """
        now, now_ms = self.core.loop.time(), wall_ms()
        begun: dict[PartsKey, list[RecentPart]] = {}
        for one in recent:
            part = part_of(one.pdu)
            if part is not None and self.core.account(one.account).config is not None:
                begun.setdefault(parts_key(one.account, one.asked or one.pdu, part), []).append(one)
        for key, parts in begun.items():
            keep_s = self._keep_s - (now_ms - accepted_at_ms(parts[-1].id)) / 1000
            known = self._recalled(key, parts, now_ms)
            if known is not None and keep_s > 0:
                messages = [Message(one.id, Kind.MT, one.account, '', one.pdu, 0, 0) for one in parts]
                numbers = [part.sequence for one in parts if (part := part_of(one.pdu))]
                self.joiner.remember(Parts(key, messages, numbers), known, now, keep_s)

    def _recalled(self, key: PartsKey, parts: list[RecentPart], now_ms: int) -> Known | None:
        """Return what was decided about the parts of one message, as far as today's routes know of it."""
        core, last = self.core, parts[-1]
        submitter = core.account(key.account).submitter
        facts = facts_of(submitter, last.pdu, max(1, key.total), now_ms, last.priority)
        core.decider.peek(facts)  # whether anybody looks at the text
        if facts.known_text is not None and len(parts) < key.total:
            return None
        facts.category = last.category or submitter.category
        decision = core.table.named(last.route, facts)
        if decision is None:
            return None
        first = tuple(name for name in decision.upstreams if name == last.upstream)
        upstreams = first + tuple(name for name in decision.upstreams if name not in first)
        sender = last.pdu.source_addr if last.asked and last.asked.source_addr != last.pdu.source_addr else b''
        decision = msgspec.structs.replace(decision, upstreams=upstreams)
        return Known(decision, sender.decode('latin-1'), facts.category, last.priority)

    def judge_with(self, key: PartsKey, others: dict[int, Message]) -> None:
        """Judge what is held of a message with the parts that other nodes hold, by their numbers."""
        held = self.joiner.release(key)
        if held is None:
            return
        by_number = sorted([*zip(held.numbers, held.messages, strict=True), *others.items()], key=lambda one: one[0])
        complete = len(set(held.numbers) | others.keys()) == key.total
        parts = Parts(key, [message for _, message in by_number], [number for number, _ in by_number], complete)
        self._judge(parts, held.messages)

    def take_decision(self, key: PartsKey, marks: dict[int, int], way: Way) -> None:
        """Put another node's decision on what is held of a message, and let it hold for parts to come."""
        decision = way.decision()
        holds = decision if isinstance(decision, Decision) else NONE
        known = Known(holds, way.new_source_addr, way.category, way.priority)
        if isinstance(decision, Decision):
            self.joiner.learn(key, marks, known, self.core.loop.time(), self._keep_s)
        held = self.joiner.held(key)
        if held is not None and all(marks.get(number, mark) == mark for number, mark in marks_of(held).items()):
            self.joiner.release(key)  # it is not another message with the same reference
            facts = self._facts_of(held)
            self.core.decider.locate(facts)
            known.put_on(facts)
            self._put_on_all(held.messages, facts, decision)

    def _facts_of(self, parts: Parts) -> Facts:
        account = self.core.account(parts.key.account)
        first = parts.messages[0]
        assert isinstance(first.pdu, SubmitSm)
        priority = first.pdu.priority_flag or (account.config.priority if account.config else 0)
        facts = facts_of(account.submitter, first.pdu, max(1, parts.key.total), wall_ms(), priority)
        asked = asked_of(first)  # a sender that was put in is not one that the account may ask for
        facts.source_addr, facts.source_addr_ton = asked.source_addr.decode('latin-1'), asked.source_addr_ton
        facts.message_id = first.id
        facts.split_key = self.core.cluster.parts.split_key(parts.key)
        return facts

    def _judge(self, parts: Parts, own: list[Message] | None = None) -> None:
        """Decide about parts; `own` are those that are this node's, None for all of them."""
        core = self.core
        facts, first = self._facts_of(parts), parts.messages[0]
        facts.known_text = joined_text(parts, core.account(parts.key.account).submitter.alphabet)
        facts.user_data = b''.join([payload_of(message.pdu) for message in parts.messages])
        decision = core.decider.decide(facts)
        if isinstance(decision, Decision) and parts.complete:  # else late ones would go on unread
            self.joiner.remember(parts, known_of(decision, facts), core.loop.time(), self._keep_s)
        if parts.complete:
            core.cluster.parts.note_decided(parts, decision, facts)
        self._put_on_all(parts.messages if own is None else own, facts, decision)
        if isinstance(decision, Decision) and not decision.upstreams and first.error:  # as it was refused, in effect
            core.decider.forget(facts)
        elif isinstance(decision, Decision):
            core.cluster.counters.note_facts(facts)

    def _put_on_all(self, messages: list[Message], facts: Facts, decision: Decision | Verdict) -> None:
        """Put the decision on parts that belong together, and have that recorded."""
        self.stage.items.append([Judged(message, message.price, messages[0].id) for message in messages])
        for message in messages:
            self._put_on(message, facts, decision)

    def _put_on(self, message: Message, facts: Facts, decision: Decision | Verdict) -> None:
        """Put the decision on one part: its way, or with what it ends."""
        charging = self.core.charging
        message.is_held = False
        message.decision = record_of(facts)
        message.country, message.operator, message.category = facts.place.country, facts.operator, facts.category
        if isinstance(decision, Verdict):
            message.route = 'policy'
            message.decision = f'{message.decision}; {decision.reason}' if message.decision else decision.reason
            message.error = decision.status or int(CommandStatus.ESME_RSUBMITFAIL)
            return
        message.route, message.upstreams = decision.route, decision.upstreams
        priority = facts.priority if decision.priority is None else decision.priority
        message.priority = message.priority if priority is None else priority
        if decision.upstreams:
            message.upstream = decision.upstreams[0]
            message.cost = charging.cost_of(message.upstream, facts, 1)
            self._keep_hours(message, facts)
        elif decision.route:
            message.error = decision.reject or int(CommandStatus.ESME_RSUBMITFAIL)
        else:
            message.error = error_without_route(self.core, message.account)
            message.price = message.price if message.error else 0  # UNDELIV need not give it back
        if charging.accounts and decision.upstreams and not message.error:
            try:
                message.price = charging.price_of(message.account, facts, 1)
            except Refused as refusal:
                message.error = refusal.command_status

    def _keep_hours(self, message: Message, facts: Facts) -> None:
        """Hold a part to its sending window; one that is refused ends."""
        if self.core.decider.windows.are_set:
            try:
                keep_hours(self.core, message, facts.place, facts.now_ms, stored=True)
            except Refused as refusal:
                message.error = refusal.command_status
                message.decision = f'{message.decision}; {refusal.text}' if message.decision else refusal.text

    async def _record(self, judged: list[list[Judged]]) -> None:
        await self.core.store.judged.record([one for parts in judged for one in parts])

    def _handle_recorded(self, judged: list[list[Judged]], _: None) -> None:
        upstreams: set[str] = set()
        for one in chain.from_iterable(judged):
            message = one.message
            if not one.paid:
                config = self.core.account(message.account).config
                message.error = status_of(config.credit_status) if config else int(CommandStatus.ESME_RTHROTTLED)
            if message.error or not message.upstreams:
                end_unrouted(self.core, message)
            else:
                upstreams.add(dispatch(self.core, message))
        for name in upstreams - {''}:
            self.core.upstreams[name].feed.pump()

    def _abandon(self, judged: list[list[Judged]]) -> None:
        """Their way cannot be stored: they go it all the same, a start would decide again."""
        self._handle_recorded(judged, None)


def known_of(decision: Decision, facts: Facts) -> Known:
    """Return what is to hold for the other parts of a message that was decided so."""
    return Known(decision, facts.new_source_addr, facts.category, facts.priority)
