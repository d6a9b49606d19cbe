"""The route table: the first rule that matches decides.

It is replaced whole by a reload. A message's text is decoded only if a rule asks for it.
"""

from collections.abc import Sequence

import msgspec

from pdu.status import CommandStatus
from routing.actions import Action, Choice, Cost, Decision, Retry, choice_of
from routing.conditions import Condition
from routing.facts import Facts
from routing.index import Index

__all__ = ['BLOCK', 'NO_ROUTE', 'Action', 'Decision', 'MoRule', 'Retry', 'RouteTable', 'Rule', 'without_prefix']

NO_ROUTE = int(CommandStatus.ESME_RINVDSTADR)
BLOCK = ' > '  # between the names of a block and of a route in it


class Rule(msgspec.Struct, frozen=True):
    """Conditions, those of all blocks around the route too, and an action; `priority` None leaves a message its own."""

    name: str
    conditions: tuple[Condition, ...] = ()
    action: Action = Action()
    priority: int | None = None
    retry: Retry | None = None


class MoRule(msgspec.Struct, frozen=True):
    """Which account gets an MO message."""

    name: str
    account: str
    conditions: tuple[Condition, ...] = ()


class RouteTable:
    """The routes of one configuration."""

    __slots__ = ('_decisions', '_index', '_mo_index', '_positions', 'find', 'mo', 'mo_asks_place', 'off', 'rules')

    def __init__(self, rules: Sequence[Rule], mo: Sequence[MoRule] = (), cost: Cost | None = None) -> None:
        """Without `cost`, what a segment costs at an upstream, `cheapest` takes them as written."""
        self.rules = tuple(rules)
        self.mo = tuple(mo)
        self.off: frozenset[str] = frozenset()
        self._index = Index([rule.conditions for rule in rules])
        self.find = self._index.find
        """Return the position of the first rule that matches, -1 without one."""
        self._decisions: list[Decision | Choice] = [
            choice_of(rule.action, Decision(rule.name, priority=rule.priority, retry=rule.retry), cost)
            for rule in rules
        ]
        self._decisions.append(NONE)  # at -1
        self._positions = {rule.name: number for number, rule in reversed(list(enumerate(rules)))}
        self._mo_index = Index([rule.conditions for rule in mo])
        self.mo_asks_place = any(condition.reads_place for rule in mo for condition in rule.conditions)
        """Whether a rule for MO messages asks where the handset's number belongs."""

    def set_off(self, names: frozenset[str]) -> None:
        """Switch these routes off, and all others on. The name of a block is that of every route in it.

        A route that is off never matches. Names of no route are kept: they may come back with a reload.
        """
        self.off = names
        self._index.set_off(frozenset(number for number, rule in enumerate(self.rules) if self.is_off(rule.name)))

    def is_off(self, name: str) -> bool:
        """Return whether a route, or a block that it is in, is switched off."""
        return bool(self.off) and any(name == off or name.startswith(off + BLOCK) for off in self.off)

    def decide(self, facts: Facts) -> Decision:
        """Return the decision of the first rule that matches; ESME_RINVDSTADR without one (wire.md C9).

        The destination is one without `+` or `00` (`without_prefix`). The text is read only when a rule asks for it.
        """
        return self.decide_at(self.find(facts), facts)

    def decide_at(self, position: int, facts: Facts) -> Decision:
        """Return the decision of the rule at a position that `find` has returned."""
        decision = self._decisions[position]
        return decision if decision.__class__ is Decision else decision.next(facts)  # type: ignore[union-attr]

    def peek(self, facts: Facts) -> Decision:
        """Return what `decide` would, and leave nothing behind: a split does not go on."""
        return self.peek_at(self.find(facts), facts)

    def peek_at(self, position: int, facts: Facts) -> Decision:
        """Return what the rule at a position decides, -1 for none."""
        decision = self._decisions[position]
        return decision if isinstance(decision, Decision) else decision.peek(facts)

    def named(self, route: str, facts: Facts) -> Decision | None:
        """Return what the route of this name decides, whatever its conditions; None without one, or while it is off."""
        position = self._positions.get(route)
        if position is None or self.is_off(route):
            return None
        decision = self.peek_at(position, facts)
        return decision if decision.upstreams else None

    def mo_decide(self, facts: Facts) -> str | None:
        """Return the account that gets an MO message, None without a rule for it; `facts.account` is its upstream."""
        position = self._mo_index.find(facts)
        return None if position < 0 else self.mo[position].account


NONE = Decision('', reject=NO_ROUTE)


def without_prefix(number: str) -> str:
    """Return a number without `+` or `00`, which lead to other countries and belong to none (wire.md C12)."""
    return number[1:] if number[:1] == '+' else number.removeprefix('00')
