"""The fraud filter from the configuration: rules of each account, and what is logged of what they find.

Findings are logged without text, one event for a rule and account every LOG_EVERY_MS; what came between is counted.
"""

from collections.abc import Iterator

import structlog

from routing.facts import Facts
from routing.fraud import Counters, Finder, FraudRule, FraudStep
from routing.fraud_content import LinkRule, LookAlikeRule, TextRule
from routing.fraud_counts import BurstRule, VelocityRule
from smsc.config.content_schema import BurstConfig, FraudConfig, FraudMode, FraudRuleConfig
from smsc.config.kinds import OneOrMore, status_value

log = structlog.get_logger()
LOG_EVERY_MS = 10_000
MS_PER_S = 1_000


class FraudLog:
    """Logs findings, of each rule and account now and then; bounded by their number."""

    def __init__(self) -> None:
        self._last_ms: dict[tuple[str, str], int] = {}
        self._since: dict[tuple[str, str], int] = {}

    def report(self, rule: str, facts: Facts, found: str, stopped: bool) -> None:
        """Log a finding, or count it."""
        key = (rule, facts.account)
        if 0 <= facts.now_ms - self._last_ms.get(key, -LOG_EVERY_MS) < LOG_EVERY_MS:
            self._since[key] = self._since.get(key, 0) + 1
            return
        self._last_ms[key] = facts.now_ms
        log.warning(
            'fraud.found',
            rule=rule,
            account=facts.account,
            found=found,
            stopped=stopped,
            not_logged=self._since.pop(key, 0),
        )


class FraudFilter:
    """The filter of one configuration: a step for each account; `counters` has what was counted, `hits` by rule."""

    def __init__(self, config: FraudConfig, former: 'FraudFilter | None' = None) -> None:
        """`former` is that of the configuration before: its counts go on. Call `settle` behind the last account."""
        self.counters: Counters = Counters(None if former is None else former.counters)
        self._log: FraudLog = FraudLog() if former is None else former._log
        self._config = config
        self._shared: dict[int, Finder] = {}  # what looks at content only, by the position of its rule

    def step(self, account: str, own_mode: FraudMode | None = None) -> FraudStep | None:
        """Return the step of an account, None where no rule holds for it."""
        mode = own_mode or self._config.mode
        rules = [] if mode == 'off' else list(self._rules(account))
        if not rules:
            return None
        return FraudStep(rules, self.counters.hits, self._log.report, monitor_only=mode == 'monitor')

    def settle(self) -> None:
        """Let go of what rules that are no more have counted."""
        self.counters.settle()

    def _rules(self, account: str) -> Iterator[FraudRule]:
        for position, rule in enumerate(self._config.rules):
            owns = rule.look_alike is not None and account in rule.look_alike.accounts
            if owns or (rule.accounts and account not in rule.accounts):
                continue
            finder = self._shared.get(position) or self._finder(position, rule, account)
            status = status_value(self._config.status if rule.status is None else rule.status)
            yield FraudRule(rule.name, finder, rule.action, status)

    def _finder(self, position: int, rule: FraudRuleConfig, account: str) -> Finder:
        if rule.burst is not None:
            return self._burst(rule.name, rule.burst, account)
        if rule.velocity is not None:
            pace = self.counters.pace(rule.name, account)
            return VelocityRule(pace, rule.velocity.per_minute, rule.velocity.per_hour, rule.velocity.countries)
        finder = self._shared[position] = _content_finder(rule)
        return finder

    def _burst(self, name: str, burst: BurstConfig, account: str) -> Finder:
        size_ms = max(1, int(burst.within_s * MS_PER_S))
        if burst.sequential:
            return self.counters.sequence(name, account, size_ms, burst.messages)
        return BurstRule(account, self.counters.ranges(name, size_ms, burst.digits), burst.messages, burst.digits)


def _content_finder(rule: FraudRuleConfig) -> Finder:
    if rule.text is not None:
        return TextRule(texts_of(rule.text))
    if rule.links is not None:
        return LinkRule(rule.links.allow, rule.links.block, rule.links.look_alikes)
    assert rule.look_alike is not None, 'a checked rule has one kind'
    return LookAlikeRule(rule.look_alike.names, rule.look_alike.where)


def texts_of(text: OneOrMore) -> list[str]:
    """Return the patterns of a rule on text."""
    return [text] if isinstance(text, str) else text
