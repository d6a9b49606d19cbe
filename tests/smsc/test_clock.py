"""The clock: what a step of the system's does to it, and how it follows."""

import pytest
from structlog.testing import capture_logs

from smsc.clock import SECOND_NS, Clock, Sources

HOUR_S = 3_600
BEGAN_S = 1_800_000_000
TICK_NS = SECOND_NS // 2


class Machine:
    """A machine whose clocks a test sets."""

    def __init__(self, system_s=BEGAN_S):
        self.steady, self.system = 5 * SECOND_NS, system_s * SECOND_NS
        self.clock = Clock(Sources(lambda: self.system, lambda: self.steady))

    def pass_time(self, seconds):
        """Lets time pass; the clock is looked after as in a server."""
        for _ in range(int(seconds * SECOND_NS // TICK_NS)):
            self.steady += TICK_NS
            self.system += TICK_NS
            self.clock.follow()

    def step(self, seconds):
        """Sets the system's clock."""
        self.system += int(seconds * SECOND_NS)

    @property
    def wall_s(self):
        return self.clock.wall_ms() / 1_000


def test_it_is_the_systems_clock_as_long_as_nobody_sets_that():
    machine = Machine()
    machine.pass_time(HOUR_S)
    assert machine.wall_s == BEGAN_S + HOUR_S
    assert machine.clock.ahead_ms() == 0


@pytest.mark.wire('G17')
@pytest.mark.parametrize('step', [HOUR_S, -HOUR_S])
def test_a_step_of_an_hour_changes_nothing_at_once_and_is_followed_within_20_hours(step):
    machine = Machine()
    with capture_logs() as logs:
        machine.step(step)
        assert machine.wall_s == BEGAN_S
        machine.pass_time(60)
    assert abs(machine.wall_s - BEGAN_S - 60) <= 3
    assert [entry['event'] for entry in logs] == ['clock.step']
    machine.pass_time(20 * HOUR_S)
    assert machine.clock.ahead_ms() == 0


@pytest.mark.wire('G17')
@pytest.mark.parametrize('step', [1, -1, HOUR_S, -HOUR_S, -90 * 86_400])
def test_time_only_rises_and_never_runs_more_than_a_twentieth_too_fast_or_slow(step):
    machine = Machine()
    machine.step(step)
    for _ in range(200):
        before = machine.wall_s
        machine.pass_time(0.5)
        assert 0.5 * 0.95 - 0.002 <= machine.wall_s - before <= 0.5 * 1.05 + 0.002


def test_a_clock_that_is_set_back_again_was_followed_for_seconds_only():
    machine = Machine()
    machine.step(HOUR_S)
    machine.pass_time(120)
    machine.step(-HOUR_S)
    assert abs(machine.clock.ahead_ms()) <= 6_000
    machine.pass_time(120)
    assert machine.clock.ahead_ms() == 0


def test_a_clock_that_drifts_is_followed_and_not_told_of():
    machine = Machine()
    with capture_logs() as logs:
        for _ in range(100):
            machine.pass_time(5)
            machine.step(0.001)
            assert abs(machine.clock.ahead_ms()) <= 1
    assert logs == []


def test_a_machine_that_is_told_the_time_after_its_start_has_it_within_minutes():
    machine = Machine(system_s=100)
    machine.pass_time(10)
    machine.step(BEGAN_S)
    machine.pass_time(50)
    assert machine.wall_s < 200
    machine.pass_time(20)
    assert machine.clock.ahead_ms() == 0


def test_time_that_a_machine_sleeps_passes():
    machine = Machine()
    machine.steady += 600 * SECOND_NS
    machine.system += 600 * SECOND_NS
    machine.clock.follow()
    assert machine.wall_s == BEGAN_S + 600


@pytest.mark.parametrize(('ahead_s', 'taken'), [(HOUR_S, True), (-HOUR_S, False), (30 * 86_400, False)])
def test_it_begins_no_earlier_than_what_was_written_on_the_same_day(ahead_s, taken):
    machine = Machine()
    machine.clock.rise_to((BEGAN_S + ahead_s) * 1_000)
    assert machine.wall_s == BEGAN_S + (ahead_s if taken else 0)
