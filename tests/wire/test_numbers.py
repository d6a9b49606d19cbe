"""Numbers on the wire: national forms become E.164 once, and the number plan that routes ask changes while running."""

import pytest

from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, run_command, upstream
from tests.product.waiting import until

RUSSIA = {'country_code': '7', 'national_prefix': '8', 'national_lengths': [10]}


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product that has a route to each of two operators, an ESME of it, and the operators."""
    smscs = {'mts': await start_smsc(), 'rest': await start_smsc()}
    found = await product(
        accounts={'bank': account()},
        numbers=RUSSIA,
        upstreams={name: upstream(smsc.port) for name, smsc in smscs.items()},
        routes=[
            {'name': 'MTS', 'when': {'operator': 'mts'}, 'failover': ['mts']},
            {'name': 'Russia', 'when': {'country': 'RU'}, 'failover': ['rest']},
        ],
    )
    for smsc in smscs.values():
        await everywhere_bound(smsc)
    return found, smscs, await bind(found)


@pytest.mark.wire('C12')
@pytest.mark.parametrize(('number', 'ton'), [(b'89161234567', 0), (b'9161234567', 2), (b'+79161234567', 1)])
async def test_a_number_in_national_form_is_sent_as_e164_and_comes_back_as_it_was_written(running, number, ton):
    _product, smscs, esme = running
    await esme.submit(destination_addr=number, dest_addr_ton=ton)
    (sent,) = await smscs['rest'].submitted(1)
    assert (sent.destination_addr, sent.dest_addr_ton) == (b'79161234567', 1)
    await smscs['rest'].deliver_receipt(smscs['rest'].given[0])
    await esme.receipts(1)
    assert (esme.delivered[0].source_addr, esme.delivered[0].source_addr_ton) == (number, ton)


@pytest.mark.wire('C12')
async def test_an_international_number_is_not_taken_for_a_national_one(running):
    _product, _smscs, esme = running
    response = await esme.ask(submit(destination_addr=b'84951234567', dest_addr_ton=1))
    assert response.command_status == 0x0B  # of Viet Nam, for which there is no route


async def test_an_import_decides_about_the_next_message_without_a_restart_and_is_audited(running, tmp_path):
    product, smscs, esme = running
    await esme.submit(destination_addr=b'89161234567', dest_addr_ton=0)
    await smscs['rest'].submitted(1)
    table = tmp_path / 'own.csv'
    table.write_text('prefix,country,operator\n7916,RU,mts\n', encoding='utf-8')
    status, output, error = await run_command(product, 'plan', 'import', str(table))
    assert (status, error) == (0, ''), output
    assert 'the running server answers by it' in output
    await esme.submit(destination_addr=b'89161234567', dest_addr_ton=0)
    await smscs['mts'].submitted(1)
    status, output, error = await run_command(product, 'audit')
    assert 'plan: imported own: own.csv, 1 ranges' in output, error
    status, output, error = await run_command(product, 'plan', 'remove', 'own')
    assert status == 0, error
    await esme.submit(destination_addr=b'89161234567', dest_addr_ton=0)
    await until(lambda: len(smscs['rest'].given) == 2)


async def test_an_imported_plan_is_there_after_a_restart(product, start_smsc, bind, tmp_path):
    smsc = await start_smsc()
    tree = {
        'upstreams': {'mts': upstream(smsc.port)},
        'routes': [{'name': 'MTS', 'when': {'operator': 'mts'}, 'failover': ['mts']}],
    }
    found = await product(start=False, **tree)
    table = tmp_path / 'own.csv'
    table.write_text('prefix,country,operator\n7916,RU,mts\n', encoding='utf-8')
    assert (await run_command(found, 'plan', 'import', str(table)))[0] == 0
    await found.start()
    await everywhere_bound(smsc)
    esme = await bind(found)
    await esme.submit(destination_addr=b'79161234567')
    await smsc.submitted(1)
