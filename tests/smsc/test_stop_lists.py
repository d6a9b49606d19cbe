"""Stop-lists and senders in the whole product: what they refuse, and how lists change while it runs."""

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from unittest.mock import ANY

import asyncpg
import pytest
from click.testing import CliRunner

from pdu.status import CommandStatus
from smsc.cli import main
from smsc.clock import wall_ms
from smsc.control import ask
from storage import stop_lists as stored
from storage.stop_lists import DAY_MS, Change, put, show, take
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, free_port, run_command, upstream
from tests.product.waiting import until

NUMBER = 79161234567
REFUSED = CommandStatus.ESME_RINVDSTADR
WRONG_SENDER = CommandStatus.ESME_RINVSRCADR
UNKNOWN_SUBSCRIBER = b'001'


@pytest.fixture
async def running(product, start_smsc, bind):
    """Starts a product with one scripted operator, and an ESME: `await running(stop_lists={...})`."""

    async def start(**tree):
        smsc = await start_smsc()
        found = await product(upstreams={'mts': upstream(smsc.port)}, **tree)
        await everywhere_bound(smsc)
        return found, smsc, await bind(found)

    return start


@pytest.fixture
async def changing():
    """Changes a list as another node does, which tells this one nothing: `await changing(product, put, ...)`."""

    async def change(product, what, *arguments):
        connection = await asyncpg.connect(**product.arguments)
        try:
            return await what(connection, *arguments)
        finally:
            await connection.close()

    return change


async def status(esme, number=NUMBER, **more):
    """How a submit to a number is answered."""
    return (await esme.ask(submit(destination_addr=b'%d' % number, **more))).command_status


async def look(product):
    """What a command asks of the server when it has changed a list."""
    return await ask(product.node.core.configuration.data, 'stop_lists')


async def test_a_number_is_put_on_a_list_and_taken_off_while_the_server_runs(running):
    product, _, esme = await running()
    assert await status(esme) == 0
    code, out, err = await run_command(product, 'stop-list', 'add', '+7 916 123-45-67', '--list', 'global')
    assert (code, out, err) == (0, 'global: 1 put on, 0 there already\n', '')
    assert await status(esme) == REFUSED
    code, out, _ = await run_command(product, 'stop-list', 'show', str(NUMBER))
    assert (code, 'global' in out, 'on it' in out) == (0, True, True)
    assert (await run_command(product, 'stop-list', 'remove', str(NUMBER)))[0] == 0
    assert await status(esme) == 0


async def test_a_file_is_imported_and_exported_while_the_server_runs(running, tmp_path):
    product, _, esme = await running()
    path = tmp_path / 'numbers.csv.gz'
    path.write_bytes(gzip.compress(f'name;number\na;{NUMBER}\nb;7900*\n'.encode()))
    code, out, _ = await run_command(product, 'stop-list', 'import', str(path), '--list', 'global', '--note', 'law')
    assert (code, out) == (0, 'global: 2 numbers read, 2 of them new or changed\n')
    assert [await status(esme, number) for number in (NUMBER, 79001234567, NUMBER + 1)] == [REFUSED, REFUSED, 0]
    code, out, _ = await run_command(product, 'stop-list', 'export', '--list', 'global')
    assert [line.split(';')[0] for line in out.splitlines()] == ['number', str(NUMBER), '7900*']
    path.write_text(f'{NUMBER + 1}\nrubbish\n')
    code, _, err = await run_command(product, 'stop-list', 'import', str(path), '--list', 'global', '--replace')
    assert (code, f"{path}:2: 'rubbish' is no number" in err) == (1, True)
    assert await status(esme) == REFUSED
    path.write_text(f'{NUMBER + 1}\n')
    code, out, _ = await run_command(product, 'stop-list', 'import', str(path), '--list', 'global', '--replace')
    assert (code, out) == (0, 'global: 1 numbers read, 1 of them new or changed, 2 taken off\n')
    assert [await status(esme, number) for number in (NUMBER, 79001234567, NUMBER + 1)] == [0, 0, REFUSED]


async def test_a_list_is_changed_while_no_server_runs_and_is_told_to_be_nobodys(product):
    found = await product(start=False, upstreams={'mts': upstream(free_port())})
    code, out, err = await run_command(found, 'stop-list', 'add', '7900*', '--list', 'vip', '--note', 'ours')
    assert (code, out) == (0, 'vip: 1 put on, 0 there already\n')
    assert 'not in force in a server here yet' in err
    assert 'no account has this list: add `stop_lists: [vip]`' in err
    code, out, _ = await run_command(found, 'stop-list', 'lists')
    assert (code, out.splitlines()[1].split()[:3], out.split()[-1]) == (0, ['vip', '0', '1'], 'nobody')


async def test_what_another_node_changes_is_in_force_by_itself(running, changing):
    product, _, esme = await running(stop_lists={'poll_s': 0.05})
    lists = product.node.core.stop_lists.lists.lists
    await changing(product, put, 'global', [[(False, NUMBER), (True, 7900)]], Change('anna', wall_ms()))
    await until(lambda: len(lists.get('global', ())) == 2)
    assert [await status(esme, number) for number in (NUMBER, 79001234567)] == [REFUSED, REFUSED]
    await changing(product, take, 'global', [(False, NUMBER)], Change('anna', wall_ms()))
    await until(lambda: len(lists['global']) == 1)
    assert [await status(esme, number) for number in (NUMBER, 79001234567)] == [0, REFUSED]


async def test_lists_are_in_force_from_the_first_message_after_a_restart(running, changing, bind):
    product, _, _ = await running()
    await product.stop()
    entries = [(False, number) for number in range(NUMBER, NUMBER + 5_000)]
    await changing(product, put, 'global', [entries], Change('anna', wall_ms()))
    await product.start()
    esme = await bind(product)
    assert [await status(esme, number) for number in (NUMBER, NUMBER + 4_999, NUMBER + 5_000)] == [REFUSED, REFUSED, 0]


async def test_accounts_have_lists_of_their_own_and_may_ignore_those_of_all(running, changing, bind):
    accounts = {
        'bank': account(stop_lists=['vip']),
        'shop': account(ignores_stop_lists=['global']),
        'codes': account(category='authorization'),
    }
    product, _, bank = await running(
        accounts=accounts, stop_lists={'exempt_categories': ['authorization'], 'status': 'ESME_RSUBMITFAIL'}
    )
    shop, codes = await bind(product, 'shop'), await bind(product, 'codes')
    await changing(product, put, 'global', [[(False, NUMBER)]], Change('anna', wall_ms()))
    await changing(product, put, 'vip', [[(False, NUMBER + 1)]], Change('anna', wall_ms()))
    await look(product)
    refused = CommandStatus.ESME_RSUBMITFAIL
    assert [await status(bank, number) for number in (NUMBER, NUMBER + 1)] == [refused, refused]
    assert [await status(shop, number) for number in (NUMBER, NUMBER + 1)] == [0, 0]
    assert [await status(codes, number) for number in (NUMBER, NUMBER + 1)] == [0, 0]
    product.write(accounts={'shop': {'ignores_stop_lists': []}}, stop_lists={'status': 'ESME_RINVDSTADR'})
    await product.reload()
    assert await status(shop) == REFUSED


async def test_numbers_that_fail_for_good_get_onto_a_list_with_the_reason(running, changing):
    product, smsc, esme = await running(stop_lists={'automatic': {'failures': 1}})
    product.node.core.stop_lists._wrote_at_ms = wall_ms()  # by itself it would wait for the next minute
    for number, state, error in (
        (NUMBER, 'UNDELIV', UNKNOWN_SUBSCRIBER),
        (NUMBER + 1, 'UNDELIV', b'027'),
        (NUMBER + 2, 'EXPIRED', UNKNOWN_SUBSCRIBER),
        (NUMBER + 3, 'DELIVRD', b'000'),
    ):
        assert await status(esme, number) == 0
        await smsc.submitted(number - NUMBER + 1)
        await smsc.deliver_receipt(smsc.given[-1], state, error=error)
    await esme.receipts(4)
    await look(product)
    assert [await status(esme, NUMBER + place) for place in range(4)] == [REFUSED, 0, 0, 0]
    (found,) = await changing(product, show, str(NUMBER))
    assert (found.name, found.who) == ('automatic', 'smsc')
    assert found.note == '1 failures in a row, the last: UNDELIVERABLE, error 1'
    assert found.until_ms - found.since_ms == 30 * 86_400_000


async def test_a_number_that_the_operator_refuses_for_good_counts_and_one_that_we_refuse_does_not(running):
    product, smsc, esme = await running(
        stop_lists={'automatic': {'failures': 1}},
        accounts={'bank': account(no_route='receipt')},
        routes=[{'name': 'some', 'when': {'destination': '7916*'}, 'failover': ['mts']}],
    )
    smsc.script = lambda pdu: int(CommandStatus.ESME_RINVDSTADR)
    assert await status(esme) == 0
    assert await status(esme, 79001234567) == 0
    await product.settle(UNDELIVERABLE=2)
    await look(product)
    assert [await status(esme, number) for number in (NUMBER, 79001234567)] == [REFUSED, 0]


async def test_what_is_to_be_listed_is_not_lost_by_a_stop(running, changing):
    product, smsc, esme = await running(stop_lists={'automatic': {'failures': 1}})
    product.node.core.stop_lists._wrote_at_ms = wall_ms()  # so that it waits for the next minute
    assert await status(esme) == 0
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0], 'UNDELIV', error=UNKNOWN_SUBSCRIBER)
    await esme.receipts(1)
    await product.stop()
    assert [one.name for one in await changing(product, show, str(NUMBER))] == ['automatic']


async def test_senders_are_checked_and_the_default_one_reaches_the_operator(running):
    accounts = {'bank': account(senders=['MyBank', '7495*'], default_sender='MyBank')}
    _, smsc, esme = await running(accounts=accounts)
    assert await status(esme, source_addr=b'OtherBank') == WRONG_SENDER
    assert await status(esme, source_addr_ton=1, source_addr=b'74950000000') == 0
    assert await status(esme, source_addr_ton=0, source_addr=b'') == 0
    sent = await smsc.submitted(2)
    assert [(pdu.source_addr_ton, pdu.source_addr) for pdu in sent] == [(1, b'74950000000'), (5, b'MyBank')]


async def test_a_file_that_was_cut_short_does_not_empty_a_list(running, changing, tmp_path):
    product, _, esme = await running()

    async def command(*words):
        arguments = ['stop-list', *words, '--list', 'global', '-c', str(product.path)]
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        return result.exit_code, result.output

    await changing(product, put, 'global', [[(False, NUMBER + place) for place in range(5)]], Change('anna', wall_ms()))
    path = tmp_path / 'numbers.csv'
    for content, reason in (('', 'holds no number'), (f'{NUMBER}\n{NUMBER + 1}\n', 'give --force')):
        path.write_text(content)
        code, out = await command('import', str(path), '--replace')
        assert (code, reason in out) == (1, True)
    await look(product)
    assert [await status(esme, NUMBER + place) for place in range(5)] == [REFUSED] * 5
    assert (await command('import', str(path), '--replace', '--force'))[0] == 0
    assert [await status(esme, NUMBER + place) for place in range(5)] == [REFUSED] * 2 + [0] * 3


async def test_entries_of_a_file_hold_until_their_own_ends(running, tmp_path, monkeypatch):
    product, _, esme = await running()
    path = tmp_path / 'numbers.csv'
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    path.write_text(f'number;until\n{NUMBER};{tomorrow:%Y-%m-%d %H:%M}\n{NUMBER + 1};2001-02-15\n{NUMBER + 2};\n')
    code, out, err = await run_command(product, 'stop-list', 'import', str(path), '--list', 'global')
    assert (code, out) == (0, 'global: 3 numbers read, 2 of them new or changed\n')
    assert f'{path}: 1 entries left out: their `until` has passed' in err
    assert [await status(esme, NUMBER + place) for place in range(3)] == [REFUSED, 0, REFUSED]
    monkeypatch.setattr('smsc.esme.wall_ms', lambda: wall_ms() + 2 * DAY_MS)
    assert [await status(esme, NUMBER + place) for place in range(3)] == [0, 0, REFUSED]


async def test_an_export_is_imported_with_the_ends_of_its_entries(product, tmp_path):
    found = await product(start=False, upstreams={'mts': upstream(free_port())})

    async def command(*words):
        arguments = ['stop-list', *words, '-c', str(found.path)]
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        return result.exit_code, result.output

    note = 'asked\nfor "it"'
    assert (await command('add', str(NUMBER), '--list', 'own', '--days', '30', '--note', note))[0] == 0
    path = tmp_path / 'own.csv'
    assert await command('export', '--list', 'own', '--output', str(path)) == (0, '')
    assert path.read_text().splitlines()[1].endswith(';"asked for ""it"""')
    code, out = await command('import', str(path), '--list', 'own', '--note', 'asked for "it"')
    assert (code, '1 entries end by their own `until`, the others stay for good' in out) == (0, True)
    assert 'own: 1 numbers read, 1 of them new or changed' in out  # by its note alone
    assert await command('import', str(path), '--list', 'other', '--days', '3') == (0, ANY)
    other = tmp_path / 'other.csv'
    assert await command('export', '--list', 'other', '--output', str(other)) == (0, '')
    lines = [one.read_text().splitlines()[1].split(';') for one in (path, other)]
    assert lines[0][2]
    assert lines[0][2] == lines[1][2]
    path.unlink()
    code, out = await command('export', '--list', 'nosuch', '--output', str(path))
    assert (code, out, path.exists()) == (1, 'Error: there is no list nosuch; there are: other, own\n', False)


async def test_a_list_that_a_command_is_writing_keeps_no_other_list_from_being_followed(running, changing, monkeypatch):
    monkeypatch.setattr(stored, 'LOCK_TIMEOUT_MS', 10)
    product, _, esme = await running(stop_lists={'automatic': {'failures': 1}})
    keeping = product.node.core.stop_lists
    keeping._pending = {NUMBER + 1: 'failed'}
    await changing(product, put, 'global', [[(False, NUMBER)]], Change('anna', wall_ms()))
    importing = await asyncpg.connect(**product.arguments)
    async with importing.transaction():
        await put(importing, 'automatic', [[(False, NUMBER + 2)]], Change('anna', wall_ms()))
        await look(product)
        assert [await status(esme, NUMBER + place) for place in range(2)] == [REFUSED, 0]
    await importing.close()
    await look(product)
    assert [await status(esme, NUMBER + place) for place in range(3)] == [REFUSED] * 3
    assert product.node.core.store.health.failures == 0
