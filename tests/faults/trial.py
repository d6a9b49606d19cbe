"""Trials on a plant: a fault at a seeded random moment of the traffic, and the verdict once everything has settled.

A moment is a number of messages that are answered before it, so that the fault falls into traffic and a seed picks the
same ones again. What else the machine does still decides what exactly is in flight then. Trials follow one another on
one plant, each with its own messages; after one that went wrong the plant is of no further use. The caller owns it.
"""

import asyncio
import time
from pathlib import Path
from random import Random

import asyncpg
import msgspec

from perf.processes import BenchError
from tests.faults.catalogue import Fault
from tests.faults.inflicting import Inflicting
from tests.faults.plant import DESTINATION_PREFIX, Plant
from tests.faults.verdict import Bounds, Row, Verdict, judge, judge_kept, judge_status

ALARMS = ('Traceback', 'stage.error', 'stage.item_refused', 'stage.batch_refused', 'shelf.error', 'upkeep.error',
          'link.error', 'bind.error', 'connection.error', 'cluster.error')  # fmt: skip
OF_OTHERS = frozenset({'awaiting_receipt', 'in_memory'})
"""What `judge_kept` looks at where there are other nodes: they may have dealt with receipts of what one keeps."""
POLL_S = 0.01


class Pace(msgspec.Struct, frozen=True):
    """How much traffic a trial has."""

    rate_per_s: int = 1500
    between: tuple[int, int] = (100, 1500)
    """At least and at most so many messages are answered before the fault."""
    after: int = 300
    """And so many after it."""
    patience_s: float = 60
    """The product may take so long until traffic flows again, and until all has settled."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one trial came to. `wrong` names every promise that was broken."""

    fault: str
    nodes: int
    seed: int
    seconds: float
    take_over_s: float = 0.0
    """From the fault on, until the last message that was accepted before it had its receipt."""
    silent_s: float = 0.0
    """The longest time after it without a single ESME_ROK."""
    fenced: int = 0
    verdict: Verdict | None = None
    wrong: list[str] = []

    @property
    def lost(self) -> int:
        """Messages that were accepted and are nowhere, or have no receipt."""
        return self.verdict.lost if self.verdict is not None else 0


class Watch:
    """Follows the ESME's book from a fault on."""

    def __init__(self, plant: Plant, first: int) -> None:
        book = plant.book
        self._book = book
        self.began_at = self._ok_at = time.monotonic()
        self._ok = book.get('ok')
        self._before = book.unreceipted(first, book.get('submitted'))
        self.take_over_s = self.silent_s = 0.0

    @property
    def is_over(self) -> bool:
        """Whether all that was accepted before has its receipt."""
        return not self._before

    def look(self) -> None:
        """Called every few milliseconds."""
        now, ok = time.monotonic(), self._book.get('ok')
        if self._before:
            receipts = self._book.receipts
            while self._before and receipts[self._before[-1]]:
                self._before.pop()
            self.take_over_s = now - self.began_at
        if self._book.get('rate_per_s'):
            self.silent_s = max(self.silent_s, now - self._ok_at)
        if ok != self._ok:
            self._ok, self._ok_at = ok, now


class Trial:
    """One fault on a plant that is settled."""

    def __init__(self, plant: Plant, fault: Fault, seed: int, pace: Pace) -> None:
        self.plant = plant
        self.fault = fault
        self._seed = seed
        self._pace = pace
        self._random = Random(f'{seed} {fault.name}')
        self._first = plant.book.get('submitted')
        self._counters = plant.book.counters()
        self._fenced = sum(node.fenced for node in plant.nodes)
        self._after_id = 0
        self._logs = {node.log: node.log.stat().st_size for node in plant.nodes}
        self._watch: Watch | None = None

    async def run(self) -> Outcome:
        """Does it and judges. What goes wrong is in the outcome."""
        began_at = time.monotonic()
        wrong: list[str] = []
        verdict = None
        try:
            wrong += await self._break_and_settle()
            verdict = await self._judge()
        except (BenchError, TimeoutError, OSError) as error:
            wrong.append(f'{type(error).__name__}: {error}')
        watch = self._watch
        return Outcome(
            fault=self.fault.name,
            nodes=self.plant.settings.nodes,
            seed=self._seed,
            seconds=round(time.monotonic() - began_at, 1),
            take_over_s=round(watch.take_over_s, 2) if watch else 0.0,
            silent_s=round(watch.silent_s, 2) if watch else 0.0,
            fenced=sum(node.fenced for node in self.plant.nodes) - self._fenced,
            verdict=verdict,
            wrong=[*wrong, *(verdict.wrong if verdict else []), *self._alarms(), *self._too_late()],
        )

    async def _break_and_settle(self) -> list[str]:
        plant, pace = self.plant, self._pace
        self._after_id = await self._last_id()
        plant.book.set('rate_per_s', pace.rate_per_s)
        await self._answered(self._random.randint(*pace.between))
        self._watch = watch = Watch(plant, self._first)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._keep_watching(watch))
            await Inflicting(plant, self.fault, self._random, watch).inflict()
            await self._answered(pace.after)
            watching.cancel()
        plant.book.set('rate_per_s', 0)
        return await self._settled()

    async def _keep_watching(self, watch: Watch) -> None:
        while True:
            watch.look()
            await asyncio.sleep(POLL_S)

    # Conditions

    async def _answered(self, count: int) -> None:
        """Waits until so many more messages are accepted and half as many receipts are here: traffic flows again."""
        book = self.plant.book
        ok, received = book.get('ok') + count, book.get('received') + count // 2
        give_up_at = time.monotonic() + self._pace.patience_s
        while book.get('ok') < ok or book.get('received') < received:
            if time.monotonic() > give_up_at:
                raise BenchError(f'not in traffic again after {self._pace.patience_s:g} s: {book.counters()}')
            await asyncio.sleep(POLL_S)

    async def _settled(self) -> list[str]:
        """Waits until nothing is left to do anywhere; returns what still is when that takes too long."""
        give_up_at = time.monotonic() + self._pace.patience_s
        while wrong := await unsettled(self.plant, self._first):
            if time.monotonic() > give_up_at:
                break
            if self._watch is not None and not self._watch.is_over:
                self._watch.look()
            await asyncio.sleep(5 * POLL_S)
        if self._watch is not None:
            self._watch.look()
        return wrong

    # The verdict

    async def _last_id(self) -> int:
        connection = await self.plant.connect()
        try:
            return int(await connection.fetchval('select coalesce(max(id), 0) from message'))
        finally:
            await connection.close()

    async def _judge(self) -> Verdict:
        book, settings, cost = self.plant.book, self.plant.settings, self.fault.cost
        last = book.get('submitted')
        bounds = Bounds(
            cost.links * settings.links * settings.upstream_window, cost.binds * settings.binds * settings.window
        )
        told = book.told(self._first, last, self._counters)
        verdict = judge(told, self.plant.seen[self._first : last], await self._rows(), bounds)
        if cost.answers or not verdict.unknown:
            return verdict
        wrong = f'{verdict.unknown} submits were not answered'
        return msgspec.structs.replace(verdict, wrong=[*verdict.wrong, wrong])

    async def _rows(self) -> list[Row]:
        connection = await self.plant.connect()
        try:
            rows = await connection.fetch(
                'select substr(destination_addr, $1)::bigint, id, state, notice, repeated from message'
                ' where id > $2 order by id',
                len(DESTINATION_PREFIX) + 1,
                self._after_id,
            )
        finally:
            await connection.close()
        return [Row(number - self._first, *rest) for number, *rest in rows]

    def _alarms(self) -> list[str]:
        return [*(line for node in self.plant.nodes for line in node.ended_badly), *alarms(self._logs)]

    def _too_late(self) -> list[str]:
        watch = self._watch
        if watch is None or watch.take_over_s <= self.fault.within_s:
            return []
        return [f'the last receipt for what was accepted before came after {watch.take_over_s:.1f} s']


async def unsettled(plant: Plant, first: int) -> list[str]:
    """What is still to be done anywhere, for the messages from `first` on; nothing once all has settled."""
    book = plant.book
    last = book.get('submitted')
    wrong = []
    if unanswered := book.unanswered(first, last):
        wrong.append(f'{unanswered} submits are not answered')
    if unreceipted := book.unreceipted(first, last):
        wrong.append(f'{len(unreceipted)} receipts have not come')
    if wrong:
        return wrong
    try:
        for status in await plant.statuses():
            if len(plant.nodes) > 1:
                wrong += judge_status(status, OF_OTHERS) + judge_kept(status, plant.cache)
            else:
                wrong += judge_status(status)
        ledger = await plant.ledger()
    except (BenchError, OSError, asyncpg.PostgresError) as error:
        return [f'{type(error).__name__}: {error}']
    if not ledger.adds_up or ledger.waiting or ledger.nowhere:
        wrong.append(f'smsc ledger: {ledger}')
    return wrong


def alarms(logs: dict[Path, int]) -> list[str]:
    """What logs have, from an octet on, that no fault excuses."""
    wrong = []
    for log, size in logs.items():
        with log.open('rb') as file:
            file.seek(size)
            text = file.read().decode(errors='replace')
        wrong += [f'{log.name} has {text.count(alarm)} of {alarm}' for alarm in ALARMS if alarm in text]
    return wrong
