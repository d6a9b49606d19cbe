"""submit_multi and data_sm: other ways to submit (wire.md C28, C29)."""

from typing import Any

import pytest

from pdu import pdus
from pdu.codec import encode
from pdu.fields import DistributionList, SmeAddress
from pdu.status import CommandStatus
from pdu.tlvs import Tag, find, make
from tests.product.peers import TEXT, multi, number
from tests.product.running import account, everywhere_bound, upstream


@pytest.fixture
async def running(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(
        accounts={'bank': account(window=1000), 'shop': account(rate_per_s=3)}, upstreams={'mts': upstream(smsc.port)}
    )
    await everywhere_bound(smsc)
    return found, smsc, await bind(found)


@pytest.mark.wire('C28', 'C2')
async def test_each_good_destination_gets_the_message_and_has_a_receipt_of_the_one_id(running):
    product, smsc, esme = running
    response = await esme.ask(multi(number(1), number(2), number(3)))
    assert (type(response), response.command_status, response.unsuccess_sme) == (pdus.SubmitMultiResp, 0, ())
    submits = await smsc.submitted(3)
    assert sorted(pdu.destination_addr for pdu in submits) == [number(last).destination_addr for last in (1, 2, 3)]
    assert {(pdu.source_addr, pdu.short_message) for pdu in submits} == {(b'MyBank', TEXT)}
    for given in smsc.given:
        await smsc.deliver_receipt(given)
    receipts = await esme.receipts(3)
    assert {receipt.id for receipt in receipts} == {response.message_id}
    assert sorted(pdu.source_addr for pdu in esme.delivered) == [number(last).destination_addr for last in (1, 2, 3)]
    await product.settle(DELIVERED=3)


@pytest.mark.wire('C28')
async def test_bad_destinations_are_listed_with_their_own_status(running):
    _product, smsc, esme = running
    response = await esme.ask(
        multi(number(1), SmeAddress(1, 1, b'no number'), SmeAddress(9, 1, b'79160000002'), DistributionList(b'staff'))
    )
    assert response.command_status == 0
    assert {(sme.destination_addr, sme.error_status_code) for sme in response.unsuccess_sme} == {
        (b'no number', CommandStatus.ESME_RINVDSTADR),
        (b'79160000002', CommandStatus.ESME_RINVDSTTON),
        (b'staff', CommandStatus.ESME_RINVDLNAME),
    }
    assert len(await smsc.submitted(1)) == 1


@pytest.mark.wire('C28')
async def test_no_good_destination_is_an_error_and_nothing_is_accepted(running):
    product, _smsc, esme = running
    response = await esme.ask(multi(DistributionList(b'staff')))
    assert (response.command_status, response.message_id) == (CommandStatus.ESME_RINVDLNAME, b'')
    assert (await product.ledger()).accepted == 0


@pytest.mark.wire('C28')
async def test_254_destinations_are_taken_none_and_255_are_not(running):
    product, smsc, esme = running
    none = await esme.ask(multi())
    many = await esme.ask(multi(*map(number, range(255))))
    most = await esme.ask(multi(*map(number, range(254))))
    assert none.command_status == many.command_status == CommandStatus.ESME_RINVNUMDESTS
    assert most.command_status == 0
    assert len(await smsc.submitted(254)) == 254
    assert (await product.ledger()).accepted == 254


@pytest.mark.wire('C28', 'B3')
async def test_a_session_of_5_0_may_name_255_destinations(running, bind):
    product, _smsc, _esme = running
    esme = await bind(product, interface_version=0x50)
    assert (await esme.ask(multi(*map(number, range(255))))).command_status == 0


@pytest.mark.wire('C28')
async def test_a_wrong_dest_flag_is_told(running):
    _product, _smsc, esme = running
    octets = encode(multi(number(1), sequence_number=7))
    assert octets.count(b'\x01\x01\x01\x017916') == 1  # number_of_dests, dest_flag, ton, npi
    esme.send_octets(octets.replace(b'\x01\x01\x01\x017916', b'\x01\x03\x01\x017916'))
    response = await esme.take(pdus.SubmitMultiResp)
    assert (response.sequence_number, response.command_status) == (7, CommandStatus.ESME_RINVDESTFLAG)


@pytest.mark.wire('C28', 'C5')
async def test_every_destination_counts_in_the_rate(running, bind):
    product, smsc, _esme = running
    esme = await bind(product, 'shop')
    first, second = await esme.ask_all([multi(number(1), number(2)), multi(number(3), number(4))])
    assert (first.command_status, second.command_status) == (0, CommandStatus.ESME_RTHROTTLED)
    assert len(await smsc.submitted(2)) == 2


def data(payload: bytes | None = TEXT, **changes) -> pdus.DataSm:
    fields: dict[str, Any] = {
        'source_addr_ton': 5,
        'source_addr': b'MyBank',
        'dest_addr_ton': 1,
        'dest_addr_npi': 1,
        'destination_addr': b'79161234567',
        'registered_delivery': 1,
        'tlvs': () if payload is None else ((int(Tag.MESSAGE_PAYLOAD), payload),),
    }
    return pdus.DataSm(**fields | changes)


@pytest.mark.wire('C29', 'C1')
async def test_a_data_sm_is_a_message_like_any_other(running):
    product, smsc, esme = running
    reference = make(Tag.USER_MESSAGE_REFERENCE, 77)
    pdu = data(data_coding=4)
    pdu.tlvs += (reference,)
    response = await esme.ask(pdu)
    assert (type(response), response.command_status) == (pdus.DataSmResp, 0)
    (sent,) = await smsc.submitted(1)
    assert (sent.short_message, sent.data_coding, sent.destination_addr) == (TEXT, 4, b'79161234567')
    assert find(sent.tlvs, Tag.USER_MESSAGE_REFERENCE) == reference[1]
    assert find(sent.tlvs, Tag.MESSAGE_PAYLOAD) is None
    await smsc.deliver_receipt(smsc.given[0])
    (receipt,) = await esme.receipts(1)
    assert receipt.id == response.message_id
    await product.settle(DELIVERED=1)


@pytest.mark.wire('C29')
@pytest.mark.parametrize(
    ('changes', 'status'),
    [
        ({'payload': None}, CommandStatus.ESME_RMISSINGOPTPARAM),
        ({'destination_addr': b'7' * 40}, CommandStatus.ESME_RINVDSTADR),
        ({'source_addr': b'7' * 40, 'source_addr_ton': 1}, CommandStatus.ESME_RINVSRCADR),
        ({'destination_addr': b'name'}, CommandStatus.ESME_RINVDSTADR),
    ],
)
async def test_a_data_sm_that_cannot_be_a_message_is_refused(running, changes, status):
    product, _smsc, esme = running
    response = await esme.ask(data(**changes))
    assert (type(response), response.command_status) == (pdus.DataSmResp, status)
    assert (await product.ledger()).accepted == 0


@pytest.mark.wire('C29', 'C14')
async def test_a_long_data_sm_is_split(running):
    _product, smsc, esme = running
    assert (await esme.ask(data(b'x' * 400))).command_status == 0
    submits = await smsc.submitted(3)
    assert b''.join(pdu.short_message[6:] for pdu in submits) == b'x' * 400
