"""Routes of the configuration become the route table; nested blocks become one list of rules."""

from collections.abc import Iterator

from pdu.receipt_text import WORDS
from pdu.tlvs import Tag
from routing.actions import Cost
from routing.conditions import AMOUNT_KEYS, WORD_KEYS, Amount, Condition, HasTlv, Unless, Words
from routing.table import BLOCK, Action, MoRule, Retry, RouteTable, Rule
from routing.windows import Window
from smsc.config.kinds import status_value
from smsc.config.routes_schema import MoRouteConfig, OnFailureConfig, Ranges, RouteConfig, WhenConfig
from smsc.config.schema import Configuration, OneOrMore

ANY = 'any'
_STATES = {word.decode(): int(state) for state, word in WORDS.items()}


def build(configuration: Configuration, cost: Cost | None = None) -> RouteTable:
    """Return the table for a checked configuration; `cost` is what `cheapest` compares."""
    rules = [rule for _, rule in rules_of(configuration.routes)]
    mo = [MoRule(route.name, route.account, conditions_of(route)) for route in configuration.mo]
    return RouteTable(rules, mo, cost)


def rules_of(
    routes: tuple[RouteConfig, ...], key: str = 'routes', above: Rule | None = None
) -> Iterator[tuple[str, Rule]]:
    """Yield the key path and the rule of each route that is no block; it holds the conditions of all blocks around it.

    Raises ValueError or re2.error for conditions that were not checked.
    """
    for number, route in enumerate(routes):
        path = f'{key}[{number}]'
        rule = _rule(route, above or Rule(''))
        if route.routes is None:
            yield path, rule
        else:
            yield from rules_of(route.routes, f'{path}.routes', rule)


def _rule(route: RouteConfig, above: Rule) -> Rule:
    return Rule(
        f'{above.name}{BLOCK}{route.name}' if above.name else route.name,
        (*above.conditions, *conditions_of(route)),
        _action(route),
        above.priority if route.priority is None else route.priority,
        above.retry if route.on_failure is None else _retry(route.on_failure),
    )


def conditions_of(route: RouteConfig | MoRouteConfig) -> tuple[Condition, ...]:
    """Return the conditions of one route, without those of the blocks around it."""
    conditions = tuple(_conditions(route.when))
    return conditions if route.unless is None else (*conditions, Unless(_conditions(route.unless)))


def _conditions(when: WhenConfig) -> Iterator[Condition]:
    for key in WORD_KEYS:
        wanted = getattr(when, key)
        if wanted is not None:
            yield Words(key, patterns(wanted))
    for key in AMOUNT_KEYS:
        amounts = getattr(when, key)
        if amounts is not None:
            yield Amount(key, listed(amounts))
    for tag, value in (when.tlv or {}).items():
        yield HasTlv(tag_of(tag), None if value == ANY else value)
    if when.time is not None or when.days is not None:
        yield Window(patterns(when.time or []), patterns(when.days or []), when.zone or 'UTC')


def _action(route: RouteConfig) -> Action:
    if route.reject is not None:
        return Action(reject=status_value(route.reject))
    if route.split is not None:
        return Action(shares=tuple(route.split.items()))
    return Action(tuple(route.failover or route.cheapest or ()), drop=route.drop, cheapest=route.cheapest is not None)


def _retry(on_failure: OnFailureConfig) -> Retry:
    return Retry(
        frozenset(_STATES[word] for word in on_failure.states),
        frozenset(on_failure.errors),
        on_failure.after_s,
        on_failure.upstreams,
    )


def patterns(wanted: OneOrMore) -> list[str]:
    """Return the patterns of a condition, one or more."""
    return [wanted] if isinstance(wanted, str) else wanted


def listed(wanted: Ranges) -> list[int | str]:
    """Return the numbers or ranges of a condition, one or more."""
    return wanted if isinstance(wanted, list) else [wanted]


def tag_of(name: str) -> int:
    """Return the tag of a TLV that is written as a name or a number. Raises ValueError for neither."""
    tag = Tag.__members__.get(name.upper())
    number = int(name, 0) if tag is None else int(tag)
    if not 0 <= number <= 0xFFFF:
        raise ValueError(f'{name} is no tag')
    return number
