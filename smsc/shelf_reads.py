"""What the shelf reads: the heads of lanes back into memory, what ran out of time, lanes whose rows were forgotten.

Only the shelf's worker reads, one thing at a time, so that nothing is put on disk behind the place that a lane is read
up to. A row whose message is anywhere else is passed over. A read that fails leaves the counts of its lane as they
were; the next time that somebody wants what is there, it is read again.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from smsc.lanes import NOTHING_CAME, Lane
from smsc.outbox import Outbox
from storage.rows import Fetched, Stretch
from storage.store import Store

if TYPE_CHECKING:
    from smsc.shelf import DiskShelf

BATCH = 3_000  # a read costs a commit of its own; the store makes messages of them in small pieces
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
        wanting = [] if outbox.offline else outbox.wanting(BATCH)
        if wanting:
            await self._fetch_lanes(outbox, wanting)
        self._shelf.on_fetched(outbox)

    async def _fetch_lanes(self, outbox: Outbox, wanting: list[tuple[Lane, int]]) -> None:
        """Read the heads of lanes, so many messages of each at most, all in one go."""
        stretches = [Stretch(lane.priority, lane.account, lane.cursor, limit) for lane, limit in wanting]
        due_by = self._shelf.end_of_lane()
        departures = outbox.departures
        for lane, _ in wanting:
            lane.came = NOTHING_CAME
        with self._rows.noting_who_leaves() as left:
            pages = await self._store.waiting.fetch(outbox.name, stretches, due_by)
        if outbox.departures != departures:  # the lanes were forgotten meanwhile: everything stays on disk
            if not outbox.offline:
                self.wanted[outbox] = None
            return
        coming = self._shelf.awaiting_disk(outbox)
        for (lane, limit), rows in zip(wanting, pages, strict=True):
            # all that is due has been read, but what is still on its way to the disk
            is_whole = len(rows) < limit and lane.came == NOTHING_CAME
            self._count_read(outbox, lane, len(rows), coming[lane.priority, lane.account] if is_whole else None)
            self._take_up(outbox, lane, rows, left)
            lane.cursor = min(lane.cursor, lane.came)

    def _take_up(self, outbox: Outbox, lane: Lane, rows: list[Fetched], left: set[int]) -> None:
        """Bring what was read of a lane to its head; `left` are those that left memory during the read."""
        if rows:
            lane.cursor = (rows[-1].due_at, rows[-1].seq)
        again = next((row for row in rows if row.message.id in left), None)
        if again is not None:  # what left may have been the message, and this be its receipt: look once more
            lane.cursor = (again.due_at, again.seq - 1)
            outbox.count(lane, due=max(0, 1 - lane.on_disk))
            self.wanted[outbox] = None
        new = [row.message for row in self._rows.at_rest(rows, left)]
        self._rows.read.update((message.id, (outbox, message)) for message in new)
        outbox.add_fetched(lane, new)

    @staticmethod
    def _count_read(outbox: Outbox, lane: Lane, rows: int, left_due: int | None) -> None:
        """So many rows of a lane have been read, first what was due when put there; `left_due` of that are left.

        None when it is not known: the counts may be too low, only a page that is not full shows the end of the lane.
        """
        due = min(lane.on_disk, rows)
        outbox.count(lane, deferred=due - rows)
        if left_due is None:
            left_due = max(1, lane.on_disk - due)
        outbox.count(lane, due=left_due - lane.on_disk)

    async def _look_for_forgotten(self, outboxes: list[Outbox]) -> None:
        """Counts may drift when rows expire: poll a lane again that holds rows although its counts say none, and none
        that holds nothing although they say so.
        """
        on_disk = set(await self._store.waiting.lanes())
        places = []
        leading = {outbox.name: outbox for outbox in outboxes if outbox.elsewhere or not outbox.offline}  # somewhere
        for outbox in outboxes:
            self._forget_gone(outbox, on_disk)
        for name, priority, account in on_disk:
            if name in leading:
                lane = leading[name].lane(priority, account)
                if not (lane.on_disk or lane.deferred):
                    places.append((name, priority, account, *lane.cursor))
        if places:
            found = False
            for name, priority, account in await self._store.waiting.lanes_with_more(places):
                outbox = leading[name]
                outbox.count(outbox.lane(priority, account), deferred=1)
                found = True
            if found:
                await self._shelf.on_forgotten()

    def _forget_gone(self, outbox: Outbox, on_disk: set[tuple[str, int, str]]) -> None:
        """Forget what counts say of lanes that are not on disk, nor on their way there, and what is empty besides."""
        coming = {(message.priority, message.account) for message in self._shelf.coming_to(outbox)}
        for lane in outbox.lanes:
            key = lane.priority, lane.account
            if (lane.on_disk or lane.deferred) and (outbox.name, *key) not in on_disk and key not in coming:
                outbox.count(lane, due=-lane.on_disk, deferred=-lane.deferred)
        outbox.forget_empty()

    # What ran out of time

    async def _look_for_expired(self) -> None:
        """Tell one page of what ran out of time on disk; a full one is followed by the next."""
        self.sweep = False
        with self._rows.noting_who_leaves() as left:
            rows = await self._store.waiting.expired(self._wall_ms(), self._swept, EXPIRED_BATCH)
            expired = [(row.outbox, row.message) for row in self._rows.at_rest(rows, left)]
        full = len(rows) == EXPIRED_BATCH
        self.sweep = self.sweep or full
        self._swept = rows[-1].place if full else (0, 0)
        self._rows.expiring.update(message.id for _, message in expired)
        self._shelf.tell(self._shelf.on_expired, expired)
