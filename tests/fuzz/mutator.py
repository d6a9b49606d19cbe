"""PDUs with something wrong with them, as many as one likes, the same ones for the same seed.

A mutant begins as a PDU of a corpus and goes through one to four changes: bits, lengths and counts, cuts, padding,
pieces of other PDUs, other headers, TLVs that are wrong, doubled or huge. `framed` puts the command_length right
afterwards, so that a peer sees the damage in the PDU and goes on with the next one; `unframed` does not, and what
follows is lost.
"""

from collections.abc import Callable, Sequence
from random import Random

from pdu.command import RESPONSE
from pdu.pdus import CLASSES
from pdu.tlvs import SPECS
from tests.fuzz.corpus import Seed

HEADER_OCTETS = 16
_TELLING = (0, 1, 2, 0x1B, 0x3F, 0x40, 0x7F, 0x80, 0xFE, 0xFF)
_NUMBERS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_COMMANDS = tuple(CLASSES)
_TAGS = tuple(SPECS)
_HUGE_ONCE_IN = 400
_HOW_OFTEN = (1, 1, 1, 1, 1, 2, 2, 3, 4)
_OTHER_PROTOCOLS = (
    b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\x5a' * 64,
    b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
    b'SSH-2.0-OpenSSH_9.6\r\n',
)


class Mutator:
    """One stream of mutants."""

    def __init__(self, seed: int, corpus: Sequence[Seed]) -> None:
        self.random = Random(seed)
        self._corpus = corpus
        self._random = self.random.random
        self._lengths: tuple[int, ...] = ()
        self._changes: tuple[Callable[[bytearray], None], ...] = (
            *(self._touch,) * 6, self._flip, self._flip, self._set, self._set, *(self._set_length,) * 3,
            self._cut, self._pad, self._insert, self._remove, self._repeat, self._splice, self._command,
            self._status, self._sequence, self._add_tlv, self._add_tlv, self._double_tlv, self._noise,
        )  # fmt: skip

    def below(self, bound: int) -> int:
        """A number from 0 to below the bound."""
        return int(self._random() * bound)

    def framed(self, limit_octets: int = 0x12000) -> bytes:
        """A mutant whose command_length is right and no larger than the limit."""
        octets = self._mutated()
        if len(octets) > limit_octets:
            del octets[limit_octets:]
        octets[:4] = len(octets).to_bytes(4, 'big')
        return bytes(octets)

    def unframed(self) -> bytes:
        """Octets after which nothing can be read any more, or nothing until more have come."""
        kind = self.below(5)
        if kind == 0:
            return _OTHER_PROTOCOLS[self.below(len(_OTHER_PROTOCOLS))]
        if kind == 1:
            return self.random.randbytes(1 + self.below(300))
        octets = self._mutated()
        if kind == 2:
            return bytes(octets[: self.below(len(octets))])
        length = (0, 4, 15, len(octets) + 1 + self.below(1000), 0x12001, 0x7FFFFFFF, 0xFFFFFFFF, self.below(1 << 32))
        octets[:4] = length[self.below(len(length))].to_bytes(4, 'big')
        return bytes(octets)

    def _mutated(self) -> bytearray:
        seed = self._corpus[self.below(len(self._corpus))]
        octets = bytearray(seed.octets)
        self._lengths = seed.lengths
        for _ in range(_HOW_OFTEN[self.below(len(_HOW_OFTEN))]):
            self._changes[self.below(len(self._changes))](octets)
            if len(octets) < HEADER_OCTETS:
                octets += bytes(HEADER_OCTETS - len(octets))
        return octets

    def _place(self, octets: bytearray) -> int:
        """A position in the body, or at its end."""
        return HEADER_OCTETS + self.below(len(octets) - HEADER_OCTETS + 1)

    # Changes

    def _touch(self, octets: bytearray) -> None:
        """Changes values and leaves lengths and ends of strings: most such mutants are read."""
        for _ in range(1 + self.below(4)):
            place = self._place(octets)
            if place < len(octets) and octets[place] and place not in self._lengths:
                octets[place] = octets[place] ^ 1 << self.below(8) or 1

    def _flip(self, octets: bytearray) -> None:
        for _ in range(1 + self.below(4)):
            octets[4 + self.below(len(octets) - 4)] ^= 1 << self.below(8)

    def _set(self, octets: bytearray) -> None:
        octets[4 + self.below(len(octets) - 4)] = _TELLING[self.below(len(_TELLING))]

    def _set_length(self, octets: bytearray) -> None:
        if self._lengths:
            place = self._lengths[self.below(len(self._lengths))]
            if place < len(octets):
                by = self.below(7) - 3
                octets[place] = octets[place] + by & 0xFF if self.below(2) else _TELLING[self.below(len(_TELLING))]

    def _cut(self, octets: bytearray) -> None:
        del octets[self._place(octets) :]

    def _pad(self, octets: bytearray) -> None:
        size = 1 + self.below(60)
        octets += bytes(size) if self.below(2) else self.random.randbytes(size)

    def _insert(self, octets: bytearray) -> None:
        place = self._place(octets)
        octets[place:place] = self.random.randbytes(1 + self.below(8))

    def _remove(self, octets: bytearray) -> None:
        place = self._place(octets)
        del octets[place : place + 1 + self.below(8)]

    def _repeat(self, octets: bytearray) -> None:
        place = self._place(octets)
        octets[place:place] = octets[place : place + self.below(40)] * (1 + self.below(4))

    def _splice(self, octets: bytearray) -> None:
        other = self._corpus[self.below(len(self._corpus))].octets
        octets[self._place(octets) :] = other[HEADER_OCTETS + self.below(max(1, len(other) - HEADER_OCTETS)) :]

    def _command(self, octets: bytearray) -> None:
        kind = self.below(8)
        if kind == 0:
            octets[4:8] = self.random.randbytes(4)
        elif kind == 1:
            octets[4:8] = (int.from_bytes(octets[4:8], 'big') ^ RESPONSE).to_bytes(4, 'big')
        else:
            octets[4:8] = _COMMANDS[self.below(len(_COMMANDS))].to_bytes(4, 'big')

    def _status(self, octets: bytearray) -> None:
        octets[8:12] = (0, 0, 0, self.below(256)) if self.below(2) else self.random.randbytes(4)

    def _sequence(self, octets: bytearray) -> None:
        kind = self.below(3)
        number = self.below(50) if kind == 0 else self.below(1 << 32) if kind == 1 else _NUMBERS[self.below(5)]
        octets[12:16] = number.to_bytes(4, 'big')

    def _add_tlv(self, octets: bytearray) -> None:
        tag = _TAGS[self.below(len(_TAGS))] if self.below(4) else self.below(1 << 16)
        if not self.below(_HUGE_ONCE_IN):
            octets += tag.to_bytes(2, 'big') + b'\xff\xff' + bytes(0xFFFF)
            return
        spec = SPECS.get(tag)
        right = spec.min_octets if spec is not None else self.below(30)
        size = right if self.below(2) else self.below(40)
        told = size if self.below(4) else self.below(1 << 16)
        octets += tag.to_bytes(2, 'big') + told.to_bytes(2, 'big') + self.random.randbytes(size)

    def _double_tlv(self, octets: bytearray) -> None:
        size = min(len(octets) - HEADER_OCTETS, 4 + self.below(12))
        octets += octets[len(octets) - size :] * (1 + self.below(3))

    def _noise(self, octets: bytearray) -> None:
        place = self._place(octets)
        size = min(self.below(30), len(octets) - place)
        octets[place : place + size] = self.random.randbytes(size)
