"""Sieves: they tell of nearly every number that is not in a large table that it is not, by one bit.

A sieve has a power of two of octets. The bit of a number is `number & 7` of the octet `number >> 3 & octets - 1`, so
that numbers in a row are side by side. A bit that is clear says that the number is not in the table; one that is set
says nothing. Bits are only ever added: what has left the table costs a look-up, and is never wrong.

Whoever asks for every message writes that comparison out, as a call costs more than it does.
"""

import mmap
from collections.abc import Iterable, MutableSequence
from pathlib import Path

BITS = tuple(1 << bit for bit in range(8))
BITS_A_NUMBER = 16  # at least, up to MAX_OCTETS: no more than one number in sixteen is looked for in vain
MIN_OCTETS = 1 << 16
MAX_OCTETS = 1 << 27
EVERYTHING = b'\xff'  # lets every number pass
NOTHING = b'\0'

Octets = bytes | bytearray | mmap.mmap


def octets_for(numbers: int) -> int:
    """Return how many octets a sieve for so many numbers has."""
    wanted = min(max(numbers * BITS_A_NUMBER // 8, MIN_OCTETS), MAX_OCTETS)
    return 1 << (wanted - 1).bit_length()


def note(sieve: 'MutableSequence[int] | mmap.mmap', numbers: Iterable[int]) -> None:
    """Let these numbers pass."""
    mask, bits = len(sieve) - 1, BITS
    for number in numbers:
        sieve[number >> 3 & mask] |= bits[number & 7]


def map_sieve(path: Path, octets: int, write: bool = False) -> mmap.mmap | None:
    """Map a file into memory, shared with whoever adds to it; None if it has not so many octets, or is not there."""
    try:
        with path.open('r+b' if write else 'rb') as file:
            if octets < 1 or octets & octets - 1 or path.stat().st_size != octets:
                return None
            sieve = mmap.mmap(file.fileno(), octets, access=mmap.ACCESS_WRITE if write else mmap.ACCESS_READ)
    except FileNotFoundError:
        return None
    sieve.madvise(mmap.MADV_WILLNEED)
    return sieve
