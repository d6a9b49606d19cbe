"""The load generator bound straight to the simulated operator: their ledgers must agree to the message."""

import asyncio

import pytest

from pdu import pdus
from pdu.codec import encode
from pdu.reader import PduReader
from pdu.status import CommandStatus
from perf.load import BindKind, Load, LoadError, LoadSettings
from perf.operator import IdStyle


async def test_every_message_is_answered_receipted_and_counted_once(start_operator, run_load):
    operator, port = await start_operator()
    result = await run_load(port)
    assert (result.submitted, result.ok, result.refused) == (300, 300, {})
    assert result.receipts == {'DELIVRD': 300}
    assert not any((result.unknown, result.unanswered, result.receipts_missing, result.receipts_duplicated))
    assert not any((result.receipts_unknown, result.receipts_mismatched, result.disconnects, result.stray_responses))
    assert (result.response.count, result.receipt.count) == (300, 300)
    assert operator.counters.receipts_acked == 300
    assert (operator.tally.distinct(), operator.tally.repeats, operator.tally.unnumbered) == (300, 0, 0)


async def test_a_message_submitted_twice_is_a_repeat_in_the_ledger(start_operator, run_load):
    operator, port = await start_operator()
    await run_load(port, messages=50)
    await run_load(port, messages=20, first_number=40)
    assert (operator.tally.distinct(), operator.tally.repeats) == (60, 10)


@pytest.mark.parametrize('style', [style for style in IdStyle if style != IdStyle.HEX_UPPER])
async def test_id_styles_differ_in_the_receipt_where_they_say_so(start_operator, run_load, style):
    _, port = await start_operator(id_style=style)
    result = await run_load(port)
    assert result.receipts == {'DELIVRD': 300}
    assert result.receipts_mismatched == (300 if '-' in style else 0)


async def test_errors_are_mixed_in_by_percent(start_operator, run_load):
    operator, port = await start_operator(errors={0x0B: 20, 0x45: 10})
    result = await run_load(port, messages=1000)
    assert set(result.refused) == {'ESME_RINVDSTADR', 'ESME_RSUBMITFAIL'}
    assert 150 < result.refused['ESME_RINVDSTADR'] < 250
    assert 60 < result.refused['ESME_RSUBMITFAIL'] < 140
    assert result.ok == 1000 - sum(result.refused.values()) == operator.tally.distinct()
    assert result.receipts == {'DELIVRD': result.ok}


async def test_more_than_the_rate_is_throttled_and_a_burst_of_one_second_passes(start_operator, run_load):
    operator, port = await start_operator(rate_per_s=20)
    result = await run_load(port, messages=200)
    assert result.ok >= 20
    assert result.refused == {'ESME_RTHROTTLED': 200 - result.ok}
    assert operator.counters.throttled == 200 - result.ok > 100


async def test_held_receipts_come_when_they_are_released(start_operator, run_load, until):
    operator, port = await start_operator(hold_receipts=True)
    running = asyncio.create_task(run_load(port))
    await until(lambda: operator.waiting == 300)
    assert operator.counters.receipts_sent == 0
    assert operator.release_receipts() == 300
    assert (await running).receipts == {'DELIVRD': 300}
    assert operator.waiting == 0


async def test_receipts_that_come_before_their_responses_are_matched(start_operator, run_load):
    _, port = await start_operator(receipt_first=True, response_delay_ms=5)
    result = await run_load(port)
    assert result.receipts == {'DELIVRD': 300}
    assert (result.receipts_missing, result.receipts_mismatched) == (0, 0)


async def test_delays_lose_nothing_and_the_window_is_kept(start_operator, run_load):
    operator, port = await start_operator(response_delay_ms=3, receipt_delay_ms=3)
    result = await run_load(port, binds=2, window=7)
    assert (result.ok, result.receipts) == (300, {'DELIVRD': 300})
    assert operator.counters.max_outstanding == 7


async def test_a_receipt_that_is_never_sent_is_missing(start_operator, run_load):
    operator, port = await start_operator(receipt_percent=50)
    result = await run_load(port, receipt_timeout_s=0.2)
    assert result.receipts_missing == 300 - result.receipts['DELIVRD'] == operator.counters.receipts_dropped
    assert 100 < result.receipts_missing < 200


async def test_undelivered_messages_say_so_in_their_receipts(start_operator, run_load):
    _, port = await start_operator(undelivered_percent=100)
    assert (await run_load(port)).receipts == {'UNDELIV': 300}


async def test_a_silent_operator_leaves_submits_unanswered(start_operator, run_load):
    operator, port = await start_operator(silent_percent=100)
    result = await run_load(port, response_timeout_s=0.2)
    assert (result.submitted, result.unanswered, result.ok) == (30, 30, 0)
    assert operator.counters.silent == 30


async def test_a_cut_connection_leaves_unknown_outcomes_and_the_load_binds_again(start_operator, run_load):
    operator, port = await start_operator(disconnect_every=50)
    result = await run_load(port, reconnect=True, receipt_timeout_s=0.2)
    assert result.ok + result.unknown == result.submitted == 300
    assert result.unknown > 0
    assert result.disconnects >= 3
    assert (result.receipts_missing, operator.tally.repeats) == (0, 0)


async def test_a_cut_connection_ends_a_load_that_may_not_bind_again(start_operator, run_load):
    _, port = await start_operator(disconnect_every=1)
    result = await run_load(port, binds=1, receipt_timeout_s=0.2)
    assert (result.submitted, result.unknown, result.disconnects) == (10, 10, 1)


async def test_a_server_that_comes_back_is_found_again(start_operator, run_load, until):
    operator, port = await start_operator(hold_receipts=True)
    running = asyncio.create_task(run_load(port, reconnect=True, receipt_timeout_s=0.2, rate_per_s=1000))
    await until(lambda: operator.counters.submitted >= 50)
    await operator.stop()
    await operator.start('127.0.0.1', port)
    result = await running
    assert result.submitted == 300
    assert result.disconnects == 3
    assert operator.counters.binds == 6


async def test_receipts_of_transmitters_come_on_receivers(start_operator, run_load):
    operator, port = await start_operator()
    result = await run_load(port, bind=BindKind.PAIR)
    assert (result.receipts, operator.counters.binds) == ({'DELIVRD': 300}, 6)


async def test_without_registered_delivery_nothing_is_waited_for(start_operator, run_load):
    operator, port = await start_operator()
    result = await run_load(port, registered_delivery=0)
    assert (result.ok, result.receipts, result.receipts_missing) == (300, {}, 0)
    assert operator.counters.receipts_wanted == 0


async def test_a_duration_ends_a_load_without_a_number_of_messages(start_operator, run_load):
    operator, port = await start_operator()
    result = await run_load(port, messages=0, duration_s=0.1, rate_per_s=1000)
    assert 0 < result.submitted == result.ok == operator.tally.distinct()


async def test_mo_messages_are_acknowledged_and_counted_apart(start_operator, until):
    operator, port = await start_operator()
    load = Load(LoadSettings(port=port, binds=1, messages=1))
    await load.bind()
    operator.send_mo('79161234567', '7495', 'СТОП')
    await until(lambda: operator.counters.mo_acked == 1)
    await load.stop()
    assert (load.ledger.mo, load.ledger.unknown_receipts, operator.counters.receipts_acked) == (1, 0, 0)


async def test_a_refused_bind_says_why(start_operator, run_load):
    operator, port = await start_operator(system_id='load', password='other')
    with pytest.raises(LoadError, match='ESME_RINVPASWD'):
        await run_load(port)
    with pytest.raises(LoadError, match='ESME_RINVSYSID'):
        await run_load(port, system_id='nobody')
    assert operator.counters.refused_binds >= 2


async def test_a_port_without_a_server_says_so(unused_tcp_port, run_load):
    with pytest.raises(LoadError, match='is the server listening there'):
        await run_load(unused_tcp_port)


def test_a_load_without_an_end_is_refused():
    with pytest.raises(LoadError, match='when to stop'):
        Load(LoadSettings(messages=0))


async def test_the_load_answers_what_a_server_asks_of_it(unused_tcp_port, until):
    """A server that enquires, sends what the load has no use for, and unbinds."""
    came, framer = [], PduReader()

    async def serve(reader, writer):
        while octets := await reader.read(65536):
            for pdu in framer.feed(octets):
                came.append(pdu)
                if isinstance(pdu, pdus.BindTransceiver):
                    writer.write(encode(pdus.BindTransceiverResp(pdu.sequence_number)))
                    writer.write(encode(pdus.EnquireLink(5)) + encode(pdus.QuerySm(6)) + encode(pdus.Unbind(7)))
        writer.close()

    server = await asyncio.start_server(serve, '127.0.0.1', unused_tcp_port)
    load = Load(LoadSettings(port=unused_tcp_port, binds=1))
    await load.bind()
    await until(lambda: not load.sessions)
    await load.stop()
    server.close()
    await server.wait_closed()
    await until(lambda: len(came) == 4)
    assert [(type(pdu), pdu.sequence_number, pdu.command_status) for pdu in came[1:]] == [
        (pdus.EnquireLinkResp, 5, 0),
        (pdus.GenericNack, 6, CommandStatus.ESME_RINVCMDID),
        (pdus.UnbindResp, 7, 0),
    ]
