"""What nodes tell each other of themselves: which accounts are bound to them, which links they have, what waits there.

Each node says all of it once a second, and at once when it has changed. What a node has not said again for FRESH_S
seconds does not count any more.
"""

from collections.abc import Iterable

import msgspec

FRESH_S = 4.0
MAX_OCTETS = 1 << 24


class Presence(msgspec.Struct, frozen=True):
    """One node, as it says.

    `receiving` are sessions by account that may receive, `binds` all of them; `links` bound ones by upstream that may
    be sent to; `waiting` messages by account that count for its bound.
    """

    node: int
    epoch: int
    receiving: dict[str, int] = {}
    binds: dict[str, int] = {}
    links: dict[str, int] = {}
    waiting: dict[str, int] = {}


class Peers:
    """The other nodes, as they were heard last; times are monotonic seconds."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._heard: dict[int, tuple[Presence, float]] = {}
        self._decoder = msgspec.json.Decoder(Presence)

    def take(self, octets: bytes, now: float) -> None:
        """Take in what a node says; what is none of that is passed over."""
        if len(octets) > MAX_OCTETS:
            return
        try:
            presence = self._decoder.decode(octets)
        except msgspec.DecodeError:
            return
        if presence.node != self._node:
            self._heard[presence.node] = presence, now

    def forget(self, node: int) -> None:
        """A node is dead, or gone."""
        self._heard.pop(node, None)

    def last(self, nodes: Iterable[int]) -> list[Presence]:
        """Return what these nodes said last, however long ago."""
        return [self._heard[node][0] for node in nodes if node in self._heard]

    def heard_of(self, nodes: Iterable[int]) -> float:
        """Return since when what is known of all of these holds; of one that was never heard of nothing is."""
        return min((self._heard[node][1] for node in nodes if node in self._heard), default=float('-inf'))

    def fresh(self, now: float) -> list[Presence]:
        """Return what holds now, in the order of the nodes' numbers."""
        found = [presence for presence, heard_at in self._heard.values() if now - heard_at < FRESH_S]
        return sorted(found, key=lambda presence: presence.node)


def node_of_account(name: str, peers: Iterable[Presence]) -> int | None:
    """Return the node that has most sessions of an account that may receive."""
    return _most([(presence.receiving.get(name, 0), presence.node) for presence in peers])


def node_of_upstream(name: str, peers: Iterable[Presence]) -> int | None:
    """Return the node that has most links to an upstream."""
    return _most([(presence.links.get(name, 0), presence.node) for presence in peers])


def _most(counts: list[tuple[int, int]]) -> int | None:
    most = max(counts, key=lambda count: (count[0], -count[1]), default=(0, 0))
    return most[1] if most[0] else None
