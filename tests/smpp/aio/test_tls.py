"""TLS of the port that ESMEs connect to: who gets in, who does not, and what a handshake that never ends may cost."""

import asyncio
import ssl
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from pdu.codec import encode
from pdu.pdus import EnquireLink
from perf.certificates import Authority
from smpp.aio.listener import ConnectionLimits
from smpp.aio.tls import reason_of
from smpp.session import SessionSettings
from tests.product.waiting import until
from tests.smpp.aio.owner import TIMEOUT_S

ENQUIRE_LINK = encode(EnquireLink(1))
PAST = timedelta(days=-2)


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('certificates'))


def server_context(authority, hosts=('localhost',), client_ca=None):
    issued = authority.issue(*hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(authority, issued=None):
    context = ssl.create_default_context(cafile=authority.certificate)
    if issued is not None:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


@pytest.fixture
async def start(sockets):
    """Starts a listener with TLS, and says its port."""

    async def start(context, settings=SessionSettings()):  # noqa: B008 - frozen
        smsc = await sockets.smsc(settings)
        smsc.listener.tls = context
        smsc.port = await smsc.listener.start_tls('127.0.0.1', 0)
        return smsc

    return start


@pytest.fixture
async def connect():
    """Opens connections with TLS, or without; closed at the end."""
    writers: list[asyncio.StreamWriter] = []

    async def connect(port, context=None, address='127.0.0.1'):
        named = {'ssl': context, 'server_hostname': 'localhost'} if context else {}
        reader, writer = await asyncio.open_connection('127.0.0.1', port, local_addr=(address, 0), **named)
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.transport.abort()


async def answers(reader, writer):
    """Whether an enquire_link gets its answer; False when the connection is closed instead."""
    try:
        writer.write(ENQUIRE_LINK)
        async with asyncio.timeout(TIMEOUT_S):
            return (await reader.readexactly(16))[4:8] == bytes.fromhex('80000015')
    except (OSError, asyncio.IncompleteReadError):
        return False


async def closed_by_peer(reader):
    async with asyncio.timeout(TIMEOUT_S):
        try:
            while await reader.read(4096):
                pass
        except OSError:
            pass
    return True


@pytest.mark.wire('B21')
@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_works_over_tls(start, connect, authority, version):
    smsc = await start(server_context(authority))
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version
    reader, writer = await connect(smsc.port, context)
    assert await answers(reader, writer)
    assert smsc.owners[0].connection.peer_address == '127.0.0.1'
    writer.transport.abort()
    await smsc.owners[0].until(lambda: smsc.owners[0].lost is not None)


@pytest.mark.wire('B21')
async def test_what_comes_right_behind_the_handshake_is_not_lost(start, connect, authority):
    """The client of TLS 1.3 may write at once; many connections make it likely that both come in one read."""
    smsc = await start(server_context(authority))
    context = client_context(authority)

    async def one():
        reader, writer = await connect(smsc.port, context)
        return await answers(reader, writer)

    assert all(await asyncio.gather(*(one() for _ in range(30))))


@pytest.mark.wire('B21')
async def test_plaintext_on_the_port_with_tls_is_closed(start, connect, authority):
    smsc = await start(server_context(authority))
    with capture_logs() as logs:
        for _ in range(3):
            reader, writer = await connect(smsc.port)
            writer.write(ENQUIRE_LINK * 10)
            assert await closed_by_peer(reader)
    await until(lambda: smsc.listener.failed_handshakes == 3)
    assert smsc.owners == []
    assert [entry['event'] for entry in logs] == ['listener.handshake_failed']
    assert await answers(*await connect(smsc.port, client_context(authority)))


@pytest.mark.wire('B21')
@pytest.mark.filterwarnings('ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning')
async def test_tls_before_1_2_is_refused(start, connect, authority):
    context = server_context(authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    smsc = await start(context)
    old = client_context(authority)
    old.set_ciphers('ALL:@SECLEVEL=0')
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with capture_logs() as logs, pytest.raises(OSError):  # noqa: PT011 - a reset, or an alert
        await connect(smsc.port, old)
    await until(lambda: smsc.listener.failed_handshakes)
    assert smsc.owners == []
    assert 'UNSUPPORTED_PROTOCOL' in logs[0]['reason']


@pytest.mark.wire('B21')
@pytest.mark.parametrize('shown', ['none', 'expired', 'unknown'])
async def test_without_a_good_certificate_there_is_no_session_where_one_is_asked_for(
    start, connect, authority, tmp_path, shown
):
    smsc = await start(server_context(authority, client_ca=authority.certificate))
    issued = {
        'none': lambda: None,
        'expired': lambda: authority.issue('bank', ends=PAST + timedelta(days=1), begins=2 * PAST),
        'unknown': lambda: Authority(tmp_path, 'stranger').issue('bank'),
    }[shown]()
    try:
        reader, writer = await connect(smsc.port, client_context(authority, issued))
    except OSError:
        pass  # with TLS 1.2 the client is told within the handshake
    else:
        assert not await answers(reader, writer)
    await until(lambda: smsc.listener.failed_handshakes)
    assert smsc.owners == []
    assert await answers(*await connect(smsc.port, client_context(authority, authority.issue('bank'))))


@pytest.mark.wire('B21')
async def test_a_new_certificate_is_shown_to_new_connections_and_the_old_ones_stay(start, connect, authority):
    smsc = await start(server_context(authority))
    old = await connect(smsc.port, client_context(authority))
    assert await answers(*old)
    before = old[1].get_extra_info('ssl_object').getpeercert()['serialNumber']
    smsc.listener.tls = server_context(authority)
    new = await connect(smsc.port, client_context(authority))
    assert new[1].get_extra_info('ssl_object').getpeercert()['serialNumber'] != before
    assert await answers(*old)
    assert await answers(*new)


async def test_handshakes_count_towards_the_limits(start, connect, authority):
    smsc = await start(server_context(authority))
    smsc.listener.limits = ConnectionLimits(total=3, per_address=2)
    for address in ('127.0.0.1', '127.0.0.1', '127.0.0.2'):
        await connect(smsc.port, address=address)
    await until(lambda: len(smsc.listener.handshakes) == 3)
    reader, _ = await connect(smsc.port, address='127.0.0.3')
    assert await closed_by_peer(reader)
    assert smsc.listener.refused == 1


async def test_a_handshake_that_does_not_end_is_ended_and_gives_its_place_back(start, connect, authority):
    smsc = await start(server_context(authority), SessionSettings(session_init_s=0.2))
    smsc.listener.limits = ConnectionLimits(per_address=1)
    reader, writer = await connect(smsc.port)
    writer.write(bytes.fromhex('1603010200'))  # the beginning of a ClientHello
    assert await closed_by_peer(reader)
    await until(lambda: not smsc.listener.handshakes)
    assert smsc.listener.failed_handshakes == 1
    assert await answers(*await connect(smsc.port, client_context(authority)))


async def test_a_peer_that_goes_in_the_middle_of_its_handshake_gives_its_place_back(start, connect, authority):
    smsc = await start(server_context(authority))
    smsc.listener.limits = ConnectionLimits(per_address=1)
    for _ in range(3):
        _, writer = await connect(smsc.port)
        await until(lambda: smsc.listener.handshakes)
        writer.transport.abort()
        await until(lambda: not smsc.listener.handshakes)
    assert smsc.listener.refused == 0
    assert await answers(*await connect(smsc.port, client_context(authority)))


async def test_the_end_of_listening_ends_handshakes(start, connect, authority):
    smsc = await start(server_context(authority))
    reader, _ = await connect(smsc.port)
    await until(lambda: smsc.listener.handshakes)
    smsc.listener.stop_listening()
    await smsc.listener.wait_stopped()
    assert await closed_by_peer(reader)
    assert not smsc.listener.handshakes


@pytest.mark.parametrize(
    ('reason', 'told'),
    [
        ('TLSV13_ALERT_CERTIFICATE_REQUIRED', 'refused our certificate'),
        ('TLSV1_ALERT_UNKNOWN_CA', 'refused our certificate'),
        ('WRONG_VERSION_NUMBER', 'does not speak TLS'),
        ('TLSV1_ALERT_PROTOCOL_VERSION', 'no version of TLS that both take'),
        ('INTERNAL_ERROR', 'the TLS handshake failed: INTERNAL_ERROR'),
    ],
)
def test_errors_of_tls_say_what_to_do(reason, told):
    error = ssl.SSLError(1, reason)
    error.reason = reason
    assert told in reason_of(error)


def test_other_errors_of_connections_stay_as_they_are():
    assert reason_of(ConnectionRefusedError(111, 'refused')) == '[Errno 111] refused'
    assert reason_of(TimeoutError()) == 'timed out'
    assert reason_of(ConnectionResetError()) == 'ConnectionResetError'
