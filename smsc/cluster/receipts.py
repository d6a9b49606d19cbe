"""Receipts that an operator sends to one node while another has their message in memory.

An operator may send a receipt by any of its binds. The node that gets it asks the others first: the one that has the
message ends it as if the receipt had come there, and says so after its commit; only then is the operator answered. One
that does not have it yet waits HEAR_S for the response that may tell it: that often lies unread in its socket. What
nobody has, or nobody answers for within ANSWER_S, is looked for in the store, as any late receipt. Should two nodes end
a message at the same time, the store lets one of them.

A receipt that came before its response was committed elsewhere is parked, and looked for again, less and less often.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from domain.ids import accepted_at_ms
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from smsc.clock import wall_ms
from smsc.correlation import Found, Key

if TYPE_CHECKING:
    from smsc.core import Core
    from smsc.receipts import Receipts
    from smsc.upstream import Upstream

ANSWER_S = 2.0
REFUSED = int(CommandStatus.ESME_RX_T_APPN)
STATUSES = frozenset({int(CommandStatus.ESME_ROK), REFUSED})  # that another node may have the operator answered with
FINAL = frozenset(int(state) for state in MessageState) - {int(MessageState.ENROUTE)}
CLOCK_STEP_MS = 1_000  # that clocks may differ
HEAR_S = 0.5  # for the response that tells the message of a receipt which another node has
PENDING_BOUND = 50_000
MANY = 20_000
LOOK_FIRST_S, LOOK_LAST_S = 0.2, 60.0
LOOK_PAGE = 1_000


class Asked(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A receipt on its way: `tag` is the asker's name for it."""

    tag: int
    upstream: str
    upstream_message_id: str
    state: int
    error: int


class Question(msgspec.Struct, frozen=True, tag='receipts', array_like=True):
    """Does the node that reads this have the messages of these receipts?"""

    node: int
    asked: list[Asked]


class Answer(msgspec.Struct, frozen=True, tag='ended', array_like=True):
    """`ended` are committed, each with the command_status for the operator; what is `unknown` is not here."""

    ended: list[tuple[int, int]]
    unknown: list[int]


class Ended:
    """Stands for the operator's connection in the outcome of another node's receipt: responses gather until `flush`."""

    def __init__(self, answer: Callable[[Answer], None]) -> None:
        self.session = self
        self._answer = answer
        self._ended: list[tuple[int, int]] = []

    def respond(self, response: 'Tag') -> None:
        """The outcome is committed, or refused by `command_status`."""
        self._ended.append((response.tag, response.command_status))

    def flush(self) -> None:
        """Tell the node that asked."""
        if self._ended:
            ended, self._ended = self._ended, []
            self._answer(Answer(ended, []))

    def deny(self, tags: list[int]) -> None:
        """Tell the node that asked that these messages are not here."""
        if tags:
            self._answer(Answer([], tags))


class Tag(msgspec.Struct):
    """Stands for the response to the operator."""

    tag: int
    command_status: int = 0


class Awaited(msgspec.Struct):
    """A receipt that another node asks about, whose message may become known here `until` then."""

    asked: Asked
    ended: Ended
    received_at: int
    until: float


class Pending(msgspec.Struct):
    """A receipt that others were asked about; `left` have not answered yet."""

    found: Found
    left: int
    until: float


class ReceiptExchange:
    """Asks other nodes, and answers them. `publish` sends octets to a node."""

    def __init__(self, core: 'Core', publish: Callable[[int, bytes], object]) -> None:
        self.passed_on = 0
        self.ended_for_others = 0
        self._core = core
        self._publish = publish
        self._pending: dict[int, Pending] = {}
        self._last_tag = 0
        self._gathered: list[Found] = []
        self.awaited: dict[Key, Awaited] = {}
        self._to_look: list[tuple[float, float, Key]] = []
        self._decoder = msgspec.json.Decoder(Question | Answer)
        self._receipts: Receipts

    def serve(self, receipts: 'Receipts') -> None:
        """Work for the receipts of a node."""
        self._receipts = receipts

    # What came here

    def offer(self, found: Found) -> bool:
        """Gather a receipt of no message in this memory for the others, if there are any; `ask` sends."""
        if not self._core.cluster.alive_peers or len(self._pending) >= PENDING_BOUND:
            return False
        self._gathered.append(found)
        return True

    def ask(self) -> None:
        """Ask the others about what has gathered."""
        gathered, self._gathered = self._gathered[:MANY], self._gathered[MANY:]
        if not gathered:
            return
        peers = self._core.cluster.alive_peers
        until = self._core.loop.time() + ANSWER_S
        asked = []
        for found in gathered:
            self._last_tag += 1
            self._pending[self._last_tag] = Pending(found, len(peers), until)
            asked.append(Asked(self._last_tag, *found.key, found.state, found.error))
        octets = msgspec.json.encode(Question(self._core.configuration.node, asked))
        for node in peers:
            self._publish(node, octets)
        if not peers:
            self._give_up(list(self._pending))

    def _handle_answer(self, answer: Answer) -> None:
        touched = set()
        for tag, status in answer.ended:
            pending = self._pending.pop(tag, None)
            if pending is None:
                continue
            self.passed_on += 1
            connection, response = pending.found.source
            response.command_status = status if status in STATUSES else REFUSED
            connection.session.respond(response)
            touched.add(connection)
        for connection in touched:
            connection.flush()
        nowhere = []
        for tag in answer.unknown:
            pending = self._pending.get(tag)
            if pending is not None:
                pending.left -= 1
                if pending.left <= 0:
                    nowhere.append(tag)
        self._give_up(nowhere)

    def _give_up(self, tags: list[int]) -> None:
        """Nobody has the messages of these receipts in memory: look for them in the store."""
        correlating = self._receipts.correlating
        for tag in tags:
            correlating.items.append(self._pending.pop(tag).found)
        correlating.kick()

    def tick(self, now: float) -> None:
        """Wait no longer for answers that are overdue."""
        overdue = []
        for tag, pending in self._pending.items():  # the oldest first
            if pending.until > now:
                break
            overdue.append(tag)
        self._give_up(overdue)
        self._end_awaiting(now)

    def _end_awaiting(self, now: float) -> None:
        """Say of receipts that were asked about for long enough that their messages are not here."""
        unknown: dict[Ended, list[int]] = defaultdict(list)
        for key, awaited in list(self.awaited.items()):
            if awaited.until > now:
                break
            del self.awaited[key]
            unknown[awaited.ended].append(awaited.asked.tag)
        for ended, tags in unknown.items():
            ended.deny(tags)

    # What others ask

    def take(self, octets: bytes) -> None:
        """Take in a question or an answer of another node; what is neither is passed over."""
        try:
            said = self._decoder.decode(octets)
        except msgspec.DecodeError:
            return
        if isinstance(said, Answer):
            self._handle_answer(said)
        else:
            self._handle_question(said)

    def _handle_question(self, question: Question) -> None:
        core = self._core
        node = question.node

        def answer(answer: Answer) -> None:
            self._publish(node, msgspec.json.encode(answer))

        ended = Ended(answer)
        unknown = []
        until, now_ms = core.loop.time() + HEAR_S, wall_ms()
        for asked in question.asked[:MANY]:
            upstream = core.upstreams.get(asked.upstream)
            if upstream is None or core.draining or asked.state not in FINAL:
                unknown.append(asked.tag)
            elif self._receipts.end_known(
                upstream, asked.upstream_message_id, asked.state, asked.error, (ended, Tag(asked.tag))
            ):
                self.ended_for_others += 1
            elif upstream.feed.connections and len(self.awaited) < PENDING_BOUND:
                key = asked.upstream, asked.upstream_message_id
                self.awaited.setdefault(key, Awaited(asked, ended, now_ms, until))
                if self.awaited[key].asked is not asked:
                    unknown.append(asked.tag)
            else:
                unknown.append(asked.tag)
        ended.deny(unknown)
        core.finishing.kick()
        core.parting.kick()

    def handle_known(self, upstream: 'Upstream', upstream_message_id: str) -> bool:
        """A submit_sm_resp told this id: end the message if another node has its receipt; return whether so."""
        awaited = self.awaited.get((upstream.name, upstream_message_id))
        if awaited is None:
            return False
        item = upstream.sent[upstream_message_id]
        if awaited.received_at < accepted_at_ms(item.id) - CLOCK_STEP_MS:  # about an earlier message of this id
            return False
        del self.awaited[upstream.name, upstream_message_id]
        asked = awaited.asked
        self.ended_for_others += 1
        self._receipts.end_known(
            upstream, upstream_message_id, asked.state, asked.error, (awaited.ended, Tag(asked.tag))
        )
        return True

    # What was parked

    def look_again(self, key: Key, pause_s: float = LOOK_FIRST_S) -> None:
        """A receipt has been parked: its message may be another node's, and not committed yet."""
        heapq.heappush(self._to_look, (self._core.loop.time() + pause_s, pause_s, key))

    async def load_parked(self) -> None:
        """Look after what other nodes have parked, too: one of them is dead."""
        await self._receipts.load_parked()

    async def look(self) -> None:
        """Look for the messages of parked receipts whose turn it is. Raises the store's errors; they stay parked."""
        now, due = self._core.loop.time(), dict[Key, float]()
        while self._to_look and self._to_look[0][0] <= now and len(due) < LOOK_PAGE:
            _, pause_s, key = heapq.heappop(self._to_look)
            if key in self._receipts.parked:
                due[key] = pause_s
        if not due:
            return
        try:
            await self._receipts.end_parked(list(due))
        finally:  # also what could not be looked for now
            for key, pause_s in due.items():
                if key in self._receipts.parked:
                    self.look_again(key, min(2 * pause_s, LOOK_LAST_S))
