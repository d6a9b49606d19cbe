"""What the configuration says of numbers, made into what the decisions use."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from routing.numbers import Normaliser
from routing.plan import NumberPlan, PlanError
from smsc.config.number_checks import rules_of
from smsc.config.numbers_schema import AccountNumbersConfig, NumbersConfig
from smsc.control import ControlError
from smsc.plan.sources import load_plan

__all__ = ['load_plan', 'normaliser_of', 'plan_handler']


def normaliser_of(numbers: NumbersConfig, account: AccountNumbersConfig | None = None) -> Normaliser:
    """Return what makes E.164 digits of the numbers of an account."""
    return Normaliser(rules_of(numbers, account))


def plan_handler(plan: NumberPlan, data: Path) -> Callable[[dict[str, Any]], Awaitable[Any]]:
    """Return the handler of the control request `plan`: load it again, in a thread, and answer by it from then on.

    A plan that cannot be read changes nothing, and the asker is told why.
    """

    async def handle(request: dict[str, Any]) -> Any:
        try:
            fresh = await asyncio.to_thread(load_plan, data)
        except PlanError as error:
            raise ControlError(f'the plan in use was not changed: {error}') from error
        plan.take_over(fresh)
        return {'segments': len(fresh)}

    return handle
