"""cancel_sm, replace_sm and replace_if_present_flag for messages that are another node's: what is asked of it, and how
it answers.

The owner does the work, with its own memory and its own rows; the node of the ESME tells it what is wanted. Nothing
moves between nodes for it. Where a node that may own a message says nothing, there is no telling whether it is queued:
the ESME is to try again (ESME_RSYSERR).
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from domain.errors import Refused
from domain.message import LOOK_UP_WINDOW, Asked, Kind, Message
from pdu.codec import decode, encode
from pdu.pdus import CancelSm, ReplaceSm, SubmitSm
from pdu.status import CommandStatus, PduError
from smsc.cluster.asking import Answers
from smsc.queued import ABOVE_ALL, Addresses

if TYPE_CHECKING:
    from smsc.core import Core

MAX_IDS = 256  # a submit_multi's and one more
MAX_ID = (1 << 63) - 1


class Wish(msgspec.Struct, frozen=True):
    """What is to be done: with messages of an account, by their ids, or by addresses.

    `pdu` is the cancel_sm or replace_sm, or the submit_sm that is to take a place. A status refuses.
    """

    account: str
    ids: list[int] = []
    pdu: bytes = b''
    service_type: bytes | None = None
    speaks_5: bool = False
    content: 'Content | None' = None


class Content(msgspec.Struct, frozen=True):
    """A message that was admitted and is not stored yet, but for its PDU; the names are `Message`'s."""

    priority: int
    expires_at: int
    registered_delivery: int
    notice: int
    route: str
    upstreams: tuple[str, ...]
    due_at: int
    segments: int
    reference: int
    country: str
    operator: str
    category: str
    price: int
    cost: int
    decision: str
    asked: Asked | None


class Done(msgspec.Struct, frozen=True):
    """What came of a wish: how many messages it changed; the id and the shown id of one of them; why it was refused."""

    count: int = 0
    id: int = 0
    shown_id: int = 0
    status: int = 0


class OwnWork(Protocol):
    """What a node does with its own messages; `smsc.amending_here` has it. Each may raise Refused."""

    async def cancel_ids(self, account: str, ids: frozenset[int]) -> int:
        """Cancel what is queued of these; return how many."""

    async def cancel_alike(self, addresses: Addresses) -> int:
        """Cancel what is queued with these addresses; return how many."""

    async def replace(self, account: str, ids: frozenset[int], pdu: ReplaceSm, speaks_5: bool) -> int:
        """Replace what is queued of these; return how many."""

    async def newest_alike(self, addresses: Addresses) -> int:
        """Return the id of the newest queued message with these addresses, 0 when there is none."""

    async def substitute(self, message: Message, old_id: int) -> Message | None:
        """Put a message in the place of a queued one; return what that has become, None when it is queued no more."""


class AmendingElsewhere:
    """The questions about amendments, from and to other nodes."""

    def __init__(self, core: 'Core', own: OwnWork) -> None:
        self._core = core
        self._own = own
        handlers = core.cluster.asking.handlers
        handlers['cancel'] = self._answering(self._cancel)
        handlers['cancel alike'] = self._answering(self._cancel_alike)
        handlers['replace'] = self._answering(self._replace)
        handlers['newest alike'] = self._answering(self._newest_alike)
        handlers['substitute'] = self._answering(self._substitute)

    @property
    def is_alone(self) -> bool:
        """Whether there is nobody to ask."""
        return not self._core.cluster.others

    # Asking

    async def cancel(self, account: str, ids: frozenset[int]) -> int:
        """Have others cancel what they own of these; return how many. Raises Refused when somebody says nothing."""
        return await self._all('cancel', Wish(account, list(ids)))

    async def cancel_alike(self, addresses: Addresses) -> int:
        """The same for what has these addresses, which a cancel_sm gave."""
        return await self._all('cancel alike', _wish_of(addresses))

    async def replace(self, account: str, ids: frozenset[int], pdu: ReplaceSm, speaks_5: bool) -> int:
        """Have others replace what they own of these; return how many. Raises Refused as they do."""
        return await self._all('replace', Wish(account, list(ids), encode(pdu), speaks_5=speaks_5))

    async def newest_alike(self, addresses: Addresses) -> tuple[int, int]:
        """Return (id, node) of the newest queued message with these addresses, zeros when no node has one."""
        newest = 0, 0
        answers = await self._ask('newest alike', _wish_of(addresses), self._core.cluster.others)
        for node, done in _read(answers).items():
            _refuse(done)
            newest = max(newest, (done.id, node))
        _refuse_silent(answers)
        return newest

    async def substitute(self, node: int, message: Message, old_id: int) -> Message | None:
        """Have a node put a message in the place of a queued one; return what that has become, None if it had left."""
        fields = {field: getattr(message, field) for field in Content.__struct_fields__}
        wish = Wish(message.account, [old_id], encode(message.pdu), content=Content(**fields))
        answers = await self._ask('substitute', wish, [node])
        for done in _read(answers).values():
            _refuse(done)
            return msgspec.structs.replace(message, id=done.id, shown_id=done.shown_id) if done.count else None
        _refuse_silent(answers)
        return None

    async def _all(self, what: str, wish: Wish) -> int:
        """Have every other node do what it can; whoever refuses counts only when nobody did anything."""
        answers = await self._ask(what, wish, self._core.cluster.others)
        found = _read(answers)
        count = sum(done.count for done in found.values())
        if not count:
            for done in found.values():
                _refuse(done)
        if not count or what == 'cancel alike':  # some of these may be left
            _refuse_silent(answers)
        return count

    async def _ask(self, what: str, wish: Wish, nodes: list[int]) -> Answers:
        arguments = msgspec.to_builtins(wish)
        return await self._core.cluster.asking.ask(nodes, what, arguments)

    # Answering

    def _answering(self, work: Callable[[Wish], Awaitable[Done]]) -> Callable[[dict[str, Any]], Awaitable[Any]]:
        async def answer(arguments: dict[str, Any]) -> Any:
            wish = msgspec.convert(arguments, Wish)  # what is none is a ValueError
            if len(wish.ids) > MAX_IDS or any(not 0 < one <= MAX_ID for one in wish.ids):
                raise ValueError('too many ids, or none that messages have')
            try:
                return msgspec.to_builtins(await work(wish))
            except Refused as refusal:
                return msgspec.to_builtins(Done(status=int(refusal.command_status)))
            except PduError as error:
                raise ValueError(str(error)) from error

        return answer

    async def _cancel(self, wish: Wish) -> Done:
        return Done(await self._own.cancel_ids(wish.account, frozenset(wish.ids)))

    async def _cancel_alike(self, wish: Wish) -> Done:
        return Done(await self._own.cancel_alike(_addresses_of(wish)))

    async def _replace(self, wish: Wish) -> Done:
        pdu = decode(wish.pdu)
        if not isinstance(pdu, ReplaceSm):
            raise ValueError('no replace_sm')
        return Done(await self._own.replace(wish.account, frozenset(wish.ids), pdu, wish.speaks_5))

    async def _newest_alike(self, wish: Wish) -> Done:
        return Done(id=await self._own.newest_alike(_addresses_of(wish)))

    async def _substitute(self, wish: Wish) -> Done:
        pdu = decode(wish.pdu)
        if not isinstance(pdu, SubmitSm) or wish.content is None or len(wish.ids) != 1:
            raise ValueError('no message that could take a place')
        pdu.octets = b''
        fields = msgspec.structs.asdict(wish.content)
        message = Message(0, Kind.MT, wish.account, '', pdu, closes_at=LOOK_UP_WINDOW, **fields)
        replaced = await self._own.substitute(message, wish.ids[0])
        return Done() if replaced is None else Done(1, replaced.id, replaced.shown_id)


def _wish_of(addresses: Addresses) -> Wish:
    return Wish(addresses.account, pdu=encode(addresses.pdu), service_type=addresses.service_type)


def _addresses_of(wish: Wish) -> Addresses:
    """Return what a wish is about; no bound on ids: those of nodes whose clocks differ do not compare to a moment."""
    pdu = decode(wish.pdu)
    if not isinstance(pdu, CancelSm):
        raise ValueError('no cancel_sm')
    return Addresses(wish.account, pdu, wish.service_type, ABOVE_ALL)


def _read(answers: Answers) -> dict[int, Done]:
    """Return what came of a wish by node; whoever says something else has said nothing."""
    found, strange = {}, set()
    for node, value in answers.values.items():
        try:
            found[node] = msgspec.convert(value, Done)
        except msgspec.ValidationError:
            strange.add(node)
    answers.silent |= strange
    return found


def _refuse(done: Done) -> None:
    if done.status:
        raise Refused(done.status, 'refused by the node that has it')


def _refuse_silent(answers: Answers) -> None:
    if answers.silent:
        raise Refused(CommandStatus.ESME_RSYSERR, 'a node that may have it does not answer')
