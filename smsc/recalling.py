"""What the steps of the policy remember, read back by a start: duplicates at once, counts of today behind traffic.

The store has what all nodes accepted. What others accept while it is read, they tell (`smsc.cluster.counters`).
"""

import asyncio
from typing import TYPE_CHECKING, TypeVar

import structlog

from domain.errors import StoreUnavailable
from domain.ids import accepted_at_ms, first_id
from routing.daily_limits import DailyLimitStep
from routing.duplicates import DuplicateStep
from routing.facts import Facts
from routing.steps import Step
from smsc.clock import wall_ms
from smsc.deciding import facts_of
from smsc.limits_of_policy import recall_days, recall_duplicates
from smsc.wire_forms import part_of
from storage.recent import RecentMessage

if TYPE_CHECKING:
    from smsc.core import Core

log = structlog.get_logger()

PARTS_READ = 50_000
COMMIT_S = 2.0  # by which what other nodes gave an id before is committed
S = TypeVar('S', bound=Step)


class Recalling:
    """The reading of one start."""

    def __init__(self, core: 'Core') -> None:
        self._core = core
        self._task: asyncio.Task[None] | None = None

    async def hear_others(self, last_id: int) -> int:
        """Return the id up to which to read: `last_id`, or in a cluster that of now, once other nodes are heard."""
        core = self._core
        if core.configuration.cluster is None:
            return last_id
        core.policy.memory.shared_hash.key = await core.store.recent.hash_key()
        await core.cluster.hear_others()
        core.cluster.counters.counted_up_to = max(last_id, first_id(wall_ms()) - 1)
        return core.cluster.counters.counted_up_to

    async def read_duplicates(self, last_id: int) -> None:
        """Read what may be sent again, up to `last_id`; to be awaited before anybody binds."""
        await recall_duplicates(self._core.store.recent, self._steps(DuplicateStep), self._facts_of, last_id)
        await self._core.cluster.counters.learn_failures()
        self._core.cluster.counters.take_up()

    async def read_parts(self, last_id: int) -> None:
        """Read what was decided about messages of which parts may come yet; to be awaited before anybody binds."""
        above = first_id(wall_ms() - int(self._core.configuration.queues.parts_keep_s * 1000))
        self._core.joining.recall(await self._core.store.recent.parts(above, last_id, PARTS_READ))

    def start(self, last_id: int) -> None:
        """Begin to count what was accepted today up to `last_id`."""
        self._task = asyncio.create_task(self._count(last_id), name='recall of daily limits')

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _count(self, last_id: int) -> None:
        if self._core.configuration.cluster is not None:
            await asyncio.sleep(COMMIT_S)
        try:
            await recall_days(self._core.store.recent, self._steps(DailyLimitStep), self._facts_of, last_id)
        except StoreUnavailable as error:
            log.warning('daily_limits.not_recalled', reason=str(error))
        except Exception:
            log.exception('daily_limits.not_recalled')

    def _steps(self, kind: type[S]) -> dict[str, S]:
        decider = self._core.decider
        return {
            name: step
            for name in self._core.configuration.accounts
            for step in decider.steps_of(name)
            if isinstance(step, kind)
        }

    def _facts_of(self, message: RecentMessage) -> Facts:
        pdu = message.pdu
        facts = facts_of(self._core.account(message.account).submitter, pdu, 1, accepted_at_ms(message.id), 0)
        facts.part, facts.message_id = part_of(pdu), message.id
        facts.category = message.category or facts.category
        facts.asked_source_addr = message.asked_source_addr
        self._core.decider.locate(facts)
        return facts
