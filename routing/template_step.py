"""The step of the policy that compares texts with templates."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from routing.facts import Facts
from routing.steps import Verdict
from routing.template_index import TemplateList, TextTemplate

MAX_SHOWN = 60


class ListRules(msgspec.Struct, frozen=True):
    """A list, and the command_status of what it refuses: by a template, or for matching none (None = it goes on)."""

    templates: TemplateList
    status: int
    unmatched: int | None = None


class TemplateStep:
    """Templates of one account: the first of its lists with a template that matches decides.

    A text that none of them matches is refused when any of the lists asks for it.
    """

    name: ClassVar[str] = 'templates'

    def __init__(self, lists: Sequence[ListRules]) -> None:
        self._lists = tuple(lists)
        self._unmatched: Verdict | None = None
        refusing = [rules for rules in lists if rules.unmatched is not None]
        if refusing and refusing[0].unmatched is not None:
            names = ', '.join(rules.templates.name for rules in refusing)
            self._unmatched = Verdict(refusing[0].unmatched, f'templates: no template of {names} matches')

    def judge(self, facts: Facts) -> Verdict | None:
        """Set category and priority by the template that matches; refuse by one, or for matching none."""
        return self.peek(facts)

    def peek(self, facts: Facts) -> Verdict | None:
        """Do as `judge` does: this step remembers nothing."""
        text = facts.text()
        for rules in self._lists:
            position = rules.templates.find(text)
            if position >= 0:
                return _apply(rules, position, facts)
        return self._unmatched

    def tell(self, facts: Facts) -> str:
        """Return which template of which list matched."""
        text = facts.text()
        for rules in self._lists:
            position = rules.templates.find(text)
            if position >= 0:
                return f'{_named(rules, position)} matches: {_effect(rules.templates.templates[position])}'
        names = ', '.join(rules.templates.name for rules in self._lists)
        return f'no template of {names or "any list"} matches{"" if self._unmatched is None else ": refused"}'

    def forget(self, facts: Facts) -> None:
        """Nothing was remembered."""


def _apply(rules: ListRules, position: int, facts: Facts) -> Verdict | None:
    template = rules.templates.templates[position]
    if template.rejects:
        return Verdict(rules.status, f'templates: {_named(rules, position)} rejects')
    facts.add_note(f'template {template.name or position + 1} of {rules.templates.name}')
    if template.category:
        facts.category = template.category
    if template.priority is not None:
        facts.priority = template.priority
    return None


def _named(rules: ListRules, position: int) -> str:
    """Return a template as people know it: by its name, or its number in the list from 1 and how it begins."""
    template = rules.templates.templates[position]
    if template.name:
        return f'template `{template.name}` of {rules.templates.name}'
    text = template.text if len(template.text) <= MAX_SHOWN else f'{template.text[:MAX_SHOWN]}...'
    return f'template {position + 1} of {rules.templates.name} (`{text}`)'


def _effect(template: TextTemplate) -> str:
    if template.rejects:
        return 'refused'
    said = [f'category {template.category}'] if template.category else []
    if template.priority is not None:
        said.append(f'priority {template.priority}')
    return ', '.join(said) or 'goes on as it is'
