"""Hostile peers on sockets: ESMEs and an operator's SMSC that send mutants as fast as they are read.

Mutants go in bursts with an enquire_link behind each, whose response shows that the other side has taken the whole
burst in and still answers: what was confirmed in this way is what counts as sent. A connection lives for some bursts,
then ends with octets that are no PDU, with a reset in the middle of one, or in order; another takes its place. What the
other side asks is answered rightly, wrongly, with a mutant or not at all.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pdu import pdus
from pdu.codec import HEADER_OCTETS, encode
from pdu.command import RESPONSE, CommandId
from perf.stream import PduStream, pack_header
from tests.fuzz.corpus import ENDING, EVERYTHING, FROM_ESME, FROM_SMSC, seed_of
from tests.fuzz.mutator import Mutator

BURST = 50
_IN_FLIGHT = 3
_BURSTS_OF_A_LIFE = 400
_MARK, _MARK_MASK = 0x5A000000, 0xFFFFFF
_UNBOUND_OCTETS = 1_000  # more ends a connection that is not bound
_ENDING_ONCE_IN = 2_000
_UNBOUND_ONCE_IN = 4
_GIVE_UP_S = 60.0  # a connection whose burst is not confirmed for so long
_PAUSE_S = 0.02  # before a connection takes the place of another
_ENQUIRE_RESP = int(CommandId.ENQUIRE_LINK_RESP)
_SUBMIT, _DELIVER, _DATA = int(CommandId.SUBMIT_SM), int(CommandId.DELIVER_SM), int(CommandId.DATA_SM)
_BINDS = frozenset({1, 2, 9})
_STATUSES = 0x58  # from ESME_RTHROTTLED on, which would have the product send hardly anything


class Sent(msgspec.Struct):
    """What the hostile peers of one process have done."""

    confirmed: int = 0
    """Mutants that the other side has taken in, by its response to the enquire_link behind them."""
    unconfirmed: int = 0
    """Mutants on connections that ended before that."""
    answers: int = 0
    """Answers of ours, right ones and others, to what the other side asked."""
    connections: int = 0
    bound: int = 0
    refused: int = 0
    """Connections that could not be made."""
    stuck: int = 0
    """Connections that stood and whose bursts were not confirmed; there must be none."""


class Login(NamedTuple):
    """What hostile ESMEs bind with, and the address they come from."""

    system_id: bytes
    password: bytes
    source: str = '127.0.0.1'


class Hostile(PduStream):
    """One hostile connection; `handle_connected` or the bind begins its bursts."""

    def __init__(self, sent: Sent, mutator: Mutator, ending: Mutator, limit: int) -> None:
        super().__init__()
        self.sent = sent
        self.mutator = mutator
        self.ending = ending
        self.limit_octets = limit
        self.left = 1 + mutator.below(1 + mutator.below(_BURSTS_OF_A_LIFE))  # short lives are the most
        self.is_over: Callable[[], bool] = lambda: False
        self._mark = 0
        self._confirmed = 0
        self._waiting: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Sends the first bursts."""
        for _ in range(_IN_FLIGHT):
            self._send_burst()

    def handle_disconnected(self) -> None:
        self.sent.unconfirmed += BURST * (self._mark - self._confirmed)
        if self._waiting is not None:
            self._waiting.cancel()

    def handle_pdu(
        self, command_id: int, command_status: int, sequence_number: int, octets: bytes, start: int, end: int
    ) -> None:
        if command_id == _ENQUIRE_RESP and sequence_number & ~_MARK_MASK == _MARK:
            if sequence_number & _MARK_MASK == self._confirmed + 1:  # a mutant can bear the number of an older one
                self._confirmed += 1
                self.sent.confirmed += BURST
                self._send_burst()
        elif not command_id & RESPONSE:
            self.handle_request(command_id, sequence_number, octets, start, end)

    def handle_request(self, command_id: int, sequence_number: int, octets: bytes, start: int, end: int) -> None:
        """Answers in one of several ways."""
        if command_id == CommandId.ENQUIRE_LINK:
            self.out.append(pack_header(HEADER_OCTETS, _ENQUIRE_RESP, 0, sequence_number))
        elif self.is_over() or self.mutator.below(8):
            self.sent.answers += 1
            self.out.append(self.answer(command_id, sequence_number))

    def answer(self, command_id: int, sequence_number: int) -> bytes:
        """A response to a request, right in three of five cases, and in all once it is over."""
        kind = 4 if self.is_over() else self.mutator.below(5)
        if kind == 0:  # of another command, or a request
            return _numbered(self.mutator.framed(self.limit_octets), sequence_number)
        if kind == 1:
            status = self.mutator.below(_STATUSES)
            return pack_header(HEADER_OCTETS, command_id | RESPONSE, status, sequence_number)
        return self.right_answer(command_id, sequence_number)

    def right_answer(self, command_id: int, sequence_number: int) -> bytes:
        """A response as it ought to be."""
        return pack_header(HEADER_OCTETS + 1, command_id | RESPONSE, 0, sequence_number) + b'\0'

    def _send_burst(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        if self.is_over() or self.left <= 0:
            self._end()
            return
        self.left -= 1
        self._mark += 1
        mutator, ending, limit = self.mutator, self.ending, self.limit_octets
        burst = [(mutator if mutator.below(_ENDING_ONCE_IN) else ending).framed(limit) for _ in range(BURST)]
        burst.append(pack_header(HEADER_OCTETS, int(CommandId.ENQUIRE_LINK), 0, _MARK | self._mark))
        octets = b''.join(burst)
        cut = mutator.below(2 * len(octets))
        self.transport.write(octets[:cut])
        if cut < len(octets):
            self.transport.write(octets[cut:])
        self._waiting = asyncio.get_running_loop().call_later(_GIVE_UP_S, self._give_up)

    def _end(self) -> None:
        if self._mark > self._confirmed and not self.is_over():  # what is in flight is to be confirmed first
            return
        kind = self.mutator.below(4)
        if kind == 0:
            self.transport.abort()
        elif kind == 1:
            self.transport.write(self.mutator.framed(self.limit_octets)[:-1])
            self.transport.close()
        elif kind == 2:
            self.transport.write(encode(pdus.Unbind(9)))
            self.transport.close()
        else:
            self.transport.write(self.mutator.unframed())
            self.transport.close()

    def _give_up(self) -> None:
        self.sent.stuck += 1
        self.transport.abort()


def _numbered(octets: bytes, sequence_number: int) -> bytes:
    return octets[:12] + sequence_number.to_bytes(4, 'big') + octets[16:]


class HostileEsme(Hostile):
    """Binds, or does not, and sends mutants of what ESMEs send."""

    login: Login | None = None

    def handle_connected(self) -> None:
        self.sent.connections += 1
        if self.login is None:
            self.begin()
            return
        binds = (pdus.BindTransceiver, pdus.BindTransceiver, pdus.BindTransmitter, pdus.BindReceiver)
        bind = binds[self.mutator.below(4)]
        version = (0x34, 0x34, 0x50, 0x33, 0)[self.mutator.below(5)]
        request = bind(1, 0, self.login.system_id, self.login.password, interface_version=version)
        self.transport.write(encode(request))

    def handle_pdu(
        self, command_id: int, command_status: int, sequence_number: int, octets: bytes, start: int, end: int
    ) -> None:
        if command_id & ~RESPONSE in _BINDS and not self._mark and command_id & RESPONSE:
            if command_status:
                self.sent.refused += 1
                self.transport.close()
                return
            self.sent.bound += 1
            self.begin()
            return
        super().handle_pdu(command_id, command_status, sequence_number, octets, start, end)


class Crowd:
    """Hostile ESMEs, so many at a time until so many mutants were confirmed; `run` ends then or when cancelled."""

    def __init__(self, port: int, logins: list[Login], seed: int, sent: Sent | None = None) -> None:
        self.sent = sent or Sent()
        self._port = port
        self._logins = logins
        self._mutator = Mutator(seed, FROM_ESME)
        self._anything = Mutator(seed + 1, EVERYTHING)
        self._ending = Mutator(seed + 2, (*ENDING, *map(seed_of, _binds(logins))))
        self._until = 0

    async def run(self, connections: int, confirmed: int) -> None:
        """Keeps so many connections up."""
        self._until = confirmed
        async with asyncio.TaskGroup() as group:
            for number in range(connections):
                group.create_task(self._keep(number))

    def _is_over(self) -> bool:
        return self.sent.confirmed >= self._until

    async def _keep(self, number: int) -> None:
        while not self._is_over():
            unbound = not (number + number // _UNBOUND_ONCE_IN) % _UNBOUND_ONCE_IN  # of every login in turn
            login = self._logins[number % len(self._logins)]
            peer: HostileEsme | None = None
            try:
                _, peer = await asyncio.get_running_loop().create_connection(
                    lambda unbound=unbound, login=login: self._make(unbound, login),  # type: ignore[misc]
                    *('127.0.0.1', self._port),
                    local_addr=(login.source, 0),
                )
                await peer.closed
            except OSError:
                self.sent.refused += 1
            finally:
                if peer is not None and not peer.closed.done():
                    peer.transport.abort()
                    await asyncio.wait([peer.closed], timeout=1)
            await asyncio.sleep(_PAUSE_S)

    def _make(self, unbound: bool, login: Login) -> HostileEsme:
        mutator = self._mutator if self._mutator.below(4) else self._anything
        peer = HostileEsme(self.sent, mutator, self._ending, _UNBOUND_OCTETS if unbound else 0x12000)
        peer.login = None if unbound else login
        peer.is_over = self._is_over
        return peer


def _binds(logins: list[Login]) -> list[pdus.Pdu]:
    return [pdus.BindTransceiver(7, 0, each.system_id, each.password, interface_version=0x34) for each in logins]


class HostileLink(Hostile):
    """One bind of the product to a hostile operator."""

    def __init__(self, smsc: 'HostileSmsc') -> None:
        super().__init__(smsc.sent, smsc.mutator, smsc.ending, 0x12000)
        self._smsc = smsc
        self.is_over = smsc.is_over

    def handle_connected(self) -> None:
        self.sent.connections += 1
        self._smsc.links.add(self)

    def handle_disconnected(self) -> None:
        super().handle_disconnected()
        self._smsc.links.discard(self)

    def handle_request(self, command_id: int, sequence_number: int, octets: bytes, start: int, end: int) -> None:
        if command_id in _BINDS:
            self._handle_bind(command_id, sequence_number)
        elif command_id == _SUBMIT and not self.mutator.below(20):
            self.out.append(self._receipt(b'%d' % self._smsc.last_id, self.mutator.below(1 << 31)))
            self.out.append(self.answer(command_id, sequence_number))
        else:
            super().handle_request(command_id, sequence_number, octets, start, end)

    def _handle_bind(self, command_id: int, sequence_number: int) -> None:
        kind = self.mutator.below(10)
        if kind < 2 and not self.is_over():
            self.out.append(self.answer(command_id, sequence_number) if kind else self.mutator.unframed())
            self.flush()
            self.transport.close()
            return
        response = pdus.CLASSES[command_id | RESPONSE](sequence_number)
        self.out.append(encode(response))
        self.sent.bound += 1
        self.flush()
        if not self.is_over():
            self.begin()

    def right_answer(self, command_id: int, sequence_number: int) -> bytes:
        if command_id != _SUBMIT:
            return super().right_answer(command_id, sequence_number)
        self._smsc.last_id += 1
        response = encode(pdus.SubmitSmResp(sequence_number, 0, b'%d' % self._smsc.last_id))
        if self.mutator.below(2):
            return response
        return response + self._receipt(b'%d' % self._smsc.last_id, self.mutator.below(1 << 31))

    def _receipt(self, message_id: bytes, sequence_number: int) -> bytes:
        """A receipt, right in one of two cases."""
        text = b'id:%b sub:001 dlvrd:001 submit date:2611211030 done date:2611211030 stat:DELIVRD err:000 text:'
        octets = encode(pdus.DeliverSm(sequence_number, esm_class=4, short_message=text % message_id))
        if self.mutator.below(2):
            return octets
        return _numbered(Mutator(sequence_number, (seed_of(pdus.DeliverSm(), octets),)).framed(), sequence_number)


class HostileSmsc:
    """An operator's SMSC whose links are hostile until so many mutants were confirmed; then it is an idle, good one."""

    def __init__(self, seed: int, sent: Sent | None = None) -> None:
        self.sent = sent or Sent()
        self.mutator = Mutator(seed, FROM_SMSC)
        self.ending = Mutator(seed + 1, ENDING)
        self.links: set[HostileLink] = set()
        self.last_id = 9_000_000_000
        self.until = 0
        self._server: asyncio.Server | None = None

    def is_over(self) -> bool:
        """Enough was sent."""
        return self.sent.confirmed >= self.until

    def behave(self) -> None:
        """Is a good one from now on."""
        self.until = 0

    async def start(self, port: int, confirmed: int) -> None:
        """Listens on a port of 127.0.0.1."""
        self.until = confirmed
        self._server = await asyncio.get_running_loop().create_server(lambda: HostileLink(self), '127.0.0.1', port)

    async def stop(self) -> None:
        """Ends all of it."""
        if self._server is not None:
            self._server.close()
        links = list(self.links)
        for link in links:
            link.transport.abort()
        if links:
            await asyncio.wait([link.closed for link in links], timeout=1)
