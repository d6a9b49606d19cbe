"""What the policy of one node has counted, told to the others: duplicates, daily limits, fraud rules, failures.

Each node gathers what it has accepted since it told the last time, and tells all others every TELL_S, or earlier when
much has gathered. What a node hears goes into the same tables as its own messages, and is told to nobody. So the
counts of all nodes are alike but for what was under way: a limit lets at most as much more pass as the other nodes
accept within TELL_S and the time that Redis takes.

Numbers, categories and hashes are told, never text; hashes have a key that only the store has. Without Redis each node
counts alone, and what it counts meanwhile stays its own. Whoever starts reads from the store what was accepted up to
`counted_up_to`, and hears of the rest: nothing counts twice.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import msgspec
import structlog

from domain.ids import accepted_at_ms
from domain.message import Message
from routing.facts import NOWHERE, Facts, Place
from smsc.clock import wall_ms
from smsc.cluster.parts import PartsElsewhere, ToldParts

if TYPE_CHECKING:
    from routing.decider import Decider
    from smsc.cluster.asking import Handler
    from smsc.core import Core

TELL_S = 0.05
AT_ONCE = 500  # messages in one telling, some 40 kB; so many are not kept back
EARLY_BOUND = 2_000  # tellings that wait for the end of a start
MAX_OCTETS = 1 << 22
AHEAD_MS = 60_000  # that the clock of another node may be
MAX_CODE = 8  # characters of a country
MAX_DIGITS = 20
FAILURES = 'failures'
MOST_FAILURES = 20_000  # that a node which starts is told of; as many as an answer may hold
LEARN_S = 2.0

log = structlog.get_logger()


class Counted(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message that was accepted. `destination` is '' for what is no number.

    `day` is the subscriber's, 0 where no limit has counted it. `only_part` is a further part of a message, which counts
    as a duplicate only.
    """

    account: str
    id: int
    destination: str = ''
    category: str = ''
    country: str = ''
    day: int = 0
    duplicate_key: int | None = None
    only_part: bool = False


class Failed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message to a number failed for good; if it `is_enough`, the teller puts the number on its stop-list.

    `is_over`: a message was delivered to a number that had failed.
    """

    number: int
    is_enough: bool = False
    is_over: bool = False


class Told(msgspec.Struct, array_like=True, frozen=True):
    """What a node tells."""

    node: int
    messages: list[Counted] = []
    failures: list[Failed] = []
    parts: list[ToldParts] = []


class Hearing(Protocol):
    """A step of the policy that counts messages."""

    def hear(self, facts: Facts) -> None:
        """Count a message that another node has accepted."""


class Counters:
    """Tells and hears. `publish` sends octets to all nodes; it returns False when nothing gets out now."""

    def __init__(self, core: 'Core', publish: Callable[[bytes], bool], is_shared: bool) -> None:
        self.parts = PartsElsewhere(core, is_shared)
        self.gathers = is_shared
        """Whether there is anybody to tell."""
        self.told = 0
        self.heard = 0
        self.dropped = 0
        """Messages and failures that the others were not told of."""
        self.counted_up_to = 0
        """The message_id up to which a start counts what is in the store."""
        self._core = core
        self._publish = publish
        self._gathered: list[Facts] = []
        self._failures: list[Failed] = []
        self._early: list[bytes] | None = []
        self._is_alone = False
        self._decider: Decider | None = None
        self._steps: dict[str, tuple[Hearing, ...]] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Told).decode

    # What is told

    def serve(self, handlers: 'dict[str, Handler]') -> None:
        """Answer nodes that start."""
        handlers[FAILURES] = self._answer_failures

    def note(self, messages: Iterable[Message]) -> None:
        """Gather a batch that is committed; of each message the facts that steps went by."""
        gathered = self._gathered
        for message in messages:
            facts = message.facts
            if facts is not None:
                gathered.append(facts)
        if len(gathered) >= AT_ONCE:  # so that neither this nor what others have to hear at a time grows
            self.tell()

    def note_facts(self, facts: Facts) -> None:
        """Gather a message that is decided later than it was committed, or is no message of its own."""
        if self.gathers:
            self._gathered.append(facts)

    def note_failure(self, number: int, is_enough: bool) -> None:
        """Gather that a message to a number has failed for good."""
        if self.gathers:
            self._add(Failed(number, is_enough))

    def note_delivery(self, number: int) -> None:
        """Gather that a number which had failed has got a message."""
        if self.gathers:
            self._add(Failed(number, is_over=True))

    def _add(self, failed: Failed) -> None:
        self._failures.append(failed)
        if len(self._failures) >= AT_ONCE:
            self.tell()

    def tell(self) -> None:
        """Tell the others what has gathered."""
        of_parts = self.parts.gathered
        if not self._gathered and not self._failures and not of_parts:
            return
        messages = [_counted(facts) for facts in self._gathered if self._steps_of(facts.account)]
        failures = self._failures
        self._gathered, self._failures, self.parts.gathered = [], [], []
        node = self._core.configuration.node
        for at in range(0, max(len(messages), len(failures), len(of_parts)), AT_ONCE):
            page = slice(at, at + AT_ONCE)
            told = Told(node, messages[page], failures[page], of_parts[page])
            self._send(bytes([node]) + self._encode(told), len(told.messages) + len(told.failures))

    def _send(self, octets: bytes, items: int) -> None:
        if self._publish(octets):
            self.told += items
            if self._is_alone:
                self._is_alone = False
                log.info('counters.shared')
            return
        self.dropped += items
        if not self._is_alone:
            self._is_alone = True
            log.warning('counters.alone', effect='limits and duplicates hold for each node by itself')

    # What was counted before this node started

    async def learn_failures(self) -> None:
        """Go on with the failures that another node has counted: else a delivery that ends them here goes untold."""
        cluster, failures = self._core.cluster, self._core.stop_lists.failures
        others = cluster.living()[1:]
        if failures is None or not others:
            return
        answers = await cluster.asking.ask([min(others)], FAILURES, timeout_s=LEARN_S)
        for counted in answers.values.values():
            try:
                failures.learn(msgspec.convert(counted, list[tuple[int, int]]))
            except msgspec.ValidationError:
                log.warning('counters.strange', node=min(others))

    async def _answer_failures(self, arguments: dict[str, Any]) -> list[tuple[int, int]]:
        failures = self._core.stop_lists.failures
        return failures.newest(MOST_FAILURES) if failures is not None else []

    # What is heard

    def take_up(self) -> None:
        """What the store has is remembered: count what was heard since, and all that follows."""
        early, self._early = self._early or [], None
        for octets in early:
            self._hear(octets)

    def take(self, octets: bytes) -> None:
        """Take in what a node tells; what is nothing of that, and what this node told, is passed over."""
        if not 0 < len(octets) <= MAX_OCTETS or octets[0] == self._core.configuration.node:
            return
        if self._early is None:
            self._hear(octets)
        elif len(self._early) < EARLY_BOUND:
            self._early.append(octets)

    def _hear(self, octets: bytes) -> None:
        try:
            told = self._decode(octets[1:])
        except msgspec.DecodeError:
            return
        if told.parts:
            self.parts.hear(told.node, told.parts)
        now_ms = wall_ms()
        for counted in told.messages:
            steps = self._steps_of(counted.account)
            if steps and _is_sound(counted, now_ms):
                facts = self._facts_of(counted, now_ms)
                for step in steps:
                    step.hear(facts)
        for failed in told.failures:
            self._core.stop_lists.hear(failed.number, failed.is_enough, failed.is_over)
        self.heard += len(told.messages) + len(told.failures)

    def _facts_of(self, counted: Counted, now_ms: int) -> Facts:
        """Return what counts of a message, as of now: clocks of nodes may differ."""
        destination = counted.destination
        number = int(destination) if destination else 0
        facts = Facts(counted.account, '', destination, number, _say_nothing, now_ms)
        facts.message_id, facts.duplicate_key = counted.id, counted.duplicate_key
        facts.category = counted.category
        facts.place = Place(counted.country) if counted.country else NOWHERE
        facts.counted_on = counted.day if counted.id > self.counted_up_to else 0
        facts.only_part = counted.only_part
        return facts

    def _steps_of(self, account: str) -> tuple[Hearing, ...]:
        """Return the steps of an account that count; none of an account that is not configured here."""
        decider = self._core.decider
        if decider is not self._decider:
            self._decider, self._steps = decider, {}
        steps = self._steps.get(account)
        if steps is None:
            steps = tuple(step for step in decider.steps_of(account) if _hears(step))
            if account in self._core.configuration.accounts:
                self._steps[account] = steps
        return steps


def _counted(facts: Facts) -> Counted:
    return Counted(
        facts.account,
        facts.message_id,
        facts.destination if facts.number else '',
        facts.category,
        facts.place.country,
        facts.counted_on if facts.counted else 0,
        facts.duplicate_key,
        facts.only_part,
    )


def _is_sound(counted: Counted, now_ms: int) -> bool:
    """Return whether this may be a message."""
    destination = counted.destination
    return (
        counted.id > 0
        and accepted_at_ms(counted.id) < now_ms + AHEAD_MS
        and len(counted.country) <= MAX_CODE
        and (not destination or (destination.isdecimal() and destination.isascii() and len(destination) <= MAX_DIGITS))
    )


def _hears(step: object) -> TypeGuard[Hearing]:
    """Return whether a step counts messages."""
    return hasattr(step, 'hear') and getattr(step, 'counts', True)


def _say_nothing(*_: object) -> str:
    return ''
