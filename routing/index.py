"""Finds the first rule that a message matches, without looking at every rule above it.

Rules that name an account are kept apart for it. In each group a rule is found by words that it names: prefixes of the
destination, a whole sender, an operator or a country, whichever fewer rules name. So only a few short lists are left to
compare, in the order of the rules, and the first match of them all is that of a scan from the top. All memory is
bounded by the rules; numbers and names that come by leave nothing behind.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from routing.conditions import Condition, Holds, Words, text_last
from routing.facts import Facts

MAX_MEMO = 3_000_000  # candidates remembered for prefixes, 8 octets each
MAX_COPIES = 2_000  # rules for all accounts that are kept again with those of accounts
LIST_COST = 12  # what a list costs besides, in the same unit

Conditions = tuple[Condition, ...]
Candidate = tuple[int, Holds | None, tuple[Holds, ...], tuple[Holds, ...]]
"""A rule by its position, the first thing that is left to ask, what is left besides, and what to ask of the text."""

Lists = tuple[list[Candidate], ...]

_SHELVES = ('destination', 'source_addr', 'operator', 'country')
_ACCOUNTS = frozenset({'account', 'upstream'})


class _Room:
    """What may still be remembered."""

    __slots__ = ('_left',)

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._left = MAX_MEMO

    def takes(self, candidates: list[Candidate]) -> bool:
        """Return whether a list may be remembered, and count it."""
        cost = len(candidates) + LIST_COST
        if cost > self._left:
            return False
        self._left -= cost
        return True


class _Group:
    """The rules that messages of one account can match, or those of all accounts."""

    __slots__ = ('_by_prefix', '_conditions', '_off', '_room', 'lengths', 'lists', 'shelves')

    def __init__(self, rules: dict[int, Conditions], off: bytearray, room: _Room) -> None:
        """`rules` are by position; `off` has an octet for each position, 1 for those that match nothing.

        `lists` are by prefix the rules that numbers can match of which it is the longest one, and those that are found
        by no word; () before they are gathered. `lengths` are those of the prefixes, the longest first, and 0.
        `shelves` are lists by sender, by operator and by country.
        """
        self._room = room
        self._conditions = rules
        self._off = off
        by_word = _by_word(rules)
        self.shelves = tuple(
            {
                word: [candidate for candidate in (self._settled(one, field, word) for one in positions) if candidate]
                for word, positions in by_word[field].items()
            }
            for field in _SHELVES[1:]
        )
        self._by_prefix = by_word['destination']
        self.lengths = tuple(sorted({0, *map(len, self._by_prefix)}, reverse=True))
        self.forget()

    def forget(self) -> None:
        """What is off has changed."""
        self.lists: dict[str, Lists] = dict.fromkeys(('', *self._by_prefix), ())

    def first(self) -> int:
        """Return the first rule that is on, -1 without one."""
        return min((position for position in self._conditions if not self._off[position]), default=-1)

    def takes_all(self, position: int) -> bool:
        """Return whether a rule of this group has no conditions left."""
        return self._conditions.get(position) == ()

    def reached(self, facts: Facts) -> Lists:
        """Return all lists that a message is to be compared with."""
        destination, lists = facts.destination, self.lists
        prefix = ''
        for length in self.lengths:
            prefix = destination[:length]
            if prefix in lists:
                break
        found = lists[prefix] or self.learn(prefix)
        senders, operators, countries = self.shelves
        if senders and facts.source_addr in senders:
            found = *found, senders[facts.source_addr]
        if operators and facts.operator in operators:
            found = *found, operators[facts.operator]
        if countries and facts.place.country in countries:
            found = *found, countries[facts.place.country]
        return found

    def by_number(self, number: str) -> list[Candidate]:
        """Return the rules that a number can match, and those that are found by no word."""
        prefix = next(number[:length] for length in self.lengths if number[:length] in self.lists)
        (found,) = self.lists[prefix] or self.learn(prefix)
        return found

    def learn(self, prefix: str) -> Lists:
        """Return what belongs into `lists` for a prefix, and put it there."""
        found = self._gather(prefix)
        if self._room.takes(found):
            self.lists[prefix] = (found,)
        return (found,)

    def _gather(self, prefix: str) -> list[Candidate]:
        """Return candidates up to the first one that takes every number that begins so."""
        heads = {prefix[:length] for length in range(len(prefix) + 1)}
        positions = sorted({position for head in heads for position in self._by_prefix.get(head, ())})
        found: list[Candidate] = []
        for position in positions:
            candidate = self._left(position, lambda one: _begins(one, prefix))
            found.append(candidate)
            if not (candidate[1] or candidate[3] or self._off[position]):
                break
        return found

    def _settled(self, position: int, field: str, word: str) -> Candidate | None:
        """Return a rule for messages with this word in this field; None if it takes none of them."""
        named = [one for one in self._conditions[position] if isinstance(one, Words) and one.key == field]
        if not all(one.pattern.matches(word) for one in named):
            return None
        return self._left(position, named.__contains__)

    def _left(self, position: int, is_settled: Callable[[Condition], bool]) -> Candidate:
        left = [one for one in self._conditions[position] if not is_settled(one)]
        asked = tuple(one.holds for one in left if not one.reads_text)
        text = tuple(one.holds for one in left if one.reads_text)
        return position, asked[0] if asked else None, asked[1:], text


class Index:
    """All rules of one direction, each a conjunction of conditions."""

    __slots__ = ('_general', '_groups_of', '_off', '_others', '_room', '_ways')

    def __init__(self, rules: Sequence[Conditions]) -> None:
        self._off = bytearray(len(rules))
        general: dict[int, Conditions] = {}
        named: dict[str, dict[int, Conditions]] = {}
        for position, rule in enumerate(map(text_last, rules)):
            accounts = next(filter(None, (_words_of(one) for one in rule if one.key in _ACCOUNTS)), None)
            if accounts is None:
                general[position] = rule
            for account in accounts or ():
                of_account = [one for one in rule if one.key in _ACCOUNTS and isinstance(one, Words)]
                if all(one.pattern.matches(account) for one in of_account):
                    left = tuple(one for one in rule if one not in of_account)
                    named.setdefault(account, {})[position] = left
        self._room = _Room()
        self._general = (_Group(general, self._off, self._room),)
        self._groups_of = self._with_general(general, named)
        self._note_only()

    def _with_general(
        self, general: dict[int, Conditions], named: dict[str, dict[int, Conditions]]
    ) -> dict[str, tuple[_Group, ...]]:
        """Return the groups of each account that is named: one with all its rules where these are not too many."""
        if len(general) * len(named) <= MAX_COPIES:
            return {name: (_Group(general | group, self._off, self._room),) for name, group in named.items()}
        return {name: (*self._general, _Group(group, self._off, self._room)) for name, group in named.items()}

    def _groups(self) -> Iterable[_Group]:
        return *self._general, *(groups[-1] for groups in self._groups_of.values())

    def set_off(self, positions: frozenset[int]) -> None:
        """Let these rules match nothing, and all others what they did."""
        for position in range(len(self._off)):
            self._off[position] = position in positions
        for group in self._groups():
            group.forget()
        self._room.clear()
        self._note_only()

    def _note_only(self) -> None:
        """Note for whom there is nothing to find, as the first rule takes every message: its position, else -1."""
        self._others = _only(self._general), self._general
        self._ways = {account: (_only(groups), groups) for account, groups in self._groups_of.items()}

    def find(self, facts: Facts) -> int:
        """Return the position of the first rule that matches, -1 without one.

        The text is read only when a rule asks for it whose other conditions hold, and no rule above it matches.
        """
        only, groups = self._ways.get(facts.account, self._others)
        if only >= 0:
            return only
        off = self._off
        best = nothing = len(off)
        texts: list[Candidate] = []
        for group in groups:
            for candidates in group.reached(facts):
                for candidate in candidates:
                    position, holds, others, asks_text = candidate
                    if position >= best:
                        break
                    if holds is not None and not (holds(facts) and (not others or _hold(others, facts))):
                        continue
                    if asks_text:
                        texts.append(candidate)
                    elif not off[position]:
                        best = position
                        break
        if texts:
            best = self._first(texts, facts, best)
        return -1 if best == nothing else best

    def _first(self, candidates: list[Candidate], facts: Facts, best: int) -> int:
        """Return the first of these rules whose conditions on the text hold, `best` if that is before it."""
        for position, _, _, conditions in sorted(candidates, key=_position_of):
            if position >= best:
                break
            if not self._off[position] and _hold(conditions, facts):
                return position
        return best

    def alike(self, rule: Conditions) -> list[int]:
        """Return positions of rules, rising: among them all that take whatever this one does."""
        accounts = next(filter(None, (_words_of(one) for one in rule if one.key in _ACCOUNTS)), ())
        positions: set[int] = set()
        for group in self._groups_of.get(next(iter(accounts), ''), self._general):
            for prefix in _first_words(rule, 'destination') or ['']:
                positions.update(candidate[0] for candidate in group.by_number(prefix))
            for field, shelf in zip(_SHELVES[1:], group.shelves, strict=True):
                for word in _first_words(rule, field):
                    positions.update(candidate[0] for candidate in shelf.get(word, ()))
        return sorted(positions)


def _hold(conditions: tuple[Holds, ...], facts: Facts) -> bool:
    for holds in conditions:  # noqa: SIM110 - a generator costs more than the comparison
        if not holds(facts):
            return False
    return True


def _only(groups: tuple[_Group, ...]) -> int:
    """Return the first rule of these groups if it takes every message, -1 if it does not."""
    first = min((group.first() for group in groups if group.first() >= 0), default=-1)
    return first if any(group.takes_all(first) for group in groups) else -1


def _position_of(candidate: Candidate) -> int:
    return candidate[0]


def _words_of(condition: Condition) -> list[str]:
    """Return words one of which a message must have, prefixes for a destination; none if they are not all known."""
    if not isinstance(condition, Words):
        return []
    pattern = condition.pattern
    known = pattern.plain if condition.key == 'destination' else pattern.words_only
    words = list(dict.fromkeys((*pattern.prefixes, *sorted(pattern.exact)))) if known else []
    return [] if '' in words else words


def _first_words(rule: Conditions, field: str) -> list[str]:
    """Return one such word of each condition on a field."""
    return [words[0] for words in (_words_of(one) for one in rule if one.key == field) if words]


def _by_word(rules: dict[int, Conditions]) -> dict[str, dict[str, list[int]]]:
    """Return the positions of rules by field and word, rising: each is found by its words of one field, the rarest.

    What names no words is found by the destination ''.
    """
    choices = {
        position: [(one.key, words) for one in rule if one.key in _SHELVES and (words := _words_of(one))]
        for position, rule in rules.items()
    }
    named = Counter((key, word) for several in choices.values() for key, words in several for word in words)

    def crowd(choice: tuple[str, list[str]]) -> tuple[int, int, int]:
        key, words = choice
        return max(named[key, word] for word in words), -min(map(len, words)), _SHELVES.index(key)

    found: dict[str, dict[str, list[int]]] = {field: {} for field in _SHELVES}
    for position in sorted(rules):
        key, words = min(choices[position], key=crowd, default=('destination', ['']))
        for word in words:
            found[key].setdefault(word, []).append(position)
    return found


def _begins(condition: Condition, prefix: str) -> bool:
    """Return whether a condition on the destination holds for every number that begins so."""
    return (
        isinstance(condition, Words)
        and condition.key == 'destination'
        and bool(condition.pattern.prefixes)
        and prefix.startswith(condition.pattern.prefixes)
    )
