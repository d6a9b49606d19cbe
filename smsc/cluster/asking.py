"""Questions of one node to others, and their answers, over Redis.

A question that is lost, or whose answer is, costs the asker its patience and nothing else: whoever was asked and is not
heard of in time counts as silent, which is not the same as a no. Without Redis everybody is silent at once. Whatever
comes in is bounded and checked; a question that nobody here can answer is answered with an error.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import structlog

MAX_OCTETS = 1 << 20
MAX_UNDER_WAY = 2_000  # questions of others that are being answered here, and own ones that wait
PATIENCE_S = 6.0
MARGIN_S = 1.0  # that an asker waits longer than the one who is asked may work on it
UNREADABLE = (msgspec.DecodeError, RecursionError)

Handler = Callable[[dict[str, Any]], Awaitable[Any]]
"""Answers a question, with something that JSON can say. ValueError: its arguments are none that it understands."""

log = structlog.get_logger()


class Question(msgspec.Struct, frozen=True):
    """What node `asker` wants to know; `timeout_s` is how long it may take."""

    id: int
    asker: int
    what: str
    arguments: dict[str, Any] = {}
    timeout_s: float = PATIENCE_S


class Answer(msgspec.Struct, frozen=True):
    """What `node` says to a question; `error` says why it does not answer it."""

    id: int
    node: int
    value: Any = None
    error: str = ''


class Answers(msgspec.Struct):
    """What came of a question: values by node, and who said nothing, or that it could not say."""

    values: dict[int, Any]
    silent: frozenset[int] = frozenset()


class _Open:
    """A question that waits for answers."""

    def __init__(self, nodes: Iterable[int]) -> None:
        self.left = set(nodes)
        self.values: dict[int, Any] = {}
        self.failed: set[int] = set()
        self.done = asyncio.Event()

    def take(self, answer: Answer) -> None:
        if answer.node not in self.left:
            return
        self.left.discard(answer.node)
        if answer.error:
            self.failed.add(answer.node)
        else:
            self.values[answer.node] = answer.value
        if not self.left:
            self.done.set()


class Asking:
    """The questions of one node."""

    def __init__(
        self, node: int, publish: Callable[[str, int, bytes], bool], is_fenced: Callable[[], bool] = lambda: False
    ) -> None:
        """`publish` sends octets to a node under 'asked' or 'answered'; it returns False when nothing gets out now."""
        self._is_fenced = is_fenced
        self.handlers: dict[str, Handler] = {}
        self.answers_now = False  # not before all that this node answers for is in its memory
        self._node = node
        self._publish = publish
        self._last_id = secrets.randbits(48)  # so that no answer to a process before this one is taken for one to it
        self._open: dict[int, _Open] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._questions = msgspec.json.Decoder(Question)
        self._answers = msgspec.json.Decoder(Answer)

    async def ask(
        self, nodes: Iterable[int], what: str, arguments: dict[str, Any] | None = None, timeout_s: float = PATIENCE_S
    ) -> Answers:
        """Ask other nodes; returns when all have answered, or after `timeout_s` seconds."""
        asked = frozenset(nodes) - {self._node}
        if not asked:
            return Answers({})
        if len(self._open) >= MAX_UNDER_WAY:
            return Answers({}, asked)
        self._last_id += 1
        question = Question(self._last_id, self._node, what, arguments or {}, max(0.1, timeout_s - MARGIN_S))
        octets = msgspec.json.encode(question)
        if len(octets) > MAX_OCTETS:
            return Answers({}, asked)
        opened = self._open[question.id] = _Open(asked)
        try:
            if all(self._publish('asked', node, octets) for node in sorted(asked)):
                await asyncio.wait_for(opened.done.wait(), timeout_s)
        except TimeoutError:
            log.info('cluster.silent', what=what, nodes=sorted(opened.left))
        finally:
            del self._open[question.id]
        return Answers(opened.values, frozenset(opened.left | opened.failed))

    def handle_answer(self, octets: bytes) -> None:
        """Take in what another node says."""
        if len(octets) > MAX_OCTETS:
            return
        try:
            answer = self._answers.decode(octets)
        except UNREADABLE:
            return
        opened = self._open.get(answer.id)
        if opened is not None:
            opened.take(answer)

    def handle_question(self, octets: bytes) -> None:
        """Answer another node, as work of its own."""
        if len(octets) > MAX_OCTETS:
            return
        try:
            question = self._questions.decode(octets)
        except UNREADABLE:
            return
        handler = self.handlers.get(question.what)
        if handler is None:
            self._answer(question, error='no such question')
        elif not self.answers_now:
            self._answer(question, error='starting')
        elif self._is_fenced():  # it was stopped; whoever asked may have given up, and been told that nothing was done
            self._answer(question, error='fenced off')
        elif len(self._tasks) >= MAX_UNDER_WAY:
            self._answer(question, error='too many questions')
        else:
            task = asyncio.create_task(self._work(question, handler), name=f'answer {question.what}')
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, question: Question, handler: Handler) -> None:
        try:
            async with asyncio.timeout(min(question.timeout_s, PATIENCE_S)):
                self._answer(question, await handler(question.arguments))
        except TimeoutError:
            self._answer(question, error='it took too long')
        except ValueError as error:
            self._answer(question, error=str(error))
        except Exception:
            log.exception('cluster.answer', what=question.what, asker=question.asker)
            self._answer(question, error='its log says why')

    def _answer(self, question: Question, value: Any = None, error: str = '') -> None:
        answer = Answer(question.id, self._node, value, error)
        self._publish('answered', question.asker, msgspec.json.encode(answer))

    async def finish(self) -> None:
        """Wait for the answers that are under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Answer no more."""
        for task in self._tasks:
            task.cancel()
        await self.finish()
