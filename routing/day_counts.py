"""How many messages each subscriber got in his day: about 80 octets a subscriber.

A table has a dictionary a day, of numbers and their counts: midnight comes to one zone after the other, so that two
days are under way at a time; the day before those is forgotten as a whole. A large one is in 64 pieces, for making room
in a dictionary of a million takes 50 ms, and so does letting go of it; a small one is in one piece, which is faster.
"""

from collections.abc import Collection, Iterator

PIECES = 64  # a power of two
SMALL = 8_192  # subscribers in one piece
DAYS = 2  # under way at a time
SUBSCRIBERS_BOUND = 5_000_000


class Room:
    """How many more subscribers all tables together may hold."""

    __slots__ = ('left', 'uncounted')

    def __init__(self, bound: int) -> None:
        self.left = bound
        self.uncounted = 0
        """Messages to subscribers for whom there was no room: they were let pass."""


class DayCounts:
    """One table. A day is a number of days since 1970, in the subscriber's own time."""

    __slots__ = ('_days', '_leaving', '_room', 'refused')

    def __init__(self, room: Room) -> None:
        self._room = room
        self.refused = 0
        """Messages that were one too many, for whoever counts them."""
        self._days: dict[int, list[dict[int, int]]] = {}
        self._leaving: list[dict[int, int]] = []

    def __len__(self) -> int:
        """Return how many subscribers are counted, those of two days twice."""
        return sum([len(piece) for pieces in self._days.values() for piece in pieces])

    def take(self, number: int, day: int, most: int) -> bool:
        """Count one more message to this subscriber, unless he got `most` of them on this day: then return False.

        `most` 0 is any number. A day long gone has no counts any more.
        """
        pieces = self._days.get(day)
        if pieces is None or self._leaving:
            pieces = self._turn(day)
            if pieces is None:
                return True
        counts = pieces[number & len(pieces) - 1]
        if number in counts:
            count = counts[number]
            if count >= most > 0:
                return False
            counts[number] = count + 1
            return True
        room = self._room
        if room.left <= 0:
            room.uncounted += 1
            return True
        room.left -= 1
        counts[number] = 1
        if len(counts) > SMALL and len(pieces) == 1:
            self._days[day] = _cut(counts)
        return True

    def give_back(self, number: int, day: int) -> None:
        """A message that was counted was not accepted after all."""
        pieces = self._days.get(day)
        counts = {} if pieces is None else pieces[number % len(pieces)]
        count = counts.get(number, 0)
        if count > 1:
            counts[number] = count - 1
        elif count:
            del counts[number]
            self._room.left += 1

    def count(self, number: int, day: int) -> int:
        """Return how many messages this subscriber got on this day, as far as is known."""
        pieces = self._days.get(day)
        return 0 if pieces is None else pieces[number % len(pieces)].get(number, 0)

    def clear(self) -> None:
        """Forget everything."""
        self._room.left += len(self) + sum(map(len, self._leaving))
        self._days, self._leaving = {}, []

    def _turn(self, day: int) -> list[dict[int, int]] | None:
        """Return the counts of this day, which may begin; let go of a piece of the days that ended.

        None for a day that ended: the clock stepped back.
        """
        if self._leaving:
            self._room.left += len(self._leaving.pop())
        pieces = self._days.get(day)
        if pieces is not None:
            return pieces
        days = self._days
        if len(days) >= DAYS and day < min(days):
            return None
        pieces = days[day] = [{}]
        while len(days) > DAYS:
            self._leaving += days.pop(min(days))
        return pieces


def _cut(counts: dict[int, int]) -> list[dict[int, int]]:
    """Return the pieces of a dictionary that is no small one any more."""
    pieces: list[dict[int, int]] = [{} for _ in range(PIECES)]
    for number, count in counts.items():
        pieces[number % PIECES][number] = count
    return pieces


class SubscriberDays:
    """The tables of all limits; outlives configurations."""

    def __init__(self, bound: int = SUBSCRIBERS_BOUND) -> None:
        """All tables together hold `bound` subscribers, who may be the same in several."""
        self.room = Room(bound)
        self._tables: dict[tuple[str, frozenset[str]], DayCounts] = {}

    def __iter__(self) -> Iterator[tuple[tuple[str, frozenset[str]], DayCounts]]:
        return iter(self._tables.items())

    def of(self, account: str, categories: frozenset[str]) -> DayCounts:
        """Return the table of the messages that an account ('' for all of them) sends in these categories."""
        table = self._tables.get((account, categories))
        if table is None:
            table = self._tables[account, categories] = DayCounts(self.room)
        return table

    def keep(self, tables: Collection[DayCounts]) -> None:
        """Forget the other tables: no limit needs them any more."""
        for key, table in list(self._tables.items()):
            if table not in tables:
                table.clear()
                del self._tables[key]
