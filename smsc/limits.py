"""Rates as token buckets. Pure: time is an argument, in monotonic seconds."""

THROTTLED_FRACTION = 0.7  # of what a peer has taken in the last second, once it throttles
RECOVERY = 1.25  # each second without a further sign, the rate is so many times the one before
ONE_SIGN_S = 0.5  # refusals of so long a time belong to one burst: they lower the rate once
UNLIMITED_AGAIN = 4.0  # a rate that is not configured ends at so many times what the peer took when it throttled
CONGESTED, FULL = 80, 100  # congestion_state, SMPP 5.0 section 4.8.4.18
FULL_PAUSE_S = 1.0
BURST_S = 0.02  # of the rate


STATUSES_BOUND = 200
UNLISTED = 0xFFFFFFFF  # statuses beyond, counted together


def count_status(counts: dict[int, int], status: int) -> None:
    """Count a command_status that a peer has sent; it may be any number, so those that are told apart are bounded."""
    if status not in counts and len(counts) >= STATUSES_BOUND:
        status = UNLISTED
    counts[status] = counts.get(status, 0) + 1


class Rate:
    """Lets `rate_per_s` pass in the long run and `burst` at once after a pause; a rate of 0 lets everything pass."""

    __slots__ = ('_at', '_refill_per_s', '_tokens', 'burst', 'rate_per_s')

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self.rate_per_s = self._refill_per_s = rate_per_s
        self.burst = burst
        self._tokens = burst
        self._at = now

    def take(self, wanted: int, now: float) -> int:
        """Take up to `wanted` tokens; return how many there were."""
        rate = self._refill_per_s
        if not rate:
            return wanted
        tokens = self._tokens + (now - self._at) * rate
        self._at = now
        if tokens > self.burst:
            tokens = self.burst
        if tokens < 1:  # less than none, after more than a burst was let pass
            self._tokens = tokens
            return 0
        taken = min(wanted, int(tokens))
        self._tokens = tokens - taken
        return taken

    def give(self, count: int) -> None:
        """Take tokens back that were taken for nothing."""
        self._tokens += count

    def take_whole(self, wanted: int, now: float) -> bool:
        """Take all of `wanted` tokens or none; more than a whole burst is let pass when the burst is there."""
        rate = self._refill_per_s
        if not rate:
            return True
        tokens = min(self.burst, self._tokens + (now - self._at) * rate)
        self._at = now
        enough = tokens >= min(wanted, self.burst)
        self._tokens = tokens - wanted if enough else tokens
        return enough

    def change(self, rate_per_s: float, burst: float) -> None:
        """Go on with another rate; what has been used up stays used up. Where there was none, nothing was."""
        self._tokens = min(self._tokens, burst) if self.rate_per_s else burst
        self.rate_per_s = self._refill_per_s = rate_per_s
        self.burst = burst


class AdaptiveRate(Rate):
    """A rate that the throttling of a peer lowers, and that recovers by steps (wire.md F5, F24).

    `configured_per_s` is where it returns to, 0 for no limit; `rate_per_s` is what holds now, in any second: what a
    burst lets pass at once, the long run has less (wire.md F4).
    """

    __slots__ = ('_lowered_at', '_previous', '_stopped_until', '_taken', '_window_at', 'configured_per_s', 'full_per_s')

    def __init__(self, configured_per_s: float, now: float) -> None:
        super().__init__(0, 0, now)
        self._hold_to(configured_per_s)
        self.configured_per_s = configured_per_s
        self.full_per_s = configured_per_s
        self._lowered_at = self._stopped_until = float('-inf')
        self._window_at = now
        self._taken = self._previous = 0.0

    @property
    def is_lowered(self) -> bool:
        """Whether the peer has asked for less than is configured."""
        return self.rate_per_s != self.configured_per_s

    def take(self, wanted: int, now: float) -> int:
        if now - self._window_at >= 1:
            self._handle_second(now)
        if now < self._stopped_until:
            return 0
        taken = super().take(wanted, now)
        self._taken += taken
        return taken

    def lower(self, refused: int, now: float) -> None:
        """Know that the peer has throttled so many."""
        if now < self._lowered_at + ONE_SIGN_S:
            return
        self._lowered_at = now
        accepted = max(1.0, self._observed(now) - refused)
        if not self.is_lowered:
            self.full_per_s = self.configured_per_s or accepted * UNLIMITED_AGAIN
        rate = accepted * THROTTLED_FRACTION
        if self.rate_per_s:
            rate = min(rate, self.rate_per_s * THROTTLED_FRACTION)
        self._hold_to(max(1.0, rate))

    def heed(self, congestion_state: int, now: float) -> None:
        """Know how full the peer says it is, in percent (SMPP 5.0 section 4.8.4.18)."""
        if congestion_state >= FULL:
            self._stopped_until = now + FULL_PAUSE_S
        if congestion_state >= CONGESTED:
            self.lower(0, now)

    def configure(self, configured_per_s: float) -> None:
        """Go on with another limit; the same one changes nothing."""
        if configured_per_s != self.configured_per_s:
            self.configured_per_s = self.full_per_s = configured_per_s
            self._hold_to(configured_per_s)

    def _hold_to(self, rate_per_s: float) -> None:
        burst = _burst(rate_per_s)
        self.change(rate_per_s, burst)
        self._refill_per_s = max(0.0, rate_per_s - burst + 1)

    def _observed(self, now: float) -> float:
        """What was let through in the last second."""
        return self._taken + self._previous * max(0.0, 1 - (now - self._window_at))

    def _handle_second(self, now: float) -> None:
        seconds = now - self._window_at
        self._previous = self._taken / seconds
        self._taken, self._window_at = 0.0, now
        if self.is_lowered and now >= self._lowered_at + 1:
            rate = self.rate_per_s * RECOVERY ** min(seconds, 100.0)
            rate = self.configured_per_s if rate >= self.full_per_s else rate
            self._hold_to(rate)


def _burst(rate_per_s: float) -> float:
    return max(1.0, rate_per_s * BURST_S)
