"""`smsc route`: where a message would go, and why."""

from pathlib import Path

import click
import msgspec

from smsc.clock import wall_ms
from smsc.commands.running import config_option, load, run_work
from smsc.config.schema import Configuration
from smsc.control import ask
from smsc.explaining import Explanation, Question

MARKS = {'yes': '+', 'no': '-', '': ' '}


@click.command()
@config_option
@click.argument('destination')
@click.option('--account', help='Who submits it; default the first account.')
@click.option('--sender', default='', help='Its source address.')
@click.option('--text', default='', help='What it says.')
@click.option('--json', 'as_json', is_flag=True, help='Print it as JSON.')
def route(path: Path, destination: str, account: str | None, sender: str, text: str, as_json: bool) -> None:
    """Tell where a message to DESTINATION would go: every step, what it looked up, which rule matched, and why.

    Asks the running server, whose lists, limits and switches count; nothing is sent and nothing is used up.
    """
    configuration = load(path)
    question = Question(_account(configuration, account), destination, wall_ms(), sender, text)
    answer = run_work(ask(configuration.data, 'route', **msgspec.to_builtins(question)))
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
    else:
        click.echo(page(msgspec.convert(answer, Explanation)))


def _account(configuration: Configuration, name: str | None) -> str:
    if name is None:
        name = next(iter(configuration.accounts), None)
    if name is None or name not in configuration.accounts:
        known = ', '.join(list(configuration.accounts)[:20]) or 'none'
        raise click.ClickException(f'no account {name or "is configured"}; there are: {known}')
    return name


def page(explanation: Explanation) -> str:
    """Return an explanation for people: `+` decided or holds, `-` does not."""
    width = max((len(finding.topic) for finding in explanation.findings), default=0)
    lines = [f'{MARKS[finding.mark]} {finding.topic:<{width}}  {finding.text}' for finding in explanation.findings]
    return '\n'.join([*lines, f'= {explanation.outcome}'])
