"""Messages that wait for an upstream which is not available, and may go by another one of their route.

What waits in memory goes there at once, what waits on disk page by page, as the others make room: its rows stay where
they are until the messages have left, as those of any message that was read from disk, so that nothing is lost or sent
twice whatever happens meanwhile. What has no other upstream waits where it is. In order: what waited goes before what
comes after it, as far as memory holds it; new messages may overtake what is on disk.
"""

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from domain.message import Message
from smsc.dispatching import dispatch
from smsc.lanes import PRIORITIES
from storage.rows import Stretch

if TYPE_CHECKING:
    from routing.table import RouteTable
    from smsc.core import Core
    from smsc.upstream import Upstream

log = structlog.get_logger()
PAGE = 1_000
OFFLINE_S = 0.4  # how long messages wait for a link to return; the tick adds half a second
STARTING_S = 1.0  # the same for links that have just been begun
START = (0, 0)
Places = dict[tuple[int, str], tuple[int, int]]  # by priority and account


class Failover:
    """Of all upstreams of a node; `tick` is called twice a second."""

    def __init__(self, core: 'Core') -> None:
        self.moved = 0
        self._core = core
        self._pulling: set[str] = set()
        self._places: dict[str, Places] = {}  # how far the lanes of an upstream have been looked through
        self._available: frozenset[str] = frozenset()
        self._table: RouteTable | None = None
        self._others: dict[str, frozenset[str]] = {}

    def tick(self, now: float) -> None:
        """Move what can be moved."""
        core = self._core
        if core.draining:
            return
        available = frozenset(name for name, upstream in core.upstreams.items() if upstream.available)
        if available - self._available:  # what nobody could take may have somewhere to go now
            self._places.clear()
        self._available = available
        for upstream in core.upstreams.values():
            if not upstream.available:
                self._leave(upstream, now)

    def leave_now(self, upstream: 'Upstream') -> None:
        """Somebody switched an upstream off: take out of its memory what waits there."""
        if not upstream.feed.outbox.offline:
            self._go_offline(upstream)

    def _leave(self, upstream: 'Upstream', now: float) -> None:
        feed = upstream.feed
        if feed.on_hold or (upstream.draining and upstream.connected):
            return
        may_return = now - feed.idle_since <= OFFLINE_S or now - upstream.started_at <= STARTING_S
        if may_return and not (upstream.reachable or feed.off):
            return
        if not (upstream.reachable or feed.outbox.offline):
            self._go_offline(upstream)
        if not self._has_others(upstream):
            return
        if feed.outbox.offline:
            if feed.outbox.on_disk and upstream.name not in self._pulling:
                self._pulling.add(upstream.name)
                self._core.add_task(self._pull(upstream), f'failover {upstream.name}')
        elif upstream.reachable and upstream.failing:
            self.leave_memory(upstream)

    def _go_offline(self, upstream: 'Upstream') -> None:
        self._places.pop(upstream.name, None)
        messages = upstream.feed.outbox.go_offline()
        self._dispatch(messages)
        if messages:
            log.info('failover.memory', upstream=upstream.name, messages=len(messages))

    # Which ones have another

    def _has_others(self, upstream: 'Upstream') -> bool:
        """Return whether some route names an upstream beside this one that is available."""
        if self._table is not self._core.table:
            self._table = self._core.table
            self._others = others_of(self._table)
        return bool(self._others.get(upstream.name, frozenset()) & self._available)

    def _may_leave(self, upstream: 'Upstream', message: Message) -> bool:
        """Return whether a message may go by another upstream that is available."""
        core = self._core
        if not message.upstreams:  # it was read from disk
            core.decide(message)
        return any(name in self._available and name != upstream.name for name in message.upstreams)

    # In memory

    def leave_memory(self, upstream: 'Upstream') -> None:
        """Take what may go elsewhere from the memory of an upstream whose links are bound, and that fails."""
        outbox, long_messages = upstream.feed.outbox, upstream.long_messages
        if not (outbox.in_memory and self._has_others(upstream)):
            return
        leaving = outbox.find(
            lambda message: self._may_leave(upstream, message) and not long_messages.is_bound_here(message)
        )
        if leaving:
            outbox.withdraw_all(leaving)
            self._dispatch(leaving)
            outbox.refill()
            log.info('failover.memory', upstream=upstream.name, messages=len(leaving))

    def _dispatch(self, messages: Iterable[Message]) -> None:
        core = self._core
        names = {dispatch(core, message) for message in messages}
        for name in names:
            if name:
                core.upstreams[name].feed.pump()

    # On disk

    async def _pull(self, upstream: 'Upstream') -> None:
        """Let others take what waits on disk for an upstream that cannot be reached, the urgent first, a page of each
        account in turn.
        """
        try:
            places = self._places.setdefault(upstream.name, {})
            moved = 0
            lanes = [
                lane for lane in upstream.feed.outbox.lanes if (lane.on_disk or lane.deferred) and not lane.is_held
            ]
            for priority in range(PRIORITIES - 1, -1, -1):
                turns = deque(lane.account for lane in lanes if lane.priority == priority)
                while turns and self._may_pull(upstream, places):
                    key = priority, turns.popleft()
                    found, taken = await self._core.shelf.alone(partial(self._pull_page, upstream, key, places))
                    if found == PAGE:
                        turns.append(key[1])
                    moved += taken
            self.moved += moved
            if moved:
                log.info('failover.disk', upstream=upstream.name, messages=moved)
        finally:
            self._pulling.discard(upstream.name)

    def _may_pull(self, upstream: 'Upstream', places: Places) -> bool:
        core = self._core
        feed = upstream.feed
        if core.draining or feed.on_hold or not feed.outbox.offline or self._places.get(upstream.name) is not places:
            return False
        others = self._others.get(upstream.name, frozenset()) & self._available
        outboxes = [core.upstreams[name].feed.outbox for name in others if name in core.upstreams]
        return any(outbox.room * 2 > outbox.capacity for outbox in outboxes)

    async def _pull_page(self, upstream: 'Upstream', key: tuple[int, str], places: Places) -> tuple[int, int]:
        """Move a page of what is due in one lane; in the shelf's worker. Return how much there was, and was moved."""
        core, shelf, outbox = self._core, self._core.shelf, upstream.feed.outbox
        departures = outbox.departures
        with shelf.noting_who_leaves() as left:
            stretch = Stretch(*key, places.get(key, START), PAGE)
            (rows,) = await core.store.waiting.fetch(outbox.name, [stretch], shelf.end_of_lane())
            at_rest = [row.message for row in shelf.at_rest(rows, left)]
        if outbox.departures != departures or not outbox.offline or core.upstreams.get(upstream.name) is not upstream:
            return 0, 0
        leaving = [message for message in at_rest if self._may_leave(upstream, message)]
        outbox.count(outbox.lane(*key), due=-len(leaving))
        for message in leaving:
            shelf.hold(message, outbox)
        self._dispatch(leaving)
        if rows:
            places[key] = (rows[-1].due_at, rows[-1].seq)
        return len(rows), len(leaving)


def others_of(table: 'RouteTable') -> dict[str, frozenset[str]]:
    """Return for each upstream those that some route names beside it."""
    others: dict[str, set[str]] = {}
    for rule in table.rules:
        first = {*rule.action.upstreams, *(name for name, _ in rule.action.shares)}
        for names in (first, set(rule.retry.upstreams) if rule.retry else set()):
            for name in names:
                others.setdefault(name, set()).update(names - {name})
    return {name: frozenset(beside) for name, beside in others.items()}
