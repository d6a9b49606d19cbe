"""A snapshot of a running node for people: sessions, links, rates, queues, windows, in one value.

`smsc status` asks the server for it over the control socket; numbers carry their unit in their name.
"""

import os
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from pdu.receipt_text import WORDS
from pdu.status import status_name
from smpp.aio.link import Link
from smsc import __version__
from smsc.cluster.overview import Load, NodeStatus, overview
from smsc.node import Node

RATE_WINDOW_S = 10.0


class StageStatus(msgspec.Struct, frozen=True):
    """One stage of group commit."""

    name: str
    load: int
    commits: int
    committed: int
    busy_s: float
    failed: int


class SessionStatus(msgspec.Struct, frozen=True):
    """One bind of an ESME."""

    account: str
    peer: str
    state: str
    unanswered: int
    window: int
    outstanding: int


class AccountStatus(msgspec.Struct, frozen=True):
    """One account."""

    name: str
    binds: int
    binds_allowed: int
    accepted: int
    accepted_per_s: float
    refused: dict[str, int]
    waiting: int
    owed_in_memory: int
    owed_on_disk: int
    delivered: dict[str, int]
    given_up: int


class LinkStatus(msgspec.Struct, frozen=True):
    """One bind to an upstream."""

    name: str
    state: str
    window_used: int
    window: int
    last_error: str
    refusals: int


class UpstreamStatus(msgspec.Struct, frozen=True):
    """One upstream."""

    name: str
    links: list[LinkStatus]
    submitted: int
    submitted_per_s: float
    answers: dict[str, int]
    receipts: dict[str, int]
    queued_in_memory: int
    queued_on_disk: int
    awaiting_receipt: int
    unknown_outcomes: int
    state: str = ''  # for people: available, off, down, why it counts as failing


class Snapshot(msgspec.Struct, frozen=True):
    """One node at one moment."""

    node: int
    pid: int
    uptime_s: float
    state: str
    store_available: bool
    memory_mb: float
    listen_port: int
    in_memory: int
    parked_receipts: int
    stages: list[StageStatus]
    accounts: list[AccountStatus]
    sessions: list[SessionStatus]
    upstreams: list[UpstreamStatus]
    routes_off: list[str] = []
    nodes: list[NodeStatus] = []  # of the cluster, this one among them; empty where there is none


class Statuses:
    """Takes snapshots of a node, and samples its counters for the rates in them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._started = time.monotonic()
        self._samples: deque[tuple[float, dict[str, int]]] = deque()
        node.core.cluster.asking.handlers['load'] = self._answer_load

    def sample(self) -> None:
        """Note the counters; called about once a second."""
        core, now = self._node.core, time.monotonic()
        counters = {f'account {name}': account.accepted for name, account in core.accounts.items()}
        counters |= {f'upstream {name}': upstream.submitted for name, upstream in core.upstreams.items()}
        self._samples.append((now, counters))
        while now - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()

    def _rate(self, key: str, value: int) -> float:
        if not self._samples:
            return 0.0
        at, counters = self._samples[0]
        elapsed = time.monotonic() - at
        return (value - counters.get(key, 0)) / elapsed if elapsed > 0 else 0.0

    def upstream_rates(self) -> dict[str, float]:
        """Return how many messages a second each upstream is sent."""
        upstreams = self._node.core.upstreams.items()
        return {name: self._rate(f'upstream {name}', upstream.submitted) for name, upstream in upstreams}

    def snapshot(self) -> Snapshot:
        """Return how things stand now."""
        core = self._node.core
        return Snapshot(
            node=core.configuration.node,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self._started,
            state='draining' if core.draining else 'serving',
            store_available=core.store.health.available,
            memory_mb=memory_mb(),
            listen_port=self._node.port,
            in_memory=len(core.live),
            parked_receipts=len(self._node.receipts.parked),
            stages=[StageStatus(s.name, s.load, s.commits, s.committed, s.busy_s, s.failed) for s in self._node.stages],
            accounts=self._accounts(),
            sessions=self._sessions(),
            upstreams=self._upstreams(),
            routes_off=sorted(core.table.off),
        )

    async def of_cluster(self) -> Snapshot:
        """Return the same, and how the other nodes stand, which are asked."""
        snapshot, core = self.snapshot(), self._node.core
        if core.cluster.beating.config is None:
            return snapshot
        nodes = await overview(core, self._load(), __version__)
        return msgspec.structs.replace(snapshot, nodes=nodes)

    async def _answer_load(self, _: dict[str, Any]) -> Any:
        return msgspec.to_builtins(self._load())

    def _load(self) -> Load:
        """Return what this node has to do, in short."""
        core = self._node.core
        accounts, upstreams = core.accounts.values(), core.upstreams.values()
        return Load(
            uptime_s=time.monotonic() - self._started,
            state='draining' if core.draining else 'serving',
            sessions=sum(len(account.sessions) for account in accounts),
            links=sum(link.bound for upstream in upstreams for link in upstream.links),
            accepted_per_s=sum(self._rate(f'account {account.name}', account.accepted) for account in accounts),
            submitted_per_s=sum(self._rate(f'upstream {upstream.name}', upstream.submitted) for upstream in upstreams),
            waiting=sum(account.waiting for account in accounts),
            owed=sum(account.feed.outbox.depth for account in accounts),
            memory_mb=memory_mb(),
        )

    def _accounts(self) -> list[AccountStatus]:
        return [
            AccountStatus(
                name=name,
                binds=len(account.sessions),
                binds_allowed=account.config.binds if account.config else 0,
                accepted=account.accepted,
                accepted_per_s=self._rate(f'account {name}', account.accepted),
                refused=by_name(account.answers),
                waiting=account.waiting,
                owed_in_memory=account.feed.outbox.in_memory,
                owed_on_disk=account.feed.outbox.on_disk,
                delivered=by_name(account.delivered),
                given_up=account.given_up,
            )
            for name, account in self._node.core.accounts.items()
        ]

    def _sessions(self) -> list[SessionStatus]:
        return [
            SessionStatus(
                account=account.name,
                peer=owner.connection.peer_address,
                state=owner.connection.session.state.value,
                unanswered=owner.connection.session.unanswered,
                window=owner.connection.session.window.size,
                outstanding=owner.connection.session.window.reserved,
            )
            for account in self._node.core.accounts.values()
            for owner in account.sessions
            if owner.connection is not None
        ]

    def _upstreams(self) -> list[UpstreamStatus]:
        return [
            UpstreamStatus(
                name=name,
                links=[_link(link) for link in upstream.links],
                submitted=upstream.submitted,
                submitted_per_s=self._rate(f'upstream {name}', upstream.submitted),
                answers=by_name(upstream.answers),
                receipts={_state_name(state): count for state, count in sorted(upstream.receipts.items())},
                queued_in_memory=upstream.feed.outbox.in_memory,
                queued_on_disk=upstream.feed.outbox.on_disk,
                awaiting_receipt=len(upstream.sent),
                unknown_outcomes=upstream.unknown.count,
                state=upstream.state,
            )
            for name, upstream in self._node.core.upstreams.items()
        ]


def _link(link: Link) -> LinkStatus:
    connection = link.connection
    if connection is None:
        return LinkStatus(
            link.settings.name, 'down', 0, link.settings.session.send_window, link.last_error, link.refusals
        )
    session = connection.session
    return LinkStatus(
        link.settings.name, session.state.value, session.window.reserved, session.window.size, '', link.refusals
    )


def by_name(counts: dict[int, int]) -> dict[str, int]:
    """Return counts by command_status under the specification's names."""
    return {status_name(status): count for status, count in sorted(counts.items())}


def _state_name(state: int) -> str:
    return WORDS[state].decode()


def memory_mb() -> float:
    """Return the resident memory of this process in MB."""
    return int(Path('/proc/self/statm').read_text(encoding='ascii').split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6
