"""The load and the simulated operator of perf/ over TLS."""

import pytest

from perf.certificates import Authority
from perf.load import Load, LoadError, LoadSettings
from perf.operator import Operator, OperatorSettings


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
async def operator(authority):
    issued = authority.issue('127.0.0.1')
    found = Operator(OperatorSettings(tls_certificate=issued.certificate, tls_key=issued.key))
    yield found, await found.start()
    await found.stop()


async def test_a_load_on_an_operator_over_tls_gets_all_responses_and_receipts(operator, authority):
    found, port = operator
    result = await Load(LoadSettings(port=port, tls_ca=authority.certificate, messages=200, binds=2)).run()
    assert (result.ok, result.receipts, result.unanswered) == (200, {'DELIVRD': 200}, 0)
    assert found.counters.accepted == 200


async def test_a_load_trusts_no_other_authority(operator, tmp_path):
    stranger = Authority(tmp_path / 'stranger', 'stranger')
    with pytest.raises(LoadError, match='certificate verify failed'):
        await Load(LoadSettings(port=operator[1], tls_ca=stranger.certificate, messages=1)).run()
