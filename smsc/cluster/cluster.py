"""This node among the others: it beats, takes over what dead ones leave, and knows who has which sessions and links.

Alone, it only keeps its low-water mark.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import structlog

from domain.errors import StoreUnavailable
from smsc.clock import wall_ms
from smsc.cluster.asking import Asking
from smsc.cluster.beating import Beating
from smsc.cluster.bind_counts import BindCounts
from smsc.cluster.counters import TELL_S, Counters
from smsc.cluster.handoff import Handoff
from smsc.cluster.links import LinkLeases
from smsc.cluster.presence import Peers, Presence, node_of_account, node_of_upstream
from smsc.cluster.receipts import ReceiptExchange
from smsc.cluster.recounting import Recounting
from smsc.cluster.shares import Shares
from smsc.cluster.takeover import take_late, take_over
from smsc.outbox import Elsewhere, Outbox
from smsc.recovery import rehome
from storage.between import Between, BetweenAway
from storage.membership import TAKER_PATIENCE_S

if TYPE_CHECKING:
    from smsc.core import Core

BEAT_S = 1.0
LATE_S = 5.0  # how often somebody looks whether anything was given to a node after it had died
SAY_S = 0.25
SAY_AGAIN_S = 1.0
SHARE_S = 0.25
PATIENCE_S = 2.0  # with Redis at the start, before this node goes on without it
LISTEN_POLL_S = 0.02
LEASE_EVERY = 4  # shares are asked for that many times before leases and counts are told again

log = structlog.get_logger()


class Cluster:
    """The cluster as one node sees it."""

    def __init__(self, core: 'Core') -> None:
        self._core = core
        self.beating = Beating(core.store.membership, core.configuration.cluster, core.fence, core.loop.time)
        self.taken_over = 0
        self.peers = Peers(core.configuration.node)
        configuration = core.configuration
        self.between: Between | None = None
        if configuration.cluster is not None and configuration.store.redis is not None:
            self.between = Between(configuration.store.redis, configuration.cluster.name, self._handle)
        self.shares = Shares(core, self.between, self.living)
        self.links = LinkLeases(core, self.between, self.living)
        self.bind_counts = BindCounts(core, self.between, self.living, self.peers)
        self.handoff = Handoff(core, partial(self._publish, 'moved'))
        self.receipts = ReceiptExchange(core, partial(self._publish, 'receipts'))
        self.recounting = Recounting(core)
        self.asking = Asking(core.configuration.node, self._publish, self._is_fenced)
        self.counters = Counters(core, self._tell_all, self.between is not None)
        self.parts = self.counters.parts
        self.counters.serve(self.asking.handlers)
        self.alive_peers: tuple[int, ...] = ()
        self._handlers: dict[str, Callable[[bytes], None]] = {}
        self._said: Presence | None = None
        self._said_at = 0.0
        self._is_alone = False
        self._floor: int | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._taking: asyncio.Task[None] | None = None
        self._late_at = 0.0
        self.homeless: set[str] = set()  # outboxes on disk here of upstreams that this node does not have

    async def start(self) -> None:
        """Begin to beat; until `take_up` the low-water mark stays as the node before left it."""
        patience_s = TAKER_PATIENCE_S if self.beating.config is not None else 0
        await self._core.store.hold_number(wall_ms(), patience_s)
        self._floor = await self._core.store.low_water()
        await self.beat()
        self._tasks = [asyncio.create_task(self._keep_beating(), name='beat')]
        between = self.between
        if between is not None:
            own = {
                'moved': self.handoff.take,
                'receipts': self.receipts.take,
                'asked': self.asking.handle_question,
                'answered': self.asking.handle_answer,
            }
            node = self._core.configuration.node
            self._handlers = {between.key(kind, node): take for kind, take in own.items()}
            self._handlers[between.key('presence')] = self._handle_presence
            self._handlers[between.key('counted')] = self.counters.take
            await between.start(tuple(self._handlers))

    def take_up(self) -> None:
        """What the node before left is back in memory: this node is one of the others from now on."""
        self._floor = None
        self.asking.answers_now = True
        if self.between is not None:
            self._tasks.append(asyncio.create_task(self._keep_placing(), name='presence'))
            self._tasks.append(asyncio.create_task(self._keep_telling(), name='counters'))
        if self.beating.config is not None:
            self._tasks.append(asyncio.create_task(self._keep_sharing(), name='shares'))
            self._tasks.append(asyncio.create_task(self._keep_looking(), name='look'))

    async def stop(self) -> None:
        """Beat no more; call `beat` once more when all is settled."""
        for task in (*self._tasks, *([self._taking] if self._taking else [])):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self.asking.stop()
        if self.between is not None:
            self.counters.tell()
            await self._leave()
            await self.between.stop()

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
        now = self._core.loop.time()
        if self.homeless or (now >= self._late_at and self.beating.taken):
            self._late_at = now + LATE_S
            self._taking = asyncio.create_task(self._take_late(), name='take what came late')

    async def _take_late(self) -> None:
        try:
            for row in self.beating.taken:
                await take_late(self._core, row)
            while self.homeless:  # nobody here would read them
                await rehome(self._core, self.homeless.pop())
        except StoreUnavailable as error:
            log.warning('cluster.later', reason=str(error))
        except Exception:
            log.exception('cluster.error')

    async def _take_over(self, node: int) -> None:
        row = self.beating.seen[node].row
        try:
            if await take_over(self._core, row):
                self.taken_over += 1
                await self.receipts.load_parked()
        except StoreUnavailable as error:
            log.warning('cluster.later', reason=str(error))
        except Exception:
            log.exception('cluster.error')

    # What is shared

    def living(self) -> list[int]:
        """The nodes that live, this one included; all there are while this one does not know: the store is away."""
        beating, core = self.beating, self._core
        blind = core.loop.time() >= core.fence.until
        others = [node for node, seen in beating.seen.items() if seen.has_work] if blind else beating.alive
        return [core.configuration.node, *others]

    async def until_shared(self) -> None:
        """Wait a while for this node's shares of the limits: without them it would throttle whoever comes first."""
        until = self._core.loop.time() + PATIENCE_S
        while self.beating.config is not None and not self.shares.are_known and self._core.loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(SHARE_S / 4)

    async def _keep_sharing(self) -> None:
        turn, since = 0, self._core.loop.time()
        while True:
            try:
                await self._share(turn % LEASE_EVERY == 0 or self.links.is_due)
            except BetweenAway as error:
                if self._core.loop.time() - since > PATIENCE_S:
                    self._go_alone(error)
            except Exception:
                log.exception('cluster.error')
            turn += 1
            await asyncio.sleep(SHARE_S)

    def _go_alone(self, error: BetweenAway) -> None:
        """Redis is away."""
        self.shares.take_even()
        if not self._is_alone:
            effect = 'no links are taken; shares of limits stay as they are'
            log.warning('cluster.alone', reason=str(error), effect=effect)
        self._is_alone = True

    async def _share(self, leases: bool) -> None:
        """Raises BetweenAway."""
        now = self._core.loop.time()
        self.bind_counts.note_waiting(now)
        await self.shares.tick()
        if leases:
            self.shares.share_senders(now)
            await self.links.tick()
            await self.bind_counts.tick()
        self._is_alone = False

    async def _leave(self) -> None:
        """Let the others have what was this node's."""
        try:
            await self.shares.leave()
            await self.links.leave()
            await self.bind_counts.leave()
        except BetweenAway as error:
            log.info('cluster.left_silently', reason=str(error))

    # What was counted

    async def hear_others(self) -> None:
        """Return once this node hears what others tell, or has waited for Redis long enough."""
        until = self._core.loop.time() + PATIENCE_S
        between = self.between
        while between is not None and not between.available and self._core.loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(LISTEN_POLL_S)

    async def _keep_telling(self) -> None:
        while True:
            try:
                self.counters.tell()
                await self.parts.judge_due()
            except Exception:
                log.exception('cluster.error')
            await asyncio.sleep(TELL_S)

    def _tell_all(self, octets: bytes) -> bool:
        if self.between is None or not self.between.available:
            return False
        self.between.publish(self.between.key('counted'), octets)
        return True

    # Who has what

    def _publish(self, kind: str, node: int, octets: bytes) -> bool:
        if self.between is None or not self.between.available:
            return False
        self.between.publish(self.between.key(kind, node), octets)
        return True

    @property
    def others(self) -> list[int]:
        """The other nodes that may have messages: whoever lives, and the dead until their work is taken over."""
        working = {node for node, seen in self.beating.seen.items() if seen.has_work}
        heard = {presence.node for presence in self.peers.fresh(self._core.loop.time())}  # some before their first beat
        return sorted(working | heard)

    def _handle(self, channel: str, octets: bytes) -> None:
        self._handlers[channel](octets)

    def _is_fenced(self) -> bool:
        return self._core.fence.until < self._core.loop.time()

    def _handle_presence(self, octets: bytes) -> None:
        self.peers.take(octets, self._core.loop.time())

    async def _keep_placing(self) -> None:
        while True:
            try:
                self.say()
                self.place()
                self.receipts.tick(self._core.loop.time())
            except Exception:
                log.exception('cluster.error')
            await asyncio.sleep(SAY_S)

    async def _keep_looking(self) -> None:
        """Ask the store now and then for what other nodes may have done there."""
        while True:
            try:
                await self.receipts.look()
                await self.recounting.tick(self._core.loop.time())
            except StoreUnavailable as error:
                log.warning('cluster.later', reason=str(error))
            except Exception:
                log.exception('cluster.error')
            await asyncio.sleep(SAY_S)

    def say(self) -> None:
        """Let the others know what is here, if it has changed or they should hear of it again."""
        now, presence = self._core.loop.time(), self.presence()
        if self.between is not None and (presence != self._said or now - self._said_at >= SAY_AGAIN_S):
            self._said, self._said_at = presence, now
            self.between.publish(self.between.key('presence'), msgspec.json.encode(presence))

    def presence(self) -> Presence:
        """Return what is here; a node that drains has nothing for others."""
        core = self._core
        node, epoch = core.configuration.node, core.store.membership.epoch
        if core.draining:
            return Presence(node, epoch)
        bound = [account for account in core.accounts.values() if account.sessions]
        upstreams = [upstream for upstream in core.upstreams.values() if upstream.feed.online]
        return Presence(
            node,
            epoch,
            {account.name: len(account.feed.connections) for account in bound if account.feed.online},
            {account.name: len(account.sessions) for account in bound},
            {upstream.name: len(upstream.feed.connections) for upstream in upstreams},
            {account.name: account.waiting for account in core.accounts.values() if account.waiting},
        )

    def place(self) -> None:
        """Have each outbox without a reader here lead to the node that has one."""
        core = self._core
        if core.draining:
            return
        # A dead node is still fresh for a while; what it were given once its work is taken over, nobody would find.
        peers = [peer for peer in self.peers.fresh(core.loop.time()) if self.beating.is_alive(peer.node)]
        self.alive_peers = tuple(presence.node for presence in peers)
        for account in core.accounts.values():
            outbox = account.feed.outbox
            if not account.feed.online and self._lead(outbox, node_of_account(account.name, peers)):
                if not outbox.offline:
                    for message in outbox.go_offline():
                        outbox.put(message)
                self._give(outbox)
        for upstream in core.upstreams.values():
            outbox = upstream.feed.outbox
            if not upstream.feed.online:
                found = not upstream.feed.off and self._lead(outbox, node_of_upstream(upstream.name, peers))
                upstream.see_availability()
                if found:
                    core.failover.leave_now(upstream)
                    self._give(outbox)

    @staticmethod
    def _lead(outbox: Outbox, node: int | None) -> bool:
        """Have an outbox lead to a node; return whether it leads anywhere."""
        if node is None:
            outbox.elsewhere = None
        elif outbox.elsewhere is None or outbox.elsewhere.node != node:
            outbox.elsewhere = Elsewhere(outbox.name, node)
        return node is not None

    def _give(self, outbox: Outbox) -> None:
        if outbox.on_disk:
            self.handoff.give(outbox)
