"""Commands whose store cannot be reached, or was never opened by a server: one line that says what to do."""

import asyncio

import asyncpg
import pytest
import yaml
from click.testing import CliRunner

from smsc.cli import main
from tests.product.running import free_port

SECRET = 'hidden-word'
COMMANDS = [
    ['audit'],
    ['credit'],
    ['credit', 'bank', '+5'],
    ['ledger'],
    ['message', '1'],
    ['switches'],
    ['upstream', 'mts', 'off'],
    ['route-switch', 'all', 'off'],
    ['stop-list', 'lists'],
    ['stop-list', 'show', '79161234567'],
    ['stop-list', 'add', '79161234567', '--list', 'global'],
    ['stop-list', 'remove', '79161234567'],
    ['stop-list', 'export', '--list', 'global'],
]
OPENING = {'stop-list'}  # they make the tables that are not there


@pytest.fixture
def desk(tmp_path):
    """Runs commands with a store of one's own: `desk(dsn)(['audit'])`."""

    def configured(dsn):
        path = tmp_path / 'smsc.yaml'
        tree = {
            'data': str(tmp_path / 'var'),
            'store': {'postgres': dsn},
            'accounts': {'bank': {'password': 'x'}},
            'upstreams': {'mts': {'host': 'localhost', 'port': 1, 'system_id': 'a', 'password': 'b'}},
            'routes': [{'name': 'all', 'failover': ['mts']}],
        }
        path.write_text(yaml.safe_dump(tree))
        return lambda command: CliRunner().invoke(main, [*command, '-c', str(path)])

    return configured


def told(result):
    """The one line that a command ends with."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert SECRET not in line
    return line


@pytest.mark.parametrize('command', COMMANDS, ids=' '.join)
def test_a_store_that_cannot_be_reached_is_one_line(desk, command):
    line = told(desk(f'postgresql://smsc:{SECRET}@127.0.0.1:{free_port()}/smsc')(command))
    assert line.startswith('Error: the store cannot be asked: ')
    assert line.endswith('look at store.postgres, and that PostgreSQL runs there')


async def test_a_store_that_no_server_has_opened_is_one_line(desk, databases):
    name = await databases.create_fresh()
    connection = await asyncpg.connect(**databases.arguments(name))
    await connection.execute('drop schema public cascade; create schema public')
    await connection.close()
    run = desk(databases.dsn(name))
    for command in COMMANDS:
        if command[0] not in OPENING:
            assert 'start one with: smsc run' in told(await asyncio.to_thread(run, command))
    result = await asyncio.to_thread(run, ['route', '79161234567'])
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, '= goes to mts (priority 0)')
    assert (await asyncio.to_thread(run, ['stop-list', 'lists'])).output == 'no lists yet\n'
    await databases.destroy(name)
