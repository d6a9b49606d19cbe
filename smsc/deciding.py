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
from pdu.segments import MAX_SEGMENTS, Concatenation
from pdu.status import CommandStatus
from routing.decider import Decider
from routing.facts import NOWHERE, Facts
from routing.steps import Verdict
from routing.table import Decision, without_prefix
from smsc.admission import INTERNATIONAL_TON, set_source_type, set_times, status_of
from smsc.sending_hours import keep_hours
from smsc.text import payload_of, text_of

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

_UNKNOWN = '', NOWHERE

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


Made = Message | Refused | Repeated
"""What comes of a submit_sm."""

Usual = tuple[Decision, int, int]
"""The decision about a message that has nothing which few have, its cost and its price."""


def facts_of(
    submitter: Submitter,
    pdu: SubmitSm | DeliverSm,
    segments: int,
    now_ms: int,
    priority: int,
    message_id: int = 0,
    decider: Decider | None = None,
) -> Facts:
    """Return what is known of a message that an account submits; with a `decider`, also where its number belongs."""
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
    operator, place = _UNKNOWN if decider is None else decider.find(number)
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
        operator,
        place,
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
    priority = pdu.priority_flag or config.priority
    facts = facts_of(account.submitter, pdu, segments, now_ms, priority, core.ids.next(now_ms))
    decision: Any = core.decider.decide(facts) if part is None else core.joining.decide(facts, pdu, part)
    return _made(core, account, config, facts, decision, segments)


def make_all(
    core: 'Core', account: 'Account', config: 'AccountConfig', pdus: list[SubmitSm], now_ms: int
) -> list[Made]:
    """Return what `make` does of messages of one segment that are no parts; of one that it refuses, the error.

    Each is judged when those before it are accepted or refused. All else is done for all of them at once: a processor
    takes short loops twice as fast as one whose way is longer than what it can predict.
    """
    submitter, decider, next_id = account.submitter, core.decider, core.ids.next
    usual = config.priority
    several = [
        facts_of(submitter, pdu, 1, now_ms, pdu.priority_flag or usual, next_id(now_ms), decider) for pdu in pdus
    ]
    decided: list[Made | Usual] = []
    try:
        for facts, decision in zip(several, decider.decide_all(several), strict=True):
            try:
                decided.append(_decided(core, account, config, facts, decision))
            except Refused as refusal:  # kept without its traceback, which keeps all that is here
                decided.append(Refused(refusal.command_status, refusal.text))
            except Repeated as repeated:
                decided.append(Repeated(repeated.message_id))
    except BaseException:  # a fault of ours: nobody is told that those before it were accepted
        for facts, one in zip(several, decided, strict=False):
            if isinstance(one, tuple) or (isinstance(one, Message) and one.facts is not None):
                decider.forget(facts)
        raise
    return [
        _message(account, facts, *one) if one.__class__ is tuple else one  # type: ignore[misc]
        for facts, one in zip(several, decided, strict=True)
    ]


def _decided(core: 'Core', account: 'Account', config: 'AccountConfig', facts: Facts, decision: Any) -> Message | Usual:
    """Return a decision and what the message is worth, or the message where it has more. Raises Refused or Repeated."""
    pdu = facts.pdu
    if (
        decision.__class__ is not Decision
        or not decision.upstreams
        or account.recoded
        or facts.is_rewritten
        or facts.new_source_addr
        or pdu.validity_period
        or pdu.schedule_delivery_time
        or core.decider.windows.are_set
    ):
        return _made(core, account, config, facts, decision, 1)
    if not core.charging.has_prices:
        return decision, 0, 0
    try:
        return decision, *_worth(core, config, decision.upstreams[0], facts, 1)
    except BaseException:  # whatever it is: what repeats the message must not be told that it was accepted
        core.decider.forget(facts)
        raise


def _made(
    core: 'Core', account: 'Account', config: 'AccountConfig', facts: Facts, decision: Any, segments: int
) -> Message:
    """Return a message with all that was decided about it. Raises Refused or Repeated."""
    submitter, pdu = account.submitter, facts.pdu
    message = _message(account, facts, decision)
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


def _message(account: 'Account', facts: Facts, decision: Any, cost: int = 0, price: int = 0) -> Message:
    """Return a message as it was decided. Raises Refused or Repeated where that is the decision."""
    priority: Any = facts.priority
    upstreams: tuple[str, ...] = ()
    route, operator, place, pdu = '', facts.operator, facts.place, facts.pdu
    is_remembered = account.submitter.is_remembered
    if decision.__class__ is Decision:
        upstreams, route = decision.upstreams, decision.route
        if decision.priority is not None:
            priority = decision.priority
    elif decision is not None:
        route = _route_against(decision)
        is_remembered = is_remembered and decision.__class__ is not Verdict
    registered = pdu.registered_delivery
    return Message(  # by position: names cost a third of a microsecond
        facts.message_id,
        _MT,
        account.name,
        upstreams[0] if upstreams else '',
        pdu,
        priority,
        facts.now_ms + account.validity_ms,
        registered,
        _ASKED if registered & 3 else _NOT_ASKED,
        1,  # state
        0,  # error
        0,  # done_at
        route,
        upstreams,
        place.country,
        operator,
        facts.category,
        facts.note if operator == place.operator else record_of(facts),
        cost,
        price,
        facts if is_remembered else None,
    )


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
        if core.charging.has_prices and (message.upstream or message.is_held):
            message.cost, message.price = _worth(core, config, message.upstream, facts, segments)
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


def _worth(core: 'Core', config: 'AccountConfig', upstream: str, facts: Facts, segments: int) -> tuple[int, int]:
    """Return what a message costs and its price. Raises Refused when its account cannot pay for it."""
    account = facts.account
    worth = core.charging.worth(account, upstream, facts, segments)
    if worth[1] and not core.store.credit.affords(account, worth[1]):
        raise Refused(status_of(config.credit_status), 'credit')
    return worth


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
