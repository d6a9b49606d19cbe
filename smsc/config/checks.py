"""What a configuration must also be: names that exist, no contradictions; and what of it has no effect yet."""

from collections.abc import Sequence
from typing import Any

import argon2
import msgspec
import re2

from pdu.receipt_template import WIDTHS, Template, TemplateError
from pdu.status import CommandStatus
from routing.patterns import Pattern
from smsc.config.convert import Converter, keys_of, later_of
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
from smsc.tls import TLS_FILES, TlsError, files_of, listener_context, upstream_context

ACTIONS = ('failover', 'split', 'cheapest', 'reject', 'routes')
WHOLE_PERCENT = 100
LARGEST_RATIO = 10
MAX_SYSTEM_ID = 15
MAX_NAMES_SHOWN = 20
MAX_DEFAULT_MESSAGE = 254


class Checker:
    """Looks at a converted configuration as a whole.

    Where mistakes were found before there is no telling what was meant: the same account, upstream or list of routes
    is not looked at again, so that no mistake is reported twice.
    """

    def __init__(self, configuration: Configuration, converter: Converter, found: list[Problem]) -> None:
        self.configuration = configuration
        self.problems: list[Problem] = []
        self.notices: list[Notice] = []
        self._places = converter.places
        self._good_files: set[tuple[object, ...]] = set()  # of TLS: hundreds of upstreams may share them
        self._broken = {_section(problem.key) for problem in found}

    def check(self) -> None:
        """Find every contradiction and every key that has no effect yet."""
        configuration = self.configuration
        self._check_smpp()
        for name, account in configuration.accounts.items():
            self._check_account(f'accounts.{name}', account)
        self._check_system_ids()
        for name, upstream in configuration.upstreams.items():
            self._check_upstream(f'upstreams.{name}', upstream)
        self._check_routes('routes', configuration.routes)
        for number, route in enumerate(configuration.mo):
            self._check_mo(f'mo[{number}]', route)
        self._check_order('mo', configuration.mo)
        self._find_later('', configuration)

    # Parts

    def _check_smpp(self) -> None:
        if not _is_plain(self.configuration.smpp.system_id):
            self._note('smpp.system_id', 'holds characters that are not ASCII', 'write letters and digits')
        for name in ('too_many_binds', 'both_texts'):
            self._check_status(f'smpp.{name}', getattr(self.configuration.smpp, name))
        for number in self.configuration.smpp.default_messages:
            if not (number.isdecimal() and 0 < int(number) <= MAX_DEFAULT_MESSAGE):
                remedy = f'write a number from 1 to {MAX_DEFAULT_MESSAGE}'
                self._note(f'smpp.default_messages.{number}', 'is no sm_default_msg_id', remedy)
        if self.configuration.http.listen == self.configuration.smpp.listen and self.configuration.http.listen.port:
            self._note('http.listen', 'is the address and port of smpp.listen too', 'give it a port of its own')
        self._check_tls_port()

    def _check_tls_port(self) -> None:
        """The port with TLS is one of its own, and its files are there and fit."""
        tls = self.configuration.smpp.tls
        if tls is None:
            return
        for name in ('smpp', 'http'):
            if getattr(self.configuration, name).listen == tls.listen and tls.listen.port:
                message = f'is the address and port of {name}.listen too'
                self._note('smpp.tls.listen', message, 'give it a port of its own')
        try:
            listener_context(tls)
        except TlsError as error:
            self._note(f'smpp.tls.{error.key}', error.message, error.remedy)

    def _check_upstream_tls(self, key: str, upstream: UpstreamConfig) -> None:
        """Keys of TLS say TLS, go together, and their files are there and fit."""
        if not upstream.tls:
            for name in (*TLS_FILES, 'tls_server_name'):
                if getattr(upstream, name) is not None:
                    self._note(f'{key}.{name}', 'has no effect without TLS', 'add `tls: true`, or take it out')
            return
        if upstream.simulated is not None:
            self._note(f'{key}.tls', 'stands beside simulated, which speaks no TLS', 'keep one of them')
        server_name = upstream.tls_server_name
        if server_name is not None and not (server_name and _is_plain(server_name)):
            self._note(f'{key}.tls_server_name', 'is no host name', 'write it as in the certificate')
        if (upstream.tls_certificate is None) != (upstream.tls_key is None):
            one, other = ('certificate', 'key') if upstream.tls_key is None else ('key', 'certificate')
            self._note(f'{key}.tls_{one}', f'stands without tls_{other}', f'add `tls_{other}: ...`, or take it out')
            return
        alike = files_of(upstream)
        if alike in self._good_files:
            return
        try:
            upstream_context(upstream)
            self._good_files.add(alike)
        except TlsError as error:
            self._note(f'{key}.{error.key}', error.message, error.remedy)

    def _check_account(self, key: str, account: AccountConfig) -> None:
        if account.password is None and account.password_hash is None:
            self._note(key, 'has no password', 'add `password: ...` or `password_hash: ...`')
        if account.password is not None and account.password_hash is not None:
            self._note(f'{key}.password', 'stands beside password_hash', 'keep one of them')
        if account.password_hash is not None and not _is_hash(account.password_hash):
            self._note(f'{key}.password_hash', 'is no argon2 hash', 'make one with argon2-cffi, or use `password`')
        if account.password and len(account.password) > 8 and not self.configuration.smpp.long_passwords:
            self._note(f'{key}.password', 'is longer than 8, which smpp.long_passwords rules out', 'shorten it')
        if not account.bind_types:
            self._note(f'{key}.bind_types', 'allows no bind', 'name transmitter, receiver or transceiver')
        system_id = account.system_id or account.name
        if len(system_id) > MAX_SYSTEM_ID or not _is_plain(system_id):
            remedy = f'add `system_id: ...` of up to {MAX_SYSTEM_ID} ASCII characters'
            self._note(f'{key}.system_id', f'`{system_id}` is no system_id', remedy)
        if account.no_route != 'receipt':
            self._check_status(f'{key}.no_route', account.no_route)
        self._check_template(f'{key}.receipts.template', account.receipts.template)

    def _check_template(self, key: str, template: str | None) -> None:
        if template is not None:
            try:
                Template(template)
            except TemplateError as error:
                self._note(key, str(error), f'write ASCII text with {{{"}, {".join(WIDTHS)}}}')

    def _check_system_ids(self) -> None:
        owners: dict[str, str] = {}
        for name, account in self.configuration.accounts.items():
            owner = owners.setdefault(account.system_id or name, name)
            if owner != name:
                message = f'`{account.system_id or name}` is that of account {owner} too'
                self._note(f'accounts.{name}.system_id', message, 'give each its own')

    def _check_upstream(self, key: str, upstream: UpstreamConfig) -> None:
        if not upstream.host:
            self._note(key, 'has no host', 'add `host: ...`')
        self._check_upstream_tls(key, upstream)
        for name in ('system_id', 'password', 'system_type'):
            if not _is_plain(getattr(upstream, name)):
                self._note(f'{key}.{name}', 'holds characters that are not ASCII', 'write it as the operator gave it')
        for name in upstream.errors.__struct_fields__:
            for status in getattr(upstream.errors, name):
                self._check_status(f'{key}.errors.{name}', status)
        for name in ('retry', 'reconnect'):
            pauses = getattr(upstream, name)
            if pauses.last_s < pauses.first_s:
                self._note(
                    f'{key}.{name}.last_s', f'is below first_s ({pauses.first_s:g})', 'make it the longest pause'
                )

    def _check_routes(self, key: str, routes: tuple[RouteConfig, ...]) -> None:
        for number, route in enumerate(routes):
            self._check_route(f'{key}[{number}]', route)
        self._check_order(key, routes)

    def _check_order(self, key: str, routes: Sequence[RouteConfig | MoRouteConfig]) -> None:
        """Find routes behind one that takes everything."""
        complete = ''
        for number, route in enumerate(routes):
            if complete:
                message = f'can never match: route `{complete}` before it takes everything'
                self._note(f'{key}[{number}]', message, 'put it before that one')
            elif _takes_everything(route):
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
        self._check_when(f'{key}.when', route.when, 'account')
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

    def _check_names(self, key: str, names: tuple[str, ...]) -> None:
        if not names:
            self._note(key, 'names no upstream', f'name one of {self._known()}')
        for name in names:
            if not self._exists('upstreams', name):
                self._note(key, f'there is no upstream {name}', f'name one of {self._known()}')
        if len(set(names)) < len(names):
            self._note(key, 'names an upstream twice', 'name each once')

    def _known(self, kind: str = 'upstreams') -> str:
        """Return some of the names that exist."""
        names = list(getattr(self.configuration, kind))
        some = ', '.join(names[:MAX_NAMES_SHOWN])
        return f'{some}, ...' if len(names) > MAX_NAMES_SHOWN else some or f'those under `{kind}:` (none yet)'

    def _check_mo(self, key: str, route: MoRouteConfig) -> None:
        if not self._exists('accounts', route.account):
            remedy = f'name one of {self._known("accounts")}'
            self._note(f'{key}.account', f'there is no account {route.account}', remedy)
        self._check_when(f'{key}.when', route.when, 'upstream')

    def _check_when(self, key: str, when: WhenConfig, own: str) -> None:
        for name in when.__struct_fields__:
            wanted = getattr(when, name)
            if wanted is None:
                continue
            if name in ('account', 'upstream'):
                self._check_peer(f'{key}.{name}', wanted, name, own)
            self._check_patterns(f'{key}.{name}', wanted)

    def _check_peer(self, key: str, wanted: OneOrMore, name: str, own: str) -> None:
        if name != own:
            where = 'mo' if name == 'upstream' else 'routes'
            self._note(key, f'is a condition of `{where}` only', 'take it out')
            return
        for one in patterns(wanted):
            if not one.startswith('~') and '*' not in one and not self._exists(f'{name}s', one):
                self._note(key, f'there is no {name} {one}', f'name one of {self._known(f"{name}s")}')

    def _exists(self, kind: str, name: str) -> bool:
        """Return whether an account or upstream was written down, even if with mistakes."""
        return f'{kind}.{name}' in self._places

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

    def _check_status(self, key: str, status: Status) -> None:
        if isinstance(status, str) and status not in CommandStatus.__members__:
            self._note(key, f'there is no command_status {status}', 'write a name such as ESME_RINVDSTADR, or a number')
        elif not 0 < status_value(status) <= 0xFFFFFFFF:
            self._note(key, f'{status} is no error', 'write a command_status above 0')

    # Notes

    def _find_later(self, key: str, part: Any) -> None:
        """Note the keys below that are set and have no effect in this version."""
        if isinstance(part, dict):
            for name, value in part.items():
                self._find_later(f'{key}.{name}', value)
        elif isinstance(part, tuple):
            for number, value in enumerate(part):
                self._find_later(f'{key}[{number}]', value)
        elif isinstance(part, msgspec.Struct):
            hints, fields = keys_of(type(part))
            for name, field in fields.items():
                value = getattr(part, name)
                path = f'{key}.{name}' if key else name
                what = later_of(hints[name])
                if what and value != field.default:
                    place = self._place(path)
                    self.notices.append(Notice(place.file, place.line, path, what))
                elif isinstance(value, (dict, tuple, msgspec.Struct)):
                    self._find_later(path, value)

    def _note(self, key: str, message: str, remedy: str) -> None:
        if _section(key) not in self._broken:
            place = self._place(key)
            self.problems.append(Problem(place.file, place.line, key, message, remedy))

    def _place(self, key: str) -> Place:
        """Return where a key stands, or the nearest one above it that does."""
        while key and key not in self._places:
            key = key.rpartition('.')[0]
        return self._places.get(key) or self._places['']


def _section(key: str) -> str:
    """Return what a key belongs to: an account, an upstream, the routes."""
    first, _, rest = key.partition('.')
    return f'{first}.{rest.partition(".")[0]}' if first in ('accounts', 'upstreams') else first.partition('[')[0]


def _takes_everything(route: RouteConfig | MoRouteConfig) -> bool:
    """Return whether nothing comes past a route, to those below it."""
    if isinstance(route, RouteConfig) and route.routes is not None:
        return False
    conditions = msgspec.structs.astuple(route.when)
    return all(wanted is None or '*' in patterns(wanted) for wanted in conditions)


def _is_plain(text: str) -> bool:
    """Return whether a text is one octet a character in every PDU."""
    return text.isascii() and text.isprintable()


def _is_hash(text: str) -> bool:
    try:
        argon2.extract_parameters(text)
    except argon2.exceptions.InvalidHash:
        return False
    return True


def patterns(wanted: OneOrMore) -> list[str]:
    """Return the patterns of a condition, one or more."""
    return [wanted] if isinstance(wanted, str) else wanted


def status_value(status: Status) -> int:
    """Return the number of a command_status that is written as a name or a number."""
    return int(CommandStatus[status]) if isinstance(status, str) else status
