"""The stop-lists of a running server: read at its start, followed while it runs, and the one that fills by itself.

What commands and other nodes change is looked for every few seconds, by the versions of the lists; `smsc stop-list`
asks for a look at once. Numbers that failed too often are collected and written once a minute: then they are on their
list, here as on other nodes. Counts of failures are in memory only: after a restart each number begins anew, so that
none gets onto the list too early.
"""

import asyncio
from array import array
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from domain.errors import StoreUnavailable
from pdu.receipt_text import MessageState
from routing.failures import MINUTE_MS, Failures
from routing.stop_lists import GLOBAL, Mark, StopList, StopLists, StopListStep
from smsc.clock import wall_ms
from smsc.config.kinds import status_value
from smsc.config.policy_schema import AutomaticConfig
from smsc.config.schema import AccountConfig, Configuration
from smsc.control import ControlError
from storage.stop_lists import DAY_MS, Change

if TYPE_CHECKING:
    from smsc.core import Core

log = structlog.get_logger()

PENDING_BOUND = 10_000
EXPIRE_EVERY_MS = 3_600_000
STALE_MS = DAY_MS // 2
"""Who has not looked for so long reads all lists anew: entries that were taken off may be forgotten."""

LOOK_TIMEOUT_S = 50.0
MAX_NUMBER_DIGITS = 15


class StopListKeeping:
    """Keeps the stop-lists of a node as they are in the store."""

    def __init__(self, core: 'Core', lists: StopLists) -> None:
        self._core = core
        self._records = core.store.stop_lists
        self.lists = lists
        self.failures: Failures | None = None
        self.listed = 0
        self.dropped = 0
        self._versions: dict[str, int] = {}
        self._pending: dict[int, str] = {}
        self._looked_at_ms = 0
        self._expired_at_ms = 0
        self._wrote_at_ms = 0
        self._automatic: AutomaticConfig | None = None
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def configure(self, configuration: Configuration) -> None:
        """Go on with this configuration; failures that were counted stay if they are counted alike."""
        automatic = configuration.stop_lists.automatic
        self._core.note_ending = None if automatic is None else self.note_ending
        self._core.note_refusal = None if automatic is None else self.note_refusal
        self._automatic = automatic
        if automatic is None:
            self.failures = None
            return
        self._states = frozenset(int(MessageState[name]) for name in automatic.states)
        self._errors = frozenset(automatic.errors)
        self._statuses = frozenset(map(status_value, automatic.statuses))
        within_ms = automatic.within_d * DAY_MS
        counted = self.failures
        if counted is None or (counted.failures, counted.within_min) != (automatic.failures, within_ms // MINUTE_MS):
            self.failures = Failures(automatic.failures, within_ms, automatic.numbers)
        else:
            counted.bound = automatic.numbers

    async def read(self) -> None:
        """Read the lists; nothing is decided before."""
        self.configure(self._core.configuration)
        await self._look()

    def start(self) -> None:
        """Follow the lists from here on, in a task of its own."""
        self._task = asyncio.create_task(self._follow(), name='stop-lists')

    async def stop(self) -> None:
        """Write what is to be listed, and follow no more."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        try:
            async with asyncio.timeout(1):
                await self._write_pending(wall_ms())
        except (TimeoutError, StoreUnavailable):
            log.warning('stop_lists.not_written', numbers=len(self._pending))

    async def handle_look(self, request: dict[str, Any]) -> dict[str, int]:
        """Answer a command that has changed lists: they are in force here now. Returns how much each holds."""
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                await self._look(at_once=True)
        except TimeoutError as error:
            raise ControlError('the server has not read the lists yet; it goes on doing so') from error
        return {name: len(found) for name, found in self.lists.lists.items()}

    # What is in the store

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._core.configuration.stop_lists.poll_s)
            try:
                await self._look()
            except StoreUnavailable as error:
                log.warning('stop_lists.later', reason=str(error))
            except Exception:
                log.exception('stop_lists.error')

    async def _look(self, at_once: bool = False) -> None:
        """Bring the lists in memory to what they are in the store; `at_once` also what is to be listed by itself."""
        async with self._turn:
            now_ms = wall_ms()
            await self._tidy(now_ms, at_once)
            if abs(now_ms - self._looked_at_ms) >= STALE_MS:
                self._versions = {}
            versions = await self._records.versions()
            for name, version in versions.items():
                known = self._versions.get(name)
                if known is None:
                    await self._read(name)
                elif known != version:
                    await self._records.changes(name, known, version, partial(self._apply, name))
                self._versions[name] = version
            self._looked_at_ms = now_ms

    async def _tidy(self, now_ms: int, at_once: bool) -> None:
        """Write what is to be written; a list that a command is writing has to wait for the next look."""
        try:
            if at_once or abs(now_ms - self._wrote_at_ms) >= MINUTE_MS:
                await self._write_pending(now_ms)
            if abs(now_ms - self._expired_at_ms) >= EXPIRE_EVERY_MS:
                await self._expire(now_ms)
        except StoreUnavailable as error:
            log.warning('stop_lists.later', reason=str(error))

    async def _expire(self, now_ms: int) -> None:
        """Let go of what ran out, here and in the store."""
        marks = self.lists.marks
        self.lists.marks = {
            mark_id: mark for mark_id, mark in marks.items() if not mark.until_ms or mark.until_ms > now_ms - DAY_MS
        }
        await self._records.expire(now_ms)
        self._expired_at_ms = now_ms

    async def _read(self, name: str) -> None:
        """Read a whole list."""
        reading = _Reading(self.lists)
        await self._records.read(name, reading.begin, reading.take)
        for mark in await self._records.marks(sorted(reading.mark_ids)):
            self.lists.marks[mark.id] = Mark(mark.since_ms, mark.until_ms, mark.note)
        self.lists.put(name, reading.found)

    def _apply(self, name: str, rows: list[Any]) -> None:
        """Take a page of changes in."""
        numbers: list[tuple[int, int]] = []
        prefixes: list[tuple[str, int]] = []
        gone: list[int] = []
        gone_prefixes: list[int] = []
        marks = self.lists.marks
        for prefix, number, mark, removed, since_ms, until_ms, note in rows:
            if removed:
                (gone_prefixes if prefix else gone).append(number)
                continue
            if mark not in marks:
                marks[mark] = Mark(since_ms, until_ms, note)
            if prefix:
                prefixes.append((str(number), mark))
            else:
                numbers.append((number, mark))
        self.lists.add(name, numbers, prefixes)
        self.lists.discard(name, gone, map(str, gone_prefixes))

    # The list that fills by itself

    def note_ending(self, destination: bytes, state: int, error: int, now_ms: int) -> None:
        """An operator's receipt has ended a message to this number."""
        failures = self.failures
        if failures is None:
            return
        if state == MessageState.DELIVERED:
            if failures and destination.isdigit() and failures.note_delivery(int(destination)):
                self._core.cluster.counters.note_delivery(int(destination))
        elif state in self._states and (not self._errors or error in self._errors):
            self._note_failure(failures, destination, f'{MessageState(state).name}, error {error}', now_ms)

    def note_refusal(self, destination: bytes, status: int) -> None:
        """An operator has refused a submit_sm to this number for good."""
        if self.failures is not None and status in self._statuses:
            self._note_failure(self.failures, destination, f'refused with 0x{status:X}', wall_ms())

    def _note_failure(self, failures: Failures, destination: bytes, what: str, now_ms: int) -> None:
        if not destination.isdigit() or len(destination) > MAX_NUMBER_DIGITS or destination.startswith(b'0'):
            return
        number = int(destination)
        is_enough = failures.note_failure(number, now_ms)
        self._core.cluster.counters.note_failure(number, is_enough)
        if is_enough:
            self._put_off(failures, number, what)

    def _put_off(self, failures: Failures, number: int, what: str) -> None:
        """Put a number on the list with the next ones."""
        if len(self._pending) < PENDING_BOUND:
            self._pending[number] = f'{failures.failures} failures in a row, the last: {what}'
        else:
            self.dropped += 1

    def hear(self, number: int, is_enough: bool, is_over: bool) -> None:
        """Another node knows of a failure of this number, of the one that was enough, or that its failures are over."""
        failures = self.failures
        if failures is None or not 0 < number < 10**MAX_NUMBER_DIGITS:
            return
        if is_enough or is_over:
            failures.note_delivery(number)
        elif failures.note_failure(number, wall_ms()):
            self._put_off(failures, number, 'at another node')

    async def _write_pending(self, now_ms: int) -> None:
        """Put on the list what failed too often, unless it is there. Once a minute: what is written shares a mark."""
        automatic, pending = self._automatic, self._pending
        if not pending or automatic is None:
            return
        self._pending = {}
        try:
            await self._write(automatic, pending, now_ms)
        except BaseException:
            self._pending = pending | self._pending
            raise
        self._wrote_at_ms = now_ms

    async def _write(self, automatic: AutomaticConfig, pending: dict[int, str], now_ms: int) -> None:
        by_note: dict[str, list[int]] = {}
        for number, note in pending.items():
            if self.lists.find((automatic.list,), str(number), number, now_ms) is None:
                by_note.setdefault(note, []).append(number)
        since_ms = now_ms - now_ms % MINUTE_MS
        until_ms = since_ms + automatic.for_d * DAY_MS if automatic.for_d else 0
        for note, numbers in by_note.items():
            await self._records.put(automatic.list, numbers, Change('smsc', since_ms, note, until_ms))
            self.listed += len(numbers)
            log.info('stop_lists.listed', list=automatic.list, numbers=len(numbers), reason=note)


class _Reading:
    """Pages of a list on their way into memory."""

    def __init__(self, lists: StopLists) -> None:
        self.found = StopList()
        self.mark_ids: set[int] = set()
        self._lists = lists

    def begin(self) -> None:
        self.found = StopList()
        self.mark_ids.clear()

    def take(self, rows: list[Any]) -> None:
        """Take (prefix, number, mark) in; numbers come in order."""
        numbers = array('Q', [row[1] for row in rows if not row[0]])
        marks = array('I', [row[2] for row in rows if not row[0]])
        self.mark_ids.update(row[2] for row in rows)
        self.found.extend(numbers, marks)
        self._lists.let_pass(numbers)
        self.found.prefixes.update((str(row[1]), row[2]) for row in rows if row[0])


def stop_list_step(configuration: Configuration, account: AccountConfig, lists: StopLists) -> StopListStep:
    """Return the look at the stop-lists that hold for an account: those for all, but what it ignores, then its own."""
    stop_lists = configuration.stop_lists
    for_all = [GLOBAL, *([stop_lists.automatic.list] if stop_lists.automatic else [])]
    names = [name for name in for_all if name not in account.ignores_stop_lists]
    names += [name for name in account.stop_lists if name not in names]
    return StopListStep(lists, names, stop_lists.exempt_categories, status_value(stop_lists.status))
