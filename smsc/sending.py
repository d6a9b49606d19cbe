"""The stages of what operators were sent: taken messages are committed before their slots are free, and those whose
outcome is unknown are marked before they go again.
"""

from typing import TYPE_CHECKING

from domain.message import Message, Notice, Part
from pdu.receipt_text import MessageState
from smpp.aio.connection import Connection
from smsc.clock import wall_ms
from smsc.core import Core
from smsc.dispatching import dispatch
from smsc.long_messages import RECEIPT_WANTED
from storage.rows import Outcome, PartOutcome

if TYPE_CHECKING:
    from smsc.upstream import Upstream

Sent = tuple[Connection | None, 'Upstream', Message | Part]
"""What an operator has taken, with the connection whose slot it holds."""

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
    finished = [
        Outcome(message, MessageState.ACCEPTED, 0, Notice.NONE, now_ms)
        for message in (_whole(item) for _, _, item in items)
        if message is not None and not message.pdu.registered_delivery & RECEIPT_WANTED
    ]
    await core.store.record_sent([item for _, _, item in items], finished)
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


def forget(core: Core, item: Message | Part) -> None:
    """Let memory go of what waits for nothing but a receipt: the store finds it."""
    message = item.message if isinstance(item, Part) else item
    split = message.split
    if split is None or len(split.taken) == split.total:
        core.live.pop(message.id, None)


async def commit_repeated(core: Core, items: list[tuple['Upstream', Message | Part]]) -> None:
    """Commit that these may have reached their operator already."""
    await core.store.mark_repeated([item.id for _, item in items])


def handle_repeated(core: Core, items: list[tuple['Upstream', Message | Part]], _: None) -> None:
    """The marks are committed: the messages go again, elsewhere if their upstream is down."""
    for upstream, item in items:
        if isinstance(item, Part):
            upstream.long_messages.handle_marked(item)
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


def handle_parted(core: Core, items: list[PartOutcome], known: dict[int, list[tuple[int, int, int]]]) -> None:
    """Outcomes of segments are committed: a message whose segments all have one ends with the worst of them."""
    last = {outcome.message.id: outcome for outcome in items if len(known[outcome.message.id]) >= outcome.parts}
    touched: set[Connection] = set()
    for outcome in items:
        if last.get(outcome.message.id) is outcome:
            _, state, error = min(known[outcome.message.id], key=lambda part: _WORST_FIRST.index(part[1]))
            outcome.message.segments = outcome.parts
            core.finish(core.live.get(outcome.message.id, outcome.message), state, error, outcome.source)
        elif outcome.source is not None:
            connection, response = outcome.source
            connection.session.respond(response)
            touched.add(connection)
    core.finishing.kick()
    for connection in touched:
        connection.flush()


def refuse_parted(core: Core, items: list[PartOutcome]) -> None:
    """These cannot be stored: let the operator send the receipts again."""
    core.refuse_sources([outcome.source for outcome in items if outcome.source is not None])
