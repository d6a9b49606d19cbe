"""What quirky operators do on the wire, PDU by PDU; and that each personality can be had by its name."""

import argparse

import pytest

from pdu import pdus, tlvs
from pdu.pdus import Malformed
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from perf.operator import PERSONALITIES, OperatorSettings
from perf.operator.__main__ import parse
from perf.options import add_options, settings_from
from tests.perf.peer import submit
from tests.product.peers import receipt_of


async def response_and_receipts(start_operator, connect, count=1, **settings):
    """What an operator says about one message: the response and so many receipts, in the order they came."""
    operator, port = await start_operator(**settings)
    peer = await connect(port)
    peer.send(submit(2))
    return operator, peer, await peer.receive_many(1 + count)


@pytest.mark.parametrize(
    ('style', 'in_receipt'),
    [
        ('hex-upper', lambda given: given.upper()),
        ('hex-padded', lambda given: given.lower().rjust(16, b'0')),
        ('decimal-padded', lambda given: given.rjust(20, b'0')),
        ('decimal-spaced', lambda given: b' ' + given + b' '),
        ('decimal-hex', lambda given: b'%x' % int(given)),
        ('hex-decimal', lambda given: b'%d' % int(given, 16)),
        ('long', lambda given: given),
        ('uuid-bare', lambda given: given.replace(b'-', b'').upper()),
    ],
)
async def test_receipts_write_the_id_in_their_own_form(start_operator, connect, style, in_receipt):
    _, _, (response, receipt) = await response_and_receipts(start_operator, connect, id_style=style)
    assert receipt.short_message.startswith(b'id:' + in_receipt(response.message_id) + b' sub:')


async def test_tlvs_may_say_it_all_or_contradict_the_text(start_operator, connect):
    template = 'id:1 stat:UNDELIV'
    for text in ('', template):
        _, _, (response, receipt) = await response_and_receipts(
            start_operator, connect, receipt_template=text, receipt_tlvs=True
        )
        assert receipt.short_message == text.encode()
        assert tlvs.c_octets(receipt.tlvs, tlvs.Tag.RECEIPTED_MESSAGE_ID) == response.message_id
        assert tlvs.integer(receipt.tlvs, tlvs.Tag.MESSAGE_STATE) == MessageState.DELIVERED


async def test_receipts_travel_in_data_sm_and_mo_messages_do_not(start_operator, connect, until):
    operator, peer, (_, receipt) = await response_and_receipts(start_operator, connect, receipt_in='data_sm')
    assert (type(receipt), receipt.esm_class, receipt.source_addr) == (pdus.DataSm, 4, b'79161234567')
    assert (tlvs.find(receipt.tlvs, tlvs.Tag.MESSAGE_PAYLOAD) or b'').startswith(b'id:')
    peer.send(pdus.DataSmResp(receipt.sequence_number))
    await until(lambda: operator.counters.receipts_acked == 1)
    operator.send_mo('7916', '7495', 'STOP')
    assert isinstance(await peer.receive(), pdus.DeliverSm)


async def test_each_message_gets_the_receipts_that_were_listed(start_operator, connect):
    _, _, (_, *receipts) = await response_and_receipts(
        start_operator, connect, count=3, receipt_states='ENROUTE,DELIVRD,UNDELIV', receipt_esm_class=0
    )
    texts = [receipt_of(receipt) for receipt in receipts]
    assert [text.raw_state for text in texts] == [b'ENROUTE', b'DELIVRD', b'UNDELIV']
    assert len({text.id for text in texts}) == 1
    assert {receipt.esm_class for receipt in receipts} == {0}


async def test_a_wrong_length_is_put_right_when_it_was_refused(start_operator, connect):
    operator, port = await start_operator(misshapen_percent=100, deliver_retry_s=0.01)
    peer = await connect(port)
    peer.send(*(submit(2 + number) for number in range(3)))
    wrong = [pdu for pdu in await peer.receive_many(6) if not isinstance(pdu, pdus.SubmitSmResp)]
    assert {type(pdu) for pdu in wrong} == {Malformed}
    peer.send(*(pdus.DeliverSmResp(pdu.sequence_number, CommandStatus.ESME_RINVMSGLEN) for pdu in wrong[:2]))
    peer.send(pdus.GenericNack(wrong[2].sequence_number, CommandStatus.ESME_RINVCMDLEN))
    right = await peer.receive_many(3)
    assert {type(pdu) for pdu in right} == {pdus.DeliverSm}
    assert operator.counters.misshapen == 3


async def test_a_response_without_its_message_id_is_none_to_a_strict_operator(start_operator, connect, until):
    operator, peer, (_, receipt) = await response_and_receipts(start_operator, connect, wants_body=True)
    header = (16, 0x80000005, 0, receipt.sequence_number)
    peer.send_octets(b''.join(number.to_bytes(4, 'big') for number in header))
    await until(lambda: operator.counters.bad_responses == 1)
    peer.send(pdus.DeliverSmResp(receipt.sequence_number))
    await until(lambda: operator.counters.receipts_acked == 1)


async def test_late_responses_come_after_their_receipts(start_operator, connect):
    operator, _, pair = await response_and_receipts(start_operator, connect, late_percent=100, late_ms=20)
    assert [type(pdu) for pdu in pair] == [pdus.DeliverSm, pdus.SubmitSmResp]
    assert operator.counters.late == 1


async def test_responses_of_one_read_are_shuffled(start_operator, connect):
    _, port = await start_operator(shuffle=True)
    peer = await connect(port)
    peer.send(*(submit(2 + number, registered_delivery=0) for number in range(30)))
    numbers = [response.sequence_number for response in await peer.receive_many(30)]
    assert sorted(numbers) == list(range(2, 32))
    assert numbers != sorted(numbers)


async def test_a_mute_operator_hears_nothing_until_its_time_is_over(start_operator, connect, until):
    operator, port = await start_operator(mute_after=1, mute_s=0.4)
    peer = await connect(port)
    peer.send(submit(2, registered_delivery=0))
    assert (await peer.receive()).command_status == 0
    assert operator.is_mute
    peer.send(pdus.EnquireLink(3))
    await until(lambda: not operator.is_mute)
    assert await peer.quiet()  # the answer to its own enquire_link is all that comes: that of before is lost
    peer.send(submit(4, registered_delivery=0))
    assert (await peer.receive()).sequence_number == 4


@pytest.mark.parametrize(
    ('settings', 'answer'),
    [
        ({'nack_percent': 100}, pdus.GenericNack(2, CommandStatus.ESME_RINVCMDID)),
        ({'errors': {0x4FF: 100}}, pdus.SubmitSmResp(2, 0x4FF)),
        ({'errors': {0x4FF: 100}, 'error_body': True}, pdus.SubmitSmResp(2, 0x4FF)),
        ({'rate_per_s': 0.1, 'throttle_status': 0x14}, pdus.SubmitSmResp(2, 0x14)),
    ],
    ids=['nack', 'vendor status', 'with a body', 'queue full'],
)
async def test_refusals_of_every_kind(start_operator, connect, settings, answer):
    _, port = await start_operator(**settings)
    peer = await connect(port)
    peer.send(submit(2))
    assert await peer.receive() == answer


@pytest.mark.parametrize('name', PERSONALITIES)
def test_the_command_takes_each_personality_by_name_and_options_beside_it(monkeypatch, name):
    monkeypatch.setattr('sys.argv', ['perf.operator', '--personality', name, '--seed', '7'])
    parser = argparse.ArgumentParser()
    parser.add_argument('--personality', choices=PERSONALITIES)
    add_options(parser, OperatorSettings, frozenset({'ledger'}))
    settings = settings_from(parse(parser), OperatorSettings)
    assert settings.seed == 7
    assert settings == OperatorSettings(**{**asdict(PERSONALITIES[name].operator), 'seed': 7})


def asdict(settings):
    return {name: getattr(settings, name) for name in settings.__struct_fields__}
