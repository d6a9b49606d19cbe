"""Trees of values become the schema's structs: every key is checked, and every mistake is found, not only the first."""

import difflib
import functools
import operator
import types
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import FieldInfo

from smsc.config.document import Place, Value, read_word
from smsc.config.problems import Problem
from smsc.config.routes_schema import Ranges
from smsc.config.schema import SECRETS, Configuration, Listen, Network, Status

MAX_PORT = 65_535
MAX_PORT_DIGITS = 5


@functools.cache
def keys_of(cls: type[msgspec.Struct]) -> tuple[dict[str, Any], dict[str, FieldInfo]]:
    """Return the types, with their descriptions, and the fields of the keys that a mapping may have, by name."""
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in msgspec.structs.fields(cls) if get_origin(hints[field.name]) is Annotated}
    return hints, fields


class Converter:
    """Turns one tree into values; `problems` gathers what is wrong, `places` where each key path stands."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.places: dict[str, Place] = {}

    def struct(self, value: Value, cls: type[msgspec.Struct], key: str, **given: Any) -> Any:
        """Return a struct from a mapping; what is wrong in it keeps its default."""
        self.places.setdefault(key, value.place)
        if not isinstance(value.data, dict):
            self._note(value.place, key, 'expected keys and values', 'write `key: value` lines, indented')
            return None
        hints, fields = keys_of(cls)
        arguments = dict(given)
        for name, part in value.data.items():
            path = f'{key}.{name}' if key else name
            if name not in fields:
                if part.data is None and not SECRETS.isdisjoint(value.data):
                    # The rest of a secret with a comma, perhaps: it must not be shown.
                    remedy = 'put text with commas in quotes'
                    self._note(value.key_places[name], key, 'holds a word without a value', remedy)
                    continue
                self._unknown(value.key_places[name], path, name, list(fields))
                continue
            self.places[path] = value.key_places[name]
            converted = self._convert(part, hints[name], path, value.key_places[name])
            if converted is not _WRONG:
                arguments[name] = converted
        missing = [name for name, field in fields.items() if field.required and name not in value.data]
        for name in missing:
            self._note(value.place, f'{key}.{name}' if key else name, 'is missing', f'add `{name}: ...`')
        if missing or any(fields[name].required and name not in arguments for name in fields):
            return None
        return cls(**arguments)

    def _convert(self, value: Value, hint: Any, key: str, place: Place) -> Any:
        """Return a value of a type, or _WRONG after noting why not."""
        bare = bare_of(hint)
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and bare is not Listen:
            made = self.struct(value, bare, key)
            return _WRONG if made is None else made
        inner = struct_inside(bare)
        if inner is not None:
            if get_origin(bare) is dict:
                return self._named(value, inner, key, place)
            return self._listed(value, inner, key, place)
        return self._leaf(value, hint, key, place)

    def _named(self, value: Value, cls: type[msgspec.Struct], key: str, place: Place) -> Any:
        if not isinstance(value.data, dict):
            self._note(
                place,
                key,
                'expected names with keys below them',
                f'write `{key}:`, then a name on its own line, or take it out',
            )
            return _WRONG
        self.places[key] = place
        made = {}
        for name, part in value.data.items():
            path = f'{key}.{name}'
            self.places[path] = value.key_places[name]
            if self._good_name(name, path, value.key_places[name]):
                made[name] = self.struct(part, cls, path, name=name)
        return {name: struct for name, struct in made.items() if struct is not None}

    def _good_name(self, name: str, key: str, place: Place) -> bool:
        good = 0 < len(name) <= 64 and all(character.isalnum() or character in '._-' for character in name)
        if not good:
            self._note(place, key, 'is no name', 'use up to 64 letters, digits, `.`, `_` and `-`')
        return good

    def _listed(self, value: Value, cls: type[msgspec.Struct], key: str, place: Place) -> Any:
        if not isinstance(value.data, list):
            self._note(
                place, key, 'expected a list', f'write `{key.rpartition(".")[2]}:`, then lines that begin with `- `'
            )
            return _WRONG
        made = [self.struct(part, cls, f'{key}[{number}]') for number, part in enumerate(value.data)]
        return tuple(struct for struct in made if struct is not None)

    def _leaf(self, value: Value, hint: Any, key: str, place: Place) -> Any:
        plain = _plain(value)
        try:
            return _read(plain, hint)
        except ValueError as error:  # msgspec's ValidationError is one
            if value.expanded and isinstance(plain, str):  # `2775` is a number also when it comes from the environment
                try:
                    return _read(read_word(plain), hint)
                except ValueError:
                    pass
            secret = key.rpartition('.')[2] in SECRETS or _is_expanded(value)
            self._note(place, key, _explained(error, plain, secret), _remedy(hint))
            return _WRONG

    def _unknown(self, place: Place, path: str, name: str, known: list[str]) -> None:
        near = difflib.get_close_matches(name, known, 1)
        remedy = f'did you mean `{near[0]}`?' if near else f'known here: {", ".join(sorted(known))}'
        self._note(place, path, 'unknown key', remedy)

    def _note(self, place: Place, key: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(place.file, place.line, key, message, remedy))


class _Wrong:
    """What could not be converted."""


_WRONG = _Wrong()


def configuration(value: Value, converter: Converter) -> Configuration | None:
    """Return the configuration of a whole tree."""
    made: Configuration | None = converter.struct(value, Configuration, '')
    return made


def bare_of(hint: Any) -> Any:
    """Return a type without its description and without None."""
    hint = _described(hint)
    if get_origin(hint) in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not type(None)]
        return bare_of(members[0]) if len(members) == 1 else functools.reduce(operator.or_, members)
    return hint


def struct_inside(bare: Any) -> type[msgspec.Struct] | None:
    """Return the struct of a dict[str, Struct] or tuple[Struct, ...]."""
    for argument in get_args(bare) if get_origin(bare) in (dict, tuple) else ():
        if isinstance(argument, type) and issubclass(argument, msgspec.Struct):
            return argument
    return None


def _plain(value: Value) -> Any:
    if isinstance(value.data, list):
        return [_plain(item) for item in value.data]
    if isinstance(value.data, dict):
        return {name: _plain(item) for name, item in value.data.items()}
    return value.data


def _is_expanded(value: Value) -> bool:
    """Return whether a value, or one in it, came from the environment."""
    if isinstance(value.data, list):
        return any(_is_expanded(item) for item in value.data)
    if isinstance(value.data, dict):
        return any(_is_expanded(item) for item in value.data.values())
    return value.expanded


def _read(plain: Any, hint: Any) -> Any:
    """Return a value of the type of a leaf. Raises ValueError."""
    bare = bare_of(hint)
    if plain is None and bare is not hint and type(None) in get_args(_described(hint)):
        return None
    if bare is Listen:
        return _listen(plain)
    if isinstance(plain, bool) and get_origin(bare) is Literal and {'on', 'off'} <= set(get_args(bare)):
        plain = 'on' if plain else 'off'  # YAML takes these words for true and false
    if bare is Path:
        if not isinstance(plain, str) or not plain:
            raise ValueError('expected a path')
        return Path(plain)
    if get_args(bare)[:1] == (Network,):
        if not isinstance(plain, list):
            raise ValueError('expected a list of networks')
        return tuple(ip_network(str(one)) for one in plain)
    return msgspec.convert(plain, hint)


def _described(hint: Any) -> Any:
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint


def _listen(plain: Any) -> Listen:
    host, colon, port = str(plain).rpartition(':')
    if not colon or not port.isdecimal() or len(port) > MAX_PORT_DIGITS or int(port) > MAX_PORT:
        raise ValueError('expected an address and a port')
    return Listen(host.strip('[]') or '0.0.0.0', int(port))


_WORDS = {
    '`int`': 'a whole number',
    '`float`': 'a number',
    '`decimal`': 'a number',
    '`str`': 'text',
    '`bool`': 'true or false',
    '`array`': 'a list',
    '`object`': 'keys and values',
    '`null`': 'nothing',
    '`str | array | null`': 'text or a list of texts',
    '`int | str`': 'a number or a name',
    '`int | str | null`': 'a number or a name',
    '`int | str | array | null`': 'a number, a range or a list of these',
    '`array | null`': 'a list',
    '`object | null`': 'keys and values',
    '`str | null`': 'text',
    '`int | null`': 'a whole number',
    '`float | null`': 'a number',
}


def _explained(error: ValueError, plain: Any, secret: bool) -> str:
    """Return what is wrong with a value; the value itself only where it is no secret."""
    text = str(error)
    if isinstance(error, msgspec.ValidationError):
        text = text.partition(' - at ')[0].partition(', got ')[0]
        if text.startswith('Invalid enum value'):
            text = 'expected another word'
        for word, meaning in _WORDS.items():
            text = text.replace(word, meaning)
        text = text[:1].lower() + text[1:]
    elif secret:
        return 'is not understood'
    if secret or isinstance(plain, (list, dict)):
        return text
    return f'{text}, got {plain!r:.60}'


_REMEDIES: tuple[tuple[type, str], ...] = (
    (bool, 'write true or false'),
    (int, 'write a whole number'),
    (float, 'write a number'),
    (Decimal, 'write a number such as 1.25'),
    (str, 'write text, in quotes if it looks like a number'),
    (Listen, 'write address:port such as 127.0.0.1:2775'),
    (Path, 'write a path'),
)


def _remedy(hint: Any) -> str:
    bare = bare_of(hint)
    members = get_args(bare)
    if get_origin(bare) is Literal:
        return f'write one of {", ".join(map(str, members))}'
    if members[:1] == (Network,):
        return 'write a list such as [10.0.0.0/8, 192.0.2.7]'
    if get_origin(bare) is dict:
        lists = get_origin(members[1]) is list
        return f'write names and {"lists such as {one: [a, b]}" if lists else "numbers such as {one: 70, other: 30}"}'
    if get_origin(bare) in (tuple, list):
        return f'write a list{_choice(members[0])}, in quotes what looks like a number'
    if members == (str, list[str]):
        return 'write text or a list such as [a, b], in quotes what looks like a number'
    if bare == Ranges:
        return 'write a number, a range such as 2-5 or ">1", or a list of these'
    if bare == Status:
        return 'write a name such as ESME_RINVDSTADR, or a number'
    remedy = next(remedy for kind, remedy in _REMEDIES if bare is kind)
    return f'{remedy} ({meaning_of(hint)})' if bare in (int, float) else remedy


def _choice(member: Any) -> str:
    return f' of {", ".join(map(str, get_args(member)))}' if get_origin(member) is Literal else ' such as [a, b]'


def meaning_of(hint: Any) -> str:
    """Return the description of a key's type."""
    return str(hint.__metadata__[-1].description)


def later_of(hint: Any) -> str:
    """Return what holds as long as a key has no effect; nothing for keys that have."""
    return str((hint.__metadata__[-1].extra or {}).get('later', ''))
