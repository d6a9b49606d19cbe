"""Kannel (C) as an ESME of the product: texts by HTTP, reports and MO messages to HTTP."""

import pytest

from tests.peers.kannel import BOXES, Kannel, programs
from tests.peers.texts import (
    CYRILLIC,
    GSM,
    GSM_OCTETS,
    LONG_CYRILLIC,
    NUMBER,
    OURS,
    SENDER,
    SUBSCRIBER,
    UCS2,
    UDHI,
    joined,
    ucs2_parts,
)
from tests.product.peers import mo

DELIVERED, FAILED, TAKEN = b'1', b'2', b'8'

pytestmark = pytest.mark.skipif(
    len(programs()) < len(BOXES), reason='Kannel not found: apt-get install kannel (bin/test does it as root)'
)


@pytest.fixture
async def kannel(scripted, tmp_path):
    """A Kannel that is bound to the product."""
    product, _ = scripted
    folder = tmp_path / 'kannel'
    folder.mkdir()
    found = Kannel(folder, product.port)
    try:
        await found.start()
        yield found
    finally:
        await found.stop()


def reports_on(calls, name):
    """The kinds of the reports on one text, in their order, and the ids they had."""
    mine = [call for call in calls if call['name'] == name]
    return [call['kind'] for call in mine], {call['id'] for call in mine}


@pytest.mark.wire('B1', 'E1')
async def test_its_texts_arrive_and_each_gets_its_own_report(scripted, kannel):
    product, smsc = scripted
    await kannel.send(NUMBER, GSM, name='gsm')
    await smsc.submitted(1)
    await kannel.send(NUMBER, CYRILLIC, unicode=True, name='cyrillic')
    gsm, cyrillic = await smsc.submitted(2)
    assert (gsm.data_coding, gsm.short_message) == (0, GSM_OCTETS)
    assert joined([cyrillic]) == CYRILLIC
    assert {(pdu.source_addr_ton, pdu.source_addr) for pdu in (gsm, cyrillic)} == {(5, SENDER.encode())}
    assert {pdu.destination_addr for pdu in (gsm, cyrillic)} == {NUMBER.encode()}
    await kannel.hook.called('report', 2)
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    assert await smsc.deliver_receipt(smsc.given[1], 'UNDELIV', error=b'017') == 0
    calls = await kannel.hook.called('report', 4)
    kinds, ids = reports_on(calls, b'gsm')
    assert (kinds, len(ids)) == ([TAKEN, DELIVERED], 1)
    kinds, ids = reports_on(calls, b'cyrillic')
    assert (kinds, len(ids)) == ([TAKEN, FAILED], 1)
    failed = next(call for call in calls if call['kind'] == FAILED)  # Kannel's calls may overtake one another
    assert b'stat:UNDELIV err:017' in failed['answer']
    await product.settle(DELIVERED=1, UNDELIVERABLE=1)


@pytest.mark.wire('D8', 'C17')
async def test_its_long_cyrillic_text_arrives_in_parts_that_join_to_the_same(scripted, kannel):
    _product, smsc = scripted
    parts = len(ucs2_parts(LONG_CYRILLIC, 0))
    await kannel.send(NUMBER, LONG_CYRILLIC, unicode=True, name='long')
    sent = await smsc.submitted(parts)
    assert joined(sent) == LONG_CYRILLIC
    assert {(pdu.source_addr, pdu.destination_addr) for pdu in sent} == {(SENDER.encode(), NUMBER.encode())}
    asked = [pdu.registered_delivery & 3 for pdu in sent]
    assert asked == [1] + [0] * (parts - 1)  # Kannel has one part answer for all
    await kannel.hook.called('report', 1)
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    calls = await kannel.hook.called('report', 2)
    kinds, ids = reports_on(calls, b'long')
    assert (kinds, len(ids)) == ([TAKEN, DELIVERED], 1)


@pytest.mark.wire('E19')
async def test_it_gets_mo_messages_and_joins_their_parts(scripted, kannel):
    product, smsc = scripted
    assert await smsc.deliver(mo(GSM_OCTETS)) == 0
    assert await smsc.deliver(mo(CYRILLIC.encode('utf-16-be'), data_coding=UCS2)) == 0
    parts = ucs2_parts(LONG_CYRILLIC, 7)
    for part in parts:
        assert await smsc.deliver(mo(part, esm_class=UDHI, data_coding=UCS2)) == 0
    calls = await kannel.hook.called('mo', 3)
    assert {(call['from'], call['to']) for call in calls} == {(b'+' + SUBSCRIBER.encode(), b'+' + OURS.encode())}
    gsm, cyrillic, long = sorted(calls, key=lambda call: len(call['text']) * (call['coding'] == b'2'))
    assert (gsm['text'].decode(), gsm['coding']) == (GSM, b'0')
    assert [call['text'].decode('utf-16-be') for call in (cyrillic, long)] == [CYRILLIC, LONG_CYRILLIC]
    await product.settle(DELIVERED=2 + len(parts))
