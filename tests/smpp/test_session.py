"""A session's conversations, without sockets and clock: binding, parting, windows, PDUs that are not as they ought."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdu.codec import encode
from pdu.command import RESPONSE, CommandId
from pdu.pdus import (
    CLASSES,
    BindReceiver,
    BindTransceiver,
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Malformed,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from pdu.status import CommandStatus, PduError
from pdu.tlvs import Tag
from smpp.session import MAX_SEQUENCE_NUMBER, SessionSettings
from smpp.states import Role, State
from tests.smpp.pair import BINDS, START, Pair, pdus_of, sent_by, session_in

SUBMIT = SubmitSm(destination_addr=b'79161234567', short_message=b'hello')


def raw(command_id: int, sequence_number: int = 9, body: bytes = b'', length: int | None = None) -> bytes:
    size = 16 + len(body) if length is None else length
    return b''.join(number.to_bytes(4, 'big') for number in (size, command_id, 0, sequence_number)) + body


def shown(pdus):
    return [(CommandId(pdu.command_id).name, pdu.sequence_number, pdu.command_status) for pdu in pdus]


# Binding


@pytest.mark.wire('B1')
@pytest.mark.parametrize('state', BINDS)
def test_a_bind_is_answered_in_its_own_response_and_both_sides_are_bound(state):
    pair = Pair().bind(state)
    assert pair.smsc.session.state is pair.esme.session.state is state
    response = pair.log[-1][1]
    assert response.command_id == BINDS[state].command_id | RESPONSE
    assert (response.sequence_number, response.command_status, response.system_id) == (1, 0, b'smsc')


@pytest.mark.wire('B4')
def test_a_refused_bind_ends_both_sides_after_its_answer():
    pair = Pair()
    pair.esme.session.begin_bind(BindTransceiver())
    pair.exchange()
    pair.smsc.session.refuse_bind(CommandStatus.ESME_RINVPASWD)
    assert pair.smsc.session.state is State.CLOSED
    pair.exchange()
    assert shown([pair.log[-1][1]]) == [('BIND_TRANSCEIVER_RESP', 1, CommandStatus.ESME_RINVPASWD)]
    assert pair.esme.session.state is State.CLOSED
    assert pair.esme.session.bind_status == CommandStatus.ESME_RINVPASWD
    assert pair.esme.session.close_reason == 'bind refused'


@pytest.mark.parametrize('answer', [GenericNack(1), EnquireLinkResp(1)])
def test_a_bind_answered_with_something_else_is_refused(answer):
    session = session_in(Role.ESME, State.BINDING)
    session.receive(encode(answer), START)
    assert session.state is State.CLOSED
    assert session.bind_status == CommandStatus.ESME_RBINDFAIL


@pytest.mark.wire('B6')
@pytest.mark.parametrize('state', [State.BINDING, *BINDS])
def test_a_second_bind_is_told_so_and_the_first_stands(state):
    session = session_in(Role.SMSC, state)
    first = session.bind
    received = session.receive(encode(BindReceiver(33)), START)
    assert received.requests == []
    assert shown(sent_by(session)) == [('BIND_RECEIVER_RESP', 33, CommandStatus.ESME_RALYBND)]
    assert session.state is state
    assert session.bind is first


@pytest.mark.parametrize('state', [State.UNBINDING, State.CLOSED])
def test_a_bind_after_unbind_is_refused(state):
    session = session_in(Role.SMSC, state)
    session.receive(encode(BindReceiver(33)), START)
    assert shown(sent_by(session)) == [('BIND_RECEIVER_RESP', 33, CommandStatus.ESME_RINVBNDSTS)]


def test_an_esme_cannot_be_bound_to():
    session = session_in(Role.ESME, State.BOUND_TRX)
    session.receive(encode(BindReceiver(33)), START)
    assert shown(sent_by(session)) == [('BIND_RECEIVER_RESP', 33, CommandStatus.ESME_RINVCMDID)]


def test_a_bind_response_after_the_end_changes_nothing():
    session = session_in(Role.ESME, State.BINDING)
    session.end('no response in time')
    session.receive(encode(CLASSES[CommandId.BIND_TRANSCEIVER_RESP](1)), START)
    assert session.state is State.CLOSED


def test_messages_in_the_same_read_as_the_bind_response_are_the_owners():
    session = session_in(Role.ESME, State.BINDING)
    octets = encode(CLASSES[CommandId.BIND_TRANSCEIVER_RESP](1)) + encode(DeliverSm(1))
    assert [pdu.command_id for pdu in session.receive(octets, START).requests] == [CommandId.DELIVER_SM]


# Parting


@pytest.mark.wire('B12')
def test_unbind_is_answered_after_the_responses_in_flight():
    pair = Pair().bind()
    pair.esme.request(SubmitSm())
    pair.esme.request(SubmitSm())
    pair.exchange()
    pair.esme.session.begin_unbind(START, 'done')
    pair.exchange()
    assert pair.esme.session.state is pair.smsc.session.state is State.UNBINDING
    pair.log.clear()
    pair.smsc.answer_all()
    pair.exchange()
    assert shown(pdu for _, pdu in pair.log) == [
        ('SUBMIT_SM_RESP', 2, 0),
        ('SUBMIT_SM_RESP', 3, 0),
        ('UNBIND_RESP', 4, 0),
    ]
    assert pair.esme.session.state is State.CLOSED
    assert pair.esme.session.close_reason == 'done'


def test_unbind_waits_for_refusals_too():
    pair = Pair().bind()
    pair.esme.request(SubmitSm())
    pair.esme.session.begin_unbind(START, 'done')
    pair.exchange()
    pair.smsc.session.refuse(pair.smsc.requests.pop(), CommandStatus.ESME_RSYSERR)
    assert shown(sent_by(pair.smsc.session)) == [
        ('SUBMIT_SM_RESP', 2, CommandStatus.ESME_RSYSERR),
        ('UNBIND_RESP', 3, 0),
    ]


def test_unbinds_that_cross_are_both_answered_with_success():
    pair = Pair().bind()
    pair.esme.session.begin_unbind(START, 'esme')
    pair.smsc.session.begin_unbind(START, 'smsc')
    pair.exchange()
    answers = [pdu for _, pdu in pair.log if isinstance(pdu, UnbindResp)]
    assert len(answers) == 2
    assert {pdu.command_status for pdu in answers} == {0}
    assert pair.esme.session.state is pair.smsc.session.state is State.CLOSED


@pytest.mark.parametrize('state', [State.OPEN, State.BINDING, State.CLOSED])
def test_an_unbind_of_what_is_not_bound_is_refused(state):
    session = session_in(Role.SMSC, state)
    session.receive(encode(Unbind(3)), START)
    assert shown(sent_by(session)) == [('UNBIND_RESP', 3, CommandStatus.ESME_RINVBNDSTS)]
    assert session.state is state


def test_our_unbind_of_what_is_not_bound_ends_at_once():
    session = session_in(Role.SMSC, State.BINDING)
    session.begin_unbind(START, 'shutdown')
    assert session.state is State.CLOSED
    assert session.close_reason == 'shutdown'
    assert sent_by(session) == []


@pytest.mark.wire('B14')
def test_an_unbind_that_is_not_answered_ends_by_time():
    session = session_in(Role.SMSC, State.BOUND_TRX, SessionSettings(unbind_timeout_s=5))
    session.begin_unbind(START, 'shutdown')
    session.take_octets(START)
    session.handle_timer(START + 5)
    assert session.state is State.UNBINDING
    session.handle_timer(START + 5.1)
    assert session.state is State.CLOSED
    assert session.close_reason == 'shutdown'


@pytest.mark.wire('B14')
def test_our_unbind_follows_the_responses_in_flight():
    pair = Pair().bind()
    pair.esme.request(SubmitSm(), 'first')
    pair.esme.request(SubmitSm(), 'second')
    pair.exchange()
    session = pair.smsc.session
    session.begin_unbind(START, 'shutdown')
    assert sent_by(session) == []
    session.receive(encode(SubmitSm(9)), START)
    session.respond(SubmitSmResp(2, 0, b'id'))
    session.refuse(pair.smsc.requests[1], CommandStatus.ESME_RSYSERR)
    assert shown(sent_by(session)) == [
        ('SUBMIT_SM_RESP', 9, CommandStatus.ESME_RINVBNDSTS),
        ('SUBMIT_SM_RESP', 2, 0),
        ('SUBMIT_SM_RESP', 3, CommandStatus.ESME_RSYSERR),
        ('UNBIND', 1, 0),
    ]
    session.receive(encode(UnbindResp(1)), START)
    assert session.state is State.CLOSED
    assert session.close_reason == 'shutdown'


@pytest.mark.wire('B14')
def test_our_unbind_does_not_wait_for_responses_beyond_its_time():
    pair = Pair(smsc=SessionSettings(unbind_timeout_s=2)).bind()
    pair.esme.request(SubmitSm())
    pair.exchange()
    pair.smsc.session.begin_unbind(START, 'shutdown')
    pair.smsc.session.handle_timer(START + 2)
    assert pair.smsc.session.state is State.UNBINDING
    pair.smsc.session.handle_timer(START + 2.1)
    assert pair.smsc.session.state is State.CLOSED


@pytest.mark.wire('B12', 'B14')
def test_an_unbind_that_comes_while_ours_waits_for_responses_takes_its_place():
    pair = Pair().bind()
    pair.esme.request(SubmitSm())
    pair.exchange()
    session = pair.smsc.session
    session.begin_unbind(START, 'shutdown')
    session.receive(encode(Unbind(3)) + encode(Unbind(4)), START)
    session.respond(SubmitSmResp(2, 0, b'id'))
    assert shown(sent_by(session)) == [
        ('UNBIND_RESP', 4, CommandStatus.ESME_RINVBNDSTS),
        ('SUBMIT_SM_RESP', 2, 0),
        ('UNBIND_RESP', 3, 0),
    ]
    assert session.state is State.UNBINDING


@pytest.mark.wire('B12', 'B14')
def test_our_unbind_after_the_peers_leaves_the_responses_in_flight_their_time():
    pair = Pair().bind()
    pair.esme.request(SubmitSm())
    pair.esme.session.begin_unbind(START, 'done')
    pair.exchange()
    pair.smsc.session.begin_unbind(START, 'shutdown')
    assert sent_by(pair.smsc.session) == []
    pair.smsc.answer_all()
    assert shown(sent_by(pair.smsc.session)) == [('SUBMIT_SM_RESP', 2, 0), ('UNBIND_RESP', 3, 0)]


@pytest.mark.wire('F18', 'B14')
def test_an_operator_keeps_what_crosses_our_unbind():
    session = session_in(Role.ESME, State.BOUND_TRX)
    session.begin_unbind(START, 'given back')
    session.receive(encode(DeliverSm(7)), START)
    assert shown(sent_by(session))[-1] == ('DELIVER_SM_RESP', 7, CommandStatus.ESME_RX_T_APPN)


@pytest.mark.wire('B13')
def test_an_operator_that_goes_on_after_its_own_unbind_is_told_that_it_is_not_bound():
    session = session_in(Role.ESME, State.BOUND_TRX)
    session.receive(encode(Unbind(7)) + encode(DeliverSm(8)), START)
    assert shown(sent_by(session))[-1] == ('DELIVER_SM_RESP', 8, CommandStatus.ESME_RINVBNDSTS)


# PDUs that are not as they should be


@pytest.mark.wire('A9', 'A10')
@pytest.mark.parametrize('state', [State.BOUND_TX, State.BOUND_TRX])
def test_a_malformed_submit_is_answered_in_its_own_response_and_the_session_stays(state):
    session = session_in(Role.SMSC, state)
    octets = encode(SUBMIT)
    received = session.receive(raw(CommandId.SUBMIT_SM, body=octets[16:-5]) + encode(SUBMIT), START)
    assert [pdu.command_id for pdu in received.requests] == [CommandId.SUBMIT_SM]
    answers = sent_by(session)
    assert [(pdu.command_id, pdu.sequence_number) for pdu in answers] == [(CommandId.SUBMIT_SM_RESP, 9)]
    assert answers[0].command_status in {0x01, 0x02, 0xC2}
    assert session.malformed == 1
    assert session.state is state


def test_a_malformed_submit_before_bind_is_told_to_bind_first():
    session = session_in(Role.SMSC, State.OPEN)
    session.receive(raw(CommandId.SUBMIT_SM, body=b'x'), START)
    assert shown(sent_by(session)) == [('SUBMIT_SM_RESP', 9, CommandStatus.ESME_RINVBNDSTS)]


def test_a_malformed_bind_is_told_what_is_wrong():
    session = session_in(Role.SMSC, State.OPEN)
    session.receive(raw(CommandId.BIND_TRANSCEIVER, body=b'x'), START)
    (answer,) = sent_by(session)
    assert answer.command_id == CommandId.BIND_TRANSCEIVER_RESP
    assert answer.command_status not in {0, CommandStatus.ESME_RINVBNDSTS}
    assert session.state is State.OPEN


def test_a_malformed_alert_notification_is_not_answered():
    session = session_in(Role.ESME, State.BOUND_TRX)
    session.receive(raw(CommandId.ALERT_NOTIFICATION, body=b'x'), START)
    assert session.malformed == 1
    assert sent_by(session) == []


@pytest.mark.wire('A6', 'A7')
def test_an_unknown_command_gets_a_generic_nack_and_the_session_stays():
    session = session_in(Role.SMSC, State.BOUND_TRX)
    received = session.receive(raw(CommandId.BROADCAST_SM, 77, b'whatever') + encode(SUBMIT), START)
    assert shown(sent_by(session)) == [('GENERIC_NACK', 77, CommandStatus.ESME_RINVCMDID)]
    assert len(received.requests) == 1
    assert session.state is State.BOUND_TRX


def test_an_unknown_response_is_not_answered():
    session = session_in(Role.SMSC, State.BOUND_TRX)
    session.receive(raw(0x80000999), START)
    assert sent_by(session) == []


@pytest.mark.wire('A3', 'A4')
@pytest.mark.parametrize('length', [0, 15, 0x12001, 0xFFFFFFFF])
@pytest.mark.parametrize('state', [State.OPEN, State.BOUND_TRX])
def test_a_command_length_out_of_bounds_is_nacked_and_ends_the_session(state, length):
    session = session_in(Role.SMSC, state)
    session.receive(raw(CommandId.SUBMIT_SM, 12, length=length), START)
    assert shown(sent_by(session)) == [('GENERIC_NACK', 12, CommandStatus.ESME_RINVCMDLEN)]
    assert session.state is State.CLOSED
    assert 'command_length' in session.close_reason


@pytest.mark.wire('A4')
@pytest.mark.parametrize('state', [State.OPEN, State.BINDING])
def test_before_the_bind_no_pdu_is_longer_than_1024_octets(state):
    session = session_in(Role.SMSC, state)
    session.receive(raw(CommandId.SUBMIT_SM, 11, bytes(1024 - 16)), START)
    assert shown(sent_by(session)) == [('SUBMIT_SM_RESP', 11, CommandStatus.ESME_RINVBNDSTS)]
    session.receive(raw(CommandId.SUBMIT_SM, 12, length=1025), START)
    assert shown(sent_by(session)) == [('GENERIC_NACK', 12, CommandStatus.ESME_RINVCMDLEN)]
    assert session.state is State.CLOSED


@pytest.mark.parametrize('role', Role)
def test_once_bound_long_pdus_are_taken(role):
    session = session_in(role, State.BOUND_TRX)
    command = SubmitSm if role is Role.SMSC else DeliverSm
    payload = ((int(Tag.MESSAGE_PAYLOAD), b'x' * 60_000),)
    assert len(session.receive(encode(command(11, tlvs=payload)), START).requests) == 1


@pytest.mark.wire('A5')
def test_http_on_the_port_is_nacked_and_ended():
    session = session_in(Role.SMSC, State.OPEN)
    session.receive(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', START)
    (answer,) = sent_by(session)
    assert (answer.command_id, answer.command_status) == (CommandId.GENERIC_NACK, CommandStatus.ESME_RINVCMDLEN)
    assert session.state is State.CLOSED


@pytest.mark.wire('A8')
def test_a_generic_nack_fails_the_request_of_its_sequence_number():
    pair = Pair().bind()
    pair.esme.request(SubmitSm(), 'first')
    pair.esme.request(SubmitSm(), 'second')
    pair.exchange()
    received = pair.esme.receive(encode(GenericNack(3, CommandStatus.ESME_RINVCMDLEN)), START)
    assert [(context, pdu.command_status) for context, pdu in received.responses] == [('second', 2)]
    assert list(pair.esme.session.window.pending) == [2]
    assert sent_by(pair.esme.session) == []


@pytest.mark.parametrize('status', [CommandStatus.ESME_ROK, CommandStatus.ESME_RTHROTTLED])
def test_a_malformed_response_says_what_its_status_says(status):
    pair = Pair().bind()
    pair.esme.request(SubmitSm(), 'mine')
    pair.exchange()
    octets = raw(CommandId.SUBMIT_SM_RESP, 2, b'x' * 80)
    received = pair.esme.receive(octets[:8] + status.to_bytes(4, 'big') + octets[12:], START)
    ((context, pdu),) = received.responses
    assert context == 'mine'
    assert isinstance(pdu, Malformed)
    assert (pdu.received_command_id, pdu.command_status) == (CommandId.SUBMIT_SM_RESP, status)
    assert pdu.error == CommandStatus.ESME_RINVMSGID
    assert sent_by(pair.esme.session) == []


@pytest.mark.wire('A9')
@pytest.mark.parametrize(
    ('name', 'status'),
    [
        ('service_type', CommandStatus.ESME_RINVPARLEN),
        ('source_addr', CommandStatus.ESME_RINVSRCADR),
        ('destination_addr', CommandStatus.ESME_RINVDSTADR),
    ],
)
def test_a_parameter_that_is_too_long_has_the_status_of_its_kind(name, status):
    session = session_in(Role.SMSC, State.BOUND_TRX)
    pdu = SubmitSm(9)
    setattr(pdu, name, b'mark')
    octets = encode(pdu).replace(b'mark', b'x' * 30)
    session.receive(len(octets).to_bytes(4, 'big') + octets[4:], START)
    assert shown(sent_by(session)) == [('SUBMIT_SM_RESP', 9, status)]
    assert session.state is State.BOUND_TRX


@pytest.mark.wire('A17')
@pytest.mark.parametrize(('error_bodies', 'size'), [(False, 16), (True, 17)])
def test_error_responses_have_an_empty_body_or_none_whoever_makes_them(error_bodies, size):
    pair = Pair(smsc=SessionSettings(receive_window=2, error_bodies=error_bodies)).bind()
    session = pair.smsc.session
    session.receive(b''.join(encode(SubmitSm(number)) for number in (1, 2, 3)), START)
    session.refuse(SubmitSm(1), CommandStatus.ESME_RSYSERR)
    session.respond(SubmitSmResp(2, CommandStatus.ESME_RSUBMITFAIL))
    session.receive(raw(CommandId.SUBMIT_SM, 4, b'x') + encode(BindReceiver(5)), START)
    octets = session.take_octets(START)
    assert [pdu.sequence_number for pdu in pdus_of(octets)] == [3, 1, 2, 4, 5]
    assert len(octets) == 5 * size


@pytest.mark.wire('A17')
def test_responses_without_a_parameter_never_have_a_body():
    session = session_in(Role.SMSC, State.OPEN, SessionSettings(error_bodies=True))
    session.receive(encode(Unbind(3)) + raw(CommandId.BROADCAST_SM), START)
    assert len(session.take_octets(START)) == 2 * 16


@pytest.mark.wire('A15', 'A16')
@pytest.mark.parametrize('body', [b'', b'\0', b'some-id\0'])
@pytest.mark.parametrize('status', [0x22, 0x45, 0x400, 0xFFFFFFFF])
def test_an_error_response_is_a_response_with_or_without_a_body(status, body):
    pair = Pair().bind()
    pair.esme.request(SubmitSm(), 'mine')
    pair.exchange()
    octets = raw(CommandId.SUBMIT_SM_RESP, 2, body)
    received = pair.esme.receive(octets[:8] + status.to_bytes(4, 'big') + octets[12:], START)
    assert [(context, pdu.command_status) for context, pdu in received.responses] == [('mine', status)]


@pytest.mark.wire('A18')
def test_a_second_response_is_counted_and_dropped():
    pair = Pair().bind()
    pair.esme.request(SubmitSm())
    pair.exchange()
    octets = encode(SubmitSmResp(2, 0, b'id'))
    assert len(pair.esme.receive(octets + octets, START).responses) == 1
    assert pair.esme.session.unmatched_responses == 1


@pytest.mark.wire('F10')
def test_responses_out_of_order_find_their_requests():
    pair = Pair().bind()
    for context in ('a', 'b', 'c'):
        pair.esme.request(SubmitSm(), context)
    pair.exchange()
    octets = b''.join(encode(SubmitSmResp(number, 0, b'id')) for number in (4, 2, 3))
    assert [context for context, _ in pair.esme.receive(octets, START).responses] == ['c', 'a', 'b']


# Windows and sequence numbers


@pytest.mark.wire('C4')
def test_requests_beyond_the_window_are_throttled_and_the_earlier_ones_stand():
    pair = Pair(SessionSettings(send_window=100), SessionSettings(receive_window=3)).bind()
    for _ in range(5):
        pair.esme.request(SubmitSm())
    pair.exchange()
    assert [pdu.sequence_number for pdu in pair.smsc.requests] == [2, 3, 4]
    assert [(pdu.sequence_number, pdu.command_status) for _, pdu in pair.esme.responses] == [
        (5, CommandStatus.ESME_RTHROTTLED),
        (6, CommandStatus.ESME_RTHROTTLED),
    ]
    assert pair.smsc.session.throttled == 2
    pair.smsc.answer_all()
    pair.esme.request(SubmitSm())
    pair.exchange()
    assert [pdu.sequence_number for pdu in pair.smsc.requests] == [7]


@pytest.mark.wire('B15', 'B18')
def test_enquire_link_is_answered_when_the_window_is_full_and_uses_none_of_it():
    pair = Pair(smsc=SessionSettings(receive_window=1)).bind()
    pair.esme.request(SubmitSm())
    pair.exchange()
    session = pair.smsc.session
    session.receive(b''.join(encode(EnquireLink(number)) for number in range(100, 150)), START)
    assert shown(sent_by(session)) == [('ENQUIRE_LINK_RESP', number, 0) for number in range(100, 150)]
    assert (session.unanswered, session.throttled) == (1, 0)


@pytest.mark.wire('A2')
def test_fifty_pdus_in_one_read_get_fifty_responses():
    pair = Pair(smsc=SessionSettings(receive_window=50)).bind()
    pair.smsc.receive(b''.join(encode(SubmitSm(number)) for number in range(1, 51)), START)
    pair.smsc.answer_all()
    assert [pdu.sequence_number for pdu in sent_by(pair.smsc.session)] == list(range(1, 51))


@pytest.mark.wire('A1')
def test_octets_one_by_one_are_the_same_as_whole():
    session = session_in(Role.SMSC, State.BOUND_TRX)
    found: list[Any] = [pdu for octet in encode(SUBMIT) * 2 for pdu in session.receive(bytes([octet]), START).requests]
    assert [pdu.short_message for pdu in found] == [b'hello', b'hello']


@pytest.mark.wire('A19')
@pytest.mark.parametrize('sequence_number', [0, 0x80000000, 0xFFFFFFFF])
def test_any_sequence_number_of_the_peer_is_echoed(sequence_number):
    session = session_in(Role.SMSC, State.BOUND_TRX)
    (request,) = session.receive(encode(SubmitSm(sequence_number)), START).requests
    session.respond(SubmitSmResp(request.sequence_number))
    session.receive(encode(EnquireLink(sequence_number)), START)
    assert [pdu.sequence_number for pdu in sent_by(session)] == [sequence_number] * 2


@pytest.mark.wire('A20')
def test_our_sequence_numbers_start_at_1_and_rise():
    pair = Pair().bind()
    for _ in range(3):
        pair.esme.request(SubmitSm())
        pair.smsc.request(DeliverSm())
    pair.exchange()
    numbers = {
        name: [pdu.sequence_number for who, pdu in pair.log if who == name and not pdu.is_response]
        for name in ('esme', 'smsc')
    }
    assert numbers == {'esme': [1, 2, 3, 4], 'smsc': [1, 2, 3]}


@pytest.mark.wire('A20')
def test_our_sequence_numbers_wrap_to_1_and_pass_over_those_that_are_pending():
    session = session_in(Role.ESME, State.OPEN)
    session.window.size = 100
    session._sequence_number = MAX_SEQUENCE_NUMBER - 2
    for number in (MAX_SEQUENCE_NUMBER, 1, 2, 4):
        session.window.add(number, 'pending')
    for _ in range(3):
        session.request(SubmitSm(), 'new')
    assert [pdu.sequence_number for pdu in sent_by(session)] == [MAX_SEQUENCE_NUMBER - 1, 3, 5]


def test_a_request_that_cannot_be_encoded_leaves_nothing_outstanding():
    session = session_in(Role.ESME, State.BOUND_TRX)
    with pytest.raises(PduError):
        session.request(SubmitSm(destination_addr=b'1' * 99), 'context')
    assert session.window.pending == {}
    assert sent_by(session) == []
    session.request(SubmitSm(), 'next')
    assert len(sent_by(session)) == 1


def test_what_is_outstanding_at_the_end_is_handed_back_but_not_the_sessions_own():
    session = session_in(Role.ESME, State.BOUND_TRX, SessionSettings(enquire_link_s=1))
    session.request(SubmitSm(), 'first')
    session.handle_timer(START + 2)
    session.request(SubmitSm(), 'second')
    session.end('connection lost')
    assert session.drop_outstanding() == ['first', 'second']
    assert session.drop_outstanding() == []


@given(st.lists(st.binary(max_size=80), max_size=20), st.sampled_from(list(Role)), st.sampled_from(list(State)))
@pytest.mark.wire('A22')
def test_random_octets_never_raise(chunks, role, state):
    session = session_in(role, state)
    for chunk in chunks:
        session.receive(chunk, START)
        sent_by(session)


HEADERS = st.builds(
    raw,
    st.sampled_from([*CLASSES, 0x999, 0x80000999]),
    st.integers(0, 5),
    st.binary(max_size=60),
)


@given(st.lists(HEADERS, max_size=12), st.sampled_from(list(Role)), st.sampled_from(list(State)))
@pytest.mark.wire('A22')
def test_framed_nonsense_never_raises_and_every_request_is_answered(pdus, role, state):
    session = session_in(role, state)
    received = session.receive(b''.join(pdus), START)
    for pdu in received.requests:
        if pdu.command_id != CommandId.ALERT_NOTIFICATION and pdu.command_id not in {
            bind.command_id for bind in BINDS.values()
        }:
            session.refuse(pdu, CommandStatus.ESME_RSYSERR)
    answers = pdus_of(session.take_octets(START))
    asked = [
        octets
        for octets in pdus
        if not octets[4] & 0x80
        and int.from_bytes(octets[4:8], 'big') not in {CommandId.ALERT_NOTIFICATION, CommandId.OUTBIND}
    ]
    left = sum(isinstance(pdu, tuple(BINDS.values())) for pdu in received.requests)
    assert len(answers) == len(asked) - left
    assert session.unanswered == 0
