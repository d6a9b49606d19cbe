"""Rates as token buckets. Pure: time is an argument, in monotonic seconds.

A limit may be that of several nodes together: then each `hold`s a share of it (`smsc.cluster.shares`).
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

THROTTLED_FRACTION = 0.7  # of what a peer has taken in the last second, once it throttles
RECOVERY = 1.25  # each second without a further sign, the rate is so many times the one before
ONE_SIGN_S = 0.5  # refusals of so long a time belong to one burst: they lower the rate once
UNLIMITED_AGAIN = 4.0  # a rate that is not configured ends at so many times what the peer took when it throttled
CONGESTED, FULL = 80, 100  # congestion_state, SMPP 5.0 section 4.8.4.18
FULL_PAUSE_S = 1.0
BURST_S = 0.02  # of the rate
FOREVER = float('inf')
NOTHING = 1e-9  # a rate that lets nothing pass; 0 is none at all


LINKS_BOUND = 2_000
SENDERS_BOUND = 10_000
STATUSES_BOUND = 200
UNLISTED = 0xFFFFFFFF  # statuses beyond, counted together


def count_status(counts: dict[int, int], status: int) -> None:
    """Count a command_status that a peer has sent; it may be any number, so those that are told apart are bounded."""
    if status not in counts and len(counts) >= STATUSES_BOUND:
        status = UNLISTED
    counts[status] = counts.get(status, 0) + 1


class Rate:
    """Lets `rate_per_s` pass in the long run and `burst` at once after a pause; a rate of 0 lets everything pass."""

    __slots__ = ('_at', '_refill_per_s', '_share', '_tokens', 'burst', 'limit_per_s', 'passed', 'rate_per_s', 'refused')

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self.rate_per_s = self._refill_per_s = rate_per_s
        self.limit_per_s = rate_per_s
        self.burst = burst
        self.passed = 0  # while there is a rate; and how often was asked for in vain
        self.refused = 0
        self._share: float | None = None
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
            self.refused += wanted
            return 0
        taken = min(wanted, int(tokens))
        self._tokens = tokens - taken
        self.passed += taken
        return taken

    def give(self, count: int) -> None:
        """Take tokens back that were taken for nothing."""
        self._tokens += count
        self.passed -= count

    def take_whole(self, wanted: int, now: float) -> bool:
        """Take all of `wanted` tokens or none; more than a whole burst is let pass when the burst is there."""
        rate = self._refill_per_s
        if not rate:
            return True
        tokens = min(self.burst, self._tokens + (now - self._at) * rate)
        self._at = now
        enough = tokens >= min(wanted, self.burst)
        if enough:
            self._tokens = tokens - wanted
            self.passed += wanted
        else:
            self._tokens = tokens
            self.refused += wanted
        return enough

    def configure(self, limit_per_s: float) -> None:
        """Go on with another limit, that of all nodes together; the same one changes nothing."""
        if limit_per_s != self.limit_per_s:
            self.limit_per_s = limit_per_s
            self._work_at(self._allowed())

    def hold(self, share_per_s: float | None) -> None:
        """Work with so much of the limit; None is all of it. No tokens come of a share that grows."""
        if share_per_s != self._share:
            self._share = share_per_s
            self._work_at(self._allowed())

    def _allowed(self) -> float:
        if self._share is None or not self.limit_per_s:
            return self.limit_per_s
        return min(self._share, self.limit_per_s)

    def _work_at(self, rate_per_s: float) -> None:
        self.change(rate_per_s, rate_per_s)
        self._stop_if_none()

    def _stop_if_none(self) -> None:
        """With a limit and no share of it, let nothing pass; debts stay."""
        if self.limit_per_s and self._share is not None and self._share < 1:
            self.rate_per_s = self._refill_per_s = NOTHING
            self.burst = 1.0
            self._tokens = min(self._tokens, 0.0)

    def change(self, rate_per_s: float, burst: float) -> None:
        """Go on with another rate; what has been used up stays used up. Where there was none, nothing was."""
        self._tokens = min(self._tokens, burst) if self.rate_per_s else burst
        self.rate_per_s = self._refill_per_s = rate_per_s
        self.burst = burst


class AdaptiveRate(Rate):
    """A rate that the throttling of a peer lowers, and that recovers by steps (wire.md F5, F24).

    `configured_per_s` is where it returns to: the limit, or this node's share of it, 0 for no limit. `rate_per_s` is
    what holds now, in any second: what a burst lets pass at once, the long run has less (wire.md F4).
    """

    __slots__ = ('_lowered_at', '_previous', '_stopped_until', '_taken', '_window_at', 'configured_per_s', 'full_per_s')

    def __init__(self, configured_per_s: float, now: float) -> None:
        super().__init__(0, 0, now)
        self.limit_per_s = configured_per_s
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
        self._hold_to(min(max(1.0, rate), self.configured_per_s or FOREVER))

    def heed(self, congestion_state: int, now: float) -> None:
        """Know how full the peer says it is, in percent (SMPP 5.0 section 4.8.4.18)."""
        if congestion_state >= FULL:
            self._stopped_until = now + FULL_PAUSE_S
        if congestion_state >= CONGESTED:
            self.lower(0, now)

    def configure(self, limit_per_s: float) -> None:
        if limit_per_s != self.limit_per_s:
            self.limit_per_s = limit_per_s
            self._hold_to(self._allowed())
            self.configured_per_s = self.full_per_s = self.rate_per_s

    def hold(self, share_per_s: float | None) -> None:
        """Work with so much of the limit; what the peer has asked for less goes on to hold."""
        if share_per_s == self._share:
            return
        lowered_to = self.rate_per_s if self.is_lowered and self.limit_per_s else FOREVER
        self._share = share_per_s
        self._hold_to(self._allowed())
        self.configured_per_s = self.full_per_s = self.rate_per_s
        if lowered_to < self.rate_per_s:
            self._hold_to(max(1.0, lowered_to))

    def _hold_to(self, rate_per_s: float) -> None:
        burst = _burst(rate_per_s)
        self.change(rate_per_s, burst)
        self._refill_per_s = max(0.0, rate_per_s - burst + 1)
        self._stop_if_none()

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


class EachRate:
    """The same limit for each of many: the links of an upstream, the senders of an account.

    Whoever was not heard of for longest is forgotten when there are more than `bound`.
    """

    def __init__(self, limit_per_s: float, make: Callable[[float, float], Rate], bound: int) -> None:
        """`make` returns the rate of a new one, given what it may do a second, and the time."""
        self.limit_per_s = limit_per_s
        self._make = make
        self._bound = bound
        self._part = 1.0
        self._rates: OrderedDict[Hashable, Rate] = OrderedDict()

    def of(self, one: Hashable, now: float) -> Rate:
        """Return the rate of one of them."""
        rates = self._rates
        rate = rates.get(one)
        if rate is None:
            rate = rates[one] = self._make(self.limit_per_s * self._part, now)
            if len(rates) > self._bound:
                rates.popitem(last=False)
        else:
            rates.move_to_end(one)
        return rate

    def forget(self, one: Hashable) -> None:
        """Know of one no more."""
        self._rates.pop(one, None)

    def hold(self, part: float) -> None:
        """Let this part of the limit pass here; the rest is for other nodes."""
        if part != self._part:
            self._part = part
            for rate in self._rates.values():
                rate.change(self.limit_per_s * part, max(1.0, self.limit_per_s * part))


def rates_of_links(limit_per_s: float) -> EachRate | None:
    """Return the limits of an upstream's links, each held in any second (wire.md F4); None without a limit."""
    return EachRate(limit_per_s, AdaptiveRate, LINKS_BOUND) if limit_per_s else None


def rates_of_senders(limit_per_s: float) -> EachRate | None:
    """Return the limits of an account's senders; None without a limit."""
    if not limit_per_s:
        return None
    return EachRate(limit_per_s, lambda share, now: Rate(share, max(1.0, share), now), SENDERS_BOUND)
