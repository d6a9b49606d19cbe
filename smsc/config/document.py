"""YAML files as trees whose every value knows its file and line; includes and `${VARIABLE}` are resolved here.

Hostile or broken files end as Problems, never as other exceptions: sizes and depth are bounded, anchors and tags are
refused, as nothing here needs them.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml

from smsc.config.problems import Problem

MAX_FILE_OCTETS = 16 << 20
MAX_FILES = 100
_VARIABLE = re.compile(r'\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}')
_LOADER: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


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
    """Reads a file and all it includes into one mapping."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self.files: list[Path] = []
        self._environ = environ

    def read(self, path: Path) -> Value:
        """Return the top mapping of a file with its includes merged in."""
        top = Value({}, Place(str(path), 1))
        self._add_file(top, path, Place(str(path), 0))
        return top

    def _add_file(self, top: Value, path: Path, asked_at: Place) -> None:
        if path.resolve() in self.files or len(self.files) >= MAX_FILES:
            self._note(asked_at, 'include', f'{path} is included twice', 'name each file once')
            return
        self.files.append(path.resolve())
        tree = self._compose(path, asked_at)
        if tree is None:
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
            for name, value in part.data.items():
                if name in there.data:
                    first = there.key_places[name]
                    self._note(
                        part.key_places[name],
                        f'{key}.{name}',
                        f'stands in {first.file}:{first.line} already',
                        'keep one',
                    )
                else:
                    there.data[name] = value
                    there.key_places[name] = part.key_places[name]
        elif isinstance(there.data, list) and isinstance(part.data, list):
            there.data.extend(part.data)
        else:
            self._note(place, key, f'stands in {there.place.file}:{there.place.line} already', 'keep one')

    def _compose(self, path: Path, asked_at: Place) -> Any:
        try:
            if path.stat().st_size > MAX_FILE_OCTETS:
                self._note(asked_at, '', f'{path} is larger than {MAX_FILE_OCTETS >> 20} MB', 'split it')
                return None
            text = path.read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else 'is not UTF-8'
            self._note(asked_at, '', f'cannot read {path}: {reason}', 'check the name and who may read it')
            return None
        try:
            self._refuse_anchors(text, str(path))
            return yaml.compose(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self._note(Place(str(path), line), '', f'is no YAML: {error.problem}', 'check indentation, colons, quotes')
        except (yaml.YAMLError, RecursionError):
            self._note(Place(str(path), 1), '', 'is no YAML', 'check for odd characters and for too deep nesting')
        return None

    def _refuse_anchors(self, text: str, file: str) -> None:
        """Refuse aliases, which could make a small file an endless one."""
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise yaml.MarkedYAMLError(
                    problem='aliases (*name) are not supported', problem_mark=cast(Any, event.start_mark)
                )

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
        value.key_places = {}
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
        expanded = False
        if '${' in text:
            text, expanded = self._expand(text, key, place), True
        if expanded or node.tag == 'tag:yaml.org,2002:str':
            return Value(text, place, expanded)
        try:
            return Value(yaml.safe_load(yaml.serialize(node)), place)
        except (yaml.YAMLError, ValueError):
            self._note(place, key, 'is no value', 'put it in quotes')
            return Value(text, place)

    def _expand(self, text: str, key: str, place: Place) -> str:
        def value(match: re.Match[str]) -> str:
            name, has_default, default = match.groups()
            found = self._environ.get(name)
            if found is None and has_default is None:
                self._note(
                    place, key, f'environment variable {name} is not set', f'set it, or write ${{{name}:-default}}'
                )
            return found if found is not None else default or ''

        return _VARIABLE.sub(value, text)

    def _note(self, place: Place, key: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(os.path.relpath(place.file), place.line, key, message, remedy))
