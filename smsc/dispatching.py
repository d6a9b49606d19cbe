"""Which outbox a committed message goes to."""

from typing import TYPE_CHECKING

from domain.message import Message
from pdu.status import CommandStatus
from smsc.clock import wall_ms

if TYPE_CHECKING:
    from smsc.core import Core


def dispatch(core: 'Core', message: Message) -> str:
    """Put a committed message into the outbox of the first upstream of its route that is available; return its name.

    Without one that is available it goes to one that is bound at least, or waits for the first that is not switched
    off. When a reload took them all away, today's routes decide; without a route it is rejected and '' is returned.
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
    upstreams = core.upstreams
    for name in message.upstreams:
        upstream = upstreams.get(name)
        if upstream is not None and (upstream.available or (upstream.reachable and upstream.availability.take_probe())):
            return name
    return _least_bad(core, message.upstreams)


def _least_bad(core: 'Core', names: tuple[str, ...]) -> str:
    """Return the first that can be reached, else the first that is not switched off, else the first there is."""
    known = [core.upstreams[name] for name in names if name in core.upstreams]
    for upstream in known:
        if upstream.reachable:
            return upstream.name
    for upstream in known:
        if not upstream.feed.off:
            return upstream.name
    return known[0].name if known else ''
