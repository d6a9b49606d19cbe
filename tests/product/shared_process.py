"""What a server does with a process of its own, kept from the process of the tests, which holds hundreds of servers.

A server collects all garbage and sets aside what is left before it is ready: over all tests that takes a tenth of a
second each time, and would set aside what belongs to other tests. uvicorn looks ten times a second whether it shall
end, and then waits for another tenth. Neither is what tests ask about; a `Spawned` server does both as it always does.
"""

import asyncio
from typing import Any

import pytest
import uvicorn.server

from smsc import server

UVICORN_HASTE = 20


class NoCollecting:
    """Stands for the module `gc` where a server sets up the process."""

    def set_threshold(self, *thresholds: int) -> None:
        """Leave it as pytest has it."""

    def collect(self) -> None:
        """Leave it to the process."""

    def freeze(self) -> None:
        """Set nothing aside."""


class HastyAsyncio:
    """Stands for the module `asyncio` in uvicorn, whose pauses are shorter here."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, delay_s: float) -> None:
        """Pause for a part of the time."""
        await asyncio.sleep(delay_s / UVICORN_HASTE)


@pytest.fixture(scope='session', autouse=True)
def one_process_for_many_servers() -> Any:
    """Holds for all servers in the loop of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, 'gc', NoCollecting())
        patch.setattr(uvicorn.server, 'asyncio', HastyAsyncio())
        yield
