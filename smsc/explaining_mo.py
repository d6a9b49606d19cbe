"""Why an MO message would go to its account: `smsc route NUMBER --mo UPSTREAM`.

Asks the `mo` routes that decide, and leaves nothing behind.
"""

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import msgspec

from pdu.status import CommandStatus, status_name
from routing.decider import Decider
from routing.stop_lists import StopLists
from routing.trace import trace_mo
from smsc.config.schema import Configuration
from smsc.control import ControlError
from smsc.explaining import Explanation, Finding, Imagined, place_text, question_of
from smsc.mo import mo_facts
from smsc.policy import Policy
from smsc.prices import build_charging

if TYPE_CHECKING:
    from smsc.node import Node


class MoQuestion(Imagined, frozen=True, kw_only=True):
    """Where an MO message would go: from the handset `source_addr` to the service number `destination`."""

    upstream: str


def explain_mo(decider: Decider, accounts: Container[str], question: MoQuestion) -> Explanation:
    """Return why the message would go to its account, or to none."""
    facts = mo_facts(
        question.upstream, question.source_addr, question.destination, lambda: question.text, question.now_ms
    )
    decider.locate(facts)
    findings = [
        Finding(f'upstream {question.upstream}', f'to {facts.destination}, from {facts.source_addr or "nobody"}'),
        Finding(f'number {facts.number or facts.source_addr}', place_text(facts)),
    ]
    told = trace_mo(decider.table, facts)
    findings += [Finding(f'mo {line.route}', line.why, 'yes' if line.matched else 'no') for line in told.lines]
    if told.account is not None and told.account in accounts:
        return Explanation(tuple(findings), told.lines[-1].route, outcome=f'goes to account {told.account}')
    refusal = f'refused with {status_name(CommandStatus.ESME_RX_P_APPN)}: no route under `mo` matches'
    return Explanation(tuple(findings), '', outcome=refusal)


async def answer_mo_question(node: 'Node', request: dict[str, Any]) -> Any:
    """Answer the control request `route_mo`: a MoQuestion, with what this node knows now."""
    question = question_of(request, MoQuestion)
    if question.upstream not in node.core.upstreams:
        raise ControlError(f'the running server has no upstream {question.upstream}; smsc reload brings a new one')
    return msgspec.to_builtins(explain_mo(node.core.decider, node.core.accounts, question))


async def explain_mo_alone(configuration: Configuration, question: MoQuestion) -> Explanation:
    """Return why the message would go to its account, by the files alone. Raises what reading the plan raises."""
    policy = Policy(configuration, StopLists())
    try:
        decider = policy.build(configuration, build_charging(configuration))
        return explain_mo(decider, configuration.accounts, question)
    finally:
        await policy.close()
