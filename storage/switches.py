"""What people have switched off, upstreams and routes, or stopped, queues: table `switch`. Each change has its entry in
the audit.
"""

from typing import Any, Literal

import asyncpg
import msgspec

from storage.audit import bounded, record
from storage.connection import Connection, StoreConnection

SwitchKind = Literal['upstream', 'route', 'pause', 'drain']
SEPARATOR = ' / '
_WORDS = {
    'pause': ('queue {} resumed', 'queue {} paused'),
    'drain': ('queue {} drained no more', 'queue {} drained'),
}
_READ = 'select kind, name, at, who, note from switch order by kind, name'


class Off(msgspec.Struct, frozen=True):
    """Something that is switched off, paused, or drained; `at` is Unix milliseconds."""

    kind: str
    name: str
    at: int
    who: str
    note: str


class Switch(msgspec.Struct, frozen=True):
    """What somebody wants switched off, or on again; `note` says why.

    A queue that is paused or drained is `off` in the sense of its kind; the name is as `queue_name` makes it.
    """

    kind: SwitchKind
    name: str
    off: bool
    who: str
    note: str = ''


def queue_name(upstream: str, account: str | None = None) -> str:
    """Return the name that a queue has in its switch: that of an upstream, or of one account's messages for it."""
    return upstream if account is None else f'{upstream}{SEPARATOR}{account}'


def described(switch: Switch) -> str:
    """Return what a switch does, in a few words: 'upstream mts off', 'queue mts paused'."""
    if switch.kind in _WORDS:
        return _WORDS[switch.kind][switch.off].format(switch.name)
    return f'{switch.kind} {switch.name} {"off" if switch.off else "on"}'


async def change(connection: Connection, switch: Switch) -> bool:
    """Commit a switch and its entry in the audit; return whether it stood the other way before."""
    async with connection.transaction():
        if switch.off:
            status = await connection.execute(
                'insert into switch (kind, name, who, note) values ($1, $2, $3, $4) on conflict do nothing',
                switch.kind,
                switch.name,
                bounded(switch.who),
                bounded(switch.note),
            )
        else:
            status = await connection.execute(
                'delete from switch where kind = $1 and name = $2', switch.kind, switch.name
            )
        changed = not status.endswith(' 0')
        if changed:
            await record(connection, switch.who, described(switch), switch.note)
    return changed


class Switches:
    """The same for a running server, on a connection of its own."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    async def read(self, give_up_s: float) -> list[Off]:
        """Return all that is off. Raises StoreUnavailable after `give_up_s` seconds."""

        async def fetch(connection: Connection, doubtful: bool) -> list[Off]:
            return [Off(*row) for row in await connection.fetch(_READ)]

        return await self._connection.run(fetch, give_up_s)

    async def change(self, switch: Switch, give_up_s: float) -> bool:
        """Commit a switch; return whether it stood the other way before. Raises StoreUnavailable."""

        async def commit(connection: Connection, doubtful: bool) -> bool:
            return await change(connection, switch) or doubtful

        return await self._connection.run(commit, give_up_s)


async def change_alone(connect_arguments: dict[str, Any], switch: Switch) -> bool:
    """Commit a switch while no server runs; with asyncpg's arguments. As `change`.

    Raises LookupError in a store that no server of this release has opened.
    """
    connection = await asyncpg.connect(**connect_arguments)
    try:
        return await change(connection, switch)
    except asyncpg.UndefinedTableError as error:
        raise LookupError('no server of this release has opened this store yet; start one with: smsc run') from error
    finally:
        await connection.close()


async def read_alone(connect_arguments: dict[str, Any]) -> list[Off]:
    """Return all that is off while no server runs. Raises UndefinedTableError in a store that none has opened."""
    connection = await asyncpg.connect(**connect_arguments)
    try:
        return [Off(*row) for row in await connection.fetch(_READ)]
    finally:
        await connection.close()
