"""The short form of the fuzz over sockets: hostile ESMEs and a hostile operator, and a good session beside them."""

import asyncio

import pytest

from tests.fuzz.hostile import Crowd, HostileSmsc, Login
from tests.product.peers import submit
from tests.product.running import PASSWORD, account, free_port, upstream
from tests.product.waiting import until

MUTANTS = 4_000
OF_THE_OPERATOR = 1_500
GOOD = 300
FAULTS = ('Traceback', '.error', 'item_refused', 'set_aside', 'store.away')


@pytest.fixture
async def smsc():
    found = HostileSmsc(seed=3)
    yield found
    await found.stop()


@pytest.mark.wire('A5', 'A22')
async def test_a_good_session_beside_thousands_of_mutants_is_not_disturbed(spawned, bind, start_operator, smsc):
    good, hostile = free_port(), free_port()
    await start_operator(good)
    await smsc.start(hostile, OF_THE_OPERATOR)
    product = await spawned(
        upstreams={'good': upstream(good), 'bad': upstream(hostile, response_timeout_s=1, links=2)},
        accounts={'bank': account(), 'fuzz': account(binds=100, rate_per_s=500, waiting=500)},
        routes=[
            {'name': 'good', 'when': {'account': 'bank'}, 'failover': ['good']},
            {'name': 'bad', 'failover': ['bad']},
        ],
        mo=[{'name': 'bad', 'account': 'fuzz'}],
        smpp={'failed_binds_per_s': 0},
    )
    esme = await bind(product)
    crowd = Crowd(product.port, [Login(b'fuzz', PASSWORD.encode())], seed=1)
    attack = asyncio.create_task(crowd.run(6, MUTANTS))
    ids: list[str] = []
    while len(ids) < GOOD or not attack.done() or not smsc.is_over():
        ids += await esme.submit_all(submit() for _ in range(10))
        await esme.receipts(len(ids))
    await attack
    assert crowd.sent.confirmed >= MUTANTS
    assert smsc.sent.confirmed >= OF_THE_OPERATOR
    assert crowd.sent.bound
    assert smsc.sent.answers
    assert crowd.sent.stuck == smsc.sent.stuck == 0
    told = [receipt.id.decode() for receipt in await esme.receipts(len(ids))]
    assert sorted(told) == sorted(set(ids))
    assert not esme.gone
    await until(lambda: len(smsc.links) == 2)
    log = product.log.read_text()
    assert [line for line in log.splitlines() if any(fault in line for fault in FAULTS)] == []
