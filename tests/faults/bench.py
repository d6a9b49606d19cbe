"""The bench of the fault tests: an operator that survives its death, and what can be done to each process under load.

Every fault here returns when what it broke is being mended, not when it is mended: whoever wants that waits for it.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import msgspec
import psutil

from perf.bench import CHECKOUT, Bench
from perf.load import Load, LoadSettings
from perf.options import arguments_of
from perf.processes import BenchError, Child, is_listening
from smsc import control
from storage import embedded

POLL_S = 0.002


class EndlessLoad(Load):
    """A load that goes on until it is told that it is enough."""

    def end_submitting(self) -> None:
        """Submits nothing more; `submit` returns when everything has come back."""
        self._total = self.ledger.submitted


class FaultBench(Bench):
    """Processes to be killed. The server's PostgreSQL is its private one."""

    def endless_load(self, **settings: Any) -> EndlessLoad:
        """A load on the server that binds again by itself and ends by `end_submitting`."""
        fixed: dict[str, Any] = {'port': self.smpp_port, 'binds': self.settings.binds, 'window': self.settings.window}
        return EndlessLoad(
            LoadSettings(
                **fixed, messages=1_000_000, reconnect=True, reconnect_s=0.02, receipt_timeout_s=30, **settings
            )
        )

    async def start_operator(self) -> None:
        """Starts the operator, which goes on where it was when it died."""
        command = [sys.executable, '-m', 'tests.faults.operator', str(self.folder), str(self.operator_port)]
        command += arguments_of(self.settings.operator, frozenset({'ledger'}))
        self.operator = await Child.start('operator', command, CHECKOUT, self.folder / 'operator.log')
        await self.operator.wait_until(
            lambda: is_listening(self.operator_port), 'listening', self.settings.start_timeout_s
        )

    @property
    def seen(self) -> bytes:
        """How often the operator has seen each number."""
        return (self.folder / 'ledger').read_bytes()

    # Faults

    async def kill_while_starting(self, after_s: float) -> None:
        """`kill -9` of the server, once more `after_s` seconds into its start, and a start that is left alone."""
        await self.kill_server()
        command = [*self.wrapper, 'smsc', 'run', '--config', str(self.configuration)]
        self.server = await Child.start('server', command, CHECKOUT, self.folder / 'server.log')
        await asyncio.sleep(after_s)  # a moment of the start, whichever it is
        await self.kill_server()
        await self.start_server()

    async def kill_operator(self) -> None:
        """`kill -9` of the operator, and its return."""
        assert self.operator is not None
        await self.operator.kill()
        await self.start_operator()

    def cut_links(self) -> None:
        """The operator cuts all connections of the server."""
        assert self.operator is not None
        self.operator.signal(signal.SIGUSR2)

    def kill_postmaster(self) -> None:
        """`kill -9` of PostgreSQL's first process."""
        self.postmaster().kill()

    def kill_backend(self, random: Random) -> None:
        """`kill -9` of a process of PostgreSQL that serves one of the server's connections."""
        backends = [process for process in self.postmaster().children() if ' [local] ' in ' '.join(process.cmdline())]
        if not backends:
            raise BenchError('PostgreSQL serves no connection of the server')
        random.choice(backends).kill()

    async def stall_postgres(self, seconds: float) -> None:
        """All processes of PostgreSQL stand still for a while."""
        postmaster = self.postmaster()
        family = [postmaster, *postmaster.children()]
        for process in family:
            process.suspend()
        try:
            await asyncio.sleep(seconds)  # how long the fault lasts
        finally:
            for process in family:
                process.resume()

    def postmaster(self) -> psutil.Process:
        """PostgreSQL's first process."""
        return psutil.Process(int(self._postmaster_file().read_text(encoding='utf-8').split('\n', 1)[0]))

    def _postmaster_file(self) -> Path:
        return self.folder / 'data' / 'postgres' / 'postmaster.pid'

    # Questions

    async def connect(self) -> 'asyncpg.Connection[asyncpg.Record]':
        """A connection to the store, which must be up; the caller closes it."""
        found = await embedded.attach(self.folder / 'data')
        if found is None:
            raise BenchError('PostgreSQL does not run')
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(**found.connect_arguments)
        return connection

    async def status(self) -> dict[str, Any]:
        """What `smsc status --json` prints, asked as that does, without a process for each look."""
        answer: dict[str, Any] = await control.ask(self.folder / 'data', 'status')
        return answer

    async def ask(self, command: str) -> dict[str, Any]:
        """What `smsc COMMAND --json` prints. Raises BenchError when it prints nothing."""
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, '-m', 'smsc', command, '--json', '--config', str(self.configuration)],
            cwd=CHECKOUT,
            env={**os.environ, 'PYTHONWARNINGS': ''},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        if not output:
            raise BenchError(f'smsc {command}: {errors.decode()}')
        answer: dict[str, Any] = msgspec.json.decode(output)
        return answer
