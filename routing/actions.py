"""What a route does with the messages that match it.

Decisions are made once per rule and shared by all its messages.
"""

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from routing.facts import Facts

Cost = Callable[[str, Facts], int | None]
"""What a segment costs at an upstream, in the smallest unit of money; None where no price is known."""

MAX_ORDERS = 10_000  # of upstreams by price, remembered for each rule


class Retry(msgspec.Struct, frozen=True):
    """Upstreams for a message that another one did not deliver.

    It goes there when its receipt says one of `states` (message_state, SMPP 3.4 section 5.2.28), `errors` (the err of
    its receipt; none = any), or does not come within `after_s` seconds (0 = waits for ever).
    """

    states: frozenset[int] = frozenset()
    errors: frozenset[int] = frozenset()
    after_s: float = 0
    upstreams: tuple[str, ...] = ()


class Action(msgspec.Struct, frozen=True):
    """What a rule does, one of: send to the first of `upstreams` that is up, or in the order of their prices
    (`cheapest`); split by `shares`; refuse with `reject`, a command_status; accept and `drop`.
    """

    upstreams: tuple[str, ...] = ()
    shares: tuple[tuple[str, int], ...] = ()
    reject: int = 0
    drop: bool = False
    cheapest: bool = False


class Decision(msgspec.Struct, frozen=True):
    """What becomes of a message: it goes to `upstreams` in order of preference, is refused with `reject`, a
    command_status, or accepted and ended without sending (`drop`).

    `priority` is that of the route, None where it sets none; `retry` what follows when it is not delivered.
    """

    route: str
    upstreams: tuple[str, ...] = ()
    priority: int | None = None
    reject: int = 0
    drop: bool = False
    retry: Retry | None = None


class Choice(Protocol):
    """A decision that is another one from message to message."""

    def next(self, facts: Facts) -> Decision:
        """Return the decision for this message."""

    def peek(self, facts: Facts) -> Decision:
        """Return the same, and leave nothing behind."""


class Split:
    """Smooth weighted round robin: exact over each round of as many messages as the shares add up to, evenly mixed."""

    __slots__ = ('_at', '_round')

    def __init__(self, shares: tuple[tuple[str, int], ...], like: Decision) -> None:
        """`like` is the decision but for its upstreams."""
        by_weight = sorted(shares, key=lambda share: -share[1])
        names = [name for name, _ in by_weight]
        decisions = [
            msgspec.structs.replace(like, upstreams=(name, *(other for other in names if other != name)))
            for name in names
        ]
        self._round = [decisions[place] for place in _round_of([weight for _, weight in by_weight])]
        self._at = 0

    def next(self, facts: Facts) -> Decision:
        """Return the decision for the next message."""
        if facts.split_key is not None:
            return self._round[facts.split_key % len(self._round)]
        at = self._at
        self._at = at + 1 if at + 1 < len(self._round) else 0
        return self._round[at]

    def peek(self, facts: Facts) -> Decision:
        """Return the decision that the next message would get."""
        return self._round[self._at if facts.split_key is None else facts.split_key % len(self._round)]


def _round_of(weights: list[int]) -> Iterator[int]:
    """Yield the places of weights, each as often as it says, as evenly mixed as can be."""
    divisor = math.gcd(*weights)
    weights = [weight // divisor for weight in weights]
    total = sum(weights)
    now = [0] * len(weights)
    for _ in range(total):
        now = [had + weight for had, weight in zip(now, weights, strict=True)]
        chosen = now.index(max(now))
        now[chosen] -= total
        yield chosen


class Cheapest:
    """The cheapest upstream first, the others in the order of their prices, those without a price as written, last.

    Prices hold for an operator, country and category: the order is remembered for each.
    """

    __slots__ = ('_cost', '_known', '_like', '_upstreams')

    def __init__(self, upstreams: tuple[str, ...], like: Decision, cost: Cost) -> None:
        """`like` is the decision but for its upstreams."""
        self._upstreams = upstreams
        self._like = like
        self._cost = cost
        self._known: dict[tuple[str, str, str], Decision] = {}

    def next(self, facts: Facts) -> Decision:
        """Return the decision for messages to this operator."""
        key = facts.operator, facts.place.country, facts.category
        decision = self._known.get(key)
        if decision is None:
            if len(self._known) >= MAX_ORDERS:
                self._known.clear()
            decision = self._known[key] = self.peek(facts)
        return decision

    def peek(self, facts: Facts) -> Decision:
        """Return the decision, from the prices themselves."""
        return msgspec.structs.replace(self._like, upstreams=tuple(name for name, _ in self.prices(facts)))

    def prices(self, facts: Facts) -> list[tuple[str, int | None]]:
        """Return the upstreams with their prices, the cheapest first."""
        found = [(name, self._cost(name, facts)) for name in self._upstreams]
        return sorted(found, key=lambda one: (one[1] is None, one[1] or 0))


def choice_of(action: Action, like: Decision, cost: Cost | None) -> Decision | Choice:
    """Return what decides for a rule: one decision for all its messages, or a choice."""
    if len(action.shares) > 1:
        return Split(action.shares, like)
    if action.shares:
        return msgspec.structs.replace(like, upstreams=(action.shares[0][0],))
    if action.cheapest and cost is not None:
        return Cheapest(action.upstreams, like, cost)
    return msgspec.structs.replace(like, upstreams=action.upstreams, reject=action.reject, drop=action.drop)
