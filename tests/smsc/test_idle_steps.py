"""What has nothing to look in is not asked, and is asked from the first entry on: no message goes by it unseen."""

import pytest
from click.testing import CliRunner

from pdu.pdus import SubmitSm
from routing.steps import Verdict
from routing.stop_lists import Mark, StopLists
from smsc.cli import main
from smsc.config import load
from smsc.deciding import facts_of
from smsc.policy import Policy, submitter_of
from smsc.prices import build_charging

NUMBER = 79161234567
TREE = """
data: var
accounts: {shop: {password: secret}}
upstreams: {mts: {host: localhost}}
routes: [{name: everything, failover: [mts]}]
"""


class Desk:
    """A policy and deciders of it, without a server."""

    def __init__(self, path) -> None:
        self.configuration = load(path)
        self.lists = StopLists()
        self.lists.marks[1] = Mark(0)
        self.policy = Policy(self.configuration, self.lists)

    def build(self):
        """The decider of the next configuration."""
        return self.policy.build(self.configuration, build_charging(self.configuration))

    def ask(self, decider):
        """What it decides about a message, and the facts of that."""
        submitter = submitter_of(self.configuration, self.configuration.accounts['shop'], decider)
        pdu = SubmitSm(dest_addr_ton=1, destination_addr=b'%d' % NUMBER, short_message=b'hello')
        facts = facts_of(submitter, pdu, 1, 1_800_000_000_000, 0)
        return decider.decide(facts), facts


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'smsc.yaml'
    path.write_text(TREE, encoding='ascii')
    return path


@pytest.fixture
def desk(path):
    desk = Desk(path)
    yield desk
    desk.policy.mnp.close()


def is_stopped(desk, decider) -> bool:
    decision, _ = desk.ask(decider)
    return isinstance(decision, Verdict)


@pytest.mark.parametrize('entry', [{'numbers': [(NUMBER, 1)]}, {'numbers': [], 'prefixes': [('7916', 1)]}])
def test_the_first_entry_of_a_stop_list_holds_for_the_next_message(desk, entry):
    used = desk.build()
    desk.policy.use(desk.configuration)
    next_one = desk.build()
    assert not is_stopped(desk, used)
    desk.lists.add('global', **entry)
    assert is_stopped(desk, used)
    assert is_stopped(desk, next_one)


def test_it_holds_for_the_configuration_in_use_when_the_next_ones_did_not_come_to_be_used(desk):
    used = desk.build()
    desk.policy.use(desk.configuration)
    desk.build()
    desk.build()
    desk.lists.add('global', [(NUMBER, 1)])
    assert is_stopped(desk, used)


def test_what_is_used_looks_at_lists_that_were_filled_while_it_was_built(desk, monkeypatch):
    with monkeypatch.context() as patched:  # as if it had looked just before, in its thread
        patched.setattr(desk.lists, 'on_filled', lambda: None)
        used = desk.build()
        desk.lists.add('global', [(NUMBER, 1)])
    desk.policy.use(desk.configuration)
    assert is_stopped(desk, used)


def test_the_first_base_of_ported_numbers_is_looked_in_from_the_next_tick_on(desk, path, tmp_path):
    used = desk.build()
    desk.policy.use(desk.configuration)
    assert desk.ask(used)[1].operator == ''
    file = tmp_path / 'base.csv'
    file.write_text(f'{NUMBER};tele2\n', encoding='ascii')
    result = CliRunner().invoke(main, ['mnp', 'import', str(file), '-c', str(path)])
    assert result.exit_code == 0, result.output
    desk.policy.tick()
    assert desk.ask(used)[1].operator == 'tele2'
    assert desk.ask(desk.build())[1].operator == 'tele2'
