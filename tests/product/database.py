"""One PostgreSQL for all tests of the whole product, a database of its own for each product, and a way to break it.

Databases are copied from a template that has the schema already, and used again, emptied, by later products: a copy
takes longer than most tests. The server runs without fsync: no test here takes the power away, and what only a
process's death can lose is not lost by that.
"""

import asyncio
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from smsc.clock import wall_ms
from storage.embedded import EmbeddedPostgres, start
from storage.store import Store

TEMPLATE = 'smsc_template'
END_OTHERS = (
    'select pg_terminate_backend(pid, 5000) from pg_stat_activity'
    ' where datname = current_database() and pid <> pg_backend_pid()'
)
TABLES = (
    'select oid::regclass::text as name from pg_class'
    " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition"
    " and relname <> 'migration'"
)
SETTINGS = {'fsync': 'off', 'max_connections': '200', 'shared_buffers': '32MB'}


class Databases:
    """Makes and removes databases on the shared server."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._numbers = count(1)
        self._spare: list[str] = []

    @classmethod
    async def start(cls, folder: Path) -> 'Databases':
        """Starts the server and makes the template; who calls this owes a `stop`."""
        databases = cls(await start(folder, settings=SETTINGS))
        await databases._execute(f'create database {TEMPLATE}')
        store = Store(databases.arguments(TEMPLATE), node=1)
        await store.open(wall_ms())
        await store.close()
        return databases

    async def stop(self) -> None:
        """Ends the server."""
        await self._postgres.stop()

    @property
    def socket(self) -> Path:
        """The Unix socket it listens on."""
        return Path(self._postgres.connect_arguments['host']) / f'.s.PGSQL.{self._postgres.connect_arguments["port"]}'

    def arguments(self, name: str) -> dict[str, Any]:
        """What asyncpg.connect needs for a database."""
        return {**self._postgres.connect_arguments, 'database': name}

    def dsn(self, name: str, folder: Path | None = None) -> str:
        """The DSN of a database, by way of the socket in `folder` if that is not the server's own."""
        arguments = self._postgres.connect_arguments
        return f'postgresql://{arguments["user"]}@/{name}?host={folder or arguments["host"]}&port={arguments["port"]}'

    async def create(self) -> str:
        """Returns the name of a database with the product's schema and nothing in it."""
        return self._spare.pop() if self._spare else await self.create_fresh()

    async def create_fresh(self) -> str:
        """The same, for a test that looks at the schema or changes it; it is gone with `destroy`."""
        name = f'product_{next(self._numbers)}'
        await self._execute(f'create database {name} template {TEMPLATE} strategy file_copy')
        return name

    async def drop(self, name: str) -> None:
        """Takes a database back, whoever is still connected."""
        connection = await asyncpg.connect(**self.arguments(name))
        try:
            await connection.execute(END_OTHERS)
            await connection.execute(';'.join(f'delete from {name}' for (name,) in await connection.fetch(TABLES)))
        finally:
            await connection.close()
        self._spare.append(name)

    async def destroy(self, name: str) -> None:
        """Removes a database, whoever is still connected."""
        await self._execute(f'drop database {name} with (force)')

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(**self._postgres.connect_arguments)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class BreakingProxy:
    """A Unix socket that leads to the server until it is cut."""

    def __init__(self, target: Path, folder: Path) -> None:
        self.folder = folder
        self._target = target
        self._path = folder / target.name
        self.lose = b''
        """Answers of the server that contain these octets are lost on their way."""
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def restore(self) -> None:
        """Lets connections through, from now on."""
        self.lose = b''
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def cut(self) -> None:
        """Breaks every connection in the middle of what it does, and refuses new ones."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._path.unlink(missing_ok=True)
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._pumps)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        self._writers |= {writer, far_writer}
        for source, target, is_answer in ((reader, far_writer, False), (far_reader, writer, True)):
            task = asyncio.create_task(self._pump(source, target, is_answer))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, is_answer: bool) -> None:
        with suppress(OSError):
            while octets := await source.read(65536):
                if not (is_answer and self.lose and self.lose in octets):
                    target.write(octets)
                    await target.drain()
        target.close()
        self._writers.discard(target)
        with suppress(OSError):
            await target.wait_closed()
