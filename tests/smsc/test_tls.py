"""TLS of a running product: its port and certificates, reloads under sessions, mistakes told before they bite."""

import asyncio
import re
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from pdu import pdus
from perf.certificates import Authority, Issued
from smsc import config as configurations
from smsc.control import ControlError
from tests.product.peers import Esme
from tests.product.running import PASSWORD, everywhere_bound, free_port, run_command, upstream
from tests.product.waiting import until


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('certificates'))


def serving(authority, **changes):
    """The keys of a port with TLS."""
    issued = authority.issue('localhost', '127.0.0.1')
    return {'listen': f'127.0.0.1:{free_port()}', 'certificate': issued.certificate, 'key': issued.key} | changes


def trusting(authority, issued=None):
    """What an ESME connects with."""
    context = ssl.create_default_context(cafile=authority.certificate)
    if issued is not None:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


@pytest.fixture
async def secured():
    """Connects an ESME to the port with TLS of a product."""
    peers: list[Esme] = []

    async def connect(product, context):
        port = int(product.tree['smpp']['tls']['listen'].rpartition(':')[2])
        streams = await asyncio.open_connection('127.0.0.1', port, ssl=context, server_hostname='localhost')
        peers.append(Esme(*streams))
        return peers[-1]

    yield connect
    for peer in peers:
        await peer.close()


def replace(renewed, old):
    """Puts a renewed certificate and its key into the place of the old ones."""
    Path(renewed.certificate).replace(old.certificate)
    Path(renewed.key).replace(old.key)


def break_key(path):
    """Leaves a file that is no key."""
    Path(path).write_text('no key')


def serial_number(esme):
    return esme.writer.get_extra_info('ssl_object').getpeercert()['serialNumber']


@pytest.fixture
async def start(product, start_smsc):
    """Starts a product with a port with TLS and one operator."""

    async def start(tls):
        smsc = await start_smsc()
        found = await product(upstreams={'mts': upstream(smsc.port)}, smpp={'tls': tls})
        await everywhere_bound(smsc)
        return found, smsc

    return start


@pytest.mark.wire('B21')
async def test_an_esme_binds_and_submits_over_tls_beside_the_plain_port(start, secured, bind, authority):
    product, smsc = await start(serving(authority))
    esme = await secured(product, trusting(authority))
    assert (await esme.bind('bank', PASSWORD)).command_status == 0
    await esme.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    await esme.receipts(1)
    assert await (await bind(product)).submit()


@pytest.mark.wire('B21')
@pytest.mark.parametrize('minimum', ['1.2', '1.3'])
async def test_the_oldest_version_is_the_configured_one(start, secured, authority, minimum):
    product, _ = await start(serving(authority, minimum=minimum))
    context = trusting(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if minimum == '1.3':
        with pytest.raises(OSError):  # noqa: PT011 - a reset, or an alert
            await secured(product, context)
    else:
        assert (await (await secured(product, context)).bind('bank', PASSWORD)).command_status == 0
    context = trusting(authority)
    assert (await (await secured(product, context)).bind('bank', PASSWORD)).command_status == 0


@pytest.mark.wire('B21')
@pytest.mark.filterwarnings('ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning')
async def test_tls_before_1_2_is_refused_where_no_minimum_is_configured(start, secured, authority):
    product, _ = await start(serving(authority))
    assert product.node.listener.tls.minimum_version == ssl.TLSVersion.TLSv1_2
    old = trusting(authority)
    old.set_ciphers('ALL:@SECLEVEL=0')
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):  # noqa: PT011 - a reset, or an alert
        await secured(product, old)


@pytest.mark.wire('B21')
async def test_with_client_ca_only_its_certificates_get_in(start, secured, authority, tmp_path):
    product, _ = await start(serving(authority, client_ca=authority.certificate))
    good = await secured(product, trusting(authority, authority.issue('bank')))
    assert (await good.bind('bank', PASSWORD)).command_status == 0
    expired = authority.issue('bank', begins=timedelta(days=-3), ends=timedelta(days=-2))
    for issued in (None, expired, Authority(tmp_path, 'stranger').issue('bank')):
        try:
            stranger = await secured(product, trusting(authority, issued))
        except OSError:
            continue
        with pytest.raises(EOFError):
            await stranger.bind('bank', PASSWORD)
    assert await product.metric('smsc_tls_handshakes_failed_total') == 3
    assert await good.submit()


@pytest.mark.wire('B21')
async def test_a_reload_takes_renewed_files_in_and_no_session_notices(start, secured, authority):
    """As certbot and its like do it: the same names, other files."""
    tls = serving(authority)
    product, _ = await start(tls)
    old = await secured(product, trusting(authority))
    assert (await old.bind('bank', PASSWORD)).command_status == 0
    renewed = authority.issue('localhost')
    replace(renewed, Issued(tls['certificate'], tls['key']))
    await product.reload()
    new = await secured(product, trusting(authority))
    assert serial_number(new) != serial_number(old)
    assert (await new.bind('bank', PASSWORD)).command_status == 0
    assert await old.submit()
    assert await new.submit()


@pytest.mark.wire('B21', 'G7')
async def test_a_broken_file_at_reload_is_named_and_changes_nothing(start, secured, authority):
    tls = serving(authority)
    product, _ = await start(tls)
    before = await secured(product, trusting(authority))
    assert (await before.bind('bank', PASSWORD)).command_status == 0
    break_key(tls['key'])
    product.write(accounts={'shop': {'password': PASSWORD}})
    with pytest.raises(ControlError, match=r'smpp\.tls\.key: .* holds no private key'):
        await product.reload()
    status, _, err = await run_command(product, 'check')
    assert status == 1
    assert f'{product.path}:' in err
    assert 'smpp.tls.key' in err
    after = await secured(product, trusting(authority))
    assert serial_number(after) == serial_number(before)
    assert (await after.bind('bank', PASSWORD)).command_status == 0
    assert await before.submit()
    assert 'shop' not in product.node.core.accounts


async def test_a_reload_opens_moves_and_closes_the_port_and_sessions_stay(
    product, start_smsc, secured, bind, authority
):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    plain = await bind(found)
    found.write(smpp={'tls': serving(authority)})
    await found.reload()
    first = await secured(found, trusting(authority))
    assert (await first.bind('bank', PASSWORD)).command_status == 0
    old_port = int(found.tree['smpp']['tls']['listen'].rpartition(':')[2])
    found.write(smpp={'tls': {'listen': f'127.0.0.1:{free_port()}'}})
    await found.reload()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection('127.0.0.1', old_port)
    second = await secured(found, trusting(authority))
    assert (await second.bind('bank', PASSWORD)).command_status == 0
    found.write(smpp={'tls': None})
    await found.reload()
    for esme in (plain, first, second):
        assert await esme.submit()


async def test_a_port_that_is_taken_ends_the_start_and_is_no_reload(product, start_smsc, authority):
    smsc = await start_smsc()
    taken = serving(authority, listen=f'127.0.0.1:{smsc.port}')
    found = await product(upstreams={'mts': upstream(smsc.port)}, smpp={'tls': taken}, start=False)
    status, _, err = await run_command(found, 'run')
    assert status == 1
    assert re.search(r'Error: smpp\.tls\.listen: cannot listen on .* in use; stop what listens there', err)
    found.write(smpp={'tls': None})
    await found.start()
    found.write(smpp={'tls': taken})
    with pytest.raises(ControlError, match=r'nothing was changed:\nsmpp\.tls\.listen: cannot listen'):
        await found.reload()
    assert found.node.core.configuration.smpp.tls is None


# Mistakes


def problems_of(folder, **parts):
    """What is wrong with a configuration whose parts are these."""
    path = folder / 'smsc.yaml'
    tree = {'accounts': {}, 'upstreams': {'mts': {'host': 'smsc.example'} | parts.pop('upstream', {})}}
    path.write_text(yaml.safe_dump(tree | parts))
    try:
        configurations.load(path)
    except configurations.ConfigurationError as error:
        return [(problem.key, problem.message) for problem in error.problems]
    return []


@pytest.fixture
def files(tmp_path):
    """A folder of certificates that belong together, and of some that do not."""
    authority = Authority(tmp_path)
    one, two = authority.issue('localhost'), authority.issue('localhost')
    for issued, name in ((one, 'one'), (two, 'two')):
        Path(issued.certificate).rename(tmp_path / f'{name}.pem')
        Path(issued.key).rename(tmp_path / f'{name}.key')
    (tmp_path / 'text').write_text('Dear reader')
    (tmp_path / 'broken.pem').write_text('-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n')
    (tmp_path / 'locked.key').write_text('-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n')
    (tmp_path / 'folder').mkdir()
    return tmp_path


GOOD = {'listen': '127.0.0.1:3550', 'certificate': 'one.pem', 'key': 'one.key'}


@pytest.mark.parametrize(
    ('changes', 'key', 'message'),
    [
        ({'certificate': 'none.pem'}, 'certificate', 'there is no such file'),
        ({'certificate': 'folder'}, 'certificate', 'it is no file'),
        ({'certificate': '/dev/zero'}, 'certificate', 'it is no file'),
        ({'certificate': 'text'}, 'certificate', 'holds no certificate in PEM'),
        ({'certificate': 'broken.pem'}, 'certificate', 'cannot be used'),
        ({'key': 'text'}, 'key', 'holds no private key in PEM'),
        ({'key': 'two.key'}, 'key', 'is not the private key of'),
        ({'key': 'locked.key'}, 'key', 'is encrypted'),
        ({'client_ca': 'text'}, 'client_ca', 'holds no certificates in PEM'),
        ({'client_ca': 'none.pem'}, 'client_ca', 'there is no such file'),
    ],
)
def test_files_that_are_not_there_or_do_not_fit_are_told(files, changes, key, message):
    assert problems_of(files, smpp={'tls': GOOD}) == []
    ((told_key, told),) = problems_of(files, smpp={'tls': GOOD | changes})
    assert told_key == f'smpp.tls.{key}'
    assert message in told
    upstream_key = {'client_ca': 'ca'}.get(key, key)
    keys = {'tls': True, 'tls_certificate': 'one.pem', 'tls_key': 'one.key'}
    assert problems_of(files, upstream=keys) == []
    keys |= {f'tls_{upstream_key}': next(iter(changes.values()))}
    ((told_key, told),) = problems_of(files, upstream=keys)
    assert told_key == f'upstreams.mts.tls_{upstream_key}'
    assert message in told


@pytest.mark.parametrize(
    ('keys', 'key'),
    [
        ({'tls_ca': 'one.pem'}, 'tls_ca'),
        ({'tls_server_name': 'smsc.example'}, 'tls_server_name'),
        ({'tls': True, 'tls_certificate': 'one.pem'}, 'tls_certificate'),
        ({'tls': True, 'tls_key': 'one.key'}, 'tls_key'),
        ({'tls': True, 'tls_server_name': ''}, 'tls_server_name'),
        ({'tls': True, 'simulated': {}}, 'tls'),
    ],
)
def test_keys_of_an_upstream_that_contradict_each_other_are_told(files, keys, key):
    assert [told for told, _ in problems_of(files, upstream=keys)] == [f'upstreams.mts.{key}']


def test_the_port_with_tls_is_one_of_its_own(files):
    told = problems_of(files, smpp={'listen': '127.0.0.1:3550', 'tls': GOOD})
    assert [key for key, _ in told] == ['smpp.tls.listen']


# Operators


async def test_a_renewed_certificate_of_ours_is_shown_at_the_next_connect(product, start_smsc, authority, tmp_path):
    shown = authority.issue('proxy')
    server = authority.issue('127.0.0.1')
    smsc = await start_smsc(start=False)
    smsc.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    smsc.tls.load_cert_chain(server.certificate, server.key)
    smsc.tls.load_verify_locations(authority.certificate)
    smsc.tls.verify_mode = ssl.CERT_REQUIRED
    await smsc.start()
    keys = {'tls': True, 'tls_ca': authority.certificate, 'tls_certificate': shown.certificate, 'tls_key': shown.key}
    found = await product(upstreams={'mts': upstream(smsc.port, **keys)})
    await everywhere_bound(smsc)
    first = serial_number(smsc.bound[0])
    renewed = authority.issue('proxy')
    replace(renewed, shown)
    await found.reload()
    assert len(smsc.binds) == 1  # the link stays
    await smsc.bound[0].ask(pdus.Unbind())
    await smsc.bound[0].close()
    await until(lambda: len(smsc.bound) == 2)
    assert serial_number(smsc.bound[1]) != first
