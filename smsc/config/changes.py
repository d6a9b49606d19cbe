"""What differs between two configurations, in lines for the operator; secrets are named and not shown."""

from typing import Any

import msgspec

from smsc.config.schema import SECRETS, Configuration, Listen

FIXED = ('node', 'data', 'store', 'http', 'queues', 'log')


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
            lines += _routes(name, before, after)
        else:
            lines += _struct(name, before, after)
    return [f'{line} (takes effect at the next start)' if _waits(line) else line for line in lines]


def _waits(line: str) -> bool:
    """Return whether only a start brings what a line says into effect."""
    key = line.partition(':')[0]
    return key.partition('.')[0] in FIXED or key == 'smpp.listen' or '.simulated' in key


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


def _routes(key: str, before: tuple[Any, ...], after: tuple[Any, ...]) -> list[str]:
    old, new = _by_name(before), _by_name(after)
    lines = [f'{key} `{name}`: removed' for name in old if name not in new]
    lines += [f'{key} `{name}`: added' for name in new if name not in old]
    lines += [f'{key} `{name}`: changed' for name in old if name in new and old[name] != new[name]]
    if not lines:
        lines.append(f'{key}: order changed')
    return lines


def _by_name(routes: tuple[Any, ...]) -> dict[str, list[Any]]:
    """Return routes by their names; nothing keeps two from having the same."""
    named: dict[str, list[Any]] = {}
    for route in routes:
        named.setdefault(route.name, []).append(route)
    return named


def _struct(key: str, before: Any, after: Any) -> list[str]:
    if isinstance(before, Listen) or not isinstance(before, msgspec.Struct) or type(before) is not type(after):
        return [f'{key}: {_shown(key, before)} -> {_shown(key, after)}'] if before != after else []
    lines: list[str] = []
    for name in before.__struct_fields__:
        path, old, new = f'{key}.{name}', getattr(before, name), getattr(after, name)
        lines += _list(path, old, new) if _holds_structs(old or new) else _struct(path, old, new)
    return lines


def _holds_structs(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], msgspec.Struct)


def _list(key: str, before: tuple[Any, ...], after: tuple[Any, ...]) -> list[str]:
    """Tell what changed of a list in a mapping, by names where each of its mappings has one."""
    if before == after:
        return []
    if all(getattr(one, 'name', '') for one in (*before, *after)):
        return _routes(key, before, after)
    return [f'{key}: changed ({len(before)} -> {len(after)})']


def _shown(key: str, value: Any) -> str:
    if key.rpartition('.')[2] in SECRETS:
        return '(secret)' if value else 'none'
    if isinstance(value, tuple):
        return ', '.join(map(str, value)) or 'none'
    if isinstance(value, float):
        return f'{value:g}'
    return 'none' if value is None else str(value)


def keep_fixed(old: Configuration, new: Configuration) -> Configuration:
    """Return the new configuration with what only a start can change as it was."""
    fixed = {name: getattr(old, name) for name in FIXED}
    smpp = msgspec.structs.replace(new.smpp, listen=old.smpp.listen)
    return msgspec.structs.replace(new, smpp=smpp, **fixed)
