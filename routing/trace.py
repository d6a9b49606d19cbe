"""Why a message takes its route: each rule from the top, whether it matches, and what of it does not.

A plain scan: it asks every condition itself, and must come to what the index finds.
"""

from collections.abc import Callable, Iterable

import msgspec

from routing.actions import Decision
from routing.conditions import Condition, text_last
from routing.facts import Facts
from routing.table import RouteTable

ALWAYS = 'it asks for nothing'
OFF = 'switched off by hand'


class Line(msgspec.Struct, frozen=True):
    """What became of one rule: `why` says which condition does not hold, or all that do."""

    route: str
    matched: bool
    why: str


class Trace(msgspec.Struct, frozen=True):
    """Rules from the top to the one that matched, the last line; and what was decided."""

    lines: tuple[Line, ...]
    decision: Decision


class MoTrace(msgspec.Struct, frozen=True):
    """The same for an MO message; `account` is None where no rule matched."""

    lines: tuple[Line, ...]
    account: str | None


def trace(table: RouteTable, facts: Facts) -> Trace:
    """Return how the routes decide about a message; nothing is left behind, no split goes on.

    Reads the text as `decide` does: only where a rule asks for it.
    """
    lines, position = _scan([(rule.name, rule.conditions) for rule in table.rules], facts, table.is_off)
    return Trace(tuple(lines), table.peek_at(position, facts))


def trace_mo(table: RouteTable, facts: Facts) -> MoTrace:
    """Return how the `mo` routes decide about a message; `facts.account` is its upstream."""
    lines, position = _scan([(rule.name, rule.conditions) for rule in table.mo], facts, lambda name: False)
    return MoTrace(tuple(lines), None if position < 0 else table.mo[position].account)


def _scan(
    rules: Iterable[tuple[str, tuple[Condition, ...]]], facts: Facts, is_off: Callable[[str], bool]
) -> tuple[list[Line], int]:
    lines: list[Line] = []
    for position, (name, conditions) in enumerate(rules):
        failed = None if is_off(name) else _failed(conditions, facts)
        if is_off(name):
            lines.append(Line(name, False, OFF))
        elif failed is not None:
            lines.append(Line(name, False, failed.tell(facts, False)))
        else:
            why = ', '.join(condition.tell(facts, True) for condition in conditions)
            lines.append(Line(name, True, why or ALWAYS))
            return lines, position
    return lines, -1


def _failed(conditions: tuple[Condition, ...], facts: Facts) -> Condition | None:
    """Return the first condition that does not hold; those of the text are asked last."""
    return next((condition for condition in text_last(conditions) if not condition.holds(facts)), None)
