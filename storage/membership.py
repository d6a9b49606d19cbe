"""Which nodes there are and which of them live: their rows in the table `node` (docs/decisions/0009-nodes.md).

A process begins with an epoch of its own. Once another has raised that, nothing of the earlier one is committed any
more: its connections are ended, and each new one asks for the epoch first.
"""

import asyncio

import msgspec
import structlog

from domain.errors import Fenced
from storage import statements as sql
from storage.connection import Connection, StoreConnection

LEFTOVERS_POLL_S = 0.05
TAKING_POLL_S = 0.5
TAKER_PATIENCE_S = 600.0  # of a node that begins, with one that takes its work over, as long as that lives
TAKER_DEAD_S = 15.0  # without a beat

log = structlog.get_logger()


class NodeRow(msgspec.Struct, frozen=True):
    """One node; `started_at` is in Unix milliseconds, `address` that of its HTTP port, host:port.

    `taker` is the node that takes its work over, or has done so when it `is_taken`; None while it has none to take.
    """

    node: int
    epoch: int
    beat: int
    taker: int | None
    is_taken: bool
    started_at: int
    version: str
    address: str


class Membership:
    """The membership of one process."""

    def __init__(self, node: int, connection: StoreConnection) -> None:
        self.node = node
        self.epoch = 0
        self._connection = connection

    async def begin(self, connection: Connection, now_ms: int, version: str, address: str, patience_s: float) -> None:
        """Take the node's number, and end what an earlier process of this number left running in the server.

        While another node is in the middle of taking its work over, that one goes on for up to `patience_s` seconds as
        long as it lives.
        """
        await self._await_taker(connection, patience_s)
        self.epoch = await connection.fetchval(sql.BEGIN_NODE, self.node, now_ms, version, address)
        await end_connections(connection, self.node)

    async def _await_taker(self, connection: Connection, patience_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        taker_beat, moved_at, is_told = None, loop.time(), False
        while loop.time() < until:
            rows = {row.node: row for row in await _read(connection)}
            mine = rows.get(self.node)
            if mine is None or mine.taker is None or mine.is_taken or mine.taker not in rows:
                return
            if not is_told:
                is_told = True
                log.warning('node.waits', node=self.node, taker=mine.taker, reason='its work is being taken over')
            if rows[mine.taker].beat != taker_beat:
                taker_beat, moved_at = rows[mine.taker].beat, loop.time()
            elif loop.time() - moved_at > TAKER_DEAD_S:  # dead itself
                return
            await asyncio.sleep(TAKING_POLL_S)

    async def is_taken_over(self, connection: Connection) -> bool:
        """Return whether another node holds this one for dead. Raises Fenced when another process has its number."""
        if not self.epoch:
            return False
        row = await connection.fetchrow('select epoch, taker from node where node = $1', self.node)
        if row is None or (row['epoch'] != self.epoch and row['taker'] is None):
            raise Fenced(self.node)
        return bool(row['epoch'] != self.epoch)

    async def verify(self, connection: Connection) -> None:
        """Look whether the number is still ours. Raises Fenced."""
        if self.epoch:
            epoch = await connection.fetchval('select epoch from node where node = $1', self.node)
            if epoch != self.epoch:
                raise Fenced(self.node)

    async def beat(self, low_water: int) -> list[NodeRow]:
        """Commit that this node lives, and the id below which a restart need not look; return all nodes.

        Raises Fenced when another process took the number or the work over.
        """

        async def update(connection: Connection, doubtful: bool) -> list[NodeRow]:
            if await connection.fetchval(sql.BEAT, self.node, self.epoch, low_water) is None:
                raise Fenced(self.node)
            return await _read(connection)

        return await self._connection.run(update)


async def _read(connection: Connection) -> list[NodeRow]:
    return [NodeRow(*row) for row in await connection.fetch(sql.NODES)]


async def end_connections(connection: Connection, node: int) -> None:
    """End what a process of this number has running in the server; returns when nothing of it can be committed."""
    while await connection.fetchval(sql.END_LEFTOVERS, f'smsc % of node {node}'):  # noqa: ASYNC110 - other processes
        await asyncio.sleep(LEFTOVERS_POLL_S)
