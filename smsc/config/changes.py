"""What differs between two configurations, in lines for the operator; secrets are named and not shown."""

from typing import Any

import msgspec

from smsc.config.schema import Configuration

FIXED = ('node', 'data', 'store', 'http', 'queues', 'log')
SECRETS = frozenset({'password', 'password_hash', 'postgres', 'clickhouse', 'redis'})


def diff(old: Configuration, new: Configuration) -> list[str]:
    """Return a line for each difference: what is added, removed, changed, and what waits for the next start."""
    lines: list[str] = []
    for name in Configuration.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if name == 'not_in_effect' or before == after:
            continue
        if name in FIXED:
            lines += [f'{line} (takes effect at the next start)' for line in _struct(name, before, after)]
        elif name == 'smpp':
            lines += [_with_start(line) for line in _struct(name, before, after)]
        elif isinstance(before, dict):
            lines += _named(name, before, after)
        else:
            lines += _routes(name, before, after)
    return lines


def _with_start(line: str) -> str:
    return f'{line} (takes effect at the next start)' if line.startswith('smpp.listen') else line


def _named(key: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    lines = [f'{key}.{name}: removed' for name in before if name not in after]
    lines += [f'{key}.{name}: added' for name in after if name not in before]
    for name, value in before.items():
        if name in after:
            lines += _struct(f'{key}.{name}', value, after[name])
    return lines


def _routes(key: str, before: tuple[Any, ...], after: tuple[Any, ...]) -> list[str]:
    old, new = {route.name: route for route in before}, {route.name: route for route in after}
    lines = [f'{key} `{name}`: removed' for name in old if name not in new]
    lines += [f'{key} `{name}`: added' for name in new if name not in old]
    lines += [f'{key} `{name}`: changed' for name in old if name in new and old[name] != new[name]]
    if not lines:
        lines.append(f'{key}: order changed')
    return lines


def _struct(key: str, before: Any, after: Any) -> list[str]:
    if not isinstance(before, msgspec.Struct) or type(before) is not type(after):
        return [f'{key}: {_shown(key, before)} -> {_shown(key, after)}'] if before != after else []
    if not hasattr(before, '__struct_config__') or type(before).__name__ == 'Listen':
        return [f'{key}: {before} -> {after}'] if before != after else []
    lines: list[str] = []
    for name in before.__struct_fields__:
        lines += _struct(f'{key}.{name}', getattr(before, name), getattr(after, name))
    return lines


def _shown(key: str, value: Any) -> str:
    if key.rpartition('.')[2] in SECRETS:
        return '(secret)' if value else 'none'
    return 'none' if value is None else str(value)


def keep_fixed(old: Configuration, new: Configuration) -> Configuration:
    """Return the new configuration with what only a start can change as it was."""
    fixed = {name: getattr(old, name) for name in FIXED}
    smpp = msgspec.structs.replace(new.smpp, listen=old.smpp.listen)
    return msgspec.structs.replace(new, smpp=smpp, **fixed)
