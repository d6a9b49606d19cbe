"""`store.postgres` with several hosts, as a primary and its standby are named: the one that answers as such is used."""

import pytest

from smsc.commands.running import load
from tests.product.peers import submit
from tests.product.running import everywhere_bound, free_port, upstream


async def test_the_host_that_answers_is_used(product, start_smsc, bind, databases, tmp_path):
    smsc = await start_smsc()
    found = await product(
        lambda database: (
            databases.dsn(database).replace('host=', f'host={tmp_path}/nowhere,').replace('port=', 'port=5432,')
            + '&target_session_attrs=primary'
        ),
        upstreams={'mts': upstream(smsc.port)},
    )
    await everywhere_bound(smsc)
    esme = await bind(found)
    await esme.submit_all(submit(registered_delivery=0) for _ in range(3))
    await found.settle(ACCEPTED=3)


@pytest.mark.parametrize(('hosts', 'fits'), [('db1:5432,db2:5433', True), ('db1,db2', True), ('db1:5432,db2:x', False)])
async def test_a_dsn_with_several_hosts_is_checked_host_by_host(product, hosts, fits):
    found = await product(start=False, upstreams={'mts': upstream(free_port())})
    found.write(store={'postgres': f'postgresql://smsc:p@{hosts}/smsc?target_session_attrs=primary'})
    if fits:
        assert load(found.path).store.postgres
        return
    with pytest.raises(Exception, match='is no DSN'):
        load(found.path)
