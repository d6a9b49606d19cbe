"""Which outbox a committed message goes to."""

from typing import TYPE_CHECKING

from domain.message import Message
from pdu.status import CommandStatus
from smsc.clock import wall_ms

if TYPE_CHECKING:
    from smsc.core import Core


def dispatch(core: 'Core', message: Message) -> str:
    """Put a committed message into the outbox of the first upstream of its route that is up; return its name.

    Without one that is up it waits for the first. When a reload took them all away, today's routes decide; without a
    route it is rejected and '' is returned.
    """
    name = _choose(core, message)
    if not name:
        core.decide(message)
        name = _choose(core, message)
    if not name:
        core.reject(message, int(CommandStatus.ESME_RINVDSTADR))
        return ''
    message.upstream = name
    outbox = core.upstreams[name].feed.outbox
    if message.due_at and message.due_at > wall_ms():
        outbox.defer(message, message.due_at)
    else:
        outbox.put(message)
    return name


def _choose(core: 'Core', message: Message) -> str:
    first = ''
    for name in message.upstreams:
        upstream = core.upstreams.get(name)
        if upstream is not None:
            if upstream.feed.connections:
                return name
            first = first or name
    return first
