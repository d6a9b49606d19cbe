"""Numbers in an international form are taken as they are, which is what the rules of every account make of them."""

from hypothesis import given
from hypothesis import strategies as st

from pdu.pdus import SubmitSm
from routing.numbers import Normaliser, NumberRules
from smsc.deciding import Submitter, facts_of

RULES = (
    NumberRules(),
    NumberRules('7', ('8',), (10,), ('00', '810')),
    NumberRules('49', ('0',)),
    NumberRules('7', ('8', ''), (10,)),
    NumberRules('1', ('1', ''), (), ('011', '')),
)
ADDRESSES = st.one_of(
    st.from_regex(rb'\A(\+|00|810|8|0)?[0-9]{0,15}\Z'),
    st.binary(max_size=20),
    st.text('0123456789+_ \xb2', max_size=20).map(lambda text: text.encode('latin-1')),
)


@given(st.sampled_from(RULES), ADDRESSES, st.integers(0, 7))
def test_a_number_is_what_the_rules_of_the_account_make_of_it(rules, address, ton):
    normaliser = Normaliser(rules)
    submitter = Submitter('bank', normalise=normaliser.normalise)
    facts = facts_of(submitter, SubmitSm(destination_addr=address, dest_addr_ton=ton), 1, 0, 0)
    destination = normaliser.normalise(address.decode('latin-1'), ton)
    assert facts.destination == destination
    assert facts.number == (int(destination) if destination.isdecimal() else 0)
    assert facts.is_rewritten == (destination.encode() != address)


@given(st.binary(max_size=20))
def test_a_sender_is_its_octets_as_latin_1(source_addr):
    for _ in range(2):
        facts = facts_of(Submitter('bank'), SubmitSm(source_addr=source_addr), 1, 0, 0)
        assert facts.source_addr == source_addr.decode('latin-1')


def test_the_text_is_read_in_the_alphabet_of_the_account():
    assert facts_of(Submitter('bank'), SubmitSm(short_message=b'\x00'), 1, 0, 0).text() == '@'
