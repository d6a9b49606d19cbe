"""What can be configured of what messages say: templates, categories, the fraud filter."""

from smsc.config.kinds import Part


class TemplatesConfig(Part, frozen=True):
    """A list of templates."""


class FraudConfig(Part, frozen=True):
    """The fraud filter."""
