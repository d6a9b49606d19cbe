"""Upstreams and routes that people switch off and on by hand.

The store has them: they survive restarts, and every node reads them every few seconds. An upstream that is off gets
nothing new, and keeps its links, so that receipts come; what waits for it goes to others of its routes, or waits. A
route that is off never matches; the name of a block is that of every route in it.
"""

from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from domain.errors import StoreUnavailable
from smsc.control import ControlError
from storage.switches import Off, Switch

if TYPE_CHECKING:
    from routing.table import RouteTable
    from smsc.config.schema import Configuration
    from smsc.node import Node

log = structlog.get_logger()
GIVE_UP_S = 10.0
POLL_S = 3.0


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
        for upstream in core.upstreams.values():
            if upstream.feed.off:
                core.failover.leave_now(upstream)
        routes = frozenset(off.name for off in self.off if off.kind == 'route')
        if core.table.off != routes:
            core.table.set_off(routes)
            log.warning('routes.switched', off=sorted(routes))

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
    """Raise ControlError unless there is such an upstream, route, or block of routes."""
    if switch.kind == 'upstream':
        known = list(configuration.upstreams)
    else:
        known = names_of(table)
    if switch.name not in known:
        raise ControlError(f'there is no {switch.kind} {switch.name}; there is: {", ".join(known) or "none"}')


def names_of(table: 'RouteTable') -> list[str]:
    """Return the names of all routes and blocks, `OUTER > INNER`, in their order."""
    names: dict[str, None] = {}
    for rule in table.rules:
        path = rule.name.split(' > ')
        names.update((' > '.join(path[:end]), None) for end in range(1, len(path) + 1))
    return list(names)


def describe(switch: Switch, changed: bool) -> str:
    """Return a line that says how it stands now."""
    word = 'off' if switch.off else 'on'
    return f'{switch.kind} {switch.name} is {word}' if changed else f'{switch.kind} {switch.name} was {word} already'
