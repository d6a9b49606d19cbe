"""What the configuration of templates and of the fraud filter must also be: templates and files that can be read."""

from collections.abc import Callable, Iterator

import re2

from routing.expressions import Expression
from routing.look_alikes import fold_name
from routing.templates import TemplateError, parse
from smsc.config.content_schema import KNOWN_CATEGORIES, FraudRuleConfig, TemplatesConfig, VelocityConfig
from smsc.config.kinds import OneOrMore, Status
from smsc.config.problems import Problem
from smsc.config.schema import Configuration
from smsc.config.template_files import folding_of, names_of, templates_of

KINDS = ('text', 'links', 'look_alike', 'burst', 'velocity')
MAX_HOST = 253
Exists = Callable[[str, str], bool]
"""Whether `accounts` or `templates` were written down by a name, even if with mistakes."""
Mistake = tuple[str, str, str]
"""(key, what is wrong, remedy)"""


def content_statuses(configuration: Configuration) -> Iterator[tuple[str, Status]]:
    """Yield every command_status among these keys."""
    for name, templates in configuration.templates.items():
        yield f'templates.{name}.status', templates.status
    yield 'fraud.status', configuration.fraud.status
    for number, rule in enumerate(configuration.fraud.rules):
        if rule.status is not None:
            yield f'fraud.rules[{number}].status', rule.status


def content_mistakes(configuration: Configuration, exists: Exists) -> Iterator[Mistake | Problem]:
    """Yield every mistake among these keys; those of files with their own place."""
    for name, templates in configuration.templates.items():
        yield from _templates(f'templates.{name}', name, templates)
    known = ', '.join(list(configuration.templates)[:20]) or 'those under `templates:` (none yet)'
    for name, account in configuration.accounts.items():
        for wanted in names_of(account.templates):
            if not exists('templates', wanted):
                yield f'accounts.{name}.templates', f'there is no list of templates {wanted}', f'name one of {known}'
    names: set[str] = set()
    for number, rule in enumerate(configuration.fraud.rules):
        key = f'fraud.rules[{number}]'
        if rule.name in names:
            yield key, f'rule `{rule.name}` stands twice', 'give each a name of its own'
        names.add(rule.name)
        yield from _rule(key, rule, exists)


def content_warnings(configuration: Configuration) -> Iterator[Mistake]:
    """Yield what is no mistake, and yet may be a slip: a category that nothing else knows."""
    used: dict[str, str] = {}
    for name, account in configuration.accounts.items():
        if account.category:
            used.setdefault(account.category, f'accounts.{name}.category')
    for name, templates in configuration.templates.items():
        for number, entry in enumerate(templates.entries):
            if entry.category:
                used.setdefault(entry.category, f'templates.{name}.entries[{number}].category')
    for category, key in used.items():
        if category not in KNOWN_CATEGORIES:
            remedy = f'usual are {", ".join(KNOWN_CATEGORIES)}; other words are categories of your own'
            yield key, f'`{category}` is no usual category', remedy
    for number, rule in enumerate(configuration.fraud.rules):
        yield from costly(f'fraud.rules[{number}].text', rule.text or ())


def costly(key: str, patterns: OneOrMore | tuple[()]) -> Iterator[Mistake]:
    """Yield expressions that a long text keeps busy for longer than other messages should wait."""
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if pattern.startswith('~') and _is_costly(pattern[1:]):
            message = f'`{pattern:.80}` takes long to search a text of several segments'
            yield key, message, 'repeat less in it: `{1,50}` is 50 copies of what stands before it'


def _is_costly(expression: str) -> bool:
    try:
        return Expression(expression).is_costly
    except re2.error:
        return False  # it is a mistake


def _templates(key: str, name: str, config: TemplatesConfig) -> Iterator[Mistake | Problem]:
    if config.file is None and not config.entries:
        yield key, 'holds no template', 'add `file: ...` or `entries: [...]`'
    for number, entry in enumerate(config.entries):
        try:
            parse(entry.template, folding_of(config))
        except TemplateError as error:
            message, _, remedy = str(error).partition('; ')
            yield f'{key}.entries[{number}].template', message, remedy
    yield from templates_of(name, config)[1]


def _rule(key: str, rule: FraudRuleConfig, exists: Exists) -> Iterator[Mistake]:
    kinds = [kind for kind in KINDS if getattr(rule, kind) is not None]
    if len(kinds) != 1:
        found = ' and '.join(kinds) or 'nothing to look for'
        yield key, f'rule `{rule.name}` has {found}', f'give it exactly one of {", ".join(KINDS)}'
    owners = rule.look_alike.accounts if rule.look_alike is not None else ()
    for where, accounts in (('accounts', rule.accounts), ('look_alike.accounts', owners)):
        for account in accounts:
            if not exists('accounts', account):
                yield f'{key}.{where}', f'there is no account {account}', 'name accounts under `accounts:`'
    if rule.text is not None:
        yield from _texts(f'{key}.text', rule.text)
    for name in rule.look_alike.names if rule.look_alike is not None else ():
        if not fold_name(name):
            yield f'{key}.look_alike.names', f'`{name}` has no letter', 'write a name such as MyBank'
    if rule.look_alike is not None and not rule.look_alike.names:
        yield f'{key}.look_alike.names', 'names nothing', 'name what is protected'
    if rule.links is not None:
        for host in (*rule.links.allow, *rule.links.block, *rule.links.look_alikes):
            if not host.strip('.*') or '/' in host or ':' in host or len(host) > MAX_HOST:
                yield f'{key}.links', f'`{host:.80}` is no host', 'write it without http:// and path: example.com'
    if rule.velocity == VelocityConfig():
        yield f'{key}.velocity', 'limits nothing', 'add per_minute, per_hour or countries'


def _texts(key: str, text: OneOrMore) -> Iterator[Mistake]:
    patterns = [text] if isinstance(text, str) else text
    if not patterns:
        yield key, 'names nothing', 'name a word or an expression'
    for pattern in patterns:
        if not pattern.startswith('~'):
            if not pattern.strip(' *'):
                yield key, f'`{pattern}` is no word', 'write a word, or an expression that begins with ~'
            continue
        try:
            Expression(pattern[1:])
        except re2.error as error:
            reason = error.args[0].decode('utf-8', 'replace')
            yield key, f'`{pattern:.80}` is no regular expression: {reason}', 'see the syntax of RE2'
