"""What routes must also be: one action each, names that exist, conditions that can be understood; and what of them can
never match, which is no mistake but surely not meant.
"""

from collections.abc import Sequence
from typing import Protocol

import re2

from routing.conditions import AMOUNT_KEYS, WORD_KEYS, Condition, parse_ranges
from routing.patterns import Pattern
from routing.shadows import Never, never
from routing.table import BLOCK
from routing.windows import SUBSCRIBER, is_zone, parse_days, parse_hours
from smsc.config.content_checks import costly
from smsc.config.kinds import OneOrMore
from smsc.config.routes import conditions_of, listed, patterns, rules_of, tag_of
from smsc.config.routes_schema import MoRouteConfig, OnFailureConfig, RouteConfig, WhenConfig
from smsc.config.schema import Configuration, Status
from smsc.plan.base import known_countries

ACTIONS = ('failover', 'split', 'cheapest', 'reject', 'drop', 'routes')
SENDING = ('failover', 'split', 'cheapest')
WHOLE_PERCENT = 100
LARGEST_RATIO = 10
MAX_NAMES_SHOWN = 20
COUNTRY_LETTERS = 2
WORLD = '001'  # the country of networks that belong to none


class Checking(Protocol):
    """The check of the whole configuration."""

    configuration: Configuration

    def note(self, key: str, message: str, remedy: str) -> None:
        """Note a mistake."""

    def warn(self, key: str, message: str, remedy: str) -> None:
        """Note what is surely not meant."""

    def where(self, key: str) -> str:
        """Return the file and line where a key stands."""

    def exists(self, kind: str, name: str) -> bool:
        """Return whether an account or upstream was written down, even if with mistakes."""

    def check_status(self, key: str, status: Status) -> None:
        """Note a command_status that is none."""


class RouteChecks:
    """Looks at the routes of a configuration."""

    def __init__(self, whole: Checking) -> None:
        self._whole = whole
        self._configuration = whole.configuration
        self._note = whole.note

    def check(self) -> None:
        """Find what is wrong with routes."""
        configuration = self._configuration
        self._check_routes('routes', configuration.routes)
        self._check_names_of('routes', configuration.routes, '', {})
        for number, route in enumerate(configuration.mo):
            self._check_mo(f'mo[{number}]', route)
        self._check_names_of('mo', configuration.mo, '', {})

    # Routes

    def _check_routes(self, key: str, routes: tuple[RouteConfig, ...]) -> None:
        for number, route in enumerate(routes):
            self._check_route(f'{key}[{number}]', route)

    def _check_names_of(
        self, key: str, routes: Sequence[RouteConfig | MoRouteConfig], block: str, seen: dict[str, str]
    ) -> None:
        """Find two of one full name: by it messages remember their route, and routes are switched off."""
        for number, route in enumerate(routes):
            path, name = f'{key}[{number}]', f'{block}{route.name}'
            if seen.setdefault(name, path) != path:
                message = f'route `{name}` has the name of the one in {self._whole.where(seen[name])}'
                self._note(path, message, 'give it a name of its own')
            elif isinstance(route, RouteConfig) and route.routes:
                self._check_names_of(f'{path}.routes', route.routes, f'{name}{BLOCK}', seen)

    def _check_route(self, key: str, route: RouteConfig) -> None:
        actions = [action for action in ACTIONS if getattr(route, action) is not (False if action == 'drop' else None)]
        if len(actions) != 1:
            found = ' and '.join(actions) or 'no action'
            self._note(key, f'route `{route.name}` has {found}', f'give it exactly one of {", ".join(ACTIONS)}')
        for action in SENDING:
            names = getattr(route, action)
            if names is not None:
                self._check_names(f'{key}.{action}', tuple(names))
        if route.split is not None:
            self._check_split(f'{key}.split', route.split)
        if route.reject is not None:
            self._whole.check_status(f'{key}.reject', route.reject)
        self._check_conditions(key, route, 'account')
        if route.on_failure is not None:
            self._check_on_failure(f'{key}.on_failure', route.on_failure, actions)
        if route.routes is not None:
            if not route.routes:
                self._note(f'{key}.routes', 'holds no route', 'add one, or another action')
            self._check_routes(f'{key}.routes', route.routes)

    def _check_split(self, key: str, split: dict[str, int]) -> None:
        """Shares are percent, or a ratio of small numbers: percent that do not add up are a slip."""
        total = sum(split.values())
        if any(share <= 0 for share in split.values()):
            self._note(key, 'has a share that is not above 0', 'leave that upstream out')
        elif total != WHOLE_PERCENT and max(split.values(), default=0) > LARGEST_RATIO:
            remedy = f'make them {WHOLE_PERCENT} together, or write a ratio of numbers up to {LARGEST_RATIO}'
            self._note(key, f'shares add up to {total}', remedy)

    def _check_on_failure(self, key: str, on_failure: OnFailureConfig, actions: list[str]) -> None:
        self._check_names(f'{key}.upstreams', on_failure.upstreams)
        if actions in (['reject'], ['drop']):
            self._note(key, f'has no effect beside {actions[0]}', 'take it out')
        if not (on_failure.states or on_failure.after_s):
            self._note(key, 'names no failure', 'add `states: [...]` or `after_s: ...`')

    def _check_names(self, key: str, names: tuple[str, ...]) -> None:
        if not names:
            self._note(key, 'names no upstream', f'name one of {self._known()}')
        for name in names:
            if not self._whole.exists('upstreams', name):
                self._note(key, f'there is no upstream {name}', f'name one of {self._known()}')
        if len(set(names)) < len(names):
            self._note(key, 'names an upstream twice', 'name each once')

    def _known(self, kind: str = 'upstreams') -> str:
        """Return some of the names that exist."""
        names = list(getattr(self._configuration, kind))
        some = ', '.join(names[:MAX_NAMES_SHOWN])
        return f'{some}, ...' if len(names) > MAX_NAMES_SHOWN else some or f'those under `{kind}:` (none yet)'

    def _check_mo(self, key: str, route: MoRouteConfig) -> None:
        if not self._whole.exists('accounts', route.account):
            remedy = f'name one of {self._known("accounts")}'
            self._note(f'{key}.account', f'there is no account {route.account}', remedy)
        self._check_conditions(key, route, 'upstream')

    # Conditions

    def _check_conditions(self, key: str, route: RouteConfig | MoRouteConfig, own: str) -> None:
        self._check_when(f'{key}.when', route.when, own)
        if route.unless is not None:
            if route.unless == WhenConfig():
                self._note(f'{key}.unless', 'holds no condition', 'add one, or take it out')
            self._check_when(f'{key}.unless', route.unless, own)

    def _check_when(self, key: str, when: WhenConfig, own: str) -> None:
        """`own` is where messages come from: an account, or for MO messages an upstream."""
        for name in WORD_KEYS:
            wanted = getattr(when, name)
            if wanted is None:
                continue
            if name in ('account', 'upstream'):
                self._check_peer(f'{key}.{name}', wanted, name, own)
            self._check_patterns(f'{key}.{name}', wanted)
            for warning in costly(f'{key}.{name}', wanted if name == 'text' else ()):
                self._whole.warn(*warning)
        for name in AMOUNT_KEYS:
            amounts = getattr(when, name)
            if amounts is not None:
                self._check_parsed(f'{key}.{name}', listed(amounts), 'write 3, 2-5, >1, or a list of these')
        for tag, value in (when.tlv or {}).items():
            self._check_tlv(f'{key}.tlv.{tag}', tag, value)
        self._check_countries(f'{key}.country', patterns(when.country or []))
        self._check_window(key, when)

    def _check_peer(self, key: str, wanted: OneOrMore, name: str, own: str) -> None:
        if name != own:
            where = 'mo' if name == 'upstream' else 'routes'
            self._note(key, f'is a condition of `{where}` only', 'take it out')
            return
        for one in patterns(wanted):
            if not one.startswith('~') and '*' not in one and not self._whole.exists(f'{name}s', one):
                self._note(key, f'there is no {name} {one}', f'name one of {self._known(f"{name}s")}')

    def _check_patterns(self, key: str, wanted: OneOrMore) -> None:
        if not patterns(wanted):
            self._note(key, 'names nothing', 'name something, or take the condition out')
        for pattern in patterns(wanted):
            if pattern.startswith('~'):
                try:
                    Pattern([pattern])
                except re2.error as error:
                    reason = error.args[0].decode('utf-8', 'replace')
                    self._note(key, f'is no regular expression: {reason}', 'see the syntax of RE2')
            elif pattern.startswith('+') and key.endswith('.destination'):
                self._note(key, f'`{pattern}` never matches', 'write it without +')
            elif '*' in pattern[:-1]:
                self._note(
                    key,
                    f'`{pattern}` has a * that is not its end',
                    'write a prefix such as 881*, or ~ and an expression',
                )

    def _check_parsed(self, key: str, wanted: Sequence[int | str], remedy: str) -> None:
        if not wanted:
            self._note(key, 'names nothing', 'name something, or take the condition out')
        try:
            parse_ranges(wanted)
        except ValueError as error:
            self._note(key, str(error), remedy)

    def _check_tlv(self, key: str, tag: str, value: int | str) -> None:
        try:
            tag_of(tag)
        except ValueError:
            self._note(key, 'is no TLV', 'write a name such as user_message_reference, or a number such as 0x1400')
        if isinstance(value, str):
            self._check_patterns(key, value)
        elif value < 0:
            self._note(key, f'{value} is no value of a TLV', 'write `any`, a number from 0, or text')

    def _check_window(self, key: str, when: WhenConfig) -> None:
        for name, parse, remedy in (
            ('time', parse_hours, 'write hours such as 09:00-18:00'),
            ('days', parse_days, 'write days such as mon-fri, or a list of them'),
        ):
            wanted = getattr(when, name)
            if wanted is not None and not patterns(wanted):
                self._note(f'{key}.{name}', 'names nothing', 'name something, or take the condition out')
            for one in patterns(wanted or []):
                try:
                    parse(one)
                except ValueError as error:
                    self._note(f'{key}.{name}', str(error), remedy)
        if when.zone is None:
            return
        if when.time is None and when.days is None:
            self._note(f'{key}.zone', 'has no effect without `time` or `days`', 'add one, or take it out')
        if when.zone != SUBSCRIBER and not is_zone(when.zone):
            remedy = f'write a name such as Europe/Moscow, or {SUBSCRIBER}'
            self._note(f'{key}.zone', f'there is no time zone {when.zone}', remedy)

    # What never matches

    def _check_countries(self, key: str, wanted: list[str]) -> None:
        for one in wanted:
            if not one.startswith('~') and '*' not in one and not _is_country(one):
                remedy = 'write its two letters of ISO 3166 such as RU'
                self._whole.warn(key, f'names no country: there is no {one}', remedy)

    def find_never(self) -> None:
        """Warn of rules that no message reaches, of a configuration without mistakes."""
        keyed = list(rules_of(self._configuration.routes))
        self._warn([key for key, _ in keyed], [rule.name for _, rule in keyed], [rule.conditions for _, rule in keyed])
        mo = self._configuration.mo
        self._warn(
            [f'mo[{number}]' for number in range(len(mo))],
            [route.name for route in mo],
            [conditions_of(route) for route in mo],
        )

    def _warn(self, keys: list[str], names: list[str], rules: list[tuple[Condition, ...]]) -> None:
        for found in never(rules):
            message = f'route `{names[found.position]}` never matches: {_reason(found, names)}'
            remedy = 'put it before that one, or take it out' if found.by >= 0 else 'change one of them'
            self._whole.warn(keys[found.position], message, remedy)


def _reason(found: Never, names: list[str]) -> str:
    if found.by >= 0:
        return f'route `{names[found.by]}` before it takes all that it could'
    if len(found.keys) == 1:
        return f'its `{found.keys[0]}` rules out all that its other conditions let in'
    one, other = found.keys
    return (
        f'its conditions on {one} exclude each other' if one == other else f'its {one} and {other} exclude each other'
    )


def _is_country(name: str) -> bool:
    return name == WORLD or (len(name) == COUNTRY_LETTERS and name.upper() in known_countries())
