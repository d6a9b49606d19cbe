"""Links to operators: what they bind as, whom they trust, when they come back (wire.md B20, F1, F2, F21 to F25)."""

import ssl
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from pdu import pdus
from pdu.status import CommandStatus
from pdu.tlvs import Tag, make
from perf.certificates import Authority
from tests.product.peers import submit
from tests.product.running import PASSWORD, UPSTREAM_PASSWORD, everywhere_bound, upstream
from tests.product.waiting import until, until_async

REFUSED = CommandStatus.ESME_RINVCMDID
LONG_PAUSES = {'first_s': 3600, 'last_s': 3600, 'refused_s': 3600}


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('certificates'))


def kinds(smsc):
    """What an operator was asked to bind, in order."""
    return [type(request).__name__ for request in smsc.binds]


def answering_binds(smsc, status_of):
    """Lets an operator refuse binds by their class."""
    handle = smsc._handle_bind

    def handle_bind(peer, pdu):
        smsc.bind_status = int(status_of(pdu))
        handle(peer, pdu)

    smsc._handle_bind = handle_bind


# Kinds of binds and their versions


@pytest.mark.wire('F1')
async def test_a_refused_transceiver_becomes_a_transmitter_and_a_receiver(product, start_smsc, bind):
    statuses = ['ESME_RINVCMDID', 'ESME_RINVBNDSTS', 'ESME_RBINDFAIL', 'ESME_RSYSERR']
    found = {status: await start_smsc() for status in statuses}
    for status, smsc in found.items():
        answering_binds(smsc, lambda pdu, s=status: CommandStatus[s] if isinstance(pdu, pdus.BindTransceiver) else 0)
    keys = {'bind_fallback': True, 'reconnect': LONG_PAUSES}
    running = await product(upstreams={name: upstream(smsc.port, **keys) for name, smsc in found.items()})
    for name, smsc in found.items():
        await everywhere_bound(smsc, 2)
        assert sorted(kinds(smsc)) == ['BindReceiver', 'BindTransceiver', 'BindTransmitter']
        await running.links_bound(name, 2)
    esme, smsc = await bind(running), found['ESME_RINVCMDID']
    await esme.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    await esme.receipts(1)


@pytest.mark.wire('F1')
async def test_a_generic_nack_to_the_transceiver_is_a_refusal_too(product, start_smsc):
    smsc = await start_smsc()
    handle = smsc._handle_bind

    def handle_bind(peer, pdu):
        if isinstance(pdu, pdus.BindTransceiver):
            smsc.binds.append(pdu)
            peer.send(pdus.GenericNack(pdu.sequence_number, REFUSED))
        else:
            handle(peer, pdu)

    smsc._handle_bind = handle_bind
    await product(upstreams={'mts': upstream(smsc.port, bind_fallback=True, reconnect=LONG_PAUSES)})
    await everywhere_bound(smsc, 2)


@pytest.mark.wire('F1')
async def test_a_wrong_password_or_no_fallback_leaves_it_a_transceiver(product, start_smsc):
    wrong, plain = await start_smsc(), await start_smsc()
    wrong.bind_status, plain.bind_status = int(CommandStatus.ESME_RINVPASWD), int(REFUSED)
    quick = {'reconnect': {'refused_s': 0.01, 'first_s': 0.01, 'last_s': 0.02}}
    await product(
        upstreams={
            'wrong': upstream(wrong.port, bind_fallback=True, **quick),
            'plain': upstream(plain.port, **quick),
        }
    )
    await until(lambda: len(wrong.binds) > 3 and len(plain.binds) > 3)
    assert set(kinds(wrong)) == set(kinds(plain)) == {'BindTransceiver'}


@pytest.mark.wire('F1')
async def test_an_operator_that_was_ill_when_it_refused_gets_its_transceiver_back(product, start_smsc):
    smsc = await start_smsc()
    smsc.bind_status = int(CommandStatus.ESME_RSYSERR)
    found = await product(upstreams={'mts': upstream(smsc.port, bind_fallback=True)})
    await until(lambda: kinds(smsc).count('BindTransceiver') > 1)
    answering_binds(smsc, lambda pdu: 0 if isinstance(pdu, pdus.BindTransceiver) else CommandStatus.ESME_RBINDFAIL)
    await everywhere_bound(smsc)
    await found.links_bound('mts')
    assert isinstance(smsc.binds[-1], pdus.BindTransceiver)


@pytest.mark.wire('F1')
async def test_links_bind_as_the_configured_version(product, start_smsc):
    octets = {'3.3': 0x33, '3.4': 0x34, '5.0': 0x50}
    found = {version: await start_smsc() for version in octets}
    await product(upstreams={v: upstream(smsc.port, interface_version=v) for v, smsc in found.items()})
    for version, smsc in found.items():
        await everywhere_bound(smsc)
        assert smsc.binds[0].interface_version == octets[version]


async def test_a_reload_that_changes_what_a_link_binds_as_binds_anew(product, start_smsc, authority):
    smsc, unchanged = await start_smsc(), await start_smsc()
    upstreams = {'mts': upstream(smsc.port), 'other': upstream(unchanged.port)}
    found = await product(upstreams=upstreams)
    await everywhere_bound(smsc)
    await everywhere_bound(unchanged)
    found.write(upstreams={'mts': {'interface_version': '5.0'}})
    await found.reload()
    await until(lambda: len(smsc.binds) == 2)
    assert [request.interface_version for request in smsc.binds] == [0x34, 0x50]
    found.write(upstreams={'mts': {'tls': True, 'tls_ca': authority.certificate}})
    await found.reload()
    await until(lambda: not smsc.bound)
    assert len(unchanged.binds) == 1


TLV_CASES = [  # what the operator says, the settings of its upstream, whether it is sent TLVs
    (None, 'auto', '3.4', True),  # many of 3.4 do not tell
    (0x34, 'auto', '3.4', True),
    (0x50, 'auto', '5.0', True),
    (0x33, 'auto', '3.4', False),
    (None, 'auto', '3.3', False),
    (0x33, 'always', '3.4', True),
    (0x34, 'never', '3.4', False),
]


def telling(smsc, version):
    """Lets an operator tell its version in bind responses, or not."""

    def handle_bind(peer, pdu):
        smsc.binds.append(pdu)
        response = pdus.BindTransceiverResp(pdu.sequence_number)
        response.tlvs = () if version is None else (make(Tag.SC_INTERFACE_VERSION, version),)
        peer.send(response)
        smsc.bound.append(peer)
        smsc.receiving.append(peer)

    smsc._handle_bind = handle_bind


@pytest.mark.wire('F1')
async def test_tlvs_go_where_the_operator_takes_them(product, start_smsc, bind):
    found = [await start_smsc() for _ in TLV_CASES]
    upstreams, routes = {}, []
    for number, (smsc, (told, tlvs, version, _)) in enumerate(zip(found, TLV_CASES, strict=True)):
        telling(smsc, told)
        upstreams[f'u{number}'] = upstream(smsc.port, tlvs=tlvs, interface_version=version)
        routes.append({'name': f'r{number}', 'when': {'destination': f'7{number}*'}, 'failover': [f'u{number}']})
    running = await product(upstreams=upstreams, routes=routes)
    esme = await bind(running)
    for number, (smsc, (*_, expected)) in enumerate(zip(found, TLV_CASES, strict=True)):
        await esme.submit(destination_addr=b'7%d61234567' % number, tlvs=(make(Tag.USER_MESSAGE_REFERENCE, 7),))
        (sent,) = await smsc.submitted(1)
        assert bool(sent.tlvs) is expected, TLV_CASES[number]


# Refusals, partings and silence


@pytest.mark.wire('F2')
async def test_refused_credentials_are_one_error_in_the_log_and_one_bind(product, start_smsc):
    found = {status: await start_smsc() for status in ('ESME_RINVPASWD', 'ESME_RINVSYSID', 'ESME_RBINDFAIL')}
    for status, smsc in found.items():
        smsc.bind_status = int(CommandStatus[status])
    keys = {'reconnect': {'first_s': 0.01, 'refused_s': 3600}}
    with capture_logs() as logs:
        running = await product(upstreams={name: upstream(smsc.port, **keys) for name, smsc in found.items()})
        for name in found:

            async def alarmed(name=name):
                return await running.metric('smsc_link_refusals', upstream=name) == 1

            await until_async(alarmed)
    errors = {entry['reason']: entry for entry in logs if entry['event'] == 'link.refused'}
    assert sorted(errors) == sorted(f'bind refused with {status}' for status in found)
    for error in errors.values():
        assert (error['log_level'], error['retry_s']) == ('error', 3600)
        assert 'check system_id, password' in error['do']
    assert UPSTREAM_PASSWORD not in str(logs)
    assert [len(smsc.binds) for smsc in found.values()] == [1, 1, 1]


@pytest.mark.wire('F21')
async def test_an_operator_that_unbinds_answers_what_it_has_and_gets_the_rest_again(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    smsc.script = lambda pdu: None
    await esme.submit_all(submit(b'%03d' % number) for number in range(10))
    first = list(await smsc.submitted(10))
    peer = smsc.bound[0]
    assert isinstance(await peer.ask(pdus.Unbind()), pdus.UnbindResp)
    for pdu in first[:4]:  # they come after unbind_resp, and count all the same
        smsc.respond(peer, pdu, smsc.next_id())
    await esme.submit(b'later')
    await until(lambda: found.node.core.upstreams['mts'].answers[0] == 4)
    assert len(smsc.submits) == 10
    smsc.script = lambda pdu: smsc.next_id()
    await peer.close()
    await everywhere_bound(smsc, 2)
    again = (await smsc.submitted(17))[10:]
    assert sorted(pdu.short_message for pdu in again) == [b'%03d' % number for number in range(4, 10)] + [b'later']


@pytest.mark.wire('F22')
async def test_traffic_of_a_dead_link_moves_to_the_one_that_lives(product, start_smsc, bind):
    smsc = await start_smsc()
    silent = {'enquire_link_s': 0.2, 'response_timeout_s': 0.4, 'links': 2, 'reconnect': LONG_PAUSES}
    found = await product(upstreams={'mts': upstream(smsc.port, **silent)})
    await everywhere_bound(smsc, 2)
    esme = await bind(found)
    dead, alive = smsc.bound
    dead.send = lambda *pdus: None
    await esme.submit_all(submit(b'%03d' % number) for number in range(10))
    by_peer = []
    respond = smsc.respond

    def count(peer, pdu, answer):
        by_peer.append(peer)
        respond(peer, pdu, answer)

    smsc.respond = count
    await found.links_bound('mts', 1)
    await until(lambda: found.node.core.upstreams['mts'].answers[0] == 10)
    assert set(by_peer) <= {alive, dead}
    await esme.submit_all(submit(b'%03d' % number) for number in range(10, 20))
    await until(lambda: found.node.core.upstreams['mts'].answers[0] == 20)
    assert by_peer[-10:] == [alive] * 10


@pytest.mark.wire('F23')
async def test_links_are_used_by_the_room_in_their_windows(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, links=2, window=5)})
    await everywhere_bound(smsc, 2)
    esme = await bind(found)
    held, quick = smsc.bound
    taken: dict[object, list[pdus.SubmitSm]] = {held: [], quick: []}

    def respond(peer, pdu, answer):
        taken[peer].append(pdu)
        if peer is quick:
            peer.send(pdus.SubmitSmResp(pdu.sequence_number, 0, answer))

    smsc.respond = respond
    await esme.submit_all(submit(b'%03d' % number) for number in range(60))
    await until(lambda: len(smsc.submits) == 60)
    assert (len(taken[held]), len(taken[quick])) == (5, 55)


# TLS


def secured(authority, *hosts, client_ca=None):
    """What an operator's port with TLS shows."""
    issued = authority.issue(*hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def start_secured(start_smsc, context):
    """A scripted operator whose port speaks TLS."""
    smsc = await start_smsc(start=False)
    smsc.tls = context
    return await smsc.start()


@pytest.mark.wire('F25')
async def test_a_link_checks_the_certificate_and_names_the_host_that_it_wants(product, start_smsc, bind, authority):
    asked_for = []
    context = secured(authority, 'smsc.example')
    context.sni_callback = lambda _, name, __: asked_for.append(name)
    smsc = await start_secured(start_smsc, context)
    keys = {'tls': True, 'tls_ca': authority.certificate, 'tls_server_name': 'smsc.example'}
    by_name = await start_secured(start_smsc, secured(authority, 'localhost'))
    by_name.tls.sni_callback = context.sni_callback
    named = {'host': 'localhost', 'tls': True, 'tls_ca': authority.certificate}
    found = await product(upstreams={'mts': upstream(smsc.port, **keys), 'named': upstream(by_name.port, **named)})
    await everywhere_bound(smsc)
    await everywhere_bound(by_name)
    assert set(asked_for) == {'smsc.example', 'localhost'}
    esme = await bind(found)
    await esme.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    await esme.receipts(1)


BAD_CERTIFICATES = {  # and what their errors say to look at
    'unknown': 'tls_ca',
    'system': 'tls_ca',
    'name': 'tls_server_name',
    'expired': 'renew',
    'early': 'clock',
}


def issue_bad(case, authority, folder):
    """A certificate that is bad in one way."""
    dates = {
        'expired': {'begins': timedelta(days=-3), 'ends': timedelta(days=-2)},
        'early': {'begins': timedelta(days=2), 'ends': timedelta(days=3)},
    }
    issuer = Authority(folder, 'stranger') if case == 'unknown' else authority
    return issuer.issue('other.example' if case == 'name' else '127.0.0.1', **dates.get(case, {}))


@pytest.mark.wire('F25')
async def test_a_bad_certificate_gets_no_bind_and_says_what_to_do(product, start_smsc, authority, tmp_path):
    found, upstreams = {}, {}
    for case in BAD_CERTIFICATES:
        issued = issue_bad(case, authority, tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        found[case] = await start_secured(start_smsc, context)
        keys = {'tls': True, 'tls_ca': None if case == 'system' else authority.certificate}
        upstreams[case] = upstream(found[case].port, **keys)
    with capture_logs() as logs:
        running = await product(upstreams=upstreams)
        links = {case: running.node.core.upstreams[case].links[0] for case in found}
        await until(lambda: all(link.last_error for link in links.values()))
    errors = {entry['link']: entry for entry in logs if entry['event'] == 'link.tls'}
    for case, link in links.items():
        assert found[case].binds == []
        assert BAD_CERTIFICATES[case] in link.last_error
        error = errors[link.settings.name]
        assert (error['log_level'], error['reason']) == ('error', link.last_error)


@pytest.mark.wire('F25')
async def test_without_verification_any_certificate_will_do(product, start_smsc, authority):
    smsc = await start_secured(start_smsc, secured(authority, 'other.example'))
    await product(upstreams={'mts': upstream(smsc.port, tls=True, tls_verify=False)})
    await everywhere_bound(smsc)


async def test_an_operator_that_asks_for_our_certificate_gets_it(product, start_smsc, authority, tmp_path):
    smsc = await start_secured(start_smsc, secured(authority, '127.0.0.1', client_ca=authority.certificate))
    ours, strangers = authority.issue('proxy'), Authority(tmp_path / 'stranger', 'stranger').issue('proxy')
    keys = {'tls': True, 'tls_ca': authority.certificate}
    shown = keys | {'tls_certificate': strangers.certificate, 'tls_key': strangers.key}
    found = await product(upstreams={'mts': upstream(smsc.port, **shown)})
    await until(lambda: found.node.core.upstreams['mts'].links[0].last_error)
    assert smsc.binds == []
    found.write(upstreams={'mts': {'tls_certificate': ours.certificate, 'tls_key': ours.key}})
    await found.reload()
    await everywhere_bound(smsc)


async def test_a_link_that_wants_tls_sends_nothing_readable_to_a_port_without(product, start_smsc, authority):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, tls=True, tls_ca=authority.certificate)})
    link = found.node.core.upstreams['mts'].links[0]
    await until(lambda: smsc.connections)
    smsc.connections[0].send(pdus.GenericNack(0, 2))
    await until(lambda: link.last_error)
    assert 'does not speak TLS' in link.last_error
    assert smsc.binds == []
    assert not any(UPSTREAM_PASSWORD.encode() in peer.octets_read for peer in smsc.connections)


# outbind


async def outbind(product, connect, **fields):
    """An outbind from 127.0.0.1, followed by what shows that it was dealt with and not answered."""
    peer = await connect(product)
    peer.send(pdus.Outbind(1, **fields))
    assert await peer.settled() == []
    return peer


@pytest.mark.wire('B20')
async def test_an_outbind_of_the_operators_credentials_or_address_ends_the_pause(product, start_smsc, connect):
    first, second, third = [await start_smsc(start=False) for _ in range(3)]
    named = {'host': 'localhost', 'outbind': True, 'reconnect': LONG_PAUSES}
    found = await product(
        upstreams={
            'named': upstream(first.port, system_id='mine', **named),
            'at': upstream(second.port, outbind=True, reconnect=LONG_PAUSES),
            'deaf': upstream(third.port, reconnect=LONG_PAUSES),
        }
    )
    links = [found.node.core.upstreams[name].links[0] for name in ('named', 'at', 'deaf')]
    await until(lambda: all(link.last_error for link in links))
    for smsc in (first, second, third):
        await smsc.start()
    await outbind(found, connect, system_id=b'mine', password=UPSTREAM_PASSWORD.encode())
    await everywhere_bound(first)
    await everywhere_bound(second)
    assert third.connections == []
    assert await found.metric('smsc_outbinds_ignored_total') == 0


@pytest.mark.wire('B20')
async def test_an_outbind_of_a_stranger_is_counted_and_nothing_else(product, start_smsc, connect):
    smsc = await start_smsc(start=False)
    keys = {'host': 'localhost', 'system_id': 'mine', 'outbind': True, 'reconnect': LONG_PAUSES}
    found = await product(upstreams={'mts': upstream(smsc.port, **keys)})
    link = found.node.core.upstreams['mts'].links[0]
    await until(lambda: link.last_error)
    await smsc.start()
    with capture_logs() as logs:
        await outbind(found, connect, system_id=b'mine', password=b'guess')
        await outbind(found, connect, system_id=b'other', password=UPSTREAM_PASSWORD.encode())
        peer = await outbind(found, connect)
    assert await found.metric('smsc_outbinds_ignored_total') == 3
    assert smsc.connections == []
    assert logs == []
    assert (await peer.bind('bank', PASSWORD)).command_status == 0


@pytest.mark.wire('B20')
async def test_outbinds_do_not_make_us_hammer_an_operator(product, start_smsc, connect):
    smsc = await start_smsc()
    smsc.bind_status = int(CommandStatus.ESME_RINVPASWD)
    found = await product(upstreams={'mts': upstream(smsc.port, outbind=True, reconnect=LONG_PAUSES)})
    link = found.node.core.upstreams['mts'].links[0]
    await until(lambda: link.refusals == 1)
    for _ in range(20):
        await outbind(found, connect)
    await until(lambda: link.refusals == 2)
    for _ in range(20):
        await outbind(found, connect)
    assert len(smsc.binds) == 2
