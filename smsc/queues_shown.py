"""What waits, for people: by upstream, or by account that is owed receipts and MO messages, priority by priority.

What is on disk the store counts, of all nodes; what memory holds each node says itself. A message that was read from
disk is in both, and counts as in memory; one that was sent and is not answered waits no more. Figures come one after
the other, while traffic goes on: they are no ledger.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from domain.ids import accepted_at_ms
from domain.message import Message, Part
from storage.queues import COUNTED, DepthOnDisk

if TYPE_CHECKING:
    from smsc.core import Core
    from smsc.feed import Feed

LANES = 2_000  # that a node tells of, the longest
ASKED_S = 2.0
UPSTREAM, ACCOUNT = 'upstream', 'account'


class LaneInMemory(msgspec.Struct, frozen=True):
    """What memory holds of one lane. `stored` are those that are also on disk, of these and of what has been sent but
    not answered.
    """

    outbox: str
    priority: int
    account: str
    messages: int
    stored: int
    head_id: int


class UpstreamNow(msgspec.Struct, frozen=True):
    """How an upstream stands at one node; `accounts_paused` are those whose messages for it are held back."""

    state: str
    rate_per_s: float
    awaiting_response: int
    accounts_paused: list[str] = []


class NodeQueues(msgspec.Struct, frozen=True):
    """What one node tells."""

    node: int
    lanes: list[LaneInMemory]
    upstreams: dict[str, UpstreamNow]


class Told(msgspec.Struct, frozen=True):
    """What all nodes that answered tell."""

    nodes: list[NodeQueues] = []
    silent: list[int] = []


class Queue(msgspec.Struct):
    """One lane, over all nodes. `due` is on disk and may be sent, `later` not yet; `more` when there are more of them
    than were counted. `oldest_s` is how long ago the first in line was accepted.
    """

    kind: str
    name: str
    priority: int
    account: str
    memory: int = 0
    due: int = 0
    later: int = 0
    more: bool = False
    oldest_s: float = 0.0

    @property
    def depth(self) -> int:
        """All of them."""
        return self.memory + self.due + self.later


class QueuesShown:
    """Tells what memory holds, of this node and of the others."""

    def __init__(self, core: 'Core', rates: Callable[[], dict[str, float]]) -> None:
        """`rates` are messages a second that upstreams are sent."""
        self._core = core
        self._rates = rates
        core.cluster.asking.handlers['queues'] = self._answer

    async def handle(self, request: dict[str, Any]) -> Any:
        """Return what all nodes tell, as JSON says it."""
        cluster = self._core.cluster
        answers = await cluster.asking.ask(cluster.others, 'queues', timeout_s=ASKED_S)
        nodes, silent = [self.here()], set(answers.silent)
        for node, value in answers.values.items():
            try:
                nodes.append(msgspec.convert(value, NodeQueues))
            except msgspec.ValidationError:
                silent.add(node)
        return msgspec.to_builtins(Told(nodes, sorted(silent)))

    async def _answer(self, _: dict[str, Any]) -> Any:
        return msgspec.to_builtins(self.here())

    def here(self) -> NodeQueues:
        """Return what this node has."""
        core, rates = self._core, self._rates()
        lanes = [lane for upstream in core.upstreams.values() for lane in _lanes(upstream.feed, upstream.begun())]
        for account in core.accounts.values():
            windows = [connection.session.window.pending for connection in account.feed.connections]
            lanes += _lanes(account.feed, chain.from_iterable(pending.values() for pending in windows))
        lanes.sort(key=lambda lane: -lane.messages)
        upstreams = {
            name: UpstreamNow(
                upstream.state,
                rates.get(name, 0.0),
                upstream.feed.outstanding,
                sorted(upstream.feed.outbox.held),
            )
            for name, upstream in core.upstreams.items()
        }
        return NodeQueues(core.configuration.node, lanes[:LANES], upstreams)


def _lanes(feed: 'Feed', begun: Iterable[object]) -> list[LaneInMemory]:
    """Return what memory has of the lanes of an outbox; `begun` is what has left it and may have its row still."""
    outbox = feed.outbox
    stored: Counter[tuple[int, str]] = Counter()
    for item in begun:
        message = item.message if isinstance(item, Part) else item
        if isinstance(message, Message) and message.stored_wait:
            stored[message.priority, message.account] += 1
    lanes = []
    for lane in outbox.lanes:
        rows = stored.pop((lane.priority, lane.account), 0) + sum(message.stored_wait for message in lane.head)
        if lane.head or rows:
            head_id = lane.head[0].id if lane.head else 0
            lanes.append(LaneInMemory(outbox.name, lane.priority, lane.account, len(lane.head), rows, head_id))
    return lanes + [LaneInMemory(outbox.name, *key, 0, rows, 0) for key, rows in stored.items()]


def put_together(on_disk: Iterable[DepthOnDisk], told: Told, now_ms: int) -> list[Queue]:
    """Return all lanes, upstreams first, each in the order in which it is sent."""
    queues: dict[tuple[str, int, str], Queue] = {}
    heads: dict[tuple[str, int, str], int] = {}

    def queue_of(lane: DepthOnDisk | LaneInMemory) -> Queue:
        key = lane.outbox, lane.priority, lane.account
        if lane.head_id:
            heads[key] = min(heads.get(key, lane.head_id), lane.head_id)
        kind, _, name = lane.outbox.partition(' ')
        return queues.setdefault(key, Queue(kind, name, lane.priority, lane.account))

    for lane in on_disk:
        queue = queue_of(lane)
        queue.due += min(lane.due, COUNTED)
        queue.later += min(lane.later, COUNTED)
        queue.more = queue.more or max(lane.due, lane.later) > COUNTED
    for part in (part for node in told.nodes for part in node.lanes):
        queue = queue_of(part)
        queue.memory += part.messages
        queue.due = max(0, queue.due - part.stored)
    for key, head_id in heads.items():
        queues[key].oldest_s = max(0.0, (now_ms - accepted_at_ms(head_id)) / 1000)
    waiting = [queue for queue in queues.values() if queue.depth]
    return sorted(waiting, key=lambda queue: (queue.kind != UPSTREAM, queue.name, -queue.priority, queue.account))
