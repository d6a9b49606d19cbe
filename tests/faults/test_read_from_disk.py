"""Messages that waited on disk and were submitted from there, when a link or the server goes before the answer."""

import asyncio

import pytest

from perf.bench import BenchSettings
from perf.operator import Operator, OperatorSettings
from perf.processes import free_ports
from tests.faults.bench import POLL_S, FaultBench

COUNT, FIRST_WINDOW, SECOND_WINDOW = 50, 30, 10
TIMEOUT_S = 60
SLOW = OperatorSettings(response_delay_ms=1000 * TIMEOUT_S, ledger=True)
PROMPT = OperatorSettings(ledger=True)


class AwayOperators(FaultBench):
    """A server whose operators are away until the test starts them."""

    def __init__(self, settings, ports):
        super().__init__(settings)
        self.smpp_port, self.ports = ports['smpp'], ports

    async def start_operator(self):
        pass


async def until(is_so):
    async with asyncio.timeout(TIMEOUT_S):
        while not is_so():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(POLL_S)


async def until_status(bench, is_so):
    """Waits until what `smsc status` tells of the upstreams, by name, fits."""
    async with asyncio.timeout(TIMEOUT_S):
        while not is_so({upstream['name']: upstream for upstream in (await bench.ask('status'))['upstreams']}):
            pass


def upstream(port, window):
    credentials = {'system_id': 'proxy', 'password': 'secret'}
    how = {'window': window, 'rate_per_s': 100_000, 'reconnect': {'first_s': 0.1, 'last_s': 0.2}}
    return {'host': '127.0.0.1', 'port': port} | credentials | how


@pytest.fixture
async def bench(tmp_path):
    """A server whose two upstreams, `first` and `second`, are away; `ports` has where they may come."""
    ports = dict(zip(('smpp', 'first', 'second'), free_ports(3), strict=True))
    server = {
        'smpp': {'listen': f'127.0.0.1:{ports["smpp"]}', 'drain_s': 1},
        'upstreams': {
            'first': upstream(ports['first'], FIRST_WINDOW),
            'second': upstream(ports['second'], SECOND_WINDOW),
        },
        'routes': [{'name': 'everything', 'failover': ['first', 'second']}],
    }
    async with AwayOperators(BenchSettings(folder=tmp_path, binds=1, server=server), ports) as bench:
        yield bench


@pytest.fixture
async def load(bench):
    """An ESME whose messages are all on disk, in the outbox of `first`; `load.finished` ends with the last receipt."""
    load = bench.load(messages=COUNT, reconnect=True)
    await load.bind()
    load.finished = asyncio.create_task(load.submit())
    await until_status(bench, lambda upstreams: upstreams['first']['queued_on_disk'] == COUNT)
    yield load
    load.finished.cancel()
    await asyncio.gather(load.finished, return_exceptions=True)
    await load.stop()


@pytest.fixture
async def start_operator(bench):
    """Starts an operator at the port of an upstream."""
    running = []

    async def start(name, settings):
        operator = Operator(settings)
        running.append(operator)
        await operator.start(port=bench.ports[name])
        return operator

    yield start
    for operator in running:
        await operator.stop()


async def repeated(bench):
    connection = await bench.connect()
    try:
        return await connection.fetchval('select count(*) from message where repeated')
    finally:
        await connection.close()


async def test_a_message_read_from_disk_is_not_rejected_when_its_link_is_lost(bench, load, start_operator):
    operator = await start_operator('first', SLOW)
    await until(lambda: operator.tally.distinct() == FIRST_WINDOW)
    await operator.stop()
    await start_operator('first', PROMPT)
    await load.finished
    assert load.ledger.result().receipts == {'DELIVRD': COUNT}
    assert await repeated(bench) == FIRST_WINDOW


async def test_what_was_submitted_from_disk_before_a_kill_of_the_server_is_marked(bench, load, start_operator):
    operator = await start_operator('first', SLOW)
    await until(lambda: operator.tally.distinct() == FIRST_WINDOW)
    await bench.kill_server()
    await operator.stop()
    await bench.start_server()
    again = await start_operator('first', PROMPT)
    await load.finished
    assert again.tally.distinct() == COUNT
    assert await repeated(bench) >= FIRST_WINDOW


async def test_what_waits_on_disk_unread_is_not_marked_after_a_kill(bench, load, start_operator):
    await bench.kill_server()
    await bench.start_server()
    await start_operator('first', PROMPT)
    await load.finished
    assert await repeated(bench) == 0


async def test_a_clean_stop_marks_only_what_was_submitted_of_what_was_read_from_disk(bench, load, start_operator):
    operator = await start_operator('first', SLOW)
    await until(lambda: operator.tally.distinct() == FIRST_WINDOW)
    await bench.stop_server()
    await operator.stop()
    await bench.start_server()
    await start_operator('first', PROMPT)
    await load.finished
    assert await repeated(bench) == FIRST_WINDOW


async def test_a_message_read_from_disk_and_moved_to_another_upstream_is_not_forgotten_there(
    bench, load, start_operator
):
    """Its row stays in the outbox it was read from, which has been read beyond it."""
    first = await start_operator('first', SLOW)
    second = await start_operator('second', SLOW)
    await until(lambda: first.tally.distinct() == FIRST_WINDOW)
    await until_status(bench, lambda upstreams: upstreams['second']['links'][0]['state'] == 'bound_trx')
    await first.stop()
    await until(lambda: second.tally.distinct() == SECOND_WINDOW)
    await start_operator('first', PROMPT)
    await until_status(bench, lambda upstreams: upstreams['first']['links'][0]['state'] == 'bound_trx')
    await second.stop()
    await load.finished
    assert load.ledger.result().receipts == {'DELIVRD': COUNT}
