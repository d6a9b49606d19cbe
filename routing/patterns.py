"""What a condition compares with: exact words, prefixes such as `881*`, regular expressions that begin with `~`.

An expression is searched only when a rule is reached whose other conditions hold.
"""

from collections.abc import Iterable

from routing.expressions import Expression

MAX_SHOWN = 10  # patterns in a text for people


class Pattern:
    """Any of several patterns."""

    __slots__ = ('_expressions', 'exact', 'prefixes', 'written')

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises re2.error for an expression that is none."""
        self.written = patterns = tuple(patterns)
        self.exact = frozenset(one for one in patterns if not one.endswith('*') and not one.startswith('~'))
        self.prefixes = tuple(one[:-1] for one in patterns if one.endswith('*') and not one.startswith('~'))
        self._expressions = tuple(Expression(one[1:]) for one in patterns if one.startswith('~'))

    @property
    def plain(self) -> bool:
        """No expression among them."""
        return not self._expressions

    @property
    def words_only(self) -> bool:
        """Neither an expression nor a prefix among them."""
        return not self._expressions and not self.prefixes

    def matches(self, value: str) -> bool:
        """Return whether a value matches one of them."""
        if value in self.exact or (self.prefixes and value.startswith(self.prefixes)):
            return True
        for expression in self._expressions:  # noqa: SIM110 - a generator costs more than the comparison
            if expression.is_in(value):
                return True
        return False

    def within(self, wider: 'Pattern') -> bool:
        """Return whether all that matches this certainly matches another one too."""
        return (
            all(wider.matches(word) for word in self.exact)
            and all(wider.prefixes and prefix.startswith(wider.prefixes) for prefix in self.prefixes)
            and all(one in wider.written for one in self.written if one.startswith('~'))
        )

    def excludes(self, other: 'Pattern') -> bool:
        """Return whether certainly nothing matches both."""
        if not (self.plain and other.plain):
            return False
        if any(other.matches(word) for word in self.exact) or any(self.matches(word) for word in other.exact):
            return False
        return not any(
            prefix.startswith(other.prefixes) or any(its.startswith(prefix) for its in other.prefixes)
            for prefix in self.prefixes
        )

    def tell(self, holds: bool) -> str:
        """Return what a value that matches, or does not, is or does: `is none of a, b`."""
        shown = self.prefixes if not self.exact and self.plain else self.written
        names = ', '.join(shown[:MAX_SHOWN]) + (', ...' if len(shown) > MAX_SHOWN else '')
        if len(shown) == 1 and not self.plain:
            return f'{"matches" if holds else "does not match"} {names}'
        if not self.plain or (self.exact and self.prefixes):
            return f'{"matches one" if holds else "matches none"} of {names}'
        if self.prefixes:
            return f'{"begins" if holds else "does not begin"} with {names}'
        return (
            f'is {"" if holds else "not "}{names}' if len(shown) == 1 else f'is {"in" if holds else "none of"} {names}'
        )
