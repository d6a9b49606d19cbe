"""What operators send: receipts, brought together with their messages; MO messages go to `smsc.mo`.

A receipt finds its message in memory; or in that of another node, which `smsc.cluster.receipts` asks; or in the store,
days later; or, having overtaken its submit_sm_resp, is parked in the store until that comes (wire.md F12, F17). Either
way it is acknowledged after a commit and never before (promise 2). While the store is away, operators are told to keep
what they have.
"""

from collections import defaultdict
from collections.abc import Iterable

from domain.ids import accepted_at_ms
from domain.message import Message, Part
from pdu.pdus import AlertNotification, DataSm, DataSmResp, DeliverSm, DeliverSmResp, Pdu
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus, PduError
from smpp.aio.connection import Connection
from smsc.clock import wall_ms
from smsc.core import HOUR_MS, Core
from smsc.correlation import Found, Key, OtherForms, place_of
from smsc.data_sm import converted
from smsc.mo import MoMessages
from smsc.receipt_reading import is_receipt, read_receipt
from smsc.stage import Stage
from smsc.upstream import Upstream
from storage.rows import Located, ParkedReceipt, PartOutcome

MESSAGE_TYPE = 0x3C  # esm_class bits 5-2, SMPP 3.4 section 5.2.12
RECEIPT = 0x04
INTERMEDIATE = 0x20
DELIVERED = int(MessageState.DELIVERED)
NOT_FINAL = frozenset({MessageState.SCHEDULED, MessageState.ENROUTE, MessageState.ACCEPTED})
PARKED_BOUND = 100_000
CLOCK_STEP_MS = 1_000  # that the clock of this machine may be set back between two looks at it
CLOCKS_APART_MS = 60_000  # that the clocks of two nodes may differ by
PARKED_KEEP_MS = 24 * HOUR_MS


LookedUp = tuple[list[Located | None], dict[tuple[str, str], ParkedReceipt]]
"""What was found in the store, one for each receipt, and the receipts that were parked."""


class Receipts:
    """Receipts of all upstreams, and the way to `mo` for what is none."""

    def __init__(self, core: Core, mo: MoMessages) -> None:
        self.core = core
        self.mo = mo
        self.parked: dict[tuple[str, str], ParkedReceipt] = {}
        self.forms = OtherForms(core, self._look_again)
        self._exchange = core.cluster.receipts
        self._exchange.serve(self)
        self.orphans = 0
        self.orphans_of: dict[str, int] = defaultdict(int)  # the same by upstream
        self.overtaken = 0
        batch = core.configuration.queues.batch
        self.correlating = Stage[Found, LookedUp](
            'correlate', self._look_up, self._handle_looked_up, self._refuse_found, batch
        )

    def handle_requests(self, upstream: Upstream, connection: Connection, requests: list[Pdu]) -> None:
        """Take in what one read of a link brought; each request is answered, most of them after a commit."""
        core = self.core
        if core.draining or not core.store.health.available:
            for pdu in requests:
                if isinstance(pdu, DeliverSm | DataSm):
                    connection.session.refuse(pdu, CommandStatus.ESME_RX_T_APPN)
            return
        for pdu in requests:
            if pdu.__class__ is DeliverSm:
                if pdu.esm_class & (RECEIPT | INTERMEDIATE) or (
                    upstream.config.receipts_by_text and not pdu.esm_class & MESSAGE_TYPE and is_receipt(pdu)
                ):
                    self._handle_receipt(upstream, connection, pdu, DeliverSmResp(pdu.sequence_number))
                else:
                    self.mo.handle(upstream, connection, pdu)
            elif isinstance(pdu, DataSm):
                self._handle_data(upstream, connection, pdu)
            elif isinstance(pdu, AlertNotification):
                self.mo.handle_alert(upstream, pdu)
        self.core.finishing.kick()
        self.core.parting.kick()
        self._exchange.ask()
        self.correlating.kick()
        self.mo.accepting.kick()

    # Receipts

    def _handle_data(self, upstream: Upstream, connection: Connection, pdu: DataSm) -> None:
        """Take a data_sm for the deliver_sm that says the same (wire.md F16); it gets a response of its own kind."""
        if not pdu.esm_class & (RECEIPT | INTERMEDIATE):
            self.mo.handle_data(upstream, connection, pdu)
            return
        try:
            as_deliver_sm = converted(pdu, DeliverSm)
        except PduError as error:
            connection.session.refuse(pdu, error.command_status)
            return
        self._handle_receipt(upstream, connection, as_deliver_sm, DataSmResp(pdu.sequence_number))

    def _handle_receipt(
        self, upstream: Upstream, connection: Connection, pdu: DeliverSm, response: DeliverSmResp | DataSmResp
    ) -> None:
        receipted_id, state, error = read_receipt(pdu)
        upstream.receipts[state] += 1
        upstream_message_id = upstream.canonical_receipt(receipted_id)
        if not receipted_id or state in NOT_FINAL or pdu.esm_class & MESSAGE_TYPE == INTERMEDIATE:
            connection.session.respond(response)
            self._pass_on(upstream.sent.get(upstream_message_id), state)
            return
        source = (connection, response)
        if not self.end_known(upstream, upstream_message_id, state, error, source):
            found = Found(upstream, upstream_message_id, state, error, source, pdu.source_addr)
            if not self._exchange.offer(found):
                self.correlating.items.append(found)

    def end_known(self, upstream: Upstream, upstream_message_id: str, state: int, error: int, source: object) -> bool:
        """End the message that waits in memory for a receipt with this id; return whether there is one.

        `source` as in `storage.rows.Outcome`.
        """
        item = upstream.sent.pop(upstream_message_id, None)
        if item is None:
            return False
        upstream.timed_receipts += 1
        upstream.receipt_lag_ms += wall_ms() - accepted_at_ms(item.id)
        if isinstance(item, Part):
            self._end_part(Located(item.message, item.number, item.total), state, error, source)
        elif (state == DELIVERED and not item.next_upstream) or not self.core.next_routes.handle_outcome(
            upstream.name, item, state, error, source
        ):
            self.core.finish(item, state, error, source)
        return True

    def _pass_on(self, item: Message | Part | None, state: int) -> None:
        """Let the ESME know of a state that is not final; of a message that we split, by its first segment."""
        if isinstance(item, Part):
            item = item.message if item.number == 1 else None
        if item is not None:
            self.core.account(item.account).send_intermediate(item, state)

    def _end_part(
        self, place: Located, state: int, error: int, source: object = None, parked: Key | None = None
    ) -> None:
        """End one segment of a message, and with its last one the message."""
        message = self.core.live.get(place.message.id, place.message)
        if place.parts == 1:
            next_routes, upstream = self.core.next_routes, place.message.upstream
            if not next_routes.handle_outcome(upstream, message, state, error, source, parked):
                self.core.finish(message, state, error, source, parked)
        else:
            if message.repeated:  # what is final goes no more (wire.md F8)
                for one in self.core.upstreams.values():
                    one.unknown.handle_receipt(message, place.part)
            self.core.parting.items.append(PartOutcome(message, place.part, place.parts, state, error, source, parked))

    async def _look_up(self, items: list[Found]) -> LookedUp:
        """Find the messages of receipts in the store; receipts without one are parked there."""
        located = await self.core.store.receipts.find([item.key for item in items])
        await self.forms.locate(items, located)
        unknown = [
            item
            for item, place in zip(items, located, strict=True)
            if place is None and item.upstream_message_id not in item.upstream.sent and not _is_refused(item)
        ]
        now_ms = wall_ms()
        parked = {item.key: ParkedReceipt(*item.key, now_ms, item.state, item.error) for item in reversed(unknown)}
        if parked:
            await self.core.store.receipts.park(list(parked.values()))
        return located, parked

    def _handle_looked_up(self, items: list[Found], looked_up: LookedUp) -> None:
        """End the messages that were found, and remember the receipts that were parked."""
        located, parked = looked_up
        answered: list[Found] = []
        for item, stored in zip(items, located, strict=True):
            key, receipt = item.key, parked.get(item.key)
            place = place_of(item.upstream.sent.pop(item.upstream_message_id, None)) or stored
            place = place or self.forms.find_in_memory(item)
            was_parked = [item.parked_as] if item.parked_as is not None else []
            if place is None:  # what was parked is so under its new id
                self.core.unparking.items += was_parked
                answered.append(item)
                self._handle_unknown(item, receipt)
                continue
            if receipt is not None:  # its response came while it was being parked
                was_parked.append(key)
            if place.message.state == MessageState.ENROUTE:
                parked_as = was_parked.pop() if was_parked else None  # it goes with the commit of the outcome
                self._end_part(place, item.state, item.error, item.source, parked_as)
            else:
                self.core.duplicate_outcomes += 1
                answered.append(item)
            self.core.unparking.items += was_parked
        self.core.parting.kick()
        self.core.unparking.kick()
        _respond(answered)

    def _handle_unknown(self, item: Found, receipt: ParkedReceipt | None) -> None:
        """No message is known for a receipt, which has been parked or is to be refused."""
        if item.parked_as is None and (receipt is not None or _is_refused(item)):
            self.orphans += 1
            self.orphans_of[item.upstream.name] += 1
        if receipt is not None:
            self.keep_parked(receipt)
            self.forms.expect(item)
            if self.core.configuration.cluster is not None:
                self._exchange.look_again((receipt.upstream, receipt.upstream_message_id))
        elif _is_refused(item):
            _, response = item.source
            response.command_status = int(CommandStatus.ESME_RX_T_APPN)

    def _look_again(self, upstream: Upstream) -> None:
        """The form of this operator's ids has been learned: what was parked is looked for under its new ids."""
        for key in [key for key in self.parked if key[0] == upstream.name]:
            upstream_message_id = upstream.ids.as_learned(key[1])
            if upstream_message_id != key[1]:
                receipt = self.parked.pop(key)
                self.correlating.items.append(
                    Found(upstream, upstream_message_id, receipt.state, receipt.error, None, parked_as=key)
                )
        self.correlating.kick()

    def _refuse_found(self, items: list[Found]) -> None:
        """These could not be looked for: let the operator send them again."""
        for item in items:
            if item.source is not None:
                _, response = item.source
                response.command_status = int(CommandStatus.ESME_RX_T_APPN)
        _respond(items)

    def keep_parked(self, receipt: ParkedReceipt) -> None:
        """Remember a parked receipt, for the response that it has overtaken."""
        if len(self.parked) >= PARKED_BOUND:
            del self.parked[next(iter(self.parked))]
        self.parked.setdefault((receipt.upstream, receipt.upstream_message_id), receipt)  # the first one counts

    def handle_known(self, upstream: Upstream, upstream_message_id: str) -> None:
        """A submit_sm_resp told this id: if its receipt is parked, the message ends with it."""
        if self._exchange.awaited and self._exchange.handle_known(upstream, upstream_message_id):
            self.core.finishing.kick()
            self.core.parting.kick()
            return
        if not self.parked:
            return
        key: Key | None = (upstream.name, upstream_message_id)
        if key not in self.parked:
            key = self.forms.parked_key(upstream, upstream_message_id)
        receipt = self.parked.pop(key, None) if key else None
        if key is None or receipt is None:
            return
        item = upstream.sent[upstream_message_id]
        if receipt.received_at < accepted_at_ms(item.id) - CLOCK_STEP_MS:
            # The operator gives ids again: that one was about an earlier message (wire.md F15).
            self.core.unparking.items.append(key)
            self.core.unparking.kick()
            return
        self.overtaken += 1
        place = place_of(upstream.sent.pop(upstream_message_id))
        assert place is not None
        self._end_part(place, receipt.state, receipt.error, parked=key)
        self.core.parting.kick()

    async def load_parked(self) -> None:
        """After a start, or when another node is dead: look once more for the messages of parked receipts, and remember
        those that have none.
        """
        receipts = await self.core.store.receipts.take_parked(wall_ms() - PARKED_KEEP_MS, PARKED_BOUND)
        if not receipts:
            return
        for receipt in receipts:
            self.keep_parked(receipt)
        await self.end_parked(list(self.parked))
        if self.core.configuration.cluster is not None:  # their messages may be other nodes'
            for key in self.parked:
                self._exchange.look_again(key)

    async def end_parked(self, keys: list[Key]) -> None:
        """End the messages that the store knows by now for these parked receipts; the others stay parked."""
        done: list[Key] = []
        for key, place in zip(keys, await self.core.store.receipts.find(keys), strict=True):
            receipt = self.parked.pop(key, None) if place is not None else None
            if place is None or receipt is None:  # or its message has come by itself meanwhile
                continue
            is_earlier = receipt.received_at < accepted_at_ms(place.message.id) - CLOCKS_APART_MS  # wire.md F15
            if place.message.state == MessageState.ENROUTE and not is_earlier:
                self._end_part(place, receipt.state, receipt.error, parked=key)
            else:
                done.append(key)
        self.core.finishing.kick()
        self.core.parting.kick()
        self.core.unparking.items.extend(done)
        self.core.unparking.kick()


def _is_refused(item: Found) -> bool:
    """Return whether the operator is to keep a receipt of no message of ours; what we once took stays ours."""
    return item.source is not None and item.upstream.config.unknown_receipts == 'refuse'


def _respond(items: Iterable[Found]) -> None:
    touched = set()
    for item in items:
        if item.source is not None:
            connection, response = item.source
            connection.session.respond(response)
            touched.add(connection)
    for connection in touched:
        connection.flush()
