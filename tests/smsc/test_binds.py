"""Who may bind, and that those who may not cost little: hashes are bounded, shared and dropped when nobody waits."""

import asyncio
import hmac
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import argon2
import pytest

from pdu.pdus import BindTransceiver
from pdu.status import CommandStatus
from smsc.binds import CONCURRENT_HASHES, SHARING_BOUND, WAITING_BOUND, WAITING_BOUND_OF_ADDRESS, Authenticator
from smsc.config.schema import AccountConfig, SmppConfig
from tests.product.waiting import TIMEOUT_S

PASSWORD = b'Zq7-esme'
HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
HASH = HASHER.hash(PASSWORD)
OTHER_HASH = HASHER.hash(b'other')
ROK = CommandStatus.ESME_ROK
REFUSED = CommandStatus.ESME_RBINDFAIL
WRONG = CommandStatus.ESME_RINVPASWD
HERE = '192.0.2.1'
THERE = '198.51.100.1'
START = 1000.0


def config(**changes: Any) -> AccountConfig:
    fields: dict[str, Any] = {'name': 'bank', 'system_id': 'bank', 'password_hash': HASH, 'binds': 1000}
    return AccountConfig(**(fields | changes))


class Bench:
    """An authenticator of one account, whose threads are all taken until `go`; then the real hashes are verified."""

    def __init__(self) -> None:
        self.now = START
        running = asyncio.get_running_loop()
        loop = SimpleNamespace(
            time=lambda: self.now, create_future=running.create_future, run_in_executor=running.run_in_executor
        )
        configuration = SimpleNamespace(smpp=SmppConfig(failed_binds_per_s=0))
        alone = SimpleNamespace(between=None)
        self.core = SimpleNamespace(loop=loop, draining=False, configuration=configuration, cluster=alone)
        self.authenticator = Authenticator(self.core)  # type: ignore[arg-type]
        self.account = SimpleNamespace(config=config(), sessions=set())
        self.hashed: list[bytes] = []
        self._verify = self.authenticator._verify
        self.authenticator._verify = self._note  # type: ignore[method-assign]
        self.configure(self.account.config)

    def _note(self, password_hash, password):
        self.hashed.append(password)
        return self._verify(password_hash, password)

    def smpp(self, **changes):
        self.core.configuration.smpp = SmppConfig(**{'failed_binds_per_s': 0} | changes)

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

    async def check(self, password=PASSWORD, address=HERE, wanted=lambda: True, system_id=b'bank'):
        bind = BindTransceiver(1, system_id=system_id, password=password)
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
    made = Bench()
    yield made
    made.authenticator.close()


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


# Refused binds of an address


@pytest.mark.wire('B22')
async def test_beyond_the_rate_of_refusals_no_hash_is_looked_at_for_an_address(bench):
    bench.smpp(failed_binds_per_s=3)
    for n in range(20):
        await bench.check(b'wrong%d' % n)
    assert len(bench.hashed) == 3
    assert await bench.check() == REFUSED
    assert await bench.check(address=THERE) == ROK
    assert bench.hashed[3:] == [PASSWORD]


@pytest.mark.wire('B22')
async def test_a_password_that_was_good_before_binds_from_a_flooding_address(bench):
    bench.smpp(failed_binds_per_s=3)
    assert await bench.check() == ROK
    for n in range(20):
        await bench.check(b'wrong%d' % n)
    assert await bench.check() == ROK
    bench.configure(config(password_hash=None, password='plain'))
    assert await bench.check(b'plain') == ROK


@pytest.mark.wire('B22')
async def test_an_address_that_floods_no_more_is_looked_at_again(bench):
    bench.smpp(failed_binds_per_s=3)
    for n in range(20):
        await bench.check(b'wrong%d' % n)
    bench.now += 1
    assert await bench.check() == ROK


@pytest.mark.wire('B22')
async def test_sessions_that_do_not_wait_for_the_answer_are_counted_all_the_same(bench):
    bench.smpp(failed_binds_per_s=3)
    for n in range(20):
        await bench.check(b'wrong%d' % n, wanted=lambda: False)
    assert await bench.check() == REFUSED
    assert bench.authenticator.refused == 21


@pytest.mark.wire('B22')
async def test_hashes_under_way_count_as_refusals_to_come(bench):
    bench.smpp(failed_binds_per_s=3)
    await bench.hold()
    tasks = await bench.begin(*(bench.check(b'wrong%d' % n) for n in range(3)))
    assert await bench.check() == REFUSED
    bench.go()
    assert await asyncio.gather(*tasks) == [WRONG] * 3


@pytest.mark.wire('B22')
async def test_after_many_refusals_hashes_of_an_address_are_looked_at_one_by_one(bench):
    bench.smpp(failed_binds_per_s=8)
    for n in range(5):
        await bench.check(b'wrong%d' % n)
    await bench.hold()
    tasks = await bench.begin(bench.check())
    assert await bench.check(b'wrong too') == REFUSED
    tasks += await bench.begin(bench.check(b'not here', address=THERE))
    bench.go()
    assert await asyncio.gather(*tasks) == [ROK, WRONG]


async def test_a_flood_is_logged_once_a_second(bench, capfd):
    bench.smpp(failed_binds_per_s=3)
    for n in range(100):
        await bench.check(b'wrong%d' % n)
    out, err = capfd.readouterr()
    assert (out + err).count('bind.refused') == 3
    assert (out + err).count('bind.flood') == 1


async def test_a_system_id_cannot_write_lines_of_the_log(bench, capfd):
    await bench.check(system_id=b'x\n\x1b[2Jbind.ok')
    out, err = capfd.readouterr()
    assert r'x\n\x1b[2Jbind.ok' in out + err


@pytest.mark.wire('B24')
@pytest.mark.parametrize(('long_passwords', 'status'), [(True, ROK), (False, WRONG)])
async def test_a_password_of_more_than_8_characters_is_taken_where_that_is_configured(bench, long_passwords, status):
    bench.smpp(long_passwords=long_passwords)
    for password in (b'123456789', b'p' * 64):
        bench.configure(config(password_hash=None, password=password.decode()))
        assert await bench.check(password) == status
    bench.configure(config(password_hash=None, password='12345678'))
    assert await bench.check(b'12345678') == ROK


@pytest.mark.wire('B4')
@pytest.mark.parametrize(
    ('bind_errors', 'answers'),
    [('exact', [WRONG, CommandStatus.ESME_RINVSYSID, REFUSED]), ('same', [REFUSED] * 3)],
)
async def test_what_was_wrong_is_told_or_not(bench, bind_errors, answers):
    bench.smpp(bind_errors=bind_errors)
    statuses = [await bench.check(b'wrong'), await bench.check(system_id=b'nobody')]
    bench.configure(config(enabled=False))
    statuses.append(await bench.check())
    assert [bench.authenticator.answer(status) for status in statuses] == answers


@pytest.mark.wire('B23')
async def test_octets_from_outside_are_compared_in_constant_time_as_digests_of_one_size(bench, monkeypatch):
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def note(one, other):
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, 'compare_digest', note)
    bench.configure(config(password_hash=None, password='plain'))
    assert await bench.check(b'plain') == ROK
    assert await bench.check(b'p' * 60) == WRONG
    assert await bench.check(b'plain', system_id=b'nobody') == CommandStatus.ESME_RINVSYSID
    assert compared == [(32, 32)] * 3


@pytest.mark.wire('B4', 'B23')
@pytest.mark.parametrize(('errors', 'hashed'), [('exact', 0), ('same', 1)])
async def test_where_it_is_to_be_hidden_a_system_id_that_nobody_has_costs_a_hash_too(bench, errors, hashed):
    bench.smpp(bind_errors=errors)
    assert await bench.check(system_id=b'stranger') == CommandStatus.ESME_RINVSYSID
    assert len(bench.hashed) == hashed
