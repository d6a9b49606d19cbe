"""The configuration: YAML files become one checked value, or a list of all their mistakes.

`load` reads, `load_leniently` what can be read; `diff` tells what a reload would change; `keep_fixed` keeps what only a
start can change.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from smsc.config.changes import diff, keep_fixed
from smsc.config.checks import Checker
from smsc.config.convert import Converter, configuration
from smsc.config.document import Reader
from smsc.config.kinds import status_value
from smsc.config.lenient import LenientReader
from smsc.config.numbers_schema import NumbersConfig
from smsc.config.problems import ConfigurationError, Problem
from smsc.config.schema import AccountConfig, Configuration, UpstreamConfig
from smsc.tls import TLS_FILES

__all__ = ['Configuration', 'ConfigurationError', 'Problem', 'diff', 'keep_fixed', 'load', 'load_leniently']


P = TypeVar('P', bound=msgspec.Struct)


def load(path: Path, environ: Mapping[str, str] = os.environ, *, thorough: bool = False) -> Configuration:
    """Return the configuration of a main file and what it includes.

    Relative paths in it count from the folder of the main file. `thorough` also looks for routes that can never match,
    a second of work for ten thousand. Raises ConfigurationError with every mistake found.
    """
    reader = Reader(environ)
    tree = reader.read(path)
    converter = Converter()
    made = configuration(tree, converter)
    problems = [*reader.problems, *converter.problems]
    if made is None or any(problem.key in ('', 'include') for problem in problems):
        raise ConfigurationError(problems)  # parts are missing: what refers to them is no mistake
    made = _with_paths(made, path.parent)
    checker = Checker(made, converter, problems)
    checker.check(thorough)
    problems += checker.problems
    if problems:
        raise ConfigurationError(problems)
    return msgspec.structs.replace(
        made,
        accounts={name: _account(account) for name, account in made.accounts.items()},
        upstreams={name: _upstream(upstream) for name, upstream in made.upstreams.items()},
        not_in_effect=tuple(checker.notices),
        files=_stamps(made),
        warnings=tuple(sorted(checker.warnings, key=lambda problem: (problem.file, problem.line))),
    )


ASKING = frozenset({'data', 'store', 'node'})  # what says whom commands ask


def load_leniently(path: Path, environ: Mapping[str, str] = os.environ) -> Configuration:
    """Return what can be read of a configuration with mistakes, unchecked, and `is_partial` set.

    Raises ConfigurationError where it leaves in doubt which data folder or store is meant.
    """
    reader = LenientReader(environ)
    tree = reader.read(path)
    converter = Converter()
    made = configuration(tree, converter)
    problems = [*reader.problems, *converter.problems]
    in_doubt = {problem.key.partition('.')[0] for problem in problems} | reader.lost
    if made is None or not tree.data or path in reader.unread or in_doubt & (ASKING | {'include'}):
        raise ConfigurationError(problems)
    made = msgspec.structs.replace(_with_paths(made, path.parent), is_partial=True)
    is_all_there = not reader.unread or {'data', 'store'} <= tree.data.keys()
    if not is_all_there and not (made.data / 'postgres' / 'PG_VERSION').exists():
        raise ConfigurationError(problems)
    return msgspec.structs.replace(made, numbers=NumbersConfig()) if 'numbers' in in_doubt else made


def _with_paths(made: Configuration, folder: Path) -> Configuration:
    """Let all paths of files count from a folder."""
    smpp, upstreams = made.smpp, made.upstreams
    if smpp.tls is not None:
        smpp = msgspec.structs.replace(smpp, tls=_from(folder, smpp.tls, ('certificate', 'key', 'client_ca')))
    upstreams = {name: _from(folder, upstream, TLS_FILES) for name, upstream in upstreams.items()}
    numbers = _from(folder, made.numbers, ('operators', 'zones'))
    senders = _from(folder, made.senders, ('file',))
    prices = {name: _from(folder, prices, ('file',)) for name, prices in made.prices.items()}
    templates = {name: _from(folder, templates, ('file',)) for name, templates in made.templates.items()}
    calendars = {country: _from(folder, one, ('file',)) for country, one in made.calendars.items()}
    return msgspec.structs.replace(
        made,
        data=folder / made.data,
        smpp=smpp,
        upstreams=upstreams,
        numbers=numbers,
        senders=senders,
        prices=prices,
        templates=templates,
        calendars=calendars,
    )


def _from(folder: Path, part: P, keys: tuple[str, ...]) -> P:
    paths = {key: str(folder / getattr(part, key)) for key in keys if getattr(part, key) is not None}
    return msgspec.structs.replace(part, **paths) if paths else part


def _stamps(made: Configuration) -> dict[str, str]:
    """Return what tells, when loaded again, that a table beside the YAML has changed."""
    tables: dict[str, str | None] = {
        'numbers.operators': made.numbers.operators,
        'numbers.zones': made.numbers.zones,
        'senders.file': made.senders.file,
        **{f'prices.{name}.file': prices.file for name, prices in made.prices.items()},
        **{f'templates.{name}.file': templates.file for name, templates in made.templates.items()},
        **{f'calendars.{country}.file': one.file for country, one in made.calendars.items()},
    }
    stamps: dict[str, str] = {}
    for key, path in tables.items():
        if path is not None and Path(path).exists():
            found = Path(path).stat()
            changed_at = datetime.fromtimestamp(found.st_mtime, UTC)
            stamps[key] = f'{found.st_size:,} octets of {changed_at:%Y-%m-%d %H:%M:%S.%f}'
    return stamps


def _account(account: AccountConfig) -> AccountConfig:
    """Fill in what defaults to another key."""
    return msgspec.structs.replace(account, system_id=account.system_id or account.name)


def _upstream(upstream: UpstreamConfig) -> UpstreamConfig:
    """Turn names of statuses into numbers."""
    errors = {
        name: tuple(status_value(status) for status in getattr(upstream.errors, name))
        for name in upstream.errors.__struct_fields__
    }
    return msgspec.structs.replace(upstream, errors=msgspec.structs.replace(upstream.errors, **errors))
