"""What an ESME asks about messages it has submitted: query_sm, cancel_sm, replace_sm, and replace_if_present_flag.

A message_id is that of a message of the same account whose source_addr is the one given; anything else is unknown, and
looks the same whatever the reason. Only what is still queued (see `queued`) is cancelled or replaced, and ESME_ROK is
said after the commit. Each request is a short task; those that look for addresses are limited per account, as they
look at all that is in memory.
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
from smsc.limits import Rate
from smsc.message_ids import parse_message_id_of
from smsc.queued import Addresses, QueuedMessages, has_destination_type, has_source_type
from smsc.replacements import Replacements

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.core import Core

log = structlog.get_logger()
ANSWER_S = 10.0  # then the ESME hears that the store is away
SEARCHES_PER_S = 20  # of an account: requests that name addresses instead of a message_id
LARGEST_ERROR_CODE = 255  # error_code of query_sm_resp is one octet
COMMIT_POLL_S = 0.002

Done = Callable[[Message, Message | None, int], None]
"""Hears of a submit_sm with replace_if_present_flag: itself, what it has become (None: it is new), a command_status."""


class Amendments:
    """Answers these requests of all accounts."""

    def __init__(self, core: 'Core') -> None:
        self._core = core
        self._queued = QueuedMessages(core)
        self._replacements = Replacements(core)
        self._turns: dict[str, asyncio.Lock] = {}
        self._searches: dict[str, Rate] = {}
        self._handlers: dict[type[Pdu], Callable[[Account, Any, bool], Awaitable[Pdu]]] = {
            QuerySm: self._query,
            CancelSm: self._cancel,
            ReplaceSm: self._replace,
        }

    def handle_request(self, connection: Connection, account: 'Account', pdu: Pdu) -> None:
        """Answer a query_sm, cancel_sm or replace_sm, in its time."""
        self._core.add_task(self._answer(connection, account, pdu), type(pdu).__name__)

    async def _answer(self, connection: Connection, account: 'Account', pdu: Pdu) -> None:
        session = connection.session
        speaks_5 = session.peer_version >= SMPP_5_0
        response, status = await self._tried(partial(self._handlers[pdu.__class__], account, pdu, speaks_5))
        if response is None:
            session.refuse(pdu, status)
        else:
            session.respond(response)
        connection.flush()

    async def _tried(self, work: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
        """Return what `work` gives and 0, or None and the status that tells why not."""
        core = self._core
        if not core.store.health.available:
            return None, int(CommandStatus.ESME_RSYSERR)
        give_up = core.loop.time() + ANSWER_S
        try:
            return await _within(give_up, work), 0
        except Refused as refusal:
            return None, int(refusal.command_status)
        except TimeoutError:
            log.warning('amendment.late')
        except Exception:
            log.exception('amendment.error')
        return None, int(CommandStatus.ESME_RSYSERR)

    # query_sm

    async def _query(self, account: 'Account', pdu: QuerySm, _: bool) -> Pdu:
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
            if pdu.source_addr in (b'', message.pdu.source_addr) and has_source_type(message.pdu, pdu)
        ]

    # cancel_sm

    async def _cancel(self, account: 'Account', pdu: CancelSm, _: bool) -> Pdu:
        """End what is still queued (SMPP 3.4 section 4.9): one message, or all with these addresses."""
        if pdu.message_id:
            named = [message for message in await self._named(account, pdu) if _is_meant(message, pdu)]
            cancelled = await self._cancel_ids(named)
        else:
            self._take_search(account)
            cancelled = await self._cancel_alike(Addresses(account.name, pdu, pdu.service_type or None))
        if not cancelled:
            raise Refused(CommandStatus.ESME_RCANCELFAIL, 'nothing of it is queued')
        return CancelSmResp(pdu.sequence_number)

    async def _cancel_ids(self, messages: list[Message]) -> int:
        ids = _unfinished(messages)
        if not ids:
            return 0

        async def cancel() -> int:
            found = await self._queued.find(ids)
            return await self._queued.cancel(found) if found else 0

        return await self._core.shelf.alone(cancel)

    async def _cancel_alike(self, addresses: Addresses) -> int:
        cancelled, below_id = 0, None

        async def cancel_page() -> int:
            nonlocal below_id
            found, below_id = await self._queued.find_alike(addresses, *(() if below_id is None else (below_id,)))
            return await self._queued.cancel(found) if found else 0

        while below_id != 0:
            cancelled += await self._core.shelf.alone(cancel_page)
        return cancelled

    # replace_sm

    async def _replace(self, account: 'Account', pdu: ReplaceSm, speaks_5: bool) -> Pdu:
        """Give a queued message another text and other times."""
        ids = _unfinished(await self._named(account, pdu))

        async def replace() -> int:
            replaced = 0
            for message_id in sorted(ids):
                for queued in await self._queued.find(frozenset({message_id})):
                    change = self._replacements.amended(queued, pdu, account, speaks_5)
                    replaced += await self._queued.replace(queued, change)
            return replaced

        replaced = await self._core.shelf.alone(replace) if ids else 0
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
        turn = self._turns.setdefault(message.account, asyncio.Lock())
        replaced, status = await self._tried(partial(self._put_in_place, message, turn))
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
            turn.release()

    async def _put_in_place(self, message: Message, turn: asyncio.Lock) -> Message | None:
        """Return what a queued message has become. Keeps the account's turn: the next one is to find this message."""
        pdu = message.pdu
        assert isinstance(pdu, SubmitSm)
        addresses = Addresses(message.account, pdu, pdu.service_type)

        async def replace() -> Message | None:
            found, _ = await self._queued.find_alike(addresses)
            if not found:
                return None
            change = self._replacements.substituted(found[0], message)
            return change.message if await self._queued.replace(found[0], change) else None

        self._take_search(self._core.account(message.account))
        await turn.acquire()
        try:
            return await self._core.shelf.alone(replace) if message.upstreams else None
        except BaseException:
            turn.release()
            raise

    def _forget(self, message: Message) -> None:
        """A message that was admitted is none after all."""
        self._core.live.pop(message.id, None)
        self._core.count_sent(message)

    async def _settled(self, message: Message) -> None:
        """Wait until a message is answered: then it is in its outbox, or nowhere."""
        give_up = self._core.loop.time() + ANSWER_S
        while message.reply is not None and self._core.loop.time() < give_up:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(COMMIT_POLL_S)

    def _take_search(self, account: 'Account') -> None:
        now = self._core.loop.time()
        rate = self._searches.setdefault(account.name, Rate(SEARCHES_PER_S, SEARCHES_PER_S, now))
        if not rate.take(1, now):
            raise Refused(CommandStatus.ESME_RTHROTTLED, 'too many requests that name addresses')


async def _within(give_up: float, work: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout_at(give_up):
        return await work()


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


def _absolute(at_ms: int) -> bytes:
    return format_absolute(datetime.fromtimestamp(at_ms / 1000, UTC))
