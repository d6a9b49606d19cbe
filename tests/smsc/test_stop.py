"""The end of a run: in order under traffic, and what the next run takes up."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta

import pytest

from pdu import pdus
from pdu.status import CommandStatus
from tests.product.peers import submit
from tests.product.running import PASSWORD, everywhere_bound, upstream
from tests.product.waiting import until


@pytest.mark.wire('G9', 'B14')
async def test_a_stop_under_traffic_answers_what_it_took_and_loses_nothing(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    esmes = [await bind(found) for _ in range(3)]
    for esme in esmes:
        esme.parts = False
    answers: list[pdus.Pdu] = []
    unbinds: list[pdus.Unbind] = []

    async def feed(esme):
        number = 0
        while not unbinds:
            number += 1
            requests = [submit(b'%d-%d-%d' % (id(esme), number, item)) for item in range(20)]
            try:
                answers.extend(await esme.ask_all(requests))
            except EOFError:
                return

    async def part(esme):
        unbind = await esme.take(pdus.Unbind)
        unbinds.append(unbind)
        esme.send(pdus.UnbindResp(unbind.sequence_number))
        await esme.ended()

    tasks = [asyncio.create_task(work(esme)) for esme in esmes for work in (feed, part)]
    await until(lambda: len(smsc.submits) > 200)
    began = asyncio.get_running_loop().time()
    await found.stop()
    assert asyncio.get_running_loop().time() - began < 5
    await asyncio.gather(*tasks)
    statuses = [answer.command_status for answer in answers]
    assert set(statuses) <= {0, CommandStatus.ESME_RSYSERR, CommandStatus.ESME_RINVBNDSTS}
    accepted = statuses.count(0)
    book = await found.ledger()
    assert book.adds_up
    assert accepted <= book.accepted <= accepted + 60  # what was accepted when the ESME stopped to look
    await found.start()
    esme = await bind(found)
    await until(lambda: len(smsc.given) >= book.accepted)
    assert len({pdu.short_message for pdu in smsc.submits}) == book.accepted
    for given in list(smsc.given):
        await smsc.deliver_receipt(given)
    await esme.receipts(book.accepted)
    await found.settle(DELIVERED=book.accepted)


@pytest.mark.wire('G9')
async def test_while_it_stops_nobody_may_bind_and_submits_are_refused(product, start_smsc, bind, connect):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, smpp={'drain_s': 2})
    await everywhere_bound(smsc)
    esme, early = await bind(found), await connect(found)
    esme.parts = False
    smsc.script = lambda pdu: None
    await esme.submit()
    await smsc.submitted(1)
    stopping = asyncio.create_task(found.stop())
    unbind = await esme.take(pdus.Unbind)
    with pytest.raises(OSError, match='refused'):
        await connect(found)
    assert (await early.bind('bank', PASSWORD)).command_status == CommandStatus.ESME_RBINDFAIL
    assert (await esme.ask(submit())).command_status == CommandStatus.ESME_RINVBNDSTS
    assert not stopping.done()  # the operator still owes an answer
    smsc.respond(smsc.bound[0], smsc.submits[0], b'1')
    esme.send(pdus.UnbindResp(unbind.sequence_number))
    await stopping
    assert (await found.ledger()).with_operator == 1


@pytest.mark.wire('B14')
async def test_a_stop_does_not_wait_for_ever_for_an_esme_that_stays(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, smpp={'drain_s': 0.5})
    esme = await bind(found)
    esme.parts = False
    began = asyncio.get_running_loop().time()
    await found.stop()
    assert asyncio.get_running_loop().time() - began < 3
    await esme.ended()


async def test_a_restart_takes_up_what_is_queued_sent_and_due(product, start_smsc, bind):
    up, down = await start_smsc(), await start_smsc(start=False)
    found = await product(
        upstreams={'mts': upstream(up.port), 'tele2': upstream(down.port)},
        routes=[
            {'name': 'mts', 'when': {'destination': '7916*'}, 'failover': ['mts']},
            {'name': 'tele2', 'failover': ['tele2']},
        ],
    )
    await everywhere_bound(up)
    esme = await bind(found)
    sent = await esme.submit(b'sent')
    await up.submitted(1)
    queued = await esme.submit(b'queued', destination_addr=b'79521234567')
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    time = f'{due:%y%m%d%H%M%S}{due.microsecond // 100_000}00+'.encode()
    scheduled = await esme.submit(b'due', schedule_delivery_time=time)
    owed = await esme.submit(b'owed')
    await up.submitted(2)
    esme.acknowledge = False
    await up.deliver_receipt(up.given[1])
    await esme.take(pdus.DeliverSm)
    await found.stop()
    book = await found.ledger()
    assert (book.accepted, book.final, book.with_operator, book.on_disk) == (4, {'DELIVERED': 1}, 1, 2)
    assert book.receipts['DUE'] == 1
    await down.start()
    await found.start()
    esme = await bind(found)
    assert [receipt.id.decode() for receipt in await esme.receipts(1)] == [owed]
    await up.deliver_receipt(up.given[0])
    assert (await esme.receipts(2))[1].id.decode() == sent
    await down.submitted(1)
    await down.deliver_receipt(down.given[0])
    assert (await esme.receipts(3))[2].id.decode() == queued
    await up.submitted(3)
    assert datetime.now(UTC) > due - timedelta(seconds=0.1)
    await up.deliver_receipt(up.given[2])
    assert (await esme.receipts(4))[3].id.decode() == scheduled
    assert [pdu.short_message for pdu in up.submits] == [b'sent', b'owed', b'due']
    assert (await found.settle(DELIVERED=4)).receipts == {'ACKNOWLEDGED': 4}


@pytest.mark.wire('C1', 'C2')
async def test_after_a_kill_every_accepted_message_goes_on_under_its_id(spawned, start_smsc, bind):
    smsc = await start_smsc()
    found = await spawned(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    smsc.script = lambda pdu: None
    esme = await bind(found)
    ids = await esme.submit_all(submit(b'%03d' % number) for number in range(300))
    await found.stop(signal.SIGKILL)
    smsc.script = lambda pdu: smsc.next_id()
    await smsc.stop()
    count = len(smsc.submits)
    assert count <= 100  # the window
    await smsc.start()
    await found.start()
    esme = await bind(found)
    more = await esme.submit_all(submit(b'%03d' % number) for number in range(300, 400))
    await until(lambda: len(smsc.given) >= 400)
    assert len(set(ids + more)) == 400
    assert {pdu.short_message for pdu in smsc.submits} == {b'%03d' % number for number in range(400)}
    assert len(smsc.submits) - 400 <= count
    for given in list(smsc.given):
        await smsc.deliver_receipt(given)
    receipts = await esme.receipts(400)
    assert sorted(receipt.id.decode() for receipt in receipts) == sorted(ids + more)
    book = await found.settle(DELIVERED=400)
    assert book.receipts == {'ACKNOWLEDGED': 400}


async def test_a_stopped_process_ends_with_status_zero_and_leaves_nothing_running(spawned, start_smsc, bind):
    smsc = await start_smsc()
    found = await spawned(upstreams={'mts': upstream(smsc.port)})
    esme = await bind(found)
    await esme.submit()
    assert await found.stop() == 0
    await esme.ended()
    await until(lambda: not smsc.bound)
    log = found.log.read_text()
    assert 'server.stopped' in log
    assert 'Traceback' not in log
