"""Command line options made of a settings struct: a field, its type, its default and its description are one option.

Booleans become flags; a dictionary is written as KEY:VALUE,KEY:VALUE with keys in any base Python reads.
"""

import argparse
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from msgspec.inspect import DictType, EnumType, Metadata, type_info

S = TypeVar('S', bound=msgspec.Struct)


def add_options(parser: argparse.ArgumentParser, settings: type[msgspec.Struct], skip: frozenset[str]) -> None:
    """Adds an option for each field of `settings` that is not in `skip`."""
    described = type_info(settings)
    assert isinstance(described, msgspec.inspect.StructType)
    for field in described.fields:
        if field.name in skip:
            continue
        kind, text = field.type, ''
        if isinstance(kind, Metadata):
            text, kind = (kind.extra_json_schema or {}).get('description', ''), kind.type
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        _add(parser, field.name, kind, default, text)


def _add(parser: argparse.ArgumentParser, name: str, kind: msgspec.inspect.Type, default: Any, text: str) -> None:
    option = '--' + name.replace('_', '-')
    if isinstance(default, bool):
        parser.add_argument(option, action='store_true', help=text)
    elif isinstance(kind, DictType):
        parser.add_argument(option, type=_parse_shares, default=default, metavar='STATUS:PERCENT,...', help=text)
    elif isinstance(kind, EnumType):
        choices = [member.value for member in kind.cls]
        parser.add_argument(option, choices=choices, default=default, help=f'{text} ({default})')
    else:
        shown = f' ({default})' if default != '' else ''
        parser.add_argument(option, type=type(default), default=default, metavar='X', help=f'{text}{shown}')


def _parse_shares(text: str) -> dict[int, float]:
    pairs = (pair.split(':') for pair in text.split(',') if pair)
    return {int(status, 0): float(percent) for status, percent in pairs}


def settings_from(arguments: argparse.Namespace, settings: type[S], **more: Any) -> S:
    """The struct that the parsed options, and `more`, say."""
    values = {name: value for name, value in vars(arguments).items() if name in settings.__struct_fields__}
    plain = {name: value.value if isinstance(value, StrEnum) else value for name, value in (values | more).items()}
    return msgspec.convert(plain, settings)


def arguments_of(settings: msgspec.Struct, skip: frozenset[str]) -> list[str]:
    """The options that say what `settings` says: those that differ from the defaults."""
    arguments: list[str] = []
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        default = field.default if field.default is not msgspec.NODEFAULT else None
        if field.name in skip or value in (default, {}):
            continue
        arguments.append('--' + field.name.replace('_', '-'))
        if isinstance(value, dict):
            arguments.append(','.join(f'{status}:{percent}' for status, percent in value.items()))
        elif value is not True:
            arguments.append(str(value))
    return arguments
