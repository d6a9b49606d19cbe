"""What the shelf reads: the heads of lanes back into memory, what ran out of time, lanes whose rows were forgotten.

Only the shelf's worker reads, one thing at a time, so that nothing is put on disk behind the place that a lane is read
up to. A row whose message is anywhere else is passed over. A read that fails leaves the counts of its lane as they
were; the next time that somebody wants what is there, it is read again.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from smsc.outbox import Lane, Outbox
from storage.rows import Fetched
from storage.store import Store

if TYPE_CHECKING:
    from smsc.shelf import DiskShelf

BATCH = 5_000
EXPIRED_BATCH = 1_000
EXPIRED_BOUND = 10_000  # handed out and not yet gone from disk; then the sweep waits


class ShelfReads:
    """What there is to read for a shelf, and where it stands."""

    def __init__(self, shelf: 'DiskShelf', store: Store, wall_ms: Callable[[], int]) -> None:
        self.wanted: dict[Outbox, None] = {}
        self.forgotten: list[Outbox] = []
        self.sweep = False  # there may be more that ran out of time
        self._shelf = shelf
        self._rows = shelf.rows
        self._store = store
        self._wall_ms = wall_ms
        self._swept = (0, 0)

    @property
    def pending(self) -> bool:
        """There is something to read."""
        return bool(self.wanted or self.forgotten or self._sweeping)

    @property
    def _sweeping(self) -> bool:
        return self.sweep and len(self._rows.expiring) < EXPIRED_BOUND

    async def read(self) -> None:
        """Read one thing, what outboxes want first."""
        if self.wanted:
            outbox = next(iter(self.wanted))
            del self.wanted[outbox]
            await self._fetch(outbox)
        elif self.forgotten:
            outboxes, self.forgotten = self.forgotten, []
            await self._look_for_forgotten(outboxes)
        elif self._sweeping:
            await self._look_for_expired()

    # The heads of lanes

    async def _fetch(self, outbox: Outbox) -> None:
        for lane_number in range(len(outbox.lanes) - 1, -1, -1):
            lane = outbox.lanes[lane_number]
            room = min(BATCH, outbox.room)
            if (lane.on_disk or lane.deferred) and room > 0 and not outbox.offline:
                await self._fetch_lane(outbox, lane, lane_number, room)
        self._shelf.on_fetched(outbox)

    async def _fetch_lane(self, outbox: Outbox, lane: Lane, lane_number: int, limit: int) -> None:
        due_by = self._shelf.end_of_lane()
        departures = outbox.departures
        with self._rows.noting_who_leaves() as left:
            rows = await self._store.fetch_waiting(outbox.name, lane_number, lane.cursor, due_by, limit)
            new = [row.message for row in self._rows.at_rest(rows, left)]
        if outbox.departures != departures:  # the lane was forgotten meanwhile: everything stays on disk
            if not outbox.offline:
                self.wanted[outbox] = None
            return
        self._count_read(lane, rows)
        if len(rows) < limit:  # all that is due has been read, but what is still on its way to the disk
            lane.on_disk = self._shelf.count_awaiting_disk(outbox, lane_number)
        else:  # the counts may be too low: only a page that is not full shows the end of the lane
            lane.on_disk = max(1, lane.on_disk)
        if rows:
            lane.cursor = (rows[-1].due_at, rows[-1].seq)
        again = next((row for row in rows if row.message.id in left), None)
        if again is not None:  # what left may have been the message, and this be its receipt: look once more
            lane.cursor = (again.due_at, again.seq - 1)
            lane.on_disk = max(1, lane.on_disk)
            self.wanted[outbox] = None
        self._rows.read.update((message.id, outbox) for message in new)
        outbox.add_fetched(lane, new)

    @staticmethod
    def _count_read(lane: Lane, rows: list[Fetched]) -> None:
        """So many rows of a lane have been read, first what was due when it was put on disk."""
        of_this_moment = min(lane.on_disk, len(rows))
        lane.on_disk -= of_this_moment
        lane.deferred = max(0, lane.deferred - (len(rows) - of_this_moment))

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

    # What ran out of time

    async def _look_for_expired(self) -> None:
        """Tell one page of what ran out of time on disk; a full one is followed by the next."""
        self.sweep = False
        with self._rows.noting_who_leaves() as left:
            rows = await self._store.expired_waiting(self._wall_ms(), self._swept, EXPIRED_BATCH)
            expired = [(row.outbox, row.message) for row in self._rows.at_rest(rows, left)]
        full = len(rows) == EXPIRED_BATCH
        self.sweep = self.sweep or full
        self._swept = rows[-1].place if full else (0, 0)
        self._rows.expiring.update(message.id for _, message in expired)
        self._shelf.tell(self._shelf.on_expired, expired)
