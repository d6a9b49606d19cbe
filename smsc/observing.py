"""What metrics need and no counter holds: lag of the event loop, ages of queues, size of the store and its disk.

Looks by itself, some times a minute, so that a scrape reads memory only and costs the traffic nothing. While the store
is away its last answers stand.
"""

import asyncio
import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import structlog

from domain.errors import StoreUnavailable
from domain.ids import accepted_at_ms
from domain.message import Kind, Message
from smsc.clock import wall_ms
from smsc.core import Core
from storage.observed import Observation

LAG_EVERY_S = 0.1
LAG_SAMPLES = 300  # half a minute: more than the time between two scrapes
STORE_EVERY_S = 15.0

log = structlog.get_logger()


class LaneAge:
    """How much waits in one lane of an outbox, and for how long its oldest has, in seconds."""

    __slots__ = ('account', 'age_s', 'depth', 'outbox', 'priority')

    def __init__(self, outbox: str, priority: int, account: str, depth: int, age_s: float) -> None:
        self.outbox = outbox
        self.priority = priority
        self.account = account
        self.depth = depth
        self.age_s = age_s


class Observing:
    """The watch of one node over itself."""

    def __init__(self, core: Core) -> None:
        self.store = Observation()
        self.disk_octets = self.disk_free_octets = 0
        self._core = core
        self._lags: deque[float] = deque(maxlen=LAG_SAMPLES)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, in tasks of its own."""
        self._tasks = [
            asyncio.create_task(self._watch_loop(), name='loop lag'),
            asyncio.create_task(self._watch_store(), name='observing'),
        ]

    async def stop(self) -> None:
        """End the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def loop_lag_s(self) -> float:
        """By how much the event loop was late at most, in the last half minute."""
        return max(self._lags, default=0.0)

    async def _watch_loop(self) -> None:
        loop = self._core.loop
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self._lags.append(max(0.0, loop.time() - due))

    async def _watch_store(self) -> None:
        while True:
            try:
                self.store = await self._core.store.observed.read()
            except StoreUnavailable:
                pass  # the metric of the store's health says so
            except Exception:
                log.exception('observing.error')
            self._look_at_disk(self._core.configuration.data)
            await asyncio.sleep(STORE_EVERY_S)

    def _look_at_disk(self, data: Path) -> None:
        try:
            usage = shutil.disk_usage(data)
        except OSError:
            return
        self.disk_octets, self.disk_free_octets = usage.total, usage.free

    def ages(self) -> Iterator[LaneAge]:
        """Yield every lane that holds anything, upstreams first."""
        now_ms = wall_ms()
        outboxes = [upstream.feed.outbox for upstream in self._core.upstreams.values()]
        outboxes += [account.feed.outbox for account in self._core.accounts.values()]
        for outbox in outboxes:
            for lane in outbox.lanes:
                depth = len(lane.head) + lane.on_disk + lane.deferred
                if depth:
                    key = (outbox.name, lane.priority, lane.account)
                    since_ms = waiting_since_ms(lane.head[0]) if lane.head else self._on_disk_since_ms(key, now_ms)
                    age_s = max(0, now_ms - since_ms) / 1000
                    yield LaneAge(outbox.name, lane.priority, lane.account, depth, age_s)

    def _on_disk_since_ms(self, key: tuple[str, int, str], now_ms: int) -> int:
        """As of the last look at the store."""
        message_id = self.store.heads.get(key)
        return now_ms if message_id is None else accepted_at_ms(message_id)


def waiting_since_ms(message: Message) -> int:
    """Return since when a message waits: for its operator since it was accepted, for its ESME since it was final."""
    return message.done_at if message.kind == Kind.MT and message.done_at else accepted_at_ms(message.id)
