"""The short form of the fault matrix: each kind of fault once, several on one plant, with one seed.

`python -m tests.faults.matrix` has them all, longer and with more traffic.
"""

import msgspec
import pytest

from tests.faults.catalogue import CATALOGUE, Act, Kind
from tests.faults.matrix import Group, groups, run_group, settings_of, why_not
from tests.faults.trial import Pace

SEED = 1
PACE = Pace(rate_per_s=600, between=(30, 200), after=60, patience_s=20)

PROCESSES = [(Act.KILL, 'node'), (Act.KILL_BACKEND, 'postgres'), (Act.KILL, 'operator'), (Act.KILL, 'esme'),
             (Act.KILL, 'postgres'), (Act.PAUSE, 'postgres'), (Act.RESTART, 'node')]  # fmt: skip
LEGS = [(Act.CUT, 'esme'), (Act.REFUSE, 'operator'), (Act.REFUSE, 'postgres'), (Act.HOLD_BACK, 'operator'),
        (Act.HOLD_FORTH, 'postgres'), (Act.SLOW, 'postgres'), (Act.DELAY, 'operator'),
        (Act.VANISH, 'esme')]  # fmt: skip
PRIVATE = [(Act.KILL_STARTING, 'node'), (Act.KILL, 'postgres')]
ODD = [(Act.FILL, 'postgres'), (Act.STEP, 'node')]
OF_TWO = [(Act.KILL, 'node'), (Act.PAUSE, 'node'), (Act.RESTART_ALL, 'node'), (Act.REFUSE, 'postgres'),
          (Act.KILL, 'redis'), (Act.CUT, 'redis'), (Act.HOLD, 'redis')]  # fmt: skip
LONGEST_S = 1.2


def shortened(nodes, kind, wanted):
    """The faults of the catalogue that are wanted, the shortest of each; a dead node's work is taken over."""
    found = []
    for act, on in wanted:
        some = [f for f in CATALOGUE if (f.act, f.on, f.kind) == (act, on, kind) and nodes in f.nodes]
        fault = min(some, key=lambda fault: fault.for_s)
        if nodes > 1 and (act, on) == (Act.KILL, 'node'):
            fault = max(some, key=lambda fault: fault.for_s)
        elif fault.for_s[1] > LONGEST_S:
            fault = msgspec.structs.replace(fault, for_s=(0.6, LONGEST_S))
        found.append(fault)
    return Group(nodes, SEED, kind, tuple(found))


async def try_all(group, folder):
    outcomes = await run_group(group, PACE, settings_of(group, folder, fsync=False), lambda line: None)
    assert {outcome.fault: outcome.wrong for outcome in outcomes} == {fault.name: [] for fault in group.faults}
    assert all(outcome.verdict is not None and outcome.verdict.ok for outcome in outcomes)
    return {outcome.fault: outcome for outcome in outcomes}


@pytest.mark.wire('G10')
async def test_no_process_that_dies_or_stands_still_takes_a_message_with_it(tmp_path):
    await try_all(shortened(1, Kind.USUAL, PROCESSES), tmp_path)


async def test_no_connection_that_breaks_or_goes_slow_takes_a_message_with_it(tmp_path):
    await try_all(shortened(1, Kind.USUAL, LEGS), tmp_path)


async def test_a_node_and_its_private_postgresql_lose_nothing_when_they_die_while_they_start(tmp_path):
    await try_all(shortened(1, Kind.PRIVATE, PRIVATE), tmp_path)


async def test_a_full_disk_and_a_clock_that_is_set_lose_nothing(tmp_path):
    if reason := why_not(Kind.ODD):
        pytest.skip(reason)
    await try_all(shortened(1, Kind.ODD, ODD), tmp_path)


@pytest.mark.wire('G9', 'G10')
async def test_two_nodes_lose_nothing_with_redis_or_without_and_take_over_from_each_other(tmp_path):
    await try_all(shortened(2, Kind.USUAL, OF_TWO), tmp_path)


def test_the_catalogue_has_each_fault_once_and_a_seed_orders_it_the_same_again():
    assert len({fault.name for fault in CATALOGUE}) == len(CATALOGUE)
    assert groups(CATALOGUE, [1, 2], [1, 2]) == groups(CATALOGUE, [1, 2], [1, 2])
    assert groups(CATALOGUE, [1], [1])[0].faults != groups(CATALOGUE, [1], [2])[0].faults
