"""The reference of all keys, from the schema: `python -m smsc.config.reference > docs/configuration.md`."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from smsc.config.convert import bare_of, keys_of, later_of, meaning_of, struct_inside
from smsc.config.document import MAX_DEPTH, MAX_FILE_OCTETS, MAX_FILES
from smsc.config.routes_schema import Ranges
from smsc.config.schema import Configuration, Listen, OneOrMore, Status

_HEAD = f"""# Configuration

Made from the schema by `python -m smsc.config.reference`; a test keeps it current.

The main file is `conf/smsc.yaml`, another with `-c FILE` or `SMSC_CONFIG`. `smsc check` finds its mistakes without
starting anything, each with file, line, key and remedy. `smsc reload` (or SIGHUP) swaps a correct configuration in
while sessions go on; a broken one changes nothing. `node`, `data`, `store`, `http`, `queues`, `log`, `smpp.listen`
and `simulated` take effect at the next start, the rest at once; timers and windows of ESMEs hold for sessions that
bind afterwards.

- **Files.** YAML in UTF-8, up to {MAX_FILE_OCTETS >> 20} MB a file and {MAX_DEPTH} levels deep, without aliases and
  tags. `include: [accounts.yaml, ...]` adds up to {MAX_FILES} files in all; their names count from the folder of
  the file that includes them. The same top-level key in several files: mappings become one (a name may stand only
  once), lists follow each other in the order of the files.
- **Paths.** A relative `data` counts from the folder of the main file, wherever the server is started.
- **Environment.** `${{NAME}}` in any value is the variable NAME, which must be set; `${{NAME:-default}}` has a
  default. `$${{` is `${{` itself; any other `$` is an ordinary character. Between braces, as in
  `{{password: "${{NAME}}"}}`, it needs quotes.
- **Names** of accounts and upstreams are up to 64 letters, digits, `.`, `_` and `-`.
- **Units** end the names: `_ms` milliseconds, `_s` seconds, `_h` hours, `_d` days, `per_s` each second, `_octets`,
  `_percent`.
- **Later** marks what is read and checked but has no effect in this version; `smsc check` lists the places.

## How a route is chosen

`routes` are looked at top to bottom and the first that matches decides. It matches when all its conditions do; of a
list one must; where all conditions of its `unless` hold too, it does not. A route has exactly one action: `failover`,
`split`, `cheapest`, `reject`, `drop`, or `routes` of its own, for which its conditions hold too; when none of these
matches, the search goes on below the block. Its `priority` and `on_failure` hold for the routes in it that have none.
Without a match a message is refused as `no_route` of its account says.

| a condition | matches |
|---|---|
| `79161234567` | this word and no other |
| `881*` | what begins with 881; `*` alone is anything |
| `~(?i)\\bcode\\b` | where the regular expression ([RE2](https://github.com/google/re2/wiki/Syntax)) is found |

To `\\b` and `\\w` the letters of every alphabet are letters, other than in RE2 itself.

Numbers are compared without a leading `+` or `00`. A word that YAML takes for a number needs quotes:
`destination: 7*` does not, `destination: "79161234567"` does, as does Norway: `country: "NO"`. Thousands of routes by
account, destination, operator, country or whole sender cost no more than a few; those by other conditions are compared
one by one, and a text is decoded only when a route asks for it.

`failover: [one, other]` sends to the first that is up. `split: {{one: 70, other: 30}}` deals messages out in
exactly these shares, to the others when the chosen one is down; shares are percent that make 100 together, or small
numbers such as 2 and 1.

## Example

```yaml
accounts:
  bank:
    password: ${{BANK_PASSWORD:-secret}}
    binds: 4
    rate_per_s: 500

upstreams:
  mts: {{host: smpp.mts.example, system_id: us, password: secret, links: 2, window: 50}}
  other: {{host: smpp.other.example, system_id: us, password: secret}}

routes:
  - name: nothing to satellite numbers
    when: {{destination: ["881*", "882*"]}}
    reject: ESME_RINVDSTADR
  - name: bank
    when: {{account: bank}}
    routes:
      - name: codes go the best way
        when: {{text: '~(?i)\\b(код|code)\\b'}}
        priority: 3
        failover: [mts, other]
      - name: the rest
        split: {{mts: 70, other: 30}}

mo:
  - name: replies
    account: bank
```
"""


def reference() -> str:
    """Return the reference as Markdown."""
    return _HEAD + ''.join(f'\n{section}' for section in _sections(Configuration, '', '', {}))


def _sections(
    cls: type[msgspec.Struct], key: str, meaning: str, shown: dict[type[msgspec.Struct], str]
) -> Iterator[str]:
    """Yield a table for a mapping and for each below it, in the order of the schema; `shown` are those before it."""
    if shown.setdefault(cls, key) != key:
        yield f'## `{key}`\n\n{meaning[:1].upper()}{meaning[1:]}. It has the keys of `{shown[cls]}`.\n'
        return
    hints, fields = keys_of(cls)
    rows: list[str] = []
    below: list[tuple[type[msgspec.Struct], str, str]] = []
    for name, field in fields.items():
        hint = hints[name]
        inner = inner_of(hint, f'{key}.{name}' if key else name)
        if inner is not None and inner[0] is not cls:
            below.append((*inner, meaning_of(hint)))
        rows.append(f'| `{name}` | {type_of(hint)} | {default_of(field, inner is not None)} | {_meaning(hint)} |\n')
    title = f'## `{key}`' if key else '## The main file'
    text = f'{meaning[:1].upper()}{meaning[1:]}.\n\n' if meaning else ''
    yield f'{title}\n\n{text}| key | value | default | meaning |\n|---|---|---|---|\n{"".join(rows)}'
    for part in below:
        yield from _sections(*part, shown)


def inner_of(hint: Any, key: str) -> tuple[type[msgspec.Struct], str] | None:
    """Return the mapping below a key and how its keys are written, None for a plain value."""
    bare = bare_of(hint)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and bare is not Listen:
        return bare, key
    inner = struct_inside(bare)
    if inner is None:
        return None
    return inner, f'{key}.NAME' if get_origin(bare) is dict else f'{key}[]'


def _meaning(hint: Any) -> str:
    later = later_of(hint)
    return f'{meaning_of(hint)}; **later**: {later}' if later else meaning_of(hint)


_TYPES: dict[Any, str] = {
    bool: '`true`, `false`',
    int: 'whole number',
    float: 'number',
    Decimal: 'number',
    str: 'text',
    Path: 'path',
    Listen: 'address:port',
    IPv4Network | IPv6Network: 'network',
    OneOrMore: 'text, list of texts',
    Ranges: 'number, range, list of these',
    Status: 'name, number',
}


def type_of(hint: Any) -> str:
    """Return what may be written for a key."""
    bare = bare_of(hint)
    if bare in _TYPES:
        return _TYPES[bare] + _bounds(hint)
    if get_origin(bare) is Literal:
        return ', '.join(f'`{member}`' for member in get_args(bare))
    if get_origin(bare) is dict:
        return 'names, each with keys' if struct_inside(bare) else f'names, each with a {type_of(get_args(bare)[1])}'
    if get_origin(bare) is tuple:
        return 'list, each with keys' if struct_inside(bare) else f'list of: {type_of(get_args(bare)[0])}'
    return 'keys'


def _bounds(hint: Any) -> str:
    """Return the bounds of a number or the length of a text."""
    metas = [meta for meta in _metas(hint) if isinstance(meta, msgspec.Meta)]

    def bound(name: str) -> Any:
        return next((getattr(meta, name) for meta in metas if getattr(meta, name) is not None), None)

    least, above, most, length = bound('ge'), bound('gt'), bound('le'), bound('max_length')
    if length is not None:
        return f', up to {length} characters'
    lower = f'{least}' if least is not None else f'above {above}' if above is not None else ''
    if not lower:
        return ''
    return f', {lower} to {most}' if most is not None else f', {lower} or more'


def _metas(hint: Any) -> Iterator[Any]:
    """Yield what annotates a type, also below Annotated, Optional."""
    yield from getattr(hint, '__metadata__', ())
    for argument in get_args(hint):
        if not isinstance(argument, msgspec.Meta):
            yield from _metas(argument)


def default_of(field: msgspec.structs.FieldInfo, has_keys: bool) -> str:
    """Return the default of a key, as it is shown."""
    if field.required:
        return 'required'
    default = None if field.default is msgspec.NODEFAULT else field.default
    if default is None or default in ('', ()) or has_keys:
        return ''
    if isinstance(default, bool):
        return f'`{str(default).lower()}`'
    if isinstance(default, tuple):
        return ', '.join(f'`0x{item:02X}`' if isinstance(item, int) else f'`{item}`' for item in default)
    return f'`{default}`'


if __name__ == '__main__':
    sys.stdout.write(reference())
