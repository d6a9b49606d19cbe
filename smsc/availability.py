"""Whether an upstream does its work: a circuit that opens when its answers go bad, and closes again by probes.

Watched are its answers (what speaks of the operator's own trouble, not of a message), how long they take, and its
throttling. While the circuit is open, routes pass the upstream over as long as they name another one; now and then it
gets a few real messages, and when all of those are taken it is back. Pure: `now` is monotonic seconds. On the way of
messages only plain counters are raised; they are judged by `tick`, twice a second.
"""

import enum
from collections import deque
from typing import Any

from pdu.status import CommandStatus
from smsc.config.upstream_schema import AvailabilityConfig

BUCKETS = 10  # that the window moves on by
ENOUGH_SAMPLES = 3
SAMPLES_BOUND = 200
STILL_THROTTLES_S = 6.0  # a little more than the longest pause between two tries at an operator that throttles
OWN_TROUBLE = frozenset(
    {
        int(CommandStatus.ESME_RINVBNDSTS),
        int(CommandStatus.ESME_RSYSERR),
        int(CommandStatus.ESME_RSUBMITFAIL),
        int(CommandStatus.ESME_RX_T_APPN),
        int(CommandStatus.ESME_RUNKNOWNERR),
    }
)
"""What speaks of the operator and not of the message, whatever else is configured as temporary."""


class Circuit(enum.Enum):
    """What routes see of an upstream whose links are bound."""

    CLOSED = 'closed'  # it gets what is meant for it
    OPEN = 'open'  # it gets nothing that may go elsewhere
    PROBING = 'probing'  # the same, but for a few messages


class Availability:
    """The circuit of one upstream. Whoever handles answers raises `good`, `failed` and `throttled`."""

    __slots__ = (
        '_alone_since',
        '_buckets',
        '_busy_since',
        '_moves_at',
        '_probe_at',
        '_probes_left',
        '_slow',
        '_taken',
        '_throttled_at',
        'busy',
        'circuit',
        'config',
        'failed',
        'good',
        'openings',
        'reason',
        'throttled',
    )

    def __init__(self, config: AvailabilityConfig, now: float) -> None:
        self.config = config
        self.circuit = Circuit.CLOSED
        self.busy = False  # it takes some, but less than there is
        self.reason = ''  # why it is open or busy, for people
        self.openings = 0
        self.good = self.failed = self.throttled = 0  # since the last tick
        self._probe_at = self._moves_at = now
        self._reset()

    def _reset(self) -> None:
        self.good = self.failed = self.throttled = 0
        self._buckets: deque[tuple[int, int]] = deque([(0, 0)], maxlen=BUCKETS)  # (answers, failed)
        self._slow: deque[bool] = deque(maxlen=BUCKETS)  # of the last samples
        self._alone_since: float | None = None  # nothing was taken since, all was throttled
        self._busy_since: float | None = None
        self._throttled_at = float('-inf')
        self._probes_left = self._taken = 0
        self.busy = False

    def configure(self, config: AvailabilityConfig, now: float) -> None:
        """Go on by other rules; those of before are forgotten with what they were applied to."""
        if config != self.config:
            self.config = config
            self._close(now)

    @property
    def probing(self) -> bool:
        """Messages may be had with `take_probe`."""
        return self._probes_left > 0

    def take_probe(self) -> bool:
        """Return whether a message shall go there although the circuit is not closed."""
        if self._probes_left <= 0:
            return False
        self._probes_left -= 1
        return True

    def note_sample(self, slow: bool) -> None:
        """Know whether one of the requests that are timed was answered too slowly."""
        self._slow.append(slow)

    def tick(self, now: float, waiting: int) -> bool:
        """Judge what was counted; `waiting` messages wait for this upstream. Return whether anything is different."""
        before = self.circuit, self.busy
        if not self.config.watched:
            self.good = self.failed = self.throttled = 0
        elif self.circuit is Circuit.CLOSED:
            self._watch(now, waiting)
        else:
            self._probe(now)
        return before != (self.circuit, self.busy)

    # Closed

    def _watch(self, now: float, waiting: int) -> None:
        good, failed, throttled = self._take_counts()
        answers_before, failed_before = self._buckets[-1]
        self._buckets[-1] = answers_before + good + failed, failed_before + failed
        reason = self._bad_answers() or self._slow_answers() or self._throttles_all(now, good, throttled)
        if reason:
            self._open(now, reason)
            return
        self._see_busy(now, throttled, waiting)
        if now >= self._moves_at:
            self._moves_at = now + self.config.window_s / BUCKETS
            self._buckets.append((0, 0))

    def _take_counts(self) -> tuple[int, int, int]:
        counts = self.good, self.failed, self.throttled
        self.good = self.failed = self.throttled = 0
        return counts

    def _bad_answers(self) -> str:
        answers, failed = sum(bucket[0] for bucket in self._buckets), sum(bucket[1] for bucket in self._buckets)
        if answers < self.config.at_least or failed * 100 < self.config.error_rate_percent * answers:
            return ''
        return f'{failed} of the last {answers} submits failed'

    def _slow_answers(self) -> str:
        slow, samples = sum(self._slow), len(self._slow)
        if samples < ENOUGH_SAMPLES or slow * 100 < self.config.error_rate_percent * samples:
            return ''
        return f'{slow} of {samples} responses took longer than {self.config.response_ms} ms'

    def _throttles_all(self, now: float, good: int, throttled: int) -> str:
        if good:
            self._alone_since = None
        elif throttled:
            if self._alone_since is None or now - self._throttled_at > STILL_THROTTLES_S:
                self._alone_since = now
            if now - self._alone_since >= self.config.throttled_s:
                return f'it throttles everything for {now - self._alone_since:.0f} s'
        return ''

    def _see_busy(self, now: float, throttled: int, waiting: int) -> None:
        if throttled:
            if self._busy_since is None:
                self._busy_since = now
            self._throttled_at = now
        elif now - self._throttled_at > STILL_THROTTLES_S:
            self._busy_since = None
        if self._busy_since is None or now - self._busy_since < self.config.throttled_s:
            self.busy = False
        elif waiting >= self.config.throttled_messages:
            self.busy, self.reason = True, 'it throttles, and much waits for it'
        elif waiting * 2 < self.config.throttled_messages:
            self.busy = False

    # Open

    def _open(self, now: float, reason: str) -> None:
        self._reset()
        self.circuit = Circuit.OPEN
        self.reason = reason
        self.openings += 1
        self._probe_at = now + self.config.probe_every_s

    def _close(self, now: float) -> None:
        self._reset()
        self.circuit = Circuit.CLOSED
        self.reason = ''
        self._moves_at = now + self.config.window_s / BUCKETS

    def _probe(self, now: float) -> None:
        """Judge the answers to probes; those that come while it is open are to submits of before."""
        good, failed, throttled = self._take_counts()
        if self.circuit is Circuit.PROBING:
            self._taken += good
            if failed or throttled or True in self._slow:
                self.circuit = Circuit.OPEN
                self._probes_left = 0
                self._probe_at = now + self.config.probe_every_s
            elif self._taken >= self.config.probes:
                self._close(now)
                return
        self._slow.clear()
        if now >= self._probe_at:
            if self.circuit is Circuit.OPEN:
                self._taken = 0
            self.circuit = Circuit.PROBING
            self._probes_left = self.config.probes
            self._probe_at = now + self.config.probe_every_s


class ResponseTimes:
    """Times a few of an upstream's requests, so that none of the others costs anything."""

    def __init__(self) -> None:
        self._timed: list[tuple[dict[int, Any], int, float]] = []

    def look(self, pending: list[dict[int, Any]], now: float, limit_s: float) -> list[bool]:
        """Time the newest of the `pending` requests of each session; return of those timed before that are settled
        now whether they took longer than `limit_s`.
        """
        settled: list[bool] = []
        timed: list[tuple[dict[int, Any], int, float]] = []
        for of_session, sequence_number, since in self._timed:
            slow = now - since >= limit_s
            if slow or sequence_number not in of_session:
                settled.append(slow)
            else:
                timed.append((of_session, sequence_number, since))
        for of_session in pending:
            if of_session and len(timed) < SAMPLES_BOUND:
                timed.append((of_session, next(reversed(of_session)), now))
        self._timed = timed
        return settled
