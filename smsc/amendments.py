"""What an ESME asks about messages it has submitted: query_sm, cancel_sm, replace_sm, and replace_if_present_flag.

A message_id is that of a message of the same account whose source_addr is the one given; anything else is unknown, and
looks the same whatever the reason. Only what is still queued (see `queued`) is cancelled or replaced, and ESME_ROK is
said after the commit: an ESME that waits too long is refused as long as nothing is committed, from then on it hears of
the outcome. What other nodes own, they are asked to change (`cluster.amending`).

Each request is a short task. No account holds up another: so many requests of one may be under way and no more, its
changes are made one at a time, and looking through memory has a share of the loop's time (`looking`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from domain.errors import Refused
from domain.message import Message
from pdu.pdus import CancelSm, CancelSmResp, Pdu, QuerySm, QuerySmResp, ReplaceSm, ReplaceSmResp, SubmitSm
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from pdu.times import format_absolute
from smpp.aio.connection import Connection
from smpp.versions import SMPP_5_0
from smsc.admission import INTERNATIONAL_TON
from smsc.amending_here import AmendingHere, Turns
from smsc.clock import wall_ms
from smsc.cluster.amending import AmendingElsewhere
from smsc.deciding import E164_NPI, asked_of
from smsc.message_ids import parse_message_id_of
from smsc.queued import Addresses, has_destination_type, has_source_type

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.core import Core

log = structlog.get_logger()
ANSWER_S = 10.0  # then the ESME hears that the store is away
UNDER_WAY = 500  # requests of one account
LARGEST_ERROR_CODE = 255  # error_code of query_sm_resp is one octet
COMMIT_POLL_S = 0.002

Done = Callable[[Message, Message | None, int], None]
"""Hears of a submit_sm with replace_if_present_flag: itself, what it has become (None: it is new), a command_status."""


class Amendments:
    """Answers these requests of all accounts."""

    def __init__(self, core: 'Core') -> None:
        self._core = core
        self.here = AmendingHere(core)
        self._elsewhere = AmendingElsewhere(core, self.here)
        self._handlers: dict[type[Pdu], Callable[[Account, Any, bool, asyncio.Timeout], Awaitable[Pdu]]] = {
            QuerySm: self._query,
            CancelSm: self._cancel,
            ReplaceSm: self._replace,
        }

    def handle_request(self, connection: Connection, account: 'Account', pdu: Pdu) -> None:
        """Answer a query_sm, cancel_sm or replace_sm, in its time, or at once when too many are under way."""
        turns = self.here.turns_of(account.name)
        if turns.under_way >= UNDER_WAY:
            connection.session.refuse(pdu, CommandStatus.ESME_RTHROTTLED)
            return
        turns.under_way += 1
        self._core.add_task(self._answer(connection, account, pdu, turns), type(pdu).__name__)

    async def _answer(self, connection: Connection, account: 'Account', pdu: Pdu, turns: Turns) -> None:
        session = connection.session
        speaks_5 = session.peer_version >= SMPP_5_0
        try:
            response, status = await self._tried(partial(self._handlers[pdu.__class__], account, pdu, speaks_5))
        finally:
            turns.under_way -= 1
        if response is None:
            session.refuse(pdu, status)
        else:
            session.respond(response)
        connection.flush()

    async def _tried(self, work: Callable[[asyncio.Timeout], Awaitable[Any]]) -> tuple[Any, int]:
        """Return what `work` gives and 0, or None and the status that tells why not."""
        core = self._core
        if not core.store.health.available:
            return None, int(CommandStatus.ESME_RSYSERR)
        try:
            async with asyncio.timeout_at(core.loop.time() + ANSWER_S) as timeout:
                return await work(timeout), 0
        except Refused as refusal:
            return None, int(refusal.command_status)
        except TimeoutError:
            log.warning('amendment.late')
        except Exception:
            log.exception('amendment.error')
        return None, int(CommandStatus.ESME_RSYSERR)

    # query_sm

    async def _query(self, account: 'Account', pdu: QuerySm, _: bool, __: asyncio.Timeout) -> Pdu:
        """Tell how a message stands (SMPP 3.4 section 4.8). One of several destinations is not final before all are."""
        messages = await self._named(account, pdu)
        if not messages:
            raise Refused(CommandStatus.ESME_RQUERYFAIL, 'unknown message_id')
        message = min(messages, key=lambda message: message.state != MessageState.ENROUTE)
        return QuerySmResp(
            pdu.sequence_number,
            message_id=pdu.message_id,
            final_date=_absolute(message.done_at) if message.state != MessageState.ENROUTE else b'',
            message_state=message.state,
            error_code=min(message.error & 0xFFFF, LARGEST_ERROR_CODE),
        )

    async def _named(self, account: 'Account', pdu: QuerySm | CancelSm | ReplaceSm) -> list[Message]:
        """Return the messages that a message_id means; a source_addr that is not known may be left out."""
        try:
            message_id = parse_message_id_of(pdu.message_id, account.config)
        except ValueError:
            return []
        return [
            message
            for message in await self._core.store.amending.find(message_id, account.name)
            if pdu.source_addr in (b'', asked_of(message).source_addr) and has_source_type(asked_of(message), pdu)
        ]

    # cancel_sm

    async def _cancel(self, account: 'Account', pdu: CancelSm, _: bool, timeout: asyncio.Timeout) -> Pdu:
        """End what is still queued (SMPP 3.4 section 4.9): one message, or all with these addresses."""
        turns = self.here.turns_of(account.name)
        digits = account.submitter.normalise(pdu.destination_addr.decode('latin-1'), pdu.dest_addr_ton).encode()
        if digits != pdu.destination_addr:  # as its message has it, see `deciding`
            pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi = digits, INTERNATIONAL_TON, E164_NPI
        if pdu.message_id:
            named = [message for message in await self._named(account, pdu) if _is_meant(message, pdu)]
            ids = _unfinished(named)
            cancelled = await self.here.cancel_queued(turns, ids, timeout)
            if cancelled < len(ids) and not self._elsewhere.is_alone:
                cancelled += await self._elsewhere_too(cancelled, self._elsewhere.cancel(account.name, ids))
        else:
            now_id = self._core.ids.next(wall_ms())  # so that what is submitted meanwhile does not keep this up
            addresses = Addresses(account.name, pdu, pdu.service_type or None, now_id)
            cancelled = await self.here.cancel_queued_alike(turns, addresses, timeout)
            if not self._elsewhere.is_alone:
                cancelled += await self._elsewhere.cancel_alike(addresses)
        if not cancelled:
            raise Refused(CommandStatus.ESME_RCANCELFAIL, 'nothing of it is queued')
        return CancelSmResp(pdu.sequence_number)

    @staticmethod
    async def _elsewhere_too(done: int, work: Awaitable[int]) -> int:
        """Return what others did beside what was `done` here, which no refusal undoes."""
        try:
            return await work
        except Refused:
            if done:
                return 0
            raise

    # replace_sm

    async def _replace(self, account: 'Account', pdu: ReplaceSm, speaks_5: bool, timeout: asyncio.Timeout) -> Pdu:
        """Give a queued message another text and other times; all that a submit_multi gave this id to, or none."""
        ids = _unfinished(await self._named(account, pdu))
        replaced = await self.here.replace_queued(account, ids, pdu, speaks_5, timeout)
        if replaced < len(ids) and not self._elsewhere.is_alone:
            others = self._elsewhere.replace(account.name, ids, pdu, speaks_5)
            replaced += await self._elsewhere_too(replaced, others)
        if not replaced:
            raise Refused(CommandStatus.ESME_RREPLACEFAIL, 'it is not queued')
        return ReplaceSmResp(pdu.sequence_number)

    # replace_if_present_flag

    def replace_present(self, message: Message, done: Done) -> None:
        """Put an admitted message, not stored yet, in place of a queued one of the same account, addresses and
        service_type (SMPP 3.4 section 5.2.18), the newest of several; that keeps its id.

        `done(message, replaced, status)` is called after the commit. `replaced` is what has the new content and the old
        id: the new message exists no more, and is no longer counted. It is None when there was none to replace: the
        caller stores the message as any other; and when `status` says what went wrong: the caller refuses it.
        """
        self._core.add_task(self._replace_present(message, done), 'replace_if_present')

    async def _replace_present(self, message: Message, done: Done) -> None:
        turns = self.here.turns_of(message.account)
        turns.under_way += 1
        try:
            replaced, status = await self._tried(partial(self._put_in_place, message, turns))
        finally:
            turns.under_way -= 1
        if status:
            self._forget(message)
            done(message, None, status)
            return
        try:
            if replaced is not None:
                self._forget(message)
            done(message, replaced, 0)
            await self._settled(message)
        finally:
            turns.changing.release()

    async def _put_in_place(self, message: Message, turns: Turns, timeout: asyncio.Timeout) -> Message | None:
        """Return what a queued message has become. Keeps the account's turn: the next one is to find this message."""
        pdu = message.pdu
        assert isinstance(pdu, SubmitSm)
        addresses = Addresses(message.account, _addresses_of(message), pdu.service_type)
        if turns.under_way > UNDER_WAY:
            raise Refused(CommandStatus.ESME_RTHROTTLED, 'too many requests')
        await turns.changing.acquire()
        try:
            return await self._put_in_newest_place(message, addresses, turns, timeout) if message.upstreams else None
        except BaseException:
            turns.changing.release()
            raise

    async def _put_in_newest_place(
        self, message: Message, addresses: Addresses, turns: Turns, timeout: asyncio.Timeout
    ) -> Message | None:
        elsewhere_id = node = 0
        if not self._elsewhere.is_alone:
            elsewhere_id, node = await self._elsewhere.newest_alike(addresses)
        if elsewhere_id and elsewhere_id > await self.here.newest_alike(addresses):
            replaced = await self._elsewhere.substitute(node, message, elsewhere_id)
            if replaced is not None:
                return replaced

        return await self.here.put_in_newest_place(turns, addresses, message, timeout)

    def _forget(self, message: Message) -> None:
        """A message that was admitted is none after all."""
        self._core.live.pop(message.id, None)
        self._core.count_sent(message)

    async def _settled(self, message: Message) -> None:
        """Wait until a message is answered: then it is in its outbox, or nowhere."""
        give_up = self._core.loop.time() + ANSWER_S
        while message.reply is not None and self._core.loop.time() < give_up:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(COMMIT_POLL_S)


def _unfinished(messages: list[Message]) -> frozenset[int]:
    return frozenset(message.id for message in messages if message.state == MessageState.ENROUTE)


def _is_meant(message: Message, pdu: CancelSm) -> bool:
    """Return whether what a cancel_sm says besides the message_id agrees with the message."""
    of = message.pdu
    return (
        pdu.service_type in (b'', of.service_type)
        and pdu.destination_addr in (b'', of.destination_addr)
        and (not pdu.destination_addr or has_destination_type(of, pdu))
    )


def _addresses_of(message: Message) -> CancelSm:
    """Return what other messages with the addresses of this one are looked for by."""
    asked, pdu = asked_of(message), message.pdu
    return CancelSm(
        source_addr_ton=asked.source_addr_ton,
        source_addr_npi=asked.source_addr_npi,
        source_addr=asked.source_addr,
        dest_addr_ton=pdu.dest_addr_ton,
        dest_addr_npi=pdu.dest_addr_npi,
        destination_addr=pdu.destination_addr,
    )


def _absolute(at_ms: int) -> bytes:
    return format_absolute(datetime.fromtimestamp(at_ms / 1000, UTC))
