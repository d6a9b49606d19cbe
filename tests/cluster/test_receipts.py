"""Receipts that an operator sends by the link of one node for a message that another one sent."""

import pytest

from pdu import pdus
from tests.product.peers import operator_receipt
from tests.product.running import everywhere_bound, upstream
from tests.product.waiting import until

MESSAGES = 40


@pytest.fixture
async def both(nodes, start_smsc):
    """Two nodes with a link each."""
    smsc = await start_smsc()
    first, second = await nodes(2, upstreams={'mts': upstream(smsc.port, links=2)})
    await everywhere_bound(smsc, 2)
    return first, second, smsc


@pytest.mark.wire('G11')
async def test_receipts_come_by_any_link_and_reach_the_esme_once(both, bind):
    first, second, smsc = both
    esmes = [await bind(first), await bind(second)]
    ids = {await esmes[number % 2].submit(text=b'text %d' % number) for number in range(MESSAGES)}
    await smsc.submitted(MESSAGES)
    for number, given in enumerate(list(smsc.given)):
        peer = smsc.receiving[number % len(smsc.receiving)]
        assert (await peer.ask(operator_receipt(given))).command_status == 0
    await until(lambda: sum(len(esme.delivered) for esme in esmes) >= MESSAGES)
    shown = [pdu.short_message.split()[0].decode() for esme in esmes for pdu in esme.delivered]
    assert sorted(shown) == sorted(f'id:{one}' for one in ids)
    await first.settle(DELIVERED=MESSAGES)


@pytest.mark.wire('F12', 'G11')
async def test_a_receipt_that_overtakes_its_response_by_another_node_is_matched(both, bind):
    first, _second, smsc = both
    esme = await bind(first)
    answered = []
    smsc.respond = lambda peer, pdu, answer: answered.append((peer, pdu, answer))
    message_id = await esme.submit()
    await until(lambda: answered)
    peer, pdu, given = answered[0]
    for other in [link for link in smsc.receiving if link is not peer]:
        assert (await other.ask(operator_receipt(given))).command_status == 0
    peer.send(pdus.SubmitSmResp(pdu.sequence_number, 0, given))
    await esme.receipts(1)
    assert esme.delivered[0].short_message.startswith(f'id:{message_id} '.encode())
    await first.settle(DELIVERED=1)
