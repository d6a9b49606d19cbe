"""What a configuration must also be: names that exist, no contradictions; and what of it has no effect yet."""

import re2

from pdu.status import CommandStatus
from smsc.config.convert import Converter
from smsc.config.document import Place
from smsc.config.problems import Problem
from smsc.config.schema import (
    AccountConfig,
    Configuration,
    MoRouteConfig,
    Notice,
    OneOrMore,
    RouteConfig,
    Status,
    UpstreamConfig,
    WhenConfig,
)

ACTIONS = ('failover', 'split', 'cheapest', 'reject', 'routes')
LATER_CONDITIONS = ('operator', 'country', 'category')
WHOLE_PERCENT = 100
SHORT_PASSWORD = 8


class Checker:
    """Looks at a converted configuration as a whole."""

    def __init__(self, configuration: Configuration, converter: Converter) -> None:
        self.configuration = configuration
        self.problems: list[Problem] = []
        self.notices: list[Notice] = []
        self._places = converter.places

    def check(self) -> None:
        """Find every contradiction and every key that has no effect yet."""
        configuration = self.configuration
        self._check_stores()
        for name, account in configuration.accounts.items():
            self._check_account(f'accounts.{name}', account)
        for name, upstream in configuration.upstreams.items():
            self._check_upstream(f'upstreams.{name}', upstream)
        self._check_routes('routes', configuration.routes)
        for number, route in enumerate(configuration.mo):
            self._check_mo(f'mo[{number}]', route)

    # Parts

    def _check_stores(self) -> None:
        for name in ('clickhouse', 'redis'):
            if getattr(self.configuration.store, name) is not None:
                self._later(f'store.{name}', 'the server is not used')
        if self.configuration.smpp.tls is not None:
            self._later('smpp.tls', 'no TLS port is opened')

    def _check_account(self, key: str, account: AccountConfig) -> None:
        if account.password is None and account.password_hash is None:
            self._note(key, 'has no password', 'add `password: ...` or `password_hash: ...`')
        if account.password is not None and account.password_hash is not None:
            self._note(f'{key}.password', 'stands beside password_hash', 'keep one of them')
        if account.password_hash is not None and not account.password_hash.startswith('$argon2'):
            self._note(f'{key}.password_hash', 'is no argon2 hash', 'make one with argon2-cffi, or use `password`')
        if not account.bind_types:
            self._note(f'{key}.bind_types', 'allows no bind', 'name transmitter, receiver or transceiver')
        system_id = account.system_id or account.name
        for other in self.configuration.accounts.values():
            if other.name < account.name and (other.system_id or other.name) == system_id:
                self._note(f'{key}.system_id', f'{system_id} is that of account {other.name} too', 'give each its own')
        for name in ('senders', 'category', 'windows'):
            if getattr(account, name):
                self._later(f'{key}.{name}', 'its messages are not checked for it')

    def _check_upstream(self, key: str, upstream: UpstreamConfig) -> None:
        if not upstream.host:
            self._note(key, 'has no host', 'add `host: ...`')
        for name in ('throttle', 'temporary', 'permanent'):
            for status in getattr(upstream.errors, name):
                self._check_status(f'{key}.errors.{name}', status)
        if upstream.retry.last_s < upstream.retry.first_s:
            self._note(f'{key}.retry.last_s', 'is below first_s', 'make it the longest pause')
        if upstream.tls:
            self._later(f'{key}.tls', 'its links are not encrypted')
        if upstream.long_messages:
            self._later(f'{key}.long_messages', 'long messages go through as the ESME made them')

    def _check_routes(self, key: str, routes: tuple[RouteConfig, ...]) -> None:
        complete = ''
        for number, route in enumerate(routes):
            at = f'{key}[{number}]'
            if complete:
                self._note(
                    at, f'can never match: route `{complete}` before it takes everything', 'put it before that one'
                )
            self._check_route(at, route)
            if route.when == WhenConfig() and route.routes is None:
                complete = route.name

    def _check_route(self, key: str, route: RouteConfig) -> None:
        actions = [action for action in ACTIONS if getattr(route, action) is not None]
        if len(actions) != 1:
            found = ' and '.join(actions) or 'no action'
            self._note(key, f'route `{route.name}` has {found}', f'give it exactly one of {", ".join(ACTIONS)}')
        for action in ('failover', 'split', 'cheapest'):
            names = getattr(route, action)
            if names is not None:
                self._check_names(f'{key}.{action}', tuple(names))
        if route.split is not None:
            self._check_split(f'{key}.split', route.split)
        if route.reject is not None:
            self._check_status(f'{key}.reject', route.reject)
        if route.cheapest is not None:
            self._later(f'{key}.cheapest', 'its upstreams are tried in the order they are written')
        self._check_when(f'{key}.when', route.when, 'account')
        if route.routes is not None:
            self._check_routes(f'{key}.routes', route.routes)

    def _check_split(self, key: str, split: dict[str, int]) -> None:
        if any(share <= 0 for share in split.values()):
            self._note(key, 'has a share that is not above 0', 'leave that upstream out')
        elif sum(split.values()) != WHOLE_PERCENT:
            self._note(key, f'shares add up to {sum(split.values())}', 'make them 100 together')

    def _check_names(self, key: str, names: tuple[str, ...]) -> None:
        if not names:
            self._note(key, 'names no upstream', f'name one of {self._known()}')
        for name in names:
            if name not in self.configuration.upstreams:
                self._note(key, f'there is no upstream {name}', f'name one of {self._known()}')
        if len(set(names)) < len(names):
            self._note(key, 'names an upstream twice', 'name each once')

    def _known(self) -> str:
        return ', '.join(self.configuration.upstreams) or 'those under `upstreams:` (none yet)'

    def _check_mo(self, key: str, route: MoRouteConfig) -> None:
        if route.account not in self.configuration.accounts:
            known = ', '.join(self.configuration.accounts) or 'those under `accounts:` (none yet)'
            self._note(f'{key}.account', f'there is no account {route.account}', f'name one of {known}')
        self._check_when(f'{key}.when', route.when, 'upstream')

    def _check_when(self, key: str, when: WhenConfig, own: str) -> None:
        for name in ('account', 'source_addr', 'destination', 'text', 'upstream', 'operator', 'country', 'category'):
            wanted = getattr(when, name)
            if wanted is None:
                continue
            if name in ('account', 'upstream') and name != own:
                where = 'mo' if name == 'upstream' else 'routes'
                self._note(f'{key}.{name}', f'is a condition of `{where}` only', 'take it out')
            if name in LATER_CONDITIONS:
                self._later(f'{key}.{name}', 'a route with this condition never matches')
            if name == own:
                known = self.configuration.accounts if own == 'account' else self.configuration.upstreams
                for one in patterns(wanted):
                    if not one.startswith('~') and '*' not in one and one not in known:
                        self._note(f'{key}.{name}', f'there is no {own} {one}', f'name one of {", ".join(known)}')
            self._check_patterns(f'{key}.{name}', wanted)

    def _check_patterns(self, key: str, wanted: OneOrMore) -> None:
        if not patterns(wanted):
            self._note(key, 'names nothing', 'name something, or take the condition out')
        for pattern in patterns(wanted):
            if pattern.startswith('~'):
                try:
                    re2.compile(pattern[1:], _quiet())
                except re2.error as error:
                    self._note(key, f'is no regular expression: {error}', 'see the syntax of RE2')
            elif '*' in pattern[:-1]:
                self._note(
                    key,
                    f'`{pattern}` has a * that is not its end',
                    'write a prefix such as 881*, or ~ and an expression',
                )

    def _check_status(self, key: str, status: Status) -> None:
        if isinstance(status, str) and status not in CommandStatus.__members__:
            self._note(key, f'there is no command_status {status}', 'write a name such as ESME_RINVDSTADR, or a number')
        elif isinstance(status, int) and not 0 < status <= 0xFFFFFFFF:
            self._note(key, f'{status} is no error', 'write a command_status above 0')

    # Notes

    def _note(self, key: str, message: str, remedy: str) -> None:
        place = self._place(key)
        self.problems.append(Problem(place.file, place.line, key, message, remedy))

    def _later(self, key: str, what: str) -> None:
        place = self._place(key)
        self.notices.append(Notice(place.file, place.line, key, what))

    def _place(self, key: str) -> Place:
        """Return where a key stands, or the nearest one above it that does."""
        while key and key not in self._places:
            key = key.rpartition('.')[0]
        return self._places.get(key) or self._places['']


def _quiet() -> 're2.Options':
    options = re2.Options()
    options.log_errors = False
    return options


def patterns(wanted: OneOrMore) -> list[str]:
    """Return the patterns of a condition, one or more."""
    return [wanted] if isinstance(wanted, str) else wanted


def status_value(status: Status) -> int:
    """Return the number of a command_status that is written as a name or a number."""
    return int(CommandStatus[status]) if isinstance(status, str) else status
