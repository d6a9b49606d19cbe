"""Words of the configuration that nothing else knows: categories, operators, countries. `smsc check` warns of them.

A route for the operator `mtz` is no mistake, and never matches. What operators there are is said by the number plan and
the base of ported numbers in the data folder; before one of them is imported, any operator may be meant.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from routing.mnp import MnpBase
from routing.plan import PlanError
from smsc.config.content_schema import KNOWN_CATEGORIES
from smsc.config.kinds import OneOrMore
from smsc.config.problems import Problem
from smsc.config.registered_senders import SendersFileError, read_registered
from smsc.config.routes import patterns
from smsc.config.routes_schema import MoRouteConfig, RouteConfig, WhenConfig
from smsc.config.schema import Configuration
from smsc.config.template_files import templates_of
from smsc.mnp import folder_of
from smsc.plan.base import known_countries
from smsc.plan.sources import load_plan, read_sources
from smsc.prices import PriceFile, entry_of

Warned = tuple[str, str, str] | Problem
"""(key, message, remedy), or with a place of its own."""

MAX_WARNINGS = 100


class PriceWords(msgspec.Struct, frozen=True):
    """What an entry of a price list names; `file` and `line` where it does not stand in YAML."""

    key: str
    country: str
    operator: str
    category: str
    file: str = ''
    line: int = 0

    def warned(self, message: str, remedy: str) -> Warned:
        """Return a warning of it."""
        if self.file:
            return Problem(self.file, self.line, self.key, message, remedy)
        return self.key, message, remedy


def unknown_words(configuration: Configuration) -> Iterator[Warned]:
    """Yield a warning for each, of a configuration without mistakes; reads files, a second or two for large ones."""
    prices = list(_price_words(configuration))
    found = [
        *_countries(prices),
        *_unknown_categories(configuration, prices),
        *_unknown_operators(configuration, prices),
    ]
    yield from found[:MAX_WARNINGS]


def _countries(prices: list[PriceWords]) -> Iterator[Warned]:
    known = known_countries()
    for one in prices:
        if one.country and one.country not in known:
            yield one.warned(
                f'names no country: there is no {one.country}', 'write its two letters of ISO 3166 such as RU'
            )


# Categories


def _unknown_categories(configuration: Configuration, prices: list[PriceWords]) -> Iterator[Warned]:
    known = set(KNOWN_CATEGORIES) | {account.category or '' for account in configuration.accounts.values()}
    for name, templates in configuration.templates.items():
        known.update(template.category for template in templates_of(name, templates)[0])
    known -= {''}
    remedy = f'accounts and templates say {", ".join(sorted(known)[:20])}'
    for key, wanted in _wanted_categories(configuration):
        for word in _unknown(wanted, known):
            yield key, f'no message is of category {word:.80}', remedy
    for one in prices:
        if one.category and one.category not in known:
            yield one.warned(f'no message is of category {one.category:.80}', remedy)


def _wanted_categories(configuration: Configuration) -> Iterator[tuple[str, OneOrMore]]:
    for key, when in _conditions(configuration):
        yield f'{key}.category', when.category or []
    yield 'stop_lists.exempt_categories', list(configuration.stop_lists.exempt_categories)
    yield 'windows.exempt_categories', list(configuration.windows.exempt_categories)
    yield 'windows.categories', list(configuration.windows.categories)
    limits = [('subscriber_limit', configuration.subscriber_limit)]
    limits += [(f'accounts.{name}.daily_limit', one.daily_limit) for name, one in configuration.accounts.items()]
    for key, limit in limits:
        yield f'{key}.categories', list(limit.categories) if limit is not None else []


# Operators


def _unknown_operators(configuration: Configuration, prices: list[PriceWords]) -> Iterator[Warned]:
    found = _imported(configuration)
    if found is None:
        return
    remedy = 'write its code, as `smsc plan show` and `smsc mnp show` do'
    senders = dict(_sender_operators(configuration))
    priced = {one.operator for one in prices}
    for key, when in _conditions(configuration):
        for word in _unknown(when.operator or [], found | senders.keys() | priced):
            yield f'{key}.operator', f'no number is known to be of operator {word:.80}', remedy
    for operator, key in senders.items():
        if operator not in found | priced:
            yield key, f'no number is known to be of operator {operator:.80}', remedy
    for one in prices:
        if one.operator and one.operator not in found | senders.keys():
            yield one.warned(f'no number is known to be of operator {one.operator:.80}', remedy)


def _imported(configuration: Configuration) -> frozenset[str] | None:
    """Return the operators of plan, base and names for them; None where neither was imported, or can be read."""
    base = MnpBase(folder_of(configuration.data), configuration.mnp.operators)
    try:
        if base.is_empty and not read_sources(configuration.data):
            return None
        return load_plan(configuration.data).operators() | base.operators() | set(configuration.mnp.operators.values())
    except PlanError:
        return None
    finally:
        base.close()


def _sender_operators(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield each operator that senders are registered with, or that requires it, and the key that says so."""
    senders = configuration.senders
    if senders.file is not None:
        try:
            yield from ((operator, 'senders.file') for _, operator, _ in read_registered(Path(senders.file)))
        except SendersFileError:
            pass  # a mistake, told by others
    for sender, operators in senders.registered.items():
        yield from ((operator, f'senders.registered.{sender}') for operator in operators)
    yield from ((operator, 'senders.operators_that_require') for operator in senders.operators_that_require)


# What is written


def _conditions(configuration: Configuration) -> Iterator[tuple[str, WhenConfig]]:
    yield from _of_routes('routes', configuration.routes)
    yield from _of_routes('mo', configuration.mo)


def _of_routes(key: str, routes: Iterable[RouteConfig | MoRouteConfig]) -> Iterator[tuple[str, WhenConfig]]:
    for number, route in enumerate(routes):
        path = f'{key}[{number}]'
        yield f'{path}.when', route.when
        if route.unless is not None:
            yield f'{path}.unless', route.unless
        if isinstance(route, RouteConfig) and route.routes is not None:
            yield from _of_routes(f'{path}.routes', route.routes)


def _unknown(wanted: OneOrMore, known: Collection[str]) -> Iterator[str]:
    """Yield the patterns that match nothing known; what an expression matches is not looked at."""
    for one in patterns(wanted):
        if one.endswith('*'):
            if not any(word.startswith(one[:-1]) for word in known):
                yield one
        elif not one.startswith('~') and one not in known:
            yield one


def _price_words(configuration: Configuration) -> Iterator[PriceWords]:
    for name, config in configuration.prices.items():
        for number, one in enumerate(config.entries):
            entry = entry_of(0, one.country, one.operator, one.category)
            yield PriceWords(f'prices.{name}.entries[{number}]', entry.country, entry.operator, entry.category)
        if config.file is not None:
            file = PriceFile(f'prices.{name}.file', Path(config.file))
            file.read()
            for line, entry in file.entries:
                yield PriceWords(
                    f'prices.{name}.file', entry.country, entry.operator, entry.category, config.file, line
                )
