"""Which links of each upstream this node has: the `links` of an upstream are those of all nodes together.

They are numbered places. A script in Redis (links.lua) gives each place to one node, spread evenly; it stays there
until the node gives it back or is dead. A node that joins gets its part from those who have more: they let the answers
to what is outstanding come, unbind, and give the place back. Without Redis a node keeps the places that it has, and
takes none. An upstream with `links_per_node` has all of its links at each node.

A node that can bind no link of an upstream for a while says so, and gives its places to nodes that may do better; it
tries again when they fail as well, or after `VAIN_S`. Before it gives them, its links try once more, at once: somebody
else being able to bind may say that the operator is back for all.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from smsc.cluster.scripts import script
from smsc.links import close_place, open_place
from storage.between import Between, BetweenAway

if TYPE_CHECKING:
    from smsc.config.schema import UpstreamConfig
    from smsc.core import Core
    from smsc.upstream import Upstream

SCRIPT = script('links')
PAGE = 100  # upstreams a question
VAIN_S = 900.0  # then a node that could not bind may be able to again
NOBODY_S = 120.0  # the same where the nodes that have the links cannot bind either
STEADY_TICKS = 3  # so many answers in a row must say that places are to be given back: nodes that restart want none

log = structlog.get_logger()


class Question(msgspec.Struct):
    """What the script is told; see there. `now` is in seconds, 0 is Redis's own clock."""

    node: int
    living: list[int]
    upstreams: list[tuple[int, list[int], list[int], bool, bool]]
    now: float = 0


class Places:
    """The places of one upstream that this node holds; `closing` are on their way back."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.closing: set[int] = set()
        self.surplus_ticks = 0
        self.config: UpstreamConfig | None = None  # that what follows is about
        self.unbound_since: float | None = None
        self.failed_at: float | None = None  # when it last tried in vain; None: it does not, as far as is known
        self.nobody_can = False

    def note(self, tries: bool, is_bound: bool, now: float, patience_s: float) -> bool:
        """Know whether a link is bound, of those that the node tries to bind; return whether it tries in vain.

        `now` is in monotonic seconds; it tries in vain once it has for `patience_s`.
        """
        if is_bound:
            self.unbound_since = self.failed_at = None
        elif not tries:
            self.unbound_since = None
            if self.failed_at is not None and now - self.failed_at >= (NOBODY_S if self.nobody_can else VAIN_S):
                self.failed_at = None
        elif self.unbound_since is None:
            self.unbound_since = now
        elif now - self.unbound_since >= patience_s:
            self.failed_at = now
        return self.failed_at is not None


class LinkLeases:
    """The places of all upstreams. `living` returns the nodes that live, this one included."""

    def __init__(self, core: 'Core', between: Between | None, living: Callable[[], list[int]]) -> None:
        self._core = core
        self._between = between
        self._living = living
        self._places: dict[str, Places] = defaultdict(Places)
        self._begun: set[str] = set()  # upstreams for which places were asked for since they have links

    def is_leased(self, upstream: 'Upstream') -> bool:
        """Whether the links of an upstream are divided among nodes."""
        return self._between is not None and not upstream.config.links_per_node

    def numbers(self, upstream: 'Upstream') -> list[int]:
        """Return the numbers of the links that an upstream is to have here now."""
        if not self.is_leased(upstream):
            return list(range(1, upstream.config.links + 1))
        places = self._places[upstream.name]
        return sorted(number for number in places.held - places.closing if number <= upstream.config.links)

    @property
    def is_due(self) -> bool:
        """Whether an upstream has begun to have links, and has asked for none yet."""
        upstreams = self._core.upstreams
        serving = {name for name, upstream in upstreams.items() if upstream.serving and self.is_leased(upstream)}
        self._begun &= serving
        return self._begun != serving

    async def tick(self) -> None:
        """Keep what is held, take what is free, give back what is too much. Raises BetweenAway: all stays as it is."""
        upstreams = self._core.upstreams
        names = [name for name, upstream in upstreams.items() if self.is_leased(upstream)]
        names += [name for name in self._places if name not in names]  # removed, or not leased any more
        serving = {name for name in names if name in upstreams and upstreams[name].serving}
        for start in range(0, len(names), PAGE):
            await self._ask(names[start : start + PAGE])
        self._begun = serving

    async def leave(self) -> None:
        """The links are gone: give all places back. Raises BetweenAway."""
        self._places = defaultdict(Places, {name: Places() for name in self._places})
        await self.tick()

    async def _ask(self, names: list[str]) -> None:
        assert self._between is not None
        if not self._between.available:
            raise BetweenAway('Redis does not answer')
        question = Question(self._core.configuration.node, self._living(), [])
        for name in names:
            question.upstreams.append(self._line(name))
        keys = [self._between.key('links', name) for name in names]
        answers = await self._between.run(SCRIPT, keys, [msgspec.json.encode(question)])
        for name, (lost, taken, give) in zip(names, answers, strict=True):
            self._handle(name, lost, taken, give)

    def _line(self, name: str) -> tuple[int, list[int], list[int], bool, bool]:
        """Return what the script is told of one upstream."""
        upstream, places = self._core.upstreams.get(name), self._places[name]
        if upstream is None or not self.is_leased(upstream):
            places.held &= places.closing
            return 0, sorted(places.held), sorted(places.closing), False, False
        places.held = {number for number in places.held if number <= upstream.config.links} | places.closing
        wants_more = upstream.serving and not self._core.draining
        in_vain = self._tries_in_vain(upstream, places)
        return upstream.config.links, sorted(places.held), sorted(places.closing), wants_more, in_vain

    def _tries_in_vain(self, upstream: 'Upstream', places: Places) -> bool:
        """Return whether this node cannot bind what others might."""
        cluster, now = self._core.configuration.cluster, self._core.loop.time()
        assert cluster is not None  # else there is nobody to lease links from
        tries = upstream.serving and bool(places.held - places.closing)
        if places.config != upstream.config:  # what did not work may work now
            places.config, places.unbound_since, places.failed_at = upstream.config, None, None
        was_in_vain = places.failed_at is not None
        sends = bool(upstream.feed.connections)
        is_bound = sends or (upstream.config.bind == 'receiver' and any(link.bound for link in upstream.links))
        in_vain = places.note(tries, is_bound, now, cluster.try_links_s)
        if in_vain and not was_in_vain:
            places.surplus_ticks = 0
            if len(self._living()) > 1:
                log.warning('link.in_vain', upstream=upstream.name, effect='other nodes may try its links')
        return in_vain

    def _handle(self, name: str, lost: list[int], taken: list[int], give: int) -> None:
        upstream, places = self._core.upstreams.get(name), self._places[name]
        if upstream is None or not self.is_leased(upstream):
            if not places.held:
                del self._places[name]
            return
        for number in taken:
            places.held.add(number)
            if upstream.serving:
                log.info('link.taken', upstream=name, link=number)
                open_place(upstream, number)
        for number in lost:
            self._give_back(upstream, places, number)
        places.nobody_can = give < 0
        places.surplus_ticks = places.surplus_ticks + 1 if give > 0 else 0
        if places.surplus_ticks == 1 and places.failed_at is not None:
            upstream.wake_links()
        if places.surplus_ticks >= STEADY_TICKS:
            places.surplus_ticks = 0
            for number in sorted(places.held - places.closing)[-give:]:
                self._give_back(upstream, places, number)

    def _give_back(self, upstream: 'Upstream', places: Places, number: int) -> None:
        if number not in places.closing:
            places.closing.add(number)
            log.info('link.given_back', upstream=upstream.name, link=number)
            self._core.add_task(self._close(upstream, places, number), f'give back {upstream.name}/{number}')

    @staticmethod
    async def _close(upstream: 'Upstream', places: Places, number: int) -> None:
        try:
            await close_place(upstream, number)
        finally:
            places.held.discard(number)
            places.closing.discard(number)
