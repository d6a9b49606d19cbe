"""The disk side of all outboxes: spills, deferred messages, late receipts, and reading them back.

One worker on one connection does all of it in turn, so that no row can appear behind the place a lane was read up to.
A row stays in the store's table `waiting` until its message has left (sent, final, acknowledged); `loaded` knows those
that memory holds meanwhile, `keeps` in which outbox their row is. A message on the shelf is safe there: the low-water
mark need not cover it.
"""

import asyncio
from collections.abc import Callable, Iterable, KeysView

import structlog

from domain.message import Message, Notice
from smsc.outbox import Lane, Outbox
from storage.store import Outcome, Store, Waiting

BATCH = 5_000
EXPIRED_BATCH = 1_000

log = structlog.get_logger()


class DiskShelf:
    """Puts messages on disk and brings them back."""

    def __init__(self, store: Store, live: dict[int, Message], wall_ms: Callable[[], int]) -> None:
        self.on_fetched: Callable[[Outbox], None] = lambda outbox: None
        self.on_finished: Callable[[list[Outcome], set[int]], None] = lambda outcomes, changed: None
        self.on_expired: Callable[[list[tuple[str, Message]]], None] = lambda expired: None
        self.outbox_of: Callable[[Message], Outbox] = self._missing
        self.keep_until: Callable[[Message], int] = lambda message: message.expires_at
        self._store = store
        self._rows_of: dict[int, Outbox] = {}
        self._live = live
        self._wall_ms = wall_ms
        self._entries: list[tuple[Outbox, Message, int]] = []
        self._late: list[Outcome] = []
        self._wanted: dict[Outbox, None] = {}
        self._sweep = False
        self._forgotten: list[Outbox] = []
        self._end = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def load(self) -> int:
        """Messages on their way to the disk."""
        return len(self._entries) + len(self._late)

    @property
    def loaded(self) -> KeysView[int]:
        """The ids of the messages on disk that memory holds."""
        return self._rows_of.keys()

    def keeps(self, outbox: Outbox, message: Message) -> bool:
        """Return whether a message that was read from disk has its row in this outbox, not in one it was moved from."""
        return self._rows_of.get(message.id) is outbox

    def put(self, outbox: Outbox, message: Message, due_at: int) -> None:
        """Take a message to disk; `due_at` (Unix milliseconds) 0 means at the end of its lane."""
        self._entries.append((outbox, message, due_at))
        self._kick()

    def finish_late(self, outcomes: Iterable[Outcome]) -> None:
        """Make messages final that the low-water mark does not cover; their receipts go to the accounts by way of the
        disk.
        """
        self._late.extend(outcomes)
        self._kick()

    def want(self, outbox: Outbox) -> None:
        """Bring the head of what is on disk back."""
        self._wanted[outbox] = None
        self._kick()

    def sweep(self) -> None:
        """Look for what ran out of time on disk."""
        self._sweep = True
        self._kick()

    def recount(self, outboxes: list[Outbox]) -> None:
        """See to it that no lane forgets what it has on disk; called now and then."""
        self._forgotten = outboxes
        self._kick()

    def left(self, message: Message) -> None:
        """A message that was read from disk has left memory: sent, final, acknowledged or put on disk again."""
        self._rows_of.pop(message.id, None)

    def start(self) -> None:
        """Begin to work, in a task of the shelf's own."""
        self._task = asyncio.create_task(self._run(), name='shelf')

    async def drain(self) -> None:
        """Wait until everything put here is on disk."""
        await self._idle.wait()

    async def stop(self) -> None:
        """End the worker."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _kick(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._entries or self._late or self._wanted or self._forgotten or self._sweep:
                try:
                    await self._work()
                except Exception:
                    log.exception('shelf.error')
            self._idle.set()

    async def _work(self) -> None:
        if self._entries:
            entries, self._entries = self._entries[:BATCH], self._entries[BATCH:]
            await self._put(entries)
        elif self._late:
            outcomes, self._late = self._late[:BATCH], self._late[BATCH:]
            await self._finish_late(outcomes)
        elif self._wanted:
            outbox = next(iter(self._wanted))
            del self._wanted[outbox]
            await self._fetch(outbox)
        elif self._forgotten:
            outboxes, self._forgotten = self._forgotten, []
            await self._look_for_forgotten(outboxes)
        else:
            self._sweep = False
            self.on_expired(
                [
                    (outbox, message)
                    for outbox, message in await self._store.expired_waiting(self._wall_ms(), EXPIRED_BATCH)
                    if message.id not in self.loaded
                ]
            )

    async def _look_for_forgotten(self, outboxes: list[Outbox]) -> None:
        """Counts may drift when rows expire: poll a lane again that holds rows although its counts say none."""
        lanes = {
            (outbox.name, number): lane
            for outbox in outboxes
            for number, lane in enumerate(outbox.lanes)
            if not (outbox.offline or lane.on_disk or lane.deferred)
        }
        if lanes:
            places = [(name, number, *lane.cursor) for (name, number), lane in lanes.items()]
            for key in await self._store.lanes_with_more(places):
                lanes[key].deferred = 1

    def _end_of_lane(self) -> int:
        """A `due_at` for now that is not before anything written as due, or read, already, whatever the clock does."""
        self._end = max(self._wall_ms(), self._end)
        return self._end

    async def _put(self, entries: list[tuple[Outbox, Message, int]]) -> None:
        end = self._end_of_lane()
        rows = [
            Waiting(message, outbox.name, max(due_at, end), self.keep_until(message))
            for outbox, message, due_at in entries
        ]
        await self._store.wait(rows)
        for outbox, message, _ in entries:
            self._live.pop(message.id, None)
            self.left(message)
            if not outbox.offline and outbox.in_memory == 0:
                self._wanted[outbox] = None

    async def _finish_late(self, outcomes: list[Outcome]) -> None:
        end = self._end_of_lane()
        rows = []
        now_ms = self._wall_ms()
        for outcome in outcomes:
            message = outcome.message
            message.done_at = outcome.done_at = now_ms
            if outcome.notice == Notice.DUE:
                rows.append(Waiting(message, self.outbox_of(message).name, end, self.keep_until(message)))
        changed = await self._store.finish_late(outcomes, rows)
        placed = set(changed)
        for outcome in outcomes:
            message = outcome.message
            self.left(message)
            if outcome.notice == Notice.DUE and message.id in placed:
                placed.discard(message.id)  # the same message may have come twice
                outbox = self.outbox_of(message)
                outbox.lanes[message.priority].on_disk += 1
                outbox.refill()
        self.on_finished(outcomes, changed)

    async def _fetch(self, outbox: Outbox) -> None:
        for lane_number in range(len(outbox.lanes) - 1, -1, -1):
            lane = outbox.lanes[lane_number]
            room = min(BATCH, outbox.capacity - outbox.in_memory)
            if (lane.on_disk or lane.deferred) and room > 0 and not outbox.offline:
                await self._fetch_lane(outbox, lane, lane_number, room)
        self.on_fetched(outbox)

    async def _fetch_lane(self, outbox: Outbox, lane: Lane, lane_number: int, limit: int) -> None:
        due_by = self._end_of_lane()
        rows = await self._store.fetch_waiting(outbox.name, lane_number, lane.cursor, due_by, limit)
        of_this_moment = min(lane.on_disk, len(rows))
        lane.on_disk -= of_this_moment
        lane.deferred = max(0, lane.deferred - (len(rows) - of_this_moment))
        if len(rows) < limit:  # all that is due has been read, but what is still on its way to the disk
            lane.on_disk = sum(
                of is outbox and message.priority == lane_number and not due_at for of, message, due_at in self._entries
            )
        else:  # the counts may be too low: only a page that is not full shows the end of the lane
            lane.on_disk = max(1, lane.on_disk)
        if outbox.offline:  # its reader went away meanwhile: everything stays on disk
            lane.on_disk += len(rows)
            return
        if rows:
            lane.cursor = (rows[-1].due_at, rows[-1].seq)
        new = [row.message for row in rows if row.message.id not in self.loaded]
        self._rows_of.update((message.id, outbox) for message in new)
        outbox.add_fetched(lane, new)

    def _missing(self, message: Message) -> Outbox:
        raise LookupError(f'no outbox for message {message.id}')
