"""What a trial by faults has to show, and whether it does: the ledgers of load, operator and store held together.

Pure: it is given what was counted. A message is known by its number, which its text, its destination_addr and all three
ledgers carry.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from domain.message import Notice
from pdu.receipt_text import MessageState
from perf.load.ledger import OK, REFUSED, UNKNOWN

_EXAMPLES = 5


class Row(msgspec.Struct, frozen=True):
    """A message as the store has it."""

    number: int
    message_id: int
    state: int
    notice: int
    repeated: bool


class Account(Protocol):
    """What the ESME knows of messages, whose numbers begin with 0: a `perf.load.ledger.Ledger` is one."""

    @property
    def outcomes(self) -> bytes | bytearray:
        """Of each message."""
        ...

    @property
    def receipts_seen(self) -> bytes | bytearray:
        """How many, of each message."""
        ...

    @property
    def outstanding(self) -> int:
        """Submits that wait for their response."""
        ...

    @property
    def duplicated(self) -> int:
        """Receipts after the first one of a message."""
        ...

    @property
    def mismatched(self) -> int:
        """Messages whose receipt has another message_id than their response."""
        ...

    @property
    def unknown_receipts(self) -> int:
        """Receipts of no message."""
        ...

    @property
    def stray_responses(self) -> int:
        """Responses to no request."""
        ...

    def message_id(self, offset: int) -> bytes:
        """What the ESME was told; empty for nothing."""
        ...


class Bounds(msgspec.Struct, frozen=True):
    """How much the faults of a trial may have repeated."""

    submits: int
    """Slots of all windows towards the operator, at each kill or cut that took them."""
    receipts: int
    """The same towards the ESMEs."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The account of a trial. `wrong` names every promise that was broken, with examples by number."""

    submitted: int
    ok: int
    refused: int
    unknown: int
    lost: int
    """Answered with ESME_ROK, and not in the store, not seen by the operator, or without receipt."""
    stored: int
    delivered: int
    refused_but_stored: int
    refused_but_sent: int
    unknown_but_stored: int
    duplicate_submits: int
    duplicate_submits_bound: int
    marked_repeated: int
    repeated_receipts: int
    repeated_receipts_bound: int
    wrong: list[str]


def judge(ledger: Account, seen: bytes, rows: list[Row], bounds: Bounds) -> Verdict:
    """Hold the ledgers together: the load's, the operator's (`seen`, an octet a number) and the store's."""
    outcomes = ledger.outcomes
    by_outcome = {
        which: {n for n, outcome in enumerate(outcomes) if outcome == which} for which in (OK, REFUSED, UNKNOWN)
    }
    ok, refused, unknown = by_outcome[OK], by_outcome[REFUSED], by_outcome[UNKNOWN]
    sent = {number for number, times in enumerate(seen) if times}
    duplicated = {number for number in sent if seen[number] > 1}
    stored = {row.number: row for row in rows}
    repeated = {row.number for row in rows if row.repeated}
    duplicates = sum(seen[number] - 1 for number in duplicated)
    told_another_id = {
        number
        for number, row in stored.items()
        if number < len(outcomes) and ledger.message_id(number) not in (b'', b'%d' % row.message_id)
    }
    wrong = [
        *_problem('submits that were never answered', range(ledger.outstanding)),
        *_problem('messages stored more than once', range(len(rows) - len(stored))),
        *_problem('messages with ESME_ROK that the store does not have', ok - stored.keys()),
        *_problem('messages with ESME_ROK that the operator never saw', ok - sent),
        *_problem('messages with ESME_ROK that have no receipt', {n for n in ok if not ledger.receipts_seen[n]}),
        *_problem(
            'messages with ESME_ROK that did not end as the operator said',
            {n for n in ok & stored.keys() if stored[n].state != MessageState.DELIVERED},
        ),
        *_problem(
            'messages without final state', {n for n, row in stored.items() if row.state == MessageState.ENROUTE}
        ),
        *_problem('receipts still due', {n for n, row in stored.items() if row.notice == Notice.DUE}),
        *_problem('receipts given up', {n for n, row in stored.items() if row.notice == Notice.GIVEN_UP}),
        *_problem('messages that the operator saw and the store does not have', sent - stored.keys()),
        *_problem('messages that nobody submitted', stored.keys() - range(len(outcomes))),
        *_problem('receipts of messages that nobody submitted', range(ledger.unknown_receipts)),
        *_problem('messages told by another id than they have', told_another_id),
        *_problem('receipts under another id than the response', range(ledger.mismatched)),
        *_problem('responses without request', range(ledger.stray_responses)),
        *_problem('messages submitted twice and not marked as repeated', duplicated - repeated),
        *beyond('submits repeated', duplicates, bounds.submits),
        *beyond('receipts repeated', ledger.duplicated, bounds.receipts),
    ]
    return Verdict(
        submitted=len(outcomes),
        ok=len(ok),
        refused=len(refused),
        unknown=len(unknown),
        lost=sum(n not in stored or n not in sent or not ledger.receipts_seen[n] for n in ok),
        stored=len(stored),
        delivered=sum(row.state == MessageState.DELIVERED for row in rows),
        refused_but_stored=len(refused & stored.keys()),
        refused_but_sent=len(refused & sent),
        unknown_but_stored=len(unknown & stored.keys()),
        duplicate_submits=duplicates,
        duplicate_submits_bound=bounds.submits,
        marked_repeated=len(repeated),
        repeated_receipts=ledger.duplicated,
        repeated_receipts_bound=bounds.receipts,
        wrong=wrong,
    )


def _problem(what: str, numbers: Iterable[int]) -> list[str]:
    found = sorted(numbers)
    if not found:
        return []
    return [f'{what}: {len(found)} (as {", ".join(map(str, found[:_EXAMPLES]))})']


def beyond(what: str, count: int, bound: int) -> list[str]:
    """What is wrong when more was repeated than may be."""
    return [f'{what}: {count}, bound {bound}'] if count > bound else []


def judge_status(status: dict[str, object], but: frozenset[str] = frozenset()) -> list[str]:
    """What the settled server still holds or has failed at, by `smsc status --json`; nothing is as it should be.

    What is named in `but` may be there.
    """
    wrong: list[str] = []
    _look(status, '', wrong, _MUST_BE_NOTHING - but)
    return wrong


def judge_kept(status: dict[str, Any], cache: int) -> list[str]:
    """What the settled server keeps beyond what it may when there are others: of each upstream, as many messages as its
    cache has room for whose receipt another node has dealt with, and no message besides.
    """
    awaiting = {upstream['name']: upstream['awaiting_receipt'] for upstream in status['upstreams']}
    wrong = [f'{name} keeps {count}, more than its cache may' for name, count in awaiting.items() if count > cache]
    if status['in_memory'] > sum(awaiting.values()):
        wrong.append(f'{status["in_memory"]} messages in memory, of which {sum(awaiting.values())} await a receipt')
    return wrong


_MUST_BE_NOTHING = frozenset(
    {
        'failed', 'in_memory', 'load', 'outstanding', 'owed_in_memory', 'owed_on_disk', 'queued_in_memory',
        'queued_on_disk', 'unanswered', 'waiting', 'window_used', 'awaiting_receipt', 'given_up',
    }
)  # fmt: skip


def _look(value: object, path: str, wrong: list[str], must_be_nothing: frozenset[str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            where = f'{path}.{key}' if path else key
            if key in must_be_nothing and inner and not isinstance(inner, dict | list):
                wrong.append(f'status {where}: {inner}')
            _look(inner, where, wrong, must_be_nothing)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            where = f'{path}[{inner.get("name", place)}]' if isinstance(inner, dict) else path
            _look(inner, where, wrong, must_be_nothing)
