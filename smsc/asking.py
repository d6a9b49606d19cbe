"""Requests with numbers that a service is asked about (wire.md G5): they wait for the answer, and nobody else does.

A request waits before anything else is looked at, so that its window is the only thing that it uses meanwhile. When
the answer has come, or the time is up, it is admitted as if it had come now. One whose session has ended is forgotten:
nobody was told anything about it.
"""

import asyncio
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


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request that waits, and the numbers that it waits for."""

    connection: Connection
    account: 'Account'
    pdu: Submit
    numbers: frozenset[int]


class Asking:
    """The requests of one node that wait for a service."""

    def __init__(self, core: 'Core', admit: Callable[[Connection, 'Account', list[Submit]], None]) -> None:
        """`admit` deals with requests whose numbers are known as far as they will be."""
        self.core = core
        self.waiting = 0
        self._admit = admit
        self._items: list[Asked] = []
        self._next: asyncio.Handle | None = None

    def holds(self, connection: Connection, account: 'Account', pdu: Submit) -> bool:
        """Take a request that must wait; return whether it is one."""
        lookups = self.core.policy.lookups
        if lookups is None:
            return False
        unknown = frozenset(number for number in self._numbers(account, pdu) if lookups.cached(number) is None)
        if unknown:
            self._items.append(Asked(connection, account, pdu, unknown))
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
        waiting = [item for item in items if not unknown.isdisjoint(item.numbers)]
        for item in items:
            if unknown.isdisjoint(item.numbers):
                self.waiting -= 1
                if item.connection.session.state in BOUND:
                    self._admit(item.connection, item.account, [item.pdu])
                    item.connection.flush()
        return waiting
