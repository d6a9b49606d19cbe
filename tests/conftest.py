"""What holds for every test: the event loop is the server's, and a test that leaves something running fails.

A task that outlives its test and an exception that only the event loop saw are failures of that test. Warnings are
errors by setup.cfg. Nothing is left behind: each test has a loop of its own.
"""

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
import structlog
import uvloop

pytest_plugins = ['tests.wire_table', 'tests.product.plugin', 'tests.product.nodes']

# The usual traceback with every local value takes seconds to draw.
structlog.configure(
    processors=[
        *structlog.get_config()['processors'][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

LOGS = structlog.get_config()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Asynchronous tests run on uvloop, as the server does."""
    return {'uvloop': uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """Sets thousands of collected tests aside, so that no collection of garbage looks at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def same_logs() -> Iterator[None]:
    """Has logs set up for the next test as they were: commands that run in the test's own process set them up anew."""
    yield
    structlog.configure(**LOGS)


@pytest.fixture(autouse=True)
def watched_loop(request: pytest.FixtureRequest) -> None:
    """Watches the loop of an asynchronous test; comes before all its other fixtures, so looks after they have ended."""
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue('loop_without_leftovers')


@pytest.fixture
async def loop_without_leftovers() -> AsyncIterator[None]:
    """Fails the test that leaves a task running or an exception with nobody to see it."""
    loop = asyncio.get_running_loop()
    unhandled: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    yield
    # What was cancelled or closed at the very end of the test gets the turn of the loop that it needs to finish.
    await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    if left:
        pytest.fail('tasks left running:\n' + '\n'.join(f'  {task!r}' for task in left), pytrace=False)
    if unhandled:
        pytest.fail('unhandled in the event loop:\n' + '\n'.join(map(describe, unhandled)), pytrace=False)


def describe(context: Mapping[str, Any]) -> str:
    """One line on what an event loop passes to its exception handler."""
    return f'  {context["message"]}: {context.get("exception")!r}'
