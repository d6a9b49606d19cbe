"""`smsc route` while no server runs: what files and the store say, without what a server remembers.

Stop-lists and what is switched off are read from the store, where there is one. Nobody knows then what was sent before
(duplicates, limits, bursts), how links are, or what services say of ported numbers: the first finding says so.
"""

from typing import Any

import asyncpg
import msgspec

from domain.errors import StoreUnavailable
from routing.stop_lists import Mark, StopLists
from smsc.config.schema import Configuration
from smsc.control import ControlError
from smsc.explaining import Explanation, Finding, Question, QuestionError, Surroundings, explain
from smsc.numbering import normaliser_of
from smsc.policy import Policy, submitter_of
from smsc.prices import build_charging
from storage.stop_lists import Shown, show
from storage.switches import Off, read_alone

ALONE = 'no server runs: nothing is known of what was sent before, of links and of credit'
SWITCHED_OFF = 'switched off by hand'


class Stored(msgspec.Struct, frozen=True):
    """What the store says: where the number stands on stop-lists, and what is off; `problem` why it says nothing."""

    listed: list[Shown] = []
    off: list[Off] = []
    problem: str = ''


def digits_of(configuration: Configuration, question: Question) -> str:
    """Return the destination in E.164 digits, or what it is instead."""
    numbers = configuration.accounts[question.account].numbers
    return normaliser_of(configuration.numbers, numbers).normalise(question.destination, 0)


async def read_stored(connect_arguments: dict[str, Any], digits: str) -> Stored:
    """Return what the store says; nothing of one that no server of this release has opened."""
    try:
        connection = await asyncpg.connect(**connect_arguments)
        try:
            listed = await show(connection, digits) if digits.isdecimal() else []
        finally:
            await connection.close()
        return Stored(listed, await read_alone(connect_arguments))
    except asyncpg.UndefinedTableError:
        return Stored()
    except (OSError, asyncpg.PostgresError, StoreUnavailable) as error:
        return Stored(problem=f'; the store cannot be read ({error}): stop-lists and switches are not known')


async def explain_alone(configuration: Configuration, question: Question, stored: Stored) -> Explanation:
    """Return why the message would take its way. Raises ControlError for a question that is none, and what reading
    the number plan raises.
    """
    policy = Policy(configuration, _stop_lists(stored))
    try:
        config = configuration.accounts[question.account]
        decider = policy.build(configuration, build_charging(configuration))
        decider.table.set_off(frozenset(off.name for off in stored.off if off.kind == 'route'))
        off = {off.name for off in stored.off if off.kind == 'upstream'}
        around = Surroundings(configuration.smpp, lambda name: SWITCHED_OFF if name in off else '')
        found = explain(decider, submitter_of(configuration, config, decider), config, question, around)
    except QuestionError as error:
        raise ControlError(str(error)) from error
    finally:
        await policy.close()
    return msgspec.structs.replace(found, findings=(Finding('server', ALONE + stored.problem), *found.findings))


def _stop_lists(stored: Stored) -> StopLists:
    """Return lists with the entries that concern the number."""
    lists = StopLists()
    for mark, entry in enumerate(entry for entry in stored.listed if not entry.removed):
        lists.marks[mark] = Mark(entry.since_ms, entry.until_ms, entry.note)
        if entry.prefix:
            lists.add(entry.name, [], [(str(entry.number), mark)])
        else:
            lists.add(entry.name, [(entry.number, mark)])
    return lists
