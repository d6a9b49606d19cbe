"""Questions for messages by their message_id, as query_sm, cancel_sm and replace_sm ask them.

Those that wait for the store go in one statement, one of each account in turn: an account that asks much delays its own
questions, not those of others. The same question asked twice is put once.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator

from domain.message import Message
from storage import statements as sql
from storage.connection import Connection, StoreConnection
from storage.rows import message_of

BATCH = 32  # questions in one statement; to each there may be the 255 messages of a submit_multi
MAX_ID = (1 << 63) - 1

Question = tuple[int, str, int]  # message_id, account, the id that all which share it are below
Answer = asyncio.Future[list[Message]]


class Questions:
    """What waits to be asked, and the task that asks it; there is none while nobody asks."""

    def __init__(self, asking: StoreConnection) -> None:
        self._asking = asking
        self._waiting: dict[str, deque[tuple[Question, Answer]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> list[Message]:
        """Return the messages it means, oldest first. Raises what the store raised for it."""
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(question[1], deque()).append((question, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._answer_all(), name='store questions')
        return await answer

    async def close(self) -> None:
        """Ask no more; whoever waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for _, answer in self._take():
            answer.cancel()

    async def _answer_all(self) -> None:
        while batch := self._next_batch():
            await self._answer(batch)

    def _next_batch(self) -> dict[Question, list[Answer]]:
        batch: dict[Question, list[Answer]] = defaultdict(list)
        for question, answer in self._take():
            if not answer.done():  # else nobody waits for it any more
                batch[question].append(answer)
            if len(batch) == BATCH:
                break
        return batch

    def _take(self) -> Iterator[tuple[Question, Answer]]:
        """Take out what waits, one of each account in turn."""
        while self._waiting:
            account = next(iter(self._waiting))
            questions = self._waiting.pop(account)
            first = questions.popleft()
            if questions:
                self._waiting[account] = questions  # behind the others
            yield first

    async def _answer(self, batch: dict[Question, list[Answer]]) -> None:
        answers = [answer for of_one in batch.values() for answer in of_one]
        try:
            found = await self._fetch(list(batch))
        except Exception as error:  # noqa: BLE001 - it is for whoever asked
            for answer in answers:
                if not answer.done():
                    answer.set_exception(error)
        except BaseException:
            for answer in answers:
                answer.cancel()
            raise
        else:
            for place, of_one in enumerate(batch.values(), 1):
                for answer in of_one:
                    if not answer.done():
                        answer.set_result(found.get(place, []))

    async def _fetch(self, questions: list[Question]) -> dict[int, list[Message]]:
        """Return the messages by the place of their question, from 1."""

        async def fetch(connection: Connection, doubtful: bool) -> dict[int, list[Message]]:
            found: dict[int, list[Message]] = defaultdict(list)
            for row in await connection.fetch(sql.FIND_MESSAGE, *zip(*questions, strict=True)):
                found[row['question']].append(message_of(row))
            for messages in found.values():
                messages.sort(key=lambda message: message.id)
            return found

        return await self._asking.run(fetch)
