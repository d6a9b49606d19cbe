"""What a condition compares with: exact words, prefixes such as `881*`, regular expressions that begin with `~`.

An expression is searched only when a rule is reached whose other conditions hold.
"""

from collections.abc import Iterable

from routing.expressions import Expression


class Pattern:
    """Any of several patterns."""

    __slots__ = ('_expressions', 'exact', 'prefixes')

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises re2.error for an expression that is none."""
        patterns = list(patterns)
        self.exact = frozenset(one for one in patterns if not one.endswith('*') and not one.startswith('~'))
        self.prefixes = tuple(one[:-1] for one in patterns if one.endswith('*') and not one.startswith('~'))
        self._expressions = tuple(Expression(one[1:]) for one in patterns if one.startswith('~'))

    @property
    def plain(self) -> bool:
        """No expression among them."""
        return not self._expressions

    def matches(self, value: str) -> bool:
        """Return whether a value matches one of them."""
        if value in self.exact or (self.prefixes and value.startswith(self.prefixes)):
            return True
        for expression in self._expressions:  # noqa: SIM110 - a generator costs more than the comparison
            if expression.is_in(value):
                return True
        return False
