"""How the product slows down for operators that are busy (wire.md F5, F24)."""

import pytest

from pdu import pdus
from pdu.status import CommandStatus
from pdu.tlvs import Tag
from tests.product.peers import submit
from tests.product.running import everywhere_bound, upstream
from tests.product.waiting import until


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with a busy operator and one that is not, and an ESME; what starts with 49 goes to the second."""
    busy, other = await start_smsc(), await start_smsc()
    found = await product(
        upstreams={'mts': upstream(busy.port, rate_per_s=200), 'dt': upstream(other.port)},
        routes=[
            {'name': 'Germany', 'when': {'destination': '49*'}, 'failover': ['dt']},
            {'name': 'the rest', 'failover': ['mts']},
        ],
    )
    await everywhere_bound(busy)
    await everywhere_bound(other)
    return found, busy, other, await bind(found)


@pytest.mark.wire('F5')
@pytest.mark.parametrize('status', [CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RMSGQFUL])
async def test_a_throttling_operator_gets_less_and_every_message_in_order(running, status):
    found, busy, other, esme = running
    refusals = [status] * 3
    accepted: list[bytes] = []

    def script(pdu):
        if len(accepted) >= 5 and refusals:
            return refusals.pop()
        accepted.append(pdu.short_message)
        return busy.next_id()

    busy.script = script
    rate = found.node.core.upstreams['mts'].rate
    texts = [b'message %02d' % number for number in range(20)]
    await esme.submit_all(submit(text, registered_delivery=0) for text in texts)
    await until(lambda: rate.is_lowered)
    assert rate.rate_per_s < 200
    await esme.submit(destination_addr=b'4917012345678', registered_delivery=0)
    await other.submitted(1)
    await until(lambda: len(accepted) == 20)
    assert sorted(accepted) == texts
    await found.settle(ACCEPTED=21)
    rate.take(0, found.node.core.loop.time() + 60)
    assert (rate.is_lowered, rate.rate_per_s) == (False, 200)


@pytest.mark.wire('F24')
@pytest.mark.parametrize(('state', 'stops'), [(85, False), (100, True)])
async def test_an_operator_that_says_it_is_congested_gets_less(running, state, stops):
    found, busy, _other, esme = running
    rate = found.node.core.upstreams['mts'].rate

    def respond(peer, pdu, _answer):
        tlvs = ((int(Tag.CONGESTION_STATE), bytes([state])),)
        peer.send(pdus.SubmitSmResp(pdu.sequence_number, 0, busy.next_id(), tlvs))

    busy.respond = respond
    await esme.submit(registered_delivery=0)
    await until(lambda: rate.is_lowered)
    now = found.node.core.loop.time()
    assert (rate.take(1, now + 0.01) == 0) is stops
    await found.settle(ACCEPTED=1)
