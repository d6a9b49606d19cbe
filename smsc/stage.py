"""Group commit: what must be durable gathers while the commit before it is in flight and goes with the next one.

One class serves every stage of a message's way (architecture.md section 2). Idle, an item is committed at once; loaded,
the batches grow by themselves. No task, lock or future per item: one worker a stage.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

Item = TypeVar('Item')
Result = TypeVar('Result')
log = structlog.get_logger()


class Stage(Generic[Item, Result]):
    """Gathers items and commits them, one batch at a time, in the order they were added.

    `commit` makes a batch durable and retries by itself while the store is away. `done` is called with the batch and
    what `commit` returned. A batch that `commit` raises for is tried item by item, so that one that cannot be stored
    harms no other; those go to `abandon`, with an error in the log.
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[list[Item]], Awaitable[Result]],
        done: Callable[[list[Item], Result], None],
        abandon: Callable[[list[Item]], None],
        bound: int,
    ) -> None:
        self.name = name
        self.items: list[Item] = []
        self.bound = bound
        self.commits = 0
        self.committed = 0
        self.failed = 0
        self.busy_s = 0.0
        self.on_room: Callable[[], None] = lambda: None
        self._commit = commit
        self._done = done
        self._abandon = abandon
        self._in_flight = 0
        self._catching_up: list[tuple[int, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """As much has gathered as may: whoever feeds this stage should stop reading."""
        return len(self.items) >= self.bound

    @property
    def load(self) -> int:
        """Items gathered or in flight."""
        return len(self.items) + self._in_flight

    def start(self) -> None:
        """Begin to commit, in a task of the stage's own."""
        self._task = asyncio.create_task(self._run(), name=f'stage {self.name}')

    def kick(self) -> None:
        """Let what has gathered be committed as soon as the commit before it is through."""
        if self.items:
            self._idle.clear()
            self._wake.set()

    async def drain(self) -> None:
        """Wait until nothing is left: for when nobody adds any more. Under load that may be never; see `catch_up`."""
        self.kick()
        await self._idle.wait()

    async def catch_up(self) -> None:
        """Wait until everything gathered so far is committed or set aside, whatever comes meanwhile."""
        if not self.load:
            return
        self.kick()
        caught_up = asyncio.get_running_loop().create_future()
        self._catching_up.append((self.committed + self.load, caught_up))
        await caught_up

    async def stop(self) -> None:
        """End the worker; what was not committed is not."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.items:
                batch, self.items = self.items, []
                self._in_flight = len(batch)
                self._call(self.on_room)
                started = loop.time()
                await self._commit_batch(batch)
                self.busy_s += loop.time() - started
                self.commits += 1
                self.committed += len(batch)
                self._in_flight = 0
                if self._catching_up:
                    self._tell_caught_up()
            self._idle.set()

    def _tell_caught_up(self) -> None:
        """Let those go on who waited for no more than what is committed by now."""
        waiting, self._catching_up = self._catching_up, []
        for committed, caught_up in waiting:
            if committed > self.committed:
                self._catching_up.append((committed, caught_up))
            elif not caught_up.done():
                caught_up.set_result(None)

    async def _commit_batch(self, batch: list[Item]) -> None:
        try:
            result = await self._commit(batch)
        except Exception as error:
            if len(batch) > 1:
                log.warning('stage.batch_refused', stage=self.name, items=len(batch), error=str(error))
                for item in batch:
                    await self._commit_batch([item])
                return
            self.failed += 1
            log.exception('stage.item_refused', stage=self.name)
            self._call(self._abandon, batch)
        else:
            self._call(self._done, batch, result)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        """Call what follows a commit; an error in it is a bug that must not stop the stage."""
        try:
            function(*arguments)
        except Exception:
            self.failed += 1
            log.exception('stage.error', stage=self.name)
