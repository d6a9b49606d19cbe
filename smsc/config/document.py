"""YAML files as trees whose every value knows its file and line; includes and `${VARIABLE}` are resolved here.

Hostile or broken files end as Problems, never as other exceptions: sizes, depth and the number of files are bounded,
aliases and tags of other languages are refused, as nothing here needs them.
"""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import yaml

from smsc.config.problems import Problem

MAX_FILE_OCTETS = 16 << 20
MAX_FILES = 100
MAX_DEPTH = 50
MAX_BITS = 64
_VARIABLE = re.compile(r'\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$\{')
_LOADER: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
_RESOLVER = yaml.SafeLoader('')


class Place(msgspec.Struct, frozen=True):
    """Where something stands."""

    file: str
    line: int


class Value(msgspec.Struct):
    """A scalar, list (of Values) or mapping (of keys to Values). `expanded`: it holds values of the environment."""

    data: Any
    place: Place
    expanded: bool = False
    key_places: dict[str, Place] = {}


class Reader:
    """Reads a file and all it includes into one mapping; `problems` gathers what is wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._environ = environ
        self._files: set[Path] = set()

    def read(self, path: Path) -> Value:
        """Return the top mapping of a file with its includes merged in."""
        top = Value({}, Place(str(path), 1))
        self._add_file(top, path, Place(str(path), 0))
        return top

    # Files

    def _add_file(self, top: Value, path: Path, asked_at: Place) -> None:
        if path.resolve() in self._files:
            self._note(asked_at, 'include', f'{path} is included twice', 'name each file once')
            return
        if len(self._files) >= MAX_FILES:
            self._note(asked_at, 'include', f'{path} is one file too many', f'make it {MAX_FILES} at most')
            return
        self._files.add(path.resolve())
        tree = self._compose(path, asked_at)
        if tree is None or tree.tag == 'tag:yaml.org,2002:null':
            return
        if not isinstance(tree, yaml.MappingNode):
            self._note(Place(str(path), 1), '', 'is no mapping', 'write keys such as `accounts:`')
            return
        value = self._value(tree, str(path), '')
        includes = value.data.pop('include', None)
        for key, part in value.data.items():
            self._merge(top, key, part, value.key_places[key])
        for name in self._include_names(includes):
            self._add_file(top, path.parent / name.data, name.place)

    def _include_names(self, includes: Value | None) -> list[Value]:
        if includes is None:
            return []
        if isinstance(includes.data, list) and all(isinstance(name.data, str) for name in includes.data):
            return list(includes.data)
        self._note(includes.place, 'include', 'is no list of files', 'write include: [accounts.yaml, ...]')
        return []

    def _merge(self, top: Value, key: str, part: Value, place: Place) -> None:
        """Add a top-level key: mappings and lists of several files become one, anything else stands once."""
        there = top.data.get(key)
        if there is None:
            top.data[key] = part
            top.key_places[key] = place
        elif isinstance(there.data, dict) and isinstance(part.data, dict):
            self._merge_mapping(there, key, part)
        elif isinstance(there.data, list) and isinstance(part.data, list):
            there.data.extend(part.data)
        else:
            self._note(place, key, f'stands in {there.place.file}:{there.place.line} already', 'keep one')

    def _merge_mapping(self, there: Value, key: str, part: Value) -> None:
        for name, value in part.data.items():
            place = part.key_places[name]
            if name in there.data:
                first = there.key_places[name]
                self._note(place, f'{key}.{name}', f'stands in {first.file}:{first.line} already', 'keep one')
            else:
                there.data[name] = value
                there.key_places[name] = place

    def _compose(self, path: Path, asked_at: Place) -> Any:
        text = self._text(path, asked_at)
        return None if text is None else self._parsed(text, path)

    def _parsed(self, text: str, path: Path) -> Any:
        try:
            return yaml.compose(text, Loader=_LOADER) if self._is_harmless(text, str(path)) else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self._note(Place(str(path), line), '', f'is no YAML: {error.problem}', 'check indentation, colons, quotes')
        except yaml.YAMLError:
            self._note(Place(str(path), 1), '', 'is no YAML', 'check for odd characters')
        return None

    def _text(self, path: Path, asked_at: Place) -> str | None:
        try:
            if path.exists() and not path.is_file():
                self._note(asked_at, '', f'{path} is no file', 'name a YAML file')
                return None
            with path.open('rb') as file:
                octets = file.read(MAX_FILE_OCTETS + 1)
            if len(octets) > MAX_FILE_OCTETS:
                self._note(asked_at, '', f'{path} is larger than {MAX_FILE_OCTETS >> 20} MB', 'split it')
                return None
            return octets.decode('utf-8-sig')
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else 'it is not UTF-8'
            self._note(asked_at, '', f'cannot read {path}: {reason}', 'check the name and who may read it')
            return None

    def _is_harmless(self, text: str, file: str) -> bool:
        """Refuse aliases, which could make a small file an endless one, depth beyond the stack, and tags."""
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                depth += 1
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                depth -= 1
            refusal = _refusal(event, depth)
            if refusal:
                line = event.start_mark.line + 1 if event.start_mark else 1
                self._note(Place(file, line), '', *refusal)
                return False
        return True

    # Values

    def _value(self, node: Any, file: str, key: str) -> Value:
        place = Place(file, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, file, key, place)
        if isinstance(node, yaml.SequenceNode):
            items = [self._value(item, file, f'{key}[{number}]') for number, item in enumerate(node.value)]
            return Value(items, place)
        return self._scalar(node, key, place)

    def _mapping(self, node: Any, file: str, key: str, place: Place) -> Value:
        value = Value({}, place)
        for key_node, value_node in node.value:
            key_place = Place(file, key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                self._note(key_place, key, 'a key is no word', 'write `key: value`')
                continue
            name = key_node.value
            path = f'{key}.{name}' if key else name
            if name in value.data:
                self._note(key_place, path, f'stands twice, first in line {value.key_places[name].line}', 'keep one')
                continue
            value.data[name] = self._value(value_node, file, path)
            value.key_places[name] = key_place
        return value

    def _scalar(self, node: Any, key: str, place: Place) -> Value:
        text = node.value
        if '\0' in text:
            self._note(place, key, 'holds the character NUL', 'take it out')
        if not _is_text(text):  # only without libyaml, which refuses such a file itself
            self._note(place, key, 'holds half a surrogate pair', 'write the character itself')
        if '${' in text:
            return Value(self._expand(text, key, place), place, expanded=True)
        if node.tag == 'tag:yaml.org,2002:str':
            return Value(text, place)
        try:
            word = read_word(text)
            return Value(text if isinstance(word, date) else word, place)  # keys that take dates read them from text
        except ValueError as error:
            self._note(place, key, str(error), 'put it in quotes if it is text')
            return Value(text, place)

    def _expand(self, text: str, key: str, place: Place) -> str:
        def value(match: re.Match[str]) -> str:
            literal, name, has_default, default = match.groups()
            if literal is not None:
                return str(literal)
            if name is None:
                remedy = 'write ${NAME} or ${NAME:-default}, and $${ for these two characters themselves'
                self._note(place, key, '`${` begins no name of a variable', remedy)
                return ''
            found = self._environ.get(name)
            if found is None and has_default is None:
                remedy = f'set it, or write ${{{name}:-default}}'
                self._note(place, key, f'environment variable {name} is not set', remedy)
            elif found is not None and not _is_text(found):
                self._note(place, key, f'environment variable {name} is not UTF-8', 'set it to text in UTF-8')
            return found if found is not None else default or ''

        return _VARIABLE.sub(value, text)

    def _note(self, place: Place, key: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(place.file, place.line, key, message, remedy))


def read_word(text: str) -> Any:
    """Return what a word without quotes stands for: text, a number, a truth value, a date, nothing.

    Raises ValueError for a number or a date that is none, and for whole numbers beyond 64 bits.
    """
    resolver: Any = _RESOLVER
    tag = resolver.resolve(yaml.ScalarNode, text, (True, False))
    construct = resolver.yaml_constructors.get(tag)
    if construct is None:
        raise ValueError('is no value')
    try:
        value = construct(resolver, yaml.ScalarNode(tag, text))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ValueError('is no value') from error
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ValueError('is too large a number')
    return value


def _is_text(text: str) -> bool:
    """Return whether text has a form in UTF-8; octets of a variable that were none are halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refusal(event: yaml.Event, depth: int) -> tuple[str, str] | None:
    """Return what is wrong with a piece of YAML, and the remedy; None when nothing is."""
    if isinstance(event, yaml.AliasEvent):
        return 'aliases (*name) are not supported', 'quote text that begins with *, or repeat what the alias stands for'
    if getattr(event, 'tag', None) is not None:
        return 'tags (!name) are not supported', 'quote text that begins with !'
    if depth > MAX_DEPTH:
        return f'is nested more than {MAX_DEPTH} deep', 'close what was opened'
    return None
