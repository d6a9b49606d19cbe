"""One running product a module, with a simulated operator of its own behind it."""

import pytest
import uvloop

from tests.product.running import Spawned, account, free_port, upstream


@pytest.fixture(scope='module')
def server(databases, tmp_path_factory):
    """The product as a process; its operator takes everything at once."""
    loop = uvloop.new_event_loop()
    database = loop.run_until_complete(databases.create())
    operator = upstream(free_port(), simulated={'receipt_delay_ms': 0}, window=1000)
    found = Spawned(
        tmp_path_factory.mktemp('wire'),
        databases,
        database,
        databases.dsn(database),
        {'upstreams': {'any': operator}, 'accounts': {'bank': account(binds=2000)}},
    )
    found.start_now()
    yield found
    assert found.stop_now() == 0
    assert 'Traceback' not in found.log.read_text()
    assert loop.run_until_complete(found.ledger()).adds_up
    loop.run_until_complete(databases.drop(database))
    loop.close()


@pytest.fixture
async def esme(server, bind):
    """A bound transceiver."""
    return await bind(server)


@pytest.fixture
async def stranger(server, connect):
    """A connection without a bind."""
    return await connect(server)
