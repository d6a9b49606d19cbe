"""The route table: the first rule that matches decides.

Rules are grouped as messages come: by account, as most rules name one, and, for an account with many rules, by the
first digits of the destination. A look-up scans only the rules that its account and digits can match, in their order:
the decision is that of a plain scan from the top. A message's text is decoded only if a rule asks for it.
"""

from collections.abc import Callable, Sequence

import msgspec

from pdu.status import CommandStatus
from routing.patterns import Pattern

NO_ROUTE = int(CommandStatus.ESME_RINVDSTADR)
INDEX_ABOVE = 16  # rules below which a plain scan is as fast
INDEX_DIGITS = 4
ACCOUNTS_BOUND = 10_000


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
    """Smooth weighted round robin: exact over each hundred messages, and evenly mixed."""

    __slots__ = ('_decisions', '_names', '_now', '_total', '_weights')

    def __init__(self, rule: Rule) -> None:
        by_weight = sorted(rule.action.shares, key=lambda share: -share[1])
        self._names = [name for name, _ in by_weight]
        self._weights = [weight for _, weight in by_weight]
        self._total = sum(self._weights)
        self._now = [0] * len(self._weights)
        self._decisions = [
            Decision(rule.name, (name, *(other for other in self._names if other != name)), rule.priority)
            for name in self._names
        ]

    def next(self) -> Decision:
        """Return the decision for the next message."""
        now = self._now
        for index, weight in enumerate(self._weights):
            now[index] += weight
        chosen = now.index(max(now))
        now[chosen] -= self._total
        return self._decisions[chosen]


class _Compiled:
    """One rule, ready to be compared."""

    __slots__ = ('decision', 'destination', 'rule', 'source_addr', 'split', 'text')

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.source_addr = rule.source_addr
        self.destination = rule.destination
        self.text = rule.text
        self.decision = Decision(rule.name, rule.action.upstreams, rule.priority, rule.action.reject)
        self.split = _Split(rule) if rule.action.shares else None

    def could_match_digits(self, digits: str) -> bool:
        """Return whether some destination that begins with `digits` can match."""
        return all(
            not pattern.plain
            or any(one.startswith(digits) for one in pattern.exact)
            or any(prefix.startswith(digits) or digits.startswith(prefix) for prefix in pattern.prefixes)
            for pattern in self.destination
        )


class RouteTable:
    """The routes of one configuration; replaced whole by a reload."""

    def __init__(self, rules: Sequence[Rule], mo: Sequence[MoRule] = ()) -> None:
        self._rules = [_Compiled(rule) for rule in rules]
        self._mo = tuple(mo)
        self._by_account: dict[str, list[_Compiled]] = {}
        self._by_digits: dict[tuple[str, str], list[_Compiled]] = {}

    def decide(self, account: str, source_addr: str, destination: str, text: Callable[[], str]) -> Decision:
        """Return the decision of the first rule that matches; ESME_RINVDSTADR without one (wire.md C9).

        `destination` may begin with `+`. `text` is called only when a rule asks for it.
        """
        if destination[:1] == '+':
            destination = destination[1:]
        rules = self._by_account.get(account)
        if rules is None:
            rules = self._rules_of(account)
        if len(rules) > INDEX_ABOVE:
            rules = self._rules_of_digits(account, destination[:INDEX_DIGITS], rules)
        for compiled in rules:
            if (
                (not compiled.destination or _all_match(compiled.destination, destination))
                and (not compiled.source_addr or _all_match(compiled.source_addr, source_addr))
                and (not compiled.text or _all_match(compiled.text, text()))
            ):
                return compiled.decision if compiled.split is None else compiled.split.next()
        return _NONE

    def mo_decide(self, upstream: str, source_addr: str, destination: str, text: Callable[[], str]) -> str | None:
        """Return the account that gets an MO message, None without a rule for it."""
        for rule in self._mo:
            if (
                _all_match(rule.upstream, upstream)
                and _all_match(rule.destination, destination.lstrip('+'))
                and _all_match(rule.source_addr, source_addr)
                and (not rule.text or _all_match(rule.text, text()))
            ):
                return rule.account
        return None

    def _rules_of(self, account: str) -> list[_Compiled]:
        """Return the rules that an account's messages can match, in order."""
        rules = [compiled for compiled in self._rules if _all_match(compiled.rule.account, account)]
        if len(self._by_account) < ACCOUNTS_BOUND:
            self._by_account[account] = rules
        return rules

    def _rules_of_digits(self, account: str, digits: str, rules: list[_Compiled]) -> list[_Compiled]:
        """Return those of an account's rules that numbers with these first digits can match, in order."""
        found = self._by_digits.get((account, digits))
        if found is None:
            found = [compiled for compiled in rules if compiled.could_match_digits(digits)]
            if len(self._by_digits) < ACCOUNTS_BOUND:
                self._by_digits[account, digits] = found
        return found


_NONE = Decision('', reject=NO_ROUTE)


def _all_match(patterns: tuple[Pattern, ...], value: str) -> bool:
    for pattern in patterns:  # noqa: SIM110 - a generator costs more than the comparison
        if not pattern.matches(value):
            return False
    return True
