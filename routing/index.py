"""Finds the first rule that a message matches, without looking at every rule above it.

Rules that name an account are kept apart for it, and rules that name destinations are found by the longest of all
prefixes that a number begins with. What is left to compare is a short list, in the order of the rules, that ends with
the first rule no message there can miss: the answer is that of a scan from the top. All memory is bounded by the
rules; numbers that come by leave nothing behind.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from routing.patterns import Pattern

MAX_MEMO = 1_000_000  # positions remembered for prefixes, 8 octets each


class Conditions(msgspec.Struct, frozen=True):
    """What must hold; each a conjunction of patterns, one for each block around the rule.

    `peer` is where the message comes from: an account, for an MO message an upstream.
    """

    peer: tuple[Pattern, ...] = ()
    source_addr: tuple[Pattern, ...] = ()
    destination: tuple[Pattern, ...] = ()
    text: tuple[Pattern, ...] = ()

    def hold_for(self, destination: str) -> bool:
        """Return whether nothing but the destination is asked, and every number that begins so matches."""
        return not (self.peer or self.source_addr or self.text) and all(
            pattern.prefixes and destination.startswith(pattern.prefixes) for pattern in self.destination
        )


class _Group:
    """Some of the rules, by the prefixes of their destinations; rules are known by their positions."""

    __slots__ = ('_anywhere', '_by_prefix', '_conditions', '_lengths', '_lists', '_memo_left')

    def __init__(self, conditions: dict[int, Conditions]) -> None:
        self._conditions = conditions
        self._by_prefix: dict[str, list[int]] = {}
        anywhere: list[int] = []
        for position in sorted(conditions):
            for prefix in _prefixes(conditions[position].destination):
                (self._by_prefix.setdefault(prefix, []) if prefix else anywhere).append(position)
        self._anywhere = self._reachable(anywhere, '')
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)
        self._lists: dict[str, list[int]] = {}
        self._memo_left = MAX_MEMO

    def candidates(self, destination: str) -> list[int]:
        """Return the positions of the rules that a number can match, rising."""
        by_prefix = self._by_prefix
        for length in self._lengths:
            prefix = destination[:length]
            if prefix in by_prefix:
                return self._lists.get(prefix) or self._gather(prefix)
        return self._anywhere

    def _gather(self, prefix: str) -> list[int]:
        positions = set(self._anywhere)
        for length in range(1, len(prefix) + 1):
            positions.update(self._by_prefix.get(prefix[:length], ()))
        found = self._reachable(sorted(positions), prefix)
        if len(found) <= self._memo_left:
            self._memo_left -= len(found)
            self._lists[prefix] = found
        return found

    def _reachable(self, positions: list[int], prefix: str) -> list[int]:
        """Return the positions up to the first rule that every number with this prefix matches."""
        for number, position in enumerate(positions, 1):
            if self._conditions[position].hold_for(prefix):
                return positions[:number]
        return positions


class Index:
    """All rules of one direction."""

    __slots__ = ('_checks', '_general', '_named')

    def __init__(self, rules: Sequence[Conditions]) -> None:
        general: dict[int, Conditions] = {}
        named: dict[str, dict[int, Conditions]] = {}
        self._checks: list[tuple[tuple[Pattern, ...], ...]] = []
        for position, rule in enumerate(rules):
            names = _names(rule.peer)
            if names and len(rule.peer) == 1:
                rule = msgspec.structs.replace(rule, peer=())
            for name in names:
                named.setdefault(name, {})[position] = rule
            if not names:
                general[position] = rule
            self._checks.append((rule.peer, rule.destination, rule.source_addr, rule.text))
        self._general = _Group(general)
        self._named = {name: _Group(group) for name, group in named.items()}

    def find(self, peer: str, source_addr: str, destination: str, text: Callable[[], str]) -> int:
        """Return the position of the first rule that matches, -1 without one.

        `text` is called at most once, and only when a rule asks for it whose other conditions hold.
        """
        positions = self._general.candidates(destination)
        own = self._named.get(peer)
        if own is not None:
            positions = sorted(own.candidates(destination) + positions)
        checks = self._checks
        decoded: str | None = None
        for position in positions:
            peers, destinations, sources, texts = checks[position]
            if destinations and not _all_match(destinations, destination):
                continue
            if (peers and not _all_match(peers, peer)) or (sources and not _all_match(sources, source_addr)):
                continue
            if texts:
                if decoded is None:
                    decoded = text()
                if not _all_match(texts, decoded):
                    continue
            return position
        return -1


def _names(patterns: tuple[Pattern, ...]) -> Iterable[str]:
    """Return the only words that can match all of the patterns; none when they are not all known."""
    for pattern in patterns:
        if pattern.plain and not pattern.prefixes:
            return pattern.exact
    return ()


def _prefixes(patterns: tuple[Pattern, ...]) -> Iterable[str]:
    """Return prefixes one of which each matching word has; the innermost block has the longest."""
    for pattern in reversed(patterns):
        if pattern.plain and '' not in pattern.prefixes and '' not in pattern.exact:
            return {*pattern.prefixes, *pattern.exact}
    return ('',)


def _all_match(patterns: tuple[Pattern, ...], value: str) -> bool:
    for pattern in patterns:  # noqa: SIM110 - a generator costs more than the comparison
        if not pattern.matches(value):
            return False
    return True
