"""Messages that say the same again within a time (wire.md C33).

What an account sent is remembered by a hash of what makes a message the same: 64 bits from Python's keyed hash, so that
nobody outside can make two messages collide, and by chance it happens once in 2^64 / (what is remembered) messages. A
hash is good in this process only: a start reads the last messages back (`recall`). Nodes of a cluster tell each other
their hashes, so theirs are of a kind that all of them make alike (`SharedHash`), as hard to collide for who has no key.

The time counts from the first of them; what repeats it does not make it longer. Each is as old as its message_id says,
so that a hash and an id are all there is to remember: about 130 octets a message.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from hashlib import sha256
from struct import Struct
from typing import Any, ClassVar, Literal

import msgspec

from domain.ids import EPOCH_MS, TIME_SHIFT, accepted_at_ms
from pdu.tlvs import Tag, find
from routing.facts import Facts
from routing.steps import Verdict

Answer = Literal['first', 'refuse', 'drop']
By = Literal['destination', 'text', 'source_addr', 'user_message_reference']

FIRST_64 = Struct('>Q').unpack_from
ALL: tuple[By, ...] = ('destination', 'text', 'source_addr', 'user_message_reference')


class SharedHash:
    """64 bits of what messages have in common, the same on every node that has the `key`. Some 1.3 us."""

    __slots__ = ('_encode', 'key')

    def __init__(self, key: bytes = b'') -> None:
        self.key = key
        self._encode = msgspec.msgpack.Encoder().encode

    def __call__(self, said: tuple[Any, ...]) -> int:
        """Return the hash of what a message says."""
        first: int = FIRST_64(sha256(self.key + self._encode(said)).digest())[0]  # the quickest there is with a key
        return first


class SeenMessages:
    """What one account sent lately; outlives configurations.

    Two generations: what comes goes into the younger one; when that is as old as the time, or has half of the bound, it
    becomes the elder, and the elder goes. It goes a little with each message, as letting go of much takes milliseconds.
    """

    __slots__ = ('_elder', '_half', '_leaving', '_turn_id', '_younger', 'forgotten', 'repeated', 'within_ms')

    def __init__(self, within_ms: int, bound: int) -> None:
        """At most `bound` messages are remembered for `within_ms` milliseconds; the oldest make room for more."""
        self.within_ms = within_ms
        self._half = max(1, bound // 2)
        self.forgotten = 0
        """Messages that had to make room within their time."""
        self.repeated = 0
        self._younger: dict[int, int] = {}  # message_id by hash, as are the others
        self._elder: dict[int, int] = {}
        self._leaving: dict[int, int] = {}
        self._turn_id = 0  # with an id above, the younger generation is as old as the time

    def __len__(self) -> int:
        return len(self._younger) + len(self._elder)

    def configure(self, within_ms: int, bound: int) -> None:
        """Go on with another time and bound; what was seen stays known, for as long as it would have been at most."""
        self.within_ms, self._half = within_ms, max(1, bound // 2)
        self._turn_id = 0 if not self._younger else min(self._turn_id, self._end_of(next(iter(self._younger.values()))))

    def find(self, key: int, now_ms: int) -> int:
        """Return the message_id of what was seen under this hash within the time, 0 for nothing."""
        first = self._younger.get(key, 0) or self._elder.get(key, 0)
        return first if first and (first >> TIME_SHIFT) + EPOCH_MS > now_ms - self.within_ms else 0

    def see(self, key: int, message_id: int, now_ms: int) -> int:
        """Return what `find` does; without it, remember this message (not with id 0). Ids rise."""
        younger = self._younger
        if key in younger or key in self._elder:
            first = self.find(key, now_ms)
            if first:
                return first
        if message_id:
            if message_id > self._turn_id or len(younger) >= self._half:
                younger = self._turn(message_id)
            younger[key] = message_id
            leaving = self._leaving
            if leaving:
                leaving.popitem()
                if leaving:
                    leaving.popitem()
        return 0

    def forget(self, key: int, message_id: int) -> None:
        """A message was not accepted after all; what was seen under its hash since then stays."""
        for seen in (self._younger, self._elder):
            if seen.get(key) == message_id:
                del seen[key]

    def _turn(self, message_id: int) -> dict[int, int]:
        """Begin a generation with this message, and return it."""
        too_old = message_id - (self.within_ms << TIME_SHIFT)
        if len(self._younger) >= self._half:
            self.forgotten += sum([seen > too_old for seen in self._elder.values()])
        younger: dict[int, int] = {}
        self._leaving, self._elder, self._younger = self._elder, self._younger, younger
        self._turn_id = self._end_of(message_id)
        return younger

    def _end_of(self, message_id: int) -> int:
        return message_id + (self.within_ms << TIME_SHIFT)


class Duplicates:
    """What each account sent lately."""

    def __init__(self) -> None:
        self._accounts: dict[str, SeenMessages] = {}

    def __iter__(self) -> Iterator[tuple[str, SeenMessages]]:
        return iter(self._accounts.items())

    def of(self, account: str, within_ms: int, bound: int) -> SeenMessages:
        """Return what this account sent, to be remembered so long from now on."""
        seen = self._accounts.get(account)
        if seen is None:
            seen = self._accounts[account] = SeenMessages(within_ms, bound)
        seen.configure(within_ms, bound)
        return seen

    def keep(self, accounts: Collection[str]) -> None:
        """Forget what others than these sent."""
        for name in self._accounts.keys() - set(accounts):
            del self._accounts[name]


class DuplicateStep:
    """Answers what an account sends again.

    The same is what has the same destination, text, sender and user_message_reference, or those of them in `by`: text
    is user data octet for octet, in the same data_coding; the sender is that asked for, whatever steps before this one
    put in. Parts that an ESME made are the same when their number and reference are, too, so that parts are never taken
    for one another; each of them is to be judged, also where the decision of the first holds for all.

    With `first`, whoever asks must see whether the first message is committed by now: what was not may still be
    refused, and its repetition with it.
    """

    name: ClassVar[str] = 'duplicates'

    def __init__(
        self,
        seen: SeenMessages,
        by: Collection[By] = ALL,
        answer: Answer = 'first',
        status: int = 0,
        hash_of: Callable[[tuple[Any, ...]], int] = hash,
    ) -> None:
        """`status` is the command_status that `refuse` answers; `hash_of` is a SharedHash in a cluster."""
        self.seen = seen
        self._see = seen.see
        self._answer = answer
        self._status = status
        self._by_all = len(set(by)) == len(ALL)
        self._said = _all_said if self._by_all else partial(_said_by, frozenset(by))
        self._hash = hash_of

    def judge(self, facts: Facts) -> Verdict | None:
        """Say what becomes of a repetition; remember what is none."""
        if self._by_all and not facts.tlvs:  # as `_all_said` does it, without the call
            sender = facts.source_addr if facts.asked_source_addr is None else facts.asked_source_addr
            key = self._hash((facts.destination, sender, facts.user_data, facts.data_coding, facts.part, None))
        else:
            key = self._key(facts)
        first = self._see(key, facts.message_id, facts.now_ms)
        if not first:
            facts.duplicate_key = key
            return None
        self.seen.repeated += 1
        return self._verdict(first, facts.now_ms)

    def peek(self, facts: Facts) -> Verdict | None:
        """Say what would become of it."""
        first = self.seen.find(self._key(facts), facts.now_ms)
        return self._verdict(first, facts.now_ms) if first else None

    def tell(self, facts: Facts) -> str:
        """Say whether there was one like it."""
        seconds = f'{self.seen.within_ms / 1000:g} s'
        first = self.seen.find(self._key(facts), facts.now_ms)
        if not first:
            return f'nothing like it in the last {seconds}, {len(self.seen)} messages remembered'
        return f'the same as {first}, {_age(first, facts.now_ms)} s ago; {seconds} count'

    def forget(self, facts: Facts) -> None:
        """Let the same message be accepted when it comes again."""
        if facts.duplicate_key is not None:
            self.seen.forget(facts.duplicate_key, facts.message_id)
            facts.duplicate_key = None

    def recall(self, facts: Facts) -> None:
        """Remember a message that was accepted before a restart; they come oldest first."""
        self.seen.see(self._key(facts), facts.message_id, facts.now_ms)

    def hear(self, facts: Facts) -> None:
        """Remember a message that another node has accepted, by its id and its `duplicate_key`."""
        if facts.duplicate_key is not None:
            self.seen.see(facts.duplicate_key, facts.message_id, facts.now_ms)

    def _key(self, facts: Facts) -> int:
        return self._hash(self._said(facts))

    def _verdict(self, first: int, now_ms: int) -> Verdict:
        reason = f'the same as {first}, {_age(first, now_ms)} s before'
        if self._answer == 'first':
            return Verdict(0, reason, 'repeat', first)
        return Verdict(self._status, reason, 'drop' if self._answer == 'drop' else 'refuse')


def _age(message_id: int, now_ms: int) -> int:
    return max(0, now_ms - accepted_at_ms(message_id)) // 1000


def _all_said(facts: Facts) -> tuple[Any, ...]:
    """Return everything in ALL."""
    reference = find(facts.tlvs, Tag.USER_MESSAGE_REFERENCE) if facts.tlvs else None
    return facts.destination, _sender(facts), facts.user_data, facts.data_coding, facts.part, reference


def _sender(facts: Facts) -> str:
    return facts.source_addr if facts.asked_source_addr is None else facts.asked_source_addr


def _said_by(by: frozenset[By], facts: Facts) -> tuple[Any, ...]:
    return (
        facts.destination if 'destination' in by else None,
        _sender(facts) if 'source_addr' in by else None,
        (facts.user_data, facts.data_coding) if 'text' in by else None,
        find(facts.tlvs, Tag.USER_MESSAGE_REFERENCE) if 'user_message_reference' in by else None,
        facts.part,
    )
