"""What happens to requests beyond the window of the peer, and what a message of many segments takes of it."""

import pytest

from pdu.codec import encode
from pdu.pdus import EnquireLink, SubmitSm, SubmitSmResp, Unbind
from pdu.status import CommandStatus
from smpp.session import SessionSettings
from smpp.states import State
from tests.smpp.pair import START, Pair, sent_by

FULL = CommandStatus.ESME_RMSGQFUL


def bound(window, **settings):
    """The SMSC's session, with a window of this size each way."""
    session = Pair(smsc=SessionSettings(**settings)).bind().smsc.session
    session.set_window(window)
    return session


def submits(session, *numbers):
    """The sequence_numbers of what the owner is given of these."""
    octets = b''.join(encode(SubmitSm(number)) for number in numbers)
    return [pdu.sequence_number for pdu in session.receive(octets, START).requests]


def answers(session):
    return [(pdu.sequence_number, pdu.command_status) for pdu in sent_by(session)]


@pytest.mark.wire('C4')
@pytest.mark.parametrize('status', [CommandStatus.ESME_RTHROTTLED, FULL])
def test_requests_beyond_the_window_get_the_status_that_is_set(status):
    session = bound(2, window_exceeded=status)
    assert submits(session, 1, 2, 3, 4) == [1, 2]
    session.respond(SubmitSmResp(1, 0, b'id'))
    assert submits(session, 5) == [5]
    assert answers(session) == [(3, status), (4, status), (1, 0)]
    assert session.throttled == 2


@pytest.mark.wire('C4')
def test_where_requests_are_to_wait_none_is_refused_and_reading_is_to_stop_at_the_window():
    session = bound(3, window_exceeded=0)
    assert submits(session, 1, 2) == [1, 2]
    assert session.unanswered <= session.pause_above
    assert submits(session, 3, 4, 5) == [3, 4, 5]
    assert session.unanswered > session.pause_above
    assert answers(session) == []
    for number in (1, 2, 3):
        session.respond(SubmitSmResp(number, 0, b'id'))
    assert session.unanswered <= session.pause_above
    assert session.throttled == 0


@pytest.mark.wire('C4', 'B16')
def test_a_peer_that_is_not_read_is_not_taken_for_silent():
    session = bound(1, window_exceeded=0, enquire_link_s=30, inactivity_s=30)
    submits(session, 1)
    session.handle_timer(START + 31)
    assert answers(session) == []
    assert session.state is State.BOUND_TRX
    session.respond(SubmitSmResp(1, 0, b'id'))
    session.receive(encode(EnquireLink(2)), START + 32)
    assert answers(session) == [(1, 0), (2, 0)]


@pytest.mark.wire('C6')
def test_a_message_counts_its_segments_in_the_window():
    session = bound(5)
    assert submits(session, 1, 2) == [1, 2]
    assert session.hold(2)
    assert not session.hold(2)
    assert submits(session, 3, 4) == [3]
    session.free(2)
    session.respond(SubmitSmResp(1, 0, b'id'))
    assert session.unanswered == 2
    assert submits(session, 5, 6, 7, 8) == [5, 6, 7]


@pytest.mark.wire('C6')
def test_a_message_of_more_segments_than_the_window_passes_when_it_is_alone():
    session = bound(5)
    submits(session, 1)
    assert session.hold(9)
    assert submits(session, 2) == []


@pytest.mark.wire('C6', 'B12')
@pytest.mark.parametrize('freed_first', [True, False])
def test_an_unbind_waits_for_a_message_of_many_segments(freed_first):
    session = bound(9)
    submits(session, 1)
    assert session.hold(3)
    session.receive(encode(Unbind(2)), START)
    if freed_first:
        session.free(3)
        assert answers(session) == []
        session.respond(SubmitSmResp(1, 0, b'id'))
    else:
        session.respond(SubmitSmResp(1, 0, b'id'))
        session.free(3)
    assert answers(session) == [(1, 0), (2, 0)]
