"""What waits for one upstream or one account: lanes by priority and account, a bounded head in memory, the rest in the
store.

The highest priority goes first; within it accounts take turns, so that nobody waits behind another's queue: whoever had
nothing to send when its turn came goes first with what comes next, and has its next turn after everybody else. Order
holds within a lane: while it has messages on disk that are due, new ones of this lane, and of no other, go behind them.
An outbox whose reader is away (`offline`) keeps nothing new in memory: after a restart, and for the reader's return, it
is on disk.

Memory is shared as buffers of switches are, by what is still free: a lane may hold no more than four times that. So one
account alone has the capacity, many have equal parts of it, there is always room for one more, and all of them together
hold a quarter more than the capacity, and one message a lane, at most.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Set
from itertools import islice
from operator import attrgetter
from typing import Protocol

from domain.message import Message
from smsc.lanes import TURN, Lane, Lanes

_id = attrgetter('id')
FEW = 50  # messages to be read of a lane that may have none which are due
FREE = 4  # how many times what is free a lane may hold
LOW = 4  # a lane that has less than such a part of its share in memory is read in whole pages
CALM = 24  # those that have more, together, in such a part of a page: nobody waits long behind it


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


class Outbox(Lanes):
    """Messages on their way out, highest priority first, accounts in turn."""

    def __init__(self, name: str, capacity: int, shelf: Shelf) -> None:
        super().__init__()
        self.name = name
        self.capacity = capacity
        self.in_memory = 0
        self.more_segments = 0  # beyond the first, of the messages in memory
        self.offline = True
        self.elsewhere: Elsewhere | None = None  # the reader, when it is not here
        self.departures = 0  # how often its reader went away and its lanes were forgotten
        self._urgent_first = tuple(reversed(self._rings))
        self._shelf = shelf

    @property
    def place(self) -> 'Outbox | Elsewhere':
        """Where on disk a message goes that is put there now."""
        return self.elsewhere if self.elsewhere is not None and self.offline else self

    @property
    def on_disk(self) -> int:
        """Messages on disk, due or not."""
        return self.due + self.deferred

    @property
    def depth(self) -> int:
        """Messages waiting here, in memory and on disk."""
        return self.in_memory + self.on_disk

    @property
    def room(self) -> int:
        """How many segments memory may still hold; a long message counts as all of its own, which bounds the octets."""
        return self.capacity - self.in_memory - self.more_segments

    # In and out

    def put(self, message: Message) -> None:
        """Add a message at the end of its lane."""
        lane = self._lanes[message.priority].get(message.account) or self.lane_of(message)
        is_full = self.in_memory + self.more_segments >= self.capacity
        if lane.on_disk or self.offline or lane.is_held or (is_full and not self._may_hold_more(lane)):
            self._put_on_disk(lane, message)
            return
        lane.head.append(message)
        if not lane.in_ring:
            lane.join()
        self.in_memory += 1
        if message.segments > 1:
            self.more_segments += message.segments - 1

    def _may_hold_more(self, lane: Lane) -> bool:
        """Return whether a lane may have one more message in memory although the capacity is there already."""
        if not lane.head:
            return True
        return len(lane.head) + FREE * (self.in_memory + self.more_segments) < (FREE + 1) * self.capacity

    def put_on_disk(self, message: Message) -> None:
        """Add a message at the end of its lane, by way of the disk."""
        self._put_on_disk(self.lane_of(message), message)

    def _put_on_disk(self, lane: Lane, message: Message) -> None:
        place = self.place
        if place is self:
            lane.on_disk += 1
            self.due += 1
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
            lane = self.lane_of(message)
            if lane.is_held:
                self._put_on_disk(lane, message)
                continue
            head = lane.head
            older: list[Message] = []
            while head and head[0].id < message.id:
                older.append(head.popleft())
            head.appendleft(message)
            head.extendleft(reversed(older))
            lane.join()
            self.in_memory += 1
            self.more_segments += message.segments - 1

    def defer(self, message: Message, due_at: int) -> None:
        """Let a message wait on disk until `due_at` (Unix milliseconds)."""
        self.count(self.lane_of(message), deferred=1)
        self._shelf.put(self, message, due_at)

    def take(self, count: int) -> list[Message]:
        """Take up to `count` messages, highest priority first, accounts in turn."""
        if count >= self.in_memory:
            return self._take_all()
        taken: list[Message] = []
        for ring in self._urgent_first:
            while ring:
                lane = ring[0]
                head = lane.head
                wanted = count - len(taken)
                if len(ring) > 1:
                    self._take_turn(lane, wanted, taken)
                elif len(head) <= wanted:
                    taken.extend(head)
                    head.clear()
                    lane.leave()
                else:
                    taken.extend([head.popleft() for _ in range(wanted)])
                if lane.on_disk and len(head) * 2 <= lane.share:
                    self._shelf.want(self)
                if len(taken) >= count:
                    break
            if len(taken) >= count:
                break
        self._left(taken)
        if self.room * 2 > self.capacity:
            self.refill()
        return taken

    def _take_all(self) -> list[Message]:
        """Take all that memory has: nobody has to wait for a turn."""
        taken: list[Message] = []
        for ring in self._urgent_first:
            for lane in ring:
                taken.extend(lane.head)
                lane.head.clear()
                lane.in_ring = False
                lane.turn = min(lane.turn, 0)
            ring.clear()
        self.in_memory = self.more_segments = 0
        self.refill()
        return taken

    @staticmethod
    def _take_turn(lane: Lane, count: int, taken: list[Message]) -> None:
        """Take what the first lane of several may send in its turn, `count` messages at most."""
        head, turn = lane.head, lane.turn
        if not head:  # its turn has come again without a message
            lane.leave()
            return
        if turn <= 0:
            turn += TURN
        while head and turn > 0 and count:
            message = head.popleft()
            taken.append(message)
            turn -= message.segments
            count -= 1
        lane.turn = turn
        if turn <= 0 or not head:
            lane.ring.rotate(-1)

    def _left(self, messages: list[Message]) -> None:
        self.in_memory -= len(messages)
        if not self.in_memory:
            self.more_segments = 0
        elif self.more_segments:
            self.more_segments -= sum(message.segments - 1 for message in messages)

    # From the disk

    def count_in(self, account: str, priority: int, messages: int, first_due_at: int) -> None:
        """Know of messages on disk that another node had; the earliest is due at `first_due_at` (Unix milliseconds)."""
        lane = self.lane(priority, account)
        self.count(lane, due=messages)
        lane.came = min(lane.came, (first_due_at - 1, 0))  # a look at the disk that is under way does not know of them
        lane.cursor = min(lane.cursor, lane.came)
        self.refill()

    def count_out(self, account: str, priority: int, messages: int) -> None:
        """Know of messages on disk that another node has now."""
        self.count(self.lane(priority, account), due=-messages)

    def refill(self) -> None:
        """Ask for what is due on disk, if anything is and somebody reads."""
        if self.due and not self.offline:
            self._shelf.want(self)

    def wanting(self, most: int) -> list[tuple[Lane, int]]:
        """Return the lanes to be read from disk, and how many messages of each: about `most` together.

        Urgent ones first, then those that memory has the least of; none goes without as long as it has nothing there.
        Those that have enough there share a small part of a page, for every look holds others up; but for what left
        since the last look, twice, as a queue would run dry in memory else that grows on disk.
        """
        behind = [lane for lane in self.lanes if (lane.on_disk or lane.deferred) and not lane.is_held]
        behind.sort(key=lambda lane: (-lane.priority, not lane.on_disk, len(lane.head)))
        active = sum(1 for lane in self.lanes if lane.head or (lane.on_disk and not lane.is_held))
        share = (FREE + 1) * self.capacity // (FREE * max(active, 1) + 1)
        page = max(1, most // max(1, sum(1 for lane in behind if lane.on_disk)))
        free = (FREE + 1) * self.capacity // FREE - self.in_memory - self.more_segments
        calm = max(1, most // CALM)
        wanting = []
        for lane in behind:
            lane.share = share
            in_memory = len(lane.head)
            is_calm = in_memory * LOW >= share and bool(lane.on_disk)
            wanted = min(page, max(calm, 2 * (lane.level - in_memory))) if is_calm else page
            limit = min(share - in_memory, free, wanted if lane.on_disk else FEW)
            if not in_memory:
                limit = max(limit, 1)
            if limit > 0:
                wanting.append((lane, limit))
                free -= limit
                calm -= limit if is_calm else 0
        return wanting

    def add_fetched(self, lane: Lane, messages: list[Message]) -> None:
        """Take in messages that were read from disk, in their order."""
        lane.level = len(lane.head) + len(messages)
        if messages:
            lane.head.extend(messages)
            lane.join()
            self.in_memory += len(messages)
            self.more_segments += sum(message.segments - 1 for message in messages)

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
            mine += self._clear(lane)
        self.in_memory = self.more_segments = 0
        self.forget_empty()
        return mine

    def _clear(self, lane: Lane) -> list[Message]:
        """Empty the memory of one lane; return what was there and has no row here. The caller counts what has left."""
        mine = []
        for message in lane.head:
            if message.stored_wait and self._shelf.keeps(self, message):
                self.count(lane, due=1)
                self._shelf.left(message)
            else:
                mine.append(message)
        lane.cursor = (0, 0)
        lane.head.clear()
        return mine

    def hold(self, accounts: frozenset[str]) -> None:
        """Let what is of these accounts, and of no others, wait on disk."""
        self.held = accounts
        for lane in list(self.lanes):
            was_held, lane.is_held = lane.is_held, lane.account in accounts
            if lane.is_held and not was_held:
                self.departures += 1  # a look at the disk that is under way is not to bring any of it back
                gone = list(lane.head)
                for message in self._clear(lane):
                    self._put_on_disk(lane, message)
                self._left(gone)
        self.refill()

    # Looking for messages in memory

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
        head = self.lane_of(message).head
        for place, other in enumerate(head):
            if other is message:
                del head[place]
                self._left([message])
                return True
        return False

    def withdraw_all(self, messages: Collection[Message]) -> None:
        """Take messages out of memory that are there, all in one pass through their lanes."""
        ids = {message.id for message in messages}
        for priority, account in dict.fromkeys((message.priority, message.account) for message in messages):
            lane = self.lane(priority, account)
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
