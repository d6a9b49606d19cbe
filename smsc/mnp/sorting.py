"""Sorts more numbers than memory holds: sorted runs on disk, merged step by step.

A row is one integer, `number << PLACE_BITS | place`, `place` being that of its operator in a list. Of a number that
comes several times the last row holds.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

from routing.mnp import BLOCK_BITS, encode_block, key_of

PLACE_BITS = 14
BLOCK_SHIFT = PLACE_BITS + BLOCK_BITS
RUN_ROWS = 500_000  # 80 MB while they are sorted
STEP_ROWS = 1 << 12  # of each run in memory while runs are merged
ROW_OCTETS = 8
_PLACE_MASK = (1 << PLACE_BITS) - 1
_LOW_MASK = (1 << BLOCK_BITS) - 1


class _Run:
    """One sorted file, and the rows of it that are in memory."""

    __slots__ = ('_file', '_left', 'rows')

    def __init__(self, path: Path) -> None:
        self._file = path.open('rb')
        self._left = path.stat().st_size // ROW_OCTETS
        self.rows: array[int] = array('Q')

    def fill(self) -> None:
        """Have enough rows in memory, or all that are left."""
        wanted = min(STEP_ROWS - len(self.rows), self._left)
        if wanted > 0:
            self.rows.fromfile(self._file, wanted)
            self._left -= wanted

    @property
    def has_more(self) -> bool:
        """Some rows are still on disk."""
        return self._left > 0

    def take(self, below: int) -> 'array[int]':
        """Return the rows below a bound, which are in memory no more."""
        at = bisect_left(self.rows, below)
        taken = self.rows[:at]
        del self.rows[:at]
        return taken

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Sorter:
    """Takes rows in any order; `blocks` gives them back in order, once. Its files are the caller's to remove."""

    def __init__(self, folder: Path) -> None:
        self.rows = 0
        self.added = 0
        """Rows that came in, a number that came several times counted as often."""
        self.done = 0.0
        self._folder = folder
        self._rows: dict[int, int] = {}
        self._paths: list[Path] = []

    def add(self, numbers: list[int], places: list[int]) -> None:
        """Add rows: numbers and the places of their operators."""
        self.added += len(numbers)
        self._rows.update(zip(numbers, places, strict=True))
        if len(self._rows) >= RUN_ROWS:
            self._write_run()

    def blocks(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield keys and values of all blocks, rising, in lists; `rows` counts the numbers in them, `done` is how
        much of the work that is, from 0 to 1."""
        self._write_run()
        runs = [_Run(path) for path in self._paths]
        left = sum(path.stat().st_size for path in self._paths) // ROW_OCTETS
        total = max(left, 1)
        try:
            while runs:
                for run in runs:
                    run.fill()
                parts = self._step(runs)
                rows = sorted([row for part in parts for row in part])
                left -= len(rows)
                self.done = 1 - left / total
                yield self._encode(rows, parts)
                runs = self._unfinished(runs)
        finally:
            for run in runs:
                run.close()

    def _write_run(self) -> None:
        if self._rows:
            path = self._folder / f'run-{len(self._paths)}'
            rows = sorted([number << PLACE_BITS | place for number, place in self._rows.items()])
            self._rows = {}
            with path.open('wb') as file:
                array('Q', rows).tofile(file)
            self._paths.append(path)

    @staticmethod
    def _step(runs: list[_Run]) -> 'list[array[int]]':
        """Take the rows of all blocks that no run has more rows of, on disk, than are in memory."""
        ends = [run.rows[-1] for run in runs if run.has_more]
        if not ends:
            return [run.take(1 << 64) for run in runs]
        below = min(ends) >> BLOCK_SHIFT << BLOCK_SHIFT
        return [run.take(below) for run in runs]

    @staticmethod
    def _unfinished(runs: list[_Run]) -> list[_Run]:
        for run in runs:
            if not run.rows and not run.has_more:
                run.close()
        return [run for run in runs if run.rows or run.has_more]

    def _encode(self, rows: list[int], parts: 'list[array[int]]') -> list[tuple[bytes, bytes]]:
        """Return the blocks of sorted rows, which `parts` of later and later runs were made of."""
        blocks = []
        start, end = 0, len(rows)
        while start < end:
            block = rows[start] >> BLOCK_SHIFT
            stop = bisect_left(rows, (block + 1) << BLOCK_SHIFT, start)
            found = rows[start:stop]
            lows = bytes([row >> PLACE_BITS & _LOW_MASK for row in found])
            places = [row & _PLACE_MASK for row in found]
            if len(set(lows)) < len(lows):
                lows, places = _latest(found, parts)
            blocks.append((key_of(block), encode_block(lows, places)))
            self.rows += len(lows)
            start = stop
        return blocks


def _latest(rows: list[int], parts: 'list[array[int]]') -> tuple[bytes, list[int]]:
    """Return a block some of whose numbers are in several runs, as the last of these has them."""
    found: dict[int, int] = {}
    for number in {row >> PLACE_BITS for row in rows}:
        for part in reversed(parts):
            at = bisect_left(part, number << PLACE_BITS)
            if at < len(part) and part[at] >> PLACE_BITS == number:
                found[number & _LOW_MASK] = part[at] & _PLACE_MASK
                break
    lows = sorted(found)
    return bytes(lows), [found[low] for low in lows]
