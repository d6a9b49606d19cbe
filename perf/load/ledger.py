"""What is known of every message of a load, by its offset from the first number: a few octets each, in arrays.

A receipt may come before the response of its message, and on another connection: both only note what they know.
"""

from array import array
from collections import Counter

from pdu.status import status_name
from perf.load.settings import Latency, LoadResult

OUTSTANDING, OK, REFUSED, UNKNOWN = 1, 2, 3, 4
"""Outcomes of a submit, as they stand in `Ledger.outcomes`."""


class Ledger:
    """The account of one load. Times are monotonic seconds."""

    def __init__(self, receipts_wanted: bool) -> None:
        self.outcomes = bytearray()
        self.receipts_seen = bytearray()
        self.outstanding = self.ok = self.unknown = self.awaiting = 0
        self.duplicated = self.unknown_receipts = self.mismatched = self.mo = self.stray_responses = 0
        self.disconnects = 0
        self.started_at = self.progress_at = 0.0
        self._receipts_wanted = receipts_wanted
        self._submitted_at = array('d')
        self._message_ids: list[bytes] = []
        self._response_s = array('f')
        self._receipt_s = array('f')
        self._refused: Counter[int] = Counter()
        self._states: Counter[bytes] = Counter()

    @property
    def submitted(self) -> int:
        """How many messages were submitted."""
        return len(self.outcomes)

    @property
    def received(self) -> int:
        """How many messages have a receipt."""
        return len(self._receipt_s)

    def message_id(self, offset: int) -> bytes:
        """The message_id that the response or the receipt of a message told; empty before both."""
        return self._message_ids[offset]

    def submit(self, count: int, now: float) -> int:
        """Opens the accounts of the next `count` messages and returns the offset of the first."""
        first = len(self.outcomes)
        self.outcomes += bytes((OUTSTANDING,)) * count
        self.receipts_seen += bytes(count)
        self._submitted_at.extend([now] * count)
        self._message_ids += [b''] * count
        self.outstanding += count
        return first

    def answer(self, offset: int, command_status: int, message_id: bytes, now: float) -> None:
        """Notes a response; `message_id` counts with ESME_ROK only."""
        self.outstanding -= 1
        self.progress_at = now
        if command_status:
            self.outcomes[offset] = REFUSED
            self._refused[command_status] += 1
            return
        self.outcomes[offset] = OK
        self.ok += 1
        self._response_s.append(now - self._submitted_at[offset])
        if self.receipts_seen[offset]:
            self.mismatched += self._message_ids[offset] != message_id
        else:
            self._message_ids[offset] = message_id
            self.awaiting += self._receipts_wanted

    def lose(self, offset: int) -> None:
        """Notes that the connection went before the response came."""
        self.outstanding -= 1
        self.outcomes[offset] = UNKNOWN
        self.unknown += 1

    def receive(self, offset: int, message_id: bytes, state: bytes, now: float) -> None:
        """Notes a receipt for the message at `offset`, which may be none of ours."""
        self.progress_at = now
        if not 0 <= offset < len(self.outcomes):
            self.unknown_receipts += 1
            return
        seen = self.receipts_seen[offset]
        if seen:
            self.duplicated += 1
            self.receipts_seen[offset] = min(seen + 1, 255)
            return
        self.receipts_seen[offset] = 1
        self._states[state] += 1
        self._receipt_s.append(now - self._submitted_at[offset])
        if self.outcomes[offset] == OK:
            self.awaiting -= self._receipts_wanted
            self.mismatched += self._message_ids[offset] != message_id
        else:
            self._message_ids[offset] = message_id

    def result(self) -> LoadResult:
        """The account as it stands."""
        elapsed_s = max(self.progress_at - self.started_at, 0.0)
        return LoadResult(
            submitted=self.submitted,
            ok=self.ok,
            refused={status_name(status): count for status, count in self._refused.items()},
            unknown=self.unknown,
            unanswered=self.outstanding,
            receipts={state.decode('ascii', 'replace'): count for state, count in self._states.items()},
            receipts_missing=self.awaiting,
            receipts_duplicated=self.duplicated,
            receipts_unknown=self.unknown_receipts,
            receipts_mismatched=self.mismatched,
            mo=self.mo,
            stray_responses=self.stray_responses,
            disconnects=self.disconnects,
            elapsed_s=round(elapsed_s, 3),
            rate_per_s=round(self.submitted / elapsed_s, 1) if elapsed_s else 0.0,
            response=_latency(self._response_s),
            receipt=_latency(self._receipt_s),
        )


def _latency(samples_s: 'array[float]') -> Latency:
    if not samples_s:
        return Latency(0, 0.0, 0.0, 0.0)
    ordered, last = sorted(samples_s), len(samples_s) - 1
    at = (ordered[last // 2], ordered[round(last * 0.99)], ordered[last])
    return Latency(len(ordered), *(round(sample * 1000, 3) for sample in at))
