"""The number that a generated message carries at the head of its text, and what is counted by it.

Ten digits, the same in the default alphabet, ASCII and Latin-1, and every second octet in UCS-2. A million messages are
counted in a megabyte: one octet a number.
"""

DIGITS = 10
UCS2 = 8


def number_of(octets: bytes, start: int, data_coding: int) -> int:
    """The number of the text that begins at `start`; raises ValueError when it begins with anything else."""
    if data_coding == UCS2:
        return int(octets[start + 1 : start + 2 * DIGITS : 2])
    return int(octets[start : start + DIGITS])


class Tally:
    """How often each number was seen, up to 255 times.

    Takes numbers below `limit`; others, and texts without one, count as unnumbered. Grows with the largest number.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.seen = bytearray()
        self.repeats = 0
        self.unnumbered = 0

    def count(self, number: int) -> None:
        """Counts one sight of a number."""
        seen = self.seen
        try:
            times = seen[number]
        except IndexError:
            if not 0 <= number < self.limit:
                self.unnumbered += 1
                return
            seen.extend(bytes(max(number + 1 - len(seen), 65536)))
            times = 0
        if times:
            self.repeats += 1
        if times < 255:
            seen[number] = times + 1

    def distinct(self) -> int:
        """How many numbers were seen at least once."""
        return len(self.seen) - self.seen.count(0)
