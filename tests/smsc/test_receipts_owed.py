"""What an ESME is owed: kept while it is away, repeated until it is acknowledged, and then never again."""

import asyncio

import pytest

from domain.message import Notice
from pdu import pdus
from pdu.status import CommandStatus
from tests.product.peers import operator_receipt, submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async


@pytest.fixture
async def running(product, start_smsc):
    """A product with one scripted operator."""
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, smpp={'response_timeout_s': 1.0})
    await everywhere_bound(smsc)
    return found, smsc


async def has_notice(product, message_id, notice):
    async def noted():
        return (await product.story(message_id)).notice == notice

    await until_async(noted)


@pytest.mark.wire('E9', 'E20')
async def test_receipts_wait_for_the_next_bind_in_their_order(running, bind):
    product, smsc = running
    transmitter = await bind(product, bind=pdus.BindTransmitter)
    ids = await transmitter.submit_all(submit() for _ in range(20))
    await smsc.submitted(20)
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    await product.settle(DELIVERED=20)
    receiver = await bind(product, bind=pdus.BindReceiver)
    assert [receipt.id.decode() for receipt in await receiver.receipts(20)] == ids


@pytest.mark.wire('E11')
async def test_a_receipt_without_an_answer_goes_to_the_next_bind_after_a_disconnect(running, bind):
    product, smsc = running
    first = await bind(product)
    first.acknowledge = False
    message_id = await first.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    await first.take(pdus.DeliverSm)
    await first.reset()
    second = await bind(product)
    (receipt,) = await second.receipts(1)
    assert receipt.id.decode() == message_id
    await has_notice(product, message_id, Notice.ACKNOWLEDGED)


@pytest.mark.wire('E11')
async def test_a_receipt_without_an_answer_comes_again_after_the_time_out(running, bind):
    product, smsc = running
    esme = await bind(product)
    esme.acknowledge = False
    message_id = await esme.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    first = await esme.take(pdus.DeliverSm)
    again = await esme.take(pdus.DeliverSm)
    assert again.short_message == first.short_message
    assert again.sequence_number != first.sequence_number
    esme.send(pdus.DeliverSmResp(again.sequence_number))
    await has_notice(product, message_id, Notice.ACKNOWLEDGED)


@pytest.mark.wire('E11')
async def test_what_was_acknowledged_does_not_come_again_after_a_restart_and_what_was_not_does(running, bind):
    product, smsc = running
    esme = await bind(product)
    acknowledged = await esme.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    await esme.receipts(1)
    await has_notice(product, acknowledged, Notice.ACKNOWLEDGED)
    esme.acknowledge = False
    owed = await esme.submit()
    await smsc.submitted(2)
    await smsc.deliver_receipt(smsc.given[1])
    await esme.take(pdus.DeliverSm)
    await esme.reset()
    await product.stop()
    await product.start()
    esme = await bind(product)
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == owed
    await has_notice(product, owed, Notice.ACKNOWLEDGED)
    assert await esme.settled() == []
    assert len(esme.delivered) == 1


@pytest.mark.wire('E12')
@pytest.mark.parametrize(
    'status', [CommandStatus.ESME_RX_T_APPN, CommandStatus.ESME_RMSGQFUL, CommandStatus.ESME_RTHROTTLED]
)
async def test_a_temporary_error_of_the_esme_brings_the_receipt_again(running, bind, monkeypatch, status):
    monkeypatch.setattr('smsc.account.RETRY_FIRST_MS', 50)
    product, smsc = running
    esme = await bind(product)
    esme.acknowledge = False
    message_id = await esme.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    first = await esme.take(pdus.DeliverSm)
    esme.send(pdus.DeliverSmResp(first.sequence_number, status))
    again = await esme.take(pdus.DeliverSm)
    assert again.short_message == first.short_message
    esme.send(pdus.DeliverSmResp(again.sequence_number))
    await has_notice(product, message_id, Notice.ACKNOWLEDGED)


@pytest.mark.wire('E12')
@pytest.mark.parametrize('status', [CommandStatus.ESME_RX_P_APPN, CommandStatus.ESME_RX_R_APPN])
async def test_a_permanent_error_of_the_esme_gives_the_receipt_up(running, bind, status):
    product, smsc = running
    esme = await bind(product)
    esme.acknowledge = False
    message_id = await esme.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    first = await esme.take(pdus.DeliverSm)
    esme.send(pdus.DeliverSmResp(first.sequence_number, status))
    await has_notice(product, message_id, Notice.GIVEN_UP)
    # The next receipt comes, the one that was refused does not.
    esme.acknowledge = True
    last = await esme.submit()
    await smsc.submitted(2)
    await smsc.deliver_receipt(smsc.given[1])
    assert [receipt.id.decode() for receipt in await esme.receipts(1)] == [last]
    assert len(esme.delivered) == 1


@pytest.mark.wire('E13')
async def test_a_slow_esme_holds_no_more_than_its_window_and_harms_no_other(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        accounts={'bank': account(window=5), 'shop': account(window=1000)},
        queues={'memory': 100},
    )
    slow, fast = await bind(found), await bind(found, 'shop')
    slow.acknowledge = False
    transmitter = await bind(found, bind=pdus.BindTransmitter)
    for _ in range(60):
        await transmitter.submit_all(submit() for _ in range(5))
    await fast.submit_all(submit(b'fast') for _ in range(300))
    await smsc.submitted(600)
    peer = smsc.receiving[-1]
    for given in list(smsc.given):
        peer.number(operator_receipt(given))
    await fast.receipts(300)
    await found.settle(DELIVERED=600)
    deliveries = [pdu for pdu in await slow.settled() if isinstance(pdu, pdus.DeliverSm)]
    assert len(deliveries) == 5
    outbox = found.node.core.accounts['bank'].feed.outbox
    assert outbox.in_memory <= 100
    assert outbox.depth == 295
    slow.acknowledge = True
    for pdu in deliveries:
        slow.send(pdus.DeliverSmResp(pdu.sequence_number))
    await slow.receipts(295)


@pytest.mark.wire('E14')
async def test_an_esme_that_submits_without_reading_does_not_stop_the_server(running, bind):
    product, smsc = running
    deaf, other = await bind(product), await bind(product)
    deaf.writer.transport.pause_reading()
    requests = [submit(b'x' * 140) for _ in range(900)]
    deaf.number(*requests)
    await smsc.submitted(900)
    assert await other.submit()
    deaf.writer.transport.resume_reading()
    answers = await asyncio.gather(*(deaf.take(pdus.SubmitSmResp, pdu.sequence_number) for pdu in requests))
    assert {answer.command_status for answer in answers} == {0}


@pytest.mark.wire('E9')
async def test_receipts_older_than_the_account_keeps_them_are_given_up(monkeypatch, product, start_smsc, bind):
    monkeypatch.setattr('smsc.upkeep.SWEEP_S', 0.1)
    smsc = await start_smsc()
    product = await product(upstreams={'mts': upstream(smsc.port)})
    transmitter = await bind(product, bind=pdus.BindTransmitter)
    message_id = await transmitter.submit()
    await smsc.submitted(1)
    product.node.core.accounts['bank'].keep_ms = 300
    await smsc.deliver_receipt(smsc.given[0])
    await has_notice(product, message_id, Notice.GIVEN_UP)
    receiver = await bind(product)
    await receiver.settled()
    assert receiver.delivered == []
    await until(lambda: product.node.core.accounts['bank'].feed.outbox.depth == 0)
