"""Prices and credit as ESMEs and operators of the product see them: answers on the wire, commands, records."""

from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from domain.message import Kind, Notice
from domain.money import format_micros
from pdu import pdus
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from pdu.tlvs import Tag
from smsc import config as configurations
from smsc import views
from smsc.clock import wall_ms
from smsc.commands.credit import credit
from smsc.prices import currencies_of
from storage.credit import change_balance
from storage.ledger import Story
from tests.product.peers import multi, number, submit
from tests.product.running import account, command_json, everywhere_bound, free_port, run_command, upstream
from tests.product.waiting import until, until_async

THROTTLED, SUBMIT_FAILED = CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RSUBMITFAIL
PRICE, COST = 250_000, 100_000
PRICES = {
    'retail': {'currency': 'RUB', 'default': '0.25'},
    'wholesale': {'currency': 'RUB', 'default': '0.1'},
    'dear': {'currency': 'RUB', 'default': '0.15'},
}


def prepaid(**changes):
    return account(prices='retail', credit='prepaid', **changes)


async def give(product, amount, name='bank'):
    """Give an account money in the store, as `smsc credit` does."""
    connection = await asyncpg.connect(**product.arguments)
    try:
        await change_balance(connection, name, amount, 'test', '')
    finally:
        await connection.close()


async def balance(product, name='bank'):
    connection = await asyncpg.connect(**product.arguments)
    try:
        return await connection.fetchval('select balance from credit where account = $1', name)
    finally:
        await connection.close()


async def balance_is(product, wanted):
    async def so():
        return await balance(product) == wanted

    await until_async(so)


async def story_of(product, message_id):
    """What `smsc message` prints."""
    story = await product.story(message_id)
    return views.story(story, currencies_of(configurations.load(product.path), story))


@pytest.fixture
async def running(product, start_smsc):
    """A product whose account `bank` has prepaid for 4 segments, and its operator."""

    async def start(credit=4 * PRICE, **changes):
        smsc = await start_smsc()
        accounts = {'bank': prepaid(**changes)}
        found = await product(
            start=False, upstreams={'mts': upstream(smsc.port, prices='wholesale')}, prices=PRICES, accounts=accounts
        )
        await give(found, credit)
        await found.start()
        await everywhere_bound(smsc)
        return found, smsc

    return start


@pytest.mark.wire('C7')
@pytest.mark.parametrize(
    ('changes', 'status'), [({}, THROTTLED), ({'credit_status': 'ESME_RSUBMITFAIL'}, SUBMIT_FAILED)]
)
async def test_what_the_credit_does_not_pay_for_is_refused_and_not_stored(running, bind, changes, status):
    product, smsc = await running(**changes)
    esme = await bind(product)
    responses = await esme.ask_all(submit() for _ in range(10))
    assert [response.command_status for response in responses] == [0] * 4 + [status] * 6
    assert (await esme.ask(submit())).command_status == status
    assert len(await smsc.submitted(4)) == 4
    assert (await product.ledger()).accepted == 4
    assert await balance(product) == 0
    await give(product, PRICE)

    async def accepted():
        return (await esme.ask(submit())).command_status == 0

    await until_async(accepted)
    assert (await esme.ask(submit())).command_status == status


@pytest.mark.wire('C6', 'C7', 'C14')
async def test_every_segment_is_paid_for(running, bind):
    product, _ = await running()
    esme = await bind(product)
    await esme.submit(short_message=b'', tlvs=((Tag.MESSAGE_PAYLOAD, b'x' * 306),))
    assert await balance(product) == 2 * PRICE
    refused = await esme.ask(submit(short_message=b'', tlvs=((Tag.MESSAGE_PAYLOAD, b'x' * 459),)))
    assert refused.command_status == THROTTLED
    for part in (1, 2):  # of a message that the ESME has cut
        await esme.submit(short_message=b'\x05\x00\x03\x07\x02' + bytes([part]) + b'x', esm_class=0x40)
    assert await balance(product) == 0


@pytest.mark.wire('C7', 'C28')
async def test_each_destination_of_a_submit_multi_pays_for_itself(running, bind):
    product, smsc = await running(credit=2 * PRICE)
    esme = await bind(product)
    response = await esme.ask(multi(*(number(last) for last in range(3)), registered_delivery=0))
    assert response.command_status == 0
    assert [failed.error_status_code for failed in response.unsuccess_sme] == [THROTTLED]
    assert len(await smsc.submitted(2)) == 2
    assert await balance(product) == 0


@pytest.mark.wire('C8')
async def test_what_was_never_sent_is_given_back_once(running, bind):
    product, smsc = await running(credit=4 * PRICE)
    smsc.script = lambda pdu: None
    product.write(upstreams={'mts': {'window': 1}})
    await product.reload()
    await everywhere_bound(smsc)
    esme = await bind(product)
    first = await esme.submit()
    (outstanding,) = await smsc.submitted(1)
    cancelled, _ = await esme.submit(), await esme.submit(validity_period=b'000000000001000R')
    assert await balance(product) == PRICE
    cancel = pdus.CancelSm(message_id=cancelled.encode(), source_addr=b'MyBank')
    assert (await esme.ask(cancel)).command_status == 0
    assert (await esme.ask(cancel)).command_status == CommandStatus.ESME_RCANCELFAIL
    assert await balance(product) == 2 * PRICE
    await product.settle(DELETED=1, EXPIRED=1)
    assert await balance(product) == 3 * PRICE
    smsc.respond(smsc.bound[-1], outstanding, smsc.next_id())
    await smsc.deliver_receipt(smsc.given[0])
    await product.settle(DELETED=1, EXPIRED=1, DELIVERED=1)
    assert await balance(product) == 3 * PRICE
    for message_id, told in ((cancelled, ', given back'), (first, ', taken from the credit')):
        assert f'price      0.25 RUB for 1 segment{told}' in await story_of(product, message_id)


@pytest.mark.wire('C8')
async def test_a_kill_between_takes_and_gives_back_nothing_twice(spawned, bind, start_smsc):
    port = free_port()
    tree = {'upstreams': {'mts': upstream(port)}, 'prices': PRICES, 'accounts': {'bank': prepaid()}}
    found = await spawned(start=False, **tree)
    await give(found, 100 * PRICE)
    await found.start()
    esme = await bind(found)
    await esme.submit_all(submit() for _ in range(15))
    short = await esme.submit_all(submit(validity_period=b'000000000001000R') for _ in range(5))
    await found.stop(9)
    assert await balance(found) == 80 * PRICE
    smsc = await start_smsc(port)
    smsc.script = lambda pdu: None
    expires_at = (await found.story(short[-1])).expires_at
    await until(lambda: wall_ms() > expires_at)
    await found.start()  # what has expired meanwhile ends now
    await balance_is(found, 85 * PRICE)
    await smsc.submitted(15)
    await found.stop(9)
    smsc.script = lambda pdu: smsc.next_id()
    await found.start()
    await until(lambda: len(smsc.given) == 15)
    for given in list(smsc.given):
        await smsc.deliver_receipt(given)
    await found.settle(DELIVERED=15, EXPIRED=5)
    assert await balance(found) == 85 * PRICE


@pytest.mark.wire('C8')
async def test_where_delivery_is_paid_for_nothing_else_is(running, bind):
    product, smsc = await running(charge='delivered')
    esme = await bind(product)
    await esme.submit_all(submit() for _ in range(4))
    await smsc.submitted(4)
    assert await balance(product) == 0
    for given, state in zip(list(smsc.given), ('DELIVRD', 'UNDELIV', 'EXPIRED', 'REJECTD'), strict=True):
        await smsc.deliver_receipt(given, state)
    await product.settle(DELIVERED=1, UNDELIVERABLE=1, EXPIRED=1, REJECTED=1)
    assert await balance(product) == 3 * PRICE
    for given in list(smsc.given):
        await smsc.deliver_receipt(given, 'UNDELIV')
    assert await balance(product) == 3 * PRICE


async def test_the_record_shows_the_cost_of_the_upstream_that_took_it_and_the_margin(product, start_smsc, bind):
    first, second = await start_smsc(), await start_smsc()
    upstreams = {
        'mts': upstream(first.port, prices='wholesale'),
        'tele2': upstream(second.port, prices='dear'),
    }
    by_category = {'retail': {'currency': 'RUB', 'default': 9, 'entries': [{'category': 'service', 'price': 0.25}]}}
    found = await product(
        upstreams=upstreams,
        prices=PRICES | by_category,
        accounts={'bank': account(prices='retail', category='service')},
    )
    await everywhere_bound(first)
    await everywhere_bound(second)
    esme = await bind(found)
    direct = await esme.submit()
    await first.submitted(1)
    await first.deliver_receipt(first.given[0])
    first.script = lambda pdu: 0x08  # ESME_RSYSERR: elsewhere, perhaps
    failed_over = await esme.submit()
    await second.submitted(1)
    await second.deliver_receipt(second.given[0])
    await found.settle(DELIVERED=2)
    for message_id, cost, margin in ((direct, '0.10', '0.15'), (failed_over, '0.15', '0.10')):
        story = await story_of(found, message_id)
        assert 'price      0.25 RUB for 1 segment' in story
        assert f'cost       {cost} RUB' in story
        assert f'margin     {margin} RUB' in story
        assert 'category service' in story


async def test_a_reload_brings_new_prices_and_takes_credit_away(running, bind):
    product, _ = await running()
    esme = await bind(product)
    product.write(prices={'retail': {'default': '1'}})
    await product.reload()
    assert (await esme.ask(submit())).command_status == 0
    assert await balance(product) == 0
    assert (await esme.ask(submit())).command_status == THROTTLED
    product.write(accounts={'bank': {'credit': 'none'}})
    await product.reload()
    assert (await esme.ask(submit())).command_status == 0
    assert await balance(product) == 0


async def test_people_change_credit_and_see_it(running, bind):
    product, _ = await running(credit=PRICE)
    esme = await bind(product)
    message_id = await esme.submit()
    assert (await esme.ask(submit())).command_status == THROTTLED
    status, page, error = await run_command(product, 'credit', 'bank', '+0.5', '--note', 'invoice 7')
    assert (status, error) == (0, '')
    assert 'prepaid' in page
    assert 'invoice 7' in page
    assert 'not final: 0.25' in page
    await esme.submit()
    assert await command_json(product, 'credit', '--json') == [
        {'account': 'bank', 'credit': 'prepaid', 'balance': PRICE, 'currency': 'RUB', 'held': None, 'entries': []}
    ]
    status, _, error = await run_command(product, 'credit', 'bank', '-1')
    assert status == 1
    assert '--force' in error
    await product.stop()
    status, page, _ = await run_command(product, 'credit', 'bank', 'set', '7')
    assert status == 0
    assert format_micros(7_000_000) in page
    status, page, _ = await run_command(product, 'ledger')
    assert status == 0
    assert 'credit bank' in page
    _, page, _ = await run_command(product, 'message', message_id)
    assert 'price      0.25 RUB' in page


WORTH = {'price': 250_000, 'cost': 100_000, 'segments': 2, 'charge': 2}


@pytest.mark.parametrize(
    ('fields', 'currencies', 'lines'),
    [
        ({}, ('RUB', 'RUB'), ['price      0.25 RUB for 2 segments, taken from the credit', 'margin     0.15 RUB']),
        ({}, ('RUB', 'EUR'), ['cost       0.10 EUR']),
        ({'parts': []}, ('', ''), ['cost       0.10, as decided; not sent yet']),
        ({'parts': [], 'state': MessageState.EXPIRED}, ('', ''), ['none: no operator took it', 'margin     0.25']),
        ({'charge': -1}, ('', ''), ['given back', 'margin     -0.10']),
        ({'country': 'RU', 'operator': 'mts', 'category': 'service'}, ('', ''), ['RU, mts, category service']),
    ],
    ids=str,
)
def test_the_story_of_a_message_says_what_it_is_worth(fields, currencies, lines):
    values: dict[str, Any] = dict.fromkeys(('account', 'upstream', 'route', 'source_addr', 'destination_addr'), '')
    values |= dict.fromkeys(('id', 'priority', 'expires_at', 'error', 'done_at', 'waits_until'), 0)
    values |= {'kind': Kind.MT, 'notice': Notice.NONE, 'state': MessageState.ENROUTE, 'repeated': False}
    story = Story(**values | WORTH | {'waits_in': None, 'parts': [('mts', 'x', 1)]} | fields)
    page = views.story(story, currencies)
    assert all(line in page for line in lines), page
    assert ('margin' in page) == (currencies != ('RUB', 'EUR'))


@pytest.mark.parametrize('change', [['five'], ['5'], ['+0.0000001'], ['set'], ['+1', '+1'], ['-'], ['+1e99'], ['']])
def test_a_change_that_is_not_understood_says_what_to_write(tmp_path, change):
    path = tmp_path / 'smsc.yaml'
    path.write_text('accounts: {bank: {password: x}}')
    result = CliRunner().invoke(credit, ['-c', str(path), 'bank', *change])
    assert result.exit_code == 2
    assert 'write' in result.output


def test_an_account_that_is_none_is_said_so(tmp_path):
    path = tmp_path / 'smsc.yaml'
    path.write_text('accounts: {bank: {password: x}}')
    result = CliRunner().invoke(credit, ['-c', str(path), 'shop', '+1'])
    assert (result.exit_code, 'name one of bank' in result.output) == (2, True)


@pytest.mark.wire('C3', 'C7', 'C8')
async def test_a_submit_that_was_stored_and_yet_refused_costs_nothing(
    monkeypatch, breaking, product, databases, start_smsc, bind
):
    monkeypatch.setattr('smsc.ingress.ACCEPT_GIVE_UP_S', 0.5)
    smsc = await start_smsc()
    found = await product(
        start=False,
        dsn=lambda name: databases.dsn(name, breaking.folder),
        upstreams={'mts': upstream(smsc.port)},
        prices=PRICES,
        accounts={'bank': prepaid(given_back=[])},
    )
    await give(found, 4 * PRICE)
    await found.start()
    await everywhere_bound(smsc)
    esme = await bind(found)
    breaking.lose = b'COMMIT'  # what says that it is paid for and stored
    (number_of_it,) = esme.number(submit())
    await balance_is(found, 3 * PRICE)
    answer = await esme.take(pdus.SubmitSmResp, number_of_it)
    assert answer.command_status == CommandStatus.ESME_RSYSERR
    breaking.lose = b''
    await found.settle(REJECTED=1)
    assert await balance(found) == 4 * PRICE
    assert smsc.submits == []
