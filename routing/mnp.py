"""Ported numbers: a base in LMDB that says which operator a number is with, mapped into memory and shared by processes.

A folder holds the base that is in use, in a folder of its own, and the file `current` that names it. An import makes a
new one beside it and renames `current`; a delta is one transaction in the one in use. Readers see either at their next
`refresh`, whole or not at all.

256 numbers in a row are one entry. Its key is `number >> 8`, 6 octets big-endian; its value lists the numbers of the
block that are ported: their lowest octets, then the low and then the high octets of their operators' places in the
list of operators. That is 4 octets a number where one in twenty is ported; an entry for each would take 20. The
entries `~about` and `~operators` are JSON.

Nearly no number is ported, so a sieve (routing.sieve) stands before the entries, in a file beside them: a delta adds to
it before it commits. `~about` says how large it is: a base that was changed by a version which knows of no sieves says
nothing, and is used without.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import lmdb
import msgspec

from routing.sieve import BITS, EVERYTHING, NOTHING, Octets, map_sieve

FORMAT = 1
BLOCK_BITS = 8
KEY_OCTETS = 6
MAX_NUMBER = 10**15 - 1  # E.164 has up to 15 digits
MAX_OPERATORS = 1 << 14
MAP_OCTETS = 1 << 34  # address space, no memory: a base of 50 M numbers is a fiftieth of it
CURRENT = 'current'
SIEVE = 'sieve'  # the file in the folder of a base
ABOUT_KEY = b'~about'  # behind all blocks, whose keys begin with octets up to 3
OPERATORS_KEY = b'~operators'
MAX_NAME = 64


class MnpBaseError(Exception):
    """A base cannot be read; the text says why and what to do."""


class DeltaAbout(msgspec.Struct, frozen=True):
    """The latest delta: its file, when it was applied (Unix milliseconds), how many numbers it touched."""

    source: str
    at_ms: int
    added: int
    changed: int
    returned: int


class MnpAbout(msgspec.Struct, frozen=True):
    """What a base says of itself: where its numbers came from, when (Unix milliseconds), how many it has now.

    `sieve` is the size of its sieve in octets, 0 without one.
    """

    format: int
    source: str
    imported_at_ms: int
    rows: int
    delta: DeltaAbout | None = None
    sieve: int = 0


class OperatorCodes:
    """What operators are called in other people's tables, as our operator codes."""

    __slots__ = ('_codes',)

    def __init__(self, codes: Mapping[str, str] | None = None) -> None:
        """`codes` maps their names, compared without case, to our codes."""
        self._codes = {name.strip().casefold(): code for name, code in (codes or {}).items()}

    def code(self, name: str) -> str:
        """Return our code, for a name that is not mapped the name itself in lower case."""
        name = name.strip()
        return self._codes.get(name.casefold()) or name.lower()


def key_of(block: int) -> bytes:
    """Return the key of a block, `number >> BLOCK_BITS`."""
    return block.to_bytes(KEY_OCTETS, 'big')


def encode_block(lows: bytes, operators: list[int]) -> bytes:
    """Return the value of a block from the lowest octets of its numbers and the places of their operators."""
    return lows + bytes([place & 0xFF for place in operators]) + bytes([place >> 8 for place in operators])


def decode_block(value: bytes) -> dict[int, int]:
    """Return the places of operators in a block by the lowest octets of its numbers."""
    count = len(value) // 3
    return {value[at]: value[count + at] | value[2 * count + at] << 8 for at in range(count)}


def current_base(folder: Path) -> Path | None:
    """Return the folder of the base in use, None without one. Raises MnpBaseError for a pointer to nowhere."""
    try:
        name = (folder / CURRENT).read_text(encoding='utf-8').strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise MnpBaseError(f'{folder / CURRENT} cannot be read ({error}); import the base again') from error
    if not name or '/' in name or not (folder / name).is_dir():
        raise MnpBaseError(f'{folder / CURRENT} names a base that is not there; import the base again')
    return folder / name


def read_about(transaction: 'lmdb.Transaction[bytes]') -> tuple[MnpAbout, list[str]]:
    """Return what a base says of itself, and its operators as the imported files call them. Raises MnpBaseError."""
    try:
        about = msgspec.json.decode(transaction.get(ABOUT_KEY, b''), type=MnpAbout)
        operators = msgspec.json.decode(transaction.get(OPERATORS_KEY, b''), type=list[str])
    except msgspec.DecodeError as error:
        raise MnpBaseError('the base of ported numbers is damaged; import the base again') from error
    if about.format != FORMAT:
        raise MnpBaseError('the base of ported numbers was made by another version; import the base again')
    return about, operators


class MnpBase:
    """Looks numbers up. One object a process: LMDB opens a file only once.

    `find` never opens a file nor waits; a base that is swapped or changed is seen at the next `refresh`. `problem` says
    why the base that is there is not used: numbers are found in the one before then, or nowhere. '' = all is well.
    """

    def __init__(self, folder: Path, codes: Mapping[str, str] | None = None) -> None:
        """Open the base in `folder`, if there is one; `codes` is for OperatorCodes."""
        self.about: MnpAbout | None = None
        self.problem = ''
        self.failures = 0
        self._folder = folder
        self._codes = OperatorCodes(codes)
        self._stamp: tuple[int, int, int] | None = None
        self._environment: lmdb.Environment | None = None
        self._transaction: lmdb.Transaction[bytes] | None = None
        self._get: Callable[[bytes], bytes | None] = _nothing
        self._names: list[str] = []
        self._operators: list[str] = []
        self._sieve: Octets = NOTHING
        self._mask = 0
        self.refresh()

    @property
    def is_empty(self) -> bool:
        """No base: every number is unknown."""
        return self._transaction is None

    def operators(self) -> frozenset[str]:
        """Return the codes of all operators that numbers of it were ported to."""
        return frozenset(self._operators)

    def find(self, number: int) -> str:
        """Return the code of the operator a number was ported to, '' for one that was not.

        Takes 0.2 us of CPU for a number that the sieve holds back, 2 us for others.
        """
        if self._sieve[number >> 3 & self._mask] & BITS[number & 7]:
            return self._look_up(number)
        return ''

    def _look_up(self, number: int) -> str:
        if not 0 < number <= MAX_NUMBER:
            return ''
        try:
            value = self._get((number >> 8).to_bytes(6, 'big'))
            if value is None:
                return ''
            count = len(value) // 3
            at = value.find(number & 0xFF, 0, count)
            return self._operators[value[count + at] | value[2 * count + at] << 8] if at >= 0 else ''
        except (lmdb.Error, IndexError):  # a damaged base must not keep messages from their way
            self.failures += 1
            return ''

    def use_codes(self, codes: Mapping[str, str]) -> None:
        """Take another mapping to our operator codes, at once."""
        self._codes = OperatorCodes(codes)
        self._operators = [self._codes.code(name) for name in self._names]

    def refresh(self) -> bool:
        """See what imports have done since; call it once a second. Return whether the base is another, or was changed.

        Takes microseconds when nothing has happened; as long as it is not called, deltas make the file grow.
        """
        before = self.about
        try:
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._swap(current_base(self._folder))
                self._stamp = stamp
            elif self._environment is not None:
                self._renew(self._environment)
            self.problem = ''
        except (MnpBaseError, lmdb.Error, OSError) as error:
            self.problem = str(error)
        return self.about != before

    def close(self) -> None:
        """Let go of the file; every number is unknown afterwards."""
        if self._transaction is not None:
            self._transaction.abort()
        if self._environment is not None:
            self._environment.close()
        self._environment = self._transaction = self._stamp = self.about = None
        self._get = _nothing
        self._sieve, self._mask = NOTHING, 0

    def _read_stamp(self) -> tuple[int, int, int] | None:
        """Return what is different whenever an import has renamed another `current` into place."""
        try:
            stat = (self._folder / CURRENT).stat()
        except FileNotFoundError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _swap(self, path: Path | None) -> None:
        """Look numbers up in another base; the one before stays if that fails."""
        if path is None:
            self.close()
            return
        if self._environment is not None and self._environment.path() == str(path):
            self._renew(self._environment)  # `current` was only touched
            return
        environment = open_base(path)
        try:
            transaction = environment.begin()
            about, names = read_about(transaction)
        except (MnpBaseError, lmdb.Error):
            environment.close()
            raise
        self.close()
        self._environment = environment
        self._use(path, transaction, about, names)

    def _renew(self, environment: lmdb.Environment) -> None:
        """Look numbers up in the base as the latest delta left it, and give back the pages of what was before."""
        transaction = environment.begin()
        if self._transaction is not None and transaction.id() == self._transaction.id():
            transaction.abort()
            return
        try:
            about, names = read_about(transaction)
        except MnpBaseError:
            transaction.abort()
            raise
        if self._transaction is not None:
            self._transaction.abort()
        self._use(Path(environment.path()), transaction, about, names)

    def _use(self, path: Path, transaction: 'lmdb.Transaction[bytes]', about: MnpAbout, names: list[str]) -> None:
        if self.about is None or self.about.sieve != about.sieve:  # a delta adds to the one that is mapped
            self._sieve = map_sieve(path / SIEVE, about.sieve) or EVERYTHING
            self._mask = len(self._sieve) - 1
        self._transaction, self.about, self._names = transaction, about, names
        self._operators = [self._codes.code(name) for name in names]
        self._get = transaction.get


def open_base(path: Path) -> lmdb.Environment:
    """Open a base for looking up. Raises lmdb.Error."""
    return lmdb.open(str(path), map_size=MAP_OCTETS, readonly=True, create=False, readahead=False, max_spare_txns=2)


def _nothing(key: bytes) -> bytes | None:
    return None
