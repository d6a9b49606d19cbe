"""The way of a message that was accepted already, by the routes of today: its policy is not asked again."""

from typing import TYPE_CHECKING

from domain.message import Message
from pdu.pdus import SubmitSm
from pdu.segments import UDHI
from smsc.clock import wall_ms
from smsc.deciding import facts_of
from smsc.wire_forms import part_of

if TYPE_CHECKING:
    from smsc.core import Core


def decide_anew(core: 'Core', message: Message) -> None:
    """Give an accepted message the route that today's configuration has for it; none, if that rejects it.

    A part that its ESME made keeps the route that was decided for all of them, as long as there is one of that name,
    and its upstream comes first (wire.md G2).
    """
    submitter = core.account(message.account).submitter
    pdu = message.pdu
    part = part_of(pdu) if isinstance(pdu, SubmitSm) and (pdu.tlvs or pdu.esm_class & UDHI) else None
    segments = message.segments if part is None else max(1, part.total)
    facts = facts_of(submitter, pdu, segments, wall_ms(), message.priority)
    facts.category = message.category or facts.category
    core.decider.locate(facts)
    if message.operator and facts.operator == facts.place.operator:  # a service said so, whose answer is gone by now
        facts.operator = message.operator
    decision = None
    if part is not None and message.route:
        decision = core.table.named(message.route, facts)
    if decision is None:
        decision = core.table.decide(facts)
        message.route = decision.route
        message.upstreams = () if decision.reject else decision.upstreams
        return
    first = tuple(name for name in decision.upstreams if name == message.upstream)
    message.upstreams = first + tuple(name for name in decision.upstreams if name not in first)
