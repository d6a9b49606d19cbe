"""The nodes of the cluster for people, as one of them sees the others: who lives, since when, and what each has to do.

Who lives is what PostgreSQL says; what a node has to do it says itself, when it is asked and answers in time.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from smsc.cluster.beating import Seen
from storage.membership import NodeRow

if TYPE_CHECKING:
    from smsc.core import Core

PATIENCE_S = 2.0  # with a node that does not answer, MARGIN_S of `asking` among it


class Load(msgspec.Struct, frozen=True):
    """What one node has to do; `waiting` are messages that are not with an operator yet."""

    uptime_s: float
    state: str
    sessions: int
    links: int
    accepted_per_s: float
    submitted_per_s: float
    waiting: int
    owed: int
    memory_mb: float


class NodeStatus(msgspec.Struct, frozen=True):
    """One node of the cluster. `state`: serving, draining, silent (it beats, and does not answer), dead, being taken
    over, taken over; `taker` is by whom. `beat_age_s` says how long its beat stands still, None once it is taken over.
    """

    node: int
    state: str
    version: str
    http: str
    epoch: int
    beat_age_s: float | None = None
    taker: int | None = None
    load: Load | None = None


async def overview(core: 'Core', own: Load, own_version: str) -> list[NodeStatus]:
    """Return all nodes there have been, in the order of their numbers."""
    cluster = core.cluster
    beating = cluster.beating
    asked = [node for node in beating.alive if beating.seen[node].row.taker is None]
    answers = await cluster.asking.ask(asked, 'load', timeout_s=PATIENCE_S)
    here = core.configuration
    nodes = [
        NodeStatus(
            here.node,
            own.state,
            own_version,
            str(here.http.listen),
            core.store.membership.epoch,
            beating.own_age_s,
            load=own,
        )
    ]
    now = core.loop.time()
    nodes += [
        _node_status(seen, beating.is_alive(node), now, _read(answers.values.get(node)))
        for node, seen in beating.seen.items()
    ]
    return sorted(nodes, key=lambda status: status.node)


def _node_status(seen: Seen, is_alive: bool, now: float, load: Load | None) -> NodeStatus:
    row = seen.row
    return NodeStatus(
        row.node,
        _state(row, is_alive, load),
        row.version,
        row.address,
        row.epoch,
        None if row.is_taken else now - seen.moved_at,
        row.taker,
        load,
    )


def _state(row: NodeRow, is_alive: bool, load: Load | None) -> str:
    if row.taker is not None:
        return 'taken over' if row.is_taken else 'being taken over'
    if not is_alive:
        return 'dead'
    return load.state if load is not None else 'silent'


def _read(value: Any) -> Load | None:
    try:
        return msgspec.convert(value, Load)
    except msgspec.ValidationError:
        return None
