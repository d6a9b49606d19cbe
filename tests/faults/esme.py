"""A simulated ESME that survives `kill -9`: its ledger is a file, which whoever started it reads, and steers it by.

    python -m tests.faults.esme FILE --ports 2775,2776 --binds 4 --window 50

The file (`Book`) has counters, the rate that is wanted, and what became of each message, all of it written before the
next octet leaves. A start goes on after the last message; what was unanswered when the process died is unknown. The
binds are spread evenly over the ports and go elsewhere while one is away. A bind whose oldest submit stays unanswered
for RESPONSE_TIMEOUT_S is given up. SIGTERM unbinds and ends. Not synced to disk: it is the process that dies here.
"""

import argparse
import asyncio
import mmap
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from pdu import pdus
from pdu.command import CommandId
from perf.load import Load, LoadSettings
from perf.load.ledger import OK, OUTSTANDING, REFUSED, UNKNOWN, Ledger
from perf.load.session import LoadSession

NUMBERS = 32_000_000
"""Messages an ESME may submit in its life."""
RESPONSE_TIMEOUT_S = 12.0
PACE_S = 0.002
WATCH_S = 0.25
BURST_S = 0.5
"""What was not submitted for want of room is made up for later, as much as is due in so long."""
PAGE = 4096
COUNTERS = ('rate_per_s', 'open_limit', 'submitted', 'ok', 'refused', 'unknown', 'received', 'duplicated', 'mismatched',
            'unknown_receipts', 'stray_responses', 'disconnects', 'sessions')  # fmt: skip
_FIELD = {name: place for place, name in enumerate(COUNTERS)}


class Book:
    """The file: a page of counters, then an octet for the outcome of each message, one for its receipts, its id."""

    def __init__(self, path: Path, numbers: int = NUMBERS) -> None:
        """Opens the file, and makes it if it is not there; it takes on disk what was written only."""
        with path.open('ab') as file:
            file.truncate(PAGE + 10 * numbers)
        with path.open('r+b') as file:
            self._map = mmap.mmap(file.fileno(), 0)
        whole = memoryview(self._map)
        self.head = whole[:PAGE].cast('q')
        self.outcomes = whole[PAGE : PAGE + numbers]
        self.receipts = whole[PAGE + numbers : PAGE + 2 * numbers]
        self.ids = whole[PAGE + 2 * numbers :].cast('q')

    def close(self) -> None:
        """Parts from the file."""
        for view in (self.head, self.outcomes, self.receipts, self.ids):
            view.release()

    def get(self, name: str) -> int:
        """A counter."""
        return self.head[_FIELD[name]]

    def set(self, name: str, value: int) -> None:
        """Writes a counter."""
        self.head[_FIELD[name]] = value

    def unreceipted(self, first: int, last: int) -> list[int]:
        """The messages of a range that were answered with ESME_ROK and have no receipt."""
        outcomes, receipts = bytes(self.outcomes[first:last]), bytes(self.receipts[first:last])
        return [first + place for place, outcome in enumerate(outcomes) if outcome == OK and not receipts[place]]

    def unanswered(self, first: int, last: int) -> int:
        """How many messages of a range are waiting for their response."""
        return bytes(self.outcomes[first:last]).count(OUTSTANDING)

    def told(self, first: int, last: int, before: dict[str, int]) -> 'Told':
        """What a range of messages came to, with what the counters say more than `before`."""
        more = {name: self.get(name) - before.get(name, 0) for name in Told.COUNTED}
        return Told(
            outcomes=bytes(self.outcomes[first:last]),
            receipts_seen=bytes(self.receipts[first:last]),
            ids=self.ids[first:last].tolist(),
            outstanding=self.unanswered(first, last),
            **more,
        )

    def counters(self) -> dict[str, int]:
        """All counters."""
        return {name: self.get(name) for name in COUNTERS}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A range of messages as the ESME knows them, for `verdict.judge`; numbers count from the first of the range."""

    COUNTED = ('duplicated', 'mismatched', 'unknown_receipts', 'stray_responses')

    outcomes: bytes
    receipts_seen: bytes
    ids: list[int]
    outstanding: int
    duplicated: int
    mismatched: int
    unknown_receipts: int
    stray_responses: int

    def message_id(self, number: int) -> bytes:
        """What the response or the receipt told; empty before both."""
        return b'%d' % self.ids[number] if self.ids[number] else b''


class LastingLedger(Ledger):
    """A ledger in a book."""

    def __init__(self, book: Book) -> None:
        super().__init__(True)
        self.book = book
        self._head, self._outcomes, self._receipts, self._ids = book.head, book.outcomes, book.receipts, book.ids
        outcomes = bytes(self._outcomes[: self.submitted])
        place = outcomes.find(OUTSTANDING)
        while place >= 0:
            self._outcomes[place] = UNKNOWN
            self._head[_FIELD['unknown']] += 1
            place = outcomes.find(OUTSTANDING, place + 1)

    @property
    def submitted(self) -> int:
        return self._head[_FIELD['submitted']]

    def submit(self, count: int, now: float) -> int:
        first = self.submitted
        self._outcomes[first : first + count] = bytes((OUTSTANDING,)) * count
        self._head[_FIELD['submitted']] += count
        self.outstanding += count
        return first

    def answer(self, offset: int, command_status: int, message_id: bytes, now: float) -> None:
        self.outstanding -= 1
        if command_status:
            self._outcomes[offset] = REFUSED
            self._head[_FIELD['refused']] += 1
            self._refused[command_status] += 1
            return
        self._note_id(offset, message_id)
        self._outcomes[offset] = OK
        self._head[_FIELD['ok']] += 1

    def lose(self, offset: int) -> None:
        self.outstanding -= 1
        self._outcomes[offset] = UNKNOWN
        self._head[_FIELD['unknown']] += 1

    def receive(self, offset: int, message_id: bytes, state: bytes, now: float) -> None:
        if not 0 <= offset < self.submitted:
            self._head[_FIELD['unknown_receipts']] += 1
            return
        seen = self._receipts[offset]
        if seen:
            self._head[_FIELD['duplicated']] += 1
            self._receipts[offset] = min(seen + 1, 255)
            return
        self._note_id(offset, message_id)
        self._receipts[offset] = 1
        self._head[_FIELD['received']] += 1

    def _note_id(self, offset: int, message_id: bytes) -> None:
        told = int(message_id)
        if self._ids[offset] and self._ids[offset] != told:
            self._head[_FIELD['mismatched']] += 1
        else:
            self._ids[offset] = told


class PatientSession(LoadSession):
    """A bind that, asked to unbind, submits no more, and agrees once all its submits are answered."""

    def __init__(self, load: Load, request: pdus.Bind) -> None:
        super().__init__(load, request)
        self._unbind: int | None = None

    def _handle_request(self, command_id: int, sequence_number: int) -> None:
        self.submits = self.submits and command_id != CommandId.UNBIND  # the socket may be open for a while after it
        if command_id == CommandId.UNBIND and self.outstanding:
            self._unbind = sequence_number
        else:
            super()._handle_request(command_id, sequence_number)

    def handle_batch_end(self) -> None:
        if self._unbind is not None and not self.outstanding:
            sequence_number, self._unbind = self._unbind, None
            super()._handle_request(CommandId.UNBIND, sequence_number)
        super().handle_batch_end()


class FaultLoad(Load):
    """A load that goes on at the rate in its book until it is told to end, whatever becomes of its binds."""

    session_type = PatientSession

    def __init__(self, settings: LoadSettings, book: Book, ports: list[int]) -> None:
        super().__init__(settings)
        self.ledger: LastingLedger = LastingLedger(book)
        self._total = float('inf')
        self._book = book
        self._ports = ports
        self._tried = 0
        self._at = self._watch_at = time.monotonic()
        self._due = 0.0
        self._oldest: dict[LoadSession, tuple[int, float]] = {}

    async def serve(self, ended: asyncio.Event) -> None:
        """Submits until `ended`, then unbinds."""
        self._running = True
        for _ in range(self.settings.binds):
            task = asyncio.create_task(self._replace(pdus.BindTransceiver))
            self._reconnects.add(task)
            task.add_done_callback(self._reconnects.discard)
        self._handle_timer()
        await ended.wait()
        await self.stop()

    async def _connect(self, request: type[pdus.Bind]) -> None:
        """Binds where there are fewest of ours; where that does not work, the next attempt goes to the next port."""
        held = Counter(session.transport.get_extra_info('peername')[1] for session in self.sessions)
        ports = sorted(self._ports, key=lambda port: held[port])
        self.settings = msgspec.structs.replace(self.settings, port=ports[self._tried % len(ports)])
        self._tried += 1
        await super()._connect(request)
        self._tried = 0

    def _handle_timer(self) -> None:
        now, rate_per_s = time.monotonic(), self._book.get('rate_per_s')
        self._due = min(self._due + rate_per_s * (now - self._at), max(rate_per_s * BURST_S, 1.0))
        self._at = now
        if rate_per_s:
            self._deal_out(now)
        else:
            self._due = 0.0
        if now - self._watch_at > WATCH_S:
            self._watch_at = now
            self._give_up_the_silent(now)
        self._book.set('sessions', len(self.sessions))
        self._book.set('disconnects', self.ledger.disconnects)
        self._book.set('stray_responses', self.ledger.stray_responses)
        self._timer = asyncio.get_running_loop().call_later(PACE_S, self._handle_timer)

    def _deal_out(self, now: float) -> None:
        """Submits what has become due, in equal shares."""
        sessions = [session for session in self.sessions if session.room > 0]
        room = self._room()
        while sessions and room and (left := min(int(self._due), room)):
            session = sessions.pop()
            count = min(session.room, -(-left // (len(sessions) + 1)))
            session.submit(count, now)
            self._due -= count
            room -= count
        self.sessions[:] = self.sessions[1:] + self.sessions[:1]

    def _room(self) -> int:
        """How many more may be on their way, receipts included, by the `open_limit` of the book; 0 of it is any."""
        get = self._book.get
        limit = get('open_limit')
        return (
            max(0, limit - get('submitted') + get('refused') + get('unknown') + get('received')) if limit else NUMBERS
        )

    def _give_up_the_silent(self, now: float) -> None:
        oldest: dict[LoadSession, tuple[int, float]] = {}
        for session in self.sessions:
            if session.outstanding:
                first = next(iter(session.outstanding))
                known = self._oldest.get(session)
                oldest[session] = known if known is not None and known[0] == first else (first, now)
                if now - oldest[session][1] > RESPONSE_TIMEOUT_S:
                    session.transport.abort()
        self._oldest = oldest

    def handle_batch_end(self, session: LoadSession) -> None:
        """Nothing follows from a read: the timer deals out."""


async def _serve(arguments: argparse.Namespace) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    fixed: dict[str, Any] = {'ucs2_percent': 30, 'reconnect': True, 'reconnect_s': 0.05, 'bind_timeout_s': 2}
    settings = LoadSettings(binds=arguments.binds, window=arguments.window, rate_per_s=1, messages=1, **fixed)
    await FaultLoad(settings, Book(arguments.file), [int(port) for port in arguments.ports.split(',')]).serve(ended)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='tests.faults.esme', description='An ESME that survives its death.')
    parser.add_argument('file', type=Path)
    parser.add_argument('--ports', required=True)
    parser.add_argument('--binds', type=int, default=4)
    parser.add_argument('--window', type=int, default=50)
    uvloop.run(_serve(parser.parse_args()))


if __name__ == '__main__':
    main()
