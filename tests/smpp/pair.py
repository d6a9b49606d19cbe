"""Two sessions connected in memory, an ESME's and an SMSC's: what one sends, the other receives, at a given time.

The pair answers nothing by itself: what the sessions hand to their owners is kept, for the test to look at and answer.
"""

from typing import Any

from pdu.codec import decode
from pdu.command import RESPONSE
from pdu.pdus import CLASSES, Bind, BindReceiver, BindTransceiver, BindTransmitter, Pdu
from smpp.session import SMPP_3_4, Received, Session, SessionSettings
from smpp.states import Role, State

START = 1000.0
BINDS: dict[State, type[Bind]] = {
    State.BOUND_TX: BindTransmitter,
    State.BOUND_RX: BindReceiver,
    State.BOUND_TRX: BindTransceiver,
}
SETTINGS = SessionSettings()


class Side:
    """A session and what it gave to its owner."""

    def __init__(self, role: Role, settings: SessionSettings) -> None:
        self.session = Session(role, settings, START)
        self.requests: list[Pdu] = []
        self.responses: list[tuple[Any, Pdu]] = []

    def receive(self, octets: bytes, now: float) -> Received:
        received = self.session.receive(octets, now)
        self.requests += received.requests
        self.responses += received.responses
        return received

    def request(self, pdu: Pdu, context: Any = 'context') -> None:
        assert self.session.window.reserve(1) == 1
        self.session.request(pdu, context)

    def answer_all(self, status: int = 0) -> None:
        """Respond to every request that the owner was given."""
        requests, self.requests = self.requests, []
        for pdu in requests:
            response = CLASSES[pdu.command_id | RESPONSE]
            self.session.respond(response(pdu.sequence_number, status))


class Pair:
    """Both sides, and a log of what crossed between them: ('esme' or 'smsc' who sent it, PDU)."""

    def __init__(self, esme: SessionSettings = SETTINGS, smsc: SessionSettings = SETTINGS) -> None:
        self.esme = Side(Role.ESME, esme)
        self.smsc = Side(Role.SMSC, smsc)
        self.log: list[tuple[str, Any]] = []

    def exchange(self, now: float = START) -> None:
        """Carry octets both ways until neither side has more to send."""
        moved = True
        while moved:
            moved = self._carry(self.esme, self.smsc, 'esme', now) or self._carry(self.smsc, self.esme, 'smsc', now)

    def _carry(self, sender: Side, receiver: Side, name: str, now: float) -> bool:
        octets = sender.session.take_octets(now)
        self.log += [(name, pdu) for pdu in pdus_of(octets)]
        if octets:
            receiver.receive(octets, now)
        return bool(octets)

    def bind(self, state: State = State.BOUND_TRX, interface_version: int = SMPP_3_4) -> 'Pair':
        self.esme.session.begin_bind(BINDS[state](system_id=b'shop', interface_version=interface_version))
        self.exchange()
        assert self.smsc.requests.pop().command_id == BINDS[state].command_id
        self.smsc.session.accept_bind(b'smsc')
        self.exchange()
        return self


def pdus_of(octets: bytes) -> list[Pdu]:
    """The PDUs in octets that hold nothing but whole ones."""
    found = []
    position = 0
    while position < len(octets):
        found.append(decode(octets, position))
        position += int.from_bytes(octets[position : position + 4], 'big')
    return found


def sent_by(session: Session, now: float = START) -> list[Pdu]:
    """What a session would send now."""
    return pdus_of(session.take_octets(now))


def session_in(role: Role, state: State, settings: SessionSettings = SETTINGS) -> Session:
    """A session of this role in this state, with nothing left to send."""
    pair = Pair(settings, settings)
    session = (pair.esme if role is Role.ESME else pair.smsc).session
    if state is State.BINDING:
        pair.esme.session.begin_bind(BindTransceiver())
        pair.exchange()
    elif state in BINDS:
        pair.bind(state)
    elif state is State.UNBINDING:
        pair.bind()
        session.begin_unbind(START, 'test')
    elif state is State.CLOSED:
        session.end('test')
    session.take_octets(START)
    assert session.state is state
    return session
