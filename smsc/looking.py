"""How much of the loop's time the requests of an account may take to look through memory. Pure: time is an argument."""

SHARE = 0.05  # of the time, in the long run
AHEAD_S = 5.0  # of its share may be used up at once


class LookingTime:
    """What an account has used up of its share; `paid_at` is when that will be its due, in monotonic seconds."""

    __slots__ = ('paid_at',)

    def __init__(self) -> None:
        self.paid_at = 0.0

    def spend(self, looked_s: float, now: float) -> None:
        """Know that memory was looked through for so long."""
        self.paid_at = max(self.paid_at, now) + looked_s / SHARE

    def wait_s(self, now: float) -> float:
        """Return how long to wait before memory is looked through again: 0 while enough is left."""
        return max(0.0, self.paid_at - now - AHEAD_S)
