"""Credit of accounts: prices are taken in the transaction that accepts the messages, and given back in the one that
ends them.

The store's row is the truth. Memory knows the last balances that it saw, so that an account that has nothing left is
refused without the store being asked: `affords`; `refresh` asks how those stand that were refused so.
"""

from collections.abc import Iterable, Mapping, Sequence

import asyncpg
import msgspec

from domain.message import Message
from domain.money import format_micros
from storage import audit
from storage import statements as sql
from storage.connection import Connection, StoreConnection

PREPAID_LOWEST = 0
ENTRIES_SHOWN = 20


class CreditError(Exception):
    """A change by hand that is refused; the text says why and what to do."""


class Terms(msgspec.Struct, frozen=True):
    """How an account pays: `charge` as in domain.charges; its balance never falls below `lowest`, None = it may owe."""

    charge: int
    lowest: int | None = PREPAID_LOWEST


class Balance(msgspec.Struct, frozen=True):
    """What an account has, in micro-units of its currency."""

    account: str
    balance: int


class Entry(msgspec.Struct, frozen=True):
    """One change by hand: `at` Unix milliseconds, `amount` micro-units."""

    at: int
    amount: int
    who: str
    note: str


class Credit:
    """What accounts have left, as one node sees it."""

    def __init__(self, connection: StoreConnection) -> None:
        """`connection` is for what is asked beside the traffic."""
        self.terms: Mapping[str, Terms] = {}
        self._connection = connection
        self._known: dict[str, int] = {}  # of accounts that cannot owe
        self._refused: set[str] = set()  # since the last refresh

    def configure(self, terms: Mapping[str, Terms]) -> None:
        """Go on with these terms, by account; an account without any is not charged."""
        self.terms = terms
        self._known = {name: balance for name, balance in self._known.items() if self._is_limited(name)}

    def _is_limited(self, account: str) -> bool:
        terms = self.terms.get(account)
        return terms is not None and terms.lowest is not None

    # Before the store is asked

    def affords(self, account: str, price: int) -> bool:
        """Return False when, as far as is known, the account has less than that left; the commit has the last word."""
        known = self._known.get(account)
        if known is None or known - price >= PREPAID_LOWEST:
            return True
        self._refused.add(account)
        return False

    def note(self, balances: Iterable[tuple[str, int]]) -> None:
        """Balances were seen."""
        for account, balance in balances:
            if self._is_limited(account):
                self._known[account] = balance

    async def refresh(self, accounts: Sequence[str] = ()) -> None:
        """Look again how accounts stand: these, and those that were refused since the last time."""
        names = sorted({*accounts, *self._refused})
        self._refused.clear()
        if not names:
            return

        async def fetch(connection: Connection, doubtful: bool) -> list[asyncpg.Record]:
            return await connection.fetch('select account, balance from credit where account = any($1::text[])', names)

        self.note((row['account'], row['balance']) for row in await self._connection.run(fetch))

    # In the transactions of the traffic

    def charge(self, messages: Iterable[Message]) -> list[Message]:
        """Return those of new messages that are to be paid for, marked with the terms of their accounts."""
        terms, charged = self.terms, []
        for message in messages:
            if message.price:
                found = terms.get(message.account)
                if found is not None:
                    message.charge = found.charge
                    charged.append(message)
        return charged

    async def reserve(self, connection: Connection, charged: list[Message]) -> frozenset[int]:
        """Take the prices, in the transaction that the caller has open; return the ids of those not paid for.

        In order, as long as the balance bears them.
        """
        totals: dict[str, int] = {}
        for message in charged:
            totals[message.account] = totals.get(message.account, 0) + message.price
        lowest = [self.terms[name].lowest if name in self.terms else None for name in totals]
        rows = await connection.fetch(sql.RESERVE_CREDIT, list(totals), list(totals.values()), lowest)
        self.note((row['account'], row['balance']) for row in rows)
        if len(rows) == len(totals):
            return frozenset()
        paid = {row['account'] for row in rows}
        refused: list[int] = []
        for account in sorted(totals.keys() - paid):
            refused += await self._reserve_in_order(connection, account, charged)
        return frozenset(refused)

    async def _reserve_in_order(self, connection: Connection, account: str, charged: list[Message]) -> list[int]:
        """Let one account pay for what it can; return the ids of the others."""
        await connection.execute('insert into credit (account) values ($1) on conflict do nothing', account)
        left = await connection.fetchval('select balance from credit where account = $1 for update', account)
        terms = self.terms.get(account)
        refused, taken = [], 0
        for message in charged:
            if message.account != account:
                continue
            if terms is None or terms.lowest is None or left - taken - message.price >= terms.lowest:
                taken += message.price
            else:
                refused.append(message.id)
        if taken:
            await connection.execute('update credit set balance = balance - $2 where account = $1', account, taken)
        self.note([(account, left - taken)])
        return refused

    async def pay_more(self, connection: Connection, account: str, more: int) -> bool:
        """Take or give the difference for a message that was replaced; return whether the balance bears it."""
        return account in await self.pay_differences(connection, {account: more})

    async def pay_differences(self, connection: Connection, amounts: Mapping[str, int]) -> frozenset[str]:
        """Take or give, by account, what its messages are worth more than before; return whose balance bears that.

        The balances of the others stay as they are, locked like all of these, in the one order of all who lock several.
        """
        terms = [self.terms.get(account) for account in amounts]
        lowest = [one and one.lowest if more > 0 else None for one, more in zip(terms, amounts.values(), strict=True)]
        rows = await connection.fetch(sql.RESERVE_CREDIT, list(amounts), list(amounts.values()), lowest)
        self.note((row['account'], row['balance']) for row in rows)
        return frozenset([row['account'] for row in rows])


# By hand


async def change_balance(
    connection: Connection, account: str, amount: int, who: str, note: str, force: bool = False
) -> int:
    """Add `amount` micro-units to a balance and write down who did it; return the new balance.

    Raises CreditError, changing nothing, when that takes it below zero, or further below, without `force`.
    """
    async with connection.transaction():
        await connection.execute('insert into credit (account) values ($1) on conflict do nothing', account)
        before = await connection.fetchval('select balance from credit where account = $1 for update', account)
        return await _write(connection, account, before, before + amount, who, note, force)


async def set_balance(
    connection: Connection, account: str, balance: int, who: str, note: str, force: bool = False
) -> int:
    """The same, to an amount whatever it is now."""
    async with connection.transaction():
        await connection.execute('insert into credit (account) values ($1) on conflict do nothing', account)
        before = await connection.fetchval('select balance from credit where account = $1 for update', account)
        return await _write(connection, account, before, balance, who, note, force)


async def _write(
    connection: Connection, account: str, before: int, after: int, who: str, note: str, force: bool
) -> int:
    if after < 0 and after < before and not force:
        raise CreditError(f'the balance of {account} would be below zero; give --force if it is to be')
    await connection.execute('update credit set balance = $2 where account = $1', account, after)
    await connection.execute(
        'insert into credit_entry (account, amount, who, note) values ($1, $2, $3, $4)',
        account,
        after - before,
        who.replace('\x00', ''),
        note.replace('\x00', ''),
    )
    change = f'{format_micros(before)} -> {format_micros(after)}'
    await audit.record(connection, who, f'credit {account}', f'{change}; {note}' if note else change)
    return after


async def read_balances(connection: Connection) -> list[Balance]:
    """Return all balances, by account."""
    return [Balance(*row) for row in await connection.fetch('select account, balance from credit order by account')]


async def read_held(connection: Connection, account: str) -> int:
    """Return what an account has paid for messages that are not final, and may get back. Reads the whole table."""
    held = await connection.fetchval(
        'select sum(price) from message where account = $1 and state = 1 and charge > 0', account
    )
    return int(held or 0)


async def read_entries(connection: Connection, account: str, limit: int = ENTRIES_SHOWN) -> list[Entry]:
    """Return the last changes by hand of an account, oldest first."""
    rows = await connection.fetch(
        'select at, amount, who, note from credit_entry where account = $1 order by seq desc limit $2', account, limit
    )
    return [Entry(*row) for row in reversed(rows)]
