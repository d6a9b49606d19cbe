"""Senders: which an account may use, and which reach the subscriber's operator."""

import pytest

from routing.facts import Facts
from routing.senders import KINDS, Registrations, SenderRules, SenderStep, kind_of
from routing.steps import Verdict

REFUSED = 0x0A
REGISTERED = Registrations([('MyBank', 'mts', ''), ('Shop', 'mts', 'shop'), ('INFO', 'mts', '')])


def facts(sender: str = 'MyBank', ton: int = 5, operator: str = 'mts') -> Facts:
    return Facts('bank', sender, '79161234567', 79161234567, str, source_addr_ton=ton, operator=operator)


def step(registrations: Registrations = REGISTERED, account: str = 'bank', **rules) -> SenderStep:
    return SenderStep(account, SenderRules(REFUSED, **rules), registrations)


def passes(checked: SenderStep, *arguments, **more) -> bool:
    judged, peeked = checked.judge(facts(*arguments, **more)), checked.peek(facts(*arguments, **more))
    again = checked.judge(facts(*arguments, **more))
    assert judged == peeked == again
    return judged is None


@pytest.mark.parametrize(
    ('sender', 'ton', 'kind'),
    [
        ('MyBank', 5, 'alphanumeric'),
        ('MyBank', 0, 'alphanumeric'),
        ('7 495', 5, 'alphanumeric'),
        ('٣٤٥', 5, 'alphanumeric'),
        ('900', 0, 'short'),
        ('112233', 1, 'short'),
        ('1122334', 0, 'national'),
        ('11223344', 3, 'short'),
        ('112233445', 3, 'national'),
        ('4951234567', 0, 'national'),
        ('4951234567', 1, 'international'),
        ('74951234567', 0, 'international'),
        ('74951234567', 5, 'international'),
        ('74951234567', 3, 'international'),
        ('84951234567', 2, 'national'),
        ('+4951234', 0, 'international'),
    ],
)
def test_kinds_go_by_the_look_of_a_sender(sender, ton, kind):
    assert kind_of(sender, ton) == kind
    assert passes(step(kinds=frozenset({kind})), sender, ton)
    assert not passes(step(kinds=frozenset(KINDS) - {kind}), sender, ton)


def refusal(checked: SenderStep, *arguments, **more) -> Verdict:
    verdict = checked.judge(facts(*arguments, **more))
    assert verdict is not None
    return verdict


def test_an_account_without_rules_may_use_any_sender():
    checked = step()
    assert all(passes(checked, sender) for sender in ('MyBank', 'Other', '900', '', 'mybank'))
    assert checked.tell(facts()) != ''


def test_a_sender_that_is_not_the_accounts_is_refused_with_the_reason():
    checked = step(allowed=('MyBank', '7495*', '900'))
    verdict = refusal(checked, 'Other')
    assert (verdict.status, verdict.action) == (REFUSED, 'refuse')
    assert verdict.reason == 'sender: not among the senders of the account'
    assert passes(checked, 'MyBank')
    assert passes(checked, '74951234567', 1)
    assert passes(checked, '+74951234567', 1)
    assert passes(checked, '900', 3)
    assert not passes(checked, '9001', 3)
    assert not passes(checked, '')


def test_senders_may_be_an_expression():
    checked = step(allowed=('~^Bank[0-9]$',))
    assert passes(checked, 'Bank7')
    assert not passes(checked, 'Bank77')
    assert not passes(checked, 'bank7')
    assert passes(step(allowed=('~^Bank[0-9]$',), ignore_case=True), 'BANK7')


def test_case_counts_unless_it_is_configured_not_to():
    assert not passes(step(allowed=('MyBank',)), 'MYBANK')
    assert passes(step(allowed=('MyBank',), ignore_case=True), 'MYBANK')
    any_case = Registrations([('MyBank', 'mts', '')], ignore_case=True)
    assert passes(step(any_case, operators_that_require={'mts'}, ignore_case=True), 'mybank')


def test_the_default_sender_is_put_in_where_there_is_none():
    checked = step(default='MyBank', allowed=('Other',))
    asked = facts('', 0)
    assert checked.judge(asked) is None
    assert (asked.source_addr, asked.new_source_addr, asked.source_addr_ton) == ('MyBank', 'MyBank', 5)
    kept = facts('Other')
    assert checked.judge(kept) is None
    assert (kept.source_addr, kept.new_source_addr) == ('Other', '')


def test_operators_that_require_it_get_registered_senders_only():
    checked = step(operators_that_require={'mts', 'tele2'})
    assert passes(checked, 'MyBank')
    assert not passes(checked, 'MyBank', operator='tele2')
    assert not passes(checked, 'Other')
    assert passes(checked, 'Other', operator='beeline')
    assert passes(checked, 'Other', operator='')
    assert refusal(checked, 'Other').reason == 'sender: not registered with mts'


def test_a_sender_may_be_registered_for_one_account_only():
    assert not passes(step(operators_that_require={'mts'}), 'Shop')
    assert passes(step(account='shop', operators_that_require={'mts'}), 'Shop')


def test_kinds_that_need_no_registration_go_on():
    checked = step(operators_that_require={'mts'})
    assert passes(checked, '74951234567', 1)
    strict = step(operators_that_require={'mts'}, kinds_that_require=frozenset(KINDS))
    assert not passes(strict, '74951234567', 1)


def test_an_unregistered_sender_is_replaced_where_that_is_configured():
    checked = step(operators_that_require={'mts', 'tele2'}, unregistered_as='INFO')
    asked = facts('Other')
    assert checked.judge(asked) is None
    assert (asked.source_addr, asked.new_source_addr) == ('INFO', 'INFO')
    assert refusal(checked, 'Other', operator='tele2').reason == 'sender: not registered with tele2'
    short = facts('Other', operator='tele2')
    assert step(operators_that_require={'mts', 'tele2'}, unregistered_as='900').judge(short) is None
    assert (short.new_source_addr, short.source_addr_ton) == ('900', 3)


def test_the_default_sender_must_be_registered_too():
    checked = step(default='Other', operators_that_require={'mts'})
    assert not passes(checked, '')
    assert passes(checked, '', operator='beeline')


@pytest.mark.parametrize(
    ('sender', 'told'),
    [
        ('MyBank', 'MyBank (alphanumeric): allowed, registered with mts'),
        ('Other', 'Other (alphanumeric): not registered with mts; INFO is put in its place'),
        ('', 'no sender; default_sender MyBank is put in'),
        ('900', 'refused: short senders are not among the sender_kinds of the account'),
    ],
)
def test_the_explanation_says_what_was_found(sender, told):
    checked = step(
        kinds=frozenset({'alphanumeric'}), default='MyBank', operators_that_require={'mts'}, unregistered_as='INFO'
    )
    asked = facts(sender, 0)
    checked.peek(asked)
    assert checked.tell(asked) == told


def test_many_different_senders_do_not_fill_the_memory():
    checked = step(allowed=('MyBank',))
    for number in range(10_000):
        assert not passes(checked, f'S{number}')
    assert sum(map(len, checked._known.values())) <= 2_000
