"""`smsc templates`: check a file of templates before it is used, and try a text against the lists of an account."""

import sys
from pathlib import Path

import click

from routing.facts import Facts
from routing.template_index import TemplateList
from routing.template_step import ListRules, TemplateStep
from routing.templates import Folding
from smsc.commands.running import config_option, load
from smsc.config.problems import ConfigurationError
from smsc.config.schema import Configuration
from smsc.config.template_files import names_of, read_file, repeated_rows
from smsc.templates import load_templates

MAX_SHOWN = 20


@click.group()
def templates() -> None:
    """Check files of text templates, and try texts."""


@templates.command()
@click.argument('file', type=click.Path(path_type=Path, dir_okay=False))
@click.option('--look-alikes', is_flag=True, help='As `look_alikes: true` of a list.')
@click.option('--case', is_flag=True, help='As `ignore_case: false` of a list.')
def check(file: Path, look_alikes: bool, case: bool) -> None:
    """Check a CSV FILE of templates; nothing of the configuration or of a running server is looked at."""
    folding = Folding(not case, look_alikes)
    rows, problems = read_file(file, folding)
    for problem in problems:
        click.echo(str(problem))
    for later, first in repeated_rows(rows, folding)[:MAX_SHOWN]:
        click.echo(f'{file}:{later.line}: warning: never matches: line {first.line} says the same; take one out')
    index = TemplateList(file.name, rows, folding)
    for position in index.unindexed[:MAX_SHOWN]:
        click.echo(f'{file}:{rows[position].line}: warning: holds no literal text: every message is compared with it')
    if problems:
        click.echo(f'{file}: {len(rows)} templates are correct, {len(problems)} lines are not')
        sys.exit(1)
    click.echo(f'{file}: correct: {len(rows)} templates')


@templates.command()
@config_option
@click.argument('text')
@click.option('--account', help='Try the lists of this account.')
@click.option('--list', 'name', help='Try this list.')
def match(path: Path, text: str, account: str | None, name: str | None) -> None:
    """Print the template that TEXT matches, and what becomes of it; exit status 1 when that is nothing good."""
    if (account is None) == (name is None):
        raise click.UsageError('name either an account with --account or a list with --list')
    configuration = load(path)
    step = TemplateStep(_lists(configuration, account, name))
    facts = Facts(account or '', '', '', 0, lambda: text)
    verdict = step.peek(facts)
    click.echo(step.tell(facts))
    sys.exit(0 if verdict is None else 1)


def _lists(configuration: Configuration, account: str | None, name: str | None) -> list[ListRules]:
    """Return the lists that were asked for. Raises ClickException."""
    names = [name] if name is not None else []
    if account is not None:
        config = configuration.accounts.get(account)
        if config is None:
            raise click.ClickException(f'there is no account {account}; name one of those under `accounts:`')
        names = names_of(config.templates)
        if not names:
            raise click.ClickException(f'account {account} has no templates; add `templates: LIST` to it')
    for wanted in names:
        if wanted not in configuration.templates:
            known = ', '.join(list(configuration.templates)[:MAX_SHOWN]) or 'none yet'
            raise click.ClickException(f'there is no list {wanted}; there are: {known}')
    try:
        lists = load_templates({wanted: configuration.templates[wanted] for wanted in names})
    except ConfigurationError as error:
        raise click.ClickException(f'the configuration has mistakes:\n{error}') from error
    return [lists[wanted] for wanted in names]
