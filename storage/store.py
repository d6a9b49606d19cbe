"""What the product asks of PostgreSQL. Every method is one transaction, on the connection of its own stage.

Nothing here is per message: callers bring batches. A method that lost its connection repeats itself until it is done,
looking first at what its lost commit may have left (architecture.md section 4), so callers never see a commit in doubt.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from domain.ids import accepted_at_ms
from domain.message import Message, Part
from storage import partitions
from storage import statements as sql
from storage.amendments import Amending
from storage.connection import Connection, Health, StoreConnection
from storage.credit import Credit
from storage.endings import Endings
from storage.judged import JudgedRecords
from storage.membership import Membership, end_connections
from storage.migrations import migrate
from storage.next_routes import Expected, NextRoutes
from storage.observed import Observed
from storage.parts import Parts
from storage.queues import QueuesOnDisk
from storage.receipts import ReceiptRecords
from storage.recent import RecentMessages
from storage.rows import (
    MESSAGE_COLUMNS,
    OF_ACCOUNTS,
    OF_UPSTREAMS,
    Outcome,
    Waiting,
    message_of,
    message_row,
    rows_of,
    segment_row,
)
from storage.stop_lists import StopListRecords
from storage.switches import Switches
from storage.takeover import Takeover, read_unfinished
from storage.waiting import WaitingRecords

SWEEP_TIMEOUT_S = 1_800.0  # what reads a day or a whole queue, for a restart or to drop it, takes its time
BEAT_TIMEOUT_S = 3.0  # a connection that went silent must not make a node that lives look dead
_SEGMENT_COLUMNS = ('upstream', 'upstream_message_id', 'message_id', 'part', 'parts')

_STAGES = (
    *('accept', 'accept MO', 'sent', 'parts', 'query', 'repeat', 'finish'),
    *('close', 'find', 'unpark', 'wait', 'upkeep', 'join', 'credit', 'judge', 'beat'),
)


class Store:
    """The messages in PostgreSQL, as the server uses them: one connection a stage."""

    def __init__(self, connect_arguments: dict[str, Any], node: int, version: str = '', address: str = '') -> None:
        """`connect_arguments` are asyncpg.connect's: a `dsn`, or `host`, `user`, `database`. `version` and `address`
        (of the HTTP port) are what other nodes are shown of this one.
        """
        self.health = Health()
        self.node = node
        self._shown_as = version, address
        self._connections = {
            name: StoreConnection(f'{name} of node {node}', connect_arguments, self.health) for name in _STAGES
        }
        self._connections['beat'] = StoreConnection(
            f'beat of node {node}', connect_arguments, self.health, BEAT_TIMEOUT_S
        )
        self._connections['sweep'] = StoreConnection(
            f'sweep of node {node}', connect_arguments, self.health, SWEEP_TIMEOUT_S
        )

        self._connections['stop lists'] = StoreConnection(
            f'stop lists of node {node}', connect_arguments, self.health, SWEEP_TIMEOUT_S
        )
        self.membership = Membership(node, self._connections['beat'])
        self.stop_lists = StopListRecords(self._connections['stop lists'])
        self.parts = Parts(self._connections['parts'])
        self.receipts = ReceiptRecords(*(self._connections[name] for name in ('find', 'unpark', 'sweep')))
        self.recent = RecentMessages(self._connections['sweep'])
        connections = self._connections
        self.waiting = WaitingRecords(node, connections['wait'], connections['sweep'], connections['upkeep'])
        self.switches = Switches(connections['upkeep'])
        self.queues = QueuesOnDisk(node, connections['wait'], connections['upkeep'])
        self.next_routes = NextRoutes(node, connections['wait'], connections['upkeep'], self.waiting.insert)
        self.credit = Credit(connections['credit'])
        self.observed = Observed(connections['upkeep'], node)
        self.judged = JudgedRecords(connections['judge'], self.credit)
        self._endings = Endings(self.credit)
        self.amending = Amending(
            node, connections['query'], connections['wait'], self.waiting.insert, self.credit.pay_more
        )

    async def open(self, now_ms: int, patience_s: float = 0) -> None:
        """Bring the schema up to date, make the partitions of the next days, and begin as this node.

        What an earlier run of this node left running in the server ends first, so that nothing is committed behind the
        back of a recovery; a node that takes its work over may go on for `patience_s` seconds. Raises StoreUnavailable
        when the server cannot be reached within a minute.
        """

        async def prepare(connection: Connection, doubtful: bool) -> None:
            await end_connections(connection, self.node)
            await migrate(connection, sql.MIGRATIONS)
            await partitions.ensure(connection, now_ms)
            await self.membership.begin(connection, now_ms, *self._shown_as, patience_s)

        await self._connections['upkeep'].run(prepare, give_up_s=60 + patience_s)

    async def hold_number(self, now_ms: int, patience_s: float = 0) -> None:
        """Begin once more if another node has taken this one over while it was built, which may take longer than it is
        held for alive without a beat. From now on who loses the number is fenced off. Raises Fenced.
        """

        async def look(connection: Connection, doubtful: bool) -> None:
            if await self.membership.is_taken_over(connection):
                await self.membership.begin(connection, now_ms, *self._shown_as, patience_s)

        await self._connections['upkeep'].run(look, give_up_s=60 + patience_s)
        for stage in self._connections.values():
            stage.verify = self.membership.verify

    def takeover(self, node: int) -> Takeover:
        """Return what takes the work of a dead node over."""
        return Takeover(self._connections['sweep'], self.node, node)

    async def close(self) -> None:
        """Part from the server; what was not committed is not."""
        await self.amending.close()
        for connection in self._connections.values():
            await connection.close()

    # The way of a message

    async def accept(self, messages: list[Message], give_up_s: float | None = None) -> frozenset[int]:
        """Commit new messages, and what they cost the credit of their accounts (w.C7): all of it or nothing.

        Returns the ids of those that their account's credit does not pay for, which are not stored. Raises
        StoreUnavailable after `give_up_s` seconds: then it is unknown which are stored. Without `give_up_s` (the MO
        messages, on a connection of their own) it takes as long as it takes.
        """
        charged = self.credit.charge(messages) if self.credit.terms else []

        async def insert(connection: Connection, doubtful: bool) -> frozenset[int]:
            if not doubtful:
                return await self._insert(connection, messages, charged)
            try:
                return await self._insert_missing(connection, messages, charged)
            except asyncpg.UniqueViolationError:  # the commit in doubt was still under way; now it is through
                return await self._insert_missing(connection, messages, charged)

        return await self._connections['accept' if give_up_s else 'accept MO'].run(insert, give_up_s)

    async def _insert_missing(
        self, connection: Connection, messages: list[Message], charged: list[Message]
    ) -> frozenset[int]:
        """Insert a batch whose commit is in doubt: where any of it is there, those not paid for are what is missing."""
        there = await self._present(connection, [message.id for message in messages])
        unpaid = frozenset(message.id for message in charged if message.id not in there) if there else frozenset()
        missing = [message for message in messages if message.id not in there and message.id not in unpaid]
        return unpaid | await self._insert(connection, missing, [] if there else charged)

    async def _insert(self, connection: Connection, messages: list[Message], charged: list[Message]) -> frozenset[int]:
        try:
            return await self._pay_and_copy(connection, messages, charged)
        except asyncpg.CheckViolationError:  # no partition for these days: the clock ran ahead of the upkeep
            await self._ensure_partitions(connection, messages)
            return await self._pay_and_copy(connection, messages, charged)

    async def _pay_and_copy(
        self, connection: Connection, messages: list[Message], charged: list[Message]
    ) -> frozenset[int]:
        if not charged:
            await self._copy_messages(connection, messages)
            return frozenset()
        async with connection.transaction():
            unpaid = await self.credit.reserve(connection, charged)
            paid = [message for message in messages if message.id not in unpaid] if unpaid else messages
            await self._copy_messages(connection, paid)
        return unpaid

    async def _copy_messages(self, connection: Connection, messages: list[Message]) -> None:
        rows, columns = rows_of(messages)
        await connection.copy_records_to_table('message', records=rows, columns=columns)

    async def _ensure_partitions(self, connection: Connection, messages: list[Message]) -> None:
        for day_ms in {partitions.day_start_ms(accepted_at_ms(message.id)) for message in messages}:
            await partitions.ensure(connection, day_ms, days=0)

    async def _present(self, connection: Connection, ids: list[int]) -> set[int]:
        rows = await connection.fetch(
            'select id from message where id = any($1::bigint[]) and id between $2 and $3', ids, min(ids), max(ids)
        )
        return {row['id'] for row in rows}

    async def record_sent(
        self,
        items: list[Message | Part],
        finished: list[Outcome],
        costs: Sequence[Message] = (),
        expected: Sequence[Expected] = (),
    ) -> None:
        """Commit what operators have taken: a segment an item, and the end of those that expect no receipt.

        A message leaves the disk with the segment that completes it. `costs` are those whose cost is another one now,
        `expected` receipts that another upstream gets the message for when they do not come.
        """
        columns: tuple[str, ...]
        segments: list[tuple[Any, ...]]
        if Part in set(map(type, items)):
            columns, segments = _SEGMENT_COLUMNS, [segment_row(item) for item in items]
        else:  # the other columns have defaults
            columns = _SEGMENT_COLUMNS[:3]
            segments = [(item.upstream, item.upstream_message_id, item.id) for item in items]
        waited = [item.id for item in items if item.stored_wait]

        async def insert(connection: Connection, doubtful: bool) -> None:
            if not (doubtful or waited or finished or costs or expected):
                try:
                    await connection.copy_records_to_table('segment', records=segments, columns=columns)
                except asyncpg.UniqueViolationError:
                    pass  # sent twice and answered with the same id: insert those that are new
                else:
                    return
            rows = zip(*map(segment_row, items), strict=True)
            if not (finished or costs or expected):
                await connection.execute(sql.INSERT_SEGMENTS, *rows, waited, OF_UPSTREAMS)
                return
            async with connection.transaction():
                await connection.execute(sql.INSERT_SEGMENTS, *rows, waited, OF_UPSTREAMS)
                if costs:
                    await self._record_costs(connection, costs)
                if expected:
                    await self.next_routes.expect(connection, expected)
                if finished:
                    await self._endings.write(connection, doubtful, finished)

        await self._connections['sent'].run(insert)

    async def _record_costs(self, connection: Connection, messages: Sequence[Message]) -> None:
        ids = [message.id for message in messages]
        costs = [message.cost for message in messages]
        await connection.execute(sql.RECORD_COSTS, min(ids), max(ids), ids, costs)

    async def finish(self, outcomes: list[Outcome]) -> set[int]:
        """Commit final states of messages above the low-water mark; return the ids that were not final before."""
        return await self._connections['finish'].run(lambda c, doubtful: self._finish_all(c, doubtful, outcomes, []))

    async def finish_late(self, outcomes: list[Outcome], waiting: list[Waiting]) -> set[int]:
        """Commit final states of older messages; `waiting` puts the receipts due into their accounts' outboxes."""
        return await self._connections['wait'].run(lambda c, doubtful: self._finish_all(c, doubtful, outcomes, waiting))

    async def _finish_all(
        self, connection: Connection, doubtful: bool, outcomes: list[Outcome], waiting: list[Waiting]
    ) -> set[int]:
        waited = [outcome.message.id for outcome in outcomes if outcome.message.stored_wait]
        if not (waited or waiting):
            return await self._endings.write(connection, doubtful, outcomes)
        async with connection.transaction():
            changed = await self._endings.write(connection, doubtful, outcomes)
            new = {entry.message.id: entry for entry in waiting if entry.message.id in changed}
            if doubtful:
                waited += new  # as the commit in doubt may have put them there
            await connection.execute(sql.DELETE_WAITING, waited, '')
            await self.waiting.insert(connection, list(new.values()))
        return changed

    async def close_messages(self, notices: list[Message], ended: list[Outcome]) -> None:
        """Commit that receipts are done with, as each message's `notice` says, and that MO messages have ended."""
        by_notice: dict[int, list[int]] = {}
        for message in notices:
            by_notice.setdefault(message.notice, []).append(message.id)
        waited = [message.id for message in notices if message.stored_wait]
        ended_on_disk = [outcome.message.id for outcome in ended if outcome.message.stored_wait]

        async def update(connection: Connection, doubtful: bool) -> None:
            if len(by_notice) == 1 and not ended:
                await self._close_notices(connection, by_notice, waited)
                return
            async with connection.transaction():
                await self._close_notices(connection, by_notice, waited)
                if ended:
                    await self._endings.write(connection, doubtful, ended)
                    await connection.execute(sql.DELETE_WAITING, ended_on_disk, OF_ACCOUNTS)

        await self._connections['close'].run(update)

    async def join(self, joined: list[Message], parts: list[Outcome]) -> None:
        """Commit MO messages that were put together, and the end of their parts: all of it or nothing."""

        async def insert(connection: Connection, doubtful: bool) -> None:
            try:
                await self._join(connection, doubtful, joined, parts)
            except asyncpg.CheckViolationError:
                await self._ensure_partitions(connection, joined)
                await self._join(connection, doubtful, joined, parts)
            except asyncpg.UniqueViolationError:  # the commit in doubt was still under way; now it is through
                await self._join(connection, True, joined, parts)

        await self._connections['join'].run(insert)

    async def _join(self, connection: Connection, doubtful: bool, joined: list[Message], parts: list[Outcome]) -> None:
        async with connection.transaction():
            there = await self._present(connection, [message.id for message in joined]) if doubtful and joined else ()
            rows = [message_row(message) for message in joined if message.id not in there]
            await connection.copy_records_to_table('message', records=rows, columns=MESSAGE_COLUMNS)
            await self._endings.write(connection, doubtful, parts)

    async def _close_notices(self, connection: Connection, by_notice: dict[int, list[int]], waited: list[int]) -> None:
        for notice, ids in by_notice.items():
            await connection.execute(sql.CLOSE_NOTICES, ids, min(ids), max(ids), notice, waited, OF_ACCOUNTS)
            waited = []

    # Restart, upkeep

    async def last_id(self) -> int:
        """Return the highest message id there is, 0 without any."""

        async def fetch(connection: Connection, doubtful: bool) -> int:
            return await connection.fetchval('select id from message order by id desc limit 1') or 0

        return await self._connections['sweep'].run(fetch)

    async def low_water(self) -> int:
        """Return the id below which a restart need not look."""

        async def fetch(connection: Connection, doubtful: bool) -> int:
            return await connection.fetchval('select low_water from node where node = $1', self.node) or 0

        return await self._connections['upkeep'].run(fetch)

    async def unfinished(self, above: int, up_to: int, limit: int) -> list[tuple[Message, bool]]:
        """Return a page of what a restart must take up, in order of ids, each with whether an operator has taken
        all of it.
        """

        async def fetch(connection: Connection, doubtful: bool) -> list[tuple[Message, bool]]:
            return await read_unfinished(connection, self.node, above, up_to, limit)

        return await self._connections['sweep'].run(fetch)

    async def mark_repeated(self, ids: list[int]) -> None:
        """Commit that these messages may have reached the operator before."""

        async def update(connection: Connection, doubtful: bool) -> None:
            await connection.execute(sql.MARK_REPEATED, ids, min(ids), max(ids))

        await self._connections['repeat'].run(update)

    async def overdue(self, from_id: int, below_id: int, expired_before: int, limit: int) -> list[Message]:
        """Return messages whose receipt has not come long after their time ran out."""

        async def fetch(connection: Connection, doubtful: bool) -> list[Message]:
            rows = await connection.fetch(sql.OVERDUE, from_id, below_id, expired_before, limit)
            return [message_of(row) for row in rows]

        return await self._connections['sweep'].run(fetch)

    async def keep_partitions(self, now_ms: int, keep_d: int) -> list[str]:
        """Make the partitions of the next days, drop settled days older than `keep_d` days; return the dropped days."""

        async def keep(connection: Connection, doubtful: bool) -> list[str]:
            await partitions.ensure(connection, now_ms)
            return await partitions.drop_settled(connection, now_ms, keep_d)

        return await self._connections['sweep'].run(keep)
