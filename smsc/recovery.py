"""What a start takes up: everything unfinished that the node before left, however it ended.

Messages below the low-water mark are on disk in their outboxes, or wait for nothing but a receipt, which finds them in
the store. Those on disk that had been read for their upstream are marked as possibly repeated. Those above the mark are
read page by page: without a committed answer of the operator they go to their outbox again, marked as possibly
repeated; with a receipt due they go to their account. A bounded number of rows, since memory held them before.
"""

from functools import partial

import structlog

from domain.errors import Refused
from domain.ids import accepted_at_ms
from domain.message import Kind, Message, Notice
from pdu.pdus import SubmitSm
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from smsc.admission import set_times
from smsc.clock import wall_ms
from smsc.core import Core
from smsc.dispatching import dispatch
from smsc.mo import MoMessages
from smsc.outbox import Outbox
from smsc.wire_forms import part_of
from storage.rows import Stretch

log = structlog.get_logger()
PAGE = 5_000
NEVER_MS = 1 << 62


async def recover(core: Core, mo: MoMessages, last_id: int) -> None:
    """Take up what is unfinished up to `last_id`; returns when all of it is back in its outboxes."""
    homeless = await _count_disk(core)
    await core.store.waiting.mark_read()
    for name in homeless:
        await rehome(core, name)
    above = await core.store.low_water() - 1
    messages = sent = 0
    while page := await core.store.unfinished(above, last_id, PAGE):
        above = page[-1][0].id
        unsent = [message for message, was_sent in page if is_unsent(message) and not was_sent]
        if unsent:
            for message in unsent:
                message.repeated = True
            await core.store.mark_repeated([message.id for message in unsent])
        for message, was_sent in page:
            sent += was_sent
            if message.kind == Kind.MO:
                mo.take_up(message)
            else:
                _take_up(core, message, was_sent)
        messages += len(page)
        await core.shelf.drain()
        log.info('recovery.progress', messages=messages)
    core.joining.stage.kick()
    await core.finishing.drain()
    mo.gather_taken_up()
    await mo.ending_parts.drain()
    if messages:
        log.info('recovery.done', messages=messages, with_operator=sent)


async def _count_disk(core: Core) -> list[str]:
    """Count what is on disk into the outboxes; return those of upstreams that are no more."""
    homeless: list[str] = []
    for depth in await core.store.waiting.count(wall_ms()):
        outbox = core.outbox(depth.outbox)
        if outbox is None:
            log.warning('recovery.no_upstream', outbox=depth.outbox, messages=depth.messages)
            homeless.append(depth.outbox)
            core.account(depth.account).waiting += depth.messages
            continue
        outbox.count(outbox.lane(depth.priority, depth.account), depth.due, depth.messages - depth.due)
        if depth.outbox.startswith('upstream '):
            core.account(depth.account).waiting += depth.messages
    return list(dict.fromkeys(homeless))


async def rehome(core: Core, outbox: str) -> None:
    """Route the messages on disk of an upstream that is configured no more anew, due or not, the urgent ones first."""
    lanes = [lane for lane in await core.store.waiting.lanes() if lane[0] == outbox]
    for _, priority, account in sorted(lanes, reverse=True):
        await _rehome_lane(core, outbox, priority, account)


async def _rehome_lane(core: Core, outbox: str, priority: int, account: str) -> None:
    place: tuple[int, int] | None = (0, 0)
    gone = Outbox(outbox, 0, core.shelf)  # where their rows are until they leave, or go to another disk
    while place is not None:
        stretch = Stretch(priority, account, place, PAGE)
        place = await core.shelf.alone(partial(_rehome_page, core, gone, stretch))
        await core.shelf.catch_up()
        await core.finishing.catch_up()


async def _rehome_page(core: Core, gone: Outbox, stretch: Stretch) -> tuple[int, int] | None:
    """Return where the next page begins, None at the end; what is on its way already is passed over."""
    with core.shelf.noting_who_leaves() as left:
        (rows,) = await core.store.waiting.fetch(gone.name, [stretch], NEVER_MS)
    for row in core.shelf.at_rest(rows, left):
        core.shelf.hold(row.message, gone)
        decide_again(core, row.message)
        row.message.due_at = max(row.message.due_at, row.due_at)
        dispatch(core, row.message)
    return (rows[-1].due_at, rows[-1].seq) if rows else None


def is_unsent(message: Message) -> bool:
    """Return whether a message that was read from the store is one that operators should get."""
    return message.kind == Kind.MT and message.state == MessageState.ENROUTE


def _take_up(core: Core, message: Message, was_sent: bool) -> None:
    if message.notice == Notice.DUE:
        core.live[message.id] = message
        core.account(message.account).feed.outbox.put(message)
    elif not was_sent:
        core.live[message.id] = message
        core.account(message.account).waiting += 1
        message.counted = True
        if message.upstream:
            decide_again(core, message)
            dispatch(core, message)
        else:
            _take_up_unrouted(core, message)


def _take_up_unrouted(core: Core, message: Message) -> None:
    """Go on with a message that was accepted and goes nowhere: dropped, or a part that waits for the others."""
    assert isinstance(message.pdu, SubmitSm)
    if message.route:
        core.reject(message, message.error or int(CommandStatus.ESME_RSUBMITFAIL))
    elif part_of(message.pdu) is not None:
        message.is_held = True
        core.joining.hold(message)
    else:
        decide_again(core, message)
        dispatch(core, message)


def decide_again(core: Core, message: Message) -> None:
    """Give a message that was read from the store the route of today's configuration, and its times."""
    pdu = message.pdu
    assert isinstance(pdu, SubmitSm)
    if pdu.schedule_delivery_time:
        expires_at = message.expires_at
        try:
            set_times(message, accepted_at_ms(message.id))
        except Refused as refusal:
            log.warning('recovery.times', message_id=message.id, reason=refusal.text)
        message.expires_at = expires_at
    core.decide(message)
