"""query_sm, cancel_sm, replace_sm and replace_if_present_flag at a node that does not have the message."""

import asyncio
from functools import partial

import pytest

from pdu import pdus
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from tests.product.peers import submit
from tests.product.running import free_port, upstream
from tests.product.waiting import until_async

S = CommandStatus
PLACES = ['disk', 'memory']


class Bench:
    """Two nodes, an ESME bound to each, and messages that wait at the first."""

    def __init__(self, first, second, smsc, esmes) -> None:
        self.first, self.second, self.smsc = first, second, smsc
        self.here, self.there = esmes
        self.held: list[pdus.SubmitSm] = []
        self.before = 0

    def hold(self, pdu):
        self.held.append(pdu)

    async def queue(self, count=1, **changes):
        """Submits messages at the first node, which wait there; returns their message_ids."""
        return [await self.here.submit(b'original %d' % number, **changes) for number in range(count)]

    async def begin(self):
        """Lets everything that waits go out."""
        self.smsc.script = lambda pdu: self.smsc.next_id()
        if not self.before:
            await self.smsc.start()
        for peer in self.smsc.bound:  # whichever of them it is that waits for the answer
            for pdu in self.held:
                self.smsc.respond(peer, pdu, self.smsc.next_id())

    async def texts(self, count):
        """What the operator gets in all, once it gets so much."""
        await self.begin()
        return sorted(pdu.short_message for pdu in await self.smsc.submitted(count))


@pytest.fixture(params=PLACES)
async def bench(request, nodes, start_smsc, bind):
    """On disk the operator is away; in memory each node's one link has a message before that is not answered."""
    port, in_memory = free_port(), request.param == 'memory'
    smsc = await start_smsc(port, start=in_memory)
    config = upstream(port, window=1) | {'links': 2}
    first, second = await nodes(2, upstreams={'mts': config})
    found = Bench(first, second, smsc, [await bind(first), await bind(second)])
    if in_memory:
        smsc.script = found.hold
        for node in (first, second):
            await until_async(partial(has_link, node))
        for esme in (found.here, found.there) * 2:  # enough for all links that a node may have
            await esme.submit(b'before')
        await smsc.submitted(2)
        found.before = 4
    return found


async def has_link(node):
    (mts,) = (await node.status()).upstreams
    return any(link.state.startswith('bound') for link in mts.links)


def cancel(message_id='', **changes):
    return pdus.CancelSm(message_id=message_id.encode(), source_addr=b'MyBank', **changes)


def replace(message_id, text=b'another', **changes):
    fields = {'registered_delivery': 1, 'short_message': text, 'source_addr': b'MyBank'}
    return pdus.ReplaceSm(message_id=message_id.encode(), **fields | changes)


async def status_of(esme, request):
    return (await esme.ask(request)).command_status


@pytest.mark.wire('C30', 'C31')
async def test_a_message_is_cancelled_at_a_node_that_does_not_have_it(bench):
    first, second = await bench.queue(2)
    assert await status_of(bench.there, cancel(first)) == S.ESME_ROK
    assert await status_of(bench.there, cancel(first)) == S.ESME_RCANCELFAIL
    answer = await bench.there.ask(pdus.QuerySm(message_id=first.encode(), source_addr=b'MyBank'))
    assert (answer.command_status, answer.message_state) == (S.ESME_ROK, MessageState.DELETED)
    answer = await bench.there.ask(pdus.QuerySm(message_id=second.encode(), source_addr=b'MyBank'))
    assert answer.message_state == MessageState.ENROUTE
    esmes = bench.here, bench.there
    await until_async(lambda: anything(esmes))
    (receipt,) = [pdu.short_message for esme in esmes for pdu in esme.delivered]
    assert receipt.startswith(f'id:{first} '.encode())
    assert b'stat:DELETED' in receipt
    assert await bench.texts(bench.before + 1) == [b'before'] * bench.before + [b'original 1']


async def anything(esmes):
    return any(esme.delivered for esme in esmes)


@pytest.mark.wire('C31')
async def test_all_messages_to_a_number_are_cancelled_wherever_they_are(bench):
    await bench.queue(3, destination_addr=b'79160000001')
    await bench.there.submit(b'there', destination_addr=b'79160000001')
    await bench.queue(1)
    pdu = cancel(dest_addr_ton=1, dest_addr_npi=1, destination_addr=b'79160000001')
    assert await status_of(bench.there, pdu) == S.ESME_ROK
    assert await status_of(bench.here, pdu) == S.ESME_RCANCELFAIL
    assert await bench.texts(bench.before + 1) == [b'before'] * bench.before + [b'original 0']


@pytest.mark.wire('C32')
@pytest.mark.parametrize('bench', ['disk'], indirect=True)
async def test_a_message_is_replaced_at_a_node_that_does_not_have_it(bench):
    (message_id,) = await bench.queue()
    assert await status_of(bench.there, replace(message_id)) == S.ESME_ROK
    assert await status_of(bench.there, replace('1')) == S.ESME_RREPLACEFAIL
    assert await bench.texts(bench.before + 1) == [b'another'] + [b'before'] * bench.before


@pytest.mark.wire('C23')
@pytest.mark.parametrize('bench', ['memory'], indirect=True)
async def test_the_newest_of_a_kind_is_replaced_whichever_node_has_it(bench):
    older = await bench.there.submit(b'older')
    await asyncio.sleep(0.05)  # ids of two nodes are in order by their milliseconds, as each node's clock has them
    (newer,) = await bench.queue()
    assert int(newer) > int(older)
    assert await bench.there.submit(b'instead', replace_if_present_flag=1) == newer
    assert await status_of(bench.here, cancel(newer)) == S.ESME_ROK
    assert await bench.here.submit(b'now this', replace_if_present_flag=1) == older
    other = await bench.there.submit(b'of another service', replace_if_present_flag=1, service_type=b'OTP')
    assert other not in (older, newer)
    assert await bench.texts(bench.before + 2) == [b'before'] * bench.before + [b'now this', b'of another service']


async def test_while_nodes_cannot_be_asked_nobody_says_that_a_message_is_not_queued(nodes, own_redis, bind):
    first, second = await nodes(2, store={'redis': own_redis.url}, upstreams={'mts': upstream(free_port())})
    here, there = await bind(first), await bind(second)
    message_id = await here.submit()
    own_redis.stop()

    async def see_it(available):
        return {await node.metric('smsc_cluster_redis_available') for node in (first, second)} == {available}

    await until_async(partial(see_it, 0))
    asked = [cancel(message_id), replace(message_id), submit(replace_if_present_flag=1)]
    assert [answer.command_status for answer in await there.ask_all(asked)] == [S.ESME_RSYSERR] * 3
    own_redis.start()
    await until_async(partial(see_it, 1))
    assert await status_of(there, cancel(message_id)) == S.ESME_ROK
