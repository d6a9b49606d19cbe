"""The scenario `decisions` measures what it says; its short form, without the base of ported numbers."""

import json
import subprocess
import sys
from typing import Any

from perf.decisions import measure, table_cases


def test_each_case_is_decided_for_every_message():
    for case in table_cases():
        decided: list[Any] = []
        decide = case.decide
        case.decide = lambda facts, to=decided, by=decide: to.append(by(facts))  # type: ignore[misc]
        assert measure(case, count=50, repeats=1).us > 0
        assert len(decided) == 100
        assert all(decision.upstreams for decision in decided)


def test_the_command_prints_figures():
    command = [sys.executable, '-m', 'perf.decisions', '--messages', '50', '--json']
    done = subprocess.run(command, capture_output=True, check=True)
    assert [figure['name'] for figure in json.loads(done.stdout)] == ['routes, 10 rules', 'routes, 10,000 rules']
