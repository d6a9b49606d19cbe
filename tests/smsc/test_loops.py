"""Messages that come back to us over our own links, or over other nodes', are stopped after some hops (wire.md G6)."""

import pytest

from pdu.status import CommandStatus
from pdu.tlvs import find
from smsc.loops import counted, with_hops
from tests.product.peers import submit
from tests.product.running import PASSWORD, account, everywhere_bound, free_port, upstream
from tests.product.waiting import until_async

TAG = 0x1450
STOPPED = int(CommandStatus.ESME_RSUBMITFAIL)


@pytest.fixture
async def own(product, bind):
    """A product whose upstream is its own port, where it binds as the account `loop`; and an ESME: `await own()`."""

    async def start(**smpp):
        port = free_port()
        upstreams = {'ourselves': upstream(port, system_id='loop', password=PASSWORD)}
        accounts = {'bank': account(), 'loop': account()}
        smpp = {'listen': f'127.0.0.1:{port}'} | smpp
        found = await product(upstreams=upstreams, accounts=accounts, smpp=smpp)
        found.port = port
        await found.links_bound('ourselves')
        return found, await bind(found)

    return start


@pytest.mark.wire('G6')
@pytest.mark.parametrize(('smpp', 'hops'), [({}, 3), ({'max_hops': 1}, 1), ({'max_hops': 0}, 0)])
async def test_a_message_to_ourselves_is_stopped_and_its_sender_hears_of_it(own, smpp, hops):
    found, esme = await own(**smpp)
    message_id = await esme.submit(b'round and round')
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.state.name) == (message_id, 'UNDELIVERABLE')
    await found.settle(UNDELIVERABLE=1 + hops)
    assert await found.metric('smsc_refused_total', account='loop', command_status='ESME_RSUBMITFAIL') == 1
    assert await found.metric('smsc_loops_stopped_total') == 1


@pytest.mark.wire('G6')
async def test_hops_are_known_of_each_of_many_messages_and_survive_the_disk(own):
    found, esme = await own()
    ourselves = found.node.core.upstreams['ourselves']
    ourselves.feed.pause(3_600)
    await esme.submit_all(submit(b'%d' % number) for number in range(150))
    for message in ourselves.feed.outbox.go_offline():
        ourselves.feed.outbox.put(message)
    ourselves.feed.paused_until = 0
    ourselves.feed.outbox.go_online()
    await esme.receipts(150)
    await found.settle(UNDELIVERABLE=150 * 4)


@pytest.mark.wire('G6')
async def test_a_loop_over_others_is_stopped_by_the_tlv_that_they_pass_on(product, start_smsc, bind):
    counts, plain = await start_smsc(), await start_smsc()
    found = await product(
        upstreams={'counts': upstream(counts.port, count_hops=True), 'plain': upstream(plain.port)},
        smpp={'hop_tlv': TAG, 'max_hops': 3},
        routes=[
            {'name': 'plain', 'when': {'text': 'plain'}, 'failover': ['plain']},
            {'name': 'others', 'failover': ['counts']},
        ],
    )
    await everywhere_bound(counts)
    await everywhere_bound(plain)
    esme = await bind(found)
    hops: bytes | None = b'\x00'
    for passes in (1, 2, 3):
        await esme.submit(tlvs=((TAG, hops), (0x1501, b'kept')) if hops != b'\x00' else ())
        hops = find((await counts.submitted(passes))[-1].tlvs, TAG)
    assert hops == b'\x03'
    await esme.submit(b'plain', tlvs=((TAG, hops), (0x1501, b'kept')))
    (sent,) = await plain.submitted(1)
    assert sent.tlvs == ((0x1501, b'kept'),)
    refused = await esme.ask(submit(tlvs=((TAG, b'\x04'),)))
    assert refused.command_status == STOPPED
    await until_async(lambda: has_stopped(found))


async def has_stopped(found):
    """One message was stopped."""
    return await found.metric('smsc_loops_stopped_total') == 1


async def test_a_session_of_somebody_else_may_pass_as_often_as_it_likes(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, smpp={'max_hops': 0})
    await everywhere_bound(smsc)
    esme = await bind(found)
    await esme.submit(tlvs=((TAG, b'\xff'),))
    (sent,) = await smsc.submitted(1)
    assert find(sent.tlvs, TAG) == b'\xff'


def test_one_octet_tells_up_to_255_hops_and_other_tlvs_stay():
    tlvs = ((0x1401, b'x'), (TAG, b'\xff'))
    assert with_hops(tlvs, TAG, 300) == ((0x1401, b'x'), (TAG, b'\xff'))
    pdu = submit(tlvs=tlvs)
    assert counted([pdu], TAG)[0].tlvs == tlvs
    assert pdu.tlvs == tlvs
