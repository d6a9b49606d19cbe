"""Message ids: 63-bit, time-ordered, unique over nodes and restarts (wire.md C2).

Layout from the top: 41 bits of milliseconds since 2024-01-01 UTC (good until 2093), 8 bits of node, 14 bits of counter.
A span of ids is therefore a span of time, which is what the store partitions by. Pure: the caller brings the time.
"""

EPOCH_MS = 1_704_067_200_000
NODE_BITS = 8
COUNTER_BITS = 14
TIME_SHIFT = NODE_BITS + COUNTER_BITS
COUNTER_MASK = (1 << COUNTER_BITS) - 1
MAX_NODE = (1 << NODE_BITS) - 1


def first_id(at_ms: int) -> int:
    """Return the smallest id a message accepted at `at_ms` (Unix milliseconds) can have."""
    return max(0, at_ms - EPOCH_MS) << TIME_SHIFT


def accepted_at_ms(message_id: int) -> int:
    """Return when the message of this id was accepted, in Unix milliseconds."""
    return (message_id >> TIME_SHIFT) + EPOCH_MS


class MessageIds:
    """Gives ids that only rise, also when the clock steps back or a millisecond holds more than 16,384 messages."""

    def __init__(self, node: int, above: int = 0) -> None:
        """Start for `node` (0 to 255), above every id that this node gave before (`above`, from the store)."""
        if not 0 <= node <= MAX_NODE:
            raise ValueError(f'node must be 0 to {MAX_NODE}, not {node}')
        self._node = node << COUNTER_BITS
        self.last = self._following(above) - 1 if above else 0

    def next(self, now_ms: int) -> int:
        """Return a new id for a message accepted at `now_ms` (Unix milliseconds)."""
        first = (now_ms - EPOCH_MS) << TIME_SHIFT | self._node
        last = self.last
        if first > last:
            self.last = first
        elif (last + 1) & COUNTER_MASK:
            self.last = last + 1
        else:
            self.last = self._following(last)
        return self.last

    def _following(self, message_id: int) -> int:
        """Return this node's first id of the millisecond after the one of `message_id`."""
        return ((message_id >> TIME_SHIFT) + 1) << TIME_SHIFT | self._node
