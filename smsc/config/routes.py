"""Routes of the configuration become the route table; nested blocks become one list of rules."""

from routing.patterns import Pattern
from routing.table import Action, MoRule, RouteTable, Rule
from smsc.config.checks import patterns, status_value
from smsc.config.schema import Configuration, OneOrMore, RouteConfig, WhenConfig


def build(configuration: Configuration) -> RouteTable:
    """Return the table for a checked configuration."""
    rules: list[Rule] = []
    for route in configuration.routes:
        _add(rules, route, (), Rule(''), None)
    mo = [
        MoRule(
            route.name,
            route.account,
            upstream=_pattern(route.when.upstream),
            source_addr=_pattern(route.when.source_addr),
            destination=_pattern(route.when.destination),
            text=_pattern(route.when.text),
        )
        for route in configuration.mo
        if _in_effect(route.when)
    ]
    return RouteTable(rules, mo)


def _add(rules: list[Rule], route: RouteConfig, names: tuple[str, ...], above: Rule, priority: int | None) -> None:
    """Add a route's rules; a rule holds the conditions of all blocks around it."""
    if not _in_effect(route.when):
        return
    names = (*names, route.name)
    priority = route.priority if route.priority is not None else priority
    when = route.when
    rule = Rule(
        ' > '.join(names),
        account=above.account + _pattern(when.account),
        source_addr=above.source_addr + _pattern(when.source_addr),
        destination=above.destination + _pattern(when.destination),
        text=above.text + _pattern(when.text),
        priority=priority,
        action=_action(route),
    )
    if route.routes is None:
        rules.append(rule)
    for inner in route.routes or ():
        _add(rules, inner, names, rule, priority)


def _in_effect(when: WhenConfig) -> bool:
    """Return whether every condition is one that this version can decide."""
    return when.operator is None and when.country is None and when.category is None


def _pattern(wanted: OneOrMore | None) -> tuple[Pattern, ...]:
    return () if wanted is None else (Pattern(patterns(wanted)),)


def _action(route: RouteConfig) -> Action:
    if route.reject is not None:
        return Action(reject=status_value(route.reject))
    if route.split is not None:
        return Action(shares=tuple(route.split.items()))
    return Action(upstreams=tuple(route.failover or route.cheapest or ()))
