"""Commands that change what the store has for all nodes: the others look at it at once, not only when they poll.

Whoever does not hear of it reads it within seconds all the same, so nobody waits long for an answer.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smsc.core import Core

PATIENCE_S = 2.0

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


def told_everywhere(core: 'Core', command: str, handle: Handler, look: Handler) -> Handler:
    """Return what answers a command by `handle` and then has every other node `look`."""
    cluster = core.cluster
    what = f'look {command}'

    async def looked(request: dict[str, Any]) -> None:
        await look(request)

    async def handle_and_tell(request: dict[str, Any]) -> Any:
        answer = await handle(request)
        await cluster.asking.ask(cluster.beating.alive, what, request, PATIENCE_S)
        return answer

    cluster.asking.handlers[what] = looked
    return handle_and_tell
