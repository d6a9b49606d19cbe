"""`smsc backup` while messages go through, `smsc restore` into an empty store, and what goes on from there."""

import asyncio

import pytest

from storage.database_address import address_of
from tests.product.peers import receipt_of, submit
from tests.product.running import everywhere_bound, run_command, upstream
from tests.product.waiting import until


@pytest.fixture
async def running(product, start_smsc):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    return found, smsc


async def spare(product, **tree):
    """A product with a database that no server has opened, and the same configuration otherwise."""
    return await product(start=False, **tree)


async def test_a_backup_taken_under_traffic_restores_to_a_ledger_that_adds_up(running, product, bind, tmp_path):
    first, smsc = running
    esme = await bind(first)
    stop = asyncio.Event()
    taken = 0

    async def keep_sending() -> None:
        nonlocal taken
        while not stop.is_set():
            taken += len(await esme.submit_all(submit() for _ in range(20)))

    sending = asyncio.create_task(keep_sending())
    await smsc.submitted(40)
    status, out, err = await run_command(first, 'backup', str(tmp_path / 'store.dump'))
    stop.set()
    await sending
    assert (status, err) == (0, '')
    assert 'octets in' in out
    assert (tmp_path / 'store.dump').stat().st_mode & 0o777 == 0o600
    await smsc.submitted(taken)

    second = await spare(product, upstreams=first.tree['upstreams'])
    status, out, err = await run_command(second, 'restore', str(tmp_path / 'store.dump'))
    assert (status, err) == (0, '')
    book = await second.ledger()
    assert book.adds_up
    assert 40 <= book.accepted <= taken
    status, out, _ = await run_command(second, 'audit')
    assert 'store restored' in out


async def test_after_a_restore_the_unfinished_go_on_marked_and_the_others_do_not(running, product, bind, tmp_path):
    first, smsc = running
    esme = await bind(first)
    await esme.submit_all(submit() for _ in range(3))
    await smsc.submitted(3)
    for given in smsc.given[:2]:
        await smsc.deliver_receipt(given)
    await esme.receipts(2)
    await first.settle(DELIVERED=2)
    await smsc.stop()
    await first.links_bound('mts', 0)
    waiting = await esme.submit(b'waits at the backup')
    status, _, err = await run_command(first, 'backup', str(tmp_path / 'store.dump'))
    assert (status, err) == (0, '')
    await first.stop()

    second = await spare(product, upstreams=first.tree['upstreams'])
    status, _, err = await run_command(second, 'restore', str(tmp_path / 'store.dump'))
    assert (status, err) == (0, '')
    assert (await second.story(waiting)).repeated
    await smsc.start()
    await second.start()
    again = await bind(second)
    await until(lambda: any(pdu.short_message == b'waits at the backup' for pdu in smsc.submits))
    await smsc.submitted(4)  # three before the backup, this one, and none of the finished
    for given in smsc.given[2:]:
        await smsc.deliver_receipt(given)
    await again.receipts(2)
    assert {receipt_of(pdu).stat for pdu in again.delivered} == {b'DELIVRD'}
    book = await second.settle(DELIVERED=4)
    assert book.accepted == 4


async def test_a_store_that_holds_anything_or_is_in_use_is_not_restored_into(running, product, bind, tmp_path):
    first, smsc = running
    path = str(tmp_path / 'store.dump')
    assert (await run_command(first, 'backup', path))[0] == 0
    status, _, err = await run_command(first, 'restore', path)
    assert (status, 'stop every node first' in err) == (1, True)
    esme = await bind(first)
    await esme.submit(registered_delivery=0)
    await smsc.submitted(1)
    await first.settle(ACCEPTED=1)
    await first.stop()
    status, _, err = await run_command(first, 'restore', path)
    assert (status, 'the store is not empty' in err) == (1, True)
    assert (await first.ledger()).accepted == 1
    status, _, err = await run_command(first, 'backup', path)
    assert (status, 'exists already' in err) == (1, True)


@pytest.mark.parametrize('damage', ['no backup', 'cut short', 'missing', 'of a newer release'])
async def test_what_cannot_be_restored_says_why_and_changes_nothing(product, tmp_path, databases, damage):
    found = await spare(product, upstreams={'mts': upstream(1)})
    path = tmp_path / 'store.dump'
    if damage == 'no backup':
        path.write_text('hello')
    elif damage != 'missing':
        if damage == 'of a newer release':
            await _execute(found, "insert into migration (version, name, min_version) values (9900, 'later', 9900)")
        assert (await run_command(found, 'backup', str(path)))[0] == 0
        if damage == 'of a newer release':
            await _execute(found, 'delete from migration where version = 9900')
        else:
            path.write_bytes(path.read_bytes()[:-3000])
    status, _, err = await run_command(found, 'restore', str(path))
    assert status == 1
    assert 'Traceback' not in err
    said = {
        'no backup': 'is no backup',
        'cut short': 'store.dump',
        'missing': 'cannot be read',
        'of a newer release': 'newer release',
    }
    assert said[damage] in err
    assert (await found.ledger()).accepted == 0


async def _execute(product, statement):
    import asyncpg

    connection = await asyncpg.connect(**product.arguments)
    await connection.execute(statement)
    await connection.close()


def test_the_password_of_a_dsn_is_not_among_the_arguments():
    for dsn in (
        'postgresql://smsc:s3cr%23t@db1:5432,db2:5433/smsc?target_session_attrs=primary',
        'postgresql://smsc@db1:5432,db2:5433/smsc?password=s3cr%23t&target_session_attrs=primary',
    ):
        address = address_of({'dsn': dsn})
        assert address.arguments == [
            '-d',
            'postgresql://smsc@db1:5432,db2:5433/smsc?target_session_attrs=primary',
            '-w',
        ]
        assert address.environment['PGPASSWORD'] == 's3cr#t'


def test_a_socket_in_a_dsn_stays():
    address = address_of({'dsn': 'postgresql://smsc@/base?host=/run/postgresql&port=5433'})
    assert address.arguments[1] == 'postgresql://smsc@/base?host=%2Frun%2Fpostgresql&port=5433'
