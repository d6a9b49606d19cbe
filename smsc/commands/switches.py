"""`smsc upstream`, `smsc route-switch`, `smsc switches`: upstreams and routes off and on by hand."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click

from smsc.commands.audit import who
from smsc.commands.running import ask_store, config_option, load_leniently, run_work
from smsc.config.routes import build
from smsc.config.schema import Configuration
from smsc.control import ControlError, ask, socket_path
from smsc.switches import STANDINGS, check_name, describe
from storage.switches import Off, Switch, SwitchKind, change_alone, read_alone

note_option = click.option('--note', default='', help='Why; shown by `smsc switches` and `smsc audit`.')
position = click.argument('position', type=click.Choice(['off', 'on']))


@click.command()
@config_option
@click.argument('name')
@position
@note_option
def upstream(path: Path, name: str, position: str, note: str) -> None:
    """Switch the upstream NAME off or on: off, it gets nothing new, and what waits for it goes elsewhere."""
    _switch(path, 'upstream', name, position, note)


@click.command('route-switch')
@config_option
@click.argument('name')
@position
@note_option
def route_switch(path: Path, name: str, position: str, note: str) -> None:
    """Switch the route NAME off or on: off, it never matches. A route in a block is "BLOCK > NAME"."""
    _switch(path, 'route', name, position, note)


@click.command()
@config_option
def switches(path: Path) -> None:
    """List what is switched off by hand, and which queues are paused or drained."""
    off = run_work(ask_store(load_leniently(path), read_alone))
    for one in off:
        click.echo(_line(one))
    if not off:
        click.echo('everything is on')


def _switch(path: Path, kind: SwitchKind, name: str, position: str, note: str) -> None:
    configuration = load_leniently(path)
    click.echo(run_work(changed(configuration, Switch(kind, name, position == 'off', who(), note))))


async def changed(configuration: Configuration, switch: Switch) -> str:
    """Have the running server do it, or do it in the store when none runs; every node sees it in a few seconds."""
    if await _runs(configuration.data):
        return str(
            await ask(
                configuration.data,
                'switch',
                kind=switch.kind,
                name=switch.name,
                off=switch.off,
                who=switch.who,
                note=switch.note,
            )
        )
    if switch.off and not configuration.is_partial:  # else nobody knows what there is
        check_name(switch, configuration, build(configuration))
    try:
        changed = await ask_store(configuration, lambda arguments: change_alone(arguments, switch))
    except LookupError as error:
        raise ControlError(str(error)) from error
    return describe(switch, changed)


async def _runs(data: Path) -> bool:
    """Return whether a server listens on the control socket; one that was killed leaves the file behind."""
    try:
        _, writer = await asyncio.open_unix_connection(socket_path(data))
    except OSError:
        return False
    writer.close()
    return True


def _line(off: Off) -> str:
    at = datetime.fromtimestamp(off.at / 1000, UTC).strftime('%Y-%m-%d %H:%M:%S')
    note = f': {off.note}' if off.note else ''
    what = f'queue {off.name} {STANDINGS[off.kind][1]}' if off.kind in STANDINGS else f'{off.kind} {off.name} is off'
    return f'{what} since {at} UTC, by {off.who}{note}'
