"""What differs between two configurations, in lines for the operator; secrets are named and not shown."""

from typing import Any

import msgspec

from smsc.config.mnp_schema import MnpServiceConfig
from smsc.config.prices_schema import PriceEntryConfig
from smsc.config.schema import SECRETS, Configuration, Listen

FIXED = ('node', 'cluster', 'data', 'store', 'http', 'queues', 'log')
MAX_LINES = 50  # of one list: templates and prices may be thousands


def diff(old: Configuration, new: Configuration) -> list[str]:
    """Return a line for each difference: what is added, removed, changed, and what waits for the next start."""
    lines: list[str] = []
    for name in Configuration.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if name in ('not_in_effect', 'warnings') or before == after:
            continue
        if isinstance(before, dict):
            lines += _named(name, before, after)
        elif _holds_structs(before or after):
            lines += _list(name, before, after)
        else:
            lines += _struct(name, before, after)
    return [f'{line} (takes effect at the next start)' if _waits(line) else line for line in lines]


def _waits(line: str) -> bool:
    """Return whether only a start brings what a line says into effect."""
    key = line.partition(':')[0]
    section = key.partition('.')[0]
    return section in FIXED or key == 'smpp.listen' or (section == 'upstreams' and '.simulated' in key)


def _named(key: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    lines = [f'{key}.{name}: removed' for name in before if name not in after]
    for name, value in after.items():
        if name in before:
            lines += _struct(f'{key}.{name}', before[name], value)
            continue
        lines.append(f'{key}.{name}: added')
        if getattr(value, 'simulated', None) is not None:
            lines.append(f'{key}.{name}.simulated: none -> {value.simulated}')
    return lines


def _list(key: str, before: tuple[Any, ...], after: tuple[Any, ...]) -> list[str]:
    """Tell what changed of a list: what came, what went, each field of what stayed, and whether that changed places.

    The routes of a block stand under its name, as in `smsc route-switch`.
    """
    old, new = _by_label(before), _by_label(after)
    lines = [f'{key} `{label}`: removed' for label in old if label not in new]
    lines += [f'{key} `{label}`: added' for label in new if label not in old]
    for label in [label for label in old if label in new and old[label] != new[label]]:
        if len(old[label]) == len(new[label]) == 1 and not isinstance(new[label][0], MnpServiceConfig):
            lines += _struct(f'{key} `{label}`', old[label][0], new[label][0])
        else:
            lines.append(f'{key} `{label}`: changed')
    places = [[label for label in one if label in other] for one, other in ((old, new), (new, old))]
    if places[0] != places[1] and not any(isinstance(one, PriceEntryConfig) for one in after):
        lines.append(f'{key}: order changed')
    return lines if len(lines) <= MAX_LINES else [*lines[:MAX_LINES], f'{key}: and {len(lines) - MAX_LINES} more']


def _by_label(parts: tuple[Any, ...]) -> dict[str, list[Any]]:
    """Return the mappings of a list by what tells them apart; several may have the same."""
    labelled: dict[str, list[Any]] = {}
    for part in parts:
        labelled.setdefault(_label(part), []).append(part)
    return labelled


def _label(part: Any) -> str:
    if isinstance(part, PriceEntryConfig):
        return ' '.join(filter(None, (part.country.upper(), part.operator, part.category))) or 'any'
    for name in ('name', 'template'):
        if getattr(part, name, ''):
            return str(getattr(part, name))
    return str(part)


def _struct(key: str, before: Any, after: Any) -> list[str]:
    if isinstance(before, Listen) or not isinstance(before, msgspec.Struct) or type(before) is not type(after):
        return [f'{key}: {_shown(key, before)} -> {_shown(key, after)}'] if before != after else []
    lines: list[str] = []
    for name in before.__struct_fields__:
        path, old, new = f'{key}.{name}', getattr(before, name), getattr(after, name)
        if name == 'routes' and key.endswith('`') and (old and new):
            lines += _inside(key, _list('', old, new))
        elif _holds_structs(old or new):
            lines += _list(path, old or (), new or ()) if old != new else []
        elif isinstance(old, dict) and isinstance(new, dict) and name not in SECRETS:
            lines += _mapping(path, old, new)
        else:
            lines += _struct(path, old, new)
    return lines


def _inside(block: str, lines: list[str]) -> list[str]:
    """Return what changed in a block with the names of its routes in full."""
    return [f'{block[:-1]} > {line[2:]}' if line.startswith(' `') else f'{block}{line}' for line in lines]


def _mapping(key: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Tell what changed of names and values, such as the shares of a split."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [f'{key}.{name}: {_shown(name, before.get(name))} -> {_shown(name, after.get(name))}' for name in names]


def _holds_structs(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], msgspec.Struct)


def _shown(key: str, value: Any) -> str:
    if key.rpartition('.')[2] in SECRETS:
        return '(secret)' if value else 'none'
    if isinstance(value, (tuple, list)):
        return ', '.join(map(str, value)) or 'none'
    if isinstance(value, dict):
        return ', '.join(f'{name} {_shown(name, one)}' for name, one in value.items()) or 'none'
    if isinstance(value, msgspec.Struct) and not isinstance(value, Listen):
        default = {field.name: field.default for field in msgspec.structs.fields(value)}
        given = {name: getattr(value, name) for name in default if getattr(value, name) != default[name]}
        return ', '.join(f'{name} {_shown(name, one)}' for name, one in given.items()) or 'as by default'
    if isinstance(value, float):
        return f'{value:g}'
    return 'none' if value is None else str(value)


def keep_fixed(old: Configuration, new: Configuration) -> Configuration:
    """Return the new configuration with what only a start can change as it was."""
    fixed = {name: getattr(old, name) for name in FIXED}
    smpp = msgspec.structs.replace(new.smpp, listen=old.smpp.listen)
    return msgspec.structs.replace(new, smpp=smpp, **fixed)
