"""What a submit_sm may say, what is refused, and what reaches the operator unchanged."""

from datetime import UTC, datetime, timedelta

import pytest

from pdu import pdus
from pdu.codec import encode
from pdu.status import CommandStatus
from pdu.tlvs import Tag, make
from tests.product.peers import submit
from tests.product.running import everywhere_bound, upstream

S = CommandStatus


def moment(**later):
    return f'{datetime.now(UTC) + timedelta(**later):%y%m%d%H%M%S}000+'.encode()


@pytest.mark.wire('C10')
@pytest.mark.parametrize(
    ('changes', 'status'),
    [
        ({'destination_addr': b''}, S.ESME_RINVDSTADR),
        ({'destination_addr': b'abc'}, S.ESME_RINVDSTADR),
        ({'destination_addr': b'7916 1234567'}, S.ESME_RINVDSTADR),
        ({'dest_addr_ton': 9}, S.ESME_RINVDSTTON),
        ({'dest_addr_npi': 7}, S.ESME_RINVDSTNPI),
        ({'source_addr_ton': 9}, S.ESME_RINVSRCTON),
        ({'source_addr_npi': 7}, S.ESME_RINVSRCNPI),
        ({'source_addr': b'TwelveLetter', 'source_addr_ton': 5}, S.ESME_RINVSRCADR),
    ],
    ids=str,
)
async def test_an_address_that_is_none_is_refused(server, esme, changes, status):
    before = (await server.ledger()).accepted
    response = await esme.ask(submit(**changes))
    assert response.command_status == status
    assert (await server.ledger()).accepted == before
    assert await esme.submit(registered_delivery=0)


@pytest.mark.wire('C10')
@pytest.mark.parametrize(('name', 'status'), [('MyBank', S.ESME_RINVSRCADR), ('79161234567', S.ESME_RINVDSTADR)])
async def test_an_address_that_is_too_long_is_refused(esme, name, status):
    octets = encode(submit(sequence_number=7)).replace(name.encode(), b'7' * 21)
    esme.send_octets(len(octets).to_bytes(4, 'big') + octets[4:])
    assert (await esme.take(pdus.SubmitSmResp, 7)).command_status == status
    assert await esme.submit(registered_delivery=0)


@pytest.mark.wire('C13')
async def test_two_texts_in_one_message_are_refused(esme):
    response = await esme.ask(submit(tlvs=((Tag.MESSAGE_PAYLOAD, b'another'),)))
    assert response.command_status in (S.ESME_ROPTPARNOTALLWD, S.ESME_RINVMSGLEN)


@pytest.mark.wire('C15')
async def test_an_empty_message_has_the_same_answer_every_time(esme):
    answers = await esme.ask_all(submit(b'', registered_delivery=0) for _ in range(10))
    assert {answer.command_status for answer in answers} == {0}


@pytest.mark.wire('C16')
@pytest.mark.parametrize(('mode', 'status'), [(0, 0), (1, 0x43), (2, 0x43), (3, 0)])
async def test_modes_that_are_not_honoured_are_refused(esme, mode, status):
    assert (await esme.ask(submit(esm_class=mode, registered_delivery=0))).command_status == status


@pytest.mark.wire('C17')
@pytest.mark.parametrize('text', [b'', b'\x10ten', b'\xff' + b'x' * 100])
async def test_a_header_longer_than_its_message_is_refused(esme, text):
    assert (await esme.ask(submit(text, esm_class=0x40))).command_status == S.ESME_RINVESMCLASS


@pytest.mark.wire('C18')
@pytest.mark.parametrize('priority_flag', [4, 9, 255])
async def test_a_priority_that_is_none_is_refused(esme, priority_flag):
    assert (await esme.ask(submit(priority_flag=priority_flag))).command_status == S.ESME_RINVPRTFLG


@pytest.mark.wire('C19')
@pytest.mark.parametrize(
    'time',
    [b'nonsense', b'260230120000000+', b'991301000000000+', b'000100000000000X', moment(days=40), b'000200000000000R'],
    ids=['nonsense', 'no such day', 'no such month', 'no such sign', 'too far', 'too far from now'],
)
async def test_a_time_that_is_none_or_too_far_is_refused(esme, time):
    assert (await esme.ask(submit(schedule_delivery_time=time))).command_status == S.ESME_RINVSCHED


@pytest.mark.wire('C20')
@pytest.mark.parametrize(
    'time',
    [b'nonsense', b'260230120000000+', moment(hours=-1), moment(seconds=-5)],
    ids=['nonsense', 'no such day', 'an hour ago', 'seconds ago'],
)
async def test_a_validity_that_is_none_or_over_is_refused(esme, time):
    assert (await esme.ask(submit(validity_period=time))).command_status == S.ESME_RINVEXPIRY


@pytest.mark.wire('C20')
@pytest.mark.parametrize(
    ('form', 'length'),
    [
        ('000001000000000R', timedelta(days=1)),
        ('000000013000000R', timedelta(hours=1, minutes=30)),
        ('absolute +0000', timedelta(hours=2)),
        ('absolute +0530', timedelta(hours=2)),
        ('absolute -0345', timedelta(hours=2)),
        ('', timedelta(hours=48)),
    ],
)
async def test_validity_is_understood_in_every_form(server, esme, form, length):
    now = datetime.now(UTC)
    time = form
    if form.startswith('absolute'):
        sign, hours, minutes = form[9], int(form[10:12]), int(form[12:])
        offset = timedelta(hours=hours, minutes=minutes) * (1 if sign == '+' else -1)
        quarters = (hours * 60 + minutes) // 15
        time = f'{now + length + offset:%y%m%d%H%M%S}0{quarters:02d}{sign}'
    message_id = await esme.submit(validity_period=time.encode(), registered_delivery=0)
    expires_at = datetime.fromtimestamp((await server.story(message_id)).expires_at / 1000, UTC)
    assert abs(expires_at - now - length) < timedelta(seconds=2)


@pytest.mark.wire('C23', 'C24')
@pytest.mark.parametrize(
    ('changes', 'status'),
    [({'replace_if_present_flag': 2}, S.ESME_RINVREPFLAG), ({'sm_default_msg_id': 1}, S.ESME_RINVDFTMSGID)],
)
async def test_what_is_not_there_is_refused(esme, changes, status):
    assert (await esme.ask(submit(**changes))).command_status == status


@pytest.mark.wire('C2')
async def test_message_ids_are_unique_and_short(esme):
    ids = await esme.submit_all(submit(registered_delivery=0) for _ in range(900))
    assert len(set(ids)) == 900
    assert max(map(len, ids)) <= 64


# What reaches the operator


@pytest.fixture
async def through(product, start_smsc, bind):
    """Submits a message and returns it as the operator gets it."""
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    esme = await bind(found)

    async def pass_on(**changes):
        pdu = submit(**changes)
        response = await esme.ask(pdu)
        assert response.command_status == 0, hex(response.command_status)
        return pdu, (await smsc.submitted(1))[-1]

    return pass_on


@pytest.mark.wire('A12', 'A13', 'C27')
async def test_tlvs_reach_the_operator_octet_for_octet(through):
    tlvs = (
        make(Tag.USER_MESSAGE_REFERENCE, 0x1234),
        make(Tag.SOURCE_PORT, 1),
        make(Tag.DESTINATION_PORT, 2),
        make(Tag.LANGUAGE_INDICATOR, 3),
        (Tag.CALLBACK_NUM, b'\1\1\x0012345'),
        (Tag.MS_VALIDITY, b'\1'),
        make(Tag.PAYLOAD_TYPE, 0),
        (0x1400, b'vendor'),
        (0x3FFF, b''),
        (0x0042, b'\0reserved\xff'),
        make(Tag.USER_MESSAGE_REFERENCE, 0x5678),
    )
    _, sent = await through(tlvs=tlvs)
    assert sent.tlvs == tlvs


@pytest.mark.wire('C11')
@pytest.mark.parametrize('sender', [b'MyBank', b'My Bank @', b'A', b'Eleven-char'])
async def test_an_alphanumeric_sender_reaches_the_operator_as_it_is(through, sender):
    _, sent = await through(source_addr=sender, source_addr_ton=5)
    assert (sent.source_addr, sent.source_addr_ton, sent.source_addr_npi) == (sender, 5, 0)


@pytest.mark.wire('C10', 'C11')
@pytest.mark.parametrize('sender', [b'TwelveLetter', b'Two   spaces', b'TwentyCharactersLong'])
async def test_an_alphanumeric_sender_of_more_than_11_characters_is_refused(server, esme, sender):
    before = (await server.ledger()).accepted
    response = await esme.ask(submit(source_addr=sender, source_addr_ton=5))
    assert response.command_status == S.ESME_RINVSRCADR
    assert (await server.ledger()).accepted == before
    assert await esme.submit(source_addr=sender[:11], source_addr_ton=5, registered_delivery=0)


@pytest.mark.wire('C17')
@pytest.mark.parametrize('esm_class', [0x00, 0x03, 0x40, 0x80, 0xC0])
async def test_esm_class_reaches_the_operator(through, esm_class):
    _, sent = await through(esm_class=esm_class, short_message=b'\x03\x70\x01\x00text')
    assert sent.esm_class == esm_class


@pytest.mark.wire('C26', 'D18')
@pytest.mark.parametrize('data_coding', [0x00, 0x01, 0x02, 0x03, 0x04, 0x08, 0x10, 0x1F, 0xC8, 0xF0, 0xFF])
async def test_data_coding_and_any_octets_reach_the_operator(through, data_coding):
    octets = bytes(range(130)) + bytes(range(246, 256))
    _, sent = await through(data_coding=data_coding, short_message=octets)
    assert (sent.data_coding, sent.short_message) == (data_coding, octets)


@pytest.mark.wire('C25')
async def test_the_other_parameters_reach_the_operator(through):
    _pdu, sent = await through(service_type=b'CMT', protocol_id=0x41, priority_flag=2, registered_delivery=0x05)
    assert (sent.service_type, sent.protocol_id, sent.priority_flag) == (b'CMT', 0x41, 2)
    assert (sent.source_addr_ton, sent.dest_addr_ton, sent.dest_addr_npi) == (5, 1, 1)
    assert sent.registered_delivery & 0x0C == 0x04  # SME acknowledgement
    assert type(sent) is pdus.SubmitSm


@pytest.mark.wire('C12')
@pytest.mark.parametrize('number', [b'+79161234567', b'0079161234567'])
async def test_a_prefix_is_no_part_of_the_number_for_routes_and_comes_back_in_the_receipt(
    product, start_smsc, bind, number
):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        routes=[{'name': 'Russia', 'when': {'destination': '7*'}, 'failover': ['mts']}],
    )
    await everywhere_bound(smsc)
    esme = await bind(found)
    await esme.submit(destination_addr=number)
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0])
    await esme.receipts(1)
    assert esme.delivered[0].source_addr == number
