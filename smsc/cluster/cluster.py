"""This node among the others: it beats, and takes over what dead ones leave. Alone, it keeps its low-water mark."""

import asyncio
from typing import TYPE_CHECKING

import structlog

from domain.errors import StoreUnavailable
from smsc.cluster.beating import Beating
from smsc.cluster.takeover import take_over

if TYPE_CHECKING:
    from smsc.core import Core

BEAT_S = 1.0

log = structlog.get_logger()


class Cluster:
    """The cluster as one node sees it."""

    def __init__(self, core: 'Core') -> None:
        self._core = core
        self.beating = Beating(core.store.membership, core.configuration.cluster, core.fence, core.loop.time)
        self.taken_over = 0
        self._floor: int | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._taking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to beat; until `take_up` the low-water mark stays as the node before left it."""
        self._floor = await self._core.store.low_water()
        await self.beat()
        self._tasks = [asyncio.create_task(self._keep_beating(), name='beat')]

    def take_up(self) -> None:
        """What the node before left is back in memory."""
        self._floor = None

    async def stop(self) -> None:
        """Beat no more; call `beat` once more when all is settled."""
        for task in (*self._tasks, *([self._taking] if self._taking else [])):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def beat(self) -> None:
        """Commit that this node lives, and its low-water mark: the oldest message that memory alone knows."""
        core = self._core
        low_water = self._floor if self._floor is not None else next(iter(core.live), core.ids.last)
        await self.beating.beat(low_water)

    async def _keep_beating(self) -> None:
        while True:
            try:
                await self.beat()
                self._look_for_dead()
            except StoreUnavailable as error:
                log.warning('cluster.later', reason=str(error))
            except Exception:
                log.exception('cluster.error')
            await asyncio.sleep(BEAT_S)

    def _look_for_dead(self) -> None:
        """Take the work of one dead node over at a time."""
        busy = self._taking is not None and not self._taking.done()
        if self.beating.config is None or busy or self._floor is not None or self._core.draining:
            return
        for row in self.beating.dead:
            self._taking = asyncio.create_task(self._take_over(row.node), name='take over')
            return

    async def _take_over(self, node: int) -> None:
        row = self.beating.seen[node].row
        try:
            self.taken_over += await take_over(self._core, row)
        except StoreUnavailable as error:
            log.warning('cluster.later', reason=str(error))
        except Exception:
            log.exception('cluster.error')
