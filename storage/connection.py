"""A connection to PostgreSQL that comes back: each user of the store has one of its own.

An operation runs until it is done. Whatever breaks the connection under it (a crash, a restart, a cut, a time-out)
makes it run again on a new connection with `doubtful` set: its commit may have happened, so it must look before it
writes. It is run again too when it lost against another transaction, which does not say that the store is away. Errors
that are not the connection's fault go to the caller.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import asyncpg
import structlog

from domain.errors import Fenced, StoreUnavailable

Connection: TypeAlias = 'asyncpg.Connection[asyncpg.Record]'
T = TypeVar('T')

COMMAND_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
RETRY_FIRST_S = 0.05
RETRY_LAST_S = 1.0
AWAY = (
    OSError,  # also the time-outs
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InternalClientError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What says that the store is away or in trouble for now, and nothing about the operation itself."""

CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
"""What an operation is told that lost against another transaction: the store is there, and it is run again."""

SETTINGS = {
    'plan_cache_mode': 'force_generic_plan',  # planning over partitions costs more than a batch
    'enable_seqscan': 'off',  # hot statements go by key, whatever the statistics of a new partition say
    'enable_hashjoin': 'off',
    'enable_mergejoin': 'off',
    'jit': 'off',
    'timezone': 'UTC',
}

log = structlog.get_logger()


def _ignore(error: Fenced) -> None:
    """Nobody wants to know."""


class Health:
    """Whether the store answers, as all connections to it have found; `available` is what ingress asks first."""

    def __init__(self) -> None:
        self.available = True
        self.failures = 0
        self.on_fenced: Callable[[Fenced], None] = _ignore

    def note_failure(self, name: str, error: BaseException) -> None:
        """A connection found the store away."""
        self.failures += 1
        if self.available:
            log.error('store.away', connection=name, error=f'{type(error).__name__}: {error}')
        self.available = False

    def note_success(self) -> None:
        """An operation went through."""
        if not self.available:
            log.info('store.back')
        self.available = True


class StoreConnection:
    """One connection; callers take turns."""

    def __init__(
        self, name: str, connect_arguments: dict[str, Any], health: Health, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> None:
        """`timeout_s` bounds each statement; longer ones count as a store that is away."""
        self.name = name
        self.verify: Callable[[Connection], Awaitable[None]] | None = None  # whether this process may still commit
        self._timeout_s = timeout_s
        self._arguments = connect_arguments
        self._health = health
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    async def run(self, operation: Callable[[Connection, bool], Awaitable[T]], give_up_s: float | None = None) -> T:
        """Run `operation(connection, doubtful)` until it is done.

        Raises StoreUnavailable when `give_up_s` seconds passed without, in the middle of an attempt if need be; None
        waits as long as it takes.
        """
        async with self._turn:
            return await self._run(operation, give_up_s)

    async def _run(self, operation: Callable[[Connection, bool], Awaitable[T]], give_up_s: float | None) -> T:
        loop = asyncio.get_running_loop()
        give_up_at = None if give_up_s is None else loop.time() + give_up_s
        doubtful = is_strange = False
        pause_s = RETRY_FIRST_S
        while True:
            try:
                async with asyncio.timeout_at(give_up_at):  # also for a store that hangs instead of failing
                    connection = await self._connected()
                    result = await operation(connection, doubtful)
            except AWAY as error:
                if isinstance(error, asyncpg.InterfaceError) and self._connected_still():
                    if isinstance(error, ValueError) or is_strange:  # of values it cannot encode, and of bugs of ours
                        raise
                    is_strange = True  # a server that is about to hang up leaves a connection like this, too
                doubtful = doubtful or self._connection is not None
                self._drop()
                self._health.note_failure(self.name, error)
                reason: BaseException = error
            except CONFLICTS as error:
                doubtful = True  # an operation may have several transactions
                log.warning('store.conflict', connection=self.name, error=f'{type(error).__name__}: {error}')
                if self._connection is not None and self._connection.is_in_transaction():
                    self._drop()
                reason = error
            except Fenced as error:
                self._drop()
                self._health.on_fenced(error)
                raise
            except BaseException:
                self._drop()
                raise
            else:
                self._health.note_success()
                return result
            if give_up_at is not None and loop.time() + pause_s > give_up_at:
                raise StoreUnavailable(f'{self.name}: {type(reason).__name__} {reason}') from reason
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_LAST_S)

    async def close(self) -> None:
        """Part from the server."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=CONNECT_TIMEOUT_S)
            except AWAY:
                connection.terminate()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = None
            self._connection = await asyncpg.connect(
                **self._arguments,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=self._timeout_s,
                server_settings={**SETTINGS, 'application_name': f'smsc {self.name}'},
            )
            if self.verify is not None:
                await self.verify(self._connection)
        return self._connection

    def _connected_still(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
