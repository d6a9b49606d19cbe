"""Templates and the fraud filter on the wire: what an ESME is answered, what the operator gets."""

import pytest

from pdu import pdus
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from pdu.tlvs import Tag, make
from smsc.control import ControlError
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream

CODE = b'code 4711'


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with one operator, made with this configuration, and an ESME of the account `bank`."""

    async def start(bank, **tree):
        smsc = await start_smsc()
        found = await product(upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(**bank)}, **tree)
        await everywhere_bound(smsc)
        return found, smsc, await bind(found)

    return start


async def answer(esme, text, **changes):
    """The command_status of the response to one submit."""
    return (await esme.ask(submit(text, **changes))).command_status


async def test_what_a_template_rejects_or_none_matches_is_refused_and_not_sent(running):
    entries = [{'template': 'code %d'}, {'template': 'buy %any{0,50}', 'action': 'reject'}]
    lists = {'codes': {'entries': entries, 'unmatched': 'reject', 'status': 'ESME_RINVMSGLEN'}}
    product, smsc, esme = await running({'templates': 'codes'}, templates=lists)
    assert await answer(esme, b'buy my elephant') == CommandStatus.ESME_RINVMSGLEN
    assert await answer(esme, b'something else') == CommandStatus.ESME_RINVMSGLEN
    assert await answer(esme, CODE) == CommandStatus.ESME_ROK
    (sent,) = await smsc.submitted(1)
    assert sent.short_message == CODE
    assert (await product.ledger()).accepted == 1


async def test_a_template_gives_a_message_the_category_that_routes_ask_for(running):
    lists = {'codes': {'entries': [{'template': 'code %d', 'category': 'authorization'}]}}
    routes = [
        {'name': 'codes', 'when': {'category': 'authorization'}, 'failover': ['mts']},
        {'name': 'no advertising', 'when': {'category': 'advertising'}, 'reject': 'ESME_RINVDSTADR'},
    ]
    bank = {'templates': ['codes'], 'category': 'advertising'}
    _, smsc, esme = await running(bank, templates=lists, routes=routes)
    assert await answer(esme, b'our sale') == CommandStatus.ESME_RINVDSTADR
    assert await answer(esme, CODE) == CommandStatus.ESME_ROK
    (sent,) = await smsc.submitted(1)
    assert sent.short_message == CODE


async def test_fraud_is_refused_dropped_or_only_watched(running):
    rules = [
        {'name': 'links', 'action': 'monitor', 'links': {}},
        {'name': 'words', 'text': ['casino'], 'status': 'ESME_RX_R_APPN'},
        {'name': 'names', 'action': 'drop', 'look_alike': {'names': ['Sberbank']}},
    ]
    product, smsc, esme = await running({}, fraud={'rules': rules})
    assert await answer(esme, b'casino') == CommandStatus.ESME_RX_R_APPN
    assert await answer(esme, b'see example.com') == CommandStatus.ESME_ROK
    dropped = await esme.submit(source_addr=b'5berbank')
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (dropped, b'REJECTD')
    (sent,) = await smsc.submitted(1)
    assert sent.short_message == b'see example.com'
    assert (await product.story(dropped)).state == MessageState.REJECTED


async def test_a_burst_to_one_range_is_stopped_and_refused_messages_do_not_count(running):
    rules = [{'name': 'pumping', 'burst': {'messages': 5, 'within_s': 3600, 'digits': 8}}]
    _, smsc, esme = await running({}, fraud={'rules': rules})
    numbers = [b'7916123%04d' % number for number in range(8)]
    responses = await esme.ask_all([submit(CODE, destination_addr=number) for number in numbers])
    refused = CommandStatus.ESME_RSUBMITFAIL
    assert [response.command_status for response in responses] == [0] * 5 + [refused] * 3
    assert await answer(esme, CODE, destination_addr=b'79031230000') == CommandStatus.ESME_ROK
    assert len(await smsc.submitted(6)) == 6


async def test_a_reload_reads_the_file_of_templates_again_and_a_broken_one_changes_nothing(running, tmp_path):
    file = tmp_path / 'codes.csv'
    file.write_text('template\ncode %d\n')
    lists = {'codes': {'file': str(file), 'unmatched': 'reject'}}
    product, _, esme = await running({'templates': 'codes'}, templates=lists)
    assert await answer(esme, b'hello Ann') == CommandStatus.ESME_RSUBMITFAIL
    file.write_text('template\ncode %d\nhello %w\n')
    await product.reload()
    assert await answer(esme, b'hello Ann') == CommandStatus.ESME_ROK
    file.write_text('template\ncode %s\n')
    with pytest.raises(ControlError, match=r'codes\.csv:2: %s is no placeholder'):
        await product.reload()
    assert await answer(esme, b'hello Ann') == CommandStatus.ESME_ROK


async def test_the_parts_of_a_long_message_are_matched_as_one_text(running):
    lists = {'news': {'entries': [{'template': 'News: %any{0,400} Yours, Bank'}], 'unmatched': 'reject'}}
    _, smsc, esme = await running({'templates': 'news'}, templates=lists)
    header = b'\x05\x00\x03\x07\x02'
    first, second = b'News: ' + b'rain ' * 20, b'and then some sun. Yours, Bank'
    parts = [header + b'\x01' + first, header + b'\x02' + second]
    responses = await esme.ask_all([submit(part, esm_class=0x40) for part in parts])
    assert [response.command_status for response in responses] == [0, 0]
    assert all(isinstance(response, pdus.SubmitSmResp) for response in responses)
    assert len(await smsc.submitted(2)) == 2


@pytest.mark.parametrize('text', ['a' + '\u0315' * 2_000 + '\u0327' * 2_000, 'я' * 4_000])
async def test_a_text_of_too_many_segments_is_refused_before_anybody_reads_it(running, text):
    """What it is refused with says so: no template is asked, which would refuse it otherwise."""
    lists = {'codes': {'entries': [{'template': 'code %d'}], 'unmatched': 'reject', 'status': 'ESME_RX_R_APPN'}}
    _, _, esme = await running({'templates': 'codes', 'max_parts': 10}, templates=lists)
    payload = (make(Tag.MESSAGE_PAYLOAD, text.encode('utf-16-be')),)
    assert await answer(esme, b'', data_coding=8, tlvs=payload) == CommandStatus.ESME_RINVMSGLEN
    assert await answer(esme, b'hello') == CommandStatus.ESME_RX_R_APPN
