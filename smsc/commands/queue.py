"""`smsc queue`: what waits, for whom and for how long; and to pause, drain, move and purge it."""

import re
import sys
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from smsc.clock import wall_ms
from smsc.commands.audit import who
from smsc.commands.running import ask_store, config_option, load_leniently, run_work
from smsc.commands.switches import changed, note_option
from smsc.config.schema import Configuration
from smsc.control import NoServerError, ask
from smsc.queues import Progress, Request, Work
from smsc.queues_page import queues_page
from smsc.queues_shown import Queue, Told, UpstreamNow, put_together
from smsc.switches import STANDINGS
from storage.queues import DepthOnDisk, read_depths
from storage.switches import Switch, queue_name, read_alone

STATES = {'EXPIRED': 'EXPIRED', 'DELETED': 'DELETED', 'UNDELIV': 'UNDELIVERABLE'}
UNITS = {'s': 1, 'm': 60, 'h': 3_600, 'd': 86_400}
TRIES = 30  # a second apart, while the store is away


class Shown(msgspec.Struct, frozen=True):
    """What `smsc queue --json` prints; without a running server `upstreams` has nothing but what is paused."""

    queues: list[Queue]
    upstreams: dict[str, UpstreamNow]
    switches: list[str]
    silent_nodes: list[int]
    server_runs: bool


def _seconds(context: click.Context, parameter: click.Parameter, value: str | None) -> float:
    if value is None:
        return 0.0
    found = re.fullmatch(r'(\d{1,6}(?:\.\d{1,3})?)([smhd])', value)
    if found is None:
        raise click.BadParameter('write a number and s, m, h or d, such as 90s or 1h')
    return float(found[1]) * UNITS[found[2]]


account_option = click.option('--account', help='Only what is of this account.')
priority_option = click.option('--priority', type=click.IntRange(0, 4), help='Only what is of this priority.')


@click.group(invoke_without_command=True)
@config_option
@click.option('--upstream', help='Only what waits for this upstream.')
@account_option
@priority_option
@click.option('--json', 'as_json', is_flag=True, help='Print it as JSON.')
@click.pass_context
def queue(
    context: click.Context, path: Path, upstream: str | None, account: str | None, priority: int | None, as_json: bool
) -> None:
    """Show what waits for upstreams, and what accounts are owed; of all nodes. Without a command, show it."""
    if context.invoked_subcommand is not None:
        return
    outbox = None if upstream is None else f'upstream {upstream}'
    shown = run_work(_shown(load_leniently(path), outbox, account, priority))
    if as_json:
        click.echo(msgspec.json.encode(shown).decode())
        return
    click.echo(queues_page(shown.queues, shown.upstreams, bool(upstream or account) or priority is not None))
    for line in shown.switches:
        click.echo(line)
    if not shown.server_runs:
        click.echo('no server runs: this is what the store has')
    for node in shown.silent_nodes:
        click.echo(f'node {node} does not say what its memory holds')


async def _shown(configuration: Configuration, outbox: str | None, account: str | None, priority: int | None) -> Shown:
    told, runs = Told(), True
    try:
        told = msgspec.convert(await ask(configuration.data, 'queues'), Told)
    except NoServerError:
        runs = False
    now_ms = wall_ms()

    async def read(arguments: dict[str, Any]) -> tuple[list[DepthOnDisk], list[str]]:
        off = [one for one in await read_alone(arguments) if one.kind in STANDINGS]
        lines = [f'queue {one.name} {STANDINGS[one.kind][1]}' for one in off]
        return await read_depths(arguments, now_ms, outbox, account, priority), lines

    depths, lines = await ask_store(configuration, read)
    wanted = [
        found
        for found in put_together(depths, told, now_ms)
        if (outbox is None or f'{found.kind} {found.name}' == outbox)
        and account in (None, found.account)
        and priority in (None, found.priority)
    ]
    return Shown(wanted, _upstreams(told, outbox), lines, told.silent, runs)


def _upstreams(told: Told, outbox: str | None) -> dict[str, UpstreamNow]:
    """Return how upstreams stand, over all nodes: rates and open requests in sum, states as the first has them."""
    found: dict[str, UpstreamNow] = {}
    for node in told.nodes:
        for name, now in node.upstreams.items():
            if outbox is not None and outbox != f'upstream {name}':
                continue
            before = found.get(name)
            found[name] = (
                now
                if before is None
                else msgspec.structs.replace(
                    now,
                    state=before.state,
                    rate_per_s=before.rate_per_s + now.rate_per_s,
                    awaiting_response=before.awaiting_response + now.awaiting_response,
                )
            )
    return found


@queue.command()
@config_option
@click.argument('upstream')
@account_option
@note_option
def pause(path: Path, upstream: str, account: str | None, note: str) -> None:
    """Send nothing more to UPSTREAM, or nothing of one account; what is for it is accepted, and waits."""
    _switch(path, ('pause',), upstream, account, True, note)


@queue.command()
@config_option
@click.argument('upstream')
@account_option
@note_option
def resume(path: Path, upstream: str, account: str | None, note: str) -> None:
    """Send again what was paused, and give UPSTREAM new messages again that was drained."""
    _switch(path, ('pause',) if account is not None else ('pause', 'drain'), upstream, account, False, note)


@queue.command()
@config_option
@click.argument('upstream')
@note_option
def drain(path: Path, upstream: str, note: str) -> None:
    """Send what waits for UPSTREAM, and give it nothing new that another upstream of its route may take."""
    _switch(path, ('drain',), upstream, None, True, note)


def _switch(
    path: Path, kinds: tuple[Literal['pause', 'drain'], ...], upstream: str, account: str | None, off: bool, note: str
) -> None:
    configuration, name = load_leniently(path), queue_name(upstream, account)
    lines = [run_work(changed(configuration, Switch(kind, name, off, who(), note))) for kind in kinds]
    for line in [line for line in lines if not line.endswith(' already')] or lines[:1]:
        click.echo(line)


@queue.command()
@config_option
@click.argument('upstream', metavar='FROM')
@click.argument('to')
@account_option
@priority_option
@click.option('--limit', type=click.IntRange(1), help='So many messages, and no more.')
def move(path: Path, upstream: str, to: str, account: str | None, priority: int | None, limit: int | None) -> None:
    """Let what waits for the upstream FROM wait for the upstream TO instead, whatever its routes say.

    What may have been sent to FROM stays, and so do messages of which it has a part.
    """
    work = Work('move', upstream, who(), to, account, priority, limit=limit)
    _finish(path, work, 'moved {}', 'moved')


@queue.command()
@config_option
@click.argument('upstream')
@account_option
@priority_option
@click.option('--older-than', 'older_than_s', callback=_seconds, help='Only what was accepted so long ago: 90s, 1h.')
@click.option('--state', type=click.Choice(list(STATES)), default='DELETED', show_default=True, help='What it ends as.')
@click.option('--limit', type=click.IntRange(1), help='So many messages, and no more.')
@click.option('--yes', is_flag=True, help='Do it; without it, messages are only counted.')
def purge(
    path: Path,
    upstream: str,
    account: str | None,
    priority: int | None,
    older_than_s: float,
    state: str,
    limit: int | None,
    yes: bool,
) -> None:
    """End what waits for UPSTREAM, with receipts to those who asked for them; credit goes back as configured.

    What may have been sent stays, and so do messages of which the upstream has a part.
    """
    work = msgspec.convert(
        {'action': 'purge', 'upstream': upstream, 'who': who(), 'account': account, 'priority': priority}
        | {'older_than_s': older_than_s, 'state': STATES[state], 'limit': limit, 'dry_run': not yes},
        Work,
    )
    _finish(path, work, f'ended {{}} as {state}' if yes else f'would end {{}} as {state}; do it with --yes', 'ended')


def _finish(path: Path, work: Work, text: str, verb: str) -> None:
    """Do all of the work, and say how far it has come."""
    progress = run_work(_work(load_leniently(path), work, verb))
    messages = f'{progress.done} message{"" if progress.done == 1 else "s"}'
    click.echo(text.format(messages))
    if progress.kept:
        click.echo(f'{progress.kept} may have been sent already, and stay')
    for node in progress.silent:
        click.echo(f'node {node} did not answer: what waits there was left out; do it again later', err=True)
    if progress.silent:
        sys.exit(1)


async def _work(configuration: Configuration, work: Work, verb: str) -> Progress:
    progress: Progress | None = None
    while progress is None or progress.places:
        request = msgspec.to_builtins(Request(work, progress))
        answer = await ask(configuration.data, 'queue_work', **request)
        progress = msgspec.convert(answer, Progress)
        if progress.places and not work.dry_run:
            click.echo(f'{progress.done} {verb} so far', err=True)
    return progress
