"""Limits that hold for all nodes together: `rate_per_s` of upstreams and accounts (wire.md C5, F4).

Each node works with a share of each limit by itself. A few times a second it says what it holds and what it wants, and
a script in Redis (shares.lua) answers with its new share. The shares are never more than the limit in sum: what a node
gives back is free to others a second after it has stopped using it, and what a dead node held when PostgreSQL says that
it is dead. Without Redis the shares stay as they are; a node that has none yet takes an even part. A limit below the
number of nodes that want it goes round.

The limit of each sender of an account is divided by where the account's sessions are.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from smsc.cluster.scripts import script
from smsc.limits import Rate
from storage.between import Between, BetweenAway

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.core import Core
    from smsc.upstream import Upstream

SCRIPT = script('shares')
IDLE_S = 1.0  # how often a limit that nobody wants anything of is asked for
PAGE = 200  # limits a question
FLOOR_FRACTION = 10  # a node gets at least its even part divided by this
MEMORY = 0.7  # of what was wanted, each time that less is
MOMENTS = 10**8  # questions of one process; the epoch goes before


class Question(msgspec.Struct):
    """What the script is told; see there. Times in seconds, 0 is Redis's own clock."""

    node: int
    moment: int
    living: list[int]
    limits: list[tuple[int, int, int, int, int]]
    now: float = 0
    leaving: bool = False


class Wish(msgspec.Struct):
    """What one node wants of a limit, a second: what it has use for, what it should have anyway, and its weight."""

    demand: float
    floor: int
    weight: int


class Holding(msgspec.Struct):
    """What a node holds of one limit, and what that was then.

    `passed` and `refused` are the rate's counts at `looked_at`, in monotonic seconds.
    """

    rate: Rate
    looked_at: float
    share: int | None = None
    limit: int = 0
    passed: int = 0
    refused: int = 0
    demand: float = 0
    asked_at: float = float('-inf')

    def look(self, now: float) -> tuple[float, float]:
        """Return what passed and what was refused since the last look, a second."""
        seconds = max(now - self.looked_at, 0.01)
        passed, refused = self.rate.passed - self.passed, self.rate.refused - self.refused
        self.looked_at, self.passed, self.refused = now, self.rate.passed, self.rate.refused
        return passed / seconds, refused / seconds

    def take(self, share: int) -> None:
        """Work with another share from now on."""
        self.share, self.limit = share, int(self.rate.limit_per_s)
        self.rate.hold(share)

    def fit(self) -> None:
        """Take less where the limit was lowered: each node its part of that, so that it holds at once."""
        limit = int(self.rate.limit_per_s)
        if self.share is not None and limit < self.limit:
            self.take(self.share * limit // self.limit)


class Shares:
    """The shares of one node. `living` returns the nodes that live, this one included."""

    def __init__(self, core: 'Core', between: Between | None, living: Callable[[], list[int]]) -> None:
        self._core = core
        self._between = between
        self._living = living
        self._holdings: dict[str, Holding] = {}
        self._moment = 0
        self._has_looked = False

    @property
    def are_known(self) -> bool:
        """Whether this node has a share of every limit there is."""
        return self._has_looked and all(
            holding.share or not holding.rate.limit_per_s for holding in self._holdings.values()
        )

    async def tick(self) -> None:
        """Ask for the shares of all limits that are wanted. Raises BetweenAway; nothing has changed then."""
        now = self._core.loop.time()
        due: list[tuple[str, Wish]] = []
        found = set()
        for name, wish in self._limits(now):
            found.add(name)
            holding = self._holdings[name]
            holding.demand = wish.demand = max(wish.demand, holding.demand * MEMORY if holding.demand > 1 else 0)
            if wish.demand or holding.share is None or now - holding.asked_at >= IDLE_S:
                due.append((name, wish))
        for name in self._holdings.keys() - found:
            self._holdings.pop(name).rate.hold(0)  # should it be limited again, it begins with nothing
        self._has_looked = True
        for start in range(0, len(due), PAGE):
            await self._ask(due[start : start + PAGE], now)

    def take_even(self) -> None:
        """Take an even part of each limit of which there is no share yet: Redis does not answer."""
        living = sorted(self._living())
        count = max(2, len(living))
        rank = living.index(self._core.configuration.node)
        for holding in self._holdings.values():
            if holding.share is None:
                limit = int(holding.rate.limit_per_s)
                holding.take(limit // count + (rank < limit % count))

    async def leave(self) -> None:
        """Give everything back. Raises BetweenAway."""
        for holding in self._holdings.values():
            holding.take(0)
        names = list(self._holdings)
        for start in range(0, len(names), PAGE):
            page = [(name, Wish(0, 0, 0)) for name in names[start : start + PAGE]]
            await self._ask(page, self._core.loop.time(), leaving=True)

    async def _ask(self, page: list[tuple[str, Wish]], now: float, leaving: bool = False) -> None:
        if self._between is None or not self._between.available:
            raise BetweenAway('Redis does not answer')
        self._moment += 1
        moment = self._core.store.membership.epoch * MOMENTS + self._moment
        question = Question(self._core.configuration.node, moment, self._living(), [], leaving=leaving)
        for name, wish in page:
            holding = self._holdings[name]
            limit = int(holding.rate.limit_per_s)
            question.limits.append(
                (limit, holding.share or 0, min(limit, int(wish.demand + 0.99)), wish.floor, wish.weight)
            )
        keys = [self._between.key('share', name) for name, _ in page]
        answers = await self._between.run(SCRIPT, keys, [msgspec.json.encode(question)])
        for (name, _), share in zip(page, answers, strict=True):
            holding = self._holdings[name]
            holding.asked_at = now
            if share >= 0:
                holding.take(share)

    # What is wanted

    def _limits(self, now: float) -> Iterator[tuple[str, Wish]]:
        nodes = len(self._living())
        for upstream in self._core.upstreams.values():
            if upstream.rate.limit_per_s:
                name = f'upstream {upstream.name}'
                yield name, wish_of_upstream(upstream, self._holding(name, upstream.rate, now), now, nodes)
        for account in self._core.accounts.values():
            if account.rate.limit_per_s:
                name = f'account {account.name}'
                yield name, wish_of_account(account, self._holding(name, account.rate, now), now, nodes)

    def _holding(self, name: str, rate: Rate, now: float) -> Holding:
        holding = self._holdings.get(name)
        if holding is None or holding.rate is not rate:  # an upstream that was removed and came back
            holding = self._holdings[name] = Holding(rate, now, passed=rate.passed, refused=rate.refused)
        holding.fit()
        return holding

    def share_senders(self, now: float) -> None:
        """Divide the limit of each account's senders by where its sessions are."""
        peers = self._core.cluster.peers.fresh(now)
        for account in self._core.accounts.values():
            if account.sender_rates is not None:
                here = max(1, len(account.sessions))
                elsewhere = sum(presence.binds.get(account.name, 0) for presence in peers)
                account.sender_rates.hold(here / (here + elsewhere))


def floor_of(limit: float, nodes: int) -> int:
    """Return what a node that may want something of a limit at any moment gets in any case."""
    return max(1, int(limit / max(1, nodes) / FLOOR_FRACTION))


def wish_of_upstream(upstream: 'Upstream', holding: Holding, now: float, nodes: int) -> Wish:
    """Return what a node wants to send to an upstream: what it sends now, and what waits."""
    passed, _ = holding.look(now)
    feed = upstream.feed
    if not feed.connections:
        return Wish(0, 0, 0)
    waiting = feed.outbox.in_memory + feed.outbox.on_disk + feed.held_count
    return Wish(passed + waiting, floor_of(upstream.rate.limit_per_s, nodes), len(feed.connections))


def wish_of_account(account: 'Account', holding: Holding, now: float, nodes: int) -> Wish:
    """Return what a node wants to accept of an account: what its sessions submit, refused or not.

    What nobody has use for is divided evenly, also to nodes without a session: one that binds may begin at once.
    """
    passed, refused = holding.look(now)
    return Wish(passed + refused, floor_of(account.rate.limit_per_s, nodes), 1)
