"""Why a message would go where it goes: every step, what it looked up, which rule matched, which did not and why.

Asks the very objects that decide, and leaves nothing behind in them: no limit is used up, no split goes on.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from domain.errors import Refused
from pdu.alphabets import AlphabetError, encode_text
from pdu.cutting import SHORT_MESSAGE_OCTETS
from pdu.pdus import SubmitSm
from pdu.segments import MAX_SEGMENTS
from pdu.status import CommandStatus, status_name
from pdu.tlvs import Tag
from routing.actions import Decision
from routing.decider import Decider
from routing.facts import Facts
from routing.steps import Verdict
from routing.trace import trace
from smsc.admission import check_parameters, set_source_type, status_of
from smsc.config.smpp_schema import SmppConfig
from smsc.control import ControlError
from smsc.deciding import Submitter, facts_of, is_split
from smsc.dispatching import expected
from smsc.sending_hours import window_finding
from smsc.wire_forms import segment_count

if TYPE_CHECKING:
    from smsc.config.schema import AccountConfig
    from smsc.core import Core
    from smsc.node import Node


class Imagined(msgspec.Struct, frozen=True, kw_only=True):
    """A message that nobody sends: its addresses and text as who sends it would write them, at `now_ms`."""

    destination: str
    now_ms: int
    source_addr: str = ''
    text: str = ''


class Question(Imagined, frozen=True, kw_only=True):
    """Where a message of an account would go."""

    account: str


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: `mark` is `yes` where it decided or holds, `no` where it does not, else ''."""

    topic: str
    text: str
    mark: str = ''


class Explanation(msgspec.Struct, frozen=True):
    """What was looked at, in order, and where the message would go."""

    findings: tuple[Finding, ...]
    route: str
    upstreams: tuple[str, ...] = ()
    outcome: str = ''


class QuestionError(Exception):
    """The question is none; the text says why."""


AnyQuestion = TypeVar('AnyQuestion', bound=Imagined)


def question_of(request: dict[str, Any], cls: type[AnyQuestion]) -> AnyQuestion:
    """Return what a control request asks. Raises ControlError for what is no such question."""
    try:
        return msgspec.convert(request, cls)
    except msgspec.ValidationError as error:
        raise ControlError(f'this is no question: {error}') from error


def submit_of(question: Question) -> SubmitSm:
    """Return the submit_sm that asks for it. Raises QuestionError for what has no wire form."""
    try:
        data_coding, octets = encode_text(question.text)
        source, destination = question.source_addr.encode('latin-1'), question.destination.encode('ascii')
    except (AlphabetError, UnicodeEncodeError) as error:
        raise QuestionError(f'this cannot be sent: {error}') from error
    pdu = SubmitSm(source_addr=source, destination_addr=destination, data_coding=data_coding)
    if len(octets) > SHORT_MESSAGE_OCTETS:
        pdu.tlvs = ((int(Tag.MESSAGE_PAYLOAD), octets),)
    else:
        pdu.short_message = octets
    set_source_type(pdu)
    return pdu


class Surroundings(msgspec.Struct, frozen=True):
    """What a decision depends on beside the policy and the routes: how an upstream is now ('' = not known), which of
    several would get a message, and what an account may not have accepted in the end, as for want of credit.
    """

    smpp: SmppConfig = SmppConfig()
    state_of: Callable[[str], str] = lambda upstream: ''
    expected: Callable[[tuple[str, ...]], str] = lambda upstreams: upstreams[0]
    refusal_of: Callable[[Facts, tuple[str, ...]], Refused | None] = lambda facts, upstreams: None


def explain(
    decider: Decider,
    submitter: Submitter,
    config: 'AccountConfig',
    question: Question,
    surroundings: Surroundings = Surroundings(),  # noqa: B008 - it is frozen
) -> Explanation:
    """Return why the message would take its way. Raises QuestionError for what has no wire form."""
    pdu = submit_of(question)
    try:
        check_parameters(pdu, config, surroundings.smpp, speaks_5=False)
    except Refused as refusal:
        return Explanation((Finding('request', refusal.text, 'no'),), '', outcome=_refused(refusal))
    segments = segment_count(pdu, submitter.alphabet)
    if segments > config.max_parts and config.max_parts < MAX_SEGMENTS:
        too_long = _too_long(segments, config)
        return Explanation((Finding('request', too_long.text, 'no'),), '', outcome=_refused(too_long))
    facts = facts_of(submitter, pdu, segments, question.now_ms, config.priority)
    decider.locate(facts)
    findings = [_account(facts), _number(question, facts)]
    for step in decider.steps_of(submitter.name):
        verdict = step.peek(facts)
        findings.append(Finding(f'step {step.name}', step.tell(facts), 'no' if verdict else ''))
        if verdict is not None:
            return Explanation(tuple(findings), '', outcome=_objection(verdict))
    told = trace(decider.table, facts)
    findings += [Finding(f'route {line.route}', line.why, 'yes' if line.matched else 'no') for line in told.lines]
    decision = told.decision
    if not decision.upstreams:
        return Explanation(tuple(findings), decision.route, outcome=_no_way(decision, config))
    refused = surroundings.refusal_of(facts, decision.upstreams)
    if refused is not None:
        findings.append(Finding('account', refused.text, 'no'))
        return Explanation(tuple(findings), decision.route, outcome=_refused(refused))
    window = window_finding(decider.windows, facts)
    waits = ''
    if window is not None:
        findings.append(Finding('window', window.text, 'no' if window.refuses else ''))
        if window.refuses:
            return Explanation(tuple(findings), decision.route, outcome=_refused(Refused(window.status, window.text)))
        waits = f'waits until {window.opens}, then ' if window.opens else ''
    states = [(name, surroundings.state_of(name)) for name in decision.upstreams]
    findings += [Finding(f'upstream {name}', state) for name, state in states if state]
    outcome = waits + _way(decision, facts, surroundings.expected(decision.upstreams))
    return Explanation(tuple(findings), decision.route, decision.upstreams, outcome)


async def answer_question(node: 'Node', request: dict[str, Any]) -> Any:
    """Answer the control request `route`: a Question, with what this node knows now."""
    core, question = node.core, question_of(request, Question)
    account = core.accounts.get(question.account)
    if account is None or account.config is None:
        raise ControlError(f'the running server has no account {question.account}; smsc reload brings a new one')
    config = account.config
    around = Surroundings(
        core.configuration.smpp, partial(_state, core), partial(expected, core), partial(_refusal, core, config)
    )
    try:
        found = explain(core.decider, account.submitter, config, question, around)
    except QuestionError as error:
        raise ControlError(str(error)) from error
    return msgspec.to_builtins(found)


def _refusal(core: 'Core', config: 'AccountConfig', facts: Facts, upstreams: tuple[str, ...]) -> Refused | None:
    """Return what refuses a message in the end that policy and routes have nothing against."""
    if facts.segments > config.max_parts and is_split(core, upstreams):
        return _too_long(facts.segments, config)
    if not core.charging.accounts:
        return None
    try:
        price = core.charging.price_of(config.name, facts, facts.segments)
    except Refused as refusal:
        return refusal
    if price and not core.store.credit.affords(config.name, price):
        return Refused(status_of(config.credit_status), 'its credit does not pay for it')
    return None


def _too_long(segments: int, config: 'AccountConfig') -> Refused:
    return Refused(CommandStatus.ESME_RINVMSGLEN, f'{segments} segments; max_parts is {config.max_parts}')


def _state(core: 'Core', name: str) -> str:
    upstream = core.upstreams.get(name)
    if upstream is None:
        return 'not configured'
    if upstream.feed.off:
        return 'switched off by hand'
    if upstream.draining:
        return 'drained by hand'
    if upstream.feed.on_hold:
        return 'paused by hand: what is for it waits'
    return 'available' if upstream.available else 'not available now'


def _account(facts: Facts) -> Finding:
    priority = 'none' if facts.priority is None else facts.priority
    segments = f'{facts.segments} segment{"s" if facts.segments > 1 else ""}'
    return Finding(f'account {facts.account}', f'category {facts.category or "none"}, priority {priority}, {segments}')


def _number(question: Question, facts: Facts) -> Finding:
    return Finding(f'number {facts.destination or question.destination}', place_text(facts))


def place_text(facts: Facts) -> str:
    """Return where the number of a message belongs, for people."""
    place = facts.place
    known = [place.country, place.region, place.zone]
    text = ', '.join(filter(None, known)) or 'no range of the number plan has it'
    if facts.operator != place.operator:
        text += f', ported to {facts.operator}' + (f' from {place.operator}' if place.operator else '')
    elif place.operator:
        text += f', operator {place.operator}'
    return text


def _refused(refusal: Refused) -> str:
    return f'refused with {status_name(refusal.command_status)}: {refusal.text}'


def _objection(verdict: Verdict) -> str:
    if verdict.action == 'repeat':
        return f'answered as message {verdict.message_id}: {verdict.reason}'
    how = 'refused' if verdict.action == 'refuse' else 'accepted and dropped'
    return f'{how} with {status_name(verdict.status)}: {verdict.reason}'


def _no_way(decision: Decision, config: 'AccountConfig') -> str:
    if decision.drop:
        return f'accepted and dropped by route {decision.route}'
    if decision.route:
        return f'refused with {status_name(decision.reject)} by route {decision.route}'
    if config.no_route == 'receipt':
        return 'accepted, ended UNDELIV: no route matches'
    return f'refused with {config.no_route}: no route matches'


def _way(decision: Decision, facts: Facts, first: str) -> str:
    """Tell where it goes: first the upstream that would get it now."""
    priority = facts.priority if decision.priority is None else decision.priority
    order = [first, *(name for name in decision.upstreams if name != first)] if first else decision.upstreams
    text = f'goes to {", else ".join(order)} (priority {priority or 0})'
    if decision.retry is not None:
        text += f'; not delivered, to {", ".join(decision.retry.upstreams)}'
    return text
