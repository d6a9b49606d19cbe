"""Redis, as nodes talk to each other by it: messages to whoever listens, and values that all see.

Nothing here is the only copy of anything (architecture.md section 5): what is published while Redis is away is gone,
and what is asked then raises BetweenAway at once. Both come back by themselves. Messages leave in batches, in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

TIMEOUT_S = 1.0
PUBLISH_BOUND = 10_000  # messages that wait for Redis; older ones are dropped
BATCH = 500
RETRY_S = 0.25
LISTEN_S = 1.0
SILENT_S = 3.0  # without a message, or the answer to a ping: the connection is gone
AWAY = (RedisError, OSError, TimeoutError, RuntimeError)
"""The last is what uvloop raises on writing to a transport that is closed already."""

log = structlog.get_logger()


class BetweenAway(Exception):
    """Redis does not answer now; temporary."""


class Between:
    """One node's connections to Redis."""

    def __init__(self, url: str, name: str, handle: Callable[[str, bytes], None]) -> None:
        """`name` is the cluster's: keys and channels begin with it. `handle` takes (channel, octets) of a message."""
        self.available = False
        self.available_since = 0.0  # monotonic seconds; it may have lost everything just before
        self.dropped = 0
        self._name = name
        self._handle = handle
        self._channels: tuple[str, ...] = ()
        self._redis = Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        self._listening = Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0))
        self._out: deque[tuple[str, bytes]] = deque(maxlen=PUBLISH_BOUND)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._scripts: dict[str, Any] = {}

    def key(self, *parts: object) -> str:
        """Return the key or channel of this cluster for these parts."""
        return ':'.join([self._name, *map(str, parts)])

    async def start(self, channels: tuple[str, ...]) -> None:
        """Listen to channels, and publish, until `stop`."""
        self._channels = channels
        self._tasks = [
            asyncio.create_task(self._listen(), name='redis listen'),
            asyncio.create_task(self._publish(), name='redis publish'),
        ]

    async def stop(self) -> None:
        """Part from Redis, without what was not published."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for redis in (self._redis, self._listening):
            await redis.aclose()

    def publish(self, channel: str, octets: bytes) -> None:
        """Send octets to whoever listens to a channel, as soon as Redis takes them; costs the caller nothing."""
        if len(self._out) == PUBLISH_BOUND:
            self.dropped += 1
        self._out.append((channel, octets))
        self._wake.set()

    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run a Lua script, at once or not at all. Raises BetweenAway."""
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._redis.register_script(script)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await known(keys=keys, args=arguments)
        except AWAY as error:
            raise BetweenAway(f'Redis does not answer: {type(error).__name__}') from error

    async def _publish(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._out:
                batch = [self._out.popleft() for _ in range(min(BATCH, len(self._out)))]
                pipeline = self._redis.pipeline(transaction=False)
                for channel, octets in batch:
                    pipeline.publish(channel, octets)
                try:
                    await pipeline.execute()
                except AWAY:
                    self.dropped += len(batch)
                    await asyncio.sleep(RETRY_S)

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except AWAY as error:
                if self.available:
                    log.warning('redis.away', reason=type(error).__name__)
                self.available = False
            except Exception:
                log.exception('redis.error')
            await asyncio.sleep(RETRY_S)

    async def _listen_once(self) -> None:
        async with self._listening.pubsub(ignore_subscribe_messages=True) as pubsub:
            async with asyncio.timeout(2 * TIMEOUT_S):
                await pubsub.subscribe(*self._channels)
            if not self.available:
                log.info('redis.connected')
                await self._redis.connection_pool.disconnect(inuse_connections=False)  # those of the Redis before
                self.available_since = asyncio.get_running_loop().time()
            self.available = True
            heard_at = asyncio.get_running_loop().time()
            while True:
                message = await pubsub.get_message(timeout=LISTEN_S)
                now = asyncio.get_running_loop().time()
                if message is not None:
                    heard_at = now
                    if message['type'] == 'message':
                        self._take(message['channel'].decode(), message['data'])
                elif now - heard_at > SILENT_S:  # a connection that died quietly brings no messages either
                    raise TimeoutError('Redis does not answer to a ping')
                else:
                    async with asyncio.timeout(2 * TIMEOUT_S):
                        await pubsub.ping()

    def _take(self, channel: str, octets: bytes) -> None:
        try:
            self._handle(channel, octets)
        except Exception:
            log.exception('redis.message', channel=channel)
