"""The next route of a message that an upstream has not delivered (wire.md G4).

A route may say so by `on_failure`: when the operator's receipt is a bad one, or does not come in time, or the operator
refuses the message for good, another upstream gets it. The message keeps its id, and ends once: by the receipt of the
upstream that has it last, or by a late DELIVRD of one before, whatever the others say then. Which upstream comes next
follows from the route and the one that failed, so that the store need know no more than which has the message now.

What is due on a receipt that is missing stands in the store, and is looked for once a second. A message that we split
into segments has no next route: it ends with the worst of its receipts.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from domain.message import Kind, Message, Part
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from routing.actions import Retry
from routing.table import RouteTable
from smsc.clock import wall_ms
from smsc.stage import Stage
from storage.next_routes import Expected, Next
from storage.rows import Waiting

if TYPE_CHECKING:
    from smsc.core import Core
    from smsc.upstream import Upstream

log = structlog.get_logger()
POLL_S = 1.0
PAGE = 1_000
COMMIT_POLL_S = 0.002
LEAST_VALIDITY_MS = 1_000  # that must be left of a message
ERROR_CODE = 0xFFFF  # of network_error_code, without the network's type
RECEIPT_WANTED = 0x03  # bits of registered_delivery, SMPP 3.4 section 5.2.17


class Failed(msgspec.Struct, gc=False):
    """A message that `failed` has not delivered, for `upstream`; `source` and `parked` as in `storage.rows.Outcome`.

    `before` is its next upstream when that was known: of several failures that say the same, the first counts. `state`
    and `error` are those that a message ends with which is taken out.
    """

    message: Message
    upstream: str
    failed: str
    before: str
    source: Any = None
    parked: tuple[str, str] | None = None
    refused: bool = False  # it has not taken the message at all
    state: int = int(MessageState.DELIVERED)
    error: int = 0


class NextRoutes:
    """Of all routes of a node."""

    def __init__(self, core: 'Core') -> None:
        self.begun = 0
        self._core = core
        self._table: RouteTable | None = None
        self._retries: dict[str, Retry] = {}
        self._waits = False
        batch = core.configuration.queues.batch
        self.stage = Stage[Failed, set[int]]('next route', self._begin, self._handle_begun, self._abandon, batch)
        self.delivered = Stage[Failed, None](
            'delivered late', self._take_out, self._handle_delivered, self._abandon, batch
        )

    @property
    def retries(self) -> dict[str, Retry]:
        """What the routes of today say, by their names."""
        table = self._core.table
        if self._table is not table:
            self._table = table
            self._retries = {rule.name: rule.retry for rule in table.rules if rule.retry is not None}
            self._waits = any(retry.after_s for retry in self._retries.values())
        return self._retries

    @property
    def waits(self) -> bool:
        """Whether any route waits for receipts for a while only."""
        return bool(self.retries) and self._waits

    # What failed

    def handle_outcome(
        self,
        failed: str,
        message: Message,
        state: int,
        error: int,
        source: Any = None,
        parked: tuple[str, str] | None = None,
    ) -> bool:
        """Take an outcome that the upstream `failed` reports; False when the message ends with it, the caller sees to.

        Called for all but a DELIVRD of a message that no next upstream has, and that has been sent once.
        """
        if not self.has_it(message, failed):
            if state == MessageState.DELIVERED:
                self.delivered.items.append(Failed(message, '', failed, message.next_upstream, source, parked))
                self.delivered.kick()
                return True
            self._core.duplicate_outcomes += 1  # recorded, not forwarded: another upstream has it now
            self._answer(source, parked)
            return True
        name = '' if state == MessageState.DELIVERED else self._next(message, failed, state, error)
        if not name:
            return self._end_unsent(Failed(message, '', failed, '', source, parked, state=state, error=error))
        if source is not None and not (message.upstream_message_id or message.segment_stored):
            self._core.refuse_sources([source])  # it was sent once more, and is unanswered: the next time, it is known
            return True
        self.stage.items.append(Failed(message, name, failed, message.next_upstream, source, parked))
        self.stage.kick()
        return True

    def _end_unsent(self, item: Failed) -> bool:
        """Let a receipt end a message that waits to be sent again, without that (wire.md F8); False for any other."""
        message, core = item.message, self._core
        if not message.repeated or (message.id in core.live and not message.counted):
            return False
        copies = [message]
        if message.id in core.shelf.loaded:
            copies += [one for up in core.upstreams.values() for one in up.feed.outbox.find_ids({message.id})]
        for one in copies:  # at once, so that no link takes it before it is taken out
            one.state, one.error = item.state, item.error
        self.delivered.items.append(item)
        self.delivered.kick()
        return True

    def handle_refusal(self, upstream: 'Upstream', message: Message, status: int) -> bool:
        """An upstream has refused a message for good; return whether another one gets it.

        That is committed, so that nothing brings the message back to the one that refuses it.
        """
        if not self.has_it(message, upstream.name):  # what it has taken before has failed
            self._core.count_sent(message)
            return True
        name = self._next(message, upstream.name, MessageState.UNDELIVERABLE, status)
        if not name:
            return False
        self._core.count_sent(message)
        message.segment_stored = True  # as far as `_begin` waits for that: nothing of it is under way
        self.stage.items.append(Failed(message, name, upstream.name, message.next_upstream, refused=True))
        self.stage.kick()
        return True

    def has_it(self, message: Message, upstream: str) -> bool:
        """Return whether an upstream is one that has a message now, not one that had it before another."""
        return not message.next_upstream or upstream in self._from(message, message.next_upstream)

    def _next(self, message: Message, failed: str, state: int, error: int) -> str:
        """Return which upstream gets a message after this outcome, '' for none."""
        retry = self.retries.get(message.route)
        if retry is None or state not in retry.states:
            return ''
        if retry.errors and error & ERROR_CODE not in retry.errors:
            return ''
        return self._after(retry, message, failed)

    def _after(self, retry: Retry, message: Message, failed: str) -> str:
        """Return the next one after `failed` that is available, or else that is not switched off by hand."""
        core = self._core
        if message.kind != Kind.MT or message.expires_at < wall_ms() + LEAST_VALIDITY_MS:
            return ''
        names = retry.upstreams
        if failed in names:
            names = names[names.index(failed) + 1 :]
        known = [
            name for name in names if name in core.upstreams and name != failed and not core.upstreams[name].is_closed
        ]
        available = [name for name in known if core.upstreams[name].available]
        return (available or known or [''])[0]

    def direct(self, message: Message) -> None:
        """Give a message that a next upstream has its way, in place of that of its route.

        It has none when a reload took those away: it is not for those that have failed, and `dispatch` ends it.
        """
        message.upstreams = tuple(
            name for name in self._from(message, message.next_upstream) if name in self._core.upstreams
        )

    def end(self, message: Message) -> None:
        """End a message whose next upstreams are configured no more."""
        self._core.count_sent(message)
        self._core.finish(message, MessageState.UNDELIVERABLE, int(CommandStatus.ESME_RSYSERR))

    def _from(self, message: Message, name: str) -> tuple[str, ...]:
        retry = self.retries.get(message.route)
        if retry is None or name not in retry.upstreams:
            return (name,)
        return retry.upstreams[retry.upstreams.index(name) :]

    # Going on

    async def _begin(self, items: list[Failed]) -> set[int]:
        while not all(map(_is_settled, items)):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(COMMIT_POLL_S)  # that commit takes what waits on disk away, it must come first
        return await self._core.shelf.alone(partial(self._begin_alone, items))

    async def _begin_alone(self, items: list[Failed]) -> set[int]:
        """Put messages on disk for their next upstream, in the shelf's worker; return which."""
        core, end = self._core, self._core.shelf.end_of_lane()
        entries = []
        for item in items:
            message = item.message
            message.attempts = 0
            entries.append(
                Next(
                    Waiting(message, f'upstream {item.upstream}', end, message.expires_at),
                    item.upstream,
                    item.before,
                    item.refused,
                )
            )
        begun = await core.store.next_routes.begin(entries)
        left = set(begun)
        for item in items:
            if item.message.id in left:
                left.discard(item.message.id)
                self._put_on_disk(item)
        return begun

    def _put_on_disk(self, item: Failed) -> None:
        """A message waits on disk now, and there alone."""
        core, message = self._core, item.message
        self.begun += 1
        message.next_upstream = item.upstream
        if message.stored_wait:  # it was read from another disk; its row is a new one now, to be read
            message.stored_wait = False
            core.shelf.left(message)
        known = core.live.pop(message.id, None)
        if known is not None:  # for what the upstream before says late
            known.next_upstream = item.upstream
        core.account(message.account).waiting += 1
        outbox = core.outbox(f'upstream {item.upstream}')
        if outbox is not None:  # else a reload takes it away, and waits for this before it routes anew what is there
            outbox.count(outbox.lane_of(message), due=1)
            outbox.refill()

    def _handle_begun(self, items: list[Failed], begun: set[int]) -> None:
        for item in items:
            if item.message.id not in begun and item.source is not None:
                self._core.duplicate_outcomes += 1
            self._answer(item.source, item.parked)

    def _abandon(self, items: list[Failed]) -> None:
        """These cannot be stored: let the operator send the receipts again."""
        sources = [item.source for item in items if item.source is not None]
        self._core.refuse_sources(sources)

    def _answer(self, source: Any, parked: tuple[str, str] | None) -> None:
        """Acknowledge a receipt that ends no message."""
        if parked is not None:
            self._core.unparking.items.append(parked)
            self._core.unparking.kick()
        if source is not None:
            connection, response = source
            connection.session.respond(response)
            connection.flush()

    # A late DELIVRD, or any receipt for what waits to be sent again

    async def _take_out(self, items: list[Failed]) -> None:
        await self._core.shelf.alone(partial(self._take_out_alone, items))

    async def _take_out_alone(self, items: list[Failed]) -> None:
        """Take messages out of memory, wherever they wait, in the shelf's worker. Their rows go with their outcomes."""
        core = self._core
        states = {item.message.id: item.state for item in items}
        waiting = {row.message.id for row in await core.store.amending.waiting_of(list(states))}
        loaded = states.keys() & core.shelf.loaded
        unsent = {item.message.id for item in items if item.message.repeated} & core.live.keys()
        for upstream in core.upstreams.values() if loaded or unsent else ():
            self._take_out_of(upstream, {message_id: states[message_id] for message_id in loaded | unsent})
        for item in items:
            message = item.message
            message.stored_wait = message.id in waiting
            if message.id not in core.live:  # on disk alone it still waits, as its account sees it
                message.counted = message.stored_wait and message.id not in loaded

    def _take_out_of(self, upstream: 'Upstream', states: dict[int, int]) -> None:
        """Take messages, by their ids with what they end as, out of the memory of an upstream."""
        core, outbox = self._core, upstream.feed.outbox
        waiting = outbox.find_ids(states.keys()) if outbox.in_memory else []
        outbox.withdraw_all(waiting)
        for message in waiting:
            core.count_sent(message)
            core.shelf.left(message)
        for item in upstream.begun():
            message = item.message if isinstance(item, Part) else item
            if message.id in states:
                message.state = states[message.id]  # so that it is not sent again, nor the rest of it
                message.stored_wait = False
                upstream.long_messages.drop(message)
                core.count_sent(message)

    def _handle_delivered(self, items: list[Failed], _: None) -> None:
        """These were delivered after all, or are not to be sent again: they end."""
        for item in items:
            self._core.finish(item.message, item.state, item.error, item.source, item.parked)
        self._core.finishing.kick()

    # Receipts that are missing

    def expected(self, items: Sequence[Message | Part], now_ms: int) -> list[Expected]:
        """Return when the receipts of what operators have taken are due, of those that are waited for so long only."""
        retries = self.retries
        found: list[Expected] = []
        for item in items:
            if isinstance(item, Part) or not item.pdu.registered_delivery & RECEIPT_WANTED:
                continue
            retry = retries.get(item.route)
            if retry is not None and retry.after_s and item.upstream not in retry.upstreams[-1:]:
                found.append(Expected(item.id, item.upstream, now_ms + int(retry.after_s * 1000)))
        return found

    async def poll(self) -> None:
        """Look for receipts that have not come in time."""
        while await self._poll_page() == PAGE:
            pass

    async def _poll_page(self) -> int:
        core, now_ms = self._core, wall_ms()
        page = await core.store.next_routes.missing(now_ms, PAGE)
        for missing in page:
            message = missing.message
            if message is None or not self.has_it(message, missing.upstream):
                continue
            retry = self.retries.get(message.route)
            name = '' if retry is None else self._after(retry, message, missing.upstream)
            if name:
                self.stage.items.append(Failed(message, name, missing.upstream, message.next_upstream))
        await self.stage.catch_up()
        if page:  # what has a next upstream is expected anew once that has taken it
            await core.store.next_routes.forget([missing.message_id for missing in page], now_ms)
        return len(page)


def _is_settled(item: Failed) -> bool:
    """Return whether nothing is under way any more that would commit that an operator has taken the message."""
    return item.message.segment_stored or item.message.state != MessageState.ENROUTE
