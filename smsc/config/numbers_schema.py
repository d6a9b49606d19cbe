"""What can be configured of numbers: how they are made E.164, and where they belong."""

from smsc.config.kinds import Part


class NumbersConfig(Part, frozen=True):
    """Numbers, for all accounts."""


class AccountNumbersConfig(Part, frozen=True):
    """How an account writes numbers."""
