"""Which transitions there are, and what each state lets in: both tables, entry by entry."""

import pytest

from pdu.codec import encode
from pdu.command import RESPONSE, CommandId
from pdu.pdus import CLASSES, BindTransceiver, EnquireLink, Pdu, Unbind
from pdu.status import CommandStatus
from smpp.session import SessionError
from smpp.states import FROM_SMSC, RECEIVABLE, TRANSITIONS, Event, Role, State
from tests.smpp.pair import BINDS, START, Pair, sent_by, session_in

BINDINGS = {int(bind.command_id) for bind in BINDS.values()}
UNANSWERED = {int(CommandId.ALERT_NOTIFICATION), int(CommandId.OUTBIND)}
REQUESTS = sorted(command_id for command_id in CLASSES if not command_id & RESPONSE)
MESSAGES = [
    command_id for command_id in REQUESTS if command_id not in BINDINGS | {CommandId.UNBIND, CommandId.ENQUIRE_LINK}
]
EXPECTED = {
    (Role.SMSC, State.OPEN): 'outbind',
    (Role.SMSC, State.BOUND_TX): 'submit_sm submit_multi data_sm query_sm cancel_sm replace_sm',
    (Role.SMSC, State.BOUND_TRX): 'submit_sm submit_multi data_sm query_sm cancel_sm replace_sm',
    (Role.SMSC, State.BOUND_RX): 'data_sm',
    (Role.ESME, State.BOUND_RX): 'deliver_sm data_sm alert_notification',
    (Role.ESME, State.BOUND_TRX): 'deliver_sm data_sm alert_notification',
}


def cause(event: Event, pair: Pair) -> None:
    """Do to the SMSC's side of a pair what makes the event happen."""
    session = pair.smsc.session
    if event is Event.ENDED:
        session.end('test')
    elif event is Event.UNBIND_BEGUN:
        session.receive(encode(Unbind(7)), START)
    elif event is Event.BIND_BEGUN:
        session.receive(encode(BindTransceiver(7)), START)
    else:
        pair.smsc.session.accept_bind(b'smsc')


@pytest.mark.parametrize(('before', 'event'), TRANSITIONS, ids=lambda value: value.name)
def test_every_transition_of_the_table_happens(before, event):
    pair = Pair()
    session = pair.smsc.session
    wanted = State[event.name] if event.name in State.__members__ else State.BOUND_TRX
    if before is State.BINDING:
        pair.esme.session.begin_bind(BINDS[wanted]())
        pair.exchange()
    elif before in BINDS:
        pair.bind(before)
    elif before is State.UNBINDING:
        pair.bind()
        session.begin_unbind(START, 'test')
    elif before is State.CLOSED:
        session.end('test')
    assert session.state is before
    cause(event, pair)
    assert session.state is TRANSITIONS[before, event]


@pytest.mark.parametrize('state', [state for state in State if state is not State.BINDING])
def test_only_a_bind_that_waits_can_be_answered(state):
    session = session_in(Role.SMSC, state)
    with pytest.raises(SessionError):
        session.accept_bind(b'smsc')
    with pytest.raises(SessionError):
        session.refuse_bind(CommandStatus.ESME_RBINDFAIL)
    assert session.state is state


@pytest.mark.parametrize('state', [state for state in State if state is not State.OPEN])
def test_a_session_binds_once(state):
    session = session_in(Role.ESME, state)
    with pytest.raises(SessionError):
        session.begin_bind(BindTransceiver())
    assert session.state is state
    assert sent_by(session) == []


def test_the_table_of_what_is_receivable_is_that_of_the_specification():
    shown = {
        key: ' '.join(sorted(CommandId(command).name.lower() for command in commands))
        for key, commands in RECEIVABLE.items()
        if commands
    }
    assert shown == {key: ' '.join(sorted(names.split())) for key, names in EXPECTED.items()}


@pytest.mark.wire('B8', 'B10', 'B13')
@pytest.mark.parametrize('command_id', MESSAGES, ids=lambda command_id: CommandId(command_id).name)
@pytest.mark.parametrize('state', State)
@pytest.mark.parametrize('role', Role)
def test_a_message_command_reaches_the_owner_exactly_in_the_states_that_allow_it(role, state, command_id):
    session = session_in(role, state)
    request: Pdu = CLASSES[command_id](0x77)
    received = session.receive(encode(request), START)
    assert received.responses == []
    assert session.state is state
    if command_id in RECEIVABLE[role, state]:
        assert [pdu.command_id for pdu in received.requests] == [command_id]
        assert sent_by(session) == []
        return
    assert received.requests == []
    answers = sent_by(session)
    if command_id in UNANSWERED:
        assert answers == []
    else:
        crosses = (role, state) == (Role.ESME, State.UNBINDING) and command_id in FROM_SMSC  # on its way to our unbind
        status = CommandStatus.ESME_RX_T_APPN if crosses else CommandStatus.ESME_RINVBNDSTS
        assert [(pdu.command_id, pdu.sequence_number, pdu.command_status) for pdu in answers] == [
            (command_id | RESPONSE, 0x77, status)
        ]


@pytest.mark.wire('B15')
@pytest.mark.parametrize('state', State)
@pytest.mark.parametrize('role', Role)
def test_enquire_link_is_answered_in_every_state(role, state):
    session = session_in(role, state)
    received = session.receive(encode(EnquireLink(5)), START)
    assert received.requests == []
    assert [(pdu.command_id, pdu.sequence_number, pdu.command_status) for pdu in sent_by(session)] == [
        (CommandId.ENQUIRE_LINK_RESP, 5, 0)
    ]
    assert session.state is state


@pytest.mark.parametrize('command_id', [c for c in CLASSES if c & RESPONSE], ids=lambda c: CommandId(c).name)
@pytest.mark.parametrize('state', State)
@pytest.mark.parametrize('role', Role)
@pytest.mark.wire('A8', 'A18')
def test_a_response_that_answers_nothing_is_counted_and_dropped_in_every_state(role, state, command_id):
    session = session_in(role, state)
    received = session.receive(encode(CLASSES[command_id](0x55)), START)
    assert (received.requests, received.responses) == ([], [])
    assert session.unmatched_responses == 1
    assert sent_by(session) == []
    assert session.state is state
