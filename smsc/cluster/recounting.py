"""How many messages of each account wait at this node, counted anew now and then.

Messages come to a node's disk by the hand of another node, which says how many in a poke that may be lost. What waits
is therefore held against what is there: what memory has, and what the store has of this node beside that. A poke that
is under way looks like one that was lost; so what differs twice in a row is put right, by the lesser of both
differences, and what was put right wrongly differs the next time. Rows that the shelf finds unannounced are counted at
once, before they are read.
"""

from typing import TYPE_CHECKING

import structlog

from domain.message import Message

if TYPE_CHECKING:
    from smsc.core import Core

EVERY_S = 10.0
CONFIRM_S = 0.5  # much longer than a poke takes
MOST = 500_000  # on disk; with more there, counting would keep the traffic from the disk
COST = 100  # the next look is so many times as far away as the last one took

log = structlog.get_logger()


class Recounting:
    """The counts of one node."""

    def __init__(self, core: 'Core') -> None:
        self._core = core
        self._before: dict[str, int] | None = None  # the differences of a look that is to be confirmed, by account
        self._due_at = 0.0
        self._took_s = 0.0
        core.shelf.on_forgotten = self.count_found

    async def tick(self, now: float) -> None:
        """Look whether the counts are right, when it is time for that."""
        core = self._core
        if now < self._due_at or core.draining or not core.store.health.available:
            return
        found = await core.shelf.alone(self._look)
        before, self._before = self._before, None
        if before is not None:
            for name, difference in found.items():
                if before.get(name, 0) * difference > 0:
                    self._put_right(name, min(before[name], difference, key=abs))
        elif found:
            self._before = found
        pause_s = CONFIRM_S if self._before else EVERY_S
        self._due_at = core.loop.time() + max(pause_s, COST * self._took_s)

    async def count_found(self) -> None:
        """Count what came unannounced; in the shelf's worker."""
        for name, difference in (await self._look()).items():
            if difference > 0:
                self._put_right(name, difference)

    def _put_right(self, name: str, difference: int) -> None:
        self._core.account(name).waiting += difference
        log.info('account.recounted', account=name, difference=difference)

    async def _look(self) -> dict[str, int]:
        """Return by account how many more wait than are counted, nothing when that cannot be told; in the shelf's
        worker.
        """
        core = self._core
        marks, began_at = self._marks(), core.loop.time()
        counts = await core.store.queues.count_at_rest(core.shelf.taken_up, MOST)
        if counts is None or marks != self._marks():
            return {}
        known: dict[int, Message] = core.live | core.shelf.in_memory
        for message in known.values():
            if message.counted:
                counts[message.account] = counts.get(message.account, 0) + 1
        self._took_s = core.loop.time() - began_at
        found = {name: counts.pop(name, 0) - account.waiting for name, account in core.accounts.items()} | counts
        return {name: difference for name, difference in found.items() if difference}

    def _marks(self) -> tuple[int, ...]:
        """What changes when messages come from other nodes, or memory forgets what it had read."""
        core = self._core
        departures = [upstream.feed.outbox.departures for upstream in core.upstreams.values()]
        return core.cluster.handoff.got, *departures
