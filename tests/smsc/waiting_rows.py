"""The store's table `waiting` in memory, for tests that take thousands of steps through an outbox and its shelf."""

from domain.message import Message
from storage.rows import Fetched, Stretch, Waiting


class WaitingRows:
    """What DiskShelf asks of the store. Rows are copies: what is read back is another message of the same id."""

    def __init__(self) -> None:
        self.waiting = self
        self.rows: dict[int, tuple[int, Waiting]] = {}
        self._seq = 0

    async def put(self, entries: list[Waiting]) -> None:
        for entry in entries:
            self._seq += 1
            self.rows[entry.message.id] = self._seq, entry

    async def fetch(self, outbox: str, stretches: list[Stretch], due_by: int) -> list[list[Fetched]]:
        return [self._stretch(outbox, stretch, due_by) for stretch in stretches]

    def _stretch(self, outbox: str, stretch: Stretch, due_by: int) -> list[Fetched]:
        lane = [
            Fetched(seq, entry.due_at, _copy(entry.message))
            for seq, entry in self.rows.values()
            if (entry.outbox, entry.message.priority, entry.message.account)
            == (outbox, stretch.priority, stretch.account)
        ]
        lane.sort(key=lambda row: (row.due_at, row.seq))
        return [row for row in lane if (row.due_at, row.seq) > stretch.after and row.due_at <= due_by][: stretch.limit]

    async def lanes_with_more(self, lanes: list[tuple[str, int, str, int, int]]) -> list[tuple[str, int, str]]:
        return [
            (outbox, priority, account)
            for outbox, priority, account, due_at, seq in lanes
            if self._stretch(outbox, Stretch(priority, account, (due_at, seq), 1), 1 << 62)
        ]

    async def lanes(self) -> list[tuple[str, int, str]]:
        return sorted(
            {(entry.outbox, entry.message.priority, entry.message.account) for _, entry in self.rows.values()}
        )

    async def expired(self, now_ms: int, limit: int) -> list[tuple[str, Message]]:
        return [(entry.outbox, _copy(entry.message)) for _, entry in self.rows.values() if entry.expires_at <= now_ms][
            :limit
        ]


def _copy(message: Message) -> Message:
    return Message(
        message.id,
        message.kind,
        message.account,
        message.upstream,
        message.pdu,
        message.priority,
        message.expires_at,
        stored_wait=True,
    )
