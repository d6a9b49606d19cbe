"""How programs of PostgreSQL (pg_dump, psql) are told which database to use: by arguments that others may see, and the
password by their environment, where they may not.
"""

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec

_PASSED_ON = ('PGPASSFILE', 'PGSSLMODE', 'PGSSLROOTCERT', 'PGSSLCERT', 'PGSSLKEY', 'PGSERVICEFILE')


class ProgramAddress(msgspec.Struct, frozen=True):
    """Arguments, and what the environment has in addition."""

    arguments: list[str]
    environment: dict[str, str]


def address_of(connect_arguments: dict[str, Any]) -> ProgramAddress:
    """Return the address that asyncpg.connect's `dsn`, or `host`, `port`, `user` and `database`, mean."""
    dsn = connect_arguments.get('dsn')
    if dsn is not None:
        return _of_dsn(str(dsn))
    options = {'host': '-h', 'port': '-p', 'user': '-U', 'database': '-d'}
    arguments = [part for key, option in options.items() for part in (option, str(connect_arguments[key]))]
    return ProgramAddress([*arguments, '-w'], {})


def _of_dsn(dsn: str) -> ProgramAddress:
    """Take the password out of a DSN, wherever it stands; several hosts (h1:5432,h2:5432) stay."""
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    url = urlsplit(dsn)
    login, at, hosts = url.netloc.rpartition('@')
    user, _, password = login.partition(':')
    query = parse_qsl(url.query, keep_blank_values=True)
    password = unquote(password) or dict(query).get('password', '') or os.environ.get('PGPASSWORD', '')
    if password:
        found['PGPASSWORD'] = password
    rest = urlencode([(key, value) for key, value in query if key != 'password'])
    # By hand: urlunsplit would drop the slashes of postgresql:///name.
    return ProgramAddress(
        ['-d', f'{url.scheme}://{user}{at}{hosts}{url.path}{"?" + rest if rest else ""}', '-w'], found
    )
