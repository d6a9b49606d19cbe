"""Lists of text templates made ready for matching, and the step of each account that uses them."""

from collections.abc import Mapping

from routing.template_index import TemplateList
from routing.template_step import ListRules, TemplateStep
from smsc.config.content_schema import TemplatesConfig
from smsc.config.kinds import OneOrMore, status_value
from smsc.config.problems import ConfigurationError, Problem
from smsc.config.template_files import folding_of, names_of, templates_of


def load_templates(configs: Mapping[str, TemplatesConfig]) -> dict[str, ListRules]:
    """Return the lists of a checked configuration by name. Raises ConfigurationError when a file has mistakes."""
    made: dict[str, ListRules] = {}
    problems: list[Problem] = []
    for name, config in configs.items():
        templates, mistakes = templates_of(name, config)
        problems += mistakes
        if not mistakes:
            status = status_value(config.status)
            unmatched = status if config.unmatched == 'reject' else None
            made[name] = ListRules(TemplateList(name, templates, folding_of(config)), status, unmatched)
    if problems:
        raise ConfigurationError(problems)
    return made


def template_step(wanted: OneOrMore | None, lists: Mapping[str, ListRules]) -> TemplateStep | None:
    """Return the step of an account, None when it names no list."""
    chosen = [lists[name] for name in names_of(wanted)]
    return TemplateStep(chosen) if chosen else None
