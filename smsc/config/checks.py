"""What a configuration must also be: names that exist, no contradictions; and what of it has no effect yet."""

from typing import Any
from urllib.parse import urlsplit

import argon2
import msgspec

from pdu.receipt_template import WIDTHS, Template, TemplateError
from pdu.status import CommandStatus
from smsc.config.content_checks import content_mistakes, content_statuses, content_warnings
from smsc.config.convert import Converter, keys_of, later_of
from smsc.config.document import Place
from smsc.config.kinds import status_value
from smsc.config.known_words import unknown_words
from smsc.config.limit_checks import mistakes_of_limits, statuses_of_limits
from smsc.config.number_checks import check_numbers
from smsc.config.policy_checks import mistakes_of, statuses_of, warnings_of
from smsc.config.price_checks import check_prices
from smsc.config.problems import Problem
from smsc.config.route_checks import RouteChecks
from smsc.config.schema import (
    AccountConfig,
    Configuration,
    Notice,
    Status,
    UpstreamConfig,
)
from smsc.config.windows import mistakes_of_windows, statuses_of_windows
from smsc.tls import TLS_FILES, TlsError, files_of, listener_context, upstream_context

MAX_SYSTEM_ID = 15
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
        self.warnings: list[Problem] = []
        self._places = converter.places
        self._good_files: set[tuple[object, ...]] = set()  # of TLS: hundreds of upstreams may share them
        self._broken = {_section(problem.key) for problem in found}

    def check(self, thorough: bool = False) -> None:
        """Find every contradiction and every key that has no effect yet; `thorough`: what never matches, too."""
        configuration = self.configuration
        self._check_store()
        self._check_smpp()
        self._check_prices()
        self._check_content()
        for mistake in check_numbers(configuration):
            self.note(*mistake)
        for key, status in (
            *statuses_of(configuration),
            *statuses_of_limits(configuration),
            *statuses_of_windows(configuration),
        ):
            self.check_status(key, status)
        for mistake in (
            *mistakes_of(configuration),
            *mistakes_of_limits(configuration),
            *mistakes_of_windows(configuration),
        ):
            self.note(*mistake)
        for warning in warnings_of(configuration):
            self.warn(*warning)
        for name, account in configuration.accounts.items():
            self._check_account(f'accounts.{name}', account)
        self._check_system_ids()
        for name, upstream in configuration.upstreams.items():
            self._check_upstream(f'upstreams.{name}', upstream)
        routes = RouteChecks(self)
        routes.check()
        if thorough and not (self.problems or self._broken):
            routes.find_never()
            for found in unknown_words(configuration):
                self.warnings.append(found) if isinstance(found, Problem) else self.warn(*found)
        self._find_later('', configuration)

    # Parts

    def _check_store(self) -> None:
        """A DSN is a URL with a port that is one; asyncpg would say so with a piece of the password in it."""
        dsn = self.configuration.store.postgres
        if dsn is None:
            return
        try:
            parts = urlsplit(dsn)
            hosts = parts.netloc.rpartition('@')[2].split(',')  # several: the first that answers as asked
            known = parts.scheme in ('postgres', 'postgresql') and all(urlsplit(f'//{h}').port != 0 for h in hosts)
        except ValueError:
            known = False
        if not known:
            remedy = 'write postgresql://user:password@host:port/database, with %2F for a / in the password'
            self.note('store.postgres', 'is no DSN', remedy)

    def _check_smpp(self) -> None:
        if not _is_plain(self.configuration.smpp.system_id):
            self.note('smpp.system_id', 'holds characters that are not ASCII', 'write letters and digits')
        for name in ('too_many_binds', 'both_texts'):
            self.check_status(f'smpp.{name}', getattr(self.configuration.smpp, name))
        for number in self.configuration.smpp.default_messages:
            if not (number.isdecimal() and 0 < int(number) <= MAX_DEFAULT_MESSAGE):
                remedy = f'write a number from 1 to {MAX_DEFAULT_MESSAGE}'
                self.note(f'smpp.default_messages.{number}', 'is no sm_default_msg_id', remedy)
        if self.configuration.http.listen == self.configuration.smpp.listen and self.configuration.http.listen.port:
            self.note('http.listen', 'is the address and port of smpp.listen too', 'give it a port of its own')
        self._check_tls_port()

    def _check_tls_port(self) -> None:
        """The port with TLS is one of its own, and its files are there and fit."""
        tls = self.configuration.smpp.tls
        if tls is None:
            return
        for name in ('smpp', 'http'):
            if getattr(self.configuration, name).listen == tls.listen and tls.listen.port:
                message = f'is the address and port of {name}.listen too'
                self.note('smpp.tls.listen', message, 'give it a port of its own')
        try:
            listener_context(tls)
        except TlsError as error:
            self.note(f'smpp.tls.{error.key}', error.message, error.remedy)

    def _check_upstream_tls(self, key: str, upstream: UpstreamConfig) -> None:
        """Keys of TLS say TLS, go together, and their files are there and fit."""
        if not upstream.tls:
            for name in (*TLS_FILES, 'tls_server_name'):
                if getattr(upstream, name) is not None:
                    self.note(f'{key}.{name}', 'has no effect without TLS', 'add `tls: true`, or take it out')
            return
        if upstream.simulated is not None:
            self.note(f'{key}.tls', 'stands beside simulated, which speaks no TLS', 'keep one of them')
        server_name = upstream.tls_server_name
        if server_name is not None and not (server_name and _is_plain(server_name)):
            self.note(f'{key}.tls_server_name', 'is no host name', 'write it as in the certificate')
        if (upstream.tls_certificate is None) != (upstream.tls_key is None):
            one, other = ('certificate', 'key') if upstream.tls_key is None else ('key', 'certificate')
            self.note(f'{key}.tls_{one}', f'stands without tls_{other}', f'add `tls_{other}: ...`, or take it out')
            return
        alike = files_of(upstream)
        if alike in self._good_files:
            return
        try:
            upstream_context(upstream)
            self._good_files.add(alike)
        except TlsError as error:
            self.note(f'{key}.{error.key}', error.message, error.remedy)

    def _check_account(self, key: str, account: AccountConfig) -> None:
        if account.password is None and account.password_hash is None:
            self.note(key, 'has no password', 'add `password: ...` or `password_hash: ...`')
        if account.password is not None and account.password_hash is not None:
            self.note(f'{key}.password', 'stands beside password_hash', 'keep one of them')
        if account.password_hash is not None and not _is_hash(account.password_hash):
            self.note(f'{key}.password_hash', 'is no argon2 hash', 'make one with argon2-cffi, or use `password`')
        if account.password and len(account.password) > 8 and not self.configuration.smpp.long_passwords:
            self.note(f'{key}.password', 'is longer than 8, which smpp.long_passwords rules out', 'shorten it')
        if not account.bind_types:
            self.note(f'{key}.bind_types', 'allows no bind', 'name transmitter, receiver or transceiver')
        system_id = account.system_id or account.name
        if len(system_id) > MAX_SYSTEM_ID or not _is_plain(system_id):
            remedy = f'add `system_id: ...` of up to {MAX_SYSTEM_ID} ASCII characters'
            self.note(f'{key}.system_id', f'`{system_id}` is no system_id', remedy)
        self.check_status(f'{key}.credit_status', account.credit_status)
        if account.no_route != 'receipt':
            self.check_status(f'{key}.no_route', account.no_route)
        self._check_template(f'{key}.receipts.template', account.receipts.template)

    def _check_prices(self) -> None:
        for mistake in check_prices(self.configuration, self.exists):
            if isinstance(mistake, Problem):
                self.problems.append(mistake)
            else:
                self.note(*mistake)

    def _check_content(self) -> None:
        for key, status in content_statuses(self.configuration):
            self.check_status(key, status)
        for mistake in content_mistakes(self.configuration, self.exists):
            if isinstance(mistake, Problem):
                self.problems.append(mistake)
            else:
                self.note(*mistake)
        for warning in content_warnings(self.configuration):
            self.warn(*warning)

    def _check_template(self, key: str, template: str | None) -> None:
        if template is not None:
            try:
                Template(template)
            except TemplateError as error:
                self.note(key, str(error), f'write ASCII text with {{{"}, {".join(WIDTHS)}}}')

    def _check_system_ids(self) -> None:
        owners: dict[str, str] = {}
        for name, account in self.configuration.accounts.items():
            owner = owners.setdefault(account.system_id or name, name)
            if owner != name:
                message = f'`{account.system_id or name}` is that of account {owner} too'
                self.note(f'accounts.{name}.system_id', message, 'give each its own')

    def _check_upstream(self, key: str, upstream: UpstreamConfig) -> None:
        if not upstream.host:
            self.note(key, 'has no host', 'add `host: ...`')
        self._check_upstream_tls(key, upstream)
        for name in ('system_id', 'password', 'system_type'):
            if not _is_plain(getattr(upstream, name)):
                self.note(f'{key}.{name}', 'holds characters that are not ASCII', 'write it as the operator gave it')
        for name in upstream.errors.__struct_fields__:
            for status in getattr(upstream.errors, name):
                self.check_status(f'{key}.errors.{name}', status)
        for name in ('retry', 'reconnect'):
            pauses = getattr(upstream, name)
            if pauses.last_s < pauses.first_s:
                self.note(f'{key}.{name}.last_s', f'is below first_s ({pauses.first_s:g})', 'make it the longest pause')

    def check_status(self, key: str, status: Status) -> None:
        """Note a command_status that is none, or no error."""
        if isinstance(status, str) and status not in CommandStatus.__members__:
            self.note(key, f'there is no command_status {status}', 'write a name such as ESME_RINVDSTADR, or a number')
        elif not 0 < status_value(status) <= 0xFFFFFFFF:
            self.note(key, f'{status} is no error', 'write a command_status above 0')

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

    def note(self, key: str, message: str, remedy: str) -> None:
        """Note a mistake."""
        if _section(key) not in self._broken:
            place = self._place(key)
            self.problems.append(Problem(place.file, place.line, key, message, remedy))

    def warn(self, key: str, message: str, remedy: str) -> None:
        """Note what is no mistake, but surely not meant."""
        place = self._place(key)
        self.warnings.append(Problem(place.file, place.line, key, message, remedy))

    def where(self, key: str) -> str:
        """Return the file and line where a key stands."""
        place = self._place(key)
        return f'{place.file}:{place.line}'

    def exists(self, kind: str, name: str) -> bool:
        """Return whether an account or upstream was written down, even if with mistakes."""
        return f'{kind}.{name}' in self._places

    def _place(self, key: str) -> Place:
        """Return where a key stands, or the nearest one above it that does."""
        while key and key not in self._places:
            key = key.rpartition('.')[0]
        return self._places.get(key) or self._places['']


def _section(key: str) -> str:
    """Return what a key belongs to: an account, an upstream, the routes."""
    first, _, rest = key.partition('.')
    return f'{first}.{rest.partition(".")[0]}' if first in ('accounts', 'upstreams') else first.partition('[')[0]


def _is_plain(text: str) -> bool:
    """Return whether a text is one octet a character in every PDU."""
    return text.isascii() and text.isprintable()


def _is_hash(text: str) -> bool:
    try:
        argon2.extract_parameters(text)
    except argon2.exceptions.InvalidHash:
        return False
    return True
