"""MO messages on the wire: what operators send comes to the ESME unchanged, whole or in parts, in its own alphabet."""

import signal
from typing import Any

import pytest

from pdu import alphabets, pdus
from pdu.alphabets import Alphabet
from pdu.segments import concatenated
from pdu.status import CommandStatus
from pdu.tlvs import Tag, find, make
from smsc.mo_pdu import mo_message
from tests.product.peers import mo, operator_receipt
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async

ROUTES = [
    {'name': 'bank', 'when': {'destination': '7495*'}, 'account': 'bank'},
    {'name': 'whole', 'when': {'destination': '7812*'}, 'account': 'whole'},
    {'name': 'latin', 'when': {'upstream': 'mts', 'text': '~^été'}, 'account': 'latin'},
]
WHOLE = b'78120000001'
GSM_TEXT = alphabets.decode_gsm(bytes(set(range(128)) - {0x1B}) + b''.join(b'\x1b%c' % s for s in alphabets.EXTENSION))


@pytest.fixture
async def running(product, start_smsc):
    """Two operators, and accounts that want parts as they are, long messages whole, and another alphabet."""
    first, second = await start_smsc(), await start_smsc()
    found = await product(
        upstreams={
            'mts': upstream(first.port, links=2),
            'latin': upstream(second.port, mo_alphabet='latin1'),
        },
        accounts={
            'bank': account(),
            'whole': account(reassemble=True, reassemble_s=30),
            'latin': account(mo_alphabet='utf8'),
        },
        mo=ROUTES,
    )
    await everywhere_bound(first, 2)
    await everywhere_bound(second)
    return found, first, second


def parts(bodies, reference=7, wide=False, **changes):
    octets = concatenated(bodies, reference, wide)
    return [mo(part, esm_class=0x40, destination_addr=WHOLE, **changes) for part in octets]


def sar(reference, total, sequence):
    return (
        make(Tag.SAR_MSG_REF_NUM, reference),
        make(Tag.SAR_TOTAL_SEGMENTS, total),
        make(Tag.SAR_SEGMENT_SEQNUM, sequence),
    )


def payload_of(pdu):
    return pdu.short_message or find(pdu.tlvs, Tag.MESSAGE_PAYLOAD)


def content(pdu):
    """All of a deliver_sm but its header."""
    return [getattr(pdu, name) for name in pdu.__struct_fields__[2:] if name != 'octets']


# As they are


@pytest.mark.wire('D8', 'D10', 'D11', 'D18', 'E19')
async def test_parts_and_data_come_unchanged_in_their_order(running, bind):
    product, smsc, _ = running
    bank = await bind(product)
    header = b'\x05\x00\x03\x05'
    sent = [
        *[mo(part, esm_class=0x40) for part in concatenated([b'one', b'two', b'three'], 5)],
        *[mo(part, esm_class=0x40) for part in concatenated([b'one', b'two'], 0x1234, wide=True)],
        *[mo(b'part', tlvs=sar(900, 2, number)) for number in (1, 2)],
        mo(header + b'\x02\x01both', esm_class=0x40, tlvs=sar(900, 3, 3)),
        *[mo(header + bytes(numbers) + b'odd', esm_class=0x40) for numbers in ((3, 0), (3, 4), (0, 0), (255, 1))],
        mo(bytes(range(128)), data_coding=4),
        mo(bytes(range(128, 256)) + b'\0\xff\0', data_coding=2),
        mo(b'\x06\x05\x04\x0b\x84\x23\xf0' + bytes(60), esm_class=0x40, data_coding=0xF5),
        mo(b'', tlvs=(make(Tag.MESSAGE_PAYLOAD, bytes(range(256)) * 200),), data_coding=4),
        mo(b'reply path', esm_class=0x80, source_addr_ton=5, source_addr_npi=0, source_addr=b'My @Bank'),
    ]
    smsc.receiving[0].number(*sent)
    await until(lambda: len(bank.delivered) == len(sent))
    assert [content(pdu) for pdu in bank.delivered] == [content(pdu) for pdu in sent]
    await product.settle(DELIVERED=len(sent))


@pytest.mark.wire('F18', 'F19', 'B11')
async def test_it_is_acknowledged_once_stored_and_never_goes_to_a_transmitter(running, bind):
    product, smsc, _ = running
    transmitter = await bind(product, bind=pdus.BindTransmitter)
    peer = smsc.receiving[0]
    assert (await peer.ask(mo(b'hello'))).command_status == 0
    assert peer.octets_read.endswith(b'\0\0\0\x11\x80\0\0\5\0\0\0\0\0\0\0\1\0')
    book = await product.ledger()
    assert (book.accepted, book.waiting) == (1, 1)
    assert await transmitter.settled() == []
    receiver = await bind(product, bind=pdus.BindReceiver)
    await until(lambda: receiver.delivered)
    assert transmitter.delivered == []


@pytest.mark.wire('F16', 'F20', 'E19')
async def test_data_sm_brings_messages_and_receipts_and_gets_its_own_response(running, bind):
    product, smsc, _ = running
    bank = await bind(product)
    await bank.submit()
    await smsc.submitted(1)
    peer = smsc.receiving[0]
    receipt = operator_receipt(smsc.given[0])
    addresses: dict[str, Any] = {'source_addr': b'79160000001', 'destination_addr': b'74951234567'}
    sent = [
        pdus.DataSm(esm_class=0x40, data_coding=4, tlvs=((Tag.MESSAGE_PAYLOAD, b'\x05\0\3\7\2\1part'),), **addresses),
        pdus.DataSm(tlvs=((0x1400, b'vendor'), (Tag.MESSAGE_PAYLOAD, bytes(1000))), **addresses),
        pdus.DataSm(tlvs=((Tag.MESSAGE_PAYLOAD, receipt.short_message),), **addresses),  # looks like one, is none
        pdus.DataSm(esm_class=4, tlvs=((Tag.MESSAGE_PAYLOAD, receipt.short_message),), **addresses),
    ]
    answers = await peer.ask_all(sent)
    assert [(answer.__class__, answer.command_status) for answer in answers] == [(pdus.DataSmResp, 0)] * 4
    await until(lambda: len(bank.delivered) == 4)
    messages = [pdu for pdu in bank.delivered if not pdu.esm_class & 4]
    assert [(pdu.esm_class, pdu.data_coding, payload_of(pdu)) for pdu in messages] == [
        (0x40, 4, b'\x05\0\3\7\2\1part'),
        (0, 0, bytes(1000)),
        (0, 0, receipt.short_message),
    ]
    assert find(messages[1].tlvs, 0x1400) == b'vendor'
    refused = await peer.ask(pdus.DataSm(source_addr=b'7', destination_addr=b'1'))
    assert (refused.__class__, refused.command_status) == (pdus.DataSmResp, CommandStatus.ESME_RX_P_APPN)
    too_long = await peer.ask(pdus.DataSm(source_addr=b'7' * 30, destination_addr=b'74951234567'))
    assert (too_long.__class__, too_long.command_status) == (pdus.DataSmResp, CommandStatus.ESME_RINVSRCADR)
    await product.settle(DELIVERED=4)


@pytest.mark.wire('E19')
async def test_an_alert_goes_to_one_receiving_session_of_its_account(running, bind):
    product, smsc, _ = running
    sessions = [await bind(product, bind=cls) for cls in (pdus.BindTransmitter, pdus.BindReceiver, pdus.BindReceiver)]
    other = await bind(product, 'whole')
    peer = smsc.receiving[0]
    available = (make(Tag.MS_AVAILABILITY_STATUS, 0),)

    def alert(esme_addr):
        return pdus.AlertNotification(source_addr=b'79160000001', esme_addr=esme_addr, tlvs=available)

    peer.number(alert(b'74951234567'), alert(b'1'))
    assert await peer.settled() == []  # no response

    async def gone():
        counted = [await product.metric(f'smsc_{name}_total') for name in ('alerts', 'alerts_dropped', 'mo_refused')]
        return counted == [1, 0, 1]

    await until_async(gone)
    found = [await session.settled() for session in sessions]
    assert sorted(map(len, found)) == [0, 0, 1]
    assert found[0] == []
    ((pdu,),) = filter(None, found)
    assert isinstance(pdu, pdus.AlertNotification)
    assert (pdu.source_addr, pdu.esme_addr, pdu.tlvs) == (b'79160000001', b'74951234567', available)
    assert await other.settled() == []
    for session in sessions:
        await session.close()
    await until(lambda: not product.node.core.account('bank').sessions)
    peer.number(alert(b'74951234567'))
    await peer.settled()
    assert await product.metric('smsc_alerts_dropped_total') == 1
    assert (await product.ledger()).accepted == 0


# Whole


@pytest.mark.wire('D16', 'D7', 'D10')
async def test_parts_make_one_message_in_any_order_over_any_links(running, bind):
    product, smsc, second = running
    whole = await bind(product, 'whole')
    links = [*smsc.receiving, second.receiving[0]]
    bodies = [bytes([65 + number]) * 100 for number in range(3)]
    long = parts(bodies, data_coding=4)
    for link, pdu in zip(links, (long[2], long[0], long[2]), strict=True):
        assert (await link.ask(pdu)).command_status == 0
    assert await whole.settled() == []
    assert (await links[1].ask(long[1])).command_status == 0
    await until(lambda: whole.delivered)
    assert (await links[0].ask(long[1])).command_status == 0  # a late copy
    (pdu,) = whole.delivered
    assert (pdu.esm_class, pdu.short_message, payload_of(pdu)) == (0, b'', b''.join(bodies))
    assert (pdu.source_addr, pdu.destination_addr, pdu.data_coding) == (long[0].source_addr, WHOLE, 4)
    await product.settle(ACCEPTED=3, DELIVERED=1)
    product.node.mo.tick(product.node.core.loop.time() + 30)  # until then the copies might be of another message
    await product.settle(ACCEPTED=5, DELIVERED=1)

    wide = parts([b'ab', b'cd'], 0x1234, wide=True)
    with_port = [
        mo(b'\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x09\x02' + bytes([number]) + b'xy', esm_class=0x43)
        for number in (1, 2)
    ]
    tlvs = [mo(b'%d' % number, tlvs=(*sar(900, 2, number), (0x1400, b'v'))) for number in (1, 2)]
    single = [mo(b'hello'), mo(b'\x05\x00\x03\x09\x02\x03odd', esm_class=0x40)]
    for pdu in (*with_port, *tlvs, *single):
        pdu.destination_addr = WHOLE
    both = parts([b'up', b'down'], 77)
    for number, pdu in enumerate(both):
        pdu.tlvs = sar(900 + number, 2, 1)
    links[0].number(*wide, *with_port, *tlvs, *both, *single)
    await until(lambda: len(whole.delivered) == 7)
    assert {(pdu.esm_class, pdu.short_message, pdu.tlvs) for pdu in whole.delivered[1:]} == {
        (0, b'abcd', ()),
        (0x43, b'\x06\x05\x04\x0b\x84\x23\xf0xyxy', ()),
        (0, b'12', ((0x1400, b'v'),)),
        (0, b'updown', ()),
        (0, b'hello', ()),
        (0x40, b'\x05\x00\x03\x09\x02\x03odd', ()),
    }
    await product.settle(ACCEPTED=13, DELIVERED=7)
    assert await product.metric('smsc_mo_joined_total') == 5


@pytest.mark.wire('D16')
async def test_what_misses_a_part_is_delivered_as_it_is_and_counted(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        accounts={'whole': account(reassemble=True, reassemble_s=0.2)},
        mo=[{'name': 'all', 'account': 'whole'}],
    )
    await everywhere_bound(smsc)
    whole = await bind(found, 'whole')
    one, _two, three = sent = parts([b'1', b'2', b'3'])
    smsc.receiving[0].number(three, one)
    await until(lambda: len(whole.delivered) == 2)
    assert [content(pdu) for pdu in whole.delivered] == [content(one), content(three)]
    await found.settle(DELIVERED=2)
    assert await found.metric('smsc_mo_incomplete_total') == 1
    assert await found.metric('smsc_mo_gathering') == 0
    smsc.receiving[0].number(*parts([b'a', b'b'], 8), sent[0])
    await until(lambda: len(whole.delivered) >= 3)
    assert whole.delivered[2].short_message == b'ab'


@pytest.mark.wire('D16', 'G10')
async def test_parts_outlive_a_kill_and_make_their_message_once(spawned, start_smsc, bind):
    smsc = await start_smsc()
    found = await spawned(
        upstreams={'mts': upstream(smsc.port)},
        accounts={'whole': account(reassemble=True, reassemble_s=60)},
        mo=[{'name': 'all', 'account': 'whole'}],
    )
    await everywhere_bound(smsc)
    one, two, three = parts([b'1', b'2', b'3'])
    complete = parts([b'a', b'b'], 9)
    for pdu in (three, one, *complete):
        assert await smsc.deliver(pdu) == 0
    await found.stop(signal.SIGKILL)
    smsc.receiving.clear()
    await found.start()
    assert await smsc.deliver(two) == 0
    assert await smsc.deliver(one) == 0  # its response may have been lost
    whole = await bind(found, 'whole')
    await until(lambda: len(whole.delivered) == 2)
    assert sorted(pdu.short_message for pdu in whole.delivered) == [b'123', b'ab']
    book = await found.settle(ACCEPTED=5, DELIVERED=2)
    assert book.waiting == 1
    assert await found.stop() == 0


@pytest.mark.wire('D16')
async def test_texts_under_one_reference_come_whole_also_when_they_begin_alike_or_are_the_same(running, bind):
    product, smsc, _ = running
    whole = await bind(product, 'whole')
    texts = [(b'same', b'first'), (b'same', b'second'), (b'same', b'second'), (b'other', b'third')]
    for text in texts:
        answers = await smsc.receiving[0].ask_all(parts(text))
        assert [answer.command_status for answer in answers] == [0, 0]
    await until(lambda: len(whole.delivered) == 4)
    assert [pdu.short_message for pdu in whole.delivered] == [b''.join(text) for text in texts]
    await product.settle(ACCEPTED=8, DELIVERED=4)
    assert await product.metric('smsc_mo_gathering') == 0


@pytest.mark.wire('D16')
async def test_one_account_that_gathers_too_much_does_not_keep_others_from_whole_messages(running, bind, monkeypatch):
    monkeypatch.setattr('smsc.assembly.MESSAGES_SHARE', 2)
    product, smsc, _ = running
    product.write(accounts={'bank': {'reassemble': True}})
    await product.reload()
    bank, whole = await bind(product), await bind(product, 'whole')
    one, two = parts([b'1', b'2'])
    begun = [mo(concatenated([b'%d' % number] * 2, number)[0], esm_class=0x40) for number in range(5)]
    assert (await smsc.receiving[0].ask(one)).command_status == 0
    for pdu in begun:
        assert (await smsc.receiving[0].ask(pdu)).command_status == 0
    await until(lambda: len(bank.delivered) == 3)
    assert [content(pdu) for pdu in bank.delivered] == [content(pdu) for pdu in begun[:3]]
    assert (await smsc.receiving[0].ask(two)).command_status == 0
    await until(lambda: whole.delivered)
    assert whole.delivered[0].short_message == b'12'


@pytest.mark.wire('D16')
async def test_parts_wait_over_a_restart(running, bind):
    product, smsc, _ = running
    one, two = parts([b'1', b'2'])
    assert await smsc.deliver(two) == 0
    await product.stop()
    assert (await product.ledger()).waiting == 1
    await product.start()
    await everywhere_bound(smsc, 2)
    whole = await bind(product, 'whole')
    assert (await smsc.receiving[-1].ask(one)).command_status == 0
    await until(lambda: whole.delivered)
    assert whole.delivered[0].short_message == b'12'
    await product.settle(ACCEPTED=2, DELIVERED=1)


# Alphabets


@pytest.mark.wire('D17')
async def test_each_peer_has_its_own_meaning_of_data_coding_0(running, bind):
    product, smsc, second = running
    bank, latin = await bind(product), await bind(product, 'latin')
    gsm = 'été à 5€'
    assert await smsc.deliver(mo(alphabets.encode_gsm(gsm), destination_addr=b'1')) == 0  # routed by its text
    await until(lambda: latin.delivered)
    assert (latin.delivered[0].data_coding, latin.delivered[0].short_message) == (0, gsm.encode())
    whole = 'é' * 160
    octets = [
        mo('£ñ'.encode('latin-1')),
        mo('âê'.encode('latin-1')),  # not in GSM
        mo(b'\x05\x00\x03\x01\x02\x01' + 'é'.encode('latin-1'), esm_class=0x40),
        mo('âê'.encode('latin-1'), data_coding=3),
        mo(b'\xe9\0\xff', data_coding=4),
        mo(b'', tlvs=(make(Tag.MESSAGE_PAYLOAD, whole.encode('latin-1')),)),
    ]
    second.receiving[-1].number(*octets)
    await until(lambda: len(bank.delivered) == len(octets))
    assert [(pdu.data_coding, pdu.esm_class, payload_of(pdu)) for pdu in bank.delivered] == [
        (0, 0, alphabets.encode_gsm('£ñ')),
        (8, 0, 'âê'.encode('utf-16-be')),
        (0, 0x40, b'\x05\x00\x03\x01\x02\x01\x05'),
        (3, 0, 'âê'.encode('latin-1')),
        (4, 0, b'\xe9\0\xff'),
        (0, 0, b'\x05' * 160),
    ]


@pytest.mark.wire('D17')
def test_all_characters_of_the_gsm_alphabet_go_there_and_back():
    sent = mo(alphabets.encode_gsm(GSM_TEXT))
    there = mo_message(sent, Alphabet.GSM, Alphabet.UTF8)
    assert (there.data_coding, payload_of(there).decode()) == (0, GSM_TEXT)
    back = mo_message(there, Alphabet.UTF8, Alphabet.GSM)
    assert (back.data_coding, back.short_message, back.tlvs) == (0, sent.short_message, ())
