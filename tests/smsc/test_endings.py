"""How messages end where it is not plain: late answers, early receipts, crashes, reloads, submit_multi."""

import asyncio
from typing import Any

import asyncpg
import pytest

from pdu import cutting, pdus
from pdu.status import CommandStatus
from pdu.tlvs import Tag
from smsc.wire_forms import segment_count
from tests.product.peers import TEXT, multi, number, operator_receipt, submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async

LATER = int(CommandStatus.ESME_RSYSERR)
LONG: dict[str, Any] = {'short_message': ('я' * 120).encode('utf-16-be'), 'data_coding': 8}  # two segments
ROUTE_TO_TELE2 = [{'name': 'everything', 'failover': ['tele2']}]


async def one(product, start_smsc, bind, **settings):
    """A product with one operator that answers nothing yet, and an ESME."""
    smpp = settings.pop('smpp', {})
    smsc = await start_smsc()
    smsc.script = lambda pdu: None
    found = await product(upstreams={'mts': upstream(smsc.port, **settings)}, smpp=smpp)
    await everywhere_bound(smsc)
    return found, smsc, await bind(found)


async def two(product, start_smsc, bind, **settings):
    """A product with two operators of one route, the first of which answers nothing yet; and an ESME."""
    first, other = await start_smsc(), await start_smsc()
    first.script = lambda pdu: None
    found = await product(
        upstreams={'mts': upstream(first.port, **settings), 'tele2': upstream(other.port)}, smpp={'drain_s': 0.5}
    )
    await everywhere_bound(first)
    await everywhere_bound(other)
    return found, first, other, await bind(found)


# submit_multi


@pytest.mark.wire('C34', 'C28')
async def test_a_submit_multi_that_cannot_be_stored_in_time_is_refused(monkeypatch, product, start_smsc, bind):
    """Its destinations were all listed as unsuccessful, under a command_status that said all was well."""
    monkeypatch.setattr('smsc.ingress.ACCEPT_GIVE_UP_S', 0.3)
    found, smsc, esme = await one(product, start_smsc, bind)
    connection = await asyncpg.connect(**found.arguments)
    async with connection.transaction():
        await connection.execute('lock table message in share mode')
        answer = await esme.ask(multi(number(1), number(2)))
    await connection.close()
    assert isinstance(answer, pdus.SubmitMultiResp)
    assert answer.command_status == CommandStatus.ESME_RSYSERR
    await until(lambda: found.node.core.store.health.available and not found.node.core.live)
    assert not smsc.submits


@pytest.mark.wire('C23', 'C30')
async def test_a_submit_multi_to_one_that_replaces_names_the_id_of_the_message_it_replaced(product, start_smsc, bind):
    found, _smsc, esme = await one(product, start_smsc, bind)
    old_id = await esme.submit(
        b'old', destination_addr=number(1).destination_addr, schedule_delivery_time=b'000000000005000R'
    )
    answer = await esme.ask(multi(number(1), replace_if_present_flag=1))
    assert (answer.command_status, answer.message_id.decode()) == (0, old_id)
    asked = pdus.QuerySm(message_id=answer.message_id, source_addr_ton=5, source_addr=b'MyBank')
    assert (await esme.ask(asked)).command_status == 0
    assert (await found.ledger()).accepted == 1


@pytest.mark.wire('C23')
async def test_a_submit_multi_to_several_cannot_replace(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    answer = await esme.ask(multi(number(1), number(2), replace_if_present_flag=1))
    assert (type(answer), answer.command_status) == (pdus.SubmitMultiResp, CommandStatus.ESME_RINVREPFLAG)
    assert (await found.ledger()).accepted == 0
    assert not smsc.submits


@pytest.mark.parametrize(
    ('alphabet', 'status'),
    [('gsm', CommandStatus.ESME_RTHROTTLED), ('utf8', CommandStatus.ESME_RINVMSGLEN)],
    ids=['beyond the rate', 'too many segments'],
)
async def test_a_long_submit_multi_is_cut_for_its_count_once_and_not_for_each_destination(
    monkeypatch, product, start_smsc, bind, alphabet, status
):
    """One PDU, refused in the end, held everybody up for seconds."""
    smsc = await start_smsc()
    found = await product(
        accounts={'bank': account(alphabet=alphabet, rate_per_s=1)}, upstreams={'mts': upstream(smsc.port)}
    )
    await everywhere_bound(smsc)
    esme = await bind(found)
    await esme.submit()  # what it may in this second
    await smsc.submitted(1)
    counted: list[str] = []
    cut: list[int] = []
    split = cutting.split

    def counting(pdu, alphabet):
        counted.append(alphabet)
        return segment_count(pdu, alphabet)

    def cutting_up(body, *more):
        cut.append(len(body))
        return split(body, *more)

    monkeypatch.setattr('smsc.submit_multi.segment_count', counting)
    monkeypatch.setattr('smsc.wire_forms.cutting.split', cutting_up)
    payload = (int(Tag.MESSAGE_PAYLOAD), b'a' * 38_000)
    answer = await esme.ask(multi(*map(number, range(254)), short_message=b'', tlvs=(payload,)))
    assert answer.command_status == status
    assert len(counted) == 1
    assert sum(cut) <= 38_000


# Receipts


async def parked(found) -> int:
    """How many receipts without a message the store holds."""
    return len(await found.node.core.store.receipts.take_parked(0, 10))


@pytest.mark.wire('F12')
async def test_a_parked_receipt_stays_so_until_the_outcome_it_tells_is_committed(product, start_smsc, bind):
    """A crash between the two lost it."""
    found, smsc, esme = await one(product, start_smsc, bind)
    core = found.node.core
    await esme.submit()
    (sent,) = await smsc.submitted(1)
    assert await smsc.deliver_receipt(b'777') == 0
    commit, gate = core.finishing._commit, asyncio.Event()

    async def commit_later(outcomes):
        await gate.wait()
        return await commit(outcomes)

    core.finishing._commit = commit_later
    smsc.respond(smsc.bound[0], sent, b'777')
    await until(lambda: core.finishing.load)
    await core.sending.drain()
    await core.unparking.drain()
    before = await parked(found)
    gate.set()
    await found.settle(DELIVERED=1)
    assert before == 1

    async def dropped() -> bool:
        return await parked(found) == 0

    await until_async(dropped)


@pytest.mark.wire('E11')
async def test_a_receipt_that_waits_for_its_esme_is_not_forgotten_with_an_old_id_of_its_message(
    product, start_smsc, bind
):
    """A message with two ids, one of them answered late: when that was let go of, so was the receipt."""
    found, smsc, esme = await one(product, start_smsc, bind, response_timeout_s=0.3, smpp={'drain_s': 0.2})
    esme.acknowledge = False
    message_id = await esme.submit()
    await smsc.submitted(2)  # not answered in time, sent again
    core, mts = found.node.core, found.node.core.upstreams['mts']
    smsc.respond(smsc.bound[0], smsc.submits[1], b'202')
    await until(lambda: '202' in mts.sent)
    smsc.respond(smsc.bound[0], smsc.submits[0], b'101')
    await until(lambda: '101' in mts.sent and mts.sent['101'].segment_stored)
    assert await smsc.deliver_receipt(b'202') == 0
    await esme.take(pdus.DeliverSm)
    smsc.script = lambda pdu: b'303'
    await esme.submit(registered_delivery=0)
    await found.settle(DELIVERED=1, ACCEPTED=1)
    mts.trim_old(1 << 62)  # as when they wait for long
    await found.node.core.cluster.beat()
    assert await core.store.low_water() <= int(message_id)
    await found.stop()
    await found.start()
    (receipt,) = await (await bind(found)).receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'DELIVRD')


@pytest.mark.wire('F8', 'E6')
async def test_a_refusal_a_late_answer_and_the_receipt_in_one_segment_end_a_message_with_one_receipt(
    product, start_smsc, bind
):
    """The receipt was lost with the row of the message, which was on its way to disk for another try."""
    found, smsc, esme = await one(
        product, start_smsc, bind, response_timeout_s=0.3, retry={'first_s': 60, 'last_s': 60}
    )
    message_id = await esme.submit()
    first, second = await smsc.submitted(2)
    smsc.bound[0].send(
        pdus.SubmitSmResp(second.sequence_number, LATER),
        pdus.SubmitSmResp(first.sequence_number, 0, b'101'),
        operator_receipt(b'101'),
    )
    await found.settle(DELIVERED=1)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'DELIVRD')
    await found.stop()
    await found.start()
    await everywhere_bound(smsc)
    again = await bind(found)
    smsc.script = lambda pdu: smsc.next_id()
    await again.submit(b'later', registered_delivery=0)
    await found.settle(DELIVERED=1, ACCEPTED=1)
    await again.settled()
    assert not again.delivered
    assert [pdu.short_message for pdu in smsc.submits] == [TEXT, TEXT, b'later']


# Late answers


@pytest.mark.wire('F8', 'F14')
async def test_a_late_answer_is_of_the_operator_that_gave_it_wherever_the_message_went(product, start_smsc, bind):
    found, first, other, esme = await two(product, start_smsc, bind, response_timeout_s=0.3)
    message_id = await esme.submit()
    await first.submitted(2)  # not answered in time, sent again
    first.respond(first.bound[0], first.submits[1], LATER)
    await other.submitted(1)
    mts, tele2 = found.node.core.upstreams['mts'], found.node.core.upstreams['tele2']
    await until(lambda: tele2.sent)
    first.respond(first.bound[0], first.submits[0], b'5005')
    await until(lambda: '5005' in mts.sent and mts.sent['5005'].segment_stored)
    ids = {tuple(part[:2]) for part in (await found.story(message_id)).parts}
    assert ids == {('mts', '5005'), ('tele2', other.given[0].decode())}
    assert await first.deliver_receipt(b'5005') == 0
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'DELIVRD')


@pytest.mark.wire('F8')
async def test_what_is_held_for_a_late_answer_is_not_sent_again_by_a_restart(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind, response_timeout_s=0.3, unknown_outcome='hold')
    await esme.submit()
    await smsc.submitted(1)
    await until(lambda: found.node.core.upstreams['mts'].unknown.held)
    await found.stop()
    smsc.script = lambda pdu: smsc.next_id()
    await found.start()
    await everywhere_bound(smsc)
    await (await bind(found)).submit(b'later', registered_delivery=0)
    await found.settle(UNKNOWN=1, ACCEPTED=1)
    assert [pdu.short_message for pdu in smsc.submits] == [TEXT, b'later']


async def test_the_statuses_that_an_operator_can_have_counted_are_bounded(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    smsc.script = lambda pdu: 0x10000 + len(smsc.submits)
    await esme.submit_all(submit(registered_delivery=0) for _ in range(900))
    await found.settle(UNDELIVERABLE=900)
    answers = found.node.core.upstreams['mts'].answers
    assert len(answers) <= 300
    assert sum(answers.values()) == 900
    _, page = await found.get('/metrics')
    assert sum(line.startswith('smsc_') and 'upstream="mts"' in line for line in page.splitlines()) < 500


# Upstreams that a reload removes


async def without_mts(found) -> None:
    """Removes the first operator by a reload, and waits until it is gone."""
    found.write(upstreams={'mts': None}, routes=ROUTE_TO_TELE2)
    await found.reload()
    await until(lambda: 'mts' not in found.node.core.upstreams)


async def test_a_message_held_for_a_late_answer_ends_when_its_upstream_is_removed(product, start_smsc, bind):
    found, first, other, esme = await two(product, start_smsc, bind, unknown_outcome='hold')
    message_id = await esme.submit()
    await first.submitted(1)
    await without_mts(found)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'UNKNOWN')
    await found.settle(UNKNOWN=1)
    assert not other.submits
    assert found.node.core.accounts['bank'].waiting == 0


async def test_a_message_that_is_begun_ends_when_its_upstream_is_removed(product, start_smsc, bind):
    found, first, other, esme = await two(product, start_smsc, bind)
    first.script = lambda pdu: first.next_id() if pdu.short_message[5] == 1 else None
    message_id = await esme.submit(**LONG)
    await first.submitted(2)
    assert await first.deliver_receipt(first.given[0]) == 0
    await without_mts(found)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'UNDELIV')
    await found.settle(UNDELIVERABLE=1)
    assert not other.submits  # half of it is with the first
    assert found.node.core.accounts['bank'].waiting == 0


@pytest.mark.wire('F8')
async def test_a_message_that_ends_while_it_waits_on_disk_for_another_try_is_waited_for_no_more(
    product, start_smsc, bind
):
    found, smsc, esme = await one(product, start_smsc, bind, response_timeout_s=0.3, retry={'first_s': 1, 'last_s': 1})
    await esme.submit()
    first, second = await smsc.submitted(2)
    smsc.bound[0].send(
        pdus.SubmitSmResp(second.sequence_number, LATER),
        pdus.SubmitSmResp(first.sequence_number, 0, b'101'),
        operator_receipt(b'101'),
    )
    await found.settle(DELIVERED=1)
    await esme.receipts(1)
    await until(lambda: found.node.core.accounts['bank'].waiting == 0, 5)
