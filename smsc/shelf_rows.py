"""Which rows of the store's table `waiting` memory has taken up: read into an outbox, or told as out of time.

A row stays until its message has left (sent, final, acknowledged), or is put on disk again. A read that is under way
meanwhile may bring it although it is gone: `noting_who_leaves` tells.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from domain.message import Message
from smsc.outbox import Outbox


class Row(Protocol):
    """What was read, with its message."""

    @property
    def message(self) -> Message:
        """The message, as its row has it."""


AnyRow = TypeVar('AnyRow', bound=Row)


class RowsInMemory:
    """The ids of their messages: `read` with the outbox that has the row and the message, `expiring` without."""

    def __init__(self) -> None:
        self.read: dict[int, tuple[Outbox, Message]] = {}
        self.expiring: set[int] = set()  # handed out as out of time, and not yet gone from disk
        self._left_meanwhile: set[int] | None = None

    def leave(self, message_id: int) -> bool:
        """A message has left memory; return whether it was `expiring`."""
        self.read.pop(message_id, None)
        if self._left_meanwhile is not None:
            self._left_meanwhile.add(message_id)
        return self.end_expiring(message_id)

    def end_expiring(self, message_id: int) -> bool:
        """The end of a message that ran out of time is committed, or cannot be; return whether it was awaited."""
        if message_id not in self.expiring:
            return False
        self.expiring.discard(message_id)
        return True

    @contextmanager
    def noting_who_leaves(self) -> Iterator[set[int]]:
        """Yield the ids that leave from now on: a read under way may bring their rows although they are deleted."""
        self._left_meanwhile = set()
        try:
            yield self._left_meanwhile
        finally:
            self._left_meanwhile = None

    def at_rest(self, rows: Iterable[AnyRow], left: set[int]) -> list[AnyRow]:
        """Return those of `rows` whose messages are nowhere else; `left` are those that left during the read."""
        read, expiring = self.read, self.expiring
        return [
            row for row in rows if not (row.message.id in read or row.message.id in expiring or row.message.id in left)
        ]
