"""Waiting for something to become true, without guessing how long that takes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

TIMEOUT_S = 60.0  # machines stand still for many seconds while others write to their disk
STEP_S = 0.003
T = TypeVar('T')


async def until(is_so: Callable[[], T], timeout_s: float = TIMEOUT_S) -> T:
    """Returns what `is_so` gives as soon as that is true; TimeoutError says that it never was."""
    async with asyncio.timeout(timeout_s):
        while not (found := is_so()):  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(STEP_S)
    return found


async def until_async(is_so: Callable[[], Awaitable[T]], timeout_s: float = TIMEOUT_S) -> T:
    """The same for a question that must be awaited."""
    async with asyncio.timeout(timeout_s):
        while not (found := await is_so()):  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(STEP_S)
    return found
