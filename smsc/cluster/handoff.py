"""Messages on their way to another node, which has the link to their upstream or the sessions of their account.

They go as rows on that node's disk, in the commit that puts them on disk anyway; a poke says so. What waited here when
the link or the sessions came up elsewhere is given away page by page, in the shelf's worker. Rows that memory has taken
up stay until they are put back.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import structlog

from domain.errors import StoreUnavailable
from domain.message import Message
from smsc.clock import wall_ms
from smsc.cluster.takeover import count_in
from smsc.lanes import PRIORITIES
from smsc.outbox import Elsewhere, Outbox
from storage.takeover import Moved

if TYPE_CHECKING:
    from smsc.core import Core

PAGE = 5_000
MAX_MOVED = 100_000
MAX_NAME = 64
CLOCKS_APART_MS = 5_000  # how much the clock of another node may be ahead; what it gives waits for the rest of it

log = structlog.get_logger()


class Handoff:
    """What one node gives to others, and gets from them."""

    def __init__(self, core: 'Core', publish: Callable[[int, bytes], object]) -> None:
        """`publish` sends octets to a node."""
        self.given = 0
        self.got = 0
        self._core = core
        self._publish = publish
        self._decoder = msgspec.json.Decoder(list[Moved])
        self._giving: set[str] = set()
        core.shelf.on_handed = self.handle_handed

    # To others

    def handle_handed(self, handed: list[tuple[Elsewhere, Message]], due_at: int) -> None:
        """Messages are committed on other nodes' disks: they count there, and are to be looked for."""
        counts: dict[int, dict[tuple[str, int, str], int]] = defaultdict(lambda: defaultdict(int))
        for elsewhere, message in handed:
            if elsewhere.name.startswith('upstream '):
                self._core.count_sent(message)
            counts[elsewhere.node][elsewhere.name, message.priority, message.account] += 1
        for node, lanes in counts.items():
            self._poke(node, [Moved(*lane, count, due_at) for lane, count in lanes.items()])
        self.given += len(handed)

    def _poke(self, node: int, moved: list[Moved]) -> None:
        self._publish(node, msgspec.json.encode(moved))

    def give(self, outbox: Outbox) -> None:
        """Give away what waits on disk here, as work of its own."""
        if outbox.name not in self._giving:
            self._giving.add(outbox.name)
            self._core.add_task(self._give_all(outbox), f'hand off {outbox.name}')

    async def _give_all(self, outbox: Outbox) -> None:
        given = 0
        try:
            while outbox.offline and outbox.elsewhere is not None and not self._core.draining:
                count = await self._core.shelf.alone(partial(self.give_page, outbox, outbox.elsewhere))
                given += count
                if count < PAGE:
                    break
        except StoreUnavailable as error:
            log.warning('cluster.later', reason=str(error))
        finally:
            self._giving.discard(outbox.name)
        if given:
            log.info('cluster.handed_off', outbox=outbox.name, messages=given)

    async def give_page(self, outbox: Outbox, elsewhere: Elsewhere) -> int:
        """Give a page away; return how much of it there was."""
        core = self._core
        if not outbox.offline or outbox.elsewhere is not elsewhere:
            return 0
        now_ms = core.shelf.end_of_lane()
        count, moved = 0, []
        for lane in sorted(outbox.lanes, key=lambda lane: -lane.priority):
            if count < PAGE and (lane.on_disk or lane.deferred):
                place, keep = (outbox.name, lane.priority, lane.account), core.shelf.taken_up
                for part in await core.store.waiting.give(place, elsewhere.node, now_ms, keep, PAGE - count):
                    moved.append(part)
                    count += part.messages
        for part in moved:
            outbox.count_out(part.account, part.priority, part.messages)
            if outbox.name.startswith('upstream '):
                core.account(part.account).waiting -= part.messages
        if moved:
            self._poke(elsewhere.node, moved)
        self.given += count
        return count

    # From others

    def take(self, octets: bytes) -> None:
        """Another node has put messages on this one's disk."""
        try:
            moved = self._decoder.decode(octets)
        except msgspec.DecodeError:
            return
        self._count_in(moved[:MAX_MOVED])

    def _count_in(self, moved: Iterable[Moved]) -> None:
        now_ms = wall_ms()
        for lane in moved:
            if 0 < lane.messages <= MAX_MOVED and 0 <= lane.priority < PRIORITIES and len(lane.account) <= MAX_NAME:
                if lane.first_due_at <= now_ms + CLOCKS_APART_MS:  # due by the clock of that node: so it is here
                    self._core.shelf.rise_to(lane.first_due_at)
                count_in(self._core, lane)
                self.got += lane.messages
