"""The steps of the policy that remember what was sent: made from the configuration, filled again by a start.

Duplicates are read back before anybody may bind, of the last hour and up to a bound at most, so that starts are short:
a message that is sent again after a restart is known. The counts of today are read back behind the traffic, at half the
speed the node has: until that is done, limits let pass more than they should. A limit that comes with a reload counts
from then on; the next start counts the whole day.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from domain.ids import first_id
from routing.daily_limits import DailyLimit, DailyLimitStep, LocalDays
from routing.day_counts import SubscriberDays
from routing.duplicates import Duplicates, DuplicateStep, SharedHash
from routing.facts import Facts
from smsc.admission import status_of
from smsc.clock import wall_ms
from smsc.config.policy_schema import SubscriberLimitConfig
from smsc.config.schema import AccountConfig, Configuration
from storage.recent import RecentMessage, RecentMessages

log = structlog.get_logger()

SHORT_WINDOW_MS = 5_000  # gone by before a start is through
DUPLICATES_READ = 100_000
DUPLICATES_READ_MS = 3_600_000
COUNTED_READ = 5_000_000
DAY_MS = 86_400_000
ALL_ACCOUNTS = ''

FactsOf = Callable[[RecentMessage], Facts]
"""What was known of a message when it was accepted, its place included; `message_id` and `now_ms` are its own."""


class PolicyMemory:
    """What these steps remember; there is one as long as the node runs, whatever the configuration."""

    def __init__(self) -> None:
        self.duplicates = Duplicates()
        self.days = SubscriberDays()
        self.shared_hash = SharedHash()
        """For duplicates in a cluster; has no key before the store was asked for it."""


def duplicate_steps(memory: PolicyMemory, configuration: Configuration) -> dict[str, DuplicateStep]:
    """Return the step of each account that has one, by name; what other accounts sent is forgotten."""
    steps: dict[str, DuplicateStep] = {}
    hash_of = hash if configuration.cluster is None else memory.shared_hash
    for name, account in configuration.accounts.items():
        config = account.duplicates
        if config is not None and 'duplicates' in configuration.policy:
            seen = memory.duplicates.of(name, int(config.within_s * 1000), config.remembered)
            steps[name] = DuplicateStep(seen, config.by, config.answer, status_of(config.status), hash_of)
    memory.duplicates.keep(steps)
    return steps


def daily_limit_steps(memory: PolicyMemory, configuration: Configuration) -> dict[str, DailyLimitStep]:
    """Return the step of each account that has one, by name; counts that no limit needs are forgotten.

    As soon as one limit is for messages of all accounts, all accounts have a step, to count them.
    """
    shared = _shared_limits(configuration)
    steps: dict[str, DailyLimitStep] = {}
    for name, account in configuration.accounts.items():
        limits = _limits_of(memory.days, name, account, shared)
        if limits:
            zones = [config.zone for config in (account.daily_limit, configuration.subscriber_limit) if config]
            steps[name] = DailyLimitStep(limits, LocalDays(zones[0] if zones else 'UTC'))
    memory.days.keep({limit.counts for step in steps.values() for limit in step.limits})
    return steps


def _shared_limits(configuration: Configuration) -> dict[frozenset[str], SubscriberLimitConfig | None]:
    """Return the limits that count messages of all accounts, by category; None where only some accounts have one."""
    shared: dict[frozenset[str], SubscriberLimitConfig | None] = {
        frozenset(account.daily_limit.categories): None
        for account in configuration.accounts.values()
        if account.daily_limit is not None and account.daily_limit.scope == 'all'
    }
    if configuration.subscriber_limit is not None:
        shared[frozenset(configuration.subscriber_limit.categories)] = configuration.subscriber_limit
    return shared


def _limits_of(
    days: SubscriberDays,
    name: str,
    account: AccountConfig,
    shared: Mapping[frozenset[str], SubscriberLimitConfig | None],
) -> tuple[DailyLimit, ...]:
    own = account.daily_limit
    limits: list[DailyLimit] = []
    if own is not None and own.scope == 'account':
        categories = frozenset(own.categories)
        counts = days.of(name, categories)
        limits.append(DailyLimit(counts, own.messages, status_of(own.status), categories))
    for categories, config in shared.items():
        counts = days.of(ALL_ACCOUNTS, categories)
        configs = [config] if config is not None else []
        if own is not None and own.scope == 'all' and categories == frozenset(own.categories):
            configs.append(own)
        strictest = min(configs, key=lambda config: config.messages, default=None)  # one message counts once
        if strictest is None:
            limits.append(DailyLimit(counts, 0, 0, categories, 'all accounts'))
        else:
            status = status_of(strictest.status)
            limits.append(DailyLimit(counts, strictest.messages, status, categories, 'all accounts'))
    return tuple(limits)


# After a restart


async def recall_duplicates(
    recent: RecentMessages, steps: Mapping[str, DuplicateStep], facts_of: FactsOf, last_id: int
) -> int:
    """Remember what was accepted up to `last_id`, before anybody binds; return how many messages were read."""
    windows = {name: step.seen.within_ms for name, step in steps.items() if step.seen.within_ms > SHORT_WINDOW_MS}
    if not windows:
        return 0
    above = first_id(wall_ms() - min(max(windows.values()), DUPLICATES_READ_MS))
    read = 0
    async for page in recent.pages(windows, above, last_id, DUPLICATES_READ):
        for message in page:
            steps[message.account].recall(facts_of(message))
        read += len(page)
    log.info('duplicates.recalled', messages=read)
    return read


async def recall_days(
    recent: RecentMessages, steps: Mapping[str, DailyLimitStep], facts_of: FactsOf, last_id: int
) -> int:
    """Count what was accepted today up to `last_id`; return how many messages were read.

    For a task of its own: it works no more than half of the time. What is accepted meanwhile counts as ever.
    """
    if not steps:
        return 0
    loop = asyncio.get_running_loop()
    read = 0
    began = loop.time()
    async for page in recent.pages(steps, first_id(wall_ms() - DAY_MS), last_id, COUNTED_READ):
        now_ms = wall_ms()
        for message in page:
            facts = facts_of(message)
            is_first = facts.part is None or facts.part.sequence == 1
            if is_first and not message.held:  # what is held will count when it is judged
                steps[message.account].recall(facts, now_ms)
        read += len(page)
        await asyncio.sleep(loop.time() - began)
        began = loop.time()
    log.info('daily_limits.recalled', messages=read)
    return read
