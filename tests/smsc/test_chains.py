"""Which upstream gets the parts of a message: decided by the first, kept while it does its work, forgotten in time."""

from domain.message import Message
from pdu.pdus import SubmitSm
from pdu.segments import concatenated
from smsc.chains import BOUND, KEEP_S, Chain, Chains, chain_of
from tests.domain.messages import mt_message


def parts(reference: int = 7) -> list[Message]:
    found = []
    for octets in concatenated([b'one', b'two'], reference, wide=False):
        message = mt_message()
        message.pdu = SubmitSm(destination_addr=b'79161234567', short_message=octets, esm_class=0x40)
        found.append(message)
    return found


def chain(reference: int = 7) -> Chain:
    found = chain_of(parts(reference)[0])
    assert found is not None
    return found


def upstream(chains: Chains, now: float = 0.0) -> str:
    place = chains.place(chain(), now)
    return place.upstream if place else ''


def test_parts_of_one_message_have_the_same_chain_and_a_message_that_is_none_has_none():
    one, two = parts()
    assert chain_of(one) == chain_of(two) != chain(8)
    assert chain_of(mt_message()) is None


def test_a_message_moves_as_long_as_nothing_of_it_is_taken():
    chains = Chains()
    chains.put(chain(), 'first', 0.0)
    chains.put(chain(), 'second', 0.0)
    assert upstream(chains) == 'second'
    chains.note_taken(parts()[0], 'second', 0.0)
    chains.put(chain(), 'first', 0.0)
    assert upstream(chains) == 'second'
    assert chains.has_taken(chain(), 'second', 0.0)
    assert not chains.has_taken(chain(), 'first', 0.0)


def test_what_is_taken_in_another_place_than_was_decided_stays_there():
    chains = Chains()
    chains.put(chain(), 'first', 0.0)
    chains.note_taken(parts()[1], 'second', 0.0)
    assert chains.has_taken(chain(), 'second', 0.0)


def test_a_message_is_forgotten_with_its_last_part_or_after_a_while():
    chains = Chains()
    for part in parts():
        chains.note_taken(part, 'first', 0.0)
    assert upstream(chains) == ''
    chains.note_taken(parts()[0], 'first', 0.0)
    assert upstream(chains, KEEP_S - 1) == 'first'
    assert upstream(chains, KEEP_S) == ''


def test_places_are_bounded_and_the_oldest_goes_first():
    chains = Chains()
    for reference in range(BOUND + 1):
        chains.put(chain()._replace(reference=reference), 'first', 0.0)
    assert len(chains._places) == BOUND
    assert chains.place(chain()._replace(reference=0), 0.0) is None


def test_what_is_taken_is_bounded_too():
    chains = Chains()
    for account in range(BOUND + 1):
        message = parts()[0]
        message.account = str(account)
        chains.note_taken(message, 'first', 0.0)
    assert len(chains._places) == BOUND
