"""The disk side of all outboxes: spills, deferred messages, late receipts, and reading them back.

One worker on one connection does all of it in turn, so that no row can appear behind the place a lane was read up to.
What must not race with it, such as taking a message out that may be anywhere, is done `alone`, by the same worker.
A row stays in the store's table `waiting` until its message has left (sent, final, acknowledged); `loaded` knows those
that memory holds meanwhile, `keeps` in which outbox their row is. A message on the shelf is safe there: the low-water
mark need not cover it.

A batch that the store refuses is tried item by item; what cannot be stored even so is set aside, with an error in the
log: a message stays in `live` for the next start to take up, an operator's receipt is refused for now.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, KeysView
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import structlog

from domain.message import Message, Notice
from pdu.status import CommandStatus
from smsc.outbox import Lane, Outbox
from storage.rows import Outcome, Waiting
from storage.store import Store

BATCH = 5_000
EXPIRED_BATCH = 1_000
EXPIRED_BOUND = 10_000  # handed out and not yet gone from disk; then the sweep waits
Stored = TypeVar('Stored')
Entry: TypeAlias = tuple[Outbox, Message, int]

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
        self._left_meanwhile: set[int] | None = None
        self._entries: list[Entry] = []
        self._late: list[Outcome] = []
        self._wanted: dict[Outbox, None] = {}
        self._jobs: deque[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = deque()
        self._doing: asyncio.Future[Any] | None = None
        self._had_job = False
        self._sweep = False
        self._swept = (0, 0)
        self._expiring: set[int] = set()
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
        if self._left_meanwhile is not None:
            self._left_meanwhile.add(message.id)
        self._no_longer_expiring(message.id)

    async def alone(self, work: Callable[[], Awaitable[Stored]]) -> Stored:
        """Do `work` in the worker, between what it does by itself; return its result, or raise what it raised.

        Whoever stops waiting before it has begun makes it not happen.
        """
        done: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._jobs.append((work, done))
        self._kick()
        return await done

    # For what is done `alone`

    @property
    def still_wanted(self) -> bool:
        """Whether somebody still waits for what is being done."""
        return self._doing is None or not self._doing.done()

    async def flush(self) -> None:
        """Put on disk what was on its way there."""
        while self._entries:
            await self._put_entries()

    def awaits_disk(self, wanted: Callable[[Message], bool]) -> bool:
        """Return whether anything `wanted` is on its way to the disk."""
        return any(wanted(message) for _, message, _ in self._entries)

    def at_rest(self, message_id: int, left: set[int]) -> bool:
        """Return whether a message read from disk is nowhere else; `left` are those that left during the read."""
        return not (message_id in self._rows_of or message_id in self._expiring or message_id in left)

    def hold(self, message: Message, outbox: Outbox) -> None:
        """Read a message from disk on somebody's behalf; `left` ends it."""
        self._rows_of[message.id] = outbox

    async def end(self, outcomes: list[Outcome]) -> frozenset[int]:
        """Commit final states, receipts by way of the disk; return the ids that were not final before."""
        end = self.end_of_lane()
        rows = []
        now_ms = self._wall_ms()
        for outcome in outcomes:
            message = outcome.message
            message.done_at = outcome.done_at = now_ms
            message.attempts = 0  # its receipt's begin
            if outcome.notice == Notice.DUE:
                rows.append(Waiting(message, self.outbox_of(message).name, end, self.keep_until(message)))
        changed = await self._store.finish_late(outcomes, rows)
        placed = set(changed)
        for outcome in outcomes:
            message = outcome.message
            message.stored_wait = False  # its row is gone; one that it has from now on is its receipt's
            if message.id in changed:
                self._live.pop(message.id, None)
            self.left(message)
            if outcome.notice == Notice.DUE and message.id in placed:
                placed.discard(message.id)  # the same message may have come twice
                outbox = self.outbox_of(message)
                outbox.lanes[message.priority].on_disk += 1
                outbox.refill()
        ended = frozenset(changed)
        self._tell(self.on_finished, outcomes, changed)
        return ended

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
        for _, done in self._jobs:
            done.cancel()
        self._jobs.clear()

    def _kick(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._entries or self._late or self._jobs or self._has_less_urgent:
                try:
                    await self._work()
                except Exception:
                    log.exception('shelf.error')
            self._idle.set()

    async def _work(self) -> None:
        if self._entries:
            await self._put_entries()
        elif self._late:
            outcomes, self._late = self._late[:BATCH], self._late[BATCH:]
            await self._store_all(outcomes, self._finish_late, self._abandon_outcome)
        elif self._jobs and not (self._had_job and self._has_less_urgent):
            self._had_job = True
            await self._do_job()
        else:
            self._had_job = False
            await self._read()

    async def _put_entries(self) -> None:
        entries, self._entries = self._entries[:BATCH], self._entries[BATCH:]
        await self._store_all(entries, self._put, self._abandon_entry)

    @property
    def _has_less_urgent(self) -> bool:
        """There is something to read; it takes turns with the jobs."""
        return bool(self._wanted or self._forgotten or self._sweeping)

    async def _read(self) -> None:
        if self._wanted:
            outbox = next(iter(self._wanted))
            del self._wanted[outbox]
            await self._fetch(outbox)
        elif self._forgotten:
            outboxes, self._forgotten = self._forgotten, []
            await self._look_for_forgotten(outboxes)
        elif self._sweeping:
            await self._look_for_expired()

    async def _do_job(self) -> None:
        work, done = self._jobs.popleft()
        if done.cancelled():
            return
        self._doing = done
        try:
            result = await work()
        except Exception as error:  # noqa: BLE001 - it is for whoever gave the work
            if not done.done():
                done.set_exception(error)
        except BaseException:
            done.cancel()
            raise
        else:
            if not done.done():
                done.set_result(result)

    async def _store_all(
        self, items: list[Stored], commit: Callable[[list[Stored]], Awaitable[None]], abandon: Callable[[Stored], None]
    ) -> None:
        """Commit a batch; if the store refuses it, item by item, so that one that cannot be stored harms no other."""
        try:
            await commit(items)
        except Exception as error:
            if len(items) == 1:
                log.exception('shelf.item_refused')
                abandon(items[0])
                return
            log.warning('shelf.batch_refused', items=len(items), error=str(error))
            for item in items:
                await self._store_all([item], commit, abandon)

    def _abandon_entry(self, entry: Entry) -> None:
        outbox, message, _ = entry
        log.error('shelf.message_set_aside', message_id=message.id, outbox=outbox.name)

    def _abandon_outcome(self, outcome: Outcome) -> None:
        """Let the operator send the receipt again; what ran out of time is found by the next sweep again."""
        self._no_longer_expiring(outcome.message.id)
        if outcome.source is not None:
            connection, response = outcome.source
            response.command_status = int(CommandStatus.ESME_RX_T_APPN)
            connection.session.respond(response)
            connection.flush()

    @staticmethod
    def _tell(handle: Callable[..., None], *arguments: object) -> None:
        """Call what follows a commit; an error in it is a bug, and no reason to commit once more."""
        try:
            handle(*arguments)
        except Exception:
            log.exception('shelf.error')

    @contextmanager
    def noting_who_leaves(self) -> Iterator[set[int]]:
        """Yield the ids that leave from now on: a read under way may bring their rows although they are deleted."""
        self._left_meanwhile = set()
        try:
            yield self._left_meanwhile
        finally:
            self._left_meanwhile = None

    @property
    def _sweeping(self) -> bool:
        return self._sweep and len(self._expiring) < EXPIRED_BOUND

    def _no_longer_expiring(self, message_id: int) -> None:
        if message_id in self._expiring:
            self._expiring.discard(message_id)
            if self._sweep:
                self._kick()

    async def _look_for_expired(self) -> None:
        """Tell one page of what ran out of time on disk; a full one is followed by the next."""
        self._sweep = False
        with self.noting_who_leaves() as left:
            rows = await self._store.expired_waiting(self._wall_ms(), self._swept, EXPIRED_BATCH)
            expired = [
                (row.outbox, row.message)
                for row in rows
                if not (row.message.id in self._rows_of or row.message.id in self._expiring or row.message.id in left)
            ]
        full = len(rows) == EXPIRED_BATCH
        self._sweep = self._sweep or full
        self._swept = rows[-1].place if full else (0, 0)
        self._expiring.update(message.id for _, message in expired)
        self._tell(self.on_expired, expired)

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

    def end_of_lane(self) -> int:
        """A `due_at` for now that is not before anything written as due, or read, already, whatever the clock does."""
        self._end = max(self._wall_ms(), self._end)
        return self._end

    async def _put(self, entries: list[Entry]) -> None:
        end = self.end_of_lane()
        rows = [
            Waiting(message, outbox.name, max(due_at, end), self.keep_until(message))
            for outbox, message, due_at in entries
        ]
        await self._store.wait(rows)
        for outbox, message, _ in entries:
            message.stored_wait = True  # whoever still knows it, for an answer that comes late, ends its row too
            self._live.pop(message.id, None)
            self.left(message)
            if not outbox.offline and outbox.in_memory == 0:
                self._wanted[outbox] = None

    async def _finish_late(self, outcomes: list[Outcome]) -> None:
        await self.end(outcomes)

    async def _fetch(self, outbox: Outbox) -> None:
        for lane_number in range(len(outbox.lanes) - 1, -1, -1):
            lane = outbox.lanes[lane_number]
            room = min(BATCH, outbox.room)
            if (lane.on_disk or lane.deferred) and room > 0 and not outbox.offline:
                await self._fetch_lane(outbox, lane, lane_number, room)
        self.on_fetched(outbox)

    async def _fetch_lane(self, outbox: Outbox, lane: Lane, lane_number: int, limit: int) -> None:
        due_by = self.end_of_lane()
        departures = outbox.departures
        with self.noting_who_leaves() as left:
            rows = await self._store.fetch_waiting(outbox.name, lane_number, lane.cursor, due_by, limit)
            new = [
                row.message
                for row in rows
                if not (row.message.id in self._rows_of or row.message.id in self._expiring or row.message.id in left)
            ]
        if outbox.departures != departures:  # the lane was forgotten meanwhile: everything stays on disk
            if not outbox.offline:
                self._wanted[outbox] = None
            return
        of_this_moment = min(lane.on_disk, len(rows))
        lane.on_disk -= of_this_moment
        lane.deferred = max(0, lane.deferred - (len(rows) - of_this_moment))
        if len(rows) < limit:  # all that is due has been read, but what is still on its way to the disk
            lane.on_disk = sum(
                of is outbox and message.priority == lane_number and not due_at for of, message, due_at in self._entries
            )
        else:  # the counts may be too low: only a page that is not full shows the end of the lane
            lane.on_disk = max(1, lane.on_disk)
        if rows:
            lane.cursor = (rows[-1].due_at, rows[-1].seq)
        again = next((row for row in rows if row.message.id in left), None)
        if again is not None:  # what left may have been the message, and this be its receipt: look once more
            lane.cursor = (again.due_at, again.seq - 1)
            lane.on_disk = max(1, lane.on_disk)
            self._wanted[outbox] = None
        self._rows_of.update((message.id, outbox) for message in new)
        outbox.add_fetched(lane, new)

    def _missing(self, message: Message) -> Outbox:
        raise LookupError(f'no outbox for message {message.id}')
