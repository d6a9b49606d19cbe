"""One lane of an outbox: the messages of one priority and one account, and their turns with the other accounts'.

A turn is counted in segments (deficit round robin): a message longer than what is left of a turn goes all the same, and
is paid for with the next turns.
"""

from collections import deque

from domain.message import Message

NOTHING_CAME = (1 << 63, 0)
TURN = 16  # segments an account may send before another one does


class Lane:
    """The messages of one priority and one account; made when there are some, forgotten when there were none."""

    __slots__ = (
        *('account', 'came', 'cursor', 'deferred', 'head', 'in_ring', 'is_held', 'on_disk', 'priority', 'ring'),
        *('share', 'turn'),
    )

    def __init__(self, priority: int, account: str, ring: 'deque[Lane]') -> None:
        self.priority = priority
        self.account = account
        self.ring = ring  # of the lanes of its priority that have messages in memory; the first has its turn
        self.in_ring = False
        self.is_held = False  # by hand: it stays on disk
        self.turn = 0  # segments it may still send in its turn; below 0 what it has sent in advance
        self.head: deque[Message] = deque()
        self.share = 0  # of memory, as of its last look at the disk
        self.on_disk = 0  # due, behind the head; changed by Outbox.count
        self.deferred = 0  # on disk for a later time; likewise
        self.cursor = (0, 0)  # (due_at, seq) of the last one read from disk
        self.came = NOTHING_CAME  # before the first that another node put here during a read

    def join(self) -> None:
        """Take turns with the others, now that memory has something of it: first of all, unless it owes something."""
        if self.in_ring:
            return
        self.in_ring = True
        if self.turn < 0:
            self.ring.append(self)
        else:
            self.ring.appendleft(self)

    def leave(self) -> None:
        """Take no more turns, as the first of them: memory has nothing of it. What it owes it still does."""
        self.ring.popleft()
        self.in_ring = False
        self.turn = min(self.turn, 0)
