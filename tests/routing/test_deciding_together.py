"""Messages that are decided about together: each as if it had come alone, after those before it."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.conditions import Words
from routing.daily_limits import DailyLimit, DailyLimitStep, LocalDays
from routing.day_counts import SubscriberDays
from routing.decider import Decider
from routing.duplicates import DuplicateStep, SeenMessages
from routing.facts import Facts, Place
from routing.fraud import FraudRule, FraudStep
from routing.fraud_counts import BurstRule, Ranges
from routing.senders import Registrations, SenderRules, SenderStep
from routing.steps import Step, Verdict
from routing.stop_lists import Mark, StopLists, StopListStep
from routing.table import Action, Decision, RouteTable, Rule
from tests.routing.messages import message

NOW_MS = 1_800_000_000_000
STOPPED = '79160000004'
NUMBERS = ('79160000001', '79160000002', '79170000003', STOPPED)
SENDERS = ('MyBank', 'Shop', 'Casino')
ORDERS = list(permutations(range(5)))
REJECTED, SPLIT = Action(reject=0x0B), Action(shares=(('a', 2), ('b', 1)))
Said = tuple[str, str, bytes, bool]
"""Destination, sender and text of a message, and whether it is refused for another reason once it was judged."""

said = st.tuples(
    *map(st.sampled_from, (NUMBERS, SENDERS, (b'1', b'2'), (False, False, True))),
)


def decider(order: tuple[int, ...] = ORDERS[0]) -> Decider:
    """A decider of one account with steps of all kinds, in this order; everything in it is new."""
    lists = StopLists()
    lists.marks[0] = Mark(0)
    lists.add('global', [(int(STOPPED), 0)])
    burst = FraudRule('burst', BurstRule('bank', Ranges(60_000), 3, 5), status=0x45)
    limit = DailyLimit(SubscriberDays().of('bank', frozenset()), 2, 0x58)
    steps: tuple[Step, ...] = (
        SenderStep('bank', SenderRules(0x0A, allowed=('MyBank', 'Shop')), Registrations()),
        StopListStep(lists, ('global',), (), 0x44),
        DuplicateStep(SeenMessages(60_000, 100)),
        DailyLimitStep((limit,), LocalDays()),
        FraudStep((burst,), {}),
    )
    rules = [
        Rule('shop', (Words('source_addr', ['Shop']), Words('destination', ['7917*'])), REJECTED),
        Rule('all', (), SPLIT),
    ]
    return Decider(RouteTable(rules), lambda number: Place('RU'), steps={'bank': tuple(steps[at] for at in order)})


def drawn(wanted: list[Said], first_id: int = 1) -> list[Facts]:
    several = []
    for number, (destination, sender, text, _) in enumerate(wanted, first_id):
        facts = message(destination=destination, source_addr=sender, user_data=text, now_ms=NOW_MS)
        facts.number, facts.message_id = int(destination), (NOW_MS - 1_600_000_000_000 << 22) + number
        several.append(facts)
    return several


def one_by_one(one: Decider, wanted: list[Said], first_id: int = 1) -> list[Decision | Verdict]:
    found = []
    for facts, (*_, is_refused) in zip(drawn(wanted, first_id), wanted, strict=True):
        decision = one.decide(facts)
        if is_refused and isinstance(decision, Decision):
            one.forget(facts)
        found.append(decision)
    return found


def together(one: Decider, wanted: list[Said]) -> list[Decision | Verdict]:
    several, found = drawn(wanted), []
    for facts in several:
        one.locate(facts)
    for facts, decision, (*_, is_refused) in zip(several, one.decide_all(several), wanted, strict=True):
        if is_refused and isinstance(decision, Decision):
            one.forget(facts)
        found.append(decision)
    return found


@given(st.lists(said, min_size=1, max_size=12), st.sampled_from(ORDERS), st.lists(said, max_size=4))
def test_each_is_decided_as_if_it_had_come_alone(wanted, order, later):
    alone, at_once = decider(order), decider(order)
    assert together(at_once, wanted) == one_by_one(alone, wanted)
    assert at_once._objections == alone._objections
    assert one_by_one(at_once, later, 100) == one_by_one(alone, later, 100)  # they remember the same


def test_what_repeats_a_message_that_was_refused_meanwhile_is_no_repetition():
    first, again = (NUMBERS[0], 'MyBank', b'1', True), (NUMBERS[0], 'MyBank', b'1', False)
    assert [found.__class__ for found in together(decider(), [first, again, again])] == [Decision, Decision, Verdict]


def test_an_error_of_ours_leaves_nothing_behind_of_its_message(monkeypatch):
    one = decider()
    wanted: list[Said] = [(NUMBERS[0], 'MyBank', b'1', False)]
    with monkeypatch.context() as patched:
        patched.setattr(one, '_route_at', lambda position, facts: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            together(one, wanted)
    assert isinstance(together(one, wanted)[0], Decision)
