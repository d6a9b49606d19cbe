"""What an account's settings and those of the SMPP side decide about a submit_sm (the policies of section C)."""

import pytest

from pdu.pdus import Pdu
from pdu.status import CommandStatus
from pdu.tlvs import Tag, find, make
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream


@pytest.fixture
async def running(product, start_smsc, bind):
    async def start(smpp=None, routes=None, interface_version=0x34, **changes):
        smsc = await start_smsc()
        tree = {'smpp': smpp or {}, 'routes': routes or []}
        found = await product(accounts={'bank': account(**changes)}, upstreams={'mts': upstream(smsc.port)}, **tree)
        await everywhere_bound(smsc)
        return found, smsc, await bind(found, interface_version=interface_version)

    return start


async def status_of(esme, **changes) -> int:
    response: Pdu = await esme.ask(submit(**changes))
    return response.command_status


@pytest.mark.wire('C25')
async def test_a_service_type_that_is_not_allowed_is_refused(running):
    _product, _smsc, esme = await running(service_types=['CMT', ''])
    assert await status_of(esme, service_type=b'CMT') == 0
    assert await status_of(esme) == 0
    assert await status_of(esme, service_type=b'VMN') == CommandStatus.ESME_RINVSERTYP


@pytest.mark.wire('C26')
@pytest.mark.parametrize(
    ('version', 'status'), [(0x34, CommandStatus.ESME_RSUBMITFAIL), (0x50, CommandStatus.ESME_RINVDCS)]
)
async def test_a_data_coding_that_is_not_allowed_is_refused(running, version, status):
    _product, _smsc, esme = await running(interface_version=version, data_codings=[0, 8])
    assert await status_of(esme, data_coding=8) == 0
    assert await status_of(esme, data_coding=4) == status


@pytest.mark.wire('C11')
@pytest.mark.parametrize(
    ('sender', 'expected'),
    [
        (b'MyBank', (5, 0)),
        (b'79160000001', (1, 1)),
        (b'+79160000001', (1, 1)),
        (b'4711', (3, 0)),
        (b'471100', (3, 0)),
        (b'4711000', (1, 1)),
        (b'T 800', (5, 0)),
    ],
)
async def test_a_senders_type_is_set_by_its_look(running, sender, expected):
    _product, smsc, esme = await running(auto_ton=True)
    await esme.submit(source_addr=sender, source_addr_ton=0, source_addr_npi=8)
    (sent,) = await smsc.submitted(1)
    assert (sent.source_addr, (sent.source_addr_ton, sent.source_addr_npi)) == (sender, expected)


@pytest.mark.wire('C11')
async def test_a_sender_that_is_a_name_by_its_look_may_be_too_long(running):
    _product, smsc, esme = await running(auto_ton=True)
    assert await status_of(esme, source_addr=b'TwelveLetter', source_addr_ton=0) == CommandStatus.ESME_RINVSRCADR
    assert await status_of(esme, source_addr=b'Eleven-char', source_addr_ton=0) == 0
    (sent,) = await smsc.submitted(1)
    assert (sent.source_addr, sent.source_addr_ton) == (b'Eleven-char', 5)


@pytest.mark.wire('C15')
async def test_an_empty_message_is_taken_or_refused_as_configured(running):
    _product, smsc, esme = await running()
    assert [await status_of(esme, short_message=b'') for _ in range(2)] == [0, 0]
    assert len(await smsc.submitted(2)) == 2


@pytest.mark.wire('C15')
async def test_empty_messages_are_refused_where_that_is_configured(running):
    _product, _smsc, esme = await running(empty_messages='refuse')
    statuses = [await status_of(esme, short_message=b'') for _ in range(2)]
    assert statuses == [CommandStatus.ESME_RINVMSGLEN] * 2
    assert await status_of(esme, short_message=b'', tlvs=(make(Tag.MESSAGE_PAYLOAD, b'text'),)) == 0


NOWHERE = [{'name': 'one country', 'when': {'destination': '44*'}, 'failover': ['mts']}]


@pytest.mark.wire('C9', 'E17')
async def test_without_a_route_the_answer_is_the_configured_one(running):
    product, _smsc, esme = await running(routes=NOWHERE, no_route='ESME_RSUBMITFAIL')
    assert await status_of(esme) == CommandStatus.ESME_RSUBMITFAIL
    assert (await product.ledger()).accepted == 0


@pytest.mark.wire('C9', 'E17')
async def test_without_a_route_a_message_is_taken_and_a_receipt_says_what_became_of_it(running):
    product, smsc, esme = await running(routes=NOWHERE, no_route='receipt')
    message_id = await esme.submit()
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state, receipt.error) == (message_id, b'UNDELIV', b'011')
    assert not smsc.submits
    await product.settle(UNDELIVERABLE=1)


@pytest.mark.wire('C22')
async def test_receipts_on_success_only_are_of_5_0(running):
    _product, _smsc, esme = await running(success_only='refuse')
    assert await status_of(esme, registered_delivery=3) == CommandStatus.ESME_RINVREGDLVFLG


@pytest.mark.wire('C22')
async def test_on_3_4_receipts_on_success_only_are_receipts_of_both_kinds(running):
    _product, smsc, esme = await running()
    await esme.submit(registered_delivery=3)
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0], 'UNDELIV')
    assert [receipt.raw_state for receipt in await esme.receipts(1)] == [b'UNDELIV']


@pytest.mark.wire('C22', 'B3')
async def test_on_5_0_receipts_on_success_only_come_on_success_only(running):
    product, smsc, esme = await running(interface_version=0x50)
    await esme.submit_all([submit(registered_delivery=3), submit(registered_delivery=3)])
    await smsc.submitted(2)
    await smsc.deliver_receipt(smsc.given[0], 'UNDELIV')
    await smsc.deliver_receipt(smsc.given[1])
    assert [receipt.raw_state for receipt in await esme.receipts(1)] == [b'DELIVRD']
    await product.settle(UNDELIVERABLE=1, DELIVERED=1)


@pytest.mark.wire('C18')
@pytest.mark.parametrize(('version', 'status'), [(0x34, CommandStatus.ESME_RINVPRTFLG), (0x50, 0)])
async def test_priority_4_is_of_5_0(running, version, status):
    _product, _smsc, esme = await running(interface_version=version)
    assert await status_of(esme, priority_flag=4) == status
    assert await status_of(esme, priority_flag=5) == CommandStatus.ESME_RINVPRTFLG


@pytest.mark.wire('C24')
async def test_a_default_message_takes_the_place_of_the_text(running):
    _product, smsc, esme = await running(smpp={'default_messages': {'1': 'Your order is ready', '2': 'Заказ готов'}})
    await esme.submit(sm_default_msg_id=1, short_message=b'')
    await esme.submit(sm_default_msg_id=2, short_message=b'ignored')
    first, second = await smsc.submitted(2)
    assert (first.short_message, first.data_coding, first.sm_default_msg_id) == (b'Your order is ready', 0, 0)
    assert (second.short_message.decode('utf-16-be'), second.data_coding) == ('Заказ готов', 8)
    assert await status_of(esme, sm_default_msg_id=3) == CommandStatus.ESME_RINVDFTMSGID


@pytest.mark.wire('C13')
@pytest.mark.parametrize(
    ('setting', 'status'),
    [(None, CommandStatus.ESME_ROPTPARNOTALLWD), ('ESME_RINVMSGLEN', CommandStatus.ESME_RINVMSGLEN)],
)
async def test_two_texts_in_one_message_are_refused(running, setting, status):
    product, _smsc, esme = await running(smpp={'both_texts': setting} if setting else {})
    assert await status_of(esme, tlvs=(make(Tag.MESSAGE_PAYLOAD, b'another'),)) == status
    assert (await product.ledger()).accepted == 0


@pytest.mark.wire('F24', 'B3')
async def test_a_session_of_5_0_hears_how_busy_we_are(running):
    _product, _smsc, esme = await running(interface_version=0x50)
    response = await esme.ask(submit())
    state = find(response.tlvs, Tag.CONGESTION_STATE)
    assert state is not None
    assert 0 <= state[0] < 80


@pytest.mark.wire('F24', 'B3')
async def test_a_session_of_3_4_hears_nothing_of_that(running):
    _product, _smsc, esme = await running(interface_version=0x4F)
    assert (await esme.ask(submit())).tlvs == ()


@pytest.mark.wire('C16')
@pytest.mark.parametrize('mode', [1, 2])
async def test_modes_that_are_not_kept_are_refused(running, mode):
    product, _smsc, esme = await running()
    assert await status_of(esme, esm_class=mode) == CommandStatus.ESME_RINVESMCLASS
    assert (await product.ledger()).accepted == 0
