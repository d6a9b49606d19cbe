"""Receipts find their messages: early, late, under other forms of the id, from several operators at once."""

import pytest

from pdu import pdus
from pdu.codec import HEADER
from pdu.tlvs import Tag, make
from tests.product.peers import operator_receipt, submit
from tests.product.running import everywhere_bound, upstream
from tests.product.waiting import until, until_async


async def one(product, start_smsc, bind, **settings):
    """A product with one scripted operator, and an ESME."""
    queues = settings.pop('queues', {})
    smpp = settings.pop('smpp', {})
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, **settings)}, queues=queues, smpp=smpp)
    await everywhere_bound(smsc)
    return found, smsc, await bind(found)


@pytest.mark.wire('F12')
async def test_a_receipt_in_front_of_its_response_is_acknowledged_kept_and_matched(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    smsc.script = lambda pdu: None
    message_id = await esme.submit()
    (sent,) = await smsc.submitted(1)
    assert await smsc.deliver_receipt(b'777') == 0
    assert await found.metric('smsc_dlr_orphans_total') == 1
    smsc.respond(smsc.bound[0], sent, b'777')
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == message_id
    await found.settle(DELIVERED=1)
    assert await found.metric('smsc_dlr_overtaken_total') == 1


@pytest.mark.wire('F12')
async def test_receipt_and_response_in_one_segment_in_the_wrong_order(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    smsc.script = lambda pdu: None
    ids = await esme.submit_all(submit() for _ in range(10))
    sent = await smsc.submitted(10)
    peer = smsc.bound[0]
    for number, pdu in enumerate(sent):
        receipt = operator_receipt(b'%d' % number)
        receipt.sequence_number = number + 1
        peer.send(receipt, pdus.SubmitSmResp(pdu.sequence_number, 0, b'%d' % number))
    responses = await peer.take_many(10, pdus.DeliverSmResp)
    assert {response.command_status for response in responses} == {0}
    assert sorted(receipt.id.decode() for receipt in await esme.receipts(10)) == sorted(ids)
    await found.settle(DELIVERED=10)


@pytest.mark.wire('F12')
async def test_an_early_receipt_outlives_a_restart(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind, smpp={'drain_s': 0.3})
    smsc.script = lambda pdu: None
    message_id = await esme.submit()
    await smsc.submitted(1)
    assert await smsc.deliver_receipt(b'777') == 0
    await found.stop()
    smsc.script = lambda pdu: b'777'  # the same message again, under the same id
    await found.start()
    esme = await bind(found)
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == message_id
    assert (await found.story(message_id)).repeated


@pytest.mark.wire('F13')
@pytest.mark.parametrize(
    ('forms', 'response', 'receipt'),
    [
        ({'response': 'decimal', 'receipt': 'hex'}, b'3054198967', b'B60B60B7'),
        ({'response': 'hex', 'receipt': 'decimal'}, b'0x00b60b60b7', b'3054198967'),
        ({'response': 'hex', 'receipt': 'hex'}, b'00B60B60B7', b'b60b60b7'),
        ({}, b'00AB-cd', b'ab-CD'),
        ({}, b'18446744073709551999999', b'18446744073709551999999'),
        ({}, b'5E5C0000-0000-4000-8000-0000000000AB', b'5e5c0000-0000-4000-8000-0000000000ab'),
    ],
    ids=['decimal-hex', 'hex-decimal', 'hex', 'case and zeros', 'more than 64 bits', 'uuid'],
)
async def test_ids_are_the_same_in_whatever_form(product, start_smsc, bind, forms, response, receipt):
    _found, smsc, esme = await one(product, start_smsc, bind, message_id=forms)
    smsc.script = lambda pdu: response
    message_id = await esme.submit()
    await smsc.submitted(1)
    assert await smsc.deliver_receipt(receipt) == 0
    (told,) = await esme.receipts(1)
    assert told.id.decode() == message_id


@pytest.mark.wire('F14')
async def test_the_same_id_of_two_operators_is_two_messages(product, start_smsc, bind):
    first, second = await start_smsc(), await start_smsc()
    first.script = second.script = lambda pdu: b'42'
    found = await product(
        upstreams={'mts': upstream(first.port), 'tele2': upstream(second.port)},
        routes=[
            {'name': 'mts', 'when': {'destination': '7916*'}, 'failover': ['mts']},
            {'name': 'tele2', 'failover': ['tele2']},
        ],
    )
    await everywhere_bound(first)
    await everywhere_bound(second)
    esme = await bind(found)
    one_id = await esme.submit()
    other_id = await esme.submit(destination_addr=b'79521234567')
    await first.submitted(1)
    await second.submitted(1)
    await second.deliver_receipt(b'42', 'UNDELIV')
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (other_id, b'UNDELIV')
    await first.deliver_receipt(b'42')
    assert (await esme.receipts(2))[1].id.decode() == one_id
    await found.settle(DELIVERED=1, UNDELIVERABLE=1)


@pytest.mark.wire('F15')
async def test_an_id_that_is_used_again_means_the_latest_message(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    smsc.script = lambda pdu: b'42'
    ids = []
    for count in (1, 2):
        ids.append(await esme.submit())
        await smsc.submitted(count)
        await smsc.deliver_receipt(b'42', 'DELIVRD' if count == 1 else 'UNDELIV')
        await esme.receipts(count)
    receipts = await esme.receipts(2)
    assert [(receipt.id.decode(), receipt.raw_state) for receipt in receipts] == [
        (ids[0], b'DELIVRD'),
        (ids[1], b'UNDELIV'),
    ]
    await found.settle(DELIVERED=1, UNDELIVERABLE=1)


@pytest.mark.wire('F15', 'F17')
async def test_an_orphan_ends_no_message_that_gets_its_id_later(monkeypatch, product, start_smsc, bind):
    monkeypatch.setattr('smsc.receipts.CLOCK_STEP_MS', 0)
    found, smsc, esme = await one(product, start_smsc, bind)
    assert await smsc.deliver_receipt(b'42', 'UNDELIV') == 0
    await until_async(lambda: parked(found))
    smsc.script = lambda pdu: b'42'
    message_id = await esme.submit()
    await until_async(lambda: parked(found, 0))
    await smsc.deliver_receipt(b'42')
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'DELIVRD')
    await found.settle(DELIVERED=1)


async def parked(found, count: int = 1) -> bool:
    """Whether the store holds so many receipts without a message."""
    return len(await found.node.core.store.receipts.take_parked(0, 10)) == count


@pytest.mark.wire('E17')
@pytest.mark.parametrize('message_id', [b'', b'x' * 70])
async def test_a_message_taken_under_no_id_that_a_receipt_could_name_ends_unknown(
    product, start_smsc, bind, message_id
):
    found, smsc, esme = await one(product, start_smsc, bind)
    smsc.respond = lambda peer, pdu, answer: peer.send_octets(
        pdus_head(17 + len(message_id), pdu.sequence_number) + message_id + b'\0'
    )
    ids = await esme.submit_all([submit(), submit(), submit(registered_delivery=0)])
    receipts = await esme.receipts(2)
    assert {(receipt.id.decode(), receipt.raw_state) for receipt in receipts} == {(one, b'UNKNOWN') for one in ids[:2]}
    last = {'UNKNOWN': 1} if message_id else {'ACCEPTED': 1}
    await found.settle(**{'UNKNOWN': 2} | {name: count + 2 * (name == 'UNKNOWN') for name, count in last.items()})


def pdus_head(command_length: int, sequence_number: int) -> bytes:
    """The header of a submit_sm_resp with ESME_ROK."""
    return HEADER.pack(command_length, pdus.SubmitSmResp.command_id, 0, sequence_number)


async def test_receipts_find_messages_that_memory_has_let_go(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind, queues={'cache': 100})
    ids = await esme.submit_all(submit() for _ in range(500))
    await smsc.submitted(500)
    core = found.node.core
    await until(lambda: len(core.upstreams['mts'].sent) == 100 and len(core.live) <= 100)
    peer = smsc.receiving[-1]
    numbers = peer.number(*map(operator_receipt, smsc.given))
    for number in numbers:
        assert (await peer.take(pdus.DeliverSmResp, number)).command_status == 0
    assert sorted(receipt.id.decode() for receipt in await esme.receipts(500)) == sorted(ids)
    await found.settle(DELIVERED=500)


async def test_receipts_find_messages_of_an_earlier_run(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    ids = await esme.submit_all(submit() for _ in range(50))
    await smsc.submitted(50)
    await found.stop()
    await found.start()
    esme = await bind(found)
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    assert sorted(receipt.id.decode() for receipt in await esme.receipts(50)) == sorted(ids)
    assert len(smsc.submits) == 50
    await found.settle(DELIVERED=50)


@pytest.mark.wire('E8')
async def test_a_second_receipt_is_counted_and_not_forwarded(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind)
    await esme.submit()
    await smsc.submitted(1)
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    assert await smsc.deliver_receipt(smsc.given[0], 'UNDELIV') == 0
    assert await found.metric('smsc_dlr_repeated_total') == 1
    await esme.receipts(1)
    await esme.settled()
    assert len(esme.delivered) == 1
    await found.settle(DELIVERED=1)


@pytest.mark.wire('E6')
@pytest.mark.parametrize('state', ['ACCEPTD', 'ENROUTE'])
async def test_what_is_not_final_is_not_forwarded(product, start_smsc, bind, state):
    _found, smsc, esme = await one(product, start_smsc, bind)
    await esme.submit()
    await smsc.submitted(1)
    assert await smsc.deliver_receipt(smsc.given[0], state) == 0
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    receipts = await esme.receipts(1)
    await esme.settled()
    assert [receipt.raw_state for receipt in receipts] == [b'DELIVRD']
    assert len(esme.delivered) == 1


DATES = b'submit date:2611211030 done date:2611211031'


@pytest.mark.wire('F16')
@pytest.mark.parametrize(
    ('text', 'tlvs', 'word'),
    [
        (b'', ((Tag.RECEIPTED_MESSAGE_ID, b'ID\0'), (Tag.MESSAGE_STATE, b'\x02')), b'DELIVRD'),
        (b'id:ID sub:001 dlvrd:001 %b stat:DELIVRD err:000 text:x' % DATES, (), b'DELIVRD'),
        (b'id:wrong stat:DELIVRD', ((Tag.RECEIPTED_MESSAGE_ID, b'ID\0'), (Tag.MESSAGE_STATE, b'\x05')), b'UNDELIV'),
        (b'ID:ID STAT:delivrd ERR:0', (), b'DELIVRD'),
        (b'id:ID submit date:261121103000 done date:261121103100 stat:EXPIRED err:1', (), b'EXPIRED'),
        (b'id:ID %b stat:REJECTD err:0 Text:hello vendor:7' % DATES, (), b'REJECTD'),
        (b'id:ID stat:NONSENSE', (), b'UNKNOWN'),
    ],
    ids=['tlvs', 'text', 'tlvs win', 'case', 'long dates', 'extra fields', 'unknown word'],
)
async def test_receipts_of_every_kind_are_understood(product, start_smsc, bind, text, tlvs, word):
    _found, smsc, esme = await one(product, start_smsc, bind)
    message_id = await esme.submit()
    await smsc.submitted(1)
    given = smsc.given[0]
    tlvs = tuple((tag, octets.replace(b'ID', given)) for tag, octets in tlvs)
    text = text.replace(b':ID', b':' + given)
    assert await smsc.deliver(operator_receipt(b'', short_message=text, tlvs=tlvs)) == 0
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, word)


@pytest.mark.wire('F17')
async def test_a_receipt_of_a_message_nobody_knows_is_acknowledged_and_counted(product, start_smsc, bind):
    found, smsc, _esme = await one(product, start_smsc, bind)
    assert await smsc.deliver_receipt(b'no-such-id') == 0
    assert await found.metric('smsc_dlr_orphans_total') == 1
    assert (await found.status()).parked_receipts == 1


@pytest.mark.wire('F19')
async def test_deliver_sm_resp_has_an_empty_message_id(product, start_smsc, bind):
    _found, smsc, _esme = await one(product, start_smsc, bind)
    await smsc.deliver_receipt(b'1')
    assert smsc.receiving[-1].octets_read.endswith(
        b'\0\0\0\x11' + b'\x80\0\0\5' + b'\0\0\0\0' + (1).to_bytes(4, 'big') + b'\0'
    )


@pytest.mark.wire('F20')
async def test_an_mo_message_that_looks_like_a_receipt_stays_one(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)}, mo=[{'name': 'all', 'account': 'bank'}], accounts={'bank': {'binds': 2}}
    )
    esme = await bind(found)
    await esme.submit()
    await smsc.submitted(1)
    text = operator_receipt(smsc.given[0]).short_message
    assert await smsc.deliver(operator_receipt(b'', esm_class=0, short_message=text)) == 0
    await until(lambda: len(esme.delivered) == 1)
    assert (esme.delivered[0].esm_class, esme.delivered[0].short_message) == (0, text)

    async def mo_final():
        return (await found.ledger()).final == {'DELIVERED': 1}

    await until_async(mo_final)
    assert (await found.ledger()).waiting == 1  # the message still waits for its receipt


async def test_the_error_code_of_an_operator_is_told(product, start_smsc, bind):
    _found, smsc, esme = await one(product, start_smsc, bind)
    await esme.submit()
    await smsc.submitted(1)
    tlv = make(Tag.NETWORK_ERROR_CODE, b'\x03\x00\x22')
    await smsc.deliver_receipt(smsc.given[0], 'UNDELIV', tlvs=(tlv,))
    (receipt,) = await esme.receipts(1)
    assert receipt.error == b'034'
