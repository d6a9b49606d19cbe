"""What a session does when time passes (SMPP 3.4 section 7.2): the tests say what time it is."""

import pytest

from pdu.codec import encode
from pdu.command import CommandId
from pdu.pdus import (
    BindTransceiver,
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    SubmitSm,
    SubmitSmResp,
    Unbind,
)
from smpp.session import Session, SessionSettings
from smpp.states import Role, State
from smpp.window import SPAN_S
from tests.smpp.pair import START, sent_by, session_in

PATIENT = SessionSettings(enquire_link_s=0)


@pytest.mark.wire('B9')
def test_a_connection_without_bind_ends():
    session = Session(Role.SMSC, SessionSettings(session_init_s=10), START)
    session.receive(encode(EnquireLink(1)), START + 9)
    session.handle_timer(START + 10)
    assert session.state is State.OPEN
    session.handle_timer(START + 10.1)
    assert session.state is State.CLOSED
    assert session.close_reason == 'no bind in time'


def test_a_bound_session_does_not_end_for_the_bind_timer():
    session = session_in(Role.SMSC, State.BOUND_TRX, SessionSettings(session_init_s=10, enquire_link_s=0))
    session.handle_timer(START + 1000)
    assert session.state is State.BOUND_TRX


@pytest.mark.wire('B16')
def test_silence_is_broken_by_enquire_link_and_its_answer_keeps_the_session():
    session = session_in(Role.SMSC, State.BOUND_RX, SessionSettings(enquire_link_s=30, response_timeout_s=10))
    session.handle_timer(START + 30)
    assert not session.has_octets
    session.handle_timer(START + 30.1)
    (enquiry,) = sent_by(session, START + 30.1)
    assert enquiry.command_id == CommandId.ENQUIRE_LINK
    session.handle_timer(START + 35)
    assert not session.has_octets
    session.receive(encode(EnquireLinkResp(enquiry.sequence_number)), START + 36)
    session.handle_timer(START + 60)
    assert session.state is State.BOUND_RX
    assert not session.has_octets
    assert session.window.reserved == 0
    session.handle_timer(START + 67)
    assert len(sent_by(session, START + 67)) == 1


@pytest.mark.wire('B16', 'F22')
@pytest.mark.parametrize('role', Role)
def test_an_enquire_link_without_answer_ends_the_session(role):
    session = session_in(role, State.BOUND_TRX, SessionSettings(enquire_link_s=30, response_timeout_s=10))
    session.handle_timer(START + 31)
    session.take_octets(START + 31)
    session.handle_timer(START + 41)
    assert session.state is State.BOUND_TRX
    session.handle_timer(START + 41 + SPAN_S)
    assert session.state is State.CLOSED
    assert session.close_reason == 'no response in time'


def test_a_nacked_enquire_link_is_an_answer():
    session = session_in(Role.ESME, State.BOUND_TRX, SessionSettings(enquire_link_s=30, response_timeout_s=10))
    session.handle_timer(START + 31)
    (enquiry,) = sent_by(session, START + 31)
    session.receive(encode(GenericNack(enquiry.sequence_number, 3)), START + 32)
    session.handle_timer(START + 60)
    assert session.state is State.BOUND_TRX


@pytest.mark.wire('B15')
def test_enquire_link_goes_out_when_the_window_is_full():
    session = session_in(Role.ESME, State.BOUND_TRX, SessionSettings(send_window=1, enquire_link_s=30))
    assert session.window.reserve(1) == 1
    session.request(SubmitSm(), 'mine')
    session.handle_timer(START + 31)
    assert [pdu.command_id for pdu in sent_by(session)] == [CommandId.SUBMIT_SM, CommandId.ENQUIRE_LINK]


def test_a_bind_without_answer_ends():
    session = Session(Role.ESME, SessionSettings(response_timeout_s=10), START)
    session.begin_bind(BindTransceiver())
    session.take_octets(START)
    assert session.handle_timer(START + 10 + SPAN_S) == []
    assert session.state is State.CLOSED


@pytest.mark.wire('F8')
def test_requests_without_response_come_back_and_late_responses_are_known_once():
    session = session_in(Role.ESME, State.BOUND_TRX, SessionSettings(response_timeout_s=10, enquire_link_s=0))
    session.window.reserve(2)
    session.request(SubmitSm(), 'first')
    session.take_octets(START)
    session.request(SubmitSm(), 'second')
    session.take_octets(START + 5)
    assert session.handle_timer(START + 9) == []
    assert session.handle_timer(START + 10 + SPAN_S) == ['first']
    late = session.receive(encode(SubmitSmResp(2, 0, b'late')) * 2, START + 12)
    assert late.responses == []
    assert late.late == [('first', SubmitSmResp(2, 0, b'late'))]
    assert (session.late, session.unmatched_responses) == (1, 1)
    assert session.handle_timer(START + 15 + SPAN_S) == ['second']
    assert session.state is State.BOUND_TRX
    assert session.window.reserved == 2


@pytest.mark.wire('F8')
@pytest.mark.parametrize('octets', [encode(GenericNack(2, 8)), encode(SubmitSmResp(2, 8)), b'broken'])
def test_a_late_refusal_is_given_out_too(octets):
    session = session_in(Role.ESME, State.BOUND_TRX, SessionSettings(response_timeout_s=10, enquire_link_s=0))
    session.request(SubmitSm(), 'mine')
    session.take_octets(START)
    session.handle_timer(START + 10 + SPAN_S)
    if octets == b'broken':
        octets = encode(SubmitSmResp(2, 8, b'id'))[:-1]
        octets = len(octets).to_bytes(4, 'big') + octets[4:]
    assert [(context, pdu.command_status) for context, pdu in session.receive(octets, START + 12).late] == [('mine', 8)]


@pytest.mark.wire('F8')
def test_the_requests_that_expired_are_forgotten_with_the_connection():
    session = session_in(Role.ESME, State.BOUND_TRX, SessionSettings(response_timeout_s=10, enquire_link_s=0))
    session.request(SubmitSm(), 'mine')
    session.take_octets(START)
    session.handle_timer(START + 10 + SPAN_S)
    session.end('connection lost')
    assert session.drop_outstanding() == []
    assert session.window.late == {}


@pytest.mark.wire('B17')
def test_inactivity_counts_messages_and_not_enquire_link():
    session = session_in(Role.SMSC, State.BOUND_TRX, SessionSettings(inactivity_s=100, enquire_link_s=0))
    for second in range(0, 100, 10):
        session.receive(encode(EnquireLink(second)), START + second)
    session.handle_timer(START + 100)
    assert session.state is State.BOUND_TRX
    session.take_octets(START + 100)
    session.handle_timer(START + 100.1)
    assert session.state is State.UNBINDING
    assert [pdu.command_id for pdu in sent_by(session)] == [CommandId.UNBIND]
    assert session.close_reason == 'inactive'


@pytest.mark.wire('B17')
@pytest.mark.parametrize('message', [DeliverSm(1), SubmitSmResp(2, 0, b'id')], ids=lambda pdu: type(pdu).__name__)
def test_messages_and_their_responses_are_activity(message):
    settings = SessionSettings(inactivity_s=100, enquire_link_s=0, response_timeout_s=1000)
    session = session_in(Role.ESME, State.BOUND_TRX, settings)
    session.request(SubmitSm(), 'mine')
    session.receive(encode(message), START + 90)
    session.handle_timer(START + 190)
    assert session.state is State.BOUND_TRX
    session.handle_timer(START + 191)
    assert session.state is State.UNBINDING


def test_inactivity_of_0_is_off():
    session = session_in(Role.SMSC, State.BOUND_TRX, PATIENT)
    session.handle_timer(START + 1_000_000)
    assert session.state is State.BOUND_TRX


@pytest.mark.wire('A21')
@pytest.mark.parametrize('state', [State.OPEN, State.BOUND_TRX])
def test_a_pdu_that_is_not_finished_ends_the_session(state):
    settings = SessionSettings(pdu_read_s=30, session_init_s=0, enquire_link_s=0)
    session = session_in(Role.SMSC, state, settings)
    octets = encode(SubmitSm())
    session.receive(octets[:10], START)
    session.receive(octets[10:20], START + 29)
    session.handle_timer(START + 30)
    assert session.state is state
    session.handle_timer(START + 30.1)
    assert session.state is State.CLOSED
    assert session.close_reason == 'PDU not finished in time'


def test_reads_that_always_end_within_a_pdu_do_not_end_the_session():
    session = session_in(Role.SMSC, State.BOUND_TRX, SessionSettings(pdu_read_s=30, enquire_link_s=0))
    octets = encode(SubmitSm())
    session.receive(octets[:10], START)
    for second in range(1, 100):
        session.receive(octets[10:] + octets[:10], START + second)
        session.handle_timer(START + second)
    assert session.state is State.BOUND_TRX
    session.handle_timer(START + 99 + 31)
    assert session.state is State.CLOSED


@pytest.mark.wire('B12')
def test_a_peer_that_unbinds_but_does_not_close_is_closed():
    session = session_in(Role.SMSC, State.BOUND_TRX, SessionSettings(unbind_timeout_s=2))
    session.receive(bytes.fromhex('00000010 00000006 00000000 00000002'), START)
    assert [pdu.command_id for pdu in sent_by(session)] == [CommandId.UNBIND_RESP]
    session.handle_timer(START + 2)
    assert session.state is State.UNBINDING
    session.handle_timer(START + 2.1)
    assert session.state is State.CLOSED


@pytest.mark.wire('B12')
def test_requests_in_the_works_are_answered_before_the_unbind_however_slow_the_answers_are():
    session = session_in(Role.SMSC, State.BOUND_TRX, SessionSettings(unbind_timeout_s=2, response_timeout_s=60))
    session.receive(encode(SubmitSm(7)) + encode(Unbind(8)), START)
    session.handle_timer(START + 50)
    assert session.state is State.UNBINDING
    session.respond(SubmitSmResp(7, 0, b'id'))
    assert [pdu.command_id for pdu in sent_by(session, START + 50)] == [
        CommandId.SUBMIT_SM_RESP,
        CommandId.UNBIND_RESP,
    ]
    session.handle_timer(START + 52)
    assert session.state is State.UNBINDING
    session.handle_timer(START + 52.1)
    assert session.state is State.CLOSED


@pytest.mark.wire('B12')
def test_an_unbind_whose_requests_are_never_answered_ends_when_a_response_is_overdue():
    session = session_in(Role.SMSC, State.BOUND_TRX, SessionSettings(unbind_timeout_s=2, response_timeout_s=60))
    session.receive(encode(SubmitSm(7)) + encode(Unbind(8)), START)
    session.handle_timer(START + 60)
    assert session.state is State.UNBINDING
    session.handle_timer(START + 60.1)
    assert session.state is State.CLOSED


@pytest.mark.wire('B9')
def test_a_bind_that_the_smsc_does_not_answer_in_time_ends():
    session = session_in(Role.SMSC, State.BINDING, SessionSettings(session_init_s=10))
    session.handle_timer(START + 10)
    assert session.state is State.BINDING
    session.handle_timer(START + 10.1)
    assert session.state is State.CLOSED
    assert session.close_reason == 'no bind in time'


@pytest.mark.wire('F2')
def test_the_timer_of_the_smsc_does_not_end_a_bind_of_ours():
    session = session_in(Role.ESME, State.BINDING, SessionSettings(session_init_s=10, response_timeout_s=60))
    session.handle_timer(START + 11)
    assert session.state is State.BINDING
