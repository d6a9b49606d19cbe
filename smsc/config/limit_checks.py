"""What the configuration of duplicates and daily limits must also be: time zones that exist, steps that are taken."""

from collections.abc import Iterator

from routing.windows import is_zone
from smsc.config.kinds import Status
from smsc.config.policy_schema import SubscriberLimitConfig
from smsc.config.schema import Configuration

Mistake = tuple[str, str, str]
"""(key, what is wrong, remedy)"""


def statuses_of_limits(configuration: Configuration) -> Iterator[tuple[str, Status]]:
    """Yield every command_status among these keys."""
    for key, limit in _limits(configuration):
        yield f'{key}.status', limit.status
    for name, account in configuration.accounts.items():
        if account.duplicates is not None:
            yield f'accounts.{name}.duplicates.status', account.duplicates.status


def mistakes_of_limits(configuration: Configuration) -> Iterator[Mistake]:
    """Yield every mistake among these keys."""
    for key, limit in _limits(configuration):
        if not is_zone(limit.zone):
            yield f'{key}.zone', f'there is no time zone {limit.zone:.80}', 'write a name such as Europe/Moscow'
        if 'daily_limits' not in configuration.policy:
            yield key, 'has no effect, as `policy` does not name daily_limits', 'add it to `policy`'
    for name, account in configuration.accounts.items():
        key = f'accounts.{name}.duplicates'
        if account.duplicates is None:
            continue
        if not account.duplicates.by:
            yield f'{key}.by', 'names nothing: all messages would be the same', 'name what is, such as [text]'
        if 'duplicates' not in configuration.policy:
            yield key, 'has no effect, as `policy` does not name duplicates', 'add it to `policy`'


def _limits(configuration: Configuration) -> Iterator[tuple[str, SubscriberLimitConfig]]:
    if configuration.subscriber_limit is not None:
        yield 'subscriber_limit', configuration.subscriber_limit
    for name, account in configuration.accounts.items():
        if account.daily_limit is not None:
            yield f'accounts.{name}.daily_limit', account.daily_limit
