"""The step of the policy that finds fraud: rules on text, links, names and counts, each with an action of its own.

All rules are asked in their order. One that only monitors is counted and reported, and the message goes on to the next;
the first other one that finds something decides. Where the filter only monitors, all of them do.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, Protocol, cast

import msgspec

from routing.facts import Facts
from routing.fraud_counts import Pace, Ranges, SequenceRule
from routing.steps import Verdict

Report = Callable[[str, Facts, str, bool], None]
"""Is told rule, message, what was found (no text of the message), and whether the message was stopped."""


class Finder(Protocol):
    """What a rule looks for."""

    counts: bool
    """Whether it is a Counter."""

    def find(self, facts: Facts) -> str:
        """Return what was found, in words without text of the message, '' for nothing; leaves nothing behind."""


class Counter(Finder, Protocol):
    """A Finder that counts messages."""

    def judge(self, facts: Facts) -> str:
        """Return the same, and count the message when nothing was found."""

    def count(self, facts: Facts) -> None:
        """Count a message that goes on."""

    def uncount(self, facts: Facts) -> None:
        """Forget one that did not after all."""


class FraudRule(msgspec.Struct, frozen=True):
    """A rule; `status` answers what it refuses."""

    name: str
    finder: Finder
    action: Literal['refuse', 'drop', 'monitor'] = 'refuse'
    status: int = 0


class Asked:
    """A rule as a step asks it; `counter` is there when it counts."""

    __slots__ = ('ask', 'counter', 'monitors', 'rule')

    def __init__(self, rule: FraudRule, monitors: bool) -> None:
        self.rule = rule
        self.monitors = monitors
        self.counter: Counter | None = cast(Counter, rule.finder) if rule.finder.counts else None
        self.ask = rule.finder.find if self.counter is None else self.counter.judge


class Made(msgspec.Struct):
    """Counts, by the rule and what it counts by."""

    ranges: dict[tuple[str, int, int], Ranges] = {}
    sequences: dict[tuple[str, str, int, int], SequenceRule] = {}
    paces: dict[tuple[str, str], Pace] = {}


class Counters:
    """What rules have counted, for all accounts; a reload hands it on, so that no burst begins anew.

    `hits` are messages found by each rule, stopped or not, for metrics.
    """

    def __init__(self, former: 'Counters | None' = None) -> None:
        """Take over from those of the configuration before what the same rules ask for again."""
        self.hits: dict[str, int] = {} if former is None else former.hits
        self._made: Made = Made()
        self._former = None if former is None else former._made

    def ranges(self, rule: str, size_ms: int, digits: int) -> Ranges:
        """Return the counts of a rule by ranges of so many digits, shared by all accounts."""
        key = (rule, size_ms, digits)
        kept = self._former.ranges.get(key) if self._former is not None else None
        return self._made.ranges.setdefault(key, kept or Ranges(size_ms))

    def sequence(self, rule: str, account: str, size_ms: int, messages: int) -> SequenceRule:
        """Return the sequences of an account."""
        key = (rule, account, size_ms, messages)
        kept = self._former.sequences.get(key) if self._former is not None else None
        return self._made.sequences.setdefault(key, kept or SequenceRule(size_ms, messages))

    def pace(self, rule: str, account: str) -> Pace:
        """Return the pace of an account."""
        key = (rule, account)
        kept = self._former.paces.get(key) if self._former is not None else None
        return self._made.paces.setdefault(key, kept or Pace())

    def settle(self) -> None:
        """All rules are made: let go of what the former ones counted that nobody asked for."""
        self._former = None


class FraudStep:
    """The fraud filter for one account."""

    name: ClassVar[str] = 'fraud'

    def __init__(
        self,
        rules: Sequence[FraudRule],
        hits: dict[str, int],
        report: Report | None = None,
        *,
        monitor_only: bool = False,
    ) -> None:
        """`hits` is counted up by the names of rules."""
        self._rules = tuple(Asked(rule, monitor_only or rule.action == 'monitor') for rule in rules)
        self._asks = tuple((one.ask, one) for one in self._rules)
        self._counters = tuple(one.counter for one in self._rules if one.counter is not None)
        self._hits = hits
        self._report = report
        for rule in rules:
            hits.setdefault(rule.name, 0)

    @property
    def counts(self) -> bool:
        """Whether any rule counts messages."""
        return bool(self._counters)

    def judge(self, facts: Facts) -> Verdict | None:
        """Return what the first rule that stops the message says; count it where none does."""
        for ask, asked in self._asks:
            found = ask(facts)
            if found and self._stops(asked, facts, found):
                return _verdict(asked.rule, found)
        return None

    def _stops(self, asked: Asked, facts: Facts, found: str) -> bool:
        """Count and report what a rule found; return whether the message ends here, counted by no rule."""
        name = asked.rule.name
        self._hits[name] += 1
        if self._report is not None:
            self._report(name, facts, found, not asked.monitors)
        if asked.monitors:
            if asked.counter is not None:
                asked.counter.count(facts)
            facts.add_note(f'fraud rule {name} monitored')
            return False
        for earlier in self._rules[: self._rules.index(asked)]:
            if earlier.counter is not None:
                earlier.counter.uncount(facts)
        return True

    def peek(self, facts: Facts) -> Verdict | None:
        """Do as `judge` does, but neither count nor report."""
        for asked in self._rules:
            found = '' if asked.monitors else asked.rule.finder.find(facts)
            if found:
                return _verdict(asked.rule, found)
        return None

    def tell(self, facts: Facts) -> str:
        """Return what each rule finds."""
        said = []
        for asked in self._rules:
            rule, found = asked.rule, asked.rule.finder.find(facts)
            if found:
                action = 'monitored' if asked.monitors else 'dropped' if rule.action == 'drop' else 'refused'
                said.append(f'rule `{rule.name}`: {found}: {action}')
                if not asked.monitors:
                    break
        return '; '.join(said) or f'none of {len(self._rules)} rules finds anything'

    def hear(self, facts: Facts) -> None:
        """Count a message that another node has accepted; only its number, time and country are known."""
        for counter in () if facts.only_part else self._counters:
            counter.count(facts)

    def forget(self, facts: Facts) -> None:
        """Count the message no more."""
        for counter in self._counters:
            counter.uncount(facts)


def _verdict(rule: FraudRule, found: str) -> Verdict:
    return Verdict(rule.status, f'fraud rule `{rule.name}`: {found}', 'drop' if rule.action == 'drop' else 'refuse')
