"""The flood of `perf.flood` in short, without figures: good binds succeed, wrong ones are refused, few looked at."""

import asyncio

import argon2
import pytest

from perf.flood import HERE, PASSWORD, THERE, Flood, try_bind
from tests.product.running import upstream
from tests.product.waiting import until

LOOKED_AT_PER_S = 5
HALF_OPEN = 100


@pytest.mark.wire('A21', 'B22')
async def test_good_binds_succeed_amid_half_open_connections_and_wrong_binds(product, start_smsc, monkeypatch):
    smsc = await start_smsc()
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    hashed = {'password_hash': hasher.hash(PASSWORD), 'binds': 10}
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        accounts={'load': {'password': PASSWORD}, 'vault': hashed, 'unseen': dict(hashed)},
        smpp={'failed_binds_per_s': LOOKED_AT_PER_S},
    )
    authenticator = found.node.authenticator
    looked_at: list[bytes] = []
    verify = authenticator._verify

    def note(password_hash, password):
        looked_at.append(password)
        return verify(password_hash, password)

    monkeypatch.setattr(authenticator, '_verify', note)
    assert (await try_bind(found.port, 'vault', PASSWORD))[0] == 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with Flood(found.port, HALF_OPEN, 200) as flood:
        await until(lambda: flood.answers.total() >= 100)
        for system_id, source in (('load', HERE), ('vault', HERE), ('unseen', THERE)):
            assert (await try_bind(found.port, system_id, PASSWORD, source))[0] == 0, system_id
        assert flood.standing == HALF_OPEN
    assert set(flood.answers) == {'ESME_RINVSYSID', 'ESME_RINVPASWD', 'ESME_RBINDFAIL'}
    assert len(looked_at) <= LOOKED_AT_PER_S * (loop.time() - began + 1) + 2  # the 2: both good ones
