"""The route table: the first rule that matches decides.

It is replaced whole by a reload. A message's text is decoded only if a rule asks for it.
"""

from collections.abc import Callable, Sequence

import msgspec

from pdu.status import CommandStatus
from routing.index import Conditions, Index
from routing.patterns import Pattern

NO_ROUTE = int(CommandStatus.ESME_RINVDSTADR)


class Action(msgspec.Struct, frozen=True):
    """What a rule does: send to the first of `upstreams` that is up, split by `shares`, or refuse with `reject`."""

    upstreams: tuple[str, ...] = ()
    shares: tuple[tuple[str, int], ...] = ()
    reject: int = 0


class Rule(msgspec.Struct, frozen=True):
    """Conditions, each a conjunction of patterns (one for each block around the route), and an action."""

    name: str
    account: tuple[Pattern, ...] = ()
    source_addr: tuple[Pattern, ...] = ()
    destination: tuple[Pattern, ...] = ()
    text: tuple[Pattern, ...] = ()
    priority: int | None = None
    action: Action = Action()


class MoRule(msgspec.Struct, frozen=True):
    """Which account gets an MO message."""

    name: str
    account: str
    upstream: tuple[Pattern, ...] = ()
    source_addr: tuple[Pattern, ...] = ()
    destination: tuple[Pattern, ...] = ()
    text: tuple[Pattern, ...] = ()


class Decision(msgspec.Struct, frozen=True):
    """What becomes of a message: `upstreams` in order of preference, or `reject`, a command_status."""

    route: str
    upstreams: tuple[str, ...] = ()
    priority: int | None = None
    reject: int = 0


class _Split:
    """Smooth weighted round robin: exact over each round of as many messages as the shares add up to, evenly mixed."""

    __slots__ = ('_decisions', '_now', '_total', '_weights')

    def __init__(self, rule: Rule) -> None:
        by_weight = sorted(rule.action.shares, key=lambda share: -share[1])
        names = [name for name, _ in by_weight]
        self._weights = [weight for _, weight in by_weight]
        self._total = sum(self._weights)
        self._now = [0] * len(self._weights)
        self._decisions = [
            Decision(rule.name, (name, *(other for other in names if other != name)), rule.priority) for name in names
        ]

    def next(self) -> Decision:
        """Return the decision for the next message."""
        now = self._now
        for index, weight in enumerate(self._weights):
            now[index] += weight
        chosen = now.index(max(now))
        now[chosen] -= self._total
        return self._decisions[chosen]


class RouteTable:
    """The routes of one configuration."""

    __slots__ = ('_accounts', '_decisions', '_index', '_mo_index')

    def __init__(self, rules: Sequence[Rule], mo: Sequence[MoRule] = ()) -> None:
        self._index = Index([Conditions(rule.account, rule.source_addr, rule.destination, rule.text) for rule in rules])
        self._decisions = [_Split(rule) if rule.action.shares else _decision(rule) for rule in rules]
        self._mo_index = Index(
            [Conditions(rule.upstream, rule.source_addr, rule.destination, rule.text) for rule in mo]
        )
        self._accounts = [rule.account for rule in mo]

    def decide(self, account: str, source_addr: str, destination: str, text: Callable[[], str]) -> Decision:
        """Return the decision of the first rule that matches; ESME_RINVDSTADR without one (wire.md C9).

        `destination` may begin with `+` or `00`, which are no part of the number. `text` is called only when a rule
        asks for it.
        """
        if destination[:1] in _PREFIXED:
            destination = _without_prefix(destination)
        position = self._index.find(account, source_addr, destination, text)
        if position < 0:
            return _NONE
        decision = self._decisions[position]
        return decision.next() if isinstance(decision, _Split) else decision

    def mo_decide(self, upstream: str, source_addr: str, destination: str, text: Callable[[], str]) -> str | None:
        """Return the account that gets an MO message, None without a rule for it."""
        position = self._mo_index.find(upstream, source_addr, _without_prefix(destination), text)
        return None if position < 0 else self._accounts[position]


_NONE = Decision('', reject=NO_ROUTE)
_PREFIXED = ('+', '0')


def _without_prefix(number: str) -> str:
    """Return a number without `+` or `00`, which lead to other countries and belong to none (wire.md C12)."""
    return number[1:] if number[:1] == '+' else number.removeprefix('00')


def _decision(rule: Rule) -> Decision:
    return Decision(rule.name, rule.action.upstreams, rule.priority, rule.action.reject)
