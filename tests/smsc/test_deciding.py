"""Numbers and senders that a decision changes: operators get them as they are known, ESMEs as they wrote them."""

from typing import Any

import pytest

from pdu import pdus
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream

S = CommandStatus
RUSSIA = {'country_code': '7', 'national_prefix': '8', 'national_lengths': [10]}
E164 = b'79161234567'
WRITTEN = [(b'89161234567', 0), (b'9161234567', 2), (b'+79161234567', 1), (b'0079161234567', 1), (E164, 1)]
NATIONAL: dict[str, Any] = {'destination_addr': b'89161234567', 'dest_addr_ton': 0, 'dest_addr_npi': 0}
NO_SENDER: dict[str, Any] = {'source_addr': b'', 'source_addr_ton': 0}


@pytest.fixture
async def queueing(product, start_smsc, bind):
    """A product whose operator is away until `smsc.start()`, and an ESME: `await queueing()`."""

    async def start(**changes):
        smsc = await start_smsc(start=False)
        found = await product(
            accounts={'bank': account(default_sender='Info', **changes)},
            numbers=RUSSIA,
            upstreams={'mts': upstream(smsc.port)},
        )
        return found, smsc, await bind(found)

    return start


@pytest.fixture
def restarted(bind):
    """Stops and starts a product if that is asked for; returns an ESME of it."""

    async def restart(found, esme, wanted):
        if not wanted:
            return esme
        await found.stop()
        await found.start()
        return await bind(found)

    return restart


async def status(esme, request):
    return (await esme.ask(request)).command_status


async def delivered(smsc, esme):
    """The addresses of each receipt, once the operator has said of all that it got that they are delivered."""
    for given in list(smsc.given):
        await smsc.deliver_receipt(given)
    await esme.receipts(len(smsc.given))
    return [
        (pdu.source_addr, pdu.source_addr_ton, pdu.destination_addr, pdu.destination_addr and pdu.dest_addr_ton)
        for pdu in esme.delivered
    ]


@pytest.mark.wire('C12', 'E1')
@pytest.mark.parametrize('restart', [False, True])
async def test_numbers_leave_as_e164_and_receipts_have_them_as_they_were_written(queueing, restarted, restart):
    found, smsc, esme = await queueing()
    for address, ton in WRITTEN:
        await esme.submit(destination_addr=address, dest_addr_ton=ton)
    await esme.submit(**NATIONAL, **NO_SENDER)
    esme = await restarted(found, esme, restart)
    await smsc.start()
    sent = await smsc.submitted(len(WRITTEN) + 1)
    assert {(pdu.destination_addr, pdu.dest_addr_ton) for pdu in sent} == {(E164, 1)}
    assert sorted(pdu.source_addr for pdu in sent) == [b'Info'] + [b'MyBank'] * len(WRITTEN)
    expected = [(address, ton, b'MyBank', 5) for address, ton in WRITTEN] + [(b'89161234567', 0, b'', b'')]
    assert sorted(await delivered(smsc, esme)) == sorted(expected)
    await found.settle(DELIVERED=len(expected))


@pytest.mark.wire('C12', 'E1')
async def test_a_receipt_that_comes_after_a_restart_has_the_number_as_it_was_written(queueing, restarted):
    found, smsc, esme = await queueing()
    await smsc.start()
    message_id = await esme.submit(**NATIONAL, **NO_SENDER)
    await smsc.submitted(1)
    esme = await restarted(found, esme, True)
    await everywhere_bound(smsc)
    assert await delivered(smsc, esme) == [(b'89161234567', 0, b'', b'')]
    assert [receipt.id.decode() for receipt in await esme.receipts(1)] == [message_id]
    assert len(smsc.submits) == 1


@pytest.mark.wire('C12', 'E17')
async def test_a_receipt_of_the_product_itself_has_the_number_as_it_was_written(queueing):
    found, _, esme = await queueing()
    found.write(routes=[{'name': 'void', 'drop': True}])
    await found.reload()
    await esme.submit(**NATIONAL)
    (receipt,) = await esme.receipts(1)
    assert receipt.state == MessageState.REJECTED
    assert (esme.delivered[0].source_addr, esme.delivered[0].source_addr_ton) == (b'89161234567', 0)


@pytest.mark.wire('C12', 'C30', 'C32')
@pytest.mark.parametrize('restart', [False, True])
async def test_a_message_is_asked_about_and_replaced_by_the_sender_it_was_submitted_with(queueing, restarted, restart):
    found, smsc, esme = await queueing()
    message_id = (await esme.submit(**NATIONAL, **NO_SENDER)).encode()
    esme = await restarted(found, esme, restart)
    answer = await esme.ask(pdus.QuerySm(message_id=message_id))
    assert (answer.command_status, answer.message_state) == (0, MessageState.ENROUTE)
    assert await status(esme, pdus.QuerySm(message_id=message_id, source_addr=b'Info')) == S.ESME_RQUERYFAIL
    replacing = pdus.ReplaceSm(message_id=message_id, registered_delivery=1, short_message=b'another')
    assert await status(esme, replacing) == 0
    await smsc.start()
    (sent,) = await smsc.submitted(1)
    assert (sent.short_message, sent.destination_addr, sent.source_addr) == (b'another', E164, b'Info')
    assert await delivered(smsc, esme) == [(b'89161234567', 0, b'', b'')]


@pytest.mark.wire('C12', 'C31')
@pytest.mark.parametrize('restart', [False, True])
@pytest.mark.parametrize('sender', [{'source_addr': b'MyBank', 'source_addr_ton': 5}, NO_SENDER])
async def test_messages_are_cancelled_by_the_addresses_they_were_submitted_with(queueing, restarted, restart, sender):
    found, smsc, esme = await queueing()
    message_ids = [await esme.submit(**NATIONAL, **sender) for _ in range(2)]
    await esme.submit(destination_addr=b'89161234568', dest_addr_ton=0, **sender)
    esme = await restarted(found, esme, restart)
    assert await status(esme, pdus.CancelSm(**NATIONAL, **sender | {'source_addr': b'Other'})) == S.ESME_RCANCELFAIL
    assert await status(esme, pdus.CancelSm(**NATIONAL, **sender)) == 0
    receipts = await esme.receipts(2)
    assert {(receipt.id.decode(), receipt.state.name) for receipt in receipts} == {
        (message_id, 'DELETED') for message_id in message_ids
    }
    await smsc.start()
    (sent,) = await smsc.submitted(1)
    assert sent.destination_addr == b'79161234568'


@pytest.mark.wire('C12', 'C31')
@pytest.mark.parametrize('restart', [False, True])
async def test_a_message_is_cancelled_by_its_id_and_the_addresses_it_was_submitted_with(queueing, restarted, restart):
    found, _, esme = await queueing()
    first, second = [(await esme.submit(**NATIONAL, **NO_SENDER)).encode() for _ in range(2)]
    esme = await restarted(found, esme, restart)
    other = NATIONAL | {'destination_addr': b'89160000000'}
    assert await status(esme, pdus.CancelSm(message_id=first, **other)) == S.ESME_RCANCELFAIL
    assert await status(esme, pdus.CancelSm(message_id=first, **NATIONAL)) == 0
    assert await status(esme, pdus.CancelSm(message_id=second)) == 0
    await found.settle(DELETED=2)


@pytest.mark.wire('C12', 'C23')
@pytest.mark.parametrize('restart', [False, True])
async def test_a_queued_message_is_replaced_by_one_with_the_same_addresses_as_written(queueing, restarted, restart):
    found, smsc, esme = await queueing()
    first = await esme.submit(b'old', **NATIONAL, **NO_SENDER)
    esme = await restarted(found, esme, restart)
    assert await esme.submit(b'new', replace_if_present_flag=1, **NATIONAL, **NO_SENDER) == first
    await smsc.start()
    assert [pdu.short_message for pdu in await smsc.submitted(1)] == [b'new']
    assert await delivered(smsc, esme) == [(b'89161234567', 0, b'', b'')]
    assert (await found.ledger()).accepted == 1


async def test_what_a_replacement_says_is_judged_by_the_policy(queueing):
    found, smsc, esme = await queueing()
    found.write(fraud={'rules': [{'name': 'casino', 'text': ['casino']}]})
    await found.reload()
    message_id = (await esme.submit(b'old')).encode()
    replacing = pdus.ReplaceSm(message_id=message_id, source_addr=b'MyBank', short_message=b'my casino')
    assert await status(esme, replacing) != 0
    assert (await esme.ask(submit(b'casino', replace_if_present_flag=1))).command_status == S.ESME_RSUBMITFAIL
    await smsc.start()
    assert [pdu.short_message for pdu in await smsc.submitted(1)] == [b'old']
