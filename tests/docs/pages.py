"""What the documentation holds for machines: fenced blocks, and commands in code.

A YAML block is rarely a whole configuration. `load_example` completes it: accounts and upstreams that it names and does
not describe come from a file beside it; those that it describes in part get a password, or a host. CSV blocks that name
a file (```csv promo.csv) are that file.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from smsc import config as configurations
from smsc.config.schema import Configuration

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md')))

_FENCE = re.compile(r'^```(\w*) ?(.*)$')
_COMMAND = re.compile(r'^(?:\$ )?(?:bin/)?smsc(?: |$)')
_CODE = re.compile(r'`([^`]+)`')
_VARIABLE = re.compile(r'\$\{(\w+)\}')
_SENDING = ('failover', 'split', 'cheapest')
_NEEDED = {'accounts': ('password', 'password_hash', 'secret'), 'upstreams': ('host', 'host', 'localhost')}


class ExampleError(AssertionError):
    """An example of the documentation does not do; the text says page, line and why."""


class Block(msgspec.Struct, frozen=True):
    """A fenced block: `line` is that of its first line of text, `kind` and `name` what its fence says."""

    page: Path
    line: int
    kind: str
    name: str
    text: str

    @property
    def place(self) -> str:
        """Return page and line, as editors take them."""
        return f'{self.page.name}:{self.line}'


class Command(msgspec.Struct, frozen=True):
    """A command line of `smsc`, without that word."""

    page: Path
    line: int
    words: tuple[str, ...]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    opened: re.Match[str] | None = None
    first, lines = 0, list[str]()
    for number, line in enumerate(page.read_text(encoding='utf-8').splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is None:
            lines.append(line)
        elif opened is None:
            opened, first = fence, number + 1
            lines.clear()
        else:
            yield Block(page, first, opened[1], opened[2].strip(), '\n'.join([*lines, '']))
            opened = None
    if opened is not None:
        raise ExampleError(f'{page}:{first}: this block has no end')


def commands_of(page: Path) -> Iterator[Command]:
    """Yield the command lines of `smsc` on a page, in blocks without a language and in code within the text."""
    kind: str | None = None
    for number, line in enumerate(page.read_text(encoding='utf-8').splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is not None:
            kind = None if kind is not None else fence[1]
            continue
        codes = _CODE.findall(line) if kind is None else [line] if not kind else []
        for code in codes:
            if _COMMAND.match(code):
                yield Command(page, number, tuple(shlex.split(_COMMAND.sub('', code), comments=True)))


def load_example(block: Block, folder: Path) -> Configuration:
    """Load a block, completed, from a folder that holds the files it names. Raises ExampleError."""
    example = folder / 'example.yaml'
    try:
        tree = yaml.safe_load(block.text)
        numbered = _completed(block.text)
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        line = block.line + (mark.line if mark else 0)
        raise ExampleError(f'{block.page.name}:{line}: {getattr(error, "problem", error)}') from error
    example.write_text('\n'.join([line for _, line in numbered]), encoding='utf-8')
    (folder / 'others.yaml').write_text(yaml.safe_dump(_others(tree)), encoding='utf-8')
    main = folder / 'smsc.yaml'
    main.write_text('include: [example.yaml, others.yaml]\n', encoding='utf-8')
    try:
        environ = dict.fromkeys(_VARIABLE.findall(block.text), 'value')
        return configurations.load(main, environ, thorough=True)
    except configurations.ConfigurationError as error:
        lines = dict(enumerate((block.line + number for number, _ in numbered), 1))
        raise ExampleError(told_of_page(str(error), example, block.page, lines)) from error


def told_of_page(text: str, example: Path, page: Path, lines: dict[int, int]) -> str:
    """Return a message about the example file as one about the page it stands in."""
    return re.sub(
        rf'{re.escape(str(example))}(?::(\d+))?',
        lambda found: f'{page.name}:{lines.get(int(found[1] or 1), 0)}',
        text,
    )


def _others(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the accounts and upstreams that an example names and does not have."""
    accounts, upstreams = set[str](), set[str]()
    for route in _routes(tree.get('routes', [])):
        accounts.update(_words(route.get('when', {}).get('account')))
        for action in _SENDING:
            upstreams.update(route.get(action) or ())
        upstreams.update((route.get('on_failure') or {}).get('upstreams', ()))
    for route in tree.get('mo', []):
        accounts.add(route['account'])
        upstreams.update(_words(route.get('when', {}).get('upstream')))
    for rule in (tree.get('fraud') or {}).get('rules', []):
        accounts.update(rule.get('accounts', ()), (rule.get('look_alike') or {}).get('accounts', ()))
    return {
        'accounts': {name: {'password': 'secret'} for name in sorted(accounts - set(tree.get('accounts') or ()))},
        'upstreams': {name: {'host': 'localhost'} for name in sorted(upstreams - set(tree.get('upstreams') or ()))},
    }


def _routes(routes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for route in routes:
        yield route
        yield from _routes(route.get('routes', []))


def _words(wanted: str | list[str] | None) -> list[str]:
    return [wanted] if isinstance(wanted, str) else wanted or []


def _completed(text: str) -> list[tuple[int, str]]:
    """Return the lines of an example, each with its number from 0, and with what its accounts and upstreams lack."""
    lines = [(number, line) for number, line in enumerate(text.splitlines())]
    root = yaml.compose(text)
    lacking = [
        (node, own)
        for kind, own in _NEEDED.items()
        for key, named in (root.value if isinstance(root, yaml.MappingNode) else ())
        if key.value == kind and isinstance(named, yaml.MappingNode)
        for _, node in named.value
        if isinstance(node, yaml.MappingNode) and not {one.value for one, _ in node.value} & set(own[:2])
    ]
    for node, (key, _, value) in sorted(lacking, key=lambda one: -one[0].start_mark.line):
        at, column = node.start_mark.line, node.start_mark.column
        line = lines[at][1]
        if node.flow_style:
            comma = ', ' if node.value else ''
            lines[at] = at, f'{line[: column + 1]}{key}: {value}{comma}{line[column + 1 :]}'
        else:
            lines.insert(at, (at, f'{" " * column}{key}: {value}'))
    return lines
