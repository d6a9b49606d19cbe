"""Mutants against what runs in one process: codec and reader, and sessions of both roles in every state.

Each trial takes a seed and a number of PDUs, and raises AssertionError, or what the code under test raised, with the
seed told by whoever called. The short form in the suite and the long one in `tests.faults.fuzz` run the same trials.
"""

from collections import Counter
from random import Random
from typing import Any

from pdu import pdus
from pdu.codec import HEADER, HEADER_OCTETS, decode, encode
from pdu.command import RESPONSE, CommandId
from pdu.pdus import CLASSES, Malformed, Pdu, SubmitSm, UnknownPdu
from pdu.reader import PduReader
from pdu.status import CommandStatus, PduError
from smpp.session import SessionSettings
from smpp.states import BOUND, Role, State
from smpp.terms import Own, Received
from smpp.window import LATE_BOUND
from tests.fuzz.corpus import ENDING, EVERYTHING, FROM_ESME, FROM_SMSC
from tests.fuzz.mutator import Mutator
from tests.smpp.pair import BINDS, session_in

WINDOW = 20
SETTINGS = SessionSettings(send_window=WINDOW, receive_window=WINDOW, session_init_s=0, response_timeout_s=3)
_STATES = (State.OPEN, State.BINDING, *BINDS, State.UNBINDING)
_LAST_PDUS = 200
_NACK = int(CommandId.GENERIC_NACK)
_NOT_ANSWERED = frozenset({int(CommandId.ALERT_NOTIFICATION), int(CommandId.OUTBIND)})

Answer = tuple[int, int]
"""command_id and sequence_number of a response."""


def pieces_of(octets: bytes, random: Random) -> list[bytes]:
    """The octets as a socket may give them: whole, or in pieces of any size."""
    if random.random() < 0.5:
        return [octets]
    found: list[bytes] = []
    position = 0
    while position < len(octets):
        size = random.choice((1, 3, 17, 300, 4000))
        found.append(octets[position : position + size])
        position += size
    return found


def check_codec(octets: bytes) -> Pdu | None:
    """A PDU decodes or is a PduError, whatever comes behind it; what decodes is written and read back the same."""
    try:
        pdu = decode(octets)
    except PduError as error:
        pdu, told = None, str(error)
    else:
        told = repr(pdu)
    try:
        again: object = repr(decode(octets + b'\xff' * 8))
    except PduError as error:
        again = str(error)
    assert again == told, 'what follows in the buffer changes the outcome'
    if pdu is not None:
        written = encode(pdu, error_body=True)
        same = decode(written)
        if 'octets' in pdu.__struct_fields__:
            assert pdu.octets == octets  # type: ignore[attr-defined]
            pdu.octets = written  # type: ignore[attr-defined]
        assert same == pdu, 'what is written is not what was read'
    return pdu


def try_codec(seed: int, count: int) -> Counter[str]:
    """Mutants of all commands through codec and reader; returns how many came out as what."""
    mutator, found = Mutator(seed, EVERYTHING), Counter[str]()
    done = 0
    while done < count:
        whole = [mutator.framed() for _ in range(1 + mutator.below(_LAST_PDUS))]
        done += len(whole) + 1
        known = [check_codec(octets) for octets in whole]
        reader = PduReader()
        out: list[Pdu] = []
        for piece in pieces_of(b''.join(whole) + mutator.unframed(), mutator.random):
            out += reader.feed(piece)
            assert len(reader._tail) <= reader.limit_octets
        for octets, expected, pdu in zip(whole, known, out, strict=False):
            _check_read(octets, expected, pdu)
            found[type(pdu).__name__] += 1
        assert len(out) >= len(whole)
    return found


def _check_read(octets: bytes, expected: Pdu | None, pdu: Pdu) -> None:
    _, command_id, command_status, sequence_number = HEADER.unpack_from(octets)
    assert (pdu.command_status, pdu.sequence_number) == (command_status, sequence_number)
    if expected is not None:
        assert type(pdu) is type(expected)
    elif isinstance(pdu, Malformed):
        assert pdu.received_command_id == command_id
        assert not pdu.fatal
    else:
        assert isinstance(pdu, UnknownPdu)
        assert command_id not in CLASSES


class Trial:
    """One session under mutants. Its owner answers what it is given, and asks for something itself, in its own time."""

    def __init__(self, mutator: Mutator, role: Role, state: State) -> None:
        self.mutator = mutator
        self.session = session_in(role, state, SETTINGS)
        self.began_bound = state in BOUND
        self.now = 1000.0
        self.owed: list[Pdu] = []
        self.asked: Counter[Answer] = Counter()
        self.faulty: Counter[tuple[Answer, int]] = Counter()
        self.answered: Counter[Answer] = Counter()
        self.told: Counter[tuple[Answer, int]] = Counter()
        if self.session.bind is not None and state is State.BINDING and role is Role.SMSC:
            self.owed.append(self.session.bind)
            self.asked[self.session.bind.command_id | RESPONSE, self.session.bind.sequence_number] += 1

    @property
    def ended(self) -> bool:
        """The session takes no more octets."""
        return self.session.state is State.CLOSED

    def receive(self, whole: list[bytes]) -> None:
        """Mutants come in; the owner does its part between the pieces."""
        for octets in whole:
            self._note_asked(octets)
        for piece in pieces_of(b''.join(whole), self.mutator.random):
            if self.ended:  # as the shell does: what comes after the end is not looked at
                return
            self._own(self.session.receive(piece, self.now))

    def _note_asked(self, octets: bytes) -> None:
        _, command_id, _, sequence_number = HEADER.unpack_from(octets)
        if command_id & RESPONSE or command_id in _NOT_ANSWERED:
            return
        answer = (command_id | RESPONSE if command_id in CLASSES else _NACK, sequence_number)
        self.asked[answer] += 1
        try:
            decode(octets)
        except PduError as error:
            self.faulty[answer, error.command_status] += 1

    def lose_framing(self, octets: bytes) -> None:
        """Octets that are no PDU come in; a length that cannot be is answered, and is the end."""
        self.session.receive(octets, self.now)
        length = int.from_bytes(octets[:4], 'big')
        if len(octets) >= 4 and not HEADER_OCTETS <= length <= self.session._reader.limit_octets:
            assert self.ended
            nack = decode(self.session.take_octets(self.now)[-HEADER_OCTETS:])
            assert (type(nack), nack.command_status) == (pdus.GenericNack, CommandStatus.ESME_RINVCMDLEN)

    def _own(self, received: Received) -> None:
        session, below = self.session, self.mutator.below
        self.owed += [pdu for pdu in received.requests if pdu.command_id not in _NOT_ANSWERED]
        session.window.release(len(received.responses))
        while self.owed and below(4) and not self.ended:
            self._answer(self.owed.pop(below(len(self.owed))))
        self.now += below(3) / 10
        if not below(20):
            self.now += below(5)
            expired = session.handle_timer(self.now)
            session.window.release(len(expired))
        if session.state in BOUND and not below(3) and session.window.reserve(1):
            session.request(SubmitSm(short_message=b'ours') if session.role is Role.ESME else pdus.DeliverSm(), 'ours')
        self._take()

    def _answer(self, pdu: Pdu) -> None:
        session = self.session
        if isinstance(pdu, pdus.Bind):
            if session.state is State.BINDING:
                session.accept_bind(b'smsc')
        elif self.mutator.below(2):
            session.respond(CLASSES[pdu.command_id | RESPONSE](pdu.sequence_number, self.mutator.below(3)))
        else:
            session.refuse(pdu, 8)

    def _take(self) -> None:
        """What the session sends are whole PDUs; its answers are noted."""
        octets, position = self.session.take_octets(self.now), 0
        while position < len(octets):
            length, command_id, command_status, sequence_number = HEADER.unpack_from(octets, position)
            assert length >= HEADER_OCTETS
            if command_id & RESPONSE:
                self.answered[command_id, sequence_number] += 1
                self.told[(command_id, sequence_number), command_status] += 1
            position += length
        assert position == len(octets)
        window = self.session.window
        assert len(window.pending) <= WINDOW + len(Own)
        assert len(window.late) <= LATE_BOUND
        assert 0 <= self.session.unanswered <= WINDOW + 1

    def settle(self) -> None:
        """The owner answers the rest: then every request has got one answer and no more."""
        while self.owed and not self.ended:
            self._answer(self.owed.pop())
        self._take()
        if not self.ended:
            assert self.answered == self.asked, 'not every request was answered once, in its own response'
            assert not self.session.unanswered
        if self.session.state in BOUND and self.began_bound:
            assert not self.faulty - self.told, 'a fault was not named in the answer'
        assert not self.answered - self.asked, 'answers that nobody asked for'


def try_session(seed: int, count: int, role: Role) -> Counter[Any]:
    """Mutants to sessions of a role that begin in each state; returns how many sessions ended in which."""
    from_peer = FROM_ESME if role is Role.SMSC else FROM_SMSC
    usual, ending, anything = Mutator(seed, from_peer), Mutator(seed + 1, ENDING), Mutator(seed + 2, EVERYTHING)
    ended: Counter[Any] = Counter()
    done = 0
    while done < count:
        state = _STATES[usual.below(len(_STATES))]
        limit = 1000 if state in {State.OPEN, State.BINDING} and role is Role.SMSC else 0x12000
        trial = Trial(usual, role, state)
        for _ in range(1 + usual.below(12)):
            whole = [
                (ending if not usual.below(150) else usual if usual.below(4) else anything).framed(limit)
                for _ in range(usual.below(40))
            ]
            done += len(whole)
            trial.receive(whole)
            if trial.ended:
                break
        trial.settle()
        ended[trial.session.state] += 1
        if not trial.ended:
            trial.lose_framing(usual.unframed())
            done += 1
    return ended
