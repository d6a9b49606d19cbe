"""Requests with numbers that a service is asked about (wire.md G5): they wait for the answer, and nobody else does.

A request waits before anything else is looked at, so that its window is the only thing that it uses meanwhile. When
the answer has come, or the time is up, it is admitted as if it had come now. One whose session has ended is forgotten:
nobody was told anything about it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pdu.fields import SmeAddress
from pdu.pdus import DataSm, SubmitMulti, SubmitSm
from smpp.aio.connection import Connection
from smpp.states import BOUND

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.core import Core

Submit = SubmitSm | DataSm | SubmitMulti


class Asked(msgspec.Struct, gc=False, eq=False):
    """A request that waits, and the numbers that it waits for; `known` when they are, as far as they will be."""

    connection: Connection
    account: 'Account'
    pdu: Submit
    numbers: frozenset[int]
    known: bool = False


class Asking:
    """The requests of one node that wait for a service."""

    def __init__(self, core: 'Core', admit: Callable[[Connection, 'Account', list[Submit]], None]) -> None:
        """`admit` deals with requests whose numbers are known as far as they will be."""
        self.core = core
        self.waiting = 0
        self._admit = admit
        self._items: list[Asked] = []
        self._queues: dict[int, deque[Asked]] = {}  # by number: messages to one are admitted in order
        self._next: asyncio.Handle | None = None

    def holds(self, connection: Connection, account: 'Account', pdu: Submit) -> bool:
        """Take a request that must wait; return whether it is one."""
        lookups = self.core.policy.lookups
        if lookups is None:
            return False
        numbers = self._numbers(account, pdu)
        unknown = frozenset(number for number in numbers if number in self._queues or lookups.cached(number) is None)
        if unknown:
            item = Asked(connection, account, pdu, unknown)
            self._items.append(item)
            for number in unknown:
                self._queues.setdefault(number, deque()).append(item)
            self.waiting += 1
            if self._next is None:
                self._next = self.core.loop.call_soon(self._ask)
        return bool(unknown)

    def _ask(self) -> None:
        """Ask about what has gathered in this turn of the loop, at once: a slow service holds up no other's numbers."""
        self._next = None
        items, self._items = self._items, []
        self.core.add_task(self._resolve(items), 'ask')

    def _numbers(self, account: 'Account', pdu: Submit) -> list[int]:
        """Return the numbers of a request that are in no base; what is no number will be refused."""
        if isinstance(pdu, SubmitMulti):
            addresses = [one for one in pdu.dest_address if isinstance(one, SmeAddress)]
            written = [(one.destination_addr, one.dest_addr_ton) for one in addresses]
        else:
            written = [(pdu.destination_addr, pdu.dest_addr_ton)]
        numbers = []
        for address, ton in written:
            digits = account.submitter.normalise(address.decode('latin-1'), ton)
            if digits.isascii() and digits.isdecimal() and not self.core.policy.mnp.find(int(digits)):
                numbers.append(int(digits))
        return numbers

    async def _resolve(self, items: list[Asked]) -> None:
        """Admit requests as their numbers become known: a number that takes its time holds up nobody else's request."""
        lookups = self.core.policy.lookups
        left = set().union(*[item.numbers for item in items])
        try:
            if lookups is not None:
                async for known in lookups.settled(left):
                    left -= known
                    items = self._admit_known(items, left)
        finally:
            self._admit_known(items, set())

    def _admit_known(self, items: list[Asked], unknown: set[int]) -> list[Asked]:
        """Admit those of the requests whose numbers are known; return the others."""
        waiting = []
        for item in items:
            if unknown.isdisjoint(item.numbers):
                item.known = True
                self._admit_in_turn(item)
            else:
                waiting.append(item)
        return waiting

    def _admit_in_turn(self, first: Asked) -> None:
        """Admit a request, and those behind it, unless one before it still waits for one of the same numbers."""
        turn = deque([first])
        while turn:
            item = turn.popleft()
            if not item.known or any(self._queues[number][0] is not item for number in item.numbers):
                continue
            item.known = False  # it has had its turn
            for number in item.numbers:
                queue = self._queues[number]
                queue.popleft()
                if queue:
                    turn.append(queue[0])
                else:
                    del self._queues[number]
            self.waiting -= 1
            if item.connection.session.state in BOUND:
                self._admit(item.connection, item.account, [item.pdu])
                item.connection.flush()
