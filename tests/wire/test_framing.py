"""Octets that are no SMPP, or not quite: what is answered, what is closed, and that nobody else notices."""

import random

import pytest

from pdu import pdus
from pdu.codec import encode
from pdu.status import CommandStatus
from pdu.tlvs import Tag
from tests.product.peers import Esme, submit
from tests.product.running import PASSWORD, account, upstream


def octets_of(**changes):
    """A submit_sm that asks for no receipt, as octets."""
    return bytearray(encode(pdus.SubmitSm(**{'sequence_number': 7} | fields(changes))))


def fields(changes):
    pdu = submit(registered_delivery=0)
    return {name: getattr(pdu, name) for name in pdu.__struct_fields__[2:]} | changes


async def alive(esme):
    """The session takes a message."""
    assert await esme.submit(registered_delivery=0)


@pytest.mark.wire('A1')
async def test_a_pdu_may_come_octet_by_octet(esme):
    octets = bytes(octets_of())
    for octet in octets:
        esme.send_octets(bytes([octet]))
        await esme.writer.drain()
    assert (await esme.take(pdus.SubmitSmResp, 7)).command_status == 0


@pytest.mark.wire('A1')
async def test_a_short_pdu_behind_a_long_one_may_come_octet_by_octet(server, esme, bind):
    other = await bind(server)
    for octet in bytes(octets_of()) + encode(pdus.EnquireLink(8)):
        esme.send_octets(bytes([octet]))
        await other.ask(pdus.EnquireLink())  # by then the octet has been read
    await esme.take(pdus.SubmitSmResp, 7)
    await esme.take(pdus.EnquireLinkResp, 8)


@pytest.mark.wire('A1')
async def test_a_pdu_may_be_cut_anywhere(esme):
    octets = bytes(octets_of())
    whole, count = octets * len(octets), 0
    # Each piece ends one octet later within its PDU than the piece before.
    for start in range(0, len(whole), len(octets) + 1):
        esme.send_octets(whole[start : start + len(octets) + 1])
        await esme.writer.drain()
        count += 1
    assert count > 60
    responses = await esme.take_many(len(octets), pdus.SubmitSmResp)
    assert {response.command_status for response in responses} == {0}


@pytest.mark.wire('A2', 'C3')
async def test_fifty_pdus_in_one_segment_get_fifty_responses(esme):
    numbers = list(range(100, 150))
    esme.send(*(submit(registered_delivery=0, sequence_number=number) for number in numbers))
    responses = await esme.take_many(50, pdus.SubmitSmResp)
    assert sorted(response.sequence_number for response in responses) == numbers
    assert len({response.message_id for response in responses}) == 50
    assert await esme.settled() == []


@pytest.mark.wire('A3')
@pytest.mark.parametrize('command_length', [0, 4, 15])
@pytest.mark.parametrize('who', ['esme', 'stranger'])
async def test_a_command_length_below_a_header_ends_the_connection(esme, stranger, who, command_length):
    peer = esme if who == 'esme' else stranger
    peer.send_octets(command_length.to_bytes(4, 'big') + b'\0\0\0\x15' + b'\0\0\0\0' + b'\0\0\0\x05')
    nack = await peer.take()
    assert (type(nack), nack.command_status) == (pdus.GenericNack, CommandStatus.ESME_RINVCMDLEN)
    await peer.ended()


@pytest.mark.wire('A4')
@pytest.mark.parametrize('command_length', [73_729, 0x7FFFFFFF, 0xFFFFFFFF])
async def test_a_command_length_over_the_bound_ends_the_connection(server, esme, stranger, command_length):
    before = (await server.status()).memory_mb
    stranger.send_octets(command_length.to_bytes(4, 'big') + b'\0\0\0\x04' + b'\0' * 8)
    nack = await stranger.take()
    assert (type(nack), nack.command_status) == (pdus.GenericNack, CommandStatus.ESME_RINVCMDLEN)
    await stranger.ended()
    await alive(esme)
    assert (await server.status()).memory_mb < before + 10


@pytest.mark.wire('A4')
async def test_the_largest_message_payload_is_within_the_bound(esme):
    response = await esme.ask(submit(b'', tlvs=((Tag.MESSAGE_PAYLOAD, b'x' * 65_535),), registered_delivery=0))
    assert type(response) is pdus.SubmitSmResp
    assert response.command_status in (0, CommandStatus.ESME_RINVMSGLEN)  # it may have more segments than a message can
    await alive(esme)


@pytest.mark.wire('A5')
@pytest.mark.parametrize(
    'octets',
    [
        b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
        b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\x5a' * 64,
        b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
        bytes([0xFF]) + random.Random(1).randbytes(500),
    ],
    ids=['HTTP', 'TLS', 'PROXY', 'noise'],
)
async def test_another_protocol_is_told_so_and_cut_off(server, esme, stranger, octets):
    stranger.send_octets(octets)
    nack = await stranger.take()
    assert (type(nack), nack.command_status) == (pdus.GenericNack, CommandStatus.ESME_RINVCMDLEN)
    await stranger.ended()
    await alive(esme)


@pytest.mark.wire('A6')
@pytest.mark.parametrize('command_id', [0x99, 0x111, 0x0001_0001, 0x7FFF_FFFF])
async def test_an_unknown_command_gets_generic_nack_and_the_session_stays(esme, command_id):
    esme.send_octets((20).to_bytes(4, 'big') + command_id.to_bytes(4, 'big') + b'\0\0\0\0' + b'\0\0\x12\x34' + b'body')
    nack = await esme.take()
    assert type(nack) is pdus.GenericNack
    assert (nack.command_status, nack.sequence_number) == (CommandStatus.ESME_RINVCMDID, 0x1234)
    await alive(esme)


@pytest.mark.wire('A7')
@pytest.mark.parametrize(
    'request_',
    [
        pdus.QuerySm(message_id=b'1'),
        pdus.CancelSm(message_id=b'1'),
        pdus.ReplaceSm(message_id=b'1'),
        pdus.SubmitMulti(),
        pdus.DataSm(destination_addr=b'79161234567'),
        pdus.DeliverSm(),
    ],
    ids=lambda request: type(request).__name__,
)
async def test_a_command_with_nothing_to_act_on_is_answered_all_the_same(esme, request_):
    response = await esme.ask(request_)
    assert type(response) in (pdus.CLASSES[request_.command_id | 0x8000_0000], pdus.GenericNack)
    assert response.command_status != 0
    await alive(esme)


@pytest.mark.wire('A7')
async def test_commands_without_a_response_are_not_answered_and_do_no_harm(esme):
    esme.send(pdus.AlertNotification(1), pdus.Outbind(2))
    assert await esme.settled() == []
    await alive(esme)


@pytest.mark.wire('A8', 'A18')
async def test_generic_nack_and_responses_nobody_asked_for_are_not_answered(esme):
    esme.send(pdus.GenericNack(5, 3), pdus.DeliverSmResp(4711), pdus.SubmitSmResp(4712, 0, b'1'), pdus.UnbindResp(4713))
    assert await esme.settled() == []
    await alive(esme)


@pytest.mark.wire('A9')
@pytest.mark.parametrize('case', ['no NUL', 'too long', 'sm_length', 'cut short'])
async def test_a_broken_mandatory_parameter_is_refused_in_its_own_response(esme, case):
    octets = octets_of(short_message=b'', service_type=b'')
    if case == 'no NUL':
        octets = octets[:16] + b'\0\5\0MyBank'
    elif case == 'too long':
        octets = octets[:16] + b'longer' + octets[16:]
    elif case == 'sm_length':
        octets[-1] = 200
    else:
        octets = octets[:30]
    octets[:4] = len(octets).to_bytes(4, 'big')
    esme.send_octets(bytes(octets))
    response = await esme.take()
    assert type(response) in (pdus.SubmitSmResp, pdus.GenericNack)
    assert response.sequence_number == 7
    assert response.command_status in (
        CommandStatus.ESME_RINVMSGLEN,
        CommandStatus.ESME_RINVCMDLEN,
        CommandStatus.ESME_RINVPARLEN,
    )
    await alive(esme)


@pytest.mark.wire('A10')
async def test_odd_lengths_are_refused_or_passed_and_never_break_anything(esme):
    octets = octets_of(short_message=b'x' * 254)
    octets[-255] = 255
    octets += b'x'
    octets[:4] = len(octets).to_bytes(4, 'big')
    esme.send_octets(bytes(octets))
    assert (await esme.take(pdus.SubmitSmResp, 7)).command_status in (0, CommandStatus.ESME_RINVMSGLEN)
    assert await esme.submit(b'odd', data_coding=8, registered_delivery=0)
    await alive(esme)


@pytest.mark.wire('A11')
@pytest.mark.parametrize('tail', [b'\x02\x04\x00\x09\x01', b'\x02\x04\x00', b'\x02'])
async def test_a_tlv_that_reaches_past_the_end_is_refused(esme, tail):
    octets = octets_of() + tail
    octets[:4] = len(octets).to_bytes(4, 'big')
    esme.send_octets(bytes(octets))
    assert (await esme.take(pdus.SubmitSmResp, 7)).command_status == CommandStatus.ESME_RINVOPTPARSTREAM
    await alive(esme)


@pytest.mark.wire('A14')
@pytest.mark.parametrize(
    'tlv', [(Tag.USER_MESSAGE_REFERENCE, b'\1'), (Tag.SAR_TOTAL_SEGMENTS, b''), (Tag.SOURCE_PORT, b'12345')]
)
async def test_a_tlv_of_the_wrong_size_is_refused(esme, tlv):
    response = await esme.ask(submit(tlvs=(tlv,)))
    assert response.command_status in (CommandStatus.ESME_RINVPARLEN, CommandStatus.ESME_RINVOPTPARAMVAL)
    await alive(esme)


@pytest.mark.wire('A19')
@pytest.mark.parametrize('sequence_number', [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
async def test_any_sequence_number_is_echoed(esme, sequence_number):
    esme.send(submit(registered_delivery=0, sequence_number=sequence_number))
    response = await esme.take(pdus.SubmitSmResp)
    assert (response.sequence_number, response.command_status) == (sequence_number, 0)


@pytest.mark.wire('A17')
@pytest.mark.parametrize(('error_bodies', 'octets'), [('omit', b''), ('empty', b'\0')])
async def test_error_responses_have_one_empty_parameter_or_no_body(product, start_smsc, connect, error_bodies, octets):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, smpp={'error_bodies': error_bodies})
    stranger = await connect(found)
    assert (await stranger.ask(submit())).command_status == CommandStatus.ESME_RINVBNDSTS
    assert (await stranger.bind('bank', 'wrong')).command_status == CommandStatus.ESME_RINVPASWD
    await stranger.ended()
    esme = await connect(found)
    assert (await esme.bind('bank', PASSWORD)).command_status == 0
    before = len(esme.octets_read)
    assert (await esme.ask(submit(destination_addr=b'none'))).command_status == CommandStatus.ESME_RINVDSTADR
    assert esme.octets_read[before + 16 :] == octets
    assert len(stranger.octets_read) == 2 * (16 + len(octets))


@pytest.mark.wire('A21')
async def test_half_a_pdu_and_silence_is_cut_off_and_delays_nobody(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        accounts={'bank': account()},
        smpp={'pdu_read_s': 1, 'session_init_s': 0},
    )
    half = encode(pdus.BindTransceiver(1, system_id=b'bank', password=PASSWORD.encode()))[:20]
    strangers = []
    for _ in range(1000):
        strangers.append(await Esme.connect(found.port))
        strangers[-1].send_octets(half)
    esme = await bind(found)
    assert not strangers[-1].gone  # the bind has waited for none of them
    for stranger in strangers:
        await stranger.ended()
        await stranger.close()
    await alive(esme)
