"""What the parts of the running server share: the store, the registries, the stages, the endings of messages.

`live` holds every message that only memory knows to be unfinished: a restart must look at nothing older than its first
one (the low-water mark). A message leaves it when it is closed, when it waits on disk, or when it waits for nothing but
a receipt and its place in the cache went to a newer one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from domain.ids import MessageIds
from domain.message import Kind, Message, Notice, Part
from pdu.pdus import Pdu
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from routing.decider import Decider
from routing.prices import Charging
from routing.table import RouteTable
from smpp.aio.connection import Connection
from smsc.chains import Chains
from smsc.clock import wall_ms
from smsc.cluster.fence import Fence
from smsc.config.schema import Configuration
from smsc.deciding_anew import decide_anew
from smsc.failover import Failover
from smsc.feed import Feed
from smsc.loops import Loops
from smsc.next_routes import NextRoutes
from smsc.outbox import Outbox
from smsc.references import References
from smsc.shelf import DiskShelf
from smsc.stage import Stage
from smsc.tls import TlsContexts
from storage.parts import Begun, Known
from storage.rows import Outcome, PartOutcome
from storage.store import Store

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.amendments import Amendments
    from smsc.cluster.cluster import Cluster
    from smsc.joining import Joining
    from smsc.policy import Policy
    from smsc.stop_lists import StopListKeeping
    from smsc.upstream import Upstream

HOUR_MS = 3_600_000
BOTH, FAILURE_ONLY, SUCCESS_ONLY = 1, 2, 3  # registered_delivery bits 1-0, SMPP 5.0 section 4.7.21
_MT, _MO, _DUE = Kind.MT, Kind.MO, Notice.DUE  # to look a member of an enum up takes 0.1 us


class Core:
    """One running node."""

    def __init__(self, configuration: Configuration, decider: Decider, store: Store, ids: MessageIds) -> None:
        self.loop = asyncio.get_running_loop()
        self.configuration = configuration
        self.decider = decider
        self.charging = Charging()
        self.store = store
        self.ids = ids
        self.live: dict[int, Message] = {}
        self.fence = Fence()
        self._tasks: set[asyncio.Task[None]] = set()
        self.readers: dict[Connection, Feed] = {}
        self.accounts: dict[str, Account] = {}
        self.upstreams: dict[str, Upstream] = {}
        self.finals: dict[int, int] = defaultdict(int)
        self.duplicate_outcomes = 0
        self.draining = False
        self.tls = TlsContexts()
        self.outbinds_ignored = 0
        self.shelf = DiskShelf(store, self.live, wall_ms)
        self.shelf.on_finished = partial(self.handle_finished, on_disk=True)
        self.shelf.on_fetched = self._pump
        self.shelf.on_expired = self._handle_expired_on_disk
        self.shelf.outbox_of = lambda message: self.account(message.account).feed.outbox
        self.shelf.keep_until = self.keep_until
        batch = configuration.queues.batch
        self.finishing = Stage[Outcome, set[int]](
            'finish', self._commit_outcomes, self.handle_finished, self._abandon_outcomes, batch
        )
        self.closing = Stage[tuple[Connection | None, Message], None](
            'close', self._commit_closed, self._handle_closed, partial(self._handle_closed, _=None), batch
        )
        self.unparking = Stage[tuple[str, str], None](
            'unpark', store.receipts.drop_parked, lambda items, _: None, lambda items: None, batch
        )
        self.stop_lists: StopListKeeping
        self.note_ending: Callable[[bytes, int, int, int], None] | None = None  # stop-lists that fill by themselves
        self.note_refusal: Callable[[bytes, int], None] | None = None
        self.amendments: Amendments
        self.joining: Joining
        self.cluster: Cluster
        self.policy: Policy
        self.sending: Stage[tuple[Connection | None, Upstream, Message | Part], list[Outcome]]
        self.repeating: Stage[tuple[Upstream, Message | Part], None]
        self.parting: Stage[PartOutcome, Known]
        self.resuming: Stage[tuple[Upstream, Message], Begun]
        self.references = References()
        self.chains = Chains(lambda: self.configuration.queues.parts_keep_s)
        self.next_routes = NextRoutes(self)
        self.loops = Loops(self)
        self.failover = Failover(self)

    @property
    def table(self) -> RouteTable:
        """Today's routes."""
        return self.decider.table

    def add_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run short work of its own, such as checking a bind; `stop` awaits it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish_tasks(self) -> None:
        """Wait for all such work."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def account(self, name: str) -> 'Account':
        """Return the account of this name; one that is configured no more still holds what it is owed."""
        account = self.accounts.get(name)
        if account is None:
            from smsc.account import Account

            account = self.accounts[name] = Account(self, name, None)
        return account

    def outbox(self, name: str) -> Outbox | None:
        """Return the outbox of this name ('upstream mts'), None when its upstream is configured no more."""
        kind, _, owner = name.partition(' ')
        if kind == 'account':
            return self.account(owner).feed.outbox
        upstream = self.upstreams.get(owner)
        return upstream.feed.outbox if upstream else None

    def keep_until(self, message: Message) -> int:
        """Return until when a message may wait on disk, in Unix milliseconds: its validity, or that of its receipt."""
        if message.kind == Kind.MO or message.done_at == 0:
            return message.expires_at
        return message.done_at + self.account(message.account).keep_ms

    def decide(self, message: Message) -> None:
        """Give an accepted message the route that today's configuration has for it; none, if that rejects it."""
        if message.next_upstream:
            self.next_routes.direct(message)
        else:
            decide_anew(self, message)

    # Endings

    def finish(
        self,
        message: Message,
        state: int,
        error: int = 0,
        source: object = None,
        parked: tuple[str, str] | None = None,
    ) -> None:
        """End a message with `state`, in the next batch; its receipt follows if the ESME asked for one of this kind.

        `source` is (connection, response) of the operator's receipt: the response goes out after the commit. `parked`
        is as what the receipt was parked: it is forgotten after the commit.
        """
        outcome = Outcome(message, state, error, self.notice_of(message, state))
        outcome.source = source
        if parked is not None:
            outcome.parked = parked
        if message.id in self.live:
            stage = self.finishing
            stage.items.append(outcome)
            if len(stage.items) == 1:
                stage.kick()
        else:
            self.shelf.finish_late([outcome])

    @staticmethod
    def notice_of(message: Message, state: int) -> Notice:
        """Return whether the ESME wants to hear of this ending (wire.md C22, E6)."""
        if message.kind == _MO:
            return Notice.NONE
        asked = message.registered_delivery & 3
        if asked == BOTH:
            return _DUE
        delivered = state == MessageState.DELIVERED
        if (asked == FAILURE_ONLY and not delivered) or (asked == SUCCESS_ONLY and delivered):
            return Notice.DUE
        return Notice.ASKED if asked else Notice.NONE

    def expire(self, message: Message) -> None:
        """End a message whose time ran out before it left."""
        self.count_sent(message)
        self.finish(message, MessageState.EXPIRED)

    def reject(self, message: Message, error: int = int(CommandStatus.ESME_RSYSERR)) -> None:
        """End a message that no upstream can take."""
        self.count_sent(message)
        self.finish(message, MessageState.REJECTED, error)

    def count_sent(self, message: Message) -> None:
        """A message no longer counts as waiting of its account."""
        if message.counted:
            message.counted = False
            self.account(message.account).waiting -= 1

    def _abandon_outcomes(self, outcomes: list[Outcome]) -> None:
        """These cannot be stored: let the operator send the receipts again."""
        self.refuse_sources([outcome.source for outcome in outcomes if outcome.source is not None])

    @staticmethod
    def refuse_sources(sources: list[tuple[Connection, Pdu]]) -> None:
        """Refuse operators' receipts for now."""
        for connection, response in sources:
            response.command_status = int(CommandStatus.ESME_RX_T_APPN)
            connection.session.respond(response)
            connection.flush()

    async def _commit_outcomes(self, outcomes: list[Outcome]) -> set[int]:
        now_ms = wall_ms()
        for outcome in outcomes:
            outcome.done_at = now_ms
        return await self.store.finish(outcomes)

    def handle_finished(self, outcomes: list[Outcome], changed: set[int], on_disk: bool = False) -> None:
        """Outcomes are committed: answer the operators, and let the ESMEs know. `changed` were not final before.

        With `on_disk` their receipts are on disk already.
        """
        accounts: dict[str, None] = {}
        sources = set()
        live, all_accounts, note_ending = self.live, self.accounts, self.note_ending
        for outcome in outcomes:
            message = outcome.message
            if outcome.source is not None:
                connection, response = outcome.source
                connection.session.respond(response)
                sources.add(connection)
            if outcome.parked is not None:
                self.unparking.items.append(outcome.parked)
            if message.id not in changed:
                self.duplicate_outcomes += 1
                if message.notice != Notice.DUE:  # else it was this message's own outcome that came first
                    live.pop(message.id, None)
                continue
            changed.discard(message.id)
            if message.counted:
                self.count_sent(message)
            message.state, message.error = outcome.state, outcome.error
            message.done_at, message.notice = outcome.done_at, outcome.notice
            self.finals[outcome.state] += 1
            if note_ending is not None and (outcome.source is not None or outcome.parked is not None):
                note_ending(message.pdu.destination_addr, outcome.state, outcome.error, outcome.done_at)
            if outcome.notice != _DUE:
                live.pop(message.id, None)
            elif message.id in live:
                message.stored_wait = False
                message.attempts = 0  # from here on those of its receipt
                account = all_accounts.get(message.account) or self.account(message.account)
                account.feed.outbox.put(message)
            elif not on_disk:  # it went to its upstream's disk meanwhile
                message.attempts = 0
                self.account(message.account).feed.outbox.put_on_disk(message)
            accounts[message.account] = None
        for connection in sources:
            connection.flush()
        for name in accounts:
            self.account(name).feed.pump()
        if self.unparking.items:
            self.unparking.kick()

    async def _commit_closed(self, items: list[tuple[Connection | None, Message]]) -> None:
        """Commit that receipts and MO messages are done with."""
        now_ms = wall_ms()
        notices = [message for _, message in items if message.kind == _MT]
        ended = [
            Outcome(message, message.state, message.error, Notice.NONE, now_ms)
            for _, message in items
            if message.kind == _MO
        ]
        await self.store.close_messages(notices, ended)

    def _handle_closed(self, items: list[tuple[Connection | None, Message]], _: None) -> None:
        """Receipts and MO messages are done with: free the slots they held."""
        slots: dict[Connection, int] = {}
        for connection, message in items:
            self.live.pop(message.id, None)
            if message.stored_wait:
                self.shelf.left(message)
            if message.kind == _MO:
                self.finals[message.state] += 1
            if connection is not None:
                slots[connection] = slots.get(connection, 0) + 1
        self.release(slots)

    def release(self, slots: dict[Connection, int]) -> None:
        """Give slots of windows back whose messages are done with; whoever feeds those connections goes on."""
        feeds: dict[Feed, None] = {}
        for connection, count in slots.items():
            connection.session.window.release(count)
            feed = self.readers.get(connection)
            if feed is not None:
                feeds[feed] = None
        for feed in feeds:
            feed.pump()

    # The disk

    def _pump(self, outbox: Outbox) -> None:
        kind, _, name = outbox.name.partition(' ')
        if kind == 'account':
            self.account(name).feed.pump()
        elif name in self.upstreams:
            self.upstreams[name].handle_fetched()

    def _handle_expired_on_disk(self, expired: list[tuple[str, Message]]) -> None:
        for outbox_name, message in expired:
            outbox = self.outbox(outbox_name)
            if outbox is not None:
                outbox.count_ended(message)
            if outbox_name.startswith('upstream '):
                self.expire(message)
            else:
                self.account(message.account).give_up(message)
