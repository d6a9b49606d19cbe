"""What a condition compares with: exact words, prefixes such as `881*`, regular expressions that begin with `~`.

Expressions are RE2's: linear in the text, whatever it is and whoever wrote them. One is searched only when a rule is
reached whose other conditions hold.
"""

from collections.abc import Iterable

import re2


class Pattern:
    """Any of several patterns."""

    __slots__ = ('_expressions', 'exact', 'prefixes')

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises re2.error for an expression that is none."""
        patterns = list(patterns)
        self.exact = frozenset(one for one in patterns if not one.endswith('*') and not one.startswith('~'))
        self.prefixes = tuple(one[:-1] for one in patterns if one.endswith('*') and not one.startswith('~'))
        self._expressions = tuple(re2.compile(one[1:], _quiet()) for one in patterns if one.startswith('~'))

    @property
    def plain(self) -> bool:
        """No expression among them."""
        return not self._expressions

    def matches(self, value: str) -> bool:
        """Return whether a value matches one of them."""
        if value in self.exact or (self.prefixes and value.startswith(self.prefixes)):
            return True
        return bool(self._expressions) and self._is_found(value)

    def _is_found(self, value: str) -> bool:
        # Octets cost a third of a `str`, whose match RE2's wrapper counts back into characters; half a surrogate pair,
        # which has no UTF-8, is compared as a question mark.
        octets = value.encode('utf-8', 'replace')
        for expression in self._expressions:  # noqa: SIM110 - a generator costs more than the comparison
            if expression.search(octets) is not None:
                return True
        return False


def _quiet() -> 're2.Options':
    options = re2.Options()
    options.log_errors = False
    return options
