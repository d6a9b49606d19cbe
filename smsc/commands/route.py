"""`smsc route`: where a message would go, and why."""

from pathlib import Path

import click
import msgspec

from smsc.clock import wall_ms
from smsc.commands.running import ask_store, config_option, load, load_leniently, run_work
from smsc.config.schema import Configuration
from smsc.control import NoServerError, ask
from smsc.explaining import Explanation, Question
from smsc.explaining_alone import Stored, digits_of, explain_alone, read_stored
from smsc.explaining_mo import MoQuestion, explain_mo_alone

MARKS = {'yes': '+', 'no': '-', '': ' '}


@click.command()
@config_option
@click.argument('destination')
@click.option('--account', help='Who submits it; default the first account.')
@click.option('--sender', '--from', 'sender', default='', help='Its source address.')
@click.option('--text', default='', help='What it says.')
@click.option('--mo', 'upstream', help='Of an MO message that came from this upstream; DESTINATION is its own.')
@click.option('--json', 'as_json', is_flag=True, help='Print it as JSON.')
def route(
    path: Path, destination: str, account: str | None, sender: str, text: str, upstream: str | None, as_json: bool
) -> None:
    """Tell where a message to DESTINATION would go: every step, what it looked up, which rule matched, and why.

    Asks the running server, whose lists, limits and switches count; nothing is sent and nothing is used up. While none
    runs, files and store tell what they know.
    """
    configuration = load_leniently(path)
    if upstream is not None:
        if account is not None:
            raise click.UsageError('--mo stands beside --account; an MO message comes from an upstream')
        asked = MoQuestion(
            upstream=_known(configuration, 'upstream', upstream),
            destination=destination,
            now_ms=wall_ms(),
            source_addr=sender,
            text=text,
        )
        answer = run_work(_mo_answer(path, configuration, asked))
    else:
        question = Question(
            account=_account(configuration, account),
            destination=destination,
            now_ms=wall_ms(),
            source_addr=sender,
            text=text,
        )
        answer = run_work(_answer(path, configuration, question))
    click.echo(msgspec.json.encode(answer).decode() if as_json else page(answer))


async def _mo_answer(path: Path, configuration: Configuration, question: MoQuestion) -> Explanation:
    try:
        answer = await ask(configuration.data, 'route_mo', **msgspec.to_builtins(question))
    except NoServerError:
        return await explain_mo_alone(load(path), question)
    return msgspec.convert(answer, Explanation)


async def _answer(path: Path, configuration: Configuration, question: Question) -> Explanation:
    try:
        answer = await ask(configuration.data, 'route', **msgspec.to_builtins(question))
    except NoServerError:
        configuration = load(path)  # the whole of it: nobody else knows
        return await explain_alone(configuration, question, await _stored(configuration, question))
    return msgspec.convert(answer, Explanation)


async def _stored(configuration: Configuration, question: Question) -> Stored:
    """Return what the store says, where there is one: none is made for a question."""
    if not configuration.store.postgres and not (configuration.data / 'postgres' / 'PG_VERSION').exists():
        return Stored()
    digits = digits_of(configuration, question)
    found: Stored = await ask_store(configuration, lambda arguments: read_stored(arguments, digits))
    return found


def _account(configuration: Configuration, name: str | None) -> str:
    if name is None:
        name = next(iter(configuration.accounts), None)
    if name is None:
        raise click.ClickException('no account is configured; there are: none')
    return _known(configuration, 'account', name)


def _known(configuration: Configuration, kind: str, name: str) -> str:
    """Return the name of an account or upstream. Raises ClickException without one, if all are known."""
    names = getattr(configuration, f'{kind}s')
    if name not in names and not configuration.is_partial:
        known = ', '.join(list(names)[:20]) or 'none'
        raise click.ClickException(f'no {kind} {name}; there are: {known}')
    return name


def page(explanation: Explanation) -> str:
    """Return an explanation for people: `+` decided or holds, `-` does not."""
    width = max((len(finding.topic) for finding in explanation.findings), default=0)
    lines = [f'{MARKS[finding.mark]} {finding.topic:<{width}}  {finding.text}' for finding in explanation.findings]
    return '\n'.join([*lines, f'= {explanation.outcome}'])
