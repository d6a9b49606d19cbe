"""Receipts on their way to the ESME: their forms, which of them come, and in what order."""

import re

import pytest

from domain.message import Notice
from pdu import pdus, receipt_text
from pdu.codec import encode
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from pdu.tlvs import Tag, c_octets, find, integer
from smsc.clock import wall_ms
from tests.product.peers import operator_receipt, receipt_of, submit
from tests.product.running import account, everywhere_bound, run_command, upstream
from tests.product.waiting import until, until_async

NETWORK_ERROR = Tag.NETWORK_ERROR_CODE
SECONDS = rb'\d{12}'


async def one(product, start_smsc, receipts=None, **changes):
    """A product with one scripted operator."""
    smsc = await start_smsc()
    accounts = {'bank': account(receipts=receipts or {}, **changes.pop('bank', {}))}
    tree = {'upstreams': {'mts': upstream(smsc.port, **changes.pop('mts', {}))}, 'accounts': accounts} | changes
    found = await product(**tree)
    await everywhere_bound(smsc)
    return found, smsc


async def submitted(esme, smsc, **changes):
    """Submits a message; returns its message_id, and the operator's."""
    message_id = await esme.submit(**changes)
    await until(lambda: len(smsc.submits) == len(smsc.given) > 0)
    return message_id, smsc.given[-1]


async def has_notice(product, message_id, notice=Notice.ACKNOWLEDGED):
    async def noted():
        return (await product.story(message_id)).notice == notice

    await until_async(noted)


# Forms


@pytest.mark.wire('E1')
async def test_an_account_may_have_its_receipts_in_data_sm(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc, receipts={'pdu': 'data_sm'})
    esme = await bind(found)
    message_id, given = await submitted(esme, smsc)
    assert await smsc.deliver_receipt(given) == 0
    pdu = await esme.take(pdus.DataSm)
    assert (pdu.esm_class, pdu.source_addr, pdu.destination_addr) == (4, b'79161234567', b'MyBank')
    assert c_octets(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) == message_id.encode()
    text = receipt_text.parse(find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) or b'')
    assert text is not None
    assert (text.id, text.raw_state) == (message_id.encode(), b'DELIVRD')
    esme.send(pdus.DataSmResp(pdu.sequence_number))
    await has_notice(found, message_id)


@pytest.mark.wire('E3', 'B2')
@pytest.mark.parametrize(('pdu', 'version'), [('deliver_sm', 0x00), ('data_sm', 0x33)])
async def test_an_esme_of_3_3_gets_no_tlvs(product, start_smsc, bind, pdu, version):
    found, smsc = await one(product, start_smsc, receipts={'pdu': pdu})
    esme = await bind(found, interface_version=version)
    message_id, given = await submitted(esme, smsc)
    await smsc.deliver_receipt(given, 'UNDELIV', error=b'017')
    (told,) = await esme.receipts(1)
    assert (told.id.decode(), told.raw_state, told.error) == (message_id, b'UNDELIV', b'017')
    assert esme.delivered[0].tlvs == ()


@pytest.mark.wire('E3')
async def test_an_esme_of_3_4_gets_tlvs_that_agree_with_the_text(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc)
    esme = await bind(found)
    for word, state in (('DELIVRD', 2), ('EXPIRED', 3), ('REJECTD', 8)):
        message_id, given = await submitted(esme, smsc)
        await smsc.deliver_receipt(given, word)
        told = (await esme.receipts(len(smsc.given)))[-1]
        tlvs = esme.delivered[-1].tlvs
        assert (told.id.decode(), told.raw_state.decode()) == (message_id, word)
        assert c_octets(tlvs, Tag.RECEIPTED_MESSAGE_ID) == told.id
        assert integer(tlvs, Tag.MESSAGE_STATE) == told.state == state


@pytest.mark.wire('E4')
async def test_the_operators_error_code_comes_through(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc)
    esme = await bind(found)
    for error, tlvs, octets, shown in (
        (b'042', (), b'\3\0\x2a', b'042'),
        (b'000', (), None, b'000'),
        (b'000', ((NETWORK_ERROR, b'\1\0\x21'),), b'\1\0\x21', b'033'),
        (b'007', ((NETWORK_ERROR, b'\x08\x04\xff'),), b'\x08\x04\xff', b'999'),
    ):
        _, given = await submitted(esme, smsc)
        await smsc.deliver_receipt(given, 'UNDELIV', error=error, tlvs=tlvs)
        told = (await esme.receipts(len(smsc.given)))[-1]
        assert (told.error, find(esme.delivered[-1].tlvs, NETWORK_ERROR)) == (shown, octets)


@pytest.mark.wire('E4', 'E17')
async def test_an_outcome_of_ours_has_its_error_code_in_text_and_tlv(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc)
    esme = await bind(found)
    smsc.script = lambda pdu: int(CommandStatus.ESME_RINVDSTADR)
    message_id = await esme.submit()
    (told,) = await esme.receipts(1)
    assert (told.id.decode(), told.raw_state, told.error) == (message_id, b'UNDELIV', b'011')
    assert find(esme.delivered[0].tlvs, NETWORK_ERROR) == b'\3\0\x0b'


@pytest.mark.wire('E16', 'C2')
@pytest.mark.parametrize(
    ('form', 'pattern'),
    [
        ('decimal', r'[1-9]\d{16,18}'),
        ('decimal20', r'\d{20}'),
        ('hex', r'[0-9a-f]{16}'),
        ('HEX', r'[0-9A-F]{16}'),
        ('uuid', r'[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}'),
    ],
)
async def test_ids_have_the_form_the_account_expects(product, start_smsc, bind, form, pattern):
    found, smsc = await one(product, start_smsc, receipts={'message_id': form})
    esme = await bind(found)
    message_id, given = await submitted(esme, smsc)
    assert re.fullmatch(pattern, message_id)
    await smsc.deliver_receipt(given)
    (told,) = await esme.receipts(1)
    assert told.id.decode() == message_id
    assert c_octets(esme.delivered[0].tlvs, Tag.RECEIPTED_MESSAGE_ID) == told.id
    if form == 'uuid':
        status, out, err = await run_command(found, 'message', message_id)
        assert status == 0, err
        assert '79161234567' in out


@pytest.mark.wire('E16')
async def test_an_account_may_have_a_text_and_dates_of_its_own(product, start_smsc, bind):
    template = 'id={id} s={stat} e={err} {submit}/{done} {sub}{dlvrd} "{text}"'
    found, smsc = await one(product, start_smsc, receipts={'template': template, 'dates': 12})
    esme = await bind(found)
    message_id, given = await submitted(esme, smsc)
    await smsc.deliver_receipt(given, 'EXPIRED', error=b'005')
    await until(lambda: esme.delivered)
    pattern = rb'id=%b s=EXPIRED e=005 %b/%b 001000 "your code is 4711"' % (message_id.encode(), SECONDS, SECONDS)
    assert re.fullmatch(pattern, esme.delivered[0].short_message)


# Which of them come


@pytest.mark.wire('C22')
async def test_what_was_asked_for_reaches_the_operator_bit_by_bit(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc)
    esme = await bind(found)
    asked = [bits for bits in range(0x20) if bits & 3 != 3]
    await esme.submit_all(submit(b'%d' % bits, registered_delivery=bits) for bits in asked)
    await smsc.submitted(len(asked))
    for pdu in smsc.submits:
        bits = int(pdu.short_message)
        assert pdu.registered_delivery & ~3 == bits & ~3  # SME acknowledgements and intermediate notifications
        assert bool(pdu.registered_delivery & 3) is bool(bits & 3)


@pytest.mark.wire('C22', 'E6')
@pytest.mark.parametrize('asked', [0, 1, 2, 3, 0x0D])
async def test_a_final_receipt_comes_once_if_it_was_asked_for(product, start_smsc, bind, asked):
    found, smsc = await one(product, start_smsc, mts={'registered_delivery': 'always'})
    esme = await bind(found, interface_version=0x50)
    wanted = {0: (), 1: ('DELIVRD', 'UNDELIV'), 2: ('UNDELIV',), 3: ('DELIVRD',)}[asked & 3]
    for word in ('DELIVRD', 'UNDELIV'):
        _, given = await submitted(esme, smsc, registered_delivery=asked)
        for state in ('ACCEPTD', word, word):
            assert await smsc.deliver_receipt(given, state) == 0
    await found.settle(DELIVERED=1, UNDELIVERABLE=1)
    _, given = await submitted(esme, smsc)
    await smsc.deliver_receipt(given)
    await until(lambda: len(finals(esme)) > len(wanted))
    assert tuple(told.raw_state.decode() for told in finals(esme)) == (*wanted, 'DELIVRD')


def finals(esme):
    return [receipt_of(pdu) for pdu in esme.delivered if pdu.esm_class == 4]


@pytest.mark.wire('E7', 'C22')
async def test_an_intermediate_notification_comes_before_the_final_receipt_if_it_was_asked_for(
    product, start_smsc, bind
):
    found, smsc = await one(product, start_smsc)
    esme = await bind(found)
    message_id, given = await submitted(esme, smsc, registered_delivery=0x11)
    _, other = await submitted(esme, smsc, registered_delivery=1)
    for ours in (given, other):
        for state, esm_class in (('ENROUTE', 0x20), ('ACCEPTD', 4)):
            assert await smsc.deliver_receipt(ours, state, esm_class=esm_class) == 0
        assert await smsc.deliver_receipt(ours) == 0
        assert await smsc.deliver_receipt(ours, 'ACCEPTD', esm_class=0x20) == 0  # too late
    await found.settle(DELIVERED=2)
    await until(lambda: len(finals(esme)) == 2)
    await esme.settled()
    told = [(pdu.esm_class, receipt_of(pdu).raw_state) for pdu in esme.delivered]
    assert told == [(0x20, b'ENROUTE'), (0x20, b'ACCEPTD'), (4, b'DELIVRD'), (4, b'DELIVRD')]
    first = esme.delivered[0]
    assert receipt_of(first).id == c_octets(first.tlvs, Tag.RECEIPTED_MESSAGE_ID) == message_id.encode()
    assert integer(first.tlvs, Tag.MESSAGE_STATE) == MessageState.ENROUTE
    assert await found.metric('smsc_dlr_intermediate_total', outcome='sent') == 2


async def message_with_the_operator(product, esme, smsc):
    """Submits a message with intermediate notifications; returns its account and what memory holds of it."""
    _, given = await submitted(esme, smsc, registered_delivery=0x11)
    core = product.node.core
    message = await until(lambda: core.upstreams['mts'].sent.get(given.decode()))
    return core.accounts['bank'], message


@pytest.mark.wire('E7')
async def test_an_intermediate_notification_without_room_is_dropped_and_none_is_repeated(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc, bank={'window': 2}, smpp={'response_timeout_s': 1.0})
    esme = await bind(found)
    bank, message = await message_with_the_operator(found, esme, smsc)
    esme.acknowledge = False
    sent = [bank.send_intermediate(message, MessageState.ENROUTE) for _ in range(3)]
    assert (sent, bank.intermediate_dropped) == ([True, True, False], 1)
    refused, _unanswered = await esme.take_many(2, pdus.DeliverSm)
    esme.send(pdus.DeliverSmResp(refused.sequence_number, CommandStatus.ESME_RX_T_APPN))
    await until(lambda: bank.feed.outstanding == 0)  # the other's time has run out
    await esme.settled()
    assert esme.inbox == []
    assert bank.send_intermediate(message, MessageState.ACCEPTED)
    esme.acknowledge = True
    await smsc.deliver_receipt(smsc.given[0])
    await esme.receipts(1)
    assert not bank.send_intermediate(message, MessageState.ACCEPTED)
    await found.settle(DELIVERED=1)


@pytest.mark.wire('E7')
async def test_an_intermediate_notification_is_not_kept_for_an_esme_that_is_away(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc)
    transmitter = await bind(found, bind=pdus.BindTransmitter)
    bank, message = await message_with_the_operator(found, transmitter, smsc)
    assert not bank.send_intermediate(message, MessageState.ENROUTE)
    receiver = await bind(found, bind=pdus.BindReceiver)
    receiver.acknowledge = False
    assert bank.send_intermediate(message, MessageState.ENROUTE)
    await receiver.take(pdus.DeliverSm)
    await receiver.reset()
    receiver = await bind(found, bind=pdus.BindReceiver)
    await smsc.deliver_receipt(smsc.given[0])
    (told,) = await receiver.receipts(1)
    assert told.raw_state == b'DELIVRD'
    assert transmitter.delivered == []


@pytest.mark.wire('E17')
async def test_a_message_whose_retries_last_until_its_end_is_receipted_as_expired(
    monkeypatch, product, start_smsc, bind
):
    monkeypatch.setattr('smsc.upkeep.SWEEP_S', 0.1)
    found, smsc = await one(product, start_smsc)
    smsc.script = lambda pdu: int(CommandStatus.ESME_RSYSERR)
    esme = await bind(found)
    message_id = await esme.submit(validity_period=b'000000000001000R')
    (told,) = await esme.receipts(1)
    assert (told.id.decode(), told.raw_state) == (message_id, b'EXPIRED')
    assert len(smsc.submits) > 1
    await found.settle(EXPIRED=1)


@pytest.mark.wire('E17')
async def test_a_message_that_lost_its_route_is_receipted_as_rejected(product, start_smsc, bind):
    smsc, other = await start_smsc(start=False), await start_smsc(start=False)
    found = await product(upstreams={'mts': upstream(smsc.port), 'tele2': upstream(other.port)})
    esme = await bind(found)
    found.write(routes=[{'name': 'none', 'failover': ['mts']}])
    await found.reload()
    message_id = await esme.submit()
    route = {'name': 'short', 'when': {'destination': '1*'}, 'failover': ['tele2']}
    found.write(upstreams={'mts': None}, routes=[route])
    await found.reload()
    (told,) = await esme.receipts(1)
    assert (told.id.decode(), told.raw_state) == (message_id, b'REJECTD')
    assert int(told.error)
    await found.settle(REJECTED=1)


# To whom, and in what order


@pytest.mark.wire('E10', 'B11', 'B19')
async def test_every_receipt_goes_to_one_of_the_binds_that_receive(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc, bank={'window': 5})
    submitter = await bind(found, bind=pdus.BindTransmitter)
    receivers = [await bind(found), await bind(found, bind=pdus.BindReceiver), await bind(found)]
    ids = []
    for _ in range(20):
        ids += await submitter.submit_all(submit() for _ in range(5))
    await smsc.submitted(100)
    smsc.receiving[-1].number(*map(operator_receipt, list(smsc.given)))
    await found.settle(DELIVERED=100)
    await until(lambda: sum(len(esme.delivered) for esme in receivers) == 100)
    for esme in (submitter, *receivers):
        assert await esme.settled() == []
    assert submitter.delivered == []
    assert sorted(receipt_of(pdu).id.decode() for esme in receivers for pdu in esme.delivered) == sorted(ids)
    assert all(esme.delivered for esme in receivers)


@pytest.mark.wire('E20')
async def test_receipts_of_one_number_come_in_order_on_one_bind(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc, bank={'window': 10})
    transmitter = await bind(found, bind=pdus.BindTransmitter)
    receiver = await bind(found, bind=pdus.BindReceiver)
    ids = []
    for _ in range(20):
        ids += await transmitter.submit_all(submit() for _ in range(10))
    await smsc.submitted(200)
    for given in list(smsc.given):
        smsc.receiving[-1].number(operator_receipt(given))
    assert [told.id.decode() for told in await receiver.receipts(200)] == ids


@pytest.mark.wire('E12')
@pytest.mark.parametrize('kind', [pdus.DeliverSmResp, pdus.GenericNack])
async def test_a_temporary_error_brings_it_again_later_each_time(monkeypatch, product, start_smsc, bind, kind):
    monkeypatch.setattr('smsc.account.RETRY_FIRST_MS', 10)
    now_ms = wall_ms()
    monkeypatch.setattr('smsc.account.wall_ms', lambda: now_ms)
    found, smsc = await one(product, start_smsc)
    outbox = found.node.core.accounts['bank'].feed.outbox
    pauses, defer = [], outbox.defer

    def noting(message, due_at):
        pauses.append(due_at - now_ms)
        defer(message, due_at)

    monkeypatch.setattr(outbox, 'defer', noting)
    esme = await bind(found)
    esme.acknowledge = False
    message_id, given = await submitted(esme, smsc)
    await smsc.deliver_receipt(given)
    first = await esme.take(pdus.DeliverSm)
    for _ in range(3):
        esme.send(kind(first.sequence_number, CommandStatus.ESME_RSYSERR))
        again = await esme.take(pdus.DeliverSm)
        assert encode(again)[16:] == encode(first)[16:]
        first = again
    assert pauses == [10, 20, 40]
    esme.send(pdus.DeliverSmResp(first.sequence_number))
    await has_notice(found, message_id)


@pytest.mark.wire('E12')
async def test_any_other_error_gives_the_receipt_up(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc)
    esme = await bind(found)
    esme.acknowledge = False
    for status in (CommandStatus.ESME_RSUBMITFAIL, CommandStatus.ESME_RINVMSGLEN, 0x400, 0xFFFFFFFF):
        message_id, given = await submitted(esme, smsc)
        await smsc.deliver_receipt(given)
        pdu = await esme.take(pdus.DeliverSm)
        esme.send(pdus.DeliverSmResp(pdu.sequence_number, status))
        await has_notice(found, message_id, Notice.GIVEN_UP)
        assert await esme.settled() == []


@pytest.mark.wire('E11')
async def test_an_acknowledgement_whose_body_cannot_be_read_is_one(product, start_smsc, bind):
    found, smsc = await one(product, start_smsc)
    esme = await bind(found)
    esme.acknowledge = False
    message_id, given = await submitted(esme, smsc)
    await smsc.deliver_receipt(given)
    pdu = await esme.take(pdus.DeliverSm)
    octets = encode(pdus.DeliverSmResp(pdu.sequence_number))[4:-1] + b'x' * 70 + b'\0'
    esme.send_octets((4 + len(octets)).to_bytes(4, 'big') + octets)
    await has_notice(found, message_id)
