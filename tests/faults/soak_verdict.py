"""The verdict on millions of messages: the same as on a few, slice by slice, with what the store says in arrays."""

from array import array
from typing import Any

import asyncpg
import msgspec

from tests.faults.esme import Book
from tests.faults.plant import DESTINATION_PREFIX
from tests.faults.verdict import Bounds, Row, Verdict, beyond, judge

SLICE = 200_000
PAGE = 20_000
UNBOUND = Bounds(1 << 40, 1 << 40)
_ROWS = """
select substr(destination_addr, $1)::bigint as number, id, state, notice, repeated from message
where id > $2 order by id limit $3
"""


class Stored:
    """What the store has of each number; a number that it has twice is in `doubles`."""

    def __init__(self, numbers: int) -> None:
        self.ids = array('q', bytes(8 * numbers))
        self.states = bytearray(numbers)
        self.notices = bytearray(numbers)
        self.repeated = bytearray(numbers)
        self.doubles: list[Row] = []

    def add(self, row: Row) -> None:
        """Notes a message."""
        number = row.number
        if not 0 <= number < len(self.ids) or self.ids[number]:
            self.doubles.append(row)
            return
        self.ids[number] = row.message_id
        self.states[number], self.notices[number], self.repeated[number] = row.state, row.notice, row.repeated

    def rows(self, first: int, last: int) -> list[Row]:
        """The messages of a range, whose numbers begin with 0 then."""
        found = [
            Row(n - first, self.ids[n], self.states[n], self.notices[n], bool(self.repeated[n]))
            for n in range(first, last)
            if self.ids[n]
        ]
        return found + [
            msgspec.structs.replace(row, number=row.number - first)
            for row in self.doubles
            if first <= row.number < last
        ]


async def read_stored(connection: 'asyncpg.Connection[asyncpg.Record]', numbers: int) -> Stored:
    """Reads all messages, page by page."""
    stored, after = Stored(numbers), 0
    while page := await connection.fetch(_ROWS, len(DESTINATION_PREFIX) + 1, after, PAGE, timeout=300):
        for row in page:
            stored.add(Row(*row))
        after = page[-1]['id']
    return stored


def verdict_of(book: Book, seen: bytes, stored: Stored, bounds: Bounds) -> Verdict:
    """The verdict on all messages of a book."""
    total = book.get('submitted')
    sums: dict[str, Any] = {}
    wrong: list[str] = [f'messages that nobody submitted: {len([r for r in stored.doubles if r.number >= total])}']
    wrong = [] if wrong[0].endswith(' 0') else wrong
    counters = book.counters()
    for first in range(0, total, SLICE):
        last = min(first + SLICE, total)
        told = book.told(first, last, {} if not first else counters)  # what is only counted counts once
        found = judge(told, seen[first:last], stored.rows(first, last), UNBOUND)
        wrong += [f'messages {first:,} to {last:,}: {line}' for line in found.wrong]
        for name, value in msgspec.structs.asdict(found).items():
            if name != 'wrong':
                sums[name] = sums.get(name, 0) + value
    sums |= {'duplicate_submits_bound': bounds.submits, 'repeated_receipts_bound': bounds.receipts}
    wrong += beyond('submits repeated', sums.get('duplicate_submits', 0), bounds.submits)
    wrong += beyond('receipts repeated', sums.get('repeated_receipts', 0), bounds.receipts)
    return Verdict(**sums, wrong=wrong)
