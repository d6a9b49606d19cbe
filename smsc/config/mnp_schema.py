"""What can be configured of number portability."""

from smsc.config.kinds import Part


class MnpConfig(Part, frozen=True):
    """Where ported numbers are looked up."""
