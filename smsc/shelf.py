"""The disk side of all outboxes: spills, deferred messages, late receipts, and reading them back.

One worker on one connection does all of it in turn, so that no row can appear behind the place a lane was read up to.
What must not race with it, such as taking a message out that may be anywhere, is done `alone`, by the same worker.
A row stays in the store's table `waiting` until its message has left (sent, final, acknowledged); `smsc.shelf_rows`
knows those that memory holds meanwhile, `keeps` in which outbox their row is, `smsc.shelf_reads` reads them. A message
on the shelf is safe there: the low-water mark need not cover it.

A batch that the store refuses is tried item by item; what cannot be stored even so is set aside, with an error in the
log: a message stays in `live` for the next start to take up, an operator's receipt is refused for now.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, KeysView
from contextlib import AbstractContextManager
from typing import Any, TypeAlias, TypeVar

import structlog

from domain.message import Message, Notice
from pdu.status import CommandStatus
from smsc.outbox import Elsewhere, Outbox
from smsc.shelf_reads import ShelfReads
from smsc.shelf_rows import AnyRow, RowsInMemory
from storage.rows import Outcome, Waiting
from storage.store import Store

BATCH = 5_000
Stored = TypeVar('Stored')
Entry: TypeAlias = tuple[Outbox | Elsewhere, Message, int]

log = structlog.get_logger()


class DiskShelf:
    """Puts messages on disk and brings them back."""

    def __init__(self, store: Store, live: dict[int, Message], wall_ms: Callable[[], int]) -> None:
        self.on_fetched: Callable[[Outbox], None] = lambda outbox: None
        self.on_finished: Callable[[list[Outcome], set[int]], None] = lambda outcomes, changed: None
        self.on_handed: Callable[[list[tuple[Elsewhere, Message]], int], None] = lambda handed, due_at: None
        self.on_expired: Callable[[list[tuple[str, Message]]], None] = lambda expired: None
        self.on_forgotten: Callable[[], Awaitable[None]] = _look_at_nothing
        self.outbox_of: Callable[[Message], Outbox] = self._missing
        self.keep_until: Callable[[Message], int] = lambda message: message.expires_at
        self.rows = RowsInMemory()
        self._reads = ShelfReads(self, store, wall_ms)
        self._store = store
        self._live = live
        self._wall_ms = wall_ms
        self._entries: list[Entry] = []
        self._late: list[Outcome] = []
        self._jobs: deque[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = deque()
        self._doing: asyncio.Future[Any] | None = None
        self._end = 0
        self._put_in = self._put_out = 0  # entries that ever came, and those of them that were dealt with
        self._late_in = self._late_out = 0
        self._catching_up: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def load(self) -> int:
        """Messages on their way to the disk."""
        return len(self._entries) + len(self._late)

    @property
    def taken_up(self) -> list[int]:
        """The ids of the messages on disk that memory holds, or ends."""
        return [*self.rows.read, *self.rows.expiring]

    @property
    def loaded(self) -> KeysView[int]:
        """The ids of the messages on disk that memory holds."""
        return self.rows.read.keys()

    def keeps(self, outbox: Outbox, message: Message) -> bool:
        """Return whether a message that was read from disk has its row in this outbox, not in one it was moved from."""
        found = self.rows.read.get(message.id)
        return found is not None and found[0] is outbox

    def put(self, outbox: Outbox | Elsewhere, message: Message, due_at: int) -> None:
        """Take a message to disk; `due_at` (Unix milliseconds) 0 means at the end of its lane."""
        self._entries.append((outbox, message, due_at))
        self._put_in += 1
        self._kick()

    def finish_late(self, outcomes: Iterable[Outcome]) -> None:
        """Make messages final that the low-water mark does not cover; their receipts go to the accounts by way of the
        disk.
        """
        before = len(self._late)
        self._late.extend(outcomes)
        self._late_in += len(self._late) - before
        self._kick()

    def want(self, outbox: Outbox) -> None:
        """Bring the head of what is on disk back."""
        self._reads.wanted[outbox] = None
        self._kick()

    def sweep(self) -> None:
        """Look for what ran out of time on disk."""
        self._reads.sweep = True
        self._kick()

    def recount(self, outboxes: list[Outbox]) -> None:
        """See to it that no lane forgets what it has on disk; called now and then."""
        self._reads.forgotten = outboxes
        self._kick()

    def left(self, message: Message) -> None:
        """A message that was read from disk has left memory: sent, final, acknowledged or put on disk again."""
        if self.rows.leave(message.id) and self._reads.sweep:  # there is room for what the sweep finds
            self._kick()

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

    def noting_who_leaves(self) -> AbstractContextManager[set[int]]:
        """Yield the ids that leave from now on: a read under way may bring their rows although they are deleted."""
        return self.rows.noting_who_leaves()

    @property
    def in_memory(self) -> dict[int, Message]:
        """What memory holds of the disk, by id: read from there, or on its way there."""
        read = {message_id: message for message_id, (_, message) in self.rows.read.items()}
        return read | {message.id: message for _, message, _ in self._entries}

    def coming_to(self, outbox: Outbox) -> list[Message]:
        """Return what is on its way to the disk for an outbox, due or not."""
        return [message for of, message, _ in self._entries if of is outbox]

    def awaiting_disk(self, outbox: Outbox) -> Counter[tuple[int, str]]:
        """Return how much is on its way to the ends of an outbox's lanes (priority, account)."""
        return Counter(
            (message.priority, message.account) for of, message, due_at in self._entries if of is outbox and not due_at
        )

    def at_rest(self, rows: Iterable[AnyRow], left: set[int]) -> list[AnyRow]:
        """Return those of `rows` whose messages are nowhere else; `left` are those that left during the read."""
        return self.rows.at_rest(rows, left)

    def hold(self, message: Message, outbox: Outbox) -> None:
        """Read a message from disk on somebody's behalf; `left` ends it."""
        self.rows.read[message.id] = outbox, message

    async def end(self, outcomes: list[Outcome]) -> frozenset[int]:
        """Commit final states, receipts by way of the disk; return the ids that were not final before."""
        end = self.end_of_lane()
        rows = []
        places: dict[int, Outbox | Elsewhere] = {}
        now_ms = self._wall_ms()
        for outcome in outcomes:
            message = outcome.message
            message.done_at = outcome.done_at = now_ms
            message.attempts = 0  # its receipt's begin
            if outcome.notice == Notice.DUE:
                place = places[message.id] = self.outbox_of(message).place
                rows.append(_waiting(place, message, end, self.keep_until(message)))
        changed = await self._store.finish_late(outcomes, rows)
        placed = set(changed)
        handed = []
        for outcome in outcomes:
            message = outcome.message
            message.stored_wait = False  # its row is gone; one that it has from now on is its receipt's
            if message.id in changed:
                self._live.pop(message.id, None)
            self.left(message)
            if outcome.notice == Notice.DUE and message.id in placed:
                placed.discard(message.id)  # the same message may have come twice
                place = places[message.id]
                if isinstance(place, Elsewhere):
                    handed.append((place, message))
                else:
                    place.count(place.lane_of(message), due=1)
                    place.refill()
        if handed:
            self.tell(self.on_handed, handed, end)
        ended = frozenset(changed)
        self.tell(self.on_finished, outcomes, changed)
        return ended

    def start(self) -> None:
        """Begin to work, in a task of the shelf's own."""
        self._task = asyncio.create_task(self._run(), name='shelf')

    async def drain(self) -> None:
        """Wait until nothing is left to do: for when nobody adds any more. Under load that may be never."""
        await self._idle.wait()

    async def catch_up(self) -> None:
        """Wait until everything put here so far is on disk, or has ended, whatever comes meanwhile.

        Not for what is done `alone`: that is to `flush`.
        """
        entries, late = self._put_in, self._late_in
        while self._put_out < entries or self._late_out < late:
            turned = asyncio.get_running_loop().create_future()
            self._catching_up.append(turned)
            await turned

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
            while self._entries or self._late or self._jobs or self._reads.pending:
                try:
                    await self._work()
                except Exception:
                    log.exception('shelf.error')
                turned, self._catching_up = self._catching_up, []
                for waiting in turned:
                    if not waiting.done():
                        waiting.set_result(None)
            self._idle.set()

    async def _work(self) -> None:
        """Do what there is, each kind in turn: what goes to disk must not keep what is there from being read."""
        if self._entries or self._late:
            await self._write()
        if self._jobs:
            await self._do_job()
        if self._reads.pending:
            await self._reads.read()

    async def _write(self) -> None:
        """Put on disk what came until now, then end what is late: a message may be among both."""
        outcomes, self._late = self._late[:BATCH], self._late[BATCH:]
        for _ in range(0, len(self._entries), BATCH):
            await self._put_entries()
        if outcomes:
            try:
                await self._store_all(outcomes, self._finish_late, self._abandon_outcome)
            finally:
                self._late_out += len(outcomes)

    async def _put_entries(self) -> None:
        entries, self._entries = self._entries[:BATCH], self._entries[BATCH:]
        try:
            await self._store_all(entries, self._put, self._abandon_entry)
        finally:
            self._put_out += len(entries)

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
        if self.rows.end_expiring(outcome.message.id) and self._reads.sweep:
            self._kick()
        if outcome.source is not None:
            connection, response = outcome.source
            response.command_status = int(CommandStatus.ESME_RX_T_APPN)
            connection.session.respond(response)
            connection.flush()

    @staticmethod
    def tell(handle: Callable[..., None], *arguments: object) -> None:
        """Call what follows a commit; an error in it is a bug, and no reason to commit once more."""
        try:
            handle(*arguments)
        except Exception:
            log.exception('shelf.error')

    def end_of_lane(self) -> int:
        """A `due_at` for now that is not before anything written as due, or read, already, whatever the clock does."""
        self._end = max(self._wall_ms(), self._end)
        return self._end

    def rise_to(self, due_at: int) -> None:
        """Know that another node has put something at the end of a lane here, by its own clock (Unix milliseconds)."""
        self._end = max(self._end, due_at)

    async def _put(self, entries: list[Entry]) -> None:
        end = self.end_of_lane()
        rows = [
            _waiting(outbox, message, max(due_at, end), self.keep_until(message)) for outbox, message, due_at in entries
        ]
        await self._store.waiting.put(rows)
        for outbox, message, _ in entries:
            message.stored_wait = True  # whoever still knows it, for an answer that comes late, ends its row too
            self._live.pop(message.id, None)
            self.left(message)
            if isinstance(outbox, Outbox) and not (outbox.offline or outbox.lane_of(message).head):
                self._reads.wanted[outbox] = None
        handed = [(outbox, message) for outbox, message, _ in entries if isinstance(outbox, Elsewhere)]
        if handed:
            self.tell(self.on_handed, handed, end)

    async def _finish_late(self, outcomes: list[Outcome]) -> None:
        await self.end(outcomes)

    def _missing(self, message: Message) -> Outbox:
        raise LookupError(f'no outbox for message {message.id}')


async def _look_at_nothing() -> None:
    """Whoever has its disk to itself knows how much is there."""


def _waiting(place: Outbox | Elsewhere, message: Message, due_at: int, expires_at: int) -> Waiting:
    return Waiting(message, place.name, due_at, expires_at, place.node if isinstance(place, Elsewhere) else None)
