"""The simulated operator on the wire, PDU by PDU."""

import asyncio

import pytest

from pdu import pdus, receipt_text
from pdu.alphabets import decode_text
from pdu.codec import encode
from pdu.command import CommandId
from pdu.status import CommandStatus
from perf.operator import Operator
from tests.perf.peer import submit


async def test_the_receipt_names_the_message_and_swaps_its_addresses(start_operator, connect):
    _, port = await start_operator()
    peer = await connect(port)
    peer.send(submit(2))
    response, receipt = await peer.receive_many(2)
    assert (type(response), response.sequence_number, response.command_status) == (pdus.SubmitSmResp, 2, 0)
    assert (receipt.source_addr_ton, receipt.source_addr_npi, receipt.source_addr) == (1, 1, b'79161234567')
    assert (receipt.dest_addr_ton, receipt.dest_addr_npi, receipt.destination_addr) == (5, 0, b'MyBank')
    assert receipt.esm_class == 4
    text = receipt_text.parse(receipt.short_message)
    assert text is not None
    assert (text.id, text.state, text.delivered) == (response.message_id, 2, b'001')


async def test_receipt_first_turns_the_order_round(start_operator, connect):
    _, port = await start_operator(receipt_first=True)
    peer = await connect(port)
    peer.send(submit(2))
    assert [type(pdu) for pdu in await peer.receive_many(2)] == [pdus.DeliverSm, pdus.SubmitSmResp]


@pytest.mark.parametrize(
    ('registered_delivery', 'undelivered_percent', 'wanted'),
    [(0, 0, False), (1, 0, True), (1, 100, True), (2, 0, False), (2, 100, True), (3, 0, True), (3, 100, False)],
)
async def test_receipts_go_by_registered_delivery(
    start_operator, connect, registered_delivery, undelivered_percent, wanted
):
    _, port = await start_operator(undelivered_percent=undelivered_percent)
    peer = await connect(port)
    peer.send(submit(2, registered_delivery=registered_delivery))
    await peer.receive()
    if wanted:
        assert isinstance(await peer.receive(), pdus.DeliverSm)
    assert await peer.quiet()


async def test_a_receipt_that_was_not_acknowledged_comes_again_on_the_next_bind(start_operator, connect, until):
    operator, port = await start_operator()
    first = await connect(port)
    first.send(submit(2))
    _, receipt = await first.receive_many(2)
    await first.close()
    await until(lambda: operator.waiting == 1)
    second = await connect(port)
    again = await second.receive()
    assert again.short_message == receipt.short_message
    second.send(pdus.DeliverSmResp(again.sequence_number))
    await until(lambda: operator.counters.receipts_acked == 1)
    assert operator.counters.receipts_retried == 1


async def test_a_receipt_waits_for_a_bind_of_its_own_system_id(start_operator, connect):
    _, port = await start_operator()
    transmitter = await connect(port, bind=pdus.BindTransmitter, system_id=b'one')
    stranger = await connect(port, system_id=b'two')
    transmitter.send(submit(2))
    await transmitter.receive()
    assert await stranger.quiet()
    receiver = await connect(port, bind=pdus.BindReceiver, system_id=b'one')
    assert isinstance(await receiver.receive(), pdus.DeliverSm)


async def test_a_receipt_refused_for_now_is_repeated_and_one_refused_for_good_is_not(start_operator, connect, until):
    operator, port = await start_operator(deliver_retry_s=0.01)
    peer = await connect(port)
    peer.send(submit(2))
    _, receipt = await peer.receive_many(2)
    peer.send(pdus.DeliverSmResp(receipt.sequence_number, CommandStatus.ESME_RX_T_APPN))
    again = await peer.receive()
    assert again.short_message == receipt.short_message
    peer.send(pdus.DeliverSmResp(again.sequence_number, CommandStatus.ESME_RX_P_APPN))
    await until(lambda: operator.counters.receipts_refused == 1)
    assert await peer.quiet()


async def test_an_unanswered_receipt_is_repeated_after_its_timeout(start_operator, connect):
    _, port = await start_operator(deliver_timeout_s=0.5)
    peer = await connect(port)
    peer.send(submit(2))
    _, receipt = await peer.receive_many(2)
    again = await peer.receive()
    assert again.short_message == receipt.short_message
    assert again.sequence_number != receipt.sequence_number


async def test_no_more_deliver_sm_are_unanswered_than_the_window_allows(start_operator, connect):
    operator, port = await start_operator(deliver_window=2)
    peer = await connect(port)
    peer.send(*(submit(2 + number) for number in range(5)))
    came = await peer.receive_many(7)
    receipts = [pdu for pdu in came if isinstance(pdu, pdus.DeliverSm)]
    assert len(receipts) == 2
    assert await peer.quiet()
    assert operator.waiting == 3
    peer.send(pdus.DeliverSmResp(receipts[0].sequence_number))
    assert isinstance(await peer.receive(), pdus.DeliverSm)
    assert await peer.quiet()


async def test_mo_messages_wait_for_a_bind_and_keep_their_text(start_operator, connect, until):
    operator, port = await start_operator()
    with pytest.raises(LookupError):
        operator.send_mo('79161234567', '7495', 'СТОП')
    first = await connect(port)
    await first.close()
    await until(lambda: not operator.sessions)
    operator.send_mo('79161234567', '7495', 'СТОП', system_id='esme')
    peer = await connect(port)
    message = await peer.receive()
    assert (message.source_addr, message.destination_addr, message.esm_class) == (b'79161234567', b'7495', 0)
    assert decode_text(message.short_message, message.data_coding) == 'СТОП'
    peer.send(pdus.DeliverSmResp(message.sequence_number, CommandStatus.ESME_RX_P_APPN))
    await until(lambda: operator.counters.mo_refused == 1)


async def test_it_answers_enquire_link_and_unbind_and_enquires_itself(start_operator, connect):
    _, port = await start_operator(enquire_link_s=1)
    peer = await connect(port)
    assert isinstance(await peer.receive(), pdus.EnquireLink)
    assert await peer.quiet()
    peer.send(pdus.Unbind(9))
    assert [type(pdu) for pdu in await peer.closed()] == [pdus.UnbindResp]


async def test_responses_under_way_come_before_the_unbind_is_over(start_operator, connect):
    _, port = await start_operator()
    peer = await connect(port)
    peer.send(submit(2, registered_delivery=0), pdus.Unbind(3))
    assert {type(pdu) for pdu in await peer.closed()} == {pdus.SubmitSmResp, pdus.UnbindResp}


@pytest.mark.parametrize('bind', [None, pdus.BindReceiver])
async def test_submits_without_a_bind_that_may_submit_are_refused(start_operator, connect, bind):
    operator, port = await start_operator()
    peer = await connect(port, bind=bind)
    peer.send(submit(2))
    assert (await peer.receive()).command_status == CommandStatus.ESME_RINVBNDSTS
    assert operator.counters.accepted == 0


async def test_a_second_bind_is_refused_and_the_first_stays(start_operator, connect):
    _, port = await start_operator()
    peer = await connect(port)
    peer.send(pdus.BindTransceiver(2, system_id=b'esme'), submit(3, registered_delivery=0))
    second, response = await peer.receive_many(2)
    assert (second.command_status, response.command_status) == (CommandStatus.ESME_RALYBND, 0)


async def test_a_refused_bind_is_answered_then_closed(start_operator, connect):
    operator, port = await start_operator(system_id='proxy', password='secret')
    peer = await connect(port, bind=None)
    peer.send(pdus.BindTransceiver(1, system_id=b'proxy', password=b'wrong'))
    (response,) = await peer.closed()
    assert response.command_status == CommandStatus.ESME_RINVPASWD
    assert operator.counters.refused_binds == 1


async def test_only_peers_of_3_4_get_the_interface_version(start_operator, connect):
    _, port = await start_operator(name='mts')
    old, new = await connect(port, bind=None), await connect(port, bind=None)
    old.send(pdus.BindTransceiver(1, interface_version=0x33))
    new.send(pdus.BindTransceiver(1, interface_version=0x34))
    assert ((await old.receive()).tlvs, (await new.receive()).tlvs) == ((), ((0x0210, b'\x34'),))


async def test_a_command_it_does_not_know_gets_a_generic_nack(start_operator, connect):
    _, port = await start_operator()
    peer = await connect(port)
    peer.send(pdus.QuerySm(4, message_id=b'1'))
    nack = await peer.receive()
    assert (nack.command_id, nack.sequence_number) == (CommandId.GENERIC_NACK, 4)
    assert nack.command_status == CommandStatus.ESME_RINVCMDID


@pytest.mark.parametrize(
    'octets',
    [b'GET / HTTP/1.1\r\n\r\n', bytes(16), b'\0\0\0\x14\0\0\0\4\0\0\0\0\0\0\0\2abcd'],
    ids=['http', 'no length', 'a submit_sm without its fields'],
)
async def test_octets_that_are_no_smpp_close_only_their_own_connection(start_operator, connect, octets):
    _, port = await start_operator()
    peer, other = await connect(port), await connect(port)
    peer.send_octets(octets)
    await peer.closed()
    assert await other.quiet()


async def test_a_submit_cut_at_every_octet_is_understood(start_operator, connect):
    operator, port = await start_operator()
    peer = await connect(port)
    for octet in encode(submit(2, 7)):
        peer.send_octets(bytes([octet]))
        await asyncio.sleep(0)
    assert isinstance(await peer.receive(), pdus.SubmitSmResp)
    assert operator.tally.seen[7] == 1


async def test_texts_without_a_number_are_counted_apart(start_operator, connect):
    operator, port = await start_operator()
    peer = await connect(port)
    peer.send(*(submit(2 + n, short_message=text) for n, text in enumerate([b'', b'12', b'your code is 1234'])))
    await peer.receive_many(6)
    assert (operator.tally.unnumbered, operator.tally.distinct()) == (3, 0)


async def test_two_runs_never_give_the_same_message_id(start_operator, connect):
    given = []
    for _ in range(2):
        _, port = await start_operator()
        peer = await connect(port)
        peer.send(*(submit(2 + number, registered_delivery=0) for number in range(50)))
        given += [response.message_id for response in await peer.receive_many(50)]
        await asyncio.sleep(0.002)  # the ids of a run begin at its millisecond
    assert len(set(given)) == 100


async def test_a_taken_port_is_an_error_and_stop_may_be_called_anyway(start_operator):
    _, port = await start_operator()
    second = Operator()
    with pytest.raises(OSError):  # noqa: PT011 - the number of the error is the system's
        await second.start('127.0.0.1', port)
    await second.stop()
