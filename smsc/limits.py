"""Rates as token buckets. Pure: time is an argument, in monotonic seconds."""


class Rate:
    """Lets `rate_per_s` pass in the long run and `burst` at once after a pause; a rate of 0 lets everything pass."""

    __slots__ = ('_at', '_tokens', 'burst', 'rate_per_s')

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._tokens = burst
        self._at = now

    def take(self, wanted: int, now: float) -> int:
        """Take up to `wanted` tokens; return how many there were."""
        rate = self.rate_per_s
        if not rate:
            return wanted
        tokens = self._tokens + (now - self._at) * rate
        self._at = now
        if tokens > self.burst:
            tokens = self.burst
        taken = min(wanted, int(tokens))
        self._tokens = tokens - taken
        return taken

    def change(self, rate_per_s: float, burst: float) -> None:
        """Go on with another rate; what has been used up stays used up. Where there was none, nothing was."""
        self._tokens = min(self._tokens, burst) if self.rate_per_s else burst
        self.rate_per_s = rate_per_s
        self.burst = burst
