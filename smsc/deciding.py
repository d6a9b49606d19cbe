"""From what an ESME submitted to a message with its way: facts, what the policy and the routes say, and that put on it.

What cannot be sent is refused here by an error for the response. A message that is dropped is accepted, and ended
without being sent: it has a route, and no upstream.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from domain.errors import Refused
from domain.message import Asked, Kind, Message, Notice
from pdu.codec import encode
from pdu.pdus import DeliverSm, SubmitSm
from pdu.segments import MAX_SEGMENTS, UDHI, Concatenation
from pdu.status import CommandStatus
from routing.facts import Facts
from routing.steps import Verdict
from routing.table import Decision, without_prefix
from smsc.admission import INTERNATIONAL_TON, set_source_type, set_times, status_of
from smsc.clock import wall_ms
from smsc.sending_hours import keep_hours
from smsc.text import payload_of, text_of
from smsc.wire_forms import part_of

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.config.schema import AccountConfig
    from smsc.core import Core

DROPPED = 'policy'  # the route of what a step of the policy drops
WHOLE_FORMS = frozenset({'payload', 'as_is'})
E164_NPI = 1
ZERO = ord('0')
SENDERS_BOUND = 10_000
_MT, _ASKED, _NOT_ASKED = Kind.MT, Notice.ASKED, Notice.NONE  # to look a member of an enum up takes 0.1 us

_senders: dict[bytes, str] = {}


class Submitter(msgspec.Struct, frozen=True):
    """What decisions have to know of an account; `normalise` makes E.164 digits of an address and its TON."""

    name: str
    alphabet: str = 'gsm'
    category: str = ''
    normalise: Callable[[str, int], str] = lambda address, ton: without_prefix(address)
    read_text: Callable[[SubmitSm | DeliverSm], str] = partial(text_of, alphabet='gsm')
    is_remembered: bool = False
    """Whether a step of its policy remembers messages, and must hear of those that are not accepted."""
    needs_more: bool = True
    """Whether its messages may have prices, or times at which they may be sent."""


class Repeated(Exception):
    """A message says the same as one that was accepted; `message_id` is that one's."""

    def __init__(self, message_id: int) -> None:
        super().__init__(message_id)
        self.message_id = message_id


def facts_of(
    submitter: Submitter,
    pdu: SubmitSm | DeliverSm,
    segments: int,
    now_ms: int,
    priority: int,
    message_id: int = 0,
) -> Facts:
    """Return what is known of a message that an account submits; nothing was looked up yet."""
    address = pdu.destination_addr
    sender = _senders.get(pdu.source_addr)
    if sender is None:
        sender = _sender_of(pdu.source_addr)
    if pdu.dest_addr_ton == INTERNATIONAL_TON and address.isdigit() and address[0] != ZERO:  # by all rules E.164
        destination, number, is_rewritten = address.decode('ascii'), int(address), False
    else:
        destination = submitter.normalise(address.decode('latin-1'), pdu.dest_addr_ton)
        number = int(destination) if destination.isdecimal() else 0
        is_rewritten = destination.encode() != address
    facts = Facts(
        submitter.name,
        sender,
        destination,
        number,
        submitter.read_text,
        now_ms,
        pdu.source_addr_ton,
        segments,
        pdu.tlvs,
        submitter.category,
        priority,
        pdu.short_message or payload_of(pdu),
        pdu.data_coding,
        pdu,
        message_id,
    )
    if is_rewritten:
        facts.is_rewritten = True
    return facts


def _sender_of(source_addr: bytes) -> str:
    """Return a sender as text, and remember that; there are few of them, and the same text is found faster."""
    if len(_senders) >= SENDERS_BOUND:
        _senders.clear()
    sender = _senders[source_addr] = source_addr.decode('latin-1')
    return sender


def make(
    core: 'Core',
    account: 'Account',
    config: 'AccountConfig',
    pdu: SubmitSm,
    segments: int,
    now_ms: int,
    part: Concatenation | None = None,
) -> Message:
    """Return a message that was admitted, with its way; `part` says which part of a message its ESME made it.

    A part that is to be judged with the others has no way yet, and `is_held` set: it is held once it is committed.
    Raises Refused, or Repeated for a duplicate.
    """
    if segments > config.max_parts and config.max_parts < MAX_SEGMENTS:  # before anybody reads so long a text
        raise Refused(CommandStatus.ESME_RINVMSGLEN, f'{segments} segments')
    submitter = account.submitter
    facts = facts_of(submitter, pdu, segments, now_ms, pdu.priority_flag or config.priority, core.ids.next(now_ms))
    decision: Any = core.decider.decide(facts) if part is None else core.joining.decide(facts, pdu, part)
    message = _message(account, pdu, facts, decision, now_ms)
    if submitter.is_remembered and decision.__class__ is not Verdict:
        message.facts = facts
    if (
        submitter.needs_more
        or segments > 1
        or account.recoded
        or facts.is_rewritten
        or facts.new_source_addr
        or not message.upstreams
        or pdu.validity_period
        or pdu.schedule_delivery_time
    ):
        _complete(core, account, config, message, facts, decision, segments)
    return message


def _message(account: 'Account', pdu: SubmitSm, facts: Facts, decision: Any, now_ms: int) -> Message:
    """Return a message as it was decided. Raises Refused or Repeated where that is the decision."""
    priority: Any = facts.priority
    upstreams: tuple[str, ...] = ()
    route = ''
    if decision.__class__ is Decision:
        upstreams, route = decision.upstreams, decision.route
        if decision.priority is not None:
            priority = decision.priority
    elif decision is not None:
        route = _route_against(decision)
    registered = pdu.registered_delivery
    message = Message(  # by position: names cost a third of a microsecond
        facts.message_id,
        _MT,
        account.name,
        upstreams[0] if upstreams else '',
        pdu,
        priority,
        now_ms + account.validity_ms,
        registered,
        _ASKED if registered & 3 else _NOT_ASKED,
        1,  # state
        0,  # error
        0,  # done_at
        route,
        upstreams,
    )
    message.country, message.operator = facts.place.country, facts.operator
    message.category = facts.category
    message.decision = facts.note if facts.operator == facts.place.operator else record_of(facts)
    return message


def _route_against(verdict: Verdict) -> str:
    """Return the route of what is accepted and goes nowhere. Raises Refused, or Repeated."""
    if verdict.action == 'repeat':
        raise Repeated(verdict.message_id)
    if verdict.action == 'refuse':
        raise Refused(verdict.status, verdict.reason)
    return DROPPED


def _complete(
    core: 'Core',
    account: 'Account',
    config: 'AccountConfig',
    message: Message,
    facts: Facts,
    decision: Any,
    segments: int,
) -> None:
    """Put on a message what not all have: its end, times, price, segments, other addresses. Raises Refused."""
    try:
        if segments > config.max_parts or not message.upstreams:
            _settle(core, config, message, decision, segments)
        pdu: Any = message.pdu
        if pdu.validity_period or pdu.schedule_delivery_time:
            set_times(message, facts.now_ms)
        if core.charging.has_prices:
            _charge(core, message, facts, segments, config)
        if segments > 1 or account.recoded:
            message.segments = segments
            message.reference = core.references.next(pdu.source_addr, pdu.destination_addr)
        if facts.new_source_addr or facts.is_rewritten:
            _readdress(message, facts)
        if core.decider.windows.are_set and message.upstreams:
            keep_hours(core, message, facts.place, facts.now_ms)
        if not message.upstreams and message.error and message.facts is not None:  # what a route drops does not count
            core.decider.forget(facts)
            message.facts = None
    except BaseException:  # whatever it is: what repeats the message must not be told that it was accepted
        if decision.__class__ is not Verdict:
            core.decider.forget(facts)
            core.joining.forget(facts, message.pdu)
        raise


def _settle(core: 'Core', config: 'AccountConfig', message: Message, decision: Any, segments: int) -> None:
    """Deal with what goes nowhere, now or ever, and with what has too many segments. Raises Refused."""
    if decision is None:
        message.is_held = True
    elif not message.upstreams:
        _end(message, decision, config)
    elif segments > config.max_parts and is_split(core, message.upstreams):
        raise Refused(CommandStatus.ESME_RINVMSGLEN, f'{segments} segments')


def _charge(core: 'Core', message: Message, facts: Facts, segments: int, config: 'AccountConfig') -> None:
    """Note what the message is worth. Raises Refused when its account cannot pay for it."""
    charging = core.charging
    if message.upstream or message.is_held:
        message.cost, price = charging.worth(message.account, message.upstream, facts, segments)
        message.price = price
        if price and not core.store.credit.affords(message.account, price):
            raise Refused(status_of(config.credit_status), 'credit')


def record_of(facts: Facts) -> str:
    """Return what a message's record says of its decision: whose number it was, if ported, and the steps' notes."""
    before = facts.place.operator
    if facts.operator == before or not before:
        return facts.note
    return f'ported from {before}; {facts.note}' if facts.note else f'ported from {before}'


def _end(message: Message, decision: Any, config: 'AccountConfig') -> None:
    """Deal with a message that goes nowhere: refuse it, or note what it ends with. Raises Refused."""
    if decision.__class__ is Verdict:
        message.error = decision.status
        message.decision = f'{message.decision}; {decision.reason}' if message.decision else decision.reason
    elif decision.drop:
        message.error, message.decision = int(CommandStatus.ESME_RSUBMITFAIL), 'its route drops it'
    elif decision.route or config.no_route != 'receipt':
        status = decision.reject if decision.route else status_of(config.no_route)
        raise Refused(status, f'route {decision.route or "none"}')


def _readdress(message: Message, facts: Facts) -> None:
    """Let the operator have the number in E.164 digits, and the sender that it knows; receipts have what was asked."""
    pdu = message.pdu
    assert isinstance(pdu, SubmitSm)
    message.asked = Asked(
        pdu.source_addr_ton,
        pdu.source_addr_npi,
        pdu.source_addr,
        pdu.dest_addr_ton,
        pdu.dest_addr_npi,
        pdu.destination_addr,
    )
    destination = facts.destination.encode()
    if destination != pdu.destination_addr:
        pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi = destination, INTERNATIONAL_TON, E164_NPI
    if facts.new_source_addr:
        pdu.source_addr = facts.new_source_addr.encode('latin-1', 'replace')
        set_source_type(pdu)
    pdu.octets = encode(pdu)


def asked_of(message: Message) -> Asked | SubmitSm | DeliverSm:
    """Return what has the addresses of a message as its ESME wrote them."""
    return message.asked or message.pdu


def is_split(core: 'Core', upstreams: tuple[str, ...]) -> bool:
    """Return whether one of these upstreams wants long messages in segments."""
    known = [core.upstreams[name] for name in upstreams if name in core.upstreams]
    return any(upstream.form.long_messages not in WHOLE_FORMS for upstream in known)


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
