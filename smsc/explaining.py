"""Why a message would go where it goes: every step, what it looked up, which rule matched, which did not and why.

Asks the very objects that decide, and leaves nothing behind in them: no limit is used up, no split goes on.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from pdu.alphabets import AlphabetError, encode_text
from pdu.cutting import SHORT_MESSAGE_OCTETS
from pdu.pdus import SubmitSm
from pdu.status import status_name
from pdu.tlvs import Tag
from routing.actions import Decision
from routing.decider import Decider
from routing.facts import Facts
from routing.steps import Verdict
from routing.trace import trace
from smsc.admission import set_source_type
from smsc.control import ControlError
from smsc.deciding import Submitter, facts_of
from smsc.wire_forms import segment_count

if TYPE_CHECKING:
    from smsc.config.schema import AccountConfig
    from smsc.core import Core
    from smsc.node import Node


class Question(msgspec.Struct, frozen=True):
    """A message that nobody sends: addresses and text as an account would write them, at `now_ms`."""

    account: str
    destination: str
    now_ms: int
    source_addr: str = ''
    text: str = ''


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


def explain(
    decider: Decider,
    submitter: Submitter,
    config: 'AccountConfig',
    question: Question,
    state_of: Callable[[str], str] = lambda upstream: '',
) -> Explanation:
    """Return why the message would take its way; `state_of` tells how an upstream is now ('' = not known)."""
    pdu = submit_of(question)
    segments = segment_count(pdu, submitter.alphabet)
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
    if told.decision.drop or not told.decision.upstreams:
        return Explanation(tuple(findings), told.decision.route, outcome=_no_way(told.decision, config))
    findings += [Finding(f'upstream {name}', state_of(name)) for name in told.decision.upstreams if state_of(name)]
    return Explanation(tuple(findings), told.decision.route, told.decision.upstreams, _way(told.decision, facts))


async def answer_question(node: 'Node', request: dict[str, Any]) -> Any:
    """Answer the control request `route`: a Question, with what this node knows now."""
    core = node.core
    question = msgspec.convert({name: value for name, value in request.items() if name != 'command'}, Question)
    account = core.accounts.get(question.account)
    if account is None or account.config is None:
        raise ControlError(f'the running server has no account {question.account}; smsc reload brings a new one')
    try:
        found = explain(core.decider, account.submitter, account.config, question, partial(_state, core))
    except QuestionError as error:
        raise ControlError(str(error)) from error
    return msgspec.to_builtins(found)


def _state(core: 'Core', name: str) -> str:
    upstream = core.upstreams.get(name)
    if upstream is None:
        return 'not configured'
    if upstream.feed.off:
        return 'switched off by hand'
    return 'available' if upstream.available else 'not available now'


def _account(facts: Facts) -> Finding:
    priority = 'none' if facts.priority is None else facts.priority
    segments = f'{facts.segments} segment{"s" if facts.segments > 1 else ""}'
    return Finding(f'account {facts.account}', f'category {facts.category or "none"}, priority {priority}, {segments}')


def _number(question: Question, facts: Facts) -> Finding:
    place = facts.place
    known = [place.country, place.region, place.zone]
    text = ', '.join(filter(None, known)) or 'no range of the number plan has it'
    if facts.operator != place.operator:
        text += f', ported to {facts.operator}' + (f' from {place.operator}' if place.operator else '')
    elif place.operator:
        text += f', operator {place.operator}'
    return Finding(f'number {facts.destination or question.destination}', text)


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


def _way(decision: Decision, facts: Facts) -> str:
    priority = facts.priority if decision.priority is None else decision.priority
    text = f'goes to {", else ".join(decision.upstreams)} (priority {priority or 0})'
    if decision.retry is not None:
        text += f'; not delivered, to {", ".join(decision.retry.upstreams)}'
    return text
