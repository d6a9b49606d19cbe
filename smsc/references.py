"""Reference numbers of concatenated messages: none is used again for the same sender and number while a handset may
still be putting an earlier message together (wire.md D12).

A counter for each pair of source and destination, so that 256 messages to one number in a row differ even in eight
bits. Pure but for the random beginning of a pair that is not known.
"""

import random
from collections import OrderedDict

PAIRS_BOUND = 100_000
PARTS_BOUND = 100_000
REFERENCES = 0x10000


class References:
    """Gives references out, 16 bits each, one after the other for each pair."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._last: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()
        self._of_parts: OrderedDict[tuple[str, bytes, bytes, int, int], int] = OrderedDict()

    def next(self, source_addr: bytes, destination_addr: bytes) -> int:
        """Return the next reference for messages between two addresses."""
        pair = source_addr, destination_addr
        last = self._last.pop(pair, None)
        reference = self._random.randrange(REFERENCES) if last is None else (last + 1) % REFERENCES
        self._last[pair] = reference
        if len(self._last) > PAIRS_BOUND:
            self._last.popitem(last=False)
        return reference

    def of_part(self, account: str, source_addr: bytes, destination_addr: bytes, theirs: int, total: int) -> int:
        """Return our reference for the parts that an ESME made of one message: the same for all of them."""
        key = account, source_addr, destination_addr, theirs, total
        reference = self._of_parts.pop(key, None)
        if reference is None:
            reference = self.next(source_addr, destination_addr)
        self._of_parts[key] = reference
        if len(self._of_parts) > PARTS_BOUND:
            self._of_parts.popitem(last=False)
        return reference
