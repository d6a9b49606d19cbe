"""Who may bind, and that those who may not cost little: hashes are bounded, shared and dropped when nobody waits."""

import asyncio
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import argon2
import pytest

from pdu.pdus import BindTransceiver
from pdu.status import CommandStatus
from smsc.binds import CONCURRENT_HASHES, SHARING_BOUND, WAITING_BOUND, WAITING_BOUND_OF_ADDRESS, Authenticator
from smsc.config.schema import AccountConfig
from tests.product.waiting import TIMEOUT_S

PASSWORD = b'Zq7-esme'
HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
HASH = HASHER.hash(PASSWORD)
OTHER_HASH = HASHER.hash(b'other')
ROK = CommandStatus.ESME_ROK
REFUSED = CommandStatus.ESME_RBINDFAIL
WRONG = CommandStatus.ESME_RINVPASWD
HERE = '192.0.2.1'


def config(**changes: Any) -> AccountConfig:
    fields: dict[str, Any] = {'name': 'bank', 'system_id': 'bank', 'password_hash': HASH, 'binds': 1000}
    return AccountConfig(**(fields | changes))


class Bench:
    """An authenticator of one account, whose threads are all taken until `go`; then the real hashes are verified."""

    def __init__(self) -> None:
        self.core = SimpleNamespace(loop=asyncio.get_running_loop(), draining=False)
        self.authenticator = Authenticator(self.core)  # type: ignore[arg-type]
        self.account = SimpleNamespace(config=config(), sessions=set())
        self.hashed: list[bytes] = []
        self._verify = self.authenticator._verify
        self.authenticator._verify = self._note  # type: ignore[method-assign]
        self.configure(self.account.config)

    def _note(self, password_hash, password):
        self.hashed.append(password)
        return self._verify(password_hash, password)

    def configure(self, changed):
        self.account.config = changed
        accounts: list[Any] = [self.account] if changed is not None else []
        self.authenticator.configure(accounts)

    async def hold(self):
        for _ in range(CONCURRENT_HASHES):
            await self.authenticator._threads.acquire()

    def go(self):
        for _ in range(CONCURRENT_HASHES):
            self.authenticator._threads.release()

    async def check(self, password=PASSWORD, address=HERE, wanted=lambda: True):
        bind = BindTransceiver(1, system_id=b'bank', password=password)
        async with asyncio.timeout(TIMEOUT_S):
            account, status = await self.authenticator.check(bind, address, wanted)
        assert (account is self.account) is (status == ROK)
        return status

    async def begin(self, *checks):
        """Start checks; they have come as far as they can."""
        tasks = [asyncio.create_task(check) for check in checks]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return tasks


@pytest.fixture
async def bench():
    return Bench()


async def test_a_password_is_hashed_once_and_a_reload_forgets_nothing(bench):
    assert await bench.check() == ROK
    bench.configure(config(window=99))
    assert await bench.check() == ROK
    assert bench.hashed == [PASSWORD]
    assert await bench.check(b'wrong') == WRONG


@pytest.mark.wire('B22')
async def test_binds_beyond_the_waiting_hashes_are_refused_at_once(bench):
    await bench.hold()
    wrong = [bench.check(b'wrong%d' % n, f'192.0.2.{n // WAITING_BOUND_OF_ADDRESS}') for n in range(WAITING_BOUND)]
    tasks = await bench.begin(*wrong)
    assert await bench.check(address='198.51.100.1') == REFUSED
    bench.go()
    assert await asyncio.gather(*tasks) == [WRONG] * WAITING_BOUND
    assert await bench.check(address='198.51.100.1') == ROK


@pytest.mark.wire('B22')
async def test_one_address_leaves_hashes_to_others(bench):
    await bench.hold()
    tasks = await bench.begin(*(bench.check(b'wrong%d' % n) for n in range(WAITING_BOUND_OF_ADDRESS)))
    assert await bench.check(b'wrong too') == REFUSED
    tasks += await bench.begin(bench.check(address='198.51.100.1'))
    bench.go()
    assert await asyncio.gather(*tasks) == [WRONG] * WAITING_BOUND_OF_ADDRESS + [ROK]
    assert not bench.authenticator._waiting


@pytest.mark.wire('B22')
async def test_hashes_of_sessions_that_have_ended_are_skipped(bench):
    await bench.hold()
    tasks = await bench.begin(*(bench.check(b'wrong%d' % n, wanted=lambda: False) for n in range(5)))
    tasks += await bench.begin(bench.check())
    bench.go()
    assert await asyncio.gather(*tasks) == [REFUSED] * 5 + [ROK]
    assert bench.hashed == [PASSWORD]


async def test_all_sessions_of_an_esme_may_bind_at_once(bench):
    await bench.hold()
    tasks = await bench.begin(bench.check(wanted=lambda: False), *(bench.check() for _ in range(200)))
    bench.go()
    assert await asyncio.gather(*tasks) == [ROK] * 201
    assert bench.hashed == [PASSWORD]


async def test_binds_that_share_a_hash_are_bounded_too(bench):
    await bench.hold()
    tasks = await bench.begin(*(bench.check() for _ in range(SHARING_BOUND)))
    assert await bench.check() == REFUSED
    bench.go()
    assert await asyncio.gather(*tasks) == [ROK] * SHARING_BOUND


@pytest.mark.parametrize(
    ('changed', 'status'),
    [
        (None, REFUSED),
        (config(password_hash=OTHER_HASH), REFUSED),
        (config(password_hash=None, password='other'), REFUSED),
        (config(enabled=False), REFUSED),
        (config(bind_types=('receiver',)), REFUSED),
        (config(window=99), ROK),
    ],
    ids=['removed', 'other hash', 'password', 'disabled', 'bind type', 'window'],
)
async def test_a_reload_while_the_password_is_checked_holds_for_the_bind(bench, changed, status):
    await bench.hold()
    (task,) = await bench.begin(bench.check())
    bench.configure(changed)
    bench.go()
    assert await task == status


@pytest.mark.parametrize(
    ('address', 'status'),
    [('192.0.2.7', ROK), ('::ffff:192.0.2.7', ROK), ('::ffff:198.51.100.7', REFUSED), ('2001:db8::1', REFUSED)],
)
async def test_an_ipv4_address_on_an_ipv6_port_is_the_address_it_is(bench, address, status):
    bench.configure(config(allow_from=(ip_network('192.0.2.0/24'),)))
    assert await bench.check(address=address) == status
