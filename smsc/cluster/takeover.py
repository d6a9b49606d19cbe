"""Taking a dead node's work over, so that each of its messages waits on this node's disk or has ended.

What it had on disk changes its node. What only its memory knew is read as a restart of it would read it, put on disk
here, and only then is its low-water mark raised: should this node die too, the next one finds the rest. Parts of
messages that waited for the others are judged as they are; an MO message's go to their account as they came.
"""

import asyncio
from typing import TYPE_CHECKING

import structlog

from domain.errors import TakenBack
from domain.message import Kind, Message, Notice
from pdu.pdus import SubmitSm
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from smsc.clock import wall_ms
from smsc.dispatching import expected
from smsc.recovery import decide_again, is_unsent
from smsc.wire_forms import part_of
from storage.membership import NodeRow
from storage.takeover import Moved, Takeover

if TYPE_CHECKING:
    from smsc.core import Core

PAGE = 5_000
SETTLE_POLL_S = 0.05

log = structlog.get_logger()


async def take_over(core: 'Core', row: NodeRow) -> bool:
    """Take a node's work over, if nobody else does; return whether this node did all of it."""
    takeover = core.store.takeover(row.node)
    if not await takeover.claim(row.epoch, row.beat):
        return False
    log.warning('node.takes_over', node=row.node, epoch=row.epoch)
    try:
        await takeover.end_connections()
        messages = await _take_waiting(core, takeover) + await _take_memory(core, takeover)
        await takeover.finish()
    except TakenBack:
        log.info('node.came_back', node=row.node)
        return False
    log.warning('node.taken_over', node=row.node, messages=messages)
    return True


async def take_late(core: 'Core', row: NodeRow) -> None:
    """Take what others have put on the disk of a node whose work was taken over; nothing, once it is back.

    A node that has a message for it may have begun to give it away before, and have committed that only now.
    """
    takeover = core.store.takeover(row.node)
    takeover.epoch = row.epoch
    try:
        while moved := await takeover.take_waiting(PAGE):
            for lane in moved:
                count_in(core, lane)
            log.warning('node.late', node=row.node, messages=sum(lane.messages for lane in moved))
    except TakenBack:
        log.info('node.came_back', node=row.node)


async def _take_waiting(core: 'Core', takeover: Takeover) -> int:
    """Take what it had on disk; what of it was on its way to an operator is marked first."""
    await takeover.mark_read()
    messages = 0
    while moved := await takeover.take_waiting(PAGE):
        for lane in moved:
            count_in(core, lane)
            messages += lane.messages
        log.info('node.taking_over', node=takeover.node, from_disk=messages)
    return messages


def count_in(core: 'Core', moved: Moved) -> None:
    """Know of messages that came to a lane on disk here; they are read when there is room."""
    outbox = core.outbox(moved.outbox)
    if moved.outbox.startswith('upstream '):
        core.account(moved.account).waiting += moved.messages
    if outbox is None:
        log.warning('node.no_upstream', outbox=moved.outbox, messages=moved.messages)
        core.cluster.homeless.add(moved.outbox)  # they are routed anew
        return
    outbox.count_in(moved.account, moved.priority, moved.messages, moved.first_due_at)


async def _take_memory(core: 'Core', takeover: Takeover) -> int:
    messages = 0
    while page := await takeover.unfinished(PAGE):
        unsent = [message.id for message, was_sent in page if is_unsent(message) and not was_sent]
        if unsent:
            await core.store.mark_repeated(unsent)
        held = [message for message, was_sent in page if _take(core, message, was_sent)]
        core.joining.judge_now(held)
        await core.joining.stage.catch_up()
        await core.finishing.catch_up()
        await core.shelf.catch_up()
        await _settle(core, held)
        await takeover.raise_low_water(page[-1][0].id)
        messages += len(page)
        log.info('node.taking_over', node=takeover.node, from_memory=messages)
    return messages


def _take(core: 'Core', message: Message, was_sent: bool) -> bool:
    """Put one message on disk here, or end it; return whether it is a part that is still to be judged.

    One that an operator has is left to its receipt; one whose receipt is due to the ESME is not.
    """
    if message.notice == Notice.DUE or message.kind == Kind.MO:
        core.account(message.account).feed.outbox.put_on_disk(message)
        return False
    if was_sent or not is_unsent(message):
        return False
    message.repeated = True
    core.account(message.account).waiting += 1
    message.counted = True
    assert isinstance(message.pdu, SubmitSm)
    if not message.upstream and message.route:
        core.reject(message, message.error or int(CommandStatus.ESME_RSUBMITFAIL))
        return False
    if not message.upstream and part_of(message.pdu) is not None:
        message.is_held = True
        return True
    put_on_disk(core, message)
    return False


def put_on_disk(core: 'Core', message: Message) -> None:
    """Give a message today's route, and put it on disk for the upstream that it would get now."""
    decide_again(core, message)
    name = expected(core, message.upstreams)
    if not name:
        core.reject(message, int(CommandStatus.ESME_RINVDSTADR))
        return
    message.upstream = name
    outbox = core.upstreams[name].feed.outbox
    if message.due_at > wall_ms():
        outbox.defer(message, message.due_at)
    else:
        outbox.put_on_disk(message)


async def _settle(core: 'Core', held: list[Message]) -> None:
    """Wait until what was judged just now is with its operator, has ended, or is on disk."""
    left = held
    while left:
        for message in left:
            upstream = core.upstreams.get(message.upstream)
            if upstream is not None and upstream.feed.outbox.withdraw(message):
                upstream.feed.outbox.put_on_disk(message)
        await core.shelf.catch_up()
        await core.finishing.catch_up()
        left = [message for message in left if not _is_safe(message)]
        if left:
            await asyncio.sleep(SETTLE_POLL_S)


def _is_safe(message: Message) -> bool:
    return message.segment_stored or message.stored_wait or message.state != MessageState.ENROUTE
