"""Binds, their states, their ends, and their timers."""

import argon2
import pytest

from pdu import pdus
from pdu.codec import encode
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from pdu.tlvs import Tag, find
from smpp.session import MAX_SEQUENCE_NUMBER
from tests.product.peers import submit
from tests.product.running import PASSWORD, account, everywhere_bound, upstream
from tests.product.waiting import until

REQUESTS = [
    pdus.SubmitSm(destination_addr=b'79161234567'),
    pdus.QuerySm(message_id=b'1'),
    pdus.CancelSm(message_id=b'1'),
    pdus.ReplaceSm(message_id=b'1'),
    pdus.DataSm(destination_addr=b'79161234567'),
    pdus.DeliverSm(),
    pdus.Unbind(),
]


@pytest.mark.wire('B1')
@pytest.mark.parametrize('bind', [pdus.BindTransmitter, pdus.BindReceiver, pdus.BindTransceiver])
async def test_each_bind_is_answered_by_its_own_response(stranger, bind):
    request = bind(0x1234, system_id=b'bank', password=PASSWORD.encode(), interface_version=0x34)
    stranger.send(request)
    response = await stranger.take(pdus.BindResp)
    assert response.command_id == bind.command_id | 0x80000000
    assert (response.command_status, response.sequence_number, response.system_id) == (0, 0x1234, b'smsc')


@pytest.mark.wire('B2', 'B3')
@pytest.mark.parametrize(
    ('version', 'told'), [(0x00, None), (0x33, None), (0x34, b'\x34'), (0x40, b'\x34'), (0x50, b'\x50')]
)
async def test_the_version_is_told_to_those_that_may_know_of_it(stranger, version, told):
    response = await stranger.bind('bank', PASSWORD, interface_version=version)
    assert response.command_status == 0
    assert find(response.tlvs, Tag.SC_INTERFACE_VERSION) == told
    assert len(response.tlvs) == (told is not None)


@pytest.mark.wire('B2', 'E3')
@pytest.mark.parametrize('version', [0x00, 0x33])
async def test_an_esme_of_3_3_gets_no_tlv_in_all_its_session(server, bind, version):
    esme = await bind(server, interface_version=version)
    response = await esme.ask(submit())
    assert (response.command_status, response.tlvs) == (0, ())
    await esme.receipts(1)
    assert esme.delivered[0].tlvs == ()


@pytest.mark.wire('B4')
async def test_who_may_bind_can_be_hidden(product, start_smsc, connect):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, smpp={'bind_errors': 'same'})
    for system_id, password in (('bank', 'wrong'), ('nobody', PASSWORD)):
        stranger = await connect(found)
        assert (await stranger.bind(system_id, password)).command_status == CommandStatus.ESME_RBINDFAIL
        await stranger.ended()


@pytest.mark.wire('B7')
@pytest.mark.parametrize('status', [CommandStatus.ESME_RALYBND, 0x0405])
async def test_too_many_binds_may_be_told_otherwise_and_a_reset_frees_one(product, start_smsc, bind, connect, status):
    smsc = await start_smsc()
    told = status.name if isinstance(status, CommandStatus) else status
    found = await product(
        upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(binds=1)}, smpp={'too_many_binds': told}
    )
    first = await bind(found)
    second = await connect(found)
    assert (await second.bind('bank', PASSWORD)).command_status == status
    await second.ended()
    await first.reset()
    await until(lambda: not found.node.core.accounts['bank'].sessions)
    await bind(found)


@pytest.mark.wire('B6')
async def test_a_second_bind_is_refused_and_the_first_goes_on(esme):
    response = await esme.bind('bank', PASSWORD, pdus.BindReceiver)
    assert type(response) is pdus.BindReceiverResp
    assert response.command_status == CommandStatus.ESME_RALYBND
    assert await esme.submit(registered_delivery=0)


@pytest.mark.wire('B8')
@pytest.mark.parametrize('request_', REQUESTS, ids=lambda request: type(request).__name__)
async def test_before_a_bind_requests_are_refused_and_the_socket_stays(stranger, request_):
    response = await stranger.ask(request_)
    assert type(response) is pdus.CLASSES[request_.command_id | 0x80000000]
    assert response.command_status == CommandStatus.ESME_RINVBNDSTS
    assert (await stranger.bind('bank', PASSWORD)).command_status == 0


@pytest.mark.wire('B10')
async def test_a_receiver_may_not_submit_and_stays_bound(server, bind):
    receiver = await bind(server, bind=pdus.BindReceiver)
    response = await receiver.ask(submit())
    assert (type(response), response.command_status) == (pdus.SubmitSmResp, CommandStatus.ESME_RINVBNDSTS)
    assert await receiver.settled() == []


@pytest.mark.wire('B12', 'B13')
async def test_unbind_comes_after_the_answers_that_are_owed_and_ends_the_session(esme):
    requests = [submit(registered_delivery=0, sequence_number=number) for number in range(1, 51)]
    esme.send(*requests, pdus.Unbind(51), submit(sequence_number=52))
    answers: list[pdus.Pdu] = []
    while not any(type(answer) is pdus.UnbindResp for answer in answers):
        answers.append(await esme.take())
    *before, last = answers
    assert last.sequence_number == 51
    by_number = {answer.sequence_number: answer.command_status for answer in before}
    assert by_number.pop(52, None) in (CommandStatus.ESME_RINVBNDSTS, None)
    assert by_number == dict.fromkeys(range(1, 51), 0)
    await esme.close()


@pytest.mark.wire('B12', 'E9')
async def test_no_receipt_comes_after_unbind_resp_and_the_next_bind_gets_it(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    esme = await bind(found)
    await esme.submit()
    await smsc.submitted(1)
    assert type(await esme.ask(pdus.Unbind())) is pdus.UnbindResp
    await smsc.deliver_receipt(smsc.given[0])
    await until(lambda: found.node.core.finals[MessageState.DELIVERED])
    assert await esme.settled() == []
    assert esme.delivered == []
    assert len(await (await bind(found)).receipts(1)) == 1


@pytest.mark.wire('B13')
async def test_requests_after_unbind_are_refused(esme):
    assert type(await esme.ask(pdus.Unbind())) is pdus.UnbindResp
    response = await esme.ask(submit())
    assert response.command_status == CommandStatus.ESME_RINVBNDSTS


@pytest.mark.wire('B15')
async def test_enquire_link_is_answered_in_every_state(server, stranger, bind):
    assert type(await stranger.ask(pdus.EnquireLink())) is pdus.EnquireLinkResp
    for kind in (pdus.BindTransmitter, pdus.BindReceiver, pdus.BindTransceiver):
        esme = await bind(server, bind=kind)
        assert type(await esme.ask(pdus.EnquireLink())) is pdus.EnquireLinkResp
        await esme.ask(pdus.Unbind())
        assert type(await esme.ask(pdus.EnquireLink())) is pdus.EnquireLinkResp


@pytest.mark.wire('B15', 'C4')
async def test_enquire_link_is_answered_while_both_windows_are_full(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(window=2)})
    esme = await bind(found)
    esme.acknowledge = False
    await esme.submit_all(submit() for _ in range(2))
    await esme.submit_all([submit()])
    await smsc.submitted(3)
    for message_id in list(smsc.given):
        await smsc.deliver_receipt(message_id)
    await esme.take_many(2, pdus.DeliverSm)
    # In one segment, so that the first two are not answered before the last is read.
    esme.send(*(submit(sequence_number=number) for number in (101, 102, 103)), pdus.EnquireLink(104))
    answers = await esme.take_many(4)
    assert {answer.sequence_number: answer.command_status for answer in answers} == {
        101: 0,
        102: 0,
        103: CommandStatus.ESME_RTHROTTLED,
        104: 0,
    }
    assert [answer.sequence_number for answer in answers[:2]] == [103, 104]
    assert await esme.settled() == []  # the third receipt waits for the window


@pytest.mark.wire('C4')
async def test_beyond_the_window_the_answer_may_be_another(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        accounts={'bank': account(window=2)},
        smpp={'window_exceeded': 'ESME_RMSGQFUL'},
    )
    esme = await bind(found)
    answers = await esme.ask_all(submit() for _ in range(4))
    assert [answer.command_status for answer in answers] == [0, 0] + [CommandStatus.ESME_RMSGQFUL] * 2
    assert await esme.submit()
    assert await found.metric('smsc_refused_total', account='bank', command_status='ESME_RMSGQFUL') == 2


@pytest.mark.wire('C4')
async def test_beyond_the_window_an_esme_may_be_made_to_wait(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(window=2)}, smpp={'window_exceeded': 'wait'}
    )
    esme = await bind(found)
    (session,) = (owner.connection for owner in found.node.core.accounts['bank'].sessions)
    paused: list[str] = []
    pause = session.pause_reading

    def note(reason):
        paused.append(reason)
        pause(reason)

    session.pause_reading = note
    answers = await esme.ask_all(submit(registered_delivery=0) for _ in range(5_000))
    assert {answer.command_status for answer in answers} == {0}
    assert 'unanswered' in paused
    assert await esme.submit()


@pytest.mark.wire('B18')
async def test_enquire_link_counts_against_neither_rate_nor_window(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(rate_per_s=1, window=1)})
    esme = await bind(found)
    answers = await esme.ask_all(pdus.EnquireLink() for _ in range(500))
    assert {type(answer) for answer in answers} == {pdus.EnquireLinkResp}
    assert {answer.command_status for answer in answers} == {0}
    assert await esme.submit()


@pytest.mark.wire('B24')
async def test_a_long_password_may_be_configured(product, start_smsc, bind, connect):
    smsc = await start_smsc()
    password = 'p' * 32
    found = await product(upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(password=password)})
    assert await (await bind(found, password=password)).submit()
    short = await connect(found)
    assert (await short.bind('bank', password[:8])).command_status == CommandStatus.ESME_RINVPASWD


@pytest.mark.wire('B24')
@pytest.mark.parametrize('size', [9, 64, 65])
async def test_a_long_password_is_refused_where_that_is_configured(product, start_smsc, bind, connect, size):
    smsc = await start_smsc()
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        accounts={'bank': account(password=None, password_hash=hasher.hash(b'p' * size)), 'other': account()},
        smpp={'long_passwords': False},
    )
    stranger = await connect(found)
    request = pdus.BindTransceiver(1, system_id=b'bank', password=b'mark', interface_version=0x34)
    octets = encode(request).replace(b'mark', b'p' * size)
    stranger.send_octets(len(octets).to_bytes(4, 'big') + octets[4:])
    assert (await stranger.take(pdus.BindTransceiverResp)).command_status == CommandStatus.ESME_RINVPASWD
    await bind(found, 'other')


# Timers


@pytest.fixture
async def timed(product, start_smsc):
    """A product that is impatient."""
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        smpp={
            'session_init_s': 0.5,
            'enquire_link_s': 0.5,
            'response_timeout_s': 1,
            'inactivity_s': 3,
            'unbind_timeout_s': 0.5,
        },
    )
    await everywhere_bound(smsc)
    return found


@pytest.mark.wire('B9')
async def test_a_connection_without_a_bind_is_closed_in_time(timed, connect, bind):
    stranger = await connect(timed)
    esme = await bind(timed)
    await stranger.ended(timeout_s=3)
    assert stranger.inbox == []
    assert await esme.submit()


@pytest.mark.wire('B16')
async def test_a_silent_esme_is_asked_and_cut_off_when_it_does_not_answer(timed, bind):
    esme = await bind(timed)
    esme.send = lambda *requests: None
    await until(lambda: b'\0\0\0\x10\0\0\0\x15' in esme.octets_read, timeout_s=3)
    await esme.ended(timeout_s=4)
    await until(lambda: not timed.node.core.accounts['bank'].sessions)


@pytest.mark.wire('B17', 'B14')
async def test_an_esme_without_messages_is_unbound_although_it_answers_enquire_link(timed, bind):
    esme = await bind(timed)
    esme.parts = False
    await esme.take(pdus.Unbind, timeout_s=8)
    assert b'\0\0\0\x10\0\0\0\x15' in esme.octets_read
    await esme.ended(timeout_s=3)


# Our side as an ESME


@pytest.mark.wire('A20')
async def test_our_sequence_numbers_rise_and_wrap_around_what_is_pending(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    assert smsc.binds[0].sequence_number == 1
    esme = await bind(found)
    smsc.script = lambda pdu: None
    await esme.submit_all(submit() for _ in range(2))
    await smsc.submitted(2)
    assert [pdu.sequence_number for pdu in smsc.submits] == [2, 3]
    link = found.node.core.upstreams['mts'].links[0]
    link.connection.session._sequence_number = MAX_SEQUENCE_NUMBER - 2
    await esme.submit_all(submit() for _ in range(4))
    await smsc.submitted(6)
    numbers = [pdu.sequence_number for pdu in smsc.submits[2:]]
    assert numbers == [MAX_SEQUENCE_NUMBER - 1, MAX_SEQUENCE_NUMBER, 1, 4]  # 2 and 3 are pending


@pytest.mark.wire('B20')
async def test_an_outbind_on_our_link_changes_nothing(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    smsc.bound[0].send(pdus.Outbind(1, system_id=b'mts', password=b'x'))
    assert await smsc.bound[0].settled() == []
    esme = await bind(found)
    await esme.submit()
    await smsc.submitted(1)
    assert len(smsc.binds) == 1


@pytest.mark.wire('A16', 'A15')
@pytest.mark.parametrize('body', [b'', b'\0'], ids=['no body', 'empty message_id'])
@pytest.mark.parametrize('status', [0x0B, 0x22, 0x413])
async def test_an_error_response_may_have_a_body_or_none(product, start_smsc, bind, body, status):
    smsc = await start_smsc()
    smsc.script = lambda pdu: None
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    await esme.submit()
    (sent,) = await smsc.submitted(1)
    whole = encode(pdus.SubmitSmResp(sent.sequence_number, status), error_body=bool(body))
    assert len(whole) == 16 + len(body)
    smsc.bound[0].send_octets(whole)
    (receipt,) = await esme.receipts(1)
    assert receipt.raw_state == b'UNDELIV'
    assert len(smsc.binds) == 1
