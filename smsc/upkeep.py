"""What is done on a clock: timers of sessions, outboxes without readers, what ran out of time, partitions, the low-
water mark. Costs nothing per message.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import structlog

from domain.errors import StoreUnavailable
from domain.ids import first_id
from pdu.receipt_text import MessageState
from smsc.clock import CLOCK, wall_ms
from smsc.core import HOUR_MS
from smsc.next_routes import POLL_S as MISSING_POLL_S
from smsc.outbox import Outbox
from smsc.receipts import PARKED_KEEP_MS
from smsc.switches import POLL_S

if TYPE_CHECKING:
    from smsc.feed import Feed
    from smsc.node import Node

log = structlog.get_logger()

TICK_S = 0.5
ACCOUNT_OFFLINE_S = 5.0
CACHE_MS = 600_000  # how long a message waits for its receipt in memory
SWEEP_S = 10.0
HANDED_S = 1.0  # how often a node looks for what others have put on its disk without being heard
EXPIRY_S = 1.0  # how often what ran out of time on disk is looked for, where anything waits there
PARTITIONS_S = 600.0
CREDIT_S = 1.0  # how often balances are looked at again for which messages were refused
OVERDUE_S = 3_600.0
OVERDUE_PAGE = 1_000


class Upkeep:
    """The clockwork of one node."""

    def __init__(self, node: 'Node') -> None:
        self._node = node
        self._core = node.core
        self._sweep_at = 0.0
        self._expiry_at = self._recount_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, in tasks of its own."""
        self._tasks = [
            asyncio.create_task(self._every(TICK_S, self._tick), name='tick'),
            asyncio.create_task(self._every(PARTITIONS_S, self._keep_partitions), name='partitions'),
            asyncio.create_task(self._every(OVERDUE_S, self._end_overdue), name='overdue'),
            asyncio.create_task(self._every(CREDIT_S, self._core.store.credit.refresh), name='credit'),
            asyncio.create_task(self._every(POLL_S, self._node.switchboard.read), name='switches'),
            asyncio.create_task(self._every(MISSING_POLL_S, self._core.next_routes.poll), name='missing receipts'),
        ]

    async def stop(self) -> None:
        """End the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except StoreUnavailable as error:
                log.warning('upkeep.later', reason=str(error))
            except Exception:
                log.exception('upkeep.error')
            await asyncio.sleep(seconds)

    async def _tick(self) -> None:
        self.tick()

    def tick(self) -> None:
        """Let sessions and outboxes do what is due."""
        core, now = self._core, self._core.loop.time()
        CLOCK.follow()
        self._node.listener.tick(now)
        self._node.mo.tick(now)
        for upstream in core.upstreams.values():
            upstream.tick(now)
            self._tick_outbox(upstream.feed.outbox)
            upstream.feed.pump()
        core.failover.tick(now)
        core.joining.tick(now)
        core.policy.tick()
        for account in core.accounts.values():
            self._tick_outbox(account.feed.outbox)
            if self._reader_is_away(account.feed, now, ACCOUNT_OFFLINE_S):
                for message in account.feed.outbox.go_offline():
                    account.feed.outbox.put(message)
            account.feed.pump()
        if now >= self._expiry_at:
            self._expiry_at = now + EXPIRY_S
            self._look_for_expired()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_S
            core.shelf.sweep()
            for upstream in core.upstreams.values():
                upstream.trim_old(wall_ms() - CACHE_MS)
        if now >= self._recount_at:
            self._recount_at = now + (SWEEP_S if core.configuration.cluster is None else HANDED_S)
            core.shelf.recount([feed.outbox for feed in self._feeds()])
        self._node.ingress.resume()

    def _look_for_expired(self) -> None:
        """Let what ran out of time on disk be looked for; counts may be too low, so a sweep does it in any case."""
        if self._core.store.health.available and any(feed.outbox.on_disk for feed in self._feeds()):
            self._core.shelf.sweep()

    def _feeds(self) -> 'Iterator[Feed]':
        for upstream in self._core.upstreams.values():
            yield upstream.feed
        for account in self._core.accounts.values():
            yield account.feed

    def _tick_outbox(self, outbox: Outbox) -> None:
        if outbox.offline:
            return
        if outbox.on_disk:
            self._core.shelf.want(outbox)
        if outbox.in_memory and outbox.name.startswith('upstream '):
            for message in outbox.remove_expired(wall_ms()):
                self._core.expire(message)

    @staticmethod
    def _reader_is_away(feed: 'Feed', now: float, after_s: float) -> bool:
        return not feed.outbox.offline and not feed.online and now - feed.idle_since > after_s

    async def _keep_partitions(self) -> None:
        core = self._core
        await core.store.receipts.drop_old_parked(wall_ms() - PARKED_KEEP_MS)
        dropped = await core.store.keep_partitions(wall_ms(), core.configuration.retention.messages_d)
        if dropped:
            log.info('store.dropped', days=dropped)

    async def _end_overdue(self) -> None:
        """End messages whose receipt has not come long after their validity: their state stays unknown for good."""
        core = self._core
        timeout_h = max((u.config.receipt_timeout_h for u in core.upstreams.values()), default=72)
        expired_before = wall_ms() - timeout_h * HOUR_MS
        below = first_id(expired_before)
        from_id = 0
        while page := await core.store.overdue(from_id, below, expired_before, OVERDUE_PAGE):
            for message in page:
                core.finish(core.live.get(message.id, message), MessageState.UNKNOWN)
            from_id = page[-1].id + 1
            await core.finishing.catch_up()
            await core.shelf.catch_up()
