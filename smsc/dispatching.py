"""Which outbox a committed message goes to."""

from typing import TYPE_CHECKING

from domain.message import Message
from pdu.receipt_text import MessageState
from pdu.segments import UDHI
from pdu.status import CommandStatus
from smsc.admission import status_without_route
from smsc.chains import Chain, chain_of
from smsc.clock import wall_ms

if TYPE_CHECKING:
    from smsc.core import Core


def dispatch(core: 'Core', message: Message) -> str:
    """Put a committed message into the outbox of the first upstream of its route that is available; return its name.

    Without one that is available it goes to one that is bound at least, or waits for the first that is not switched
    off. When a reload took them all away, today's routes decide; without a route it ends and '' is returned.
    """
    name = _choose(core, message)
    if not name:
        core.decide(message)
        name = _choose(core, message)
    if not name and message.next_upstream:
        core.next_routes.end(message)
        return ''
    if not name:
        if not message.route:
            message.error = error_without_route(core, message.account)
        end_unrouted(core, message)
        return ''
    message.upstream = name
    outbox = core.upstreams[name].feed.outbox
    if message.due_at and message.due_at > wall_ms():
        outbox.defer(message, message.due_at)
    else:
        outbox.put(message)
    return name


def error_without_route(core: 'Core', account: str) -> int:
    """Return what an accepted message is rejected with that no route matches; 0 where its account wants UNDELIV."""
    config = core.account(account).config
    return int(CommandStatus.ESME_RINVDSTADR) if config is None else status_without_route(config)


def end_unrouted(core: 'Core', message: Message) -> None:
    """End an accepted message that goes nowhere: UNDELIV without a route and an error (wire.md C9), else rejected."""
    if message.error or message.route:
        core.reject(message, message.error or int(CommandStatus.ESME_RINVDSTADR))
    else:
        core.count_sent(message)
        core.finish(message, MessageState.UNDELIVERABLE, int(CommandStatus.ESME_RINVDSTADR))


def _choose(core: 'Core', message: Message) -> str:
    upstreams, pdu = core.upstreams, message.pdu
    if pdu.esm_class & UDHI or pdu.tlvs:
        chain = chain_of(message)
        if chain is not None:
            return _choose_for_part(core, message, chain)
    for name in message.upstreams:
        upstream = upstreams.get(name)
        if upstream is not None and (upstream.available or (upstream.reachable and upstream.availability.take_probe())):
            return name
    return _least_bad(core, message.upstreams)


def expected(core: 'Core', names: tuple[str, ...]) -> str:
    """Return which of these upstreams a message would get now, '' for none of them; no probe is used up."""
    available = [name for name in names if name in core.upstreams and core.upstreams[name].available]
    return available[0] if available else _least_bad(core, names)


def _choose_for_part(core: 'Core', message: Message, chain: Chain) -> str:
    """Return the upstream that has the other parts, or one for all of them: probes do not divide a message."""
    now = core.loop.time()
    place = core.chains.place(chain, now)
    if place is not None and (place.by_hand or place.upstream in message.upstreams):
        upstream = core.upstreams.get(place.upstream)
        if upstream is not None and upstream.draining and upstream.connected and place.taken:
            return upstream.name
        if upstream is not None and upstream.reachable and (place.taken or place.by_probe or not upstream.failing):
            return upstream.name
    for name in message.upstreams:
        upstream = core.upstreams.get(name)
        if upstream is None or not upstream.reachable:
            continue
        if upstream.available or upstream.availability.take_probe():
            core.chains.put(chain, name, now, upstream.failing)
            return name
    name = _least_bad(core, message.upstreams)
    if name:
        core.chains.put(chain, name, now)
    return name


def _least_bad(core: 'Core', names: tuple[str, ...]) -> str:
    """Return the first that can be reached, else the first that is not switched off or drained, else one that is
    drained and can be reached, else the first there is.
    """
    known = [core.upstreams[name] for name in names if name in core.upstreams]
    for upstream in known:
        if upstream.reachable:
            return upstream.name
    for upstream in known:
        if not (upstream.feed.off or upstream.draining):
            return upstream.name
    for upstream in known:
        if upstream.connected:
            return upstream.name
    return known[0].name if known else ''
