"""A node's beat, and who else's has stopped.

A beat that is committed lets this node send for half of `cluster.dead_s`; others take it for dead when they have seen
its beat stand still for all of it, by their own monotonic clocks. Time in which a node could not look is not counted:
after the store was away, everybody's beat has stood still.
"""

from collections.abc import Callable

import msgspec

from smsc.cluster.fence import Fence
from smsc.config.cluster_schema import ClusterConfig
from storage.membership import Membership, NodeRow

BLIND_S = 3.0  # between two looks; what stood still meanwhile may have moved unseen
FENCED_FRACTION = 0.5  # of `dead_s`


class Seen(msgspec.Struct):
    """A node's beat as it was seen last, and when it had moved, in monotonic seconds."""

    row: NodeRow
    moved_at: float

    @property
    def has_work(self) -> bool:
        """Nobody has taken all of its work over."""
        return not self.row.is_taken


class Beating:
    """The beat of one node; without `config` it is alone, and only its low-water mark matters."""

    def __init__(
        self, membership: Membership, config: ClusterConfig | None, fence: Fence, clock: Callable[[], float]
    ) -> None:
        self.config = config
        self.fence = fence
        if config is not None:
            fence.until = clock()  # until the first beat
        self.seen: dict[int, Seen] = {}
        self._membership = membership
        self._clock = clock
        self._low_water = 0
        self._beat_at = self._looked_at = 0.0

    async def beat(self, low_water: int) -> None:
        """Commit that this node lives, and its low-water mark. Raises Fenced when its work was taken over."""
        if self.config is None and low_water == self._low_water:
            return
        began_at = self._clock()
        rows = await self._membership.beat(low_water)
        self._low_water = low_water
        if self.config is not None:
            self.fence.until = began_at + self.config.dead_s * FENCED_FRACTION
            self._look(rows, began_at)

    def _look(self, rows: list[NodeRow], began_at: float) -> None:
        now = self._clock()
        was_blind = now - self._looked_at > BLIND_S  # not since the beat began: it may have waited for the store
        self._beat_at, self._looked_at = began_at, now
        others = {}
        for row in rows:
            if row.node == self._membership.node:
                continue
            seen = self.seen.get(row.node)
            moved = seen is None or was_blind or (seen.row.epoch, seen.row.beat) != (row.epoch, row.beat)
            others[row.node] = Seen(row, now if moved or seen is None else seen.moved_at)
        self.seen = others

    @property
    def own_age_s(self) -> float:
        """How long ago this node's last beat that was committed began."""
        return self._clock() - self._beat_at

    def is_alive(self, node: int) -> bool:
        """Return whether another node beats."""
        seen = self.seen.get(node)
        return seen is not None and seen.has_work and not self._stands_still(seen)

    @property
    def alive(self) -> list[int]:
        """The other nodes that beat."""
        return [node for node in self.seen if self.is_alive(node)]

    @property
    def dead(self) -> list[NodeRow]:
        """Nodes whose beat stands still and whose work nobody takes over, or somebody who is dead as well."""
        return [
            seen.row
            for seen in self.seen.values()
            if seen.has_work
            and self._stands_still(seen)
            and (seen.row.taker in (None, self._membership.node) or not self.is_alive(seen.row.taker))
        ]

    @property
    def taken(self) -> list[NodeRow]:
        """Nodes whose work was taken over and that are not back, if this node is the one to look after them."""
        if any(node < self._membership.node for node in self.alive):
            return []
        return [seen.row for seen in self.seen.values() if seen.row.is_taken]

    def _stands_still(self, seen: Seen) -> bool:
        assert self.config is not None
        return self._clock() - seen.moved_at > self.config.dead_s
