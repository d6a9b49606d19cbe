"""Reloads under load, in short: what `python -m perf.reload` does, and that it sees what goes wrong."""

import argparse
from typing import Any

import msgspec
import pytest

from perf.bench import Settlement
from perf.reload import changed, is_good, run, tabulate


@pytest.mark.wire('G7')
async def test_reloads_under_load_drop_nothing_answer_nothing_wrong_and_refuse_a_broken_file():
    report = await run(argparse.Namespace(reloads=3, rate=300.0, reload_s=0.3))
    assert is_good(report), tabulate(report)
    assert (report.reloads, report.refused_files, report.probes) == (3, 1, 3)
    assert report.load.ok > 300
    worse = {
        'a session was dropped': msgspec.structs.replace(report, load=replaced(report.load, disconnects=1)),
        'a message was refused': msgspec.structs.replace(report, load=replaced(report.load, refused={'0x58': 1})),
        'a message was lost': msgspec.structs.replace(report, settlement=Settlement(lost=1)),
        'a probe was answered wrongly': msgspec.structs.replace(report, wrong=['reload 1: the probe']),
    }
    assert [what for what, report in worse.items() if is_good(report)] == []


def replaced(load, **changes):
    """A result of a load with other figures."""
    return msgspec.structs.replace(load, **changes)


def test_each_reload_changes_routes_accounts_and_limits_and_leaves_the_load_alone():
    tree: dict[str, Any] = {'routes': [{'name': 'all'}], 'accounts': {'load': {'password': 'secret'}}}
    one, two = changed(tree, 1, 'ESME_RSUBMITFAIL'), changed(tree, 2, 'ESME_RINVDSTADR')
    assert one['routes'][:1] != two['routes'][:1]
    assert len(one['routes']) < len(two['routes'])
    assert set(one['accounts']) != set(two['accounts'])
    assert one['routes'][-1:] == two['routes'][-1:] == tree['routes']
    assert one['accounts']['load'] == two['accounts']['load'] == tree['accounts']['load']
