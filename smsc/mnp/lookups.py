"""Numbers that are in no base are looked up at services, beside the way of messages.

`cached` answers at once and from memory. What it does not know, and a service might, is None: that message waits, and
no other, until `resolve` returns, which is no later than the time limit. Afterwards `cached` knows the number, or the
number plan decides.

Numbers gather while the requests before them are on their way, as many requests at a time as the service has
connections, and go in batches. A service has a queue no longer than it can answer within the time limit, as fast as it
has answered lately; when it is full, or the service failed too often, the next service is asked, and without one the
number plan decides at once. What no service could answer is not asked again for a few seconds.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable

import msgspec
import structlog

from routing.mnp import OperatorCodes
from smsc.config.mnp_schema import MnpConfig, MnpServiceConfig
from smsc.mnp.cache import Breaker, MemoryCache, RedisCache
from smsc.mnp.services import Service, ServiceError

log = structlog.get_logger()

AGAIN_S = 5.0
FIRST_GUESS = 0.1  # of the time a request may take is what it takes, as long as nothing is known
SMOOTHING = 0.2
MIN_REQUEST_S = 0.001
MAX_WAITING = 50_000  # numbers, for one service
HOUR_S = 3_600


class ServiceState(msgspec.Struct, frozen=True):
    """A service, for status and metrics: whether it rests, and what it did since the start."""

    service: str
    rests: bool
    waiting: int
    requests: int
    failed: int
    answered: int
    ported: int


class _Desk:
    """Where numbers wait for one service."""

    def __init__(self, config: MnpServiceConfig, wait_s: float) -> None:
        self.service = Service(config)
        self.breaker = Breaker(config.failures, config.rest_s)
        self.waiting: deque[int] = deque()
        self._wait_s = wait_s
        self._request_s = config.timeout_ms / 1000 * FIRST_GUESS
        self.room = 0
        self.note_duration(self._request_s)
        self.keep_s = {True: config.cache_h * HOUR_S, False: config.negative_cache_h * HOUR_S}
        self.working = self.starting = 0
        self.requests = self.failed = self.answered = self.ported = 0

    def note_duration(self, took_s: float) -> None:
        """Take in how long a request took: so many numbers may wait as can be answered before they are given up."""
        self._request_s += (took_s - self._request_s) * SMOOTHING
        at_a_time = self.service.config.connections * self.service.batch
        self.room = min(MAX_WAITING, int(at_a_time * max(1.0, self._wait_s / max(self._request_s, MIN_REQUEST_S))))

    def may_ask(self, digits: str, now: float) -> bool:
        """Return whether a number can be asked about now."""
        return len(self.waiting) < self.room and self.service.takes(digits) and self.breaker.may_ask(now)

    def wants_worker(self) -> bool:
        """Return whether a connection is free, and those that are about to be used do not take all that waits."""
        return self.working < self.service.config.connections and self.starting * self.service.batch < len(self.waiting)

    def take(self) -> list[int]:
        """Return the numbers of the next request."""
        return [self.waiting.popleft() for _ in range(min(self.service.batch, len(self.waiting)))]

    def take_all(self) -> list[int]:
        """Return all numbers that wait."""
        numbers = list(self.waiting)
        self.waiting.clear()
        return numbers

    def state(self, now: float) -> ServiceState:
        """Return what is told of it."""
        return ServiceState(
            str(self.service.config),
            not self.breaker.may_ask(now),
            len(self.waiting),
            self.requests,
            self.failed,
            self.answered,
            self.ported,
        )


class Lookups:
    """All services of a configuration. To be closed when another takes its place, by who made it."""

    def __init__(self, config: MnpConfig, redis: str | None = None) -> None:
        """`redis` is the URL of a Redis server that remembers answers; what is none is logged, and done without."""
        self.wait_s = config.wait_ms / 1000
        self._codes = OperatorCodes(config.operators)
        self._desks = [_Desk(service, self.wait_s) for service in config.services]
        self._memory = MemoryCache(config.cache)
        self._redis = _redis_cache(redis) if redis and config.services else None
        self._pending: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def cached(self, number: int) -> str | None:
        """Return the operator, '' where the number plan decides, None for a number that `resolve` should be asked."""
        if not self._desks or number <= 0:
            return ''
        now = time.monotonic()
        found = self._memory.get(number, now)
        if found is not None:
            return found
        if number in self._pending:
            return None
        digits = str(number)
        for desk in self._desks:
            if desk.may_ask(digits, now):
                return None
        return ''

    def ask(self, numbers: Iterable[int]) -> None:
        """Have numbers looked up, and wait for nothing: a later `cached` knows them."""
        now = time.monotonic()
        for number in numbers:
            if number > 0 and number not in self._pending and self._memory.get(number, now) is None:
                self._assign(number, 0, now)

    async def resolve(self, numbers: Iterable[int], timeout_s: float | None = None) -> None:
        """Return when the numbers are looked up as far as they can be, after `timeout_s` (default `wait_ms`) anyhow.

        What is late is looked up nevertheless, for messages to come.
        """
        async for _ in self.settled(numbers, timeout_s):
            pass

    async def settled(self, numbers: Iterable[int], timeout_s: float | None = None) -> AsyncIterator[set[int]]:
        """Look numbers up; yield them as they become known, those that are late all at once at the end."""
        wanted = list(numbers)
        self.ask(wanted)
        left = set(wanted)
        loop = asyncio.get_running_loop()
        until = loop.time() + (self.wait_s if timeout_s is None else timeout_s)
        while left:
            waiting = {number: self._pending[number] for number in left if number in self._pending}
            known = left - waiting.keys()
            if known:
                left -= known
                yield known
                continue
            if loop.time() >= until:
                yield left
                return
            await asyncio.wait(waiting.values(), timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED)

    def states(self) -> list[ServiceState]:
        """Return what is told of the services, in their order."""
        now = time.monotonic()
        return [desk.state(now) for desk in self._desks]

    async def close(self) -> None:
        """End all requests; who waits in `resolve` goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for number in list(self._pending):
            self._settle(number)
        for desk in self._desks:
            desk.waiting.clear()
            await desk.service.close()
        if self._redis is not None:
            await self._redis.close()

    def _assign(self, number: int, first: int, now: float) -> None:
        """Put a number before the first service, from a place in the list on, that can be asked."""
        digits = str(number)
        for place in range(first, len(self._desks)):
            desk = self._desks[place]
            if desk.may_ask(digits, now):
                if number not in self._pending:
                    self._pending[number] = asyncio.get_running_loop().create_future()
                desk.waiting.append(number)
                if desk.wants_worker():
                    desk.working += 1
                    desk.starting += 1
                    task = asyncio.create_task(self._work(desk, place), name='mnp look-up')
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                return
        if number in self._pending:  # it was asked about, and is not again for a while
            self._memory.put(number, '', now + AGAIN_S)
            self._settle(number)

    def _settle(self, number: int) -> None:
        """Let go who waits for a number."""
        future = self._pending.pop(number, None)
        if future is not None and not future.done():
            future.set_result(None)

    async def _work(self, desk: _Desk, place: int) -> None:
        """Ask one service, batch by batch, until no number waits for it."""
        desk.starting -= 1
        try:
            while numbers := desk.take():
                try:
                    await self._look_up(desk, numbers)
                except ServiceError as error:
                    self._fail(desk, place, numbers, str(error))
                except Exception as error:  # the root of a worker
                    log.exception('mnp.service_error', service=str(desk.service.config))
                    self._fail(desk, place, numbers, type(error).__name__)
        finally:
            desk.working -= 1

    async def _look_up(self, desk: _Desk, numbers: list[int]) -> None:
        """Look numbers up in Redis, then at a service. Raises ServiceError."""
        if self._redis is not None:
            known = await self._redis.read(numbers)
            self._keep(desk, known)
            numbers[:] = [number for number in numbers if number not in known]
        if not numbers:
            return
        desk.requests += 1
        started = time.monotonic()
        try:
            found = await desk.service.ask(numbers)
        finally:
            desk.note_duration(time.monotonic() - started)
        if desk.breaker.note_success():
            log.info('mnp.service_back', service=str(desk.service.config))
        desk.answered += len(found)
        desk.ported += sum(map(bool, found.values()))
        self._keep(desk, found)
        if self._redis is not None:
            await self._redis.write(found, desk.keep_s)

    def _keep(self, desk: _Desk, found: dict[int, str]) -> None:
        now = time.monotonic()
        for number, name in found.items():
            self._memory.put(number, self._codes.code(name) if name else '', now + desk.keep_s[bool(name)])
            self._settle(number)

    def _fail(self, desk: _Desk, place: int, numbers: list[int], reason: str) -> None:
        """Ask the next service about what this one did not answer."""
        now = time.monotonic()
        desk.failed += 1
        if desk.breaker.note_failure(now):
            config = desk.service.config
            log.warning('mnp.service_rests', service=str(config), seconds=config.rest_s, reason=reason)
        if not desk.breaker.may_ask(now):
            numbers = numbers + desk.take_all()
        for number in numbers:
            self._assign(number, place + 1, now)


def _redis_cache(url: str) -> RedisCache | None:
    try:
        return RedisCache(url)
    except ValueError as error:
        log.error('mnp.redis_unusable', key='store.redis', reason=type(error).__name__)  # its text may hold a password
        return None
