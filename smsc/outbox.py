"""What waits for one upstream or one account: lanes by priority, a bounded head in memory, the rest in the store.

Order holds within a lane: while a lane has messages on disk that are due, new ones go behind them. An outbox whose
reader is away (`offline`) keeps nothing new in memory: after a restart, and for the reader's return, it is on disk.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Set
from itertools import islice
from operator import attrgetter
from typing import Protocol

from domain.message import Message

_id = attrgetter('id')
PRIORITIES = 5  # SMPP 5.0 section 4.7.14; 3.4 uses 0 to 3


class Elsewhere:
    """Where the messages of an outbox wait whose reader is on another node."""

    __slots__ = ('name', 'node')

    def __init__(self, name: str, node: int) -> None:
        self.name = name
        self.node = node


class Shelf(Protocol):
    """Where an outbox puts what it does not hold in memory."""

    def put(self, outbox: 'Outbox | Elsewhere', message: Message, due_at: int) -> None:
        """Take a message to disk; `due_at` 0 means at the end of its lane."""

    def keeps(self, outbox: 'Outbox', message: Message) -> bool:
        """Return whether a message that was read from disk has its row in this outbox."""

    def left(self, message: Message) -> None:
        """Know that memory no longer holds a message that is on disk."""

    def want(self, outbox: 'Outbox') -> None:
        """Bring the head of what is on disk back, when the shelf gets to it."""


class Lane:
    """The messages of one priority."""

    __slots__ = ('cursor', 'deferred', 'head', 'on_disk')

    def __init__(self) -> None:
        self.head: deque[Message] = deque()
        self.on_disk = 0  # due, behind the head
        self.deferred = 0  # on disk for a later time
        self.cursor = (0, 0)  # (due_at, seq) of the last one read from disk


class Outbox:
    """Messages on their way out, highest priority first."""

    def __init__(self, name: str, capacity: int, shelf: Shelf) -> None:
        self.name = name
        self.capacity = capacity
        self.in_memory = 0
        self.more_segments = 0  # beyond the first, of the messages in memory
        self.offline = True
        self.elsewhere: Elsewhere | None = None  # the reader, when it is not here
        self.departures = 0  # how often its reader went away, and its lanes were forgotten
        self.lanes = [Lane() for _ in range(PRIORITIES)]
        self._shelf = shelf

    @property
    def place(self) -> 'Outbox | Elsewhere':
        """Where on disk a message goes that is put there now."""
        return self.elsewhere if self.elsewhere is not None and self.offline else self

    @property
    def on_disk(self) -> int:
        """Messages on disk, due or not."""
        return sum(lane.on_disk + lane.deferred for lane in self.lanes)

    @property
    def depth(self) -> int:
        """Messages waiting here, in memory and on disk."""
        return self.in_memory + self.on_disk

    @property
    def room(self) -> int:
        """How many segments memory may still hold; a long message counts as all of its own, which bounds the octets."""
        return self.capacity - self.in_memory - self.more_segments

    def put(self, message: Message) -> None:
        """Add a message at the end of its lane."""
        lane = self.lanes[message.priority]
        if lane.on_disk or self.offline or self.in_memory + self.more_segments >= self.capacity:
            self.put_on_disk(message)
        else:
            lane.head.append(message)
            self.in_memory += 1
            if message.segments > 1:
                self.more_segments += message.segments - 1

    def put_on_disk(self, message: Message) -> None:
        """Add a message at the end of its lane, by way of the disk."""
        place = self.place
        if place is self:
            self.lanes[message.priority].on_disk += 1
        self._shelf.put(place, message, 0)

    def put_back(self, messages: Iterable[Message]) -> None:
        """Return messages that were taken but did not leave, ahead of what was accepted after them.

        Offline, they go to disk like new ones, behind what is there already.
        """
        if self.offline:
            for message in messages:
                self.put(message)
            return
        for message in sorted(messages, key=_id, reverse=True):
            head = self.lanes[message.priority].head
            older: list[Message] = []
            while head and head[0].id < message.id:
                older.append(head.popleft())
            head.appendleft(message)
            head.extendleft(reversed(older))
            self.in_memory += 1
            self.more_segments += message.segments - 1

    def defer(self, message: Message, due_at: int) -> None:
        """Let a message wait on disk until `due_at` (Unix milliseconds)."""
        self.lanes[message.priority].deferred += 1
        self._shelf.put(self, message, due_at)

    def take(self, count: int) -> list[Message]:
        """Take up to `count` messages, highest priority first."""
        taken: list[Message] = []
        for lane in reversed(self.lanes):
            head = lane.head
            if head:
                wanted = count - len(taken)
                if len(head) <= wanted:
                    taken.extend(head)
                    head.clear()
                else:
                    taken.extend(head.popleft() for _ in range(wanted))
                    break
        self._left(taken)
        if self.room * 2 > self.capacity:
            self.refill()
        return taken

    def refill(self) -> None:
        """Ask for what is due on disk, if anything is and somebody reads."""
        if not self.offline:
            for lane in self.lanes:
                if lane.on_disk:
                    self._shelf.want(self)
                    return

    def count_in(self, account: str, priority: int, messages: int, first_due_at: int) -> None:
        """Know of messages on disk that another node had; the earliest is due at `first_due_at` (Unix milliseconds)."""
        lane = self.lanes[priority]
        lane.on_disk += messages
        lane.cursor = min(lane.cursor, (first_due_at - 1, 0))
        self.refill()

    def count_out(self, account: str, priority: int, messages: int) -> None:
        """Know of messages on disk that another node has now."""
        lane = self.lanes[priority]
        lane.on_disk = max(0, lane.on_disk - messages)

    def add_fetched(self, lane: Lane, messages: list[Message]) -> None:
        """Take in messages that were read from disk, in their order."""
        lane.head.extend(messages)
        self.in_memory += len(messages)
        self.more_segments += sum(message.segments - 1 for message in messages)

    def _left(self, messages: list[Message]) -> None:
        self.in_memory -= len(messages)
        if not self.in_memory:
            self.more_segments = 0
        elif self.more_segments:
            self.more_segments -= sum(message.segments - 1 for message in messages)

    def go_online(self) -> None:
        """Somebody reads again."""
        self.offline = False
        self.elsewhere = None
        self.refill()

    def go_offline(self) -> list[Message]:
        """Nobody reads: empty the memory; return what was there and has no row here, for another outbox or the disk.

        What was read from here is forgotten and read again on return.
        """
        self.offline = True
        self.departures += 1
        mine: list[Message] = []
        for lane in self.lanes:
            for message in lane.head:
                if message.stored_wait and self._shelf.keeps(self, message):
                    lane.on_disk += 1
                    self._shelf.left(message)
                else:
                    mine.append(message)
            lane.cursor = (0, 0)
            lane.head.clear()
        self.in_memory = self.more_segments = 0
        return mine

    def find(self, wanted: Callable[[Message], bool], limit: int | None = None) -> list[Message]:
        """Return what in memory is `wanted`, the first `limit` of it; looks at every message until then."""
        return list(islice((message for lane in self.lanes for message in lane.head if wanted(message)), limit))

    def find_to(
        self, destination_addr: bytes, wanted: Callable[[Message], bool], limit: int | None = None
    ) -> list[Message]:
        """The same of what goes to one address, which is quicker."""
        to_it = (
            message for lane in self.lanes for message in lane.head if message.pdu.destination_addr == destination_addr
        )
        return list(islice(filter(wanted, to_it), limit))

    def find_ids(self, ids: Set[int]) -> list[Message]:
        """Return those of these messages that are in memory, which is quicker."""
        return [message for lane in self.lanes for message in lane.head if message.id in ids]

    def withdraw(self, message: Message) -> bool:
        """Take one message out of memory, wherever it stands; return whether it was there."""
        for lane in self.lanes:
            for place, other in enumerate(lane.head):
                if other is message:
                    del lane.head[place]
                    self._left([message])
                    return True
        return False

    def withdraw_all(self, messages: Collection[Message]) -> None:
        """Take messages out of memory that are there, all in one pass through their lanes."""
        ids = {message.id for message in messages}
        for lane in [self.lanes[priority] for priority in {message.priority for message in messages}]:
            gone = [message for message in lane.head if message.id in ids]
            lane.head = deque(message for message in lane.head if message.id not in ids)
            self._left(gone)

    def remove_expired(self, now_ms: int) -> list[Message]:
        """Take out of memory what ran out of time."""
        expired: list[Message] = []
        for lane in self.lanes:
            if any(message.expires_at <= now_ms for message in lane.head):
                expired.extend(message for message in lane.head if message.expires_at <= now_ms)
                lane.head = deque(message for message in lane.head if message.expires_at > now_ms)
        self._left(expired)
        return expired
