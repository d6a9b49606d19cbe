"""What a session knows of the peer's version, and that a peer of 3.3 gets no TLVs."""

from typing import Any

import pytest

from pdu.codec import encode
from pdu.pdus import BindTransceiver, BindTransceiverResp, DataSm, DeliverSm, DeliverSmResp, SubmitSmResp
from pdu.status import CommandStatus, PduError
from pdu.tlvs import Tag, integer, make
from smpp.states import Role, State
from tests.smpp.pair import START, Pair, session_in
from tests.smpp.pair import sent_by as pdus_sent_by

TLVS = (make(Tag.RECEIPTED_MESSAGE_ID, b'17'), make(Tag.MESSAGE_STATE, 2), (0x1400, b'vendor'))


def sent_by(session) -> list[Any]:
    """PDUs of whatever class, to look at their parameters."""
    return list(pdus_sent_by(session))


def payload(octets):
    return (make(Tag.MESSAGE_PAYLOAD, octets), *TLVS)


@pytest.mark.wire('B2', 'B3')
@pytest.mark.parametrize(
    ('version', 'told'),
    [(0, None), (0x33, None), (0x34, 0x34), (0x35, 0x34), (0x4F, 0x34), (0x50, 0x50), (0x51, 0x50), (0xFF, 0x50)],
)
def test_peers_of_3_4_and_later_are_told_the_version_that_holds(version, told):
    pair = Pair().bind(interface_version=version)
    assert integer(pair.log[-1][1].tlvs, Tag.SC_INTERFACE_VERSION) == told
    session = pair.smsc.session
    assert session.peer_version == version
    assert (session.takes_tlvs, session.speaks_5) == (told is not None, told == 0x50)
    assert pair.esme.session.peer_version == (told or 0x33)


@pytest.mark.wire('B2')
@pytest.mark.parametrize('version', [0, 0x33])
def test_an_esme_of_3_3_gets_no_tlvs_whatever_the_owner_sends(version):
    session = Pair().bind(interface_version=version).smsc.session
    given = DeliverSm(short_message=b'receipt', tlvs=TLVS)
    session.request(given, 'mine')
    session.receive(encode(DataSm(7)), START)
    session.respond(SubmitSmResp(7, 0, b'17', tlvs=(make(Tag.CONGESTION_STATE, 50),)))
    sent = sent_by(session)
    assert [(pdu.sequence_number, pdu.tlvs) for pdu in sent] == [(1, ()), (7, ())]
    assert sent[0].short_message == b'receipt'
    assert given.tlvs == TLVS  # it may go to another session yet
    assert session.window.pending == {1: 'mine'}


@pytest.mark.wire('B2')
def test_an_esme_of_3_3_gets_a_payload_as_its_short_message():
    session = Pair().bind(interface_version=0x33).smsc.session
    session.request(DeliverSm(tlvs=payload(b'x' * 254)), 'mine')
    (sent,) = sent_by(session)
    assert (sent.short_message, sent.tlvs) == (b'x' * 254, ())
    for pdu in (DeliverSm(tlvs=payload(b'x' * 255)), DataSm(tlvs=payload(b'x'))):
        with pytest.raises(PduError) as error:
            session.request(pdu, 'mine')
        assert error.value.command_status == CommandStatus.ESME_RINVMSGLEN
    assert sent_by(session) == []


@pytest.mark.parametrize('version', [0x34, 0x50])
def test_others_get_the_tlvs_they_are_sent(version):
    session = Pair().bind(interface_version=version).smsc.session
    session.request(DeliverSm(tlvs=TLVS), 'mine')
    session.receive(encode(DataSm(7)), START)
    session.respond(DeliverSmResp(7, tlvs=TLVS))
    assert [pdu.tlvs for pdu in sent_by(session)] == [TLVS, TLVS]


@pytest.mark.parametrize(
    ('told', 'version', 'takes_tlvs', 'speaks_5'),
    [(None, 0x33, True, False), (0x33, 0x33, False, False), (0x34, 0x34, True, False), (0x50, 0x50, True, True)],
)
def test_an_smsc_that_does_not_tell_its_version_may_take_tlvs(told, version, takes_tlvs, speaks_5):
    session = session_in(Role.ESME, State.OPEN)
    session.begin_bind(BindTransceiver(interface_version=0x34))
    tlvs = () if told is None else (make(Tag.SC_INTERFACE_VERSION, told),)
    session.receive(encode(BindTransceiverResp(1, tlvs=tlvs)), START)
    assert (session.peer_version, session.takes_tlvs, session.speaks_5) == (version, takes_tlvs, speaks_5)
