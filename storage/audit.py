"""The record of what people changed by hand: who, when, what. Written in the transaction of the change itself, so that
there is neither without the other.
"""

from typing import Any

import asyncpg
import msgspec

from storage.connection import Connection

MAX_CHARACTERS = 1_000  # of each of its texts, which people write


class Entry(msgspec.Struct, frozen=True):
    """One change; `at` is Unix milliseconds, by the clock of the database."""

    seq: int
    at: int
    who: str
    what: str
    details: str


async def record(connection: Connection, who: str, what: str, details: str = '') -> None:
    """Write that `who` (a person, or what works in his name) did `what`, in the transaction that the caller has open.

    `what` is the change in a few words that `smsc audit` shows and finds; `details` what else is worth knowing, such as
    the value before. Neither may hold a secret. Over-long texts are cut.
    """
    await connection.execute(
        'insert into audit (who, what, details) values ($1, $2, $3)', bounded(who), bounded(what), bounded(details)
    )


def bounded(text: str) -> str:
    """Return what people wrote, cut to what the store takes."""
    return text.replace('\x00', '')[:MAX_CHARACTERS]


async def read_audit(connect_arguments: dict[str, Any], limit: int, about: str = '') -> list[Entry]:
    """Return the last `limit` entries, oldest first; with `about` those whose `what` or `who` contains it.

    Connects by itself, with asyncpg's arguments; raises what asyncpg does, also in a store that no server has opened.
    """
    connection = await asyncpg.connect(**connect_arguments)
    try:
        rows = await connection.fetch(
            'select seq, at, who, what, details from audit'
            " where $2 = '' or strpos(lower(what || ' ' || who), lower($2)) > 0 order by seq desc limit $1",
            limit,
            about,
        )
    finally:
        await connection.close()
    return [Entry(*row) for row in reversed(rows)]
