"""Upstreams and routes that people switch off and on by hand, and queues that they pause or drain.

The store has them: they survive restarts, and every node reads them every few seconds. An upstream that is off gets
nothing new, and keeps its links, so that receipts come; what waits for it goes to others of its routes, or waits. A
route that is off never matches; the name of a block is that of every route in it.

A queue that is paused takes what is for its upstream, and sends nothing of it until it is resumed. One that is drained
is still sent, and its upstream gets nothing new that may go elsewhere.
"""

from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from domain.errors import StoreUnavailable
from smsc.control import ControlError
from storage.switches import SEPARATOR, Off, Switch, queue_name

if TYPE_CHECKING:
    from routing.table import RouteTable
    from smsc.config.schema import Configuration
    from smsc.node import Node
    from smsc.upstream import Upstream

log = structlog.get_logger()
GIVE_UP_S = 10.0
POLL_S = 3.0
STANDINGS = {'pause': ('is sent', 'is paused'), 'drain': ('is in use', 'is drained')}


class Switchboard:
    """What is off, on one node."""

    def __init__(self, node: 'Node') -> None:
        self.off: list[Off] = []
        self._node = node
        self._applied: tuple[object, ...] = ()

    def is_off(self, kind: str, name: str) -> bool:
        """Return whether somebody has switched it off."""
        return any(off.kind == kind and off.name == name for off in self.off)

    async def read(self) -> None:
        """Know what is off in the store; called at the start and every few seconds. Raises StoreUnavailable."""
        self.off = await self._node.core.store.switches.read(GIVE_UP_S)
        self.apply()

    def apply(self) -> None:
        """Let upstreams and routes be as switched; also after a reload has made new ones."""
        core = self._node.core
        for name, upstream in core.upstreams.items():
            off = self.is_off('upstream', name)
            if upstream.feed.off != off:
                upstream.switch(off)
                log.warning('upstream.switched', upstream=name, off=off)
            self._apply_to_queue(upstream)
        for upstream in core.upstreams.values():
            if upstream.feed.off:
                core.failover.leave_now(upstream)
        routes = frozenset(off.name for off in self.off if off.kind == 'route')
        if core.table.off != routes:
            core.table.set_off(routes)
            log.warning('routes.switched', off=sorted(routes))

    def _apply_to_queue(self, upstream: 'Upstream') -> None:
        name = upstream.name
        on_hold, draining = self.is_off('pause', name), self.is_off('drain', name)
        begin = queue_name(name, '')
        paused = [off.name for off in self.off if off.kind == 'pause' and off.name.startswith(begin)]
        accounts = frozenset(paused_name.removeprefix(begin) for paused_name in paused)
        if (upstream.feed.on_hold, upstream.feed.outbox.held) != (on_hold, accounts):
            upstream.hold(on_hold, accounts)
            log.warning('queue.switched', upstream=name, paused=on_hold, accounts=sorted(accounts))
        if upstream.draining != draining:
            upstream.drain(draining)
            log.warning('queue.switched', upstream=name, draining=draining)

    async def handle(self, request: dict[str, Any]) -> str:
        """Do what the command asks; return what it shows. Raises ControlError."""
        try:
            switch = msgspec.convert({key: value for key, value in request.items() if key != 'command'}, Switch)
        except msgspec.ValidationError as error:
            raise ControlError(f'not understood: {error}') from error
        core = self._node.core
        if switch.off:  # what a reload took away can be switched on all the same
            check_name(switch, core.configuration, core.table)
        try:
            changed = await core.store.switches.change(switch, GIVE_UP_S)
            await self.read()
        except StoreUnavailable as error:
            raise ControlError('the store is away: nothing was switched; try again when it is back') from error
        return describe(switch, changed)


def check_name(switch: Switch, configuration: 'Configuration', table: 'RouteTable') -> None:
    """Raise ControlError unless there is such an upstream, route, block of routes, or queue."""
    if switch.kind == 'upstream':
        known = list(configuration.upstreams)
    elif switch.kind != 'route':
        check_queue(switch, configuration)
        return
    else:
        known = names_of(table)
    if switch.name not in known:
        raise ControlError(f'there is no {switch.kind} {switch.name}; there is: {", ".join(known) or "none"}')


def check_queue(switch: Switch, configuration: 'Configuration') -> None:
    """Raise ControlError unless there is such an upstream, or account of it."""
    known = [queue_name(upstream) for upstream in configuration.upstreams]
    accounts = [] if switch.kind == 'drain' else list(configuration.accounts)
    if switch.name in known or any(switch.name == queue_name(name, one) for name in known for one in accounts):
        return
    upstream, _, account = switch.name.partition(SEPARATOR)
    if upstream in known and account:
        raise ControlError(f'there is no account {account}; there is: {", ".join(accounts) or "none"}')
    raise ControlError(f'there is no upstream {upstream}; there is: {", ".join(known) or "none"}')


def names_of(table: 'RouteTable') -> list[str]:
    """Return the names of all routes and blocks, `OUTER > INNER`, in their order."""
    names: dict[str, None] = {}
    for rule in table.rules:
        path = rule.name.split(' > ')
        names.update((' > '.join(path[:end]), None) for end in range(1, len(path) + 1))
    return list(names)


def describe(switch: Switch, changed: bool) -> str:
    """Return a line that says how it stands now."""
    if switch.kind in STANDINGS:
        standing = f'queue {switch.name} {STANDINGS[switch.kind][switch.off]}'
        return standing if changed else f'{standing} already'
    word = 'off' if switch.off else 'on'
    return f'{switch.kind} {switch.name} is {word}' if changed else f'{switch.kind} {switch.name} was {word} already'
