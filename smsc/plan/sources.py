"""The number plan in the data folder: imported sources, and the plan that is made of them and the table of the world.

`plan/NAME.source` holds the ranges of one import as they were given; a second import of the name replaces it.
`plan/plan.compiled` is all of them flattened, for a start within milliseconds: it carries a stamp of what it was made
from, and is made anew where that differs. Files are replaced whole, so a reader sees the old or the new one. One
command writes at a time. Everything here reads files: never call it on the way of a message.
"""

import fcntl
import functools
import hashlib
import os
import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import msgspec

from routing.facts import Place
from routing.plan import NumberPlan, PlanError, Range, Segments, flatten
from smsc.plan.base import world_octets, world_ranges

FORMAT = b'1'
COMPILED = 'plan.compiled'
SUFFIX = '.source'
NAME = re.compile('[a-z0-9][a-z0-9._-]{0,63}')


class Source(msgspec.Struct, frozen=True):
    """One import: its name, the file it came from, when (Unix milliseconds), and how many ranges."""

    name: str
    file: str
    imported_ms: int
    ranges: int


class SourceFile(msgspec.Struct, frozen=True):
    """Its ranges: octets of arrays of 64-bit first and last numbers and 32-bit positions in `places`, little-endian."""

    source: Source
    places: list[Place]
    firsts: bytes
    lasts: bytes
    positions: bytes


class CompiledFile(msgspec.Struct, frozen=True):
    """The flattened plan, in the same way."""

    stamp: str
    places: list[Place]
    starts: bytes
    positions: bytes


def load_plan(data: Path) -> NumberPlan:
    """Return the number plan of a data folder: that of the world alone where nothing was imported. Raises PlanError."""
    if not _paths(data / 'plan'):
        return copy(_world_plan())
    return NumberPlan(_load_segments(data))


def _load_segments(data: Path) -> Segments:
    """Return what imports were compiled to, or compile them: a second or two for all of Russia. Raises PlanError."""
    folder = data / 'plan'
    stamp = _stamp(folder)
    compiled = _read_compiled(folder / COMPILED)
    if compiled is not None and compiled.stamp == stamp:
        starts, positions = _array('q', compiled.starts), _array('I', compiled.positions)
        return Segments(starts, [compiled.places[position] for position in positions])
    return compile_plan(data)


def compile_plan(data: Path) -> Segments:
    """Make the plan of its sources and keep it; without any it is that of the world. Raises PlanError."""
    folder = data / 'plan'
    stamp = _stamp(folder)
    files = [_read(path) for path in _paths(folder)]
    if not files:
        return _world()
    imported = [one for file in sorted(files, key=_when) for one in _ranges(file)]
    segments = flatten([world_ranges(), imported])
    places, positions = _numbered(segments.places)
    compiled = CompiledFile(stamp, places, _octets(segments.starts), _octets(positions))
    try:
        _replace(folder / COMPILED, msgspec.msgpack.encode(compiled))
    except OSError:
        pass  # the next start takes a second more
    return segments


@functools.cache
def _world() -> Segments:
    """Return the plan that is shipped, made once: a process may hold several servers."""
    return flatten([world_ranges()])


@functools.cache
def _world_plan() -> NumberPlan:
    """Return its look-up, made once too; whoever wants to change it takes a copy."""
    return NumberPlan(_world())


def keep_sources(data: Path, sources: Iterable[tuple[Source, Sequence[Range]]]) -> None:
    """Write sources in place of those of their names, and the plan with them.

    Raises PlanError: then nothing is changed, unless the disk fails halfway.
    """
    with _writing(data) as folder:
        before: dict[Path, bytes | None] = {}
        try:
            for source, ranges in sources:
                check_name(source.name)
                path = folder / f'{source.name}{SUFFIX}'
                before.setdefault(path, path.read_bytes() if path.exists() else None)
                _replace(path, _packed(source, ranges))
            compile_plan(data)
        except (PlanError, OSError):
            _restore(before)
            raise


def _packed(source: Source, ranges: Sequence[Range]) -> bytes:
    places, positions = _numbered([one.place for one in ranges])
    firsts, lasts = array('q', [one.first for one in ranges]), array('q', [one.last for one in ranges])
    return msgspec.msgpack.encode(SourceFile(source, places, _octets(firsts), _octets(lasts), _octets(positions)))


def _restore(before: dict[Path, bytes | None]) -> None:
    for path, octets in before.items():
        if octets is None:
            path.unlink(missing_ok=True)
        else:
            _replace(path, octets)


def remove_source(data: Path, name: str) -> Source:
    """Take a source out, and out of the plan; return what it was. Raises PlanError if there is none of that name."""
    with _writing(data) as folder:
        path = folder / f'{name}{SUFFIX}'
        if not NAME.fullmatch(name) or not path.exists():
            known = ', '.join(one.stem for one in _paths(folder)) or 'none yet'
            raise PlanError(f'there is no source {name}; there are: {known}')
        try:
            source = _read(path).source
        except PlanError:
            source = Source(name, '', 0, 0)  # damaged: all the more to be taken out
        path.unlink()
        compile_plan(data)
        if not _paths(folder):
            (folder / COMPILED).unlink(missing_ok=True)
        return source


def read_sources(data: Path) -> list[Source]:
    """Return what was imported, the oldest first. Raises PlanError."""
    return sorted((_read(path).source for path in _paths(data / 'plan')), key=lambda one: (one.imported_ms, one.name))


def ranges_around(data: Path, key: int) -> list[tuple[Source, Range]]:
    """Return the imported ranges that hold a number of 15 digits, as they decide: the first before the others.

    Raises PlanError.
    """
    found = []
    for path in _paths(data / 'plan'):
        file = _read(path)
        found += [(file.source, one) for one in _ranges(file) if one.first <= key <= one.last]
    return sorted(found, key=lambda pair: (pair[1].last - pair[1].first, -pair[0].imported_ms))


def check_name(name: str) -> None:
    """Raise PlanError for what cannot be the name of a source."""
    if not NAME.fullmatch(name):
        raise PlanError(f'{name!r:.80} is no name of a source; write --name with up to 64 of a-z, 0-9, `.`, `_`, `-`')


# Files


@contextmanager
def _writing(data: Path) -> Iterator[Path]:
    """Make the folder and keep other commands from it."""
    folder = data / 'plan'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / '.lock').open('w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for leftover in folder.glob(f'*{SUFFIX}.*.new'):  # of a command that was killed
                leftover.unlink()
            yield folder
    except BlockingIOError as error:
        raise PlanError('another command is changing the plan; try again when it has ended') from error
    except OSError as error:
        raise PlanError(f'{folder} cannot be written to: {error.strerror}') from error


def _replace(path: Path, octets: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f'{path.name}.{os.getpid()}.new')
    try:
        with temporary.open('wb') as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob(f'*{SUFFIX}'))


def _stamp(folder: Path) -> str:
    """Return what a plan is to be made from, as a digest."""
    digest = hashlib.sha256(FORMAT + world_octets())
    for path in _paths(folder):
        digest.update(path.name.encode() + hashlib.sha256(_octets_of(path)).digest())
    return digest.hexdigest()


def _octets_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PlanError(f'{path} cannot be read: {error.strerror}') from error


def _read(path: Path) -> SourceFile:
    try:
        return msgspec.msgpack.decode(_octets_of(path), type=SourceFile)
    except msgspec.DecodeError as error:
        raise PlanError(f'{path} is damaged; import its table again, or: smsc plan remove {path.stem}') from error


def _read_compiled(path: Path) -> CompiledFile | None:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=CompiledFile)
    except (OSError, msgspec.DecodeError):
        return None  # it is made again


def _when(file: SourceFile) -> tuple[int, str]:
    return file.source.imported_ms, file.source.name


def _ranges(file: SourceFile) -> Iterator[Range]:
    firsts, lasts = _array('q', file.firsts), _array('q', file.lasts)
    for first, last, position in zip(firsts, lasts, _array('I', file.positions), strict=True):
        yield Range(first, last, file.places[position])


def _numbered(places: list[Place]) -> tuple[list[Place], 'array[int]']:
    """Return each place once, and which of them stands where."""
    numbers: dict[Place, int] = {}
    positions = array('I', [numbers.setdefault(place, len(numbers)) for place in places])
    return list(numbers), positions


def _array(kind: str, octets: bytes) -> 'array[int]':
    values: array[int] = array(kind)
    values.frombytes(octets)
    if sys.byteorder == 'big':
        values.byteswap()
    return values


def _octets(values: 'array[int]') -> bytes:
    if sys.byteorder == 'big':
        values = values[:]
        values.byteswap()
    return values.tobytes()
