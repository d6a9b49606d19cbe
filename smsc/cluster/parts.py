"""Parts that an ESME made of one message and sent to several nodes, decided as one (wire.md G2).

What was decided about the first part is told, and holds for those that come to other nodes from then on. Those that
come meanwhile are decided alike: a split goes by a hash of what parts have in common, not by turns.

Parts that are held, to be read together, are told by their ids. The node with the lowest number of those that hold
some is the judge: once it knows of all, it reads the other nodes' parts from the store and tells its decision; each
node puts that on its own parts. Where no decision comes within `parts_wait_s`, each node judges what it has, as it
does without others. Told are addresses, ids and checksums, never text.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec
import structlog

from domain.errors import StoreUnavailable
from domain.message import Message
from routing.facts import Facts
from routing.steps import Verdict
from routing.table import Decision
from smsc.joined_parts import Parts, PartsKey, marks_of

if TYPE_CHECKING:
    from smsc.core import Core

ELSEWHERE_BOUND = 10_000  # messages of which other nodes hold parts
AT_ONCE = 500
MAX_PARTS = 255
MAX_OCTETS = 64  # of an address
GIVE_UP_S = 5.0

log = structlog.get_logger()


class Way(msgspec.Struct, array_like=True, frozen=True):
    """A decision about a message, and what the policy made of it; `is_verdict` when the policy ended it."""

    route: str = ''
    upstreams: tuple[str, ...] = ()
    route_priority: int | None = None
    status: int = 0
    is_drop: bool = False
    category: str = ''
    priority: int | None = None
    new_source_addr: str = ''
    is_verdict: bool = False
    reason: str = ''

    def decision(self) -> Decision | Verdict:
        """Return what was decided."""
        if self.is_verdict:
            return Verdict(self.status, self.reason)
        return Decision(self.route, self.upstreams, self.route_priority, self.status, self.is_drop)


class ToldParts(msgspec.Struct, array_like=True, frozen=True):
    """Parts of one message, by number: with a `way` they are decided, and `marks` are checksums of what they say;
    without they are held, with these `ids`.
    """

    account: str
    source_addr: bytes
    destination_addr: bytes
    reference: int
    wide: bool
    total: int
    marks: dict[int, int] = {}
    ids: dict[int, int] = {}
    way: Way | None = None

    @property
    def key(self) -> PartsKey:
        """What the parts have in common."""
        return PartsKey(self.account, self.source_addr, self.destination_addr, self.reference, self.wide, self.total)

    @property
    def is_sound(self) -> bool:
        """Whether this may be said of parts."""
        addresses = max(len(self.source_addr), len(self.destination_addr)) <= MAX_OCTETS
        numbers = self.marks.keys() | self.ids.keys()
        return addresses and self.total <= MAX_PARTS and all(1 <= number <= self.total for number in numbers)


Place = tuple[int, int]
"""Node and message_id of a part."""


class PartsElsewhere:
    """What one node tells of parts, and hears of them."""

    def __init__(self, core: 'Core', is_shared: bool) -> None:
        self.is_shared = is_shared
        self.gathered: list[ToldParts] = []
        self._core = core
        self._held: OrderedDict[PartsKey, dict[int, Place]] = OrderedDict()  # by other nodes
        self._due: dict[PartsKey, dict[int, Place]] = {}

    def split_key(self, key: PartsKey) -> int | None:
        """Return what a split goes by, None for its turn."""
        return self._core.policy.memory.shared_hash(tuple(key)) if self.is_shared else None

    # What is told

    def note_decided(self, parts: Parts, decision: Decision | Verdict, facts: Facts) -> None:
        """Gather what was decided about parts."""
        if not self.is_shared or parts.key.total < 2:
            return
        more = facts.category, facts.priority, facts.new_source_addr
        if isinstance(decision, Verdict):
            way = Way('', (), None, decision.status, False, *more, True, decision.reason)
        else:
            way = Way(decision.route, decision.upstreams, decision.priority, decision.reject, decision.drop, *more)
        self.gathered.append(ToldParts(*parts.key, marks_of(parts), way=way))

    def note_held(self, key: PartsKey, sequence: int, message: Message) -> None:
        """Gather that a part is held here."""
        if self.is_shared:
            self.gathered.append(ToldParts(*key, ids={sequence: message.id}))
            self._consider(key)

    # What is heard

    def hear(self, node: int, told: list[ToldParts]) -> None:
        """Take in what another node says of parts."""
        for one in told:
            if one.account not in self._core.configuration.accounts or not one.is_sound:
                continue
            if one.way is None:
                self._note_elsewhere(node, one)
            else:
                self._held.pop(one.key, None)
                self._take(one, one.way)
        self._core.joining.stage.kick()

    def _note_elsewhere(self, node: int, told: ToldParts) -> None:
        """Another node holds parts; if it is the judge it may have started just now, and is told what is held here."""
        key = told.key
        self._held.setdefault(key, {}).update({number: (node, part_id) for number, part_id in told.ids.items()})
        self._held.move_to_end(key)
        if len(self._held) > ELSEWHERE_BOUND:
            self._held.popitem(last=False)
        here = self._core.joining.joiner.held(key)
        if here is not None and node == self._judge_of(key) < self._core.configuration.node:
            ids = {number: message.id for number, message in zip(here.numbers, here.messages, strict=True)}
            self.gathered.append(ToldParts(*key, ids=ids))
        self._consider(key)

    def _judge_of(self, key: PartsKey) -> int:
        return min(node for node, _ in self._held[key].values())

    def _take(self, told: ToldParts, way: Way) -> None:
        """Put another node's decision on the parts that are held here, and on those to come."""
        known = set(self._core.upstreams)
        upstreams = tuple(name for name in way.upstreams if name in known)
        if way.upstreams and not upstreams:  # its configuration is another one
            return
        way = msgspec.structs.replace(way, upstreams=upstreams)
        self._core.joining.take_decision(told.key, told.marks, way)

    # Judging

    def _consider(self, key: PartsKey) -> None:
        """Judge a message of which all parts are held somewhere, if that is for this node to do."""
        elsewhere = self._held.get(key)
        here = self._core.joining.joiner.held(key) if elsewhere else None
        if not elsewhere or here is None or len(set(here.numbers) | elsewhere.keys()) < key.total:
            return
        if self._core.configuration.node < self._judge_of(key):
            self._due[key] = {number: place for number, place in elsewhere.items() if number not in here.numbers}

    async def judge_due(self) -> None:
        """Judge what is for this node to judge; parts that are held no more leave the others to their time."""
        if not self._due:
            return
        due, self._due = self._due, {}
        ids = [message_id for places in due.values() for _, message_id in places.values()]
        try:
            found = await self._core.store.recent.held(ids, GIVE_UP_S)
        except StoreUnavailable as error:
            log.warning('parts.judged_apart', reason=str(error))
            return
        for key, places in due.items():
            others = {number: found[part_id] for number, (_, part_id) in places.items() if part_id in found}
            self._held.pop(key, None)
            if len(others) == len(places) and all(message.account == key.account for message in others.values()):
                self._core.joining.judge_with(key, others)
        self._core.joining.stage.kick()
