"""Messages that no operator has been handed yet: finding them, taking them out, putting others in their place.

One may be in the memory of an upstream's outbox, on its way to the disk, or on disk; all of this runs in the shelf's
worker (`DiskShelf.alone`), so that it can be in one of these places only. What was found is good until the next await.
Not queued any more: what is in a window, was sent, may have been sent (`repeated`), or was begun by a segment.

Nothing is lost on the way: a message that is taken out stays in the store as it was until the commit that ends or
changes it, and goes back to its place when that commit cannot be made.

Looking through memory holds up everybody else: `looked_s` sums up the time that it took, for whoever limits it.
"""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

import msgspec

from domain.message import Asked, Kind, Message
from pdu.pdus import CancelSm, QuerySm, ReplaceSm, ShortMessage, SubmitSm
from pdu.receipt_text import MessageState
from smsc.clock import wall_ms
from smsc.core import Core
from smsc.dispatching import dispatch
from smsc.outbox import Outbox
from storage.amendments import QueuedRow, search_key
from storage.rows import Outcome, Waiting

TRIES = 10  # to find a message at rest that keeps moving to the disk
PAGE = 500  # the most of memory, and the most of the disk, that are found and ended at once
ABOVE_ALL = (1 << 63) - 1

Wanted = Callable[[Message], bool]
Search = Callable[[Outbox], list[Message]]


class Addresses(msgspec.Struct, frozen=True):
    """What messages are looked for by: the addresses of `pdu`, its sender as ESMEs write it, its destination as
    messages have it. `service_type` None stands for any; ids are below `below_id`.
    """

    account: str
    pdu: CancelSm | SubmitSm
    service_type: bytes | None
    below_id: int = ABOVE_ALL

    def match(self, message: Message) -> bool:
        """Return whether a message has them."""
        pdu, other = self.pdu, message.pdu
        asked = message.asked or other
        return (
            pdu.destination_addr == other.destination_addr
            and pdu.source_addr == asked.source_addr
            and message.account == self.account
            and self.service_type in (None, other.service_type)
            and has_source_type(asked, pdu)
            and has_destination_type(other, pdu)
        )


class Queued(msgspec.Struct, frozen=True, eq=False):
    """A message that waits in an outbox; `due_at` is when, if it is `on_disk`, else 0."""

    message: Message
    outbox: Outbox
    on_disk: bool = False
    due_at: int = 0


class Change(msgspec.Struct):
    """What a queued message becomes: `message` with the same id; `moved_in_time` when it is due at another time."""

    message: Message
    moved_in_time: bool


def has_source_type(pdu: ShortMessage | Asked, asked: CancelSm | QuerySm | ReplaceSm | SubmitSm) -> bool:
    """Return whether TON and NPI of the source are those asked for; 0 is an unknown one (SMPP 3.4 section 4.9.1)."""
    return _agree(pdu.source_addr_ton, asked.source_addr_ton) and _agree(pdu.source_addr_npi, asked.source_addr_npi)


def has_destination_type(pdu: ShortMessage, asked: CancelSm | SubmitSm) -> bool:
    """The same for the destination."""
    return _agree(pdu.dest_addr_ton, asked.dest_addr_ton) and _agree(pdu.dest_addr_npi, asked.dest_addr_npi)


def _agree(one: int, other: int) -> bool:
    return one == other or not (one and other)


def is_untouched(message: Message) -> bool:
    """Return whether no operator can have seen anything of a message."""
    return (
        message.state == MessageState.ENROUTE
        and message.kind == Kind.MT
        and not (message.repeated or message.upstream_message_id or message.segment_stored)
        and (message.split is None or (message.split.unsent and message.split.ended is None))
    )


class QueuedMessages:
    """The messages of all upstreams' outboxes. Every coroutine here is to be run by `DiskShelf.alone`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.looked_s = 0.0

    async def find(self, ids: frozenset[int]) -> list[Queued]:
        """Return those of these messages that are queued."""
        core = self._core

        def search(outbox: Outbox) -> list[Message]:
            known = {wanted for wanted in ids if wanted in core.live or wanted in core.shelf.loaded}
            return outbox.find_ids(known) if known else []

        found, _ = await self._find(
            lambda message: message.id in ids, search, lambda: core.store.amending.waiting_of(tuple(ids))
        )
        return found

    async def find_alike(
        self, addresses: Addresses, below_id: int = ABOVE_ALL, limit: int | None = None
    ) -> tuple[list[Queued], int]:
        """Return the queued messages with these addresses, newest first, and the id below which there may be more on
        disk, 0 when there are not.

        What is in memory is in every page, unless that is more than `limit`: then those are a page, and the next begins
        where this one did.
        """
        amending, pdu = self._core.store.amending, addresses.pdu
        search = search_key(addresses.account, pdu.source_addr, pdu.destination_addr)

        def wanted(message: Message) -> bool:
            return addresses.match(message) and message.id < addresses.below_id and is_untouched(message)

        found, rows = await self._find(
            wanted,
            lambda outbox: outbox.find_to(pdu.destination_addr, wanted, limit),
            lambda: amending.waiting_alike(search, min(below_id, addresses.below_id), PAGE),
        )
        in_memory = [queued for queued in found if not queued.on_disk]
        if limit is not None and len(in_memory) >= limit:
            return in_memory[:limit], below_id
        found.sort(key=lambda queued: queued.message.id, reverse=True)
        return found, rows[-1].message.id if len(rows) == PAGE else 0

    def find_held(self, ids: frozenset[int]) -> list[Message]:
        """Return those of these messages that are parts, and wait to be judged with the others of their message."""
        live = self._core.live
        known = [live[wanted] for wanted in ids if wanted in live]
        return [message for message in known if message.is_held and message.reply is None]

    def find_held_alike(self, addresses: Addresses) -> list[Message]:
        """Return the same with these addresses."""
        began_at = perf_counter()
        held = self._core.joining.joiner.messages(addresses.account)
        found = [message for message in held if addresses.match(message) and message.id < addresses.below_id]
        self.looked_s += perf_counter() - began_at
        return found

    async def _find(
        self, wanted: Wanted, search: Search, read: Callable[[], Awaitable[list[QueuedRow]]]
    ) -> tuple[list[Queued], list[QueuedRow]]:
        """Read the disk, then look at memory: from there to the caller nothing can move."""
        shelf = self._core.shelf
        for _ in range(TRIES):
            await shelf.flush()
            with shelf.noting_who_leaves() as left:
                rows = await read()
                at_rest = shelf.at_rest(rows, left)
            if not shelf.still_wanted:  # the ESME has been told that the store is away
                break
            if not shelf.awaits_disk(wanted):
                return self._in_memory(search) + self._on_disk(wanted, at_rest), rows
        return [], []

    def _in_memory(self, search: Search) -> list[Queued]:
        began_at = perf_counter()
        found = []
        for upstream in self._core.upstreams.values():
            outbox = upstream.feed.outbox
            if outbox.in_memory:
                found += [Queued(message, outbox) for message in search(outbox) if is_untouched(message)]
        self.looked_s += perf_counter() - began_at
        return found

    def _on_disk(self, wanted: Wanted, rows: list[QueuedRow]) -> list[Queued]:
        found = []
        for row in rows:
            outbox = self._core.outbox(row.outbox)  # None: its upstream was removed, and it may be on its way already
            if outbox is not None and not row.begun and wanted(row.message) and is_untouched(row.message):
                found.append(Queued(row.message, outbox, True, row.due_at))
        return found

    # Taking out, putting back

    def _take_out(self, found: Sequence[Queued]) -> None:
        in_memory: dict[Outbox, list[Message]] = {}
        for queued in found:
            if queued.on_disk:
                self._core.shelf.hold(queued.message, queued.outbox)
                self._count_on_disk(queued, -1)
            else:
                in_memory.setdefault(queued.outbox, []).append(queued.message)
        for outbox, messages in in_memory.items():
            outbox.withdraw_all(messages)

    def _put_back(self, queued: Queued) -> None:
        message = queued.message
        message.done_at = 0
        if self._core.outbox(queued.outbox.name) is not queued.outbox:  # a reload has removed its upstream meanwhile
            self._dispatch(message)
        elif queued.on_disk:
            self._core.shelf.left(message)
            self._count_on_disk(queued, 1)
            queued.outbox.refill()
        else:
            queued.outbox.put_back([message])
            self._pump(message.upstream)

    @staticmethod
    def _count_on_disk(queued: Queued, change: int) -> None:
        lane = queued.outbox.lane_of(queued.message)
        if queued.due_at > wall_ms():
            queued.outbox.count(lane, deferred=change)
        else:
            queued.outbox.count(lane, due=change)

    def _dispatch(self, message: Message) -> None:
        self._pump(dispatch(self._core, message))

    def _pump(self, upstream: str) -> None:
        if upstream in self._core.upstreams:
            self._core.upstreams[upstream].feed.pump()

    # What becomes of them

    async def cancel(
        self, found: list[Queued], held: Sequence[Message] = (), state: MessageState = MessageState.DELETED
    ) -> int:
        """End messages that were just found, each with its receipt; return how many, once committed."""
        core = self._core
        self._take_out(found)
        held = [message for message in held if core.joining.discard(message)]
        messages = [*[queued.message for queued in found], *held]
        try:
            ended = await core.shelf.end(
                [Outcome(message, state, 0, core.notice_of(message, state)) for message in messages]
            )
        except Exception:
            for queued in found:
                self._put_back(queued)
            for message in held:
                core.joining.hold(message)
            core.joining.stage.kick()
            raise
        for message in messages:
            core.count_sent(message)
        return len(ended)

    def move(self, found: Sequence[Queued], outbox: Outbox) -> None:
        """Let messages that were just found wait for another upstream, by way of the disk: until that is committed,
        their rows say that they wait where they were.
        """
        self._take_out(found)
        now_ms = wall_ms()
        for queued in found:
            message = queued.message
            message.upstream, message.upstreams, message.attempts = outbox.name.removeprefix('upstream '), (), 0
            if queued.due_at > now_ms:
                outbox.defer(message, queued.due_at)
            else:
                outbox.put_on_disk(message)

    async def replace(self, replacements: Sequence[tuple[Queued, Change]]) -> int:
        """Make messages that were just found into others, all or none; return how many, less those that have become
        final meanwhile.

        The new ones' PDUs come with their `octets`. Each keeps its place unless it is due at another time, or its
        upstream or priority is another one.
        """
        rows = [(change.message, self._moved(change)) for _, change in replacements]
        found = [queued for queued, _ in replacements]
        self._take_out(found)
        try:
            changed = await self._core.store.amending.replace(rows)
        except Exception:
            for queued in found:
                self._put_back(queued)
            raise
        for queued, (new, waiting) in zip(found, rows, strict=True):
            new.pdu.octets = b''
            if new.id not in changed:
                self._core.shelf.left(new)
            elif waiting is None:
                self._settle(queued, new)
            else:
                self._settle_on_disk(new, waiting)
        return len(changed)

    def _moved(self, change: Change) -> Waiting | None:
        """Return where a message is to wait on disk, when it is due at another time."""
        if not change.moved_in_time:
            return None
        core, new = self._core, change.message
        due_at = max(new.due_at, core.shelf.end_of_lane())
        return Waiting(new, _outbox_name(new), due_at, core.keep_until(new))

    def _settle(self, queued: Queued, new: Message) -> None:
        """A replacement is committed: it goes where the one before was, or to its own upstream."""
        live = self._core.live
        if new.id in live:
            live[new.id] = new
        if _outbox_name(new) == queued.outbox.name and new.priority == queued.message.priority:
            self._put_back(Queued(new, queued.outbox, queued.on_disk, queued.due_at))
        else:
            self._dispatch(new)

    def _settle_on_disk(self, new: Message, waiting: Waiting) -> None:
        """A replacement is committed, and waits on disk."""
        self._core.live.pop(new.id, None)
        self._core.shelf.left(new)
        target = self._core.outbox(waiting.outbox)
        if target is None:  # a reload has removed its upstream meanwhile: nobody counts its lanes
            return
        lane = target.lane_of(new)
        if waiting.due_at > wall_ms():
            target.count(lane, deferred=1)
        else:
            target.count(lane, due=1)
            target.refill()


def _outbox_name(message: Message) -> str:
    return f'upstream {message.upstream}'
