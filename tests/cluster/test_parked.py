"""Receipts that come to one node about messages of another."""

import pytest

from tests.product.peers import Smsc, operator_receipt
from tests.product.running import upstream
from tests.product.waiting import until, until_async

OURS = b'4711'


@pytest.fixture
async def apart(nodes, start_smsc, bind):
    """Two nodes with a link each; the operator keeps its answers, as (peer, submit_sm), for the test to give."""
    smsc = await start_smsc()
    kept = []
    smsc.respond = lambda peer, pdu, answer: kept.append((peer, pdu))
    found = await nodes(2, upstreams={'mts': upstream(smsc.port, links=2)})

    async def everywhere():
        statuses = [(await node.status()).upstreams[0] for node in found]
        return all(sum(link.state.startswith('bound') for link in mts.links) == 1 for mts in statuses)

    await until_async(everywhere)
    return found, smsc, kept


def other_link(smsc, peer):
    """A link other than this one: the other node's, as each has one."""
    return next(one for one in smsc.receiving if one is not peer)


@pytest.mark.wire('F12', 'G11')
@pytest.mark.parametrize('bound_at', [0, 1], ids=['esme at the sender', 'esme at the other'])
async def test_a_receipt_at_another_node_overtakes_the_response(apart, bind, bound_at):
    found, smsc, kept = apart
    sending, receiving = await bind(found[0]), await bind(found[1])
    message_id = await sending.submit()
    await (receiving if bound_at == 0 else sending).close()
    await until(lambda: kept)
    ((peer, pdu),) = kept
    assert (await other_link(smsc, peer).ask(operator_receipt(OURS))).command_status == 0
    Smsc.respond(smsc, peer, pdu, OURS)
    esme = sending if bound_at == 0 else receiving
    await esme.receipts(1)
    assert esme.delivered[0].short_message.startswith(f'id:{message_id} '.encode())
    await found[0].settle(DELIVERED=1)
    assert [len(esme.delivered) for esme in (sending, receiving)] == [1 - bound_at, bound_at]

    async def nothing_parked():
        return not any([(await node.status()).parked_receipts for node in found])

    await until_async(nothing_parked)


@pytest.mark.wire('F17')
async def test_a_receipt_of_nobody_is_taken_and_kept(apart):
    found, smsc, _ = apart
    for peer in list(smsc.receiving):
        assert (await peer.ask(operator_receipt(OURS))).command_status == 0

    async def parked():
        return sum([(await node.status()).parked_receipts for node in found]) >= 1

    await until_async(parked)
