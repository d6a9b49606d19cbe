"""Steps of the policy that remember: made from a configuration, kept over a reload."""

from typing import Any

import msgspec

from domain.ids import first_id
from routing.facts import Facts, Place
from smsc.config.policy_schema import DailyLimitConfig, DuplicatesConfig, SubscriberLimitConfig
from smsc.config.schema import AccountConfig, Configuration
from smsc.limits_of_policy import PolicyMemory, daily_limit_steps, duplicate_steps
from tests.routing.messages import message

NOW_MS = 1_790_000_000_000
NUMBER = 79161234567
RSUBMITFAIL = 0x45


def configured(subscriber_limit: SubscriberLimitConfig | None = None, **accounts: AccountConfig) -> Configuration:
    return Configuration(accounts=accounts, subscriber_limit=subscriber_limit)


def limited(messages: int, **more: Any) -> AccountConfig:
    return AccountConfig(daily_limit=DailyLimitConfig(messages=messages, **more))


def facts(account: str, at_ms: int = NOW_MS, **more: Any) -> Facts:
    found = message(account, now_ms=at_ms, message_id=first_id(at_ms), place=Place(zone='UTC'), **more)
    found.number = NUMBER
    return found


def sent(steps: Any, *accounts: str, **more: Any) -> list[bool]:
    """Whether each account's message to the same subscriber is let pass."""
    return [steps[account].judge(facts(account, **more)) is None for account in accounts]


def test_an_account_without_settings_has_no_steps():
    configuration = configured(bank=AccountConfig())
    assert duplicate_steps(PolicyMemory(), configuration) == {}
    assert daily_limit_steps(PolicyMemory(), configuration) == {}


def test_accounts_count_for_themselves():
    steps = daily_limit_steps(PolicyMemory(), configured(bank=limited(1), shop=limited(2), free=AccountConfig()))
    assert sorted(steps) == ['bank', 'shop']
    assert sent(steps, 'bank', 'bank', 'shop', 'shop', 'shop') == [True, False, True, True, False]


def test_a_limit_for_all_accounts_counts_all_of_them():
    limit = SubscriberLimitConfig(messages=3)
    steps = daily_limit_steps(PolicyMemory(), configured(limit, bank=AccountConfig(), shop=limited(1)))
    assert sent(steps, 'bank', 'shop', 'shop', 'bank', 'bank') == [True, True, False, True, False]
    verdict = steps['bank'].judge(facts('bank'))
    assert verdict is not None
    assert verdict.status == RSUBMITFAIL


def test_an_account_can_have_regard_to_what_others_sent():
    """The others have no limit, and are counted."""
    steps = daily_limit_steps(PolicyMemory(), configured(bank=AccountConfig(), shop=limited(2, scope='all')))
    assert sent(steps, 'bank', 'bank', 'bank', 'shop') == [True, True, True, False]


def test_a_message_counts_once_under_two_limits_for_all():
    limit = SubscriberLimitConfig(messages=4)
    steps = daily_limit_steps(PolicyMemory(), configured(limit, bank=AccountConfig(), shop=limited(2, scope='all')))
    assert sent(steps, 'shop', 'shop', 'shop', 'bank', 'bank', 'bank') == [True, True, False, True, True, False]


def test_categories_are_counted_apart():
    limit = SubscriberLimitConfig(messages=1, categories=('advertising',))
    steps = daily_limit_steps(PolicyMemory(), configured(limit, bank=AccountConfig()))
    assert sent(steps, 'bank', 'bank', category='service') == [True, True]
    assert sent(steps, 'bank', 'bank', category='advertising') == [True, False]


def test_a_reload_goes_on_counting():
    memory = PolicyMemory()
    assert sent(daily_limit_steps(memory, configured(bank=limited(2))), 'bank', 'bank') == [True, True]
    assert sent(daily_limit_steps(memory, configured(bank=limited(3))), 'bank', 'bank') == [True, False]


def test_a_limit_that_goes_takes_its_counts_along():
    memory = PolicyMemory()
    sent(daily_limit_steps(memory, configured(bank=limited(2))), 'bank')
    assert daily_limit_steps(memory, configured(bank=AccountConfig())) == {}
    assert dict(memory.days) == {}


def test_a_reload_remembers_what_was_sent():
    memory = PolicyMemory()
    before = configured(bank=AccountConfig(duplicates=DuplicatesConfig(within_s=60)))
    after = configured(bank=AccountConfig(duplicates=DuplicatesConfig(within_s=30, answer='refuse')))
    assert sent(duplicate_steps(memory, before), 'bank', user_data=b'hello') == [True]
    steps = duplicate_steps(memory, after)
    assert steps['bank'].peek(facts('bank', NOW_MS + 40_000, user_data=b'hello')) is None
    verdict = steps['bank'].judge(facts('bank', NOW_MS + 20_000, user_data=b'hello'))
    assert verdict is not None
    assert (verdict.action, verdict.status) == ('refuse', RSUBMITFAIL)
    duplicate_steps(memory, configured(bank=AccountConfig()))
    assert dict(memory.duplicates) == {}


def test_what_was_sent_is_forgotten_where_the_policy_names_duplicates_no_more():
    """Nobody would hear of what is not accepted after all."""
    memory = PolicyMemory()
    configuration = Configuration(accounts={'shop': AccountConfig(duplicates=DuplicatesConfig())})
    assert set(duplicate_steps(memory, configuration)) == {'shop'}
    assert duplicate_steps(memory, msgspec.structs.replace(configuration, policy=('senders',))) == {}
    assert list(memory.duplicates) == []
