"""Imports: a full base made beside the one in use and swapped in at its end, a delta as one transaction in it.

One import at a time holds the lock of the folder. Whatever ends an import before its last step, also `kill -9`, leaves
the base as it was; what is left lying about goes with the next import.
"""

import fcntl
import mmap
import os
import secrets
import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import msgspec

from routing.mnp import (
    ABOUT_KEY,
    BLOCK_BITS,
    CURRENT,
    FORMAT,
    MAP_OCTETS,
    MAX_OPERATORS,
    OPERATORS_KEY,
    SIEVE,
    DeltaAbout,
    MnpAbout,
    MnpBaseError,
    current_base,
    decode_block,
    encode_block,
    key_of,
    open_base,
    read_about,
)
from routing.sieve import BITS, map_sieve, note, octets_for
from smsc.mnp.portings import MnpImportError, PortingFile
from smsc.mnp.sorting import Sorter

MAX_DELTA_ROWS = 2_000_000  # they are held in memory; what is larger is no delta
RETURNED = -1
READING = 0.6  # of the time of an import; the rest is sorting and writing
Tell = Callable[[float], None]


class _Operators:
    """Names of operators, by their places."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._places = {name: place for place, name in enumerate(names)}

    def places(self, names: list[str]) -> list[int]:
        """Return the places of names, new ones at the end. Raises MnpImportError for more than there can be."""
        known = self._places
        try:
            return [known[name] for name in names]
        except KeyError:
            pass
        for name in names:
            if name not in known:
                known[name] = len(self.names)
                self.names.append(name)
        if len(self.names) > MAX_OPERATORS:
            raise MnpImportError(
                f'more than {MAX_OPERATORS} operators, as {self.names[-1]}; name the right column: --operator HEADING'
            )
        return [known[name] for name in names]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other imports out. Raises MnpImportError when one is under way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / 'lock').open('wb') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MnpImportError(f'another import into {folder} is under way; wait until it ends') from None
            yield
    except (OSError, lmdb.Error, MnpBaseError) as error:
        raise MnpImportError(f'{error}; the base in use was not changed') from error


def import_base(folder: Path, file: PortingFile, source: str, now_ms: int, tell: Tell, force: bool = False) -> MnpAbout:
    """Make a base of a file and swap it in. Raises MnpImportError, also for one that is suspiciously small.

    `tell` is given how much is done, from 0 to 1. A base that has shrunk by half is swapped in only with `force`.
    """
    with locked(folder):
        in_use = _in_use(folder)
        for left in folder.glob('base-*'):
            if left.name != in_use:
                shutil.rmtree(left)
        new = folder / f'base-{secrets.token_hex(6)}'  # a name that no reader has open
        new.mkdir()
        try:
            about = _write(new, file, MnpAbout(FORMAT, source, now_ms, 0), tell)
            if not force:
                _check_rows(folder, about.rows)
            _point(folder, new.name)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        if in_use:
            shutil.rmtree(folder / in_use, ignore_errors=True)  # readers have it open until they see the new one
        return about


def _in_use(folder: Path) -> str:
    """Return the name of the base in use, whether it is there or not; '' without one."""
    try:
        return (folder / CURRENT).read_text(encoding='utf-8').strip()
    except FileNotFoundError:
        return ''


def _write(new: Path, file: PortingFile, about: MnpAbout, tell: Tell) -> MnpAbout:
    """Sort a file and write it into a new base; each step its own transaction, to disk once at the end."""
    runs = new / 'runs'
    runs.mkdir()
    sorter, operators = Sorter(runs), _Operators([])
    for piece in file.pieces(lambda share: tell(share * READING)):
        sorter.add(piece.numbers, operators.places(piece.operators))
    octets = octets_for(sorter.added)
    with (
        _new_sieve(new / SIEVE, octets) as sieve,
        lmdb.open(str(new), map_size=MAP_OCTETS, sync=False, metasync=False) as environment,
    ):
        for blocks in sorter.blocks():
            with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                cursor.putmulti(blocks, append=True)
            _note_blocks(sieve, blocks)
            tell(READING + (1 - READING) * sorter.done)
        if not sorter.rows:
            raise MnpImportError('the file holds no number; the base in use was not changed')
        about = msgspec.structs.replace(about, rows=sorter.rows, sieve=octets)
        with environment.begin(write=True) as transaction:
            _put_about(transaction, about, operators.names)
        environment.sync(True)
    shutil.rmtree(runs)
    return about


@contextmanager
def _new_sieve(path: Path, octets: int) -> Iterator[mmap.mmap]:
    """Make an empty sieve; what it has become is on disk afterwards."""
    with path.open('wb') as file:
        file.truncate(octets)
    sieve = map_sieve(path, octets, write=True)
    assert sieve is not None
    with sieve:
        yield sieve
        sieve.flush()


def _note_blocks(sieve: mmap.mmap, blocks: list[tuple[bytes, bytes]]) -> None:
    """Let the numbers of blocks pass, whose bits are side by side; numbers rise, so what is done leaves memory."""
    mask, bits = len(sieve) - 1, BITS
    for key, value in blocks:
        first = int.from_bytes(key) << BLOCK_BITS >> 3 & mask
        for low in value[: len(value) // 3]:
            sieve[first + (low >> 3)] |= bits[low & 7]
    sieve.madvise(mmap.MADV_DONTNEED)  # it is shared: the pages stay with the file


def _put_about(transaction: 'lmdb.Transaction[bytes]', about: MnpAbout, operators: list[str]) -> None:
    transaction.put(ABOUT_KEY, msgspec.json.encode(about))
    transaction.put(OPERATORS_KEY, msgspec.json.encode(operators))


def _check_rows(folder: Path, rows: int) -> None:
    """Raises MnpImportError for a base of less than half the numbers of the one in use: half a download, perhaps."""
    try:
        before = base_about(folder)
    except (MnpBaseError, lmdb.Error):
        return  # it cannot be used anyway
    if before is not None and rows < before.rows // 2:
        raise MnpImportError(
            f'{rows} numbers, where the base in use has {before.rows}; the base was not changed, '
            'look at the file, and add --force if it is right'
        )


def _point(folder: Path, name: str) -> None:
    """Let readers see another base."""
    pointer = folder / f'{CURRENT}.new'
    with pointer.open('w', encoding='utf-8') as file:
        file.write(name)
        file.flush()
        os.fsync(file.fileno())
    pointer.replace(folder / CURRENT)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def base_about(folder: Path) -> MnpAbout | None:
    """Return what the base in use says of itself, None without one. Raises MnpBaseError, lmdb.Error."""
    path = current_base(folder)
    if path is None:
        return None
    with open_base(path) as environment, environment.begin() as transaction:
        return read_about(transaction)[0]


def apply_delta(folder: Path, file: PortingFile, source: str, now_ms: int, tell: Tell) -> MnpAbout:
    """Apply additions, changes and returns to the base in use, all at once. Raises MnpImportError, changing nothing."""
    with locked(folder):
        path = current_base(folder)
        if path is None:
            raise MnpImportError('there is no base yet; import a full one first, without --delta')
        with lmdb.open(str(path), map_size=MAP_OCTETS, create=False) as environment:
            environment.reader_check()  # a reader that was killed keeps pages from being used again
            with environment.begin(write=True) as transaction:
                about, names = read_about(transaction)
                operators = _Operators(names)
                rows = _read_delta(file, operators, tell)
                counts = _Counts()
                _change(transaction, rows, counts)
                delta = DeltaAbout(source, now_ms, counts.added, counts.changed, counts.returned)
                about = msgspec.structs.replace(
                    about,
                    rows=about.rows + counts.added - counts.returned,
                    delta=delta,
                    sieve=_widen_sieve(path, about.sieve, rows),
                )
                _put_about(transaction, about, operators.names)
        return about


def _widen_sieve(path: Path, octets: int, rows: dict[int, int]) -> int:
    """Let the numbers of a delta pass, on disk before it is committed; return the size of the sieve, 0 without one.

    What is committed is in the sieve, whatever happens in between; that more is in it makes nothing wrong.
    """
    sieve = map_sieve(path / SIEVE, octets, write=True)
    if sieve is None:
        return 0
    with sieve:
        note(sieve, [number for number, place in rows.items() if place != RETURNED])
        sieve.flush()
    return octets


class _Counts:
    """What a delta does: numbers that are new, with another operator, gone."""

    added = changed = returned = 0


def _read_delta(file: PortingFile, operators: _Operators, tell: Tell) -> dict[int, int]:
    """Return the places of operators by number, RETURNED for a return; the last line of a number holds."""
    rows: dict[int, int] = {}
    for piece in file.pieces(tell):
        if '' not in piece.operators:
            rows.update(zip(piece.numbers, operators.places(piece.operators), strict=True))
        else:
            named = iter(operators.places([name for name in piece.operators if name]))
            places = [next(named) if name else RETURNED for name in piece.operators]
            rows.update(zip(piece.numbers, places, strict=True))
        if len(rows) > MAX_DELTA_ROWS:
            raise MnpImportError(f'more than {MAX_DELTA_ROWS} numbers are no delta; import a full base')
    return rows


def _change(transaction: 'lmdb.Transaction[bytes]', rows: dict[int, int], counts: _Counts) -> None:
    """Write the blocks that the rows of a delta are in."""
    numbers = sorted(rows)
    start = 0
    while start < len(numbers):
        block = numbers[start] >> BLOCK_BITS
        stop = bisect_left(numbers, (block + 1) << BLOCK_BITS, start)
        key = key_of(block)
        found = decode_block(transaction.get(key, b''))
        for number in numbers[start:stop]:
            _change_one(found, number & 0xFF, rows[number], counts)
        if found:
            lows = sorted(found)
            transaction.put(key, encode_block(bytes(lows), [found[low] for low in lows]))
        else:
            transaction.delete(key)
        start = stop


def _change_one(found: dict[int, int], low: int, place: int, counts: _Counts) -> None:
    if place == RETURNED:
        if found.pop(low, None) is not None:
            counts.returned += 1
        return
    before = found.get(low)
    if before is None:
        counts.added += 1
    elif before != place:
        counts.changed += 1
    found[low] = place
