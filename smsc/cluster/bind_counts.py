"""How many sessions an account has over all nodes (wire.md B7), and how many of its messages wait.

A bind is counted in Redis before it is answered (bind_counts.lua), so that several nodes together let no more in than
the account may have; what ends is told at once, and each node tells all of its counts now and then. A dead node's do
not count. Without Redis, what the others said last counts, of those that live.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from smsc.cluster.presence import Peers
from smsc.cluster.scripts import script
from storage.between import Between, BetweenAway

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.core import Core

SCRIPT = script('bind_counts')
PAGE = 200  # accounts a question
LEARNING_S = 3.0  # a Redis that came back may have lost all counts: for so long, what the others said last counts too
MOMENTS = 10**8  # questions of one process; the epoch goes before


class Question(msgspec.Struct):
    """What the script is told; see there. `now` is in seconds, 0 is Redis's own clock."""

    node: int
    moment: int
    living: list[int]
    accounts: list[tuple[int, int, int]]
    now: float = 0


class BindCounts:
    """The counts of one node. `living` returns the nodes that live, this one included."""

    def __init__(self, core: 'Core', between: Between | None, living: Callable[[], list[int]], peers: Peers) -> None:
        self._core = core
        self._between = between
        self._living = living
        self._peers = peers
        self._moment = 0
        self._reserved: Counter[str] = Counter()  # counted, and not yet a session
        self._elsewhere: dict[str, tuple[int, float]] = {}  # sessions at other nodes, and when Redis said so
        self._ended: dict[str, Account] = {}  # accounts whose sessions have ended, to be told
        self._telling = False
        self._told: set[str] | None = None  # accounts whose count was not 0; at the start that of any may not be
        self._lock = asyncio.Lock()  # counts reach Redis in the order in which they were true

    async def reserve(self, account: 'Account') -> bool:
        """Count one session more, unless that is too many; call `settle` when it is one, or will be none."""
        assert account.config is not None
        binds = account.config.binds
        try:
            fits = await self._ask([account], binds)
        except BetweenAway:
            fits = self._count(account) + self._last_said(account.name) < binds
            self._reserved[account.name] += fits
        return fits

    def settle(self, account: 'Account') -> None:
        """What was reserved is a session now, or will be none."""
        self._reserved[account.name] -= 1
        if not self._reserved[account.name]:
            del self._reserved[account.name]

    def tell(self, account: 'Account') -> None:
        """Sessions have ended: let the other nodes count without them, as work of its own."""
        if self._between is not None and self._between.available:
            self._ended[account.name] = account
            if not self._telling:
                self._telling = True
                self._core.add_task(self._tell_ended(), 'count binds')

    async def tick(self) -> None:
        """Tell all counts. Raises BetweenAway."""
        told = self._told
        accounts = [
            account
            for account in self._core.accounts.values()
            if told is None or account.name in told or account.sessions or self._reserved[account.name]
        ]
        for start in range(0, len(accounts), PAGE):
            await self._ask(accounts[start : start + PAGE])
        self._told = {account.name for account in accounts if self._count(account)}

    async def leave(self) -> None:
        """All sessions have ended. Raises BetweenAway."""
        await self.tick()

    def note_waiting(self, now: float) -> None:
        """Have messages that wait at other nodes count for the bound of each account (wire.md C34)."""
        elsewhere: Counter[str] = Counter()
        for presence in self._peers.fresh(now):
            elsewhere.update(presence.waiting)
        for account in self._core.accounts.values():
            if account.config is not None:
                account.waiting_bound = account.config.waiting - elsewhere[account.name]

    async def _tell_ended(self) -> None:
        try:
            while self._ended:
                accounts = list(self._ended.values())[:PAGE]
                for account in accounts:
                    del self._ended[account.name]
                await self._ask(accounts)
        except BetweenAway:
            self._ended.clear()  # `tick` does it again
        finally:
            self._telling = False

    def _count(self, account: 'Account') -> int:
        return len(account.sessions) + self._reserved[account.name]

    def _last_said(self, name: str) -> int:
        """Return how many sessions others had when that was heard of last, here or there."""
        told, told_at = self._elsewhere.get(name, (0, float('-inf')))
        others = [node for node in self._living() if node != self._core.configuration.node]
        if told_at >= self._peers.heard_of(others):
            return told
        return sum(presence.binds.get(name, 0) for presence in self._peers.last(others))

    async def _ask(self, accounts: 'list[Account]', bound: int = 0) -> bool:
        """Tell counts; with a bound, return whether one session more fits the (only) account, and reserve it."""
        if self._between is None or not self._between.available:
            raise BetweenAway('Redis does not answer')
        async with self._lock:
            self._moment += 1
            moment = self._core.store.membership.epoch * MOMENTS + self._moment
            young = self._core.loop.time() - self._between.available_since < LEARNING_S
            lines = [
                (self._count(account), bound, self._last_said(account.name) if young and bound else 0)
                for account in accounts
            ]
            question = Question(self._core.configuration.node, moment, self._living(), lines)
            keys = [self._between.key('binds', account.name) for account in accounts]
            found: list[list[int]] = await self._between.run(SCRIPT, keys, [msgspec.json.encode(question)])
            now = self._core.loop.time()
            self._elsewhere.update((one.name, (others, now)) for one, (_, others) in zip(accounts, found, strict=True))
            fits = bool(bound and found[0][0])
            self._reserved[accounts[0].name] += fits
        return fits
