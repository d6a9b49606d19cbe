"""Receipts that come to one node about messages of another."""

import time

import asyncpg
import pytest

from pdu import pdus
from pdu.receipt_text import MessageState
from tests.product.peers import Peer, Smsc, operator_receipt
from tests.product.running import upstream
from tests.product.waiting import until, until_async

OURS = b'4711'


class Apart(Smsc):
    """An operator that keeps its answers, as (peer, submit_sm), for the test to give, and knows the nodes' links."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[Peer, pdus.SubmitSm]] = []
        self.node_of: dict[Peer, bytes] = {}

    def respond(self, peer, pdu, answer):
        self.kept.append((peer, pdu))

    def _handle_bind(self, peer, pdu):
        self.node_of[peer] = pdu.system_id
        super()._handle_bind(peer, pdu)

    def link_beside(self, peer):
        """A link of another node than the one that has this link."""
        return next((one for one in self.receiving if self.node_of[one] != self.node_of[peer]), None)


@pytest.fixture
async def apart(nodes, own_redis):
    """Two nodes with links of their own, and their operator."""
    smsc = Apart()
    await smsc.start()
    try:
        redis = {'redis': own_redis.url}
        found = await nodes(2, start=False, store=redis, upstreams={'mts': upstream(smsc.port, links=2)})
        for node in found:
            node.write(upstreams={'mts': {'system_id': f'node{node.tree["node"]}'}})
            await node.start()
        await until(lambda: len({smsc.node_of[peer] for peer in smsc.receiving}) == 2)
        yield found, smsc
    finally:
        await smsc.stop()


@pytest.fixture
async def stored():
    """Does something in a product's store: `await stored(product, 'insert ...')`."""

    async def do(product, statement):
        connection = await asyncpg.connect(**product.arguments)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    return do


@pytest.mark.wire('F12', 'G11')
@pytest.mark.parametrize('bound_at', [0, 1], ids=['esme at the sender', 'esme at the other'])
async def test_a_receipt_at_another_node_overtakes_the_response(apart, bind, bound_at):
    found, smsc = apart
    sending, receiving = await bind(found[0]), await bind(found[1])
    message_id = await sending.submit()
    await (receiving if bound_at == 0 else sending).close()
    await until(lambda: smsc.kept)
    ((peer, pdu),) = smsc.kept
    other = await until(lambda: smsc.link_beside(peer))
    assert (await other.ask(operator_receipt(OURS))).command_status == 0
    Smsc.respond(smsc, peer, pdu, OURS)
    esme = sending if bound_at == 0 else receiving
    await esme.receipts(1)
    assert esme.delivered[0].short_message.startswith(f'id:{message_id} '.encode())
    await found[0].settle(DELIVERED=1)
    assert [len(esme.delivered) for esme in (sending, receiving)] == [1 - bound_at, bound_at]

    async def nothing_parked():
        return not any([(await node.status()).parked_receipts for node in found])

    await until_async(nothing_parked)


@pytest.mark.wire('F12', 'G10')
async def test_a_receipt_at_another_node_overtakes_the_response_of_nodes_that_cannot_ask_each_other(
    apart, bind, own_redis
):
    found, smsc = apart
    own_redis.stop()
    esmes = [await bind(node) for node in found]  # the receipt goes to where the operator's came
    message_id = await esmes[0].submit()
    await until(lambda: smsc.kept)
    ((peer, pdu),) = smsc.kept
    other = await until(lambda: smsc.link_beside(peer))
    assert (await other.ask(operator_receipt(OURS))).command_status == 0
    Smsc.respond(smsc, peer, pdu, OURS)
    await until(lambda: any(esme.delivered for esme in esmes))
    (shown,) = [receipt.short_message for esme in esmes for receipt in esme.delivered]
    assert shown.startswith(f'id:{message_id} '.encode())
    await found[0].settle(DELIVERED=1)


@pytest.mark.wire('F17')
async def test_a_receipt_of_nobody_is_taken_and_kept(apart):
    found, smsc = apart
    for peer in list(smsc.receiving):
        assert (await peer.ask(operator_receipt(OURS))).command_status == 0

    async def parked():
        return sum([(await node.status()).parked_receipts for node in found]) >= 1

    await until_async(parked)


@pytest.mark.wire('F15')
async def test_a_receipt_that_waits_since_before_is_not_that_of_a_message_that_gets_its_id_anew(
    nodes, start_smsc, bind, stored
):
    smsc = await start_smsc()
    smsc.script = lambda pdu: OURS
    found = await nodes(2, start=False, upstreams={'mts': upstream(smsc.port, links=2)})
    before_ms = int(time.time() * 1000) - 600_000
    undelivered = int(MessageState.UNDELIVERABLE)
    await found[0].start()
    await stored(
        found[0],
        'insert into parked_receipt (upstream, upstream_message_id, received_at, state, error)'
        f" values ('mts', '{OURS.decode()}', {before_ms}, {undelivered}, 0)",
    )
    await found[1].start()
    assert (await found[1].status()).parked_receipts == 1
    esme = await bind(found[0])
    await until(lambda: smsc.bound)
    await esme.submit()
    await smsc.submitted(1)

    async def nothing_parked():
        return not any([(await node.status()).parked_receipts for node in found])

    await until_async(nothing_parked)
    assert await smsc.deliver_receipt(OURS) == 0
    await found[0].settle(DELIVERED=1)
