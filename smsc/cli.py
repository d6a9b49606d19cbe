"""The command line: `smsc run | check | reload | status | send | message | ledger | upgrade-store`.

Every command takes `-c/--config FILE` (default conf/smsc.yaml, or SMSC_CONFIG). Exit status: 0 done, 1 the answer is
bad news (a broken configuration, a message that was not delivered, a ledger that does not add up), 2 wrong usage.
"""

import sys
import time
from pathlib import Path

import click
import msgspec

from smsc import log, views
from smsc.cluster.places import given_place
from smsc.commands.audit import audit
from smsc.commands.backup import backup, restore
from smsc.commands.credit import credit
from smsc.commands.mnp import mnp
from smsc.commands.plan import plan
from smsc.commands.queue import queue
from smsc.commands.route import route
from smsc.commands.running import ask_store, config_option, load, load_leniently, run_work
from smsc.commands.stop_list import stop_list
from smsc.commands.store import store
from smsc.commands.switches import route_switch, switches, upstream
from smsc.commands.templates import templates
from smsc.config.schema import AccountConfig, Configuration
from smsc.control import ask
from smsc.message_ids import parse_message_id
from smsc.prices import currencies_of
from smsc.sender import Letter, Part, send
from smsc.server import Server
from smsc.status import Snapshot
from smsc.supervisor import Supervisor
from storage import embedded
from storage.ledger import read_ledger, read_story

WILDCARD = {'0.0.0.0': '127.0.0.1', '::': '::1'}


@click.group(context_settings={'help_option_names': ['-h', '--help']})
def main() -> None:
    """An SMSC proxy: ESMEs bind in, messages are stored, routed and sent to operators, receipts come back."""
    log.set_up('warning', 'text')


@main.command()
@config_option
@click.option('--nodes', type=click.IntRange(1, 64), default=1, show_default=True, help='Processes to share the work.')
@click.option(
    '--node', type=click.IntRange(0, 255), envvar='SMSC_NODE', help='Number of this node, or of the first of --nodes.'
)
def run(path: Path, nodes: int, node: int | None) -> None:
    """Run the server in the foreground; it logs to stderr. SIGTERM drains and ends it, SIGHUP reloads.

    With --nodes N, N processes share the work, watched by this one. They listen on the same SMPP port; the HTTP port of
    the first is the configured one, that of the next one more, and so on. They share a PostgreSQL and a Redis of their
    own where the configuration names none.
    """
    configuration = load(path)
    if node is not None:
        configuration = msgspec.structs.replace(configuration, node=node)
    log.set_up(configuration.log.level, configuration.log.format)
    place = given_place()
    if nodes > 1 and place is None:
        run_work(Supervisor(path, configuration, nodes).run())
    else:
        run_work(Server(path, configuration, place).run())


@main.command()
@config_option
def restart(path: Path) -> None:
    """Restart the nodes of `run --nodes` one after another: sessions at one go on while another comes back."""
    for line in run_work(ask(load_leniently(path).data, 'restart')):
        click.echo(line)


@main.command()
@config_option
def check(path: Path) -> None:
    """Check the configuration without starting anything."""
    configuration = load(path, thorough=True)
    for notice in configuration.not_in_effect:
        click.echo(f'{notice.file}:{notice.line}: {notice.key}: not in effect yet: {notice.what}')
    for warning in configuration.warnings:
        click.echo(f'warning: {warning}')
    click.echo(
        f'{path}: correct: {len(configuration.accounts)} accounts, {len(configuration.upstreams)} upstreams, '
        f'{len(configuration.routes)} routes'
    )


@main.command()
@config_option
@click.option('--dry-run', is_flag=True, help='Show what would change, and change nothing.')
def reload(path: Path, dry_run: bool) -> None:
    """Swap the configuration of the running server; a broken one changes nothing.

    Of several nodes, those that --nodes started reload, one after another. Nodes on other machines have files of their
    own: reload there, too.
    """
    configuration = load(path)
    changes = run_work(ask(configuration.data, 'reload', dry_run=dry_run))
    for change in changes:
        click.echo(change)
    if configuration.cluster is not None and not dry_run:
        click.echo('nodes on other machines have files of their own: reload there, too')
    click.echo('nothing was changed (dry run)' if dry_run else 'reloaded' if changes else 'reloaded; nothing differs')


@main.command()
@config_option
@click.option('-w', '--watch', is_flag=True, help='Refresh every second until interrupted.')
@click.option('--json', 'as_json', is_flag=True, help='Print the snapshot as JSON.')
def status(path: Path, watch: bool, as_json: bool) -> None:
    """Show sessions, links, rates, queues and windows of the running server, and how all nodes of a cluster stand."""
    configuration = load_leniently(path)
    while True:
        answer = run_work(ask(configuration.data, 'status'))
        if as_json:
            click.echo(msgspec.json.encode(answer).decode())
        else:
            page = views.status(msgspec.convert(answer, Snapshot))
            click.echo(f'\x1b[H\x1b[2J{page}' if watch else page)
        if not watch:
            return
        time.sleep(1)


@main.command('send')
@config_option
@click.argument('destination')
@click.argument('text')
@click.option('--account', 'name', help='The account to send as; default the first with a plain password.')
@click.option('--password', help='Its password, where the configuration has only a hash.')
@click.option('--from', '--sender', 'source_addr', default='SMSC', show_default=True, help='The sender.')
@click.option('--wait', 'wait_s', default=30.0, show_default=True, help='Seconds to wait for the receipt.')
def send_command(
    path: Path, destination: str, text: str, name: str | None, password: str | None, source_addr: str, wait_s: float
) -> None:
    """Send TEXT to DESTINATION as an ESME would, and show the receipt."""
    configuration = load(path)
    account = _sending_account(configuration, name, password)
    listen = configuration.smpp.listen
    letter = Letter(
        WILDCARD.get(listen.host, listen.host),
        listen.port,
        account.system_id,
        password or account.password or '',
        source_addr,
        destination,
        text,
    )
    shown: set[str] = set()

    def show(parts: list[Part]) -> None:
        for line in views.parts(parts):
            if line not in shown:
                shown.add(line)
                click.echo(line)

    parts = run_work(send(letter, wait_s, show))
    if not all(part.receipt == 'DELIVRD' for part in parts):
        if any(part.status == 'ESME_ROK' and not part.receipt for part in parts):
            click.echo(f'no receipt within {wait_s:g} s; ask later with: smsc message ID')
        sys.exit(1)


def _sending_account(configuration: Configuration, name: str | None, password: str | None) -> AccountConfig:
    for account in configuration.accounts.values():
        if (name or account.name) == account.name and (password or account.password) and account.enabled:
            return account
    raise click.ClickException(
        f'no enabled account {name or "with a plain password"} to send as; name one with --account NAME --password ...'
    )


@main.command()
@config_option
@click.argument('message_id')
def message(path: Path, message_id: str) -> None:
    """Tell one message's whole story; MESSAGE_ID as the ESME was given it, in whatever form."""
    configuration = load_leniently(path)
    try:
        number = parse_message_id(message_id)
    except ValueError as error:
        raise click.UsageError(f'{message_id} is no message id; write it as submit_sm_resp gave it') from error
    story = run_work(ask_store(configuration, lambda arguments: read_story(arguments, number)))
    if story is None:
        raise click.ClickException(
            f'no message {message_id} in the store (kept {configuration.retention.messages_d} days)'
        )
    click.echo(views.story(story, currencies_of(configuration, story)))


@main.command()
@config_option
@click.option('--json', 'as_json', is_flag=True, help='Print it as JSON.')
def ledger(path: Path, as_json: bool) -> None:
    """Count accepted, final and waiting messages, and prove that they add up."""
    configuration = load_leniently(path)
    book = run_work(ask_store(configuration, read_ledger))
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(book), 'adds_up': book.adds_up}).decode())
    else:
        click.echo(views.ledger(book))
    if not book.adds_up:
        sys.exit(1)


@main.command('upgrade-store')
@config_option
def upgrade_store(path: Path) -> None:
    """Move the private PostgreSQL to the newest major version on this machine; the server must be stopped."""
    configuration = load(path)
    if configuration.store.postgres:
        raise click.ClickException('store.postgres names a server of your own; upgrade it by its own means')
    run_work(embedded.upgrade(configuration.data))
    click.echo('the store is of the newest major version now; start the server with: smsc run')


main.add_command(audit)
main.add_command(backup)
main.add_command(restore)
main.add_command(store)
main.add_command(plan)
main.add_command(credit)
main.add_command(mnp)
main.add_command(stop_list)
for command in (upstream, route_switch, switches):
    main.add_command(command)
main.add_command(templates)
main.add_command(route)
main.add_command(queue)
