"""`smsc credit`: what accounts have left, and changes of it by hand.

A change is one transaction on the store, whether the server runs or not; a server that runs is told, and others hear of
it within a second.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from domain.money import format_micros, parse_micros
from smsc import views
from smsc.commands.audit import who
from smsc.commands.running import ask_store, config_option, load_leniently, run_work
from smsc.config.schema import Configuration
from smsc.control import ControlError, ask
from storage.credit import (
    Balance,
    CreditError,
    Entry,
    change_balance,
    read_balances,
    read_entries,
    read_held,
    set_balance,
)

MAX_NOTE = 200
SET = 'set'


class Account(msgspec.Struct, frozen=True):
    """One account as `smsc credit` shows it; amounts in micro-units."""

    account: str
    credit: str
    balance: int
    currency: str
    held: int | None = None  # paid for messages that are not final
    entries: list[Entry] = []


@click.command(context_settings={'ignore_unknown_options': True})
@config_option
@click.argument('account', required=False)
@click.argument('change', nargs=-1)
@click.option('--note', default='', help='Why; kept with the change.')
@click.option('--force', is_flag=True, help='Also where the balance falls below zero.')
@click.option('--json', 'as_json', is_flag=True, help='Print it as JSON, amounts in millionths.')
def credit(path: Path, account: str | None, change: tuple[str, ...], note: str, force: bool, as_json: bool) -> None:
    """Show what accounts have left; with CHANGE `+1000`, `-100` or `set 500`, change it."""
    configuration = load_leniently(path)
    if account is not None:
        _check_account(configuration, account)
    try:
        if account is not None and change:
            _change(configuration, account, change, note[:MAX_NOTE], force)
            if account in configuration.accounts and configuration.accounts[account].credit == 'none':
                click.echo(
                    f'account {account} pays for nothing yet: add `credit: prepaid` and `prices` to it', err=True
                )
        accounts = run_work(ask_store(configuration, lambda arguments: _read(configuration, arguments, account)))
    except CreditError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(msgspec.json.encode(accounts).decode())
        return
    click.echo(
        views.table(
            ('ACCOUNT', 'CREDIT', 'BALANCE', 'CURRENCY'),
            [(one.account, one.credit, format_micros(one.balance), one.currency or '-') for one in accounts],
        )
    )
    if account is not None:
        click.echo(f'paid for messages that are not final: {format_micros(accounts[0].held or 0)}')
        for entry in accounts[0].entries:
            click.echo(_line(entry))


def _check_account(configuration: Configuration, account: str) -> None:
    if account not in configuration.accounts and not configuration.is_partial:
        known = ', '.join(list(configuration.accounts)[:20])
        raise click.UsageError(f'there is no account {account}; name one of {known}')


def _change(configuration: Configuration, account: str, change: tuple[str, ...], note: str, force: bool) -> None:
    """Change a balance, and let the running server know. Raises CreditError."""
    absolute, amount = _parse(change)
    work = set_balance if absolute else change_balance

    async def write(connection: 'asyncpg.Connection[Any]') -> int:
        return await work(connection, account, amount, who(), note, force)

    run_work(ask_store(configuration, lambda arguments: _connected(arguments, write)))
    try:
        asyncio.run(ask(configuration.data, 'credit', account=account))
    except ControlError:
        pass  # it does not run, or not here: who serves looks again by itself


def _parse(change: tuple[str, ...]) -> tuple[bool, int]:
    """Return whether a change sets the balance, and the amount. Raises UsageError."""
    absolute = change[0] == SET
    words = change[1:] if absolute else change
    if len(words) != 1 or not (absolute or words[0].startswith(('+', '-'))):
        raise click.UsageError('write +AMOUNT, -AMOUNT or set AMOUNT')
    try:
        return absolute, parse_micros(words[0])
    except ValueError as error:
        raise click.UsageError(f'{words[0]:.40} {error}; write an amount such as +1000 or -0.25') from error


async def _connected(
    connect_arguments: dict[str, Any], work: Callable[['asyncpg.Connection[Any]'], Awaitable[Any]]
) -> Any:
    connection = await asyncpg.connect(**connect_arguments)
    try:
        return await work(connection)
    finally:
        await connection.close()


async def _read(configuration: Configuration, connect_arguments: dict[str, Any], account: str | None) -> list[Account]:
    """Return one account with its entries, or all that have credit or a balance."""

    async def read(connection: 'asyncpg.Connection[Any]') -> list[Account]:
        balances = {one.account: one for one in await read_balances(connection)}
        if account is None:
            paying = [name for name, config in configuration.accounts.items() if config.credit != 'none']
            return [_account(configuration, name, balances) for name in dict.fromkeys([*paying, *balances])]
        shown = _account(configuration, account, balances)
        entries, held = await read_entries(connection, account), await read_held(connection, account)
        return [msgspec.structs.replace(shown, held=held, entries=entries)]

    found: list[Account] = await _connected(connect_arguments, read)
    return found


def _account(configuration: Configuration, name: str, balances: dict[str, Balance]) -> Account:
    config = configuration.accounts.get(name)
    prices = configuration.prices.get((config and config.prices) or '')
    return Account(
        name,
        config.credit if config else 'removed',
        balances[name].balance if name in balances else 0,
        prices.currency if prices else '',
    )


def _line(entry: Entry) -> str:
    at = datetime.fromtimestamp(entry.at / 1000, UTC).strftime('%Y-%m-%d %H:%M:%S')
    sign = '+' if entry.amount >= 0 else ''
    return f'{at} UTC  {sign}{format_micros(entry.amount)}  {entry.who}  {entry.note}'.rstrip()
