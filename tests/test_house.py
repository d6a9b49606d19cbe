"""House rules that no tool of bin/check keeps: clockless cores, names of modules, names free on the path."""

import ast
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = ('pdu', 'smpp', 'domain', 'routing', 'storage', 'smsc', 'perf')

# What reads the clock, waits, or reaches outside the process.
OUTSIDE = {
    'aiohttp', 'asyncio', 'asyncpg', 'concurrent', 'httpx', 'multiprocessing', 'redis', 'select', 'selectors', 'socket',
    'socketserver', 'ssl', 'subprocess', 'threading', 'time', 'uvicorn', 'uvloop',
}  # fmt: skip


def modules_of(room: str) -> Iterator[Path]:
    """Paths of a room's modules, relative to the checkout."""
    return (path.relative_to(ROOT) for path in sorted((ROOT / room).rglob('*.py')))


def imports_of(path: Path) -> set[str]:
    """Names that a module imports, as in `asyncio` or `smpp.aio.link`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from smpp import aio` imports smpp.aio.
            names.update([node.module or '', *(f'{node.module}.{alias.name}' for alias in node.names)])
    return names


def is_core(path: Path) -> bool:
    return path.parts[:2] != ('smpp', 'aio')


@pytest.mark.parametrize('room', ['pdu', 'smpp', 'domain'])
def test_a_core_reads_no_clock_and_does_no_io(room):
    offenders = {
        f'{path}: {name}'
        for path in modules_of(room)
        if is_core(path)
        for name in imports_of(path)
        if name.split('.')[0] in OUTSIDE
    }
    assert not offenders


def test_the_session_core_does_not_know_its_shell():
    offenders = {
        f'{path}: {name}'
        for path in modules_of('smpp')
        if is_core(path)
        for name in imports_of(path)
        if name == 'smpp.aio' or name.startswith('smpp.aio.')
    }
    assert not offenders


def test_the_product_does_not_import_its_tests():
    offenders = {
        f'{path}: {name}'
        for room in ROOMS
        for path in modules_of(room)
        for name in imports_of(path)
        if name.split('.')[0] == 'tests'
    }
    assert not offenders


def test_a_module_is_named_for_what_it_does():
    shapeless = {'common', 'helper', 'helpers', 'manager', 'misc', 'util', 'utils'}
    assert not [str(path) for room in ROOMS for path in modules_of(room) if path.stem in shapeless]


def test_no_dependency_has_a_top_level_name_of_ours():
    taken = {name: packages for name, packages in packages_distributions().items() if name in {*ROOMS, 'tests'}}
    assert set().union(*taken.values()) <= {'smsc-proxy'}


def test_pins_of_direct_dependencies_are_those_of_the_constraints():
    setup = ConfigParser()
    setup.read(ROOT / 'setup.cfg', encoding='utf-8')
    direct = setup['options']['install_requires'] + setup['options.extras_require']['test']
    constraints = (ROOT / 'constraints.txt').read_text(encoding='utf-8').lower().replace('_', '-').splitlines()
    assert [pin for pin in direct.split() if pin.lower() not in constraints] == []


def test_every_room_is_packaged_and_held_to_the_import_directions():
    setup = ConfigParser()
    setup.read(ROOT / 'setup.cfg', encoding='utf-8')
    packaged = setup['options.packages.find']['include'].split()
    assert packaged == [name for room in ROOMS for name in (room, f'{room}.*')]
    assert set(setup['importlinter']['root_packages'].split()) == set(ROOMS)
    ruff = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))['tool']['ruff']
    assert set(ruff['lint']['isort']['known-first-party']) == {*ROOMS, 'tests'}
