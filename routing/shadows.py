"""Rules that no message can ever reach: their own conditions exclude each other, or an earlier rule takes all that
they could.

What is found is certain; what is not found may still be hidden, by several rules together or behind expressions.
"""

from collections.abc import Sequence

import msgspec

from routing.conditions import Amount, Condition, HasTlv, Unless, Words
from routing.index import Index
from routing.windows import Window

MAX_COMPARED = 300_000  # pairs of rules; beyond them nothing more is looked for

Conditions = tuple[Condition, ...]


class Never(msgspec.Struct, frozen=True):
    """A rule that never matches: `by` is the position of the earlier rule that takes all it could, or else `keys` are
    those of its conditions that exclude each other.
    """

    position: int
    by: int = -1
    keys: tuple[str, ...] = ()


def never(rules: Sequence[Conditions]) -> list[Never]:
    """Return the rules that can never match, in their order."""
    index = Index(rules)
    found: list[Never] = []
    compared = 0
    for position, rule in enumerate(rules):
        keys = contradiction(rule)
        if keys:
            found.append(Never(position, keys=keys))
            continue
        earlier = [one for one in index.alike(rule) if one < position]
        compared += len(earlier)
        if compared > MAX_COMPARED:
            break
        by = next((one for one in earlier if covers(rules[one], rule) and not contradiction(rules[one])), -1)
        if by >= 0:
            found.append(Never(position, by))
    return found


def contradiction(rule: Conditions) -> tuple[str, ...]:
    """Return the keys of two conditions that never hold together, or of `unless` that the others fulfil; else none."""
    for number, one in enumerate(rule):
        for other in rule[number + 1 :]:
            if excludes(one, other):
                return one.key, other.key
        if isinstance(one, Unless) and covers(one.conditions, tuple(each for each in rule if each is not one)):
            return (one.key,)
    return ()


def covers(wider: Conditions, rule: Conditions) -> bool:
    """Return whether whatever meets the conditions of a rule certainly meets wider ones too."""
    return all(_is_always(condition) or any(implies(one, condition) for one in rule) for condition in wider)


def _is_always(condition: Condition) -> bool:
    return isinstance(condition, Words) and '' in condition.pattern.prefixes


def implies(one: Condition, other: Condition) -> bool:
    """Return whether a condition certainly holds where another one does."""
    if isinstance(other, Unless):
        if isinstance(one, Unless):
            return covers(one.conditions, other.conditions)
        return any(excludes(one, condition) for condition in other.conditions)
    if isinstance(one, Words) and isinstance(other, Words):
        return one.key == other.key and one.pattern.within(other.pattern)
    if isinstance(one, Amount) and isinstance(other, Amount):
        return one.key == other.key and all(
            any(low <= first and last <= high for low, high in other.ranges) for first, last in one.ranges
        )
    if isinstance(one, Window) and isinstance(other, Window):
        return one.zone == other.zone and not one.minutes & ~other.minutes
    if isinstance(one, HasTlv) and isinstance(other, HasTlv):
        return one.wanted[0] == other.wanted[0] and other.wanted[1] in (None, one.wanted[1])
    return False


def excludes(one: Condition, other: Condition) -> bool:
    """Return whether two conditions certainly never hold together."""
    if isinstance(one, Words) and isinstance(other, Words):
        return one.key == other.key and one.pattern.excludes(other.pattern)
    if isinstance(one, Amount) and isinstance(other, Amount):
        return one.key == other.key and not any(
            low <= last and first <= high for low, high in one.ranges for first, last in other.ranges
        )
    if isinstance(one, Window) and isinstance(other, Window):
        return one.zone == other.zone and not one.minutes & other.minutes
    if isinstance(one, HasTlv) and isinstance(other, HasTlv):
        values = {one.wanted[1], other.wanted[1]}
        return one.wanted[0] == other.wanted[0] and len(values) == 2 and all(isinstance(one, int) for one in values)
    return False
