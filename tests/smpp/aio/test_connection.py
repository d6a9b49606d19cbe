"""Connections over real sockets: nobody who is slow, silent or broken holds up anybody else, or memory."""

import asyncio
import socket

import pytest

from pdu.codec import encode
from pdu.command import CommandId
from pdu.pdus import BindTransceiver, DeliverSm, EnquireLink, SubmitSm, SubmitSmResp
from pdu.tlvs import Tag
from smpp.aio.connection import STUCK_WRITER_S, WRITE_LIMIT_OCTETS
from smpp.aio.listener import Listener
from smpp.session import SessionSettings
from smpp.states import BOUND, State
from tests.smpp.aio.owner import TIMEOUT_S, Owner

LARGE = ((int(Tag.MESSAGE_PAYLOAD), b'x' * 60_000),)
WIDE = SessionSettings(send_window=100_000, receive_window=100_000)
BIND = encode(BindTransceiver(1, system_id=b'shop', interface_version=0x34))


async def read_pdu(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(TIMEOUT_S):
        head = await reader.readexactly(16)
        return head + await reader.readexactly(int.from_bytes(head[:4], 'big') - 16)


async def clogged(sockets, smsc):
    """A bound peer that reads nothing more, and our connection to it once it can be written to no more."""
    reader, writer = await sockets.plain(smsc.port)
    writer.write(BIND)
    await read_pdu(reader)
    (owner,) = smsc.owners
    connection = owner.connection
    connection._transport.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 12)
    while connection.writable:
        connection.session.window.reserve(1)
        connection.session.request(DeliverSm(tlvs=LARGE), 'receipt')
        connection.flush()
        await asyncio.sleep(0)
    return reader, writer, owner, connection


@pytest.mark.wire('E14')
async def test_a_peer_that_does_not_read_is_read_no_more_until_it_does(sockets):
    smsc = await sockets.smsc(WIDE)
    reader, writer, owner, connection = await clogged(sockets, smsc)
    writer.write(encode(SubmitSm(70)))
    other, theirs = await sockets.esme(smsc.port)
    theirs.session.window.reserve(1)
    theirs.session.request(SubmitSm(), 'mine')
    theirs.flush()
    await other.until(lambda: other.responses)
    assert owner.requests == []
    sent = len(connection.session.window.pending)
    owner.states.clear()
    for _ in range(sent):
        await read_pdu(reader)
    await owner.until(lambda: owner.requests)
    assert connection.writable
    assert owner.states == ['bound_trx']
    assert (await read_pdu(reader))[4:8] == CommandId.SUBMIT_SM_RESP.to_bytes(4, 'big')


@pytest.mark.wire('E14')
async def test_a_peer_that_goes_on_not_reading_is_cut(sockets):
    smsc = await sockets.smsc(WIDE)
    _, _, owner, connection = await clogged(sockets, smsc)
    now = asyncio.get_running_loop().time()
    connection.session.receive(encode(EnquireLink(9)), now + STUCK_WRITER_S - 2)  # not silent, only not reading
    connection.tick(now + STUCK_WRITER_S - 1)
    assert connection.session.state in BOUND
    connection.tick(now + STUCK_WRITER_S + 1)
    assert connection.session.close_reason == 'peer reads nothing'
    await owner.until(lambda: owner.lost is not None)
    assert set(owner.lost) == {'receipt'}
    await connection.closed
    await asyncio.sleep(0)
    assert smsc.listener.connections == set()


async def test_a_session_that_ended_is_cut_when_its_last_octets_are_not_read(sockets):
    smsc = await sockets.smsc(WIDE)
    _, _, owner, connection = await clogged(sockets, smsc)
    connection.session.end('kicked')
    connection.flush()
    now = asyncio.get_running_loop().time()
    connection.tick(now + 1)
    assert not connection.closed.done()
    connection.tick(now + STUCK_WRITER_S + 1)
    await owner.until(lambda: owner.lost is not None)


async def test_a_session_that_ended_is_cut_also_when_the_peer_reads_a_little(sockets):
    smsc = await sockets.smsc(WIDE)
    reader, _, owner, connection = await clogged(sockets, smsc)
    connection.session.end('kicked')
    connection.flush()
    while not connection.writable:
        async with asyncio.timeout(TIMEOUT_S):
            assert await reader.read(1 << 12)
    if not connection.closed.done():
        connection.tick(asyncio.get_running_loop().time() + STUCK_WRITER_S + 1)
    await owner.until(lambda: owner.lost is not None)


async def test_what_is_written_to_a_peer_that_does_not_read_is_bounded(sockets):
    smsc = await sockets.smsc(WIDE)
    _, _, _, connection = await clogged(sockets, smsc)
    assert connection._transport.get_write_buffer_size() < WRITE_LIMIT_OCTETS + 2 * len(LARGE[0][1])


async def test_requests_that_the_owner_does_not_answer_stop_the_reading(sockets):
    settings = SessionSettings(receive_window=1_000_000, pause_above=50)
    smsc = await sockets.smsc(settings)
    esme, connection = await sockets.esme(smsc.port, SessionSettings(send_window=1_000_000))
    (owner,) = smsc.owners
    owner.answering = False
    total = 100_000
    connection.session.window.reserve(total)
    for number in range(total):
        connection.session.request(SubmitSm(short_message=b'x' * 100), number)
    connection.flush()
    ours = owner.connection
    await owner.until(lambda: not ours._transport.is_reading())
    assert 50 < len(owner.requests) < total / 4
    while len(esme.responses) < total:
        await owner.until(lambda: owner.requests)
        requests, owner.requests = owner.requests, []
        for pdu in requests:
            ours.session.refuse(pdu, 0x58)
        ours.flush()
        await asyncio.sleep(0)
    assert [context for context, _ in esme.responses] == list(range(total))


@pytest.mark.wire('F8')
async def test_a_response_after_its_request_expired_reaches_the_owner_as_late(sockets):
    smsc = await sockets.smsc(WIDE)
    esme, connection = await sockets.esme(smsc.port)
    (owner,) = smsc.owners
    owner.answering = False
    connection.session.window.reserve(1)
    connection.session.request(SubmitSm(short_message=b'x'), 'mine')
    connection.flush()
    await owner.until(lambda: owner.requests)
    connection.tick(asyncio.get_running_loop().time() + connection.session.settings.response_timeout_s + 2)
    assert esme.expired == ['mine']
    owner.connection.session.respond(SubmitSmResp(owner.requests[0].sequence_number, 0, b'id'))
    owner.connection.flush()
    await esme.until(lambda: esme.late)
    ((context, response),) = esme.late
    assert (context, response.message_id) == ('mine', b'id')
    assert esme.responses == []


@pytest.mark.wire('A21', 'B9')
async def test_sockets_that_never_bind_are_closed_and_delay_nobody(sockets):
    smsc = await sockets.smsc(SessionSettings(session_init_s=10))
    silent = [await sockets.plain(smsc.port) for _ in range(200)]
    for _, writer in silent[::2]:
        writer.write(BIND[:20])
    _, bound = await sockets.esme(smsc.port)
    assert bound.session.state is State.BOUND_TRX
    assert len(smsc.listener.connections) == 201
    smsc.listener.tick(asyncio.get_running_loop().time() + 11)
    async with asyncio.timeout(TIMEOUT_S):
        for reader, _ in silent:
            assert await reader.read() == b''
    for owner in smsc.owners[:-1]:
        await owner.connection.closed
    await asyncio.sleep(0)
    assert len(smsc.listener.connections) == 1


class Raising(Owner):
    """One whose `raising` is set before the connection opens."""

    def __init__(self) -> None:
        super().__init__()
        self.raising = {'opened'}


async def test_an_owner_that_raises_when_opened_closes_only_its_connection(sockets):
    smsc = await sockets.smsc(make_owner=Raising)
    reader, _ = await sockets.plain(smsc.port)
    async with asyncio.timeout(TIMEOUT_S):
        assert await reader.read() == b''


@pytest.mark.parametrize('callback', ['requests', 'responses', 'state', 'closed', 'expired'])
async def test_an_owner_that_raises_closes_only_its_connection(sockets, callback):
    smsc = await sockets.smsc(SessionSettings(response_timeout_s=1))
    broken, theirs = await sockets.esme(smsc.port)
    sound, sounds = await sockets.esme(smsc.port)
    ours, others = (owner.connection for owner in smsc.owners)
    smsc.owners[0].raising = {callback}
    broken.answering = callback != 'expired'
    ours.session.window.reserve(1)
    ours.session.request(DeliverSm(), 'receipt')
    ours.flush()
    await broken.until(lambda: broken.requests)
    theirs.session.window.reserve(1)
    theirs.session.request(SubmitSm(), 'message')
    if callback in {'state', 'closed'}:
        theirs.session.begin_unbind(asyncio.get_running_loop().time(), 'done')
    theirs.flush()
    if callback == 'expired':
        await smsc.owners[0].until(lambda: smsc.owners[0].requests)
        smsc.listener.tick(asyncio.get_running_loop().time() + 3)
    async with asyncio.timeout(TIMEOUT_S):
        await ours.closed
    assert ours.session.state is State.CLOSED
    assert others.session.state is State.BOUND_TRX
    sounds.session.window.reserve(1)
    sounds.session.request(SubmitSm(), 'next')
    sounds.flush()
    await sound.until(lambda: sound.responses)


async def test_an_owner_that_raises_hears_at_once_that_the_session_ended(sockets):
    smsc = await sockets.smsc()
    _, theirs = await sockets.esme(smsc.port)
    (owner,) = smsc.owners
    ours = owner.connection
    owner.raising = {'requests'}
    owner.states.clear()
    ours.data_received(encode(SubmitSm(70)))
    assert owner.states == ['closed']
    assert owner.lost is None
    await theirs.closed


async def test_requests_without_response_reach_the_owner_by_the_tick(sockets):
    smsc = await sockets.smsc(SessionSettings(response_timeout_s=5))
    esme, _ = await sockets.esme(smsc.port)
    esme.answering = False
    (owner,) = smsc.owners
    connection = owner.connection
    connection.session.window.reserve(1)
    connection.session.request(DeliverSm(), 'receipt')
    connection.flush()
    await esme.until(lambda: esme.requests)
    connection.tick(asyncio.get_running_loop().time() + 7)
    assert owner.expired == ['receipt']
    assert connection.session.state is State.BOUND_TRX


async def test_a_lost_connection_hands_back_what_was_outstanding(sockets):
    smsc = await sockets.smsc()
    esme, theirs = await sockets.esme(smsc.port)
    esme.answering = False
    (owner,) = smsc.owners
    connection = owner.connection
    connection.session.window.reserve(2)
    for context in ('first', 'second'):
        connection.session.request(DeliverSm(), context)
    connection.flush()
    await esme.until(lambda: len(esme.requests) == 2)
    theirs.abort()
    await owner.until(lambda: owner.lost is not None)
    assert owner.lost == ['first', 'second']
    assert connection.session.close_reason.startswith('connection lost')


async def test_a_port_that_is_taken_is_an_error(sockets):
    smsc = await sockets.smsc()
    with pytest.raises(OSError, match='in use'):
        await Listener(Owner, SessionSettings()).start('127.0.0.1', smsc.port)


async def test_a_listener_that_stopped_takes_nobody_and_keeps_who_is_there(sockets):
    smsc = await sockets.smsc()
    esme, connection = await sockets.esme(smsc.port)
    smsc.listener.stop_listening()
    with pytest.raises(OSError, match=r'refused|failed'):
        await asyncio.open_connection('127.0.0.1', smsc.port)
    connection.session.window.reserve(1)
    connection.session.request(SubmitSm(), 'next')
    connection.flush()
    await esme.until(lambda: esme.responses)


@pytest.mark.wire('B22', 'E14')
async def test_a_peer_that_sends_in_bulk_lets_the_others_have_their_turn(sockets):
    smsc = await sockets.smsc(WIDE)
    reader, writer = await sockets.plain(smsc.port)
    writer.write(BIND)
    await read_pdu(reader)
    (owner,) = smsc.owners
    bulk = b''.join(encode(SubmitSm(number, short_message=b'x' * 140)) for number in range(1, 1001))
    owner.connection.data_received(bulk)
    assert not owner.requests
    await owner.until(lambda: owner.requests)
    assert len(owner.requests) * 4 < 1000
    other, theirs = await sockets.esme(smsc.port)
    theirs.session.window.reserve(1)
    theirs.session.request(SubmitSm(), 'mine')
    theirs.flush()
    await owner.until(lambda: len(owner.requests) == 1000)
    assert [pdu.sequence_number for pdu in owner.requests] == list(range(1, 1001))
    await other.until(lambda: other.responses)
    owner.connection.data_received(encode(SubmitSm(1001)))
    assert len(owner.requests) == 1001
