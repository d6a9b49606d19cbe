"""Work on queues that people ask for: moving what waits to another upstream, ending it, and what memory holds of it.

A queue is walked lane by lane, the urgent ones first, a page at a time in the shelf's worker, so that each message is
in one place only while it is looked at; each page is a transaction. Only what no operator can have seen anything of is
touched: what may have been sent, what was begun by a segment, and parts of a message that was begun by another part
stay.

Whoever asks drives the work: each answer says how far it has come, and the next request goes on from there. A request
takes a second or two. So nothing is left behind when somebody stops asking, and a restart in the middle costs nothing.
Each node works on its own rows; the one that is asked passes the others' turns on to them.
"""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from domain.errors import StoreUnavailable
from domain.ids import first_id
from domain.message import Message
from pdu.receipt_text import MessageState
from smsc.chains import Chain, chain_of
from smsc.clock import wall_ms
from smsc.control import ControlError
from smsc.outbox import Outbox
from smsc.queued import PAGE, Queued, QueuedMessages, is_untouched
from storage.queues import LaneRow

if TYPE_CHECKING:
    from smsc.core import Core
    from smsc.upstream import Upstream

STRETCH_S = 1.5  # of work for one request
ASKED_S = 6.0  # that another node gets for it
MAX_ID = (1 << 63) - 1

Place = tuple[int, str, int, int]
"""(priority, account, due_at, seq): how far a queue has been walked. Lanes go from high priorities to low ones."""

START = (0, 0)
BEGIN: Place = (1 << 15, '', 0, 0)


class Work(msgspec.Struct, frozen=True):
    """What is to be done with what waits for `upstream`; None stands for any account and priority.

    `state` is what purged messages end with. Ids are below `below_id`, 0 = accepted `older_than_s` before now.
    """

    action: Literal['move', 'purge']
    upstream: str
    who: str = ''  # for the audit
    to: str = ''
    account: str | None = None
    priority: Annotated[int, Meta(ge=0, le=4)] | None = None
    older_than_s: Annotated[float, Meta(ge=0, le=10**9)] = 0
    state: Literal['EXPIRED', 'DELETED', 'UNDELIVERABLE'] = 'DELETED'
    limit: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    dry_run: bool = False
    below_id: Annotated[int, Meta(ge=0, le=MAX_ID)] = 0


def described(work: Work) -> str:
    """Return what somebody wants done, in words: 'mts moved to tele2, of account bank'."""
    words = f'{work.upstream} moved to {work.to}' if work.action == 'move' else f'{work.upstream} purged, {work.state}'
    if work.account is not None:
        words += f', of account {work.account}'
    if work.priority is not None:
        words += f', of priority {work.priority}'
    if work.older_than_s:
        words += f', older than {work.older_than_s:g} s'
    return words + (f', {work.limit} at most' if work.limit is not None else '')


class Progress(msgspec.Struct, frozen=True):
    """How far some work has come: messages moved or ended, and those left alone as operators may have seen them.

    `places` are those of the nodes that are not done; `silent` nodes did not answer, and theirs is not done.
    `record` is its entry in the audit, 0 for a dry run.
    """

    below_id: int = 0
    done: int = 0
    kept: int = 0
    places: dict[str, Place] = {}
    silent: list[int] = []
    record: int = 0


class Stretch(msgspec.Struct, frozen=True):
    """What one node has done: messages, those left alone, and where it goes on; None when it has come to the end."""

    done: int
    kept: int
    place: Place | None


class Request(msgspec.Struct, frozen=True):
    """What the command asks: to begin work, or to go on with it."""

    work: Work
    progress: Progress | None = None


class QuestionToNode(msgspec.Struct, frozen=True):
    """What another node is asked to do."""

    work: Work
    place: Place


class QueueWork:
    """The work on queues of one node."""

    def __init__(self, core: 'Core') -> None:
        self._core = core
        self._queued = QueuedMessages(core)
        core.cluster.asking.handlers['queue work'] = self._answer

    async def handle(self, request: dict[str, Any]) -> Any:
        """Do a stretch of what the command asks; return the Progress, as JSON says it. Raises ControlError."""
        try:
            wish = msgspec.convert({key: value for key, value in request.items() if key != 'command'}, Request)
        except msgspec.ValidationError as error:
            raise ControlError(f'not understood: {error}') from error
        try:
            progress = wish.progress or await self._begin(wish.work)
            if progress.places:
                progress = await self._go_on(wish.work, progress)
                await self._note(wish.work, progress)
        except StoreUnavailable as error:
            raise ControlError('the store is away: try again when it is back; what was done is done') from error
        return msgspec.to_builtins(progress)

    # As the node that is asked

    async def _begin(self, work: Work) -> Progress:
        """Raises ControlError for what there is not."""
        core = self._core
        self._check(work)
        below_id = first_id(wall_ms() + 1 - int(work.older_than_s * 1000))
        record = 0 if work.dry_run else await core.store.queues.begin_record(work.who, f'queue {described(work)}')
        nodes = [core.configuration.node, *core.cluster.others]
        return Progress(below_id, places={str(node): BEGIN for node in nodes}, record=record)

    def _check(self, work: Work) -> None:
        known = list(self._core.upstreams)
        wanted = [work.upstream, work.to] if work.action == 'move' else [work.upstream]
        for name in wanted:
            if name not in known:
                raise ControlError(f'there is no upstream {name}; there is: {", ".join(known) or "none"}')
        if work.upstream == work.to:
            raise ControlError(f'{work.to} has it already; name another upstream')

    async def _go_on(self, work: Work, progress: Progress) -> Progress:
        """Let one node do a stretch, this one first."""
        limit = None if work.limit is None else work.limit - progress.done
        places, silent = dict(progress.places), list(progress.silent)
        node = min(places, key=lambda name: name != str(self._core.configuration.node))
        work = msgspec.structs.replace(work, below_id=progress.below_id, limit=limit)
        stretch = await self._of_node(int(node), work, places[node])
        if stretch is None:
            silent.append(int(node))
            stretch = Stretch(0, 0, None)
        del places[node]
        if stretch.place is not None:
            places[node] = stretch.place
        if limit is not None and stretch.done >= limit:
            places = {}
        done, kept = progress.done + stretch.done, progress.kept + stretch.kept
        return Progress(progress.below_id, done, kept, places, silent, progress.record)

    async def _of_node(self, node: int, work: Work, place: Place) -> Stretch | None:
        """Return what a node has done; None when it says nothing."""
        if node == self._core.configuration.node:
            return await self.do(work, place)
        question = msgspec.to_builtins(QuestionToNode(work, place))
        answers = await self._core.cluster.asking.ask([node], 'queue work', question, ASKED_S)
        try:
            return msgspec.convert(answers.values.get(node), Stretch | None)
        except msgspec.ValidationError:
            return None

    async def _note(self, work: Work, progress: Progress) -> None:
        if progress.record and not work.dry_run:
            text = f'{progress.done} messages' + (', not finished' if progress.places or progress.silent else '')
            await self._core.store.queues.note_record(progress.record, text)

    async def _answer(self, arguments: dict[str, Any]) -> Any:
        question = msgspec.convert(arguments, QuestionToNode)  # what is none is a ValueError
        try:
            self._check(question.work)
            return msgspec.to_builtins(await self.do(question.work, question.place))
        except (ControlError, StoreUnavailable) as error:
            raise ValueError(str(error)) from error

    # On this node's own queues

    async def do(self, work: Work, place: Place) -> Stretch:
        """Walk on from a place for a second or two. Raises StoreUnavailable and ControlError."""
        core, done, kept = self._core, 0, 0
        end_at = core.loop.time() + STRETCH_S
        at, after = (place[0], place[1]), (place[2], place[3])
        lanes = [lane for lane in await core.shelf.alone(partial(self._lanes, work)) if _order(lane) >= _order(at)]
        for number, lane in enumerate(lanes):
            after = after if lane == at else START
            while True:
                limit = None if work.limit is None else work.limit - done
                page = await core.shelf.alone(partial(self._page, work, lane, after, limit))
                done, kept, after = done + page.done, kept + page.kept, page.after
                is_over = core.loop.time() >= end_at or (work.limit is not None and done >= work.limit)
                if page.is_last or is_over:
                    break
            if is_over:
                goes_on = [(*lane, *after)] if not page.is_last else [(*of, *START) for of in lanes[number + 1 :]]
                return Stretch(done, kept, goes_on[0] if goes_on else None)
        return Stretch(done, kept, None)

    async def _lanes(self, work: Work) -> list[tuple[int, str]]:
        """Return the lanes (priority, account) to be walked, in their order; in the shelf's worker."""
        core, outbox = self._core, self._outbox(work.upstream)
        await core.shelf.flush()
        lanes = {(priority, account) for of, priority, account in await core.store.waiting.lanes() if of == outbox.name}
        lanes |= {(lane.priority, lane.account) for lane in outbox.lanes if lane.head}
        lanes |= {(message.priority, message.account) for message in core.shelf.coming_to(outbox)}
        wanted = [lane for lane in lanes if work.priority in (None, lane[0]) and work.account in (None, lane[1])]
        return sorted(wanted, key=_order)

    def _outbox(self, upstream: str) -> Outbox:
        """Raises ControlError when a reload has taken it away."""
        found = self._core.upstreams.get(upstream)
        if found is None:
            raise ControlError(f'the upstream {upstream} is configured no more; what waited was routed anew')
        return found.feed.outbox

    async def _page(self, work: Work, lane: tuple[int, str], after: tuple[int, int], limit: int | None) -> '_Page':
        """Do the work on a page of a lane; in the shelf's worker."""
        core, shelf, outbox = self._core, self._core.shelf, self._outbox(work.upstream)
        await shelf.flush()
        with shelf.noting_who_leaves() as left:
            rows = await core.store.queues.page(outbox.name, lane, after, PAGE)
            at_rest = shelf.at_rest(rows, left)
        if not shelf.still_wanted or self._outbox(work.upstream) is not outbox:
            return _Page(0, 0, after)
        candidates = _Candidates(core.upstreams[work.upstream], work.below_id)
        in_memory, kept_in_memory = candidates.in_memory(outbox, lane)
        if len(in_memory) > PAGE and not work.dry_run:  # what is on disk comes after it
            found = self._within(in_memory[:PAGE], limit)
            return _Page(await self._act(work, found), 0, after)
        on_disk, kept = candidates.on_disk(outbox, at_rest)
        if work.dry_run and after != START:
            in_memory = []  # it was counted with the first page
        found = self._within(in_memory + on_disk, limit)
        done = len(found) if work.dry_run else await self._act(work, found)
        if limit is not None and len(found) >= limit:
            return _Page(done, 0, after)
        if len(rows) < PAGE:
            return _Page(done, kept + kept_in_memory, after, True)
        return _Page(done, kept, self._place_after(rows, work))

    def _place_after(self, rows: list[LaneRow], work: Work) -> tuple[int, int]:
        """Return where to go on after a full page: what came after the work had begun is left out all at once."""
        if all(row.message.id >= work.below_id for row in rows):
            return max(rows[-1].due_at, self._core.shelf.end_of_lane()), MAX_ID
        return rows[-1].due_at, rows[-1].seq

    @staticmethod
    def _within(found: list[Queued], limit: int | None) -> list[Queued]:
        """Return the first `limit` of these, and parts beyond that belong to their messages."""
        if limit is None or len(found) <= limit:
            return found
        chains = {chain_of(queued.message) for queued in found[:limit]} - {None}
        return found[:limit] + [queued for queued in found[limit:] if chains and chain_of(queued.message) in chains]

    async def _act(self, work: Work, found: list[Queued]) -> int:
        """Move or end messages that were just found; return how many."""
        if not found:
            return 0
        if work.action == 'purge':
            return await self._queued.cancel(found, state=MessageState[work.state])
        core, now = self._core, self._core.loop.time()
        outbox = self._outbox(work.to)
        for queued in found:
            chain = chain_of(queued.message)
            if chain is not None:
                core.chains.put(chain, work.to, now, by_hand=True)
        self._queued.move(found, outbox)
        await core.shelf.flush()
        outbox.refill()
        return len(found)


class _Page(msgspec.Struct, frozen=True):
    """What came of a page: messages moved or ended, those left alone, the place it ends at, whether it was the last."""

    done: int
    kept: int
    after: tuple[int, int]
    is_last: bool = False


class _Candidates:
    """Tells which messages no operator has seen anything of, nor of another part of the same message."""

    def __init__(self, upstream: 'Upstream', below_id: int) -> None:
        self._long_messages = upstream.long_messages
        self._below_id = below_id
        held = [item for items in upstream.feed.held.values() for item in items]
        self._held: set[Chain | None] = {chain_of(item) for item in held if isinstance(item, Message)}

    def in_memory(self, outbox: Outbox, lane: tuple[int, str]) -> tuple[list[Queued], int]:
        """Return those that memory has of a lane, and how many others it has of it."""
        messages = [message for of in outbox.lanes if (of.priority, of.account) == lane for message in of.head]
        messages = [message for message in messages if message.id < self._below_id]
        found = [Queued(message, outbox) for message in messages if self._is_untouched(message)]
        return found, len(messages) - len(found)

    def on_disk(self, outbox: Outbox, rows: list[LaneRow]) -> tuple[list[Queued], int]:
        """The same of what was read from disk and is nowhere else."""
        rows = [row for row in rows if row.message.id < self._below_id]
        found = [
            Queued(row.message, outbox, True, row.due_at)
            for row in rows
            if not row.begun and self._is_untouched(row.message)
        ]
        return found, len(rows) - len(found)

    def _is_untouched(self, message: Message) -> bool:
        return is_untouched(message) and not self._is_begun(message)

    def _is_begun(self, message: Message) -> bool:
        chain = chain_of(message)
        if chain is None:
            return False
        long_messages = self._long_messages
        return chain in self._held or long_messages.is_bound_here(message) or long_messages.has_outstanding_of(message)


def _order(lane: tuple[int, str]) -> tuple[int, str]:
    return -lane[0], lane[1]
