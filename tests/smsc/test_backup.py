"""`smsc backup` while messages go through, `smsc restore` into an empty store, and what goes on from there."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from pdu.receipt_text import MessageState
from smsc.control import ask
from storage.backup import BackupError, Restoring, restore_backup, take_backup
from storage.database_address import address_of
from storage.migrations import MigrationError
from tests.product.peers import receipt_of, submit
from tests.product.running import everywhere_bound, run_command, upstream
from tests.product.waiting import until


@pytest.fixture
async def running(product, start_smsc):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    return found, smsc


def ignore(octets: int) -> None:
    """Progress that nobody looks at."""


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
            await asyncio.sleep(0.02)  # the machine has other things to do

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
    await take_backup(first.arguments, tmp_path / 'store.dump', ignore)
    await first.stop()

    second = await spare(product, upstreams=first.tree['upstreams'])
    restoring = Restoring(tmp_path / 'store.dump', 'an operator', switched_off=('mts',))
    assert await restore_backup(second.arguments, restoring, ignore) == 1
    assert (await second.story(waiting)).repeated
    await smsc.start()
    await second.start()
    await second.links_bound('mts')
    again = await bind(second)
    assert len(smsc.submits) == 3
    await ask(Path(second.tree['data']), 'switch', kind='upstream', name='mts', off=False, who='an operator', note='')
    await until(lambda: any(pdu.short_message == b'waits at the backup' for pdu in smsc.submits))
    await smsc.submitted(4)  # three before the backup, this one, and none of the finished
    for given in smsc.given[2:]:
        await smsc.deliver_receipt(given)
    await again.receipts(2)
    assert {receipt_of(pdu).state for pdu in again.delivered} == {MessageState.DELIVERED}
    book = await second.settle(DELIVERED=4)
    assert book.accepted == 4


async def test_a_store_that_holds_anything_or_is_in_use_is_not_restored_into(running, bind, tmp_path):
    first, smsc = running
    path = tmp_path / 'store.dump'
    await take_backup(first.arguments, path, ignore)
    with pytest.raises(BackupError, match='node 1 uses the store: stop every node first'):
        await restore_backup(first.arguments, Restoring(path, 'an operator'), ignore)
    esme = await bind(first)
    await esme.submit(registered_delivery=0)
    await smsc.submitted(1)
    await first.settle(ACCEPTED=1)
    await first.stop()
    with pytest.raises(BackupError, match='the store is not empty'):
        await restore_backup(first.arguments, Restoring(path, 'an operator'), ignore)
    assert (await first.ledger()).accepted == 1
    with pytest.raises(BackupError, match='exists already'):
        await take_backup(first.arguments, path, ignore)


def break_nothing(path: Path) -> None:
    """As it was taken."""


def cut(path: Path) -> None:
    """Half of it: the table of contents is whole."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace(path: Path) -> None:
    """Something else."""
    path.write_text('hello')


@pytest.mark.parametrize(
    ('damage', 'later', 'said'),
    [
        (replace, 0, 'is no backup'),
        (cut, 0, r'store\.dump'),
        (Path.unlink, 0, 'cannot be read'),
        (break_nothing, 9900, 'newer release'),
    ],
    ids=['no backup', 'cut short', 'missing', 'of a newer release'],
)
async def test_what_cannot_be_restored_says_why_and_changes_nothing(product, tmp_path, damage, later, said):
    found = await spare(product, upstreams={'mts': upstream(1)})
    path = tmp_path / 'store.dump'
    rows = 'select $1::int, $2::text, $1::int where $1 > 0'
    await execute(found, f'insert into migration (version, name, min_version) {rows}', later, 'later')
    await take_backup(found.arguments, path, ignore)
    await execute(found, 'delete from migration where version = $1', later)
    damage(path)
    with pytest.raises((BackupError, MigrationError), match=said):
        await restore_backup(found.arguments, Restoring(path, 'an operator'), ignore)
    assert (await found.ledger()).accepted == 0
    connection = await asyncpg.connect(**found.arguments)
    assert await connection.fetchval('select count(*) from migration where version = 9900') == 0
    assert await connection.fetchval('select count(*) from audit') == 0
    await connection.close()


async def execute(product, statement, *arguments):
    """Change the store of a product that does not run."""
    connection = await asyncpg.connect(**product.arguments)
    await connection.execute(statement, *arguments)
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
