"""The lanes of an outbox: the messages of one priority and one account each, and their turns with the other accounts'.

A turn is counted in segments (deficit round robin): a message longer than what is left of a turn goes all the same, and
is paid for with the next turns.
"""

from collections import deque
from collections.abc import Iterator
from itertools import chain

from domain.message import Message

PRIORITIES = 5  # SMPP 5.0 section 4.7.14; 3.4 uses 0 to 3
NOTHING_CAME = (1 << 63, 0)
TURN = 16  # segments an account may send before another one does


class Lane:
    """The messages of one priority and one account; made when there are some, forgotten when there were none."""

    __slots__ = (
        *('account', 'came', 'cursor', 'deferred', 'head', 'in_ring', 'is_held', 'level', 'on_disk', 'priority'),
        *('ring', 'share', 'turn'),
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
        self.level = 0  # what it had in memory after that
        self.on_disk = 0  # due, behind the head; changed by Lanes.count
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


class Lanes:
    """All lanes of an outbox, and what they have on disk together."""

    def __init__(self) -> None:
        self.due = 0  # messages on disk that are to be read as soon as there is room
        self.deferred = 0  # messages on disk for a later time
        self.held: frozenset[str] = frozenset()  # accounts whose messages stay on disk, by hand
        self._lanes: list[dict[str, Lane]] = [{} for _ in range(PRIORITIES)]
        self._rings: list[deque[Lane]] = [deque() for _ in range(PRIORITIES)]

    @property
    def lanes(self) -> Iterator[Lane]:
        """All lanes there are."""
        return chain.from_iterable(lanes.values() for lanes in self._lanes)

    def lane(self, priority: int, account: str) -> Lane:
        """Return one lane; a new one where there is none."""
        lane = self._lanes[priority].get(account)
        if lane is None:
            lane = self._lanes[priority][account] = Lane(priority, account, self._rings[priority])
            lane.is_held = account in self.held
        return lane

    def lane_of(self, message: Message) -> Lane:
        """Return the lane that a message belongs to."""
        return self.lane(message.priority, message.account)

    def count(self, lane: Lane, due: int = 0, deferred: int = 0) -> None:
        """Know that a lane has so many messages more on disk, or fewer; it never has fewer than none."""
        due, deferred = max(due, -lane.on_disk), max(deferred, -lane.deferred)
        lane.on_disk += due
        lane.deferred += deferred
        self.due += due
        self.deferred += deferred

    def count_ended(self, message: Message) -> None:
        """Know that a message is on disk no more, or no longer to be read from there."""
        lane = self.lane_of(message)
        if lane.on_disk:
            self.count(lane, due=-1)
        else:
            self.count(lane, deferred=-1)

    def forget_empty(self) -> None:
        """Forget the lanes that have nothing in memory and, as far as is known, nothing on disk.

        Only between two looks of the shelf at the disk: what they bring has to find its lane.
        """
        for ring in self._rings:
            for _ in range(len(ring)):
                if ring[0].head:
                    ring.rotate(-1)
                else:
                    ring[0].leave()
        for lanes in self._lanes:
            for lane in [lane for lane in lanes.values() if not (lane.head or lane.on_disk or lane.deferred)]:
                del lanes[lane.account]
