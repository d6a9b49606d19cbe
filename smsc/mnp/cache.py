"""Answers of look-up services, remembered: in memory for this process, in Redis for all nodes and the next start.

Redis is asked only about numbers that memory does not know, and only before a service would be. What it says is checked
as any input; when it fails it is left alone for a while, and nothing is lost but the memory of others.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from routing.mnp import MAX_NAME

log = structlog.get_logger()

PREFIX = 'smsc:mnp:'
REDIS_TIMEOUT_S = 0.1
REDIS_FAILURES = 1
REDIS_REST_S = 5.0
NOT_PORTED = '-'


class Breaker:
    """Keeps what fails from being asked: after some failures in a row it rests, then one failure is enough."""

    __slots__ = ('_failures', '_limit', '_rest_s', '_rests_until')

    def __init__(self, failures: int, rest_s: float) -> None:
        self._limit = failures
        self._rest_s = rest_s
        self._failures = 0
        self._rests_until = 0.0

    def may_ask(self, now: float) -> bool:
        """Return whether it does not rest; `now` in monotonic seconds."""
        return now >= self._rests_until

    def note_success(self) -> bool:
        """Count an answer; return whether it is the first after a rest."""
        was_resting = self._rests_until > 0
        self._failures, self._rests_until = 0, 0.0
        return was_resting

    def note_failure(self, now: float) -> bool:
        """Count a failure; return whether the rest begins with it for the first time."""
        self._failures += 1
        if self._failures < self._limit:
            return False
        was_resting = self._rests_until > 0
        self._rests_until = now + self._rest_s
        return not was_resting


class MemoryCache:
    """Operators by number, until a time; the numbers not asked for the longest go first when it is full."""

    __slots__ = ('_found', '_size')

    def __init__(self, size: int) -> None:
        self._found: OrderedDict[int, tuple[str, float]] = OrderedDict()
        self._size = size

    def __len__(self) -> int:
        return len(self._found)

    def get(self, number: int, now: float) -> str | None:
        """Return the operator, '' for a number that is not ported, None for one that is not known any more."""
        found = self._found.get(number)
        if found is None:
            return None
        if found[1] <= now:
            del self._found[number]
            return None
        self._found.move_to_end(number)
        return found[0]

    def put(self, number: int, operator: str, until: float) -> None:
        """Remember an operator."""
        self._found[number] = (operator, until)
        self._found.move_to_end(number)
        if len(self._found) > self._size:
            self._found.popitem(last=False)


class RedisCache:
    """The same in a Redis or Valkey server. No method raises for what is wrong with the server."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for what is no URL of Redis."""
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        self._redis: Any = Redis.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._breaker = Breaker(REDIS_FAILURES, REDIS_REST_S)

    async def read(self, numbers: Sequence[int]) -> dict[int, str]:
        """Return the names of operators, '' for numbers that are not ported, of those that are known."""
        values = await self._ask(lambda: self._redis.mget([f'{PREFIX}{number}' for number in numbers]))
        found: dict[int, str] = {}
        for number, value in zip(numbers, values or (), strict=False):
            if isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable():
                found[number] = '' if value == NOT_PORTED else value
        return found

    async def write(self, found: Mapping[int, str], keep_s: Mapping[bool, int]) -> None:
        """Remember names of operators; `keep_s` says how long, for ported numbers (True) and others."""
        if not found:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for number, name in found.items():
            pipeline.set(f'{PREFIX}{number}', name or NOT_PORTED, ex=keep_s[bool(name)])
        await self._ask(pipeline.execute)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def _ask(self, question: Any) -> Any:
        """Return the answer, None when the server rests or fails."""
        from redis.exceptions import RedisError

        if not self._breaker.may_ask(time.monotonic()):
            return None
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                answer = await question()
        except (RedisError, OSError, UnicodeError) as error:  # also the time-out
            if self._breaker.note_failure(time.monotonic()):
                log.warning('mnp.redis_away', reason=type(error).__name__)
            return None
        if self._breaker.note_success():
            log.info('mnp.redis_back')
        return answer
