"""Messages and their sending windows: what waits for an opening, what is refused, what may not be sent any more.

A message is held to its window when it is accepted: then it waits on disk until the opening, as a scheduled one does,
or is refused. Where it may be sent at once, `closes_at` tells until when; what is still queued then waits for the next
opening, whatever the window says of messages outside of it, as it was accepted. So does what was read from disk, or
goes to a next route: its window is looked up when its turn comes. What has begun goes on: the segments of a message,
and the parts of one that its ESME made.
"""

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from domain.errors import Refused
from domain.message import LOOK_UP_WINDOW, Message
from pdu.pdus import SubmitSm
from pdu.status import CommandStatus
from routing.facts import Facts, Place
from routing.sending_windows import Interval, SendingWindow, SendingWindows
from smsc.chains import chain_of

if TYPE_CHECKING:
    from smsc.core import Core
    from smsc.upstream import Upstream


def keep_hours(core: 'Core', message: Message, place: Place, now_ms: int, stored: bool = False) -> None:
    """Hold a message that has a way to its window, from when it is due. Raises Refused.

    The validity of one that is `stored` already stays as it is.
    """
    windows = core.decider.windows
    window = windows.of(message.account, message.category)
    if window is None:
        return
    at_ms = max(now_ms, message.due_at)
    opening = windows.opening(window, place, at_ms, now_ms)
    is_open = opening is not None and opening.opens_at <= at_ms
    follows = not is_open and _follows_others(core, message)
    if opening is None or (not is_open and not follows and window.outside == 'reject'):
        raise Refused(window.status, _closed(windows, window, place, opening))
    message.closes_at = opening.closes_at
    if is_open:
        return
    pdu = message.pdu
    if not stored and (window.validity == 'opening' or not (isinstance(pdu, SubmitSm) and pdu.validity_period)):
        message.expires_at += opening.opens_at - at_ms
    elif message.expires_at <= opening.opens_at:
        raise Refused(CommandStatus.ESME_RINVEXPIRY, _closed(windows, window, place, opening))
    if follows:  # where they are is known when its turn comes
        message.closes_at = LOOK_UP_WINDOW
        return
    message.due_at = opening.opens_at
    waits = f'waits until {moment_text(opening.opens_at, windows.zone_of(place))} ({window.name})'
    message.decision = f'{message.decision}; {waits}' if message.decision else waits


def _follows_others(core: 'Core', message: Message) -> bool:
    """Return whether a message is a part of one that was let through, or put off, with another part."""
    chain = chain_of(message)
    return chain is not None and core.chains.place(chain, core.loop.time()) is not None


def may_leave(upstream: 'Upstream', message: Message, now_ms: int) -> bool:
    """Return whether a message may be sent although its `closes_at` is over; else it waits on disk for the opening."""
    core = upstream.core
    windows = core.decider.windows
    window = windows.of(message.account, message.category) if windows.are_set else None
    if window is None:
        message.closes_at = 0
        return True
    if _is_begun(upstream, message):
        return True
    address = message.pdu.destination_addr.removeprefix(b'+')
    place = windows.find_place(int(address) if address.isdigit() else 0)
    opening = windows.opening(window, place, now_ms, now_ms)
    if opening is not None and opening.opens_at <= now_ms:
        message.closes_at = opening.closes_at
        return True
    due_at = message.expires_at if opening is None else min(opening.opens_at, message.expires_at)
    upstream.feed.outbox.defer(message, due_at)
    return False


def _is_begun(upstream: 'Upstream', message: Message) -> bool:
    """Return whether an operator may have something of a message, so that the rest must follow."""
    if message.split is not None and not message.split.unsent:
        return True
    long_messages = upstream.long_messages
    return long_messages.is_bound_here(message) or long_messages.has_outstanding_of(message)


def look_up_again(upstream: 'Upstream') -> None:
    """Windows may have changed: what waits in memory looks its own up when its turn comes."""
    for message in upstream.feed.outbox.find(lambda _: True):
        message.closes_at = LOOK_UP_WINDOW


# For people


class WindowFinding(msgspec.Struct, frozen=True):
    """What the window of a message says: in words, whether it refuses the message, with which status; when it opens, ''
    where it is open.
    """

    text: str
    refuses: bool = False
    status: int = 0
    opens: str = ''


def window_finding(windows: SendingWindows, facts: Facts) -> WindowFinding | None:
    """Return what the window of a message says now; None when it has none."""
    window = windows.of(facts.account, facts.category)
    if window is None:
        return None
    zone = windows.zone_of(facts.place)
    opening = windows.opening(window, facts.place, facts.now_ms, facts.now_ms)
    if opening is not None and opening.opens_at <= facts.now_ms:
        return WindowFinding(f'{window.name} is open until {moment_text(opening.closes_at, zone)}')
    text = _closed(windows, window, facts.place, opening)
    if opening is None or window.outside == 'reject':
        return WindowFinding(text, True, window.status)
    return WindowFinding(text, opens=moment_text(opening.opens_at, zone))


def _closed(windows: SendingWindows, window: SendingWindow, place: Place, opening: Interval | None) -> str:
    if opening is None:
        return f'the window of {window.name} does not open'
    return f'{window.name} is closed until {moment_text(opening.opens_at, windows.zone_of(place))}'


@lru_cache(maxsize=1_000)
def moment_text(at_ms: int, zone: str) -> str:
    """Return a time where the subscriber is, such as `Mon 2026-11-23 09:00 Europe/Moscow`."""
    try:
        there = datetime.fromtimestamp(at_ms / 1_000, ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        there, zone = datetime.fromtimestamp(at_ms / 1_000, ZoneInfo('UTC')), 'UTC'
    return f'{there:%a %Y-%m-%d %H:%M} {zone}'
