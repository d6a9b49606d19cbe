"""What an ESME asks to be changed of its messages, done with those that are queued at this node; for this node's ESMEs
and for other nodes (`cluster.amending`).

The changes of an account are made one at a time. From the commit on nothing is given up any more: the caller's timeout
is put off, so that whoever asked hears of the outcome.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec

from domain.errors import Refused
from domain.message import Message
from pdu.pdus import ReplaceSm
from pdu.status import CommandStatus
from smsc.clock import wall_ms
from smsc.looking import LookingTime
from smsc.queued import PAGE, Addresses, Queued, QueuedMessages
from smsc.replacements import Replacements

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.core import Core

ANSWER_S = 10.0  # what another node asks for is given up then, unless it is being committed

Outcome = TypeVar('Outcome')


class Turns:
    """What an account has under way; its changes are made one at a time, so that those of others come in between."""

    def __init__(self) -> None:
        self.under_way = 0
        self.changing = asyncio.Lock()
        self.looking = LookingTime()


class AmendingHere:
    """Changes what is queued at this node, for all accounts. What finds nothing queued returns 0 or None."""

    def __init__(self, core: 'Core') -> None:
        self._core = core
        self.queued = QueuedMessages(core)
        self._replacements = Replacements(core)
        self._turns: dict[str, Turns] = {}

    def turns_of(self, account: str) -> Turns:
        """Return what an account of this name has under way."""
        return self._turns.setdefault(account, Turns())

    async def _alone(self, turns: Turns, work: Callable[[], Awaitable[Outcome]], begun: bool = False) -> Outcome:
        """Do what finds and changes messages, in the shelf's worker; the caller has the account's turn.

        Raises Refused when the account has used up its time to look through memory; what is `begun` waits instead.
        """
        core, queued = self._core, self.queued

        async def measured() -> Outcome:
            before_s = queued.looked_s
            try:
                return await work()
            finally:
                turns.looking.spend(queued.looked_s - before_s, core.loop.time())

        wait_s = turns.looking.wait_s(core.loop.time())
        if wait_s and not begun:
            raise Refused(CommandStatus.ESME_RTHROTTLED, 'too much to look through')
        await asyncio.sleep(wait_s)
        return await core.shelf.alone(measured)

    async def cancel_queued(self, turns: Turns, ids: frozenset[int], timeout: asyncio.Timeout) -> int:
        """Cancel what is queued of these, once it is the account's turn; return how many."""

        async def cancel() -> int:
            found, held = await self.queued.find(ids), self.queued.find_held(ids)
            if not (found or held):
                return 0
            timeout.reschedule(None)  # what is committed has happened, and the ESME is to hear so
            return await self.queued.cancel(found, held)

        if not ids:
            return 0
        async with turns.changing:
            return await self._alone(turns, cancel)

    async def cancel_queued_alike(self, turns: Turns, addresses: Addresses, timeout: asyncio.Timeout) -> int:
        """Cancel what has these addresses, page by page; between two of them everybody else has a turn."""
        cancelled, below_id = 0, addresses.below_id

        async def cancel_page() -> int:
            nonlocal below_id
            found, below_id = await self.queued.find_alike(addresses, below_id, PAGE)
            held = self.queued.find_held_alike(addresses)[:PAGE]
            if not (found or held):
                return 0
            timeout.reschedule(None)
            cancelled_now = await self.queued.cancel(found, held)
            if len(held) == PAGE:
                below_id = below_id or addresses.below_id
            return cancelled_now

        while below_id:
            async with turns.changing:
                cancelled += await self._alone(turns, cancel_page, begun=cancelled > 0)
        return cancelled

    async def replace_queued(
        self, account: 'Account', ids: frozenset[int], pdu: ReplaceSm, speaks_5: bool, timeout: asyncio.Timeout
    ) -> int:
        """Replace what is queued of these, all or none, once it is the account's turn; return how many.

        Raises Refused when one of them cannot be replaced so.
        """
        turns = self.turns_of(account.name)

        async def replace() -> int:
            found = await self.queued.find(ids)
            if not found:
                return 0
            changes = self._replacements.amended_all(found, pdu, account, speaks_5, self._core.loop.time())
            timeout.reschedule(None)
            return await self.queued.replace(changes)

        if not ids:
            return 0
        async with turns.changing:
            return await self._alone(turns, replace)

    async def put_in_newest_place(
        self, turns: Turns, addresses: Addresses, message: Message, timeout: asyncio.Timeout
    ) -> Message | None:
        """Put a message in the place of the newest with these addresses; return what that has become.

        The caller has the account's turn.
        """

        async def replace() -> Message | None:
            found, _ = await self.queued.find_alike(addresses)
            return await self._substitute(found[:1], message, timeout)

        return await self._alone(turns, replace)

    async def _substitute(self, found: list[Queued], message: Message, timeout: asyncio.Timeout) -> Message | None:
        if not found:
            return None
        change = self._replacements.substituted(found[0], message)
        timeout.reschedule(None)
        return change.message if await self.queued.replace([(found[0], change)]) else None

    # For other nodes. What has an account's turn there takes none here: two nodes would wait for each other

    async def cancel_ids(self, account: str, ids: frozenset[int]) -> int:
        """Cancel what is queued of these; return how many."""
        async with asyncio.timeout(ANSWER_S) as timeout:
            return await self.cancel_queued(self.turns_of(account), ids, timeout)

    async def cancel_alike(self, addresses: Addresses) -> int:
        """Cancel what is queued with these addresses; return how many."""
        until_now = msgspec.structs.replace(addresses, below_id=self._core.ids.next(wall_ms()))
        async with asyncio.timeout(ANSWER_S) as timeout:
            return await self.cancel_queued_alike(self.turns_of(addresses.account), until_now, timeout)

    async def replace(self, account: str, ids: frozenset[int], pdu: ReplaceSm, speaks_5: bool) -> int:
        """Replace what is queued of these; return how many."""
        async with asyncio.timeout(ANSWER_S) as timeout:
            return await self.replace_queued(self._core.account(account), ids, pdu, speaks_5, timeout)

    async def newest_alike(self, addresses: Addresses) -> int:
        """Return the id of the newest queued message with these addresses, 0 when there is none."""
        found, _ = await self._alone(self.turns_of(addresses.account), partial(self.queued.find_alike, addresses))
        return found[0].message.id if found else 0

    async def substitute(self, message: Message, old_id: int) -> Message | None:
        """Put a message in the place of a queued one; return what that has become, None when it is queued no more."""

        async def replace() -> Message | None:
            found = await self.queued.find(frozenset({old_id}))
            return await self._substitute(found, message, timeout)

        async with asyncio.timeout(ANSWER_S) as timeout:
            return await self._alone(self.turns_of(message.account), replace)
