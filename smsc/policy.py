"""All that decisions are made with, of one node: what a reload replaces, and what outlives it.

A reload makes a new `Decider` (routes, steps, rules for numbers); lists, counters and look-up files stay and are shared
by the old and the new one.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import structlog

from routing.decider import REMEMBERING, Decider
from routing.mnp import MnpBase
from routing.prices import Charging
from routing.steps import Step
from routing.stop_lists import StopLists
from smsc.config.routes import build
from smsc.config.schema import AccountConfig, Configuration
from smsc.config.windows import build_windows
from smsc.deciding import Submitter
from smsc.fraud import FraudFilter
from smsc.limits_of_policy import PolicyMemory, daily_limit_steps, duplicate_steps
from smsc.mnp.lookups import Lookups
from smsc.numbering import load_plan, normaliser_of
from smsc.senders import registrations, sender_step
from smsc.stop_lists import stop_list_step
from smsc.templates import load_templates, template_step
from smsc.text import text_of

log = structlog.get_logger()

MNP_FOLDER = 'mnp'


class Policy:
    """What outlives configurations, and makes deciders of them."""

    def __init__(self, configuration: Configuration, stop_lists: StopLists) -> None:
        """Raises PlanError or MnpBaseError for files below the data folder that cannot be read."""
        data = Path(configuration.data)
        self.plan = load_plan(data)
        self.mnp = MnpBase(data / MNP_FOLDER, configuration.mnp.operators)
        self.memory = PolicyMemory()
        self.fraud = self._next_fraud = FraudFilter(configuration.fraud)
        self.stop_lists = stop_lists
        stop_lists.on_filled = self._arrange
        self._used: Decider | None = None
        self._built: Decider | None = None  # for the next configuration, or for one that did not come to be used
        self.lookups: Lookups | None = None
        self._services: object = None
        self._problem = ''
        self.objections: dict[str, int] = {}
        """How many messages each step had something against."""

    def build(self, configuration: Configuration, charging: Charging) -> Decider:
        """Return the decider of a checked configuration; takes a while where there are many templates.

        May run in a thread.
        """
        by_kind = self._steps(configuration)
        steps = {
            name: tuple(by_kind[kind][name] for kind in configuration.policy if name in by_kind[kind])
            for name in configuration.accounts
        }
        table = build(configuration, charging.cost if charging.upstreams else None)
        windows = build_windows(configuration, self.plan.find)
        asks_services = bool(configuration.mnp.services)
        find_operator = self._find_operator if asks_services else self.mnp.find
        has_ported = None if asks_services else self._has_ported
        self._built = Decider(table, self.plan.find, find_operator, steps, self.objections, has_ported, windows)
        return self._built

    def _has_ported(self) -> bool:
        return not self.mnp.is_empty

    def _arrange(self) -> None:
        for decider in (self._used, self._built):
            if decider is not None:
                decider.arrange()

    def use(self, configuration: Configuration) -> Lookups | None:
        """Go on with the configuration of the last `build`; return services of the one before, to be closed."""
        self._used = self._built
        self._arrange()  # it was built in a thread: what it had nothing to look in then may have something now
        self.fraud = self._next_fraud
        self.mnp.use_codes(configuration.mnp.operators)
        if self._services == (configuration.mnp, configuration.store.redis):
            return None
        self._services = configuration.mnp, configuration.store.redis
        before, self.lookups = self.lookups, None
        if configuration.mnp.services:
            self.lookups = Lookups(configuration.mnp, configuration.store.redis)
        return before

    async def close(self) -> None:
        """Ask no service any more, and close the base of ported numbers."""
        if self.lookups is not None:
            await self.lookups.close()
        self.mnp.close()

    def tick(self) -> None:
        """Use a base of ported numbers, or a delta, that was imported since the last time; called once a second."""
        if self.mnp.refresh():
            self._arrange()
        if self.mnp.problem != self._problem:
            self._problem = self.mnp.problem
            if self._problem:
                log.error('mnp.base', problem=self._problem)

    def _find_operator(self, number: int) -> str:
        found = self.mnp.find(number)
        if not found and self.lookups is not None:
            return self.lookups.cached(number) or ''
        return found

    def _steps(self, configuration: Configuration) -> dict[str, Mapping[str, Step]]:
        registered = registrations(configuration.senders)
        accounts = configuration.accounts.items()
        senders = {name: sender_step(configuration, account, registered) for name, account in accounts}
        lists = load_templates(configuration.templates)
        templates = {name: template_step(account.templates, lists) for name, account in accounts}
        self._next_fraud = FraudFilter(configuration.fraud, self.fraud)
        fraud = {name: self._next_fraud.step(name, account.fraud) for name, account in accounts}
        self._next_fraud.settle()
        return {
            'senders': {name: step for name, step in senders.items() if step is not None},
            'stop_lists': {name: stop_list_step(configuration, account, self.stop_lists) for name, account in accounts},
            'templates': {name: step for name, step in templates.items() if step is not None},
            'duplicates': duplicate_steps(self.memory, configuration),
            'daily_limits': daily_limit_steps(self.memory, configuration),
            'fraud': {name: step for name, step in fraud.items() if step is not None},
        }


def submitter_of(configuration: Configuration, config: AccountConfig, decider: Decider) -> Submitter:
    """Return what decisions have to know of an account."""
    return Submitter(
        config.name,
        config.alphabet,
        config.category or '',
        normaliser_of(configuration.numbers, config.numbers).normalise,
        partial(text_of, alphabet=config.alphabet),
        any(step.name in REMEMBERING for step in decider.steps_of(config.name)),
        bool(configuration.prices) or decider.windows.are_set,
    )
