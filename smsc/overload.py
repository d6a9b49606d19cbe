"""Beyond capacity: which sessions are told to slow down, so that what is accepted is answered soon (wire.md E14).

What is accepted waits for its commit as long as what has gathered takes to be worked off. When that has been more than
`queues.accept_ms` for a second, the sessions that feed it get equal shares of what can be worked off within that time:
a request beyond the share of its session is throttled. A session that asks for little has little unanswered, and
notices nothing; neither does a burst that comes to its end.

Costs a few comparisons a commit and one a request. No clock: `now` is in seconds of the monotonic one.
"""

LEAST_SHARE = 10  # unanswered requests of a session that are never too many
LEAST_LOAD = 2_000  # messages that gather without anybody being told to slow down
SMOOTHING = 0.3
STANDING_S = 1.0
OVER = 0.5  # of what may gather: with less, there is overload no more


class Overload:
    """What gathers for the commit of new messages, and what it could be."""

    def __init__(self) -> None:
        self.share = 0  # unanswered requests that a session may have; 0 = there is no overload
        self.rate_per_s = 0.0  # as far as it is known: worked off while more was there than could be
        self.begun = 0  # how often overload has begun
        self.limit_s = 0.0  # how long a message may wait for its commit; 0 = as long as it takes
        self._above_since = 0.0
        self._last_at = 0.0
        self._was_busy = False

    def note_commit(self, committed: int, load: int, sessions: int, now: float) -> None:
        """A batch of `committed` messages is through, and `load` have gathered meanwhile, of so many `sessions`."""
        elapsed_s = now - self._last_at
        if self._was_busy and elapsed_s > 0:
            sample = committed / elapsed_s
            known = self.rate_per_s
            self.rate_per_s = known + SMOOTHING * (sample - known) if known else sample
        self._last_at, self._was_busy = now, load > 0
        most = max(LEAST_LOAD, int(self.rate_per_s * self.limit_s))
        if not self.limit_s or committed + load <= most * (OVER if self.share else 1):
            self._above_since, self.share = 0.0, 0
        elif not self._above_since:
            self._above_since = now
        elif self.share or now - self._above_since >= STANDING_S:
            self.begun += not self.share
            self.share = max(LEAST_SHARE, most // max(1, sessions))
