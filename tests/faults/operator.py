"""A simulated operator that survives `kill -9` as a real one would: it remembers what it took and the receipts it owes.

    python -m tests.faults.operator FOLDER PORT --receipt-delay-ms 200

FOLDER keeps both, written before an answer leaves: `ledger`, how often each numbered text was seen, an octet a number;
and `SYSTEM_ID.receipts`, the receipts of one system_id and which of them were acknowledged. A start goes on from there
and sends at once what is still owed. SIGUSR2 cuts all connections, SIGTERM ends. Not synced to disk: it is the process
that dies here, not the machine.
"""

import argparse
import asyncio
import mmap
import signal
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import uvloop

from pdu.status import CommandStatus
from perf.numbers import Tally
from perf.operator import Operator, OperatorSettings
from perf.operator.mailbox import Mailbox
from perf.operator.session import Session
from perf.options import add_options, settings_from

LEDGER_NUMBERS = 32_000_000
_OWED, _DONE = b'+', b'-'
_LENGTH = struct.Struct('>H')


class LastingTally(Tally):
    """A tally in a file that is written with the count itself."""

    def __init__(self, path: Path) -> None:
        super().__init__(LEDGER_NUMBERS)
        with path.open('ab') as file:
            file.truncate(LEDGER_NUMBERS)
        with path.open('r+b') as file:
            self._octets = mmap.mmap(file.fileno(), LEDGER_NUMBERS)

    def count(self, number: int) -> None:
        if not 0 <= number < LEDGER_NUMBERS:
            self.unnumbered += 1
        elif self._octets[number] < 255:
            self._octets[number] += 1


class LastingMailbox(Mailbox):
    """A mailbox whose receipts are in a file until they are acknowledged."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.waiting.extend(_read_owed(path) if path.exists() else ())
        shorter = path.with_suffix('.new')
        shorter.write_bytes(_records(_OWED, self.waiting))
        shorter.replace(path)
        self._file: BinaryIO = path.open('ab', buffering=0)

    def owe(self, receipts: list[bytes]) -> None:
        """Writes receipts down that are to be sent."""
        self._file.write(_records(_OWED, receipts))

    def settle(self, receipts: list[bytes]) -> None:
        """Writes down that receipts were acknowledged."""
        self._file.write(_records(_DONE, receipts))


def _records(kind: bytes, receipts: Iterable[bytes]) -> bytes:
    return b''.join(kind + _LENGTH.pack(len(body)) + body for body in receipts)


def _read_owed(path: Path) -> list[bytes]:
    """The receipts of a file that were not acknowledged; a record that was cut short by the kill never counted."""
    octets, position = path.read_bytes(), 0
    owed: dict[bytes, None] = {}
    while position + 1 + _LENGTH.size <= len(octets):
        kind, body_at = octets[position : position + 1], position + 1 + _LENGTH.size
        position = body_at + _LENGTH.unpack_from(octets, position + 1)[0]
        if position > len(octets):
            break
        if kind == _OWED:
            owed[octets[body_at:position]] = None
        else:
            owed.pop(octets[body_at:position], None)
    return list(owed)


class LastingSession(Session):
    """Notes acknowledged receipts, once a read."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(operator)
        self._settled: list[bytes] = []

    def _handle_delivered(self, body: bytes, command_status: int) -> None:
        super()._handle_delivered(body, command_status)
        if command_status == CommandStatus.ESME_ROK:
            self._settled.append(body)

    def handle_batch_end(self) -> None:
        if self._settled and isinstance(self.mailbox, LastingMailbox):
            settled, self._settled = self._settled, []
            self.mailbox.settle(settled)
        super().handle_batch_end()


class LastingOperator(Operator):
    """An operator that goes on where the process before it ended."""

    session_type = LastingSession

    def __init__(self, settings: OperatorSettings, folder: Path) -> None:
        super().__init__(settings)
        self.tally = LastingTally(folder / 'ledger')
        self._folder = folder
        self._lasting: dict[bytes, LastingMailbox] = {}

    def mailbox(self, system_id: bytes) -> Mailbox:
        mailbox = self._lasting.get(system_id)
        if mailbox is None:
            mailbox = self._lasting[system_id] = LastingMailbox(self._folder / f'{system_id.decode()}.receipts')
        return mailbox

    def post(self, mailbox: Mailbox, receipts: list[bytes], session: Session) -> None:
        """Called before the answers to these messages are written to the socket."""
        assert isinstance(mailbox, LastingMailbox)
        mailbox.owe(receipts)
        super().post(mailbox, receipts, session)

    def cut(self) -> None:
        """Cuts every connection."""
        for session in list(self.sessions):
            session.transport.abort()


async def serve(arguments: argparse.Namespace) -> None:
    """Runs until SIGTERM."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    operator = LastingOperator(settings_from(arguments, OperatorSettings), arguments.folder)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGUSR2, operator.cut)
    await operator.start('127.0.0.1', arguments.port)
    await ended.wait()
    await operator.stop()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='tests.faults.operator', description='An operator that survives its death.')
    parser.add_argument('folder', type=Path)
    parser.add_argument('port', type=int)
    add_options(parser, OperatorSettings, frozenset({'ledger'}))
    uvloop.run(serve(parser.parse_args()))


if __name__ == '__main__':
    main()
