"""What can be configured of the policy: the order of its steps, and what each asks of an account."""

from typing import Literal

from smsc.config.kinds import Part

StepName = Literal['senders', 'stop_lists', 'duplicates', 'daily_limits', 'templates', 'fraud']
DEFAULT_ORDER: tuple[StepName, ...] = ('senders', 'stop_lists', 'templates', 'duplicates', 'daily_limits', 'fraud')


class StopListsConfig(Part, frozen=True):
    """Stop-lists, for all accounts."""


class SendersConfig(Part, frozen=True):
    """Senders, for all accounts."""


class DuplicatesConfig(Part, frozen=True):
    """Messages of an account that say the same to the same number."""


class DailyLimitConfig(Part, frozen=True):
    """How many messages a subscriber may get in a day."""
