"""What can be configured of prices: what accounts pay, what upstreams cost."""

from smsc.config.kinds import Part


class PriceListConfig(Part, frozen=True):
    """A price list."""
