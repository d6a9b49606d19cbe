"""The stages of what operators were sent: taken messages are committed before their slots are free, and those whose
outcome is unknown are marked before they go again.
"""

from typing import TYPE_CHECKING

import msgspec

from domain.message import Message, Notice, Part, Split
from pdu.receipt_text import MessageState
from smpp.aio.connection import Connection
from smsc.clock import wall_ms
from smsc.core import Core
from smsc.dispatching import dispatch
from smsc.long_messages import RECEIPT_WANTED
from smsc.text import payload_of
from storage.parts import Begun
from storage.rows import Outcome, PartOutcome

if TYPE_CHECKING:
    from smsc.upstream import Upstream

Sent = tuple[Connection | None, 'Upstream', Message | Part]
"""What an operator has taken, with the connection whose slot it holds."""

PUT_OFF_MS = 5_000
RECEIPT_OCTETS = 254  # header and text, of which a receipt shows the beginning
_WORST_FIRST = (
    MessageState.UNDELIVERABLE,
    MessageState.REJECTED,
    MessageState.EXPIRED,
    MessageState.DELETED,
    MessageState.SKIPPED,
    MessageState.UNKNOWN,
    MessageState.ACCEPTED,
    MessageState.DELIVERED,
)


async def commit_sent(core: Core, items: list[Sent]) -> list[Outcome]:
    """Commit what operators have taken; return the endings of those of whom no receipt will come."""
    now_ms = wall_ms()
    finished: list[Outcome] = []
    costs: list[Message] = []
    charging = core.charging if core.charging.upstreams else None
    for _, upstream, item in items:
        if isinstance(item, Part):
            if not item.completes:
                continue
            message, segments = item.message, item.total
        else:
            message, segments = item, item.segments
        if charging is not None and charging.recost(upstream.name, message, segments):
            costs.append(message)
        if not message.pdu.registered_delivery & RECEIPT_WANTED:
            finished.append(Outcome(message, MessageState.ACCEPTED, 0, Notice.NONE, now_ms))
    taken = [item for _, _, item in items]
    expected = core.next_routes.expected(taken, now_ms) if core.next_routes.waits else ()
    await core.store.record_sent(taken, finished, costs, expected)
    return finished


def _whole(item: Message | Part) -> Message | None:
    """Return the message that the operator has now, None as long as it lacks segments."""
    if item.__class__ is Message:
        return item
    assert isinstance(item, Part)
    return item.message if item.completes else None


def handle_sent(core: Core, items: list[Sent], finished: list[Outcome]) -> None:
    """What operators have taken is committed, or cannot be: free the slots."""
    slots: dict[Connection, int] = {}
    for connection, _, item in items:
        if item.stored_wait:
            message = _whole(item)
            assert message is not None
            message.stored_wait = False
            core.shelf.left(message)
        item.segment_stored = True
        if isinstance(item, Part) or item.segments > 1:
            _let_go_of_text(item)
        if item.superseded:
            forget(core, item)
        if connection is not None:
            slots[connection] = slots.get(connection, 0) + 1
    for outcome in finished:
        core.finals[MessageState.ACCEPTED] += 1
        core.live.pop(outcome.message.id, None)
    core.release(slots)
    for upstream in core.upstreams.values():
        upstream.trim()


def _let_go_of_text(item: Message | Part) -> None:
    """The operator has all of a long message: of its text, memory keeps what its receipt shows."""
    message = _whole(item)
    if message is not None:
        octets = payload_of(message.pdu)[:RECEIPT_OCTETS]
        message.pdu = msgspec.structs.replace(message.pdu, short_message=octets, tlvs=())


def forget(core: Core, item: Message | Part) -> None:
    """Let memory go of what waits for nothing but a receipt of the operator: the store finds it."""
    message = item
    if isinstance(item, Part):
        if item.second:
            return
        message = item.message
    assert isinstance(message, Message)
    split = message.split
    if message.state == MessageState.ENROUTE and (split is None or len(split.taken) == split.total):
        core.live.pop(message.id, None)


async def commit_repeated(core: Core, items: list[tuple['Upstream', Message | Part]]) -> None:
    """Commit that these may have reached their operator already."""
    await core.store.mark_repeated([item.id for _, item in items])


def handle_repeated(core: Core, items: list[tuple['Upstream', Message | Part]], _: None) -> None:
    """The marks are committed: the messages go again, elsewhere if their upstream is down."""
    for upstream, item in items:
        if not upstream.unknown.handle_marked(item):  # a late answer came first
            continue
        if isinstance(item, Part):
            upstream.long_messages.handle_marked(item)
            continue
        if item.state != MessageState.ENROUTE:  # a receipt has ended it meanwhile
            upstream.submitting.drop(item)
            continue
        if not item.upstreams or upstream.name not in core.upstreams:  # read from disk, or removed by a reload
            core.decide(item)
        if upstream.feed.online or _waits_for(core, upstream, item):
            upstream.feed.outbox.put_back([item])
        else:
            dispatch(core, item)
    for upstream in {upstream for upstream, _ in items}:
        upstream.feed.pump()


def _waits_for(core: Core, upstream: 'Upstream', message: Message) -> bool:
    """Return whether a message waits for an upstream that is down, in its old place: no other of its route is up."""
    if core.upstreams.get(upstream.name) is not upstream or upstream.name not in message.upstreams:
        return False
    return not any(name in core.upstreams and core.upstreams[name].feed.online for name in message.upstreams)


async def find_begun(core: Core, items: list[tuple['Upstream', Message]]) -> Begun:
    """Ask the store which segments of messages operators had taken before a restart, and what became of them."""
    return await core.store.parts.begun([message.id for _, message in items])


def handle_begun(core: Core, items: list[tuple['Upstream', Message]], begun: Begun) -> None:
    """Messages go on where they were; segments that were taken or refused are not sent again."""
    upstreams = {_go_on(core, upstream, message, begun) for upstream, message in items}
    for upstream in upstreams:
        upstream.feed.pump()
    core.sending.kick()
    core.parting.kick()


def _go_on(core: Core, upstream: 'Upstream', message: Message, begun: Begun) -> 'Upstream':
    has_it = core.next_routes.has_it  # others that took it have failed
    segments = [segment for segment in begun.taken.get(message.id, []) if has_it(message, segment.upstream)]
    if segments:
        upstream = core.upstreams.get(segments[0].upstream, upstream)
    mine = [segment for segment in segments if segment.upstream == upstream.name]
    known = begun.known.get(message.id, []) if mine else []
    total = max((segment.parts for segment in mine), default=0)
    message.split = Split(total, {segment.part for segment in mine} | {number for number, _, _ in known})
    message.upstream = upstream.name
    if not mine or len(message.split.taken) < total:
        upstream.feed.outbox.put_back([message])
        return upstream
    core.count_sent(message)  # nothing is left to send
    if len(known) == total:
        core.parting.items.append(PartOutcome(message, known[0][0], total, known[0][1], known[0][2]))
    else:  # it waits for receipts; on disk no more
        segment = mine[0]
        last = Part(message, segment.part, total, None, upstream.name, segment.upstream_message_id, completes=True)
        core.sending.items.append((None, upstream, last))
    return upstream


def put_off_begun(core: Core, items: list[tuple['Upstream', Message]]) -> None:
    """The store cannot tell now: they wait."""
    for upstream, message in items:
        upstream.feed.outbox.defer(message, wall_ms() + PUT_OFF_MS)


def handle_parted(core: Core, items: list[PartOutcome], known: dict[int, list[tuple[int, int, int]]]) -> None:
    """Outcomes of segments are committed: a message whose segments all have one ends with the worst of them."""
    last = {outcome.message.id: outcome for outcome in items if len(known[outcome.message.id]) >= outcome.parts}
    touched: set[Connection] = set()
    for outcome in items:
        if last.get(outcome.message.id) is outcome:
            _, state, error = min(known[outcome.message.id], key=lambda part: _WORST_FIRST.index(part[1]))
            outcome.message.segments = outcome.parts
            message = core.live.get(outcome.message.id, outcome.message)
            core.count_sent(message)
            core.finish(message, state, error, outcome.source, outcome.parked)
            continue
        if outcome.parked is not None:
            core.unparking.items.append(outcome.parked)
        if outcome.source is not None:
            connection, response = outcome.source
            connection.session.respond(response)
            touched.add(connection)
    core.finishing.kick()
    core.unparking.kick()
    for connection in touched:
        connection.flush()


def refuse_parted(core: Core, items: list[PartOutcome]) -> None:
    """These cannot be stored: let the operator send the receipts again."""
    core.refuse_sources([outcome.source for outcome in items if outcome.source is not None])
