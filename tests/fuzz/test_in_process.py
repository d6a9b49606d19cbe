"""The short form of the fuzz in one process: a few thousand mutants by seed through codec, sessions and messages.

`python -m tests.faults.fuzz --in-process 10000000` goes on with other seeds for as long as one likes.
"""

import pytest

from smpp.states import Role, State
from tests.fuzz.corpus import EVERYTHING
from tests.fuzz.messages import try_messages
from tests.fuzz.mutator import Mutator
from tests.fuzz.trials import try_codec, try_session


def test_the_same_seed_makes_the_same_mutants():
    first, second, other = (Mutator(seed, EVERYTHING) for seed in (1, 1, 2))
    made = [first.framed() for _ in range(200)]
    assert made == [second.framed() for _ in range(200)]
    assert made != [other.framed() for _ in range(200)]
    assert all(int.from_bytes(octets[:4], 'big') == len(octets) for octets in made)


@pytest.mark.wire('A10', 'A22')
@pytest.mark.parametrize('seed', [1, 2])
def test_mutants_come_out_of_the_codec_as_pdus_or_as_named_faults(seed):
    found = try_codec(seed, 4_000)
    assert found['Malformed'] > 500
    assert found['UnknownPdu'] > 50
    assert sum(found.values()) - found['Malformed'] - found['UnknownPdu'] > 1_000


@pytest.mark.wire('A5', 'A6', 'A9', 'A11', 'A14', 'A19', 'A22', 'C3')
@pytest.mark.parametrize('role', Role)
@pytest.mark.parametrize('seed', [1, 2, 3])
def test_a_session_answers_every_mutant_once_and_holds_no_more_than_its_windows(role, seed):
    ended = try_session(seed, 4_000, role)
    assert ended.keys() >= {State.CLOSED, State.UNBINDING}
    assert sum(count for state, count in ended.items() if state is not State.CLOSED) > 5


@pytest.mark.wire('A10', 'A22')
@pytest.mark.parametrize('seed', [1, 2])
def test_messages_with_anything_in_them_are_read_and_written_without_a_fault(seed):
    found = try_messages(seed, 400)
    assert found['parts'] > 20
    assert found['too long']
