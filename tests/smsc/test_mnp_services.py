"""Services that ported numbers are looked up at: real HTTP, a real Redis, and neither in the way of anything."""

import asyncio
import shutil
from typing import Any

import msgspec
import pytest
import structlog

from smsc import config as configurations
from smsc.config.mnp_schema import MnpConfig, MnpServiceConfig
from smsc.mnp.lookups import Lookups
from tests.product.running import free_port
from tests.product.waiting import until
from tests.smsc.number_services import KNOWN, NumberService, RedisServer


@pytest.fixture
async def start_service():
    """Starts a service."""
    services: list[NumberService] = []

    async def start() -> NumberService:
        services.append(NumberService())
        return await services[-1].start()

    yield start
    for service in services:
        await service.stop()


@pytest.fixture
async def service(start_service):
    return await start_service()


@pytest.fixture
async def make():
    """Makes look-ups: `make(service.url, timeout_ms=...)`, or of several services."""
    made: list[Lookups] = []

    def make(
        *services: Any, redis: str | None = None, wait_ms: int = 20_000, cache: int = 1_000, **more: Any
    ) -> Lookups:
        usual = {'timeout_ms': 20_000, 'rest_s': 3_600}
        configs = [usual | more | (one if isinstance(one, dict) else {'url': one}) for one in services]
        tree = {'operators': {'mTS': 'mts'}, 'services': configs, 'wait_ms': wait_ms, 'cache': cache}
        made.append(Lookups(msgspec.convert(tree, MnpConfig), redis))
        return made[-1]

    yield make
    for lookups in made:
        await lookups.close()


# What is asked


async def test_numbers_are_asked_in_one_batch_and_known_afterwards(service, make):
    lookups = make(service.url)
    numbers = [79160000001, 79160000002, 79160000003]
    assert [lookups.cached(number) for number in numbers] == [None, None, None]
    await lookups.resolve(numbers)
    assert [lookups.cached(number) for number in numbers] == ['mts', 'beeline', '']
    assert service.asked == [['79160000001', '79160000002', '79160000003']]


async def test_what_is_known_is_not_asked_again(service, make):
    lookups = make(service.url)
    await lookups.resolve([79160000001, 79160000003])
    await lookups.resolve([79160000001, 79160000003])
    assert len(service.requests) == 1


async def test_numbers_gather_while_requests_are_on_their_way(service, make):
    lookups = make(service.url, connections=1)
    service.gate.clear()
    lookups.ask([79160000001])
    await until(lambda: service.requests)
    waiting = [asyncio.create_task(lookups.resolve([79160000002 + number])) for number in range(9)]
    await until(lambda: lookups.states()[0].waiting == 9)
    service.gate.set()
    await asyncio.gather(*waiting)
    assert list(map(len, service.asked)) == [1, 9]


async def test_batches_are_no_larger_than_configured(service, make):
    lookups = make(service.url, batch=4)
    await lookups.resolve(range(79160000001, 79160000011))
    assert sorted(map(len, service.asked)) == [2, 4, 4]


async def test_connections_are_kept(service, make):
    lookups = make(service.url, connections=1)
    for number in range(79160000001, 79160000006):
        await lookups.resolve([number])
    assert (len(service.requests), service.connections) == (5, 1)


async def test_a_number_that_is_asked_about_already_is_waited_for(service, make):
    lookups = make(service.url)
    service.gate.clear()
    lookups.ask([79160000001])
    await until(lambda: service.requests)
    assert lookups.cached(79160000001) is None
    waiting = asyncio.create_task(lookups.resolve([79160000001]))
    service.gate.set()
    await waiting
    assert lookups.cached(79160000001) == 'mts'
    assert len(service.requests) == 1


async def test_only_numbers_with_its_prefixes_are_asked_at_a_service(service, make):
    lookups = make(service.url, prefixes=['7', '375'])
    assert lookups.cached(491512345678) == ''
    await lookups.resolve([491512345678, 375291234567])
    assert service.asked == [['375291234567']]


async def test_without_services_the_number_plan_decides_at_once(make):
    lookups = make()
    await lookups.resolve([79160000001])
    assert [lookups.cached(number) for number in (79160000001, 0, -1)] == ['', '', '']


async def test_a_get_service_is_asked_one_by_one(service, make):
    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        found = KNOWN.get(path.rpartition('/')[2])
        return (200, msgspec.json.encode({'data': {'operator': found}})) if found else (404, b'no such number')

    service.answer = answer
    lookups = make(service.url + '/{number}', field='data.operator')
    await lookups.resolve([79160000001, 79160000003])
    assert sorted(path for path, _, _ in service.requests) == ['/lookup/79160000001', '/lookup/79160000003']
    assert [lookups.cached(number) for number in (79160000001, 79160000003)] == ['mts', '']


@pytest.mark.parametrize(
    ('field', 'body', 'operator'),
    [
        ('', b' mTS\n', 'mts'),
        ('', b'"beeline"', 'beeline'),
        ('', b'', ''),
        ('operator', b'{"operator": "mTS"}', 'mts'),
        ('operator', b'{"operator": null}', ''),
        ('operator', b'{}', ''),
        ('a.b', b'{"a": ["b"]}', ''),
        ('mccmnc', b'{"mccmnc": 25001}', '25001'),
    ],
)
async def test_answers_to_get(service, make, field, body, operator):
    service.answer = lambda path, request: (200, body)
    lookups = make(service.url + '?n={number}', field=field)
    await lookups.resolve([79160000001])
    assert lookups.cached(79160000001) == operator
    assert lookups.states()[0].failed == 0


async def test_headers_go_with_requests_and_are_shown_nowhere(service, make, tmp_path):
    url = f'{service.url}?key=Secret-1'
    lookups = make({'url': url, 'headers': {'Authorization': 'Secret-2'}}, failures=1)
    service.answer = lambda path, body: (500, b'Secret-3')
    with structlog.testing.capture_logs() as logs:
        await lookups.resolve([79160000001])
    assert service.requests[0][1]['authorization'] == 'Secret-2'
    assert [log['event'] for log in logs] == ['mnp.service_rests']
    assert 'Secret' not in f'{logs} {lookups.states()}'


def test_a_change_of_secrets_is_shown_without_them(tmp_path):
    def loaded(key: str) -> configurations.Configuration:
        services = f'[{{url: "https://user:{key}@h/p?{key}", headers: {{x: {key}}}}}]'
        (tmp_path / 'smsc.yaml').write_text(f'mnp: {{services: {services}}}')
        return configurations.load(tmp_path / 'smsc.yaml', {})

    lines = configurations.diff(loaded('Secret-1'), loaded('Secret-2'))
    assert len(lines) == 1
    assert 'Secret' not in lines[0]


# What goes wrong


async def test_what_is_late_is_decided_by_the_number_plan_and_known_to_later_messages(service, make):
    lookups = make(service.url, wait_ms=20)
    service.gate.clear()
    await lookups.resolve([79160000001])
    assert lookups.cached(79160000001) is None  # still on its way: the caller goes on without
    service.gate.set()
    await until(lambda: lookups.cached(79160000001) == 'mts')


async def test_a_service_that_hangs_is_given_up(service, make):
    lookups = make(service.url, timeout_ms=20)
    service.gate.clear()
    await lookups.resolve([79160000001])
    assert lookups.cached(79160000001) == ''
    assert lookups.states()[0].failed == 1


async def test_a_service_that_hangs_holds_up_nobody_else(start_service, make):
    slow, fast = await start_service(), await start_service()
    slow.gate.clear()
    lookups = make({'url': slow.url, 'prefixes': ['375']}, {'url': fast.url, 'prefixes': ['7']})
    waiting = asyncio.create_task(lookups.resolve([375291234567]))
    await until(lambda: slow.requests)
    await lookups.resolve([79160000001])
    assert lookups.cached(79160000001) == 'mts'
    assert not waiting.done()
    slow.gate.set()
    await waiting


BAD_ANSWERS = {
    'status': (503, b'{"numbers": {"79160000001": "bad"}}'),
    'redirect': (302, b'{"numbers": {"79160000001": "bad"}}'),
    'no JSON': (200, b'<html>'),
    'other JSON': (200, b'[]'),
    'no numbers': (200, b'{}'),
    'a list': (200, b'{"numbers": ["bad"]}'),
    'an object': (200, b'{"numbers": {"79160000001": {"a": "bad"}}}'),
    'too long a name': (200, b'{"numbers": {"79160000001": "' + b'x' * 65 + b'"}}'),
    'control characters': (200, b'{"numbers": {"79160000001": "b\\u0000ad\\n"}}'),
    'too large': (200, b'{"numbers": {"79160000001": "bad"}}' + b' ' * (1 << 20)),
    'deep': (200, b'[' * 100_000),
}


@pytest.mark.parametrize('kind', BAD_ANSWERS)
async def test_of_a_bad_answer_nothing_is_used_and_the_next_service_is_asked(start_service, make, kind):
    bad, good = await start_service(), await start_service()
    bad.answer = lambda path, body: BAD_ANSWERS[kind]
    lookups = make(bad.url, good.url)
    await lookups.resolve([79160000001, 79160000003])
    assert [lookups.cached(number) for number in (79160000001, 79160000003)] == ['mts', '']
    assert [state.failed for state in lookups.states()] == [1, 0]


async def test_what_was_not_asked_about_is_not_believed(service, make):
    service.answer = lambda path, body: (200, b'{"numbers": {"79160000001": "mTS", "79169999999": "bad"}}')
    lookups = make(service.url)
    await lookups.resolve([79160000001])
    assert lookups.cached(79169999999) is None


async def test_a_service_that_is_not_there_is_a_failure_as_any(make):
    lookups = make(f'http://127.0.0.1:{free_port()}/')
    await lookups.resolve([79160000001])
    assert lookups.cached(79160000001) == ''


async def test_a_service_that_fails_again_and_again_rests_and_is_tried_again(service, make):
    service.answer = lambda path, body: (500, b'')
    lookups = make(service.url, failures=3, rest_s=0.05)
    for number in range(79160000001, 79160000004):
        assert lookups.cached(number) is None
        await lookups.resolve([number])
    assert lookups.states()[0].rests
    assert lookups.cached(79160000004) == ''  # the number plan decides, nobody is asked
    await lookups.resolve([79160000004])
    assert len(service.requests) == 3
    service.answer = service.answer_numbers
    await until(lambda: not lookups.states()[0].rests)
    assert lookups.cached(79160000005) is None
    await lookups.resolve([79160000005])
    assert lookups.cached(79160000005) == ''
    assert lookups.states()[0].answered == 1


async def test_one_failure_after_a_rest_is_enough_for_the_next(service, make):
    service.answer = lambda path, body: (500, b'')
    lookups = make(service.url, failures=2, rest_s=0.05)
    await lookups.resolve([79160000001])
    await lookups.resolve([79160000002])
    await until(lambda: not lookups.states()[0].rests)
    await lookups.resolve([79160000004])
    assert len(service.requests) == 3
    assert lookups.states()[0].rests


async def test_what_waits_for_a_service_that_begins_to_rest_goes_to_the_next(start_service, make):
    bad, good = await start_service(), await start_service()
    bad.gate.clear()
    bad.answer = lambda path, body: (500, b'')
    lookups = make(bad.url, good.url, failures=1, connections=1, batch=1, timeout_ms=2_000)
    waiting = asyncio.create_task(lookups.resolve(range(79160000001, 79160000006)))
    await until(lambda: bad.requests)
    bad.gate.set()
    await waiting
    assert lookups.cached(79160000001) == 'mts'
    assert (len(bad.requests), len(good.requests)) == (1, 5)


async def test_more_numbers_than_a_service_can_answer_in_time_do_not_queue(service, make):
    service.gate.clear()
    lookups = make(service.url, batch=2, connections=1, wait_ms=1_000, timeout_ms=1_000)
    lookups.ask(range(79160000001, 79160000100))
    assert lookups.states()[0].waiting == 20  # a second is ten requests of two numbers, as long as nothing is known
    assert lookups.cached(79160000050) == ''
    service.gate.set()


async def test_the_queue_of_a_service_is_as_long_as_it_is_fast(service, make):
    lookups = make(service.url, batch=1, connections=1, wait_ms=200, timeout_ms=20, failures=1_000)
    service.gate.clear()
    for number in range(79160000001, 79160000021):
        await lookups.resolve([number])
    lookups.ask(range(79161000001, 79161000100))
    assert lookups.states()[0].waiting <= 11
    service.gate.set()


async def test_memory_holds_so_many_answers_and_no_more(service, make):
    lookups = make(service.url, cache=1_000, batch=10_000)
    await lookups.resolve(range(79160000001, 79160001001))
    lookups.cached(79160000001)
    await lookups.resolve([79160002000])
    assert lookups.cached(79160000001) == 'mts'  # asked for lately
    assert lookups.cached(79160000002) is None  # the first of those that were not


async def test_who_waits_goes_on_when_it_ends(service, make):
    service.gate.clear()
    lookups = make(service.url)
    waiting = asyncio.create_task(lookups.resolve([79160000001]))
    await until(lambda: service.requests)
    await lookups.close()
    await waiting


# Redis


@pytest.fixture
async def redis():
    program = shutil.which('redis-server')
    if program is None:
        pytest.skip('redis-server is not installed')
    server = RedisServer(program)
    await server.start()
    yield server
    server.stop()


async def test_what_one_node_was_answered_another_need_not_ask(service, make, redis):
    numbers = [79160000001, 79160000003]
    await make(service.url, redis=redis.url).resolve(numbers)
    other = make(service.url, redis=redis.url)
    await other.resolve([*numbers, 79160000002])
    assert [other.cached(number) for number in (*numbers, 79160000002)] == ['mts', '', 'beeline']
    assert service.asked == [['79160000001', '79160000003'], ['79160000002']]


async def test_redis_forgets_when_memory_does(service, make, redis):
    await make(service.url, redis=redis.url, cache_h=2, negative_cache_h=1).resolve([79160000001, 79160000003])
    assert 7_000 < int((await redis.run('TTL', 'smsc:mnp:79160000001'))[1:]) <= 7_200
    assert 3_400 < int((await redis.run('TTL', 'smsc:mnp:79160000003'))[1:]) <= 3_600


@pytest.mark.parametrize('value', ['x' * 65, 'b\nad', ''])
async def test_what_redis_says_is_checked(service, make, redis, value):
    await redis.run('SET', 'smsc:mnp:79160000001', value)
    lookups = make(service.url, redis=redis.url)
    await lookups.resolve([79160000001])
    assert lookups.cached(79160000001) == 'mts'


async def test_without_redis_services_are_asked(service, make, redis):
    redis.stop()
    lookups = make(service.url, redis=redis.url)
    await lookups.resolve([79160000001])
    assert lookups.cached(79160000001) == 'mts'
    await lookups.resolve([79160000002])
    assert lookups.cached(79160000002) == 'beeline'


async def test_a_redis_that_dies_meanwhile_is_done_without(service, make, redis):
    lookups = make(service.url, redis=redis.url)
    await lookups.resolve([79160000001])
    redis.stop()
    await lookups.resolve([79160000002])
    assert lookups.cached(79160000002) == 'beeline'


async def test_without_a_proper_url_redis_is_done_without(service, make):
    with structlog.testing.capture_logs() as logs:
        lookups = make(service.url, redis='redis://:Secret@h:99999999/0')
    await lookups.resolve([79160000001])
    assert lookups.cached(79160000001) == 'mts'
    assert [log['event'] for log in logs] == ['mnp.redis_unusable']
    assert 'Secret' not in str(logs)


# Configuration


@pytest.mark.parametrize(
    ('service', 'key'),
    [
        ('{url: "ftp://h"}', 'url'),
        ('{url: h}', 'url'),
        ('{url: "http://h", timeout_ms: 0}', 'timeout_ms'),
        ('{url: "http://h", prefixes: ["+7"]}', 'prefixes'),
        ('{url: "http://h", batch: 0}', 'batch'),
        ('{url: "http://h", headers: {x: [1]}}', 'headers'),
        ('{}', 'url'),
    ],
)
def test_mistakes_in_services_are_told(tmp_path, service, key):
    (tmp_path / 'smsc.yaml').write_text(f'mnp:\n  services:\n  - {service}\n')
    with pytest.raises(configurations.ConfigurationError, match=rf'smsc.yaml:3: mnp.services\[0\].{key}: '):
        configurations.load(tmp_path / 'smsc.yaml', {})


def test_what_is_no_redis_is_told_without_its_password(tmp_path):
    (tmp_path / 'smsc.yaml').write_text('store:\n  redis: http://:Secret@h\n')
    with pytest.raises(configurations.ConfigurationError, match=r'smsc.yaml:2: store.redis: ') as raised:
        configurations.load(tmp_path / 'smsc.yaml', {})
    assert 'Secret' not in str(raised.value)


def test_a_service_says_its_name_without_keys():
    service = MnpServiceConfig(url='https://me:Secret@lookup.example/v1/{number}?key=Secret', headers={'x': 'Secret'})
    assert f'{service} {service!r}' == 'https://lookup.example/v1/{number} https://lookup.example/v1/{number}'
