"""The short form of the trial by faults: everything is killed under load once, the server four times."""

import pytest

from tests.faults.bench import FaultBench
from tests.faults.trial import Fault, Plan, Trial, settings

SHORT = {Fault.SERVER: 4, Fault.POSTGRES: 1}
OTHERS = {Fault.START: 1, Fault.BACKEND: 1, Fault.STALL: 1, Fault.OPERATOR: 1, Fault.LINKS: 1, Fault.BINDS: 1}


async def try_out(plan, folder):
    async with FaultBench(settings(folder=folder)) as bench:
        trial = Trial(bench, plan)
        return trial, await trial.run()


async def test_kills_of_the_server_and_of_postgresql_lose_nothing_and_repeat_no_more_than_windows_hold(tmp_path):
    trial, verdict = await try_out(Plan(seed=1, faults=SHORT, between=(50, 600)), tmp_path)
    assert verdict.wrong == []
    assert trial.done == SHORT
    assert verdict.ok > 1_000
    assert verdict.stored >= verdict.ok
    assert verdict.duplicate_submits, 'no kill fell into traffic, so nothing was tried'


@pytest.mark.parametrize('seed', [2])
async def test_other_faults_under_load_lose_nothing_either(tmp_path, seed):
    trial, verdict = await try_out(Plan(seed=seed, faults=OTHERS, between=(50, 600)), tmp_path)
    assert verdict.wrong == []
    assert trial.done == OTHERS
